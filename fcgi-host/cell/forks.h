/* SPDX-License-Identifier: MIT */
/* forks.h - a launcher's work while it has a template: any number of processes
 * at a time, each made by the template when it is asked to, each a child of the
 * launcher. The template is a function's program: nothing it says is believed,
 * and what it does not do in time is not waited for. */
#ifndef CELL_FORKS_H
#define CELL_FORKS_H

#include <sys/types.h>

#include "ipc/message.h"

struct forks_place { /* descriptors are borrowed, but for control */
	int channel; /* to the gateway */
	int directory;
	int nothing;	/* /dev/null */
	int control;	/* to the template; taken over */
	pid_t template; /* running; it leads its group */
	int order;	/* the place where it is published; taken over */
};

/* Until the template and all that was forked from it, or is left of either, have
 * ended: forks what STARTs ask for and answers them. *ended becomes the answer
 * to the template's own, which the caller sends. */
void forks_serve(const struct forks_place *, struct message_ended *);

#endif
