# SPDX-License-Identifier: MIT
"""Every limit is reached on purpose: the answer names it, what is beyond it
does not happen, and the next request is served."""
import http.client
from concurrent.futures import ThreadPoolExecutor

import pytest

from fastcgi import Connection, request
from host import Broken, IS_ROOT, count, eventually, runtime_below


def limited(host, name, conf):
    """A function with these settings."""
    host.function("rogue", name, conf=conf)
    return name


def test_time_names_the_limit(host):
    name = limited(host, "t1", 'limits = { time = "250ms"; };')
    got = host.rogue("forever", name=name)
    got.problem(504, "time", "rogue/t1", "limits.time", "250ms")
    record = host.access(got.request_id)
    assert (record["status"], record["end"]) == (504, "time")
    assert record["ran_ms"] >= 250
    host.quiet()


def test_time_leaves_grace_to_finish(host):
    host.function("rogue", "polite", '#!/usr/bin/perl\n'
                  '$SIG{ALRM} = sub { print "Content-Type: a/b\\n\\nlate";'
                  ' exit }; sleep 60 while 1;\n',
                  conf='limits = { time = "300ms"; grace = "5s"; };')
    got = host.get("/fn/rogue/polite")
    assert (got.status, got.body) == (200, b"late")


def test_deadline_is_told(host):
    name = limited(host, "t2", 'limits = { time = "20s"; };')
    got = host.rogue("head&env=FN_DEADLINE_MS", name=name)
    record = host.access(got.request_id)
    assert record["tenant"] == "rogue"
    assert int(got.text) > 1_600_000_000_000


def test_idle(host):
    name = limited(host, "idle", 'limits = { idle = "700ms"; };')
    host.rogue("forever", name=name).problem(504, "idle", "limits.idle")
    with pytest.raises(Broken):
        host.rogue("head&fill=100000&forever", name=name)
    assert host.rogue("head&out=a&sleep=20&out=b&sleep=20&out=c",
                      name=name).text == "abc"


@pytest.mark.parametrize("cpu, said", [("1s", "1 s"), ("250ms", "250 ms")])
def test_cpu(host, cpu, said):
    name = limited(host, "cpu",
                   f'limits = {{ cpu = "{cpu}"; time = "30s"; }};')
    text = host.rogue("head&state", name=name).text
    assert "limit_cpu 1\n" in text, text
    host.rogue("spin", name=name).problem(504, "cpu", "limits.cpu", said)


def test_memory(host):
    name = limited(host, "memory", 'limits = { memory = "32MiB"; };')
    assert host.rogue("head&eat=10000000", name=name).text == "ate it\n"
    assert host.rogue("head&eat=100000000", name=name).text == "no memory\n"


def test_files(host):
    name = limited(host, "files", "limits = { files = 10; };")
    text = host.rogue("head&state", name=name).text
    assert "limit_nofile 10\n" in text


def test_output(host):
    name = limited(host, "output", 'limits = { output = "100KiB"; };')
    assert len(host.rogue("head&fill=100000", name=name).body) == 100_000
    with pytest.raises(Broken):
        host.rogue("head&fill=1000000", name=name)
    got = host.ask(f"/fn/rogue/{name}?head&fill=1000000")
    assert not got.complete
    assert host.access(got.field("X-Request-Id"))["end"] == "output-size"


def test_body(host):
    name = limited(host, "body", 'limits = { body = "10KiB"; };')
    assert host.rogue("head&read", name=name, method="POST",
                      body=b"x" * 10240).text == "read 10240\n"
    host.rogue("head&read", name=name, method="POST", body=b"x" * 10241) \
        .problem(413, "body-size", "limits.body", "10KiB")


def test_a_body_without_a_length_is_limited_too(host):
    name = limited(host, "body", 'limits = { body = "10KiB"; };')
    for prefix in ("fn", "stream"):
        connection = host.http()
        connection.request(
            "POST", f"/{prefix}/rogue/{name}?mark=ran&head&read",
            iter([b"x" * 5000] * 30), encode_chunked=True,
            headers={"Transfer-Encoding": "chunked"})
        try:
            assert connection.getresponse().status == 413
        except (http.client.HTTPException, ConnectionError) as error:
            raise AssertionError(f"/{prefix}: {error}") from error
        connection.close()
    assert host.marks("ran") == []


def test_methods(host):
    name = limited(host, "methods", 'methods = [ "GET", "PUT" ];')
    got = host.rogue("head", name=name, method="POST", body=b"")
    got.problem(405, "method", "methods")
    assert got.header("Allow") == "GET, PUT"
    assert host.rogue("head", name=name, method="PUT",
                      body=b"x").status == 200


def test_switched_off(host):
    name = limited(host, "off", "concurrency = 0;")
    got = host.rogue("mark=ran&head", name=name)
    got.problem(503, "switched-off", "rogue/off", "concurrency")
    assert host.marks("ran") == []


def test_concurrency_holds(host):
    name = limited(host, "three", "concurrency = 3;")
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(host.rogue, "mark=up&wait=go&head&out=x",
                             name=name) for _ in range(12)]
        host.wait_mark("up", 3)
        assert host.rogue("head&out=other").text == "other"
        assert len(host.marks("up")) == 3
        assert len(host.running()) == 3
        host.data("go").touch()
        assert [one.result().text for one in asked] == ["x"] * 12


