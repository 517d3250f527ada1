# SPDX-License-Identifier: MIT
"""The life of templates: what is forked from one is a process like any other, and a
template that is late, stopped, killed, of an old file or of nobody costs no request.
If one of these fails, start = "fork" answers with what was yesterday, loses a
request, or keeps what nobody needs."""
import contextlib
import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from host import ROOT, Host, alive, count, eventually

CONF = """
drain = "5s";
limits = { grace = "200ms"; };
"""
PROGRAM = r"""
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fn.h>

static pid_t initialised;

static void *
other(void *nothing)
{
	pause();
	return nothing;
}

static void
fail_late(void)
{
	static int copies;

	if (++copies == 3)
		abort();
}

int
fn_init(int argc, char **argv)
{
	const char *how = getenv("INIT");
	pthread_t thread;

	(void)argc, (void)argv;
	initialised = getpid();
	if (how && strcmp(how, "slow") == 0)
		usleep(300000);
	if (!how || !getenv("FN_TEMPLATE"))
		return 0;
	if (strcmp(how, "never") == 0)
		pause();
	if (strcmp(how, "exit") == 0)
		return 3;
	if (strcmp(how, "late") == 0)
		return fn_at_fork(fail_late, NULL, NULL);
	if (strcmp(how, "thread") == 0)
		return pthread_create(&thread, NULL, other, NULL);
	return 0;
}

int
fn_handle(struct fn_request *q, struct fn_reply *r)
{
	const char *path = fn_request_path(q), *ms = fn_request_query(q, "ms");
	const char *word = getenv("WORD");

	if (strcmp(path, "/stray") == 0 && fork() == 0) {
		setsid();
		for (;;)
			pause();
	}
	if (ms)
		usleep((unsigned)atoi(ms) * 1000);
	fn_reply_printf(r, "%s %s %d %d", VERSION, word ? word : "none",
	    (int)initialised, (int)getpid());
	return 0;
}
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The same in two versions."""
    place = tmp_path_factory.mktemp("templates")
    (place / "f.c").write_text(PROGRAM)
    made = []
    for version in "one", "two":
        subprocess.run(["gcc", "-Wall", "-Wextra", "-O1", "-static", "-s",
                        f'-DVERSION="{version}"', f"-I{ROOT}/fcgi-host/sdk",
                        "-o", place / version, place / "f.c",
                        f"-L{ROOT}/build/release", "-lfn"], check=True)
        made.append(place / version)
    return made


@pytest.fixture(scope="module")
def shared():
    with Host(CONF) as host:
        yield host


class Forked:
    """A function whose processes are forked, or are to be."""

    def __init__(self, host, name, programs, conf="", **env):
        self.host, self.name, self.programs = host, name, programs
        self.path = f"/fn/rogue/{name}"
        self.configure(conf, **env)
        host.function("rogue", name, programs[0])

    def configure(self, conf="", **env):
        words = f'NAME = "{self.name}";' + "".join(
            f'{key} = "{value}";' for key, value in env.items())
        text = 'start = "fork"; ' + \
            ('protocol = "cgi"; ' if "protocol" not in conf else "")
        self.host.write(self.host.tenant("rogue") / f"{self.name}.conf",
                        f"{text}{conf} env = {{ {words} }};", 0o644)

    def replace(self, program):
        directory = self.host.tenant("rogue")
        self.host.function("rogue", f".{self.name}.new", program)
        os.rename(directory / f".{self.name}.new", directory / self.name)

    def get(self, query="", path="", **more):
        """[version, word, who ran fn_init(), who answers]; request id"""
        got = self.host.get(f"{self.path}{path}?{query}", **more)
        assert got.status == 200, got
        return got.text.split(), got.request_id

    def row(self):
        rows = json.loads(self.host.ctl("list", "rogue", "--json").stdout)
        row, = (row for row in rows if row["function"] == self.name)
        return row

    def forks(self):
        """Does the next request have a process that was copied?"""
        answer, request = self.get()
        copied = answer[2] != answer[3]
        assert copied == (self.host.access(request).get("start") == "fork")
        return copied

    def ready(self):
        eventually(self.forks, f"a template of {self.name}")
        assert self.row()["template"] == "ready"
        return self

    def processes(self):
        """Pids of templates and of copies, which look like them."""
        return sorted(pid for pid in self.host.running()
                      if is_template(pid, self.name))

    def template(self):
        """Its pid, when none of its copies is left."""
        return eventually(
            lambda: len(found := self.processes()) == 1 and found[0],
            f"one process of {self.name} alone")


