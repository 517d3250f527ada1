# SPDX-License-Identifier: MIT
"""What a tenant uses is limited as a whole, whatever it is divided among; and
nothing of that is left in the kernel's trees when the host has ended."""
import os
from pathlib import Path

import pytest

from host import IS_ROOT, eventually, groups


def members(group, tenant):
    """Pids, through all groups of the tenant."""
    found = []
    for path, _, _ in os.walk(group / f"tenant-{tenant}"):
        found += (Path(path) / "cgroup.procs").read_text().split()
    return sorted(int(pid) for pid in found)


@pytest.fixture
def limited(new_host):
    """A host that can limit tenants, which says so."""
    if not IS_ROOT:
        pytest.skip("control groups are root's")

    def make(conf="", **more):
        host = new_host(conf, nginx=False, **more)
        if not groups(host.master.pid):
            pytest.skip("no control groups here: " + "; ".join(
                host.status()["master"]["not_enforced"]))
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
