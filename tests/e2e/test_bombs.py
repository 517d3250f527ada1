# SPDX-License-Identifier: MIT
"""A tenant takes all it can get of one thing, while another one is asked: every
answer of the other has to be right, the host is the same afterwards, and whoever
took it is told what stopped it. If one of these fails, a tenant can hurt others."""
import http.client
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cells import cells_of, settle
from host import BUILD, Broken, count, eventually, memory_kib

pytestmark = pytest.mark.alone
BOMB = BUILD / "sandbox" / "bomb"
MIB = 1 << 20
CONF = f"""
users = {{ tenants_first = {1_100_000 + os.getpid() * 100}; }};
drain = "5s";
limits = {{ grace = "100ms"; time = "20s"; }};
cell = {{ tmp = "16 MiB"; }};
tenants = ( {{ name = "bomber"; memory = "192 MiB"; processes = 120; }} );
"""
# Which kinds of cells; a bare one has no limit of processes and no /tmp of its own.
SHUT_IN = ["root", "user"]


@pytest.fixture(scope="module")
def host(request):
    kind = request.param
    with cells_of(kind, CONF) as made:
        settle(made, "neighbour")
        settle(made, "bomber")
        made.function("bomber", "bomb", BOMB)
        yield made


def everywhere(*kinds):
    return pytest.mark.parametrize("host", kinds or SHUT_IN, indirect=True)


class Neighbour:
    """Is asked all the time, and at least `least` times."""

    def __init__(self, host, least=100):
        self.host, self.least = host, least
        self.right, self.wrong, self.over = 0, [], threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over.is_set() or self.right < self.least:
            try:
                got = self.host.rogue(f"head&out=fine{self.right}",
                                      tenant="neighbour")
                if got.text != f"fine{self.right}":
                    self.wrong.append(got)
            except (OSError, Broken, http.client.HTTPException) as error:
                self.wrong.append(error)
            if self.wrong:
                return
            self.right += 1

    def pids(self):
        host = self.host
        return host.master.pid, host.gateway, host.log, host.state

    def __enter__(self):
        self.before = self.pids()
        self.thread.start()
        eventually(lambda: self.right > 5 or self.wrong, "the neighbour")
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        self.thread.join()
        assert not self.wrong, self.wrong
        if kind is None:
            self.host.quiet()
            assert self.pids() == self.before
            assert self.host.rogue("head&out=x", tenant="bomber").text == "x"
            assert not self.restarts()

    def restarts(self):
        return [line for line in
                self.host.ctl("status").stdout.decode().splitlines()
                if line.split()[:1] == ["restarts"]
                and line.split()[1] != "0"]


def settings(host, conf):
    host.write(host.functions / "bomber" / "bomb.conf", conf, 0o644)


def bomb(host, what):
    return host.get(f"/fn/bomber/bomb?{what}", timeout=60)


def bombs(host, what, number=4):
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(lambda _: bomb(host, what), range(number)))


def parsed(got):
    assert got.status == 200, got
    return dict(line.split("=") for line in got.text.splitlines())


@everywhere()
def test_processes(host):
    settings(host, "limits = { processes = 50; };")
    with Neighbour(host):
        for got in bombs(host, "processes"):
            told = parsed(got)
            assert told["stopped"] == "EAGAIN" and int(told["processes"]) < 50


@everywhere()
def test_processes_that_fork_and_hear_nothing(host):
    settings(host, 'limits = { processes = 60; time = "500ms"; };')
    with Neighbour(host):
        for _ in range(count(1, 20)):
            for got in bombs(host, "wild", 2):
                got.problem(504, "time", "limits.time")


@everywhere("root", "user", "bare")
def test_memory(host):
    settings(host, 'limits = { memory = "64 MiB"; };')
    with Neighbour(host):
        for got in bombs(host, "memory", 2):
            told = parsed(got)
            assert told["stopped"] == "ENOMEM"
            assert int(told["bytes"]) <= 64 * MIB


def has_group(host, controller):
    """Has this machine such a control group, and the bomber one of its own?"""
    host.rogue("head", tenant="bomber")
    return any(line.endswith("/tenant-bomber") and
               (controller in line.split(":")[1].split(",") or
                line.startswith("0::") and controls(line, controller))
               for cell in host.cells()
               for line in Path(f"/proc/{cell}/cgroup").read_text()
               .splitlines())


def controls(line, controller):
    path = Path("/sys/fs/cgroup" + line.split(":", 2)[2], "cgroup.controllers")
    return path.exists() and controller in path.read_text().split()