def is_template(pid, name):
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return {b"FN_TEMPLATE=1", b"NAME=" + name.encode()} <= set(environment)


def test_each_request_has_a_copy(shared, programs):
    f = Forked(shared, "each", programs).ready()
    answers = [f.get()[0] for _ in range(10)]
    assert len({made for _, _, made, _ in answers}) == 1
    assert len({pid for *_, pid in answers}) == 10
    assert b"start = fork (template: ready)" in \
        shared.ctl("list", "rogue").stdout


@pytest.mark.parametrize("name, conf", [
    ("one-shot", ""), ("spares", "spare = 2;")])
def test_workers_of_one_request(shared, programs, name, conf):
    f = Forked(shared, name, programs,
               f'protocol = "fastcgi"; requests = 1; {conf}').ready()
    answers = [f.get()[0] for _ in range(10)]
    assert len({pid for *_, pid in answers}) == 10
    assert f.forks()


def test_workers_of_many_requests(shared, programs):
    """The first is executed and stays; those that come to its help are copies."""
    f = Forked(shared, "workers", programs, 'protocol = "fastcgi";')
    assert f.get()[0][2] == f.get()[0][3]
    eventually(lambda: f.row()["template"] == "ready", "a template")
    with ThreadPoolExecutor(4) as others:
        answers = [a.result()[0] for a in
                   [others.submit(f.get, "ms=150") for _ in range(8)]]
    copies = {pid: made for _, _, made, pid in answers if made != pid}
    assert copies and len(set(copies.values())) == 1
    assert len({pid for *_, pid in answers}) < 8


def test_a_new_file_answers_the_next_request(shared, programs):
    """What began in the old one ends there."""
    f = Forked(shared, "change", programs).ready()
    with ThreadPoolExecutor(1) as other:
        long = other.submit(f.get, "ms=800")
        eventually(lambda: len(f.processes()) == 2, "two processes")
        f.replace(programs[1])
        assert f.get()[0][0] == "two"
        assert long.result()[0][0] == "one"
    f.ready()
    assert f.get()[0][0] == "two"
    f.replace(programs[0])
    assert f.get()[0][0] == "one"


def test_new_settings_answer_the_next_request(shared, programs):
    f = Forked(shared, "settings", programs, WORD="before").ready()
    assert f.get()[0][1] == "before"
    f.configure(WORD="after")
    assert f.get()[0][1] == "after"
    f.ready()
    assert f.get()[0][1] == "after"


def test_a_template_that_is_killed(shared, programs):
    """What it had made goes on; what comes is executed until there is another."""
    f = Forked(shared, "killed", programs).ready()
    with ThreadPoolExecutor(4) as others:
        template = f.template()
        long = [others.submit(f.get, "ms=600") for _ in range(4)]
        eventually(lambda: len(f.processes()) == 5, "four copies")
        os.kill(template, signal.SIGKILL)
        assert f.get()[0][0] == "one"
        made = {answer.result()[0][2] for answer in long}
        assert len(made) == 1
    said = f.row()["template"]
    assert said in ("starting", "ready") or "was killed" in said \
        or "the last one" in said, said
    f.ready()
    assert f.template() != template


def test_a_template_that_is_stopped(shared, programs):
    """Nobody waits for it longer than a second."""
    f = Forked(shared, "stopped", programs).ready()
    template = f.template()
    os.kill(template, signal.SIGSTOP)
    begun = time.monotonic()
    answer, _ = f.get()
    assert answer[2] == answer[3]
    assert 0.9 < time.monotonic() - begun < 5
    eventually(lambda: not alive(template), "its end")
    f.ready()


@pytest.mark.parametrize("how, words", [
    ("never", "was not ready within limits.start = 500ms"),
    ("exit", "the last one"), ("thread", "the last one")])
def test_what_cannot_be_one_is_executed(shared, programs, how, words):
    f = Forked(shared, f"cannot-{how}", programs,
               'limits = { start = "500ms"; };', INIT=how)
    f.get()
    eventually(lambda: words in f.row()["template"], words)
    for _ in range(3):
        answer, request = f.get()
        assert answer[2] == answer[3]
        assert shared.access(request).get("start") != "fork"
    if how == "thread":
        shared.wait_log("rogue", "this cannot be a template: it has 2 threads")


