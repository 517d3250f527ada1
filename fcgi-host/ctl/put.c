/* SPDX-License-Identifier: MIT */
/* put.c - installs a file as a function, or as a file of one. Needs no running
 * host, only its functions directory: the new file is written beside the old
 * one under a name that is never a function, and takes its place by rename. So
 * a request runs the old file or the new one, and neither is open for writing.
 * The tenant may change its directory meanwhile: no link in it is followed. */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <jansson.h>

#include "base/diag.h"
#include "base/fd.h"
#include "wire/json_text.h"
#include "wire/name.h"

#include "ctl/ctl.h"

#define TENANT_SETTINGS "tenant.conf"

enum {
	COPY_BYTES = 256 * 1024,
};

/* Where a file goes. */
struct target {
	char *functions;  /* ours: the host's directory */
	char *tenant;	  /* ours */
	char *place;	  /* ours: the tenant's directory in the host's */
	char *below;	  /* ours: directory in the tenant's, "" */
	char *name;	  /* ours: in it */
	int directory_fd; /* ours: of all that but the name */
	char temporary[NAME_FILE_MOST + 1];
};

static const char *functions;
static const char *mode_text;
/* Whose temporary file goes when a signal ends us. */
static const struct target *volatile doomed;

static int put_run(const struct ctl *, int count, char **operands);
static char *copy_of(struct span);
static int target_read(struct target *, const char *file, const char *to);
static bool leads_elsewhere(struct span part);
static int target_open(struct target *, const struct ctl *);
static int put_file(struct target *, const char *file, mode_t *mode);
static void put_ended(int number);
static void on_end_signals(void (*handler)(int));
static int put_bytes(int from, int to, const char *file);
static bool mode_read(mode_t *mode);
static void put_warn(const struct ctl *, const struct target *);
static mode_t mode_of(const struct target *, const struct stat *source);
static void target_free(struct target *);

/* clang-format off */
const struct command command_put = {
	.arguments = (const struct argument[]){
		{ 0, "functions", ARGUMENT_TEXT, &functions, "DIR",
		    "the directory of the tenants' directories; without it, "
		    "the running host's" },
		{ 0, "mode", ARGUMENT_TEXT, &mode_text, "MODE",
		    "octal; without it, that of FILE without write permission "
		    "for others, and executable if it is to be a function" },
		{ 0 },
	},
	.operands_least = 2,
	.operands_most = 2,
	.run = put_run,
	.text = "NAME is that of FILE unless given, and may lie in a "
	    "directory of the tenant that\nexists. FILE - is stdin. No request "
	    "fails: running ones finish on the old file.\nUnder root the file "
	    "belongs to the tenant's user. What the host does not serve as "
	    "it is, it\nsays on stderr.\n\n"
	    "  fcgi-hostctl put hello.sh demo\n"
	    "  fcgi-hostctl put build/hello demo/hello\n"
	    "  fcgi-hostctl put run.py demo/gallery/run\n"
	    "  fcgi-hostctl put --functions /srv/functions hello.conf demo\n",
};
/* clang-format on */

static int
put_run(const struct ctl *ctl, int count, char **operands)
{
	struct target target = { .directory_fd = -1 };
	char octal[8], url[1024] = "";
	mode_t mode = 0;
	json_t *answer;
	int result;

	(void)count;
	if (!mode_read(&mode))
		return usage("put",
		    "%s is no mode: three octal digits, not "
		    "writable by others",
		    mode_text);
	result = target_read(&target, operands[0], operands[1]);
	if (result == 0)
		result = target_open(&target, ctl);
	if (result == 0)
		result = put_file(&target, operands[0], &mode);
	if (result == 0) {
		snprintf(url, sizeof(url), "%s/%s/%s%s%s", target.functions,
		    target.place, target.below, target.below[0] ? "/" : "",
		    target.name);
		if (ctl->json) {
			snprintf(octal, sizeof(octal), "%04o", (unsigned)mode);
			answer = json_object();
			json_object_set_new(answer, "file",
			    json_text(span_of(url)));
			json_object_set_new(answer, "mode", json_string(octal));
			result = words_json(answer);
		} else {
			words_put_line(stdout, span_of(url));
			fputc('\n', stdout);
		}
		/* with --functions it is nobody's, or another host's */
		if (result == 0 && !functions)
			put_warn(ctl, &target);
	}
	target_free(&target);
	return result;
}

