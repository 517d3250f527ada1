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

enum {
	NOBODY = -1,
	/* fs.overflowuid, what NFS and services without a user run as */
	OVERFLOW = 65534,
};

static void add(struct users *, uid_t, gid_t, const char *who);
static void add_members(struct users *, const char *group, gid_t,
    const char *who);

void
users_settle(struct users *u, const struct config *c, const struct settled *s)
{
	uid_t uid;
	gid_t gid;

	users_free(u);
	add(u, s->gateway_uid, s->gateway_gid, "the gateway's (users.gateway)");
	add(u, s->log_uid, s->log_gid, "the log process's (users.log)");
	add(u, s->state_uid, s->state_gid, "the state process's (users.state)");
	for (size_t i = 0; i < c->front_users.count; i++)
		if (proc_find_user(c->front_users.items[i], &uid, &gid) == 0)
			add(u, uid, (gid_t)NOBODY,
			    "the web server's (front.users)");
	add(u, (uid_t)NOBODY, s->front_gid,
	    "in the web server's group (front.group)");
	if (c->operator_group[0] &&
	    proc_find_group(c->operator_group, &gid) == 0)
		add_members(u, c->operator_group, gid,
		    "an operator's (operator_group)");
}

void
users_free(struct users *u)
{
	free(u->all);
	*u = (struct users){ 0 };
}

const char *
users_host(const struct users *u, uid_t uid, gid_t gid)
{
	for (size_t i = 0; i < u->count; i++)
		if (u->all[i].uid == uid || u->all[i].gid == gid)
			return u->all[i].who;
	return NULL;
}

bool
users_nobody(uint32_t id)
{
	return id == OVERFLOW || id == (uint32_t)NOBODY ||
	    id == (uint32_t)NOBODY - 1;
}

static void
add(struct users *u, uid_t uid, gid_t gid, const char *who)
{
	struct host_user *grown;

	if (u->count >= USERS_MOST)
		return;
	grown = realloc(u->all, (u->count + 1) * sizeof(*u->all));
	if (!grown)
		diag_fatal("no memory for the users of the host");
	u->all = grown;
	u->all[u->count++] = (struct host_user){ uid, gid, who };
}

/* By name or number, as the option says it; members are beside those whose own
 * group it is. */
static void
add_members(struct users *u, const char *group, gid_t gid, const char *who)
{
	const struct group *entry = getgrnam(group);
	gid_t own;
	uid_t uid;

	add(u, (uid_t)NOBODY, gid, who);
	if (!entry)
		entry = getgrgid(gid);
	if (!entry)
		return;
	for (char **name = entry->gr_mem; *name; name++)
		if (proc_find_user(*name, &uid, &own) == 0)
			add(u, uid, (gid_t)NOBODY, who);
}
