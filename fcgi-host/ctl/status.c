/* SPDX-License-Identifier: MIT */
/* status.c - what the host says of itself. The host sends one JSON object; its
 * sections become paragraphs, whatever they are called, so that a new fact
 * needs no line here. */

#include <time.h>

#include <jansson.h>

#include "base/diag.h"

#include "ctl/ctl.h"

enum { NAME_COLUMN = 24, DEPTH_MOST = 8 };

static int status_run(const struct ctl *, int count, char **operands);
static void print_section(const char *path, json_t *object, int depth);
static void print_value(const char *name, json_t *value);

const struct command command_status = {
	.run = status_run,
	.text = "Processes, slots, queues and counters, and what this machine "
		"does not enforce.\nThe names are those of --json.\n\n"
		"  fcgi-hostctl status\n"
		"  fcgi-hostctl status --json | jq .requests\n",
};

static int
status_run(const struct ctl *ctl, int count, char **operands)
{
	struct question q = question_of(VERB_STATUS);
	json_t *root;

	(void)count;
	(void)operands;
	root = answer_object(ctl, &q);
	if (host_say(&q, root ? 0 : CTL_FAILED) != 0)
		return CTL_FAILED;
	if (ctl->json)
		return words_json(root);
	print_section("", root, 0);
	json_decref(root);
	return 0;
}

/* First the values of an object, then the objects in it. */
static void
print_section(const char *path, json_t *object, int depth)
{
	char below[256];
	const char *name;
	json_t *value, *item;
	size_t i;
	bool headed = path[0] == '\0';

	json_object_foreach(object, name, value)
	{
		if (json_is_object(value))
			continue;
		if (!headed) {
			fputc('\n', stdout);
			words_put(stdout, span_of(path));
			fputc('\n', stdout);
		}
		headed = true;
		if (!json_is_array(value))
			print_value(name, value);
		json_array_foreach(value, i, item)
		    print_value(i == 0 ? name : "", item);
	}
	json_object_foreach(object, name, value)
	{
		if (!json_is_object(value) || depth == DEPTH_MOST)
			continue;
		snprintf(below, sizeof(below), "%s%s%s", path,
		    path[0] ? "/" : "", name);
		print_section(below, value, depth + 1);
	}
}

static void
print_value(const char *name, json_t *value)
{
	struct span key = span_of(name);
	char text[64];
	time_t at;
	struct tm tm;

	fputs("  ", stdout);
	if (span_ends(key, SPAN("_unix_ms"))) {
		key.bytes -= 8;
		at = (time_t)(json_integer_value(value) / 1000);
		strftime(text, sizeof(text), "%F %T", localtime_r(&at, &tm));
	} else if (json_is_integer(value)) {
		snprintf(text, sizeof(text), "%lld",
		    (long long)json_integer_value(value));
	} else {
		text[0] = '\0';
	}
	words_put(stdout, key);
	printf("%*s",
	    key.bytes < NAME_COLUMN ? NAME_COLUMN - (int)key.bytes : 1, "");
	words_put(stdout,
	    span_of(json_is_string(value) ? json_string_value(value) : text));
	fputc('\n', stdout);
}