/* "demo", "demo/hello", "demo/gallery/run" */
static int
target_read(struct target *t, const char *file, const char *to)
{
	struct span rest = span_of(to), tenant = span_cut(&rest, '/');
	struct span parts = rest, name = SPAN(""), first, entry;
	enum name_file kind;
	const char *slash = strrchr(file, '/');

	t->tenant = copy_of(tenant);
	if (tenant_check("put", t->tenant) != 0)
		return CTL_USAGE;
	if (span_ends(span_of(to), SPAN("/")))
		return usage("put", "%s ends with /; name the file", to);
	while (parts.bytes > 0) {
		name = span_cut(&parts, '/');
		if (leads_elsewhere(name))
			return usage("put",
			    "%s is no way to a file of that tenant: between "
			    "its / are names, not . or ..",
			    to);
	}
	t->below = copy_of(span_take(rest,
	    name.bytes < rest.bytes ? rest.bytes - name.bytes - 1 : 0));
	if (name.bytes == 0 && strcmp(file, "-") == 0)
		return usage("put", "stdin has no name; put - TENANT/NAME");
	if (name.bytes == 0)
		name = span_of(slash ? slash + 1 : file);
	t->name = copy_of(name);
	if (name.bytes == 0 || name.bytes > NAME_FILE_MOST - 32 ||
	    name.data[0] == '.')
		return usage("put",
		    "\"%s\" is no name of a file a host would "
		    "look at",
		    t->name);
	first = span_of(t->below[0] ? t->below : t->name);
	entry = span_cut(&first, '/');
	/* the cell looks at the tenant's directory, whose settings go there
	 * too; what is further below is the function's own affair */
	kind = name_file(entry);
	if (kind == NAME_FILE_PROGRAM || kind == NAME_FILE_SETTINGS)
		return 0;
	return usage("put",
	    "\"%.*s\" would never be served: up to its first dot a name is 1 "
	    "to %d of A to Z, a to z, 0 to 9, _ and -, and it does not end "
	    "with ~, .bak, .orig, .swp or .tmp",
	    SPAN_ARGS(entry), NAME_FUNCTION_MOST);
}

static bool
leads_elsewhere(struct span part)
{
	return part.bytes == 0 || span_equal(part, SPAN(".")) ||
	    span_equal(part, SPAN(".."));
}

static char *
copy_of(struct span text)
{
	char *copy = span_dup(text);

	if (!copy)
		diag_fatal("no memory");
	return copy;
}

static int
target_open(struct target *t, const struct ctl *ctl)
{
	const struct open_how how = {
		.flags = O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
		    RESOLVE_NO_MAGICLINKS,
	};
	char path[2 * NAME_FILE_MOST + 2], reason[HOST_REASON];
	int fd;

	assert(t->tenant && t->below && t->name);
	if (host_place(ctl, functions, t->tenant, &t->functions, &t->place,
		reason) != 0) {
		diag_error("which directory? --functions DIR says it, as the "
			   "host does not: %s",
		    reason);
		return CTL_FAILED;
	}
	fd = open(t->functions, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		diag_error("cannot open the functions directory %s: %s",
		    t->functions, diag_errno());
		return CTL_FAILED;
	}
	if (snprintf(path, sizeof(path), "%s%s%s", t->place,
		t->below[0] ? "/" : "", t->below) < (int)sizeof(path))
		t->directory_fd =
		    (int)syscall(SYS_openat2, fd, path, &how, sizeof(how));
	else
		errno = ENAMETOOLONG;
	fd_close(&fd);
	if (t->directory_fd >= 0)
		return 0;
	diag_error(errno == ENOENT ?
		"there is no directory %s in %s (%s); make it first" :
		"cannot open %s in %s: %s",
	    path, t->functions, diag_errno());
	return CTL_FAILED;
}

