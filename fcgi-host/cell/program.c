/* SPDX-License-Identifier: MIT */
/* program.c - what a program begins with: an ELF header with its loader, or a
 * script's first line with its interpreter. */

#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

#include "config/settings.h"
#include "wire/elf_note.h"

#include "cell/program.h"

enum {
	LINE_MOST = 256,   /* of a script's first line the kernel reads */
	HEAD_BYTES = 1024, /* where linkers put the name of the loader */
	YOUNG_MS = 1000,   /* so long who cannot know waits for a writer */
};

/* What a program begins with. */
struct head {
	_Alignas(ElfW(Ehdr)) char bytes[HEAD_BYTES + 1]; /* ends with NUL */
	size_t count;
	struct stat st; /* of the whole file */
};

enum written { WRITTEN_NOT, WRITTEN_STILL, WRITTEN_UNKNOWN };

/* Our own, by the linker: what a program of this machine begins with. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

static elf_note_read_fn read_note;
static bool elf_good(const char *file, const struct head *, bool *native,
    char *reason);
static bool elf_whole(const char *file, const struct head *, char *reason);
static struct span elf_loader(const struct head *);
static bool script_good(const struct grounds *, const char *file,
    const struct head *, bool *python, char *reason);
static bool asks_for_python(struct span interpreter, struct span arguments);
static bool interpreter_good(const struct grounds *, const char *file,
    const struct head *, struct span interpreter, char *reason);
static bool head_is_text(const struct head *);
static bool maybe_written(int fd, const struct head *, const struct identity *,
    bool *again);
static enum written still_written(int fd);
static bool is_young(const struct identity *);

bool
program_check(const struct grounds *g, const struct candidate *c,
    struct ticket *ticket, unsigned *program, char *reason)
{
	int fd = openat(g->place.directory_fd, c->file,
	    O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct identity looked_at = identity_of(&c->st), found = { 0 };
	struct head head = { 0 };
	ssize_t n = -1;
	bool good;

	*program = PROGRAM_CGI;
	if (fd < 0 && errno == EACCES) {
		reason_say(reason,
		    "%s cannot be read by the tenant's user, as its "
		    "interpreter must: chmod a+r %s",
		    c->file, c->file);
		return false;
	}
	if (fd >= 0 && fstat(fd, &head.st) == 0)
		found = identity_of(&head.st);
	if (!identity_same(&found, &looked_at))
		ticket->young_until_ms = 1; /* another one: look again */
	if (fd >= 0)
		n = pread(fd, head.bytes, HEAD_BYTES, 0);
	head.count = n > 0 ? (size_t)n : 0;
	if (n < 0)
		good = true;
	else if (head.count >= SELFMAG &&
	    memcmp(head.bytes, ELFMAG, SELFMAG) == 0)
		good = elf_good(c->file, &head, &ticket->native, reason);
	else
		good = script_good(g, c->file, &head, &ticket->python, reason);
	if (!good)
		good = maybe_written(fd, &head, &found, &ticket->unfinished);
	if (ticket->python)
		*program = PROGRAM_PYTHON;
	else if (ticket->native && elf_note_version(read_note, &fd) > 0)
		*program = PROGRAM_SDK;
	fd_close(&fd);
	return good;
}

/* True: its writer is not done, which execve will say, and the request waits. Where
 * that cannot be known, *again: what is empty, or half a program, and was changed
 * just now is looked at again before it is refused; so is what has become another
 * one since it was read. */
static bool
maybe_written(int fd, const struct head *head, const struct identity *found,
    bool *again)
{
	bool half = head->count == 0 || head->bytes[0] == ELFMAG0;
	enum written written = still_written(fd);
	struct identity now = { 0 };
	struct stat st;

	if (written == WRITTEN_STILL)
		return true;
	if (fd >= 0 && fstat(fd, &st) == 0)
		now = identity_of(&st);
	*again = !identity_same(&now, found) ||
	    (written == WRITTEN_UNKNOWN && half && is_young(found));
	return false;
}

