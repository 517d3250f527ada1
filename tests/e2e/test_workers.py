# SPDX-License-Identifier: MIT
"""Workers that do what a FastCGI program must not do, or end when it suits them
least. The client of that very request gets a complete answer, or one that is
visibly broken off; nothing runs twice; the next request does not notice. If one
of these fails, one bad program is an outage, or a client reads what was meant for
another."""
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fastcgi import KEEP_CONN, Connection, request
from host import (FLAVOUR, IS_ROOT, TORTURE, Broken, Host, alive, count,
                  eventually, memory_kib)

WORKERS = Path(__file__).parent / "workers"
WORKER = WORKERS / "worker.py"
CONF = """
drain = "5s";
limits = { grace = "200ms"; warm = "1h"; };
"""
WARM = 'protocol = "fastcgi"; '
FINE = "head&out=fine"


class Workers:
    """A host whose functions are workers; each test has a function of its own."""

    def __init__(self, host):
        self.host = host

    def add(self, name, conf="", **env):
        """env: of its process, in which WORKER is what it does first."""
        env = " ".join(f'{key} = "{value}";' for key, value in env.items())
        self.host.function("rogue", name, WORKER,
                           conf=f"{WARM}{conf} env = {{ {env} }};")
        self.name = name

    def get(self, steps, method="GET", body=None, **more):
        return self.host.get(f"/fn/rogue/{self.name}?{steps}", method, body,
                             **more)

    def outcome(self, steps, **more):
        """The status of a complete answer, or "broken"."""
        try:
            return self.get(steps, **more).status
        except Broken:
            return "broken"

    def fine(self, times=2):
        for _ in range(times):
            got = self.get(FINE)
            assert (got.status, got.text) == (200, "fine"), got

    def pids(self):
        """Processes of this function, by the name of their program."""
        found = []
        for pid in self.host.running():
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if self.name.encode() in command:
                found.append(pid)
        return found

    def open(self, gate):
        self.host.data(gate).touch()


@pytest.fixture(scope="module")
def warm():
    with Host(CONF) as host:
        yield Workers(host)


@pytest.fixture
def workers(warm, request):
    """Afterwards everything is as it was: the same gateway, without a word of a
    failed assertion, and its descriptors."""
    host = warm.host
    gateway = host.gateway
    warm.name = None
    yield warm
    for path in host.data("").glob("*"):
        path.unlink()
    if warm.name:
        (host.tenant("rogue") / f"{warm.name}.conf").unlink(missing_ok=True)
        (host.tenant("rogue") / warm.name).unlink(missing_ok=True)
        # a name that is gone has no workers
        eventually(lambda: host.get(f"/fn/rogue/{warm.name}").status == 404
                   and not warm.pids() or None,
                   f"the workers of {warm.name} to be gone")
    assert host.gateway == gateway
    host.check_errors()


