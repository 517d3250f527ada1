/* SPDX-License-Identifier: MIT */
/* If this fails, a callback runs for an object that is gone, a time limit is
 * missed, a child stays a zombie, or the gateway spins. */

#define _GNU_SOURCE 1
#include "rows.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/loop.h"

/* Stands in for the machine's clock, and counts who asks. */
static uint64_t fake_ms = 5000;
static unsigned clock_calls;

uint64_t
clock_ms(void)
{
	clock_calls++;
	return fake_ms;
}

/* Stands before libc's, and counts. */
static unsigned control_calls;

int
epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event *event)
{
	control_calls++;
	return (int)syscall(SYS_epoll_ctl, epoll_fd, operation, fd, event);
}

/* What happened, in order, one word each. */
static char story[256];

static void
tell(const char *word)
{
	size_t used = strlen(story);

	snprintf(story + used, sizeof(story) - used, "%s%s", used ? " " : "",
	    word);
}

struct end { /* a pipe's reading end under watch */
	struct watch watch;
	int reader;
	int writer;
	const char *name;
	unsigned events; /* of the last call */
	unsigned calls;
	struct end *other;
};

static struct loop *loop;
static struct end a, b;

static void
end_called(void *arg, unsigned events)
{
	struct end *e = arg;

	e->events = events;
	e->calls++;
	tell(e->name);
}

static void
end_open(struct end *e, const char *name, loop_watch_fn *callback)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	*e = (struct end){ .reader = ends[0], .writer = ends[1], .name = name };
	watch_init(&e->watch, callback, e);
	assert_int_equal(loop_watch(loop, &e->watch, e->reader, LOOP_READ), 0);
}

static void
end_close(struct end *e)
{
	loop_unwatch(loop, &e->watch);
	fd_close(&e->reader);
	fd_close(&e->writer);
}

static void
end_fill(struct end *e)
{
	assert_int_equal(write(e->writer, "x", 1), 1);
}

static int
set_up(void **state)
{
	(void)state;
	story[0] = '\0';
	fake_ms = 5000;
	loop = loop_new();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

static void
take_the_other_off(void *arg, unsigned events)
{
	struct end *e = arg;

	end_called(arg, events);
	loop_unwatch(loop, &e->other->watch);
}

static void
a_watch_taken_off_hears_nothing_of_the_batch(void **state)
{
	(void)state;
	end_open(&a, "a", take_the_other_off);
	end_open(&b, "b", take_the_other_off);
	a.other = &b;
	b.other = &a;
	end_fill(&a);
	end_fill(&b);
	loop_once(loop, 0);
	assert_int_equal(a.calls + b.calls, 1);
	end_close(&a);
	end_close(&b);
}

static int spare[2];

/* The descriptor number is closed and belongs to something else at once. */
static void
replace_the_other(void *arg, unsigned events)
{
	struct end *e = arg, *other = e->other;
	int number = other->reader;

	end_called(arg, events);
	loop_unwatch(loop, &other->watch);
	assert_int_equal(dup3(spare[0], number, O_CLOEXEC), number);
	assert_int_equal(loop_watch(loop, &other->watch, number, LOOP_READ), 0);
}

static void
a_watch_put_on_anew_hears_nothing_of_the_old_one(void **state)
{
	struct end *first, *second;

	(void)state;
	assert_int_equal(pipe2(spare, O_CLOEXEC | O_NONBLOCK), 0);
	end_open(&a, "a", replace_the_other);
	end_open(&b, "b", replace_the_other);
	a.other = &b;
	b.other = &a;
	end_fill(&a);
	end_fill(&b);
	loop_once(loop, 0);
	first = a.calls ? &a : &b;
	second = first->other;
	assert_int_equal(first->calls, 1);
	assert_int_equal(second->calls, 0);
	/* it does hear of its own, in the next batch */
	loop_unwatch(loop, &first->watch);
	loop_once(loop, 0);
	assert_int_equal(second->calls, 0);
	assert_int_equal(write(spare[1], "x", 1), 1);
	second->other = first;
	second->watch.callback = end_called;
	loop_once(loop, 0);
	assert_int_equal(second->calls, 1);
	end_close(&a);
	end_close(&b);
	fd_close(&spare[0]);
	fd_close(&spare[1]);
}

static void
narrow_the_other(void *arg, unsigned events)
{
	struct end *e = arg;

	end_called(arg, events);
	loop_change(loop, &e->other->watch, 0);
}

static void
a_paused_watch_hears_nothing_of_the_batch(void **state)
{
	(void)state;
	end_open(&a, "a", narrow_the_other);
	end_open(&b, "b", narrow_the_other);
	a.other = &b;
	b.other = &a;
	end_fill(&a);
	end_fill(&b);
	loop_once(loop, 0);
	assert_int_equal(a.calls + b.calls, 1);
	loop_once(loop, 0);
	assert_int_equal(a.calls + b.calls, 2);
	loop_change(loop, &a.watch, LOOP_READ);
	loop_change(loop, &b.watch, LOOP_READ);
	loop_once(loop, 0);
	assert_int_equal(a.calls + b.calls, 3);
	end_close(&a);
	end_close(&b);
}

static void
a_hangup_is_told_together_with_read(void **state)
{
	(void)state;
	end_open(&a, "a", end_called);
	loop_once(loop, 0);
	assert_int_equal(a.calls, 0);
	fd_close(&a.writer);
	loop_once(loop, 0);
	assert_int_equal(a.events, LOOP_READ | LOOP_HANGUP);
	end_close(&a);
}

static void
a_paused_watch_hears_of_a_hangup_once(void **state)
{
	(void)state;
	end_open(&a, "a", end_called);
	end_fill(&a);
	loop_change(loop, &a.watch, 0);
	loop_once(loop, 0);
	assert_int_equal(a.calls, 0);
	fd_close(&a.writer);
	loop_once(loop, 0);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.events, LOOP_HANGUP);
	loop_once(loop, 0);
	loop_once(loop, 0);
	assert_int_equal(a.calls, 1);
	/* what it had not read is still there when it goes on */
	loop_change(loop, &a.watch, LOOP_READ);
	loop_once(loop, 0);
	assert_int_equal(a.events, LOOP_READ | LOOP_HANGUP);
	end_close(&a);
}

