# SPDX-License-Identifier: MIT
"""If this fails, what is written for WSGI does something else here than under the
server it was tried with, or a mistake of an author is not told to the author."""
import json
import os
import subprocess

import pytest
import requests

from host import BUILD, IS_ROOT, ROOT, Broken, count, eventually

PYTHON = BUILD / "fcgi-host-python"
pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="fcgi-host-python is not built")
ENV = "#!/usr/bin/env fcgi-host-python\n"

# What /WORD asks for is done; so one script serves most tests.
WSGI = ENV + r'''
import os, sys
print("loading prints")
loads = globals().get("loads", 0) + 1

class Parts:
    closed = 0
    def __init__(self, parts): self.parts = parts
    def __iter__(self): return iter(self.parts)
    def close(self): Parts.closed += 1

def application(environ, start_response):
    word = environ["PATH_INFO"][1:]
    return globals()["do_" + word](environ, start_response)

def ok(start_response, *headers):
    return start_response("200 OK",
                          [("Content-Type", "text/plain"), *headers])

def do_hello(environ, start_response):
    print("hello prints")
    ok(start_response, ("X-One", "1"), ("X-One", "2"))
    return [b"hello, ", b"world\n"]

def do_environ(environ, start_response):
    import json
    ok(start_response)
    facts = {k: v for k, v in environ.items() if isinstance(v, (str, bool))}
    facts.update(name=__name__, argv=sys.argv, path0=sys.path[0], pid=os.getpid(),
                 version=environ["wsgi.version"], executable=sys.executable)
    return [json.dumps(facts).encode()]

def do_echo(environ, start_response):
    ok(start_response, ("Content-Length", environ.get("CONTENT_LENGTH") or "0"))
    source = environ["wsgi.input"]
    return iter(lambda: source.read(50000), b"")

def do_lines(environ, start_response):
    ok(start_response)
    source = environ["wsgi.input"]
    first = source.readline()
    return [repr([first, source.readline(3), source.read(2), list(source),
                  source.read(), source.read(7)]).encode()]

def do_unread(environ, start_response):
    ok(start_response)
    return [b"not read"]

def do_much(environ, start_response):
    ok(start_response)
    return (bytes([n & 127]) * 65536 for n in range(int(environ["QUERY_STRING"])))

def do_slowly(environ, start_response):
    ok(start_response)
    def parts():
        yield b"first"
        while not os.path.exists(environ["QUERY_STRING"]):
            pass
        yield b"second"
    return parts()

def do_write(environ, start_response):
    write = ok(start_response)
    write(b"by write, ")
    return [b"and returned"]

def do_file(environ, start_response):
    ok(start_response)
    return environ["wsgi.file_wrapper"](open(__file__, "rb"), 100)

def do_close(environ, start_response):
    ok(start_response)
    return Parts([str(Parts.closed).encode()])

def do_close_fails(environ, start_response):
    ok(start_response)
    def parts():
        try:
            yield b""
            raise KeyError("while iterating")
        finally:
            print("was closed", file=environ["wsgi.errors"])
    return parts()

def do_again(environ, start_response):
    ok(start_response, ("X-First", "1"))
    try:
        raise ValueError("replaced")
    except ValueError:
        start_response("418 other", [("X-Second", "2")], sys.exc_info())
    return [b"instead"]

def do_twice(environ, start_response):
    ok(start_response)
    ok(start_response)
    return []

def do_late(environ, start_response):
    write = ok(start_response)
    write(b"some")
    try:
        raise ValueError("too late")
    except ValueError:
        start_response("500 no", [], sys.exc_info())
    return []

def do_raise(environ, start_response):
    ok(start_response)
    raise ValueError("for the log: \u00fc")

def do_raise_second(environ, start_response):
    ok(start_response)
    yield b"some"
    raise ValueError("in the middle")

def do_exit(environ, start_response):
    sys.exit(int(environ["QUERY_STRING"]))

def do_interrupt(environ, start_response):
    raise KeyboardInterrupt

def do__exit(environ, start_response):
    os._exit(int(environ["QUERY_STRING"]))

def do_kill(environ, start_response):
    os.kill(os.getpid(), int(environ["QUERY_STRING"]))
    return ok(start_response) and [b"lives"]

def do_sleep(environ, start_response):
    import time
    time.sleep(60)

def do_none(environ, start_response):
    return [b"no start_response"]

def do_text(environ, start_response):
    ok(start_response)
    return ["text"]

def do_header(environ, start_response):
    cases = {
        "line": ("X-A", "a\r\nSet-Cookie: b"), "nul": ("X-A", "a\0b"),
        "name": ("X A", "a"), "hop": ("Connection", "close"),
        "wide": ("X-A", "\u20ac"), "number": ("X-A", 1),
        "length": ("Content-Length", "many"),
    }
    ok(start_response, cases[environ["QUERY_STRING"]])
    return [b"must not be seen"]

def do_caught(environ, start_response):
    try:
        ok(start_response, ("X-A", "a\nb"))
    except ValueError:
        ok(start_response)
    return [b"caught"]

def do_status(environ, start_response):
    from urllib.parse import unquote
    start_response(unquote(environ["QUERY_STRING"]), [])
    return []

def do_threads(environ, start_response):
    import threading
    seen = []
    threads = [threading.Thread(target=seen.append, args=(n,)) for n in range(9)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    ok(start_response)
    return [str(sorted(seen)).encode()]

def do_fork(environ, start_response):
    if os.fork() == 0:
        sys.exit("the child comes back")
    os.wait()
    ok(start_response)
    return [b"the parent"]

def do_child(environ, start_response):
    import subprocess
    got = subprocess.run([sys.executable, "-c", "print(6 * 7)"],
                         capture_output=True, check=True)
    ok(start_response)
    return [got.stdout]

def do_atexit(environ, start_response):
    import atexit
    atexit.register(lambda: open(environ["QUERY_STRING"], "w").close())
    ok(start_response)
    return [str(os.getpid()).encode()]
'''

