/* SPDX-License-Identifier: MIT */
/* config.c - the host's options: their rows, their life, their bytes. Master
 * and its children are of one build, so a row's number names it. */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/diag.h"
#include "wire/name.h"
#include "wire/time_spec.h"

#include "config/options.h"

/* What `maximum` itself may be at most, by type: 7 days, 1 TiB, 2^20. */
#define CEILING_TIME 604800000
#define CEILING_SIZE 1099511627776
#define CEILING_COUNT 1048576

static const char *const state_durability_words[] = { "full", "relaxed", NULL };
static const char *const tenant_network_words[] = { "auto", "none", "host",
	NULL };

/* clang-format off */
#define WORDS_OF_PATH(member) NULL
#define WORDS_OF_STRING(member) NULL
#define WORDS_OF_USER(member) NULL
#define WORDS_OF_GROUP(member) NULL
#define WORDS_OF_PATHS(member) NULL
#define WORDS_OF_NAMES(member) NULL
#define WORDS_OF_STRINGS(member) NULL
#define WORDS_OF_TIME(member) NULL
#define WORDS_OF_SIZE(member) NULL
#define WORDS_OF_COUNT(member) NULL
#define WORDS_OF_BOOL(member) NULL
#define WORDS_OF_CHOICE(member) member##_words

