# SPDX-License-Identifier: MIT
"""One program, as it is: plain CGI, FastCGI under any web server, and worker of
the host. If one of these fails, an author's function does something else in one
of them than where it was tried."""
import contextlib
import json
import os
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
import requests

import fastcgi
from host import (NGINX, ROOT, Broken, Host, count, descriptors, eventually,
                  free_port, made, memory_kib, processes, seeded)

SDK = ROOT / "fcgi-host" / "sdk"
LIBRARY = ROOT / "build" / "release"

# What /WORD asks for is done; so one program serves all tests.
PROGRAM = r"""
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fn.h>

static int requests, made;

int
fn_init(int argc, char **argv)
{
	made = argc;
	if (argc > 1 && strcmp(argv[1], "fail") == 0)
		return 7;
	printf("init prints\n");
	return 0;
}

static int
echo(struct fn_request *q, struct fn_reply *r)
{
	char piece[10000];
	ptrdiff_t n;

	fn_reply_type(r, "application/octet-stream");
	while ((n = fn_request_read(q, piece, sizeof(piece))) > 0)
		if (fn_reply_write(r, piece, (size_t)n) != FN_OK)
			return 1;
	return n < 0;
}

static int
form(struct fn_request *q, struct fn_reply *r)
{
	enum fn_result result = fn_request_read_form(q, 100);

	fn_reply_printf(r, "%d %s %s", result,
	    fn_request_query(q, "a") ? fn_request_query(q, "a") : "none",
	    fn_request_form(q, "a") ? fn_request_form(q, "a") : "none");
	return 0;
}

static int
files(struct fn_request *q, struct fn_reply *r)
{
	const struct fn_pair *pairs;
	enum fn_result result = fn_request_read_form(q, 1000000);
	size_t count = fn_request_form_pairs(q, &pairs);

	fn_reply_printf(r, "%d\n", result);
	for (size_t i = 0; i < count; i++) {
		unsigned sum = 0;

		for (size_t b = 0; b < pairs[i].bytes; b++)
			sum = sum * 31 + (unsigned char)pairs[i].value[b];
		fn_reply_printf(r, "%s %s %s %zu %u\n", pairs[i].name,
		    pairs[i].file ? pairs[i].file : "-",
		    pairs[i].type ? pairs[i].type : "-", pairs[i].bytes, sum);
	}
	return 0;
}

static int
facts(struct fn_request *q, struct fn_reply *r)
{
	char byte;
	int64_t left = fn_request_ms_left(q);

	fn_reply_printf(r, "%s %s %s %s made=%d stdin=%d token=%d left=%s",
	    fn_request_method(q), fn_request_script(q), fn_request_path(q),
	    fn_request_address(q), made, (int)read(0, &byte, 1),
	    getenv("FN_TOKEN") != NULL,
	    left == INT64_MAX ? "none" : left > 0 && left < 60000 ? "some" :
	    "over");
	return 0;
}

static int
kept(struct fn_reply *r)
{
	int64_t number;

	if (fn_state_incr("number", 1, NULL, &number) != FN_OK)
		return fn_log("%s", fn_problem()), 1;
	fn_reply_printf(r, "%d", (int)number);
	return 0;
}

static int
much(struct fn_request *q, struct fn_reply *r)
{
	long bytes = atol(fn_request_query(q, "bytes"));
	static char piece[65536];

	memset(piece, 'x', sizeof(piece));
	for (; bytes > 0; bytes -= (long)sizeof(piece))
		if (fn_reply_write(r, piece, bytes < (long)sizeof(piece) ?
		    (size_t)bytes : sizeof(piece)) != FN_OK) {
			fn_log("nobody is there any more");
			return 1;
		}
	return 0;
}

int
fn_handle(struct fn_request *q, struct fn_reply *r)
{
	const char *path = fn_request_path(q);

	requests++;
	if (strcmp(path, "/echo") == 0)
		return echo(q, r);
	if (strcmp(path, "/form") == 0)
		return form(q, r);
	if (strcmp(path, "/files") == 0)
		return files(q, r);
	if (strcmp(path, "/kept") == 0)
		return kept(r);
	if (strcmp(path, "/much") == 0)
		return much(q, r);
	if (strcmp(path, "/pid") == 0)
		return fn_reply_printf(r, "%d", (int)getpid()), 0;
	if (strcmp(path, "/requests") == 0)
		return fn_reply_printf(r, "%d", requests), 0;
	if (strcmp(path, "/fail") == 0)
		return fn_reply_puts(r, "half"), 5;
	if (strcmp(path, "/fail-late") == 0) {
		fn_reply_puts(r, "half");
		fn_reply_flush(r);
		return 5;
	}
	if (strcmp(path, "/forged") == 0)
		return fn_reply_header(r, "X", "%s",
		    fn_request_query(q, "x")), 0;
	if (strcmp(path, "/moved") == 0)
		return fn_reply_redirect(r, 303, "/elsewhere"), 0;
	if (strcmp(path, "/log") == 0)
		return fn_log("a line of %s", "log"), 0;
	if (strcmp(path, "/printf") == 0)
		return printf("Status: 404\n\nby mistake\n"), 0;
	if (strcmp(path, "/crash") == 0)
		abort();
	if (strcmp(path, "/sleep") == 0)
		return sleep(30), 0;
	if (strcmp(path, "/burn") == 0)
		for (;;)
			;
	if (strcmp(path, "/listener") == 0)
		return system("ls -l /proc/self/fd | grep -c socket >&2"), 0;
	if (path[0])
		fn_reply_status(r, 404);
	return facts(q, r);
}
"""


