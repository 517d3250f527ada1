/* SPDX-License-Identifier: MIT */
/* plan.c - the sandbox of a tenant's functions, as it was built. */

#include <jansson.h>

#include "wire/json_text.h"

#include "ctl/ctl.h"

enum { PLAN_MOST = 1024 * 1024 };

static int plan_run(const struct ctl *, int count, char **operands);

const struct command command_plan = {
	.operands_least = 1,
	.operands_most = 1,
	.run = plan_run,
	.text =
	    "One line a step, in the order they were taken when the "
	    "tenant's cell was made.\nAn idle tenant gets a cell for it.\n\n"
	    "  fcgi-hostctl plan demo\n",
};

static int
plan_run(const struct ctl *ctl, int count, char **operands)
{
	struct question q = question_of(VERB_PLAN);
	struct buf answer;
	struct span rest, line;
	json_t *lines;
	int result;

	(void)count;
	if (tenant_check("plan", operands[0]) != 0)
		return CTL_USAGE;
	q.control.tenant = span_of(operands[0]);
	if (!ctl->json)
		return host_ask_loudly(ctl, &q);

	buf_init(&answer, PLAN_MOST);
	question_collects(&q, &answer);
	result = host_ask_loudly(ctl, &q);
	if (result == 0) {
		lines = json_array();
		rest = buf_span(&answer);
		while (rest.bytes > 0) {
			line = span_cut(&rest, '\n');
			json_array_append_new(lines, json_text(line));
		}
		result = words_json(lines);
	}
	buf_free(&answer);
	return result;
}
