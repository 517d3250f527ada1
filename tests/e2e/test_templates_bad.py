# SPDX-License-Identifier: MIT
"""Templates that do not keep to what is agreed on: tenants write them. If one of
these fails, a function gets a process that nobody limits, another function's
request, or the host itself; or its own visitors pay for what it does."""
import contextlib
import ctypes
import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from host import ROOT, Host, alive, count, descriptors, eventually

CONF = """
drain = "5s";
limits = { grace = "200ms"; };
"""
# As a template it does what INIT says, with the launcher's socket in its own hands;
# executed it answers.
PROGRAM = r"""
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fn.h>

struct forked { uint32_t kind, error; uint64_t number; int32_t pid;
	uint32_t zero; };

static int secret = 1;

/* The SDK has it out of the way of fn_init(). */
static int
control(void)
{
	int type;
	socklen_t bytes = sizeof(type);

	for (int fd = 3; fd < 64; fd++)
		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) == 0 &&
		    type == SOCK_SEQPACKET)
			return fd;
	abort();
}

static int
output(void)
{
	struct stat st;

	for (int fd = 3; fd < 64; fd++)
		if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode))
			return fd;
	abort();
}

static uint64_t
asked(int fd)
{
	static char packet[256 * 1024];
	uint64_t number;

	/* no room for descriptors: they are lost */
	if (recv(fd, packet, sizeof(packet), 0) < 16)
		exit(0);
	memcpy(&number, packet + 8, 8);
	return number;
}

static void
tell(int fd, uint64_t number, pid_t pid, uint32_t error)
{
	struct forked f = { 0x31445246, error, number, pid, 0 };

	send(fd, &f, sizeof(f), MSG_NOSIGNAL);
}

static pid_t
brother(void)
{
	return (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
}

static void
packets_with_descriptors(int fd)
{
	char text[64] = "nothing", room[CMSG_SPACE(8 * sizeof(int))];
	struct iovec v = { text, sizeof(text) };
	int files[8];
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1,
		.msg_control = room, .msg_controllen = sizeof(room) };

	memset(room, 0, sizeof(room));
	for (int i = 0; i < 8; i++)
		files[i] = 2;
	CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
	CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
	CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof(files));
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), files, sizeof(files));
	for (int i = 0; i < 100; i++)
		sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
misbehave(const char *how)
{
	int fd = control(), out = output();
	uint64_t number;
	pid_t own;

	dprintf(out, "fn-template 1 ready\n");
	if (strcmp(how, "closes") == 0) {
		close(fd);
		for (;;)
			pause();
	}
	if (strcmp(how, "unasked") == 0)
		packets_with_descriptors(fd);
	if (strcmp(how, "answers-first") == 0)
		for (uint64_t n = 0; n < 50; n++)
			tell(fd, n, getpid(), 0);
	if (strcmp(how, "children") == 0)
		for (int i = 0; i < 20; i++)
			if ((i % 2 ? fork() : brother()) == 0)
				for (;;)
					pause();
	if (strcmp(how, "ends") == 0)
		exit(0);
	for (;;) {
		number = asked(fd);
		if (strcmp(how, "dies-then") == 0)
			raise(SIGKILL);
		else if (strcmp(how, "launcher") == 0)
			tell(fd, number, getppid(), 0);
		else if (strcmp(how, "first") == 0)
			tell(fd, number, 1, 0);
		else if (strcmp(how, "itself") == 0)
			tell(fd, number, getpid(), 0);
		else if (strcmp(how, "nobody") == 0)
			tell(fd, number, 30000, 0);
		else if (strcmp(how, "negative") == 0)
			tell(fd, number, -5, 0);
		else if (strcmp(how, "number") == 0)
			tell(fd, number + 1, -1, EAGAIN);
		else if (strcmp(how, "refuses") == 0)
			tell(fd, number, -1, ENOMEM);
		else if (strcmp(how, "garbage") == 0)
			send(fd, "garbage", 7, MSG_NOSIGNAL);
		else if (strcmp(how, "own-child") == 0) {
			own = fork();
			if (own == 0)
				for (;;)
					pause();
			tell(fd, number, own, 0);
		} else if (strcmp(how, "many") == 0) {
			for (int i = 0; i < 20; i++)
				if ((own = brother()) == 0)
					for (;;)
						pause();
			tell(fd, number, -1, EAGAIN);
		} else if (strcmp(how, "dead") == 0) {
			if ((own = brother()) == 0)
				_exit(0);
			usleep(20000);
			tell(fd, number, own, 0);
		}
		/* "silent", "children", "unasked", "answers-first": nothing */
	}
}

int
fn_init(int argc, char **argv)
{
	const char *how = getenv("INIT");

	(void)argc, (void)argv;
	if (how && getenv("FN_TEMPLATE"))
		misbehave(how);
	return 0;
}

int
fn_handle(struct fn_request *q, struct fn_reply *r)
{
	const char *path = fn_request_path(q);
	const char *template = fn_request_query(q, "template");
	struct rlimit none = { 0, 0 };

	if (strcmp(path, "/spoil") == 0) {
		secret = 2;
		setenv("SECRET", "2", 1);
		chdir("/tmp");
		umask(0777);
		close(2);
		nice(5);
		signal(SIGTERM, SIG_IGN);
		setrlimit(RLIMIT_CORE, &none);
		srand(1);
	}
	if (strcmp(path, "/kill") == 0)
		kill(atoi(template), SIGKILL);
	if (strcmp(path, "/all") == 0)
		kill(-1, SIGKILL);
	if (strcmp(path, "/limit") == 0)
		syscall(SYS_prlimit64, atoi(template), RLIMIT_NOFILE, &none, 0);
	fn_reply_printf(r, "%d %s %d", secret,
	    getenv("SECRET") ? getenv("SECRET") : "none", getpid());
	return 0;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    place = tmp_path_factory.mktemp("bad")
    (place / "f.c").write_text(PROGRAM)
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-O1", "-static", "-s",
                    f"-I{ROOT}/fcgi-host/sdk", "-o", place / "f",
                    place / "f.c", f"-L{ROOT}/build/release", "-lfn"],
                   check=True)
    return place / "f"


@pytest.fixture(scope="module")
def rogue(tmp_path_factory):
    program = tmp_path_factory.mktemp("rogue") / "rogue"
    subprocess.run(["gcc", "-O1", "-static", "-s", "-Wall", "-Wextra",
                    f"-I{ROOT}/fcgi-host/sdk", "-o", program,
                    Path(__file__).parent / "templates/rogue.c",
                    f"-L{ROOT}/build/release", "-lfn"], check=True)
    return program


@pytest.fixture(scope="module")
def shared():
    with Host(CONF) as host:
        host.function("other", "hello",
                      "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhello'\n")
        yield host


def keeps_signals_in():
    """Landlock from version 6 on."""
    return ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) >= 6


class Bad:
    def __init__(self, host, name, program, how=None, conf=""):
        self.host, self.name = host, name
        self.path = f"/fn/rogue/{name}"
        env = f'NAME = "{name}";' + (f'INIT = "{how}";' if how else "")
        host.function("rogue", name, program, 'start = "fork"; '
                      f'protocol = "cgi"; {conf} env = {{ {env} }};\n')

    def get(self, path=""):
        got = self.host.get(self.path + path)
        assert got.status == 200, got
        return got

    def running(self):
        """Its processes, template or not."""
        found = []
        for pid in self.host.running():
            with contextlib.suppress(OSError):
                if f"NAME={self.name}".encode() in \
                        Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    found.append(pid)
        return sorted(found)

    def forked(self):
        return self.host.access(self.get().request_id).get("start") == "fork"

    def template(self):
        rows = json.loads(self.host.ctl("list", "rogue", "--json").stdout)
        row, = (row for row in rows if row["function"] == self.name)
        return row["template"]

    def unharmed(self, gateway, cells):
        """What is not its own noticed nothing, and nothing of it is left."""
        assert self.host.get("/fn/other/hello").text == "hello"
        assert self.host.gateway == gateway
        assert self.host.cells() == cells
        self.host.check_errors()


@pytest.mark.parametrize("how", [
    "closes", "unasked", "answers-first", "ends", "dies-then", "launcher",
    "first", "itself", "nobody", "negative", "number", "refuses", "garbage",
    "many", "silent"])
def test_who_breaks_the_rules_is_executed(shared, program, how):
    """Every request is answered, by a process of its own; there is a pause before
    it may try again, and what it has made is gone with it."""
    shared.get("/fn/other/hello")
    f = Bad(shared, f"bad-{how}", program, how)
    f.get()
    gateway, cells = shared.gateway, shared.cells()
    begun = time.monotonic()

    def tried():
        f.get()
        return f.template().startswith("none for")
    eventually(tried, f"a pause behind {how}")
    assert time.monotonic() - begun < 5
    eventually(lambda: not f.running(), "nothing of it to be left")
    f.unharmed(gateway, cells)


@pytest.mark.parametrize("how", ["own-child", "children"])
def test_its_own_children_answer_nobody(shared, program, how):
    """One may have begun, so that request is not tried again; the next ones are."""
    f = Bad(shared, how, program, how)
    f.get()
    gateway, cells = shared.gateway, shared.cells()
    answers = [shared.get(f.path) for _ in range(20)]
    assert {got.status for got in answers} <= {200, 502}
    assert sum(got.status == 502 for got in answers) <= 1
    eventually(lambda: f.template().startswith("none for"), "a pause")
    eventually(lambda: not f.running(), "nothing of it to be left")
    f.unharmed(gateway, cells)


def test_copies_that_end_at_once(shared, program):
    """Is what a program may do; each request says so."""
    f = Bad(shared, "dead", program, "dead")
    f.get()
    eventually(lambda: f.template() == "ready", "a template")
    gateway, cells = shared.gateway, shared.cells()
    for _ in range(5):
        shared.get(f.path).problem(502, "no-reply")
    f.unharmed(gateway, cells)


def test_what_it_sends_stays_nowhere(shared, program):
    """Descriptors that nobody asked for are closed, whoever gets them."""
    f = Bad(shared, "sends", program, "unasked")
    for _ in range(3):
        f.get()
        eventually(lambda: f.template().startswith("none for"), "a pause")
        for launcher in shared.launchers():
            with contextlib.suppress(FileNotFoundError):
                assert descriptors(launcher) < 20
        f.host.function("rogue", "sends", program, 'start = "fork"; protocol = '
                        '"cgi"; env = { INIT = "unasked"; };\n')


def test_a_copy_changes_nothing_of_the_template(shared, program):
    f = Bad(shared, "spoils", program)
    eventually(f.forked, "a template")
    for _ in range(3):
        assert f.get("/spoil").text.startswith("2 2 ")
        got = f.get()
        assert got.text.startswith("1 none "), got
        assert shared.access(got.request_id)["start"] == "fork"


@pytest.mark.parametrize("path", ["/kill", "/limit"])
def test_a_copy_that_harms_the_template_harms_its_own(shared, program, path):
    """They are of one user; no request is lost by it, nor is anybody else's."""
    f = Bad(shared, path[1:], program)
    eventually(f.forked, "a template")
    gateway, cells = shared.gateway, shared.cells()
    outer, = eventually(lambda: len(f.running()) == 1 and f.running(),
                        "the template alone")
    inner = [line.split()[-1] for line in
             open(f"/proc/{outer}/status") if line.startswith("NSpid")][0]
    for _ in range(3):
        f.get(f"{path}?template={inner}")
        f.get()
    if path == "/kill" and not keeps_signals_in():
        eventually(lambda: not alive(outer), "its end")
    eventually(f.forked, "a template", timeout=30)
    f.unharmed(gateway, cells)


