/* SPDX-License-Identifier: MIT */
/* If this fails, a tenant's functions reach what is not theirs, or do not find what
 * is. Each row runs in every kind of cell. */

#define _GNU_SOURCE 1
#include "cell_kinds.h"

static const struct inside {
	const char *sentence;
	const char *script;
	const char *output[KINDS]; /* NULL: not promised there */
} insides[] = {
	{ "no capability is left",
	    "grep -E '^Cap(Inh|Prm|Eff|Amb)' /proc/self/status | "
	    "grep -v 0000000000000000; echo .",
	    { ".\n", ".\n", ".\n" } },
	{ "not even in the bounding set",
	    "grep ^CapBnd /proc/self/status | tr -d 0; echo .",
	    { NULL, "CapBnd:\t\n.\n", "CapBnd:\t\n.\n" } },
	{ "no new privileges", "grep ^NoNewPrivs /proc/self/status",
	    { "NoNewPrivs:\t1\n", "NoNewPrivs:\t1\n", "NoNewPrivs:\t1\n" } },
	/* where all that the user runs would count, it is not set */
	{ "processes are limited where none of somebody else count",
	    "[ $(ulimit -p) = 77 ] && echo limited || echo not",
	    { "not\n", "limited\n", "limited\n" } },
	{ "the tenant's user in no other group", "id -u; id -G",
	    { NULL, NULL, "71234\n71234\n" } },
	{ "the host's root is out of reach",
	    "ls -d /root /home /boot /sys /srv /mnt 2>/dev/null; echo .",
	    { NULL, ".\n", ".\n" } },
	{ "system files cannot be changed",
	    "for f in /usr/x /etc/x /bin/x /dev/x /x; do "
	    "( : >$f ) 2>/dev/null && echo $f; done; echo .",
	    { NULL, ".\n", ".\n" } },
	{ "nor the tenant's own programs",
	    "( : >x ) 2>/dev/null && echo made; "
	    "( : >>program ) 2>/dev/null && echo changed; echo .",
	    { NULL, ".\n", ".\n" } },
	{ "data/ is writable", "echo text >data/file && cat data/file",
	    { "text\n", "text\n", "text\n" } },
	{ "/tmp is writable and its own",
	    "echo text >/tmp/file && cat /tmp/file && ls -A /var/tmp | "
	    "grep -c fcgi-host-cell",
	    { NULL, "text\n1\n", "text\n1\n" } },
	{ "/tmp has an end",
	    "head -c 200000000 /dev/zero >/tmp/file 2>/dev/null || "
	    "echo full",
	    { NULL, "full\n", "full\n" } },
	{ "what it creates is not for others", "umask",
	    { "0027\n", "0027\n", "0027\n" } },
	{ "only the cell's processes are there",
	    "ls -d /proc/[0-9]* | wc -l | grep -cE '^[1-4]$'",
	    { NULL, "1\n", "1\n" } },
	{ "nor can pid 1 be looked into",
	    "cat /proc/1/environ 2>/dev/null; ls /proc/1/fd 2>/dev/null; "
	    "echo .",
	    { NULL, ".\n", ".\n" } },
	{ "nor its launcher", "ls /proc/$PPID/fd 2>/dev/null; echo .",
	    { ".\n", ".\n", ".\n" } },
	{ "what it starts itself can",
	    "sleep 1000 & kill -CONT $! && kill -CONT 0 && echo .",
	    { ".\n", ".\n", ".\n" } },
	{ "the root can be listed where it is the cell's own",
	    "ls / | grep -c '^usr$'", { NULL, "1\n", "1\n" } },
	{ "no rule stands in the way of devices and what /proc says of it",
	    "head -c 3 /dev/zero | wc -c; echo x >/dev/null; "
	    "cat /proc/self/comm; echo out >/dev/stderr",
	    { "3\ncat\nout\n", "3\ncat\nout\n", "3\ncat\nout\n" } },
	{ "nor can namespaces be made, where there would be rights again",
	    "unshare -U true 2>/dev/null || echo .; "
	    "unshare -n true 2>/dev/null || echo .",
	    { ".\n.\n", ".\n.\n", ".\n.\n" } },
	{ "127.0.0.1 is up, and the network ends there",
	    "perl -MIO::Socket::INET -e '"
	    "my $s = IO::Socket::INET->new(Listen => 1, "
	    "LocalAddr => \"127.0.0.1\") or print \"down\\n\"; "
	    "print -e \"/sys/class/net\" ? \"sys\\n\" : \"\", "
	    "IO::Socket::INET->new(Proto => \"udp\", "
	    "PeerAddr => \"192.0.2.1:9\") ? \"out\\n\" : \"in\\n\"'",
	    { NULL, "in\n", "in\n" } },
	{ "it is ended before the host when memory is short",
	    "[ $(cat /proc/self/oom_score_adj) -ge 500 ] && echo .",
	    { ".\n", ".\n", ".\n" } },
	{ "its control group is the top one",
	    "cut -d: -f3 /proc/self/cgroup | sort -u", { NULL, "/\n", "/\n" } },
	{ "nothing dumps core", "ulimit -c", { "0\n", "0\n", "0\n" } },
	{ "the machine has the tenant's name", "uname -n",
	    { NULL, "acme\n", "acme\n" } },
	{ "the usual devices work",
	    "head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; "
	    "echo x >/dev/null; (echo x >/dev/full) 2>/dev/null || echo full",
	    { "3\n3\nfull\n", "3\n3\nfull\n", "3\n3\nfull\n" } },
	{ "standard output can be opened by name",
	    "echo x >/dev/stdout; "
	    "echo y >/dev/stderr",
	    { "x\ny\n", "x\ny\n", "x\ny\n" } },
	{ "mounting is refused",
	    "mount -t tmpfs none /tmp 2>/dev/null || echo no",
	    { NULL, "no\n", "no\n" } },
	{ "the working directory is where it is outside",
	    "[ \"$(pwd)\" = \"$(dirname $0)\" ] && echo same",
	    { "same\n", "same\n", "same\n" } },
	{ "python runs",
	    "/usr/bin/python3 -c 'import os, tempfile; "
	    "tempfile.TemporaryFile().write(b\"x\"); print(os.getcwd()[:5])'",
	    { "/tmp/\n", "/tmp/\n", "/tmp/\n" } },
	{ "perl runs", "perl -e 'print \"perl\\n\"'",
	    { "perl\n", "perl\n", "perl\n" } },
};

