/* SPDX-License-Identifier: MIT */
/* If this fails, a file that must not run is run, one that should is not
 * found, a change goes unseen, or an author is told the wrong cure. Every row
 * has a directory of its own. */

#define _GNU_SOURCE 1
#include "cell_place.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/diag.h"
#include "base/fd.h"

#include "config/settings.h"

#include "cell/resolve.h"

enum { FILES_MOST = 6, STRANGER = 4242 };

#define SCRIPT "#!/bin/sh\n"

static struct config *config;
static struct resolve *resolver;
static struct resolution got;
static char outside_path[PATH_MAX]; /* a directory in link_targets */

/* The time of the questions: long after every file was made. */
static uint64_t now_ms;

static void
begin(void)
{
	struct resolve_place place;
	char name[] = "/tmp/fcgi-host-outside-XXXXXX";

	place_make();
	assert_non_null(mkdtemp(name));
	assert_int_equal(chmod(name, 0755), 0);
	assert_non_null(realpath(name, outside_path));
	config = config_new();
	free(config->link_targets.items[0]);
	config->link_targets.items[0] = diag_strdup(outside_path);
	place = (struct resolve_place){
		.directory_fd = place_fd,
		.directory = place_path,
		.uid = geteuid(),
		.gid = getegid(),
	};
	resolver = resolve_new(&place, config);
	resolution_init(&got);
	now_ms = clock_unix_ms() + 3600 * 1000;
}

