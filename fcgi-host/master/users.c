/* SPDX-License-Identifier: MIT */
/* users.c - who no tenant may be: users that the host itself relies on. What
 * runs as one of them could look into that process, or would be taken for it by
 * the sockets. Looked up when the configuration is read, as names are seldom
 * other ids; a name that nobody has here keeps nobody out. */

#include <grp.h>
#include <stdlib.h>

#include "base/diag.h"
#include "base/proc.h"

#include "master/master.h"

enum { USERS_MOST = 4096 }; /* members of a group, and users of a list */

static void add(struct users *, uid_t, const char *who);
static void add_members(struct users *, const char *group, const char *who);

void
users_settle(struct users *u, const struct config *c, const struct settled *s)
{
	uid_t uid;
	gid_t gid;

	users_free(u);
	u->front_gid = s->front_gid;
	u->operator_gid = (gid_t)-1;
	add(u, s->gateway_uid, "the gateway's (users.gateway)");
	add(u, s->log_uid, "the log process's (users.log)");
	add(u, s->state_uid, "the state process's (users.state)");
	for (size_t i = 0; i < c->front_users.count; i++)
		if (proc_find_user(c->front_users.items[i], &uid, &gid) == 0)
			add(u, uid, "the web server's (front.users)");
	if (c->operator_group[0] == '\0' ||
	    proc_find_group(c->operator_group, &u->operator_gid) != 0)
		return;
	add_members(u, c->operator_group, "an operator's (operator_group)");
}

void
users_free(struct users *u)
{
	free(u->all);
	*u =
	    (struct users){ .front_gid = (gid_t)-1, .operator_gid = (gid_t)-1 };
}

const char *
users_host(const struct users *u, uid_t uid, gid_t gid)
{
	for (size_t i = 0; i < u->count; i++)
		if (u->all[i].uid == uid)
			return u->all[i].who;
	if (gid != (gid_t)-1 && gid == u->operator_gid)
		return "an operator's (operator_group)";
	if (gid != (gid_t)-1 && gid == u->front_gid)
		return "in the web server's group (front.group)";
	return NULL;
}

static void
add(struct users *u, uid_t uid, const char *who)
{
	struct host_user *grown;

	if (u->count >= USERS_MOST)
		return;
	grown = realloc(u->all, (u->count + 1) * sizeof(*u->all));
	if (!grown)
		diag_fatal("no memory for the users of the host");
	u->all = grown;
	u->all[u->count++] = (struct host_user){ .uid = uid, .who = who };
}

/* By name or number, as the option says it. */
static void
add_members(struct users *u, const char *group, const char *who)
{
	const struct group *entry = getgrnam(group);
	uid_t uid;
	gid_t gid;

	if (!entry)
		entry = getgrgid(u->operator_gid);
	if (!entry)
		return;
	for (char **name = entry->gr_mem; *name; name++)
		if (proc_find_user(*name, &uid, &gid) == 0)
			add(u, uid, who);
}
