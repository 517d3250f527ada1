/* SPDX-License-Identifier: MIT */
/* apply.c - the steps of plan.c, one function each. Every mount is made out of
 * sight, given its flags, and only then put into the new root by descriptor;
 * paths in there are looked up with the new root as "/", so that no link leads
 * back to the host. Whatever fails ends the cell: nothing is half a sandbox. */

#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <linux/securebits.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"
#include "base/landlock.h"
#include "base/proc.h"

#include "cell/apply.h"
#include "cell/seccomp.h"

enum {
	READ_ONLY = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
	WRITABLE = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
};

struct apply {
	int root_fd;	       /* ours: the new root until the pivot */
	int rules_fd;	       /* ours until restrict; -1: none */
	int *directory_fd;     /* the caller's */
	struct stat directory; /* what it was when master opened it */
	int tenant_fd; /* ours: it, in mounts of our own; -1: none yet */
};

typedef int apply_fn(struct apply *, struct plan_step *);
#define STEP(NAME, name, first, second, sentence) static apply_fn apply_##name;
#include "cell/steps.def"
#undef STEP

static bool namespaces_are_ours(void);
static void apply_give_refused(struct plan_step *, uid_t owner);
static int filesystem(const char *type, const char *options, unsigned flags);
static int show(struct apply *, const char *path, unsigned flags);
static int show_open(struct apply *, int fd, const char *path, unsigned flags);
static int attach(struct apply *, const char *path, int *mount_fd);
static int place(struct apply *, const char *path, bool directory);
static int within(int root_fd, const char *path);

int
apply_plan(struct plan *plan, int *directory_fd, struct buf *reason)
{
	static apply_fn *const functions[PLAN_OPS] = {
#define STEP(NAME, name, first, second, sentence) [PLAN_##NAME] = apply_##name,
#include "cell/steps.def"
#undef STEP
	};
	struct apply a = {
		.root_fd = -1,
		.rules_fd = -1,
		.directory_fd = directory_fd,
		.tenant_fd = -1,
	};
	int error;

	umask(022);
	if (*directory_fd >= 0 && fstat(*directory_fd, &a.directory) != 0) {
		buf_printf(reason, "the tenant's directory: %s",
		    strerror(errno));
		return -1;
	}
	for (size_t i = 0; i < plan->count; i++) {
		if (functions[plan->steps[i].op](&a, &plan->steps[i]) == 0)
			continue;
		error = errno;
		buf_put_string(reason, "sandbox step \"");
		plan_print_step(&plan->steps[i], reason);
		buf_put_byte(reason, '"');
		if (plan->steps[i].setting)
			buf_printf(reason, " of %s", plan->steps[i].setting);
		buf_printf(reason, ": %s", strerror(error));
		return -1;
	}
	return 0;
}

/* Alone and with one thread, so that the kernel need not stop others. Who was
 * made in the group finds itself there; to join it again would cost the same as
 * the first time. */
static int
apply_cgroup(struct apply *a, struct plan_step *s)
{
	char text[4096], own[16];
	ssize_t n = pread(s->resource, text, sizeof(text), 0);
	struct span rest = span_make(text, n > 0 ? (size_t)n : 0);
	int result;

	(void)a;
	snprintf(own, sizeof(own), "%ld", (long)getpid());
	while (rest.bytes > 0 && !s->note[0])
		if (span_equal(span_cut(&rest, '\n'), span_of(own)))
			snprintf(s->note, sizeof(s->note), "made in it");
	result = s->note[0] ? 0 : fd_write_all(s->resource, SPAN("0"));
	fd_close(&s->resource);
	return result;
}

/* proc_start() has written the maps, before execve: it keeps who we are. */
static int
apply_ids(struct apply *a, struct plan_step *s)
{
	(void)a;
	if (geteuid() == s->first && getegid() == s->second)
		return 0;
	errno = EPERM;
	return -1;
}

/* Who was made with a mount namespace was made with a pid namespace too. */
static int
apply_namespaces(struct apply *a, struct plan_step *s)
{
	(void)a;
	(void)s;
	if (getpid() == 1)
		return 0;
	errno = EPERM;
	return -1;
}

/* By descriptors, so that it is what was looked at. Who cannot be given it, as
 * on a file system that is read-only, may still read it. */
