/* SPDX-License-Identifier: MIT */
/* If this fails, an operator's order about tokens is carried out as another, or
 * one that makes no sense ends the state process. */
#include "place.h"

#include "base/fd.h"
#include "ipc/peer.h"
#include "state/ring.h"
#include "state/token.h"

struct order {
	const char *sentence;
	struct span tenant;
	struct span args; /* each word ends with NUL, usually */
	const char *why;  /* a part of it, when refused; NULL: done */
};

#define MINT(words) SPAN("mint\0" words)

static const struct order orders[] = {
	{ "a token", SPAN("acme"), MINT("scope=read\0ttl=60\0"), NULL },
	{ "with a prefix that has '=' in it", SPAN("acme"),
	    MINT("scope=admin\0prefix=a=b\0ttl=60\0"), NULL },
	{ "an empty prefix is none", SPAN("acme"),
	    MINT("scope=write\0prefix=\0ttl=1\0"), NULL },
	{ "for nobody", SPAN(""), MINT("scope=read\0ttl=60\0"),
	    "tenant or prefix" },
	{ "for a path", SPAN("../x"), MINT("scope=read\0ttl=60\0"),
	    "tenant or prefix" },
	{ "without a scope", SPAN("acme"), MINT("ttl=60\0"), "a scope is" },
	{ "with another scope", SPAN("acme"), MINT("scope=root\0ttl=60\0"),
	    "a scope is" },
	{ "without a time", SPAN("acme"), MINT("scope=read\0"),
	    "for 1 s at least" },
	{ "for a time that is too long", SPAN("acme"),
	    MINT("scope=read\0ttl=4294967295\0"), "366 days at most" },
	{ "for a time that is no number", SPAN("acme"),
	    MINT("scope=read\0ttl=-1\0"), "another version" },
	{ "for a time beyond numbers", SPAN("acme"),
	    MINT("scope=read\0ttl=99999999999999999999\0"), "another version" },
	{ "a word nobody knows", SPAN("acme"), MINT("colour=red\0"),
	    "another version" },
	{ "a word without its end", SPAN("acme"), SPAN("mint\0scope=rea"),
	    "a scope is" },
	{ "no words", SPAN("acme"), SPAN(""), "another version" },
	{ "absent words", SPAN("acme"), SPAN_NONE, "another version" },
	{ "only an end", SPAN("acme"), SPAN("\0"), "another version" },
	{ "an action nobody knows", SPAN("acme"), SPAN("burn\0"),
	    "another version" },
	{ "a list of all", SPAN(""), SPAN("list\0"), NULL },
	{ "a list of one", SPAN("acme"), SPAN("list\0"), NULL },
	{ "an end of a token", SPAN(""), SPAN("revoke\0id=t1\0"), NULL },
	{ "an end of none", SPAN(""), SPAN("revoke\0"), "is no id" },
	{ "an end of what cannot be one", SPAN(""),
	    SPAN("revoke\0id=\x1b[2J\0"), "is no id" },
	{ "another key", SPAN(""), SPAN("rotate\0overlap=60\0"), NULL },
	{ "another key, too long overlapping", SPAN(""),
	    SPAN("rotate\0overlap=4294967295\0"), "366 days at most" },
};

struct answer {
	struct buf out;
	bool failed;
	char why[1024];
};

static void
ask(struct ring *ring, struct span tenant, struct span args,
    struct answer *answer)
{
	const struct message_control_state m = {
		.verb = VERB_TOKEN, .tenant = tenant, .args = args
	};
	struct loop *loop = loop_new();
	struct message_control_end end;
	struct message_control_out out;
	int ends[2], fds[FD_PASS_MOST];
	size_t fd_count;
	struct span body;
	bool more = true;

	assert_int_equal(fd_channel(ends), 0);
	token_control(loop, ring, &m, &ends[0]);
	assert_int_equal(ends[0], -1);
	buf_clear(&answer->out);
	while (more)
		switch (peer_receive_now(ends[1], ROLE_CTL, ROLE_STATE, &body,
		    fds, &fd_count)) {
		case MESSAGE_CONTROL_OUT:
			assert_int_equal(message_control_out_decode(body, &out),
			    0);
			assert_int_equal(buf_put(&answer->out, out.bytes), 0);
			break;
		case MESSAGE_CONTROL_END:
			assert_int_equal(message_control_end_decode(body, &end),
			    0);
			answer->failed = end.failed != 0;
			snprintf(answer->why, sizeof(answer->why), "%.*s",
			    SPAN_ARGS(end.text));
			more = false;
			break;
		default:
			fail_msg("neither OUT nor END");
		}
	loop_once(loop, 0);
	close(ends[1]);
	loop_free(loop);
}