HANDLE = ENV + r'''
class Part:
    def __str__(self): return "no part"

def handle(request):
    return globals()["do_" + request.path[1:]](request)

def do_facts(request):
    return {"method": request.method, "path": request.path,
            "script": request.script, "query": request.query,
            "all": request.query.all("a"), "none": request.query.get("none"),
            "agent": request.headers.get("User-Agent"),
            "agent2": request.headers["user-agent"],
            "has": "X-Nothing" in request.headers, "id": request.id,
            "tenant": request.variables["FN_TENANT"]}

def do_str(request): return "Gr\u00fc\u00dfe"
def do_bytes(request): return b"\0\xff"
def do_list(request): return [1, "\u00fc"]
def do_none(request): return None
def do_three(request): return 201, {"X-A": "b"}, {"made": True}
def do_pairs(request):
    return 200, [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"),
                 ("Content-Type", "text/html")], "<p>"
def do_empty(request): return 303, {"Location": "/elsewhere"}, None
def do_parts(request):
    yield "one, "
    yield b"two"
def do_two(request): return 200, "x"
def do_wrong(request): return Part()
def do_body(request): return request.body
def do_json(request): return {"got": request.json}
def do_form(request):
    return {"form": request.form, "all": request.form.all("a"),
            "files": {name: [file.name, file.type, file.data.decode("latin-1")]
                      for name, file in request.files.items()},
            "body": len(request.body)}
'''


MODES = {
    "cgi": 'protocol = "cgi"; start = "exec";',
    "fastcgi": 'protocol = "fastcgi"; start = "exec";',
    "forked": 'protocol = "cgi"; start = "fork";',
}


@pytest.fixture(params=MODES)
def protocol(request):
    return request.param


@pytest.fixture
def put(host):
    """Puts a script in place: its URL. One that is to be forked has a template."""
    def made(name, text, conf="", tenant="python", mode=0o755):
        host.function(tenant, name, text, conf, mode)
        function = name.partition(".")[0]
        url = f"/fn/{tenant}/{function}"
        if 'start = "fork"' in conf:
            eventually(lambda: host.get(url) and template(
                host, tenant, function) not in ("none", "starting"),
                f"a template of {function}")
        return url
    return made


def template(host, tenant, function):
    told = host.ctl("explain", f"{tenant}/{function}", "--json").stdout
    return json.loads(told).get("template", "none")


@pytest.fixture
def wsgi(put, protocol):
    return put(f"wsgi-{protocol}.py", WSGI, f'{MODES[protocol]} '
               'args = ("one", "two words");')


