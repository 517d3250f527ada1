# SPDX-License-Identifier: MIT
"""If this fails, one tenant's flood delays or loses what another one is owed: its
log lines, its access records, its turn. By order and count; no time is asserted."""
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from host import count, eventually, memory_kib

FLOODS = 8


@pytest.fixture
def tenants(host):
    for tenant in ("victim", "flood"):
        host.tenant(tenant)
        host.function(tenant, "rogue", conf='limits = { time = "5m"; };')
    return host


def log_bytes(host, tenant):
    return sum(path.stat().st_size for path in
               (host.run / "log" / "tenants").glob(f"{tenant}.log*"))


def test_a_flood_on_stderr_leaves_others_their_lines(tenants):
    host, size = tenants, count(1 << 30, 8 << 30) // FLOODS
    host.rogue("head", tenant="victim")
    with ThreadPoolExecutor(FLOODS) as pool:
        floods = [pool.submit(host.rogue, f"errfill={size}&head&out=x",
                              tenant="flood", timeout=300)
                  for _ in range(FLOODS)]
        eventually(lambda: log_bytes(host, "flood") or None, "the flood")
        heard = 0
        while heard < 5 or not all(flood.done() for flood in floods):
            got = host.rogue(f"head&err=line+{heard}+of+mine", tenant="victim")
            record = f"{got.request_id} rogue"
            host.wait_log("victim", f"{record}: line {heard} of mine\n")
            host.wait_log("victim", f"{record}= 200 ")
            if heard == 0:
                assert not all(flood.done() for flood in floods)
            heard += 1
        for flood in floods:
            assert flood.result().body == b"x", "no function waits for its log"
    assert host.tenant_log("victim").count(" of mine\n") == heard
    assert log_bytes(host, "flood") < (FLOODS + 1) << 20
    assert memory_kib(host.log) < 64 << 10
    requests = host.status()["requests"]
    assert requests["stderr_dropped"] == requests["records_dropped"] == 0


def test_many_that_write_much_are_kept_to_their_rate(new_host):
    """Each is below what a request may write; all together are not."""
    host = new_host('logs = { rate = "64 KiB"; };')
    host.tenant("flood")
    host.function("flood", "rogue")
    with ThreadPoolExecutor(FLOODS) as pool:
        for got in pool.map(lambda _: host.rogue("errfill=100000&head",
                                                 tenant="flood"), range(80)):
            assert got.status == 200
    host.wait_log("flood", "faster than logs.rate = 64 KiB a second")
    results = [line for line in host.tenant_log("flood").splitlines()
               if " rogue= 200 " in line]
    eventually(lambda: host.tenant_log("flood").count(" rogue= 200 ") == 80
               or None, f"each result, not only {len(results)}")
    assert log_bytes(host, "flood") < 4 << 20


def test_a_flood_of_records_leaves_others_theirs(tenants):
    """While the log process does not read, what waits for it is shared."""
    host, path = tenants, "x" * 2000
    for tenant in ("victim", "flood"):
        host.rogue("head", tenant=tenant)
    before = host.status()["requests"]["records_dropped"]
    log = host.log
    os.kill(log, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(FLOODS) as pool:
            list(pool.map(lambda _: host.rogue("head", path=f"/{path}",
                                               tenant="flood"), range(3000)))
        mine = [host.rogue("head&err=mine", path=f"/{path}",
                           tenant="victim").request_id for _ in range(100)]
    finally:
        os.kill(log, signal.SIGCONT)
    for request in mine:
        assert host.access(request)["tenant"] == "victim"
    eventually(lambda: host.tenant_log("victim").count(": mine\n") == 100
               or None, "what it wrote")
    assert host.status()["requests"]["records_dropped"] > before
    rows = host.ctl("faults", "flood").stdout.decode()
    assert "faster than the log could be written" in rows
    assert b"log could be written" not in host.ctl("faults", "victim").stdout


def test_the_gateway_takes_the_processor_from_nobody_when_it_is_woken(host):
    assert os.sched_getscheduler(host.gateway) == os.SCHED_BATCH
