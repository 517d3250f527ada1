/* SPDX-License-Identifier: MIT */
/* main.c - how the state process starts. Master has opened all it needs:
 * descriptors 3 to 5 are the channel to master, the listener and the directory
 * that is ours alone. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <jansson.h>

#include "base/diag.h"
#include "base/proc.h"

#include "state/state.h"

static void nothing(void *arg, int signo);

int
main(void)
{
	static const int ignored[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1,
		SIGUSR2 };
	static struct state state;
	struct state *s = &state;

	diag_init("state");
	fd_fill_standard();
	if (proc_die_with_parent() != 0 || proc_no_new_privs() != 0)
		diag_fatal("cannot give up privileges: %s", diag_errno());
#ifndef __SANITIZE_ADDRESS__	   /* whose leak check has to look into us */
	prctl(PR_SET_DUMPABLE, 0); /* we keep keys */
#endif
	signal(SIGPIPE, SIG_IGN); /* who asked may be gone */
	umask(077);
	json_object_seed(0); /* before a stranger chooses names of members */
	state_init(s);
	/* only master decides when we end */
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		loop_on_signal(s->loop, ignored[i], nothing, NULL);
	master_open(s); /* CONFIG comes, and we serve */
	loop_run(s->loop);
	state_close(s);
	return 0;
}

static void
nothing(void *arg, int signo)
{
	(void)arg;
	(void)signo;
}