@pytest.fixture
def handled(put, protocol):
    return put(f"handle-{protocol}.py", HANDLE, f'{MODES[protocol]}')


def failed(got):
    """A 500 of the function itself, with nothing of what went wrong."""
    assert got.status == 500, got
    assert got.header("Content-Type") == "application/problem+json"
    assert got.header("X-First") is None
    assert json.loads(got.body)["detail"] == "the function failed"


def said(host, got, text, tenant="python"):
    """In the log, as a line of this request."""
    eventually(lambda: any(
        text in line and got.request_id in line
        for line in host.tenant_log(tenant).splitlines()),
        f"{text!r} in the log: {host.tenant_log(tenant)[-2000:]}")


# ---- WSGI -------------------------------------------------------------------

def test_hello(host, wsgi):
    got = host.get(f"{wsgi}/hello")
    assert (got.status, got.body) == (200, b"hello, world\n")
    assert got.header("Content-Type") == "text/plain"
    assert got.header("Content-Length") == "13"
    assert [v for k, v in got.headers if k == "X-One"] == ["1", "2"]
    host.wait_log("python", "hello prints")
    host.wait_log("python", "loading prints")


def test_head(host, wsgi):
    got = host.get(f"{wsgi}/hello", method="HEAD")
    assert (got.status, got.body) == (200, b"")
    assert got.header("Content-Length") == "13"


def test_environ(host, wsgi, protocol):
    got = host.get(f"{wsgi}/environ?a=%C3%BC&b", headers={"X-Word": "w"})
    facts = json.loads(got.body)
    script = host.functions / "python" / f"wsgi-{protocol}.py"
    assert facts["name"] == "function"
    assert facts["argv"] == [str(script), "one", "two words"]
    assert facts["path0"] == str(script.parent)
    assert facts["REQUEST_METHOD"] == "GET"
    assert facts["SCRIPT_NAME"] == wsgi
    assert facts["PATH_INFO"] == "/environ"
    assert facts["QUERY_STRING"] == "a=%C3%BC&b"
    assert facts["HTTP_X_WORD"] == "w"
    assert facts["FN_TENANT"] == "python"
    assert facts["wsgi.url_scheme"] == "http"
    assert facts["version"] == [1, 0]
    assert facts["wsgi.multithread"] is False
    assert facts["wsgi.multiprocess"] is True
    assert facts["wsgi.run_once"] is (protocol != "fastcgi")
    assert os.path.basename(facts["executable"]).startswith("python3")
    again = json.loads(host.get(f"{wsgi}/environ").body)
    assert (again["pid"] == facts["pid"]) is (protocol == "fastcgi")


def test_bytes_of_a_path_are_characters(host, put, protocol):
    url = put(f"path-{protocol}.py", ENV + """
def application(environ, start_response):
    start_response("200 OK", [])
    return [environ["PATH_INFO"].encode("latin-1")]
""", f'{MODES[protocol]}')
    got = host.get(f"{url}/%C3%BC/%FF%20%E2%82%AC")
    assert got.body == b"/\xc3\xbc/\xff \xe2\x82\xac"