def test_a_copy_that_kills_all_it_can(shared, program):
    f = Bad(shared, "all", program)
    eventually(f.forked, "a template")
    gateway, cells = shared.gateway, shared.cells()
    for _ in range(3):
        got = shared.get(f.path + "/all")
        assert got.status in (200, 502), got
        f.get()
    eventually(f.forked, "another template", timeout=30)
    f.unharmed(gateway, cells)


def test_a_crowd_at_bad_ones(shared, program):
    """Several at once, each with many visitors: nobody waits for long."""
    bad = [Bad(shared, f"crowd-{how}", program, how)
           for how in ("dies-then", "garbage", "launcher", "many")]

    def some(f):
        for _ in range(count(25, 1000)):
            f.get()
    with ThreadPoolExecutor(8) as others:
        for each in [others.submit(some, f) for f in bad * 2]:
            each.result()
    assert shared.get("/fn/other/hello").text == "hello"


# ---- tests/e2e/templates/rogue.c ------------------------------------------------

class Rogue(Bad):
    """good: it speaks for itself, and does well as often."""

    def __init__(self, host, name, program, how="", good=None, conf=""):
        super().__init__(host, name, program, conf=conf)
        env = f'NAME = "{name}"; ROGUE = "{how}";'
        if good is not None:
            env += f' TEMPLATE_GOOD = "{good}";'
        host.function("rogue", name, program,
                      f'start = "fork"; protocol = "cgi"; {conf} '
                      f'env = {{ {env} }};\n')

    def ready(self):
        """A template is, and has not been asked for anything."""
        def wanted():
            assert self.get().text == "executed\n"
            return self.template() in ("starting", "ready")
        eventually(wanted, f"a template of {self.name}")
        eventually(lambda: self.template() == "ready", "it to be ready")

    def executed(self):
        """So is the next one."""
        assert self.get().text == "executed\n"

    def leave(self):
        """The function is gone, and with it all that was its own."""
        for path in (self.host.functions / "rogue").glob(f"{self.name}*"):
            path.unlink()
        self.host.get(self.path)
        eventually(lambda: not self.running(),
                   f"nothing of {self.name} to be left: {self.running()}")


