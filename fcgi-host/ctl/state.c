/* SPDX-License-Identifier: MIT */
/* state.c - what a tenant's functions keep: listed, read, changed, watched, looked
 * after. Everything is a request to the state API; the host decides whether we
 * may. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"

#include "ctl/state.h"

enum { VALUE_MOST = 1 << 30, TENANTS_MOST = 1 << 20 };

static bool all;
static bool deep;
static bool yes;
static const char *data;
static const char *ttl;
static const char *type;
static const char *prefix;
static const char *since;

static int state_run(const struct ctl *, int count, char **operands);
static int run_ls(const struct ctl *, const char *tenant, const char *prefix);
static int run_get(const struct ctl *, const char *tenant, const char *key);
static int run_put(const struct ctl *, const char *tenant, const char *key);
static int run_rm(const struct ctl *, const char *tenant, const char *key);
static int run_watch(const struct ctl *, const char *tenant,
    const char *prefix);
static int run_usage(const struct ctl *, const char *tenant,
    const char *unused);
static int run_check(const struct ctl *, const char *tenant,
    const char *unused);
static int run_delete(const struct ctl *, const char *tenant,
    const char *unused);

/* clang-format off */
const struct command command_state = {
	.arguments = (const struct argument[]){
		{ 0, "all", ARGUMENT_FLAG, &all, NULL,
		    "backup, check: every tenant; none is named then" },
		{ 0, "data", ARGUMENT_TEXT, &data, "TEXT|@FILE",
		    "put: the value; @- is stdin" },
		{ 0, "deep", ARGUMENT_FLAG, &deep, NULL,
		    "check: reads everything" },
		{ 0, "prefix", ARGUMENT_TEXT, &prefix, "PREFIX",
		    "rm: all keys that begin so" },
		{ 0, "since", ARGUMENT_TEXT, &since, "VERSION",
		    "watch: also what came after this version" },
		{ 0, "ttl", ARGUMENT_TEXT, &ttl, "TIME",
		    "put: gone after this time" },
		{ 0, "type", ARGUMENT_TEXT, &type, "TYPE",
		    "put: its media type; text/plain unless given" },
		{ 0, "yes", ARGUMENT_FLAG, &yes, NULL,
		    "delete, restore: what is there may go" },
		{ 0 },
	},
	.operands_least = 1,
	.operands_most = 3,
	.run = state_run,
	.text = "  ls [PREFIX]     version, bytes, seconds left and key, one a "
	    "line\n"
	    "  get KEY         its value, as it is\n"
	    "  put KEY         stores --data\n"
	    "  rm KEY          removes it; rm --prefix P all that begin so\n"
	    "  watch [PREFIX]  a line for each change, until you stop it\n"
	    "  usage           bytes, keys, versions\n"
	    "  backup TO       a copy of it all, consistent and verified, as "
	    "file TO, or in\n"
	    "                  directory TO as TENANT.sqlite3\n"
	    "  restore FILE    makes it what such a copy has\n"
	    "  check           looks for damage; exits 1 when there is some\n"
	    "  delete          removes all of it\n\n"
	    "  fcgi-hostctl state demo ls counter/\n"
	    "  fcgi-hostctl state demo put motd --data 'Hello' --ttl 1h\n"
	    "  fcgi-hostctl state --all backup /var/backups/state\n",
};

enum what { NOTHING, MAYBE, ONE };

static const struct action {
	const char *name;
	enum what takes;
	bool for_all;
	int (*run)(const struct ctl *, const char *tenant, const char *what);
} actions[] = {
	{ "ls", MAYBE, false, run_ls },
	{ "get", ONE, false, run_get },
	{ "put", ONE, false, run_put },
	{ "rm", MAYBE, false, run_rm },
	{ "watch", MAYBE, false, run_watch },
	{ "usage", NOTHING, false, run_usage },
	{ "backup", ONE, true, state_backup },
	{ "restore", ONE, false, state_restore },
	{ "check", NOTHING, true, run_check },
	{ "delete", NOTHING, false, run_delete },
};
/* clang-format on */

