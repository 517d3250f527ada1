/* SPDX-License-Identifier: MIT */
/* If this fails, a name in a directory is not found, or the directory is read
 * for every request. */

#include "cell_ask.h"

static void
an_unchanged_directory_is_read_once(void **state)
{
	struct scan scan;
	size_t first;

	(void)state;
	scan_init(&scan);
	place_put("hello", 0755, SCRIPT);
	assert_int_equal(scan_refresh(&scan, place_fd, now_ms, false), 1);
	assert_int_equal(scan_refresh(&scan, place_fd, now_ms, false), 0);
	assert_int_equal(scan_find(&scan, SPAN("hello"), &first), 1);
	place_put("hullo", 0755, SCRIPT);
	assert_int_equal(scan_refresh(&scan, place_fd, now_ms, false), 1);
	assert_int_equal(scan_find(&scan, SPAN("hullo"), &first), 1);
	unlink(place_of("hello"));
	assert_int_equal(scan_refresh(&scan, place_fd, now_ms, false), 1);
	assert_int_equal(scan_find(&scan, SPAN("hello"), &first), 0);
	scan_free(&scan);
}

/* Within a tick, a second change may leave the times as they are. */
static void
a_directory_that_just_changed_is_read_again(void **state)
{
	struct scan scan;
	struct stat st;

	(void)state;
	scan_init(&scan);
	place_put("hello", 0755, SCRIPT);
	assert_int_equal(fstat(place_fd, &st), 0);
	now_ms = (uint64_t)st.st_ctim.tv_sec * 1000 +
	    (uint64_t)st.st_ctim.tv_nsec / 1000000;
	assert_int_equal(scan_refresh(&scan, place_fd, now_ms, false), 1);
	assert_int_equal(scan_refresh(&scan, place_fd, now_ms, false), 1);
	now_ms += TICKET_TICK_MS + 1;
	assert_int_equal(scan_refresh(&scan, place_fd, now_ms, false), 1);
	assert_int_equal(scan_refresh(&scan, place_fd, now_ms, false), 0);
	scan_free(&scan);
}

static void
thousands_of_names_are_found(void **state)
{
	struct scan scan;
	char name[64];
	size_t first;

	(void)state;
	scan_init(&scan);
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "f%d%s", i, i % 3 ? ".sh" : "");
		place_put(name, 0755, SCRIPT);
		if (i % 10 == 0) {
			snprintf(name, sizeof(name), "f%d.c", i);
			place_put(name, 0644, "");
		}
	}
	assert_int_equal(scan_refresh(&scan, place_fd, now_ms, false), 1);
	assert_int_equal(scan.count, 3300);
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		assert_int_equal(scan_find(&scan, span_of(name), &first),
		    i % 10 == 0 ? 2 : 1);
		assert_true(span_equal(name_function(span_of(scan_file(&scan,
					   first))),
		    span_of(name)));
	}
	assert_int_equal(scan_find(&scan, SPAN("f3000"), &first), 0);
	assert_int_equal(scan_find(&scan, SPAN(""), &first), 0);
	scan_free(&scan);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		ONE(an_unchanged_directory_is_read_once),
		ONE(a_directory_that_just_changed_is_read_again),
		ONE(thousands_of_names_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
