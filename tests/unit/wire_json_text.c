/* SPDX-License-Identifier: MIT */
/* If this fails, a tenant who calls a file by bytes that are no text makes the
 * lists and facts about everybody unreadable. */
#include "rows.h"

#include "wire/json_text.h"

static const struct text_row {
	const char *sentence;
	struct span text;
	const char *json;
} texts[] = {
	{ "nothing is an empty string", SPAN(""), "\"\"" },
	{ "no bytes at all are one as well", { NULL, 0 }, "\"\"" },
	{ "text is text", SPAN("a b"), "\"a b\"" },
	{ "UTF-8 stays", SPAN("gr\xc3\xbc\xc3\x9f"), "\"gr\xc3\xbc\xc3\x9f\"" },
	{ "what is no UTF-8 is replaced", SPAN("gr\xfc\xdf"), "\"gr??\"" },
	{ "cut UTF-8 too", SPAN("a\xc3"), "\"a?\"" },
	{ "a line end is escaped", SPAN("a\nb"), "\"a\\nb\"" },
	{ "a quote too", SPAN("a\"b"), "\"a\\\"b\"" },
	{ "a NUL too, and what is behind it stays", SPAN("a\0b"),
	    "\"a\\u0000b\"" },
	{ "also beside bytes that are replaced", SPAN("\xff\0b"),
	    "\"?\\u0000b\"" },
};

static void
test_text(void **state)
{
	const struct text_row *row = *state;
	json_t *value = json_text(row->text);
	char *json = json_dumps(value, JSON_ENCODE_ANY);

	assert_non_null(json);
	assert_string_equal(json, row->json);
	free(json);
	json_decref(value);
}

int
main(void)
{
	return RUN_ROWS(texts, test_text);
}