static int
apply_give(struct apply *a, struct plan_step *s)
{
	int fd = openat(*a->directory_fd, PLAN_DATA_NAME,
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		snprintf(s->note, sizeof(s->note), "no such directory");
	else if (fstat(fd, &st) != 0)
		snprintf(s->note, sizeof(s->note), "%s", strerror(errno));
	else if (st.st_uid == s->first)
		; /* by an earlier cell */
	else if (st.st_uid != 0)
		apply_give_refused(s, st.st_uid);
	else if (fchown(fd, (uid_t)s->first, (gid_t)s->second) != 0)
		snprintf(s->note, sizeof(s->note), "%s", strerror(errno));
	fd_close(&fd);
	return 0;
}

/* Of another tenant, after numbers were given anew, or of a copy: what its
 * functions then say, "Permission denied", tells nobody why. */
static void
apply_give_refused(struct plan_step *s, uid_t owner)
{
	snprintf(s->note, sizeof(s->note), "belongs to user id %u",
	    (unsigned)owner);
	diag_warn("%s belongs to user id %u, and the functions of this tenant "
		  "run as %u: they may not be able to write there; chown "
		  "-Rh %u:%u %s",
	    s->path, (unsigned)owner, (unsigned)s->first, (unsigned)s->first,
	    (unsigned)s->second, s->path);
}

/* More is more likely to be ended; less, of a host that is itself to be ended
 * early, is not ours to set. */
static int
apply_oom_score(struct apply *a, struct plan_step *s)
{
	int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC), now;
	char text[16] = "";
	int result = -1;

	(void)a;
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0) {
		snprintf(s->note, sizeof(s->note), "%s", strerror(errno));
		fd_close(&fd);
		return 0;
	}
	now = (int)strtol(text, NULL, 10);
	if (now >= (int)s->first) {
		snprintf(s->note, sizeof(s->note), "stays %d", now);
		result = 0;
	} else if (dprintf(fd, "%d", (int)s->first) > 0)
		result = 0;
	fd_close(&fd);
	return result;
}

static int
apply_cgroup_root(struct apply *a, struct plan_step *s)
{
	(void)a;
	if (proc_unshare(CLONE_NEWCGROUP) == 0)
		return 0;
	if (errno != EINVAL)
		return -1;
	snprintf(s->note, sizeof(s->note), "this kernel has none");
	return 0;
}

/* Here rather than by who made us, who would have to wait for it. */
static int
apply_network(struct apply *a, struct plan_step *s)
{
	struct ifreq loopback = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd, result;

	(void)a;
	if (proc_unshare(CLONE_NEWNET) != 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	result = ioctl(fd, SIOCSIFFLAGS, &loopback);
	/* without it nothing is reached that should not be */
	if (result != 0 && errno == EPERM) {
		snprintf(s->note, sizeof(s->note),
		    "down: that needs CAP_NET_ADMIN");
		result = 0;
	}
	fd_close(&fd);
	return result;
}

static int
apply_rules(struct apply *a, struct plan_step *s)
{
	static const struct {
		const char *name;
		unsigned refusal;
		int since;
	} kinds[] = {
		{ "files", LANDLOCK_REFUSES_FILES, LANDLOCK_FILES },
		{ "tcp", LANDLOCK_REFUSES_TCP, LANDLOCK_TCP },
		{ "signals", LANDLOCK_REFUSES_SIGNALS, LANDLOCK_SCOPE },
		{ "sockets", LANDLOCK_REFUSES_SOCKETS, LANDLOCK_SCOPE },
	};
	int version = landlock_version();
	unsigned refusals = 0;

	if (version == 0) {
		snprintf(s->note, sizeof(s->note), "this kernel has none");
		return 0;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!strstr(s->options, kinds[i].name))
			continue;
		refusals |= kinds[i].refusal;
		if (version < kinds[i].since)
			snprintf(s->note, sizeof(s->note),
			    "version %d: some only", version);
	}
	a->rules_fd = landlock_new(refusals);
	return a->rules_fd < 0 ? -1 : 0;
}

/* Walked by mistake in the host's own namespaces, the plan would take the root
 * away from every process of the machine. */
static int
apply_private(struct apply *a, struct plan_step *s)
{
	(void)a;
	if (!namespaces_are_ours()) {
		errno = EPERM;
		return -1;
	}
	return mount(NULL, s->path, NULL, MS_REC | MS_PRIVATE, NULL);
}