static void
end(void)
{
	resolution_free(&got);
	resolve_free(&resolver);
	assert_null(resolver);
	config_release(&config);
	place_remove();
	nftw(outside_path, place_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
ask(const char *name)
{
	resolve_name(resolver, span_of(name), now_ms, &got);
}

/* ---- one directory, one question, one answer ----------------------------------- */

enum what {
	NO_MORE,
	FILE_,	   /* mode, text */
	DIRECTORY, /* mode */
	LINK,	   /* text: target, %OUT% is a place that is allowed */
	FIFO,
	SOCKET,
	DEVICE,	 /* root only */
	OUTSIDE, /* a file, mode, in the place that is allowed */
};

struct thing {
	const char *name;
	enum what what;
	mode_t mode;
	const char *text;
	uid_t owner; /* root only; 0: leave */
	gid_t group;
};

static const struct answer {
	const char *sentence;
	struct thing things[FILES_MOST];
	const char *asked;
	enum resolved outcome;
	const char *says; /* the file found, or the reason; %OUT% as above */
	bool root;	  /* can only be tried by root */
} answers[] = {
	/* names */
	{ "an executable is a function",
	    { { "hello", FILE_, 0755, SCRIPT, 0, 0 } }, "hello", RESOLVED_FOUND,
	    "hello", false },
	{ "its extension is no part of the name",
	    { { "hello.py", FILE_, 0755, SCRIPT, 0, 0 } }, "hello",
	    RESOLVED_FOUND, "hello.py", false },
	{ "but may be asked for", { { "hello.py", FILE_, 0755, SCRIPT, 0, 0 } },
	    "hello.py", RESOLVED_FOUND, "hello.py", false },
	{ "all of it or none",
	    { { "hello.tar.py", FILE_, 0755, SCRIPT, 0, 0 } }, "hello.tar",
	    RESOLVED_NONE, "", false },
	{ "another extension is none",
	    { { "hello.py", FILE_, 0755, SCRIPT, 0, 0 } }, "hello.sh",
	    RESOLVED_NONE, "", false },
	{ "a name that is not there is none",
	    { { "hello", FILE_, 0755, SCRIPT, 0, 0 } }, "hell", RESOLVED_NONE,
	    "", false },
	{ "a name is not its neighbour's beginning",
	    { { "a", FILE_, 0755, SCRIPT, 0, 0 },
		{ "a-b", FILE_, 0755, SCRIPT, 0, 0 },
		{ "a_b.sh", FILE_, 0755, SCRIPT, 0, 0 } },
	    "a", RESOLVED_FOUND, "a", false },
	{ "names are told apart by case",
	    { { "hello", FILE_, 0755, SCRIPT, 0, 0 },
		{ "Hello", FILE_, 0755, SCRIPT, 0, 0 } },
	    "Hello", RESOLVED_FOUND, "Hello", false },
	{ "nothing is none", { { "hello", FILE_, 0755, SCRIPT, 0, 0 } }, "",
	    RESOLVED_NONE, "", false },
	{ "a path is none",
	    { { "a", DIRECTORY, 0755, "", 0, 0 },
		{ "a/b", FILE_, 0755, SCRIPT, 0, 0 } },
	    "a/b", RESOLVED_NONE, "", false },
	{ "the directory itself is none",
	    { { "hello", FILE_, 0755, SCRIPT, 0, 0 } }, ".", RESOLVED_NONE, "",
	    false },
	{ "what is above is none", { { "hello", FILE_, 0755, SCRIPT, 0, 0 } },
	    "..", RESOLVED_NONE, "", false },
	{ "other characters are none", { { "a b", FILE_, 0755, SCRIPT, 0, 0 } },
	    "a b", RESOLVED_NONE, "", false },
	{ "UTF-8 is none", { { "h\xc3\xa9", FILE_, 0755, SCRIPT, 0, 0 } },
	    "h\xc3\xa9", RESOLVED_NONE, "", false },
	{ "63 characters are a name",
	    { { "a23456789012345678901234567890123456789012345678901234567890"
		"123",
		FILE_, 0755, SCRIPT, 0, 0 } },
	    "a23456789012345678901234567890123456789012345678901234567890123",
	    RESOLVED_FOUND,
	    "a23456789012345678901234567890123456789012345678901234567890123",
	    false },
	{ "64 are not",
	    { { "a23456789012345678901234567890123456789012345678901234567890"
		"1234",
		FILE_, 0755, SCRIPT, 0, 0 } },
	    "a234567890123456789012345678901234567890123456789012345678901234",
	    RESOLVED_NONE, "", false },

	/* names that never are */
	{ "a dotfile is none", { { ".hello", FILE_, 0755, SCRIPT, 0, 0 } },
	    ".hello", RESOLVED_NONE, "", false },
	{ "an editor's copy is none",
	    { { "hello~", FILE_, 0755, SCRIPT, 0, 0 } }, "hello~",
	    RESOLVED_NONE, "", false },
	{ "a backup is none", { { "hello.bak", FILE_, 0755, SCRIPT, 0, 0 } },
	    "hello", RESOLVED_NONE, "", false },
	{ "also by its whole name",
	    { { "hello.bak", FILE_, 0755, SCRIPT, 0, 0 } }, "hello.bak",
	    RESOLVED_NONE, "", false },
	{ "an original is none",
	    { { "hello.py.orig", FILE_, 0755, SCRIPT, 0, 0 } }, "hello",
	    RESOLVED_NONE, "", false },
	{ "a swap file is none", { { "hello.swp", FILE_, 0755, SCRIPT, 0, 0 } },
	    "hello", RESOLVED_NONE, "", false },
	{ "a temporary file is none",
	    { { "hello.tmp", FILE_, 0755, SCRIPT, 0, 0 } }, "hello",
	    RESOLVED_NONE, "", false },
	{ "settings are none", { { "hello.conf", FILE_, 0755, SCRIPT, 0, 0 } },
	    "hello", RESOLVED_NONE, "", false },
	{ "the tenant's settings are none",
	    { { "tenant.conf", FILE_, 0755, SCRIPT, 0, 0 } }, "tenant",
	    RESOLVED_NONE, "", false },

	/* directories */
	{ "a directory with a run is a function",
	    { { "gallery", DIRECTORY, 0755, "", 0, 0 },
		{ "gallery/run", FILE_, 0755, SCRIPT, 0, 0 } },
	    "gallery", RESOLVED_FOUND, "gallery/run", false },
	{ "a directory without is none",
	    { { "data", DIRECTORY, 0755, "", 0, 0 } }, "data", RESOLVED_NONE,
	    "", false },
	{ "unless it has settings, which want one",
	    { { "data", DIRECTORY, 0755, "", 0, 0 },
		{ "data/function.conf", FILE_, 0644, "", 0, 0 } },
	    "data", RESOLVED_REFUSED,
	    "data has a function.conf, but no executable data/run", false },
	{ "its run must be executable",
	    { { "gallery", DIRECTORY, 0755, "", 0, 0 },
		{ "gallery/run", FILE_, 0644, "", 0, 0 } },
	    "gallery", RESOLVED_REFUSED,
	    "gallery/run is not executable: chmod +x gallery/run", false },
	{ "its run is not a directory",
	    { { "gallery", DIRECTORY, 0755, "", 0, 0 },
		{ "gallery/run", DIRECTORY, 0755, "", 0, 0 } },
	    "gallery", RESOLVED_REFUSED,
	    "gallery/run is a directory, not a program", false },
	{ "a directory for everybody to write in is refused",
	    { { "gallery", DIRECTORY, 0777, "", 0, 0 },
		{ "gallery/run", FILE_, 0755, SCRIPT, 0, 0 } },
	    "gallery", RESOLVED_REFUSED,
	    "the directory of gallery/run is writable by everybody: chmod o-w "
	    "on it",
	    false },
	{ "so is the tenant's own",
	    { { ".", DIRECTORY, 0777, "", 0, 0 },
		{ "hello", FILE_, 0755, SCRIPT, 0, 0 } },
	    "hello", RESOLVED_REFUSED,
	    "the directory of hello is writable by everybody: chmod o-w on it",
	    false },

	/* two of a name */
	{ "two of a name are refused, naming both",
	    { { "hello.py", FILE_, 0755, SCRIPT, 0, 0 },
		{ "hello.sh", FILE_, 0755, SCRIPT, 0, 0 } },
	    "hello", RESOLVED_REFUSED,
	    "hello.py and hello.sh both are \"hello\": rename or remove one",
	    false },
	{ "also by the whole name of one, since a function is one thing",
	    { { "hello.py", FILE_, 0755, SCRIPT, 0, 0 },
		{ "hello.sh", FILE_, 0755, SCRIPT, 0, 0 } },
	    "hello.py", RESOLVED_REFUSED,
	    "hello.py and hello.sh both are \"hello\": rename or remove one",
	    false },
	{ "a file and a directory are two",
	    { { "hello", DIRECTORY, 0755, "", 0, 0 },
		{ "hello/run", FILE_, 0755, SCRIPT, 0, 0 },
		{ "hello.sh", FILE_, 0755, SCRIPT, 0, 0 } },
	    "hello", RESOLVED_REFUSED,
	    "hello and hello.sh both are \"hello\": rename or remove one",
	    false },
	{ "source beside a program is not in its way",
	    { { "hello", FILE_, 0755, SCRIPT, 0, 0 },
		{ "hello.c", FILE_, 0644, "", 0, 0 },
		{ "hello.o", FILE_, 0644, "", 0, 0 } },
	    "hello", RESOLVED_FOUND, "hello", false },
	{ "but no function itself",
	    { { "hello", FILE_, 0755, SCRIPT, 0, 0 },
		{ "hello.c", FILE_, 0644, "", 0, 0 } },
	    "hello.c", RESOLVED_REFUSED,
	    "hello.c is not executable: chmod +x hello.c", false },
	{ "a directory without run is not in a program's way",
	    { { "hello.sh", FILE_, 0755, SCRIPT, 0, 0 },
		{ "hello", DIRECTORY, 0755, "", 0, 0 } },
	    "hello", RESOLVED_FOUND, "hello.sh", false },
	{ "a backup is not in its way either",
	    { { "hello", FILE_, 0755, SCRIPT, 0, 0 },
		{ "hello.bak", FILE_, 0755, SCRIPT, 0, 0 } },
	    "hello", RESOLVED_FOUND, "hello", false },

	/* what is no program */
	{ "a file that is not executable is refused, not missing",
	    { { "hello.sh", FILE_, 0644, "", 0, 0 } }, "hello",
	    RESOLVED_REFUSED, "hello.sh is not executable: chmod +x hello.sh",
	    false },
	{ "a FIFO is refused", { { "hello", FIFO, 0755, "", 0, 0 } }, "hello",
	    RESOLVED_REFUSED, "hello is a FIFO, not a program", false },
	{ "a socket is refused", { { "hello", SOCKET, 0755, "", 0, 0 } },
	    "hello", RESOLVED_REFUSED, "hello is a socket, not a program",
	    false },
	{ "a device is refused", { { "hello", DEVICE, 0755, "", 0, 0 } },
	    "hello", RESOLVED_REFUSED, "hello is a device, not a program",
	    true },

	/* what the kernel will not start */
	{ "an empty file is refused", { { "x", FILE_, 0755, "", 0, 0 } }, "x",
	    RESOLVED_REFUSED, "x is empty", false },
	{ "a script with the line ends of another system is refused",
	    { { "x.sh", FILE_, 0755, "#!/bin/sh\r\necho\r\n", 0, 0 } }, "x",
	    RESOLVED_REFUSED,
	    "x.sh: its first line ends in CR (CRLF): save it with Unix line "
	    "ends",
	    false },
	{ "also behind an argument",
	    { { "x.py", FILE_, 0755, "#!/usr/bin/env python3\r\n", 0, 0 } },
	    "x", RESOLVED_REFUSED, "x.py: its first line ends in CR*", false },
	{ "a CR in a later line is its own business",
	    { { "x.sh", FILE_, 0755, "#!/bin/sh\necho\r\n", 0, 0 } }, "x",
	    RESOLVED_FOUND, "x.sh", false },
	{ "an interpreter that is not there is refused",
	    { { "x.py", FILE_, 0755, "#!/usr/bin/pyton3\n", 0, 0 } }, "x",
	    RESOLVED_REFUSED,
	    "x.py: its interpreter /usr/bin/pyton3 is not there", false },
	{ "blanks and arguments are no part of it",
	    { { "x.sh", FILE_, 0755, "#! \t/bin/sh\t-e\n", 0, 0 } }, "x",
	    RESOLVED_FOUND, "x.sh", false },
	{ "nor is a line end that never comes",
	    { { "x.sh", FILE_, 0755, "#!/bin/sh", 0, 0 } }, "x", RESOLVED_FOUND,
	    "x.sh", false },
	{ "no interpreter at all is refused",
	    { { "x.sh", FILE_, 0755, "#! \n/bin/sh\n", 0, 0 } }, "x",
	    RESOLVED_REFUSED, "x.sh: no interpreter stands behind its #!",
	    false },
	{ "an interpreter that is no program is refused",
	    { { "x.sh", FILE_, 0755, "#!/etc/passwd\n", 0, 0 } }, "x",
	    RESOLVED_REFUSED,
	    "x.sh: its interpreter /etc/passwd cannot be executed: *", false },
	{ "an interpreter without its path is told about the path",
	    { { "x.py", FILE_, 0755, "#!python3\n", 0, 0 } }, "x",
	    RESOLVED_REFUSED,
	    "x.py: its interpreter python3 is not there: give its whole path",
	    false },
	{ "an interpreter beside the program is there",
	    { { "x", DIRECTORY, 0755, "", 0, 0 },
		{ "x/own", FILE_, 0755, SCRIPT, 0, 0 },
		{ "x/run", FILE_, 0755, "#!./own\n", 0, 0 } },
	    "x", RESOLVED_FOUND, "x/run", false },
	{ "text without an interpreter is refused",
	    { { "x", FILE_, 0755, "echo hell\xc3\xb6\n", 0, 0 } }, "x",
	    RESOLVED_REFUSED, "x: neither a program nor a script (no #! line)",
	    false },
	{ "a format we do not know may be binfmt_misc's",
	    { { "x.jar", FILE_, 0755, "PK\3\4", 0, 0 } }, "x", RESOLVED_FOUND,
	    "x.jar", false },
	{ "the one that cannot start is still one of two",
	    { { "x.py", FILE_, 0755, "", 0, 0 },
		{ "x.sh", FILE_, 0755, SCRIPT, 0, 0 } },
	    "x", RESOLVED_REFUSED,
	    "x.py and x.sh both are \"x\": rename or remove one", false },

	/* who may write */
	{ "writable by everybody is refused",
	    { { "hello", FILE_, 0777, SCRIPT, 0, 0 } }, "hello",
	    RESOLVED_REFUSED, "hello is writable by everybody: chmod o-w hello",
	    false },
	{ "writable by a group of its owner's own is good",
	    { { "hello", FILE_, 0775, SCRIPT, 0, 0 } }, "hello", RESOLVED_FOUND,
	    "hello", false },
	{ "writable by another group is refused",
	    { { "hello", FILE_, 0775, SCRIPT, 0, STRANGER } }, "hello",
	    RESOLVED_REFUSED,
	    "hello is writable by group 4242, which is not its owner's own: "
	    "chmod g-w hello",
	    true },
	{ "a stranger's file is refused",
	    { { "hello", FILE_, 0755, SCRIPT, STRANGER, STRANGER } }, "hello",
	    RESOLVED_REFUSED,
	    "hello belongs to user 4242: chown it to 0 or root", true },
	{ "setuid is refused", { { "hello", FILE_, 04755, SCRIPT, 0, 0 } },
	    "hello", RESOLVED_REFUSED,
	    "hello is setuid, which functions never are: chmod u-s hello",
	    false },
	{ "setgid is refused", { { "hello", FILE_, 02755, SCRIPT, 0, 0 } },
	    "hello", RESOLVED_REFUSED,
	    "hello is setgid, which functions never are: chmod g-s hello",
	    false },

	/* links */
	{ "a link to a neighbour is good",
	    { { "real.sh", FILE_, 0755, SCRIPT, 0, 0 },
		{ "hello", LINK, 0, "real.sh", 0, 0 } },
	    "hello", RESOLVED_FOUND, "hello", false },
	{ "a link by absolute path to a neighbour is good",
	    { { "real.sh", FILE_, 0755, SCRIPT, 0, 0 },
		{ "hello", LINK, 0, "%IN%/real.sh", 0, 0 } },
	    "hello", RESOLVED_FOUND, "hello", false },
	{ "a link to a place that is allowed is good",
	    { { "program", OUTSIDE, 0755, SCRIPT, 0, 0 },
		{ "hello.cgi", LINK, 0, "%OUT%/program", 0, 0 } },
	    "hello", RESOLVED_FOUND, "hello.cgi", false },
	{ "a link to a link to a place that is allowed is good",
	    { { "program", OUTSIDE, 0755, SCRIPT, 0, 0 },
		{ "b", LINK, 0, "%OUT%/program", 0, 0 },
		{ "hello", LINK, 0, "b", 0, 0 } },
	    "hello", RESOLVED_FOUND, "hello", false },
	{ "a link to a directory that is allowed has its run",
	    { { "run", OUTSIDE, 0755, SCRIPT, 0, 0 },
		{ "hello", LINK, 0, "%OUT%/../%OUTNAME%", 0, 0 } },
	    "hello", RESOLVED_FOUND, "hello/run", false },
	{ "what is beside a place that is allowed is not",
	    { { "hello", LINK, 0, "%OUT%/..", 0, 0 } }, "hello",
	    RESOLVED_REFUSED,
	    "hello is a symbolic link to /tmp, which is not in link_targets",
	    false },
	{ "a link elsewhere is refused",
	    { { "hello", LINK, 0, "/bin/true", 0, 0 } }, "hello",
	    RESOLVED_REFUSED,
	    "hello is a symbolic link to /usr/bin/true, which is not in "
	    "link_targets",
	    false },
	{ "a link up and elsewhere is refused",
	    { { "hello", LINK, 0, "../../bin/true", 0, 0 } }, "hello",
	    RESOLVED_REFUSED,
	    "hello is a symbolic link to /usr/bin/true, which is not in "
	    "link_targets",
	    false },
	{ "a name that begins like an allowed place is not in it",
	    { { "hello", LINK, 0, "%OUT%x", 0, 0 } }, "hello", RESOLVED_REFUSED,
	    "hello is a symbolic link out of the tenant's directory to "
	    "something that is not there for functions",
	    false },
	{ "a link to nothing is refused",
	    { { "hello", LINK, 0, "nothing", 0, 0 } }, "hello",
	    RESOLVED_REFUSED,
	    "hello is a symbolic link to something that does not exist",
	    false },
	{ "a link to itself is refused",
	    { { "hello", LINK, 0, "hello", 0, 0 } }, "hello", RESOLVED_REFUSED,
	    "hello is a symbolic link that leads in circles", false },
	{ "what a link leads to is judged",
	    { { "program", OUTSIDE, 0777, SCRIPT, 0, 0 },
		{ "hello", LINK, 0, "%OUT%/program", 0, 0 } },
	    "hello", RESOLVED_REFUSED,
	    "hello is writable by everybody: chmod o-w hello", false },
	{ "a link to a directory with a run is good",
	    { { "real", DIRECTORY, 0755, "", 0, 0 },
		{ "real/run", FILE_, 0755, SCRIPT, 0, 0 },
		{ "hello", LINK, 0, "real", 0, 0 } },
	    "hello", RESOLVED_FOUND, "hello/run", false },
	{ "a run that is a link is judged",
	    { { "gallery", DIRECTORY, 0755, "", 0, 0 },
		{ "gallery/run", LINK, 0, "/bin/true", 0, 0 } },
	    "gallery", RESOLVED_REFUSED,
	    "gallery/run is a symbolic link to /usr/bin/true, which is not in "
	    "link_targets",
	    false },
	{ "a link into /proc is refused",
	    { { "hello", LINK, 0, "/proc/self/exe", 0, 0 } }, "hello",
	    RESOLVED_REFUSED, NULL, false },

	/* settings */
	{ "settings are read",
	    { { "hello", FILE_, 0755, SCRIPT, 0, 0 },
		{ "hello.conf", FILE_, 0644, "concurrency = 3;", 0, 0 } },
	    "hello", RESOLVED_FOUND, "hello", false },
	{ "a directory has its own",
	    { { "gallery", DIRECTORY, 0755, "", 0, 0 },
		{ "gallery/run", FILE_, 0755, SCRIPT, 0, 0 },
		{ "gallery/function.conf", FILE_, 0644, "nonsense = 1;", 0,
		    0 } },
	    "gallery", RESOLVED_REFUSED, "gallery/function.conf:1: *", false },
	{ "and not those beside it",
	    { { "gallery", DIRECTORY, 0755, "", 0, 0 },
		{ "gallery/run", FILE_, 0755, SCRIPT, 0, 0 },
		{ "gallery.conf", FILE_, 0644, "nonsense = 1;", 0, 0 } },
	    "gallery", RESOLVED_FOUND, "gallery/run", false },
	{ "settings that cannot be parsed are refused, with the line",
	    { { "hello", FILE_, 0755, SCRIPT, 0, 0 },
		{ "hello.conf", FILE_, 0644, "\nconcurrency = = 3;", 0, 0 } },
	    "hello", RESOLVED_REFUSED, "hello.conf:2: *", false },
	{ "settings without sense are refused, with how many there are",
	    { { "hello", FILE_, 0755, SCRIPT, 0, 0 },
		{ "hello.conf", FILE_, 0644, "one = 1;\ntwo = 2;\n", 0, 0 } },
	    "hello", RESOLVED_REFUSED, "hello.conf:1: *(and 1 more)", false },
	{ "the tenant's settings refuse all",
	    { { "hello", FILE_, 0755, SCRIPT, 0, 0 },
		{ "tenant.conf", FILE_, 0644, "nonsense = 1;", 0, 0 } },
	    "hello", RESOLVED_REFUSED, "tenant.conf:1: *", false },
	{ "settings that everybody can write are refused",
	    { { "hello", FILE_, 0755, SCRIPT, 0, 0 },
		{ "hello.conf", FILE_, 0666, "", 0, 0 } },
	    "hello", RESOLVED_REFUSED,
	    "hello.conf is writable by everybody: chmod o-w hello.conf",
	    false },
	{ "a stranger's settings are refused",
	    { { "hello", FILE_, 0755, SCRIPT, 0, 0 },
		{ "hello.conf", FILE_, 0644, "", STRANGER, STRANGER } },
	    "hello", RESOLVED_REFUSED,
	    "hello.conf belongs to user 4242: chown it to 0 or root", true },
	{ "settings that are a FIFO are refused and do not hang",
	    { { "hello", FILE_, 0755, SCRIPT, 0, 0 },
		{ "hello.conf", FIFO, 0644, "", 0, 0 } },
	    "hello", RESOLVED_REFUSED, "hello.conf is not a regular file",
	    false },
	{ "settings that are a directory are refused",
	    { { "hello", FILE_, 0755, SCRIPT, 0, 0 },
		{ "hello.conf", DIRECTORY, 0755, "", 0, 0 } },
	    "hello", RESOLVED_REFUSED, "hello.conf is not a regular file",
	    false },
	{ "settings that are a link elsewhere are refused",
	    { { "hello", FILE_, 0755, SCRIPT, 0, 0 },
		{ "hello.conf", LINK, 0, "/etc/passwd", 0, 0 } },
	    "hello", RESOLVED_REFUSED,
	    "hello.conf is a symbolic link to /etc/passwd, which is not in "
	    "link_targets",
	    false },
	{ "settings that are a link to nothing are refused",
	    { { "hello", FILE_, 0755, SCRIPT, 0, 0 },
		{ "hello.conf", LINK, 0, "nothing", 0, 0 } },
	    "hello", RESOLVED_REFUSED,
	    "hello.conf is a symbolic link to something that does not exist",
	    false },
};

static const char *
expand(const char *text)
{
	static char expanded[PATH_MAX];
	const char *name = strrchr(outside_path, '/') + 1;
	const struct {
		const char *from;
		const char *to;
	} words[] = { { "%OUT%", outside_path }, { "%IN%", place_path },
		{ "%OUTNAME%", name } };
	size_t bytes = 0;

	while (*text) {
		size_t i = 0;

		while (i < 3 &&
		    strncmp(text, words[i].from, strlen(words[i].from)) != 0)
			i++;
		if (i == 3)
			expanded[bytes++] = *text++;
		else {
			text += strlen(words[i].from);
			bytes += (size_t)sprintf(expanded + bytes, "%s",
			    words[i].to);
		}
	}
	expanded[bytes] = '\0';
	return expanded;
}

static void
make_socket(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%.90s",
	    place_of(name));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)),
	    0);
	close(fd);
}

