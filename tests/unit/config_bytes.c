/* SPDX-License-Identifier: MIT */
/* If this fails, the gateway and master's children work with other options than
 * were read, or a hostile cell gives itself more than its maxima. */
#include "config_files.h"

#include "config/options.h"

static uint64_t seed;
static struct config *config; /* the defaults */

static struct settings *
settings_of(struct span text)
{
	struct settings *s = settings_draft(config_terms(config, SPAN_NONE));
	int fd = file_in_memory(text);
	struct buf errors;

	buf_init(&errors, 65536);
	if (settings_read(s, config_terms(config, SPAN_NONE), fd, "hello.conf",
		PROGRAM_CGI, &errors) != 0)
		fail_msg("%s", buf_string(&errors));
	settings_settle(s, PROGRAM_CGI);
	buf_free(&errors);
	fd_close(&fd);
	return s;
}

static void
assert_bytes(const struct buf *is, const struct buf *wanted)
{
	assert_int_equal(buf_bytes(is), buf_bytes(wanted));
	assert_memory_equal(buf_span(is).data, buf_span(wanted).data,
	    buf_bytes(wanted));
}

/* ---- settings ------------------------------------------------------------------- */

static const struct settings_row {
	const char *sentence;
	struct span text;
	size_t bytes;
} settings_rows[] = {
	{ "no settings are no bytes", SPAN(""), 0 },
	{ "the defaults written out are no bytes",
	    SPAN("requests = 1; start = \"exec\"; concurrency = 32; env = { "
		 "}; limits = { time = \"10s\"; idle = 0; };"),
	    0 },
	{ "one number is its row and itself", SPAN("concurrency = 1;"), 12 },
	{ "one variable", SPAN("env = { A = \"bc\"; };"), 4 + 4 + 4 + 4 },
	{ "a word", SPAN("state = \"none\";"), 12 },
	{ "a limit that is off", SPAN("concurrency = 0;"), 12 },
	{ "everything",
	    SPAN(
		"body = \"stream\"; concurrency = 0; env = { A = \"\"; B = \"x\"; "
		"}; args = [ \"\", \"a b\" ]; methods = [ \"GET\" ]; "
		"pass_authorization = true; limits = { time = \"1ms\"; "
		"files = 1; body = \"1 B\"; };"),
	    12 * 3 + (8 + 6 + 7) + (8 + 4 + 7) + (8 + 7) + 12 * 3 },
};

static void
run_settings(void **state)
{
	const struct settings_row *row = *state;
	struct settings *s = settings_of(row->text), *again;
	struct buf bytes, bytes_again;

	buf_init(&bytes, SETTINGS_BYTES_MOST);
	buf_init(&bytes_again, SETTINGS_BYTES_MOST);
	assert_int_equal(settings_encode(s, config_terms(config, SPAN_NONE),
			     &bytes),
	    0);
	assert_int_equal(buf_bytes(&bytes), row->bytes);
	again =
	    settings_decode(buf_span(&bytes), config_terms(config, SPAN_NONE));
	assert_non_null(again);
	assert_int_equal(settings_encode(again, config_terms(config, SPAN_NONE),
			     &bytes_again),
	    0);
	assert_bytes(&bytes_again, &bytes);
	assert_int_equal(again->start, s->start);
	assert_int_equal(again->env.count, s->env.count);
	assert_memory_equal(again->limits, s->limits, sizeof(s->limits));
	settings_release(&again);

	/* a part is no whole, unless it ends between two rows */
	for (size_t i = 0; i < buf_bytes(&bytes); i++) {
		char *part = malloc(i + 1);

		memcpy(part + 1, buf_span(&bytes).data, i);
		again = settings_decode(span_make(part + 1, i),
		    config_terms(config, SPAN_NONE));
		if (again) {
			buf_clear(&bytes_again);
			settings_encode(again, config_terms(config, SPAN_NONE),
			    &bytes_again);
			assert_int_equal(buf_bytes(&bytes_again), i);
		}
		settings_release(&again);
		free(part);
	}
	buf_free(&bytes);
	buf_free(&bytes_again);
	settings_release(&s);
}

