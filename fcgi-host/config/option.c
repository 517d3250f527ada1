/* SPDX-License-Identifier: MIT */
/* option.c - values by their rows: defaults, what is allowed, and bytes. Knows
 * no file: the processes that get their options in a message link this without
 * libconfig. Bytes may come from a hostile cell. */

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/diag.h"
#include "wire/time_spec.h"

#include "config/env_name.h"
#include "config/option.h"

/* The member of a row in its object. */
static void *
member(const struct option *row, void *object)
{
	return (char *)object + row->offset;
}

static const void *
member_of(const struct option *row, const void *object)
{
	return (const char *)object + row->offset;
}

enum option_kind
option_kind(const struct option *row)
{
	switch (row->type) {
	case OPTION_PATH:
	case OPTION_STRING:
	case OPTION_USER:
	case OPTION_GROUP:
		return OPTION_TEXT;
	case OPTION_PATHS:
	case OPTION_NAMES:
	case OPTION_STRINGS:
	case OPTION_METHODS:
	case OPTION_ENV:
		return OPTION_LIST;
	case OPTION_TIME:
	case OPTION_SIZE:
	case OPTION_COUNT:
	case OPTION_BOOL:
	case OPTION_CHOICE:
		return OPTION_NUMBER;
	case OPTION_OTHER:
		break;
	}
	return OPTION_NOTHING;
}

/* ---- values in their objects ------------------------------------------------ */

uint64_t
option_number(const struct option *row, const void *object)
{
	const void *at = member_of(row, object);

	assert(option_kind(row) == OPTION_NUMBER);
	if (row->type == OPTION_BOOL)
		return *(const bool *)at;
	if (row->type == OPTION_CHOICE)
		return *(const unsigned *)at;
	return *(const uint64_t *)at;
}

bool
option_is_set(const struct option *row, const void *object)
{
	uint64_t unset =
	    row->type == OPTION_CHOICE ? (unsigned)OPTION_UNSET : OPTION_UNSET;

	return option_number(row, object) != unset;
}

const char *
option_string(const struct option *row, const void *object)
{
	assert(option_kind(row) == OPTION_TEXT);
	return *(char *const *)member_of(row, object);
}

const struct strings *
option_list(const struct option *row, const void *object)
{
	assert(option_kind(row) == OPTION_LIST);
	return member_of(row, object);
}

void
option_set(const struct option *row, void *object, struct option_value *value)
{
	void *at = member(row, object);

	switch (option_kind(row)) {
	case OPTION_NUMBER:
		if (row->type == OPTION_BOOL)
			*(bool *)at = value->number != 0;
		else if (row->type == OPTION_CHOICE)
			*(unsigned *)at = (unsigned)value->number;
		else
			*(uint64_t *)at = value->number;
		break;
	case OPTION_TEXT:
		free(*(char **)at);
		*(char **)at = value->text;
		value->text = NULL;
		break;
	case OPTION_LIST:
		strings_free(at);
		*(struct strings *)at = value->list;
		value->list = (struct strings){ 0 };
		break;
	case OPTION_NOTHING:
		break;
	}
}

void
option_value_free(struct option_value *value)
{
	free(value->text);
	strings_free(&value->list);
	*value = (struct option_value){ 0 };
}

void
options_default(const struct option *rows, size_t count, void *object)
{
	for (const struct option *row = rows; row < rows + count; row++) {
		struct option_value value = { .number = row->number };
		struct span rest = span_of(row->text), item;

		if (option_kind(row) == OPTION_TEXT)
			value.text = diag_strdup(row->text ? row->text : "");
		while (option_kind(row) == OPTION_LIST && rest.bytes > 0) {
			item = span_cut(&rest, ' ');
			if (strings_add(&value.list, item) != 0)
				diag_fatal("no memory for the options");
		}
		option_set(row, object, &value);
	}
}

void
options_free(const struct option *rows, size_t count, void *object)
{
	for (const struct option *row = rows; row < rows + count; row++)
		option_set(row, object, &(struct option_value){ 0 });
}

/* ---- what is allowed --------------------------------------------------------- */

const char *
option_number_text(const struct option *row, uint64_t value, char text[32])
{
	switch (row->type) {
	case OPTION_TIME:
		return time_spec_text(value, text);
	case OPTION_SIZE:
		return size_spec_text(value, text);
	case OPTION_BOOL:
		return value ? "true" : "false";
	case OPTION_CHOICE:
		return row->words[value];
	default:
		snprintf(text, 32, "%" PRIu64, value);
		return text;
	}
}

