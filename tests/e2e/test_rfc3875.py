# SPDX-License-Identifier: MIT
"""RFC 3875 point by point: what a program is told (R), what it may answer (S),
programs that write their own HTTP header (N) and time (T). If one of these
fails, CGI programs that worked elsewhere do not work here."""
import base64
import contextlib
import http.client
import socket
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastcgi
from host import Broken, Host, count, eventually

TEXT = "line=Content-Type:+text/plain"


@pytest.fixture
def reply(host):
    """Asks for a reply made of these header lines and body."""
    def ask(*lines, body="", after="", end="line", **more):
        steps = [f"line={quote(line)}" for line in lines]
        if end:
            steps.append(end)
        if body:
            steps.append(f"out={quote(body)}")
        if after:
            steps.append(after)
        return host.rogue("&".join(steps), **more)
    return ask


# ---- the request ------------------------------------------------------------

def test_R1_gateway_interface(host):
    assert host.environment()["GATEWAY_INTERFACE"] == "CGI/1.1"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH",
                                    "M-SEARCH", "OPTIONS", "PROPFIND"])
def test_R2_method_through_nginx(host, method):
    assert host.environment(method=method)["REQUEST_METHOD"] == method


@pytest.mark.parametrize("method", ["get", "M-SEARCH", "X_y!"])
def test_R2_method_as_sent(host, method):
    got = host.ask("/fn/rogue/rogue?head&env=REQUEST_METHOD", method=method)
    assert got.body.decode() == method


@pytest.mark.parametrize("asked, script, info", [
    ("/fn/rogue/rogue", "/fn/rogue/rogue", None),
    ("/fn/rogue/r%6fgue", "/fn/rogue/rogue", None),
    ("/fn/r%6Fgue/rogue/x", "/fn/rogue/rogue", "/x"),
    ("/%66n/rogue/rogue/x", "/fn/rogue/rogue", "/x"),
])
def test_R3_script_name(host, asked, script, info):
    found = host.parse_environment(host.get(asked + "?head&env").body)
    assert found["SCRIPT_NAME"] == script
    assert found.get("PATH_INFO") == info


@pytest.mark.parametrize("path, info", [
    ("", None), ("/", "/"), ("//", "//"), ("/a%20b", "/a b"),
    ("/Gr%C3%BC%C3%9Fe", "/Grüße"), ("/a+b", "/a+b"), ("/a;b=c", "/a;b=c"),
    ("/a//b/", "/a//b/"), ("/%3Fx", "/?x"), ("/%25", "/%"),
    ("/a%0ab", "/a\nb"), ("/CASE", "/CASE"),
])
def test_R4_path_info(host, path, info):
    assert host.environment(path).get("PATH_INFO") == info


@pytest.mark.parametrize("path, words", [
    ("/a%2fb", "slash"), ("/a%2Fb", "slash"), ("/%", ""), ("/%4", ""),
    ("/%zz", "")])
def test_R4_encodings_that_are_refused(host, path, words):
    got = host.ask("/fn/rogue/rogue" + path)
    assert got.status == 400
    assert words in got.body.decode()


def test_R4_asking_again_gives_the_same(host):
    letters = st.text(st.sampled_from("abZ09 ~!$&'()*+,;=:@%äß€?#\"<>|\\^"),
                      min_size=1, max_size=12)

    @settings(max_examples=count(60, 2000))
    @given(st.lists(letters.filter(lambda s: s not in (".", "..")),
                    max_size=4))
    def again(segments):
        info = "".join("/" + segment for segment in segments)
        first = host.environment(quote(info))
        assert first.get("PATH_INFO", "") == info
        second = host.parse_environment(host.get(
            quote(first["SCRIPT_NAME"] + first.get("PATH_INFO", "")) + "?"
            + first["QUERY_STRING"]).body)
        for name in ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING"):
            assert first.get(name) == second.get(name)
    again()


def test_R5_path_translated(host):
    assert "PATH_TRANSLATED" not in host.environment()
    found = host.environment("/some/file")
    assert found["PATH_TRANSLATED"] == \
        f"{host.functions}/rogue/some/file"


