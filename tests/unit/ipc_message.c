/* SPDX-License-Identifier: MIT */
/* If this fails, two processes of the host read different things in the same
 * bytes, or one may say what it has no business to say. */
#include "rows.h"

#include "ipc/message.h"

static uint64_t seed;

/* ---- every row there and back ------------------------------------------------ */

static const char text[] = "words with a NUL\0 in them, and \xff";

static struct span
some_text(void)
{
	return span_make(text, rows_random(&seed, sizeof(text)));
}

typedef int decode_fn(struct span body, void *m);

/* Every beginning of a message, and a message with one byte more, are no
 * message; each in memory of its own size, for the sanitizer. */
static void
check_lengths(struct span message, decode_fn *decode, size_t struct_bytes)
{
	void *m = calloc(1, struct_bytes + 1);
	char *longer = malloc(message.bytes + 1);

	for (size_t bytes = 0; bytes < message.bytes; bytes++) {
		char *cut = malloc(bytes + 1);
		struct span body;

		memcpy(cut + 1, message.data, bytes);
		if (message_type_of(span_make(cut + 1, bytes), &body) ==
		    MESSAGE_NONE)
			assert_true(bytes < MESSAGE_HEAD_BYTES);
		else
			assert_int_equal(decode(body, m), -1);
		free(cut);
	}
	memcpy(longer, message.data, message.bytes);
	longer[message.bytes] = 0;
	assert_int_equal(decode(span_skip(span_make(longer, message.bytes + 1),
				    MESSAGE_HEAD_BYTES),
			     m),
	    -1);
	free(longer);
	free(m);
}

