# SPDX-License-Identifier: MIT
"""FastCGI programs of other people, unmodified, as warm functions: C with either
flavour of libfcgi, Perl, Python, PHP. If one of these fails, what people already
have does not run, or does not stay.

All do the same (programs/): without a query they name method and path, with
one they obey its word: status=, large=, error= (to the FastCGI stream), ignore
(the body), exit, after= (a file written behind the reply). X-Pid and X-Served
tell which process it was and how many requests it had."""
import collections
import contextlib
import hashlib
import os
import random
import re
import socket
import subprocess
import threading

import pytest

import fastcgi
from host import BUILD, ROOT, Host, count, eventually

SOURCES = ROOT / "tests" / "e2e" / "programs"
PROGRAMS = {
    "fcgx": BUILD / "programs" / "fcgx", "stdio": BUILD / "programs" / "stdio",
    "perl": SOURCES / "answer.pl", "python": SOURCES / "answer.py",
    "php": SOURCES / "answer.php"}
COUNTING = [name for name in PROGRAMS if name != "php"]
EVERY = pytest.mark.parametrize("name", PROGRAMS)
WARM = 'protocol = "fastcgi";\n'
TENANT = "programs"
SMUGGLED = fastcgi.request("/fn/programs/fcgx/smuggled?status=299",
                           flags=fastcgi.KEEP_CONN)


# ---- the programs by themselves ---------------------------------------------

class Alone:
    """A program with nothing before it but a socket at its descriptor 0."""

    def __init__(self, name, place):
        self.path, self.program = place / "socket", PROGRAMS[name]
        (place / "data").mkdir()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.path))
        self.listener.listen(16)
        self.process = subprocess.Popen(
            [self.program], stdin=self.listener, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={"PATH": os.environ["PATH"]})

    def ask(self, query, body=b"", **more):
        return fastcgi.ask(
            self.path, f"/fn/a/b/c?{query}", body, PATH_INFO="/c",
            SCRIPT_NAME="/fn/a/b", SCRIPT_FILENAME=self.program,
            DOCUMENT_ROOT=self.path.parent, **more)


@pytest.fixture
def alone(tmp_path):
    made = []

    def start(name):
        made.append(Alone(name, tmp_path))
        return made[-1]
    yield start
    for each in made:
        each.process.kill()
        each.process.wait()
        each.listener.close()


@EVERY
def test_the_program_is_right_without_a_host(alone, name):
    """Fails this, it is the program; then the tests below mean nothing."""
    program = alone(name)
    got = program.ask("")
    assert got.complete and got.app_status == 0
    assert (got.body, got.stderr) == (b"GET /c\n", b"")
    assert program.ask("", b"body" * 5000).body == b"body" * 5000
    got = program.ask("error=something")
    assert b"says something" in got.stderr
    assert len(program.ask("large=100000").body) == 100000
    assert "Status: 418" in program.ask("status=418").head
    assert {program.ask("").field("X-Pid") for _ in range(20)} \
        == {str(program.process.pid)}
    with contextlib.suppress(ConnectionResetError):
        assert not program.ask("exit").complete
    assert program.process.wait(10) != 0


@EVERY
def test_the_program_ends_when_its_listener_is_shut(alone, name):
    """The host stops an idle worker like this, before it asks with a signal."""
    program = alone(name)
    assert program.ask("").complete
    program.listener.shutdown(socket.SHUT_RD)
    program.process.wait(10)


# ---- behind the host --------------------------------------------------------

@pytest.fixture(scope="module")
def host():
    with Host('limits = { grace = "200ms"; };\n') as made:
        for name, program in PROGRAMS.items():
            made.function(TENANT, name, program, WARM)
        yield made


@pytest.fixture
def function(host, request):
    """Puts a program in place under a name of its own, which is that of its
    processes as well; its target."""
    numbers = iter(range(100, 1000))

    def put(name, conf=""):
        words = request.node.originalname.split("_")
        own = f"{name[:4]}-{''.join(w[0] for w in words)}{next(numbers)}"
        host.function(TENANT, own, PROGRAMS[name], WARM + conf)
        return f"/fn/{TENANT}/{own}"
    return put


