/* SPDX-License-Identifier: MIT */
/* If this fails, access tokens are signed with a key that others know, stay
 * good after they were revoked, or end when the state process restarts. */
#include "place.h"

#include <signal.h>
#include <sys/resource.h>

#include "base/buf.h"
#include "base/fd.h"
#include "state/ring.h"

#define NOW UINT64_C(1800000000)
#define WEEK UINT64_C(604800)
#define SECRET "0123456789abcdef0123456789abcdef"
#define BOOK(keys, tokens, revoked)                         \
	"{\"version\":1,\"current\":\"own\",\"keys\":" keys \
	",\"tokens\":" tokens ",\"revoked\":" revoked "}"

static char why[RING_WHY], id[JWT_ID_MOST + 1];

static struct ring *
opened(const struct place *p)
{
	struct ring *ring;

	why[0] = '\0';
	ring = ring_open(p->fd, NOW, why);
	if (!ring)
		fail_msg("%s", why);
	return ring;
}

/* A place with a key and a book of ours. */
static int
place_make_ring(void **state)
{
	const struct place *p;

	if (place_make(state) != 0)
		return -1;
	p = *state;
	mkdirat(p->fd, "keys", 0700);
	place_write(p, "keys/own.key", SECRET, 0400);
	place_write(p, "keys/book.json", BOOK("{}", "[]", "{}"), 0600);
	return 0;
}

static enum jwt_refusal
judge(const struct ring *ring, struct span token, uint64_t now_s,
    struct jwt_claims *claims)
{
	size_t count;
	struct jwt_key *const *keys = ring_keys(ring, &count);

	return jwt_verify(token, keys, count, now_s, claims);
}

static void
mint(struct ring *ring, struct buf *out, const char *tenant, uint64_t ttl_s,
    struct jwt_claims *claims)
{
	buf_clear(out);
	if (ring_mint(ring, out, span_of(tenant), JWT_WRITE, SPAN("app/"),
		ttl_s, NOW, id, why) != 0)
		fail_msg("%s", why);
	assert_int_equal(judge(ring, buf_span(out), NOW, claims), JWT_OK);
}

static size_t
files_ending(const struct place *p, const char *end)
{
	char command[256], line[32] = "";
	FILE *lines;

	snprintf(command, sizeof(command), "ls -A %s/keys | grep -c '%s$'",
	    p->path, end);
	lines = popen(command, "r");
	assert_non_null(fgets(line, sizeof(line), lines));
	pclose(lines);
	return strtoul(line, NULL, 10);
}

/* ---- A18: files that are refused ----------------------------------------- */

struct damage {
	const char *sentence;
	const char *shell; /* in the state directory */
	const char *why;   /* a part of it; NULL: all is well */
};

#define WRITE(name, mode, bytes) \
	"head -c " bytes " /dev/zero > keys/" name "; chmod " mode " keys/" name
#define WRITE_BOOK(text) \
	"printf '%s' '" text "' > keys/book.json; chmod 600 keys/book.json"