@pytest.mark.parametrize("size", [0, 1, 65536, 3_000_001])
def test_bodies_both_ways(host, wsgi, size):
    body = bytes(range(251)) * (size // 251 + 1)
    got = host.post(f"{wsgi}/echo", body[:size])
    assert got.status == 200
    assert got.body == body[:size]


def test_lines_of_a_body(host, wsgi):
    got = host.post(f"{wsgi}/lines", b"first\nsecond\nthird\nno end")
    assert got.text == repr([b"first\n", b"sec", b"on",
                             [b"d\n", b"third\n", b"no end"], b"", b""])


def test_a_body_need_not_be_read(host, wsgi):
    for _ in range(2):
        got = host.post(f"{wsgi}/unread", b"x" * 200_000)
        assert got.body == b"not read"


def test_a_large_reply(host, wsgi):
    got = host.get(f"{wsgi}/much?{count(100, 2000)}")
    assert len(got.body) == count(100, 2000) * 65536
    assert got.body[65536:65540] == b"\1\1\1\1"


def test_a_part_is_sent_when_it_is_made(host, wsgi):
    there = host.functions / "python" / "data" / "go"
    with requests.get(f"http://127.0.0.1:{host.port}{wsgi}/slowly?{there}",
                      stream=True, timeout=30) as got:
        parts = got.iter_content(None)
        assert next(parts) == b"first"
        there.write_text("")
        assert b"".join(parts) == b"second"


def test_write_and_file_wrapper(host, wsgi):
    assert host.get(f"{wsgi}/write").text == "by write, and returned"
    assert host.get(f"{wsgi}/file").text == WSGI


def test_close_is_called(host, wsgi, protocol):
    assert host.get(f"{wsgi}/close").text == "0"
    assert host.get(f"{wsgi}/close").text == \
        ("1" if protocol == "fastcgi" else "0")
    got = host.get(f"{wsgi}/close_fails")
    failed(got)
    said(host, got, "was closed")
    said(host, got, "KeyError: 'while iterating'")


def test_start_response_again(host, wsgi):
    got = host.get(f"{wsgi}/again")
    assert (got.status, got.body) == (418, b"instead")
    assert got.header("X-Second") == "2"
    assert got.header("X-First") is None
    failed(host.get(f"{wsgi}/twice"))
    with pytest.raises(Broken):
        host.get(f"{wsgi}/late")
    host.wait_log("python", "ValueError: too late")


@pytest.mark.parametrize("word, said_is", [
    ("raise", "ValueError: for the log: ü"),
    ("none", "RuntimeError: the body comes before start_response()"),
    ("text", "TypeError: the body is made of bytes, not str"),
    ("nothing", "KeyError: 'do_nothing'"),
    ("header?line", "there is a line end in the value"),
    ("header?nul", "ValueError: embedded null byte"),
    ("header?name", "the name is no token"),
    ("header?hop", "that is of the connection, not of the reply"),
    ("header?wide", "UnicodeEncodeError: 'latin-1' codec"),
    ("header?number", "TypeError: name and value of a header are str"),
    ("header?length", "the value is no number"),
    ("status?2000%20OK", "ValueError: the status is as \"200 OK\""),
    ("status?99%20No", "ValueError: the status is as \"200 OK\""),
    ("status?100%20Continue", "ValueError: the status cannot be part"),
    ("status?abc%20OK", "ValueError: the status is as \"200 OK\""),
])
def test_mistakes_are_told_to_the_author(host, wsgi, word, said_is):
    got = host.get(f"{wsgi}/{word}")
    failed(got)
    said(host, got, said_is)
    assert "<frozen" not in host.tenant_log("python")
    # and the next request is none the worse for it
    assert host.get(f"{wsgi}/hello").status == 200


def test_a_refused_header_leaves_nothing(host, wsgi):
    got = host.get(f"{wsgi}/caught")
    assert (got.status, got.body) == (200, b"caught")
    assert got.header("X-A") is None


def test_a_reply_that_fails_in_its_middle_is_broken_off(host, wsgi):
    with pytest.raises(Broken):
        host.get(f"{wsgi}/raise_second")
    host.wait_log("python", "ValueError: in the middle")


@pytest.mark.parametrize("code", [0, 3])
def test_sys_exit_is_a_failure(host, wsgi, code):
    got = host.get(f"{wsgi}/exit?{code}")
    failed(got)
    said(host, got, f"SystemExit: {code}")
    said(host, got, "a function is not to end its process")
    assert host.get(f"{wsgi}/hello").status == 200


def test_an_interrupt_is_a_failure(host, wsgi):
    got = host.get(f"{wsgi}/interrupt")
    failed(got)
    said(host, got, "KeyboardInterrupt")
    assert host.get(f"{wsgi}/hello").status == 200


def test_os_exit_is_the_end_of_the_process(host, wsgi, protocol):
    got = host.get(f"{wsgi}/_exit?3")
    assert got.status == 502, got
    assert "exit 3" in json.loads(got.body)["detail"]
    got = host.get(f"{wsgi}/kill?11")
    assert got.status == 502, got
    assert "SEGV" in json.loads(got.body)["detail"]
    assert host.get(f"{wsgi}/hello").status == 200


def test_the_time_limit_ends_it(host, put, protocol):
    url = put(f"late-{protocol}.py", WSGI, f'{MODES[protocol]} '
              'limits = { time = "400ms"; };')
    host.get(f"{url}/sleep").problem(504, "time", "limits.time = 400ms")
    host.post(f"{url}/unread", b"")


def test_a_pipe_that_is_shut_is_an_exception(host, wsgi):
    # SIGPIPE is ignored, as in every Python program
    assert host.get(f"{wsgi}/kill?13").text == "lives"


def test_threads_children_and_copies(host, wsgi):
    assert host.get(f"{wsgi}/threads").text == str(list(range(9)))
    assert host.get(f"{wsgi}/child").text == "42\n"
    got = host.get(f"{wsgi}/fork")
    assert (got.status, got.text) == (200, "the parent")
    assert host.get(f"{wsgi}/hello").status == 200


def test_atexit(host, put, protocol):
    url = put(f"atexit-{protocol}.py", WSGI,
              f'{MODES[protocol]}' +
              (" requests = 1;" if protocol == "fastcgi" else ""))
    mark = host.functions / "python" / "data" / f"atexit-{protocol}"
    assert host.get(f"{url}/atexit?{mark}").status == 200
    eventually(mark.exists, "what atexit was given to run")


# ---- handle(request) --------------------------------------------------------

def test_request(host, handled):
    got = host.get(f"{handled}/facts?a=1&a=%C3%BC&b=x+y&c&bad=%ff",
                   headers={"User-Agent": "me"})
    facts = json.loads(got.body)
    assert facts == {
        "method": "GET", "path": "/facts", "script": handled,
        "query": {"a": "1", "b": "x y", "c": "", "bad": "\ufffd"},
        "all": ["1", "ü"], "none": None, "agent": "me", "agent2": "me",
        "has": False, "id": got.request_id, "tenant": "python"}
    assert got.header("Content-Type") == "application/json"


@pytest.mark.parametrize("word, status, kind, body", [
    ("str", 200, "text/plain; charset=utf-8", "Grüße".encode()),
    ("bytes", 200, "application/octet-stream", b"\0\xff"),
    ("list", 200, "application/json", '[1, "ü"]\n'.encode()),
    ("none", 204, None, b""),
    ("three", 201, "application/json", b'{"made": true}\n'),
    ("pairs", 200, "text/html", b"<p>"),
    ("parts", 200, "text/plain; charset=utf-8", b"one, two"),
])
def test_what_handle_returns(host, handled, word, status, kind, body):
    got = host.get(f"{handled}/{word}")
    assert (got.status, got.header("Content-Type"), got.body) == \
        (status, kind, body)
    if word == "three":
        assert got.header("X-A") == "b"
    if word == "pairs":
        assert [v for k, v in got.headers if k == "Set-Cookie"] == \
            ["a=1", "b=2"]


def test_a_redirect(host, handled):
    got = host.get(f"{handled}/empty")
    assert got.status == 303
    assert got.header("Location").endswith("/elsewhere")


@pytest.mark.parametrize("word, words", [
    ("two", "handle() returns (status, headers, body), not 2 values"),
    ("wrong", "handle() returns str, bytes, dict, list, None"),
])
def test_what_handle_must_not_return(host, handled, word, words):
    got = host.get(f"{handled}/{word}")
    failed(got)
    said(host, got, words)


def test_forms(host, handled):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    got = host.post(f"{handled}/form", b"a=1&a=%C3%BC&b=x+y", headers=form)
    assert json.loads(got.body) == {
        "form": {"a": "1", "b": "x y"}, "all": ["1", "ü"], "files": {},
        "body": 18}
    url = f"http://127.0.0.1:{host.port}{handled}/form"
    got = requests.post(url, data={"a": "ü"}, timeout=30, files={
        "file": ("../ü.txt", b"\0data\xff", "text/x-own")}).json()
    assert got["form"] == {"a": "ü"}
    assert got["files"] == {"file": ["../ü.txt", "text/x-own",
                                     "\0data\xff"]}
    got = host.post(f"{handled}/form", b"{}",
                    headers={"Content-Type": "application/json"})
    assert json.loads(got.body)["form"] == {}
    got = host.post(f"{handled}/form", b"--x\r\nno",
                    headers={"Content-Type":
                             "multipart/form-data; boundary=x"})
    assert got.status == 400, got


def test_json(host, handled):
    got = host.post(f"{handled}/json", '{"a": "ü"}'.encode())
    assert json.loads(got.body) == {"got": {"a": "ü"}}
    got = host.post(f"{handled}/json", b"{")
    assert got.status == 400
    assert "the body is no JSON" in json.loads(got.body)["detail"]


def test_a_large_body(host, handled):
    body = os.urandom(2_000_003)
    assert host.post(f"{handled}/body", body).body == body


# ---- programs as they are ---------------------------------------------------

FLASK = ENV + '''
from flask import Flask, Response, jsonify, redirect, request, session, url_for
app = Flask(__name__)
app.secret_key = "x"
@app.route("/")
def index(): return "<p>flask"
@app.route("/name/<name>")
def name(name): return jsonify(name=name, url=url_for("index"))
@app.route("/form", methods=["POST"])
def form():
    session["a"] = request.form["a"]
    return redirect(url_for("kept"))
@app.route("/kept")
def kept(): return session["a"]
@app.route("/upload", methods=["POST"])
def upload(): return request.files["f"].read()[::-1]
@app.route("/stream")
def stream(): return Response(str(n) for n in range(5))
@app.route("/fails")
def fails(): return 1 / 0
'''


def test_flask(host, put, protocol):
    url = put(f"flask-{protocol}.py", FLASK, f'{MODES[protocol]}')
    base = f"http://127.0.0.1:{host.port}{url}"
    with requests.Session() as browser:
        assert browser.get(f"{base}/").text == "<p>flask"
        assert browser.get(f"{base}/name/%C3%BC").json() == \
            {"name": "ü", "url": f"{url}/"}
        assert browser.post(f"{base}/form", {"a": "ü"}).text == "ü"
        assert browser.post(f"{base}/upload", files={
            "f": b"a" * 500_000 + b"b"}).content == b"b" + b"a" * 500_000
        assert browser.get(f"{base}/stream").text == "01234"
        assert browser.get(f"{base}/nothing").status_code == 404
    got = host.get(f"{url}/fails")
    assert got.status == 500
    said(host, got, "ZeroDivisionError: division by zero")


def test_bottle(host, put, protocol):
    url = put(f"bottle-{protocol}.py", ENV + '''
import bottle
application = bottle.Bottle()
@application.route("/<name>")
def hello(name): return bottle.template("hello {{name}}", name=name)
@application.post("/form")
def form(): return bottle.request.forms.getunicode("a")
@application.error(404)
def none(error): return "bottle has none"
''', f'{MODES[protocol]}')
    assert host.get(f"{url}/%3Cb%3E").text == "hello &lt;b&gt;"
    got = host.post(f"{url}/form", b"a=%C3%BC", headers={
        "Content-Type": "application/x-www-form-urlencoded"})
    assert got.text == "ü"
    got = host.get(f"{url}/a/b")
    assert (got.status, got.text) == (404, "bottle has none")


def test_the_validator_of_the_library_finds_nothing(host, put, protocol):
    url = put(f"validated-{protocol}.py", ENV + '''
from wsgiref.validate import validator
def hello(environ, start_response):
    body = environ["wsgi.input"].read(100)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"valid ", body]
application = validator(hello)
''', f'{MODES[protocol]}')
    for _ in range(2):
        got = host.post(url, b"body")
        assert got.text == "valid body", host.tenant_log("python")[-2000:]


# ---- the script -------------------------------------------------------------

@pytest.mark.parametrize("text, words", [
    ("def handle(r): return 1/\n", "SyntaxError: invalid syntax"),
    ("import nothing_of_this_name\n",
     "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
    ("x = 1\n", "has neither application (WSGI) nor handle(request)"),
    ("handle = 3\n", "cannot be called"),
    ("async def application(scope, receive, send): ...\n", "is asynchronous"),
    ("import sys\nsys.exit('not set up')\n", "SystemExit: not set up"),
    ("raise KeyboardInterrupt\n", "KeyboardInterrupt"),
])
def test_a_script_that_cannot_be_loaded(host, put, protocol, text, words):
    name = f"broken-{len(text)}-{protocol}.py"
    url = put(name, text, f'{MODES[protocol]} runtime = "python";')
    for _ in range(2):
        got = host.get(url)
        failed(got)
        said(host, got, "not answered: the script could not be loaded")
    assert words in host.tenant_log("python")
    # the next request has a script that is whole
    put(name, "def handle(request): return 'whole'\n",
        f'{MODES[protocol]} runtime = "python";')
    assert host.get(url).text == "whole"


def test_what_is_beside_the_script_is_imported(host, put, protocol):
    host.write(host.tenant("python") / "beside_it.py", "word = 'v1'\n", 0o644)
    url = put(f"imports-{protocol}.py", ENV +
              "import beside_it\ndef handle(r): return beside_it.word\n",
              f'{MODES[protocol]}')
    assert host.get(url).text == "v1"


def test_a_directory_is_a_function_too(host, protocol):
    place = host.tenant("python") / f"gallery-{protocol}"
    place.mkdir(exist_ok=True)
    host._own(place)
    host.write(place / "own.py", "word = 'own'\n", 0o644)
    host.write(place / "function.conf", f'{MODES[protocol]}', 0o644)
    host.write(place / "run", ENV + "import own, os\ndef handle(r):\n"
               "    return own.word + os.path.basename(os.getcwd())\n", 0o755)
    got = host.get(f"/fn/python/gallery-{protocol}")
    assert got.text == f"owngallery-{protocol}"


@pytest.mark.parametrize("how", ["beside", "env"])
def test_virtual_environment(host, put, protocol, how, tmp_path_factory):
    tenant = f"venv-{how}"
    place = host.tenant(tenant) / ("venv" if how == "beside" else "other")
    if not place.exists():
        subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip",
                        "--symlinks", place], check=True)
        subprocess.run(["chmod", "-R", "a+rX", place], check=True)
        packages = next(place.glob("lib/python*/site-packages"))
        (packages / "only_in_there.py").write_text("word = 'installed'\n")
    conf = f'{MODES[protocol]}'
    if how == "env":
        conf += f' env = {{ VIRTUAL_ENV = "{place}"; }};'
    url = put(f"uses-{protocol}.py", ENV + """
import sys, only_in_there
def handle(request):
    try:
        import flask
        system = True
    except ImportError:
        system = False
    return {"word": only_in_there.word, "prefix": sys.prefix, "system": system}
""", conf, tenant=tenant)
    got = host.get(url)
    assert got.status == 200, host.tenant_log(tenant)[-2000:]
    assert json.loads(got.body) == {"word": "installed",
                                    "prefix": str(place), "system": False}