def processes(host, target):
    return host.named(target.rpartition("/")[2])


def pid(got, status=200):
    assert got.status == status, got
    return int(got.header("X-Pid"))


@EVERY
def test_it_is_asked(host, name):
    got = host.get(f"/fn/{TENANT}/{name}/a/path?x=1")
    assert (got.status, got.text) == (200, "GET /a/path\n"), got
    assert got.header("Content-Type").startswith("text/plain")
    got = host.get(f"/fn/{TENANT}/{name}?status=418")
    assert got.status == 418, got
    got = host.get(f"/fn/{TENANT}/{name}", method="HEAD")
    assert (got.status, got.body) == (200, b"")


@EVERY
@pytest.mark.parametrize("size", [1, 5000, 70_000, 3 << 20])
def test_a_body_comes_back(host, name, size):
    body = random.Random(size).randbytes(size)
    got = host.post(f"/fn/{TENANT}/{name}", body)
    assert got.status == 200 and got.body == body, got


@EVERY
def test_a_large_reply_is_whole(host, name):
    got = host.get(f"/fn/{TENANT}/{name}?large=8000000")
    assert got.status == 200 and got.body == b"x" * 8_000_000, got


@EVERY
def test_what_it_says_is_logged_with_the_request(host, name):
    got = host.get(f"/fn/{TENANT}/{name}?error=trouble-{name}")
    assert got.status == 200, got
    host.wait_log(TENANT, f"says trouble-{name}")
    line, = [line for line in host.tenant_log(TENANT).splitlines()
             if f"says trouble-{name}" in line]
    assert got.request_id in line


@EVERY
def test_two_hundred_requests_by_one_process(host, function, name):
    """... with and without bodies, read and not."""
    target = function(name)
    connection, pids = host.http(), set()
    for number in range(count(200, 2000)):
        if number % 5 == 1:
            body = f"body {number} ".encode() * number
            got = host.post(target, body, connection=connection)
            assert got.body == body
        elif number % 5 == 3:
            got = host.post(f"{target}?ignore", SMUGGLED * 200,
                            connection=connection)
            assert got.text == "unread\n"
        else:
            got = host.get(f"{target}/{number}", connection=connection)
            assert got.text == f"GET /{number}\n"
        pids.add(pid(got))
        if name in COUNTING:
            assert got.header("X-Served") == str(number + 1)
    assert len(pids) == 1
    connection.close()


@EVERY
def test_a_new_process_after_so_many_requests(host, function, name):
    target = function(name, "requests = 5; concurrency = 1;\n")
    pids = [pid(host.get(target)) for _ in range(15)]
    assert [len(set(pids[at:at + 5])) for at in (0, 5, 10)] == [1, 1, 1]
    assert len(set(pids)) == 3


@EVERY
def test_one_request_a_process(host, function, name):
    target = function(name, "requests = 1; spare = 2;\n")
    pids = [pid(host.get(target)) for _ in range(10)]
    assert len(set(pids)) == 10


@EVERY
def test_many_at_once_have_no_more_processes_than_they_may(host, function,
                                                           name):
    target, wrong, pids = function(name, "concurrency = 3;\n"), [], set()

    def client(number):
        for at in range(20):
            body = f"{number} {at} ".encode() * 1000
            got = host.post(target, body)
            if got.status != 200 or got.body != body:
                wrong.append(got)
            else:
                pids.add(pid(got))
    clients = [threading.Thread(target=client, args=(number,))
               for number in range(8)]
    for each in clients:
        each.start()
    most = 0
    while any(each.is_alive() for each in clients):
        most = max(most, len(processes(host, target)))
    assert not wrong, wrong[:2]
    assert 1 <= most <= 3 and len(pids) <= 3


@EVERY
def test_it_dies_and_the_next_request_has_another(host, function, name):
    target = function(name)
    first = pid(host.get(target))
    got = host.get(f"{target}?exit")
    assert got.status == 502, got
    assert pid(host.get(target)) != first


