/* SPDX-License-Identifier: MIT */
/* record.c - an access record as a line of JSON (access.log) and as a line of
 * words (the tenant's log). Times are milliseconds with three decimals. Numbers
 * are written by hand: each request comes through here, and printf was two
 * thirds of the time. */

#include <sys/wait.h>

#include "base/clock.h"
#include "base/proc.h"

#include "log/log.h"

enum {
	RECORD_TARGET_MOST = 1024, /* of a request target, in words */
	DIGITS_MOST = 20,
};

enum kind { TEXT, COUNT, COUNT32, MS, HOW };
enum when { ALWAYS, SOME, RAN, OWN, WORKER };

/* One row a member of the JSON object, in its order: SOME when not empty, RAN
 * when a process was started or given the request, OWN when that lived for it
 * alone, WORKER when it serves many: what that uses is nobody's in particular. */
struct member {
	const char *key;
	enum kind kind;
	enum when when;
	size_t at; /* in struct message_access */
};

#define AT(member) offsetof(struct message_access, member)

/* clang-format off */
static const struct member members[] = {
	{ ",\"request\":", TEXT, ALWAYS, AT(request) },
	{ ",\"client_request\":", TEXT, SOME, AT(client_request) },
	{ ",\"tenant\":", TEXT, ALWAYS, AT(tenant) },
	{ ",\"function\":", TEXT, ALWAYS, AT(function) },
	{ ",\"method\":", TEXT, ALWAYS, AT(method) },
	{ ",\"target\":", TEXT, ALWAYS, AT(target) },
	{ ",\"remote\":", TEXT, ALWAYS, AT(remote) },
	{ ",\"status\":", COUNT32, ALWAYS, AT(status) },
	{ ",\"end\":", TEXT, ALWAYS, AT(end) },
	{ ",\"limit\":", TEXT, SOME, AT(limit) },
	{ ",\"detail\":", TEXT, SOME, AT(detail) },
	{ ",\"", HOW, RAN, AT(wait_status) },
	{ ",\"strays\":", COUNT32, OWN, AT(strays) },
	{ ",\"upload_ms\":", MS, ALWAYS, AT(upload_us) },
	{ ",\"waited_ms\":", MS, ALWAYS, AT(waited_us) },
	{ ",\"started_ms\":", MS, RAN, AT(started_us) },
	{ ",\"ran_ms\":", MS, RAN, AT(ran_us) },
	{ ",\"cpu_ms\":", MS, OWN, AT(cpu_us) },
	{ ",\"max_rss_kib\":", COUNT, OWN, AT(max_rss_kib) },
	{ ",\"start\":", TEXT, SOME, AT(start) },
	{ ",\"worker\":", COUNT, WORKER, AT(worker) },
	{ ",\"served\":", COUNT, WORKER, AT(served) },
	{ ",\"bytes_in\":", COUNT, ALWAYS, AT(bytes_in) },
	{ ",\"bytes_out\":", COUNT, ALWAYS, AT(bytes_out) },
};
/* clang-format on */

static bool member_wanted(const struct member *, const struct message_access *);
static int put_member(struct buf *, const struct member *,
    const struct message_access *);
static int put_how(struct buf *, int wait_status);
static int put_number(struct buf *, uint64_t);
static int put_ms(struct buf *, uint64_t us);
static int put_named(struct buf *, const char *name, uint64_t);
static int put_named_ms(struct buf *, const char *name, uint64_t us);
static int put_ran(struct buf *, const struct message_access *);
static int put_start(struct buf *, const struct message_access *);
static int put_worker(struct buf *, const struct message_access *);
static int put_ended(struct buf *, const struct message_access *);
static uint64_t total_us(const struct message_access *);

int
record_put_json(struct buf *out, const struct message_access *a)
{
	char time[LINE_TIME_BYTES + 1];

	clock_iso(a->at_unix_ms, time);
	if (buf_put_string(out, "{\"time\":\"") != 0 ||
	    buf_put_string(out, time) != 0 || buf_put_byte(out, '"') != 0)
		return -1;
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (member_wanted(&members[i], a) &&
		    put_member(out, &members[i], a) != 0)
			return -1;
	return buf_put_string(out, "}\n");
}

