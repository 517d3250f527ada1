/* SPDX-License-Identifier: MIT */
/* serve.c - the story of the host's start, and what wakes it afterwards. */

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"
#include "base/proc.h"
#include "base/random.h"

#include "master/master.h"

static void end(struct master *);
static void read_configuration(struct master *);
static void prepare_process(struct master *);
static void go_to_programs(const struct arguments *, bool root);
static void choose_environments(struct master *);
static char **environment_of(bool (*wanted)(const char *));
static bool for_children(const char *);
static bool for_cells(const char *);
static bool begins(const char *entry, const char *name);
static char *make_key(void);
static void say_not_enforced(void *, const char *key, const char *sentence);
static void on_signal(void *, int signo);
static void on_child(void *, pid_t, int wait_status, const struct rusage *);

int
serve(const struct arguments *arguments)
{
	struct master whole = {
		.arguments = *arguments,
		.root = geteuid() == 0,
		.exit_status = EXIT_SUCCESS,
		.since_unix_ms = clock_unix_ms(),
	}, *m = &whole;

	umask(022);
	read_configuration(m);
	rundir_open(&m->rundir, m->config, &m->settled, m->arguments.state,
	    m->root);
	prepare_process(m); /* moves to another directory */
	registry_init(&m->registry, m->rundir.state_fd);
	suspended_open(&m->suspended, m->rundir.state_fd);
	probe_machine(m);
	cgroups_open(&m->cgroups);
	probe_list(m, say_not_enforced, NULL);

	m->key = make_key();
	m->loop = loop_new();
	loop_on_signal(m->loop, SIGHUP, on_signal, m);
	loop_on_signal(m->loop, SIGUSR1, on_signal, m);
	loop_on_signal(m->loop, SIGTERM, on_signal, m);
	loop_on_signal(m->loop, SIGINT, on_signal, m);
	loop_on_child(m->loop, on_child, m);
	children_init(m);
	cells_init(m);
	stop_init(m);
	children_start(m);
	loop_run(m->loop);

	end(m);
	return m->exit_status;
}

void
serve_child_ready(struct master *m)
{
	if (m->announced || !children_all(m, CHILD_UP))
		return;
	m->announced = true;
	printf("ready: run=%s functions=%s pid=%d\n", m->rundir.path,
	    m->config->functions, (int)getpid());
	fflush(stdout);
	notify("READY=1");
}

/* Nobody is left but us. */
static void
end(struct master *m)
{
	rundir_close(&m->rundir); /* first: a new master may start now */
	cells_free(m);
	cgroups_close(&m->cgroups);
	registry_free(&m->registry);
	users_free(&m->users);
	suspended_free(&m->suspended);
	loop_free(m->loop);
	config_release(&m->config);
	fd_close(&m->sealed_fd);
	free(m->cell_environment);
	free(m->child_environment);
	free(m->config_file);
	explicit_bzero(m->key, MASTER_KEY_BYTES);
	munmap(m->key, MASTER_KEY_BYTES);
	diag_info("ended");
}

/* On a page of its own, which is left out of cores: who reads one may not sign
 * tokens. */
