# SPDX-License-Identifier: MIT
"""kill -9 of each process under load: service returns, and only the requests
inside the killed process fail, each with a complete 502 or 503 or a reply that
is visibly broken. If one of these fails, a crash is an outage."""
import contextlib
import http.client
import os
import signal
import socket
import threading
from collections import Counter

import pytest

from fastcgi import Connection, request
from host import Broken, alive, count, eventually, tree


class Load:
    """Several clients that ask all the time and count what they get."""

    def __init__(self, host, tenant, clients=4):
        self.host, self.tenant = host, tenant
        self.seen, self.wrong = Counter(), []
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.ask)
                        for _ in range(clients)]

    def ask(self):
        while not self.stop.is_set():
            try:
                got = self.host.rogue("head&sleep=5&out=right",
                                      tenant=self.tenant)
                self.seen[got.status] += 1
                if got.status == 200 and got.body != b"right":
                    self.wrong.append(got)
            except Broken:
                self.seen["broken"] += 1
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def more(self, number=10):
        """Waits for that many further good answers: service is back."""
        seen = self.seen[200]
        eventually(lambda: self.seen[200] >= seen + number,
                   f"service to be back: {self.seen} {self.wrong[-3:]}")

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        assert not self.wrong, self.wrong[:3]


@pytest.fixture
def pair(new_host):
    host = new_host()
    host.function("other", "rogue")
    with Load(host, "rogue") as rogue, Load(host, "other") as other:
        rogue.more(), other.more()
        yield host, rogue, other
        rogue.more(), other.more()
    eventually(lambda: not host.running(), "functions to be gone")


def test_gateway(pair):
    host, rogue, other = pair
    for _ in range(count(4, 25)):
        gateway = host.gateway
        os.kill(gateway, signal.SIGKILL)
        eventually(lambda: not alive(gateway))
        rogue.more(), other.more()
    for load in (rogue, other):
        assert set(load.seen) <= {200, 502, 503, "broken"}, load.seen


def test_log(pair):
    host, rogue, other = pair
    for _ in range(count(4, 25)):
        log = host.log
        os.kill(log, signal.SIGKILL)
        eventually(lambda: not alive(log))
        rogue.more(), other.more()
        assert host.log != log
    for load in (rogue, other):
        assert set(load.seen) == {200}, load.seen
    got = host.rogue("head&err=after+all")
    host.access(got.request_id)
    host.wait_log("rogue", "after all")


def test_cell(pair):
    host, rogue, other = pair
    for _ in range(count(4, 25)):
        cell = eventually(lambda: host.cells())[0]
        os.kill(cell, signal.SIGKILL)
        eventually(lambda: not alive(cell))
        rogue.more(), other.more()
    for load in (rogue, other):
        assert set(load.seen) <= {200, 502, 503, "broken"}, load.seen


def test_a_cell_is_only_its_own_tenants(new_host):
    host = new_host()
    host.function("other", "rogue")
    assert host.rogue("head").status == 200
    first = host.cells()
    with Load(host, "other") as other:
        other.more()
        for _ in range(count(3, 20)):
            os.kill(first[0], signal.SIGKILL)
            eventually(lambda: not alive(first[0]))
            keep = set(host.cells())
            assert host.rogue("head&out=x").text == "x"
            first = [pid for pid in host.cells() if pid not in keep]
            other.more()
        assert set(other.seen) == {200}, other.seen


def test_launcher(pair):
    host, rogue, other = pair
    killed = 0
    for _ in range(count(6, 200)):
        launchers = host.launchers()
        if launchers:
            os.kill(launchers[0], signal.SIGKILL)
            killed += 1
        rogue.more(5), other.more(5)
    failed = sum(number for load in (rogue, other)
                 for status, number in load.seen.items() if status != 200)
    assert killed and failed <= killed, (killed, rogue.seen, other.seen)


@pytest.mark.parametrize("victim", ["gateway", "cell", "launcher"])
@pytest.mark.parametrize("sent", [False, True], ids=["no header", "header"])
def test_a_request_inside(new_host, victim, sent):
    host = new_host()
    steps = ("head&fill=100000&" if sent else "") + "mark=up&forever"
    host.function("rogue", "long", conf='limits = { time = "60s"; };')
    result, begun = [], threading.Event()

    def ask():
        connection = host.http()
        try:
            connection.request("GET", f"/fn/rogue/long?{steps}")
            got = connection.getresponse()
            begun.set()
            got.read()
            result.append(got.status)
        except (http.client.HTTPException, ConnectionError):
            result.append("broken")
        finally:
            connection.close()
    thread = threading.Thread(target=ask)
    thread.start()
    host.wait_mark("up")
    # what a function says at first is held back for a moment, in case it fails
    assert not sent or begun.wait(20)
    running = host.running()
    assert running
    os.kill({"gateway": lambda: host.gateway,
             "cell": lambda: host.cells()[0],
             "launcher": lambda: host.launchers()[0]}[victim](),
            signal.SIGKILL)
    thread.join(20)
    assert result == (["broken"] if sent else [502]), result
    eventually(lambda: not any(alive(pid) for pid in running),
               "its processes to be gone")
    assert eventually(lambda: host.rogue("head&out=x").text == "x")


