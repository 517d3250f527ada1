/* SPDX-License-Identifier: MIT */
/* bomb.c - a function that takes all it can get of one thing, or leaves something
 * behind: its query is the name of a row below. Says how much it got and what
 * stopped it, if it still can. Never takes more than MOST_BYTES, so that a host
 * that stops nothing does not take the machine along. */
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	BLOCK = 1 << 20,
	MOST_BYTES = 1 << 30,
	MOST_THINGS = 200000,
	MOST_PROCESSES = 2000,
	MOST_DESCRIPTORS = 4096,
	SPINNERS = 8,
	CALLERS = 10,
	RELAY_MOST = 100000,
};

static char block[BLOCK];
static const char head[] = "Content-Type: text/plain\r\n\r\n";

static void
say(const char *what, unsigned long long count, int error)
{
	printf("%s%s=%llu\nstopped=%s\n", head, what, count,
	    error ? strerrorname_np(error) : "not");
	fflush(stdout);
}

static void
deaf(void)
{
	sigset_t all;

	for (int signo = 1; signo < NSIG; signo++)
		signal(signo, SIG_IGN);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
}

static void
forever(void)
{
	for (;;)
		pause();
}

/* Half a request by fn.sock. A descriptor, or -1. */
static int
half_request(void)
{
	static const char half[] = "GET / HTTP/1.1\r\nHost: fn\r\nX: ";
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", getenv("FN_SOCKET"));
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 &&
	    send(fd, half, sizeof(half) - 1, MSG_NOSIGNAL) > 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Whatever is closed is opened again, until data/release is there. */
static void
call_and_call(int *count)
{
	int fds[MOST_DESCRIPTORS], there = 0;
	bool full = false;
	char byte;

	while (access("data/release", F_OK) != 0) {
		while (there < MOST_DESCRIPTORS &&
		    (fds[there] = half_request()) >= 0)
			there++;
		if (!full) {
			__atomic_fetch_add(&count[0], there, __ATOMIC_SEQ_CST);
			__atomic_fetch_add(&count[1], 1, __ATOMIC_SEQ_CST);
			full = true;
		}
		usleep(10000);
		for (int i = 0; i < there; i++)
			if (recv(fds[i], &byte, 1, MSG_DONTWAIT) == 0 ||
			    (errno != EAGAIN && errno != EWOULDBLOCK)) {
				close(fds[i]);
				fds[i--] = fds[--there];
			}
	}
}

/* Of the web server. data/full is there when all have as many as they get. */
static void
take_connections(void)
{
	int *count = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < CALLERS; i++)
		if (fork() == 0) {
			call_and_call(count);
			_exit(0);
		}
	while (__atomic_load_n(&count[1], __ATOMIC_SEQ_CST) < CALLERS)
		usleep(10000);
	close(open("data/full", O_CREAT | O_WRONLY, 0666));
	while (wait(NULL) > 0)
		;
	say("connections", (unsigned long long)count[0], 0);
}

/* ---- taking --------------------------------------------------------------- */

static void
take_processes(void)
{
	unsigned long long count = 0;
	pid_t pid;

	while (count < MOST_PROCESSES && (pid = fork()) >= 0) {
		if (pid == 0)
			forever();
		count++;
	}
	say("processes", count, errno);
}

/* As they are written on T-shirts: all fork, none listens. */
static void
take_processes_wildly(void)
{
	deaf();
	for (;;)
		if (fork() < 0)
			usleep(1000);
}

static void
take_mapped(int flags)
{
	unsigned long long bytes = 0;
	char *memory;

	errno = 0;
	while (bytes < MOST_BYTES) {
		memory = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE,
		    flags | MAP_ANONYMOUS, -1, 0);
		if (memory == MAP_FAILED)
			break;
		memset(memory, 1, BLOCK);
		bytes += BLOCK;
	}
	say("bytes", bytes, errno);
}

static void
take_memory(void)
{
	take_mapped(MAP_PRIVATE);
}

static void
take_shared_memory(void)
{
	take_mapped(MAP_SHARED);
}

/* Left behind: nobody removes it. */
static void
take_system_v_memory(void)
{
	unsigned long long bytes = 0;
	char *memory;
	int id;

	errno = 0;
	while (bytes < MOST_BYTES) {
		id = shmget(IPC_PRIVATE, BLOCK, IPC_CREAT | 0600);
		memory = id < 0 ? (void *)-1 : shmat(id, NULL, 0);
		if (memory == (void *)-1)
			break;
		memset(memory, 1, BLOCK);
		shmdt(memory);
		bytes += BLOCK;
	}
	say("bytes", bytes, errno);
}

