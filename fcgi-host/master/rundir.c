/* SPDX-License-Identifier: MIT */
/* rundir.c - what the host has on disk while it runs: lock, sockets, spool,
 * directory of workers' sockets, log directory. Everything is made below
 * directories that nobody else can change, and given away by descriptor, never by
 * name. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"
#include "base/span.h"

#include "master/master.h"

#define FRONT_SOCKET "front.sock"
#define CONTROL_SOCKET "control.sock"
#define STATE_SOCKET "state.sock"
#define FN_SOCKET "fn.sock"
#define PID_FILE "pid"

static const char *const place_names[RUNDIR_PLACES] = {
	[RUNDIR_SPOOL] = "spool",
	[RUNDIR_WORKERS] = "workers",
};

static int directory_open(const char *path, const char *option, bool root);
static void directories_make(const char *path, const char *option);
static bool lock_there(int directory_fd, const struct rundir *);
static int lock_take(const struct rundir *);
static int lock_open(const struct rundir *);
static void lock_refused(const struct rundir *, int fd)
    __attribute__((noreturn));
static int child_directory(int parent, const char *name, const char *path,
    mode_t, bool root, uid_t, gid_t);
static int child_try(int parent, const char *name, const char *path, mode_t,
    bool root, uid_t, gid_t, char *text, size_t room);
static int fn_open(const struct rundir *, const struct settled *, bool root);
static int log_open(const char *path, const struct settled *, bool root);
static int listen_at(const struct rundir *, const char *name, int type, mode_t,
    gid_t);

void
rundir_open(struct rundir *r, const struct config *c, const struct settled *s,
    const char *state, bool root)
{
	char path[PATH_MAX];

	*r = (struct rundir){ .path = diag_strdup(c->run) };
	r->fd = directory_open(c->run, "run", root);
	r->lock_fd = lock_take(r);
	r->state_fd = state ? directory_open(state, "--state", root) :
			      fcntl(r->fd, F_DUPFD_CLOEXEC, 0);
	for (int place = 0; place < RUNDIR_PLACES; place++) {
		snprintf(path, sizeof(path), "%s/%s", c->run,
		    place_names[place]);
		r->place_fds[place] = child_directory(r->fd, place_names[place],
		    path, 0700, root, s->gateway_uid, s->gateway_gid);
	}
	snprintf(path, sizeof(path), "%s/state", state ? state : c->run);
	r->data_fd = child_directory(r->state_fd, "state", path, 0700, root,
	    s->state_uid, s->state_gid);
	r->fn_fd = fn_open(r, s, root);
	r->log_fd = log_open(c->log, s, root);
	r->front_fd =
	    listen_at(r, FRONT_SOCKET, SOCK_STREAM, 0660, s->front_gid);
	r->state_listen_fd =
	    listen_at(r, STATE_SOCKET, SOCK_STREAM, 0660, s->front_gid);
	/* who may ask what is decided by SO_PEERCRED, verb by verb */
	r->control_fd =
	    listen_at(r, CONTROL_SOCKET, SOCK_SEQPACKET, 0666, (gid_t)-1);
}

/* The pid file goes last: with it the lock on the others' names. If it is not
 * there any more, they may be another host's by now. */
void
rundir_close(struct rundir *r)
{
	static const char *const names[] = { FRONT_SOCKET, CONTROL_SOCKET,
		STATE_SOCKET, PID_FILE };
	int *fds[] = { &r->front_fd, &r->control_fd, &r->log_fd, &r->data_fd,
		&r->state_listen_fd, &r->fn_fd, &r->state_fd, &r->lock_fd,
		&r->fd };

	if (lock_there(r->fd, r))
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			unlinkat(r->fd, names[i], 0);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		fd_close(fds[i]);
	for (int place = 0; place < RUNDIR_PLACES; place++)
		fd_close(&r->place_fds[place]);
	free(r->path);
	r->path = NULL;
}