@pytest.fixture(scope="module")
def program():
    """workers/program.c, of libfcgi."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "program"
        subprocess.run(["gcc", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra",
                        "-Werror", "-o", path,
                        WORKERS / "program.c", "-lfcgi"], check=True)
        yield path


# ---- what it sends ------------------------------------------------------------

LONG = "n" * 3000

REPLIES = [
    ("nothing but what is asked", FINE, 200, b"fine"),
    ("no end of stdout before END_REQUEST", FINE + "&end", 200, b"fine"),
    ("two ends of stdout", FINE + "&outend&outend&end", 200, b"fine"),
    ("an end of stderr that it never used", FINE + "&errend&outend&end", 200,
     b"fine"),
    ("records of one byte", f"size=1&head&out={LONG}", 200, LONG.encode()),
    ("one byte at a time, headers of records too",
     "dribble&head&out=" + LONG, 200, LONG.encode()),
    ("one byte at a time, each with 255 of padding",
     f"size=1&padding=255&dribble&head&out={LONG[:300]}", 200,
     LONG[:300].encode()),
    ("65535 bytes with 255 of padding",
     "size=65535&padding=255&head&fill=1000000", 200, b"x" * 1000000),
    ("a header in pieces",
     "out=Content-Ty&err=x&out=pe:+text/plain%0d&out=%0a%0d&out=%0afine",
     200, b"fine"),
    ("two END_REQUESTs", FINE + "&end&end", 200, b"fine"),
    ("a second reply behind the first", FINE + "&end&head&out=evil&end", 200,
     b"fine"),
    ("bytes behind END_REQUEST", FINE + "&end&bytes=" + "junk" * 100, 200,
     b"fine"),
    ("a cut record behind END_REQUEST", FINE + "&end&bytes=%01", 200, b"fine"),
    ("END_REQUEST of another id on the way",
     "head&id=2&end=9&id=1&out=fine&outend&end", 200, b"fine"),
    ("stdout of another id on the way",
     "head&id=2&out=evil&id=257&out=evil&id=1&out=fine", 200, b"fine"),
    ("management records on the way",
     "head&id=0&type=10&type=11&id=1&out=fine", 200, b"fine"),
    ("another exit status", FINE + "&outend&end=7", 200, b"fine"),
    ("another version", "version=2&head&out=evil", 502, None),
    ("plain CGI instead of records",
     "bytes=Content-Type:+text/plain%0a%0aevil&noend", 502, None),
    ("a record that a web server sends", "type=1", 502, None),
    ("a type of record that does not exist", "type=99", 502, None),
    ("an END_REQUEST of 7 bytes", "short=7", 502, None),
    ("an END_REQUEST of 9 bytes", "short=9", 502, None),
    ("END_REQUEST at once", "end", 502, None),
    ("an end of stdout at once", "outend&end", 502, None),
    ("all of it for another id, then the end of the connection",
     "id=2&head&out=evil&outend&end&close", 502, None),
    ("half a header, then END_REQUEST", "out=Content-Ty&end", 502, None),
    ("END_REQUEST: no more than one request of a connection", "end=0:1", 502,
     None),
    ("END_REQUEST: overloaded", "end=0:2", 503, None),
    ("END_REQUEST: unknown role", "end=0:3", 502, None),
    ("END_REQUEST with a status that does not exist", "end=0:77", 502, None),
    ("its connection closed at once", "close", 502, None),
    ("its connection closed behind half a record",
     "bytes=%01%06%00%01%00%50%00%00Content&close", 502, None),
    ("its side of the connection closed", "half", 502, None),
]


@pytest.mark.parametrize("steps,status,body", [row[1:] for row in REPLIES],
                         ids=[row[0] for row in REPLIES])
def test_sends(workers, steps, status, body):
    workers.add("sends")
    workers.fine(1)
    got = workers.get("mark=ran&" + steps)
    assert got.status == status, got
    if body is not None:
        assert got.body == body
    else:
        assert got.header("Content-Type") == "application/problem+json"
        assert b"evil" not in got.body
        # what may have run is not to be repeated
        assert bool(got.header("Retry-After")) == (status == 503)
    assert len(workers.host.marks("ran")) == 1
    workers.fine()


BROKEN = [
    ("its connection closed in the body", "head&out=half&close"),
    ("its connection closed behind the end of stdout, without END_REQUEST",
     "head&out=half&outend&close"),
    ("its end in the body", "head&out=half&exit=3"),
    ("SIGKILL in the body", "head&out=half&kill=KILL"),
    ("SIGSEGV in the body", "head&out=half&kill=SEGV"),
    ("another version in the body", "head&out=half&version=2&out=evil"),
    ("stdout behind its end", "head&out=half&outend&out=evil&end"),
    ("END_REQUEST of 7 bytes behind the body", "head&out=half&short=7"),
    ("a type that does not exist in the body", "head&out=half&type=99"),
]


@pytest.mark.parametrize("steps", [row[1] for row in BROKEN],
                         ids=[row[0] for row in BROKEN])
def test_half_a_reply_is_seen_to_be_one(workers, steps):
    """At the front socket, where a broken reply is no END_REQUEST; nginx may
    have nothing of it yet, and answers 502 then."""
    workers.add("half")
    workers.fine(1)
    with Connection(workers.host.front) as c:
        try:
            got = c.ask("/fn/rogue/half?mark=ran&" + steps)
            assert not got.complete or got.status == 502, got
            assert b"evil" not in got.stdout
        except ConnectionResetError:
            pass
    assert len(workers.host.marks("ran")) == 1
    assert workers.outcome("mark=again&" + steps) in (502, "broken")
    assert len(workers.host.marks("again")) == 1
    workers.fine()


def test_another_id_for_ever(workers):
    """It is told, and not listened to for ever."""
    workers.add("floods", conf='limits = { time = "5s"; };')
    workers.fine(1)
    began = time.monotonic()
    got = workers.get("id=2&head&fill=100000000&hang")
    assert got.status == 502 and "other requests" in got.text, got
    assert time.monotonic() - began < 5
    workers.fine()


# ---- when it ends ---------------------------------------------------------------

@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("end", ["kill=KILL", "kill=SEGV", "exit=0", "exit=3",
                                 "close", "fd2=why&exit=1"])
@pytest.mark.parametrize("proved", [False, True], ids=["first", "later"])
def test_a_side_effect_is_not_repeated(workers, method, end, proved):
    workers.add("dies")
    if proved:
        workers.fine(1)
    got = workers.get(f"mark=ran&{end}", method,
                      b"body" if method == "POST" else None)
    assert got.status == 502, got
    assert len(workers.host.marks("ran")) == 1
    workers.fine()


def test_dies_in_the_header(workers):
    workers.add("header")
    got = workers.get("out=Content-Type:+text/plain%0d%0a&kill=KILL")
    assert got.status == 502 and "KILL" in got.text, got
    workers.fine()


@pytest.mark.skipif(not IS_ROOT, reason="only root may signal functions")
def test_killed_between_two_requests(workers):
    workers.add("killed")
    workers.fine(1)
    for _ in range(count(5, 100)):
        worker, = workers.pids()
        os.kill(worker, signal.SIGKILL)
        # before that it may accept once more, though it never reads
        eventually(lambda: not alive(worker), "the worker to be dead")
        workers.fine(1)


@pytest.mark.skipif(not IS_ROOT, reason="only root may signal functions")
def test_killed_in_a_request(workers):
    workers.add("killed")
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(workers.get, "mark=ran&hold=never")
        workers.host.wait_mark("ran")
        for pid in workers.pids():
            os.kill(pid, signal.SIGKILL)
        got = asked.result()
    assert got.status == 502 and "KILL" in got.text, got
    assert len(workers.host.marks("ran")) == 1
    workers.fine()


@pytest.mark.skipif(not IS_ROOT, reason="only root may signal functions")
def test_stopped_between_two_requests(workers):
    """The request goes on elsewhere, and the stopped one does not stay."""
    workers.add("stopped", conf='limits = { time = "2s"; };')
    workers.fine(1)
    stopped, = workers.pids()
    os.kill(stopped, signal.SIGSTOP)
    workers.fine(1)
    eventually(lambda: not alive(stopped), "the stopped worker to be gone")
    workers.fine(1)


@pytest.mark.skipif(not IS_ROOT, reason="only root may signal functions")
def test_stopped_in_a_request(workers):
    workers.add("stopped", conf='limits = { time = "1s"; };')
    workers.fine(1)
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(workers.get, "mark=ran&hold=never")
        workers.host.wait_mark("ran")
        for pid in workers.pids():
            os.kill(pid, signal.SIGSTOP)
        asked.result().problem(504, "time", "limits.time = 1 s")
    assert len(workers.host.marks("ran")) == 1
    workers.fine()


def load(workers, target, clients, number, right):
    """So many requests from so many clients at once: a Counter of what was not
    right, and how long they took."""
    left, wrong, lock = [number], Counter(), threading.Lock()

    def ask():
        while True:
            with lock:
                if left[0] == 0:
                    return
                left[0] -= 1
            try:
                got = workers.host.get(target)
                if got.status != 200 or not right(got):
                    wrong[(got.status, got.text[:300])] += 1
            except (OSError, Broken) as error:
                wrong[repr(error)] += 1
    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


def test_ends_by_itself_right_behind_a_request(workers, program):
    """As PHP_FCGI_MAX_REQUESTS does: not one request is lost, of 32 clients."""
    host = workers.host
    workers.name = "limited"
    host.function("rogue", "limited", program, conf=WARM + """
        concurrency = 4; env = { PROGRAM_REQUESTS = "7"; };""")
    assert load(workers, "/fn/rogue/limited?x", 32, count(5000, 50000),
                lambda got: got.text.startswith("nobody x read 0 ")) == {}


def test_ends_at_each_request(workers):
    workers.add("single")
    pids = {workers.get("head&pid&outend&end&last").text
            for _ in range(count(10, 200))}
    assert len(pids) == count(10, 200)


# ---- its listener ------------------------------------------------------------

@pytest.mark.parametrize("step", ["closed&hang", "deaf&hang", "hang"])
def test_accepts_no_more(workers, step):
    """It has answered, and then it only sits there."""
    workers.add("sits", conf='limits = { time = "2s"; };')
    got = workers.get(f"{FINE}&outend&end&{step}")
    assert got.text == "fine"
    sits = workers.pids()
    workers.fine()
    eventually(lambda: not any(map(alive, sits)), "it to be gone")


@pytest.mark.parametrize("step", ["closed", "deaf"])
def test_ends_without_its_listener(workers, step):
    workers.add("ends")
    for _ in range(count(3, 50)):
        assert workers.get(f"{FINE}&outend&end&{step}").text == "fine"
    workers.fine()


def test_work_behind_the_end_harms_nobody(workers):
    """Done by the worker that has answered, while others go on; and it is let to
    finish."""
    workers.add("works")
    got = workers.get(f"{FINE}&outend&end&hold=gate&mark=worked")
    assert got.text == "fine"
    workers.fine()
    workers.open("gate")
    workers.host.wait_mark("worked")
    workers.fine()


@pytest.mark.parametrize("returns", [True, False])
def test_a_program_that_lingers(workers, program, returns):
    """Its connection was kept, and the next request is sent there before anybody
    can know: that waits until the work is done, or has taken too long."""
    workers.name = "lingers"
    workers.host.function("rogue", "lingers", program, conf=WARM
                          + 'limits = { time = "2s"; };')
    ask = lambda: workers.get("x")      # noqa: E731
    assert ask().status == 200
    assert workers.get("linger").status == 200
    workers.host.wait_mark("lingers")
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(ask)
        if returns:
            workers.open("gate")
            workers.host.wait_mark("lingered")
        assert asked.result().status == 200
    workers.open("gate")
    for _ in range(3):
        assert ask().status == 200


def test_a_kept_connection_is_closed_as_a_request_comes(workers):
    """By a worker that lives: nothing was read, so another gets it, or the same
    anew; and it is not asked like that again."""
    workers.add("spurns")

    def kept(more=""):
        return workers.get(f"{FINE}&keep&outend&end{more}")
    for _ in range(3):      # as many as it takes to trust it
        assert kept().status == 200
        since(time.monotonic(), 0.05)
    assert kept("&spurn").status == 200
    for turn in range(3):
        got = workers.get(f"mark=ran{turn}&{FINE}")
        assert got.status == 200, got
        assert len(workers.host.marks(f"ran{turn}")) == 1
    assert len(workers.pids()) == 1


def since(began, seconds):
    eventually(lambda: time.monotonic() > began + seconds)


def test_a_slow_request_costs_no_worker(workers):
    """It leaves something unread while it works, as PHP does, and is not taken
    for one that does not accept."""
    workers.add("slow", conf='limits = { start = "500ms"; };')
    pids = set()
    with ThreadPoolExecutor() as pool:
        for turn in "first", "later":
            asked = pool.submit(workers.get,
                                f"mark={turn}&hold=gate-{turn}&head&pid")
            workers.host.wait_mark(turn)
            since(time.monotonic(), 1.3)
            workers.open(f"gate-{turn}")
            got = asked.result()
            assert got.status == 200, got
            pids.add(got.text)
    pids.add(workers.get("head&pid").text)
    assert len(pids) == 1


def test_children_hold_the_listener(workers):
    """They end with the worker, whoever of them waits in accept()."""
    workers.add("family")
    got = workers.get(f"{FINE}&family=child&outend&end&last")
    assert got.text == "fine"
    child, = workers.host.wait_mark("child") and workers.host.marks("child")
    workers.fine()
    eventually(lambda: not workers.host.data("").exists() or
               len(workers.pids()) <= 1, "the child to be gone")


# ---- when it begins --------------------------------------------------------------

def test_accepts_and_never_answers(workers):
    workers.add("silent", conf='limits = { time = "500ms"; };')
    workers.fine(1)
    workers.get("hang").problem(504, "time", "limits.time = 500 ms")
    workers.fine()


def test_never_accepts(workers):
    workers.add("deaf", WORKER="hang",
                conf='limits = { start = "500ms"; time = "5s"; };')
    workers.get(FINE).problem(504, "start-time", "limits.start = 500 ms")
    eventually(lambda: not workers.pids(), "it to be gone")


def test_is_slow_to_start(workers):
    """A request's time is not what its worker needs to begin."""
    workers.add("slow", WORKER="mark=began&hold=gate",
                conf='limits = { start = "10s"; time = "300ms"; };')
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(workers.get, FINE)
        workers.host.wait_mark("began")
        since(time.monotonic(), 0.5)
        workers.open("gate")
        assert asked.result().text == "fine"


