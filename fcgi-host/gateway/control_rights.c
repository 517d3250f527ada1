/* SPDX-License-Identifier: MIT */
/* control_rights.c - who calls, as the kernel says, and what he may: an operator
 * everything, a tenant's user what verbs.def allows for its own tenant. */

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/diag.h"
#include "base/fd.h"

#include "gateway/caller.h"

bool
control_may(enum verb_right right, const struct control_caller *who,
    const struct control_operators *operators, uid_t tenant_uid)
{
	return control_operator(who, operators) ||
	    (right == VERB_TENANT && tenant_uid != (uid_t)-1 &&
		who->uid == tenant_uid);
}

bool
control_operator(const struct control_caller *who,
    const struct control_operators *operators)
{
	if (who->uid == 0 ||
	    (operators->uid != (uid_t)-1 && who->uid == operators->uid))
		return true;
	if (operators->group == (gid_t)-1)
		return false;
	for (size_t i = 0; i < who->group_count; i++)
		if (who->groups[i] == operators->group)
			return true;
	return who->gid == operators->group;
}

int
control_caller_of(int fd, struct control_caller *who)
{
	struct fd_peer peer;
	socklen_t bytes = 64 * sizeof(gid_t);

	*who = (struct control_caller){ .uid = (uid_t)-1, .gid = (gid_t)-1 };
	if (fd_peer_of(fd, &peer) != 0)
		return -1;
	who->uid = peer.uid;
	who->gid = peer.gid;
	for (int tries = 0; tries < 2; tries++) {
		free(who->groups);
		who->groups = diag_alloc(bytes);
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, who->groups,
			&bytes) == 0) {
			who->group_count = bytes / sizeof(gid_t);
			return 0;
		}
		/* the kernel said how many there are */
		if (errno != ERANGE ||
		    bytes > CONTROL_GROUPS_MOST * sizeof(gid_t))
			break;
	}
	return 0; /* without groups: he may less, not more */
}

void
control_caller_free(struct control_caller *who)
{
	free(who->groups);
	who->groups = NULL;
	who->group_count = 0;
}