def test_an_environment_of_another_python_is_said(host, put, protocol):
    host.tenant("old")
    conf = f'{MODES[protocol]} env = {{ VIRTUAL_ENV = "/nowhere"; }};'
    url = put(f"old-{protocol}.py", ENV + "def handle(r): return 'runs'\n",
              conf, tenant="old")
    assert host.get(url).text == "runs"
    host.wait_log("old", "VIRTUAL_ENV = /nowhere is no virtual environment")


# ---- copies of a template ----------------------------------------------------

COPIES = ENV + """
import atexit, os, random, secrets, sys, time
MADE, requests, drawn = os.getpid(), 0, random.Random()
atexit.register(lambda: open("data/ends", "a").write("x"))
print("printed once")
def handle(request):
    global requests
    requests += 1
    return {"made": MADE, "me": os.getpid(), "requests": requests,
            "random": random.random(), "secret": secrets.token_hex(),
            "id": os.environ.get("FN_REQUEST_ID"), "asked": request.id,
            "worker": "FN_WORKER" in os.environ,
            "template": os.environ.get("FN_TEMPLATE")}
"""


@pytest.mark.parametrize("conf", [
    MODES["forked"],
    'start = "fork"; protocol = "fastcgi"; requests = 1; spare = 2;',
], ids=["asked", "ahead"])
def test_each_request_has_a_copy_of_its_own(host, put, conf):
    tenant = "copies" + str(len(conf))
    url = put("copies.py", COPIES, conf, tenant=tenant)

    ends = host.functions / tenant / "data" / "ends"

    def ask():
        return json.loads(host.get(url).body)

    def printed():
        return host.tenant_log(tenant).count("printed once")
    eventually(lambda: all((one := ask())["me"] != one["made"]
                           for _ in range(4)), "copies and nothing else")
    before = printed(), ends.exists() and len(ends.read_text())
    got = [ask() for _ in range(6)]
    assert len({one["made"] for one in got}) == 1, got
    for word in "me", "random", "secret":
        assert len({one[word] for one in got}) == len(got), word
    assert {one["requests"] for one in got} == {1}
    for one in got:
        assert one["template"] is None
        assert one["worker"] or one["id"] == one["asked"]
    assert (printed(), ends.exists() and len(ends.read_text())) == before