bool
program_python(const struct grounds *g, const struct candidate *c,
    const struct ticket *ticket, char *reason)
{
	if (ticket->native)
		reason_say(reason,
		    "%s: runtime = \"python\" is for scripts, and this is a "
		    "program for the machine: say runtime = \"auto\"",
		    c->file);
	else if (!g->place.python)
		reason_say(reason,
		    "%s is a Python function, and this host has no "
		    "fcgi-host-python: it was built where python3-dev was not "
		    "installed",
		    c->file);
	else if (faccessat(g->place.directory_fd, c->file, R_OK, AT_EACCESS) !=
	    0)
		reason_say(reason,
		    "%s cannot be read by the tenant's user, as Python must: "
		    "chmod a+r %s",
		    c->file, c->file);
	else {
		reason[0] = '\0'; /* that of its first bytes, if any */
		return true;
	}
	return false;
}

static size_t
read_note(void *fd, uint64_t offset, char *to, size_t bytes)
{
	ssize_t n = offset > INT64_MAX ?
	    -1 :
	    pread(*(int *)fd, to, bytes, (off_t)offset);

	return n > 0 ? (size_t)n : 0;
}

/* *native: the kernel runs it without help, as it runs us. */
static bool
elf_good(const char *file, const struct head *head, bool *native, char *reason)
{
	const ElfW(Ehdr) *elf = (const void *)head->bytes;
	const ElfW(Ehdr) *ours = &__ehdr_start;
	struct span loader;

	if (head->count < sizeof(Elf32_Ehdr)) {
		reason_say(reason,
		    "%s is cut off: it has not even the whole head of an ELF "
		    "program",
		    file);
		return false;
	}
	if (elf->e_ident[EI_CLASS] == 0 ||
	    elf->e_ident[EI_CLASS] >= ELFCLASSNUM)
		return true; /* broken, in a way execve may know better */
	*native = memcmp(elf->e_ident, ours->e_ident, EI_DATA + 1) == 0 &&
	    elf->e_machine == ours->e_machine;
	if (!*native) {
		/* most 64-bit PCs run these as well */
		if (ours->e_machine == EM_X86_64 && elf->e_machine == EM_386)
			return true;
		reason_say(reason, "%s: an ELF program for another machine",
		    file);
		return false;
	}
	if (!elf_whole(file, head, reason))
		return false;
	loader = elf_loader(head);
	if (loader.bytes == 0 || access(loader.data, F_OK) == 0 ||
	    errno != ENOENT)
		return true;
	reason_say(reason,
	    "%s: its loader %s is not there: link it statically, or for this "
	    "system",
	    file, loader.data);
	return false;
}

/* What the kernel would refuse or, when a part is missing, end by a signal. The
 * head is read as it is: a shorter one is zero from its end on. */