int
record_put_result(struct buf *out, const struct message_access *a,
    const char *time)
{
	struct span target =
	    span_take(a->target, line_cut(a->target, RECORD_TARGET_MOST));

	if (line_put_head(out, time, a->request, a->function, LINE_RESULT) ||
	    put_number(out, a->status) || buf_put_byte(out, ' ') ||
	    line_put_word(out, a->method) || buf_put_byte(out, ' ') ||
	    line_put_word(out, target) || buf_put_string(out, " end=") ||
	    line_put_word(out, a->end) ||
	    put_named_ms(out, " total=", total_us(a)) ||
	    put_named_ms(out, " waited=", a->waited_us) ||
	    (a->ran && put_ran(out, a)) ||
	    (a->start.bytes > 0 && put_start(out, a)) ||
	    (a->worker > 0 && put_worker(out, a)) ||
	    put_named(out, " in=", a->bytes_in) ||
	    put_named(out, " out=", a->bytes_out) ||
	    (a->ran && put_ended(out, a)))
		return -1;
	if (a->detail.bytes > 0 &&
	    (buf_put_string(out, " - ") || line_put_text(out, a->detail)))
		return -1;
	return buf_put_byte(out, '\n');
}

int
record_total_ms(struct span text, uint64_t *ms)
{
	struct span word;

	while ((word = span_cut(&text, ' ')).data)
		if (span_starts(word, SPAN("total="))) {
			word = span_skip(word, sizeof("total=") - 1);
			return span_number(span_cut(&word, '.'), UINT32_MAX,
			    ms);
		}
	return -1;
}

static bool
member_wanted(const struct member *m, const struct message_access *a)
{
	const char *at = (const char *)a + m->at;

	switch (m->when) {
	case ALWAYS:
		return true;
	case SOME:
		return ((const struct span *)(const void *)at)->bytes > 0;
	case RAN:
		return a->ran;
	case OWN:
		return a->ran && a->worker == 0;
	case WORKER:
		return a->worker > 0;
	}
	return false;
}

static int
put_member(struct buf *out, const struct member *m,
    const struct message_access *a)
{
	const void *at = (const char *)a + m->at;

	if (buf_put_string(out, m->key) != 0)
		return -1;
	switch (m->kind) {
	case TEXT:
		return line_put_json(out, *(const struct span *)at);
	case COUNT:
		return put_number(out, *(const uint64_t *)at);
	case COUNT32:
		return put_number(out, *(const uint32_t *)at);
	case MS:
		return put_ms(out, *(const uint64_t *)at);
	case HOW:
		return put_how(out, (int)*(const uint32_t *)at);
	}
	return -1;
}

/* Behind `,"`: either member. */
static int
put_how(struct buf *out, int wait_status)
{
	if (WIFSIGNALED(wait_status))
		return buf_printf(out, "signal\":\"%s\"",
		    proc_signal_name(WTERMSIG(wait_status)));
	if (buf_put_string(out, "exit\":") != 0)
		return -1;
	return put_number(out, (uint64_t)WEXITSTATUS(wait_status));
}

static int
put_ran(struct buf *out, const struct message_access *a)
{
	if (put_named_ms(out, " started=", a->started_us) ||
	    put_named_ms(out, " ran=", a->ran_us))
		return -1;
	if (a->worker > 0)
		return 0;
	if (put_named_ms(out, " cpu=", a->cpu_us) ||
	    put_named(out, " rss=", a->max_rss_kib))
		return -1;
	return buf_put_string(out, "KiB");
}

static int
put_start(struct buf *out, const struct message_access *a)
{
	if (buf_put_string(out, " start=") != 0)
		return -1;
	return line_put_word(out, a->start);
}

static int
put_worker(struct buf *out, const struct message_access *a)
{
	if (put_named(out, " worker=", a->worker) != 0)
		return -1;
	return put_named(out, " served=", a->served);
}

static int
put_ended(struct buf *out, const struct message_access *a)
{
	char words[32];

	if ((a->worker == 0 && put_named(out, " strays=", a->strays)) ||
	    buf_put_string(out, " (") ||
	    buf_put_string(out, proc_status_words((int)a->wait_status, words)))
		return -1;
	return buf_put_byte(out, ')');
}

static int
put_number(struct buf *out, uint64_t number)
{
	char digits[DIGITS_MOST];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	return buf_put(out, span_make(digits + at, sizeof(digits) - at));
}

static int
put_ms(struct buf *out, uint64_t us)
{
	unsigned rest = (unsigned)(us % 1000);
	const char decimals[] = { '.', (char)('0' + rest / 100),
		(char)('0' + rest / 10 % 10), (char)('0' + rest % 10) };

	if (put_number(out, us / 1000) != 0)
		return -1;
	return buf_put(out, span_make(decimals, sizeof(decimals)));
}

static int
put_named(struct buf *out, const char *name, uint64_t number)
{
	if (buf_put_string(out, name) != 0)
		return -1;
	return put_number(out, number);
}

static int
put_named_ms(struct buf *out, const char *name, uint64_t us)
{
	if (buf_put_string(out, name) != 0 || put_ms(out, us) != 0)
		return -1;
	return buf_put_string(out, "ms");
}

static uint64_t
total_us(const struct message_access *a)
{
	return a->upload_us + a->waited_us +
	    (a->ran ? a->started_us + a->ran_us : 0);
}