/* What rules (Landlock) alone keep from it. */
static const struct inside ruled[] = {
	{ "nor signalled", "kill -CONT $PPID 2>/dev/null || echo .",
	    { ".\n", ".\n", ".\n" } },
	{ "nor can pid 1", "kill -CONT 1 2>/dev/null || echo .",
	    { ".\n", ".\n", ".\n" } },
	{ "the host's files are out of reach by their contents",
	    "cat /root/.profile 2>/dev/null; ls /home /srv 2>/dev/null; "
	    "( : >/var/spool/x ) 2>/dev/null && echo made; echo .",
	    { ".\n", ".\n", ".\n" } },
	{ "files move between the places it may write",
	    "mkdir data/a data/b && echo text >data/a/f && mv data/a/f data/b/ "
	    "&& ln data/b/f data/a/g && cat data/a/g",
	    { "text\n", "text\n", "text\n" } },
};

static void
inside_is(void **state)
{
	const struct inside *row = *state;

	if (!row->output[kind])
		skip();
	cell_ready();
	script_start(row->script);
	assert_string_equal(read_all(), row->output[kind]);
	assert_int_equal(ended().how, ENDED_EXITED);
	cell_end();
}

static void
ruled_is(void **state)
{
	if (landlock_version() < LANDLOCK_SCOPE)
		skip();
	inside_is(state);
}

static int
tests(void)
{
	return RUN_ROWS(insides, inside_is) + RUN_ROWS(ruled, ruled_is);
}

int
main(void)
{
	return every_kind(tests) != 0;
}