int
rundir_again(struct rundir *r, enum rundir_place place, const struct settled *s,
    bool root, char *text, size_t room)
{
	const char *name = place_names[place];
	struct stat ours, there;
	char path[PATH_MAX];
	int fd;

	if (fstat(r->place_fds[place], &ours) == 0 &&
	    fstatat(r->fd, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	    ours.st_ino == there.st_ino && ours.st_dev == there.st_dev)
		return 0;
	snprintf(path, sizeof(path), "%s/%s", r->path, name);
	fd = child_try(r->fd, name, path, 0700, root, s->gateway_uid,
	    s->gateway_gid, text, room);
	if (fd < 0)
		return -1;
	fd_close(&r->place_fds[place]);
	r->place_fds[place] = fd;
	snprintf(text, room, "%s was removed or replaced; it is made again",
	    path);
	return 1;
}

const char *
rundir_missing(const struct rundir *r, char *text, size_t room)
{
	int fd = open(r->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool there = fd >= 0 && lock_there(fd, r);
	static const char *const names[] = { FRONT_SOCKET, CONTROL_SOCKET,
		STATE_SOCKET };
	struct stat s;

	fd_close(&fd);
	if (!there) {
		snprintf(text, room,
		    "run = \"%s\" was removed or replaced under the running "
		    "host, so nobody reaches its sockets; start the host again",
		    r->path);
		return text;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (fstatat(r->fd, names[i], &s, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISSOCK(s.st_mode))
			continue;
		snprintf(text, room,
		    "%s/%s was removed or replaced under the running host, so "
		    "nobody reaches it there; start the host again",
		    r->path, names[i]);
		return text;
	}
	return NULL;
}

/* Is the pid file of this directory the one we have locked? */
static bool
lock_there(int directory_fd, const struct rundir *r)
{
	struct stat ours, there;

	return fstat(r->lock_fd, &ours) == 0 &&
	    fstatat(directory_fd, PID_FILE, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	    ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

static int
directory_open(const char *path, const char *option, bool root)
{
	char text[TENANT_REASON_MOST];
	struct stat s;
	int fd;

	/* before anything is made there */
	if (root && trust_way_refusal(path, text, sizeof(text)))
		diag_fatal("%s: %s", option, text);
	directories_make(path, option);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &s) != 0)
		diag_fatal("%s = \"%s\": %s", option, path, diag_errno());
	if (root &&
	    trust_refusal(&s, "the directory", path, text, sizeof(text)))
		diag_fatal("%s: %s", option, text);
	if (!root && faccessat(fd, ".", W_OK, AT_EACCESS) != 0)
		diag_fatal("%s = \"%s\": user id %u cannot write there; choose "
			   "another with --%s DIR",
		    option, path, (unsigned)geteuid(),
		    option + strspn(option, "-"));
	return fd;
}

/* All that are missing on the way, readable by everybody: the web server has
 * to reach the front socket. */
static void
directories_make(const char *path, const char *option)
{
	char partial[PATH_MAX];

	if (strlen(path) >= sizeof(partial))
		diag_fatal("%s: the path is too long", option);
	for (size_t i = 1; path[i - 1]; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(partial, path, i);
		partial[i] = '\0';
		if (mkdir(partial, 0755) != 0 && errno != EEXIST)
			diag_fatal("%s = \"%s\": cannot make %s: %s", option,
			    path, partial, diag_errno());
	}
}

/* The lock is on the file that has the name: one that was removed meanwhile,
 * by a master that ended, is not it. */
static int
lock_take(const struct rundir *r)
{
	struct stat s;
	char text[32];
	int fd, bytes;

	for (;;) {
		fd = lock_open(r);
		if (flock(fd, LOCK_EX | LOCK_NB) != 0)
			lock_refused(r, fd);
		if (fstat(fd, &s) == 0 && s.st_nlink > 0)
			break;
		fd_close(&fd);
	}
	bytes = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) != 0 ||
	    fd_write_all(fd, span_make(text, (size_t)bytes)) != 0)
		diag_fatal("cannot write %s/" PID_FILE ": %s", r->path,
		    diag_errno());
	return fd;
}

static int
lock_open(const struct rundir *r)
{
	int fd = openat(r->fd, PID_FILE,
	    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

	if (fd < 0)
		diag_fatal("cannot open %s/" PID_FILE ": %s", r->path,
		    diag_errno());
	return fd;
}

static void
lock_refused(const struct rundir *r, int fd)
{
	char pid[32];
	ssize_t n;

	if (errno != EWOULDBLOCK)
		diag_fatal("cannot lock %s/" PID_FILE ": %s", r->path,
		    diag_errno());
	n = read(fd, pid, sizeof(pid) - 1);
	pid[n > 0 ? n : 0] = '\0';
	pid[strspn(pid, "0123456789")] = '\0';
	diag_fatal("another fcgi-host (pid %s) serves the run directory %s; "
		   "stop it first, or choose another directory with --run DIR",
	    pid[0] ? pid : "unknown", r->path);
}

static int
child_directory(int parent, const char *name, const char *path, mode_t mode,
    bool root, uid_t uid, gid_t gid)
{
	char text[TENANT_REASON_MOST];
	int fd = child_try(parent, name, path, mode, root, uid, gid, text,
	    sizeof(text));

	if (fd < 0)
		diag_fatal("%s", text);
	return fd;
}

/* Made and given away, or found and set right: by descriptor, so that nobody
 * can put something else there in between. -1 with a sentence. */
static int
child_try(int parent, const char *name, const char *path, mode_t mode,
    bool root, uid_t uid, gid_t gid, char *text, size_t room)
{
	int fd = -1;

	if (mkdirat(parent, name, 0700) != 0 && errno != EEXIST) {
		snprintf(text, room, "cannot make %s: %s", path, diag_errno());
		return -1;
	}
	fd = openat(parent, name,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		snprintf(text, room, "%s has to be a directory: %s", path,
		    diag_errno());
	} else if ((root && fchown(fd, uid, gid) != 0) ||
	    fchmod(fd, mode) != 0) {
		snprintf(text, room, "cannot give %s to user id %u: %s", path,
		    (unsigned)uid, diag_errno());
		fd_close(&fd);
	}
	return fd;
}

/* The web server listens in it, functions only look. A socket that it left there
 * would keep it from starting again; when nobody answers, it is nobody's. */
static int
fn_open(const struct rundir *r, const struct settled *s, bool root)
{
	bool shared = s->front_gid != (gid_t)-1;
	char path[PATH_MAX];
	int fd, other;

	snprintf(path, sizeof(path), "%s/fn", r->path);
	fd = child_directory(r->fd, "fn", path, 0755, root, 0, 0);
	if (shared &&
	    (fchown(fd, (uid_t)-1, s->front_gid) != 0 || fchmod(fd, 0775) != 0))
		diag_fatal("cannot give %s to group id %u: %s", path,
		    (unsigned)s->front_gid, diag_errno());
	snprintf(path, sizeof(path), "/proc/self/fd/%d/" FN_SOCKET, fd);
	other = fd_connect_unix(path, SOCK_STREAM);
	if (other < 0 && errno == ECONNREFUSED)
		unlinkat(fd, FN_SOCKET, 0);
	fd_close(&other);
	return fd;
}

/* It may be anywhere the administrator says. In a directory that somebody
 * else can change root makes and gives away nothing: what is there has to be
 * the log user's already. */
static int
log_open(const char *path, const struct settled *s, bool root)
{
	char parent[PATH_MAX], option[PATH_MAX + 16], text[TENANT_REASON_MOST];
	const char *name = strrchr(path, '/') + 1;
	struct stat found;
	int parent_fd, fd;

	snprintf(parent, sizeof(parent), "%.*s", (int)(name - path), path);
	snprintf(option, sizeof(option), "log = \"%s\"", path);
	directories_make(parent, "log");
	parent_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent_fd < 0 || fstat(parent_fd, &found) != 0)
		diag_fatal("log = \"%s\": %s", path, diag_errno());
	if (!root ||
	    !trust_refusal(&found, "the directory", parent, text,
		sizeof(text))) {
		fd = child_directory(parent_fd, name, option, 0750, root,
		    s->log_uid, s->log_gid);
		fd_close(&parent_fd);
		return fd;
	}
	fd = openat(parent_fd, name,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	fd_close(&parent_fd);
	if (fd < 0 || fstat(fd, &found) != 0 || found.st_uid != s->log_uid)
		diag_fatal("log = \"%s\": make this directory and give it to "
			   "users.log (user id %u); we do not, because %s",
		    path, (unsigned)s->log_uid, text);
	return fd;
}

static int
listen_at(const struct rundir *r, const char *name, int type, mode_t mode,
    gid_t gid)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", r->path, name);
	fd = fd_listen_unix(path, type, mode, gid);
	if (fd < 0 && errno == ENAMETOOLONG)
		diag_fatal("run = \"%s\" is too long: the path of a socket has "
			   "at most 107 bytes, so choose a shorter directory",
		    r->path);
	if (fd < 0)
		diag_fatal("cannot listen on %s: %s", path, diag_errno());
	return fd;
}
