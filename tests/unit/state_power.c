/* SPDX-License-Identifier: MIT */
/* If this fails, the SQLite storage loses what it acknowledged when the power
 * goes or the process is killed, or keeps half of a commit. */
#include "../fault/sqlite.h"

#include <signal.h>
#include <sys/wait.h>

/* ---- F1: the power goes ------------------------------------------------------ */

enum { LIVES = 3, LIFE_COMMITS = 8, AT_ONCE = 4 };

struct pair { /* a commit of two keys, which are there both or not at all */
	struct store_op ops[2];
	struct store_batch batch;
	char keys[2][16];
	char value[64];
	unsigned number;
	int acked; /* pipe */
};

static unsigned pairs_done;

static void
pair_done(void *arg, const struct store_result *r)
{
	struct pair *p = arg;

	pairs_done++;
	if (r->status == STORE_OK &&
	    write(p->acked, &p->number, sizeof(p->number)) < 0)
		_exit(1);
}

static void
pair_commit(struct pair *p, unsigned number, int acked)
{
	memset(p, 0, sizeof(*p));
	p->number = number;
	p->acked = acked;
	snprintf(p->value, sizeof(p->value), "value %u %*s", number,
	    (int)(number % 40), "");
	for (unsigned i = 0; i < 2; i++) {
		snprintf(p->keys[i], sizeof(p->keys[i]), "%c%u", "ab"[i],
		    number);
		p->ops[i] = (struct store_op){ .kind = STORE_SET,
			.key = span_of(p->keys[i]),
			.value = span_of(p->value) };
	}
	p->batch = (struct store_batch){ .ops = p->ops, .op_count = 2 };
	if (bed.engine->commit(bed.store, SPAN("acme"), &p->batch, pair_done,
		p) < 0)
		_exit(1);
}

/* The process that the power is cut for. It opens, writes and closes three
 * times, so that every kind of moment comes by: making a file, migrating one,
 * commits alone and in groups, checkpoints, recovering. */
static void
live(long power_at, uint64_t seed, bool lying, int acked)
{
	static struct pair pairs[AT_ONCE];
	unsigned number = 0;

	fault_disk.seed = seed;
	atomic_store(&fault_disk.lying, lying);
	atomic_store(&fault_disk.power_at, power_at);
	bed.loop = NULL;
	for (unsigned life = 0; life < LIVES; life++) {
		bed_open(&bed);
		for (unsigned i = 0; i < LIFE_COMMITS; i++) {
			unsigned count = i % 2 ? AT_ONCE : 1;

			pairs_done = 0;
			for (unsigned j = 0; j < count; j++)
				pair_commit(&pairs[j], number++, acked);
			while (pairs_done < count)
				loop_once(bed.loop, 1000);
		}
		bed_close(&bed);
	}
	_exit(0);
}

struct loss {
	unsigned lost;	  /* acknowledged and not there */
	unsigned partial; /* half a commit */
	unsigned damaged; /* files in quarantine */
};

/* What is there afterwards, against what was acknowledged. */
static void
judge(int acked, struct loss *loss)
{
	unsigned count = LIVES * LIFE_COMMITS * AT_ONCE, number;
	bool *told = calloc(count, sizeof(*told));
	char key[2][16];
	uint64_t version[2];
	bool there[2];

	while (read(acked, &number, sizeof(number)) == sizeof(number))
		told[number] = true;
	bed.loop = NULL;
	bed.config.vfs = NULL;
	bed_open(&bed);
	switch (bed_check(&bed, "acme", true)->r.status) {
	case STORE_OK:
	case STORE_NO_TENANT:
		break;
	default:
		loss->damaged++;
		goto out;
	}
	for (number = 0; number < count; number++) {
		for (unsigned i = 0; i < 2; i++) {
			snprintf(key[i], sizeof(key[i]), "%c%u", "ab"[i],
			    number);
			there[i] = has(key[i], &version[i]);
		}
		loss->lost += told[number] && !(there[0] && there[1]);
		loss->partial +=
		    there[0] != there[1] || version[0] != version[1];
	}
	/* and it goes on from there */
	if (bed_set(&bed, "acme", "after", "1")->r.status != STORE_OK)
		loss->damaged++;
out:
	free(told);
	bed_close(&bed);
	loop_free(bed.loop);
	bed.loop = NULL;
}

