/* SPDX-License-Identifier: MIT */
/* token.c - access tokens of the state endpoint: the state process, which has
 * the keys, makes and ends them. What mint prints is a secret, and printed
 * once. */

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/diag.h"
#include "wire/jwt.h"
#include "wire/time_spec.h"

#include "ctl/ctl.h"

#define TIME_DEFAULT "30d"

enum {
	TOKEN_MOST = 64 * 1024,
	WORDS_MOST = 3072,
};

static const char *tenant;
static const char *scope;
static const char *prefix;
static const char *ttl = TIME_DEFAULT;
static const char *overlap = TIME_DEFAULT;

static int token_run(const struct ctl *, int count, char **operands);
static int token_mint(const struct ctl *, const char *unused);
static void tenant_warn(const struct ctl *);
static int token_list(const struct ctl *, const char *unused);
static int token_revoke(const struct ctl *, const char *id);
static int token_rotate(const struct ctl *, const char *unused);
static int ask(const struct ctl *, struct question *, struct buf *args);
static void put_word(struct buf *, const char *name, const char *value);
static int put_seconds(struct buf *, const char *name, const char *text,
    bool zero);
static void row_print(const json_t *row);

/* clang-format off */
const struct command command_token = {
	.arguments = (const struct argument[]){
		{ 0, "tenant", ARGUMENT_TEXT, &tenant, "TENANT",
		    "mint: whose state it opens; list: only its tokens" },
		{ 0, "scope", ARGUMENT_TEXT, &scope, "SCOPE",
		    "mint: read; write, which reads too; admin, which exports "
		    "too" },
		{ 0, "prefix", ARGUMENT_TEXT, &prefix, "PREFIX",
		    "mint: only for keys that begin so" },
		{ 0, "ttl", ARGUMENT_TEXT, &ttl, "TIME",
		    "mint: how long it is good; " TIME_DEFAULT " unless given, "
		    "366d at most" },
		{ 0, "overlap", ARGUMENT_TEXT, &overlap, "TIME",
		    "rotate: how long tokens of keys before are good, 0 is "
		    "not at all; " TIME_DEFAULT " unless given" },
		{ 0 },
	},
	.operands_least = 1,
	.operands_most = 2,
	.run = token_run,
	.text = "mint prints a token, alone. Whoever has it has the access: keep "
	    "it like a password.\nlist shows what was minted and is not over, by "
	    "id, never the tokens. revoke ends one\nby its id (its jti, if another "
	    "program made it). rotate makes a new key; tokens of\nthe one before "
	    "end with the overlap.\n\n"
	    "  fcgi-hostctl token mint --tenant demo --scope read --ttl 1h\n"
	    "  fcgi-hostctl token list\n"
	    "  fcgi-hostctl token revoke 01M9X4S3E5T7B0C2D4F6G8H1J3\n"
	    "  fcgi-hostctl token rotate --overlap 7d\n",
};

static const struct {
	const char *name;
	bool takes_id;
	int (*run)(const struct ctl *, const char *id);
} actions[] = {
	{ "mint", false, token_mint },
	{ "list", false, token_list },
	{ "revoke", true, token_revoke },
	{ "rotate", false, token_rotate },
};
/* clang-format on */

static int
token_run(const struct ctl *ctl, int count, char **operands)
{
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(operands[0], actions[i].name) != 0)
			continue;
		if ((count == 2) != actions[i].takes_id)
			return usage("token",
			    actions[i].takes_id ? "%s takes the id of a token" :
						  "%s takes options only",
			    actions[i].name);
		return actions[i].run(ctl, operands[1]);
	}
	return usage("token", "%s is not mint, list, revoke or rotate",
	    operands[0]);
}

static int
token_mint(const struct ctl *ctl, const char *unused)
{
	struct question q = question_of(VERB_TOKEN);
	struct buf args, token;
	json_t *answer;
	int result;

	(void)unused;
	if (!tenant || !scope)
		return usage("token", "mint needs --tenant and --scope");
	if (tenant_check("token", tenant) != 0)
		return CTL_USAGE;
	if (strcmp(scope, "read") != 0 && strcmp(scope, "write") != 0 &&
	    strcmp(scope, "admin") != 0)
		return usage("token", "%s is not read, write or admin", scope);
	buf_init(&args, WORDS_MOST);
	buf_init(&token, TOKEN_MOST);
	put_word(&args, "mint", NULL);
	put_word(&args, "scope", scope);
	if (prefix)
		put_word(&args, "prefix", prefix);
	result = put_seconds(&args, "ttl", ttl, false);
	q.control.tenant = span_of(tenant);
	question_collects(&q, &token);
	if (result == 0)
		result = ask(ctl, &q, &args);
	if (result == 0 && ctl->json) {
		answer = json_object();
		json_object_set_new(answer, "token",
		    json_string(buf_string(&token)));
		result = words_json(answer);
	} else if (result == 0) {
		puts(buf_string(&token));
	}
	if (result == 0)
		tenant_warn(ctl);
	buf_free(&args);
	buf_free(&token);
	return result;
}