static const struct damage damages[] = {
	{ "nothing is wrong", ":", NULL },
	{ "A18 another key of 32 bytes", WRITE("b.key", "400", "32"), NULL },
	{ "A18 another key of 1024", WRITE("b.key", "400", "1024"), NULL },
	{ "A18 a key of 31 bytes", WRITE("b.key", "400", "31"),
	    "keys/b.key has 31 bytes, must have 32 to 1024" },
	{ "A18 an empty key", WRITE("b.key", "400", "0"),
	    "keys/b.key has 0 bytes" },
	{ "A18 a key of 1025 bytes", WRITE("b.key", "400", "1025"),
	    "keys/b.key has 1025 bytes" },
	{ "A18 a key that its group may read", WRITE("b.key", "440", "32"),
	    "keys/b.key has mode 0440, must have 0400" },
	{ "A18 a key that all may read", WRITE("b.key", "444", "32"),
	    "keys/b.key has mode 0444, must have 0400" },
	{ "A18 a key that may be written", WRITE("b.key", "600", "32"),
	    "keys/b.key has mode 0600, must have 0400" },
	{ "A18 a key that is a directory", "mkdir keys/b.key",
	    "keys/b.key is no regular file" },
	{ "A18 a key that is a pipe", "mkfifo -m 400 keys/b.key",
	    "keys/b.key is no regular file" },
	{ "A18 a key that is a link", "ln -s own.key keys/b.key",
	    "keys/b.key cannot be opened: it is a symbolic link" },
	{ "A18 a key of no good name", WRITE("b.c.key", "400", "32"),
	    "keys/b.c.key: the name before .key" },
	{ "A18 a key without a name", WRITE(".key", "400", "32"),
	    "keys/.key: the name before .key" },
	{ "A18 the key that signs is missing", "rm -f keys/own.key",
	    "keys/own.key cannot be opened: No such file" },
	{ "A18 too many keys",
	    "for i in 1 2 3 4 5 6 7 8 9 a b c d e f g; do " WRITE("$i.key",
		"400", "32") "; done",
	    "keys/ has more than 16 keys" },
	{ "other files are none of our business", "echo x > keys/README",
	    NULL },
	{ "a new book that was not finished", "echo x > keys/book.json.new",
	    NULL },
	{ "the directory may be read by others", "chmod 755 keys",
	    "keys/ belongs to user" },
	{ "the directory is a link", "mv keys k; ln -s k keys",
	    "keys/ cannot be opened" },
	{ "the book may be read by others", "chmod 644 keys/book.json",
	    "keys/book.json has mode 0644, must have 0600" },
	{ "the book is a link",
	    "mv keys/book.json b; ln -s ../b keys/book.json",
	    "keys/book.json cannot be opened: it is a symbolic link" },
	{ "the book is empty", WRITE_BOOK(""), "it is no JSON object" },
	{ "the book is half of one", WRITE_BOOK("{\"version\":1,\"curr"),
	    "it is no JSON object" },
	{ "the book says a thing twice",
	    WRITE_BOOK("{\"version\":1,\"version\":1}"),
	    "it is no JSON object" },
	{ "the book is a list", WRITE_BOOK("[]"), "it is no JSON object" },
	{ "the book is of a later version", WRITE_BOOK("{\"version\":2}"),
	    "it is of another version" },
	{ "the book lacks a part", WRITE_BOOK("{\"version\":1}"),
	    "a part of it is missing" },
	{ "the book names a file elsewhere",
	    WRITE_BOOK("{\"version\":1,\"current\":\"../own\",\"keys\":{},"
		       "\"tokens\":[],\"revoked\":{}}"),
	    "a part of it is missing" },
	{ "the book ends the key that signs",
	    WRITE_BOOK(BOOK("{\"own\":1}", "[]", "{}")),
	    "the key that signs has an end" },
	{ "the book has a key without end",
	    WRITE_BOOK(BOOK("{\"b\":null}", "[]", "{}")),
	    "the end of a key is no time" },
	{ "the book has a revocation without end",
	    WRITE_BOOK(BOOK("{}", "[]", "{\"t\":\"x\"}")),
	    "the end of a revocation is no time" },
	{ "the book has half a token",
	    WRITE_BOOK(BOOK("{}", "[{\"id\":\"t\"}]", "{}")),
	    "a token\\x27s entry is not whole" },
	{ "the book has a token without times",
	    WRITE_BOOK(BOOK("{}",
		"[{\"id\":\"t\",\"tenant\":\"a\",\"scope\":\"read\","
		"\"prefix\":\"\",\"kid\":\"own\"}]",
		"{}")),
	    "a token\\x27s entry has no times" },
};