static void
make_thing(const struct thing *t)
{
	char outside[PATH_MAX];
	const char *path = place_of(t->name);

	switch (t->what) {
	case FILE_:
		place_put(t->name, t->mode, t->text);
		break;
	case DIRECTORY:
		if (strcmp(t->name, ".") != 0)
			assert_int_equal(mkdir(path, 0755), 0);
		assert_int_equal(chmod(path, t->mode), 0);
		break;
	case LINK:
		assert_int_equal(symlink(expand(t->text), path), 0);
		break;
	case FIFO:
		assert_int_equal(mkfifo(path, t->mode), 0);
		break;
	case SOCKET:
		make_socket(t->name);
		break;
	case DEVICE:
		assert_int_equal(mknod(path, S_IFCHR | t->mode, makedev(1, 3)),
		    0);
		break;
	case OUTSIDE:
		snprintf(outside, sizeof(outside), "%.2000s/%.2000s",
		    outside_path, t->name);
		place_put("moved", t->mode, t->text);
		assert_int_equal(rename(place_of("moved"), outside), 0);
		break;
	case NO_MORE:
		break;
	}
	/* chown takes setuid away */
	if (t->owner || t->group) {
		assert_int_equal(lchown(path, t->owner, t->group), 0);
		assert_int_equal(chmod(path, t->mode), 0);
	}
}

