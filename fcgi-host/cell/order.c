/* SPDX-License-Identifier: MIT */
/* order.c - orders as signals, and the table that their handler looks into.
 * Everything the handler shares with the launcher is one word that changes by
 * itself: a place is found by its invocation from the moment it is expected,
 * what was ordered is added to it by whoever comes first, and is carried out by
 * the handler when the process is published, else behind its publication. */

#define _GNU_SOURCE 1
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/proc.h"

#include "cell/order.h"

/* Low half of a word whose high half is an invocation. 0: not in use. */
enum { EXPECTED = 1, ASKED = 2, KILLED = 4 };

static struct {
	_Atomic uint64_t what;
	_Atomic pid_t pid; /* 0: not yet */
} places[ORDER_RUNS];
static _Atomic int places_used; /* none above was ever taken */
static _Atomic int places_taken;

/* For who is not expected yet, the oldest goes first. An invocation that is
 * over leaves its late ones here, which do no harm: numbers are not used
 * twice. */
static _Atomic uint64_t early[ORDER_RUNS];
static _Atomic unsigned early_count;

static _Atomic bool cell_gone;

static int order_signal(int signo);
static int cell_gone_signal(void);
static void on_order(int, siginfo_t *, void *);
static void on_cell_gone(int);
static bool is_for(uint64_t what, uint32_t invocation);
static void early_put(uint32_t invocation, uint64_t flag);
static uint64_t early_take(uint32_t invocation);
static void carry_out(int place);

void
order_block(void)
{
	sigset_t orders;

	sigemptyset(&orders);
	sigaddset(&orders, order_signal(SIGTERM));
	sigaddset(&orders, order_signal(SIGKILL));
	sigaddset(&orders, cell_gone_signal());
	sigprocmask(SIG_BLOCK, &orders, NULL);
}

int
order_send(pid_t pid, uint32_t invocation, int signo)
{
	union sigval value = { .sival_int = (int)invocation };

	return sigqueue(pid, order_signal(signo), value);
}

/* Signals that mean something elsewhere stay blocked: only master decides when
 * a host ends, and the functions get an empty mask. */
void
order_catch(pid_t cell)
{
	struct sigaction act = { .sa_flags = SA_SIGINFO | SA_RESTART };
	struct sigaction gone = { .sa_handler = on_cell_gone };
	sigset_t mask;

	sigfillset(&act.sa_mask);
	sigfillset(&gone.sa_mask);
	act.sa_sigaction = on_order;
	sigaction(order_signal(SIGTERM), &act, NULL);
	sigaction(order_signal(SIGKILL), &act, NULL);
	sigaction(cell_gone_signal(), &gone, NULL);
	proc_signals_changed();
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGUSR1);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	/* not SIGKILL: what is running has to go first */
	if (prctl(PR_SET_PDEATHSIG, cell_gone_signal()) != 0 ||
	    getppid() != cell)
		_exit(1);
}

bool
order_cell_gone(void)
{
	return cell_gone;
}

int
order_expect(uint64_t invocation)
{
	int place = 0;

	while (place < ORDER_RUNS && places[place].what != 0)
		place++;
	if (place == ORDER_RUNS)
		return -1;
	places[place].pid = 0;
	places[place].what = invocation << 32 | EXPECTED;
	if (place >= places_used)
		places_used = place + 1;
	places_taken++;
	/* from here on the handler finds it */
	if (early_count > 0)
		places[place].what |= early_take((uint32_t)invocation);
	return place;
}

void
order_publish(int place, pid_t pid)
{
	places[place].pid = pid;
	carry_out(place);
	if (cell_gone)
		order_kill_all();
}

void
order_forget(int place)
{
	assert(places[place].what != 0);
	places[place].pid = 0;
	places[place].what = 0;
	places_taken--;
}

void
order_kill_all(void)
{
	for (int i = 0; i < places_used; i++) {
		pid_t pid = places[i].pid;

		if (pid == 0)
			continue;
		kill(pid, SIGKILL);
		kill(-pid, SIGKILL);
	}
}

static int
order_signal(int signo)
{
	return signo == SIGKILL ? SIGRTMIN + 1 : SIGRTMIN;
}

static int
cell_gone_signal(void)
{
	return SIGRTMIN + 2;
}

static void
on_order(int signo, siginfo_t *info, void *context)
{
	uint32_t invocation = (uint32_t)info->si_value.sival_int;
	uint64_t flag = signo == order_signal(SIGKILL) ? KILLED : ASKED;
	int kept_errno = errno, place = 0;

	(void)context;
	while (place < places_used && !is_for(places[place].what, invocation))
		place++;
	if (place < places_used) {
		places[place].what |= flag;
		carry_out(place);
	} else {
		early_put(invocation, flag);
	}
	errno = kept_errno;
}

static void
on_cell_gone(int signo)
{
	int kept_errno = errno;

	(void)signo;
	cell_gone = true;
	if (places_taken == 0)
		_exit(1);
	order_kill_all(); /* and who is not published yet, when it is */
	errno = kept_errno;
}

static bool
is_for(uint64_t what, uint32_t invocation)
{
	return what != 0 && (uint32_t)(what >> 32) == invocation;
}

/* In the handler, which nothing interrupts. */
static void
early_put(uint32_t invocation, uint64_t flag)
{
	for (int i = 0; i < ORDER_RUNS; i++)
		if (is_for(early[i], invocation)) {
			early[i] |= flag;
			return;
		}
	early[early_count++ % ORDER_RUNS] = (uint64_t)invocation << 32 | flag;
}

static uint64_t
early_take(uint32_t invocation)
{
	for (int i = 0; i < ORDER_RUNS; i++) {
		uint64_t what = early[i];

		/* it may be another's at this very moment */
		if (is_for(what, invocation) &&
		    atomic_compare_exchange_strong(&early[i], &what, 0))
			return what & (ASKED | KILLED);
	}
	return 0;
}

/* Twice is harmless; asking after killing comes too late. Between the kernel's
 * reaping and our noticing, the number could only be another process's after
 * all others have been used up. */
static void
carry_out(int place)
{
	uint64_t what = places[place].what;
	pid_t pid = places[place].pid;

	if (pid == 0)
		return;
	if (what & KILLED) {
		kill(pid, SIGKILL); /* it may have left its group */
		kill(-pid, SIGKILL);
	} else if (what & ASKED) {
		kill(-pid, SIGTERM);
	}
}