static void
test_damage(void **state)
{
	const struct damage *row = *state;
	char command[4096], wanted[256];
	struct ring *ring, *before;
	struct jwt_claims claims;
	struct buf token;
	void *made = NULL;
	const char *quote;

	assert_int_equal(place_make_ring(&made), 0);
	before = opened(made);
	buf_init(&token, JWT_MOST);
	mint(before, &token, "acme", 60, &claims);
	snprintf(command, sizeof(command), "cd %s && { %s; }",
	    ((struct place *)made)->path, row->shell);
	assert_int_equal(system(command), 0);

	why[0] = '\0';
	ring = ring_open(((struct place *)made)->fd, NOW, why);
	assert_int_equal(ring != NULL, row->why == NULL);
	if (row->why) {
		quote = strstr(row->why, "\\x27");
		snprintf(wanted, sizeof(wanted), "%.*s%s%s",
		    quote ? (int)(quote - row->why) : 255, row->why,
		    quote ? "'" : "", quote ? quote + 4 : "");
		if (!strstr(why, wanted))
			fail_msg("is \"%s\", wanted \"%s\"", why, wanted);
	}
	ring_free(&ring);

	/* Who runs already goes on with what he has. The directory itself he
	 * holds open. */
	if (row->why && !strstr(row->why, "keys/ belongs") &&
	    !strstr(row->why, "keys/ cannot")) {
		assert_int_equal(ring_reload(before, NOW, why), -1);
		assert_int_equal(judge(before, buf_span(&token), NOW, &claims),
		    JWT_OK);
	}
	ring_free(&before);
	buf_free(&token);
	assert_int_equal(place_remove(&made), 0);
}

static void
test_foreign_owner(void **state)
{
	const struct place *p = *state;
	struct ring *ring;

	if (geteuid() != 0)
		skip(); /* only root can give a file away */
	assert_int_equal(fchownat(p->fd, "keys/own.key", 65534, 65534, 0), 0);
	ring = ring_open(p->fd, NOW, why);
	assert_null(ring);
	assert_non_null(strstr(why,
	    "keys/own.key belongs to user 65534, must belong to 0"));
	assert_int_equal(fchownat(p->fd, "keys/own.key", 0, 0, 0), 0);
	assert_int_equal(fchownat(p->fd, "keys", 65534, 65534, 0), 0);
	assert_null(ring_open(p->fd, NOW, why));
	assert_non_null(strstr(why, "keys/ belongs to user 65534"));
}

/* ---- life ---------------------------------------------------------------- */

static void
test_first_start(void **state)
{
	const struct place *p = *state;
	struct ring *ring = opened(p);
	struct jwt_claims claims;
	struct buf token;
	struct stat is;

	buf_init(&token, JWT_MOST);
	mint(ring, &token, "acme", 60, &claims);
	assert_int_equal(fstatat(p->fd, "keys", &is, 0), 0);
	assert_int_equal(is.st_mode & 07777, 0700);
	assert_int_equal(fstatat(p->fd, "keys/book.json", &is, 0), 0);
	assert_int_equal(is.st_mode & 07777, 0600);
	assert_int_equal(files_ending(p, "\\.key"), 1);
	ring_free(&ring);

	ring = opened(p);
	assert_int_equal(judge(ring, buf_span(&token), NOW, &claims), JWT_OK);
	assert_int_equal(files_ending(p, "\\.key"), 1);
	ring_free(&ring);
	buf_free(&token);
}

static void
test_two_hosts(void **state)
{
	const struct place *p = *state;
	struct ring *ring = opened(p), *other;
	void *made = NULL;
	struct jwt_claims claims;
	struct buf token;

	buf_init(&token, JWT_MOST);
	mint(ring, &token, "acme", 60, &claims);
	assert_int_equal(place_make(&made), 0);
	other = opened(made);
	assert_int_equal(judge(other, buf_span(&token), NOW, &claims), JWT_KEY);
	ring_free(&other);
	ring_free(&ring);
	buf_free(&token);
	assert_int_equal(place_remove(&made), 0);
}