const char *
option_number_words(const struct option *row, uint64_t value, char text[32])
{
	char close[32];
	size_t digits;

	snprintf(close, sizeof(close), "%s",
	    option_number_text(row, value, text));
	digits = strspn(close, "0123456789.");
	snprintf(text, 32, "%.*s%s%s", (int)digits, close,
	    digits > 0 && close[digits] && close[digits] != ' ' ? " " : "",
	    close + digits);
	return text;
}

const char *
option_range(const struct option *row, char text[96])
{
	char least[32], most[32];

	text[0] = '\0';
	if (row->type == OPTION_TIME || row->type == OPTION_SIZE ||
	    row->type == OPTION_COUNT)
		snprintf(text, 96, "%s%s to %s",
		    row->off && row->least > 0 ? "0 or " : "",
		    option_number_text(row, row->least, least),
		    option_number_text(row, row->most, most));
	return text;
}

/* How many values it chooses from, the first is 0. 0: it has a range. */
static uint64_t
choices(const struct option *row)
{
	uint64_t words = 0;

	if (row->type == OPTION_BOOL)
		return 2;
	if (row->type != OPTION_CHOICE)
		return 0;
	while (row->words[words])
		words++;
	return words;
}

static int
check_number(const struct option *row, uint64_t value, char *why)
{
	char text[32], most[32], range[96];

	if (choices(row) > 0 && value >= choices(row)) {
		snprintf(why, OPTION_WHY_MOST, " has no choice %" PRIu64,
		    value);
		return -1;
	}
	if (choices(row) > 0)
		return 0;
	if ((value == 0 && row->off) ||
	    (value >= row->least && value <= row->most))
		return 0;
	option_number_text(row, value, text);
	if (value > row->most && row->set_by)
		snprintf(why, OPTION_WHY_MOST,
		    " = %s is above the %s "
		    "maximum of %s (%s%s)",
		    text, row->set_of && *row->set_of ? "tenant's" : "host's",
		    option_number_text(row, row->most, most), row->set_by,
		    row->set_of ? row->set_of : "");
	else if (value == 0 && row->set_by)
		snprintf(why, OPTION_WHY_MOST,
		    " = 0 would switch it off, "
		    "which the host does not allow: it takes %s",
		    option_range(row, range));
	else
		snprintf(why, OPTION_WHY_MOST,
		    " = %s is out of range: it "
		    "takes %s",
		    text, option_range(row, range));
	return -1;
}

static int
check_text(const struct option *row, const char *text, char *why)
{
	bool may_be_empty = row->text && row->text[0] == '\0';

	assert(text);
	if (text[0] == '\0' && !may_be_empty)
		snprintf(why, OPTION_WHY_MOST, " must not be empty");
	else if (strlen(text) > OPTION_TEXT_MOST)
		snprintf(why, OPTION_WHY_MOST, " is longer than %d bytes",
		    OPTION_TEXT_MOST);
	else
		return 0;
	return -1;
}

static bool
is_method(struct span s)
{
	static const char others[] = "!#$%&'*+-.^_`|~"; /* RFC 9110, 5.6.2 */

	for (size_t i = 0; i < s.bytes; i++) {
		char c = s.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || (c && strchr(others, c))))
			return false;
	}
	return s.bytes > 0 && s.bytes <= OPTION_METHOD_MOST;
}

/* What is listed is shown to functions at the same place, and theirs is a root
 * of their own. */
static int
check_path(struct span path, char *why)
{
	size_t bytes = 0;

	if (!span_starts(path, SPAN("/"))) {
		snprintf(why, OPTION_WHY_MOST,
		    " has a path that is not absolute");
		return -1;
	}
	while (bytes < path.bytes && strchr("/.", path.data[bytes]))
		bytes++; /* "//" and "/../." are the root as well */
	if (bytes < path.bytes)
		return 0;
	snprintf(why, OPTION_WHY_MOST,
	    " has \"/\", which cannot be shown as a whole: name the "
	    "directories that are meant");
	return -1;
}

