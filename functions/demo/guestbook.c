/* SPDX-License-Identifier: MIT */
/* guestbook.c - a page that visitors write on. Entries are keys in the order of
 * their time; the list is the last of them, newest first. One commit takes an
 * entry, marks its form as used, so that a double click is one entry, and counts
 * its client, who may write ten in ten minutes.
 *
 * Forged by another site? A form counts only with the cookie that this page gave,
 * which no other site can read, and which browsers do not send along from there.
 * Everything anybody wrote is escaped where it is shown; there is no script, and
 * the page forbids any.
 *   http://127.0.0.1:8080/fn/demo/guestbook */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <fn.h>

#define ENTRIES "guestbook/entry/"
#define USED "guestbook/used/"
#define CLIENTS "guestbook/client/"

enum {
	NAME_MOST = 160, /* bytes: 40 characters */
	TEXT_MOST = 2000,
	BODY_MOST = 16384, /* of a form: every byte may come as %XX */
	ON_A_PAGE = 20,
	RANDOM_TEXT = 33,
	WRITES = 10, /* of one client in WRITES_S */
	WRITES_S = 600,
	FORM_S = 24 * 3600, /* that long a used form is known */
};

struct form {
	char name[NAME_MOST + 1];
	char text[TEXT_MOST + 1];
	char proof[RANDOM_TEXT]; /* of the cookie */
	char once[RANDOM_TEXT];	 /* of this form */
};

static void page(struct fn_request *, struct fn_reply *, const struct form *,
    const char *complaint);
static void style(struct fn_reply *);
static void list_write(struct fn_request *, struct fn_reply *);
static void item_write(struct fn_reply *, const struct fn_item *);
static void entry_take(struct fn_request *, struct fn_reply *);
static void entry_write(struct fn_request *, struct fn_reply *,
    const struct form *);
static void refuse(struct fn_reply *, unsigned status, const char *words);
static const char *form_read(struct fn_request *, struct form *);
static const char *form_check(const struct form *);
static bool same_origin(const struct fn_request *);
static bool text_good(const char *);
static bool random_good(const char *);
static void random_make(char text[RANDOM_TEXT]);
static void trim(char *);

int
fn_handle(struct fn_request *request, struct fn_reply *reply)
{
	if (strcmp(fn_request_path(request), "/style.css") == 0)
		style(reply);
	else if (strcmp(fn_request_method(request), "POST") == 0)
		entry_take(request, reply);
	else
		page(request, reply, NULL, NULL);
	return 0;
}

/* ---- the page ---------------------------------------------------------------- */

/* With what was written so far, when there is something to complain about. */
static void
page(struct fn_request *request, struct fn_reply *reply,
    const struct form *form, const char *complaint)
{
	const char *self = fn_request_script(request);
	const char *https = fn_request_variable(request, "HTTPS");
	const char *cookie = fn_request_cookie(request, "guestbook");
	char proof[RANDOM_TEXT], once[RANDOM_TEXT];

	random_make(once);
	random_make(proof);
	if (cookie && random_good(cookie))
		memcpy(proof, cookie, RANDOM_TEXT);
	fn_reply_status(reply, complaint ? 400 : 200);
	fn_reply_type(reply, "text/html; charset=utf-8");
	fn_reply_header(reply, "Cache-Control", "no-store");
	fn_reply_header(reply, "Content-Security-Policy",
	    "default-src 'none'; style-src 'self'; form-action 'self'; "
	    "base-uri 'none'; frame-ancestors 'none'");
	fn_reply_header(reply, "Referrer-Policy", "same-origin");
	fn_reply_header(reply, "Set-Cookie",
	    "guestbook=%s; Path=%s; HttpOnly; SameSite=Strict%s", proof, self,
	    https && strcmp(https, "on") == 0 ? "; Secure" : "");
	fn_reply_printf(reply,
	    "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
	    "<meta name=\"viewport\" content=\"width=device-width\">\n"
	    "<meta name=\"color-scheme\" content=\"light dark\">\n"
	    "<title>Guest book</title>\n"
	    "<link rel=\"stylesheet\" href=\"%s/style.css\">\n"
	    "<header><h1>Guest book</h1>\n"
	    "<p>You were here. Say so.</p></header>\n<main>\n",
	    self);
	if (complaint)
		fn_reply_printf(reply,
		    "<p class=\"complaint\" role=\"alert\">%s</p>\n",
		    complaint);
	fn_reply_printf(reply,
	    "<form method=\"post\" action=\"%s\">\n"
	    "<label>Name <input name=\"name\" required maxlength=\"40\" "
	    "autocomplete=\"name\" value=\"",
	    self);
	fn_reply_html(reply, form ? form->name : "");
	fn_reply_puts(reply,
	    "\"></label>\n<label>Message <textarea name=\"text\" required "
	    "maxlength=\"500\" rows=\"3\">\n");
	fn_reply_html(reply, form ? form->text : "");
	fn_reply_printf(reply,
	    "</textarea></label>\n"
	    "<input type=\"hidden\" name=\"proof\" value=\"%s\">\n"
	    "<input type=\"hidden\" name=\"once\" value=\"%s\">\n"
	    "<button>Sign</button>\n</form>\n",
	    proof, once);
	list_write(request, reply);
	fn_reply_puts(reply, "</main>\n");
}

