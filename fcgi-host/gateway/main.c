/* SPDX-License-Identifier: MIT */
/* main.c - how the gateway starts. Master has opened all it needs: descriptors 3
 * to 7 are the channel to master, the two listeners, the spool and the directory
 * of workers' sockets. */
#include <signal.h>
#include <sys/prctl.h>

#include "base/diag.h"
#include "base/proc.h"

#include "gateway/gateway.h"
#include "gateway/worker.h"

static void nothing(void *arg, int signo);

int
main(void)
{
	static struct gateway gateway;
	struct gateway *g = &gateway;

	diag_init("gateway");
	fd_fill_standard();
	if (proc_die_with_parent() != 0 || proc_no_new_privs() != 0)
		diag_fatal("cannot give up privileges: %s", diag_errno());
#ifndef __SANITIZE_ADDRESS__	   /* whose leak check has to look into us */
	prctl(PR_SET_DUMPABLE, 0); /* we keep the key of all tokens */
#endif
	signal(SIGPIPE, SIG_IGN); /* a function need not read its stdin */
	/* Woken for one record of many, it would do little at a time and take
	 * the processor from who has the next ones for it. */
	if (proc_batch() != 0)
		diag_debug("batch scheduling: %s", diag_errno());
	gateway_init(g);
	loop_on_signal(g->loop, SIGTERM, nothing, NULL); /* master decides */
	loop_on_signal(g->loop, SIGINT, nothing, NULL);
	loop_on_signal(g->loop, SIGHUP, nothing, NULL);
	master_open(g); /* CONFIG comes, and we serve */
	loop_run(g->loop);
	workers_close(g);
	access_close(g, GATEWAY_FLUSH_MS); /* what was the last request? */
	return 0;
}

static void
nothing(void *arg, int signo)
{
	(void)arg;
	(void)signo;
}