static int action_all(const struct ctl *, const struct action *,
    const char *what);
static int tenants_page(const struct ctl *, const struct action *,
    const char *what, char *after, size_t room, bool *more);
static void item_print(const json_t *item, uint64_t now_s);
static int value_read(struct buf *);
static const char *change_take(void *arg, struct span);
static void change_print(const struct ctl *, struct span line);

static int
state_run(const struct ctl *ctl, int count, char **operands)
{
	const char *tenant = all ? "" : operands[0];
	char **rest = operands + !all;
	const char *what = count > !all + 1 ? rest[1] : NULL;

	if (count < !all + 1)
		return usage("state", "what is to be done with %s?", tenant);
	if (!all && tenant_check("state", tenant) != 0)
		return CTL_USAGE;
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		const struct action *a = &actions[i];

		if (strcmp(rest[0], a->name) != 0)
			continue;
		if (all && !a->for_all)
			return usage("state", "%s is for one tenant", a->name);
		if (a->takes == ONE ? !what : what && a->takes == NOTHING)
			return usage("state",
			    a->takes == ONE ? "%s takes one thing" :
					      "%s takes nothing",
			    a->name);
		return all ? action_all(ctl, a, what) :
			     a->run(ctl, tenant, what);
	}
	return usage("state", "there is no %s", rest[0]);
}

/* One failure does not keep the others from being done. */
static int
action_all(const struct ctl *ctl, const struct action *a, const char *what)
{
	char after[64] = "";
	bool more = true;
	int result = 0;

	while (more) {
		int one =
		    tenants_page(ctl, a, what, after, sizeof(after), &more);

		result = one != 0 ? one : result;
	}
	return result;
}

static int
tenants_page(const struct ctl *ctl, const struct action *a, const char *what,
    char *after, size_t room, bool *more)
{
	struct state_ask ask;
	json_t *root, *names, *name;
	size_t at;
	int result;

	*more = false;
	state_ask_init(&ask, "", "GET", "/host/tenants");
	if (after[0])
		state_ask_query(&ask, "start", after);
	result = state_ask_run(ctl, &ask);
	root = result == 0 ? state_ask_json(&ask) : NULL;
	names = json_object_get(root, "tenants");
	json_array_foreach(names, at, name)
	{
		const char *tenant = json_string_value(name);

		if (!tenant || tenant_check("state", tenant) != 0)
			continue;
		if (a->run(ctl, tenant, what) != 0)
			result = CTL_FAILED;
		snprintf(after, room, "%s", tenant);
		*more = json_is_true(json_object_get(root, "more"));
	}
	json_decref(root);
	state_ask_free(&ask);
	return result;
}

/* ---- keys ------------------------------------------------------------------------ */

static int
run_ls(const struct ctl *ctl, const char *tenant, const char *begin)
{
	const json_t *item;
	char cursor[4096] = "";
	json_t *root = NULL;
	size_t at;
	int result;

	do {
		struct state_ask ask;

		state_ask_init(&ask, tenant, "GET", "/kv?limit=1000");
		if (begin)
			state_ask_query(&ask, "prefix", begin);
		if (cursor[0])
			state_ask_query(&ask, "cursor", cursor);
		result = state_ask_run(ctl, &ask);
		root = result == 0 ? state_ask_json(&ask) : NULL;
		json_array_foreach(json_object_get(root, "items"), at, item)
		{
			if (ctl->json)
				words_json(json_incref((json_t *)item));
			else
				item_print(item, clock_unix_ms() / 1000);
		}
		const char *next =
		    json_string_value(json_object_get(root, "cursor"));
		snprintf(cursor, sizeof(cursor), "%s", next ? next : "");
		if (result == 0 && !root)
			result = CTL_FAILED;
		json_decref(root);
		state_ask_free(&ask);
	} while (result == 0 && cursor[0]);
	return result;
}

