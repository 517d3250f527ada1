# SPDX-License-Identifier: MIT
"""What a tenant uses is limited as a whole, whatever it is divided among; and
nothing of that is left in the kernel's trees when the host has ended."""
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fastcgi import Connection, request
from host import IS_ROOT, eventually, groups


def members(group, tenant):
    """Pids, through all groups of the tenant."""
    found = []
    for path, _, _ in os.walk(group / f"tenant-{tenant}"):
        found += (Path(path) / "cgroup.procs").read_text().split()
    return sorted(int(pid) for pid in found)


# Processes are counted by user, too, and by all hosts of the machine.
OWN_USERS = 1_300_000 + os.getpid() * 100


@pytest.fixture
def limited(new_host):
    """A host that can limit tenants, which says so."""
    if not IS_ROOT:
        pytest.skip("control groups are root's")

    def make(conf="", **more):
        host = new_host(conf, nginx=False, **more)
        if not groups(host.master.pid):
            pytest.skip("no control groups here: " + "; ".join(
                host.status()["host"].get("not_enforced", [])))
        return host
    return make


def test_all_of_a_tenant_is_in_its_group(limited):
    host = limited()
    assert host.ask("/fn/rogue/rogue?head&grandchild").status == 200
    [cell] = host.cells()
    for group in groups(host.master.pid):
        assert members(group, "rogue") == sorted(
            [cell, *host.launchers()]), group
    assert host.ctl("plan", "rogue").stdout.startswith(b"cgroup ")


def among(host, kind):
    """Whether this is limited here; a test of what is not has nothing to see."""
    for group in groups(host.master.pid):
        names = [path.name for path in (group / "tenant-rogue").glob("*")]
        if any(name.startswith(kind + ".") for name in names):
            return group / "tenant-rogue"
    pytest.skip(f"no controller {kind} here")


def test_memory_is_limited_as_a_whole(limited):
    """Each is far below its own limit, all together are not."""
    host = limited('tenants = ( { name = "rogue"; memory = "48MiB"; } );')
    host.function("quiet", "rogue")
    assert host.ask("/fn/rogue/rogue?hold=20000000&head").status == 200
    among(host, "memory")
    asking = [Connection(host.front) for _ in range(6)]
    for c in asking:
        c.send(request("/fn/rogue/rogue?hold=20000000&mark=held&wait=go&head"))
    eventually(lambda: host.status()["ends"].get("memory", 0) >= 3 or None,
               "some to be ended")
    assert host.ask("/fn/quiet/rogue?hold=20000000&head").status == 200
    host.data("go").touch()
    replies = [c.reply() for c in asking]
    for c in asking:
        c.close()
    ended = [reply for reply in replies if reply.status == 502]
    assert 3 <= len(ended) <= 5
    assert len(ended) + [r.status for r in replies].count(200) == 6
    for reply in ended:
        problem = json.loads(reply.body)
        assert problem["type"].endswith(":memory"), problem
        assert "tenant rogue together had reached memory = 48 MiB" \
            in problem["detail"]
    assert host.cells(), "the cell itself was chosen"
    assert host.ask("/fn/rogue/rogue?head&out=on").body == b"on"


def test_files_in_tmp_are_memory_too(limited):
    host = limited('tenants = ( { name = "rogue"; memory = "48MiB"; '
                   'tmp = "1GiB"; } );')
    host.function("rogue", "fill", "#!/bin/sh\nprintf 'Status: 200\\n"
                  "Content-Type: a/b\\n\\n'\nhead -c 100000000 /dev/zero "
                  ">/tmp/big\nexpr $(stat -c %s /tmp/big) / 1000000\n")
    assert host.ask("/fn/rogue/rogue?head").status == 200
    among(host, "memory")
    reply = host.ask("/fn/rogue/fill")
    assert b"100" not in reply.body
    assert host.access(reply.field("X-Request-Id"))["end"] in (
        "memory", "done")
    # a full /tmp is no process's: what ends it is the end of the cell
    assert eventually(lambda: host.ask("/fn/rogue/rogue?head&out=on").body) \
        == b"on"


