/* SPDX-License-Identifier: MIT */
/* cell.h - the cell's process: what it begins with and how it serves. */
#ifndef CELL_CELL_H
#define CELL_CELL_H

#include "ipc/peer.h"

#include "cell/plan.h"

/* ---- start.c: from an exec'ed program to a process in its namespaces -------- */

struct cell_start {
	struct plan_facts facts; /* its texts are ours */
	struct config *config;	 /* held */
	int directory_fd;	 /* ours */
	int gateway_fd;		 /* ours */
};

/* Waits for the CELL message; false when master is gone. */
bool start_receive(struct cell_start *);

void start_failed(struct span reason) __attribute__((noreturn));

/* `fcgi-host-cell --probe NAMESPACES`, started like a cell: 0 when cells can be
 * shut in so on this machine, and on stderr "landlock=VERSION seccomp=0|1"; else
 * 1 and a sentence. */
int start_probe(uint64_t namespaces);

/* ---- cell.c: the life of a cell ------------------------------------------------ */

/* Sends READY, then serves until the gateway's channel or master's closes, and
 * ends everything that runs in here. Takes over start and plan. */
void cell_serve(struct cell_start *, struct plan **) __attribute__((noreturn));

#endif