static void
test_mint(void **state)
{
	struct ring *ring = opened(*state);
	struct jwt_claims claims;
	struct buf token;
	char book[4096], prefix[600];

	buf_init(&token, JWT_MOST);
	mint(ring, &token, "acme", 3600, &claims);
	assert_int_equal(claims.kind, JWT_ACCESS);
	assert_int_equal(claims.scope, JWT_WRITE);
	assert_string_equal(claims.tenant, "acme");
	assert_string_equal(claims.prefix, "app/");
	assert_string_equal(claims.kid, "own");
	assert_string_equal(claims.id, id);
	assert_true(ring_knows(ring, span_of(id)));
	assert_false(ring_knows(ring, SPAN("x")));
	assert_int_equal(claims.issued_s, NOW);
	assert_int_equal(claims.expires_s, NOW + 3600);
	/* The book knows of it, but not it. */
	place_read(*state, "keys/book.json", book, sizeof(book));
	assert_non_null(strstr(book, claims.id));
	assert_null(strstr(book, "eyJ"));

	buf_clear(&token);
	memset(prefix, 'x', sizeof(prefix));
	assert_int_equal(ring_mint(ring, &token, SPAN("../x"), JWT_READ,
			     SPAN_NONE, 60, NOW, id, why),
	    -1);
	assert_int_equal(ring_mint(ring, &token, SPAN_NONE, JWT_READ, SPAN_NONE,
			     60, NOW, id, why),
	    -1);
	assert_int_equal(ring_mint(ring, &token, SPAN("acme"), JWT_READ,
			     SPAN("\xff"), 60, NOW, id, why),
	    -1);
	assert_int_equal(ring_mint(ring, &token, SPAN("acme"), JWT_READ,
			     span_make(prefix, 513), 60, NOW, id, why),
	    -1);
	assert_int_equal(ring_mint(ring, &token, SPAN("acme"), JWT_READ,
			     SPAN_NONE, 0, NOW, id, why),
	    -1);
	assert_int_equal(ring_mint(ring, &token, SPAN("acme"), JWT_READ,
			     SPAN_NONE, JWT_ACCESS_MOST_S + 1, NOW, id, why),
	    -1);
	assert_int_equal(buf_bytes(&token), 0);
	ring_free(&ring);
	buf_free(&token);
}

static void
test_revoke(void **state)
{
	struct ring *ring = opened(*state);
	struct jwt_claims claims, other;
	struct buf token;

	buf_init(&token, JWT_MOST);
	mint(ring, &token, "acme", 3600, &claims);
	mint(ring, &token, "acme", 3600, &other);
	assert_string_not_equal(claims.id, other.id);
	assert_false(ring_revoked(ring, span_of(claims.id)));
	for (int twice = 0; twice < 2; twice++)
		assert_int_equal(ring_revoke(ring, span_of(claims.id), NOW,
				     why),
		    0);
	assert_int_equal(ring_revoke(ring, SPAN("of-a-library"), NOW, why), 0);
	assert_int_equal(ring_revoke(ring, SPAN("a b"), NOW, why), -1);
	assert_int_equal(ring_revoke(ring, SPAN(""), NOW, why), -1);
	assert_int_equal(ring_revoke(ring, buf_span(&token), NOW, why), -1);
	assert_string_equal(why,
	    "that is a token, and not its id; `token list` shows ids");
	for (int start = 0; start < 2; start++) {
		assert_true(ring_revoked(ring, span_of(claims.id)));
		assert_true(ring_revoked(ring, SPAN("of-a-library")));
		assert_false(ring_revoked(ring, span_of(other.id)));
		ring_free(&ring);
		ring = opened(*state);
	}
	/* Forgotten a week after nothing can be good any more that has this
	 * id: clocks have been ahead for a while. */
	assert_int_equal(ring_revoke(ring, SPAN("x"), NOW + 3600 + WEEK - 1,
			     why),
	    0);
	assert_true(ring_revoked(ring, span_of(claims.id)));
	assert_int_equal(ring_revoke(ring, SPAN("z"), NOW + 3600 + WEEK, why),
	    0);
	assert_false(ring_revoked(ring, span_of(claims.id)));
	assert_true(ring_revoked(ring, SPAN("of-a-library")));
	assert_int_equal(ring_revoke(ring, SPAN("y"),
			     NOW + JWT_ACCESS_MOST_S + WEEK, why),
	    0);
	assert_false(ring_revoked(ring, SPAN("of-a-library")));
	ring_free(&ring);
	buf_free(&token);
}