static void
item_print(const json_t *item, uint64_t now_s)
{
	const json_t *expires = json_object_get(item, "expires");
	const json_t *key = json_object_get(item, "key");
	long long left =
	    (long long)json_integer_value(expires) - (long long)now_s;

	printf("%8lld %10lld ",
	    (long long)json_integer_value(json_object_get(item, "version")),
	    (long long)json_integer_value(json_object_get(item, "size")));
	if (json_is_integer(expires))
		printf("%8lld  ", left > 0 ? left : 0);
	else
		printf("%8s  ", "-");
	words_put_line(stdout,
	    span_make(json_string_value(key), json_string_length(key)));
	putchar('\n');
}

static const char *
value_print(void *arg, struct span bytes)
{
	(void)arg;
	return fwrite(bytes.data, 1, bytes.bytes, stdout) == bytes.bytes ?
	    NULL :
	    "stdout takes no more";
}

static int
run_get(const struct ctl *ctl, const char *tenant, const char *key)
{
	struct state_ask ask;
	int result;

	state_ask_init(&ask, tenant, "GET", "/kv/");
	state_ask_key(&ask, key);
	ask.sink = value_print;
	result = state_ask_run(ctl, &ask);
	state_ask_free(&ask);
	return result;
}

static int
run_put(const struct ctl *ctl, const char *tenant, const char *key)
{
	struct state_ask ask;
	struct buf value;
	int result;

	if (!data)
		return usage("state", "put needs --data");
	buf_init(&value, VALUE_MOST);
	result = value_read(&value);
	state_ask_init(&ask, tenant, "PUT", "/kv/");
	state_ask_key(&ask, key);
	if (ttl)
		state_ask_query(&ask, "ttl", ttl);
	ask.type = type ? type : "text/plain";
	ask.send = buf_span(&value);
	if (result == 0)
		result = state_ask_run(ctl, &ask);
	state_ask_free(&ask);
	buf_free(&value);
	return result;
}

