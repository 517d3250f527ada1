/* SPDX-License-Identifier: MIT */
/* tail_find.c - looks backwards through a log and the rotated ones before it for
 * the place where a listener begins: so many lines before the end, or the first
 * line of a call. */

#define _GNU_SOURCE 1 /* memrchr, memmem */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

#include "log/tail.h"

static bool tail_find_lines(struct tail *, struct span bytes, uint64_t from);
static bool tail_find_call(struct tail *, struct span bytes, uint64_t from);
static bool tail_find_older(struct tail *);
static void tail_found(struct tail *);

void
tail_find(struct tail *t)
{
	uint64_t from =
	    t->find.offset > TAIL_CHUNK ? t->find.offset - TAIL_CHUNK : 0;
	size_t bytes = (size_t)(t->find.offset - from);
	size_t tenant_bytes = t->tenant_bytes;
	ssize_t n = 0;
	bool found;

	if (t->find.fd >= 0 && bytes > 0)
		n = pread(t->find.fd, t->all->chunk, bytes, (off_t)from);
	if (n < 0 || (size_t)n != bytes) {
		tail_end(t, "the log cannot be read");
		return;
	}
	t->looked_bytes += bytes;
	found = t->call[0] ?
	    tail_find_call(t, span_make(t->all->chunk, bytes), from) :
	    tail_find_lines(t, span_make(t->all->chunk, bytes), from);
	if (t->state != TAIL_FINDING || t->tenant_bytes != tenant_bytes)
		return; /* it ended, or began anew */
	if (!found && t->find.offset == 0)
		found = !tail_find_older(t);
	if (found)
		tail_found(t);
	else
		tail_soon(t);
}

static bool
tail_find_lines(struct tail *t, struct span bytes, uint64_t from)
{
	ptrdiff_t at = tail_back(bytes, &t->left);

	t->here = true;
	t->start.offset = from + (at > 0 ? (uint64_t)at : 0);
	t->find.offset = from;
	return at >= 0;
}

/* Looks at whole lines from the last to the first; what stands before the first
 * line end belongs to the chunk before. */
static bool
tail_find_call(struct tail *t, struct span bytes, uint64_t from)
{
	struct span text;
	struct line line;
	uint64_t time_ms, total_ms;
	const char *end;
	size_t at, left = bytes.bytes;

	while (left > 0) {
		end = memrchr(bytes.data, '\n', left - 1);
		at = end ? (size_t)(end - bytes.data) + 1 : 0;
		if (!end && from > 0 && left < bytes.bytes)
			break;
		text = span_make(bytes.data + at, left - at);
		left = at;
		if (tail_is_of_call(t, text)) {
			if (t->tenant_bytes == 0) {
				tail_found_tenant(t, text);
				return false;
			}
			t->here = t->seen = true;
			t->start.offset = from + at;
		}
		if (line_parse(text, &line) != 0 ||
		    line_time(line.time, &time_ms) != 0)
			continue;
		if (t->since_ms > time_ms)
			return true;
		if (line.mark == LINE_RESULT && tail_is_of_call(t, text) &&
		    record_total_ms(line.text, &total_ms) == 0)
			t->since_ms = time_ms - total_ms - DRAIN_HOLD_MS -
			    1000; /* and clocks are set */
	}
	t->find.offset = from + left;
	return t->follow && t->since_ms == 0 &&
	    t->looked_bytes >= TAIL_BACK_MOST;
}

/* Goes on at the end of the file before this one. False: there is none. */
static bool
tail_find_older(struct tail *t)
{
	int age = t->find.fd < 0 ?
	    -1 :
	    files_age(t->all->files, tail_name(t), t->find.fd);
	struct stat st;
	int fd;

	if (age < 0)
		return false;
	fd = files_open(t->all->files, tail_name(t), (unsigned)age + 1);
	if (fd < 0)
		return false;
	if (fstat(fd, &st) != 0) {
		fd_close(&fd);
		return false;
	}
	if (t->here) {
		fd_close(&t->start.fd);
		t->start.fd = t->find.fd;
		t->here = false;
	} else {
		fd_close(&t->find.fd);
	}
	t->find.fd = fd;
	t->find.offset = (uint64_t)st.st_size;
	return true;
}

static void
tail_found(struct tail *t)
{
	const struct recent *recent;

	if (t->here && t->find.fd >= 0) {
		fd_close(&t->start.fd);
		t->start.fd = t->find.fd;
		t->find.fd = -1;
	}
	fd_close(&t->find.fd);
	if (t->start.fd < 0) /* it may have come meanwhile, all of it new */
		t->start.fd = files_open(t->all->files, tail_name(t), 0);
	if (t->call[0] && !t->seen && (recent = recent_find(t->all, t))) {
		buf_put_string(&t->out, recent->line);
		tail_end(t, NULL);
	} else if (t->call[0] && !t->seen && !t->follow) {
		tail_end(t, "no such request in the log");
	} else if (t->start.fd >= 0) {
		tail_move(t, TAIL_READING);
		tail_soon(t);
	} else {
		tail_at_end(t);
	}
}

bool
tail_is_of_call(struct tail *t, struct span text)
{
	char needle[ID_MOST + sizeof("\"request\":\"\"")];
	struct line line;
	int bytes;

	if (t->tenant_bytes > 0)
		return line_parse(text, &line) == 0 &&
		    span_equal(line.request, span_of(t->call));
	/* quotes within values are escaped, so this is no value */
	bytes = snprintf(needle, sizeof(needle), "\"request\":\"%s\"", t->call);
	return memmem(text.data, text.bytes, needle, (size_t)bytes) != NULL;
}

/* access.log says whose request it was: that tenant's log has the lines. */
void
tail_found_tenant(struct tail *t, struct span json)
{
	static const char key[] = "\"tenant\":\"";
	const char *at = memmem(json.data, json.bytes, key, sizeof(key) - 1);
	struct span name = at ?
	    span_skip(json, (size_t)(at - json.data) + sizeof(key) - 1) :
	    SPAN("\"");

	name = span_cut(&name, '"');
	if (!files_name_good(name)) {
		tail_end(t,
		    "that request was for no tenant; access.log has "
		    "its record");
		return;
	}
	memcpy(t->tenant, name.data, name.bytes);
	t->tenant_bytes = name.bytes;
	tail_begin(t);
}

ptrdiff_t
tail_back(struct span bytes, uint64_t *left)
{
	const char *end;

	while ((end = memrchr(bytes.data, '\n', bytes.bytes))) {
		bytes.bytes = (size_t)(end - bytes.data);
		if (--*left == 0)
			return (ptrdiff_t)bytes.bytes + 1;
	}
	return -1;
}