/* "a*b": begins with a, ends with b. */
static void
assert_says(const char *text, const char *pattern)
{
	const char *star = strchr(pattern, '*');
	size_t before = star ? (size_t)(star - pattern) : 0;
	size_t after = star ? strlen(star + 1) : 0;

	if (!star)
		assert_string_equal(text, pattern);
	else if (strncmp(text, pattern, before) != 0 ||
	    strlen(text) < before + after ||
	    strcmp(text + strlen(text) - after, star + 1) != 0)
		fail_msg("\"%s\" is not like \"%s\"", text, pattern);
}

static void
answer_is(void **state)
{
	const struct answer *a = *state;

	if (a->root && geteuid() != 0)
		skip();
	begin();
	for (int i = 0; i < FILES_MOST && a->things[i].what; i++)
		make_thing(&a->things[i]);
	for (int again = 0; again < 2; again++) {
		ask(a->asked);
		if (got.outcome != a->outcome && got.reason[0])
			print_message("reason: %s\n", got.reason);
		assert_int_equal(got.outcome, a->outcome);
		if (a->outcome == RESOLVED_FOUND) {
			assert_says(got.file, expand(a->says));
			assert_true(buf_bytes(&got.ticket) > 0);
		} else if (a->outcome == RESOLVED_REFUSED && a->says)
			assert_says(got.reason, expand(a->says));
		else
			assert_int_equal(buf_bytes(&got.ticket), 0);
	}
	end();
}