static void
test_rotate(void **state)
{
	const struct place *p = *state;
	struct ring *ring = opened(p);
	struct jwt_claims claims, unused;
	char kid[JWT_KID_MOST + 1];
	struct buf token, next;

	buf_init(&token, JWT_MOST);
	buf_init(&next, JWT_MOST);
	mint(ring, &token, "acme", 3600, &claims);
	assert_int_equal(ring_rotate(ring, 600, NOW, kid, why), 0);
	for (int start = 0; start < 2; start++) {
		mint(ring, &next, "acme", 3600, &claims);
		assert_string_equal(claims.kid, kid);
		assert_int_equal(judge(ring, buf_span(&token), NOW + 599,
				     &unused),
		    JWT_OK);
		assert_int_equal(judge(ring, buf_span(&token), NOW + 600,
				     &unused),
		    JWT_KEY_ENDED);
		assert_int_equal(judge(ring, buf_span(&next), NOW + 600,
				     &unused),
		    JWT_OK);
		assert_true(ring_has(ring, SPAN("own"), NOW + 599));
		assert_false(ring_has(ring, SPAN("own"), NOW + 600));
		assert_true(ring_has(ring, span_of(kid), NOW + 600));
		assert_false(ring_has(ring, SPAN("ow"), NOW));
		ring_free(&ring);
		ring = opened(p);
	}
	/* When its time is over, its file goes too. */
	assert_int_equal(files_ending(p, "\\.key"), 2);
	assert_int_equal(ring_reload(ring, NOW + 600, why), 0);
	assert_int_equal(files_ending(p, "\\.key"), 1);
	assert_int_equal(judge(ring, buf_span(&token), NOW + 600, &unused),
	    JWT_KEY);
	/* At once, when a key may have become known. */
	assert_int_equal(ring_rotate(ring, 0, NOW + 700, kid, why), 0);
	assert_int_equal(judge(ring, buf_span(&next), NOW + 700, &unused),
	    JWT_KEY);
	assert_int_equal(files_ending(p, "\\.key"), 1);
	assert_int_equal(ring_rotate(ring, JWT_ACCESS_MOST_S + 1, NOW, kid,
			     why),
	    -1);
	ring_free(&ring);
	buf_free(&token);
	buf_free(&next);
}

/* A short overlap is for all keys that signed, however long they were to be
 * good; a key that somebody put there is not ours to end. */
static void
test_rotate_ends_older(void **state)
{
	const struct place *p = *state;
	struct ring *ring = opened(p);
	struct jwt_claims claims;
	char kid[JWT_KID_MOST + 1];
	struct buf first, second;

	buf_init(&first, JWT_MOST);
	buf_init(&second, JWT_MOST);
	mint(ring, &first, "acme", 3600, &claims);
	assert_int_equal(ring_rotate(ring, 3000, NOW, kid, why), 0);
	mint(ring, &second, "acme", 3600, &claims);
	place_write(p, "keys/partner.key", SECRET, 0400);
	assert_int_equal(ring_rotate(ring, 100, NOW, kid, why), 0);
	assert_int_equal(judge(ring, buf_span(&first), NOW + 99, &claims),
	    JWT_OK);
	assert_int_equal(judge(ring, buf_span(&first), NOW + 100, &claims),
	    JWT_KEY_ENDED);
	assert_int_equal(judge(ring, buf_span(&second), NOW + 100, &claims),
	    JWT_KEY_ENDED);
	/* A longer one does not lengthen it again. */
	assert_int_equal(ring_rotate(ring, 3000, NOW, kid, why), 0);
	assert_int_equal(judge(ring, buf_span(&first), NOW + 100, &claims),
	    JWT_KEY_ENDED);
	assert_int_equal(ring_rotate(ring, 0, NOW, kid, why), 0);
	assert_int_equal(judge(ring, buf_span(&first), NOW, &claims), JWT_KEY);
	assert_int_equal(judge(ring, buf_span(&second), NOW, &claims), JWT_KEY);
	assert_true(ring_has(ring, SPAN("partner"), NOW + 1000000));
	assert_int_equal(files_ending(p, "\\.key"), 2);
	ring_free(&ring);
	buf_free(&first);
	buf_free(&second);
}