/* Over the host's root, which covers nothing: paths still begin below it. */
static int
apply_root(struct apply *a, struct plan_step *s)
{
	a->root_fd = filesystem("tmpfs", s->options, WRITABLE);
	if (a->root_fd < 0)
		return -1;
	return move_mount(a->root_fd, "", AT_FDCWD, s->path,
	    MOVE_MOUNT_F_EMPTY_PATH);
}

static int
apply_system(struct apply *a, struct plan_step *s)
{
	char target[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (lstat(s->path, &st) != 0 && errno == ENOENT) {
		snprintf(s->note, sizeof(s->note), "the host has none");
		return 0;
	}
	n = readlink(s->path, target, sizeof(target) - 1);
	if (n < 0)
		return show(a, s->path, READ_ONLY);
	target[n] = '\0';
	return symlinkat(target, a->root_fd, s->path + 1);
}

static int
apply_tmpfs(struct apply *a, struct plan_step *s)
{
	int mount_fd = filesystem("tmpfs", s->options, WRITABLE);

	return attach(a, s->path, &mount_fd);
}

static int
apply_link(struct apply *a, struct plan_step *s)
{
	const char *slash = strrchr(s->path, '/');
	char parent[PATH_MAX];
	int fd, result;

	snprintf(parent, sizeof(parent), "%.*s", (int)(slash - s->path),
	    s->path);
	fd = place(a, parent, true);
	if (fd < 0)
		return -1;
	result = symlinkat(s->options, fd, slash + 1);
	fd_close(&fd);
	return result;
}

static int
apply_device(struct apply *a, struct plan_step *s)
{
	return show(a, s->path, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
}

/* Kernels without subset= refuse it; the namespace alone hides the host. */
static int
apply_proc(struct apply *a, struct plan_step *s)
{
	unsigned flags = WRITABLE | MOUNT_ATTR_NOEXEC;
	int mount_fd = filesystem("proc", s->options, flags);

	if (mount_fd < 0 && errno == EINVAL) {
		snprintf(s->note, sizeof(s->note),
		    "plain: this kernel does not know the options");
		mount_fd = filesystem("proc", "", flags);
	}
	return attach(a, s->path, &mount_fd);
}

static int
apply_read(struct apply *a, struct plan_step *s)
{
	return show(a, s->path, READ_ONLY);
}

static int
apply_maybe(struct apply *a, struct plan_step *s)
{
	struct stat st;

	if (stat(s->path, &st) == 0)
		return show(a, s->path, READ_ONLY);
	snprintf(s->note, sizeof(s->note), "%s", strerror(errno));
	return 0;
}

/* The descriptor that master gave us is of the host's mounts, which cannot be
 * shown in here (EINVAL): opened anew by name, compared, and from there on only
 * the descriptor counts. Who may rename what is on the way would else choose
 * between the look and the mount. */
static int
apply_tenant(struct apply *a, struct plan_step *s)
{
	struct stat st;

	a->tenant_fd =
	    open(s->path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (a->tenant_fd < 0 || fstat(a->tenant_fd, &st) != 0)
		return -1;
	if (st.st_dev != a->directory.st_dev ||
	    st.st_ino != a->directory.st_ino) {
		errno = ESTALE;
		return -1;
	}
	return show_open(a, a->tenant_fd, s->path, READ_ONLY);
}

/* The name is the tenant's to choose: a link would choose for us. */
static int
apply_data(struct apply *a, struct plan_step *s)
{
	int result,
	    fd = openat(a->tenant_fd, PLAN_DATA_NAME,
		O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	fd_close(&a->tenant_fd);
	if (fd < 0) {
		snprintf(s->note, sizeof(s->note), "no such directory");
		return 0;
	}
	result = show_open(a, fd, s->path, WRITABLE);
	fd_close(&fd);
	return result;
}

static int
apply_write(struct apply *a, struct plan_step *s)
{
	return show(a, s->path, WRITABLE);
}

static int
apply_pivot(struct apply *a, struct plan_step *s)
{
	(void)s;
	if (fchdir(a->root_fd) != 0 || syscall(SYS_pivot_root, ".", ".") != 0 ||
	    umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)
		return -1;
	fd_close(&a->root_fd);
	return 0;
}

static int
apply_readonly(struct apply *a, struct plan_step *s)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };

	(void)a;
	return mount_setattr(AT_FDCWD, s->path, 0, &attr, sizeof(attr));
}

static int
apply_hostname(struct apply *a, struct plan_step *s)
{
	(void)a;
	return sethostname(s->options, strlen(s->options));
}

static int
apply_limit(struct apply *a, struct plan_step *s)
{
	struct rlimit now, limit = { s->first, s->second };

	(void)a;
	if (getrlimit((__rlimit_resource_t)s->resource, &now) != 0)
		return -1;
	if (limit.rlim_max > now.rlim_max) {
		snprintf(s->note, sizeof(s->note), "hard stays %ju",
		    (uintmax_t)now.rlim_max);
		limit.rlim_max = now.rlim_max;
	}
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	return setrlimit((__rlimit_resource_t)s->resource, &limit);
}

/* Each with its lock. What root's change of user does to capabilities stays as
 * it is: they go. */
static int
apply_securebits(struct apply *a, struct plan_step *s)
{
	(void)a;
	(void)s;
	return prctl(PR_SET_SECUREBITS,
	    SECBIT_NOROOT | SECBIT_NOROOT_LOCKED |
		SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
		SECBIT_NO_CAP_AMBIENT_RAISE |
		SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
	    0, 0, 0);
}

static int
apply_bounding(struct apply *a, struct plan_step *s)
{
	(void)a;
	(void)s;
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap) != 0)
			return -1;
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

static int
apply_user(struct apply *a, struct plan_step *s)
{
	(void)a;
	return proc_become((uid_t)s->first, (gid_t)s->second);
}

static int
apply_directory(struct apply *a, struct plan_step *s)
{
	int fd = open(s->path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) != 0 || st.st_dev != a->directory.st_dev ||
	    st.st_ino != a->directory.st_ino) {
		errno = ESTALE;
		fd_close(&fd);
		return -1;
	}
	fd_close(a->directory_fd);
	*a->directory_fd = fd;
	return 0;
}

