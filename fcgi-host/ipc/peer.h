/* SPDX-License-Identifier: MIT */
/* peer.h - the process at the other end of a channel (SOCK_SEQPACKET): sends
 * and receives rows of message.def on an event loop. A message without a row
 * for this pair, with other descriptors or of another size is never delivered:
 * the peer is dropped and its owner told. EAGAIN is normal back-pressure:
 * messages wait here, up to a bound; behind it sending fails. */
#ifndef IPC_PEER_H
#define IPC_PEER_H

#include "base/fd.h"
#include "base/loop.h"
#include "ipc/message.h"

enum {
	PEER_FIRST_FD = 3,		    /* a child's channel to master */
	PEER_QUEUE_BYTES = 4 * 1024 * 1024, /* of messages that wait, a peer */
};

struct peer; /* opaque */

/* A message has come. `body` lives until return. The callback takes the
 * descriptors it wants by setting fds[i] = -1; the rest are closed. */
typedef void peer_message_fn(void *arg, enum message_type, struct span body,
    int *fds, size_t fd_count);
/* The other end is gone or broke the rules (reason: words). The peer sends and
 * receives nothing more; free it with peer_free() in here or later. unread is
 * true when it went without reading what we had sent last (ECONNRESET). */
typedef void peer_gone_fn(void *arg, const char *reason, bool unread);

/* Takes over fd. Roles: ours and the other's. Either callback may be NULL: what
 * comes is dropped, or nobody is told; then peer_send() fails, that is all. */
struct peer *peer_new(struct loop *, int fd, enum role own, enum role other,
    peer_message_fn *, peer_gone_fn *, void *arg);
void peer_free(struct peer **); /* safe inside its callbacks */
/* Frees it when what waits has been sent, or limit_ms is over, or the other end
 * is gone, whichever is first. Calls no callback any more. */
void peer_finish(struct peer **, uint64_t limit_ms);

/* Sends a struct of that type (NULL: a row without fields). fds stay the
 * caller's. 0: sent, or waits; -1 with errno: EPIPE or ECONNRESET the peer is
 * gone (its callback tells, not yet), EMSGSIZE larger than its row, ENOBUFS the
 * queue is full, others: memory or descriptors are out. A row that these two
 * roles do not have, or another number of fds, is our bug: asserted. */
int peer_send(struct peer *, enum message_type, const void *message_struct,
    const int *fds, size_t fd_count);
size_t peer_queued(const struct peer *); /* bytes that wait */
int peer_fd(const struct peer *);
void peer_flush(struct peer *, uint64_t limit_ms); /* blocking, at exit */

/* For processes without a loop (launcher, ctl): blocking, also when fd is not.
 * Errors of sending as above. Receiving returns the type of one message that a
 * row allows from `other` to `own`; *body lives until the next one is received,
 * the descriptors (room for FD_PASS_MOST) are the caller's. MESSAGE_NONE with
 * errno: 0 at the end, EPROTO when it broke the rules. */
int peer_send_now(int fd, enum message_type, const void *message_struct,
    const int *fds, size_t fd_count);
enum message_type peer_receive_now(int fd, enum role own, enum role other,
    struct span *body, int *fds, size_t *fd_count);

#endif