@everywhere("root")
@pytest.mark.parametrize("what", ["shared", "sysv", "together"])
def test_memory_of_a_tenant_as_a_whole(host, what):
    """What no process's own limit counts."""
    if not has_group(host, "memory"):
        pytest.skip("no control group for memory on this machine")
    settings(host, 'limits = { memory = "1 GiB"; };')
    with Neighbour(host):
        for _ in range(count(2, 20)):
            got = bomb(host, what)
            if what == "together":      # its first process only waits
                assert got.status in (200, 502), got
            elif what == "shared":
                got.problem(502, "memory", "192 MiB")
            else:       # it is no process's, so it goes with the whole cell
                assert got.status == 502, got
            assert eventually(lambda: host.rogue(
                "head&out=x", tenant="bomber").status == 200)
    assert b"memory" in host.ctl("faults", "bomber").stdout


@everywhere("root")
def test_processes_of_a_tenant_as_a_whole(host):
    """Four times 50 are more than it may have."""
    if not has_group(host, "pids"):
        pytest.skip("no control group for processes on this machine")
    settings(host, "limits = { processes = 100; };")
    with Neighbour(host):
        for got in bombs(host, "processes"):
            told = parsed(got)
            assert told["stopped"] == "EAGAIN" and int(told["processes"]) < 120


@everywhere("root", "user", "bare")
def test_descriptors(host):
    settings(host, "limits = { files = 256; };")
    with Neighbour(host):
        for got in bombs(host, "descriptors", 8):
            told = parsed(got)
            assert told["stopped"] == "EMFILE"
            assert int(told["descriptors"]) <= 256


@everywhere()
def test_connections(host):
    """Half requests by fn.sock, of the web server that the neighbour's clients
    use; each that it closes is opened again."""
    settings(host, 'limits = { files = 256; time = "60s"; };')
    full, release = (host.data(name, "bomber") for name in ("full", "release"))
    try:
        with ThreadPoolExecutor(1) as pool, Neighbour(host) as neighbour:
            try:
                bombed = pool.submit(bomb, host, "connections")
                eventually(lambda: full.exists() or bombed.done(),
                           "all connections", 40)
                seen = neighbour.right
                eventually(lambda: neighbour.wrong or bombed.done() or
                           neighbour.right > seen + 200, "the neighbour", 40)
            finally:
                release.touch()
            assert int(parsed(bombed.result())["connections"]) > 2000
    finally:
        for path in full, release:
            path.unlink(missing_ok=True)


@everywhere()
@pytest.mark.parametrize("what, unit, most", [
    ("disk", "bytes", 16 * MIB), ("inodes", "files", 4096)])
def test_a_full_tmp(host, what, unit, most):
    settings(host, "")
    with Neighbour(host):
        got = bomb(host, what)
        # files in /tmp are memory of the tenant
        if got.status == 200:
            told = parsed(got)
            assert told["stopped"] == "ENOSPC" and int(told[unit]) <= most
        else:
            got.problem(502, "memory")


@everywhere("root", "user", "bare")
def test_processors(host):
    settings(host, 'limits = { time = "1s"; };')
    with Neighbour(host):
        for got in bombs(host, "processor", 2):
            got.problem(504, "time", "limits.time")


@everywhere("root", "user", "bare")
def test_the_log(host):
    """Not one line of the neighbour is lost, and the files stay small."""
    settings(host, "")
    log = host.run / "log"

    def size():
        return sum(path.stat().st_size for path in log.rglob("*.log*"))
    before, ids = size(), []
    with Neighbour(host):
        flood = threading.Thread(target=bombs, args=(host, "log", 2))
        flood.start()
        for number in range(50):
            got = host.rogue(f"head&err=line-{number}-of-mine&out=x",
                             tenant="neighbour")
            assert got.text == "x"
            ids.append(got.request_id)
        flood.join()
    for number in range(50):
        host.wait_log("neighbour", f"line-{number}-of-mine")
    for request in ids:
        assert host.access(request)["status"] == 200
    assert size() - before < 16 * MIB
    assert memory_kib(host.log) < (32 << 10) * 4


@everywhere("root", "user", "bare")
def test_a_crash_loop(host):
    settings(host, "")
    with Neighbour(host):
        for _ in range(count(10, 200)):
            for got in bombs(host, "crash", 8):
                assert got.status in (502, 503), got
            got.problem(502, "crashed", "ABRT")


@everywhere("root", "user", "bare")
@pytest.mark.parametrize("how", ["daemon", "parent", "relay", "stopped"])
def test_daemons(host, how):
    settings(host, "limits = { processes = 200; };")
    with Neighbour(host):
        for _ in range(count(3, 100)):
            answers = [(got.status, got.text if got.status == 200 else "")
                       for got in bombs(host, how, 8)]
            # who leaves so many that nobody can be started is told so
            assert (200, "left\n") in answers
            assert set(answers) <= {(200, "left\n"), (503, "")}, answers
    assert not host.running()
