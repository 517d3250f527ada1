/* SPDX-License-Identifier: MIT */
/* record.c - an access record as a line of JSON (access.log) and as a line of
 * words (the tenant's log). Times are milliseconds with three decimals. */

#include <sys/wait.h>

#include "base/clock.h"
#include "base/proc.h"

#include "log/log.h"

enum { RECORD_TARGET_MOST = 1024 }; /* of a request target, in words */

static int put_texts(struct buf *, const struct message_access *);
static int put_run(struct buf *, const struct message_access *);
static int put_json_ms(struct buf *, const char *name, uint64_t us);
static int put_word_ms(struct buf *, const char *name, uint64_t us);
static uint64_t total_us(const struct message_access *);

int
record_put_json(struct buf *out, const struct message_access *a)
{
	char time[LINE_TIME_BYTES + 1];

	clock_iso(a->at_unix_ms, time);
	if (buf_printf(out, "{\"time\":\"%s\"", time) != 0 ||
	    put_texts(out, a) != 0 ||
	    buf_printf(out, ",\"status\":%u", a->status) != 0 ||
	    put_json_ms(out, "upload_ms", a->upload_us) != 0 ||
	    put_json_ms(out, "waited_ms", a->waited_us) != 0 ||
	    (a->ran && put_run(out, a) != 0))
		return -1;
	return buf_printf(out, ",\"bytes_in\":%llu,\"bytes_out\":%llu}\n",
	    (unsigned long long)a->bytes_in, (unsigned long long)a->bytes_out);
}

int
record_put_result(struct buf *out, const struct message_access *a,
    const char *time)
{
	char words[32];

	if (line_put_head(out, time, a->request, a->function, LINE_RESULT) !=
		0 ||
	    buf_printf(out, "%u ", a->status) != 0 ||
	    line_put_word(out, a->method) != 0 || buf_put_byte(out, ' ') != 0 ||
	    line_put_word(out,
		span_take(a->target,
		    line_cut(a->target, RECORD_TARGET_MOST))) != 0 ||
	    buf_put_string(out, " end=") != 0 ||
	    line_put_word(out, a->end) != 0 ||
	    put_word_ms(out, "total", total_us(a)) != 0 ||
	    put_word_ms(out, "waited", a->waited_us) != 0)
		return -1;
	if (a->ran &&
	    (put_word_ms(out, "started", a->started_us) != 0 ||
		put_word_ms(out, "ran", a->ran_us) != 0 ||
		put_word_ms(out, "cpu", a->cpu_us) != 0 ||
		buf_printf(out, " rss=%lluKiB",
		    (unsigned long long)a->max_rss_kib) != 0))
		return -1;
	if (buf_printf(out, " in=%llu out=%llu",
		(unsigned long long)a->bytes_in,
		(unsigned long long)a->bytes_out) != 0)
		return -1;
	if (a->ran &&
	    buf_printf(out, " strays=%u (%s)", a->strays,
		proc_status_words((int)a->wait_status, words)) != 0)
		return -1;
	if (a->detail.bytes > 0 &&
	    (buf_put_string(out, " - ") != 0 ||
		line_put_text(out, a->detail) != 0))
		return -1;
	return buf_put_byte(out, '\n');
}

int
record_total_ms(struct span text, uint64_t *ms)
{
	struct span word;

	while ((word = span_cut(&text, ' ')).data)
		if (span_starts(word, SPAN("total="))) {
			word = span_skip(word, 6);
			return span_number(span_cut(&word, '.'), UINT32_MAX,
			    ms);
		}
	return -1;
}

static int
put_texts(struct buf *out, const struct message_access *a)
{
	const struct {
		const char *name;
		struct span text;
		bool always;
	} rows[] = {
		{ "request", a->request, true },
		{ "client_request", a->client_request, false },
		{ "tenant", a->tenant, true },
		{ "function", a->function, true },
		{ "method", a->method, true },
		{ "target", a->target, true },
		{ "remote", a->remote, true },
		{ "end", a->end, true },
		{ "detail", a->detail, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if ((rows[i].always || rows[i].text.bytes > 0) &&
		    (buf_printf(out, ",\"%s\":", rows[i].name) != 0 ||
			line_put_json(out, rows[i].text) != 0))
			return -1;
	return 0;
}

static int
put_run(struct buf *out, const struct message_access *a)
{
	int status = (int)a->wait_status, result;

	if (WIFSIGNALED(status))
		result = buf_printf(out, ",\"signal\":\"%s\"",
		    proc_signal_name(WTERMSIG(status)));
	else
		result = buf_printf(out, ",\"exit\":%d", WEXITSTATUS(status));
	if (result != 0 || buf_printf(out, ",\"strays\":%u", a->strays) != 0 ||
	    put_json_ms(out, "started_ms", a->started_us) != 0 ||
	    put_json_ms(out, "ran_ms", a->ran_us) != 0 ||
	    put_json_ms(out, "cpu_ms", a->cpu_us) != 0)
		return -1;
	return buf_printf(out, ",\"max_rss_kib\":%llu",
	    (unsigned long long)a->max_rss_kib);
}

static int
put_json_ms(struct buf *out, const char *name, uint64_t us)
{
	return buf_printf(out, ",\"%s\":%llu.%03u", name,
	    (unsigned long long)(us / 1000), (unsigned)(us % 1000));
}

static int
put_word_ms(struct buf *out, const char *name, uint64_t us)
{
	return buf_printf(out, " %s=%llu.%03ums", name,
	    (unsigned long long)(us / 1000), (unsigned)(us % 1000));
}

static uint64_t
total_us(const struct message_access *a)
{
	return a->upload_us + a->waited_us +
	    (a->ran ? a->started_us + a->ran_us : 0);
}