@pytest.mark.parametrize("name", ["fcgx", "stdio", "perl", "php"])
def test_work_behind_the_reply_is_done(host, function, name):
    target = function(name)
    for number in range(1, 4):
        got = host.get(f"{target}?after=behind_{name}")
        assert got.status == 200, got
        eventually(lambda: len(host.marks(f"behind_{name}", TENANT)) == number,
                   "what it does behind its reply")


# ---- PHP --------------------------------------------------------------------

def test_php_keeps_its_compiled_script(host, function):
    """That is what a warm PHP is for."""
    target = function("php")

    def hits():
        return int(host.get(target).header("X-Hits"))
    # it compiles a file anew that is younger than two seconds
    before = eventually(lambda: max(hits(), 0), "PHP to keep the script")
    assert [hits() for _ in range(3)] == [before + at for at in (1, 2, 3)]


def test_php_takes_files(host):
    parts = b"".join(
        b'--frontier\r\nContent-Disposition: form-data; name="' + name
        + b'"\r\n\r\n' + value + b"\r\n" for name, value in (
            (b"file\"; filename=\"a.bin", bytes(range(256)) * 4000),
            (b"word", "Grüße".encode()))) + b"--frontier--\r\n"
    got = host.post(f"/fn/{TENANT}/php?upload", parts, headers={
        "Content-Type": "multipart/form-data; boundary=frontier"})
    wanted = hashlib.md5(bytes(range(256)) * 4000).hexdigest()
    assert got.text == f"file a.bin 1024000 {wanted}\nword Grüße\n", got


def test_php_tells_its_errors_to_the_log(host):
    got = host.get(f"/fn/{TENANT}/php?fatal")
    assert got.status == 500, got
    host.wait_log(TENANT, "undefined function nothing_of_this_name")
    line, = [line for line in host.tenant_log(TENANT).splitlines()
             if "Uncaught Error" in line]
    assert got.request_id in line
    assert host.get(f"/fn/{TENANT}/php").status == 200


def test_php_ends_by_itself_and_nobody_notices(host, function):
    """It can count its requests, too; unless it is told a number, ours counts."""
    target = function("php", 'env = { PHP_FCGI_MAX_REQUESTS = "3"; };\n'
                             'concurrency = 1;\n')
    pids = collections.Counter(pid(host.get(target)) for _ in range(30))
    assert set(pids.values()) == {3}


def test_php_does_not_end_by_itself(host, function):
    """... after its own 500, while ours say more."""
    target = function("php", "requests = 0; concurrency = 1;\n")
    connection = host.http()
    assert len({pid(host.get(target, connection=connection))
                for _ in range(510)}) == 1
    connection.close()


def test_php_makes_no_children(host, function):
    target = function("php", "concurrency = 1;\n")
    for _ in range(3):
        pid(host.get(target))
        assert len(processes(host, target)) == 1


def test_php_is_cgi_without_its_line(host):
    """One line is all there is between the two."""
    host.function(TENANT, "cold", PROGRAMS["php"], "")
    pids = {pid(host.get(f"/fn/{TENANT}/cold/a")) for _ in range(3)}
    assert len(pids) == 3
    host.function(TENANT, "cold", PROGRAMS["php"], WARM)
    eventually(lambda: len({pid(host.get(f"/fn/{TENANT}/cold"))
                            for _ in range(3)}) == 1, "it to be warm")


def test_php_as_the_readme_has_it(host):
    text = (ROOT / "README.md").read_text()
    session = text[text.index("    $ cat >functions/demo/shop.php"):]
    lines = session[:session.index("    $ curl")].splitlines()
    script = "\n".join(line.removeprefix("    ").removeprefix("$ ")
                       for line in lines)
    host.tenant("demo")
    subprocess.run(["sh", "-ec", script], cwd=host.base, check=True)
    wanted = re.escape(", /basket\n")
    seen = {host.get("/fn/demo/shop/basket").text for _ in range(3)}
    assert len(seen) == 1 and re.fullmatch(r"process \d+" + wanted, seen.pop())


def test_what_is_not_installed_is_said(host):
    host.function(TENANT, "without", "#!/usr/bin/php-cgi-none\n<?php\n", WARM)
    got = host.get(f"/fn/{TENANT}/without")
    assert got.status == 503 and "/usr/bin/php-cgi-none" in got.text, got