static int
put_file(struct target *t, const char *file, mode_t *mode)
{
	bool is_stdin = strcmp(file, "-") == 0, made = false;
	int from = is_stdin ? dup(0) : open(file, O_RDONLY | O_CLOEXEC);
	int to = -1, result = CTL_FAILED;
	struct stat source, directory;

	if (from < 0 || fstat(from, &source) != 0 ||
	    fstat(t->directory_fd, &directory) != 0) {
		diag_error("cannot read %s: %s", file, diag_errno());
		goto out;
	}
	if (S_ISDIR(source.st_mode)) {
		diag_error("%s is a directory; put installs one file", file);
		goto out;
	}
	/* a dotfile is never a function; the name is ours alone */
	snprintf(t->temporary, sizeof(t->temporary), ".%s.%ld.tmp", t->name,
	    (long)getpid());
	doomed = t;
	on_end_signals(put_ended);
	made = true;
	to = openat(t->directory_fd, t->temporary,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0) {
		made = false;
		diag_error("cannot make a file in %s/%s: %s", t->functions,
		    t->place, diag_errno());
		goto out;
	}
	if (put_bytes(from, to, file) != 0)
		goto out;
	if (!mode_text)
		*mode = mode_of(t, is_stdin ? NULL : &source);
	if ((geteuid() == 0 &&
		fchown(to, directory.st_uid, directory.st_gid) != 0) ||
	    fchmod(to, *mode) != 0 || fsync(to) != 0)
		goto failed;
	/* closed first: a file that is open for writing cannot be executed */
	fd_close(&to);
	if (renameat(t->directory_fd, t->temporary, t->directory_fd, t->name) !=
	    0)
		goto failed;
	made = false;
	doomed = NULL;
	fsync(t->directory_fd);
	result = 0;
	goto out;
failed:
	diag_error("cannot finish %s/%s/%s: %s", t->functions, t->place,
	    t->name, diag_errno());
out:
	if (made)
		unlinkat(t->directory_fd, t->temporary, 0);
	doomed = NULL;
	fd_close(&to);
	fd_close(&from);
	return result;
}

/* Who ends us finds what was there before. */
static void
put_ended(int number)
{
	const struct target *t = doomed;

	if (t)
		unlinkat(t->directory_fd, t->temporary, 0);
	raise(number); /* its default by now, and taken behind this */
}

static void
on_end_signals(void (*handler)(int))
{
	static const int numbers[] = { SIGHUP, SIGINT, SIGTERM };
	const struct sigaction action = { .sa_handler = handler,
		.sa_flags = SA_RESETHAND };
	struct sigaction before;

	/* nohup(1) stays in force */
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (sigaction(numbers[i], NULL, &before) == 0 &&
		    before.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
}

static int
put_bytes(int from, int to, const char *file)
{
	static char bytes[COPY_BYTES];
	ssize_t n;

	for (;;) {
		n = read(from, bytes, sizeof(bytes));
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			return 0;
		if (n < 0) {
			diag_error("cannot read %s: %s", file, diag_errno());
			return -1;
		}
		if (fd_write_all(to, span_make(bytes, (size_t)n)) != 0) {
			diag_error("cannot write: %s", diag_errno());
			return -1;
		}
	}
}

/* What others may write the host refuses, so it is no mode for a function. */
static bool
mode_read(mode_t *mode)
{
	char *end;
	unsigned long value;

	if (!mode_text)
		return true;
	value = strtoul(mode_text, &end, 8);
	if (mode_text[0] < '0' || mode_text[0] > '7' || *end || value > 0777 ||
	    (value & 02))
		return false;
	*mode = (mode_t)value;
	return true;
}

/* It is there, but would it run? The host's cell knows, who reads it as the
 * tenant; we do not. */
static void
put_warn(const struct ctl *ctl, const struct target *t)
{
	struct span entry = span_of(t->below[0] ? t->below : t->name);

	fflush(stdout);
	if (span_equal(entry, SPAN(TENANT_SETTINGS))) {
		list_warn_of(ctl, t->tenant, SPAN(TENANT_SETTINGS));
		return;
	}
	entry = span_cut(&entry, '/');
	list_warn(ctl, t->tenant, name_function(entry));
}

static mode_t
mode_of(const struct target *t, const struct stat *source)
{
	mode_t mode = source ? source->st_mode & 0755 : 0644;
	bool settings = span_ends(span_of(t->name), SPAN(".conf"));

	if (settings)
		return mode & 0644;
	if (t->below[0] == '\0' || strcmp(t->name, "run") == 0)
		mode |= (mode & 0444) >> 2 | 0500;
	return mode;
}

static void
target_free(struct target *t)
{
	fd_close(&t->directory_fd);
	free(t->functions);
	free(t->tenant);
	free(t->place);
	free(t->below);
	free(t->name);
}
