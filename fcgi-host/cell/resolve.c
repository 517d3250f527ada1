/* SPDX-License-Identifier: MIT */
/* resolve.c - from a name to a program, its settings and a ticket, or to the
 * reason why not.
 * A candidate is an executable file or a directory with a `run`. A file that
 * is there but cannot be one (not executable, a dangling link, a FIFO) is
 * named only when the name has no candidate: "hello.c" beside "hello" is
 * nobody's mistake. Files are opened and looked at, never trusted by name. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"
#include "base/map.h"

#include "config/settings.h"

#include "cell/conf.h"
#include "cell/program.h"

struct resolve {
	struct grounds grounds;
	struct config *config;	   /* held */
	const struct terms *terms; /* its tenant's, of that */
	struct scan scan;
	struct map serving; /* struct served by function */
};

struct served { /* which file a function was last */
	struct map_node node;
	char function[NAME_FUNCTION_MOST + 1];
	char entry[];
};

/* All that is known about a name before one is chosen. */
struct choice {
	size_t candidates;
	struct candidate first; /* of the candidates */
	char second[NAME_FILE_MOST + 1];
	struct candidate serving;
	struct candidate misfit; /* the first, or the one asked for */
	enum look asked;	 /* what the entry asked for is */
};

/* The rows of a list that no name leads to. */
struct misnamed {
	struct resolve *resolve;
	struct resolution *out;
	resolve_list_fn *tell;
	void *arg;
	size_t count;
};

static void resolve_function(struct resolve *, struct span asked,
    uint64_t unix_ms, struct resolution *);
static int files_of(struct resolve *, struct span asked, uint64_t unix_ms,
    size_t *first, char *reason);
static void choice_add(struct choice *, const struct candidate *,
    struct span asked, const char *served);
static const struct candidate *choice_made(const struct choice *,
    struct span asked, struct resolution *);
static bool is_bystander(const struct resolve *, const char *file);
static int list_misnamed(void *misnamed, struct span file);
static const char *served_entry(struct resolve *, struct span function);
static void served_set(struct resolve *, const char *function,
    const char *entry);
static void served_prune(struct resolve *);
static void served_free(struct resolve *, struct served *);

void
resolution_init(struct resolution *out)
{
	*out = (struct resolution){ .outcome = RESOLVED_NONE };
	buf_init(&out->ticket, 64 * 1024);
	buf_init(&out->settings, 64 * 1024);
}

void
resolution_free(struct resolution *out)
{
	buf_free(&out->ticket);
	buf_free(&out->settings);
}

struct resolution_facts
resolution_facts(const struct resolve *r, const struct resolution *out)
{
	struct resolution_facts facts = { .start = START_EXEC };
	struct settings *settings;

	if (out->outcome != RESOLVED_FOUND)
		return facts;
	settings = settings_decode(buf_span(&out->settings), r->terms);
	if (settings) {
		facts.off = settings->concurrency == 0;
		facts.start = settings->start;
	}
	settings_release(&settings);
	return facts;
}

struct resolve *
resolve_new(const struct resolve_place *place, struct config *config)
{
	struct resolve *r = diag_alloc(sizeof(*r));

	r->config = config_hold(config);
	r->terms = config_terms(config, span_of(place->tenant));
	grounds_init(&r->grounds, place, config);
	scan_init(&r->scan);
	map_init(&r->serving);
	return r;
}

void
resolve_free(struct resolve **resolve)
{
	struct resolve *r = *resolve;
	struct map_node *node;

	*resolve = NULL;
	while ((node = map_next(&r->serving, NULL)))
		served_free(r, MAP_OWNER(node, struct served, node));
	map_free(&r->serving);
	scan_free(&r->scan);
	grounds_free(&r->grounds);
	config_release(&r->config);
	free(r);
}

void
resolve_name(struct resolve *r, struct span asked, uint64_t unix_ms,
    struct resolution *out)
{
	char entry[NAME_FILE_MOST + 1];

	resolve_function(r, asked, unix_ms, out);
	if (out->outcome != RESOLVED_FOUND)
		return;
	/* gallery/run: what stays is the directory */
	snprintf(entry, sizeof(entry), "%.*s", (int)strcspn(out->file, "/"),
	    out->file);
	served_set(r, out->function, entry);
}

int
resolve_list(struct resolve *r, uint64_t unix_ms, resolve_list_fn *tell,
    void *arg)
{
	struct resolution out;
	struct misnamed misnamed = { r, &out, tell, arg, 0 };
	char function[NAME_FUNCTION_MOST + 1];
	size_t first;

	if (scan_refresh(&r->scan, r->grounds.place.directory_fd, unix_ms,
		true) < 0)
		return -1;
	served_prune(r);
	resolution_init(&out);
	for (size_t i = 0; i < r->scan.count;) {
		struct span name =
		    name_function(span_of(scan_file(&r->scan, i)));

		snprintf(function, sizeof(function), "%.*s", SPAN_ARGS(name));
		resolve_function(r, span_of(function), unix_ms, &out);
		if (out.outcome == RESOLVED_FOUND ||
		    (out.reason[0] && !is_bystander(r, out.file)))
			tell(arg, &out);
		/* behind this name, wherever a new scan has put it */
		i = scan_find(&r->scan, span_of(function), &first) + first;
	}
	scan_each(r->grounds.place.directory_fd, list_misnamed, &misnamed);
	resolution_free(&out);
	return 0;
}

