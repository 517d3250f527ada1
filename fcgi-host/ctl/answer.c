/* SPDX-License-Identifier: MIT */
/* answer.c - answers that are read here before they are shown: text, one JSON
 * object, or one a line. */

#include <stdlib.h>

#include <jansson.h>

#include "base/diag.h"

#include "ctl/ctl.h"

enum { ANSWER_MOST = 1024 * 1024 * 1024 };

static json_t *rows_parse(struct span lines);

json_t *
answer_object(const struct ctl *ctl, struct question *q)
{
	json_t *root = NULL;
	json_error_t error;
	struct buf answer;

	buf_init(&answer, ANSWER_MOST);
	question_collects(q, &answer);
	q->control.flags |= CONTROL_JSON;
	if (host_ask(ctl, q) == 0) {
		root = json_loadb(buf_span(&answer).data, buf_bytes(&answer), 0,
		    &error);
		if (!json_is_object(root)) {
			snprintf(q->reason, sizeof(q->reason),
			    "the host's answer is no JSON object: %s",
			    error.text);
			json_decref(root);
			root = NULL;
		}
	}
	buf_free(&answer);
	return root;
}

json_t *
answer_rows(const struct ctl *ctl, struct question *q)
{
	json_t *rows = NULL;
	struct buf answer;

	buf_init(&answer, ANSWER_MOST);
	question_collects(q, &answer);
	q->control.flags |= CONTROL_JSON;
	if (host_ask(ctl, q) == 0) {
		rows = rows_parse(buf_span(&answer));
		if (!rows)
			snprintf(q->reason, sizeof(q->reason),
			    "the host's answer is not JSON, one object a line");
	}
	buf_free(&answer);
	return rows;
}

static json_t *
rows_parse(struct span lines)
{
	json_t *rows = json_array(), *row;
	struct span line;

	while (lines.bytes > 0) {
		line = span_cut(&lines, '\n');
		row = json_loadb(line.data, line.bytes, 0, NULL);
		if (!json_is_object(row) || json_array_append(rows, row) != 0) {
			json_decref(row);
			json_decref(rows);
			return NULL;
		}
		json_decref(row);
	}
	return rows;
}

const char *
answer_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}