/* ---- what happens over time --------------------------------------------------------- */

static void
the_one_that_serves_stays(void **state)
{
	(void)state;
	place_put("hello.sh", 0755, SCRIPT);
	ask("hello");
	assert_string_equal(got.file, "hello.sh");
	place_put("hello.py", 0755, SCRIPT);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_FOUND);
	assert_string_equal(got.file, "hello.sh");
	ask("hello.sh");
	assert_int_equal(got.outcome, RESOLVED_FOUND);
	ask("hello.py");
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
	unlink(place_of("hello.sh"));
	ask("hello");
	assert_string_equal(got.file, "hello.py");
	place_put("hello.sh", 0755, SCRIPT);
	ask("hello");
	assert_string_equal(got.file, "hello.py");
}

static void
the_one_that_served_is_forgotten_with_its_name(void **state)
{
	(void)state;
	place_put("hello.sh", 0755, SCRIPT);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_FOUND);
	unlink(place_of("hello.sh"));
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_NONE);
	place_put("hello.sh", 0755, SCRIPT);
	place_put("hello.py", 0755, SCRIPT);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
}

static void
list_nothing(void *arg, const struct resolution *r)
{
	(void)arg;
	assert_string_equal(r->function, "hello");
}

static void
listing_makes_nothing_serve(void **state)
{
	(void)state;
	place_put("hello.sh", 0755, SCRIPT);
	assert_int_equal(resolve_list(resolver, now_ms, list_nothing, NULL), 0);
	place_put("hello.py", 0755, SCRIPT);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
}