def test_R6_query_string(host):
    got = host.get("/fn/private2/none")
    assert got.status == 404
    host.function("rogue", "query", '#!/bin/sh\nprintf "Content-Type: a/b\\n'
                  '\\n%s" "${QUERY_STRING-unset}"\n')
    assert host.get("/fn/rogue/query").body == b""
    assert host.get("/fn/rogue/query?").body == b""
    assert host.get("/fn/rogue/query?a%41+%2f=&&;x?y").body \
        == b"a%41+%2f=&&;x?y"


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "::1"])
def test_R7_remote_addr(host, address):
    got = host.ask("/fn/rogue/rogue?head&env=REMOTE_ADDR", REMOTE_ADDR=address)
    assert got.body.decode() == address
    assert host.environment()["REMOTE_ADDR"] == "127.0.0.1"


def test_R8_remote_host(host):
    found = host.environment()
    assert found["REMOTE_HOST"] == found["REMOTE_ADDR"]


def test_R9_server(host):
    found = host.environment(headers={"Host": "functions.example:81"})
    assert found["SERVER_NAME"] == "functions.example"
    assert found["SERVER_PORT"] == str(host.port)
    assert found["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert found["SERVER_SOFTWARE"]
    for given_, wanted in (("2001:db8::1", "[2001:db8::1]"),
                           ("[2001:db8::1]", "[2001:db8::1]")):
        got = host.ask("/fn/rogue/rogue?head&env=SERVER_NAME",
                       SERVER_NAME=given_)
        assert got.body.decode() == wanted


def test_R10_content_length(host):
    assert "CONTENT_LENGTH" not in host.environment()
    found = host.environment(method="POST", body=b"12345")
    assert found["CONTENT_LENGTH"] == "5"
    got = host.ask("/fn/rogue/rogue?head&env=CONTENT_LENGTH",
                   CONTENT_LENGTH="")
    assert got.body == b"(unset)"


def chunked(host, path, *chunks):
    connection = host.http()
    connection.request("POST", path, iter(chunks), encode_chunked=True,
                       headers={"Transfer-Encoding": "chunked"})
    got = connection.getresponse()
    data = got.read()
    connection.close()
    return got.status, data


@pytest.mark.parametrize("prefix", ["/fn", "/stream"])
def test_R11_chunked_bodies_have_a_length(host, prefix):
    chunks = [b"x" * 1000, b"y" * 100_000, b"z"] * 3
    status, data = chunked(host, prefix + "/rogue/rogue?head&env", *chunks)
    assert status == 200
    found = host.parse_environment(data)
    assert found["CONTENT_LENGTH"] == str(sum(map(len, chunks)))
    assert "HTTP_TRANSFER_ENCODING" not in found
    status, data = chunked(host, prefix + "/rogue/rogue?head&echo", *chunks)
    assert data == b"".join(chunks)


def test_R12_content_type(host):
    assert "CONTENT_TYPE" not in host.environment()
    found = host.environment(method="POST", body=b"{}", headers={
        "Content-Type": "application/json; charset=x"})
    assert found["CONTENT_TYPE"] == "application/json; charset=x"
    assert "HTTP_CONTENT_TYPE" not in found


@pytest.mark.parametrize("size", [0, 1, 8191, 65536, 1_048_576, 1_048_577,
                                  5_000_000])
def test_R13_body_and_then_the_end(host, size):
    body = bytes(range(256)) * (size // 256) + b"q" * (size % 256)
    assert host.rogue("head&echo&read", method="POST", body=body).body \
        == body + b"read 0\n"


def test_R13_a_body_need_not_be_read(host):
    got = host.rogue("head&out=bye", method="POST", body=b"b" * 10_000_000)
    assert (got.status, got.body) == (200, b"bye")


def basic(name, password):
    text = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"Authorization": f"Basic {text}"}


def test_R14_a_claimed_user_is_not_one(host):
    found = host.environment(headers=basic("admin", "x"))
    assert "REMOTE_USER" not in found and "AUTH_TYPE" not in found
    assert "HTTP_AUTHORIZATION" not in found
    got = host.ask("/fn/rogue/rogue?head&env=REMOTE_USER", REMOTE_USER="eve")
    assert got.body == b"(unset)"


def test_R14_a_checked_user_is_one(host):
    got = host.rogue("mark=ran&head&env", tenant="private",
                     headers=basic("ada", "wrong"))
    assert got.status == 401
    assert host.marks("ran", "private") == []
    found = host.environment(tenant="private",
                             headers=basic("ada", "engine"))
    assert found["REMOTE_USER"] == "ada"
    assert found["AUTH_TYPE"] == "Basic"


def test_R14_authorization_when_asked_for(host):
    host.function("rogue", "auth", conf="pass_authorization = true;")
    found = host.environment(name="auth", headers={
        "Authorization": "Bearer abc"})
    assert found["HTTP_AUTHORIZATION"] == "Bearer abc"


def test_R15_header_fields(host):
    found = host.environment(headers=[
        ("X-Two", "a"), ("X-Two", "b"), ("Accept-Language", "de"),
        ("Cookie", "a=1"), ("Cookie", "b=2"), ("Proxy", "http://evil/"),
        ("X_Under", "dropped"), ("Connection", "close")])
    assert found["HTTP_X_TWO"] == "a, b"
    assert found["HTTP_ACCEPT_LANGUAGE"] == "de"
    assert found["HTTP_COOKIE"] == "a=1; b=2"
    for name in ("HTTP_PROXY", "HTTP_X_UNDER", "HTTP_CONNECTION"):
        assert name not in found


def test_R15_folded_lines_are_refused_or_joined(host):
    with socket.create_connection(("127.0.0.1", host.port)) as s:
        s.settimeout(10)
        s.sendall(b"GET /fn/rogue/rogue?head&env=HTTP_X_FOLD HTTP/1.1\r\n"
                  b"Host: x\r\nX-Fold: a\r\n b\r\nConnection: close\r\n\r\n")
        got = http.client.HTTPResponse(s)
        got.begin()
        assert got.status == 400 or got.read() in (b"a b", b"(unset)")


def test_R16_names_are_unique_and_sound(host):
    pairs = list(fastcgi.target("/fn/rogue/rogue?mark=ran&head&env").items())
    with fastcgi.Connection(host.front) as c:
        c.send(fastcgi.begin(), fastcgi.stream(
            fastcgi.PARAMS, 1, fastcgi.pairs(
                pairs + [("HTTP_A", "1"), ("HTTP_A", "2"),
                         ("REMOTE_ADDR", "192.0.2.9"),
                         ("http_lower", "x")])),
               fastcgi.record(fastcgi.STDIN, 1))
        found = host.parse_environment(c.reply().body)
    assert found["HTTP_A"] == "1, 2"
    assert found["REMOTE_ADDR"] in ("192.0.2.7", "192.0.2.9")
    assert len({name.upper() for name in found}) == len(found)


@pytest.mark.parametrize("name, value", [
    ("A=B", "x"), ("A\0B", "x"), ("", "x"), ("HTTP_X", "a\0b")])
def test_R16_names_no_environment_can_carry(host, name, value):
    got = host.ask("/fn/rogue/rogue?mark=ran&head", **{name: value})
    assert got.status == 400
    assert host.marks("ran") == []


ALLOWED = {
    "AUTH_TYPE", "CONTENT_LENGTH", "CONTENT_TYPE", "DOCUMENT_ROOT",
    "GATEWAY_INTERFACE", "HOME", "HTTPS", "LANG", "PATH", "PATH_INFO",
    "PATH_TRANSLATED", "QUERY_STRING", "REDIRECT_STATUS", "REDIRECT_URL",
    "REMOTE_ADDR", "REMOTE_HOST", "REMOTE_PORT", "REMOTE_USER",
    "REQUEST_METHOD", "REQUEST_SCHEME", "REQUEST_URI", "SCRIPT_FILENAME",
    "SCRIPT_NAME", "SERVER_ADDR", "SERVER_NAME", "SERVER_PORT",
    "SERVER_PROTOCOL", "SERVER_SOFTWARE", "TMPDIR", "TRACEPARENT", "TZ"}


def test_R17_own_variables_have_a_prefix(host):
    for name in host.environment("/x", method="POST", body=b"1"):
        assert name in ALLOWED or name.startswith(("HTTP_", "FN_")), name


def test_R18_directory(host):
    got = host.rogue("head&state")
    assert f"cwd {host.functions}/rogue\n" in got.text
    path = host.functions / "rogue" / "gallery"
    path.mkdir()
    host.write(path / "run", (host.functions / "rogue/rogue").read_bytes(),
               0o755)
    got = host.get("/fn/rogue/gallery?head&state")
    assert f"cwd {path}\n" in got.text


def test_R18_newlines(host):
    got = host.rogue("out=Content-Type:+text/plain%0a%0aone%0atwo%0d%0a")
    assert got.body == b"one\ntwo\r\n"


def test_R19_a_query_makes_no_arguments(host):
    host.function("rogue", "args", '#!/bin/sh\nprintf "Content-Type: a/b\\n'
                  '\\n%d" $#\n')
    assert host.get("/fn/rogue/args?1+ls+-l").body == b"0"
    got = host.rogue("head&args")
    assert got.body == b"rogue\0"
    host.function("rogue", "with", conf='args = [ "-a", "b c" ];')
    assert host.rogue("head&args", name="with").body == b"with\0-a\0b c\0"


@pytest.mark.parametrize("target, status", [
    ("/fn/rogue/./rogue", 400), ("/fn/rogue/rogue/../rogue", 400),
    ("/fn/rogue/%2e%2e/rogue", 400), ("/fn/rogue/rogue/%2e", 400),
    ("/fn/rogue/rogue/...", 200), ("/fn//rogue", 404),
    ("/fn/rogue//rogue", 404), ("/fn/rogue/rogue/%00", 400),
    ("/fn/rogue/rogue/" + "a" * 20000, 400), ("rogue", 400), ("*", 400),
    ("http://elsewhere/fn/rogue/rogue", 200),
])
def test_R20_paths(host, target, status):
    got = host.ask(target + "?mark=ran&head")
    assert got.status == status
    assert len(host.marks("ran")) == (status == 200)


def test_R20_header_volume(host):
    assert host.rogue("head", headers={"X-Long": "a" * 8000}).status == 200
    got = host.ask("/fn/rogue/rogue?mark=ran&head", HTTP_X_LONG="a" * 70_000)
    assert got.status in (400, 431)
    got = host.ask("/fn/rogue/rogue?mark=ran&head", **{
        f"HTTP_X_{i}": "a" * 1000 for i in range(300)})
    assert got.status in (400, 431)
    assert host.marks("ran") == []


def test_R21_a_client_that_goes_ends_its_function(host):
    connection = host.http()
    connection.request("GET", "/fn/rogue/rogue?mark=here&forever")
    host.wait_mark("here")
    assert host.running()
    connection.close()
    host.quiet()


# ---- the reply --------------------------------------------------------------

@pytest.mark.parametrize("lines", [
    ["Content-Type: a/b", "Content-Type: a/b"],
    ["Content-Type: a/b", "Status: 200 OK", "Status: 200 OK"],
    ["Location: http://x/", "Location: http://y/"],
    ["X-Only: this"],
], ids=["type", "status", "location", "none"])
def test_S1_each_field_once_and_one_of_them(reply, lines):
    reply(*lines, body="x").problem(502, "bad-reply")


def test_S2_document(reply):
    got = reply("Content-Type: text/x; charset=y", body="hi")
    assert (got.status, got.body) == (200, b"hi")
    assert got.header("Content-Type") == "text/x; charset=y"
    got = reply("Status: 404 Gone Fishing", "Content-Type: text/x", body="hi")
    assert (got.status, got.reason, got.body) == (404, "Gone Fishing", b"hi")
    got = reply("Status: 200 OK")
    assert got.header("Content-Type") is None


def test_S3_local_redirect(host, reply):
    got = reply("Location: /fn/rogue/rogue/there?head&env")
    assert got.status == 200 and got.header("Location") is None
    found = host.parse_environment(got.body)
    assert found["PATH_INFO"] == "/there"
    assert found["QUERY_STRING"] == "head&env"
    assert found["REDIRECT_STATUS"] == "302"
    assert found["REDIRECT_URL"] == "/fn/rogue/rogue"


def test_S3_the_body_stays_behind(host, reply):
    got = reply("Location: /fn/rogue/rogue?head&env&read", method="POST",
                body="", path="")
    found = got.body
    assert b"REQUEST_METHOD=GET\0" in found
    assert b"CONTENT_LENGTH" not in found
    assert found.endswith(b"read 0\n")
    connection = host.http()
    connection.request("HEAD", "/fn/rogue/rogue?line=Location:+"
                       + quote("/fn/rogue/rogue?head&env&mark=head") + "&line")
    got = connection.getresponse()
    assert got.status == 200 and got.read() == b""
    connection.close()


def test_S3_a_loop_ends(host):
    host.function("rogue", "loop", '#!/bin/sh\necho x >>data/loops\n'
                  'printf "Location: /fn/rogue/loop\\n\\n"\n')
    host.get("/fn/rogue/loop").problem(508, "redirect-loop", "10")
    assert len(host.marks("loops")) == 11


def test_S3_only_inside_the_tenant(host, reply):
    host.tenant("other")
    host.function("other", "rogue")
    got = reply("Location: /fn/other/rogue?mark=ran&head&out=secret")
    assert got.status in (302, 502)
    assert b"secret" not in got.body
    assert host.marks("ran", "other") == []


@pytest.mark.parametrize("url", [
    "http://example.org/x?y#z", "https://example.org", "mailto:ada@x"])
def test_S4_client_redirect(reply, url):
    got = reply(f"Location: {url}")
    assert (got.status, got.header("Location")) == (302, url)


def test_S4_other_fields_are_kept(reply):
    got = reply("Location: /fn/rogue/rogue?head", "Set-Cookie: a=b")
    assert got.status == 302
    assert got.header("Location").endswith("/fn/rogue/rogue?head")
    assert got.header("Set-Cookie") == "a=b"


def test_S5_redirect_with_document(reply):
    got = reply("Location: http://x/", "Status: 303 See Other",
                "Content-Type: text/plain", body="there")
    assert (got.status, got.body) == (303, b"there")
    got = reply("Status: 201 Created", "Location: http://x/new",
                "Content-Type: text/plain", body="made")
    assert (got.status, got.reason, got.body) == (201, "Created", b"made")
    assert got.header("Location") == "http://x/new"


@pytest.mark.parametrize("line, status, reason", [
    ("Status: 404", 404, "Not Found"), ("Status: 404 ", 404, "Not Found"),
    ("Status: 200 Script output follows", 200, "Script output follows"),
    ("Status: 599 x", 599, "x"), ("status:   410   Gone", 410, "Gone")])
def test_S6_status(reply, line, status, reason):
    got = reply(line, "Content-Type: text/plain")
    assert (got.status, got.reason) == (status, reason)


@pytest.mark.parametrize("value", [
    "1000 x", "99 x", "099", "20", "abc", "", "-200", "+200", "100 Continue",
    "600 x", "2 00", "200OK", "0x1F4"])
def test_S6_status_that_is_none(reply, value):
    reply(f"Status: {value}", "Content-Type: text/plain") \
        .problem(502, "bad-reply")


def test_S7_names_in_any_case(reply):
    got = reply("cOnTeNt-TyPe: text/x", "sTaTuS: 202 x", body="y")
    assert (got.status, got.header("Content-Type")) == (202, "text/x")


def test_S7_line_ends_of_both_kinds(host):
    got = host.rogue("out=Content-Type:+a/b%0d%0aX-A:+1%0aX-B:+2%0d%0a%0d%0ab")
    assert (got.header("X-A"), got.header("X-B"), got.body) == ("1", "2", b"b")
    got = host.rogue("out=Content-Type:+a/b%0d%0aX-A:+1%0a%0aX-B:+2")
    assert got.body == b"X-B: 2"


@pytest.mark.parametrize("line", [
    "X-A : 1", " folded", "\tfolded", "no colon", ": x", "X A: 1", "X(: 1",
    "Xä: 1", "X: a\x00b", "X: a\rb", "X: a\x01b", "X: a\x7fb"])
def test_S7_lines_that_are_no_fields(reply, line):
    reply("Content-Type: text/plain", line).problem(502, "bad-reply")


def test_S8_fields_of_one_connection_stay_behind(reply):
    got = reply("Content-Type: text/plain", "Connection: keep-alive",
                "Keep-Alive: timeout=5", "Transfer-Encoding: gzip",
                "TE: trailers", "Trailer: X", "Proxy-Authenticate: x",
                "Proxy-Connection: x", "X-Kept: yes", body="whole")
    assert got.body == b"whole"
    assert got.header("X-Kept") == "yes"
    for name in ("Keep-Alive", "TE", "Trailer", "Proxy-Authenticate",
                 "Proxy-Connection"):
        assert got.header(name) is None
    assert got.header("Transfer-Encoding") in (None, "chunked")


def test_S9_head(host):
    got = host.rogue("line=Content-Type:+text/x&line=Content-Length:+5&line"
                     "&out=12345", method="HEAD")
    assert (got.status, got.body) == (200, b"")
    assert got.header("Content-Type") == "text/x"
    assert got.header("Content-Length") == "5"
    got = host.rogue("head&fill=1000000", method="HEAD")
    assert (got.status, got.body) == (200, b"")


def test_S10_bodies_are_exact(host):
    everything = bytes(range(256))
    got = host.rogue("head&echo", method="POST", body=everything * 40_000)
    assert got.body == everything * 40_000
    got = host.rogue("head&fill=30000000")
    assert got.body == b"0123456789abcde\n" * (30_000_000 // 16)


def test_S11_header_limits(host):
    got = host.rogue(f"{TEXT}&out=X-Long:+&pad=15000&line&out=Y-Long:+"
                     "&pad=15000&line&line&out=ok")
    assert (got.status, got.body) == (200, b"ok")
    assert got.header("Y-Long") == "x" * 15000
    got = host.rogue(f"{TEXT}&lines=200&line&out=ok")
    assert (got.status, got.body) == (200, b"ok")
    for steps in ("lines=10000", "out=X:+&pad=20000&line", "fill=40000",
                  "out=X:+&pad=1048576&line"):
        host.rogue(f"{TEXT}&{steps}&line").problem(502, "bad-reply")


@pytest.mark.parametrize("steps, end", [
    ("", "no-reply"), ("exit=3", "no-reply"),
    (TEXT, "bad-reply"), (f"{TEXT}&exit=1", "bad-reply"),
    ("out=hello+world%0a%0a", "bad-reply"), ("line&out=x", "bad-reply"),
    ("out=%00%01%02%0a%0a", "bad-reply")])
def test_S12_no_reply_at_all(host, steps, end):
    got = host.rogue(steps)
    got.problem(502, end, "rogue/rogue")
    assert host.access(got.request_id)["end"] == end


def test_S12_the_exit_code_is_named(host):
    host.rogue("exit=37").problem(502, "no-reply", "37")


def test_S12_a_whole_reply_stands(host):
    got = host.rogue("head&out=fine&exit=3")
    assert (got.status, got.body) == (200, b"fine")
    assert host.access(got.request_id)["exit"] == 3


def test_S13_content_length_too_short(host):
    got = host.rogue(f"{TEXT}&line=Content-Length:+4&line&out=123456")
    assert (got.body, got.header("Content-Length")) == (b"1234", "4")


def test_S13_content_length_too_long(host):
    with contextlib.suppress(Broken):   # or its header had left already
        got = host.rogue(f"{TEXT}&line=Content-Length:+10&line&out=1234")
        got.problem(502, "short-reply", "rogue/rogue")
    with pytest.raises(Broken):
        host.rogue(f"{TEXT}&line=Content-Length:+1000000&line&fill=500000")


@pytest.mark.parametrize("values", [
    ["5", "5"], ["5", "6"], ["+5"], ["0x5"], ["5,5"], ["-1"], ["5 5"], [""],
    ["99999999999999999999"]])
def test_S13_content_length_that_is_none(reply, values):
    reply("Content-Type: text/plain",
          *(f"Content-Length: {value}" for value in values),
          body="12345").problem(502, "bad-reply")


@pytest.mark.parametrize("status", [204, 304])
def test_S14_without_body(host, reply, status):
    connection = host.http()
    for _ in range(2):          # the connection stays in step
        got = reply(f"Status: {status} x", "Content-Type: text/plain",
                    body="must not be there", connection=connection)
        assert (got.status, got.body) == (status, b"")
    assert reply("Status: 200 x", connection=connection).status == 200
    connection.close()


def test_S14_no_upgrade(reply):
    reply("Status: 101 Switching Protocols", "Connection: upgrade",
          "Upgrade: websocket").problem(502, "bad-reply")


def test_N1_a_program_with_its_own_http_header(host):
    got = host.rogue("out=HTTP/1.0+404+Not+Here%0d%0aContent-Type:+text/x"
                     "%0d%0aServer:+mine%0d%0a%0d%0abody")
    assert (got.status, got.reason, got.body) == (404, "Not Here", b"body")
    assert got.header("Content-Type") == "text/x"


def test_T1_time_limit_before_the_header(host):
    host.function("rogue", "short", conf='limits = { time = "300ms"; };')
    got = host.rogue("forever", name="short")
    got.problem(504, "time", "limits.time", "300ms", "rogue/short")
    assert host.access(got.request_id)["signal"] == "ALRM"


def test_T1_time_limit_in_the_body(host):
    host.function("rogue", "short", conf='limits = { time = "1s"; };')
    with pytest.raises(Broken):
        host.rogue("head&fill=100000&forever", name="short")


# ---- properties -------------------------------------------------------------

def test_headers_come_out_as_they_went_in(host):
    token = st.text(st.sampled_from("abcXYZ019-_!#$%&'*+.^`|~"), min_size=1,
                    max_size=20)
    value = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7e),
                    max_size=60)
    taken = ("content-", "status", "location", "connection", "keep-alive",
             "te", "trailer", "transfer-", "upgrade", "proxy-", "x-accel-",
             "server", "date", "x-request-id", "last-modified", "etag")

    @settings(max_examples=count(80, 2000))
    @given(st.lists(st.tuples(token, value), max_size=8))
    def through(fields):
        fields = [(f"X-P{i}-{name}", value.strip())
                  for i, (name, value) in enumerate(fields)
                  if not name.lower().startswith(taken)]
        steps = "&".join(f"line={quote(f'{n}: {v}', safe='')}"
                         for n, v in fields)
        got = fastcgi.ask(host.front, f"/fn/rogue/rogue?{TEXT}&{steps}&line")
        assert got.status == 200, got.head
        for name, value in fields:
            assert got.field(name) == value
    through()


def test_every_request_has_an_id(host):
    first, second = host.rogue("head"), host.rogue("exit=1")
    assert first.request_id and second.request_id
    assert first.request_id < second.request_id      # ordered by time
    found = host.rogue("head&env=FN_REQUEST_ID")
    assert found.text == found.request_id
    got = host.rogue("head", headers={"X-Request-Id": "abc-123"})
    assert host.access(got.request_id)["client_request"] == "abc-123"


def test_the_id_of_a_reply_is_the_hosts_alone(host, reply):
    got = reply("Content-Type: text/plain", "X-Request-Id: mine")
    assert got.status == 200
    assert host.access(got.request_id)["status"] == 200


def test_trace_context_is_continued_or_started(host):
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    found = host.environment(headers={"Traceparent": parent})["TRACEPARENT"]
    assert found[:36] == parent[:36] and found != parent
    assert len(host.environment()["TRACEPARENT"]) == 55


def test_errors_for_browsers_are_pages(host):
    got = host.get("/fn/rogue/nothing", headers={
        "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert got.status == 404
    assert got.header("Content-Type").startswith("text/html")
    assert "rogue/nothing" in got.text
    assert eventually(lambda: Host.access(host, got.request_id))["end"] \
        == "no-function"
