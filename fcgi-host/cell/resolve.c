/* SPDX-License-Identifier: MIT */
/* resolve.c - from a name to a program, its settings and a ticket, or to the
 * reason why not.
 * A candidate is an executable file or a directory with a `run`. A file that
 * is there but cannot be one (not executable, a dangling link, a FIFO) is
 * named only when the name has no candidate: "hello.c" beside "hello" is
 * nobody's mistake. Files are opened and looked at, never trusted by name. */

#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <link.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/fd.h"
#include "base/map.h"

#include "config/settings.h"

#include "cell/resolve.h"

enum {
	OVERFLOW_ID = 65534, /* who has no name in a user namespace */
	OPEN_TRIES = 16,     /* a rename may disturb openat2's look */
	LINE_MOST = 256,     /* of a script's first line the kernel reads */
	HEAD_BYTES = 1024,   /* where linkers put the name of the loader */
};

struct resolve {
	struct resolve_place place;
	struct config *config;	/* held */
	gid_t private_group;	/* of uid; (gid_t)-1: none */
	struct strings targets; /* ours: link_targets, canonical */
	struct scan scan;
	struct map serving;    /* struct served by function */
	struct stat directory; /* as of this question */
};

struct served { /* which file a function was last */
	struct map_node node;
	char function[NAME_FUNCTION_MOST + 1];
	char entry[];
};

enum look {
	LOOK_NOTHING,	/* no candidate, and nothing to say */
	LOOK_MISFIT,	/* there, but no candidate: reason */
	LOOK_CANDIDATE, /* unless there is a reason, it is good */
};