def test_queue_ends(host):
    name = limited(host, "queue", 'concurrency = 1; '
                   'limits = { queue = "250ms"; };')
    with Connection(host.front) as first:
        first.send(request(f"/fn/rogue/{name}?mark=up&forever"))
        host.wait_mark("up")
        got = host.rogue("mark=second&head", name=name)
        got.problem(503, "queue-time", "limits.queue", "250ms")
        assert int(got.header("Retry-After")) >= 1
    assert host.marks("second") == []
    assert eventually(lambda: host.rogue("head&out=x", name=name).text) == "x"


def test_queue_is_bounded(new_host):
    host = new_host("queue = { function = 2; }; slots = { function = 1; };")
    asking = []
    for number in range(3):
        c = Connection(host.front)
        c.send(request("/fn/rogue/rogue?mark=up&wait=go&head&out=x"))
        asking.append(c)
        host.wait_mark("up")
    got = eventually(
        lambda: (lambda got: got if got.status == 503 else None)(
            host.rogue("head&out=too+many")), "the queue to be full")
    got.problem(503, "queue-full", "queue.function")
    assert got.header("Retry-After")
    host.data("go").touch()
    for c in asking:
        assert c.reply().body == b"x"
        c.close()


def test_waiting_is_first_come_first_served(host):
    name = limited(host, "order", "concurrency = 1;")
    asking = []
    with Connection(host.front) as first:
        first.send(request(f"/fn/rogue/{name}?mark=up&wait=go&head"))
        host.wait_mark("up")
        for number in range(8):
            c = Connection(host.front)
            c.send(request(f"/fn/rogue/{name}?mark=order{number}&cat="
                           f"/proc/self/stat&head&out={number}"))
            asking.append(c)
        host.data("go").touch()
        first.reply()
    replies = [c.reply() for c in asking]
    for c in asking:
        c.close()
    assert all(reply.complete for reply in replies)
    times = [host.data(f"order{n}").stat().st_mtime_ns for n in range(8)]
    assert times == sorted(times)


def test_one_tenant_does_not_take_all_slots(new_host):
    host = new_host("slots = { host = 4; tenant = 4; function = 4; };")
    host.function("other", "rogue")
    asking = [Connection(host.front) for _ in range(8)]
    for c in asking:
        c.send(request("/fn/rogue/rogue?mark=up&wait=go&head&out=x"))
    host.wait_mark("up", 2)
    assert host.rogue("head&out=served", tenant="other").text == "served"
    assert len(host.marks("up")) == 2       # half of slots.host
    host.data("go").touch()
    assert [c.reply().body for c in asking] == [b"x"] * 8
    for c in asking:
        c.close()


def test_starts_are_shared_between_tenants(new_host):
    """Counted, not timed: who comes behind a flood of somebody else's requests
    does not wait for all of them."""
    host = new_host("slots = { host = 2; tenant = 2; share = 100; };",
                    nginx=False)
    host.function("quiet", "rogue")
    held = [Connection(host.front) for _ in range(2)]
    for c in held:
        c.send(request("/fn/rogue/rogue?mark=up&wait=go&head"))
    host.wait_mark("up", 2)
    flood, few = count(200, 900), 20    # queue.function is 1024
    waiting = [Connection(host.front) for _ in range(flood + few)]
    for number, c in enumerate(waiting):
        tenant = "rogue" if number < flood else "quiet"
        c.send(request(f"/fn/{tenant}/rogue?head&out=x"))
    eventually(lambda: str(flood + few) in host.ctl(
        "status", "--json").stdout.decode(), "all to wait")
    host.data("go").touch()
    assert all(c.reply().status == 200 for c in held + waiting)
    for c in held + waiting:
        c.close()
    log = host.run / "log" / "access.log"
    eventually(lambda: len(log.read_text().splitlines()) == flood + few + 2,
               "all records")
    last = max(number for number, line in
               enumerate(log.read_text().splitlines()) if '"quiet"' in line)
    assert last < 4 * few, last


def test_a_tenant_can_only_lower_what_it_is_given(new_host):
    host = new_host('maximum = { time = "1s"; }; limits = { time = "1s"; };')
    host.function("rogue", "greedy", conf='limits = { time = "2s"; };')
    host.rogue("head", name="greedy").problem(
        503, "refused", "greedy.conf:1", "time", "1s")
    host.function("rogue", "modest", conf='limits = { time = "300ms"; };')
    host.rogue("forever", name="modest").problem(504, "time", "300ms")


@pytest.mark.skipif(not IS_ROOT, reason="needs the mount namespace of root")
def test_tmp_is_private_and_small(new_host):
    host = new_host('cell = { tmp = "1MiB"; };')
    host.function("rogue", "full", "#!/bin/sh\nprintf 'Content-Type: a/b\\n\\n'"
                  "\nhead -c 4000000 /dev/zero >/tmp/big 2>/dev/null\n"
                  "stat -c %s /tmp/big; ls /tmp\n")
    size, *names = host.get("/fn/rogue/full").text.split()
    assert int(size) <= 1 << 20
    # the tree of this test is below /tmp itself
    assert set(names) - {host.base.name} - runtime_below("/tmp") == {"big"}


@pytest.mark.skipif(not IS_ROOT, reason="needs the mount namespace of root")
def test_tmp_has_a_number_of_files(new_host):
    host = new_host('cell = { tmp = "2MiB"; };')
    host.function("rogue", "many", "#!/usr/bin/perl\n"
                  "print qq(Content-Type: a/b\\n\\n);\n"
                  "for (1..5000) { open F, '>', qq(/tmp/$_) or "
                  "die print(qq($_ $!\\n)); }\nprint qq(all\\n);\n")
    made, _, why = host.get("/fn/rogue/many").text.strip().partition(" ")
    assert 400 < int(made) <= 512 and why == "No space left on device"
