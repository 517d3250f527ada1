/* SPDX-License-Identifier: MIT */
/* inlet.h - the socket that a FastCGI worker takes its requests from. It is
 * made here and handed over as descriptor 0; our own copy stays open for as long
 * as the worker may live, so that we can end its waiting and take back what it
 * never took. Nobody else reaches it: it has a name only in a directory that is
 * ours alone. */
#ifndef GATEWAY_INLET_H
#define GATEWAY_INLET_H

#include <stdbool.h>
#include <stddef.h>

/*
 *   OPEN ─(shut)─▶ SHUT ─(close)─▶ CLOSED
 *     └─────────(close)────────────▶
 *
 * The file description is the worker's as well: it may do to it whatever it
 * likes, and none of its flags is ever changed by us.
 */
struct inlet {
	int fd; /* ours, close-on-exec, blocking; -1: CLOSED */
	bool shut;
	char path[48]; /* by way of the directory's descriptor */
};

void inlet_init(struct inlet *); /* CLOSED */
/* Listens under a new name in that directory, whose descriptor keeps its number
 * for as long as an inlet is open. 0, or -1 with errno. */
int inlet_open(struct inlet *, int directory_fd);
/* A connection to it, non-blocking and close-on-exec; what is sent waits there
 * until it is accepted. Or -1 with errno: EAGAIN when its queue is full,
 * ECONNREFUSED when it is shut (by us or by the worker), ENOENT when somebody
 * removed its name. */
int inlet_connect(const struct inlet *);
/* From now on there are no new connections, and who waits in accept() for one,
 * or will, has EINVAL once those that wait are accepted. */
void inlet_shut(struct inlet *);
/* Is there a connection that nobody has accepted? True also when it is shut, by
 * whomever: taking back says it exactly. */
bool inlet_waiting(const struct inlet *);
/* Only when shut: the other end of a connection that nobody has accepted, and of
 * which nobody has read a byte; the caller closes it. -1 when there is none left;
 * never waits. What it does not give back, the worker has or had. */
int inlet_take_back(struct inlet *);
/* Frees the name; the worker's copy has no use any more. Twice is once. */
void inlet_close(struct inlet *);

/* At the start: removes what a gateway before us left in the directory, and
 * tries whether sockets can be made and reached there. 0, or -1 with a
 * sentence. */
int inlet_prepare(int directory_fd, char *text, size_t room);

#endif