def compiled(place, *command):
    source = place / "program.c"
    source.write_text(PROGRAM)
    program = place / "program"
    subprocess.run([*command, "-Wall", "-Wextra", "-Werror", "-O2", f"-I{SDK}",
                    "-o", program, source, "-lfn"], check=True)
    return program


BUILDS = {
    "dynamic": ["gcc", f"-L{LIBRARY}"],
    "static": ["gcc", "-static", "-s", "-Wl,--gc-sections", f"-L{LIBRARY}"],
    "static-pie": ["gcc", "-static-pie", "-Wl,--gc-sections", f"-L{LIBRARY}"],
    "clang": ["clang", f"-L{LIBRARY}"],
    "musl": ["musl-gcc", "-static", "-s", "-Wl,--gc-sections",
             f"-L{ROOT}/build/musl"],
}


@pytest.fixture(scope="module", params=BUILDS)
def program(request, tmp_path_factory):
    command = BUILDS[request.param]
    if not shutil.which(command[0]):
        pytest.skip(f"no {command[0]}")
    if request.param == "musl":
        made("FLAVOUR=musl", "build/musl/libfn.a")
    return compiled(tmp_path_factory.mktemp("sdk"), *command)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """Where how it was built makes no difference."""
    return compiled(tmp_path_factory.mktemp("sdk"), *BUILDS["static"])


class Application:
    """The program with a listening socket at descriptor 0, asked by a client that
    is no part of the host."""

    def __init__(self, program, base, env=None, args=(), nonblocking=False):
        self.path = base / "app.sock"
        self.path.unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(8)
        if nonblocking:
            self.listener.setblocking(False)
        self.process = subprocess.Popen(
            [program, *args], stdin=self.listener, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=env or {"PATH": os.environ["PATH"]})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def connect(self):
        return fastcgi.Connection(self.path)

    def ask(self, path, body=b"", **more):
        with self.connect() as connection:
            return ask(connection, path, body, **more)

    def end(self):
        """(status, what it wrote to 1, what to 2)"""
        out, err = self.process.communicate(timeout=15)
        return self.process.returncode, out, err


def params(path, body=b"", method=None, **more):
    path, _, query = path.partition("?")
    made = {"REQUEST_METHOD": method or ("POST" if body else "GET"),
            "SCRIPT_NAME": "/f", "PATH_INFO": path, "QUERY_STRING": query,
            "REMOTE_ADDR": "192.0.2.7", **more}
    if body:
        made.setdefault("CONTENT_LENGTH", len(body))
    return made


def request(path, body=b"", number=1, flags=0, **more):
    return fastcgi.begin(number, flags=flags) \
        + fastcgi.stream(fastcgi.PARAMS, number,
                         fastcgi.pairs(params(path, body, **more))) \
        + fastcgi.stream(fastcgi.STDIN, number, body)


def ask(connection, path, body=b"", number=1, **more):
    connection.send(request(path, body, number, **more))
    return connection.reply(number)


FORM = {"CONTENT_TYPE": "application/x-www-form-urlencoded"}
# What every carrier must answer alike: path, more, status, body.
ROWS = [
    ("", {}, 200, b"GET /f  192.0.2.7 made=1 stdin=0 token=0 left=none"),
    ("/x%20", {}, 404, b"GET /f /x%20 192.0.2.7 made=1 stdin=0 token=0 "
     b"left=none"),
    ("", {"method": "HEAD"}, 200, b""),
    ("/echo", {"body": b"\0any" * 50000}, 200, b"\0any" * 50000),
    ("/echo", {}, 200, b""),
    ("/form?a=q%26", {"body": b"a=1+2&a=3", **FORM}, 200, b"0 q& 1 2"),
    ("/form", {"body": b"a=" + 99 * b"x", **FORM}, 200, b"6 none none"),
    ("/form", {"body": b"a=b"}, 200, b"1 none none"),
    ("/much?bytes=60000", {}, 200, b"x" * 60000),
    ("/much?bytes=1000000", {}, 200, b"x" * 1000000),
    ("/moved", {}, 303, b""),
    ("/forged?x=a", {}, 200, b""),
    ("/printf", {}, 200, b""),
    ("/log", {}, 200, b""),
]
FAILS = ["/fail", "/forged?x=a%0D%0AB:c", "/kept"]


def test_has_the_note(program):
    """By which the host knows it without running it."""
    notes = subprocess.run(["readelf", "-nW", program], capture_output=True,
                           check=True).stdout.decode()
    assert re.search(r"fcgi-host +0x00000004\s+NT_VERSION \(version\)\s+"
                     r"description data: 01 00 00 00", notes), notes
    segments = subprocess.run(["readelf", "-lW", program], capture_output=True,
                              check=True).stdout.decode()
    places = re.findall(r"^ +(\d\d) +(.*)$", segments, re.M)
    kinds = re.findall(r"^  ([A-Z_]+) +0x", segments, re.M)
    assert any(kinds[int(number)] == "NOTE" and ".note.fcgi-host" in names
               for number, names in places), segments