int
option_check_item(const struct option *row, struct span item,
    char why[OPTION_WHY_MOST])
{
	struct span rest = item, name;
	const char *refused;

	switch (row->type) {
	case OPTION_PATHS:
		return check_path(item, why);
	case OPTION_METHODS:
		if (is_method(item))
			return 0;
		snprintf(why, OPTION_WHY_MOST,
		    " has what is no request "
		    "method");
		return -1;
	case OPTION_NAMES:
	case OPTION_ENV:
		name = row->type == OPTION_ENV ? span_cut(&rest, '=') : item;
		if (row->type == OPTION_ENV && !rest.data) {
			snprintf(why, OPTION_WHY_MOST,
			    " has a name without "
			    "a value");
			return -1;
		}
		refused = env_name_refused(name);
		if (!refused)
			return 0;
		snprintf(why, OPTION_WHY_MOST, ": %.*s %s",
		    (int)(name.bytes < 64 ? name.bytes : 64), name.data,
		    refused);
		return -1;
	default:
		return 0;
	}
}

/* How often a variable's name is in the list before `end`. */
static bool
name_is_before(const struct strings *list, size_t end)
{
	struct span rest = span_of(list->items[end]);
	struct span name = span_cut(&rest, '=');

	for (size_t i = 0; i < end; i++)
		if (strncmp(list->items[i], name.data, name.bytes) == 0 &&
		    list->items[i][name.bytes] == '=')
			return true;
	return false;
}

static int
check_list(const struct option *row, const struct strings *list, char *why)
{
	size_t bytes = 0, most = OPTION_LIST_MOST, items = OPTION_ITEMS_MOST;

	if (row->type == OPTION_ENV)
		most = OPTION_ENV_MOST;
	if (row->type == OPTION_METHODS)
		items = OPTION_METHODS_MOST;
	if (list->count > items) {
		snprintf(why, OPTION_WHY_MOST,
		    " has %zu items; %zu are "
		    "allowed",
		    list->count, items);
		return -1;
	}
	for (size_t i = 0; i < list->count; i++) {
		bytes += strlen(list->items[i]) + 1;
		if (option_check_item(row, span_of(list->items[i]), why) != 0)
			return -1;
		if (row->type == OPTION_ENV && name_is_before(list, i)) {
			snprintf(why, OPTION_WHY_MOST, " has a name twice");
			return -1;
		}
	}
	if (bytes <= most)
		return 0;
	snprintf(why, OPTION_WHY_MOST, " has %zu bytes; %zu are allowed", bytes,
	    most);
	return -1;
}

int
option_check(const struct option *row, const struct option_value *value,
    char why[OPTION_WHY_MOST])
{
	switch (option_kind(row)) {
	case OPTION_NUMBER:
		return check_number(row, value->number, why);
	case OPTION_TEXT:
		return check_text(row, value->text, why);
	case OPTION_LIST:
		return check_list(row, &value->list, why);
	case OPTION_NOTHING:
		break;
	}
	return -1;
}

/* ---- bytes --------------------------------------------------------------------- */

int
option_put_u32(struct buf *b, uint32_t value)
{
	return buf_put(b, span_make(&value, sizeof(value)));
}

int
option_put_u64(struct buf *b, uint64_t value)
{
	return buf_put(b, span_make(&value, sizeof(value)));
}

int
option_put_span(struct buf *b, struct span s)
{
	if (s.bytes > UINT32_MAX || option_put_u32(b, (uint32_t)s.bytes) != 0)
		return -1;
	return buf_put(b, s);
}

static int
take(struct span *rest, void *to, size_t bytes)
{
	if (rest->bytes < bytes)
		return -1;
	memcpy(to, rest->data, bytes);
	*rest = span_skip(*rest, bytes);
	return 0;
}

int
option_take_u32(struct span *rest, uint32_t *value)
{
	return take(rest, value, sizeof(*value));
}

int
option_take_u64(struct span *rest, uint64_t *value)
{
	return take(rest, value, sizeof(*value));
}

int
option_take_span(struct span *rest, struct span *s)
{
	uint32_t bytes;

	if (option_take_u32(rest, &bytes) != 0 || rest->bytes < bytes)
		return -1;
	*s = span_take(*rest, bytes);
	*rest = span_skip(*rest, bytes);
	return 0;
}

static bool
option_equal(const struct option *row, const void *a, const void *b)
{
	switch (option_kind(row)) {
	case OPTION_NUMBER:
		return option_number(row, a) == option_number(row, b);
	case OPTION_TEXT:
		return strcmp(option_string(row, a), option_string(row, b)) ==
		    0;
	case OPTION_LIST:
		return strings_equal(option_list(row, a), option_list(row, b));
	case OPTION_NOTHING:
		break;
	}
	return true;
}