struct candidate {
	enum look look;
	char entry[NAME_FILE_MOST + 1];	  /* in the directory */
	char file[RESOLVE_FILE_MOST + 1]; /* entry or entry/run */
	char reason[RESOLVE_REASON_MOST]; /* empty: none */
	struct stat st;			  /* of what runs */
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

/* What a program begins with. */
struct head {
	_Alignas(ElfW(Ehdr)) char bytes[HEAD_BYTES + 1]; /* ends with NUL */
	size_t count;
};

/* The rows of a list that no name leads to. */
struct misnamed {
	struct resolve *resolve;
	struct resolution *out;
	resolve_list_fn *tell;
	void *arg;
	size_t count;
};

enum place {
	PLACE_ABSENT,
	PLACE_FOUND,
	PLACE_BAD, /* reason */
};

static void resolve_function(struct resolve *, struct span asked,
    uint64_t unix_ms, struct resolution *);
static int files_of(struct resolve *, struct span asked, uint64_t unix_ms,
    size_t *first, char *reason);
/* Our own, by the linker: what a program of this machine begins with. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

static void choice_add(struct choice *, const struct candidate *,
    struct span asked, const char *served);
static const struct candidate *choice_made(const struct choice *,
    struct span asked, struct resolution *);
static void look_at(struct resolve *, const char *entry, struct candidate *);
static void look_at_bare(struct resolve *, struct candidate *, bool linked);
static enum place look_for(struct resolve *, const char *path, bool linked,
    struct stat *, char *reason);
static void check_program(struct resolve *, struct candidate *,
    const struct stat *around);
static bool check_owner(const struct resolve *, const char *path,
    const struct stat *, char *reason);
static bool check_writers(const struct resolve *, const char *path,
    const struct stat *, char *reason);
static bool group_is_private(const struct resolve *, const struct stat *);
static enum place open_below(struct resolve *, const char *path, int flags,
    int *fd, char *reason);
static enum place open_outside(struct resolve *, const char *path, int flags,
    int *fd, char *reason);
static bool target_allowed(const struct resolve *, const char *path);
static bool check_start(struct resolve *, const struct candidate *,
    struct ticket *, char *reason);
static bool check_elf(const char *file, const struct head *, bool *native,
    char *reason);
static struct span elf_loader(const struct head *);
static bool check_script(struct resolve *, const char *file,
    const struct head *, char *reason);
static bool check_interpreter(struct resolve *, const char *file,
    struct span interpreter, char *reason);
static bool head_is_text(const struct head *);
static bool still_written(int fd);
static int list_misnamed(void *misnamed, struct span file);
static int settings_all(struct resolve *, const char *file, uint64_t unix_ms,
    struct ticket *, struct buf *encoded, char *reason);
static int settings_one(struct resolve *, const char *name, uint64_t unix_ms,
    struct settings **, struct ticket *, struct identity *, char *reason);
static void settings_say(struct buf *errors, char *reason);
static const char *served_entry(struct resolve *, struct span function);
static void served_set(struct resolve *, const char *function,
    const char *entry);
static void served_prune(struct resolve *);
static void served_free(struct resolve *, struct served *);
static gid_t private_group_of(uid_t, gid_t);
static void say(char *reason, const char *, ...)
    __attribute__((format(printf, 2, 3)));

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

struct resolve *
resolve_new(const struct resolve_place *place, struct config *config)
{
	struct resolve *r = diag_alloc(sizeof(*r));
	size_t count = config->link_targets.count;
	char *canonical;

	r->place = *place;
	r->config = config_hold(config);
	r->private_group = private_group_of(place->uid, place->gid);
	r->targets.items = diag_alloc((count + 1) * sizeof(char *));
	for (size_t i = 0; i < count; i++) {
		canonical = realpath(config->link_targets.items[i], NULL);
		if (canonical) /* others cannot be led into anyway */
			r->targets.items[r->targets.count++] = canonical;
	}
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
	for (size_t i = 0; i < r->targets.count; i++)
		free(r->targets.items[i]);
	free(r->targets.items);
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

	if (scan_refresh(&r->scan, r->place.directory_fd, unix_ms, true) < 0)
		return -1;
	served_prune(r);
	resolution_init(&out);
	for (size_t i = 0; i < r->scan.count;) {
		struct span name =
		    name_function(span_of(scan_file(&r->scan, i)));

		snprintf(function, sizeof(function), "%.*s", SPAN_ARGS(name));
		resolve_function(r, span_of(function), unix_ms, &out);
		if (out.outcome == RESOLVED_FOUND ||
		    out.outcome == RESOLVED_REFUSED)
			tell(arg, &out);
		/* behind this name, wherever a new scan has put it */
		i = scan_find(&r->scan, span_of(function), &first) + first;
	}
	scan_each(r->place.directory_fd, list_misnamed, &misnamed);
	resolution_free(&out);
	return 0;
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
	look_at(m->resolve, file.data, &c);
	if (c.look != LOOK_CANDIDATE)
		return 0;
	buf_clear(&out->ticket);
	buf_clear(&out->settings);
	out->outcome = RESOLVED_REFUSED;
	out->function[0] = '\0';
	snprintf(out->file, sizeof(out->file), "%s", c.file);
	if (name_function(file).bytes > NAME_FUNCTION_MOST)
		say(out->reason,
		    "%s: its name has more than %d characters before the first "
		    "dot",
		    c.entry, NAME_FUNCTION_MOST);
	else
		say(out->reason,
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
	char settings[RESOLVE_FILE_MOST + 16];
	struct candidate c;
	size_t first;
	int count;

	buf_clear(&out->ticket);
	buf_clear(&out->settings);
	out->file[0] = out->reason[0] = out->function[0] = '\0';
	out->outcome = RESOLVED_NONE;
	if (fstat(r->place.directory_fd, &r->directory) != 0 ||
	    r->directory.st_nlink == 0) {
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
		look_at(r, scan_file(&r->scan, first + (size_t)i), &c);
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
		return say(out->reason, "%s: its name is too long", out->file);
	ticket.settings = span_of(settings);
	ticket.files[TICKET_PROGRAM] = identity_of(&made->st);
	if (!check_start(r, made, &ticket, out->reason) ||
	    settings_all(r, settings, unix_ms, &ticket, &out->settings,
		out->reason) != 0)
		return;
	if (ticket_encode(&ticket, &out->ticket) != 0)
		return say(out->reason, "%s: out of memory", out->file);
	out->outcome = RESOLVED_FOUND;
}

/* Files of the function, as neighbours in the scan: how many; -1 with the
 * reason when the directory cannot be read. */
static int
files_of(struct resolve *r, struct span asked, uint64_t unix_ms, size_t *first,
    char *reason)
{
	struct span function = name_function(asked);
	int fd = r->place.directory_fd, result;
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
		say(reason, "the tenant's directory has more than %d names",
		    SCAN_NAMES_MOST);
	else
		say(reason,
		    "the tenant's directory cannot be read by user "
		    "%u: %s",
		    (unsigned)r->place.uid, strerror(errno));
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
	say(out->reason, "%s and %s both are \"%s\": rename or remove one",
	    choice->first.entry, choice->second, out->function);
	return NULL;
}

static void
look_at(struct resolve *r, const char *entry, struct candidate *c)
{
	struct stat around = r->directory;
	enum place found;
	bool linked;

	c->look = LOOK_NOTHING;
	c->reason[0] = '\0';
	snprintf(c->entry, sizeof(c->entry), "%s", entry);
	snprintf(c->file, sizeof(c->file), "%s", entry);
	found = look_for(r, entry, false, &c->st, c->reason);
	if (found == PLACE_FOUND && S_ISLNK(c->st.st_mode)) {
		linked = true;
		found = look_for(r, entry, true, &c->st, c->reason);
	} else
		linked = false;
	if (found == PLACE_FOUND && S_ISDIR(c->st.st_mode)) {
		around = c->st;
		snprintf(c->file, sizeof(c->file), "%s/run", entry);
		found = look_for(r, c->file, linked, &c->st, c->reason);
		if (found == PLACE_FOUND && S_ISLNK(c->st.st_mode))
			found = look_for(r, c->file, true, &c->st, c->reason);
		if (found == PLACE_ABSENT)
			return look_at_bare(r, c, linked);
	}
	if (found == PLACE_FOUND)
		check_program(r, c, &around);
	else if (found == PLACE_BAD)
		c->look = LOOK_MISFIT;
}

/* A directory without a program; with settings it was meant to have one. */
static void
look_at_bare(struct resolve *r, struct candidate *c, bool linked)
{
	char settings[RESOLVE_FILE_MOST + 16];
	struct stat st;

	snprintf(settings, sizeof(settings), "%s/function.conf", c->entry);
	if (look_for(r, settings, linked, &st, c->reason) != PLACE_FOUND)
		return;
	c->look = LOOK_MISFIT;
	say(c->reason, "%s has a function.conf, but no executable %s", c->entry,
	    c->file);
}

/* Looks at a path. With a link somewhere in it, it is opened, to see where it
 * leads; without, one look is enough. */
static enum place
look_for(struct resolve *r, const char *path, bool linked, struct stat *st,
    char *reason)
{
	enum place found;
	int fd = -1;

	if (!linked) {
		if (fstatat(r->place.directory_fd, path, st,
			AT_SYMLINK_NOFOLLOW) == 0)
			return PLACE_FOUND;
		if (errno == ENOENT || errno == ENOTDIR)
			return PLACE_ABSENT;
		say(reason, "%s cannot be looked at by user %u: %s", path,
		    (unsigned)r->place.uid, strerror(errno));
		return PLACE_BAD;
	}
	found = open_below(r, path, O_PATH, &fd, reason);
	if (found == PLACE_FOUND && fstat(fd, st) != 0) {
		say(reason, "%s cannot be looked at: %s", path,
		    strerror(errno));
		found = PLACE_BAD;
	}
	fd_close(&fd);
	return found;
}

/* Says what it is, and the first reason against it. */
static void
check_program(struct resolve *r, struct candidate *c, const struct stat *around)
{
	const char *file = c->file;
	mode_t mode = c->st.st_mode;

	c->look = LOOK_MISFIT;
	if (S_ISDIR(mode))
		return say(c->reason, "%s is a directory, not a program", file);
	if (!S_ISREG(mode))
		return say(c->reason, "%s is a %s, not a program", file,
		    S_ISFIFO(mode)     ? "FIFO" :
			S_ISSOCK(mode) ? "socket" :
					 "device");
	if (!(mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
		return say(c->reason, "%s is not executable: chmod +x %s", file,
		    file);
	c->look = LOOK_CANDIDATE;
	if (!check_owner(r, file, &c->st, c->reason) ||
	    !check_writers(r, file, &c->st, c->reason))
		return;
	if (mode & (S_ISUID | S_ISGID))
		return say(c->reason,
		    "%s is %s, which functions never are: "
		    "chmod %s %s",
		    file, mode & S_ISUID ? "setuid" : "setgid",
		    mode & S_ISUID ? "u-s" : "g-s", file);
	/* who may write there may put another program in its place */
	if (around->st_mode & S_IWOTH)
		return say(c->reason,
		    "the directory of %s is writable by "
		    "everybody: chmod o-w on it",
		    file);
	if (faccessat(r->place.directory_fd, file, X_OK, AT_EACCESS) != 0)
		return say(c->reason,
		    "%s may not be executed by user %u "
		    "(%s): chmod a+rx %s, if its file system allows programs",
		    file, (unsigned)r->place.uid, strerror(errno), file);
}

/* Would execve(2) take it? It says ENOENT for a program that is there and an
 * interpreter that is not, so what can be known from the first bytes is told
 * here; formats we do not know may be binfmt_misc's and are left to it. */
static bool
check_start(struct resolve *r, const struct candidate *c, struct ticket *ticket,
    char *reason)
{
	int fd = openat(r->place.directory_fd, c->file,
	    O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct identity looked_at = identity_of(&c->st), found = { 0 };
	struct head head = { 0 };
	struct stat st;
	ssize_t n = -1;
	bool good;

	if (fd < 0 && errno == EACCES) {
		say(reason,
		    "%s cannot be read by the tenant's user, as its "
		    "interpreter must: chmod a+r %s",
		    c->file, c->file);
		return false;
	}
	if (fd >= 0 && fstat(fd, &st) == 0)
		found = identity_of(&st);
	if (!identity_same(&found, &looked_at))
		ticket->young_until_ms = 1; /* another one: look again */
	if (fd >= 0)
		n = pread(fd, head.bytes, HEAD_BYTES, 0);
	head.count = n > 0 ? (size_t)n : 0;
	if (n < 0)
		good = true;
	else if (head.count >= SELFMAG &&
	    memcmp(head.bytes, ELFMAG, SELFMAG) == 0)
		good = check_elf(c->file, &head, &ticket->native, reason);
	else
		good = check_script(r, c->file, &head, reason);
	/* its writer is not done: execve says so, and the request waits */
	if (!good && still_written(fd))
		good = true;
	fd_close(&fd);
	return good;
}

/* *native: the kernel runs it without help, as it runs us. */
static bool
check_elf(const char *file, const struct head *head, bool *native, char *reason)
{
	const ElfW(Ehdr) *elf = (const void *)head->bytes;
	const ElfW(Ehdr) *ours = &__ehdr_start;
	struct span loader;

	if (head->count < sizeof(*elf) || elf->e_ident[EI_CLASS] == 0 ||
	    elf->e_ident[EI_CLASS] >= ELFCLASSNUM)
		return true; /* broken, in a way execve may know better */
	*native = memcmp(elf->e_ident, ours->e_ident, EI_DATA + 1) == 0 &&
	    elf->e_machine == ours->e_machine;
	if (!*native) {
		/* most 64-bit PCs run these as well */
		if (ours->e_machine == EM_X86_64 && elf->e_machine == EM_386)
			return true;
		say(reason, "%s: an ELF program for another machine", file);
		return false;
	}
	loader = elf_loader(head);
	if (loader.bytes == 0 || access(loader.data, F_OK) == 0 ||
	    errno != ENOENT)
		return true;
	say(reason,
	    "%s: its loader %s is not there: link it statically, or for this "
	    "system",
	    file, loader.data);
	return false;
}

/* Nothing where there is none, or not within the first bytes. */
static struct span
elf_loader(const struct head *head)
{
	const ElfW(Ehdr) *elf = (const void *)head->bytes;
	struct span bytes = span_make(head->bytes, head->count), name;
	ElfW(Phdr) part;

	if (elf->e_phentsize != sizeof(part))
		return SPAN_NONE;
	for (size_t i = 0; i < elf->e_phnum; i++) {
		name = elf->e_phoff < bytes.bytes ?
		    span_skip(bytes, elf->e_phoff + i * sizeof(part)) :
		    SPAN_NONE;
		if (name.bytes < sizeof(part))
			return SPAN_NONE;
		memcpy(&part, name.data, sizeof(part));
		if (part.p_type != PT_INTERP)
			continue;
		if (part.p_offset >= bytes.bytes || part.p_filesz < 2 ||
		    part.p_filesz > bytes.bytes - part.p_offset)
			return SPAN_NONE;
		name =
		    span_take(span_skip(bytes, part.p_offset), part.p_filesz);
		return name.data[name.bytes - 1] == '\0' ? name : SPAN_NONE;
	}
	return SPAN_NONE;
}

static bool
check_script(struct resolve *r, const char *file, const struct head *head,
    char *reason)
{
	struct span line = span_make(head->bytes, strcspn(head->bytes, "\n"));
	struct span rest = span_take(line, LINE_MOST);

	if (head->count == 0)
		say(reason, "%s is empty", file);
	else if (line.bytes < 2 || memcmp(line.data, "#!", 2) != 0) {
		if (!head_is_text(head))
			return true;
		say(reason, "%s: neither a program nor a script (no #! line)",
		    file);
	} else if (line.data[line.bytes - 1] == '\r')
		say(reason,
		    "%s: its first line ends in CR (CRLF): save it with Unix "
		    "line ends",
		    file);
	else {
		rest = span_skip(rest, 2);
		rest = span_skip(rest, strspn(rest.data, " \t"));
		rest = span_take(rest, strcspn(rest.data, " \t\n"));
		return check_interpreter(r, file, rest, reason);
	}
	return false;
}

/* Where the program will look for it: a path that is not absolute counts from
 * the program's directory, where it starts. */
static bool
check_interpreter(struct resolve *r, const char *file, struct span interpreter,
    char *reason)
{
	const char *slash = strrchr(file, '/');
	bool absolute = interpreter.bytes > 0 && interpreter.data[0] == '/';
	char path[RESOLVE_FILE_MOST + LINE_MOST + 1];

	if (interpreter.bytes == 0) {
		say(reason, "%s: no interpreter stands behind its #!", file);
		return false;
	}
	snprintf(path, sizeof(path), "%.*s%.*s",
	    absolute || !slash ? 0 : (int)(slash - file) + 1, file,
	    SPAN_ARGS(interpreter));
	if (faccessat(r->place.directory_fd, path, X_OK, AT_EACCESS) == 0)
		return true;
	if (errno == ENOENT || errno == ENOTDIR)
		say(reason, "%s: its interpreter %.*s is not there%s", file,
		    SPAN_ARGS(interpreter),
		    absolute ? "" : ": give its whole path");
	else
		say(reason, "%s: its interpreter %.*s cannot be executed: %s",
		    file, SPAN_ARGS(interpreter), strerror(errno));
	return false;
}

static bool
head_is_text(const struct head *head)
{
	for (size_t i = 0; i < head->count && i < LINE_MOST; i++) {
		unsigned char c = (unsigned char)head->bytes[i];

		if ((c < ' ' && (c < '\t' || c > '\r')) || c == 0x7f)
			return false;
	}
	return true;
}

/* A lease for reading is not given while anybody may write; only the file's
 * owner may ask, so others are told "no". Ours may be broken before we give it
 * back: by a signal that does nothing. */
static bool
still_written(int fd)
{
	bool written;

	if (fd < 0 || fcntl(fd, F_SETSIG, SIGURG) != 0)
		return false;
	written = fcntl(fd, F_SETLEASE, F_RDLCK) != 0 && errno == EAGAIN;
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return written;
}

/* Whoever owns the tenant's directory decides what is in it. A user namespace
 * does not tell root from other strangers; the host is an ordinary user's
 * there, and only its own rights are at stake. */
static bool
check_owner(const struct resolve *r, const char *path, const struct stat *st,
    char *reason)
{
	uid_t owner = st->st_uid;

	if (owner == 0 || owner == r->place.uid || owner == r->directory.st_uid)
		return true;
	if (r->place.user_namespace && owner == OVERFLOW_ID)
		return true;
	say(reason, "%s belongs to user %u: chown it to %u or root", path,
	    (unsigned)owner, (unsigned)r->place.uid);
	return false;
}

static bool
check_writers(const struct resolve *r, const char *path, const struct stat *st,
    char *reason)
{
	if (st->st_mode & S_IWOTH) {
		say(reason, "%s is writable by everybody: chmod o-w %s", path,
		    path);
		return false;
	}
	if ((st->st_mode & S_IWGRP) && !group_is_private(r, st)) {
		say(reason,
		    "%s is writable by group %u, which is not its "
		    "owner's own: chmod g-w %s",
		    path, (unsigned)st->st_gid, path);
		return false;
	}
	return true;
}

/* Debian gives every user a group of the same number; where the numbers have
 * drifted apart, the group's name and emptiness tell. */
static bool
group_is_private(const struct resolve *r, const struct stat *st)
{
	if (r->place.user_namespace && st->st_gid == OVERFLOW_ID)
		return false;
	return st->st_gid == st->st_uid ||
	    (st->st_uid == r->place.uid && st->st_gid == r->private_group);
}

/* Opens what a path leads to: below the directory, or through a link into one
 * of the places that are allowed. */
static enum place
open_below(struct resolve *r, const char *path, int flags, int *fd,
    char *reason)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	struct stat st;

	for (int tries = 0; tries < OPEN_TRIES; tries++) {
		*fd = (int)syscall(SYS_openat2, r->place.directory_fd, path,
		    &how, sizeof(how));
		if (*fd >= 0 || errno != EAGAIN)
			break;
	}
	if (*fd >= 0)
		return PLACE_FOUND;
	if (errno == EXDEV)
		return open_outside(r, path, flags, fd, reason);
	if (errno == ENOENT || errno == ENOTDIR) {
		if (fstatat(r->place.directory_fd, path, &st,
			AT_SYMLINK_NOFOLLOW) != 0)
			return PLACE_ABSENT;
		say(reason,
		    "%s is a symbolic link to something that does not "
		    "exist",
		    path);
	} else if (errno == ELOOP)
		say(reason, "%s is a symbolic link that leads in circles",
		    path);
	else
		say(reason, "%s cannot be opened by user %u: %s", path,
		    (unsigned)r->place.uid, strerror(errno));
	return PLACE_BAD;
}

/* The canonical path has no links, so what is opened is what was checked. */
static enum place
open_outside(struct resolve *r, const char *path, int flags, int *fd,
    char *reason)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	char link[PATH_MAX], canonical[PATH_MAX];
	int n = snprintf(link, sizeof(link), "%s/%s", r->place.directory, path);
	struct stat st;

	if (n < 0 || (size_t)n >= sizeof(link))
		say(reason, "%s: its path is too long", path);
	else if (!realpath(link, canonical)) {
		/* the link may be on the way there, and lead to where there is
		 * nothing of this name */
		if (errno == ENOENT && lstat(link, &st) != 0)
			return PLACE_ABSENT;
		say(reason,
		    "%s is a symbolic link out of the tenant's "
		    "directory to something that is not there for functions",
		    path);
	} else if (!target_allowed(r, canonical))
		say(reason,
		    "%s is a symbolic link to %s, which is not in "
		    "link_targets",
		    path, canonical);
	else if ((*fd = (int)syscall(SYS_openat2, AT_FDCWD, canonical, &how,
		      sizeof(how))) >= 0)
		return PLACE_FOUND;
	else
		say(reason,
		    "%s is a symbolic link to %s, which cannot be "
		    "opened by user %u: %s",
		    path, canonical, (unsigned)r->place.uid, strerror(errno));
	return PLACE_BAD;
}

static bool
target_allowed(const struct resolve *r, const char *path)
{
	size_t bytes = strlen(r->place.directory);

	/* an absolute link to its own neighbour */
	if (strncmp(path, r->place.directory, bytes) == 0 && path[bytes] == '/')
		return true;
	for (size_t i = 0; i < r->targets.count; i++) {
		bytes = strlen(r->targets.items[i]);
		if (strncmp(path, r->targets.items[i], bytes) == 0 &&
		    (path[bytes] == '/' || path[bytes] == '\0'))
			return true;
	}
	return false;
}

/* The tenant's settings, over them the function's. 0, or -1 with the reason. */
static int
settings_all(struct resolve *r, const char *file, uint64_t unix_ms,
    struct ticket *ticket, struct buf *encoded, char *reason)
{
	struct settings *settings = NULL;
	int result = -1;

	if (settings_one(r, TICKET_TENANT_NAME, unix_ms, &settings, ticket,
		&ticket->files[TICKET_TENANT], reason) != 0 ||
	    settings_one(r, file, unix_ms, &settings, ticket,
		&ticket->files[TICKET_SETTINGS], reason) != 0)
		goto out;
	if (settings && settings_encode(settings, r->config, encoded) != 0) {
		say(reason, "%s: all settings together are too large", file);
		goto out;
	}
	result = 0;
out:
	if (settings)
		settings_release(&settings);
	return result;
}

/* Identity first, then the contents: what changes in between shows at the
 * next start. */
static int
settings_one(struct resolve *r, const char *name, uint64_t unix_ms,
    struct settings **settings, struct ticket *ticket,
    struct identity *identity, char *reason)
{
	struct buf errors;
	struct stat st;
	uint64_t tick_ms;
	enum place found;
	int fd = -1, result = -1;

	found =
	    open_below(r, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, &fd, reason);
	if (found == PLACE_ABSENT)
		return 0;
	buf_init(&errors, SETTINGS_FILE_MOST);
	if (found == PLACE_BAD)
		goto out;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		say(reason, "%s is not a regular file", name);
		goto out;
	}
	if (!check_owner(r, name, &st, reason) ||
	    !check_writers(r, name, &st, reason))
		goto out;
	if (st.st_size > SETTINGS_FILE_MOST) {
		say(reason, "%s is larger than %d KiB", name,
		    SETTINGS_FILE_MOST / 1024);
		goto out;
	}
	*identity = identity_of(&st);
	tick_ms = (uint64_t)identity->changed_ns / 1000000 + TICKET_TICK_MS;
	if (tick_ms >= unix_ms && tick_ms > ticket->young_until_ms)
		ticket->young_until_ms = tick_ms;
	if (!*settings)
		*settings = settings_new(r->config);
	if (settings_read(*settings, r->config, fd, name, &errors) != 0) {
		settings_say(&errors, reason);
		goto out;
	}
	result = 0;
out:
	buf_free(&errors);
	fd_close(&fd);
	return result;
}

/* The first line, and how many more there are. */
static void
settings_say(struct buf *errors, char *reason)
{
	struct span rest = buf_span(errors), line = span_cut(&rest, '\n');
	size_t more = 0;

	while (rest.data)
		more += span_cut(&rest, '\n').bytes > 0;
	if (more > 0)
		say(reason, "%.*s (and %zu more)", SPAN_ARGS(line), more);
	else
		say(reason, "%.*s", SPAN_ARGS(line));
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

/* A group that has the user's name and no other members. Same numbers need no
 * look into the user database, whose modules cost 60 KiB a cell. */
static gid_t
private_group_of(uid_t uid, gid_t gid)
{
	const struct passwd *user;
	const struct group *group;

	if (uid == gid)
		return gid;
	user = getpwuid(uid);
	group = getgrgid(gid);
	if (!user || !group || strcmp(user->pw_name, group->gr_name) != 0 ||
	    group->gr_mem[0])
		return (gid_t)-1;
	return gid;
}

static void
say(char *reason, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, RESOLVE_REASON_MOST, format, args);
	va_end(args);
}