static void
test_order(void **state)
{
	const struct order *row = *state;
	struct answer answer = { .failed = false };
	char why[RING_WHY];
	void *place = NULL;
	struct ring *ring;

	assert_int_equal(place_make(&place), 0);
	ring = ring_open(((struct place *)place)->fd, 1800000000, why);
	assert_non_null(ring);
	buf_init(&answer.out, 65536);
	ask(ring, row->tenant, row->args, &answer);
	assert_int_equal(answer.failed, row->why != NULL);
	if (row->why) {
		if (!strstr(answer.why, row->why))
			fail_msg("is \"%s\", wanted \"%s\"", answer.why,
			    row->why);
		assert_int_equal(buf_bytes(&answer.out), 0);
	}
	ask(NULL, row->tenant, row->args, &answer);
	assert_true(answer.failed);
	assert_non_null(strstr(answer.why, "cannot read its keys"));
	assert_int_equal(buf_bytes(&answer.out), 0);
	ring_free(&ring);
	buf_free(&answer.out);
	assert_int_equal(place_remove(&place), 0);
}

#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X500 X50 X50 X50 X50 X50 X50 X50 X50 X50 X50

enum { MANY = 120 }; /* of such tokens, in a list longer than a message */

static void
a_long_list_arrives_whole(void **state)
{
	struct answer answer = { .failed = false };
	const struct place *p = *state;
	char why[RING_WHY];
	size_t lines = 0;
	struct ring *ring = ring_open(p->fd, 1800000000, why);

	buf_init(&answer.out, 4 * 1024 * 1024);
	for (int i = 0; i < MANY; i++) {
		ask(ring, SPAN("acme"),
		    MINT("scope=write\0prefix=" X500 "\0ttl=600\0"), &answer);
		assert_false(answer.failed);
	}
	ask(ring, SPAN("acme"), SPAN("list\0"), &answer);
	assert_false(answer.failed);
	assert_true(buf_bytes(&answer.out) > 65536);
	for (const char *at = buf_string(&answer.out); (at = strchr(at, '\n'));
	     at++)
		lines++;
	assert_int_equal(lines, MANY);
	ring_free(&ring);
	buf_free(&answer.out);
}

static void
keys_put_there_by_hand_are_named(void **state)
{
	struct answer answer = { .failed = false };
	const struct place *p = *state;
	char why[RING_WHY];
	struct ring *ring = ring_open(p->fd, 1800000000, why);

	buf_init(&answer.out, 65536);
	ask(ring, SPAN_NONE, SPAN("rotate\0overlap=0\0"), &answer);
	assert_false(answer.failed);
	assert_null(strstr(answer.why, "by hand"));
	place_write(p, "keys/partner.key", "0123456789abcdef0123456789abcdef",
	    0400);
	ask(ring, SPAN_NONE, SPAN("rotate\0overlap=0\0"), &answer);
	assert_false(answer.failed);
	assert_non_null(strstr(answer.why,
	    "put there by hand and still good: keys/partner.key"));
	ring_free(&ring);
	buf_free(&answer.out);
}

static void
who_has_gone_harms_nobody(void **state)
{
	const struct message_control_state m = { .verb = VERB_TOKEN,
		.tenant = SPAN("acme"),
		.args = SPAN("list\0") };
	struct answer answer = { .failed = false };
	const struct place *p = *state;
	struct loop *loop = loop_new();
	char why[RING_WHY];
	int ends[2];
	struct ring *ring = ring_open(p->fd, 1800000000, why);

	buf_init(&answer.out, 4 * 1024 * 1024);
	for (int i = 0; i < MANY; i++)
		ask(ring, SPAN("acme"),
		    MINT("scope=write\0prefix=" X500 "\0ttl=600\0"), &answer);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(fd_channel(ends), 0);
		token_control(loop, ring, &m, &ends[0]);
		close(ends[1]);
		loop_once(loop, 0);
	}
	loop_free(loop);
	ring_free(&ring);
	buf_free(&answer.out);
}

static const struct CMUnitTest others[] = {
	{ "a long list arrives whole", a_long_list_arrives_whole, place_make,
	    place_remove, NULL },
	{ "keys that were put there by hand are named",
	    keys_put_there_by_hand_are_named, place_make, place_remove, NULL },
	{ "who has gone harms nobody", who_has_gone_harms_nobody, place_make,
	    place_remove, NULL },
};

int
main(void)
{
	return RUN_ROWS(orders, test_order) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