def test_ends_before_it_accepts(workers):
    """It is said why, and not tried for every request."""
    workers.add("stillborn", WORKER="mark=began&fd2=no+database&exit=3",
                conf='limits = { queue = "1s"; };')
    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda _: workers.get(FINE), range(32)))
    for one in got:
        assert one.status in (502, 503), one
        assert one.status == 502 or one.header("Retry-After"), one
    assert any("exit" in one.text and "3" in one.text for one in got), got[0]
    assert len(workers.host.marks("began")) <= 20
    workers.host.wait_log("rogue", "no database")


def test_a_file_that_cannot_run(workers):
    workers.name = "text"
    workers.host.function("rogue", "text", "#!/no/such/program\n", conf=WARM)
    got = workers.get("")
    assert got.status in (502, 503) and "/no/such/program" in got.text, got


# ---- bodies ---------------------------------------------------------------------

LARGE = 32 << 20


@pytest.mark.parametrize("bytes_", [1, 65536, 1 << 20, LARGE])
def test_a_body_that_nobody_reads(workers, bytes_):
    workers.add("ignores")
    for _ in range(2):
        got = workers.get("head&out=fine", "POST", b"b" * bytes_)
        assert got.text == "fine"
    workers.fine()


def test_an_answer_before_the_body_is_read(workers):
    workers.add("early")
    body = os.urandom(LARGE)
    got = workers.get("head&fill=5000000&echo", "POST", body)
    assert got.body == b"x" * 5000000 + body
    workers.fine()