static int
encode_one(const struct option *row, const void *object, struct buf *b)
{
	const struct strings *list;

	switch (option_kind(row)) {
	case OPTION_NUMBER:
		return option_put_u64(b, option_number(row, object));
	case OPTION_TEXT:
		return option_put_span(b, span_of(option_string(row, object)));
	case OPTION_LIST:
		list = option_list(row, object);
		if (option_put_u32(b, (uint32_t)list->count) != 0)
			return -1;
		for (size_t i = 0; i < list->count; i++)
			if (option_put_span(b, span_of(list->items[i])) != 0)
				return -1;
		return 0;
	case OPTION_NOTHING:
		break;
	}
	return 0;
}

int
options_encode(const struct option *rows, size_t count, const void *object,
    const void *standard, struct buf *b)
{
	for (uint32_t i = 0; i < count; i++) {
		if (option_equal(&rows[i], object, standard))
			continue;
		if (option_put_u32(b, i) != 0 ||
		    encode_one(&rows[i], object, b) != 0)
			return -1;
	}
	return 0;
}

/* A text without a NUL in it, which would hide what stands behind. */
static int
take_text(struct span *rest, struct span *s)
{
	if (option_take_span(rest, s) != 0 || span_find(*s, '\0') >= 0)
		return -1;
	return 0;
}

static int
decode_value(const struct option *row, struct span *rest,
    struct option_value *value)
{
	struct span item;
	uint32_t count;

	switch (option_kind(row)) {
	case OPTION_NUMBER:
		return option_take_u64(rest, &value->number);
	case OPTION_TEXT:
		if (take_text(rest, &item) != 0)
			return -1;
		value->text = span_dup(item);
		return value->text ? 0 : -1;
	case OPTION_LIST:
		if (option_take_u32(rest, &count) != 0 ||
		    count > OPTION_ITEMS_MOST)
			return -1;
		while (count-- > 0)
			if (take_text(rest, &item) != 0 ||
			    strings_add(&value->list, item) != 0)
				return -1;
		return 0;
	case OPTION_NOTHING:
		break;
	}
	return -1;
}

int
options_decode(const struct option *rows, size_t count, struct span rest,
    void *object)
{
	uint32_t next = 0, index;
	char why[OPTION_WHY_MOST];
	int result = 0;

	while (result == 0 && rest.bytes > 0) {
		struct option_value value = { 0 };

		/* Ascending: each row at most once, so work is bounded. */
		if (option_take_u32(&rest, &index) != 0 || index < next ||
		    index >= count)
			return -1;
		next = index + 1;
		result = decode_value(&rows[index], &rest, &value);
		if (result == 0)
			result = option_check(&rows[index], &value, why);
		if (result == 0)
			option_set(&rows[index], object, &value);
		option_value_free(&value);
	}
	return result;
}

/* ---- lists of text ---------------------------------------------------------------- */

int
strings_add(struct strings *list, struct span item)
{
	char *copy = span_dup(item);
	char **items;

	if (!copy)
		return -1;
	items = realloc(list->items, (list->count + 1) * sizeof(*items));
	if (!items) {
		free(copy);
		return -1;
	}
	items[list->count++] = copy;
	list->items = items;
	return 0;
}

int
strings_put_env(struct strings *list, struct span pair)
{
	struct span rest = pair, name = span_cut(&rest, '=');
	char *copy;

	for (size_t i = 0; i < list->count; i++) {
		if (strncmp(list->items[i], pair.data, name.bytes + 1) != 0)
			continue;
		copy = span_dup(pair);
		if (!copy)
			return -1;
		free(list->items[i]);
		list->items[i] = copy;
		return 0;
	}
	return strings_add(list, pair);
}

bool
strings_have(const struct strings *list, struct span item)
{
	for (size_t i = 0; i < list->count; i++)
		if (span_equal(span_of(list->items[i]), item))
			return true;
	return false;
}

int
strings_copy(struct strings *to, const struct strings *from)
{
	*to = (struct strings){ 0 };
	for (size_t i = 0; i < from->count; i++)
		if (strings_add(to, span_of(from->items[i])) != 0) {
			strings_free(to);
			return -1;
		}
	return 0;
}

void
strings_free(struct strings *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct strings){ 0 };
}

bool
strings_equal(const struct strings *a, const struct strings *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}
