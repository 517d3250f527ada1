/* SPDX-License-Identifier: MIT */
/* run.c - one request, whatever carried it. */

#include "sdk/handler.h"

int
run(struct carrier *carrier, char *const *variables, handle_fn *handle)
{
	struct fn_request request;
	struct fn_reply reply;
	int finished;

	request_init(&request, carrier, variables);
	reply_init(&reply, &request);
	log_of(&request);
	carrier->status = handle(&request, &reply);
	finished = reply_finish(&reply, carrier->status);
	log_of(NULL);
	reply_free_all(&reply);
	request_free(&request);
	return finished;
}
