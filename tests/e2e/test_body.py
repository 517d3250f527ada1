# SPDX-License-Identifier: MIT
"""Bodies of any size, both ways, in constant memory. If one of these fails, one
large upload takes the host down."""
import hashlib
import socket
import threading

import pytest

from host import FLAVOUR, count, descriptors, memory_kib

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


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_a_gigabyte_through_echo(new_host, kind):
    host = new_host('limits = { body = "2GiB"; time = "120s"; };')
    host.function("rogue", "echo", conf=f'body = "{kind}";')
    prefix = "stream" if kind == "stream" else "fn"
    target = f"/{prefix}/rogue/echo?head&echo"
    assert echo(host, target, 1 << 20) == (200, 1 << 20, True)
    gateway = host.gateway
    before, open_before = memory_kib(gateway), descriptors(gateway)
    status, received, same = echo(host, target, SIZE)
    assert (status, received, same) == (200, SIZE, True)
    if FLAVOUR != "asan":
        assert memory_kib(gateway, "VmHWM") < before + 2048
    assert descriptors(gateway) <= open_before + 1
    assert not list((host.run / "spool").iterdir())


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
