# SPDX-License-Identifier: MIT
"""The front as a FastCGI application, point by point (F), by a client that
breaks every rule, and by libfcgi's own. If one of these fails, some web server
or attacker has the gateway read a request nobody sent."""
import shutil
import subprocess

import pytest

import fastcgi
from fastcgi import (ABORT, BEGIN, CANT_MPX_CONN, DATA, END, GET_VALUES,
                     GET_VALUES_RESULT, KEEP_CONN, PARAMS, REQUEST_COMPLETE,
                     STDIN, STDOUT, UNKNOWN_ROLE, UNKNOWN_TYPE, Connection,
                     begin, pairs, record, request, stream, target)
from host import descriptors, eventually

HELLO = "/fn/rogue/rogue?mark=ran&head&out=hello"


@pytest.fixture
def front(host):
    with Connection(host.front) as connection:
        yield connection


def works(host):
    """The host still answers, on another connection."""
    return host.ask("/fn/rogue/rogue?head&out=alive").body == b"alive"


def params(uri=HELLO, number=1, **more):
    return stream(PARAMS, number, pairs(target(uri, **more)))


# ---- records ----------------------------------------------------------------

def test_F1_split_at_every_byte(host, front):
    for byte in request(HELLO, b"body", flags=KEEP_CONN):
        front.send(bytes([byte]))
    assert front.reply().body == b"hello"
    whole = request(HELLO, b"body", flags=KEEP_CONN)
    for at in range(1, len(whole), 7):
        front.send(whole[:at])
        front.send(whole[at:])
        assert front.reply().body == b"hello"


@pytest.mark.parametrize("padding", [1, 7, 255])
def test_F1_padding_is_skipped(host, front, padding):
    content = pairs(target("/fn/rogue/rogue?head&echo", "POST",
                           CONTENT_LENGTH=4))
    front.send(record(BEGIN, 1, b"\0\1\0\0\0\0\0\0", padding),
               record(PARAMS, 1, content, padding),
               record(PARAMS, 1, b"", padding),
               record(STDIN, 1, b"bo", padding),
               record(STDIN, 1, b"dy", padding),
               record(STDIN, 1, b"", padding))
    assert front.reply().body == b"body"


def test_F1_largest_record(host, front):
    body = b"z" * 65535
    front.send(begin(), params("/fn/rogue/rogue?head&echo", method="POST",
                               CONTENT_LENGTH=65535),
               record(STDIN, 1, body, 255), record(STDIN, 1))
    assert front.reply().body == body


def test_F1_reserved_byte_is_ignored(host, front):
    data = bytearray(request(HELLO))
    data[7] = 0xff
    front.send(bytes(data))
    assert front.reply().body == b"hello"


@pytest.mark.parametrize("version", [0, 2, 255])
def test_F2_another_version_ends_the_connection(host, front, version):
    front.send(record(BEGIN, 1, b"\0\1\0\0\0\0\0\0", version=version),
               params(), record(STDIN, 1))
    assert front.closed()
    assert host.marks("ran") == []
    assert works(host)


@pytest.mark.parametrize("content, number", [
    (b"", 1), (b"\0\1\0\0\0\0\0", 1), (b"\0\1\0\0\0\0\0\0\0", 1),
    (b"\0\1\0\0\0\0\0\0", 0)])
def test_F3_begin_is_eight_bytes_for_a_request(host, front, content, number):
    front.send(record(BEGIN, number, content), params(), record(STDIN, 1))
    front.socket.shutdown(1)
    while front.record():
        pass
    assert host.marks("ran") == []
    assert works(host)


def test_F3_other_flags_are_ignored(host, front):
    for _ in range(2):
        front.send(request(HELLO, flags=0xff))
        assert front.reply().body == b"hello"


@pytest.mark.parametrize("role", [0, fastcgi.AUTHORIZER, fastcgi.FILTER, 77])
def test_F4_other_roles(host, front, role):
    front.send(begin(1, role, KEEP_CONN), params(), record(STDIN, 1))
    got = front.reply()
    assert got.protocol_status == UNKNOWN_ROLE
    assert host.marks("ran") == []
    assert front.ask(HELLO).body == b"hello"


def test_F5_begin_of_an_active_request(host, front):
    front.send(begin(flags=KEEP_CONN), begin(flags=KEEP_CONN), params(),
               record(STDIN, 1))
    front.socket.shutdown(1)
    while front.record():
        pass
    assert len(host.marks("ran")) <= 1
    assert works(host)