def test_thread_of_the_script_is_no_template(host, put):
    """A copy would lack it."""
    url = put("threads.py", ENV + """
import threading, time
threading.Thread(target=lambda: time.sleep(1000), daemon=True).start()
def handle(request): return str(threading.active_count())
""", MODES["forked"], tenant="threads")
    assert host.get(url).text == "2"
    host.wait_log("threads", "this cannot be a template: it has 2 threads")
    assert host.get(url).text == "2"


# ---- the sandbox ------------------------------------------------------------

def test_two_tenants(host, put, protocol):
    text = ENV + """
import os
def handle(request):
    try:
        os.listdir(request.query["path"])
        seen = True
    except OSError:
        seen = False
    return {"uid": os.getuid(), "seen": seen, "tenant":
            request.variables["FN_TENANT"]}
"""
    conf = f'{MODES[protocol]}'
    urls = {name: put(f"who-{protocol}.py", text, conf, tenant=name)
            for name in ("python", "other")}
    got = {name: json.loads(host.get(
        f"{url}?path={host.functions}/python").body)
        for name, url in urls.items()}
    assert got["python"]["tenant"] == "python"
    assert got["other"]["tenant"] == "other"
    assert got["python"]["seen"]
    if IS_ROOT:
        assert got["python"]["uid"] != got["other"]["uid"]
        assert not got["other"]["seen"]


