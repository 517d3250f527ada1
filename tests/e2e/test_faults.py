# SPDX-License-Identifier: MIT
"""If this fails, a tenant is not told why its requests end as they do, or is told
of somebody else's."""
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from host import IS_ROOT, Broken, eventually, groups

# Of a function of these settings that does this: what its tenant is told.
KINDS = {
    "time": ('limits = { time = "100ms"; };', "forever",
             "took longer than limits.time = 100 ms"),
    "cpu": ('limits = { cpu = "1s"; time = "30s"; };', "spin",
            "needed more processor time than limits.cpu = 1 s"),
    "idle": ('limits = { idle = "300ms"; };', "forever",
             "wrote nothing for limits.idle = 300 ms"),
    "output": ('limits = { output = "10KiB"; };', "head&fill=100000",
               "wrote more than limits.output = 10 KiB"),
    "crashed": ("", "signal=SEGV", "crashed, the last by signal SEGV"),
    "no-reply": ("", "exit=3",
                 "ended without a reply, the last with exit 3"),
    "bad-reply": ("", "out=nonsense%0a%0a", "whose header is invalid"),
    "failed": ("", "line=Status:+500&line=Content-Type:+a/b&line&exit=3",
               "answered with a status of 500 or above and ended with exit 3"),
    "short-reply": ("", "line=Content-Type:+text/plain&"
                    "line=Content-Length:+10&line&out=1234",
                    "wrote less than their Content-Length"),
}


def answer(host, *args, **more):
    found = json.loads(host.ctl("faults", *args, "--json", **more).stdout)
    assert 1_600_000_000_000 < found["since_unix_ms"] <= time.time() * 1000
    return found["faults"]


def only(host, tenant, kind):
    """The one row of that kind, when its request is over."""
    def find():
        rows = [row for row in answer(host, tenant) if row["fault"] == kind]
        assert len(rows) <= 1, rows
        return rows[0] if rows else None
    return eventually(find, f"a fault of the kind {kind}")


def faulty(host, tenant, conf="", name="rogue"):
    host.tenant(tenant)
    host.function(tenant, name, conf=conf)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_told(host, kind):
    conf, steps, words = KINDS[kind]
    tenant = f"f-{kind}"
    faulty(host, tenant, conf)
    before = time.time() * 1000 - 1
    ids = []
    for _ in range(2):
        try:
            ids.append(host.rogue(steps, tenant=tenant).request_id)
        except Broken:
            pass

    def counted():
        row = only(host, tenant, kind)
        return row if row["count"] == 2 else None
    row = eventually(counted, f"two faults of the kind {kind}")
    assert words in row["says"] and \
        row["says"].startswith("2 requests of rogue "), row
    assert (row["tenant"], row["function"]) == (tenant, "rogue")
    assert before < row["first_unix_ms"] <= row["last_unix_ms"]
    assert len(ids) < 2 or row["request"] == ids[-1]
    assert row["advice"]
    if row["class"] == "limit":
        assert host.access(row["request"])["limit"] == row["limit"]
    assert row["class"] == ("limit" if "limits" in words else "failure")
    shown = host.ctl("faults", tenant).stdout.decode()
    assert row["says"] + "; the last one at 20" in shown
    assert row["request"] in shown and row["advice"] in shown
    host.quiet()


def test_a_redirect_without_an_end(host):
    host.tenant("f-loop")
    host.function("f-loop", "rogue", "#!/bin/sh\n"
                  "printf 'Location: /fn/f-loop/rogue\\n\\n'\n")
    host.get("/fn/f-loop/rogue").problem(508, "redirect-loop")
    assert "without an end" in only(host, "f-loop", "redirect-loop")["says"]


def test_a_body_too_large(host):
    faulty(host, "f-body", 'limits = { body = "1KiB"; };')
    host.rogue("head", tenant="f-body", method="POST", body=b"x" * 2000)
    row = only(host, "f-body", "body")
    assert row["says"] == \
        "1 request of rogue brought more than limits.body = 1 KiB"
    assert (row["limit"], row["class"]) == ("limits.body", "limit")


def test_an_upload_too_slow(host):
    faulty(host, "f-upload", 'limits = { upload = "200ms"; };')
    connection = host.http()
    connection.putrequest("POST", "/stream/f-upload/rogue?head&read")
    connection.putheader("Content-Length", "100")
    connection.endheaders(b"some")
    assert connection.getresponse().status in (408, 499, 502)
    connection.close()
    only(host, "f-upload", "upload")