static void
ready_to_write_is_told_when_asked_for(void **state)
{
	struct watch w;
	int ends[2];

	(void)state;
	assert_int_equal(fd_channel(ends), 0);
	a = (struct end){ .name = "a" };
	watch_init(&w, end_called, &a);
	assert_int_equal(loop_watch(loop, &w, ends[0], LOOP_READ | LOOP_WRITE),
	    0);
	loop_once(loop, 0);
	assert_int_equal(a.events, LOOP_WRITE);
	assert_int_equal(fd_send(ends[1], SPAN("x"), NULL, 0), 1);
	loop_once(loop, 0);
	assert_int_equal(a.events, LOOP_READ | LOOP_WRITE);
	loop_change(loop, &w, LOOP_READ);
	loop_once(loop, 0);
	assert_int_equal(a.events, LOOP_READ);
	loop_unwatch(loop, &w);
	fd_close(&ends[0]);
	fd_close(&ends[1]);
}

static void
a_descriptor_that_lives_on_elsewhere_is_forgotten(void **state)
{
	int elsewhere;

	(void)state;
	end_open(&a, "a", end_called);
	elsewhere = dup(a.reader);
	end_fill(&a);
	loop_unwatch(loop, &a.watch);
	fd_close(&a.reader);
	loop_once(loop, 0);
	assert_int_equal(a.calls, 0);
	loop_unwatch(loop, &a.watch); /* twice is harmless */
	fd_close(&elsewhere);
	fd_close(&a.writer);
}