static char *
make_key(void)
{
	char *key = mmap(NULL, MASTER_KEY_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (key == MAP_FAILED ||
	    madvise(key, MASTER_KEY_BYTES, MADV_DONTDUMP) != 0)
		diag_fatal("no memory for the key of tokens: %s", diag_errno());
	random_take(key, MASTER_KEY_BYTES);
	return key;
}

static void
read_configuration(struct master *m)
{
	struct arguments *a = &m->arguments;
	char missing[TENANT_REASON_MOST];
	struct buf errors;

	/* for reloads, after we have moved */
	if (a->config_file)
		a->config_file = m->config_file =
		    settle_path(a, a->config_file);
	buf_init(&errors, 256 * 1024);
	m->config = settle(a, m->root, 1, &m->settled, &errors);
	if (!m->config) {
		/* "file:line: sentence", for editors to jump to */
		fd_write_all(STDERR_FILENO, buf_span(&errors));
		exit(EXIT_FAILURE);
	}
	buf_free(&errors);
	users_settle(&m->users, m->config, &m->settled);
	if (settle_missing(m->config, missing, sizeof(missing)))
		diag_warn("%s", missing);
	if (settle_exposed(a, m->root, m->config, missing, sizeof(missing)))
		diag_warn("%s", missing);
	malloc_trim(0); /* what reading the file needed */
	m->sealed_fd = config_seal(m->config, true, &m->sealed_bytes);
	if (m->sealed_fd < 0)
		diag_fatal("no memory file for the configuration: %s",
		    diag_errno());
}

static void
prepare_process(struct master *m)
{
	struct rlimit files;

	signal(SIGPIPE, SIG_IGN); /* stdout may be closed */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	/* what a cell without a namespace leaves comes to us */
	if (proc_subreaper() != 0)
		diag_warn("cannot become subreaper: %s", diag_errno());
	choose_environments(m);
	go_to_programs(&m->arguments, m->root);
}

/* We stay in the directory of the other programs and start them by name: the
 * gateway's user may not pass the directories above it, if the tree stands in
 * somebody's closed home. */
static void
go_to_programs(const struct arguments *a, bool root)
{
	const char *given = a->libexec;
	char self[4096] = "", *slash;
	ssize_t bytes;

	if (!given && !root)
		given = getenv("FCGI_HOST_LIBEXEC");
	if (given) {
		if (chdir(given) != 0)
			diag_fatal("--libexec %s: %s", given, diag_errno());
		return;
	}
	bytes = readlink("/proc/self/exe", self, sizeof(self) - 1);
	slash = bytes > 0 ? strrchr(self, '/') : NULL;
	if (!slash)
		diag_fatal("/proc/self/exe: %s; where are the other programs? "
			   "Say --libexec DIR",
		    diag_errno());
	*slash = '\0';
	if (chdir(self) == 0 && access("fcgi-host-gateway", F_OK) == 0)
		return;
	if (chdir("../libexec/fcgi-host") == 0 &&
	    access("fcgi-host-gateway", F_OK) == 0)
		return;
	diag_fatal("fcgi-host-gateway is neither in %s nor in "
		   "%s/../libexec/fcgi-host; say --libexec DIR",
	    self, self);
}

/* Gateway, log and state are ours and get what we have; a cell serves a stranger. */
static void
choose_environments(struct master *m)
{
	m->child_environment = environment_of(for_children);
	m->cell_environment = environment_of(for_cells);
}

static char **
environment_of(bool (*wanted)(const char *))
{
	size_t count = 0, kept = 0;
	char **entries;

	while (environ[count])
		count++;
	entries = diag_alloc((count + 1) * sizeof(*entries));
	for (size_t i = 0; i < count; i++)
		if (wanted(environ[i]))
			entries[kept++] = environ[i];
	return entries;
}

static bool
for_children(const char *entry)
{
	return !begins(entry, "NOTIFY_SOCKET=");
}

static bool
for_cells(const char *entry)
{
	return begins(entry, "PATH=") || begins(entry, "LANG=") ||
	    begins(entry, "TZ=") || begins(entry, "ASAN_OPTIONS=") ||
	    begins(entry, "UBSAN_OPTIONS=");
}

static bool
begins(const char *entry, const char *name)
{
	return strncmp(entry, name, strlen(name)) == 0;
}

static void
say_not_enforced(void *arg, const char *key, const char *sentence)
{
	(void)arg;
	if (key[0] == 'n')
		diag_info("not enforced: %s", sentence);
}

static void
on_signal(void *arg, int signo)
{
	static const struct message_reopen reopen;
	struct master *m = arg;
	struct child *log = &m->children[CHILD_LOG];
	struct buf text;

	switch (signo) {
	case SIGHUP:
		buf_init(&text, 256 * 1024);
		reload(m, &text);
		buf_free(&text);
		break;
	case SIGUSR1:
		if (log->peer &&
		    peer_send(log->peer, MESSAGE_REOPEN, &reopen, NULL, 0) != 0)
			children_tell(log, CHILD_BROKEN);
		break;
	default:
		stop_asked(m);
	}
}

static void
on_child(void *arg, pid_t pid, int wait_status, const struct rusage *used)
{
	struct master *m = arg;

	(void)used;
	if (!children_reaped(m, pid, wait_status) &&
	    !cells_reaped(m, pid, wait_status))
		cells_stray_reaped(m);
	stop_step(m);
}