def test_a_stream_of_known_length_is_seen_to_break(new_host):
    host = new_host()
    host.function("rogue", "half", """#!/bin/sh
printf 'Content-Type: text/plain\\nContent-Length: 100\\n\\nhalf'
exec sleep 60
""")
    connection = host.http()
    connection.request("GET", "/stream/rogue/half",
                       headers={"Connection": "close"})
    reply = connection.getresponse()
    assert reply.read(4) == b"half"
    os.kill(host.gateway, signal.SIGKILL)
    with pytest.raises(http.client.IncompleteRead):
        reply.read()
    connection.close()


def test_a_long_stream_that_breaks_never_looks_whole(host):
    """What the gateway still had to write when the function died is written,
    and the break behind it."""
    host.function("rogue", "long", """#!/usr/bin/python3
import os
os.write(1, b"Content-Type: text/plain\\n\\n")
for _ in range(160):
    os.write(1, bytes(65536))
os.kill(os.getpid(), 9)
""")
    for _ in range(count(20, 200)):
        received = b""
        with socket.create_connection(("127.0.0.1", host.port), 20) as client:
            client.sendall(b"GET /stream/rogue/long HTTP/1.1\r\n"
                           b"Host: x\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                while more := client.recv(1 << 20):
                    received = received[-5:] + more
                    assert not received.endswith(b"0\r\n\r\n")


def test_master(new_host):
    host = new_host()
    for _ in range(count(3, 20)):
        with Connection(host.front) as c:
            c.send(request("/fn/rogue/rogue?mark=up&ignore=all&grandchild"
                           "&forever"))
            host.wait_mark("up")
            below = tree(host.master.pid)
            assert len(below) >= 5
            host.master.kill()
            host.master.wait()
            eventually(lambda: not any(alive(pid) for pid in below),
                       "everything of it to be gone")
        host.data("up").unlink()
        host.start_master()             # on the same sockets
        assert eventually(lambda: host.rogue("head&out=x").status == 200)


def test_two_hosts_in_one_place(new_host):
    host = new_host(nginx=False)
    second = host._popen(host.command(), stderr=-1)
    _, errors = second.communicate(timeout=20)
    assert second.returncode == 1
    assert str(host.run).encode() in errors
    assert host.ask("/fn/rogue/rogue?head&out=first").body == b"first"


def test_stop_lets_requests_finish(new_host):
    host = new_host(nginx=False)
    with Connection(host.front) as c:
        c.send(request("/fn/rogue/rogue?mark=up&wait=go&head&out=done"))
        host.wait_mark("up")
        host.master.terminate()
        host.data("go").touch()
        assert c.reply().body == b"done"
    assert host.master.wait(20) == 0


def test_stop_ends_what_does_not_finish(new_host):
    host = new_host('drain = "300ms"; limits = { grace = "100ms"; };',
                    nginx=False)
    with Connection(host.front) as c:
        c.send(request("/fn/rogue/rogue?mark=up&ignore=all&forever"))
        host.wait_mark("up")
        running = host.running()
        host.master.terminate()
        assert host.master.wait(20) == 0
        got = c.reply()
        assert not got.stdout or got.status == 503
    assert not any(alive(pid) for pid in running)


def test_a_second_signal_ends_at_once(new_host):
    host = new_host('drain = "1h";', nginx=False)
    with Connection(host.front) as c:
        c.send(request("/fn/rogue/rogue?mark=up&forever"))
        host.wait_mark("up")
        host.master.terminate()

        def refused():
            try:
                with Connection(host.front, timeout=1) as other:
                    return not other.ask("/fn/rogue/rogue?head").complete
            except OSError:
                return True
        eventually(refused, "the host to take nothing new")
        host.master.terminate()
        host.master.wait(20)


def test_log_files_can_be_moved_away(new_host):
    host = new_host(nginx=False)
    first = host.ask("/fn/rogue/rogue?head")
    assert first.status == 200
    log = host.run / "log" / "access.log"
    eventually(lambda: log.exists() and log.stat().st_size > 0)
    log.rename(log.with_name("moved.log"))
    host.master.send_signal(signal.SIGUSR1)

    def reopened():
        host.ask("/fn/rogue/rogue?head")
        return log.exists() and log.stat().st_size > 0
    eventually(reopened, "a new log file")
