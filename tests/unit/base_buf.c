/* SPDX-License-Identifier: MIT */
/* If this fails, memory is no longer bounded where a buffer is declared, or
 * bytes of one request end up in another. */

#include "rows.h"

#include "base/buf.h"

struct ceiling_row {
	const char *sentence;
	size_t ceiling;
	size_t held;  /* put in first */
	size_t taken; /* then taken from the front */
	size_t more;  /* then put */
	int result;
};

static const struct ceiling_row ceilings[] = {
	{ "the ceiling can be filled to the last byte", 1000, 0, 0, 1000, 0 },
	{ "one byte above the ceiling is refused", 1000, 0, 0, 1001, -1 },
	{ "what is held counts", 1000, 600, 0, 401, -1 },
	{ "what is held and more may make the ceiling", 1000, 600, 0, 400, 0 },
	{ "what was taken no longer counts", 1000, 1000, 300, 300, 0 },
	{ "what was taken counts no byte too much", 1000, 1000, 300, 301, -1 },
	{ "a buffer taken empty is as good as new", 1000, 1000, 1000, 1000, 0 },
	{ "a ceiling of nothing holds nothing", 0, 0, 0, 1, -1 },
	{ "nothing fits under a ceiling of nothing", 0, 0, 0, 0, 0 },
	{ "a ceiling that is no power of two is exact", 777, 700, 0, 77, 0 },
	{ "a huge request does not wrap around", 1000, 10, 0, SIZE_MAX, -1 },
};

static char
pattern(size_t i)
{
	return (char)('a' + i % 26);
}

static void
ceiling(void **state)
{
	const struct ceiling_row *row = *state;
	struct span before, after;
	struct buf b;
	char *to;

	buf_init(&b, row->ceiling);
	for (size_t i = 0; i < row->held; i++)
		assert_int_equal(buf_put_byte(&b, pattern(i)), 0);
	buf_taken(&b, row->taken);
	before = buf_span(&b);
	to = buf_reserve(&b, row->more);
	assert_int_equal(to ? 0 : -1, row->result);
	if (to) {
		memset(to, '.', row->more);
		buf_wrote(&b, row->more);
	} else {
		/* refused: nothing moved, nothing changed */
		assert_ptr_equal(buf_span(&b).data, before.data);
	}
	after = buf_span(&b);
	assert_int_equal(after.bytes,
	    row->held - row->taken + (to ? row->more : 0));
	assert_true(b.room <= b.ceiling);
	for (size_t i = 0; i < row->held - row->taken; i++)
		assert_int_equal(after.data[i], pattern(row->taken + i));
	buf_free(&b);
}

struct print_row {
	const char *sentence;
	size_t ceiling;
	size_t held;
	int result;
};

/* Each prints the eleven bytes "number 4711". */
static const struct print_row prints[] = {
	{ "printing into an empty buffer works", 100, 0, 0 },
	{ "printing up to the ceiling works", 100, 89, 0 },
	{ "printing one byte above it is refused", 100, 90, -1 },
	{ "printing makes the buffer grow", 5000, 255, 0 },
	{ "printing exactly to the end of memory works", 5000, 245, 0 },
	{ "printing where only the NUL is too much works", 5000, 246, 0 },
};

static void
print(void **state)
{
	const struct print_row *row = *state;
	struct buf b;

	buf_init(&b, row->ceiling);
	for (size_t i = 0; i < row->held; i++)
		assert_int_equal(buf_put_byte(&b, 'x'), 0);
	assert_int_equal(buf_printf(&b, "number %d", 4711), row->result);
	assert_int_equal(buf_bytes(&b),
	    row->held + (row->result == 0 ? 11 : 0));
	if (row->result == 0)
		assert_string_equal(buf_string(&b) + row->held, "number 4711");
	buf_free(&b);
}

enum { MODEL_CEILING = 3000, MODEL_STEPS = 20000 };

static void
random_use_matches_a_model(void **state)
{
	static char model[MODEL_CEILING], piece[MODEL_CEILING + 1];
	uint64_t seed = rows_seed();
	size_t held = 0, bytes;
	struct buf b;

	(void)state;
	buf_init(&b, MODEL_CEILING);
	for (int step = 0; step < MODEL_STEPS; step++) {
		bytes = rows_random(&seed,
		    rows_random(&seed, 10) ? 400 : MODEL_CEILING + 2);
		switch (rows_random(&seed, 5)) {
		case 0:
		case 1:
			for (size_t i = 0; i < bytes; i++)
				piece[i] = (char)rows_random(&seed, 256);
			assert_int_equal(buf_put(&b, span_make(piece, bytes)),
			    bytes <= MODEL_CEILING - held ? 0 : -1);
			if (bytes > MODEL_CEILING - held)
				break;
			memcpy(model + held, piece, bytes);
			held += bytes;
			break;
		case 2:
		case 3:
			bytes = bytes < held ? bytes : held;
			buf_taken(&b, bytes);
			held -= bytes;
			memmove(model, model + bytes, held);
			break;
		default:
			buf_shrink(&b);
			assert_true(held > 0 || b.data == NULL);
		}
		assert_true(span_equal(buf_span(&b), span_make(model, held)));
		assert_true(b.room <= MODEL_CEILING);
	}
	buf_free(&b);
}

static void
an_empty_buffer_owns_nothing(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_null(b.data);
	assert_string_equal(buf_string(&b), "");
	assert_non_null(buf_span(&b).data);
	assert_int_equal(buf_put(&b, SPAN_NONE), 0);
	assert_int_equal(buf_put_string(&b, "x"), 0);
	buf_shrink(&b);
	assert_string_equal(buf_string(&b), "x");
	buf_clear(&b);
	assert_non_null(b.data);
	assert_string_equal(buf_string(&b), "");
	buf_shrink(&b);
	assert_null(b.data);
	assert_int_equal(buf_put_string(&b, "usable again"), 0);
	buf_free(&b);
	buf_free(&b);
	assert_int_equal(b.ceiling, 100);
}

static int
put_name(struct buf *b, struct span name, const void *arg)
{
	if (span_equal(name, SPAN("bad")))
		return -1;
	return buf_printf(b, "<%.*s%s>", SPAN_ARGS(name), (const char *)arg);
}

static void
a_template_is_filled(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 64);
	assert_int_equal(buf_fill(&b, "{a} and {b}, {}{open", put_name, "!"),
	    0);
	assert_string_equal(buf_string(&b), "<a!> and <b!>, <!><open!>");
	buf_clear(&b);
	assert_int_equal(buf_fill(&b, "", put_name, "!"), 0);
	assert_int_equal(buf_fill(&b, "no names", put_name, "!"), 0);
	assert_string_equal(buf_string(&b), "no names");
	assert_int_equal(buf_fill(&b, " {bad} more", put_name, "!"), -1);
	assert_string_equal(buf_string(&b), "no names ");
	buf_free(&b);
}

static const struct CMUnitTest others[] = {
	{ .name = "any order of putting and taking matches a plain array",
	    .test_func = random_use_matches_a_model },
	{ .name = "an empty buffer owns nothing and can be used again",
	    .test_func = an_empty_buffer_owns_nothing },
	{ .name = "a template is filled", .test_func = a_template_is_filled },
};

int
main(void)
{
	return RUN_ROWS(ceilings, ceiling) + RUN_ROWS(prints, print) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