def test_half_of_a_body_is_read(workers):
    workers.add("halfway")
    got = workers.get("head&readsome=1000000&out=fine", "POST", b"b" * LARGE)
    assert got.text == "fine"
    workers.fine()


@pytest.mark.parametrize("bytes_", [0, 1, 300_000, 3_000_000])
def test_a_chunked_upload_has_a_length(workers, bytes_):
    workers.add("chunks")
    body = os.urandom(bytes_)
    connection = workers.host.http()
    connection.request("POST", "/fn/rogue/chunks?head&param=CONTENT_LENGTH"
                       "&out=:&echo",
                       (body[at:at + 7000] for at in range(0, bytes_, 7000)),
                       {"Transfer-Encoding": "chunked"}, encode_chunked=True)
    got = connection.getresponse()
    assert got.read() == (b"%d:" % bytes_ if bytes_ else b"(none):") + body
    connection.close()
    workers.fine()


def test_a_reply_of_any_size_takes_no_memory(workers):
    """The client does not read: the worker waits, not the gateway's memory."""
    host, size = workers.host, count(256 << 20, 1 << 30)
    workers.add("pours", conf='limits = { time = "60s"; };')
    workers.fine(1)
    # what is freed stays for a while with AddressSanitizer
    most = memory_kib(host.gateway) \
        + (16 if FLAVOUR != "asan" else 320) * 1024
    with Connection(host.front, timeout=60) as c:
        c.send(request(f"/fn/rogue/pours?mark=began&head&fill={size}"
                       "&mark=poured"))
        host.wait_mark("began")
        got = 0
        while got < size:
            part = len(c.socket.recv(1 << 20))
            assert part > 0, got
            got += part
            if got < 64 << 20:      # slowly at first
                assert memory_kib(host.gateway) < most
        host.wait_mark("poured")
    assert memory_kib(host.gateway) < most
    workers.fine()


