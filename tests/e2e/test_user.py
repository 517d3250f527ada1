# SPDX-License-Identifier: MIT
"""The smoke of everything again as an ordinary user: programs, functions and
nginx belong to somebody without any privilege. If this fails, a person without
root cannot use it."""
from pathlib import Path

import pytest

from cells import USER, cells_of
from fastcgi import Connection, request
from host import IS_ROOT, Broken, alive, eventually, groups, tree


@pytest.fixture(scope="module")
def host():
    with cells_of("user", 'limits = { grace = "100ms"; };') as made:
        yield made


def test_it_runs_as_that_user(host):
    assert host.rogue("head&out=hello").text == "hello"
    for pid in tree(host.master.pid) | {host.master.pid}:
        if alive(pid):
            uids = [line.split()[1:] for line in
                    Path(f"/proc/{pid}/status").read_text().splitlines()
                    if line.startswith("Uid:")][0]
            assert set(uids) == {str(USER)} or not IS_ROOT


def test_requests_and_replies(host):
    body = bytes(range(256)) * 20_000
    assert host.rogue("head&echo", method="POST", body=body).body == body
    assert host.environment("/a%20b")["PATH_INFO"] == "/a b"
    assert host.get("/fn/rogue/none").status == 404
    host.rogue("exit=1").problem(502, "no-reply")
    host.function("rogue", "fresh", "#!/bin/sh\nprintf 'Content-Type: a/b\\n\\n"
                  "fresh'\n")
    assert host.get("/fn/rogue/fresh").text == "fresh"


@pytest.mark.parametrize("steps", [
    "forever", "ignore=all&block=all&forever", "alarm=0&spin",
    "grandchild&forever"])
def test_time_limits(host, steps):
    host.function("rogue", "timed", conf='limits = { time = "300ms"; };')
    host.rogue(steps, name="timed").problem(504, "time", "limits.time")
    host.quiet()


def test_what_an_invocation_leaves_is_killed(host):
    assert host.rogue("head&grandchild&child&out=x").text == "x"
    host.quiet()


def test_a_client_that_goes_ends_its_function(host):
    with Connection(host.front) as c:
        c.send(request("/fn/rogue/rogue?mark=up&ignore=TERM&forever"))
        host.wait_mark("up")
    host.quiet()


def test_privileges_cannot_be_gained(host):
    text = host.rogue("head&state").text
    for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
        assert f"{name}:\t0000000000000000" in text


def test_what_is_not_enforced_is_said(host):
    status = host.status()
    assert status
    words = host.ctl("status").stdout.decode()
    assert "enforced" in words or "not" in words
    assert "all functions run as the host's own user" in words
    said = status["host"]
    [memory] = [line for line in said["enforced"] + said["not_enforced"]
                if line.startswith("memory of a tenant as a whole")]
    assert (memory in said["enforced"]) == (groups(host.master.pid) != [])
    assert memory in words


def test_control(host):
    assert b"rogue/rogue" in host.ctl("list").stdout \
        or b"/fn/rogue/rogue" in host.ctl("list").stdout
    done = host.ctl("invoke", "rogue/rogue?head&out=called")
    assert b"called" in done.stdout


def test_logs(host):
    got = host.rogue("head&err=to+the+log")
    assert host.access(got.request_id)["status"] == 200
    host.wait_log("rogue", "to the log")


def test_a_broken_reply_is_broken(host):
    with pytest.raises(Broken):
        host.rogue("head&fill=100000&signal=KILL")


def test_master_takes_everything_with_it(host):
    host.rogue("head")
    below = tree(host.master.pid)
    host.master.kill()
    host.master.wait()
    eventually(lambda: not any(alive(pid) for pid in below),
               "everything to be gone")
    host.start_master()
    assert eventually(lambda: host.rogue("head&out=x").text) == "x"