static struct ticket
ticket_got(void)
{
	struct ticket t;

	assert_int_equal(ticket_decode(buf_span(&got.ticket), &t), 0);
	return t;
}

static bool
ticket_stale(const struct ticket *t)
{
	int program_fd, result = ticket_open(t, place_fd, &program_fd);

	if (result != 0)
		assert_int_equal(errno, ESTALE);
	assert_int_equal(program_fd >= 0, result == 0 && t->native);
	fd_close(&program_fd);
	return result != 0;
}

static void
a_ticket_is_good_until_something_changes(void **state)
{
	struct ticket t;

	(void)state;
	place_put("hello", 0755, SCRIPT);
	ask("hello");
	t = ticket_got();
	assert_false(ticket_stale(&t));
	place_put("hello.conf", 0644, "concurrency = 3;");
	assert_true(ticket_stale(&t));
	ask("hello");
	t = ticket_got();
	assert_false(ticket_stale(&t));
	place_put("hello.conf", 0644, "concurrency = 4;");
	assert_true(ticket_stale(&t));
	ask("hello");
	t = ticket_got();
	place_put("tenant.conf", 0644, "");
	assert_true(ticket_stale(&t));
	ask("hello");
	t = ticket_got();
	place_put("hello", 0755, SCRIPT "longer");
	assert_true(ticket_stale(&t));
}

/* A program as our own: the first bytes are those of this test. */
static void
put_native(const char *name, mode_t mode, size_t bytes)
{
	char head[4096];
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), fd;

	assert_int_equal(read(from, head, sizeof(head)), sizeof(head));
	close(from);
	place_put(name, 0600, "");
	fd = open(place_of(name), O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(fd, head, bytes), (ssize_t)bytes);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void
a_ticket_says_what_the_kernel_runs_without_help(void **state)
{
	static const struct {
		const char *text; /* NULL: as many bytes of a program */
		size_t bytes;
		mode_t mode;
		bool native;
	} rows[] = {
		{ NULL, 4096, 0755, true },
		{ NULL, 16, 0755, false }, /* too short to know */
		{ "#!/bin/sh\n", 0, 0755, false },
		{ "\177ELF, for another machine, and longer than its first "
		  "record, which has 64 bytes",
		    0, 0755, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].text)
			place_put("hello", rows[i].mode, rows[i].text);
		else
			put_native("hello", rows[i].mode, rows[i].bytes);
		ask("hello");
		assert_int_equal(got.outcome, RESOLVED_FOUND);
		assert_int_equal(ticket_got().native, rows[i].native);
	}
}

/* The first bytes of this test with one of them changed. */
static void
a_program_for_another_machine_is_refused(void **state)
{
	static const struct {
		size_t at;
		char byte;
		const char *reason; /* NULL: found */
	} rows[] = {
		{ 0, '\177', NULL },
		{ 18, 8, "hello: an ELF program for another machine" },
		{ 5, 2, "hello: an ELF program for another machine" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fd;

		put_native("hello", 0755, 4096);
		fd = open(place_of("hello"), O_WRONLY | O_CLOEXEC);
		assert_int_equal(pwrite(fd, &rows[i].byte, 1,
				     (off_t)rows[i].at),
		    1);
		close(fd);
		ask("hello");
		if (rows[i].reason)
			assert_string_equal(got.reason, rows[i].reason);
		else
			assert_int_equal(got.outcome, RESOLVED_FOUND);
	}
}

static void
a_program_without_its_loader_is_refused(void **state)
{
	static const char loader[] = "/lib64/ld-";
	char head[4096], *found;
	int fd;

	(void)state;
	put_native("hello", 0755, 4096);
	fd = open(place_of("hello"), O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, head, sizeof(head), 0), sizeof(head));
	found = memmem(head, sizeof(head), loader, strlen(loader));
	if (!found) { /* another machine's is elsewhere */
		close(fd);
		skip();
	}
	assert_int_equal(pwrite(fd, "x", 1, found + 1 - head), 1);
	close(fd);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
	assert_says(got.reason, "hello: its loader /xib64/ld-* this system");
}

/* Its writer has only just begun: the request waits for him. */
static void
an_empty_file_that_is_still_written_is_left_to_wait(void **state)
{
	int fd;

	(void)state;
	place_put("hello", 0755, "");
	fd = open(place_of("hello"), O_WRONLY | O_CLOEXEC);
	ask("hello");
	close(fd);
	assert_int_equal(got.outcome, RESOLVED_FOUND);
	ask("hello");
	assert_string_equal(got.reason, "hello is empty");
}

static void
an_interpreter_that_comes_later_counts(void **state)
{
	char text[PATH_MAX];

	(void)state;
	snprintf(text, sizeof(text), "#!%.2000s/inter\n", place_path);
	place_put("hello", 0755, text);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
	place_put("inter", 0755, SCRIPT);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_FOUND);
}