/* How the power goes. */
struct way {
	uint64_t seed; /* 0: all that was not synced is lost, else some */
	bool lying;    /* syncs do nothing */
	bool old;      /* the file is of the first schema */
	long again_at; /* and goes once more, in what comes after */
	enum store_durability durability;
};

/* True when the power went: at the N-th write there was one. */
static bool
live_once(long power_at, const struct way *way, int acked[2])
{
	int status;
	pid_t pid;

	fflush(NULL);
	if ((pid = fork()) == 0) {
		close(acked[0]);
		live(power_at, way->seed, way->lying, acked[1]);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) != 0 &&
	    WEXITSTATUS(status) != FAULT_POWER_STATUS)
		fail_msg("the process ended with %d", WEXITSTATUS(status));
	return WEXITSTATUS(status) == FAULT_POWER_STATUS;
}

/* One life with the power cut at the N-th write: false when it never came to
 * that. */
static bool
cut(long power_at, const struct way *way, struct loss *loss)
{
	int acked[2];
	bool went;

	bed_make(&bed, "sqlite");
	if (way->old)
		make_old_file();
	bed.config.vfs = "fault";
	bed.config.threads = 1;
	bed.config.durability = way->durability;
	assert_int_equal(pipe(acked), 0);
	went = live_once(power_at, way, acked);
	if (went && way->again_at)
		live_once(way->again_at, way, acked);
	close(acked[1]);
	judge(acked[0], loss);
	close(acked[0]);
	bed_free(&bed);
	return went;
}

static void
F1_power_loss_takes_nothing_acknowledged(void **state)
{
	uint64_t seed = rows_seed();
	struct loss loss = { 0 };
	unsigned cuts = 0;

	(void)state;
	for (unsigned how = 0; how < 4; how++) {
		/* all points in all ways together, when it is not torture */
		long step = torture ? 1 : 4;

		for (long at = 1 + (torture ? 0 : (long)how); at < 100000;
		     at += step) {
			struct way way = {
				.seed = how & 1 ? seed + (uint64_t)at : 0,
				.old = how & 2,
			};
			bool more = cut(at, &way, &loss);

			cuts += more;
			if (loss.lost || loss.partial || loss.damaged)
				fail_msg("power cut at %ld (way %u): "
					 "%u lost, %u partial, %u damaged",
				    at, how, loss.lost, loss.partial,
				    loss.damaged);
			if (!more)
				break;
		}
	}
	print_message("%u power cuts\n", cuts);
	assert_true(cuts > 100);
}

/* Recovering is writing, too. */
static void
F1_power_loss_while_recovering_from_one(void **state)
{
	uint64_t seed = rows_seed();
	struct loss loss = { 0 };

	(void)state;
	for (long again = 1; again < 24; again += torture ? 1 : 3)
		for (long at = 4 + again; at < 300; at += torture ? 5 : 60) {
			struct way way = { .seed = seed + (uint64_t)at,
				.again_at = again };

			cut(at, &way, &loss);
			if (loss.lost || loss.partial || loss.damaged)
				fail_msg("power cut at %ld and %ld: %u lost, "
					 "%u partial, %u damaged",
				    at, again, loss.lost, loss.partial,
				    loss.damaged);
		}
}