/* Several processes, each below the limit of one. */
static void
take_memory_together(void)
{
	for (int i = 0; i < SPINNERS; i++)
		if (fork() == 0) {
			for (int mib = 0; mib < 128; mib++)
				memset(malloc(BLOCK), 1, BLOCK);
			sleep(1); /* for the others to come this far */
			_exit(0);
		}
	while (wait(NULL) > 0)
		;
	say("processes", SPINNERS, 0);
}

static void
take_disk(void)
{
	int fd = open("/tmp/bomb", O_WRONLY | O_CREAT, 0600);
	unsigned long long bytes = 0;
	ssize_t n = 0;

	while (fd >= 0 && bytes < MOST_BYTES &&
	    (n = write(fd, block, BLOCK)) > 0)
		bytes += (unsigned long long)n;
	say("bytes", bytes, fd < 0 || n < 0 ? errno : 0);
}

static void
take_inodes(void)
{
	unsigned long long count = 0;
	char path[64];
	int fd = 0;

	while (count < MOST_THINGS && fd >= 0) {
		snprintf(path, sizeof(path), "/tmp/bomb.%llu", count);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
		if (fd >= 0) {
			close(fd);
			count++;
		}
	}
	say("files", count, fd < 0 ? errno : 0);
}

static void
take_descriptors(void)
{
	unsigned long long count = 0;

	while (count < MOST_THINGS && dup(0) >= 0)
		count++;
	say("descriptors", count, errno);
}

static void
take_processor(void)
{
	for (int i = 1; i < SPINNERS; i++)
		if (fork() == 0)
			break;
	for (;;)
		__asm__ volatile("");
}

static void
take_log(void)
{
	memset(block, 'x', BLOCK);
	for (int at = 99; at < BLOCK; at += 100)
		block[at] = '\n';
	for (int mib = 0; mib < 64; mib++)
		if (write(2, block, BLOCK) < 0)
			break;
	say("mib", 64, 0);
}

static void
take_a_crash(void)
{
	abort();
}

/* ---- leaving behind --------------------------------------------------------- */

static void
say_left(void)
{
	printf("%sleft\n", head);
	fflush(stdout);
}

static void
leave_child(void)
{
	if (fork() == 0)
		forever();
	say_left();
}

/* As daemons have done it since 1978. */
static void
leave_daemon(void)
{
	if (fork() != 0) {
		say_left();
		return;
	}
	setsid();
	deaf();
	if (fork() != 0)
		_exit(0);
	forever();
}

/* The child of whoever started us. */
static void
leave_to_parent(void)
{
	long pid =
	    syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0) {
		deaf();
		forever();
	}
	say_left();
}

/* Whoever comes to kill it finds its successor: a new pid each time. */
static void
leave_relay(void)
{
	if (fork() != 0) {
		say_left();
		return;
	}
	setsid();
	deaf();
	for (int i = 0; i < RELAY_MOST; i++)
		if (fork() > 0)
			_exit(0);
	forever();
}

static void
leave_stopped(void)
{
	if (fork() == 0) {
		setsid();
		raise(SIGSTOP);
		forever();
	}
	say_left();
}

/* Files, shared memory and a directory nobody may enter. */
static void
leave_files(void)
{
	static const char *const paths[] = { "/tmp/left", "/var/tmp/left-too",
		"/dev/shm/left-again" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		close(open(paths[i], O_WRONLY | O_CREAT, 0600));
	mkdir("/tmp/closed", 0);
	shmget(0x6c656674, 4096, IPC_CREAT | 0600);
	say_left();
}

/* ------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	void (*function)(void);
} rows[] = {
	{ "processes", take_processes },
	{ "wild", take_processes_wildly },
	{ "memory", take_memory },
	{ "shared", take_shared_memory },
	{ "sysv", take_system_v_memory },
	{ "together", take_memory_together },
	{ "disk", take_disk },
	{ "inodes", take_inodes },
	{ "descriptors", take_descriptors },
	{ "connections", take_connections },
	{ "processor", take_processor },
	{ "log", take_log },
	{ "crash", take_a_crash },
	{ "child", leave_child },
	{ "daemon", leave_daemon },
	{ "parent", leave_to_parent },
	{ "relay", leave_relay },
	{ "stopped", leave_stopped },
	{ "files", leave_files },
};

int
main(void)
{
	const char *query = getenv("QUERY_STRING");

	if (geteuid() == 0 || !query || !getenv("GATEWAY_INTERFACE")) {
		fprintf(stderr, "bomb: only in a cell\n");
		return 1;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(query, rows[i].name) == 0)
			rows[i].function();
	return 0;
}