static void
style(struct fn_reply *reply)
{
	fn_reply_type(reply, "text/css");
	fn_reply_header(reply, "Cache-Control", "max-age=3600");
	fn_reply_puts(reply,
	    ":root { color-scheme: light dark; --paper: #f6f4ef; --card: #fff;"
	    " --ink: #22252b; --soft: #6b6f78; --line: #e3dfd5;"
	    " --main: #2f5d50; --on: #fff; --bad: #9c2f2f }\n"
	    "@media (prefers-color-scheme: dark) { :root { --paper: #17191c;"
	    " --card: #212429; --ink: #e6e4df; --soft: #9a9da5; --line: #33373d;"
	    " --main: #8cc7b5; --on: #12211d; --bad: #f0a3a3 } }\n"
	    "* { box-sizing: border-box }\n"
	    "body { margin: 0 auto; max-width: 40rem; padding: 2.5rem 1rem 4rem;"
	    " background: var(--paper); color: var(--ink);"
	    " font: 1rem/1.55 system-ui, sans-serif }\n"
	    "h1 { margin: 0; font: 600 2.2rem/1.2 Georgia, serif }\n"
	    "header p { margin: .3rem 0 2rem; color: var(--soft) }\n"
	    "form, article { background: var(--card); border: 1px solid"
	    " var(--line); border-radius: .75rem; padding: 1.1rem 1.25rem;"
	    " margin: 0 0 1rem }\n"
	    "form { margin-bottom: 2rem }\n"
	    "label { display: block; margin-bottom: .8rem; font-size: .9rem;"
	    " color: var(--soft) }\n"
	    "input, textarea, button { font: inherit; width: 100%;"
	    " margin-top: .25rem; padding: .55rem .7rem; border-radius: .5rem;"
	    " border: 1px solid var(--line); background: var(--paper);"
	    " color: var(--ink) }\n"
	    "textarea { resize: vertical }\n"
	    "button { width: auto; padding: .55rem 1.6rem; border: 0;"
	    " background: var(--main); color: var(--on); font-weight: 600;"
	    " cursor: pointer }\n"
	    ":focus-visible { outline: 2px solid var(--main);"
	    " outline-offset: 2px }\n"
	    "article { display: grid; grid-template-columns: 2.6rem 1fr;"
	    " column-gap: .9rem }\n"
	    "article > span { grid-row: 1 / 3; width: 2.6rem; height: 2.6rem;"
	    " border-radius: 50%; background: var(--main); color: var(--on);"
	    " font-weight: 600; line-height: 2.6rem; text-align: center }\n"
	    "article h2 { display: flex; flex-wrap: wrap; column-gap: .6rem;"
	    " align-items: baseline; margin: 0; font-size: 1rem;"
	    " overflow-wrap: anywhere }\n"
	    "article time { color: var(--soft);"
	    " font-weight: 400; font-size: .85rem; white-space: nowrap }\n"
	    "article p { margin: .2rem 0 0; white-space: pre-wrap;"
	    " overflow-wrap: anywhere }\n"
	    ".complaint { color: var(--bad) }\n"
	    ".none, nav { color: var(--soft); text-align: center }\n"
	    "a { color: var(--main) }\n");
}