# ---- what it says elsewhere ------------------------------------------------------

def test_everything_it_says_is_in_the_log(workers):
    workers.add("talks", WORKER="fd2=at+the+start%0a")
    got = workers.get("fd1=on+one%0a&fd2=on+two%0a&err=a+record%0a&" + FINE
                      + "&err=another%0a")
    assert got.text == "fine"
    log = workers.host.tenant_log
    for words in ("at the start", "on one", "on two", "a record", "another"):
        eventually(lambda: words in log("rogue"), words)
    # what came in records is of a request
    told = workers.host.ctl("logs", "--call", got.request_id, "rogue").stdout
    assert b"a record" in told and b"another" in told


def test_much_on_stderr_holds_up_nobody(workers):
    workers.add("screams", conf='limits = { time = "20s"; };')
    got = workers.get("&".join(["err=" + "e" * 500] * 4) + "&" + FINE)
    assert got.text == "fine"
    with ThreadPoolExecutor() as pool:
        pours = pool.submit(workers.get, "&".join(["fd2=" + "e" * 900] * 4)
                            + "&" + FINE)
        workers.fine()
        assert pours.result().text == "fine"


# ---- smuggling (hosting.md 7.1, 1) -------------------------------------------------

# What libfcgi reads at once. What it has of it when a request ends is dropped,
# what is still in the socket is not.
BUFFER = 8192