static void
a_program_that_cannot_be_read_is_refused(void **state)
{
	(void)state;
	if (geteuid() == 0)
		skip();
	place_put("hello", 0111, SCRIPT);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
	assert_string_equal(got.reason,
	    "hello cannot be read by the tenant's user, as its interpreter "
	    "must: chmod a+r hello");
}

static void
list_refused(void *arg, const struct resolution *r)
{
	char *text = arg;

	assert_int_equal(r->outcome, RESOLVED_REFUSED);
	assert_string_equal(r->function, "");
	sprintf(text + strlen(text), "%s|%s|", r->file, r->reason);
}

/* No URL leads to it, so only the list can say that it is there. */
static void
a_function_of_an_impossible_name_is_listed(void **state)
{
	static const char *const names[] = { "we ird", "\xc3\xbcn", "new\nline",
		"a23456789012345678901234567890123456789012345"
		"6789012345678901234" };
	static const char *const never[] = { ".hidden", "old copy~", "a b.conf",
		"a b.bak" };
	static const char rule[] = "its name has characters other than "
				   "letters, digits, _ and -|";
	char text[4096] = "", row[1024];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		place_put(names[i], 0755, SCRIPT);
		place_put(never[i], 0755, SCRIPT);
	}
	place_put("no program", 0644, SCRIPT);
	assert_int_equal(mkdir(place_of("no function"), 0755), 0);
	assert_int_equal(mkdir(place_of("a function"), 0755), 0);
	place_put("a function/run", 0755, SCRIPT);
	assert_int_equal(resolve_list(resolver, now_ms, list_refused, text), 0);
	for (size_t i = 0; i < 3; i++) {
		snprintf(row, sizeof(row), "%s|%s: %s", names[i], names[i],
		    rule);
		assert_non_null(strstr(text, row));
	}
	assert_non_null(strstr(text, "more than 63 characters"));
	snprintf(row, sizeof(row), "a function/run|a function: %s", rule);
	assert_non_null(strstr(text, row));
	for (size_t i = 0; i < 4; i++)
		assert_null(strstr(text, never[i]));
	assert_null(strstr(text, "no "));
}

/* Whatever the name leads to a moment later. */
static void
a_ticket_opens_the_file_it_compared(void **state)
{
	struct identity found;
	int program_fd;
	struct ticket t;
	struct stat st;

	(void)state;
	put_native("hello", 0755, 4096);
	ask("hello");
	t = ticket_got();
	assert_int_equal(ticket_open(&t, place_fd, &program_fd), 0);
	assert_true(fcntl(program_fd, F_GETFD) & FD_CLOEXEC);
	put_native("other", 0755, 2048);
	assert_int_equal(rename(place_of("other"), place_of("hello")), 0);
	assert_int_equal(fstat(program_fd, &st), 0);
	assert_int_equal(st.st_size, 4096);
	found = identity_of(&st);
	assert_int_equal(found.inode, t.files[TICKET_PROGRAM].inode);
	close(program_fd);
	assert_true(ticket_stale(&t));
}

/* ... which says nothing about the file. */
static void
no_descriptor_left_is_not_stale(void **state)
{
	struct rlimit before, none;
	struct ticket t;
	int program_fd;

	(void)state;
	put_native("hello", 0755, 4096);
	ask("hello");
	t = ticket_got();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(ticket_open(&t, place_fd, &program_fd), -1);
	assert_int_equal(errno, EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(program_fd, -1);
	assert_false(ticket_stale(&t));
}

/* A ticket of settings that are younger than the file system's clock tick is
 * good for that tick only. */
static void
young_settings_are_not_trusted_for_long(void **state)
{
	struct ticket t;
	struct stat st;

	(void)state;
	place_put("hello", 0755, SCRIPT);
	place_put("hello.conf", 0644, "concurrency = 3;");
	assert_int_equal(stat(place_of("hello.conf"), &st), 0);
	now_ms = (uint64_t)st.st_ctim.tv_sec * 1000 +
	    (uint64_t)st.st_ctim.tv_nsec / 1000000;
	ask("hello");
	t = ticket_got();
	assert_int_equal(t.young_until_ms, now_ms + TICKET_TICK_MS);
	now_ms += TICKET_TICK_MS + 1;
	ask("hello");
	t = ticket_got();
	assert_int_equal(t.young_until_ms, 0);
}

static void
settings_go_over_the_tenants_over_the_hosts(void **state)
{
	struct settings *s;

	(void)state;
	place_put("hello", 0755, SCRIPT);
	ask("hello");
	assert_int_equal(buf_bytes(&got.settings), 0);
	place_put("tenant.conf", 0644, "concurrency = 3; state = \"none\";");
	place_put("hello.conf", 0644, "concurrency = 5;");
	ask("hello");
	s = settings_decode(buf_span(&got.settings), config);
	assert_non_null(s);
	assert_int_equal(s->concurrency, 5);
	assert_int_equal(s->state, STATE_NONE);
	settings_release(&s);
	unlink(place_of("hello.conf"));
	ask("hello");
	s = settings_decode(buf_span(&got.settings), config);
	assert_int_equal(s->concurrency, 3);
	settings_release(&s);
}

static void
large_settings_are_refused(void **state)
{
	static char text[SETTINGS_FILE_MOST + 2];

	(void)state;
	memset(text, '#', sizeof(text) - 1);
	place_put("hello", 0755, SCRIPT);
	place_put("hello.conf", 0644, text);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
	assert_string_equal(got.reason, "hello.conf is larger than 64 KiB");
}

static void
a_directory_that_is_gone_has_moved(void **state)
{
	(void)state;
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_NONE);
	assert_int_equal(rmdir(place_path), 0);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_MOVED);
}

static void
a_directory_that_cannot_be_read_is_refused(void **state)
{
	(void)state;
	if (geteuid() == 0)
		skip();
	place_put("hello", 0755, SCRIPT);
	assert_int_equal(chmod(place_path, 0311), 0);
	ask("hello");
	assert_int_equal(chmod(place_path, 0755), 0);
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
	assert_non_null(strstr(got.reason, "cannot be read by user"));
}