/* A token may come before its tenant; but a name that is mistyped opens the
 * state of nobody. */
static void
tenant_warn(const struct ctl *ctl)
{
	char reason[HOST_REASON], *functions, *below, *path;
	struct stat st;

	if (host_place(ctl, NULL, tenant, &functions, &below, reason) != 0)
		return;
	if (asprintf(&path, "%s/%s", functions, below) < 0)
		diag_fatal("no memory");
	if (stat(path, &st) != 0 && errno == ENOENT)
		diag_warn("there is no tenant %s yet: %s does not exist",
		    tenant, path);
	free(path);
	free(below);
	free(functions);
}

static int
token_list(const struct ctl *ctl, const char *unused)
{
	struct question q = question_of(VERB_TOKEN);
	json_t *rows, *row;
	struct buf args;
	size_t i;
	int result;

	(void)unused;
	if (tenant && tenant_check("token", tenant) != 0)
		return CTL_USAGE;
	buf_init(&args, WORDS_MOST);
	put_word(&args, "list", NULL);
	q.control.tenant = span_of(tenant);
	q.control.args = buf_span(&args);
	rows = answer_rows(ctl, &q);
	result = host_say(&q, rows ? 0 : CTL_FAILED);
	if (result == 0 && json_array_size(rows) == 0)
		diag_info("no access tokens%s%s; fcgi-hostctl token mint makes "
			  "one",
		    tenant ? " of " : "", tenant ? tenant : "");
	if (result == 0 && ctl->json)
		result = words_json(json_incref(rows));
	else if (result == 0)
		json_array_foreach(rows, i, row) row_print(row);
	json_decref(rows);
	buf_free(&args);
	return result;
}

static int
token_revoke(const struct ctl *ctl, const char *id)
{
	struct question q = question_of(VERB_TOKEN);
	struct buf args;
	int result;

	buf_init(&args, WORDS_MOST);
	put_word(&args, "revoke", NULL);
	put_word(&args, "id", id);
	result = ask(ctl, &q, &args);
	buf_free(&args);
	return result;
}

static int
token_rotate(const struct ctl *ctl, const char *unused)
{
	struct question q = question_of(VERB_TOKEN);
	struct buf args;
	int result;

	(void)unused;
	buf_init(&args, WORDS_MOST);
	put_word(&args, "rotate", NULL);
	result = put_seconds(&args, "overlap", overlap, true);
	if (result == 0)
		result = ask(ctl, &q, &args);
	buf_free(&args);
	return result;
}

static int
ask(const struct ctl *ctl, struct question *q, struct buf *args)
{
	q->control.args = buf_span(args);
	return host_ask_loudly(ctl, q);
}

static void
put_word(struct buf *args, const char *name, const char *value)
{
	if (buf_printf(args, "%s%s%s", name, value ? "=" : "",
		value ? value : "") != 0 ||
	    buf_put_byte(args, '\0') != 0)
		diag_fatal("%s is too long", name);
}

/* Tokens know whole seconds. */
static int
put_seconds(struct buf *args, const char *name, const char *text, bool zero)
{
	enum time_spec_error error;
	char seconds[32];
	uint64_t ms = 0;

	error = time_spec_parse(span_of(text), &ms);
	if (error != TIME_SPEC_OK || (ms == 0 && !zero))
		return usage("token", "--%s %s: %s", name, text,
		    error != TIME_SPEC_OK ? time_spec_error_words(error) :
					    "it would be over at once");
	if (ms > JWT_ACCESS_MOST_S * UINT64_C(1000))
		return usage("token", "--%s %s: 366d at most", name, text);
	ms += 999; /* a part of a second counts as a whole one */
	snprintf(seconds, sizeof(seconds), "%llu",
	    (unsigned long long)ms / 1000);
	put_word(args, name, seconds);
	return 0;
}

static const char *
text_of(const json_t *row, const char *name)
{
	const char *text = json_string_value(json_object_get(row, name));

	return text ? text : "";
}

static void
row_print(const json_t *row)
{
	json_int_t expires =
	    json_integer_value(json_object_get(row, "expires"));
	char until[25];

	clock_iso((uint64_t)expires * 1000, until);
	printf("%-26s  until %.16sZ  ", text_of(row, "id"), until);
	if (text_of(row, "tenant")[0]) {
		printf("%-5s of %s", text_of(row, "scope"),
		    text_of(row, "tenant"));
		if (text_of(row, "prefix")[0]) {
			fputs(" below ", stdout);
			words_put(stdout, span_of(text_of(row, "prefix")));
		}
	} else {
		fputs("minted elsewhere", stdout);
	}
	puts(json_is_true(json_object_get(row, "revoked")) ? "  revoked" : "");
}
