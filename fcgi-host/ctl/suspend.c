/* SPDX-License-Identifier: MIT */
/* suspend.c - a tenant is no longer served, and served again. */

#include <jansson.h>

#include "ctl/ctl.h"

enum { SAID_MOST = 4096 };

static int suspend_run(const struct ctl *, int count, char **operands);
static int resume_run(const struct ctl *, int count, char **operands);
static int suspend_ask(const struct ctl *, struct question *,
    const char *tenant, bool suspended);

static bool now;

static const struct argument arguments[] = {
	{ 0, "now", ARGUMENT_FLAG, &now, NULL, "what runs does not finish" },
	{ 0 },
};

const struct command command_suspend = {
	.arguments = arguments,
	.operands_least = 1,
	.operands_most = 2,
	.run = suspend_run,
	.text =
	    "Clients are told the reason. A restart of the host does not end "
	    "it.\n\n"
	    "  fcgi-hostctl suspend acme 'moved to www.example.org'\n"
	    "  fcgi-hostctl suspend acme --now\n"
	    "  fcgi-hostctl status --json | jq .suspended\n",
};

const struct command command_resume = {
	.operands_least = 1,
	.operands_most = 1,
	.run = resume_run,
	.text = "The next request is served.\n\n"
		"  fcgi-hostctl resume acme\n",
};

static int
suspend_run(const struct ctl *ctl, int count, char **operands)
{
	struct question q = question_of(VERB_SUSPEND);

	if (count > 1)
		q.control.args =
		    span_make(operands[1], strlen(operands[1]) + 1);
	if (now)
		q.control.flags |= CONTROL_NOW;
	return suspend_ask(ctl, &q, operands[0], true);
}

static int
resume_run(const struct ctl *ctl, int count, char **operands)
{
	struct question q = question_of(VERB_RESUME);

	(void)count;
	return suspend_ask(ctl, &q, operands[0], false);
}

static int
suspend_ask(const struct ctl *ctl, struct question *q, const char *tenant,
    bool suspended)
{
	struct buf said;
	json_t *answer;
	int result;

	if (tenant_check(suspended ? "suspend" : "resume", tenant) != 0)
		return CTL_USAGE;
	q->control.tenant = span_of(tenant);
	buf_init(&said, SAID_MOST);
	q->out = host_collect;
	q->arg = &said;
	result = host_ask_loudly(ctl, q);
	if (result == 0 && ctl->json) {
		answer = json_pack("{s:s, s:b}", "tenant", tenant, "suspended",
		    suspended);
		if (words_json(answer) != 0)
			result = CTL_FAILED;
	} else if (result == 0) {
		words_put(stdout, buf_span(&said));
	}
	buf_free(&said);
	return result;
}