static int
apply_capabilities(struct apply *a, struct plan_step *s)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	static const struct __user_cap_data_struct
	    none[_LINUX_CAPABILITY_U32S_3];

	(void)a;
	(void)s;
	return (int)syscall(SYS_capset, &head, none);
}

static int
apply_no_new_privs(struct apply *a, struct plan_step *s)
{
	(void)a;
	(void)s;
	return proc_no_new_privs();
}

static int
apply_hidden(struct apply *a, struct plan_step *s)
{
	(void)a;
	(void)s;
	return prctl(PR_SET_DUMPABLE, 0);
}

/* Once more: the change of user has cleared it. */
static int
apply_death(struct apply *a, struct plan_step *s)
{
	(void)a;
	return prctl(PR_SET_PDEATHSIG, s->first);
}

static int
apply_subreaper(struct apply *a, struct plan_step *s)
{
	(void)a;
	(void)s;
	return proc_subreaper();
}

static int
apply_umask(struct apply *a, struct plan_step *s)
{
	(void)a;
	umask((mode_t)s->first);
	return 0;
}

/* What the user cannot open anyway needs no rule. */
static int
apply_allow(struct apply *a, struct plan_step *s)
{
	static const struct {
		const char *name;
		enum landlock_right right;
	} rights[] = {
		{ "open", LANDLOCK_OPEN },
		{ "read", LANDLOCK_READ },
		{ "write", LANDLOCK_WRITE },
		{ "all", LANDLOCK_ALL },
	};
	int fd, result = -1;

	if (a->rules_fd < 0)
		return 0;
	fd = open(s->path, O_PATH | O_CLOEXEC);
	if (fd < 0) {
		snprintf(s->note, sizeof(s->note), "%s", strerror(errno));
		return 0;
	}
	for (size_t i = 0; i < sizeof(rights) / sizeof(rights[0]); i++)
		if (strcmp(s->options, rights[i].name) == 0)
			result =
			    landlock_allow(a->rules_fd, fd, rights[i].right);
	fd_close(&fd);
	return result;
}

static int
apply_restrict(struct apply *a, struct plan_step *s)
{
	int result;

	if (a->rules_fd < 0) {
		snprintf(s->note, sizeof(s->note), "there are none");
		return 0;
	}
	result = landlock_restrict(a->rules_fd);
	fd_close(&a->rules_fd);
	return result;
}