def test_a_queue_too_long_and_too_full(new_host):
    host = new_host("queue = { function = 1; };")
    faulty(host, "busy", 'concurrency = 1; limits = { queue = "300ms"; };')
    with ThreadPoolExecutor(8) as pool:
        slow = pool.submit(host.rogue, "head&sleep=2000", tenant="busy")
        eventually(lambda: host.running() or None, "the first to run")
        got = list(pool.map(
            lambda _: host.rogue("head", tenant="busy").status, range(4)))
        assert slow.result().status == 200
    assert got == [503] * 4
    full, late = only(host, "busy", "queue-full"), \
        only(host, "busy", "queue-time")
    assert full["count"] + late["count"] == 4
    assert (full["limit"], full["value"]) == ("queue.function", "1")
    assert late["limit"] == "limits.queue"


def test_a_function_that_cannot_be(host):
    faulty(host, "f-none", 'limits = { time = "nonsense"; };')
    host.rogue("head", tenant="f-none")
    row = only(host, "f-none", "refused")
    assert "limits.time" in row["says"] and row["function"] == "rogue"
    host.function("f-none", "cut", "#!/nosuch/interpreter\n")
    host.get("/fn/f-none/cut")
    assert len(answer(host, "f-none")) == 2


def test_a_run_that_goes_on_behind_its_reply(host):
    faulty(host, "f-behind", 'limits = { time = "300ms"; };')
    got = host.rogue("head&out=well&close=1&forever", tenant="f-behind")
    assert got.text == "well"
    assert only(host, "f-behind", "time")["limit"] == "limits.time"
    assert host.access(got.request_id)["end"] == "done"
    host.quiet()


def test_nothing(host):
    faulty(host, "f-well")
    assert host.rogue("head&out=well", tenant="f-well").text == "well"
    assert host.get("/fn/f-well/nosuch").status == 404
    assert host.rogue("head", tenant="f-well", method="BREW").status
    assert answer(host, "f-well") == []
    text = host.ctl("faults", "f-well").stdout.decode()
    assert text.startswith("Since 20") and \
        "no request of f-well has reached a limit or failed" in text


def test_a_tenant_there_is_not(host):
    assert host.get("/fn/f-nobody/f").status == 404
    done = host.ctl("faults", "f-nobody", check=False)
    assert done.returncode == 1 and b"there is no such tenant" in done.stderr
    assert host.ctl("faults", "no/name", check=False).returncode == 2


def test_all_tenants(host):
    faulty(host, "f-one")
    faulty(host, "f-two")
    for tenant in ("f-one", "f-two"):
        host.rogue("signal=ABRT", tenant=tenant)
        only(host, tenant, "crashed")
    tenants = [row["tenant"] for row in answer(host)]
    assert tenants[:2] == ["f-two", "f-one"], "the latest first"
    assert "f-well" not in tenants and "f-nobody" not in tenants
    text = host.ctl("faults").stdout.decode()
    assert "\nf-one\n  1 request of rogue crashed" in "\n" + text


def test_status_names_the_most_limited(new_host):
    host = new_host()
    for tenant, times in (("little", 1), ("much", 5)):
        faulty(host, tenant)
        for _ in range(times):
            host.rogue("signal=SEGV", tenant=tenant)

    def told():
        found = host.status()["faults"]
        return found if found["count"] == 6 else None
    found = eventually(told, "six faults")
    assert (found["tenants"], found["much"]["count"]) == (2, 5)
    assert found["much"]["most"].startswith("5 requests of rogue crashed")
    names = [name for name in found if isinstance(found[name], dict)]
    assert names == ["much", "little"]
    text = host.ctl("status").stdout.decode()
    assert "faults/much" in text and "5 requests of rogue crashed" in text


def test_it_outlives_what_the_gateway_knows(new_host):
    """The cell ends, the function is forgotten; what happened is still told."""
    host = new_host('cell = { idle = "1s"; };')
    faulty(host, "short")
    host.rogue("signal=SEGV", tenant="short")
    eventually(lambda: host.cells() == [] or None, "its cell to end")
    host.ctl("reload")
    assert only(host, "short", "crashed")["count"] == 1


