/* SPDX-License-Identifier: MIT */
/* settings.c - the settings of a function: rows within the host's maxima, life,
 * bytes. The gateway links this, and gets the bytes from cells, which may be
 * hostile. */

#include <assert.h>
#include <stdlib.h>

#include "base/diag.h"

#include "config/options.h"
#include "config/setting_rows.h"

/* clang-format off */
#define WORDS(member, ...) \
	static const char *const member##_words[] = { __VA_ARGS__, NULL };
#define SETTING(member, name, TYPE, standard, least, most, sentence)
#include "config/settings.def"
#undef WORDS
#undef SETTING

#define WORDS_OF_COUNT(member) NULL
#define WORDS_OF_BOOL(member) NULL
#define WORDS_OF_CHOICE(member) member##_words
#define WORDS_OF_STRINGS(member) NULL
#define WORDS_OF_METHODS(member) NULL
#define WORDS_OF_ENV(member) NULL

static const struct option setting_options[SETTING_OPTIONS] = {
#define WORDS(member, ...)
#define SETTING(member, path_, TYPE, standard, least_, most_, sentence_) \
	{ .path = path_, .type = OPTION_##TYPE,                             \
	    .offset = offsetof(struct settings, member),                    \
	    STANDARD_##TYPE(standard), .least = least_, .most = most_,      \
	    .words = WORDS_OF_##TYPE(member),                               \
	    .sentence = sentence_ },
#include "config/settings.def"
#undef SETTING
#undef WORDS
#define LIMIT(name, TYPE, standard, most_, sentence_)                       \
	{ .path = "limits." #name, .type = OPTION_##TYPE,                   \
	    .offset = offsetof(struct settings, limits[LIMIT_##name]),      \
	    .least = 1, .set_by = "maximum." #name, .sentence = sentence_ },
#include "config/limits.def"
#undef LIMIT
};
/* clang-format on */

/* As the one who set it has written it. */
static const char *
spare_set_by(const struct terms *t)
{
	return t->from[TERM_spare] == TERMS_HOST ?
	    config_options[CONFIG_ROW_tenant_spare].path :
	    "spare";
}

/* 0 is off where the host itself does not limit it, or sets no maximum. */
void
setting_rows(const struct terms *t, struct setting_rows *all)
{
	struct option *rows = all->rows;
	struct option *concurrency = &rows[SETTING_ROW_concurrency];
	struct option *spares[] = { &rows[SETTING_ROW_spare],
		&rows[SETTING_ROW_spare_max] };

	memcpy(rows, setting_options, sizeof(setting_options));
	for (int from = TERMS_HOST; from <= TERMS_TENANT; from++)
		terms_of(t, (enum terms_from)from, all->of[from]);
	concurrency->number = t->concurrency;
	concurrency->most = t->concurrency_most;
	concurrency->set_by =
	    config_options[CONFIG_ROW_slots_function_most].path;
	for (int i = 0; i < 2; i++) {
		spares[i]->most = t->spare;
		spares[i]->set_by = spare_set_by(t);
		spares[i]->set_of = all->of[t->from[TERM_spare]];
	}
	for (int i = 0; i < LIMITS; i++) {
		struct option *row = &rows[SETTING_FIRST_LIMIT + i];

		row->number = t->limits[i];
		row->most = t->maximum[i];
		row->off = t->limits[i] == 0;
		row->set_of = all->of[t->maximum_from[i]];
		if (t->maximum[i] == 0) {
			row->most = config_limit_row((enum limit)i)->most;
			row->off = true;
			row->set_by = NULL;
		}
	}
}

struct settings *
settings_new(const struct terms *t)
{
	struct settings *s = settings_draft(t);

	settings_settle(s, PROGRAM_CGI);
	return s;
}

struct settings *
settings_draft(const struct terms *t)
{
	struct setting_rows all;
	struct settings *s = diag_alloc(sizeof(*s));

	setting_rows(t, &all);
	s->references = 1;
	options_default(all.rows, SETTING_OPTIONS, s);
	return s;
}

void
settings_settle(struct settings *s, unsigned program)
{
	assert(program != PROGRAM_ANY && program <= PROGRAM_PYTHON);
	program = settings_program(s, program);
	if (s->protocol == PROTOCOL_AUTO)
		s->protocol =
		    program == PROGRAM_SDK ? PROTOCOL_FASTCGI : PROTOCOL_CGI;
	if (program == PROGRAM_CGI)
		s->start = START_EXEC;
	if (s->protocol == PROTOCOL_CGI) {
		s->requests = 1;
		s->spare = s->spare_max = 0;
	}
	if (s->spare_max < s->spare)
		s->spare_max = s->spare;
}

unsigned
settings_program(const struct settings *s, unsigned program)
{
	return s->runtime == RUNTIME_PYTHON ? PROGRAM_PYTHON : program;
}

static bool
is_settled(const struct settings *s)
{
	if (s->protocol == PROTOCOL_AUTO || s->spare_max < s->spare)
		return false;
	return s->protocol != PROTOCOL_CGI ||
	    (s->requests == 1 && s->spare_max == 0);
}

struct settings *
settings_hold(struct settings *s)
{
	assert(s->references > 0);
	s->references++;
	return s;
}

void
settings_release(struct settings **held)
{
	struct settings *s = *held;

	*held = NULL;
	if (!s || --s->references > 0)
		return;
	options_free(setting_options, SETTING_OPTIONS, s);
	free(s);
}

int
settings_encode(const struct settings *s, const struct terms *t, struct buf *b)
{
	struct settings *standard = settings_new(t);
	struct setting_rows all;
	int result;

	assert(is_settled(s));
	setting_rows(t, &all);
	result = options_encode(all.rows, SETTING_OPTIONS, s, standard, b);
	settings_release(&standard);
	return result;
}

struct settings *
settings_decode(struct span bytes, const struct terms *t)
{
	struct setting_rows all;
	struct settings *s;

	if (bytes.bytes > SETTINGS_BYTES_MOST)
		return NULL;
	s = settings_new(t);
	setting_rows(t, &all);
	if (options_decode(all.rows, SETTING_OPTIONS, bytes, s) != 0 ||
	    !is_settled(s))
		settings_release(&s);
	return s;
}

bool
settings_takes_method(const struct settings *s, struct span method)
{
	if (s->methods.count == 0)
		return true;
	for (size_t i = 0; i < s->methods.count; i++) {
		struct span taken = span_of(s->methods.items[i]);

		if (span_equal(taken, method))
			return true;
		if (span_equal(taken, SPAN("GET")) &&
		    span_equal(method, SPAN("HEAD")))
			return true;
	}
	return false;
}