def test_F5_two_requests_at_once(host, front):
    front.send(begin(1, flags=KEEP_CONN), params(
        "/fn/rogue/rogue?wait=go&head&out=one"), record(STDIN, 1),
        request("/fn/rogue/rogue?head&out=two", number=2, flags=KEEP_CONN))
    kind, number, content = front.record()
    if kind == END:
        assert (number, content[4]) == (2, CANT_MPX_CONN)
    else:
        assert number == 2
        while kind != END:
            kind, number, content = front.record()
    host.data("go").touch()
    assert front.reply(1).body == b"one"


def test_F6_records_of_no_request_are_ignored(host, front):
    front.send(record(STDIN, 9, b"x"), record(ABORT, 9),
               record(PARAMS, 9, b"x"), request(HELLO, flags=KEEP_CONN),
               record(STDIN, 1, b"late"))
    assert front.reply().body == b"hello"
    front.send(record(ABORT, 1), record(STDIN, 1))
    assert front.ask(HELLO).body == b"hello"


# ---- parameters -------------------------------------------------------------

def test_F7_one_byte_a_record(host, front):
    content = pairs(target("/fn/rogue/rogue?head&env=HTTP_X", HTTP_X="y" * 300))
    front.send(begin(), stream(PARAMS, 1, content, 1), record(STDIN, 1))
    assert front.reply().body == b"y" * 300


def test_F7_lengths_in_both_forms(host, front):
    content = b"".join(
        fastcgi.pair(name, value, long_form=True) for name, value in
        target("/fn/rogue/rogue?head&env=HTTP_X", HTTP_X="short").items())
    front.send(begin(), stream(PARAMS, 1, content), record(STDIN, 1))
    assert front.reply().body == b"short"


@pytest.mark.parametrize("size", [126, 127, 128, 255, 256, 20_000])
def test_F7_length_borders(host, front, size):
    name = "HTTP_" + "N" * (min(size, 500) - 5)
    got = front.ask(f"/fn/rogue/rogue?head&env={name}", **{name: "v" * size})
    assert got.body == b"v" * size


@pytest.mark.parametrize("how", ["eof", "abort", "half", "half eof", "huge"])
def test_F7_parameters_cut_short_run_nothing(host, front, how):
    content = pairs(target(HELLO))
    front.send(begin())
    if how == "eof":
        front.send(record(PARAMS, 1, content))
    elif how == "abort":
        front.send(record(PARAMS, 1, content), record(ABORT, 1))
    elif how == "huge":
        front.send(record(PARAMS, 1, content + b"\xff\xff\xff\xff\xff\xff\xff"
                          b"\xffx"), record(PARAMS, 1), record(STDIN, 1))
    else:
        front.send(record(PARAMS, 1, content + fastcgi.pair("AB", "CD")[:-1]))
        if how == "half":
            front.send(record(PARAMS, 1), record(STDIN, 1))
    front.socket.shutdown(1)
    got = front.reply()
    assert not got.stdout or got.status == 400
    assert host.marks("ran") == []
    assert works(host)


def test_F7_total_is_bounded(host, front):
    content = pairs({f"HTTP_N{i}": "v" * 1000 for i in range(1000)})
    front.send(begin(), params()[:-8])
    try:
        front.send(stream(PARAMS, 1, content), record(STDIN, 1))
        got = front.reply()
        assert not got.stdout or got.status in (400, 431)
    except OSError:
        pass
    assert host.marks("ran") == []
    assert works(host)


# ---- bodies -----------------------------------------------------------------

@pytest.mark.parametrize("sent", [b"", b"123456789"])
def test_F8_early_end_runs_nothing(host, front, sent):
    front.send(begin(), params(HELLO, method="POST", CONTENT_LENGTH=10),
               stream(STDIN, 1, sent))
    assert front.reply().status == 400
    assert host.marks("ran") == []


def test_F8_excess_is_dropped(host, front):
    front.send(begin(flags=KEEP_CONN),
               params("/fn/rogue/rogue?head&echo", method="POST",
                      CONTENT_LENGTH=4),
               stream(STDIN, 1, b"bodyEXCESS"))
    assert front.reply().body == b"body"
    assert front.ask(HELLO).body == b"hello"


