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
	terms_forget(c);
	grants_free(&c->plans);
	packed_free(&c->tenants);
	strings_free(&c->included);
	strings_free(&c->included_at);
	options_free(config_options, CONFIG_OPTIONS, c);
	free(c);
}

bool
config_tenant_name(struct span name)
{
	return name_is_tenant(name);
}

/* ---- bytes ------------------------------------------------------------------------ */

static int encode_host(const struct config *, bool plan, struct buf *);
static int decode_grants(struct config *, struct span);
static struct config *decode(struct span, bool all);
static bool tenants_good(const struct config *);

/* generation, span of options, plans, tenants; the latter two as their number
 * and a span of options for each. */
int
config_encode(const struct config *c, struct buf *b)
{
	struct span tenants = span_make(c->tenants.bytes, c->tenants.size);

	if (encode_host(c, true, b) != 0 ||
	    option_put_u32(b, (uint32_t)c->plans.count) != 0 ||
	    grants_encode(c->plans.items, NULL, c->plans.count, b) != 0 ||
	    option_put_u32(b, (uint32_t)c->tenants.count) != 0)
		return -1;
	return buf_put(b, tenants);
}

int
config_encode_for(const struct config *c, struct span tenant, struct buf *b)
{
	ptrdiff_t own = packed_find(&c->tenants, tenant);
	const char *name = config_terms(c, tenant)->plan;
	const struct grant *plan = grants_find(&c->plans, span_of(name));
	bool of_all = strcmp(name, c->plan) == 0;

	if (encode_host(c, of_all, b) != 0 ||
	    option_put_u32(b, plan != NULL) != 0 ||
	    grants_encode(plan, NULL, plan != NULL, b) != 0 ||
	    option_put_u32(b, own >= 0) != 0)
		return -1;
	return own < 0 ? 0 : buf_put(b, packed_bytes(&c->tenants, (size_t)own));
}

/* `plan`: the name of the plan of all as well. */
static int
encode_host(const struct config *c, bool plan, struct buf *b)
{
	struct config *standard = config_new();
	struct config shown = *c; /* borrows all it has */
	struct buf rows;
	int result = -1;

	buf_init(&rows, b->ceiling);
	if (!plan)
		shown.plan = standard->plan;
	if (option_put_u64(b, c->generation) == 0 &&
	    options_encode(config_options, CONFIG_OPTIONS, &shown, standard,
		&rows) == 0)
		result = option_put_span(b, buf_span(&rows));
	buf_free(&rows);
	config_release(&standard);
	return result;
}

struct config *
config_decode(struct span bytes)
{
	return decode(bytes, true);
}

struct config *
config_open(struct span bytes)
{
	return decode(bytes, false);
}

static struct config *
decode(struct span bytes, bool all)
{
	struct config *c = config_new();
	struct span rows;

	if (option_take_u64(&bytes, &c->generation) != 0 ||
	    option_take_span(&bytes, &rows) != 0 ||
	    options_decode(config_options, CONFIG_OPTIONS, rows, c) != 0 ||
	    decode_grants(c, bytes) != 0 || config_settle(c) != 0 ||
	    (all && !tenants_good(c)))
		config_release(&c);
	return c;
}

static int
decode_grants(struct config *c, struct span bytes)
{
	uint32_t plans, tenants;
	struct span rest, rows;

	if (option_take_u32(&bytes, &plans) != 0)
		return -1;
	rest = bytes;
	for (uint32_t i = 0; i < plans; i++)
		if (option_take_span(&rest, &rows) != 0)
			return -1;
	if (grants_decode(&c->plans, bytes, plans) != 0 ||
	    option_take_u32(&rest, &tenants) != 0)
		return -1;
	return packed_open(&c->tenants, rest, tenants);
}

/* Whether each is one, with a plan that is there. */
static bool
tenants_good(const struct config *c)
{
	bool good = true;

	for (size_t i = 0; good && i < c->tenants.count; i++) {
		struct grants one = { 0 };

		good = packed_take(&c->tenants, i, &one) == 0 &&
		    (one.items->plan[0] == '\0' ||
			grants_find(&c->plans, span_of(one.items->plan)));
		grants_free(&one);
	}
	return good;
}
