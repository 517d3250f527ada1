# SPDX-License-Identifier: MIT
"""Bodies of any size, both ways, in constant memory. If one of these fails, one
large upload takes the host down."""
import hashlib
import socket
import threading

import pytest

from host import FLAVOUR, count, descriptors, eventually, memory_kib

SIZE = count(256 << 20, 1 << 30)
BLOCK = bytes(range(256)) * 4096


def echo(host, target, size):
    """Sends and receives size bytes at once; hashes of both directions."""
    sent, got, received = hashlib.sha256(), hashlib.sha256(), 0
    with socket.create_connection(("127.0.0.1", host.port)) as s:
        s.settimeout(120)

        def send():
            s.sendall(f"POST {target} HTTP/1.0\r\nHost: x\r\n"
                      f"Content-Length: {size}\r\n\r\n".encode())
            for at in range(0, size, len(BLOCK)):
                part = BLOCK[:min(len(BLOCK), size - at)]
                sent.update(part)
                s.sendall(part)
        thread = threading.Thread(target=send)
        thread.start()
        file = s.makefile("rb")
        status = int(file.readline().split()[1])
        while file.readline().strip():
            pass
        while part := file.read(1 << 20):
            got.update(part)
            received += len(part)
        thread.join()
    return status, received, sent.hexdigest() == got.hexdigest()


def leaves_memory(host, action):
    """Does it small once, then large; memory and descriptors stay."""
    action(1 << 20)
    gateway = host.gateway
    before, open_before = memory_kib(gateway), descriptors(gateway)
    action(SIZE)
    if FLAVOUR != "asan":
        assert memory_kib(gateway, "VmHWM") < before + 2048
    assert descriptors(gateway) <= open_before + 1
    assert not list((host.run / "spool").iterdir())


LARGE = 'limits = { body = "2GiB"; time = "120s"; };'


def test_a_gigabyte_through_echo(new_host):
    host = new_host(LARGE)

    def both_ways(size):
        assert echo(host, "/fn/rogue/rogue?head&echo", size) == \
            (200, size, True)
    leaves_memory(host, both_ways)


def test_a_gigabyte_streamed_up(new_host):
    """Not both ways: nginx sends no more of a body once a reply began."""
    host = new_host(LARGE)
    host.function("rogue", "up", conf='body = "stream";')

    def up(size):
        status, received, _ = echo(host, "/stream/rogue/up?head&read", size)
        assert (status, received) == (200, len(f"read {size}\n"))
    leaves_memory(host, up)


def test_a_stream_is_echoed_as_far_as_there_is_room(new_host):
    host = new_host(LARGE)
    host.function("rogue", "echo", conf='body = "stream";')
    assert echo(host, "/stream/rogue/echo?head&echo", 200_000) == \
        (200, 200_000, True)


def test_memory_of_bodies_together_is_capped(new_host):
    host = new_host('body = { memory = "1MiB"; memory_total = "4MiB"; };',
                    nginx=False)
    body = b"m" * (1 << 20)
    results = []

    def ask():
        got = host.ask("/fn/rogue/rogue?mark=up&wait=go&head&echo", body)
        results.append(got.body == body)
    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    host.wait_mark("up", 12)
    host.data("go").touch()
    for thread in threads:
        thread.join()
    assert results == [True] * 12
    assert not list((host.run / "spool").iterdir())


def test_the_spool_of_one_tenant_is_not_that_of_all(new_host):
    """It is told what it reached, the bytes can be seen, and others find room."""
    host = new_host('tenant = { spool = "2MiB"; };'
                    'body = { memory = "4KiB"; spool_total = "4MiB"; };',
                    nginx=False)
    for tenant in ("rogue", "other"):
        host.function(tenant, "rogue")
    body, results = b"s" * 1_500_000, []

    def ask(tenant, steps="head&echo"):
        return host.ask(f"/fn/{tenant}/rogue?{steps}", body)

    def spooled():
        return host.status()["capacity"]["body_spool"]
    thread = threading.Thread(target=lambda: results.append(
        ask("rogue", "mark=up&wait=go&head&echo")))
    thread.start()
    host.wait_mark("up", 1)
    for _ in range(2):
        got = ask("rogue")
        assert got.status == 503 and b"spool = 2 MiB" in got.body, got
    assert ask("other").body == body
    eventually(lambda: spooled() == len(body), "only one is left")
    assert host.status()["tenants"]["rogue"]["body_spool"] == len(body)
    text = host.ctl("status").stdout.decode().split()
    assert text[text.index("body_spool") + 1] == str(len(body))
    host.data("go").touch()
    thread.join()
    assert results[0].body == body
    assert ask("rogue").body == body
    eventually(lambda: spooled() == 0, "nothing is left")
    told = host.ctl("faults", "rogue").stdout.decode()
    assert "2 requests of rogue came while bodies of other requests had all " \
        "the disk of spool = 2 MiB" in " ".join(told.split())
    assert "spool" not in host.ctl("faults", "other").stdout.decode()


@pytest.mark.parametrize("bytes_sent", [5, 50_000, 5_000_000])
def test_a_stream_waits_for_its_function_to_be_found(host, bytes_sent):
    """The body is there before anybody knows where it goes."""
    name = f"found{bytes_sent}"
    host.function("rogue", name,
                  conf='body = "stream"; limits = { time = "5s"; };')
    got = host.rogue("readsome=5&head&out=all", name=name, method="POST",
                     body=b"x" * bytes_sent)
    assert got.status == 200, got
