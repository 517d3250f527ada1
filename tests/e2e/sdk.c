/* SPDX-License-Identifier: MIT */
/* sdk.c - a function that makes every call of <fn.h> against the host that runs it,
 * and says what was not as it should be. */
#include <fn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static int wrong;

#define IS(call, wanted) is(__LINE__, #call, (call), (wanted))
#define HOLDS(condition) holds(__LINE__, #condition, (condition))

static void
is(int line, const char *call, enum fn_result result, enum fn_result wanted)
{
	if (result == wanted)
		return;
	wrong++;
	printf("%d: %s is %d (%s), wanted %d\n", line, call, result,
	    fn_problem(), wanted);
}

static void
holds(int line, const char *condition, bool true_)
{
	if (true_)
		return;
	wrong++;
	printf("%d: not %s\n", line, condition);
}

static void
one_key(void)
{
	static const char bytes[] = "any\0bytes\xff";
	struct fn_put how = { .type = "text/x-test; a=b", .ttl_s = 100 };
	struct fn_value value;
	uint64_t first = 0, second = 0;

	IS(fn_state_get("a/\xc3\xa4 ?%&#+\"", &value), FN_NOT_FOUND);
	HOLDS(strstr(fn_problem(), "404") != NULL);
	IS(fn_state_put("a/\xc3\xa4 ?%&#+\"", bytes, sizeof(bytes), &how,
	       &first),
	    FN_OK);
	HOLDS(first > 0 && fn_problem()[0] == '\0');
	IS(fn_state_get("a/\xc3\xa4 ?%&#+\"", &value), FN_OK);
	HOLDS(value.bytes == sizeof(bytes) && value.version == first &&
	    memcmp(value.data, bytes, sizeof(bytes)) == 0);
	HOLDS(strcmp(value.type, "text/x-test; a=b") == 0);
	HOLDS(value.expires_s > 1700000000);
	fn_value_free(&value);

	how = (struct fn_put){ .if_absent = true };
	IS(fn_state_put("a/\xc3\xa4 ?%&#+\"", "x", 1, &how, NULL), FN_CONFLICT);
	how = (struct fn_put){ .if_version = first + 1000 };
	IS(fn_state_put("a/\xc3\xa4 ?%&#+\"", "x", 1, &how, NULL), FN_CONFLICT);
	how = (struct fn_put){ .if_version = first };
	IS(fn_state_put("a/\xc3\xa4 ?%&#+\"", "", 0, &how, &second), FN_OK);
	HOLDS(second > first);
	IS(fn_state_get("a/\xc3\xa4 ?%&#+\"", &value), FN_OK);
	HOLDS(value.bytes == 0 && value.data && value.expires_s == 0);
	fn_value_free(&value);
	IS(fn_state_delete("a/\xc3\xa4 ?%&#+\"", first), FN_CONFLICT);
	IS(fn_state_delete("a/\xc3\xa4 ?%&#+\"", second), FN_OK);
	IS(fn_state_delete("a/\xc3\xa4 ?%&#+\"", 0), FN_OK);
	how = (struct fn_put){ .if_absent = true };
	IS(fn_state_put("a/\xc3\xa4 ?%&#+\"", "x", 1, &how, NULL), FN_OK);
	IS(fn_state_delete("a/\xc3\xa4 ?%&#+\"", 0), FN_OK);
}

static void
counters(void)
{
	const int64_t ten = 10, zero = 0;
	struct fn_incr how = { .min = &zero, .max = &ten, .ttl_s = 100 };
	struct fn_value value;
	int64_t n = 0;

	IS(fn_state_incr("n", 7, &how, &n), FN_OK);
	HOLDS(n == 7);
	IS(fn_state_incr("n", 7, &how, &n), FN_RANGE);
	HOLDS(n == 7);
	IS(fn_state_incr("n", -8, &how, NULL), FN_RANGE);
	IS(fn_state_incr("n", -7, &how, &n), FN_OK);
	HOLDS(n == 0);
	IS(fn_state_incr("n", INT64_MIN, NULL, &n), FN_OK);
	HOLDS(n == INT64_MIN);
	IS(fn_state_incr("n", -1, NULL, &n), FN_RANGE);
	IS(fn_state_get("n", &value), FN_OK);
	HOLDS(strcmp(value.data, "-9223372036854775808") == 0 &&
	    value.expires_s > 0);
	fn_value_free(&value);
	IS(fn_state_put("text", "seven", 5, NULL, NULL), FN_OK);
	IS(fn_state_incr("text", 1, NULL, NULL), FN_BAD);
	IS(fn_state_delete("text", 0), FN_OK);
	IS(fn_state_delete("n", 0), FN_OK);
}