static void
test_rotate_when_full(void **state)
{
	struct ring *ring = opened(*state);
	char kid[JWT_KID_MOST + 1];

	for (int i = 1; i < RING_KEYS_MOST; i++)
		assert_int_equal(ring_rotate(ring, 600, NOW, kid, why), 0);
	assert_int_equal(ring_rotate(ring, 600, NOW, kid, why), -1);
	assert_int_equal(ring_rotate(ring, 0, NOW, kid, why), 0);
	assert_int_equal(files_ending(*state, "\\.key"), 1);
	ring_free(&ring);
}

static void
test_rotate_refused(void **state)
{
	const struct place *p = *state;
	struct ring *ring = opened(p);
	char kid[JWT_KID_MOST + 1], name[32];

	place_write(p, "keys/short.key", "short", 0400);
	assert_int_equal(ring_rotate(ring, 600, NOW, kid, why), -1);
	assert_non_null(strstr(why, "keys/short.key has 5 bytes"));
	assert_int_equal(files_ending(p, "\\.key"), 2);
	assert_int_equal(unlinkat(p->fd, "keys/short.key", 0), 0);
	for (int i = 1; i < RING_KEYS_MOST; i++) {
		snprintf(name, sizeof(name), "keys/%d.key", i);
		place_write(p, name, SECRET, 0400);
	}
	assert_int_equal(ring_rotate(ring, 600, NOW, kid, why), -1);
	assert_non_null(strstr(why, "there are 16 keys"));
	assert_int_equal(files_ending(p, "\\.key"), 16);
	ring_free(&ring);
}

static void
test_unwritable(void **state)
{
	const struct place *p = *state;
	struct ring *ring = opened(p);
	char kid[JWT_KID_MOST + 1];
	struct buf token;

	/* A directory in the way of the new book. */
	assert_int_equal(mkdirat(p->fd, "keys/book.json.new", 0700), 0);
	buf_init(&token, JWT_MOST);
	assert_int_equal(ring_mint(ring, &token, SPAN("acme"), JWT_READ,
			     SPAN_NONE, 60, NOW, id, why),
	    -1);
	assert_non_null(strstr(why, "keys/book.json cannot be written"));
	assert_int_equal(buf_bytes(&token), 0);
	assert_int_equal(ring_revoke(ring, SPAN("t"), NOW, why), -1);
	assert_false(ring_revoked(ring, SPAN("t")));
	assert_int_equal(ring_rotate(ring, 600, NOW, kid, why), -1);
	assert_int_equal(files_ending(p, "\\.key"), 1);
	assert_true(ring_has(ring, SPAN("own"), NOW + 601));
	ring_free(&ring);
	buf_free(&token);
}

