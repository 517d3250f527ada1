/* SPDX-License-Identifier: MIT */
/* reload.c - the host reads its configuration again, all of it or nothing. */

#include <jansson.h>

#include "base/diag.h"
#include "wire/json_text.h"

#include "ctl/ctl.h"

enum {
	SENTENCES_MOST = 1024 * 1024,
	KEYS_MOST = 64 * 1024,
};

static int reload_run(const struct ctl *, int count, char **operands);
static int reload_keys(const struct ctl *, struct buf *refused);

const struct command command_reload = {
	.run = reload_run,
	.text =
	    "Errors are written as file:line: and a sentence; then "
	    "nothing has changed. No\nrequest is lost: running ones finish as "
	    "they began.\nKeys of access tokens that are refused stay as they "
	    "were, and it exits 1.\n\n"
	    "  fcgi-hostctl check /etc/fcgi-host/fcgi-host.conf\n"
	    "  fcgi-hostctl reload\n",
};

static int
reload_run(const struct ctl *ctl, int count, char **operands)
{
	struct question q = question_of(VERB_RELOAD);
	struct buf said, keys;
	json_t *answer;
	bool reloaded;
	int result;

	(void)count;
	(void)operands;
	buf_init(&said, SENTENCES_MOST);
	buf_init(&keys, KEYS_MOST);
	question_collects(&q, &said);
	result = host_ask(ctl, &q);
	reloaded = result == 0;
	if (reloaded)
		result = reload_keys(ctl, &keys);
	if (ctl->json) {
		answer = json_object();
		json_object_set_new(answer, "reloaded", json_boolean(reloaded));
		json_object_set_new(answer, "said", json_text(buf_span(&said)));
		if (result != 0)
			json_object_set_new(answer, "reason",
			    json_text(reloaded ? buf_span(&keys) :
						 span_of(q.reason)));
		if (words_json(answer) != 0)
			result = CTL_FAILED;
	} else {
		words_put(reloaded ? stdout : stderr, buf_span(&said));
		if (result != 0)
			diag_error("%s",
			    reloaded ? buf_string(&keys) : q.reason);
	}
	buf_free(&said);
	buf_free(&keys);
	return result;
}

/* The state process reads the keys of access tokens again by itself, and tells
 * nobody but the log; so it is asked. CTL_FAILED with the sentence when it
 * refuses them. One that is not there reads them when it starts. */
static int
reload_keys(const struct ctl *ctl, struct buf *refused)
{
	struct question q = question_of(VERB_TOKEN);
	struct buf why;
	int result = 0;

	buf_init(&why, KEYS_MOST);
	q.control.args = span_make("keys", sizeof("keys"));
	question_collects(&q, &why);
	if (host_ask(ctl, &q) != 0) {
		diag_warn("keys of access tokens: %s", q.reason);
	} else if (buf_bytes(&why) > 0) {
		buf_printf(refused,
		    "keys of access tokens stay as they were: %.*s",
		    SPAN_ARGS(buf_span(&why)));
		result = CTL_FAILED;
	}
	buf_free(&why);
	return result;
}
