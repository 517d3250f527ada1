/* SPDX-License-Identifier: MIT */
/* reload.c - the host reads its configuration again, all of it or nothing. */

#include <jansson.h>

#include "base/diag.h"
#include "wire/json_text.h"

#include "ctl/ctl.h"

enum { SENTENCES_MOST = 1024 * 1024 };

static int reload_run(const struct ctl *, int count, char **operands);

const struct command command_reload = {
	.run = reload_run,
	.text =
	    "Errors are written as file:line: and a sentence; then "
	    "nothing has changed. No\nrequest is lost: running ones finish as "
	    "they began.\n\n"
	    "  fcgi-hostctl check /etc/fcgi-host/fcgi-host.conf\n"
	    "  fcgi-hostctl reload\n",
};

static int
reload_run(const struct ctl *ctl, int count, char **operands)
{
	struct question q = question_of(VERB_RELOAD);
	struct buf said;
	json_t *answer;
	int result;

	(void)count;
	(void)operands;
	buf_init(&said, SENTENCES_MOST);
	q.out = host_collect;
	q.arg = &said;
	result = host_ask(ctl, &q);
	if (ctl->json) {
		answer = json_object();
		json_object_set_new(answer, "reloaded",
		    json_boolean(result == 0));
		json_object_set_new(answer, "said", json_text(buf_span(&said)));
		if (result != 0)
			json_object_set_new(answer, "reason",
			    json_text(span_of(q.reason)));
		if (words_json(answer) != 0)
			result = CTL_FAILED;
	} else {
		words_put(result == 0 ? stdout : stderr, buf_span(&said));
		if (result != 0)
			diag_error("%s", q.reason);
	}
	buf_free(&said);
	return result;
}