/* clang-format off */
#define FILL_U32(field) m.field = (uint32_t)rows_random(&seed, UINT32_MAX);
#define FILL_U64(field) m.field = rows_random(&seed, UINT64_MAX >> 11);
#define FILL_SPAN(field) m.field = some_text();
#define SAME_NUMBER(field) assert_true(m.field == again.field);
#define SAME_SPAN(field) assert_true(span_equal(m.field, again.field));
#define MESSAGE(NAME, name, from, to, fds, most_fds, most, when)            \
	static int                                                          \
	decode_##name(struct span body, void *m)                            \
	{                                                                   \
		return message_##name##_decode(body, m);                    \
	}                                                                   \
                                                                            \
	static void                                                         \
	test_##name(void)                                                   \
	{                                                                   \
		struct message_##name m = { }, again;                       \
		struct span body;                                           \
		struct buf b;                                               \
                                                                            \
		(void)again;                                                \
		buf_init(&b, MESSAGE_MOST);                                 \
		MESSAGE_##NAME##_FIELDS(FILL_U32, FILL_U64, FILL_SPAN)      \
		assert_int_equal(message_encode(&b, MESSAGE_##NAME, &m), 0);\
		assert_int_equal(message_type_of(buf_span(&b), &body),      \
		    MESSAGE_##NAME);                                        \
		assert_int_equal(message_##name##_decode(body, &again), 0); \
		MESSAGE_##NAME##_FIELDS(SAME_NUMBER, SAME_NUMBER, SAME_SPAN)\
		check_lengths(buf_span(&b), decode_##name, sizeof(m));      \
		buf_free(&b);                                               \
	}
#include "ipc/message.def"
#undef MESSAGE

static const struct there_and_back {
	const char *sentence;
	void (*test)(void);
} there_and_back[] = {
#define MESSAGE(NAME, name, from, to, fds, most_fds, most, when)            \
	{ #NAME " comes back as it was, and no part of it does",            \
	    test_##name },
#include "ipc/message.def"
#undef MESSAGE
};
/* clang-format on */

static void
run_there_and_back(void **state)
{
	const struct there_and_back *row = *state;

	for (int i = 0; i < 20; i++)
		row->test();
}

/* ---- who may say what ---------------------------------------------------------- */

static const struct permission {
	const char *sentence;
	enum message_type type;
	enum role from;
	enum role to;
	bool allowed;
} permissions[] = {
	{ "the gateway may ask master for a tenant", MESSAGE_TENANT_ASK,
	    ROLE_GATEWAY, ROLE_MASTER, true },
	{ "a cell may not ask master for a tenant", MESSAGE_TENANT_ASK,
	    ROLE_CELL, ROLE_MASTER, false },
	{ "the log process may not ask master for a tenant", MESSAGE_TENANT_ASK,
	    ROLE_LOG, ROLE_MASTER, false },
	{ "a cell may not have another cell killed", MESSAGE_CELL_KILL,
	    ROLE_CELL, ROLE_MASTER, false },
	{ "a cell may say that it is ready", MESSAGE_READY, ROLE_CELL,
	    ROLE_MASTER, true },
	{ "the log process may say that it is ready", MESSAGE_READY, ROLE_LOG,
	    ROLE_MASTER, true },
	{ "a launcher is no child of master", MESSAGE_READY, ROLE_LAUNCHER,
	    ROLE_MASTER, false },
	{ "fcgi-hostctl is no child of master", MESSAGE_READY, ROLE_CTL,
	    ROLE_MASTER, false },
	{ "a child may not configure master", MESSAGE_CONFIG, ROLE_GATEWAY,
	    ROLE_MASTER, false },
	{ "a cell may not start anything in a launcher", MESSAGE_START,
	    ROLE_CELL, ROLE_LAUNCHER, false },
	{ "a launcher may not answer as its cell", MESSAGE_RESOLVED,
	    ROLE_LAUNCHER, ROLE_GATEWAY, false },
	{ "a cell may not answer as its launcher", MESSAGE_ENDED, ROLE_CELL,
	    ROLE_GATEWAY, false },
	{ "the gateway may stop an invocation", MESSAGE_STOP, ROLE_GATEWAY,
	    ROLE_CELL, true },
	{ "only the gateway writes access records", MESSAGE_ACCESS, ROLE_CELL,
	    ROLE_LOG, false },
	{ "fcgi-hostctl may ask the gateway", MESSAGE_CONTROL, ROLE_CTL,
	    ROLE_GATEWAY, true },
	{ "fcgi-hostctl may not reload past the gateway", MESSAGE_RELOAD,
	    ROLE_CTL, ROLE_MASTER, false },
	{ "the log process may answer fcgi-hostctl", MESSAGE_CONTROL_OUT,
	    ROLE_LOG, ROLE_CTL, true },
	{ "a cell may not answer fcgi-hostctl", MESSAGE_CONTROL_END, ROLE_CELL,
	    ROLE_CTL, false },
	{ "roles that stand for others are nobody's own", MESSAGE_READY,
	    ROLE_CHILD, ROLE_MASTER, false },
	{ "no row, no message", MESSAGE_NONE, ROLE_MASTER, ROLE_GATEWAY,
	    false },
	{ "a type behind the last row is no message", MESSAGE_TYPES,
	    ROLE_MASTER, ROLE_GATEWAY, false },
};

static void
run_permission(void **state)
{
	const struct permission *row = *state;

	assert_int_equal(message_allowed(row->type, row->from, row->to),
	    row->allowed);
}

/* ---- sizes ------------------------------------------------------------------------ */

static void
test_largest(void)
{
	const struct message_row *row = message_row(MESSAGE_START);
	size_t head = MESSAGE_HEAD_BYTES + 4 * 4 + 8 * 4 + 4 * 3;
	char *bytes = calloc(1, row->most);
	struct message_start m = {
		.env = span_make(bytes, row->most - head),
	};
	struct span body;
	struct buf b;

	buf_init(&b, MESSAGE_MOST);
	assert_int_equal(message_start_encode(&b, &m), 0);
	assert_int_equal(buf_bytes(&b), row->most);
	assert_int_equal(message_type_of(buf_span(&b), &body), MESSAGE_START);

	buf_clear(&b);
	m.env.bytes++;
	assert_int_equal(message_start_encode(&b, &m), -1);
	assert_int_equal(buf_bytes(&b), 0);
	buf_free(&b);
	free(bytes);
}

static void
test_huge(void)
{
	struct message_start m = {
		.ticket = span_make(text, SIZE_MAX),
		.args = span_make(text, SIZE_MAX),
		.env = span_make(text, SIZE_MAX),
	};
	struct buf b;

	buf_init(&b, MESSAGE_MOST);
	assert_int_equal(message_start_encode(&b, &m), -1);
	buf_free(&b);
}

static void
test_larger_than_row(void)
{
	static char bytes[MESSAGE_MOST];
	uint32_t type = MESSAGE_READY;
	struct span body;

	memcpy(bytes, &type, sizeof(type));
	assert_int_equal(message_type_of(span_make(bytes, 64), &body),
	    MESSAGE_READY);
	assert_int_equal(message_type_of(span_make(bytes, 65), &body),
	    MESSAGE_NONE);
}

static void
test_types(void)
{
	struct span body;

	for (uint32_t type = 0; type < 100000; type++) {
		char bytes[4];
		bool known = type > 0 && type < MESSAGE_TYPES;

		memcpy(bytes, &type, sizeof(type));
		assert_int_equal(message_type_of(span_make(bytes, 4), &body),
		    known ? type : MESSAGE_NONE);
	}
	assert_int_equal(message_type_of(SPAN("\xff\xff\xff\xff"), &body),
	    MESSAGE_NONE);
	assert_int_equal(message_type_of(SPAN_NONE, &body), MESSAGE_NONE);
}

static void
test_length_that_wraps(void)
{
	struct message_tenant_ask m;

	assert_int_equal(message_tenant_ask_decode(SPAN("\xff\xff\xff\xff"
							"acme"),
			     &m),
	    -1);
}

static void
test_without_fields(void)
{
	struct span body;
	struct buf b;

	buf_init(&b, MESSAGE_MOST);
	assert_int_equal(message_encode(&b, MESSAGE_READY, NULL), 0);
	assert_int_equal(message_type_of(buf_span(&b), &body), MESSAGE_READY);
	assert_int_equal(body.bytes, 0);
	buf_free(&b);
}

static void
test_random(void)
{
	for (int i = 0; i < 20000; i++) {
		size_t bytes = rows_random(&seed, 64);
		char *body = malloc(bytes + 1);
		struct message_ended ended;
		struct message_resolved resolved;
		struct span all = span_make(body + 1, bytes);

		for (size_t j = 0; j < bytes; j++)
			body[j + 1] =
			    (char)rows_random(&seed, j % 4 == 0 ? 24 : 2);
		message_ended_decode(all, &ended);
		if (message_resolved_decode(all, &resolved) == 0) {
			assert_true(resolved.settings.data +
				resolved.settings.bytes ==
			    all.data + all.bytes);
		}
		free(body);
	}
}

/* Cut anywhere, what is whole comes out and nothing behind it. */
static void
test_packed(void)
{
	struct message_tenant_ask asks[] = { { .tenant = SPAN("acme") },
		{ .tenant = SPAN("") }, { .tenant = SPAN("beta") } };
	struct message_tenant_ask out;
	struct buf packed, one;
	size_t ends[3];

	buf_init(&packed, 100);
	buf_init(&one, MESSAGE_MOST);
	for (size_t i = 0; i < 3; i++) {
		buf_clear(&one);
		message_tenant_ask_encode(&one, &asks[i]);
		assert_int_equal(message_pack(&packed, buf_span(&one)), 0);
		ends[i] = buf_bytes(&packed);
	}
	for (size_t cut = 0; cut <= ends[2]; cut++) {
		struct span rest = span_take(buf_span(&packed), cut), body;
		size_t count = 0;

		while (message_unpack(&rest, &body) == MESSAGE_TENANT_ASK) {
			assert_int_equal(message_tenant_ask_decode(body, &out),
			    0);
			assert_true(span_equal(out.tenant,
			    asks[count++].tenant));
		}
		assert_int_equal(count,
		    (cut >= ends[0]) + (cut >= ends[1]) + (cut >= ends[2]));
	}
	buf_clear(&one);
	while (buf_put_byte(&one, 'x') == 0 && buf_bytes(&one) < 100)
		;
	assert_int_equal(message_pack(&packed, buf_span(&one)), -1);
	assert_int_equal(buf_bytes(&packed), ends[2]);
	buf_free(&packed);
	buf_free(&one);
}

static void
test_verbs(void)
{
	assert_null(verb_row(VERB_NONE));
	assert_null(verb_row(VERBS));
	assert_string_equal(verb_row(VERB_STATUS)->name, "status");
	assert_int_equal(verb_row(VERB_RELOAD)->right, VERB_OPERATOR);
	assert_int_equal(verb_row(VERB_LOGS)->right, VERB_TENANT);
}

static const struct rule {
	const char *sentence;
	void (*test)(void);
} rules[] = {
	{ "a message may be as large as its row says, not a byte more",
	    test_largest },
	{ "lengths that no memory has are refused, not added up", test_huge },
	{ "a message larger than its row is no message", test_larger_than_row },
	{ "only numbers of rows are types", test_types },
	{ "a length behind the end is no length", test_length_that_wraps },
	{ "a row without fields needs no struct", test_without_fields },
	{ "random bytes are read only as far as they go", test_random },
	{ "packed messages come out one by one", test_packed },
	{ "verbs have their right from their row", test_verbs },
};

static void
run_rule(void **state)
{
	((const struct rule *)*state)->test();
}

int
main(void)
{
	int failed;

	seed = rows_seed();
	failed = RUN_ROWS(there_and_back, run_there_and_back);
	failed += RUN_ROWS(permissions, run_permission);
	failed += RUN_ROWS(rules, run_rule);
	return failed;
}
