/* SPDX-License-Identifier: MIT */
/* If this fails, a time limit is reported as a crash, a crash as a time limit,
 * or a broken reply as a whole one. */
#include "rows.h"

#include <signal.h>

#include "gateway/outcome.h"

#define EXIT(code) ((code) << 8)

static const struct row {
	const char *sentence;
	struct outcome_facts facts;
	bool wrote;
	enum end reply; /* its header was complete */
	enum end none;	/* it was not */
	uint32_t app_status;
} rows[] = {
	{ "it exits", { .wait_status = EXIT(0) }, false, END_DONE, END_NO_REPLY,
	    0 },
	{ "it exits with a code", { .wait_status = EXIT(7) }, false, END_DONE,
	    END_NO_REPLY, 7 },
	{ "it exits within its header", { .wait_status = EXIT(0) }, true,
	    END_DONE, END_BAD_REPLY, 0 },
	{ "it crashes", { .wait_status = SIGSEGV }, true, END_CRASHED,
	    END_CRASHED, 139 },
	{ "the alarm at its limit",
	    { .wait_status = SIGALRM, .ran_us = 10000100, .time_ms = 10000 },
	    false, END_TIME, END_TIME, 142 },
	{ "the alarm a moment before, as we measure it",
	    { .wait_status = SIGALRM, .ran_us = 9999000, .time_ms = 10000 },
	    false, END_TIME, END_TIME, 142 },
	{ "it catches the alarm and ends without a word",
	    { .wait_status = EXIT(1), .ran_us = 10000100, .time_ms = 10000 },
	    false, END_DONE, END_TIME, 1 },
	{ "it ends without a word before its limit",
	    { .wait_status = EXIT(1), .ran_us = 9900000, .time_ms = 10000 },
	    true, END_DONE, END_BAD_REPLY, 1 },
	{ "an alarm of its own",
	    { .wait_status = SIGALRM, .ran_us = 9000000, .time_ms = 10000 },
	    false, END_CRASHED, END_CRASHED, 142 },
	{ "an alarm where there is no limit",
	    { .wait_status = SIGALRM, .ran_us = 9000000 }, false, END_CRASHED,
	    END_CRASHED, 142 },
	{ "another signal at the limit",
	    { .wait_status = SIGSEGV, .ran_us = 10000100, .time_ms = 10000 },
	    false, END_CRASHED, END_CRASHED, 139 },
	{ "SIGXCPU at limits.cpu",
	    { .wait_status = SIGXCPU, .cpu_us = 1000000, .cpu_ms = 1000 },
	    false, END_CPU, END_CPU, 152 },
	{ "SIGXCPU without limits.cpu", { .wait_status = SIGXCPU }, false,
	    END_CRASHED, END_CRASHED, 152 },
	{ "SIGKILL of who caught SIGXCPU",
	    { .wait_status = SIGKILL, .cpu_us = 2000000, .cpu_ms = 1000 },
	    false, END_CPU, END_CPU, 137 },
	{ "SIGKILL from elsewhere",
	    { .wait_status = SIGKILL, .cpu_us = 5000, .cpu_ms = 1000 }, false,
	    END_CRASHED, END_CRASHED, 137 },
	{ "a part of a second of limits.cpu counts as a whole one",
	    { .wait_status = SIGKILL, .cpu_us = 1100000, .cpu_ms = 1500 },
	    false, END_CRASHED, END_CRASHED, 137 },
	{ "the host ended it",
	    { .wait_status = SIGKILL, .stopped = true, .stop_end = END_IDLE },
	    true, END_IDLE, END_IDLE, 137 },
	{ "asked to end it did, with a reply",
	    { .wait_status = EXIT(0), .stopped = true, .stop_end = END_TIME },
	    true, END_DONE, END_TIME, 0 },
	{ "the kernel ended it, for want of memory",
	    { .wait_status = SIGKILL, .out_of_memory = true }, true, END_MEMORY,
	    END_MEMORY, 137 },
	{ "... or what it had started, and it said so",
	    { .wait_status = EXIT(137), .out_of_memory = true }, false,
	    END_DONE, END_MEMORY, 137 },
	{ "it crashes where memory is short",
	    { .wait_status = SIGSEGV, .out_of_memory = true }, false,
	    END_CRASHED, END_CRASHED, 139 },
	{ "the host ends it where memory is short",
	    { .wait_status = SIGKILL,
		.out_of_memory = true,
		.stopped = true,
		.stop_end = END_IDLE },
	    true, END_IDLE, END_IDLE, 137 },
	{ "its launcher is gone, with what memory there was",
	    { .lost = true, .out_of_memory = true }, true, END_MEMORY,
	    END_MEMORY, 0 },
	{ "its launcher is gone", { .lost = true }, true, END_LAUNCHER_GONE,
	    END_LAUNCHER_GONE, 0 },
	{ "its cell is gone", { .lost = true, .cell_lost = true }, false,
	    END_LAUNCHER_GONE, END_LAUNCHER_GONE, 0 },
	{ "its launcher is gone, and had not read what to start",
	    { .lost = true, .unread = true }, false, END_CELL_GONE,
	    END_CELL_GONE, 0 },
	{ "its cell is gone before anything was started",
	    { .lost = true, .unread = true, .cell_lost = true }, false,
	    END_CELL_GONE, END_CELL_GONE, 0 },
	{ "its cell was ended because of it",
	    { .lost = true,
		.cell_lost = true,
		.stopped = true,
		.stop_end = END_TIME },
	    false, END_TIME, END_TIME, 0 },
};

static void
one(void **state)
{
	const struct row *row = *state;

	assert_int_equal(outcome_of_reply(&row->facts), row->reply);
	assert_int_equal(outcome_without_reply(&row->facts, row->wrote),
	    row->none);
	assert_int_equal(outcome_app_status(&row->facts), row->app_status);
}

int
main(void)
{
	return RUN_ROWS(rows, one);
}