def test_a_flood_of_faults_is_only_counted(host):
    """Names that clients make up are not kept."""
    faulty(host, "f-flood", 'limits = { body = "1KiB"; };')
    for number in range(50):
        host.get(f"/fn/f-flood/made-up-{number}")
        host.get(f"/fn/f-made-up-{number}/f")
    assert answer(host, "f-flood") == []
    assert not any(row["tenant"].startswith("f-made-up")
                   for row in answer(host))
    # ... nor of those that come too fast to be looked up
    for _ in range(5):
        host.get("/fn/f-flood/made-up")
    assert answer(host, "f-flood") == []


def test_too_many_requests(new_host):
    host = new_host('tenants = ( { name = "busy"; rate = 1; burst = 2; } );')
    faulty(host, "busy")
    got = [host.rogue("head", tenant="busy").status for _ in range(10)]
    assert got.count(429) >= 5
    row = only(host, "busy", "rate")
    assert row["count"] == got.count(429)
    assert row["says"].startswith(f"{row['count']} requests came faster than "
                                  "rate = 1 a second"), row
    assert row["limit"] == "rate" and "function" not in row
    # of names that are none nothing is kept
    for _ in range(40):
        host.get("/fn/no-such/f")
    assert {row["tenant"] for row in answer(host)} == {"busy"}


def test_running_time_that_is_used_up(new_host):
    host = new_host('tenants = ( { name = "busy"; running = "1s"; } );')
    faulty(host, "busy")
    for _ in range(20):
        if host.rogue("head&sleep=200", tenant="busy").status == 429:
            break
    row = only(host, "busy", "running")
    assert (row["limit"], row["class"]) == ("running", "limit")
    assert "running time was used up, running = 1 s" in row["says"], row


def test_a_tenant_that_is_suspended(new_host):
    host = new_host()
    faulty(host, "owing")
    assert host.rogue("head", tenant="owing").status == 200
    host.ctl("suspend", "owing", "not paid")
    assert host.rogue("head", tenant="owing").status == 503
    row = only(host, "owing", "suspended")
    assert (row["count"], row["class"]) == (1, "host")
    assert "not paid" in row["says"]
    assert "not paid" in host.ctl("faults", "owing").stdout.decode()


def test_a_run_that_is_lost(new_host):
    host = new_host()
    faulty(host, "unlucky")
    with ThreadPoolExecutor(1) as pool:
        got = pool.submit(host.rogue, "mark=on&forever", tenant="unlucky")
        host.wait_mark("on", tenant="unlucky")
        for cell in host.cells():
            os.kill(cell, signal.SIGKILL)
        assert got.result().status == 502
    row = only(host, "unlucky", "lost")
    assert (row["function"], row["class"]) == ("rogue", "host")


@pytest.fixture
def metered(new_host):
    if not IS_ROOT:
        pytest.skip("control groups are root's")

    def make(conf):
        host = new_host(conf)
        if not groups(host.master.pid):
            pytest.skip("no control groups here")
        return host
    return make


def test_memory_of_all_together(metered):
    host = metered('tenants = ( { name = "fat"; memory = "64 MiB"; } );')
    faulty(host, "fat")
    got = host.rogue("eat=200000000&head", tenant="fat")
    got.problem(502, "memory", "memory = 64 MiB")
    assert host.access(got.request_id)["limit"] == "memory"
    row = only(host, "fat", "memory")
    assert row["function"] == "rogue" and "memory = 64 MiB" in row["says"]
    assert only(host, "fat", "killed")["count"] >= 1


def test_processes_of_all_together(metered):
    host = metered('tenants = ( { name = "many"; processes = 24; } );')
    faulty(host, "many", 'limits = { time = "2s"; };')
    host.rogue("bomb&forever", tenant="many")
    row = only(host, "many", "processes")
    assert (row["limit"], row["value"]) == ("processes", "24"), row
    assert "a process could not be started" in row["says"]


def test_processor_of_all_together(metered):
    host = metered('tenants = ( { name = "hot"; cpu = 20; } );')
    faulty(host, "hot", 'limits = { time = "1s"; cpu = "30s"; };')
    host.rogue("spin", tenant="hot")
    row = only(host, "hot", "throttled")
    assert row["limit"] == "cpu" and row["value"].startswith("20"), row