static void
list_write(struct fn_request *request, struct fn_reply *reply)
{
	const char *before = fn_request_query(request, "before");
	struct fn_list list = { .prefix = ENTRIES,
		.limit = ON_A_PAGE,
		.reverse = true,
		.values = true,
		.cursor = before && before[0] ? before : NULL };
	struct fn_page entries;

	if (fn_state_list(&list, &entries) != FN_OK) {
		fn_log("%s", fn_problem());
		fn_reply_puts(reply,
		    "<p class=\"complaint\">The book cannot be read right "
		    "now.</p>\n");
		return;
	}
	if (entries.item_count == 0)
		fn_reply_puts(reply,
		    "<p class=\"none\">Nobody has signed yet.</p>\n");
	for (size_t i = 0; i < entries.item_count; i++)
		item_write(reply, &entries.items[i]);
	if (entries.cursor) {
		fn_reply_printf(reply,
		    "<nav><a href=\"%s?before=", fn_request_script(request));
		fn_reply_url(reply, entries.cursor);
		fn_reply_puts(reply, "\">Older</a></nav>\n");
	}
	fn_page_free(&entries);
}

/* The key ends with milliseconds since 1970 in 15 digits and what keeps two of
 * one moment apart; the value is the name, a line end, and the text. */
static void
item_write(struct fn_reply *reply, const struct fn_item *item)
{
	time_t at =
	    (time_t)(strtoll(item->key + strlen(ENTRIES), NULL, 10) / 1000);
	const char *text = item->data ? strchr(item->data, '\n') : NULL;
	char name[NAME_MOST + 1], first[5] = "", words[64], iso[32];
	size_t length = 1;
	struct tm tm;

	if (!text || (size_t)(text - item->data) > NAME_MOST)
		return;
	memcpy(name, item->data, (size_t)(text - item->data));
	name[text - item->data] = '\0';
	while (length < 4 && ((unsigned char)name[length] & 0xc0) == 0x80)
		length++;
	memcpy(first, name, length);
	gmtime_r(&at, &tm);
	strftime(words, sizeof(words), "%e %B %Y, %H:%M UTC", &tm);
	strftime(iso, sizeof(iso), "%Y-%m-%dT%H:%M:%SZ", &tm);
	fn_reply_puts(reply, "<article><span aria-hidden=\"true\">");
	fn_reply_html(reply, first);
	fn_reply_puts(reply, "</span><h2>");
	fn_reply_html(reply, name);
	fn_reply_printf(reply, " <time datetime=\"%s\">%s</time></h2>\n<p>",
	    iso, words);
	fn_reply_html(reply, text + 1);
	fn_reply_puts(reply, "</p></article>\n");
}

/* ---- an entry ------------------------------------------------------------------ */

static void
entry_take(struct fn_request *request, struct fn_reply *reply)
{
	const char *cookie = fn_request_cookie(request, "guestbook");
	struct form form = { 0 };
	const char *complaint = form_read(request, &form);

	if (complaint) {
		page(request, reply, &form, complaint);
		return;
	}
	if (!same_origin(request) || !cookie || !random_good(cookie) ||
	    strcmp(cookie, form.proof) != 0 || !random_good(form.once)) {
		refuse(reply, 403,
		    "This form is not from this page, or your browser keeps "
		    "no cookies.");
		return;
	}
	complaint = form_check(&form);
	if (complaint)
		page(request, reply, &form, complaint);
	else
		entry_write(request, reply, &form);
}