static void
a_program_for_others_only_is_refused(void **state)
{
	(void)state;
	if (geteuid() == 0)
		skip();
	place_put("hello", 0055, SCRIPT);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
	assert_non_null(strstr(got.reason, "hello may not be executed by"));
}

/* In a user namespace root's files look like nobody's. */
static void
a_user_namespace_does_not_know_root(void **state)
{
	struct resolve_place place = { .directory_fd = place_fd,
		.directory = place_path,
		.uid = geteuid(),
		.gid = getegid(),
		.user_namespace = true };
	struct resolve *r = resolve_new(&place, config);

	(void)state;
	if (geteuid() != 0) {
		resolve_free(&r);
		skip();
	}
	place_put("hello", 0755, SCRIPT);
	assert_int_equal(chown(place_of("hello"), 65534, 65534), 0);
	ask("hello");
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
	resolve_name(r, SPAN("hello"), now_ms, &got);
	assert_int_equal(got.outcome, RESOLVED_FOUND);
	/* but a group that may write there is nobody's own */
	assert_int_equal(chmod(place_of("hello"), 0775), 0);
	resolve_name(r, SPAN("hello"), now_ms, &got);
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
	resolve_free(&r);
}

/* ---- the scan ------------------------------------------------------------------------ */

static void
an_unchanged_directory_is_read_once(void **state)
{
	struct scan scan;
	size_t first;

	(void)state;
	scan_init(&scan);
	place_put("hello", 0755, SCRIPT);
	assert_int_equal(scan_refresh(&scan, place_fd, now_ms, false), 1);
	assert_int_equal(scan_refresh(&scan, place_fd, now_ms, false), 0);
	assert_int_equal(scan_find(&scan, SPAN("hello"), &first), 1);
	place_put("hullo", 0755, SCRIPT);
	assert_int_equal(scan_refresh(&scan, place_fd, now_ms, false), 1);
	assert_int_equal(scan_find(&scan, SPAN("hullo"), &first), 1);
	unlink(place_of("hello"));
	assert_int_equal(scan_refresh(&scan, place_fd, now_ms, false), 1);
	assert_int_equal(scan_find(&scan, SPAN("hello"), &first), 0);
	scan_free(&scan);
}

/* Within a tick, a second change may leave the times as they are. */
static void
a_directory_that_just_changed_is_read_again(void **state)
{
	struct scan scan;
	struct stat st;

	(void)state;
	scan_init(&scan);
	place_put("hello", 0755, SCRIPT);
	assert_int_equal(fstat(place_fd, &st), 0);
	now_ms = (uint64_t)st.st_ctim.tv_sec * 1000 +
	    (uint64_t)st.st_ctim.tv_nsec / 1000000;
	assert_int_equal(scan_refresh(&scan, place_fd, now_ms, false), 1);
	assert_int_equal(scan_refresh(&scan, place_fd, now_ms, false), 1);
	now_ms += TICKET_TICK_MS + 1;
	assert_int_equal(scan_refresh(&scan, place_fd, now_ms, false), 1);
	assert_int_equal(scan_refresh(&scan, place_fd, now_ms, false), 0);
	scan_free(&scan);
}

static void
thousands_of_names_are_found(void **state)
{
	struct scan scan;
	char name[64];
	size_t first;

	(void)state;
	scan_init(&scan);
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "f%d%s", i, i % 3 ? ".sh" : "");
		place_put(name, 0755, SCRIPT);
		if (i % 10 == 0) {
			snprintf(name, sizeof(name), "f%d.c", i);
			place_put(name, 0644, "");
		}
	}
	assert_int_equal(scan_refresh(&scan, place_fd, now_ms, false), 1);
	assert_int_equal(scan.count, 3300);
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		assert_int_equal(scan_find(&scan, span_of(name), &first),
		    i % 10 == 0 ? 2 : 1);
		assert_true(span_equal(name_function(span_of(scan_file(&scan,
					   first))),
		    span_of(name)));
	}
	assert_int_equal(scan_find(&scan, SPAN("f3000"), &first), 0);
	assert_int_equal(scan_find(&scan, SPAN(""), &first), 0);
	scan_free(&scan);
}

static int
each_begin(void **state)
{
	(void)state;
	begin();
	return 0;
}

static int
each_end(void **state)
{
	(void)state;
	end();
	return 0;
}

#define ONE(function) \
	cmocka_unit_test_setup_teardown(function, each_begin, each_end)

int
main(void)
{
	static const struct CMUnitTest others[] = {
		ONE(the_one_that_serves_stays),
		ONE(the_one_that_served_is_forgotten_with_its_name),
		ONE(listing_makes_nothing_serve),
		ONE(a_ticket_is_good_until_something_changes),
		ONE(a_ticket_says_what_the_kernel_runs_without_help),
		ONE(a_program_for_another_machine_is_refused),
		ONE(a_program_without_its_loader_is_refused),
		ONE(an_empty_file_that_is_still_written_is_left_to_wait),
		ONE(an_interpreter_that_comes_later_counts),
		ONE(a_program_that_cannot_be_read_is_refused),
		ONE(a_function_of_an_impossible_name_is_listed),
		ONE(a_ticket_opens_the_file_it_compared),
		ONE(no_descriptor_left_is_not_stale),
		ONE(young_settings_are_not_trusted_for_long),
		ONE(settings_go_over_the_tenants_over_the_hosts),
		ONE(large_settings_are_refused),
		ONE(a_directory_that_is_gone_has_moved),
		ONE(a_directory_that_cannot_be_read_is_refused),
		ONE(a_program_for_others_only_is_refused),
		ONE(a_user_namespace_does_not_know_root),
		ONE(an_unchanged_directory_is_read_once),
		ONE(a_directory_that_just_changed_is_read_again),
		ONE(thousands_of_names_are_found),
	};
	int failed = RUN_ROWS(answers, answer_is);

	failed += cmocka_run_group_tests(others, NULL, NULL);
	return failed != 0;
}