static void
lists(void)
{
	static const char *const keys[] = { "l/a", "l/b/1", "l/b/2", "l/c",
		"l/\xe2\x82\xac" };
	struct fn_list list = { .prefix = "l/", .limit = 2, .values = true };
	struct fn_page page;
	char cursor[2048];
	size_t count = 0;

	for (int i = 0; i < 5; i++)
		IS(fn_state_put(keys[i], i % 2 ? "\xff\0x" : "text",
		       i % 2 ? 3 : 4, NULL, NULL),
		    FN_OK);
	do {
		IS(fn_state_list(&list, &page), FN_OK);
		for (size_t i = 0; i < page.item_count; i++, count++)
			HOLDS(strcmp(page.items[i].key, keys[count]) == 0 &&
			    page.items[i].bytes == (count % 2 ? 3 : 4) &&
			    memcmp(page.items[i].data,
				count % 2 ? "\xff\0x" : "text",
				page.items[i].bytes) == 0);
		HOLDS(page.item_count <= 2 && count <= 5);
		snprintf(cursor, sizeof(cursor), "%s",
		    page.cursor ? page.cursor : "");
		list.cursor = cursor[0] ? cursor : NULL;
		fn_page_free(&page);
	} while (list.cursor && wrong == 0);
	HOLDS(count == 5);

	list = (struct fn_list){ .prefix = "l/", .delimiter = "/" };
	IS(fn_state_list(&list, &page), FN_OK);
	HOLDS(page.item_count == 3 && page.prefix_count == 1 &&
	    strcmp(page.prefixes[0], "l/b/") == 0 && !page.cursor);
	HOLDS(!page.items[0].data && page.items[0].bytes == 4);
	fn_page_free(&page);
	list =
	    (struct fn_list){ .start = "l/b/2", .end = "l/d", .reverse = true };
	IS(fn_state_list(&list, &page), FN_OK);
	HOLDS(page.item_count == 2 && strcmp(page.items[0].key, "l/c") == 0);
	fn_page_free(&page);
	list = (struct fn_list){ .cursor = "no cursor" };
	IS(fn_state_list(&list, &page), FN_BAD);
}

static void
commits(void)
{
	const int64_t zero = 0;
	struct fn_check checks[] = { { "l/a", 0 }, { "new", 0 } };
	struct fn_op ops[] = {
		{ .kind = FN_SET,
		    .key = "new",
		    .data = "\0\xff",
		    .bytes = 2,
		    .ttl_s = 100,
		    .type = "image/png" },
		{ .kind = FN_DELETE, .key = "l/a" },
		{ .kind = FN_SUM, .key = "sum", .by = 5 },
		{ .kind = FN_MIN, .key = "least", .by = -3 },
		{ .kind = FN_MAX, .key = "most", .by = 8 },
		{ .kind = FN_SUM, .key = "sum", .by = -4, .min = &zero },
	};
	struct fn_value value;
	uint64_t version = 0;

	IS(fn_state_atomic(checks, 2, ops, 6, &version), FN_CONFLICT);
	HOLDS(strstr(fn_problem(), "l/a") != NULL && version == 0);
	IS(fn_state_get("new", &value), FN_NOT_FOUND);
	IS(fn_state_get("l/a", &value), FN_OK);
	checks[0].version = value.version;
	fn_value_free(&value);
	IS(fn_state_atomic(checks, 2, ops, 6, &version), FN_OK);
	HOLDS(ops[2].value == 5 && ops[3].value == -3 && ops[4].value == 8 &&
	    ops[5].value == 1);
	IS(fn_state_get("new", &value), FN_OK);
	HOLDS(value.version == version && value.bytes == 2 &&
	    strcmp(value.type, "image/png") == 0 && value.expires_s > 0);
	fn_value_free(&value);
	ops[5].by = -100;
	IS(fn_state_atomic(NULL, 0, ops + 2, 4, &version), FN_RANGE);
	IS(fn_state_get("sum", &value), FN_OK);
	HOLDS(strcmp(value.data, "1") == 0); /* nothing of it was done */
	fn_value_free(&value);
	ops[0].key = "..";
	IS(fn_state_atomic(NULL, 0, ops, 1, NULL), FN_BAD);
}

static void *
change(void *arg)
{
	(void)arg;
	IS(fn_state_put("waited", "new", 3, NULL, NULL), FN_OK);
	return NULL;
}

/* Threads take turns on one connection: the one that changes it comes first or
 * second, and either way the change is seen. */
static void
waits(void)
{
	struct fn_value value;
	uint64_t version;
	pthread_t thread;

	IS(fn_state_put("waited", "old", 3, NULL, &version), FN_OK);
	IS(fn_state_wait("waited", version, 0, &value), FN_UNCHANGED);
	pthread_create(&thread, NULL, change, NULL);
	pthread_join(thread, NULL);
	IS(fn_state_wait("waited", version, 5, &value), FN_OK);
	HOLDS(value.version > version && strcmp(value.data, "new") == 0);
	version = value.version;
	fn_value_free(&value);
	IS(fn_state_delete("waited", 0), FN_OK);
	IS(fn_state_wait("waited", version, 5, &value), FN_NOT_FOUND);
}

static void
limits(void)
{
	static char large[2 * 1024 * 1024];

	memset(large, 'x', sizeof(large));
	IS(fn_state_put("large", large, sizeof(large), NULL, NULL),
	    FN_TOO_LARGE);
	IS(fn_state_put("large", large, sizeof(large) / 2, NULL, NULL), FN_OK);
	IS(fn_state_delete("large", 0), FN_OK);
}

int
main(void)
{
	printf("Content-Type: text/plain\n\n");
	one_key();
	counters();
	lists();
	commits();
	waits();
	limits();
	printf("%d wrong\n", wrong);
	return 0;
}