/* No file may grow: as on a disk that is full. */
static void
test_full_disk(void **state)
{
	const struct rlimit none = { 0, RLIM_INFINITY };
	const struct place *p = *state;
	struct ring *ring = opened(p);
	struct rlimit before;
	char kid[JWT_KID_MOST + 1];
	struct buf token;

	buf_init(&token, JWT_MOST);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_int_equal(ring_mint(ring, &token, SPAN("acme"), JWT_READ,
			     SPAN_NONE, 60, NOW, id, why),
	    -1);
	assert_int_equal(ring_revoke(ring, SPAN("t"), NOW, why), -1);
	assert_int_equal(ring_rotate(ring, 600, NOW, kid, why), -1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_non_null(strstr(why, "cannot be written"));
	assert_int_equal(files_ending(p, "\\.key"), 1);
	assert_int_equal(files_ending(p, "\\.new"), 0);
	assert_false(ring_revoked(ring, SPAN("t")));
	assert_int_equal(ring_reload(ring, NOW, why), 0);
	assert_int_equal(ring_revoke(ring, SPAN("t"), NOW, why), 0);
	ring_free(&ring);
	buf_free(&token);
}

static void
test_list(void **state)
{
	struct ring *ring = opened(*state);
	struct jwt_claims first, second;
	char kid[JWT_KID_MOST + 1];
	struct buf token, list;

	buf_init(&token, JWT_MOST);
	buf_init(&list, 65536);
	mint(ring, &token, "acme", 3600, &first);
	mint(ring, &token, "other", 60, &second);
	assert_int_equal(ring_revoke(ring, span_of(first.id), NOW, why), 0);
	assert_int_equal(ring_revoke(ring, SPAN("foreign"), NOW, why), 0);

	assert_int_equal(ring_list(ring, &list, SPAN_NONE, NOW), 0);
	assert_non_null(strstr(buf_string(&list), first.id));
	assert_non_null(strstr(buf_string(&list), second.id));
	assert_non_null(strstr(buf_string(&list), "\"foreign\""));
	buf_clear(&list);
	assert_int_equal(ring_list(ring, &list, SPAN("acme"), NOW), 0);
	assert_non_null(strstr(buf_string(&list), first.id));
	assert_non_null(strstr(buf_string(&list), "\"revoked\":true"));
	assert_null(strstr(buf_string(&list), second.id));
	assert_null(strstr(buf_string(&list), "foreign"));
	buf_clear(&list);
	assert_int_equal(ring_list(ring, &list, SPAN("other"), NOW + 60), 0);
	assert_string_equal(buf_string(&list), "");
	/* With its key it ends before its time. */
	assert_int_equal(ring_rotate(ring, 10, NOW, kid, why), 0);
	assert_int_equal(ring_list(ring, &list, SPAN("other"), NOW), 0);
	assert_non_null(strstr(buf_string(&list), "\"expires\":1800000010"));
	buf_clear(&list);
	assert_int_equal(ring_list(ring, &list, SPAN("other"), NOW + 10), 0);
	assert_string_equal(buf_string(&list), "");
	ring_free(&ring);
	buf_free(&token);
	buf_free(&list);
}

#define TEST(sentence, name, make)                              \
	{                                                       \
		sentence, test_##name, make, place_remove, NULL \
	}
static const struct CMUnitTest others[] = {
	TEST("A18 a key or directory of somebody else", foreign_owner,
	    place_make_ring),
	TEST("an empty directory gets a key and a book", first_start,
	    place_make),
	TEST("A13 a token of another host", two_hosts, place_make_ring),
	TEST("a token is as it was asked for, and in the book", mint,
	    place_make_ring),
	TEST("what is revoked stays revoked until it is over", revoke,
	    place_make_ring),
	TEST("A19 an old key is good until its window ends", rotate,
	    place_make_ring),
	TEST("A19 a short overlap is for all keys that signed",
	    rotate_ends_older, place_make_ring),
	TEST("A19 a full ring can be emptied", rotate_when_full,
	    place_make_ring),
	TEST("no new key while a file is bad or there are too many",
	    rotate_refused, place_make_ring),
	TEST("what cannot be written down does not count", unwritable,
	    place_make_ring),
	TEST("a full disk leaves nothing half", full_disk, place_make_ring),
	TEST("a list of what is good, and of what was revoked", list,
	    place_make_ring),
};

int
main(void)
{
	return RUN_ROWS(damages, test_damage) +
	    cmocka_run_group_tests(others, NULL, NULL);
}