/* ---- what a hostile cell may try --------------------------------------------------- */

/* Little by little: u32 row, then u64 or u32 count and spans. */
struct forged {
	struct buf bytes;
};

static void
put32(struct forged *f, uint32_t value)
{
	buf_put(&f->bytes, span_make(&value, sizeof(value)));
}

static void
put64(struct forged *f, uint64_t value)
{
	buf_put(&f->bytes, span_make(&value, sizeof(value)));
}

static void
put_span(struct forged *f, struct span s)
{
	put32(f, (uint32_t)s.bytes);
	buf_put(&f->bytes, s);
}

/* Rows of settings.def, then of limits.def. */
enum {
#define WORDS(member, ...)
#define SETTING(member, ...) ROW_##member,
#include "config/settings.def"
#undef SETTING
#undef WORDS
	ROW_LIMITS,
	ROWS = ROW_LIMITS + LIMITS,
};

static void
forge_number(struct forged *f, uint64_t row, uint64_t value)
{
	put32(f, (uint32_t)row);
	put64(f, value);
}

static void
forge_too_much_time(struct forged *f)
{
	forge_number(f, ROW_LIMITS + LIMIT_time, 300001);
}

static void
forge_no_limit(struct forged *f)
{
	forge_number(f, ROW_LIMITS + LIMIT_memory, 0);
}

static void
forge_wrapped_limit(struct forged *f)
{
	forge_number(f, ROW_LIMITS + LIMIT_output, UINT64_MAX);
}

static void
forge_slots(struct forged *f)
{
	forge_number(f, ROW_concurrency, 1025);
}

static void
forge_word(struct forged *f)
{
	forge_number(f, ROW_body, 2);
}

static void
forge_start(struct forged *f)
{
	forge_number(f, ROW_start, START_FORK + 1);
}

static void
forge_auto(struct forged *f)
{
	forge_number(f, ROW_protocol, PROTOCOL_AUTO);
}

static void
forge_cgi_of_many(struct forged *f)
{
	forge_number(f, ROW_requests, 2);
}

static void
forge_cgi_ahead(struct forged *f)
{
	forge_number(f, ROW_spare_max, 1);
}

static void
forge_more_than_most(struct forged *f)
{
	forge_number(f, ROW_protocol, PROTOCOL_FASTCGI);
	forge_number(f, ROW_spare, 2);
	forge_number(f, ROW_spare_max, 1);
}

static void
forge_spares(struct forged *f)
{
	forge_number(f, ROW_protocol, PROTOCOL_FASTCGI);
	forge_number(f, ROW_spare, 9);
	forge_number(f, ROW_spare_max, 9);
}

static void
forge_cut_word(struct forged *f)
{
	forge_number(f, ROW_body, UINT64_C(1) << 32);
}

static void
forge_bool(struct forged *f)
{
	forge_number(f, ROW_pass_authorization, 2);
}

static void
forge_row(struct forged *f)
{
	forge_number(f, ROWS, 1);
}

static void
forge_far_row(struct forged *f)
{
	forge_number(f, UINT32_MAX, 1);
}

static void
forge_twice(struct forged *f)
{
	forge_number(f, ROW_concurrency, 1);
	forge_number(f, ROW_concurrency, 2);
}

static void
forge_backwards(struct forged *f)
{
	forge_number(f, ROW_body, 1);
	forge_number(f, ROW_concurrency, 2);
}

static void
forge_env(struct forged *f, struct span one, struct span two)
{
	put32(f, ROW_env);
	put32(f, two.data ? 2 : 1);
	put_span(f, one);
	if (two.data)
		put_span(f, two);
}

static void
forge_preload(struct forged *f)
{
	forge_env(f, SPAN("LD_PRELOAD=/tmp/x"), SPAN_NONE);
}

static void
forge_header(struct forged *f)
{
	forge_env(f, SPAN("HTTP_AUTHORIZATION=x"), SPAN_NONE);
}

static void
forge_no_value(struct forged *f)
{
	forge_env(f, SPAN("PATH"), SPAN_NONE);
}

