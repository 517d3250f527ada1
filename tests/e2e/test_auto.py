# SPDX-License-Identifier: MIT
"""How the processes of a function are made when nobody has said: if one of these
fails, users wait for imports at each request, or a host keeps templates that save
nothing; or nobody is told why."""
import json
import re
import subprocess

import pytest

from host import HEAD, ROOT, Host, eventually

PYTHON = '''#!/usr/bin/env fcgi-host-python
import os
MADE = os.getpid()
def handle(request):
    return "forked" if os.getpid() != MADE else "executed"
'''
# fn_init() takes long, or nothing does.
PROGRAM = r"""
#include <stdlib.h>
#include <unistd.h>
#include <fn.h>

static pid_t made;

int
fn_init(int argc, char **argv)
{
	const char *ms = getenv("INIT_MS");
	char *table;

	(void)argc;
	(void)argv;
	made = getpid();
	table = getenv("MIB") ? fn_alloc_huge(strtoul(getenv("MIB"), NULL, 10)
	    << 20) : NULL;
	for (size_t i = 0; table && i < strtoul(getenv("MIB"), NULL, 10) << 20;
	    i += 4096)
		table[i] = 1;
	if (ms)
		usleep((useconds_t)atoi(ms) * 1000);
	return 0;
}

int
fn_handle(struct fn_request *q, struct fn_reply *r)
{
	(void)q;
	fn_reply_type(r, "text/plain");
	return fn_reply_write(r, getpid() != made ? "forked" : "executed",
	    getpid() != made ? 6 : 8) != FN_OK;
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    place = tmp_path_factory.mktemp("auto")
    source = place / "auto.c"
    source.write_text(PROGRAM)
    subprocess.run(["cc", "-O1", f"-I{ROOT / 'fcgi-host' / 'sdk'}",
                    source, "-o", place / "auto",
                    ROOT / "build" / "release" / "libfn.a", "-lfcgi"],
                   check=True)
    return place / "auto"


@pytest.fixture
def host():
    with Host() as host:
        yield host


def explain(host, function, *options):
    return host.ctl("explain", f"auto/{function}", *options).stdout.decode()


def facts(host, function):
    return json.loads(explain(host, function, "--json"))


def becomes(host, function, text):
    eventually(lambda: host.get(f"/fn/auto/{function}").text == text,
               f"{function} to be {text}")


def test_python_is_forked_without_a_line(host):
    host.function("auto", "hello", PYTHON)
    first = host.get("/fn/auto/hello")
    assert first.text == "executed"
    becomes(host, "hello", "forked")
    told = facts(host, "hello")
    assert (told["start"], told["protocol"], told["chosen"],
            told["template"]) == ("auto", "cgi", "fork", "ready")
    record = host.access(host.get("/fn/auto/hello").request_id)
    assert record["start"] == "fork"


def test_worker_that_starts_slowly_is_forked(host, program):
    host.function("auto", "slow", program, conf='protocol = "fastcgi"; '
                  'requests = 1; env = { INIT_MS = "50"; };')
    assert host.get("/fn/auto/slow").text == "executed"
    becomes(host, "slow", "forked")


def test_program_that_starts_fast_is_executed(host, program):
    host.function("auto", "fast", program,
                  conf='protocol = "cgi"; limits = { warm = "1s"; };')
    for _ in range(3):
        assert host.get("/fn/auto/fast").text == "executed"
    told = facts(host, "fast")
    assert told["chosen"] == "exec" and "too little" in told["why"], told


def test_what_settings_say_is_done(host, program):
    host.function("auto", "never", PYTHON, conf='start = "exec";')
    host.function("auto", "always", program,
                  conf='start = "fork"; protocol = "cgi";')
    for _ in range(4):
        assert host.get("/fn/auto/never").text == "executed"
    becomes(host, "always", "forked")
    assert 'its settings say start = "exec"' in explain(host, "never")
    assert 'its settings say start = "fork"' in explain(host, "always")


def test_idle_template_ends_and_comes_back(host):
    host.function("auto", "hello", PYTHON, conf='limits = { warm = "1s"; };')
    becomes(host, "hello", "forked")
    eventually(lambda: facts(host, "hello")["template"] == "none",
               "its end")
    assert host.get("/fn/auto/hello").text == "executed"
    assert "so seldom" in facts(host, "hello")["why"]
    becomes(host, "hello", "forked")


def test_tenant_without_memory_for_it_has_none(program):
    """A template may have half of what the tenant has."""
    with Host('limits = { memory = "96MiB"; }; tenant = { memory = "96MiB"; };'
              ) as host:
        host.function("auto", "large", program, conf='protocol = "cgi"; '
                      'env = { INIT_MS = "20"; MIB = "60"; };')
        for _ in range(6):
            assert host.get("/fn/auto/large").text == "executed"
        told = facts(host, "large")
        assert told["chosen"] == "exec", told
        assert re.search(r"need \d+ MiB.*may have 48 MiB", told["why"]), told


def test_changed_program_is_measured_anew(host, program):
    path = host.function("auto", "hello", PYTHON)
    becomes(host, "hello", "forked")
    host.write(path, PYTHON + "# another\n", 0o755)
    assert host.get("/fn/auto/hello").text == "executed"
    becomes(host, "hello", "forked")


def test_explain_says_why_not(host):
    host.function("auto", "plain", f"#!/bin/sh\nprintf '{HEAD}x'\n")
    host.function("auto", "new", PYTHON)
    host.function("auto", "broken", "no program\n")
    host.get("/fn/auto/plain")
    assert "cannot be forked" in explain(host, "plain")
    assert "nobody has asked" in explain(host, "new")
    assert "refused: broken: neither a program" in explain(host, "broken")
    absent = host.ctl("explain", "auto/absent", check=False)
    assert absent.returncode == 1 and b"no such function" in absent.stderr
    for operand in "auto", "auto/":
        wrong = host.ctl("explain", operand, check=False)
        assert wrong.returncode == 2 and b"names no function" in wrong.stderr


def test_explain_shows_what_else_would_cost(host):
    host.function("auto", "hello", PYTHON)
    becomes(host, "hello", "forked")
    host.get("/fn/auto/hello")

    def ways():
        return {way["way"]: way for way in facts(host, "hello")["ways"]}
    eventually(lambda: "run_ms" in ways()["fork"], "a fork to be measured")
    assert set(ways()) == {"exec", "fork", "spares", "worker"}
    assert ways()["fork"]["run_ms"] < ways()["exec"]["run_ms"]
    assert ways()["exec"]["start_measured"]
    text = explain(host, "hello")
    assert re.search(r"^\* fork +~?\d+\.\d\d ms", text, re.M), text