def test_only_who_has_a_handler_has_the_note(tmp_path):
    """A program of its own with state calls is any CGI program."""
    source = tmp_path / "own.c"
    source.write_text("#include <fn.h>\nint main(void) { return "
                      "fn_state_delete(\"a\", 0) == FN_OK; }\n")
    for how in BUILDS["dynamic"], BUILDS["static"][:3]:
        subprocess.run([*how, f"-I{SDK}", f"-L{LIBRARY}", "-o",
                        tmp_path / "own", source, "-lfn"], check=True)
        notes = subprocess.run(["readelf", "-nW", tmp_path / "own"],
                               capture_output=True, check=True).stdout
        assert b"fcgi-host" not in notes


def test_a_main_of_its_own(tmp_path):
    """In C++, without fn_init, by fn_main()."""
    if not shutil.which("g++"):
        pytest.skip("no g++")
    source = tmp_path / "own.cc"
    source.write_text("""
#include <fn.h>
static int answer(fn_request *, fn_reply *r)
{ fn_reply_puts(r, "own"); return 0; }
int main(int c, char **v) { return fn_main(c, v, answer, nullptr); }
""")
    handler = tmp_path / "handler.cc"
    handler.write_text("#include <fn.h>\nint fn_handle(fn_request *, fn_reply "
                       "*r) { fn_reply_puts(r, \"own\"); return 0; }\n")
    for file in source, handler:
        subprocess.run(["g++", "-Wall", "-Werror", f"-I{SDK}", f"-L{LIBRARY}",
                        "-o", tmp_path / "own", file, "-lfn"], check=True)
        done = subprocess.run([tmp_path / "own"], capture_output=True,
                              stdin=subprocess.DEVNULL, check=True)
        assert done.stdout.endswith(b"\r\n\r\nown")
        with Application(tmp_path / "own", tmp_path) as app:
            assert app.ask("").body == b"own"


# ---- FastCGI -------------------------------------------------------------------

@pytest.mark.parametrize("keep", [0, fastcgi.KEEP_CONN])
def test_fastcgi(program, tmp_path, keep):
    with Application(program, tmp_path) as app, contextlib.ExitStack() as s:
        kept = s.enter_context(app.connect()) if keep else None
        for path, more, status, body in ROWS:
            got = ask(kept, path, flags=keep, **more) if keep \
                else app.ask(path, **more)
            assert got.complete and got.protocol_status == 0, (path, got)
            assert (got.status, got.body) == (status, body), (path, got)
        for path in FAILS:
            got = ask(kept, path, flags=keep) if keep else app.ask(path)
            assert got.complete and got.status == 500, got
            assert got.field("content-type") == "application/problem+json"
            assert b"the function failed" in got.body
        if keep:
            assert ask(kept, "/requests", flags=keep).body == \
                str(len(ROWS) + len(FAILS) + 1).encode()
        else:
            with app.connect() as connection:
                ask(connection, "")
                assert connection.closed()
        assert app.process.poll() is None


def test_one_send_for_a_small_reply(one, tmp_path):
    with Application(one, tmp_path) as app, app.connect() as connection:
        connection.send(request("", flags=1))
        first = connection.socket.recv(65536)
        assert first.endswith(fastcgi.record(fastcgi.END, 1, bytes(8)))


def test_lengths(one, tmp_path):
    with Application(one, tmp_path) as app:
        assert app.ask("/much?bytes=1000").field("content-length") == "1000"
        got = app.ask("/much?bytes=1000", method="HEAD")
        assert got.field("content-length") == "1000" and got.body == b""
        assert app.ask("/much?bytes=100000").field("content-length") is None


def test_what_fails_late_is_broken_off(one, tmp_path):
    with Application(one, tmp_path) as app, app.connect() as connection:
        got = ask(connection, "/fail-late", flags=1)
        assert not got.complete and got.body == b"half"
        assert app.ask("").status == 200


def test_body_that_is_not_read_smuggles_nothing(one, tmp_path):
    """Its bytes are the records of a request of the client's making."""
    forged = request("/requests", number=1)
    with Application(one, tmp_path) as app, app.connect() as connection:
        for _ in range(3):
            got = ask(connection, "", forged * 1000, flags=1)
            assert got.status == 200 and got.body.startswith(b"POST")
        assert ask(connection, "/requests", flags=1).body == b"4"
        connection.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.socket.recv(1)