static void
forge_no_name(struct forged *f)
{
	forge_env(f, SPAN("=x"), SPAN_NONE);
}

static void
forge_nul(struct forged *f)
{
	forge_env(f, SPAN("A=b\0HTTP_X=c"), SPAN_NONE);
}

static void
forge_same_name(struct forged *f)
{
	forge_env(f, SPAN("A=b"), SPAN("A=c"));
}

static void
forge_count(struct forged *f)
{
	put32(f, ROW_args);
	put32(f, UINT32_MAX);
}

static void
forge_many(struct forged *f)
{
	put32(f, ROW_args);
	put32(f, 257);
	for (int i = 0; i < 257; i++)
		put_span(f, SPAN(""));
}

static void
forge_length(struct forged *f)
{
	put32(f, ROW_args);
	put32(f, 1);
	put32(f, UINT32_MAX);
}

static void
forge_large_env(struct forged *f)
{
	static char value[33000];

	memset(value, 'x', sizeof(value));
	memcpy(value, "A=", 2);
	forge_env(f, span_make(value, sizeof(value)), SPAN_NONE);
}

static void
forge_method(struct forged *f)
{
	put32(f, ROW_methods);
	put32(f, 1);
	put_span(f, SPAN("GET /"));
}

static void
forge_tail(struct forged *f)
{
	forge_number(f, ROW_concurrency, 1);
	buf_put_byte(&f->bytes, 0);
}

static void
forge_size(struct forged *f)
{
	forge_number(f, ROW_concurrency, 1);
	while (buf_bytes(&f->bytes) <= SETTINGS_BYTES_MOST)
		buf_put_byte(&f->bytes, 0);
}

static const struct forgery {
	const char *sentence;
	void (*forge)(struct forged *);
} forgeries[] = {
	{ "one millisecond above the maximum", forge_too_much_time },
	{ "a limit that is off", forge_no_limit },
	{ "a limit without end", forge_wrapped_limit },
	{ "more slots than a function may have", forge_slots },
	{ "a word that there is not", forge_word },
	{ "a way to start there is not", forge_start },
	{ "a protocol that was left open", forge_auto },
	{ "a CGI process of two requests", forge_cgi_of_many },
	{ "a CGI process before its request", forge_cgi_ahead },
	{ "more ready than the most", forge_more_than_most },
	{ "more ready than the tenant may have", forge_spares },
	{ "a word that 32 bits would cut to a good one", forge_cut_word },
	{ "a truth that is neither", forge_bool },
	{ "a row behind the last", forge_row },
	{ "a row far behind the last", forge_far_row },
	{ "the same row twice", forge_twice },
	{ "rows backwards", forge_backwards },
	{ "a variable that the loader obeys", forge_preload },
	{ "a header of the client", forge_header },
	{ "a variable without a value", forge_no_value },
	{ "a variable without a name", forge_no_name },
	{ "a NUL with another variable behind it", forge_nul },
	{ "two variables of one name", forge_same_name },
	{ "more items than there are bytes", forge_count },
	{ "more items than a list may have", forge_many },
	{ "an item longer than all", forge_length },
	{ "more bytes of variables than allowed", forge_large_env },
	{ "a method that is half a request", forge_method },
	{ "a byte behind the last row", forge_tail },
	{ "more bytes than settings may have", forge_size },
};

static void
run_forgery(void **state)
{
	const struct forgery *row = *state;
	struct forged f;

	buf_init(&f.bytes, 1024 * 1024);
	row->forge(&f);
	assert_null(settings_decode(buf_span(&f.bytes),
	    config_terms(config, SPAN_NONE)));
	buf_free(&f.bytes);
}

/* ---- random bytes ------------------------------------------------------------------ */

