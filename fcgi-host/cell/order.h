/* SPDX-License-Identifier: MIT */
/* order.h - orders to end an invocation, from the cell to a launcher. They are
 * signals, so that they reach a launcher that waits, and come whenever they
 * like: before the START they are for, while its process is being made, while
 * it runs, or too late. One for an invocation that is not known yet is kept. */
#ifndef CELL_ORDER_H
#define CELL_ORDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { ORDER_RUNS = 257 }; /* a template and 256 that were forked from it */

/* The cell's side: once, before it forks launchers, so that orders wait until a
 * newborn one can take them; then to end an invocation (its low 32 bits) of
 * launcher `pid` by SIGTERM or SIGKILL. 0 or -1 with errno. */
void order_block(void);
int order_send(pid_t, uint32_t invocation, int signo);

/* The launcher's: from now on they are taken, and the end of `cell` is one to
 * kill everything: noticed at once when nothing is expected (it exits). */
void order_catch(pid_t cell);
bool order_cell_gone(void);

/* A process for it is about to be made: its place, -1 when all are taken. */
int order_expect(uint64_t invocation);
/* It is there, the leader of its group: what was ordered is carried out. 0: it
 * is not there any more, though what came from it may be. */
void order_publish(int place, pid_t);
/* It was not made, or nothing is left of it. */
void order_forget(int place);
void order_kill_all(void); /* that are published */

#endif