def test_nothing_but_the_runtime_is_shown(host, put):
    url = put("shown.py", ENV + """
import os
def handle(request):
    place = request.query["place"]
    try:
        open(place + "/fcgi-host-python", "r+").close()
        writable = True
    except OSError:
        writable = False
    return {"there": os.listdir(place), "writable": writable}
""")
    got = json.loads(host.get(f"{url}?place={BUILD}").body)
    assert got == {"there": ["fcgi-host-python"], "writable": False}
    plan = host.ctl("plan", "python").stdout.decode()
    assert f"maybe {PYTHON}\n" in plan


def test_ordinary_user(new_host, protocol):
    host = new_host("", user=65534 if IS_ROOT else None)
    host.function("python", "hello.py", WSGI, f'{MODES[protocol]}')
    got = host.get("/fn/python/hello/hello")
    assert got.text == "hello, world\n", \
        host.errors.read_text() + host.tenant_log("python")


def test_a_host_without_it_says_so(new_host, tmp_path_factory):
    programs = tmp_path_factory.mktemp("programs")
    programs.chmod(0o755)
    programs.parent.chmod(0o755)
    for program in BUILD.glob("fcgi-host*"):
        if program != PYTHON and program.is_file():
            (programs / program.name).write_bytes(program.read_bytes())
            (programs / program.name).chmod(0o755)
    host = new_host(programs=programs)
    host.function("rogue", "hello.py", WSGI)
    host.get("/fn/rogue/hello").problem(
        503, "refused", "hello.py is a Python function, and this host has no "
        "fcgi-host-python")
    assert host.rogue("head").status == 200


# ---- elsewhere --------------------------------------------------------------

def test_under_no_host_at_all(tmp_path):
    """By hand, and as a CGI program of any web server."""
    script = tmp_path / "hello.py"
    script.write_text(WSGI)
    done = subprocess.run([PYTHON, script], capture_output=True, check=True,
                          env={"PATH_INFO": "/hello"}, stdin=subprocess.DEVNULL)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    assert body == b"hello, world\n"
    assert b"Status: 200 OK" in head
    assert b"loading prints" in done.stderr
    done = subprocess.run([PYTHON], capture_output=True)
    assert done.returncode == 2
    assert done.stderr == b"usage: fcgi-host-python SCRIPT [ARGUMENT...]\n"


def test_demo(new_host):
    host = new_host("", functions=None)
    source = ROOT / "functions" / "demo" / "fortune.py"
    host.function("rogue", "fortune.py", source)
    got = host.get("/fn/rogue/fortune")
    assert got.status == 200
    assert got.header("Content-Type") == "text/html; charset=utf-8"
    # without any setting
    told = eventually(lambda: (one := json.loads(host.get(
        "/fn/rogue/fortune/json").body))["made"] == "a copy" and one, "a copy")
    assert told["count"] == 1