static void
what_cannot_be_watched_is_refused(void **state)
{
	int file = memfd_create("file", MFD_CLOEXEC);
	struct watch w;

	(void)state;
	watch_init(&w, end_called, NULL);
	assert_int_equal(loop_watch(loop, &w, file, LOOP_READ), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(w.fd, -1);
	loop_unwatch(loop, &w);
	fd_close(&file);
}

static void
say(void *word)
{
	tell(word);
}

static void
say_signal(void *arg, int signo)
{
	(void)arg;
	tell(sigabbrev_np(signo));
}

/* A child that has died and not been reaped. */
static pid_t
dead_child(int code)
{
	siginfo_t info;
	pid_t pid = fork();

	if (pid == 0)
		_exit(code);
	assert_true(pid > 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	return pid;
}

static void
say_child(void *arg, pid_t pid, int status, const struct rusage *used)
{
	(void)arg;
	(void)pid;
	assert_true(WIFEXITED(status));
	assert_non_null(used);
	tell("child");
}

static struct timer timer;
static struct deferred deferred;

static void
set_off_the_rest(void *arg, unsigned events)
{
	end_called(arg, events);
	loop_defer(loop, &deferred, say, (void *)"free");
}

static void
a_batch_has_its_order(void **state)
{
	(void)state;
	loop_on_child(loop, say_child, NULL);
	loop_before_wait(loop, say, (void *)"hook");
	loop_once(loop, 0);
	story[0] = '\0';
	dead_child(0);
	timer_init(&timer, say, (void *)"timer");
	loop_timer_set(loop, &timer, fake_ms);
	end_open(&a, "io", set_off_the_rest);
	end_fill(&a);
	loop_once(loop, 0);
	assert_string_equal(story, "io timer child hook free");
	end_close(&a);
}

static void
a_batch_asks_for_the_time_once(void **state)
{
	struct timer timers[5];

	(void)state;
	end_open(&a, "a", end_called);
	end_open(&b, "b", end_called);
	end_fill(&a);
	end_fill(&b);
	for (int i = 0; i < 5; i++) {
		timer_init(&timers[i], say, (void *)"t");
		loop_timer_set(loop, &timers[i], fake_ms + 1);
	}
	fake_ms += 7;
	clock_calls = control_calls = 0;
	loop_once(loop, 0);
	assert_int_equal(clock_calls, 1);
	assert_true(loop_now_ms(loop) == fake_ms);
	assert_int_equal(control_calls, 0);
	assert_int_equal(a.calls + b.calls, 2);
	/* the same interest again is no system call */
	loop_change(loop, &a.watch, LOOP_READ);
	assert_int_equal(control_calls, 0);
	loop_change(loop, &a.watch, LOOP_READ | LOOP_WRITE);
	assert_int_equal(control_calls, 1);
	end_close(&a);
	end_close(&b);
}

static void
timers_run_by_due_time(void **state)
{
	struct timer one, two, three, never;

	(void)state;
	timer_init(&one, say, (void *)"one");
	timer_init(&two, say, (void *)"two");
	timer_init(&three, say, (void *)"three");
	timer_init(&never, say, (void *)"never");
	loop_timer_set(loop, &three, 5030);
	loop_timer_set(loop, &one, 5040);
	loop_timer_set(loop, &never, 5001);
	loop_timer_set(loop, &two, 5020);
	loop_timer_set(loop, &one, 5010); /* moved */
	assert_true(timer_armed(&never));
	loop_timer_clear(loop, &never);
	loop_timer_clear(loop, &never);
	assert_false(timer_armed(&never));
	fake_ms = 5009;
	loop_once(loop, 0);
	assert_string_equal(story, "");
	fake_ms = 5020;
	loop_once(loop, 0);
	assert_string_equal(story, "one two");
	fake_ms = 9999;
	loop_once(loop, 0);
	assert_string_equal(story, "one two three");
	loop_once(loop, 0);
	assert_string_equal(story, "one two three");
}

static void
again_at_once(void *arg)
{
	tell(arg);
	loop_timer_set(loop, &timer, loop_now_ms(loop));
}

static void
a_timer_that_is_always_due_starves_nobody(void **state)
{
	(void)state;
	timer_init(&timer, again_at_once, (void *)"timer");
	loop_timer_set(loop, &timer, 0);
	end_open(&a, "io", end_called);
	end_fill(&a);
	loop_once(loop, -1);
	loop_once(loop, -1);
	assert_string_equal(story, "io timer io timer");
	loop_timer_clear(loop, &timer);
	end_close(&a);
}

static void
set_back(void *arg)
{
	tell(arg);
	loop_timer_clear(loop, &timer);
}

static void
a_timer_may_clear_one_that_is_due(void **state)
{
	struct timer first;

	(void)state;
	timer_init(&first, set_back, (void *)"first");
	timer_init(&timer, say, (void *)"second");
	loop_timer_set(loop, &first, 1);
	loop_timer_set(loop, &timer, 2);
	loop_once(loop, 0);
	assert_string_equal(story, "first");
	loop_once(loop, 0);
	assert_string_equal(story, "first");
}

static void
a_wait_ends_with_the_next_timer(void **state)
{
	(void)state;
	/* by the real clock; the fake one stands still, so nothing is due */
	timer_init(&timer, say, (void *)"timer");
	loop_timer_set(loop, &timer, fake_ms + 1);
	loop_once(loop, -1);
	assert_string_equal(story, "");
	fake_ms++;
	loop_once(loop, -1);
	assert_string_equal(story, "timer");
}

static struct deferred inner;

static void
defer_another(void *arg)
{
	tell(arg);
	loop_defer(loop, &inner, say, (void *)"inner");
}

static void
deferred_work_runs_once(void **state)
{
	(void)state;
	deferred = inner = (struct deferred){ 0 };
	loop_defer(loop, &deferred, defer_another, (void *)"outer");
	loop_defer(loop, &deferred, say, (void *)"twice");
	assert_string_equal(story, "");
	loop_once(loop, -1); /* does not sleep over it */
	assert_string_equal(story, "outer inner");
	loop_once(loop, 0);
	assert_string_equal(story, "outer inner");
	loop_defer(loop, &deferred, say, (void *)"again");
	loop_once(loop, 0);
	assert_string_equal(story, "outer inner again");
}

struct object {
	struct end end;
	struct deferred deferred;
};

static void
object_free(void *arg)
{
	struct object *o = arg;

	tell("freed");
	fd_close(&o->end.reader);
	fd_close(&o->end.writer);
	free(o);
}

static void
object_ends(void *arg, unsigned events)
{
	struct object *o = arg; /* end is its first member */

	(void)events;
	tell("ends");
	loop_unwatch(loop, &o->end.watch);
	loop_defer(loop, &o->deferred, object_free, o);
}

/* The sanitizer is the judge here. */
static void
an_object_may_end_itself_in_its_callback(void **state)
{
	struct object *o = calloc(1, sizeof(*o));

	(void)state;
	assert_non_null(o);
	end_open(&o->end, "o", object_ends);
	end_fill(&o->end);
	loop_once(loop, 0);
	assert_string_equal(story, "ends freed");
	loop_once(loop, 0);
	assert_string_equal(story, "ends freed");
}

static void
signals_come_as_calls(void **state)
{
	sigset_t now, before;

	(void)state;
	sigprocmask(SIG_SETMASK, NULL, &before);
	loop_on_signal(loop, SIGTERM, say_signal, NULL);
	loop_on_signal(loop, SIGHUP, say_signal, NULL);
	loop_on_signal(loop, SIGHUP, say_signal, NULL);
	raise(SIGTERM);
	raise(SIGTERM); /* merges */
	loop_once(loop, 0);
	assert_string_equal(story, "TERM");
	raise(SIGHUP);
	loop_once(loop, 0);
	assert_string_equal(story, "TERM HUP");
	sigprocmask(SIG_SETMASK, NULL, &now);
	assert_int_equal(sigismember(&now, SIGTERM), 1);
	assert_int_equal(sigismember(loop_start_mask(loop), SIGTERM), 0);
	loop_free(loop);
	sigprocmask(SIG_SETMASK, NULL, &now);
	assert_int_equal(sigismember(&now, SIGTERM), 0);
	assert_int_equal(sigismember(&now, SIGHUP), 0);
	loop = loop_new();
}

static pid_t reported[8];
static int statuses[8];
static size_t report_count;

static void
report(void *arg, pid_t pid, int status, const struct rusage *used)
{
	(void)arg;
	/* not ru_maxrss: the kernel counts that roughly, 0 happens */
	assert_true(used->ru_minflt > 0);
	reported[report_count] = pid;
	statuses[report_count++] = status;
}

static int
status_reported(pid_t pid)
{
	for (size_t i = 0; i < report_count; i++)
		if (reported[i] == pid)
			return statuses[i];
	return -1;
}

static void
every_child_is_reported_though_signals_merge(void **state)
{
	pid_t early, pids[4];

	(void)state;
	report_count = 0;
	early = dead_child(9);
	loop_on_child(loop, report, NULL);
	loop_once(loop, -1);
	assert_int_equal(report_count, 1);
	assert_int_equal(WEXITSTATUS(status_reported(early)), 9);
	for (int i = 0; i < 4; i++)
		pids[i] = dead_child(i);
	loop_once(loop, -1);
	assert_int_equal(report_count, 5);
	for (int i = 0; i < 4; i++)
		assert_int_equal(status_reported(pids[i]), i << 8);
	loop_once(loop, 0);
	assert_int_equal(report_count, 5);
}

static void
stop(void *arg)
{
	tell(arg);
	loop_stop(loop);
}

static void
run_ends_with_stop(void **state)
{
	(void)state;
	timer_init(&timer, stop, (void *)"stop");
	loop_timer_set(loop, &timer, 0);
	loop_run(loop);
	assert_string_equal(story, "stop");
}

static void
the_hook_runs_before_the_first_sleep(void **state)
{
	(void)state;
	loop_before_wait(loop, stop, (void *)"hook");
	loop_run(loop);
	assert_string_equal(story, "hook");
}

static volatile sig_atomic_t interrupts;

static void
interrupted(int signo)
{
	(void)signo;
	interrupts++;
}

static void
a_wait_may_be_interrupted(void **state)
{
	struct sigaction catch = { .sa_handler = interrupted }, before;
	struct itimerval soon = { .it_value.tv_usec = 1000 };

	(void)state;
	interrupts = 0;
	sigaction(SIGALRM, &catch, &before);
	/* many times a ms apart, in case one comes before the wait */
	soon.it_interval = soon.it_value;
	setitimer(ITIMER_REAL, &soon, NULL);
	loop_once(loop, -1);
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
	sigaction(SIGALRM, &before, NULL);
	assert_true(interrupts > 0);
}

static void
more_events_than_fit_a_batch_all_come(void **state)
{
	static struct end ends[200];
	unsigned calls = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(ends); i++) {
		end_open(&ends[i], "", end_called);
		end_fill(&ends[i]);
	}
	loop_once(loop, 0);
	loop_once(loop, 0);
	for (size_t i = 0; i < COUNT(ends); i++) {
		calls += ends[i].calls > 0;
		end_close(&ends[i]);
	}
	assert_int_equal(calls, COUNT(ends));
}

#define WITH_LOOP(sentence, function)                            \
	{                                                        \
		.name = (sentence), .test_func = (function),     \
		.setup_func = set_up, .teardown_func = tear_down \
	}

static const struct CMUnitTest tests[] = {
	WITH_LOOP("a watch taken off hears nothing more of the batch",
	    a_watch_taken_off_hears_nothing_of_the_batch),
	WITH_LOOP("a watch put on anew hears nothing of the old descriptor",
	    a_watch_put_on_anew_hears_nothing_of_the_old_one),
	WITH_LOOP("a paused watch hears nothing more of the batch",
	    a_paused_watch_hears_nothing_of_the_batch),
	WITH_LOOP("a hangup is told together with read",
	    a_hangup_is_told_together_with_read),
	WITH_LOOP("a paused watch hears of a hangup once and does not spin",
	    a_paused_watch_hears_of_a_hangup_once),
	WITH_LOOP("ready to write is told when asked for",
	    ready_to_write_is_told_when_asked_for),
	WITH_LOOP("a descriptor that lives on elsewhere is forgotten",
	    a_descriptor_that_lives_on_elsewhere_is_forgotten),
	WITH_LOOP("what cannot be watched is refused",
	    what_cannot_be_watched_is_refused),
	WITH_LOOP("a batch is I/O, timers, children, hook, frees",
	    a_batch_has_its_order),
	WITH_LOOP("a batch asks for the time once and for nothing needless",
	    a_batch_asks_for_the_time_once),
	WITH_LOOP("timers run by due time, moved and cleared ones too",
	    timers_run_by_due_time),
	WITH_LOOP("a timer that is always due starves nobody",
	    a_timer_that_is_always_due_starves_nobody),
	WITH_LOOP("a timer may clear another that is due",
	    a_timer_may_clear_one_that_is_due),
	WITH_LOOP("a wait ends with the next timer",
	    a_wait_ends_with_the_next_timer),
	WITH_LOOP("deferred work runs once, at the end of the batch",
	    deferred_work_runs_once),
	WITH_LOOP("an object may end itself in its own callback",
	    an_object_may_end_itself_in_its_callback),
	WITH_LOOP("signals come as calls and the mask comes back",
	    signals_come_as_calls),
	WITH_LOOP("every child is reported, early ones and merged ones too",
	    every_child_is_reported_though_signals_merge),
	WITH_LOOP("run ends with stop", run_ends_with_stop),
	WITH_LOOP("the hook runs before the first sleep",
	    the_hook_runs_before_the_first_sleep),
	WITH_LOOP("a wait may be interrupted", a_wait_may_be_interrupted),
	WITH_LOOP("more events than fit a batch all come",
	    more_events_than_fit_a_batch_all_come),
};

int
main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