@pytest.mark.parametrize("how", ["zero", "none", "no-error", "both", "huge",
                                 "least", "empty", "long"])
def test_what_is_no_answer(shared, rogue, how):
    shared.get("/fn/other/hello")
    f = Rogue(shared, f"no-{how}", rogue, how, good=1)
    f.ready()
    gateway, cells = shared.gateway, shared.cells()
    assert f.get().text == "forked\n"
    f.executed()
    assert "did not fork" in f.template()
    f.executed()
    f.leave()
    f.unharmed(gateway, cells)


def test_it_claims_another_run_of_its_own(shared, rogue):
    """Which goes on, and is answered; so is who was not forked."""
    f = Rogue(shared, "claims", rogue, "known", good=1)
    f.ready()
    with ThreadPoolExecutor(1) as others:
        held = others.submit(f.get, "?hold=gate")
        shared.wait_mark("held")
        f.executed()
        shared.data("gate").touch()
        assert held.result().text == "forked\n"
    f.leave()


@pytest.mark.parametrize("tenant", ["rogue", "third"])
def test_it_claims_a_process_of_others(shared, rogue, tenant):
    """By their number here, and by the one that the host sees."""
    other = f"victim-{tenant}"
    shared.function(tenant, other, rogue, 'start = "exec"; protocol = "cgi";\n')
    for place in shared.functions.glob(f"{tenant}/data/*"):
        place.unlink()
    with ThreadPoolExecutor(1) as others:
        held = others.submit(shared.get,
                             f"/fn/{tenant}/{other}?mark=pid&hold=go")
        shared.wait_mark("pid", tenant=tenant)
        inner, = shared.marks("pid", tenant)
        outer, = [pid for pid in shared.running()
                  if other in Path(f"/proc/{pid}/cmdline").read_text()]
        for number, claimed in enumerate((inner, outer)):
            shared.data("others").write_text(f"{claimed}\n")
            f = Rogue(shared, f"claims-{tenant}-{number}", rogue, "others",
                      good=0)
            f.ready()
            f.executed()
            assert "did not fork" in f.template()
            f.leave()
        assert alive(outer)
        shared.data("go", tenant).touch()
        assert held.result().text == "executed\n"


