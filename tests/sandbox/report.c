/* SPDX-License-Identifier: MIT */
/* report.c - a function that says what it finds itself in, one key=value a
 * line, for tests to compare: descriptors, directory, umask, session, signals,
 * ids, capabilities, limits, namespaces, mounts, and what it tried and was
 * refused. Knows nothing of the host; static, so that it runs anywhere. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <unistd.h>

static void
report_descriptors(void)
{
	char path[64], target[4096];
	struct stat st;
	ssize_t n;

	for (int fd = 0; fd < 1024; fd++) {
		if (fstat(fd, &st) != 0)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		printf("fd.%d=%s\n", fd, target);
		printf("fd.%d.flags=0%o\n", fd, fcntl(fd, F_GETFL));
		printf("fd.%d.mode=0%o\n", fd, st.st_mode);
	}
}

static void
report_process(void)
{
	char directory[4096];
	mode_t mask = umask(0);
	struct itimerval alarm_left;

	umask(mask);
	printf("cwd=%s\n",
	    getcwd(directory, sizeof(directory)) ? directory : strerror(errno));
	printf("umask=%03o\n", mask);
	printf("session_leader=%d\n", getsid(0) == getpid());
	printf("group_leader=%d\n", getpgid(0) == getpid());
	printf("terminal=%d\n", open("/dev/tty", O_RDWR | O_CLOEXEC) >= 0);
	printf("nice=%d\n", getpriority(PRIO_PROCESS, 0));
	getitimer(ITIMER_REAL, &alarm_left);
	printf("alarm_ms=%ld\n",
	    (long)alarm_left.it_value.tv_sec * 1000 +
		(long)alarm_left.it_value.tv_usec / 1000);
}

static void
report_signals(void)
{
	struct sigaction action;
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	printf("signals.blocked=");
	for (int signo = 1; signo <= 64; signo++)
		if (sigismember(&mask, signo) == 1)
			printf("%d ", signo);
	printf("\nsignals.ignored=");
	for (int signo = 1; signo <= 64; signo++)
		if (sigaction(signo, NULL, &action) == 0 &&
		    action.sa_handler != SIG_DFL)
			printf("%d ", signo);
	printf("\n");
}

static void
report_user(void)
{
	uid_t uids[3];
	gid_t gids[3], groups[64];
	int count = getgroups(64, groups);

	getresuid(&uids[0], &uids[1], &uids[2]);
	getresgid(&gids[0], &gids[1], &gids[2]);
	printf("uid=%u %u %u\n", uids[0], uids[1], uids[2]);
	printf("gid=%u %u %u\n", gids[0], gids[1], gids[2]);
	printf("groups=");
	for (int i = 0; i < count; i++)
		printf("%u ", groups[i]);
	printf("\nno_new_privs=%d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	printf("securebits=%d\n", prctl(PR_GET_SECUREBITS));
}

/* The lines of /proc/self/status that tests ask for, with lower-case keys. */
static void
report_status(void)
{
	static const char *const keys[] = { "CapInh", "CapPrm", "CapEff",
		"CapBnd", "CapAmb", "Seccomp", "NSpid" };
	FILE *file = fopen("/proc/self/status", "re");
	char line[512];

	while (file && fgets(line, sizeof(line), file))
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
			size_t bytes = strlen(keys[i]);

			if (strncmp(line, keys[i], bytes) == 0 &&
			    line[bytes] == ':')
				printf("status.%s=%s", keys[i],
				    line + bytes + 2);
		}
	if (file)
		fclose(file);
}

static void
report_limits(void)
{
	static const struct {
		const char *name;
		int resource;
	} rows[] = {
		{ "as", RLIMIT_AS },
		{ "core", RLIMIT_CORE },
		{ "cpu", RLIMIT_CPU },
		{ "data", RLIMIT_DATA },
		{ "fsize", RLIMIT_FSIZE },
		{ "memlock", RLIMIT_MEMLOCK },
		{ "msgqueue", RLIMIT_MSGQUEUE },
		{ "nice", RLIMIT_NICE },
		{ "nofile", RLIMIT_NOFILE },
		{ "nproc", RLIMIT_NPROC },
		{ "rtprio", RLIMIT_RTPRIO },
		{ "stack", RLIMIT_STACK },
	};
	struct rlimit limit;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		getrlimit((__rlimit_resource_t)rows[i].resource, &limit);
		printf("limit.%s=%jd %jd\n", rows[i].name,
		    (intmax_t)limit.rlim_cur, (intmax_t)limit.rlim_max);
	}
}

static void
report_namespaces(void)
{
	static const char *const names[] = { "user", "pid", "mnt", "ipc", "uts",
		"net", "cgroup" };
	char path[64], target[64];
	struct utsname machine;
	ssize_t n;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		n = readlink(path, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		printf("namespace.%s=%s\n", names[i], target);
	}
	uname(&machine);
	printf("hostname=%s\n", machine.nodename);
}

/* Only those that a process may see: with subset=pid, its own tree. */
static void
report_mounts(void)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[4096], where[2048], options[1024];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%*s %*s %*s %*s %2047s %1023s", where,
			options) == 2)
			printf("mount.%s=%s\n", where, options);
	if (file)
		fclose(file);
}

static void
report_processes(void)
{
	DIR *directory = opendir("/proc");
	struct dirent *entry;

	printf("processes=");
	while (directory && (entry = readdir(directory)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			printf("%s ", entry->d_name);
	printf("\n");
	if (directory)
		closedir(directory);
}

static void
report_root(void)
{
	DIR *directory = opendir("/");
	struct dirent *entry;

	printf("root=");
	while (directory && (entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			printf("%s ", entry->d_name);
	printf("\n");
	if (directory)
		closedir(directory);
}

/* Each must fail: 0 means that it did not. */
static void
tried(const char *what, int result)
{
	printf("tried.%s=%s\n", what,
	    result < 0 ? strerrorname_np(errno) : "0");
}

static void
report_tries(void)
{
	tried("setuid_root", setuid(0));
	tried("setgroups", setgroups(0, NULL));
	tried("chroot", chroot("/"));
	tried("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
	tried("unshare_mounts", unshare(CLONE_NEWNS));
	tried("write_usr",
	    open("/usr/x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	tried("write_here", open("x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	tried("read_shadow", open("/etc/shadow", O_RDONLY | O_CLOEXEC));
	tried("make_device", mknod("/tmp/device", S_IFCHR | 0600, 0x103));
	tried("trace_pid_1", (int)ptrace(PTRACE_ATTACH, 1, NULL, NULL));
	tried("signal_pid_1", kill(1, 0));
	tried("raise_limit", setrlimit(RLIMIT_CORE, &(struct rlimit){ 1, 1 }));
	tried("hostname", sethostname("x", 1));
	tried("raw_socket", socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
}

int
main(int argc, char **argv)
{
	printf("Content-Type: text/plain\r\n\r\n");
	for (int i = 0; i < argc; i++)
		printf("argv.%d=%s\n", i, argv[i]);
	for (char **variable = environ; *variable; variable++)
		printf("env.%s\n", *variable);
	report_descriptors();
	report_process();
	report_signals();
	report_user();
	report_status();
	report_limits();
	report_namespaces();
	report_mounts();
	report_processes();
	report_root();
	report_tries();
	return 0;
}