def test_parameters_cut_off_run_nothing(one, tmp_path):
    with Application(one, tmp_path) as app:
        whole = fastcgi.stream(fastcgi.PARAMS, 1, fastcgi.pairs(params("")))
        for cut in (1, 9, len(whole) // 2, len(whole) - 8, len(whole) - 1):
            with app.connect() as connection:
                connection.send(fastcgi.begin(), whole[:cut])
                connection.socket.shutdown(socket.SHUT_WR)
                assert connection.closed()
        assert app.ask("/requests").body == b"1"


@pytest.mark.parametrize("content, status", [
    (fastcgi.pair("A", "b" * 200000), 431),
    (b"".join(fastcgi.pair(f"A{i}", "b") for i in range(600)), 400),
    (fastcgi.pair("A=", "b"), 400), (fastcgi.pair("A", "b\0c"), 400),
    (b"\x05\x05A", 400)], ids=range(5))
def test_parameters_that_cannot_be(one, tmp_path, content, status):
    with Application(one, tmp_path) as app, app.connect() as connection:
        connection.send(fastcgi.begin(flags=1),
                        fastcgi.stream(fastcgi.PARAMS, 1, content),
                        fastcgi.record(fastcgi.STDIN, 1))
        got = connection.reply()
        assert got.complete and got.status == status, got
        assert ask(connection, "/requests", flags=1).body == b"1"


def test_abort(one, tmp_path):
    """While its body is read, and while it writes."""
    with Application(one, tmp_path) as app, app.connect() as connection:
        connection.send(
            fastcgi.begin(flags=1),
            fastcgi.stream(fastcgi.PARAMS, 1,
                           fastcgi.pairs(params("/echo", CONTENT_LENGTH=9))),
            fastcgi.record(fastcgi.STDIN, 1, b"half"),
            fastcgi.record(fastcgi.ABORT, 1))
        got = connection.reply()
        assert got.complete and got.stdout == b""
        connection.send(request("/much?bytes=1000000000", flags=1))
        for _ in range(3):
            assert connection.record()[0] == fastcgi.STDOUT
        connection.send(fastcgi.record(fastcgi.ABORT, 1))
        got = connection.reply()
        assert got.complete and len(got.stdout) < 10 ** 8
        assert got.stderr == b"nobody is there any more\n" \
            b"fn_handle() returned 1 in the middle of its reply\n"
        assert ask(connection, "/requests", flags=1).body == b"3"


def test_client_that_goes_away(one, tmp_path):
    with Application(one, tmp_path) as app:
        with app.connect() as connection:
            connection.send(request("/much?bytes=1000000000"))
            connection.take(100)
        assert app.ask("/requests").body == b"2"


def test_log(one, tmp_path):
    """By FastCGI's own stream, so that it belongs to the request."""
    with Application(one, tmp_path) as app:
        got = app.ask("/log")
        assert got.stderr == b"a line of log\n"
        assert app.ask("/log", FN_REQUEST_ID="17").stderr == \
            b"17 a line of log\n"
        assert app.ask("/log", FN_REQUEST_ID="17", FN_TENANT="t").stderr == \
            b"a line of log\n"
        assert app.ask("/printf").stderr == b""
        app.process.terminate()
        status, out, err = app.end()
        assert (status, out) == (0, b"")
        assert err == b"init prints\nStatus: 404\n\nby mistake\n"


def test_peers_that_may_ask(one, tmp_path):
    """FCGI_WEB_SERVER_ADDRS, over IPv4."""
    for allowed, answers in (("127.0.0.1", True), ("192.0.2.1", False),
                             ("192.0.2.1, 127.0.0.1", True)):
        with socket.create_server(("127.0.0.1", 0)) as listener, \
                subprocess.Popen([one], stdin=listener, env={
                    "FCGI_WEB_SERVER_ADDRS": allowed},
                    stderr=subprocess.DEVNULL) as process:
            try:
                with socket.create_connection(listener.getsockname(),
                                              timeout=15) as client:
                    with contextlib.suppress(ConnectionError):
                        client.sendall(request(""))
                    try:
                        got = client.recv(1)
                    except ConnectionError:
                        got = b""
                    assert bool(got) == answers, allowed
            finally:
                process.kill()


def test_children_have_no_listener(one, tmp_path):
    with Application(one, tmp_path) as app:
        app.ask("/listener")
        app.process.terminate()
        assert b"0" in app.end()[2].split(b"\n")


def test_nonblocking_listener(one, tmp_path):
    with Application(one, tmp_path, nonblocking=True) as app:
        assert app.ask("").status == 200
        assert app.ask("").status == 200
        app.listener.setblocking(True)


@pytest.mark.parametrize("hosted", [False, True])
def test_fails_to_begin(one, tmp_path, hosted):
    with Application(one, tmp_path, args=["fail"],
                     env={"FN_WORKER": "1"} if hosted else {}) as app:
        assert app.end() == (7, b"", b"")
    done = subprocess.run([one, "fail"], capture_output=True,
                          stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (7, b"")


# ---- a worker --------------------------------------------------------------------

READY = b"fn-worker 1 ready\n"


def worker(one, tmp_path, **env):
    return Application(one, tmp_path, {"FN_WORKER": "1", **env})


def test_worker_says_that_it_is_ready(one, tmp_path):
    with worker(one, tmp_path) as app:
        assert os.read(app.process.stdout.fileno(), 100) == READY
        assert app.ask("").status == 200
        assert app.ask("/printf").body == b""
        app.process.terminate()
        status, out, _ = app.end()
        assert (status, out) == (0, b"")


@pytest.mark.parametrize("keep", [None, 0, 1])
def test_worker_whose_listener_is_shut(one, tmp_path, keep):
    with worker(one, tmp_path) as app, contextlib.ExitStack() as stack:
        if keep is not None:
            connection = stack.enter_context(app.connect())
            assert ask(connection, "", flags=keep).status == 200
        app.listener.shutdown(socket.SHUT_RD)
        if keep == 1:    # it still has the connection
            assert ask(connection, "/requests", flags=1).body == b"2"
            connection.close()
        assert app.end()[0] == 0


def test_worker_ends_at_once_when_idle(one, tmp_path):
    for keep in (None, 0, 1):
        with worker(one, tmp_path) as app, contextlib.ExitStack() as stack:
            assert os.read(app.process.stdout.fileno(), 100) == READY
            if keep is not None:
                connection = stack.enter_context(app.connect())
                assert ask(connection, "", flags=keep).status == 200
            app.process.terminate()
            assert app.end()[0] == 0


def test_worker_ends_behind_its_request(one, tmp_path):
    with worker(one, tmp_path) as app, app.connect() as connection:
        body = b"x" * 1000
        connection.send(
            fastcgi.begin(flags=1),
            fastcgi.stream(fastcgi.PARAMS, 1,
                           fastcgi.pairs(params("/echo", body))),
            fastcgi.record(fastcgi.STDIN, 1, body))
        eventually(lambda: os.read(app.process.stdout.fileno(), 100),
                   "it to be ready")
        eventually(lambda: unread(connection.socket) == 0, "it to be read")
        app.process.terminate()
        assert app.process.poll() is None
        connection.send(fastcgi.record(fastcgi.STDIN, 1))
        assert connection.reply().body == body
        assert connection.closed()
        assert app.end()[0] == 0


def test_worker_grows_by_no_request(one, tmp_path):
    """Nor does it keep a descriptor of one."""
    body = b"a=" + b"%41" * 20
    with worker(one, tmp_path) as app:
        def some(number):
            with app.connect() as kept:
                for _ in range(number):
                    for path, more in (("/form?b=c", FORM), ("/fail", {}),
                                       ("/much?bytes=100000", {}),
                                       ("/forged?x=%0a", {}), ("/kept", {})):
                        assert ask(kept, path, body, flags=1,
                                   FN_DEADLINE_MS=soon(60000),
                                   **more).complete
            assert app.ask("").status == 200
        some(50)
        before = memory_kib(app.process.pid), descriptors(app.process.pid)
        some(count(300, 5000))
        after = memory_kib(app.process.pid), descriptors(app.process.pid)
        assert after[1] == before[1]
        assert after[0] <= before[0] + 64, (before, after)


def unread(sock):
    """What the other end has not read (SIOCOUTQ)."""
    import array
    import fcntl
    import termios
    count = array.array("i", [0])
    fcntl.ioctl(sock, termios.TIOCOUTQ, count)
    return count[0]


@pytest.mark.parametrize("keep", [0, 1])
def test_sigterm_loses_no_request(one, tmp_path, keep):
    """It is answered whole, or was not read at all, so that the host can give it
    to another worker; whenever the signal comes."""
    random, answered, untouched = seeded(), 0, 0
    for _ in range(count(40, 1000)):
        with worker(one, tmp_path) as app:
            os.read(app.process.stdout.fileno(), 100)
            until = time.monotonic() + random.random() * 0.004
            killed, connection = False, None
            while True:
                if not killed and time.monotonic() > until:
                    killed = True
                    app.process.terminate()
                try:
                    connection = connection or app.connect()
                    connection.send(request("", flags=keep))
                except (BrokenPipeError, ConnectionRefusedError):
                    break
                if not answered_whole(app, connection):
                    break
                answered += 1
                if not keep:
                    connection.close()
                    connection = None
            assert killed
            untouched += 1
            if connection:
                connection.close()
            assert app.end()[0] == 0
    print(answered, "answered", untouched, "not read")


def answered_whole(app, connection):
    """False: the worker ended and never had it, by what the kernel says."""
    while not select.select([connection.socket], [], [], 0.005)[0]:
        if app.process.poll() is not None and \
                not select.select([connection.socket], [], [], 0)[0]:
            app.listener.settimeout(5)      # what it never accepted is here
            other, _ = app.listener.accept()
            assert other.recv(8) == request("")[:8]
            other.close()
            return False
    got = connection.reply()
    assert got.complete and got.status == 200, got
    return True


def soon(ms):
    return int(time.time() * 1000) + ms


def test_worker_dies_at_the_deadline(one, tmp_path):
    with worker(one, tmp_path) as app, app.connect() as connection:
        got = ask(connection, "", flags=1, FN_DEADLINE_MS=soon(20000))
        assert b"left=some" in got.body
        connection.send(request("/sleep", FN_DEADLINE_MS=soon(300)))
        assert connection.closed()
        assert app.end()[0] == -signal.SIGALRM


def test_worker_outlives_the_deadlines_of_requests_that_are_done(one,
                                                                 tmp_path):
    with worker(one, tmp_path) as app, app.connect() as connection:
        for _ in range(3):
            until = soon(200)
            ask(connection, "", b"unread", flags=1, FN_DEADLINE_MS=until)
            eventually(lambda: time.time() * 1000 > until + 50, "time to pass")
        assert ask(connection, "/requests", flags=1).body == b"4"


def test_deadline_under_another_server_is_its_own(one, tmp_path):
    with Application(one, tmp_path) as app:
        assert app.ask("", FN_DEADLINE_MS=1000).body.endswith(b"left=over")
        assert app.ask("").status == 200


def test_worker_has_processor_time_for_each_request(one, tmp_path):
    with worker(one, tmp_path, FN_CPU_S="1") as app, \
            app.connect() as connection:
        for _ in range(3):
            assert ask(connection, "", flags=1).status == 200
        limits = resource.prlimit(app.process.pid, resource.RLIMIT_CPU)
        assert limits == resource.getrlimit(resource.RLIMIT_CPU)
        connection.send(request("/burn"))
        assert connection.closed()
        assert app.end()[0] == -signal.SIGXCPU


# ---- CGI ------------------------------------------------------------------------------

def run(program, path, body=b"", **more):
    done = subprocess.run(
        [program], input=body, capture_output=True, timeout=30,
        env={name: str(value)
             for name, value in params(path, body, **more).items()})
    head, _, rest = done.stdout.partition(b"\r\n\r\n")
    return done, head.decode(), rest


def test_cgi(program):
    for path, more, status, body in ROWS:
        done, head, got = run(program, path, **more)
        assert done.returncode == 0, done
        assert int(head.split()[1]) == status and got == body, (path, head)
    for path in FAILS:
        done, head, got = run(program, path)
        assert head.split()[1] == "500" and b"the function failed" in got
        assert done.returncode == (0 if "forged" in path else 1)


def test_cgi_that_fails_late(one):
    done, _, body = run(one, "/fail-late")
    assert (done.returncode, body) == (-signal.SIGABRT, b"half")


def test_cgi_reads_no_more_than_its_body(one):
    done, _, body = run(one, "/echo", b"123456", CONTENT_LENGTH=4)
    assert (done.returncode, body) == (0, b"1234")


def test_cgi_without_standard_descriptors(one):
    """As some servers start their programs."""
    for closed in ("<&-", "2>&-", "<&- 2>&-"):
        done = subprocess.run(["sh", "-c", f'exec "$0" {closed}', one],
                              capture_output=True, env=params("/printf"))
        assert done.returncode == 0
        assert done.stdout.endswith(b"\r\n\r\n"), done


# ---- under others -----------------------------------------------------------------------

def test_under_cgi_fcgi(program, tmp_path):
    """libfcgi's own client."""
    if not shutil.which("cgi-fcgi"):
        pytest.skip("no cgi-fcgi")
    with Application(program, tmp_path) as app:
        for path, more, status, body in ROWS:
            more = dict(more)
            sent = more.pop("body", b"")
            made = params(path, sent, **more)
            done = subprocess.run(
                ["cgi-fcgi", "-bind", "-connect", app.path], input=sent,
                capture_output=True, timeout=30,
                env={name: str(value) for name, value in made.items()})
            head, _, rest = done.stdout.partition(b"\r\n\r\n")
            assert int(head.split()[1]) == status and rest == body, path


@contextlib.contextmanager
def nginx(base, app):
    port = free_port()
    (base / "nginx.conf").write_text(f"""
daemon off; master_process off; pid {base}/nginx.pid; error_log stderr info;
events {{ }}
http {{
	access_log off; client_body_temp_path {base}/b; proxy_temp_path {base}/p;
	fastcgi_temp_path {base}/f; uwsgi_temp_path {base}/u;
	scgi_temp_path {base}/s; client_max_body_size 10m;
	upstream app {{ server unix:{app.path}; keepalive 1; }}
	server {{
		listen 127.0.0.1:{port};
		location /f {{
			fastcgi_split_path_info ^(/f)(.*)$;
			fastcgi_param REQUEST_METHOD $request_method;
			fastcgi_param SCRIPT_NAME $fastcgi_script_name;
			fastcgi_param PATH_INFO $fastcgi_path_info;
			fastcgi_param QUERY_STRING $query_string;
			fastcgi_param CONTENT_TYPE $content_type;
			fastcgi_param CONTENT_LENGTH $content_length;
			fastcgi_param REMOTE_ADDR 192.0.2.7;
			fastcgi_param FN_REQUEST_ID $request_id;
			fastcgi_keep_conn on;
			fastcgi_pass app;
		}}
	}}
}}
""")
    with open(base / "nginx.err", "wb") as errors, \
            subprocess.Popen([NGINX, "-e", "stderr", "-p", base, "-c",
                              base / "nginx.conf"], stderr=errors) as process:
        try:
            eventually(lambda: not socket.socket().connect_ex(
                ("127.0.0.1", port)), "nginx to listen")
            yield port
        finally:
            process.terminate()


def test_under_nginx(program, tmp_path):
    """With kept connections, and no host between."""
    import http.client
    with Application(program, tmp_path) as app, nginx(tmp_path, app) as port:
        for path, more, status, body in ROWS + ROWS:
            more = dict(more)
            sent = more.pop("body", None)
            if path == "/echo" and sent:    # more of it than is held back
                sent = body = sent[:50000]
            method = more.pop("method", "POST" if sent else "GET")
            path = path.replace("%20", "%2520")
            connection = http.client.HTTPConnection("127.0.0.1", port,
                                                    timeout=30)
            connection.request(method, "/f" + path, sent, {
                name.replace("_", "-"): value for name, value in more.items()})
            got = connection.getresponse()
            assert (got.status, got.read()) == (status, body), path
            connection.close()
        # It sends no more of a body when it has a reply.
        for path in ("/moved", "/much?bytes=100000", "/fail"):
            connection = http.client.HTTPConnection("127.0.0.1", port,
                                                    timeout=30)
            connection.request("POST", "/f" + path, b"x" * 5000000)
            assert connection.getresponse().read()[:1] in (b"", b"x", b"{")
            connection.close()
        errors = (tmp_path / "nginx.err").read_text()
        assert re.search(r"stderr: \"[0-9a-f]{32} a line of log", errors)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/f/fail-late")
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            connection.getresponse().read()
        assert app.ask("").status == 200


# ---- under the host ------------------------------------------------------------------------

def test_as_cgi_under_the_host(program):
    with Host() as host:
        host.function("rogue", "sdk", program, 'protocol = "cgi";\n')
        base = "/fn/rogue/sdk"
        got = host.get(base)
        assert got.text == f"GET {base}  127.0.0.1 made=1 stdin=0 token=1 " \
            "left=some"
        assert host.get(base + "/requests").text == "1"
        assert host.get(base + "/requests").text == "1"
        both(host, base)


def summed(data):
    number = 0
    for byte in data:
        number = (number * 31 + byte) % 2 ** 32
    return number


def both(host, base):
    """What is the same in whatever way it is run."""
    assert [host.get(base + "/kept").text for _ in range(3)] == ["1", "2", "3"]
    body = os.urandom(300000)
    assert host.post(base + "/echo", body).body == body
    assert host.get(base + "/much?bytes=3000000").body == b"x" * 3000000
    got = host.post(base + "/form?a=q", b"a=1%2B", headers={
        "Content-Type": "application/x-www-form-urlencoded"})
    assert got.text == "0 q 1+"
    got = host.get(base + "/much?bytes=1000", method="HEAD")
    assert (got.header("Content-Length"), got.body) == ("1000", b"")
    picture = bytes(range(256)) * 1000 + b"\r\n--"
    got = requests.post(
        f"http://127.0.0.1:{host.port}{base}/files", timeout=30,
        data={"a": "b c"}, files={"f": ("x y.png", picture, "image/png")})
    assert got.text == f"0\na - - 3 {summed(b'b c')}\n" \
        f"f x y.png image/png {len(picture)} {summed(picture)}\n"
    got = host.get(base + "/moved")
    assert (got.status, got.header("Location")) == (303, "/elsewhere")
    got = host.get(base + "/fail")
    assert got.status == 500 and got.header("Content-Type") == \
        "application/problem+json"
    assert '"detail":"the function failed"' in got.text
    assert got.request_id in got.text
    assert host.get(base + "/forged?x=a%0D%0AX-Y:z").status == 500
    got = host.get(base + "/log")
    host.wait_log("rogue", "a line of log")
    line = next(line for line in host.tenant_log("rogue").splitlines()
                if "a line of log" in line)
    assert got.request_id in line and line.count(got.request_id) == 1
    got = host.get(base + "/printf")
    assert (got.status, got.body) == (200, b"")
    host.wait_log("rogue", "by mistake")
    assert host.get(base + "/crash").status == 502
    assert host.get(base + "/moved").status == 303


def test_as_worker_under_the_host(program):
    """Without a line of settings."""
    with Host() as host:
        host.function("rogue", "sdk", program)
        base = "/fn/rogue/sdk"
        got = host.get(base)
        assert got.text == f"GET {base}  127.0.0.1 made=1 stdin=0 token=0 " \
            "left=some"
        assert host.get(base + "/requests").text == "2"
        assert len({host.get(base + "/pid").text for _ in range(5)}) == 1
        both(host, base)
        pids = {host.get(base + "/pid").text for _ in range(5)}
        assert len(pids) == 1


def template_of(host):
    """Its pid, when processes are made from it, and none of them is left; a
    copy's environment looks like the template's."""
    def serving():
        if not forks(host):
            host.get("/fn/rogue/sdk/pid")
            return None
        found = [pid for pid in host.running()
                 if b"FN_TEMPLATE=1" in environ(pid)]
        return found[0] if len(found) == 1 else None
    return eventually(serving, "a template")


def forks(host):
    got = host.get("/fn/rogue/sdk")
    return host.access(got.request_id).get("start") == "fork"


def environ(pid):
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


@pytest.mark.parametrize("protocol", ["cgi", "fastcgi"])
def test_as_copies_under_the_host(program, protocol):
    with Host() as host:
        host.function("rogue", "sdk", program, 'start = "fork";\n'
                      f'protocol = "{protocol}"; requests = 1;\n')
        base = "/fn/rogue/sdk"
        template_of(host)
        assert forks(host)
        assert host.get(base).text == \
            f"GET {base}  127.0.0.1 made=1 stdin=0 " \
            f"token={int(protocol == 'cgi')} left=some"
        pids = {host.get(base + "/pid").text for _ in range(5)}
        assert len(pids) == 5
        assert {host.get(base + "/requests").text for _ in range(3)} == {"1"}
        both(host, base)
        assert forks(host)


def test_copies_at_their_limits_under_the_host(one):
    """Each has its own; the template is not touched by any."""
    with Host() as host:
        host.function("rogue", "sdk", one, 'start = "fork"; protocol = "cgi";\n'
                      'limits = { time = "700ms"; cpu = "1s"; };\n')
        base = "/fn/rogue/sdk"
        template = template_of(host)
        for _ in range(2):
            host.get(base + "/sleep").problem(504, "time")
            host.get(base + "/burn").problem(504, "time")
            host.get(base + "/crash").problem(502, "crashed")
            with contextlib.suppress(Broken):
                host.get(base + "/fail-late")
        assert forks(host) and template_of(host) == template


@pytest.mark.parametrize("protocol", ["cgi", "fastcgi"])
def test_template_wears_not_out(one, protocol):
    """Its memory and descriptors are where they were, and the launcher's."""
    with Host() as host:
        host.function("rogue", "sdk", one, 'start = "fork"; requests = 1;\n'
                      f'protocol = "{protocol}";\n')
        template = template_of(host)
        launcher = processes()[template][2]
        connection = host.http()

        def some(number):
            for i in range(number):
                connection.request("GET", "/fn/rogue/sdk" + (
                    "", "/fail", "/much?bytes=100000", "/moved")[i % 4])
                connection.getresponse().read()

        def sizes():
            return [(memory_kib(pid), descriptors(pid))
                    for pid in (template, launcher)]
        some(100)
        eventually(lambda: host.running() == [template], "the others' end")
        before = sizes()
        some(count(400, 10000))
        eventually(lambda: host.running() == [template], "the others' end")
        assert forks(host) and template_of(host) == template
        after = sizes()
        for (kib, fds), (kib_now, fds_now) in zip(before, after):
            assert fds_now == fds and kib_now <= kib + 32, (before, after)


def test_worker_at_its_limits_under_the_host(one):
    with Host() as host:
        host.function("rogue", "sdk", one,
                      'limits = { time = "500ms"; };\n')
        base = "/fn/rogue/sdk"
        first = host.get(base + "/pid").text
        host.get(base + "/sleep").problem(504, "time")
        second = host.get(base + "/pid").text
        assert first != second
        host.get(base + "/burn").problem(504, "time")
        assert host.get(base + "/pid").text not in (first, second)
        with pytest.raises(Broken):
            host.get(base + "/fail-late")
        assert host.get(base).status == 200


@pytest.mark.parametrize("protocol, status, late", [
    ("cgi", 1, "crashed"), ("fastcgi", 5, "broke-off")])
def test_a_handler_that_fails_is_counted(one, protocol, status, late):
    """Whether something was sent or not; and no library is blamed."""
    with Host() as host:
        host.function("rogue", "sdk", one, f'protocol = "{protocol}";\n')
        base = "/fn/rogue/sdk"
        assert host.get(base + "/fail").status == 500
        with contextlib.suppress(Broken):   # or none of it was sent yet
            host.get(base + "/fail-late").problem(502, late)

        def counted():
            said = json.loads(host.ctl("faults", "rogue", "--json").stdout)
            return {row["fault"]: row for row in said["faults"]}
        eventually(lambda: len(counted()) >= 2, "two faults")
        faults = counted()
        assert {name: row["count"] for name, row in faults.items()} == \
            {"failed": 1, late: 1}
        assert faults["failed"]["says"] == "1 request of sdk failed: " \
            "answered with a status of 500 or above and ended with " \
            f"exit {status}"
        assert "library" not in faults[late]["advice"]


def test_processor_time_under_the_host(one):
    with Host() as host:
        host.function("rogue", "sdk", one, 'limits = { cpu = "1s"; };\n')
        base = "/fn/rogue/sdk"
        first = host.get(base + "/pid").text
        host.get(base + "/burn").problem(504, "cpu")
        assert host.get(base + "/pid").text != first


def test_body_that_is_not_read_under_the_host(one):
    """Of any size: the next request has the same process, and is itself."""
    with Host('maximum = { body = "64MiB"; };') as host:
        host.function("rogue", "sdk", one, 'limits = { body = "64MiB"; };\n')
        base = "/fn/rogue/sdk"
        first = host.get(base + "/pid").text
        for size in (1, 1000, 100000, 20000000):
            assert host.post(base + "/moved", b"\1" * size).status == 303
            assert host.post(base + "/much?bytes=1000000",
                             b"\1" * size).body == b"x" * 1000000
        assert host.get(base + "/pid").text == first


def test_readme(tmp_path):
    """The section on a function in C, as it stands there."""
    text = (ROOT / "README.md").read_text()
    section = text[text.index("\n## A function in C\n"):]
    section = section[:section.index("\n## ", 4)]
    shown = [line[4:] for line in section.splitlines()
             if line.startswith("    ") or not line]
    shown = "\n".join(shown).strip("\n")
    command, _, wanted = shown.rpartition("\n")
    script = re.sub(r"^[$>] ", "", command, flags=re.M)
    assert script.count("curl") == 1 and wanted == "hello, Ada"
    with Host() as host:
        host.tenant("demo")
        for old, new in (("functions/demo", host.functions / "demo"),
                         ("127.0.0.1:8080", f"127.0.0.1:{host.port}"),
                         ("-Ifcgi-host", f"-I{ROOT}/fcgi-host"),
                         ("-Lbuild", f"-L{ROOT}/build")):
            assert old in script
            script = script.replace(old, str(new))
        done = subprocess.run(["sh", "-ec", "umask 022\n" + script],
                              cwd=tmp_path, capture_output=True, timeout=60)
        assert (done.stdout, done.stderr.count(b"error")) == \
            (wanted.encode() + b"\n", 0), done
