/* SPDX-License-Identifier: MIT */
/* If this fails, a file that must not run is run, one that should is not
 * found, or an author is told the wrong cure. Every row has a directory of its
 * own. */

#include "cell_ask.h"

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
	    "gallery is writable by everybody: chmod o-w gallery", false },
	{ "nor may a group write in it that is not its owner's own",
	    { { "gallery", DIRECTORY, 0775, "", 0, 4242 },
		{ "gallery/run", FILE_, 0755, SCRIPT, 0, 0 } },
	    "gallery", RESOLVED_REFUSED,
	    "gallery is writable by group 4242, which is not its owner's own: "
	    "chmod g-w gallery",
	    true },
	{ "nor may it be somebody else's",
	    { { "gallery", DIRECTORY, 0755, "", 4242, 4242 },
		{ "gallery/run", FILE_, 0755, SCRIPT, 0, 0 } },
	    "gallery", RESOLVED_REFUSED,
	    "gallery belongs to user 4242: chown it to 0 or root", true },
	{ "so is the tenant's own",
	    { { ".", DIRECTORY, 0777, "", 0, 0 },
		{ "hello", FILE_, 0755, SCRIPT, 0, 0 } },
	    "hello", RESOLVED_REFUSED,
	    "its directory is writable by everybody: chmod o-w its directory",
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
	{ "nor may it be a directory",
	    { { "x.sh", FILE_, 0755, "#!/usr/bin\n", 0, 0 } }, "x",
	    RESOLVED_REFUSED, "x.sh: its interpreter /usr/bin is a directory",
	    false },
	{ "nor a device", { { "x.sh", FILE_, 0755, "#!/dev/null\n", 0, 0 } },
	    "x", RESOLVED_REFUSED, "x.sh: its interpreter /dev/null *", false },
	{ "nor the script itself",
	    { { "x", DIRECTORY, 0755, "", 0, 0 },
		{ "x/run", FILE_, 0755, "#!./run\n", 0, 0 } },
	    "x", RESOLVED_REFUSED,
	    "x/run: its interpreter ./run is the file itself", false },
	{ "an ELF program of a few bytes is refused",
	    { { "x", FILE_, 0755, "\177ELF and no more", 0, 0 } }, "x",
	    RESOLVED_REFUSED, "x is cut off: *", false },
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

	/* what the host's own Python runs */
	{ "a first line may ask for Python, wherever it is",
	    { { "x.py", FILE_, 0755, "#!/usr/bin/env fcgi-host-python\n", 0,
		0 } },
	    "x", RESOLVED_FOUND, "x.py", false },
	{ "by a path that is not there",
	    { { "x.py", FILE_, 0755, "#!/opt/fcgi-host-python -x\n", 0, 0 } },
	    "x", RESOLVED_FOUND, "x.py", false },
	{ "a name that only ends so is another interpreter",
	    { { "x.py", FILE_, 0755, "#!/opt/my-fcgi-host-python\n", 0, 0 } },
	    "x", RESOLVED_REFUSED, "x.py: its interpreter /opt/my-*", false },
	{ "an argument of env that only begins so is its own business",
	    { { "x.py", FILE_, 0755, "#!/usr/bin/env fcgi-host-python3\n", 0,
		0 } },
	    "x", RESOLVED_FOUND, "x.py", false },
	{ "a setting asks for what has no first line",
	    { { "x.py", FILE_, 0755, "def handle(request): ...\n", 0, 0 },
		{ "x.conf", FILE_, 0644, "runtime = \"python\";", 0, 0 } },
	    "x", RESOLVED_FOUND, "x.py", false },
	{ "but not for a file that is no program by its mode",
	    { { "x.py", FILE_, 0644, "def handle(request): ...\n", 0, 0 },
		{ "x.conf", FILE_, 0644, "runtime = \"python\";", 0, 0 } },
	    "x", RESOLVED_REFUSED, "x.py is not executable: chmod +x x.py",
	    false },
	{ "a runtime that there is not is refused",
	    { { "x.py", FILE_, 0755, "", 0, 0 },
		{ "x.conf", FILE_, 0644, "runtime = \"perl\";", 0, 0 } },
	    "x", RESOLVED_REFUSED, "x.py is empty", false },

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

/* ---- what a program speaks ------------------------------------------------------- */

/* As the SDK has it; so this program is one of the SDK's. */
__asm__(".pushsection .note.fcgi-host,\"a\",@note\n"
	".balign 4\n.long 10, 4, 1\n.asciz \"fcgi-host\"\n"
	".balign 4\n.long 1\n.popsection\n");

static void
copy_program(const char *from, const char *name)
{
	int to = open(place_of(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	int fd = open(from, O_RDONLY | O_CLOEXEC);
	char bytes[65536];
	ssize_t n;

	assert_true(fd >= 0 && to >= 0);
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		assert_int_equal(write(to, bytes, (size_t)n), n);
	assert_int_equal(n, 0);
	close(fd);
	close(to);
}

static const struct speech {
	const char *sentence;
	const char *program; /* NULL: a script */
	const char *tenant;  /* settings; NULL: no file */
	const char *own;
	unsigned protocol;
	uint64_t requests;
} speeches[] = {
	{ "a program of the SDK is a worker without a line", "/proc/self/exe",
	    NULL, NULL, PROTOCOL_FASTCGI, SETTINGS_REQUESTS },
	{ "unless its settings say cgi", "/proc/self/exe", NULL,
	    "protocol = \"cgi\";", PROTOCOL_CGI, 1 },
	{ "or its tenant's", "/proc/self/exe", "protocol = \"cgi\";", NULL,
	    PROTOCOL_CGI, 1 },
	{ "any other program is spoken to by CGI", "/bin/true", NULL, NULL,
	    PROTOCOL_CGI, 1 },
	{ "so is a script", NULL, "spare = 3;", "", PROTOCOL_CGI, 1 },
	{ "unless its settings say fastcgi", NULL, NULL,
	    "protocol = \"fastcgi\"; requests = 7;", PROTOCOL_FASTCGI, 7 },
	{ "so is a Python function", NULL, NULL, "runtime = \"python\";",
	    PROTOCOL_CGI, 1 },
	{ "which is a worker with one", NULL, NULL,
	    "runtime = \"python\"; protocol = \"fastcgi\";", PROTOCOL_FASTCGI,
	    SETTINGS_REQUESTS },
	{ "and may say how many requests it lives for", NULL,
	    "runtime = \"python\"; protocol = \"fastcgi\";",
	    "requests = 1; spare = 2;", PROTOCOL_FASTCGI, 1 },
};

static void
speech_is(void **state)
{
	const struct speech *row = *state;
	struct settings *s;

	begin();
	if (row->program)
		copy_program(row->program, "hello");
	else
		place_put("hello", 0755, SCRIPT);
	if (row->tenant)
		place_put("tenant.conf", 0644, row->tenant);
	if (row->own)
		place_put("hello.conf", 0644, row->own);
	ask("hello");
	assert_string_equal(got.reason, "");
	assert_int_equal(got.outcome, RESOLVED_FOUND);
	s = settings_decode(buf_span(&got.settings),
	    config_terms(config, SPAN_NONE));
	assert_non_null(s);
	assert_int_equal(s->protocol, row->protocol);
	assert_int_equal(s->requests, row->requests);
	settings_release(&s);
	end();
}

static void
python_is_refused(void **state)
{
	(void)state;
	python = NULL;
	begin();
	place_put("x.py", 0755, "#!/usr/bin/env fcgi-host-python\n");
	ask("x");
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
	assert_says(got.reason,
	    "x.py is a Python function, and this host has "
	    "no fcgi-host-python: *");
	end();
	python = "/usr/libexec/fcgi-host/fcgi-host-python";
	begin();
	place_put("y.py", 0755, "");
	place_put("y.conf", 0644, "runtime = \"python\";");
	ask("y");
	assert_int_equal(got.outcome, RESOLVED_FOUND);
	assert_string_equal(got.reason, "");
	copy_program("/bin/true", "x");
	place_put("x.conf", 0644, "runtime = \"python\";");
	ask("x");
	assert_int_equal(got.outcome, RESOLVED_REFUSED);
	assert_says(got.reason, "x: runtime = \"python\" is for scripts, *");
	end();
}

int
main(void)
{
	int failed = RUN_ROWS(answers, answer_is);

	static const struct CMUnitTest others[] = {
		cmocka_unit_test(python_is_refused),
	};

	failed += RUN_ROWS(speeches, speech_is);
	failed += cmocka_run_group_tests(others, NULL, NULL);
	return failed != 0;
}