@pytest.fixture
def libfcgi(workers, program):
    workers.name = "libfcgi"
    workers.host.function("rogue", "libfcgi", program,
                          conf=WARM + "concurrency = 1;")
    yield workers
    users = workers.host.data("users")
    assert not users.exists() or "admin" not in users.read_text()


def started(got):
    """Bytes from BEGIN_REQUEST to the end of PARAMS, as its program saw them."""
    params = int(got.text.split()[-1])
    return 16 + 8 + (params + 7) // 8 * 8 + 8


@pytest.mark.parametrize("query", ["x", "read"])
def test_records_hidden_in_a_body(libfcgi, query):
    """At the very byte at which libfcgi would go on reading, and all round it."""
    hidden = request("/fn/rogue/libfcgi?hidden", flags=KEEP_CONN,
                     REMOTE_USER="admin", AUTH_TYPE="Basic")
    host, uri = libfcgi.host, f"/fn/rogue/libfcgi?{query}"
    with Connection(host.front) as c:
        def ask(body):
            got = c.ask(uri, body, flags=KEEP_CONN)
            read = len(body) if query == "read" else 0
            assert got.status == 200, got
            assert got.body.startswith(b"nobody %s read %d " % (query.encode(),
                                                                read)), got
            return got
        first = ask(b"b" * 10000)
        at = BUFFER - 8 - started(Text(first))
        rows = range(at - 24, at + 25) if not TORTURE else range(0, BUFFER + 9)
        for offset in rows:
            ask(b"\0" * offset + hidden * 3)
            ask(b"")
        for offset in 0, 65520, 65528, 65536, 1 << 20:
            ask(b"\0" * offset + hidden * 3)
            ask(b"")


class Text:
    """The body of a reply at the front socket."""

    def __init__(self, reply):
        self.text = reply.body.decode()


def test_a_header_of_any_size_leaves_nothing_behind(libfcgi):
    """A request's last record may not be what libfcgi leaves in the socket."""
    with Connection(libfcgi.host.front) as c:
        def ask(query, fill):
            got = c.ask(f"/fn/rogue/libfcgi?{query}", flags=KEEP_CONN,
                        HTTP_X_FILL="f" * fill)
            assert got.status == 200, got
            assert got.body.startswith(b"nobody %s read 0 "
                                       % query.encode()), got
            return got
        size = started(Text(ask("a", 200))) - 200
        for whole in BUFFER, 2 * BUFFER:
            for fill in range(whole - size - 40, whole - size + 24):
                ask("a", fill)
                ask("b", 1)