/* Whatever is decoded is within the maxima, and encodes to what it was. */
static void
check_decoded(struct span bytes)
{
	struct settings *s = settings_decode(bytes,
			    config_terms(config, SPAN_NONE)),
			*again;
	struct buf first, second;

	if (!s)
		return;
	for (int i = 0; i < LIMITS; i++)
		assert_true(s->limits[i] <= config->maximum[i] &&
		    (s->limits[i] > 0 || config->limits[i] == 0));
	assert_true(s->concurrency <= config->slots_function_most);
	buf_init(&first, SETTINGS_BYTES_MOST);
	buf_init(&second, SETTINGS_BYTES_MOST);
	assert_int_equal(settings_encode(s, config_terms(config, SPAN_NONE),
			     &first),
	    0);
	assert_true(buf_bytes(&first) <= bytes.bytes);
	again =
	    settings_decode(buf_span(&first), config_terms(config, SPAN_NONE));
	assert_non_null(again);
	assert_int_equal(settings_encode(again, config_terms(config, SPAN_NONE),
			     &second),
	    0);
	assert_bytes(&second, &first);
	settings_release(&again);
	settings_release(&s);
	buf_free(&first);
	buf_free(&second);
}

static void
test_random(void)
{
	for (int i = 0; i < 50000; i++) {
		size_t bytes = rows_random(&seed, 80);
		char *all = malloc(bytes + 1);

		for (size_t j = 0; j < bytes; j++)
			all[j + 1] =
			    (char)rows_random(&seed, j % 4 == 0 ? 40 : 2);
		check_decoded(span_make(all + 1, bytes));
		free(all);
	}
}

static void
test_changed(void)
{
	struct settings *s = settings_of(settings_rows[6].text);
	struct buf bytes;

	buf_init(&bytes, SETTINGS_BYTES_MOST);
	assert_int_equal(settings_encode(s, config_terms(config, SPAN_NONE),
			     &bytes),
	    0);
	for (int i = 0; i < 50000; i++) {
		size_t count = buf_bytes(&bytes);
		char *all = malloc(count);

		memcpy(all, buf_span(&bytes).data, count);
		for (uint64_t j = 1 + rows_random(&seed, 3); j > 0; j--)
			all[rows_random(&seed, count)] =
			    (char)rows_random(&seed,
				rows_random(&seed, 2) ? 32 : 256);
		check_decoded(span_make(all, count));
		free(all);
	}
	buf_free(&bytes);
	settings_release(&s);
}

static void
test_largest(void)
{
	static char text[40000];
	struct settings *s, *again;
	struct buf file, bytes;

	memset(text, 'x', sizeof(text));
	buf_init(&file, SETTINGS_FILE_MOST);
	buf_init(&bytes, SETTINGS_BYTES_MOST);
	buf_printf(&file, "env = { A = \"%.*s\"; };\nargs = [ \"%.*s\" ];",
	    32768 - 3, text, 16383, text);
	s = settings_of(buf_span(&file));
	assert_int_equal(settings_encode(s, config_terms(config, SPAN_NONE),
			     &bytes),
	    0);
	again =
	    settings_decode(buf_span(&bytes), config_terms(config, SPAN_NONE));
	assert_non_null(again);
	assert_int_equal(strlen(again->env.items[0]), 32767);
	settings_release(&again);
	settings_release(&s);
	buf_free(&file);
	buf_free(&bytes);
}

/* ---- the configuration ----------------------------------------------------------------- */

static struct config *
some_config(void)
{
	struct config *c;
	struct buf errors;

	buf_init(&errors, 65536);
	c = load(SPAN("functions = \"/srv/f\"; allow_accel = true;\n"
		      "front = { users = [ \"a\", \"b\" ]; };\n"
		      "cell = { paths = [ \"/opt\" ]; };\n"
		      "environment = [ ];\n"
		      "maximum = { time = \"1m\"; cpu = 0; };\n"
		      "tenants = ( { name = \"git\"; read = [ \"/mnt\" ]; "
		      "slots = 8; env = { SECRET = \"git's\"; }; }, "
		      "{ name = \"acme\"; env = { SECRET = \"acme's\"; }; } "
		      ");"),
	    &errors);
	assert_non_null(c);
	buf_free(&errors);
	return c;
}