/* Sources, data and notes lie beside functions: what has a suffix, is not
 * executable and does not begin as a script was not meant to be one. Asked for by
 * its URL it says what is missing all the same. */
static bool
is_bystander(const struct resolve *r, const char *file)
{
	int directory_fd = r->grounds.place.directory_fd, fd;
	struct stat st;
	char head[2];
	bool other;

	if (strchr(file, '/') || !strchr(file, '.') ||
	    fstatat(directory_fd, file, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    !S_ISREG(st.st_mode) ||
	    (st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
		return false;
	fd = openat(directory_fd, file,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	other = fd >= 0 &&
	    (pread(fd, head, 2, 0) != 2 || memcmp(head, "#!", 2) != 0);
	fd_close(&fd);
	return other;
}

/* What would be a function but for its name. No URL leads to it, so nothing
 * but the list can tell. */
static int
list_misnamed(void *arg, struct span file)
{
	struct misnamed *m = arg;
	struct resolution *out = m->out;
	struct candidate c;

	if (name_file(file) != NAME_FILE_MISNAMED)
		return 0;
	if (++m->count > SCAN_NAMES_MOST)
		return -1;
	candidate_look(&m->resolve->grounds, file.data, &c);
	if (c.look != LOOK_CANDIDATE)
		return 0;
	buf_clear(&out->ticket);
	buf_clear(&out->settings);
	out->outcome = RESOLVED_REFUSED;
	out->protocol = PROTOCOL_AUTO;
	out->function[0] = '\0';
	snprintf(out->file, sizeof(out->file), "%s", c.file);
	if (name_function(file).bytes > NAME_FUNCTION_MOST)
		reason_say(out->reason,
		    "%s: its name has more than %d characters before the first "
		    "dot",
		    c.entry, NAME_FUNCTION_MOST);
	else
		reason_say(out->reason,
		    "%s: its name has characters other than letters, digits, _ "
		    "and -",
		    c.entry);
	m->tell(m->arg, out);
	return 0;
}

static void
resolve_function(struct resolve *r, struct span asked, uint64_t unix_ms,
    struct resolution *out)
{
	struct span function = name_function(asked);
	struct choice choice = { 0 };
	const struct candidate *made;
	struct ticket ticket = { 0 };
	char settings[RESOLVE_FILE_MOST + 16], ignored[REASON_MOST];
	struct candidate c;
	unsigned program, protocol;
	size_t first;
	bool good;
	int count;

	buf_clear(&out->ticket);
	buf_clear(&out->settings);
	out->file[0] = out->reason[0] = out->function[0] = '\0';
	out->outcome = RESOLVED_NONE;
	out->program = PROGRAM_ANY;
	out->protocol = PROTOCOL_AUTO;
	out->version = 0;
	if (fstat(r->grounds.place.directory_fd, &r->grounds.directory) != 0 ||
	    r->grounds.directory.st_nlink == 0) {
		out->outcome = RESOLVED_MOVED;
		return;
	}
	if (name_file(asked) != NAME_FILE_PROGRAM)
		return;
	snprintf(out->function, sizeof(out->function), "%.*s",
	    SPAN_ARGS(function));
	count = files_of(r, asked, unix_ms, &first, out->reason);
	if (count < 0) {
		out->outcome = RESOLVED_REFUSED;
		return;
	}
	for (int i = 0; i < count; i++) {
		candidate_look(&r->grounds,
		    scan_file(&r->scan, first + (size_t)i), &c);
		choice_add(&choice, &c, asked, served_entry(r, function));
	}
	made = choice_made(&choice, asked, out);
	if (!made)
		return;
	snprintf(out->file, sizeof(out->file), "%s", made->file);
	out->outcome = RESOLVED_REFUSED;
	if (made->reason[0]) {
		memcpy(out->reason, made->reason, sizeof(out->reason));
		return;
	}
	ticket.program = span_of(out->file);
	if (ticket_settings_name(ticket.program, settings, sizeof(settings)) !=
	    0)
		return reason_say(out->reason, "%s: its name is too long",
		    out->file);
	ticket.settings = span_of(settings);
	ticket.files[TICKET_PROGRAM] = identity_of(&made->st);
	good = program_check(&r->grounds, made, &ticket, &program, out->reason);
	/* the settings may say what runs it, and then it need not be a program */
	if (conf_read(&r->grounds, r->terms, settings, &program, &protocol,
		unix_ms, &ticket, &out->settings,
		good ? out->reason : ignored) != 0)
		return;
	if (ticket.python)
		good = program_python(&r->grounds, made, &ticket, out->reason);
	if (!good) {
		if (ticket.unfinished)
			out->outcome = RESOLVED_UNFINISHED;
		return;
	}
	if (ticket_encode(&ticket, &out->ticket) != 0)
		return reason_say(out->reason, "%s: out of memory", out->file);
	out->outcome = RESOLVED_FOUND;
	out->program = program;
	out->protocol = protocol;
	out->version =
	    ticket_version(&ticket) ^ 7 * ticket_hash(buf_span(&out->settings));
}

/* Files of the function, as neighbours in the scan: how many; -1 with the
 * reason when the directory cannot be read. */
static int
files_of(struct resolve *r, struct span asked, uint64_t unix_ms, size_t *first,
    char *reason)
{
	struct span function = name_function(asked);
	int fd = r->grounds.place.directory_fd, result;
	char entry[NAME_FILE_MOST + 1];
	struct stat st;
	size_t count;

	result = scan_refresh(&r->scan, fd, unix_ms, false);
	if (result > 0)
		served_prune(r);
	count = scan_find(&r->scan, function, first);
	for (size_t i = 0; i < count; i++)
		if (span_equal(span_of(scan_file(&r->scan, *first + i)), asked))
			return (int)count;
	/* NFS may go on showing the directory as it was, but asked for a name
	 * it looks: believe that more */
	snprintf(entry, sizeof(entry), "%.*s", SPAN_ARGS(asked));
	if (result == 0 && fstatat(fd, entry, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		result = scan_refresh(&r->scan, fd, unix_ms, true);
		count = scan_find(&r->scan, function, first);
	}
	if (result >= 0)
		return (int)count;
	if (errno == EFBIG)
		reason_say(reason,
		    "the tenant's directory has more than %d names",
		    SCAN_NAMES_MOST);
	else
		reason_say(reason,
		    "the tenant's directory cannot be read by user "
		    "%u: %s",
		    (unsigned)r->grounds.place.uid, strerror(errno));
	return -1;
}

static void
choice_add(struct choice *choice, const struct candidate *c, struct span asked,
    const char *served)
{
	bool is_asked = span_equal(span_of(c->entry), asked);

	if (is_asked)
		choice->asked = c->look;
	if (c->look == LOOK_MISFIT &&
	    (is_asked || choice->misfit.look == LOOK_NOTHING))
		choice->misfit = *c;
	if (c->look != LOOK_CANDIDATE)
		return;
	if (choice->candidates == 0)
		choice->first = *c;
	else if (choice->candidates == 1)
		memcpy(choice->second, c->entry, sizeof(choice->second));
	choice->candidates++;
	if (served && strcmp(served, c->entry) == 0)
		choice->serving = *c;
}

/* The candidate, which may have a reason against it; or NULL with the outcome
 * complete. */
static const struct candidate *
choice_made(const struct choice *choice, struct span asked,
    struct resolution *out)
{
	bool whole_name = span_find(asked, '.') >= 0;
	const struct candidate *made;

	if (whole_name && choice->asked == LOOK_NOTHING)
		return NULL;
	if (choice->candidates == 0 ||
	    (whole_name && choice->asked == LOOK_MISFIT)) {
		made = &choice->misfit;
		return made->look == LOOK_MISFIT ? made : NULL;
	}
	made = choice->candidates == 1 ? &choice->first : &choice->serving;
	if (made->look == LOOK_CANDIDATE &&
	    (!whole_name || span_equal(span_of(made->entry), asked)))
		return made;
	out->outcome = RESOLVED_REFUSED;
	snprintf(out->file, sizeof(out->file), "%s", choice->first.file);
	reason_say(out->reason,
	    "%s and %s both are \"%s\": rename or remove one",
	    choice->first.entry, choice->second, out->function);
	return NULL;
}

static const char *
served_entry(struct resolve *r, struct span function)
{
	struct map_node *node = map_find(&r->serving, function);

	return node ? MAP_OWNER(node, struct served, node)->entry : NULL;
}

/* Without memory it is not remembered: then two files of one name are refused
 * instead of one of them staying. */
static void
served_set(struct resolve *r, const char *function, const char *entry)
{
	struct map_node *node = map_find(&r->serving, span_of(function));
	struct served *s;

	if (node) {
		s = MAP_OWNER(node, struct served, node);
		if (strcmp(s->entry, entry) == 0)
			return;
		served_free(r, s);
	}
	s = malloc(sizeof(*s) + strlen(entry) + 1);
	if (!s)
		return;
	snprintf(s->function, sizeof(s->function), "%s", function);
	memcpy(s->entry, entry, strlen(entry) + 1);
	if (map_add(&r->serving, &s->node, span_of(s->function)) != 0)
		free(s);
}

/* After a scan: functions whose file has gone are forgotten, so there are
 * never more of them than files. */
static void
served_prune(struct resolve *r)
{
	struct map_node *next, *node = map_next(&r->serving, NULL);
	size_t first;

	for (; node; node = next) {
		next = map_next(&r->serving, node);
		if (scan_find(&r->scan, node->key, &first) == 0)
			served_free(r, MAP_OWNER(node, struct served, node));
	}
}

static void
served_free(struct resolve *r, struct served *s)
{
	map_remove(&r->serving, &s->node);
	free(s);
}