static void
entry_write(struct fn_request *request, struct fn_reply *reply,
    const struct form *form)
{
	char key[128], used[128], client[128], value[NAME_MOST + TEXT_MOST + 2];
	const int64_t most = WRITES;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(key, sizeof(key), ENTRIES "%015lld-%.8s",
	    (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000, form->once);
	snprintf(used, sizeof(used), USED "%s", form->once);
	snprintf(client, sizeof(client), CLIENTS "%s",
	    fn_request_address(request));
	snprintf(value, sizeof(value), "%s\n%s", form->name, form->text);

	const struct fn_check unused = { used, 0 };
	struct fn_op ops[] = {
		{ .kind = FN_SET,
		    .key = key,
		    .data = value,
		    .bytes = strlen(value),
		    .type = "text/plain; charset=utf-8" },
		{ .kind = FN_SET, .key = used, .ttl_s = FORM_S },
		{ .kind = FN_SUM,
		    .key = client,
		    .by = 1,
		    .max = &most,
		    .ttl_s = WRITES_S },
	};

	switch (fn_state_atomic(&unused, 1, ops, 3, NULL)) {
	case FN_OK:
	case FN_CONFLICT: /* the second of two clicks */
		/* Loading the page again does not send the form again. */
		fn_reply_redirect(reply, 303, fn_request_script(request));
		fn_reply_header(reply, "Cache-Control", "no-store");
		break;
	case FN_RANGE:
		refuse(reply, 429,
		    "That is enough for now. Come back in ten minutes.");
		break;
	default:
		fn_log("%s", fn_problem());
		refuse(reply, 503, "The book cannot be written right now.");
	}
}

static void
refuse(struct fn_reply *reply, unsigned status, const char *words)
{
	fn_reply_status(reply, status);
	fn_reply_header(reply, "Cache-Control", "no-store");
	fn_reply_printf(reply, "%s\n", words);
}

/* ---- a form ---------------------------------------------------------------------- */

/* What is wrong with it, or NULL. */
static const char *
form_read(struct fn_request *request, struct form *form)
{
	const struct {
		const char *name;
		char *to;
		size_t room;
	} fields[] = {
		{ "name", form->name, sizeof(form->name) },
		{ "text", form->text, sizeof(form->text) },
		{ "proof", form->proof, sizeof(form->proof) },
		{ "once", form->once, sizeof(form->once) },
	};
	const char *complaint = NULL, *value;

	if (fn_request_read_form(request, BODY_MOST) != FN_OK)
		return "That is too long, or no form.";
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		value = fn_request_form(request, fields[i].name);
		if (value && strlen(value) < fields[i].room)
			memcpy(fields[i].to, value, strlen(value) + 1);
		else if (value)
			complaint = "That is too long.";
	}
	trim(form->name);
	trim(form->text);
	return complaint;
}

static const char *
form_check(const struct form *form)
{
	if (!form->name[0])
		return "A name is missing.";
	if (!form->text[0])
		return "A message is missing.";
	if (strchr(form->name, '\n') || !text_good(form->name) ||
	    !text_good(form->text))
		return "That is no text.";
	return NULL;
}

/* Browsers say from where a form comes. */
static bool
same_origin(const struct fn_request *request)
{
	const char *site = fn_request_header(request, "Sec-Fetch-Site");
	const char *origin = fn_request_header(request, "Origin");
	const char *host = fn_request_header(request, "Host");
	const char *place = origin ? strstr(origin, "://") : NULL;

	if (site && strcmp(site, "same-origin") != 0)
		return false;
	return !origin || (place && host && strcmp(place + 3, host) == 0);
}

/* UTF-8 without control bytes but line ends and tabs. */
static bool
text_good(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;

	while (*at) {
		int more = *at < 0x80 ? 0 :
		    *at < 0xc2	      ? -1 :
		    *at < 0xe0	      ? 1 :
		    *at < 0xf0	      ? 2 :
		    *at < 0xf5	      ? 3 :
					-1;

		if (more < 0 || *at == 0x7f ||
		    (*at < ' ' && !strchr("\r\n\t", *at)) ||
		    (*at == 0xe0 && at[1] < 0xa0) ||
		    (*at == 0xed && at[1] > 0x9f) ||
		    (*at == 0xf0 && at[1] < 0x90) ||
		    (*at == 0xf4 && at[1] > 0x8f))
			return false;
		for (at++; more > 0; more--, at++)
			if ((*at & 0xc0) != 0x80)
				return false;
	}
	return true;
}

static void
trim(char *text)
{
	size_t blanks = strspn(text, " \t\r\n"), bytes;

	memmove(text, text + blanks, strlen(text + blanks) + 1);
	for (bytes = strlen(text);
	     bytes > 0 && strchr(" \t\r\n", text[bytes - 1]); bytes--)
		text[bytes - 1] = '\0';
}

/* ---- the rest ---------------------------------------------------------------------- */

static void
random_make(char text[RANDOM_TEXT])
{
	unsigned char bytes[(RANDOM_TEXT - 1) / 2];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		abort();
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

static bool
random_good(const char *text)
{
	return strlen(text) == RANDOM_TEXT - 1 &&
	    strspn(text, "0123456789abcdef") == RANDOM_TEXT - 1;
}