static int
apply_filter(struct apply *a, struct plan_step *s)
{
	(void)a;
	if (seccomp_deny() == 0)
		return 0;
	if (errno != ENOSYS && errno != EINVAL)
		return -1;
	snprintf(s->note, sizeof(s->note), "this kernel has none");
	return 0;
}

/* Who was made with a mount namespace was made with a pid namespace too. /proc
 * is still the host's, so process 1 in there is not us. Only root may look at
 * that one; others could not mount anything where they are not alone. */
static bool
namespaces_are_ours(void)
{
	struct stat own, host;

	if (getpid() != 1)
		return false;
	if (stat("/proc/1/ns/mnt", &host) != 0)
		return errno == EACCES || errno == ENOENT;
	return stat("/proc/self/ns/mnt", &own) == 0 &&
	    (own.st_ino != host.st_ino || own.st_dev != host.st_dev);
}

/* A new file system that is mounted nowhere yet: its descriptor or -1. */
static int
filesystem(const char *type, const char *options, unsigned flags)
{
	struct span rest = span_of(options), value, key;
	int fd = fsopen(type, FSOPEN_CLOEXEC), mount_fd = -1;
	char name[32], text[32];

	if (fd < 0)
		return -1;
	while (rest.bytes > 0) {
		value = span_cut(&rest, ',');
		key = span_cut(&value, '=');
		snprintf(name, sizeof(name), "%.*s", SPAN_ARGS(key));
		snprintf(text, sizeof(text), "%.*s", SPAN_ARGS(value));
		if (fsconfig(fd, FSCONFIG_SET_STRING, name, text, 0) != 0)
			goto out;
	}
	if (fsconfig(fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		mount_fd = fsmount(fd, FSMOUNT_CLOEXEC, flags);
out:
	fd_close(&fd);
	return mount_fd;
}

/* A path of the host, with all that is mounted below it, at the same place. */
static int
show(struct apply *a, const char *path, unsigned flags)
{
	int result, fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return -1;
	result = show_open(a, fd, path, flags);
	fd_close(&fd);
	return result;
}

/* What is open there, whatever has the name by now. */
static int
show_open(struct apply *a, int fd, const char *path, unsigned flags)
{
	struct mount_attr attr = { .attr_set = flags };
	int tree_fd = open_tree(fd, "",
	    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH);

	if (tree_fd >= 0 &&
	    mount_setattr(tree_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr,
		sizeof(attr)) != 0)
		fd_close(&tree_fd);
	return attach(a, path, &tree_fd);
}

/* Puts a mount (-1: the error of making it) into the new root; closes it. */
static int
attach(struct apply *a, const char *path, int *mount_fd)
{
	struct stat st;
	int fd, result = -1;

	if (*mount_fd < 0)
		return -1;
	if (fstat(*mount_fd, &st) == 0 &&
	    (fd = place(a, path, S_ISDIR(st.st_mode))) >= 0) {
		result = move_mount(*mount_fd, "", fd, "",
		    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
		fd_close(&fd);
	}
	fd_close(mount_fd);
	return result;
}

/* Where something is to be mounted in the new root: made, with the directories
 * on the way there, unless it is there. A descriptor or -1. */
static int
place(struct apply *a, const char *path, bool directory)
{
	int parent = within(a->root_fd, "/"), fd = -1, made;
	char prefix[PATH_MAX];
	const char *end = path;

	if (path[0] != '/' || path[1] == '\0' ||
	    strlen(path) >= sizeof(prefix)) {
		errno = EINVAL;
		fd_close(&parent);
	}
	while (parent >= 0 && *end) {
		const char *name = end + 1;

		end = name + strcspn(name, "/");
		snprintf(prefix, sizeof(prefix), "%.*s", (int)(end - path),
		    path);
		fd = within(a->root_fd, prefix);
		if (fd < 0 && errno == ENOENT) {
			name = prefix + (name - path);
			made = *end || directory ?
			    mkdirat(parent, name, 0755) :
			    mknodat(parent, name, S_IFREG | 0444, 0);
			fd = made == 0 ? within(a->root_fd, prefix) : -1;
		}
		fd_close(&parent);
		parent = fd;
	}
	return parent;
}

static int
within(int root_fd, const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
}