def test_processes_are_limited_as_a_whole(limited):
    host = limited('tenants = ( { name = "rogue"; processes = 30; } ); '
                   'limits = { time = "3s"; }; users = { tenants_first = '
                   f'{OWN_USERS}; }};')
    host.function("quiet", "rogue")
    assert host.ask("/fn/rogue/rogue?head").status == 200
    group = among(host, "pids")
    with Connection(host.front) as bomb:
        bomb.send(request("/fn/rogue/rogue?bomb"))

        def refused():
            return int((group / "pids.events").read_text().split()[1]) > 0
        eventually(refused, "a process to be refused")
        assert int((group / "pids.current").read_text()) <= 30
        assert host.ask("/fn/quiet/rogue?head&out=on").body == b"on"
        assert bomb.reply().status == 504
    host.quiet()
    assert eventually(lambda: host.ask("/fn/rogue/rogue?head&out=on").body) \
        == b"on"


def test_processor_time_is_limited_as_a_whole(limited):
    """By what the kernel counted in the time that passed, however busy the
    machine is: a tenth of a processor for four that want one each."""
    host = limited('tenants = ( { name = "rogue"; cpu = 10; } ); '
                   'limits = { time = "2s"; };')
    assert host.ask("/fn/rogue/rogue?head").status == 200
    group = among(host, "cpu")
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(
            host.ask, ["/fn/rogue/rogue?spin"] * 4))
    assert [reply.status for reply in replies] == [504] * 4
    records = [host.access(reply.field("X-Request-Id")) for reply in replies]
    used = sum(record["cpu_ms"] for record in records)
    ran = max(record["ran_ms"] for record in records)
    assert used < ran * 0.1 + 100, (used, ran)
    stat = dict(line.split() for line in
                (group / "cpu.stat").read_text().splitlines())
    assert int(stat["nr_throttled"]) > 0


def test_limits_change_with_a_reload(limited):
    host = limited('tenants = ( { name = "rogue"; processes = 30; } );')
    assert host.ask("/fn/rogue/rogue?head").status == 200
    group = among(host, "pids")
    assert (group / "pids.max").read_text() == "30\n"
    host.conf.write_text('tenants = ( { name = "rogue"; processes = 40; } );')
    with Connection(host.front) as running:
        running.send(request("/fn/rogue/rogue?mark=up&wait=go&head"))
        host.wait_mark("up")
        host.ctl("reload")
        assert (group / "pids.max").read_text() == "40\n"
        host.data("go").touch()
        assert running.reply().status == 200


def test_a_tenant_that_is_idle_has_no_group(limited):
    host = limited('cell = { idle = "1s"; };')
    assert host.ask("/fn/rogue/rogue?head").status == 200
    assert all((group / "tenant-rogue").is_dir()
               for group in groups(host.master.pid))
    eventually(lambda: not any((group / "tenant-rogue").exists()
                               for group in groups(host.master.pid)),
               "its groups to be gone")
    assert host.ask("/fn/rogue/rogue?head").status == 200


def test_nothing_is_left_when_the_host_ends(limited):
    host = limited()
    assert host.ask("/fn/rogue/rogue?head").status == 200
    ended = host.master.pid
    assert groups(ended)
    host.master.terminate()
    host.master.wait()
    assert not groups(ended)
    host.start_master()


def test_what_a_killed_master_left_goes_with_the_next_start(limited):
    host = limited()
    assert host.ask("/fn/rogue/rogue?head").status == 200
    killed = host.master.pid
    host.master.kill()
    host.master.wait()
    assert groups(killed)
    host.start_master()
    assert not groups(killed)
    assert groups(host.master.pid)
    assert host.ask("/fn/rogue/rogue?head").status == 200