def test_F8_second_end_and_data_are_ignored(host, front):
    front.send(begin(flags=KEEP_CONN),
               params("/fn/rogue/rogue?head&echo", method="POST",
                      CONTENT_LENGTH=4),
               record(DATA, 1, b"data"), record(DATA, 1),
               stream(STDIN, 1, b"body"), record(STDIN, 1), record(STDIN, 1))
    assert front.reply().body == b"body"
    assert front.ask(HELLO).body == b"hello"


def test_F8_many_small_records(host, front):
    body = bytes(range(250)) * 80
    front.send(begin(), params("/fn/rogue/rogue?head&echo", method="POST",
                               CONTENT_LENGTH=len(body)),
               stream(STDIN, 1, body, 1))
    assert front.reply().body == body


# ---- management -------------------------------------------------------------

def values(front, content):
    front.send(record(GET_VALUES, 0, content))
    kind, number, content = front.record()
    assert (kind, number) == (GET_VALUES_RESULT, 0)
    return fastcgi.parse_pairs(content)


def test_F9_get_values(host, front):
    asked = ["FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"]
    got = values(front, pairs({name: "" for name in asked + ["OTHER"]}))
    assert sorted(got) == asked
    assert int(got["FCGI_MAX_CONNS"]) > 0 and int(got["FCGI_MAX_REQS"]) > 0
    assert got["FCGI_MPXS_CONNS"] in "01"
    assert values(front, b"") == {}
    front.send(begin(flags=KEEP_CONN))
    assert len(values(front, pairs({asked[0]: ""}))) == 1
    front.send(params(), record(STDIN, 1))
    assert front.reply().body == b"hello"


@pytest.mark.parametrize("kind", [12, 77, 255])
def test_F10_unknown_types(host, front, kind):
    front.send(record(kind, 0, b"whatever"))
    got, number, content = front.record()
    assert (got, number, content[0]) == (UNKNOWN_TYPE, 0, kind)
    front.send(record(kind, 1, b"whatever"), begin(flags=KEEP_CONN),
               record(kind, 1, b"whatever"), params(), record(STDIN, 1))
    assert front.reply().body == b"hello"


def test_F11_abort(host, front):
    for steps in ("mark=up&forever", "mark=up&head&out=x&ignore=TERM&forever"):
        front.send(request(f"/fn/rogue/rogue?{steps}", flags=KEEP_CONN))
        host.wait_mark("up")
        front.send(record(ABORT, 1))
        got = front.reply()
        assert got.protocol_status == REQUEST_COMPLETE
        host.quiet()
        host.data("up").unlink()
        assert front.ask(HELLO, flags=KEEP_CONN).body == b"hello"


def test_F11_abort_before_the_end_of_the_body(host, front):
    front.send(begin(flags=KEEP_CONN),
               params(HELLO, method="POST", CONTENT_LENGTH=10),
               record(STDIN, 1, b"12345"), record(ABORT, 1))
    assert front.reply().protocol_status == REQUEST_COMPLETE
    assert host.marks("ran") == []
    assert front.ask(HELLO).body == b"hello"


@pytest.mark.parametrize("steps, status", [
    ("head&out=x", 0), ("head&exit=7", 7), ("head&exit=255", 255),
    ("head&out=x&err=y", 0), ("exit=9", 9), ("signal=KILL", 137)])
def test_F12_end(host, front, steps, status):
    front.send(request(f"/fn/rogue/rogue?{steps}", flags=KEEP_CONN))
    got = front.reply()
    assert got.ends == [STDOUT]
    assert (got.app_status, got.protocol_status) == (status, REQUEST_COMPLETE)
    assert got.stderr == b""        # it is the tenant's, not the web server's
    assert front.ask(HELLO).body == b"hello"     # and exactly one END came


def test_F13_no_capacity_is_a_document(host, front):
    host.function("rogue", "off", conf="concurrency = 0;")
    got = front.ask("/fn/rogue/off?head")
    assert (got.status, got.protocol_status) == (503, REQUEST_COMPLETE)


def test_F14_who_closes(host, front):
    assert front.ask(HELLO).body == b"hello"
    assert front.closed()
    with Connection(host.front) as kept:
        for _ in range(20):
            assert kept.ask(HELLO, flags=KEEP_CONN).body == b"hello"
        assert kept.ask("/fn/rogue/rogue?exit=1", flags=KEEP_CONN).status == 502
        assert kept.ask(HELLO).body == b"hello"
        assert kept.closed()


def test_F15_records_are_whole_and_aligned(host, front):
    front.send(request("/fn/rogue/rogue?head&fill=300000"))
    total = 0
    while (one := front.record())[0] != END:
        assert len(one[2]) <= 65528
        total += len(one[2])
    assert total > 300_000


