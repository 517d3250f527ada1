/* SPDX-License-Identifier: MIT */
/* config.c - the host's options: their rows, their life, their bytes. Master
 * and its children are of one build, so a row's number names it. */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/diag.h"
#include "wire/time_spec.h"

#include "config/options.h"

/* What `maximum` itself may be at most, by type: 7 days, 1 TiB, 2^20. */
#define CEILING_TIME 604800000
#define CEILING_SIZE 1099511627776
#define CEILING_COUNT 1048576

static const char *const state_durability_words[] = { "full", "relaxed", NULL };

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
	{ .path = CONFIG_GRANTS, .type = OPTION_OTHER,
	    .sentence = "what single tenants get beside what all get" },
};

const struct option grant_options[GRANT_OPTIONS] = {
#define GRANT(member, path_, TYPE, standard, least_, most_, sentence_)      \
	{ .path = path_, .type = OPTION_##TYPE,                             \
	    .offset = offsetof(struct grant, member),                       \
	    STANDARD_##TYPE(standard), .least = least_, .most = most_,      \
	    .sentence = sentence_ },
#include "config/grants.def"
#undef GRANT
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
	char close[32];
	size_t digits;

	/* "10s" in a file, "10 s" in a sentence */
	snprintf(close, sizeof(close), "%s",
	    option_number_text(row, value, text));
	digits = strspn(close, "0123456789.");
	snprintf(text, 32, "%.*s%s%s", (int)digits, close,
	    close[digits] && close[digits] != ' ' ? " " : "", close + digits);
	return text;
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
	for (size_t i = 0; i < c->grant_count; i++)
		options_free(grant_options, GRANT_OPTIONS, &c->grants[i]);
	free(c->grants);
	options_free(config_options, CONFIG_OPTIONS, c);
	free(c);
}

struct grant *
config_grant_add(struct config *c)
{
	struct grant *grants =
	    realloc(c->grants, (c->grant_count + 1) * sizeof(*grants));

	if (!grants)
		return NULL;
	c->grants = grants;
	grants = &grants[c->grant_count++];
	*grants = (struct grant){ 0 };
	options_default(grant_options, GRANT_OPTIONS, grants);
	return grants;
}

const struct grant *
config_grant(const struct config *c, struct span tenant)
{
	for (size_t i = 0; i < c->grant_count; i++)
		if (span_equal(span_of(c->grants[i].tenant), tenant))
			return &c->grants[i];
	return NULL;
}

bool
config_tenant_name(struct span name)
{
	for (size_t i = 0; i < name.bytes; i++) {
		char c = name.data[i];

		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			continue;
		if (i == 0 || (c != '_' && c != '-'))
			return false;
	}
	return name.bytes > 0 && name.bytes <= CONFIG_TENANT_MOST;
}

/* ---- bytes ------------------------------------------------------------------------ */

/* generation, span of options; then a span of options for each grant. */
static int
encode(const struct config *c, const struct span *only, struct buf *b)
{
	struct config *standard = config_new();
	struct grant *plain = config_grant_add(standard);
	struct buf rows;
	int result = -1;

	buf_init(&rows, CONFIG_BYTES_MOST);
	if (!plain || option_put_u64(b, c->generation) != 0 ||
	    options_encode(config_options, CONFIG_OPTIONS, c, standard,
		&rows) != 0 ||
	    option_put_span(b, buf_span(&rows)) != 0)
		goto out;
	for (size_t i = 0; i < c->grant_count; i++) {
		const struct grant *g = &c->grants[i];

		if (only && !span_equal(span_of(g->tenant), *only))
			continue;
		buf_clear(&rows);
		if (options_encode(grant_options, GRANT_OPTIONS, g, plain,
			&rows) != 0 ||
		    option_put_span(b, buf_span(&rows)) != 0)
			goto out;
	}
	result = 0;
out:
	buf_free(&rows);
	config_release(&standard);
	return result;
}

int
config_encode(const struct config *c, struct buf *b)
{
	return encode(c, NULL, b);
}

int
config_encode_for(const struct config *c, struct span tenant, struct buf *b)
{
	return encode(c, &tenant, b);
}

struct config *
config_decode(struct span bytes)
{
	struct config *c = config_new();
	struct span rows;
	struct grant *g;

	if (option_take_u64(&bytes, &c->generation) != 0 ||
	    option_take_span(&bytes, &rows) != 0 ||
	    options_decode(config_options, CONFIG_OPTIONS, rows, c) != 0)
		goto bad;
	while (bytes.bytes > 0) {
		g = config_grant_add(c);
		if (!g || option_take_span(&bytes, &rows) != 0 ||
		    options_decode(grant_options, GRANT_OPTIONS, rows, g) != 0)
			goto bad;
	}
	return c;
bad:
	config_release(&c);
	return NULL;
}
