/* SPDX-License-Identifier: MIT */
/* settle.c - from a file and the command line to a configuration that holds on
 * this machine. Its names of users and groups are looked up here, so that an
 * error is told by -n, and at a reload, and not when it is too late. */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/proc.h"
#include "config/terms.h"

#include "master/master.h"

#define INSTALLED_FILE "/etc/fcgi-host/fcgi-host.conf"

static struct config *load(const struct arguments *, const char *file,
    uint64_t generation, struct buf *errors);
static const char *file_of(const struct arguments *);
static int file_trusted(const char *file, const char *at, struct buf *errors);
static void apply(const struct arguments *, char **option,
    const char *argument);
static int check_functions(const struct config *, const char *file,
    struct buf *errors);
static int look_up(const struct config *, const char *file, bool root,
    struct settled *, struct buf *errors);
static int check_outside(const struct config *, const char *file,
    const char *option, uid_t, struct buf *errors);
static int check_apart(const char *file, const char *option, uid_t,
    const char *other, uid_t other_uid, struct buf *errors);
static int look_up_user(const char *file, const char *option, const char *user,
    uid_t *, gid_t *, struct buf *errors);
static int look_up_group(const char *file, const char *option,
    const char *group, const char *meant, gid_t *, struct buf *errors);
static bool member_of(gid_t);

struct config *
settle(const struct arguments *a, bool root, uint64_t generation,
    struct settled *settled, struct buf *errors)
{
	const char *file = file_of(a);
	struct config *c;

	if (file && root && file_trusted(file, file, errors) != 0)
		return NULL;
	c = file ? load(a, file, generation, errors) : config_new();
	for (size_t i = 0; c && root && i < c->included.count; i++)
		if (file_trusted(c->included.items[i], c->included_at.items[i],
			errors) != 0)
			config_release(&c);
	if (!c)
		return NULL;
	c->generation = generation;
	apply(a, &c->functions, a->functions);
	apply(a, &c->run, a->run);
	apply(a, &c->log, a->log);
	if (!c->log[0]) {
		free(c->log);
		if (asprintf(&c->log, "%s/log", c->run) < 0)
			diag_fatal("no memory");
	}
	if (check_functions(c, file ? file : "the defaults", errors) |
	    look_up(c, file ? file : "the defaults", root, settled, errors))
		config_release(&c);
	return c;
}

static struct config *
load(const struct arguments *a, const char *file, uint64_t generation,
    struct buf *errors)
{
	const char *given[] = { a->functions, a->run, a->log, a->state };
	char *paths[4];
	struct config *c;

	for (int i = 0; i < 4; i++)
		paths[i] = given[i] ? settle_path(a, given[i]) : NULL;
	c = config_load_for(file, generation,
	    &(struct config_places){ .functions = paths[0],
		.run = paths[1],
		.log = paths[2],
		.state = paths[3] },
	    errors);
	for (int i = 0; i < 4; i++)
		free(paths[i]);
	return c;
}

char *
settle_path(const struct arguments *a, const char *path)
{
	char *whole;

	if (path[0] == '/')
		return diag_strdup(path);
	if (asprintf(&whole, "%s/%s", a->directory, path) < 0)
		diag_fatal("no memory");
	return whole;
}

void
settle_keep(const struct config *running, struct config *wanted,
    struct buf *lines)
{
	const struct {
		const char *option;
		char *const *old;
		char **new;
	} rows[] = {
		{ "run", &running->run, &wanted->run },
		{ "log", &running->log, &wanted->log },
		{ "front.group", &running->front_group, &wanted->front_group },
		{ "users.gateway", &running->gateway_user,
		    &wanted->gateway_user },
		{ "users.log", &running->log_user, &wanted->log_user },
		{ "users.state", &running->state_user, &wanted->state_user },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(*rows[i].old, *rows[i].new) == 0)
			continue;
		buf_printf(lines,
		    "%s stays \"%s\" until the host is started again\n",
		    rows[i].option, *rows[i].old);
		free(*rows[i].new);
		*rows[i].new = diag_strdup(*rows[i].old);
	}
}

const char *
settle_missing(const struct config *c, char *text, size_t room)
{
	struct stat s;

	if (stat(c->functions, &s) == 0) {
		if (S_ISDIR(s.st_mode))
			return NULL;
		errno = ENOTDIR;
	}
	snprintf(text, room,
	    "functions = \"%s\" is no directory (%s); every request "
	    "answers 503 until it is",
	    c->functions, diag_errno());
	return text;
}

/* Cells see /etc. Without root they are who wrote the file anyway. */
const char *
settle_exposed(const struct arguments *a, bool root, const struct config *c,
    char *text, size_t room)
{
	const char *file = file_of(a);
	struct stat s;

	if (!root || !file || stat(file, &s) != 0 || !(s.st_mode & S_IROTH) ||
	    !config_has_env(c))
		return NULL;
	snprintf(text, room,
	    "the configuration %s has variables (env) of tenants and can be "
	    "read by everybody, so by functions of other tenants: chmod o-r %s",
	    file, file);
	return text;
}

static const char *
file_of(const struct arguments *a)
{
	if (a->config_file)
		return a->config_file;
	return access(INSTALLED_FILE, F_OK) == 0 ? INSTALLED_FILE : NULL;
}