def test_it_answers_twice(shared, rogue):
    """The first one counts; behind the second it is a template no more."""
    f = Rogue(shared, "twice", rogue, "twice", good=0)
    f.ready()
    assert f.get().text == "forked\n"
    eventually(lambda: f.template().startswith("none for"), "a pause")
    f.executed()
    f.leave()


def test_it_is_killed_between_request_and_fork(shared, rogue):
    f = Rogue(shared, "between", rogue)
    f.ready()
    template, = eventually(lambda: len(f.running()) == 1 and f.running(),
                           "the template alone")
    os.kill(template, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as others:
        asked = others.submit(f.get)
        queue = Path(f"/proc/{template}/stat")
        eventually(lambda: queue.read_text().split()[2] == "T", "it to stop")
        os.kill(template, signal.SIGKILL)
        assert asked.result().text == "executed\n"
    f.executed()
    f.leave()


def test_it_is_killed_while_forks_run(shared, rogue):
    f = Rogue(shared, "orphans", rogue)
    f.ready()
    template, = eventually(lambda: len(f.running()) == 1 and f.running(),
                           "the template alone")
    with ThreadPoolExecutor(4) as others:
        held = [others.submit(f.get, "?mark=orphans&hold=orphans-go")
                for _ in range(4)]
        shared.wait_mark("orphans", 4)
        os.kill(template, signal.SIGKILL)
        eventually(lambda: not alive(template), "its end")
        f.executed()
        shared.data("orphans-go").touch()
        assert [got.result().text for got in held] == ["forked\n"] * 4
    f.leave()


def test_it_has_taken_every_process(shared, rogue):
    """What it is asked for cannot be made; a launcher can."""
    shared.get("/fn/other/hello")
    f = Rogue(shared, "exhausts", rogue, "exhausts",
              conf="limits = { processes = 20; };")
    f.get()
    gateway, cells = shared.gateway, shared.cells()
    eventually(lambda: (f.get(), f.template().startswith("none for"))[1],
               "a pause")
    assert "did not fork" in f.template()
    f.leave()
    f.unharmed(gateway, cells)


def test_a_copy_that_does_not_hear_its_time(shared, rogue):
    """Its alarm is its own to put off; the host's order is not."""
    f = Rogue(shared, "deaf", rogue, conf='limits = { time = "300ms"; };')
    f.ready()
    for _ in range(2):
        begun = time.monotonic()
        got = shared.get(f.path + "?deaf&hold=never")
        got.problem(504, "time")
        assert time.monotonic() - begun < 5
        assert f.get().text == "forked\n"
    f.leave()


@pytest.mark.parametrize("step", ["daemon", "sibling"])
def test_what_a_copy_leaves_behind(shared, rogue, step):
    f = Rogue(shared, step, rogue)
    f.ready()
    template = f.running()
    for number in range(3):
        mark = f"{step}-{number}"
        assert f.get(f"?{step}={mark}&hold={mark}").text == "forked\n"
        eventually(lambda: f.running() == template, "the template alone")
    f.leave()


def test_a_copy_that_leaves_by_exit(shared, rogue):
    """What the template had not written is written once."""
    f = Rogue(shared, "buffers", rogue, "buffers")
    f.ready()
    for _ in range(5):
        got = shared.get(f.path + "?exit=0")
        got.problem(502, "no-reply")
    assert f.get().text == "forked\n"
    shared.wait_log("rogue", "printed by the template\n")
    eventually(lambda: shared.tenant_log("rogue")
               .count("printed by the copy\n") == 5, "what copies have printed")
    assert shared.tenant_log("rogue").count("printed by the template\n") == 1
    assert shared.data("notes").read_text() == "noted by the template\n"
    f.leave()


def test_descriptors_and_memory_of_a_copy_are_its_own(shared, rogue):
    f = Rogue(shared, "own", rogue)
    f.ready()
    template, = eventually(lambda: len(f.running()) == 1 and f.running(),
                           "the template alone")
    before = descriptors(template)
    for _ in range(3):
        assert f.get("?value&value&descriptors").text == \
            "forked\nvalue 7\nvalue 8\n"
    assert descriptors(template) == before
    f.leave()


HARM = ("kill", "group", "stop", "descriptor", "trace", "memory", "change")


def test_a_copy_has_no_power_over_template_and_siblings(shared, rogue):
    """As between executed processes, where the kernel can refuse it."""
    if not keeps_signals_in():
        pytest.skip("this kernel keeps no signals in")
    f = Rogue(shared, "harms", rogue)
    f.ready()
    template, = eventually(lambda: len(f.running()) == 1 and f.running(),
                           "the template alone")
    with ThreadPoolExecutor(1) as others:
        held = others.submit(f.get, "?mark=victim&hold=harmed")
        shared.wait_mark("victim")
        for whom in "template", "harm=victim":
            lines = f.get(f"?{whom}").text.split("\n")
            done = dict(line.split() for line in lines[1:-1])
            assert list(done) == list(HARM)
            assert set(done.values()) <= {"EPERM", "EACCES", "ENOENT"}, done
        assert f.get("?everybody").text.startswith("forked\n")
        assert alive(template)
        shared.data("harmed").touch()
        assert held.result().text == "forked\n"
    assert f.running() == [template]
    f.leave()