static bool
elf_whole(const char *file, const struct head *head, char *reason)
{
	const ElfW(Ehdr) *elf = (const void *)head->bytes;
	uint64_t bytes = (uint64_t)head->st.st_size, end;
	ElfW(Phdr) part;

	if (elf->e_type != ET_EXEC && elf->e_type != ET_DYN) {
		reason_say(reason, "%s: an ELF file, but no program%s", file,
		    elf->e_type == ET_REL ? ": it is not linked yet" : "");
		return false;
	}
	if (elf->e_phentsize != sizeof(part) || elf->e_phnum == 0) {
		reason_say(reason, "%s: a damaged ELF program", file);
		return false;
	}
	end = elf->e_phnum * sizeof(part);
	for (size_t i = 0; elf->e_phoff <= bytes && end <= bytes - elf->e_phoff;
	     i++) {
		if (i == elf->e_phnum ||
		    elf->e_phoff + (i + 1) * sizeof(part) > head->count)
			return true; /* of more we do not know */
		memcpy(&part, head->bytes + elf->e_phoff + i * sizeof(part),
		    sizeof(part));
		if (part.p_type == PT_LOAD &&
		    (part.p_offset > bytes ||
			part.p_filesz > bytes - part.p_offset))
			break;
	}
	reason_say(reason,
	    "%s is cut off: parts of the ELF program are missing", file);
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
script_good(const struct grounds *g, const char *file, const struct head *head,
    bool *python, char *reason)
{
	struct span line = span_make(head->bytes, strcspn(head->bytes, "\n"));
	struct span rest = span_take(line, LINE_MOST), arguments;

	if (head->count == 0)
		reason_say(reason, "%s is empty", file);
	else if (line.bytes < 2 || memcmp(line.data, "#!", 2) != 0) {
		if (!head_is_text(head))
			return true;
		reason_say(reason,
		    "%s: neither a program nor a script (no #! line)", file);
	} else if (line.data[line.bytes - 1] == '\r')
		reason_say(reason,
		    "%s: its first line ends in CR (CRLF): save it with Unix "
		    "line ends",
		    file);
	else if (line.bytes < LINE_MOST && line.bytes < head->count &&
	    head->bytes[line.bytes] == '\0')
		reason_say(reason, "%s: its first line has NUL bytes in it",
		    file);
	else {
		rest = span_skip(rest, 2);
		rest = span_skip(rest, strspn(rest.data, " \t"));
		arguments = rest;
		rest = span_take(rest, strcspn(rest.data, " \t\n"));
		arguments = span_trim(span_skip(arguments, rest.bytes));
		*python = asks_for_python(rest, arguments);
		if (*python)
			return true;
		return interpreter_good(g, file, head, rest, reason);
	}
	return false;
}

/* By the name alone: where the host has put it is none of the script's concern.
 * env -S as well, with which a first line may have arguments. */
static bool
asks_for_python(struct span interpreter, struct span arguments)
{
	static const struct span name = { PYTHON_NAME,
		sizeof(PYTHON_NAME) - 1 };

	if (span_ends(interpreter, SPAN("/env"))) {
		if (span_starts(arguments, SPAN("-S ")))
			arguments = span_trim(span_skip(arguments, 3));
		interpreter = span_cut(&arguments, ' ');
	}
	while (span_find(interpreter, '/') >= 0)
		span_cut(&interpreter, '/');
	return span_equal(interpreter, name);
}

/* Where the program will look for it: a path that is not absolute counts from
 * the program's directory, where it starts. */
static bool
interpreter_good(const struct grounds *g, const char *file,
    const struct head *head, struct span interpreter, char *reason)
{
	const char *slash = strrchr(file, '/');
	bool absolute = interpreter.bytes > 0 && interpreter.data[0] == '/';
	char path[RESOLVE_FILE_MOST + LINE_MOST + 1];
	struct stat st;
	bool own;

	if (interpreter.bytes == 0) {
		reason_say(reason, "%s: no interpreter stands behind its #!",
		    file);
		return false;
	}
	snprintf(path, sizeof(path), "%.*s%.*s",
	    absolute || !slash ? 0 : (int)(slash - file) + 1, file,
	    SPAN_ARGS(interpreter));
	if (faccessat(g->place.directory_fd, path, X_OK, AT_EACCESS) == 0) {
		if (fstatat(g->place.directory_fd, path, &st, 0) != 0)
			return true;
		own = st.st_ino == head->st.st_ino &&
		    st.st_dev == head->st.st_dev;
		if (S_ISREG(st.st_mode) && !own)
			return true;
		reason_say(reason, "%s: its interpreter %.*s is %s", file,
		    SPAN_ARGS(interpreter),
		    own			    ? "the file itself" :
			S_ISDIR(st.st_mode) ? "a directory" :
					      "no file");
		return false;
	}
	if (errno == ENOENT || errno == ENOTDIR)
		reason_say(reason, "%s: its interpreter %.*s is not there%s",
		    file, SPAN_ARGS(interpreter),
		    absolute ? "" : ": give its whole path");
	else
		reason_say(reason,
		    "%s: its interpreter %.*s cannot be executed: %s", file,
		    SPAN_ARGS(interpreter), strerror(errno));
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
 * owner may ask, so others do not learn it. Ours may be broken before we give it
 * back: by a signal that does nothing. */
static enum written
still_written(int fd)
{
	enum written written = WRITTEN_NOT;

	if (fd < 0 || fcntl(fd, F_SETSIG, SIGURG) != 0)
		return WRITTEN_UNKNOWN;
	if (fcntl(fd, F_SETLEASE, F_RDLCK) != 0)
		written = errno == EAGAIN ? WRITTEN_STILL : WRITTEN_UNKNOWN;
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return written;
}

static bool
is_young(const struct identity *found)
{
	uint64_t now_ms = clock_unix_ms();
	uint64_t changed_ms = (uint64_t)found->changed_ns / 1000000;

	return now_ms >= changed_ms && now_ms - changed_ms < YOUNG_MS;
}