static void
test_config(void)
{
	struct config *c = some_config(), *again;
	struct buf bytes, second;

	buf_init(&bytes, CONFIG_BYTES_MOST);
	buf_init(&second, CONFIG_BYTES_MOST);
	assert_int_equal(config_encode(c, &bytes), 0);
	again = config_decode(buf_span(&bytes));
	assert_non_null(again);
	assert_int_equal(config_encode(again, &second), 0);
	assert_bytes(&second, &bytes);
	assert_int_equal(again->generation, 1);
	assert_string_equal(again->functions, "/srv/f");
	assert_int_equal(again->pass_environment.count, 0);
	assert_int_equal(again->front_users.count, 2);
	assert_int_equal(again->maximum[LIMIT_time], 60000);
	assert_int_equal(again->maximum[LIMIT_cpu], 0);
	assert_int_equal(again->tenants.count, 2);
	assert_string_equal(config_terms(again, SPAN("git"))->env.items[0],
	    "SECRET=git's");
	config_release(&again);

	for (size_t i = 0; i < buf_bytes(&bytes); i++) {
		char *part = malloc(i + 1);

		memcpy(part + 1, buf_span(&bytes).data, i);
		again = config_decode(span_make(part + 1, i));
		config_release(&again);
		free(part);
	}
	config_release(&c);
	buf_free(&bytes);
	buf_free(&second);
}

static void
test_config_for_one(void)
{
	struct config *c = some_config(), *again;
	struct buf bytes;

	buf_init(&bytes, CONFIG_BYTES_MOST);
	assert_int_equal(config_encode_for(c, SPAN("git"), &bytes), 0);
	assert_null(memmem(buf_span(&bytes).data, buf_bytes(&bytes), "acme",
	    4));
	again = config_decode(buf_span(&bytes));
	assert_non_null(again);
	assert_int_equal(config_terms(again, SPAN("git"))->slots, 8);
	assert_int_equal(config_terms(again, SPAN("acme"))->env.count, 0);
	assert_string_equal(again->functions, "/srv/f");
	config_release(&again);

	buf_clear(&bytes);
	assert_int_equal(config_encode_for(c, SPAN("other"), &bytes), 0);
	assert_null(memmem(buf_span(&bytes).data, buf_bytes(&bytes), "SECRET",
	    6));
	config_release(&c);
	buf_free(&bytes);
}

static void
test_config_random(void)
{
	struct config *c = some_config(), *again;
	struct buf bytes;

	buf_init(&bytes, CONFIG_BYTES_MOST);
	assert_int_equal(config_encode(c, &bytes), 0);
	for (int i = 0; i < 20000; i++) {
		size_t count = buf_bytes(&bytes);
		char *all = malloc(count);

		memcpy(all, buf_span(&bytes).data, count);
		for (uint64_t j = 1 + rows_random(&seed, 3); j > 0; j--)
			all[rows_random(&seed, count)] =
			    (char)rows_random(&seed,
				rows_random(&seed, 2) ? 32 : 256);
		again = config_decode(span_make(all, count));
		if (again)
			assert_true(again->slots_host >= 1 &&
			    again->slots_host <= 65536);
		config_release(&again);
		free(all);
	}
	config_release(&c);
	buf_free(&bytes);
}

static void
test_sealed(void)
{
	struct config *c = some_config(), *again;
	struct buf bytes;
	uint64_t count;
	int fd = config_seal(c, true, &count);

	assert_true(fd >= 0);
	again = config_unseal(fd, count);
	assert_non_null(again);
	assert_string_equal(config_terms(again, SPAN("git"))->env.items[0],
	    "SECRET=git's");
	config_release(&again);
	assert_null(config_unseal(fd, count - 1));
	assert_null(config_unseal(fd, count + 1));
	close(fd);

	fd = config_seal(c, false, &count);
	again = config_unseal(fd, count);
	assert_non_null(again);
	assert_int_equal(config_terms(again, SPAN("git"))->env.count, 0);
	config_release(&again);
	close(fd);

	buf_init(&bytes, CONFIG_BYTES_MOST);
	assert_int_equal(config_encode(c, &bytes), 0);
	fd = file_in_memory(buf_span(&bytes));
	assert_null(config_unseal(fd, buf_bytes(&bytes)));
	close(fd);
	config_release(&c);
	buf_free(&bytes);
}