/* --data: a text, or what is in a file. */
static int
value_read(struct buf *value)
{
	const char *name = data + 1;
	ssize_t n = -1;
	char *to;
	int fd;

	if (data[0] != '@') {
		buf_put_string(value, data);
		return 0;
	}
	fd = strcmp(name, "-") == 0 ? dup(0) : open(name, O_RDONLY | O_CLOEXEC);
	errno = fd < 0 ? errno : EFBIG;
	while (fd >= 0 && (to = buf_reserve(value, 65536)) != NULL) {
		n = read(fd, to, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		buf_wrote(value, (size_t)n);
	}
	if (n != 0)
		diag_error("cannot read %s: %s", name, diag_errno());
	fd_close(&fd);
	return n == 0 ? 0 : CTL_FAILED;
}

static int
run_rm(const struct ctl *ctl, const char *tenant, const char *key)
{
	bool more = false;
	int result;

	if (!key == !prefix)
		return usage("state", "rm takes a key, or --prefix");
	do {
		struct state_ask ask;
		json_t *root = NULL;

		state_ask_init(&ask, tenant, "DELETE", key ? "/kv/" : "/kv");
		if (key)
			state_ask_key(&ask, key);
		else
			state_ask_query(&ask, "prefix", prefix);
		result = state_ask_run(ctl, &ask);
		if (result == 0 && !key) {
			root = state_ask_json(&ask);
			more = json_is_true(json_object_get(root, "more"));
			result = root ? 0 : CTL_FAILED;
		}
		json_decref(root);
		state_ask_free(&ask);
	} while (result == 0 && more);
	return result;
}

/* ---- changes --------------------------------------------------------------------- */

struct changes {
	const struct ctl *ctl;
	struct buf line; /* not yet ended */
};

static int
run_watch(const struct ctl *ctl, const char *tenant, const char *begin)
{
	struct changes changes = { .ctl = ctl };
	struct state_ask ask;
	int result;

	buf_init(&changes.line, STATE_BODY_MOST);
	state_ask_init(&ask, tenant, "GET", "/watch");
	if (begin)
		state_ask_query(&ask, "prefix", begin);
	if (since)
		state_ask_query(&ask, "since", since);
	ask.accept = "text/event-stream";
	ask.sink = change_take;
	ask.arg = &changes;
	result = state_ask_run(ctl, &ask);
	state_ask_free(&ask);
	buf_free(&changes.line);
	return result;
}

/* Of the events only their data: version, kind and key are all in there. */
static const char *
change_take(void *arg, struct span bytes)
{
	struct changes *c = arg;
	ptrdiff_t end;

	if (buf_put(&c->line, bytes) != 0)
		return "a change is too long";
	while ((end = span_find(buf_span(&c->line), '\n')) >= 0) {
		change_print(c->ctl,
		    span_take(buf_span(&c->line), (size_t)end));
		buf_taken(&c->line, (size_t)end + 1);
	}
	return fflush(stdout) == 0 ? NULL : "stdout takes no more";
}

static void
change_print(const struct ctl *ctl, struct span line)
{
	json_t *root;
	const json_t *key;

	if (!span_starts(line, SPAN("data: ")))
		return;
	line = span_skip(line, 6);
	root = json_loadb(line.data, line.bytes, 0, NULL);
	key = json_object_get(root, "key");
	if (root && ctl->json) {
		words_json(root);
		return;
	}
	if (json_is_string(key)) {
		printf("%8lld %-7s ",
		    (long long)json_integer_value(json_object_get(root,
			"version")),
		    json_string_value(json_object_get(root, "op")));
		words_put_line(stdout,
		    span_make(json_string_value(key), json_string_length(key)));
		putchar('\n');
	}
	json_decref(root);
}

/* ---- the tenant ------------------------------------------------------------------- */

static int
run_usage(const struct ctl *ctl, const char *tenant, const char *unused)
{
	struct state_ask ask;
	const char *name;
	json_t *root, *value;
	int result;

	(void)unused;
	state_ask_init(&ask, tenant, "GET", "/usage");
	result = state_ask_run(ctl, &ask);
	root = result == 0 ? state_ask_json(&ask) : NULL;
	state_ask_free(&ask);
	if (!root)
		return CTL_FAILED;
	if (ctl->json)
		return words_json(root);
	json_object_foreach(root, name, value)
	{
		char *text = json_dumps(value, JSON_ENCODE_ANY);

		printf("%-12s%s\n", name,
		    json_is_string(value) ? json_string_value(value) :
			text		  ? text :
					    "");
		free(text);
	}
	json_decref(root);
	return 0;
}

static int
run_check(const struct ctl *ctl, const char *tenant, const char *unused)
{
	struct state_ask ask;
	json_t *root;
	bool sound;
	int result;

	(void)unused;
	state_ask_init(&ask, tenant, "POST", "/host/check");
	if (deep)
		state_ask_query(&ask, "deep", "1");
	result = state_ask_run(ctl, &ask);
	root = result == 0 ? state_ask_json(&ask) : NULL;
	state_ask_free(&ask);
	if (!root)
		return CTL_FAILED;
	sound = json_is_true(json_object_get(root, "sound"));
	if (ctl->json) {
		json_object_set_new(root, "tenant", json_string(tenant));
		words_json(root);
	} else {
		const json_t *detail = json_object_get(root, "detail");

		printf("%s: %s", tenant, sound ? "sound" : "damaged: ");
		if (!sound)
			words_put_line(stdout,
			    span_make(json_string_value(detail),
				json_string_length(detail)));
		putchar('\n');
		json_decref(root);
	}
	return sound ? 0 : CTL_FAILED;
}

static int
run_delete(const struct ctl *ctl, const char *tenant, const char *unused)
{
	struct state_ask ask;
	int result;

	(void)unused;
	if (!yes)
		return usage("state",
		    "delete removes all that %s has kept; --yes says that this "
		    "is meant",
		    tenant);
	state_ask_init(&ask, tenant, "DELETE", "/host/tenant");
	result = state_ask_run(ctl, &ask);
	state_ask_free(&ask);
	return result;
}

bool
state_all(void)
{
	return all;
}

bool
state_may_overwrite(void)
{
	return yes;
}