const struct option config_options[CONFIG_OPTIONS] = {
#define OPTION(member, path_, TYPE, standard, least_, most_, sentence_)     \
	{ .path = path_, .type = OPTION_##TYPE,                             \
	    .offset = offsetof(struct config, member),                      \
	    STANDARD_##TYPE(standard), .least = least_, .most = most_,      \
	    .words = WORDS_OF_##TYPE(member), .sentence = sentence_ },
#include "config/options.def"
#undef OPTION
#define LIMIT(name, TYPE, standard, most_, sentence_)                       \
	{ .path = "limits." #name, .type = OPTION_##TYPE,                   \
	    .offset = offsetof(struct config, limits[LIMIT_##name]),        \
	    STANDARD_##TYPE(standard), .least = 1,                          \
	    .most = CEILING_##TYPE, .off = true, .sentence = sentence_ },
#include "config/limits.def"
#undef LIMIT
#define LIMIT(name, TYPE, standard, most_, sentence_)                       \
	{ .path = "maximum." #name, .type = OPTION_##TYPE,                  \
	    .offset = offsetof(struct config, maximum[LIMIT_##name]),       \
	    STANDARD_##TYPE(most_), .least = 1, .most = CEILING_##TYPE,     \
	    .off = true,                                                    \
	    .sentence = "the most that limits." #name                       \
	    " may be; 0 is any" },
#include "config/limits.def"
#undef LIMIT
	{ .path = CONFIG_PLANS, .type = OPTION_OTHER,
	    .sentence = "what tenants get that have such a plan" },
	{ .path = CONFIG_TENANTS, .type = OPTION_OTHER,
	    .sentence = "what single tenants get beside what all get" },
};

const struct limit_row limit_rows[LIMITS] = {
#define LETTER_TIME 't'
#define LETTER_SIZE 's'
#define LETTER_COUNT 'c'
#define LIMIT(name, TYPE, standard, most, sentence)                         \
	[LIMIT_##name] = { #name, LETTER_##TYPE, standard, most, sentence },
#include "config/limits.def"
#undef LIMIT
};
/* clang-format on */

const char *
limit_text(enum limit limit, uint64_t value, char text[32])
{
	const struct option *row = config_limit_row(limit);

	return option_number_words(row, value, text);
}

const struct option *
config_limit_row(enum limit limit)
{
	return &config_options[CONFIG_FIRST_LIMIT + limit];
}

/* ---- life ---------------------------------------------------------------------- */

struct config *
config_new(void)
{
	struct config *c = diag_alloc(sizeof(*c));

	c->references = 1;
	options_default(config_options, CONFIG_OPTIONS, c);
	config_settle(c);
	return c;
}

struct config *
config_hold(struct config *c)
{
	assert(c->references > 0);
	c->references++;
	return c;
}

void
config_release(struct config **held)
{
	struct config *c = *held;

	*held = NULL;
	if (!c || --c->references > 0)
		return;
	for (size_t i = 0; i < c->terms_count; i++)
		terms_free(&c->terms[i]);
	free(c->terms);
	grants_free(&c->plans);
	grants_free(&c->tenants);
	strings_free(&c->included);
	options_free(config_options, CONFIG_OPTIONS, c);
	free(c);
}

bool
config_tenant_name(struct span name)
{
	return name_is_tenant(name);
}

/* ---- bytes ------------------------------------------------------------------------ */

static int encode_grants(const struct grant *, size_t count, struct buf *,
    size_t *each);
static int decode_grants(struct span *, struct grants *);

/* generation, span of options, plans, tenants; the latter two as their number
 * and a span of options for each. */
static int
encode(const struct config *c, const struct span *only, struct buf *b,
    size_t *each)
{
	struct config *standard = config_new();
	const struct grant *own = only ? grants_find(&c->tenants, *only) : NULL;
	const char *plan_name = own && own->plan[0] ? own->plan : c->plan;
	const struct grant *plan = grants_find(&c->plans, span_of(plan_name));
	struct config shown = *c; /* borrows all it has */
	struct buf rows;
	int result = -1;

	buf_init(&rows, CONFIG_BYTES_MOST);
	if (own && own->plan[0])
		shown.plan = standard->plan;
	if (option_put_u64(b, c->generation) != 0 ||
	    options_encode(config_options, CONFIG_OPTIONS, &shown, standard,
		&rows) != 0 ||
	    option_put_span(b, buf_span(&rows)) != 0)
		goto out;
	if (only ?
		encode_grants(plan, plan != NULL, b, NULL) != 0 ||
		    encode_grants(own, own != NULL, b, NULL) != 0 :
		encode_grants(c->plans.items, c->plans.count, b, each) != 0 ||
		    encode_grants(c->tenants.items, c->tenants.count, b,
			each ? each + c->plans.count : NULL) != 0)
		goto out;
	result = 0;
out:
	buf_free(&rows);
	config_release(&standard);
	return result;
}

/* How many bytes each takes is told in `each`, unless that is NULL. */
static int
encode_grants(const struct grant *items, size_t count, struct buf *b,
    size_t *each)
{
	struct grants standard = { 0 };
	struct option all[GRANT_OPTIONS];
	struct buf rows;
	int result = -1;

	grant_rows(all);
	buf_init(&rows, CONFIG_BYTES_MOST);
	if (!grants_add(&standard) || option_put_u32(b, (uint32_t)count) != 0)
		goto out;
	for (size_t i = 0; i < count; i++) {
		buf_clear(&rows);
		if (options_encode(all, GRANT_OPTIONS, &items[i],
			standard.items, &rows) != 0 ||
		    option_put_span(b, buf_span(&rows)) != 0)
			goto out;
		if (each)
			each[i] = sizeof(uint32_t) + buf_bytes(&rows);
	}
	result = 0;
out:
	buf_free(&rows);
	grants_free(&standard);
	return result;
}

int
config_encode(const struct config *c, struct buf *b)
{
	return encode(c, NULL, b, NULL);
}

int
config_encode_for(const struct config *c, struct span tenant, struct buf *b)
{
	return encode(c, &tenant, b, NULL);
}

int
config_encode_each(const struct config *c, struct buf *b, size_t *each)
{
	return encode(c, NULL, b, each);
}

struct config *
config_decode(struct span bytes)
{
	struct config *c = config_new();
	struct span rows;

	if (option_take_u64(&bytes, &c->generation) != 0 ||
	    option_take_span(&bytes, &rows) != 0 ||
	    options_decode(config_options, CONFIG_OPTIONS, rows, c) != 0 ||
	    decode_grants(&bytes, &c->plans) != 0 ||
	    decode_grants(&bytes, &c->tenants) != 0 || bytes.bytes > 0 ||
	    config_settle(c) != 0)
		config_release(&c);
	return c;
}

static int
decode_grants(struct span *bytes, struct grants *grants)
{
	struct option all[GRANT_OPTIONS];
	struct span rows;
	struct grant *g;
	uint32_t count;

	grant_rows(all);
	if (option_take_u32(bytes, &count) != 0)
		return -1;
	while (count-- > 0) {
		if (option_take_span(bytes, &rows) != 0)
			return -1;
		g = grants_add(grants);
		if (!g || options_decode(all, GRANT_OPTIONS, rows, g) != 0)
			return -1;
	}
	return 0;
}
