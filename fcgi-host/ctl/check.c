/* SPDX-License-Identifier: MIT */
/* check.c - questions whose answer is the exit status: does the host answer; is
 * this file a good configuration; is everything of this tenant served. The second
 * is asked of fcgi-host itself, the third of the tenant's cell, which knows its
 * plan: so there is one parser. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "base/diag.h"
#include "base/fd.h"
#include "base/proc.h"
#include "config/config.h"
#include "wire/json_text.h"

#include "ctl/ctl.h"

enum { PATH_ROOM = 4096 };

static int check_run(const struct ctl *, int count, char **operands);
static int check_host(const struct ctl *);
static bool front_there(const struct ctl *);
static int check_tenant(const struct ctl *, const char *tenant);
static int check_file(const struct ctl *, char *file);
static int check_say(const struct ctl *, const char *what, const char *name,
    int result);
static bool find_program(char path[PATH_ROOM]);

const struct command command_check = {
	.operands_most = 1,
	.run = check_run,
	.text = "Without FILE: exits 0 when gateway and master answer and the "
		"socket of the web\nserver is there. With FILE: what "
		"fcgi-host -n says of it, each error as file:line:\nand a "
		"sentence. With TENANT: what is refused of its functions and "
		"settings, in view\nof its plan.\n\n"
		"  fcgi-hostctl check && echo up\n"
		"  fcgi-hostctl check /etc/fcgi-host/fcgi-host.conf\n"
		"  fcgi-hostctl check acme\n",
};

static int
check_run(const struct ctl *ctl, int count, char **operands)
{
	if (count == 0)
		return check_host(ctl);
	if (config_tenant_name(span_of(operands[0])) &&
	    access(operands[0], F_OK) != 0)
		return check_tenant(ctl, operands[0]);
	return check_file(ctl, operands[0]);
}

static int
check_host(const struct ctl *ctl)
{
	struct question q = question_of(VERB_STATUS);
	json_t *root = answer_object(ctl, &q);
	json_t *master = json_object_get(root, "master");
	const char *without = answer_text(master, "no_answer");
	int result = host_say(&q, root ? 0 : CTL_FAILED);

	if (result == 0 && (!master || without[0])) {
		diag_error("the gateway answers, master does not: %s",
		    master ? without : "it said nothing");
		result = CTL_FAILED;
	}
	if (result == 0 && !front_there(ctl))
		result = CTL_FAILED;
	json_decref(root);
	return check_say(ctl, "the host answers", ctl->run, result);
}

/* The host answers by another socket than the web server's. One may ask who may
 * not connect to that, so it is only looked at. */
static bool
front_there(const struct ctl *ctl)
{
	char path[PATH_ROOM];
	struct stat st;
	const char *why;

	snprintf(path, sizeof(path), "%s/front.sock", ctl->run);
	if (lstat(path, &st) == 0) {
		if (S_ISSOCK(st.st_mode))
			return true;
		why = "it is no socket";
	} else {
		why = diag_errno();
	}
	diag_error("the host answers, but not the web server, at %s: %s; "
		   "start the host again",
	    path, why);
	return false;
}

/* Refused are also settings that ask for more than the plan allows. */
static int
check_tenant(const struct ctl *ctl, const char *tenant)
{
	struct question q = question_of(VERB_LIST);
	json_t *rows, *row;
	int result = 0;
	size_t i;

	q.control.tenant = span_of(tenant);
	rows = answer_rows(ctl, &q);
	if (host_say(&q, rows ? 0 : CTL_FAILED) != 0)
		return CTL_FAILED;
	json_array_foreach(rows, i, row)
	{
		if (!answer_text(row, "refused")[0])
			continue;
		diag_error("%s/%s: %s", tenant, answer_text(row, "function"),
		    answer_text(row, "refused"));
		result = CTL_FAILED;
	}
	json_decref(rows);
	return check_say(ctl, "all is served", tenant, result);
}

static int
check_file(const struct ctl *ctl, char *file)
{
	char path[PATH_ROOM];
	char *argv[] = { path, (char[]){ "-n" }, (char[]){ "-c" }, file, NULL };
	int standard[] = { 0, -1, 2 }; /* its errors; we say what is good */
	struct proc_started started;
	int status;

	if (!find_program(path))
		return CTL_FAILED;
	standard[1] = open("/dev/null", O_WRONLY | O_CLOEXEC);
	started = proc_start(&(struct proc_plan){ .path = path,
	    .argv = argv,
	    .envp = environ,
	    .fds = standard,
	    .fd_count = 3 });
	fd_close(&standard[1]);
	if (started.pid < 0) {
		errno = started.error;
		diag_error("cannot run %s: %s", path, diag_errno());
		return CTL_FAILED;
	}
	while (waitpid(started.pid, &status, 0) < 0 && errno == EINTR)
		;
	return check_say(ctl, "good", file,
	    WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : CTL_FAILED);
}

static int
check_say(const struct ctl *ctl, const char *what, const char *name, int result)
{
	json_t *answer;

	if (ctl->json) {
		answer = json_object();
		json_object_set_new(answer, "good", json_boolean(result == 0));
		json_object_set_new(answer, "checked",
		    json_text(span_of(name)));
		return words_json(answer) != 0 ? CTL_FAILED : result;
	}
	if (result == 0)
		printf("%s: %s\n", what, name);
	return result;
}

/* fcgi-host: beside this program when built, in ../sbin when installed. */
static bool
find_program(char path[PATH_ROOM])
{
	static const char *const places[] = { "fcgi-host",
		"../sbin/fcgi-host" };
	char own[PATH_ROOM - 32];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
	char *slash;

	own[n > 0 ? n : 0] = '\0';
	slash = strrchr(own, '/');
	for (size_t i = 0; slash && i < sizeof(places) / sizeof(places[0]);
	     i++) {
		snprintf(path, PATH_ROOM, "%.*s/%s", (int)(slash - own), own,
		    places[i]);
		if (access(path, X_OK) == 0)
			return true;
	}
	diag_error("fcgi-host is not beside fcgi-hostctl, nor in ../sbin; "
		   "use fcgi-host -n -c FILE where it is");
	return false;
}