/* Whoever can write the file decides who functions run as. */
static int
file_trusted(const char *file, const char *at, struct buf *errors)
{
	char text[TENANT_REASON_MOST];
	struct stat s;

	if (stat(file, &s) != 0)
		return 0; /* config_load() says it better */
	if (!trust_refusal(&s, "the configuration", file, text, sizeof(text)) &&
	    !trust_way_refusal(file, text, sizeof(text)))
		return 0;
	buf_printf(errors, "%s: %s\n", at, text);
	return -1;
}

/* What a file says is absolute by now, unless it is a default. */
static void
apply(const struct arguments *a, char **option, const char *argument)
{
	const char *wanted = argument ? argument : *option;
	char *path = wanted[0] ? settle_path(a, wanted) : diag_strdup("");

	free(*option);
	*option = path;
}

/* A directory that is not there may still come, as with a release or a mount;
 * a file in its place is a mistake. */
static int
check_functions(const struct config *c, const char *file, struct buf *errors)
{
	struct stat s;

	if (!userdirs_pattern_good(c->user_directories)) {
		buf_printf(errors,
		    "%s: user_directories = \"%s\" has to be an absolute path "
		    "of which one part is *, as in \"/home/*/functions\"\n",
		    file, c->user_directories);
		return -1;
	}
	if (stat(c->functions, &s) != 0 || S_ISDIR(s.st_mode))
		return 0;
	buf_printf(errors, "%s: functions = \"%s\" is no directory\n", file,
	    c->functions);
	return -1;
}

/* All errors at once. Without root nothing changes users, and the web server
 * is ours as well or reaches the socket by a group we are in. */
static int
look_up(const struct config *c, const char *file, bool root, struct settled *s,
    struct buf *errors)
{
	gid_t operators;
	int failed = 0;

	*s = (struct settled){ .gateway_uid = geteuid(),
		.gateway_gid = getegid(),
		.log_uid = geteuid(),
		.log_gid = getegid(),
		.state_uid = geteuid(),
		.state_gid = getegid(),
		.front_gid = (gid_t)-1 };
	if (c->operator_group[0])
		failed |= look_up_group(file, "operator_group",
		    c->operator_group, "one whose members may do everything",
		    &operators, errors);
	if (!root) {
		if (proc_find_group(c->front_group, &s->front_gid) != 0 ||
		    !member_of(s->front_gid))
			s->front_gid = (gid_t)-1;
		return failed;
	}
	failed |= look_up_user(file, "users.gateway", c->gateway_user,
	    &s->gateway_uid, &s->gateway_gid, errors);
	failed |= look_up_user(file, "users.log", c->log_user, &s->log_uid,
	    &s->log_gid, errors);
	failed |= look_up_user(file, "users.state", c->state_user,
	    &s->state_uid, &s->state_gid, errors);
	failed |= look_up_group(file, "front.group", c->front_group,
	    "the group of your web server", &s->front_gid, errors);
	if (failed != 0)
		return failed;
	failed |=
	    check_outside(c, file, "users.gateway", s->gateway_uid, errors);
	failed |= check_outside(c, file, "users.log", s->log_uid, errors);
	failed |= check_outside(c, file, "users.state", s->state_uid, errors);
	return failed |
	    check_apart(file, "users.gateway", s->gateway_uid, "users.log",
		s->log_uid, errors) |
	    check_apart(file, "users.gateway", s->gateway_uid, "users.state",
		s->state_uid, errors) |
	    check_apart(file, "users.log", s->log_uid, "users.state",
		s->state_uid, errors);
}

/* What is given to a tenant is nobody's of ours. */
static int
check_outside(const struct config *c, const char *file, const char *option,
    uid_t uid, struct buf *errors)
{
	if (uid < c->tenant_first || uid - c->tenant_first >= c->tenant_count)
		return 0;
	buf_printf(errors,
	    "%s: %s is user id %u, one of those from users.tenants_first = "
	    "%llu on, which are given to tenants\n",
	    file, option, (unsigned)uid, (unsigned long long)c->tenant_first);
	return -1;
}

static int
check_apart(const char *file, const char *option, uid_t uid, const char *other,
    uid_t other_uid, struct buf *errors)
{
	if (uid != other_uid)
		return 0;
	buf_printf(errors,
	    "%s: %s and %s are the same user id %u: give each its own\n", file,
	    option, other, (unsigned)uid);
	return -1;
}

static int
look_up_user(const char *file, const char *option, const char *user, uid_t *uid,
    gid_t *gid, struct buf *errors)
{
	if (proc_find_user(user, uid, gid) != 0) {
		buf_printf(errors,
		    "%s: %s = \"%s\": there is no such user "
		    "here; create it or set %s to one, or to a number\n",
		    file, option, user, option);
		return -1;
	}
	if (*uid == 0 || *gid == 0) {
		buf_printf(errors,
		    "%s: %s = \"%s\" is root: this process "
		    "must not be\n",
		    file, option, user);
		return -1;
	}
	return 0;
}

static int
look_up_group(const char *file, const char *option, const char *group,
    const char *meant, gid_t *gid, struct buf *errors)
{
	if (proc_find_group(group, gid) == 0)
		return 0;
	buf_printf(errors,
	    "%s: %s = \"%s\": there is no such group here; set "
	    "%s to %s\n",
	    file, option, group, option, meant);
	return -1;
}

static bool
member_of(gid_t gid)
{
	gid_t groups[NGROUPS_MAX];
	int count = getgroups(NGROUPS_MAX, groups);

	if (gid == getegid())
		return true;
	for (int i = 0; i < count; i++)
		if (groups[i] == gid)
			return true;
	return false;
}