/* Tenants are found by bisection, so their order is part of the bytes. */
static void
test_packed(void)
{
	static const char *const names[] = { "b", "a", "aa", "~a" };
	static const uint32_t sorted[] = { 1, 2, 0, 3 };
	struct grants grants = { 0 };
	struct packed packed = { 0 };
	struct buf bytes;

	buf_init(&bytes, 4096);
	for (size_t i = 0; i < COUNT(names); i++) {
		struct grant *g = grants_add(&grants);

		free(g->name);
		g->name = strdup(names[i]);
		g->slots = i + 1;
	}
	assert_int_equal(grants_encode(grants.items, sorted, 4, &bytes), 0);
	assert_int_equal(packed_open(&packed, buf_span(&bytes), 4), 0);
	for (size_t i = 0; i < COUNT(names); i++) {
		ptrdiff_t at = packed_find(&packed, span_of(names[i]));
		struct grants one = { 0 };

		assert_true(at >= 0);
		assert_true(span_equal(packed_name(&packed, (size_t)at),
		    span_of(names[i])));
		assert_int_equal(packed_take(&packed, (size_t)at, &one), 0);
		assert_int_equal(one.items->slots, i + 1);
		grants_free(&one);
	}
	assert_int_equal(packed_find(&packed, SPAN("aaa")), -1);
	assert_int_equal(packed_find(&packed, SPAN("")), -1);
	packed_free(&packed);

	for (uint32_t count = 0; count < 6; count++) {
		assert_int_equal(packed_open(&packed, buf_span(&bytes), count),
		    count == 4 ? 0 : -1);
		packed_free(&packed);
	}
	assert_int_equal(packed_open(&packed, buf_span(&bytes), SIZE_MAX), -1);
	buf_clear(&bytes); /* as they stand */
	assert_int_equal(grants_encode(grants.items, NULL, 4, &bytes), 0);
	assert_int_equal(packed_open(&packed, buf_span(&bytes), 4), -1);
	packed_free(&packed);
	buf_clear(&bytes); /* one twice */
	assert_int_equal(grants_encode(grants.items, (uint32_t[]){ 1, 1 }, 2,
			     &bytes),
	    0);
	assert_int_equal(packed_open(&packed, buf_span(&bytes), 2), -1);
	packed_free(&packed);
	grants_free(&grants);
	buf_free(&bytes);
}

static void
test_held(void)
{
	struct config *c = config_new(), *held = config_hold(c);
	struct settings *s = settings_new(config_terms(c, SPAN_NONE)),
			*kept = settings_hold(s);

	config_release(&c);
	assert_null(c);
	assert_int_equal(held->slots_host, 256);
	settings_release(&s);
	assert_int_equal(kept->requests, 1);
	settings_release(&kept);
	config_release(&held);
	config_release(&held); /* none: harmless */
}

static const struct story {
	const char *sentence;
	void (*test)(void);
} stories[] = {
	{ "random bytes never give more than the maxima", test_random },
	{ "nor do good bytes with some changed", test_changed },
	{ "the largest settings of a file fit into their message",
	    test_largest },
	{ "a configuration comes back as it was", test_config },
	{ "a cell learns nothing of what other tenants have",
	    test_config_for_one },
	{ "a broken configuration is refused or within its ranges",
	    test_config_random },
	{ "what is sealed comes back, what is not is refused", test_sealed },
	{ "tenants are packed in order, each once", test_packed },
	{ "what somebody holds stays", test_held },
};

static void
run_story(void **state)
{
	((const struct story *)*state)->test();
}

int
main(void)
{
	int failed;

	directory_make();
	config = config_new();
	seed = rows_seed();
	failed = RUN_ROWS(settings_rows, run_settings);
	failed += RUN_ROWS(forgeries, run_forgery);
	failed += RUN_ROWS(stories, run_story);
	config_release(&config);
	directory_remove();
	return failed;
}