def test_a_template_that_dies_again_and_again(shared, programs):
    """No request notices, and there is a pause before each next one."""
    f = Forked(shared, "again", programs, INIT="late").ready()
    for _ in range(30):
        assert f.get()[0][0] == "one"
    eventually(lambda: "none for" in f.row()["template"] or f.get() is None,
               "a pause")


def test_nobody_needs_it(shared, programs):
    f = Forked(shared, "idle", programs,
               'limits = { warm = "1s"; };').ready()
    template = f.template()
    eventually(lambda: not alive(template), "its end")
    assert f.row()["template"] == "none"
    answer, _ = f.get()
    assert answer[2] == answer[3]
    f.ready()


def test_it_is_no_invocation(shared, programs):
    """concurrency = 1 is one copy, and one that waits."""
    f = Forked(shared, "alone", programs, "concurrency = 1;").ready()
    with ThreadPoolExecutor(3) as others:
        begun = time.monotonic()
        answers = [a.result()[0] for a in
                   [others.submit(f.get, "ms=150") for _ in range(3)]]
        assert time.monotonic() - begun >= 0.45
    assert len({made for _, _, made, _ in answers}) == 1
    assert len({pid for *_, pid in answers}) == 3


def test_what_a_copy_leaves_behind_is_killed(shared, programs):
    f = Forked(shared, "stray", programs).ready()
    template, gateway = f.template(), shared.gateway
    for _ in range(count(10, 300)):
        _, request = f.get(path="/stray")
        record = shared.access(request)
        assert (record["start"], record["strays"]) == ("fork", 1), record
    assert f.template() == template and shared.gateway == gateway


def test_what_an_executed_one_leaves_behind_is_killed(shared, programs):
    """It holds the output of a reply that was complete."""
    shared.function("rogue", "left", programs[0],
                    'start = "exec"; protocol = "cgi";\n')
    gateway = shared.gateway
    for _ in range(count(10, 300)):
        got = shared.get("/fn/rogue/left/stray")
        assert got.status == 200
        assert shared.access(got.request_id)["strays"] == 1
    assert shared.gateway == gateway


def test_a_time_limit_counts_from_its_own_start(shared, programs):
    f = Forked(shared, "time", programs,
               'limits = { time = "600ms"; };').ready()
    time.sleep(0.7)     # the template is older than that
    for _ in range(2):
        assert f.get("ms=100")[0][0] == "one"
        shared.get(f"{f.path}?ms=5000").problem(504, "time")
    assert f.forks()


def test_a_slow_start_is_for_the_template_alone(shared, programs):
    f = Forked(shared, "slow", programs, INIT="slow").ready()
    begun = time.monotonic()
    for _ in range(5):
        f.get()
    assert time.monotonic() - begun < 1


def test_who_cannot_fork_is_refused_with_a_sentence(shared):
    shared.function("rogue", "shell", "#!/bin/sh\necho Status: 204\necho\n",
                    'start = "fork";\n')
    got = shared.get("/fn/rogue/shell")
    got.problem(503, "refused", "built with the SDK")


def test_none_is_lost_while_templates_die(programs):
    """Killed and replaced while many ask. But for one that dies between making a
    copy and naming it: that may have begun, so it is ended and not repeated."""
    with Host(CONF) as host, ThreadPoolExecutor(4) as others:
        f = Forked(host, "crowd", programs).ready()

        def some():
            return [host.get(f.path) for _ in range(count(60, 2000))]
        crowd = [others.submit(some) for _ in range(4)]
        kills = 0
        while not all(each.done() for each in crowd):
            for pid in [p for p in f.processes() if has_socket(p)][:1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                kills += 1
            f.replace(programs[kills % 2])
            f.configure(WORD=str(kills))
            time.sleep(0.05)
        answers = [got for each in crowd for got in each.result()]
        lost = [got for got in answers if got.status != 200]
        assert all(got.text.startswith(("one ", "two ")) for got in answers
                   if got not in lost)
        for got in lost:
            got.problem(502, "crashed", "signal KILL")
        assert kills and len(lost) <= 1 + kills // 20
        f.ready()


def has_socket(pid):
    """As a template has; a copy has closed that, and the lowest is no newborn."""
    links = Path(f"/proc/{pid}/fd")
    try:
        return any(os.readlink(link).startswith("socket:")
                   for link in links.iterdir())
    except OSError:
        return False