static void
F1_relaxed_may_lose_but_stays_whole(void **state)
{
	uint64_t seed = rows_seed();
	struct way way = { .seed = seed };
	struct loss loss = { 0 };

	(void)state;
	way.durability = STORE_RELAXED;
	for (long at = 5; cut(at, &way, &loss); at += torture ? 1 : 9)
		way.seed = seed + (uint64_t)at;
	print_message("relaxed: %u lost\n", loss.lost);
	assert_int_equal(loss.damaged, 0);
	assert_int_equal(loss.partial, 0);
}

/* Who saw a version that was lost must never see it again on something else. */
static void
F1_relaxed_leaves_no_version_to_come_twice(void **state)
{
	struct store_changes ask = { .since = 1, .limit = 1 };
	int acked[2];
	unsigned number;
	pid_t pid;

	(void)state;
	bed_make(&bed, "sqlite");
	bed.config.durability = STORE_RELAXED;
	assert_int_equal(pipe(acked), 0);
	fflush(NULL);
	if ((pid = fork()) == 0)
		live(0, 0, false, acked[1]);
	assert_int_equal(read(acked[0], &number, sizeof(number)),
	    sizeof(number));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(acked[0]);
	close(acked[1]);
	bed_open(&bed);
	if (access(path_of_tenant("acme", "-wal"), F_OK) == 0) {
		assert_true(bed_get(&bed, "acme", "a0")->r.version >= 1 << 20);
		assert_status(bed_changes(&bed, "acme", &ask), STORE_GONE);
	}
	assert_status(bed_set(&bed, "acme", "a", "1"), STORE_OK);
	bed_free(&bed);
}

/* The test that tests the test. */
static void
F1_a_disk_that_lies_about_syncs_is_found_out(void **state)
{
	uint64_t seed = rows_seed();
	struct way way = { .seed = seed };
	struct loss loss = { 0 };

	(void)state;
	way.lying = true;
	for (long at = 40; cut(at, &way, &loss); at += 23)
		way.seed = seed + (uint64_t)at;
	print_message("without syncs: %u lost, %u partial, %u damaged\n",
	    loss.lost, loss.partial, loss.damaged);
	assert_true(loss.lost + loss.damaged > 0);
}

/* F5 at this level: the process is killed, not the machine. */
static void
F5_a_killed_process_loses_nothing_acknowledged(void **state)
{
	unsigned rounds = torture ? 200 : 10;
	uint64_t random = rows_seed();

	(void)state;
	for (unsigned round = 0; round < rounds; round++) {
		struct loss loss = { 0 };
		int acked[2], copy[2];
		unsigned number, until = (unsigned)rows_random(&random, 50);
		pid_t pid;

		bed_make(&bed, "sqlite");
		assert_int_equal(pipe(acked), 0);
		assert_int_equal(pipe(copy), 0);
		fflush(NULL);
		if ((pid = fork()) == 0)
			live(0, 0, false, acked[1]);
		close(acked[1]);
		for (unsigned i = 0; i <= until; i++)
			if (read(acked[0], &number, sizeof(number)) ==
			    sizeof(number))
				assert_true(write(copy[1], &number,
						sizeof(number)) > 0);
		kill(pid, SIGKILL);
		while (read(acked[0], &number, sizeof(number)) ==
		    sizeof(number))
			assert_true(write(copy[1], &number, sizeof(number)) >
			    0);
		waitpid(pid, NULL, 0);
		close(copy[1]);
		judge(copy[0], &loss);
		close(copy[0]);
		close(acked[0]);
		bed_free(&bed);
		assert_int_equal(loss.lost + loss.partial + loss.damaged, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(F1_power_loss_takes_nothing_acknowledged),
		cmocka_unit_test(F1_power_loss_while_recovering_from_one),
		cmocka_unit_test(F1_relaxed_may_lose_but_stays_whole),
		cmocka_unit_test(F1_relaxed_leaves_no_version_to_come_twice),
		cmocka_unit_test(F1_a_disk_that_lies_about_syncs_is_found_out),
		cmocka_unit_test(
		    F5_a_killed_process_loses_nothing_acknowledged),
	};

	sqlite_begin();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
