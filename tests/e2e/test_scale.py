# SPDX-License-Identifier: MIT
"""If this fails, a hoster pays for customers whom nobody visits: in processes, in
memory, or with a first request that takes long."""
import contextlib
import os
import re
import shutil
import signal
import statistics
import threading
import time
from pathlib import Path

import pytest

from host import FLAVOUR, IS_ROOT, ROOT, TORTURE, alive, count, eventually, tree

pytestmark = pytest.mark.alone
IDLE = """cell = { idle = "1s"; launcher_idle = "100ms"; };
limits = { warm = "100ms"; };"""
TENANTS = 5000          # the number that is promised,
MOST_KIB = 20 * 1024    # ... and what all processes may have together


def members(host):
    """Processes of the host."""
    return [host.master.pid, *(p for p in tree(host.master.pid) if alive(p))]


def kib(host):
    """{"Rss": of all processes, "Pss": ...}; only root may see all of Pss. Who
    ends while this looks has none."""
    total = {"Rss": 0, "Pss": 0}
    for pid in members(host):
        for key, file in ("Rss", "status"), ("Pss", "smaps_rollup"):
            with contextlib.suppress(PermissionError, FileNotFoundError,
                                     ProcessLookupError):
                text = Path(f"/proc/{pid}/{file}").read_text()
                found = re.search(fr"^(?:Vm)?{key}:\s+(\d+)", text,
                                  re.MULTILINE | re.IGNORECASE)
                total[key] += int(found[1]) if found else 0
    return total


def ask_all(host, names):
    """Each once; the times it took, in ms."""
    took = []
    for name in names:
        begin = time.monotonic()
        got = host.ask(f"/fn/{name}/hello")
        took.append((time.monotonic() - begin) * 1000)
        assert got.status == 200, got.body
    return took


def idle(host):
    """No process but master, gateway, log and state."""
    eventually(lambda: len(members(host)) == 4, "all to be idle", timeout=30)


@pytest.mark.skipif(FLAVOUR == "asan", reason="its own memory is more")
def test_who_is_idle_costs_nothing(new_host):
    host = new_host(IDLE, nginx=False)
    hello = host.base / "hello"
    shutil.copy(ROOT / "functions" / "demo" / "hello", hello)
    hello.chmod(0o755)
    warm, names = 50, []
    for i in range(warm + count(200, TENANTS)):
        names.append(f"t{i}")
        host.tenant(names[-1], data=False)
        os.link(hello, host.functions / names[-1] / "hello")
    assert len(members(host)) == 4      # however many there are
    before = kib(host)
    ask_all(host, names[:warm])
    idle(host)
    first = kib(host)
    took = ask_all(host, names[warm:])
    idle(host)
    print(f"first request: median {statistics.median(took):.1f} ms; "
          f"KiB before {before}, {warm} asked {first}")

    # Few are extrapolated by what they need of their own: pages that processes
    # share count in Rss as often as they are seen.
    measures = ["Rss", "Pss"] if TORTURE else ["Pss" if IS_ROOT else "Rss"]

    def fits():                 # memory goes back a sweep or two later
        after = kib(host)
        print(f"all asked {after}")
        return all(first[what] + TENANTS / len(took) *
                   max(0, after[what] - first[what]) < MOST_KIB
                   for what in measures)
    eventually(fits, "memory to go back")


def test_many_first_requests_make_one_cell(new_host):
    host = new_host(nginx=False)
    host.function("many", "rogue")
    got = []
    threads = [threading.Thread(target=lambda: got.append(
        host.ask("/fn/many/rogue?head").status)) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == 32 * [200]
    assert host.status()["capacity"]["cells_made"] == 1
    assert len(host.cells()) == 1


def customers(number, slots):
    """A configuration with an entry for each."""
    entries = ",\n".join(
        f'{{ name = "t{i}"; plan = "small"; read = [ "/usr/share" ]; '
        f'env = {{ WHO = "customer {i}"; }}; slots = {slots}; }}'
        for i in range(number))
    return (f'plans = ( {{ name = "small"; rate = 1000; }} );\n'
            f'tenants = (\n{entries}\n);\n')


def test_thousands_have_an_entry(new_host):
    number = count(3000, 20000)
    host = new_host(customers(number, 3), nginx=False)
    last = f"t{number - 1}"
    for name in ("t0", last):
        host.function(name, "rogue")
        got = host.ask(f"/fn/{name}/rogue?head&env=WHO")
        assert got.body.decode().strip() == f"customer {name[1:]}"
    assert host.status()["tenants"][last]["slots"] == 3

    # another configuration, and all who come meanwhile are served
    statuses, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            statuses.append(host.ask("/fn/t0/rogue?head").status)
    asking = threading.Thread(target=ask)
    asking.start()
    host.conf.write_text(customers(number, 4))
    begin = time.monotonic()
    host.ctl("reload")
    print(f"reload with {number} entries: "
          f"{(time.monotonic() - begin) * 1000:.0f} ms; {kib(host)}")
    eventually(lambda: host.ask(f"/fn/{last}/rogue?head").status == 200 and
               host.status()["tenants"][last]["slots"] == 4, "the reload")
    stop.set()
    asking.join()
    assert set(statuses) == {200}

    # a new gateway gets it as well
    os.kill(host.gateway, signal.SIGKILL)
    eventually(lambda: answers(host, f"/fn/{last}/rogue?head&env=WHO"),
               "the next gateway")
    assert host.status()["tenants"][last]["plan"] == "small"


def answers(host, uri):
    try:
        return host.ask(uri).status == 200
    except OSError:
        return False