def test_F16_a_closed_connection_is_an_abort(host):
    with Connection(host.front) as connection:
        connection.send(request("/fn/rogue/rogue?mark=up&forever"))
        host.wait_mark("up")
    host.quiet()


def test_F16_half_closed_is_not(host, front):
    front.send(request("/fn/rogue/rogue?mark=up&wait=go&head&out=late"))
    front.socket.shutdown(1)
    host.wait_mark("up")
    host.data("go").touch()
    assert front.reply().body == b"late"


def test_F17_pipelined(host, front):
    front.send(*(request(f"/fn/rogue/rogue?head&out={i}", flags=KEEP_CONN)
                 for i in range(10)))
    got = [front.reply() for _ in range(10)]
    bodies = [reply.body for reply in got if reply.stdout]
    assert bodies == [str(i).encode() for i in range(len(bodies))]
    assert len(bodies) == 10 or got[-1].protocol_status == CANT_MPX_CONN


def test_F18_a_body_that_does_not_come(host, front):
    host.function("rogue", "hasty", conf='limits = { upload = "300ms"; };')
    front.send(begin(), params("/fn/rogue/hasty?mark=ran&head", method="POST",
                               CONTENT_LENGTH=10), record(STDIN, 1, b"1"))
    got = front.reply()
    assert got.status == 408
    assert b"limits.upload" in got.body
    assert host.marks("ran") == []


def test_F18_a_client_that_does_not_read(host, front):
    front.send(request("/fn/rogue/rogue?mark=up&head&fill=60000000"))
    host.wait_mark("up")
    assert works(host)
    got = front.reply()
    assert len(got.body) == 60_000_000


def test_F18_silent_connections(host):
    gateway = host.gateway
    before = descriptors(gateway)
    idle = [Connection(host.front) for _ in range(200)]
    assert works(host)
    for connection in idle:
        connection.close()
    eventually(lambda: descriptors(gateway) <= before + 1,
               "idle connections to be closed")


def test_F19_what_a_function_starts_with(host):
    got = host.rogue("head&fds", method="POST", body=b"x")
    fds = {int(line.split()[0]): line for line in got.text.splitlines()}
    assert sorted(fds) == [0, 1, 2], got.text
    assert "socket" not in got.text
    assert "pipe" in fds[1] and "pipe" in fds[2]
    assert not int(fds[1].split()[1], 8) & 0o4000, "stdout is non-blocking"
    assert host.rogue("head&args").body == b"rogue\0"
    assert "/dev/null" in host.rogue("head&fds").text.splitlines()[0]


def test_F20_web_server_addresses_mean_nothing_here(host, front):
    got = front.ask("/fn/rogue/rogue?head&env",
                    FCGI_WEB_SERVER_ADDRS="192.0.2.1")
    assert b"FCGI_WEB_SERVER_ADDRS" not in got.body


# ---- libfcgi's own client ---------------------------------------------------

def cgi_fcgi(host, uri, body=b"", **more):
    program = shutil.which("cgi-fcgi")
    assert program, "package libfcgi-bin"
    env = {name: str(value) for name, value in target(uri, **more).items()}
    return subprocess.run([program, "-bind", "-connect", str(host.front)],
                          input=body, env=env, capture_output=True, timeout=30)


def test_libfcgi_gets_a_reply(host):
    done = cgi_fcgi(host, "/fn/rogue/rogue?head&out=hello&exit=3")
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    assert body == b"hello"
    assert b"Content-Type: text/plain" in head
    assert done.returncode == 3


def test_libfcgi_sends_a_body(host):
    body = bytes(range(256)) * 2000
    done = cgi_fcgi(host, "/fn/rogue/rogue?head&echo", body, method="POST",
                    CONTENT_LENGTH=len(body))
    assert done.stdout.partition(b"\r\n\r\n")[2] == body


def test_libfcgi_sees_what_we_see(host):
    done = cgi_fcgi(host, "/fn/rogue/rogue?head&env", HTTP_X="1")
    ours = host.parse_environment(host.ask("/fn/rogue/rogue?head&env",
                                           HTTP_X="1").body)
    theirs = host.parse_environment(done.stdout.partition(b"\r\n\r\n")[2])
    for name in ("FN_REQUEST_ID", "FN_DEADLINE_MS", "FN_TOKEN", "TRACEPARENT"):
        assert ours.pop(name) and theirs.pop(name)
    assert ours == theirs
