/* SPDX-License-Identifier: MIT */
/* gateway_web.h - one gateway and one web server, new for each test; for tests
 * that look at the gateway from the front. */
#ifndef GATEWAY_WEB_H
#define GATEWAY_WEB_H

#include "gateway_host.h"

static struct host host;
static struct web web;

/* What the file's gateways are like: few_of_all, one of its own, or the
 * defaults. */
static void (*configure)(struct config *);

static inline int
setup(void **state)
{
	(void)state;
	host_open(&host, configure);
	web_open(&web, &host);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	web_close(&web);
	host_close(&host);
	return 0;
}

/* Rows of a group. */
#define TEST_AFTER(before, words, function)             \
	{                                               \
		words, function, before, teardown, NULL \
	}
#define TEST(words, function) TEST_AFTER(setup, words, function)

/* So few of everything that a test reaches the end of it. */
static inline void
few_of_all(struct config *c)
{
	c->slots_host = 4;
	c->slots_tenant = 4;
	c->slots_share = 100;
	c->slots_function = 2;
	c->queue_function = 2;
	c->queue_tenant = 3;
	c->queue_host = 8;
	c->limits[LIMIT_grace] = 50;
	c->limits[LIMIT_queue] = 300;
	c->launcher_idle = 100;
	c->cell_idle = 1000;
}

static inline void
answer(struct start *s)
{
	start_write(s, "Content-Type: text/plain\n\nhello\n");
	host_exit(&host, s, 0);
}

static inline void
hello_comes(struct web *w)
{
	web_end(w);
	assert_true(w->ended);
	web_has(w, "hello\n");
	web_forget(w);
}

/* The fakes answer whatever they are asked until the web server has this. */
static inline void
refused(const char *target, const char *status, const char *says,
    const char *end)
{
	struct event e;

	web_get(&web, target);
	host_expect(&host, MESSAGE_ACCESS, &e);
	assert_int_equal(host.access.end.bytes, strlen(end));
	assert_memory_equal(host.access.end.data, end, strlen(end));
	web_end(&web);
	web_has(&web, status);
	web_has(&web, says);
	web_forget(&web);
	assert_int_equal(host.heard[MESSAGE_START], 0);
}

/* The gateway has seen all that was there before this. */
static inline void
seen(void)
{
	struct web w;

	web_open(&w, &host);
	fcgi_put_begin(&w.send, 2, FCGI_FILTER, true);
	web_flush(&w);
	web_end(&w);
	web_close(&w);
}

static inline void
not_started(struct start *s, enum ended how, int error, enum proc_step step)
{
	host_ended(&host, s,
	    (struct message_ended){
		.how = how, .error = (uint32_t)error, .step = step });
}

#endif
