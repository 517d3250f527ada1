# SPDX-License-Identifier: MIT
"""The state API through nginx: what a client gets for what it asks, and what
becomes of it when clients, processes and time do what they like. A, F: the lists
of attacks and faults."""
import concurrent.futures
import contextlib
import http.client
import json
import os
import random
import re
import signal
import sqlite3
import socket
import threading
import time

import pytest

import fastcgi
from host import Host, ROOT, TORTURE, count, eventually
from state import State, events, mint, problem, quote, version

CONF = """
drain = "5s";
state = { watchers = 1024; page_bytes = "4 MiB"; };
"""


@pytest.fixture(scope="module")
def server():
    with Host(CONF) as host:
        yield host


number = iter(range(10**9))


@pytest.fixture
def state(server):
    """A tenant of its own for each test."""
    with State(server, f"t{next(number)}") as client:
        yield client
    server.check_errors()


def routes():
    """(method, path, key?, scope) of the table the host is made from."""
    text = (ROOT / "fcgi-host/state/routes.def").read_text()
    for found in re.finditer(r'^ROUTE\((\w+), (\w+), "([^"]+)", (\w+), (\w+),',
                             text, re.M):
        name, method, path, key, scope = found.groups()
        if scope != "HOST":
            yield name, method, path + ("k" if key == "KEY" else ""), scope


ROUTES = list(routes())
PATHS = sorted({path for _, _, path, _ in ROUTES})


# ---- routes, methods, tokens -------------------------------------------------

@pytest.mark.parametrize("path", PATHS)
def test_a_path_says_what_it_is_for(state, path):
    methods = {method for _, method, where, _ in ROUTES if where == path}
    if "GET" in methods:
        methods.add("HEAD")
    got = state.ask("OPTIONS", path)
    assert got.status == 204
    allow = got.header("Allow")
    assert set(allow.split(", ")) == methods | {"OPTIONS"}
    for method in {"GET", "PUT", "POST", "DELETE", "PATCH"} - methods:
        got = state.ask(method, path, b"")
        problem(got, 405, "method-not-allowed")
        assert got.header("Allow") == allow


@pytest.mark.parametrize("name, method, path, scope", ROUTES)
def test_a15_every_route_needs_its_scope(server, name, method, path, scope):
    order = ["READ", "WRITE", "ADMIN"]
    for less in order[:order.index(scope)]:
        with State(server, "scopes", less.lower()) as client:
            got = client.ask(method, path, b"")
            problem(got, 403, "insufficient-scope")
            assert 'error="insufficient_scope"' in \
                got.header("WWW-Authenticate")


@pytest.mark.parametrize("name, method, path, scope", ROUTES)
def test_every_route_needs_a_token(server, name, method, path, scope):
    with State(server, "t", token=" ") as client:
        client.token = None
        got = client.ask(method, path, b"")
        problem(got, 401, "invalid-token")
        assert got.header("WWW-Authenticate") == "Bearer"


def test_a15_prefix(server):
    with State(server, "pfx", "write", "--prefix", "app/") as client:
        assert client.put("app/a", "x").status == 201
        for got in (client.put("app", "x"), client.put("b", "x"),
                    client.get("apq"), client.ask("GET", "/kv"),
                    client.ask("GET", "/kv?prefix=ap"),
                    client.ask("GET", "/kv?start=app/"),
                    client.ask("GET", "/watch?prefix=a"),
                    client.ask("DELETE", "/kv?prefix=a"),
                    client.ask("POST", "/counter/n", b""),
                    client.atomic(ops=[
                        {"op": "set", "key": "app/b", "value": "x"},
                        {"op": "delete", "key": "b"}]),
                    client.atomic(checks=[{"key": "b", "version": None}])):
            problem(got, 403, "insufficient-scope")
        assert client.get("app/b").status == 404    # all or nothing
        assert client.list(prefix="app/")["items"][0]["key"] == "app/a"
        # Dots never lead out of it: nginx or we refuse them.
        for path in ("/kv/app%2f../b", "/kv/app/..%2fb", "/kv/app%2f%2e%2e%2fb"):
            assert client.ask("GET", path).status in (400, 404)
    with State(server, "pfx", "admin", "--prefix", "app/") as client:
        found = problem(client.ask("GET", "/export"), 403,
                        "insufficient-scope")
        assert found["detail"].endswith("scope admin without a prefix")


@pytest.mark.parametrize("change", [
    lambda t: {"Authorization": "bearer " + t[:-1]},
    lambda t: {"Authorization": "Bearer\t" + t[:-2] + "xx"},
    lambda t: {"Authorization": "Basic " + t},
    lambda t: {"Authorization": t},
    lambda t: {"Authorization": "Bearer"},
    lambda t: {"Cookie": "token=" + t},
    lambda t: {"X-Authorization": "Bearer " + t},
])
def test_a16_a_token_elsewhere_is_none(server, state, change):
    token = state.token
    state.token = None
    headers = {name.replace("-", "_"): value
               for name, value in change(token).items()}
    problem(state.ask("GET", "/", **headers), 401, "invalid-token")
    for query in ("access_token", "token", "Authorization"):
        problem(state.ask("GET", f"/?{query}={token}"), 401, "invalid-token")


def test_a16_two_authorizations_are_none(server, state):
    token, state.token = state.token, None
    both = ["Bearer " + token, "Bearer " + token]
    got = server.get("/state/v1/", headers=[("Authorization", value)
                                            for value in both])
    assert got.status in (400, 401)     # nginx refuses some pairs itself
    reply = fastcgi.ask(
        server.run / "state.sock", "/state/v1/",
        **{"HTTP_AUTHORIZATION": "Bearer " + token})
    assert reply.status == 200
    with fastcgi.Connection(server.run / "state.sock") as connection:
        params = list(fastcgi.target("/state/v1/").items()) + \
            [("HTTP_AUTHORIZATION", value) for value in both]
        connection.send(
            fastcgi.begin() +
            fastcgi.stream(fastcgi.PARAMS, 1, fastcgi.pairs(params)) +
            fastcgi.stream(fastcgi.STDIN, 1, b""))
        assert connection.reply().status == 401


def test_a13_tenants_do_not_meet(server):
    with State(server, "one") as one, State(server, "two") as two:
        assert one.put("k", "mine").status == 201
        assert two.get("k").status == 404
        assert two.list()["items"] == []
        assert one.json("GET", "/usage")["keys"] == 1


def test_a21_tokens_and_values_are_in_no_log(server, state):
    state.put("secret", "the value of it")
    state.get("none")
    state.put("secret", "x", If_Match='"1"')
    with State(server, "x", token=state.token[:-4] + "AAAA") as other:
        problem(other.get("secret"), 401, "invalid-token")
    signature = state.token.rpartition(".")[2]
    for path in [server.errors, *server.run.rglob("*.log")]:
        text = path.read_text(errors="replace")
        for word in (state.token, signature[:20], "the value of it"):
            assert word not in text, path


# ---- one key -----------------------------------------------------------------

KEYS = ["a", "a/b/c", "a//b", "/", "a/", " ", "a b", "a+b", "a%2Fb", "a%b",
        "ü/漢字/🐚", "?", "#", "a?b#c&d=e", "...", ".a", "a..", "'\"\\<>",
        "k" * 1024]


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_any_key_is_kept(state, key):
    assert state.put(key, key).status == 201
    got = state.get(key)
    assert (got.status, got.body) == (200, key.encode())
    page = state.list(values=1)
    assert [item["key"] for item in page["items"]] == [key]
    assert page["items"][0]["value"] == key
    assert state.json("POST", "/get", {"keys": [key]})["items"][0]["version"] \
        == version(got)
    assert state.delete(key).status == 204
    assert state.get(key).status == 404


@pytest.mark.parametrize("raw", ["%00", "a%00b", "%0a", "%1f", "%7f", "%ff",
                                 "%c0%af", "%ed%a0%80", "a%zz", "%", "%2",
                                 "k" * 1025])
def test_bad_keys(server, state, raw):
    """Some of them nginx refuses by itself, in its own words."""
    got = server.get("/state/v1/kv/" + raw, "PUT", b"x",
                     {"Authorization": "Bearer " + state.token})
    assert got.status == 400
    if got.header("Content-Type") == "application/problem+json":
        problem(got, 400, "bad-key")
    assert state.list()["items"] == []


@pytest.mark.parametrize("raw", ["%00", "%zz", "."])
def test_bad_keys_are_ours_to_refuse(server, state, raw):
    """nginx refuses some by itself; so does the host."""
    reply = fastcgi.ask(server.run / "state.sock", "/state/v1/kv/" + raw,
                        HTTP_AUTHORIZATION="Bearer " + state.token)
    assert reply.status == 400
    assert b"urn:fn:problem:bad-key" in reply.body


def test_a_value_is_bytes(state):
    value = bytes(range(256)) * 4096    # 1 MiB
    got = state.put("v", value, Content_Type="image/x; a=\"b\"")
    assert got.status == 201
    got = state.get("v")
    assert got.body == value
    assert got.header("Content-Type") == 'image/x; a="b"'
    assert got.header("X-Content-Type-Options") == "nosniff"
    head = state.ask("HEAD", "/kv/v")
    assert (head.status, head.body) == (200, b"")
    assert head.header("Content-Length") == str(len(value))
    found = problem(state.put("v", value + b"x"), 413, "too-large")
    assert (found["limit"], found["size"]) == (2**20, 2**20 + 1)
    assert state.get("v").body == value
    assert state.put("v", b"").status == 204
    assert state.get("v").body == b""
    assert state.get("v").header("Content-Length") == "0"


def test_a_value_without_a_length(server, state):
    connection = server.http()
    connection.request("PUT", "/state/v1/kv/v", iter([b"abc", b"def"]),
                       {"Authorization": "Bearer " + state.token},
                       encode_chunked=True)
    assert connection.getresponse().status == 201
    connection.close()
    assert state.get("v").body == b"abcdef"


def test_conditions(state):
    got = state.put("k", "1", If_None_Match="*")
    assert got.header("Content-Length") == "0"      # nothing in chunks
    first = version(got)
    found = problem(state.put("k", "2", If_None_Match="*"), 412,
                    "precondition-failed")
    assert found["current"] == first
    second = version(state.put("k", "2", If_Match=f'"{first}"'))
    assert second > first
    found = problem(state.put("k", "3", If_Match=f'"{first}"'), 412,
                    "precondition-failed")
    assert found["current"] == second
    assert version(state.put("k", "3", If_Match=f'"9", "{second}"')) > second
    assert state.put("k", "4", If_Match="*").status == 204
    now = version(state.get("k"))
    assert state.get("k", If_None_Match=f'"{now}"').status == 304
    assert state.get("k", If_None_Match=f'W/"{now}"').status == 304
    assert state.get("k", If_None_Match=f'"{first}"').status == 200
    found = problem(state.get("k", If_Match=f'"{first}"'), 412,
                    "precondition-failed")
    assert found["current"] == now
    problem(state.put("k", "x", If_Match="57"), 400, "bad-header")
    problem(state.delete("k", If_Match=f'"{first}"'), 412,
            "precondition-failed")
    assert state.delete("k", If_Match=f'"{now}"').status == 204
    found = problem(state.put("k", "x", If_Match="*"), 412,
                    "precondition-failed")
    assert found["current"] is None
    assert state.delete("k").status == 204
    # Versions are never used twice, not even by a key that begins anew.
    assert version(state.put("k", "1")) > now


def test_a_race_has_one_winner(server, state):
    """Everybody reads, adds one and writes back on condition."""
    state.put("n", "0")
    threads, each = 8, count(12, 100)

    def add():
        with State(server, state.tenant, token=state.token) as client:
            for _ in range(each):
                while True:
                    got = client.get("n")
                    new = str(int(got.body) + 1)
                    if client.put("n", new,
                                  If_Match=got.header("ETag")).status == 204:
                        break

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(add) for _ in range(threads)]:
            done.result()
    assert int(state.get("n").body) == threads * each


def test_time_to_live(state):
    problem(state.put("k", "x", "?ttl=0"), 400, "bad-query")
    problem(state.put("k", "x", "?ttl=1&expires=9999999999"), 400, "bad-query")
    begun = version(state.put("k", "x", "?ttl=1s"))
    state.put("forever", "x", "?ttl=300ms")
    state.put("forever", "x")           # without ttl it stays
    got = state.get("k")
    assert 0 < int(got.header("Fn-Expires")) - time.time() < 3
    eventually(lambda: state.get("k").status == 404, "the key to be gone")
    assert state.put("k", "y", If_None_Match="*").status == 201
    assert state.get("forever").header("Fn-Expires") is None
    state.put("swept", "x", "?ttl=100ms")
    changes = eventually(
        lambda: [c for c in state.json(
            "GET", f"/watch?since={begun - 1}&prefix=swept")["changes"]
            if c["op"] == "expire"], "the sweep")
    assert [c["key"] for c in changes] == ["swept"]
    assert state.put("e", "x", f"?expires={int(time.time()) + 100}") \
        .status == 201
    assert state.put("e", "x", "?expires=1").status == 204
    assert state.get("e").status == 404


# ---- many keys -----------------------------------------------------------------

def test_pages(state):
    keys = sorted((f"p/{i:02}/{j}" for i in range(12) for j in range(3)),
                  key=str.encode)
    for at in range(0, len(keys), 20):
        assert state.atomic(ops=[{"op": "set", "key": key, "value": key}
                                 for key in keys[at:at + 20]]).status == 200
    state.put("o", "before")
    state.put("q", "behind")

    def walk(**query):
        found, prefixes, pages = [], [], 0
        while True:
            page = state.list(**query)
            found += [item["key"] for item in page["items"]]
            prefixes += page["prefixes"]
            pages += 1
            if page["cursor"] is None:
                return found, prefixes, pages
            query["cursor"] = page["cursor"]

    assert walk(prefix="p/", limit=7) == (keys, [], 6)
    assert walk(prefix="p/", limit=7, reverse=1)[0] == keys[::-1]
    assert walk(start=keys[3], end=keys[9])[0] == keys[3:9]
    folded = [f"p/{i:02}/" for i in range(12)]
    assert walk(prefix="p/", delimiter="/", limit=5) == ([], folded, 3)
    assert walk(prefix="p/", delimiter="/", limit=5, reverse=1)[1] == \
        folded[::-1]
    assert walk(delimiter="/") == (["o", "q"], ["p/"], 1)
    assert walk(prefix="p/03/")[0] == keys[9:12]
    assert walk(prefix="none") == ([], [], 1)
    for query in ("limit=0", "limit=1001", "limit=x", "cursor=!", "prefx=p",
                  "limit=1&limit=2", "reverse=yes", "prefix=%ff",
                  "delimiter=", "values=2"):
        problem(state.ask("GET", "/kv?" + query), 400, "bad-query")


def test_a_page_is_of_one_moment(server, state):
    """Two keys that always change together are never seen apart."""
    stop = threading.Event()

    def write():
        with State(server, state.tenant, token=state.token) as client:
            n = 0
            while not stop.is_set():
                n += 1
                client.atomic(ops=[
                    {"op": "set", "key": key, "value": str(n)}
                    for key in ("a", "z")])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        eventually(lambda: state.get("z").status == 200, "a first write")
        for _ in range(count(50, 1000)):
            page = state.list(values=1)
            assert len({item["value"] for item in page["items"]}) == 1
            many = state.json("POST", "/get", {"keys": ["z", "a"]})
            assert len({item["value"] for item in many["items"]}) == 1
    finally:
        stop.set()
        writer.join()


def test_the_largest_pages(state):
    """Keys as long as may be, of what JSON makes twice as long."""
    keys = [f"{i:04}" + '"' * 1020 for i in range(1000)]
    for at in range(0, 1000, 500):
        got = state.atomic(ops=[{"op": "set", "key": key, "value": '\\' * 2000}
                                for key in keys[at:at + 500]])
        assert got.status == 200
    page = state.list(limit=1000)
    assert [item["key"] for item in page["items"]] == keys
    found, query = [], {"values": 1, "limit": 1000}
    while True:         # by bytes now, not by number
        page = state.list(**query)
        found += [item["key"] for item in page["items"]]
        if page["cursor"] is None:
            break
        query["cursor"] = page["cursor"]
    assert found == keys
    before = page["version"]
    got = state.json("DELETE", "/kv?prefix=0&limit=1000")
    assert (got["deleted"], got["more"]) == (1000, False)
    # A page of changes goes on to the end of a commit.
    page = state.json("GET", f"/watch?since={before}&limit=1")
    assert [change["key"] for change in page["changes"]] == keys
    page = state.json("GET", "/watch?since=0&limit=1000")
    assert len(page["changes"]) == 1000
    stream = state.open("GET", "/watch?since=0",
                        headers={"Accept": "text/event-stream"})
    found = events(stream)
    assert next(found)[0] == "comment"
    assert [next(found)[2]["key"] for _ in range(2000)] == keys * 2
    stream.close()


def test_bulk_deletion(state):
    state.atomic(ops=[{"op": "set", "key": f"p/{i}", "value": ""}
                      for i in range(10)])
    state.put("q", "x")
    problem(state.ask("DELETE", "/kv"), 400, "bad-query")
    problem(state.ask("DELETE", "/kv?prefix="), 400, "bad-query")
    got = state.json("DELETE", "/kv?prefix=p/&limit=4")
    assert (got["deleted"], got["more"]) == (4, True)
    got = state.json("DELETE", "/kv?prefix=p/")
    assert (got["deleted"], got["more"]) == (6, False)
    assert [item["key"] for item in state.list()["items"]] == ["q"]


def test_get_many(state):
    state.put("a", b"\xff\x00")
    state.put("b", "text", Content_Type="text/plain")
    got = state.json("POST", "/get", {"keys": ["b", "x", "a"]})
    b, x, a = got["items"]
    assert (b["value"], b["type"], b["size"]) == ("text", "text/plain", 4)
    assert x == {"key": "x", "version": None}
    assert a["b64"] == "/wA="
    got = state.json("POST", "/get", {"keys": ["b"], "values": False})
    assert "value" not in got["items"][0]
    for body in ("", "{", "[]", '{"keys":[]}', '{"keys":"a"}',
                 '{"keys":["a"],"keys":["b"]}', '{"keys":["a"]} x'):
        problem(state.ask("POST", "/get", body), 400, "bad-json")
    problem(state.ask("POST", "/get", {"keys": ["a/../b"]}), 400, "bad-key")
    found = problem(state.ask("POST", "/get", {"keys": ["a"] * 129}), 413,
                    "too-large")
    assert (found["limit"], found["size"]) == (128, 129)


# ---- numbers and transactions -------------------------------------------------

def test_counters(server, state):
    assert json.loads(state.count("n").body)["value"] == 1
    assert json.loads(state.count("n", {"by": -3}).body)["value"] == -2
    found = problem(state.count("n", {"by": 10, "max": 7}), 409,
                    "counter-range")
    assert found["value"] == -2
    assert state.get("n").body == b"-2"
    state.put("n", str(2**63 - 1))
    problem(state.count("n"), 409, "counter-range")
    state.put("n", "two")
    problem(state.count("n"), 422, "not-a-number")
    for body in ("{", '{"by":1.5}', '{"by":"1"}', '{"bye":1}',
                 '{"min":2,"max":1}', f'{{"by":{2**63}}}'):
        problem(state.count("n", body), 400, "bad-json")
    problem(state.count("fresh", If_Match="*"), 412, "precondition-failed")

    def add(_):
        with State(server, state.tenant, token=state.token) as client:
            return [json.loads(client.count("c").body)["value"]
                    for _ in range(count(25, 250))]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        seen = sum(pool.map(add, range(8)), [])
    assert sorted(seen) == list(range(1, len(seen) + 1))


def test_atomic(state):
    a = version(state.put("a", "1"))
    got = state.atomic(
        [{"key": "a", "version": a}, {"key": "lock", "version": None}],
        [{"op": "set", "key": "a", "value": "text", "type": "text/plain"},
         {"op": "set", "key": "bin", "b64": "AAE="},
         {"op": "delete", "key": "none"},
         {"op": "sum", "key": "n", "by": -1},
         {"op": "max", "key": "m", "by": 9},
         {"op": "min", "key": "m", "by": 4}])
    assert got.status == 200
    found = json.loads(got.body)
    assert found["version"] == int(got.header("Fn-Version"))
    assert [r.get("value") for r in found["results"]] == \
        [None, None, None, -1, 9, 4]
    for key in ("a", "bin", "n", "m"):
        assert version(state.get(key)) == found["version"]
    assert state.get("bin").body == b"\0\1"

    before = state.list(values=1)
    found = problem(state.atomic(
        [{"key": "a", "version": a}, {"key": "m", "version": None},
         {"key": "lock", "version": None}],
        [{"op": "delete", "key": "a"}]), 409, "check-failed")
    assert [(f["index"], f["key"]) for f in found["failed"]] == \
        [(0, "a"), (1, "m")]
    found = problem(state.atomic(ops=[
        {"op": "set", "key": "a", "value": "x"},
        {"op": "sum", "key": "bin", "by": 1}]), 422, "not-a-number")
    assert found["index"] == 1
    problem(state.atomic(ops=[{"op": "delete", "key": "a"},
                              {"op": "sum", "key": "n", "min": 5}]), 409,
            "counter-range")
    problem(state.atomic(ops=[{"op": "delete", "key": "a"},
                              {"op": "enqueue", "function": "mail"}]), 422,
            "unsupported-operation")
    problem(state.atomic(), 400, "bad-json")
    problem(state.atomic(ops=[{"op": "delete", "key": "a"}] * 513), 413,
            "too-large")
    problem(state.atomic([{"key": "a", "version": 1}] * 65), 413, "too-large")
    problem(state.atomic(ops=[{"op": "set", "key": "big",
                               "value": "x" * (2**20 + 1)}]), 413,
            "too-large")
    problem(state.ask("POST", "/atomic", b" " * (4 * 2**20 + 1)), 413,
            "too-large")
    assert state.list(values=1) == before


def test_idempotency(server, state):
    first = state.count("n", Idempotency_Key='"k1"')
    again = state.count("n", Idempotency_Key='"k1"')
    assert again.body == first.body
    assert again.header("Idempotency-Replayed") == "true"
    assert again.header("ETag") == first.header("ETag")
    assert again.request_id != first.request_id
    assert state.get("n").body == b"1"
    problem(state.count("n", {"by": 2}, Idempotency_Key='"k1"'), 422,
            "idempotency-mismatch")
    problem(state.count("m", Idempotency_Key='"k1"'), 422,
            "idempotency-mismatch")
    for bad in ('""', '"a b"', "x" * 256, '"a'):
        problem(state.count("n", Idempotency_Key=bad), 400, "bad-header")
    # What failed is not remembered.
    problem(state.count("n", {"max": 0}, Idempotency_Key='"k2"'), 409,
            "counter-range")
    state.delete("n")
    assert json.loads(state.count("n", {"by": 0, "max": 0},
                                  Idempotency_Key='"k3"').body)["value"] == 0
    # Many at once with one key: one effect, and each gets its reply or is
    # told to wait.
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        def one(_):
            with State(server, state.tenant, token=state.token) as client:
                return client.count("once", Idempotency_Key='"k4"')
        got = list(pool.map(one, range(24)))
    assert state.get("once").body == b"1"
    for response in got:
        if response.status != 200:
            problem(response, 409, "idempotency-in-flight")
    # Of another tenant it is another key.
    with State(server, state.tenant + "b") as other:
        assert other.count("n", Idempotency_Key='"k1"') \
            .header("Idempotency-Replayed") is None


# ---- waiting -----------------------------------------------------------------

def test_long_poll(server, state):
    v = version(state.put("k", "1"))
    assert state.get("k", f"?since={v}").status == 304
    assert state.get("k", f"?since={v - 1}").body == b"1"
    begun = time.monotonic()
    assert state.get("k", f"?since={v}&wait=300ms").status == 304
    assert 0.25 < time.monotonic() - begun < 10
    problem(state.get("k", "?wait=1"), 400, "bad-query")
    problem(state.get("k", f"?since={v}&wait=51"), 400, "bad-query")
    for change, status in ((lambda: state.put("k", "2"), 200),
                           (lambda: state.delete("k"), 404),
                           (lambda: state.put("k", "3"), 200)):
        v = state.json("GET", "/")["version"]
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            with State(server, state.tenant, token=state.token) as client:
                waiting = pool.submit(client.get, "k", f"?since={v}&wait=40")
                state.put("other", "x")
                change()
                begun = time.monotonic()
                assert waiting.result(20).status == status
                assert time.monotonic() - begun < 5


def test_events(server, state):
    state.put("a", "1")
    stream = state.open("GET", "/watch?prefix=a",
                        headers={"Accept": "text/event-stream"})
    assert stream.status == 200
    assert stream.getheader("Content-Type") == "text/event-stream"
    found = events(stream)
    assert next(found)[0] == "comment"
    state.put("b", "not this")
    v = version(state.put("a", "2"))
    assert next(found) == (str(v), "set",
                           {"version": v, "op": "set", "key": "a"})
    state.atomic(ops=[{"op": "set", "key": "a1", "value": ""},
                      {"op": "delete", "key": "a"}])
    assert next(found)[0] is None       # the last of a commit has its id
    last, name, data = next(found)
    assert (int(last), name, data["key"]) == (v + 1, "delete", "a")
    stream.close()
    # Pages of the same, and resuming by the id.
    page = state.json("GET", f"/watch?prefix=a&since={v}")
    assert [(c["op"], c["key"]) for c in page["changes"]] == \
        [("set", "a1"), ("delete", "a")]
    assert page["version"] >= v + 1 and page["more"] is False
    stream = state.open("GET", "/watch?prefix=a&since=0",
                        headers={"Accept": "text/event-stream",
                                 "Last-Event-ID": str(v)})
    found = events(stream)
    assert next(found)[0] == "comment"
    assert next(found)[2]["key"] == "a1"
    stream.close()
    problem(state.ask("GET", "/watch", Accept="text/event-stream",
                      Last_Event_ID="x"), 400, "bad-header")
    found = problem(state.ask("GET", "/watch?since=999999"), 400, "bad-query")
    assert "newer than the store" in found["detail"]
    now = state.json("GET", "/usage")["version"]
    assert state.json("GET", f"/watch?since={now}")["changes"] == []
    # What was removed as a whole has not gone back behind what is known.
    assert state.host.ctl("state", state.tenant, "delete",
                          "--yes").returncode == 0
    problem(state.ask("GET", f"/watch?since={now}"), 410, "version-compacted")


@pytest.mark.skipif(not TORTURE, reason="takes half a minute")
def test_a_silent_stream_is_not_cut_off(state):
    """nginx closes what says nothing for a minute; a comment comes before."""
    stream = state.open("GET", "/watch",
                        headers={"Accept": "text/event-stream"})
    found = events(stream)
    assert next(found) == ("comment", None, "changes")
    for _ in range(2):
        begun = time.monotonic()
        assert next(found) == ("comment", None, "ping")
        assert 10 < time.monotonic() - begun < 20
    stream.close()


def test_a_stream_ends_with_its_token(server):
    with State(server, "short", "read", "--ttl", "2s") as state:
        stream = state.open("GET", "/watch",
                            headers={"Accept": "text/event-stream"})
        begun = time.monotonic()
        assert {kind for kind, _, _ in events(stream)} <= {"comment"}
        assert time.monotonic() - begun < 8
        problem(state.get("k"), 401, "invalid-token")
        stream.close()


def test_f17_resume_over_a_restart(server, state):
    """No change is missed and none told twice, whatever dies in between."""
    total, stop = count(60, 600), threading.Event()
    seen, last = [], 0

    def write():
        with State(server, state.tenant, token=state.token) as client:
            n = 0
            while n < total:
                try:
                    # Its version tells whether it had been written.
                    got = client.put(f"k{n}", "x", If_None_Match="*")
                except (OSError, AssertionError):
                    stop.wait(0.02)
                    continue
                if got.status in (201, 412):
                    n += 1
                else:
                    assert got.status >= 500, got
                    stop.wait(0.02)
            stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    killed = 0
    try:
        end = time.monotonic() + 60
        while len(seen) < total:
            assert time.monotonic() < end, f"{len(seen)} of {total}"
            stream = state.open("GET", "/watch?since=0",
                                headers={"Accept": "text/event-stream",
                                         "Last-Event-ID": str(last)})
            if stream.status != 200:
                stream.close()
                time.sleep(0.05)
                continue
            try:
                for id_, name, data in events(stream):
                    if id_ == "comment":
                        continue
                    assert name == "set" and int(id_) > last
                    last = int(id_)
                    seen.append(data["key"])
                    if len(seen) * 3 // total > killed:
                        killed += 1
                        for pid in server.named("fcgi-host-state"):
                            os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
            stream.close()
    finally:
        stop.wait(60)
        writer.join()
    assert killed >= 2
    eventually(lambda: server.ctl("token", "list", check=False).returncode
               == 0, "a gateway that knows the new process")
    assert seen == [f"k{n}" for n in range(total)]


def test_watchers_are_counted(new_host):
    host = new_host("state = { watchers = 2; };")
    with State(host, "w") as state, State(host, "v") as other:
        streams = [state.open("GET", "/watch",
                              headers={"Accept": "text/event-stream"})
                   for _ in range(2)]
        for stream in streams:
            assert next(events(stream))[0] == "comment"
        got = state.ask("GET", "/watch", Accept="text/event-stream")
        problem(got, 429, "rate-limited")
        assert int(got.header("Retry-After")) > 0
        problem(state.get("k", "?since=0&wait=1"), 429, "rate-limited")
        assert state.get("k", "?since=0").status == 304
        assert other.get("k", "?since=0&wait=1ms").status == 304
        streams[0].close()
        eventually(lambda: state.get("k", "?since=0&wait=1ms").status == 304,
                   "a place to be free")
        streams[1].close()


def test_a_header_that_is_too_long(server, state):
    for more in ({"HTTP_X": "x" * 200_000},
                 {f"HTTP_X{i}": "y" * 1000 for i in range(200)}):
        with fastcgi.Connection(server.run / "state.sock") as connection:
            connection.send(
                fastcgi.begin(flags=fastcgi.KEEP_CONN) +
                fastcgi.stream(fastcgi.PARAMS, 1, fastcgi.pairs(
                    fastcgi.target("/state/v1/kv/a", **more))) +
                fastcgi.stream(fastcgi.STDIN, 1, b""))
            assert connection.reply().status == 400
            connection.send(direct(server, state, "/", method="GET"))
            assert connection.reply().status == 200


# ---- F10: clients that do not behave ---------------------------------------------

def direct(server, state, uri, body=b"", method="PUT", **more):
    return fastcgi.request("/state/v1" + uri, body, method=method,
                           HTTP_AUTHORIZATION="Bearer " + state.token, **more)


def test_f10_gone_in_the_middle_of_a_body(server, state):
    whole = direct(server, state, "/kv/half", b"x" * 100_000)
    for cut in (len(whole) - 8, len(whole) - 16, len(whole) // 2, 400):
        with fastcgi.Connection(server.run / "state.sock") as connection:
            connection.send(whole[:cut])
    # Ended early instead of cut off.
    with fastcgi.Connection(server.run / "state.sock") as connection:
        connection.send(direct(server, state, "/kv/half", b"x" * 10,
                               CONTENT_LENGTH=11))
        assert connection.reply().status == 400
    assert state.get("half").status == 404
    # Over HTTP: nginx waits for the rest and never gets it.
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"PUT /state/v1/kv/half HTTP/1.1\r\nHost: x\r\n"
                    b"Authorization: Bearer " + state.token.encode() +
                    b"\r\nContent-Length: 1000\r\n\r\nhalf")
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"PUT /state/v1/kv/half HTTP/1.1\r\nHost: x\r\n"
                    b"Authorization: Bearer " + state.token.encode() +
                    b"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha")
    assert state.get("half").status == 404


def test_f10_a_slow_reader_holds_nobody_up(server, state):
    for i in range(4):
        state.put(f"big/{i}", bytes(1_000_000))
    whole = direct(server, state, "/kv?prefix=big/&values=1", method="GET")
    slow = [fastcgi.Connection(server.run / "state.sock") for _ in range(4)]
    for connection in slow:
        connection.send(whole)
    begun = time.monotonic()
    for i in range(20):
        assert state.put("small", str(i)).status in (201, 204)
    assert time.monotonic() - begun < 10
    for connection in slow[:2]:
        reply = connection.reply()
        assert reply.complete
        assert len(json.loads(reply.body)["items"]) == 4
    for connection in slow:
        connection.close()


def test_f10_many_idle_long_polls(server, state):
    v = version(state.put("k", "1"))
    number = count(300, 1000)
    whole = direct(server, state, f"/kv/k?since={v}&wait=45", method="GET")
    waiting = [fastcgi.Connection(server.run / "state.sock", timeout=60)
               for _ in range(number)]
    for connection in waiting:
        connection.send(whole)
    assert state.get("k").status == 200
    for connection in waiting[:number // 2]:
        connection.close()              # half of them give up
    state.put("k", "2")
    for connection in waiting[number // 2:]:
        reply = connection.reply()
        assert (reply.status, reply.body) == (200, b"2")
        connection.close()
    assert state.put("k", "3").status == 204


# ---- the store as a whole ---------------------------------------------------------

def test_usage_and_limits(state):
    info = state.json("GET", "/")
    assert info["version"] == 0
    assert info["limits"]["value"] == 2**20
    assert info["limits"]["watchers"] == 1024
    assert info["scope"] == "admin"
    state.put("k", "x" * 1000)
    used = state.json("GET", "/usage")
    assert used["keys"] == 1 and used["bytes"] >= 1000
    assert used["quota"] == info["limits"]["quota"]
    problem(state.ask("GET", "/sql"), 404, "no-route")
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        for path in ("/host/check", "/host/tenant", "/host/tenants"):
            problem(state.ask(method, path), 404, "no-route")
    problem(state.ask("GET", "/?limit=1"), 400, "bad-query")


def test_quota(new_host):
    host = new_host('state = { quota = "1 MiB"; };')
    with State(host, "full") as state, State(host, "other") as other:
        n = 0
        while state.put(f"k{n}", bytes(100_000)).status == 201:
            n += 1
            assert n < 100
        problem(state.put("more", bytes(100_000)), 507, "quota-exceeded")
        assert other.put("k", "x").status == 201
        assert state.delete("k0").status == 204     # F3
        assert state.get("k1").status == 200


def test_export(server, state, tmp_path):
    state.atomic(ops=[{"op": "set", "key": f"k{i}", "value": "x" * i}
                      for i in range(100)])
    got = state.ask("GET", "/export")
    assert got.status == 200
    assert got.header("Content-Type") == "application/vnd.sqlite3"
    copy = tmp_path / "copy.sqlite3"
    copy.write_bytes(got.body)
    with sqlite3.connect(copy) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM kv").fetchone() == (100,)


def test_blind_writes(new_host):
    host = new_host("state = { blind_writes = false; };")
    with State(host, "careful") as state:
        problem(state.put("k", "x"), 428, "precondition-required")
        problem(state.delete("k"), 428, "precondition-required")
        assert state.put("k", "x", If_None_Match="*").status == 201
        assert state.put("k", "y", If_Match="*").status == 204


# ---- F14: against a model ------------------------------------------------------------

class Model:
    """What a tenant has, by the manual alone."""

    def __init__(self):
        self.keys, self.version = {}, 0     # key: (value, version)

    def commit(self):
        self.version += 1
        return self.version

    def put(self, key, value, match, fresh):
        old = self.keys.get(key)
        if match is not None and (old is None or old[1] != match):
            return 412
        if fresh and old is not None:
            return 412
        self.keys[key] = (value, self.commit())
        return 204 if old else 201

    def delete(self, key):
        if self.keys.pop(key, None) is not None:
            self.commit()
        return 204

    def count(self, key, by, least):
        old = self.keys.get(key, (b"0", 0))[0]
        if not re.fullmatch(rb"-?[1-9][0-9]*|0", old):
            return 422, None
        if int(old) + by < least:
            return 409, None
        new = int(old) + by
        self.keys[key] = (str(new).encode(), self.commit())
        return 200, new


def test_f14_model(state, rng):
    """Random requests, compared with a model after each; SEED repeats a run."""
    model, keys = Model(), ["a", "a/b", "a/c", "b", "ü", "z%2F"]
    ends = time.monotonic() + count(30, 600)
    steps = 0
    while time.monotonic() < ends and steps < count(5000, 100_000):
        steps += 1
        key = rng.choice(keys)
        old = model.keys.get(key)
        what = rng.randrange(8)
        if what <= 1:
            value = rng.choice([b"", b"7", b"-3", b"text", b"\xff\0"])
            headers, match, fresh = {}, None, False
            if rng.random() < 0.3:
                match = rng.choice([old[1] if old else 1, model.version, 1])
                headers["If_Match"] = f'"{match}"'
            elif rng.random() < 0.3:
                fresh = True
                headers["If_None_Match"] = "*"
            expected = model.put(key, value, match, fresh)
            got = state.put(key, value, **headers)
            assert got.status == expected, (steps, key, headers)
            if expected != 412:
                assert version(got) == model.keys[key][1], steps
        elif what == 2:
            assert state.delete(key).status == model.delete(key)
        elif what == 3:
            by, least = rng.randrange(-5, 6), rng.choice([-100, 0])
            expected, value = model.count(key, by, least)
            got = state.count(key, {"by": by, "min": least})
            assert got.status == expected, (steps, key)
            if expected == 200:
                assert json.loads(got.body)["value"] == value
        elif what == 4:
            chosen = rng.sample(keys, 3)
            good = rng.random() < 0.7
            checks = [{"key": k, "version": model.keys[k][1]
                       if k in model.keys else None} for k in chosen]
            if not good:
                checks[1]["version"] = model.version + 1
            got = state.atomic(checks, [
                {"op": "set", "key": chosen[0], "value": str(steps)},
                {"op": "delete", "key": chosen[1]}])
            assert got.status == (200 if good else 409), (steps, checks)
            if good:
                now = model.commit()
                model.keys[chosen[0]] = (str(steps).encode(), now)
                model.keys.pop(chosen[1], None)
        elif what == 5:
            prefix = rng.choice(["a", "a/", "b", ""])
            page = state.list(prefix=prefix)
            assert [(i["key"], i["version"], i["size"])
                    for i in page["items"]] == \
                sorted(((k, v, len(value)) for k, (value, v)
                        in model.keys.items() if k.startswith(prefix)),
                       key=lambda item: item[0].encode()), steps
        elif what == 6:
            prefix = rng.choice(["a/", "z"])
            gone = [k for k in model.keys if k.startswith(prefix)]
            got = state.json("DELETE", "/kv?prefix=" + quote(prefix))
            assert got["deleted"] == len(gone), steps
            for k in gone:
                del model.keys[k]
            if gone:
                model.commit()
        got = state.get(key)
        now = model.keys.get(key)
        assert got.status == (200 if now else 404), (steps, key)
        if now:
            assert (got.body, version(got)) == now, (steps, key)
        assert state.json("GET", "/")["version"] == model.version
    print(f"{steps} steps")


# ---- F5, F14: kills, and histories -----------------------------------------------

class History:
    """What several clients were told, while the process they talk to dies."""

    def __init__(self, server, state):
        self.server, self.state = server, state
        self.stop = threading.Event()
        self.told = []      # (key, value, version) that were acknowledged
        self.sums = []      # additions that were acknowledged, by their key
        self.lock = threading.Lock()

    def client(self):
        return State(self.server, self.state.tenant, token=self.state.token)

    def again(self, ask):
        """Until there is an answer that says what happened, or None."""
        while not self.stop.is_set():
            try:
                got = ask()
            except (OSError, http.client.HTTPException, AssertionError,
                    json.JSONDecodeError):
                self.stop.wait(0.02)
                continue
            if got.status < 500:
                return got
            self.stop.wait(0.02)
        return None

    def write(self, name):
        """Its own keys, one value after the other, each tried once: what was
        not acknowledged may or may not be there."""
        with self.client() as client:
            n = 0
            while not self.stop.is_set():
                n += 1
                key = f"{name}/{n % 5}"
                try:
                    got = client.put(key, str(n))
                except (OSError, http.client.HTTPException, AssertionError):
                    self.stop.wait(0.02)
                    continue
                if got.status in (201, 204):
                    with self.lock:
                        self.told.append((key, n, version(got)))

    def add(self, name):
        """Each addition until it is acknowledged, under a key of its own."""
        with self.client() as client:
            n = 0
            while not self.stop.is_set():
                n += 1
                key = f'"{name}-{n}"'
                got = self.again(lambda: client.count(
                    "sum", Idempotency_Key=key))
                if got is not None and got.status == 200:
                    with self.lock:
                        self.sums.append(json.loads(got.body)["value"])
                elif got is not None:
                    problem(got, 409, "idempotency-in-flight")
                    n -= 1

    def check(self):
        versions = [v for _, _, v in self.told]
        assert len(set(versions)) == len(versions), "a version was used twice"
        assert len(set(self.sums)) == len(self.sums), "one reply for two sums"
        # What the replies said was added is there.
        assert int(self.state.get("sum").body) >= max(self.sums)
        last = {}
        for key, value, v in self.told:
            last[key] = max(last.get(key, (0, 0)), (v, value))
        for key, (v, value) in last.items():
            got = self.state.get(key)
            assert got.status == 200, f"{key} is lost"
            if version(got) == v:
                assert int(got.body) == value
            else:       # a later one that was not acknowledged
                assert version(got) > v and int(got.body) > value
        now = self.state.json("GET", "/")["version"]
        assert now >= max(versions)


def test_f5_killed_under_load(server, state):
    history = History(server, state)
    threads = [threading.Thread(target=history.write, args=(f"w{i}",))
               for i in range(4)]
    threads += [threading.Thread(target=history.add, args=(f"a{i}",))
                for i in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(count(10, 200)):
            before = len(history.told), len(history.sums)
            eventually(lambda: len(history.told) > before[0] + 20
                       and len(history.sums) > before[1] + 5,
                       "writes to be acknowledged", 30)
            for pid in server.named("fcgi-host-state"):
                os.kill(pid, signal.SIGKILL)
    finally:
        eventually(lambda: server.ctl("token", "list", check=False)
                   .returncode == 0, "a gateway that knows the new process")
        history.stop.set()
        for thread in threads:
            thread.join()
    history.check()


def test_f14_histories(server, state):
    """Concurrent clients: in the order of versions their requests make sense."""
    keys, each, log = ["x", "y", "z"], count(60, 2000), []
    lock = threading.Lock()

    def run(seed):
        rng = random.Random(seed)
        with State(server, state.tenant, token=state.token) as client:
            for n in range(each):
                key, value = rng.choice(keys), f"{seed}-{n}"
                got = client.get(key)
                seen = version(got) if got.status == 200 else None
                done = client.atomic([{"key": key, "version": seen}], [
                    {"op": "set", "key": key, "value": value},
                    {"op": "set", "key": key + "/copy", "value": value}])
                with lock:
                    if got.status == 200:
                        log.append(("read", key, seen, got.text))
                    if done.status == 200:
                        log.append(("write", key,
                                    json.loads(done.body)["version"], value,
                                    seen))
                    else:
                        problem(done, 409, "check-failed")

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(run, seed) for seed in range(6)]:
            done.result()
    written = {(key, v): value for kind, key, v, value, *_ in log
               if kind == "write"}
    assert len({v for _, v in written}) == len(written)
    for kind, key, v, value, *rest in log:
        if kind == "read":              # nothing that nobody wrote
            assert written[key, v] == value
        elif rest[0] is not None:       # and it followed what was there
            assert rest[0] < v
            between = [w for k, w in written if k == key and rest[0] < w < v]
            assert not between
    for key in keys:
        last = max(v for k, v in written if k == key)
        for name in (key, key + "/copy"):
            got = state.get(name)
            assert (version(got), got.text) == (last, written[key, last])


def test_the_host_stops_while_many_wait(new_host):
    host = new_host("drain = \"20s\"; state = { watchers = 40; };")
    with State(host, "w") as state:
        v = version(state.put("k", "1"))
        streams = [state.open("GET", "/watch",
                              headers={"Accept": "text/event-stream"})
                   for _ in range(10)]
        for stream in streams:
            assert next(events(stream))[0] == "comment"
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            clients = [State(host, "w", token=state.token) for _ in range(10)]
            polls = [pool.submit(client.get, "k", f"?since={v}&wait=45")
                     for client in clients]
            begun = time.monotonic()
            host.master.terminate()
            assert host.master.wait(60) == 0
            assert time.monotonic() - begun < 10
            for poll in polls:
                with contextlib.suppress(OSError, http.client.HTTPException,
                                         AssertionError):
                    assert poll.result(20).status == 304
        for stream in streams:
            assert not [e for e in events(stream) if e[0] != "comment"]
            stream.close()


# ---- nonsense ----------------------------------------------------------------------

ALLOWED = {200, 201, 204, 301, 304, 400, 401, 403, 404, 405, 409, 410, 411, 412,
           413, 414, 415, 422, 429, 501}


def test_nonsense(server, state, rng):
    """Whatever is asked, there is an answer, and never that we are broken."""
    paths = ["/kv", "/kv/", "/kv/a", "/kv/%2e%2e", "/counter/n", "/atomic",
             "/get", "/watch", "/usage", "/export", "/", "", "/x", "//kv/a",
             "/host/check", "/kv/" + "k" * 1025]
    values = ["1", "", "-1", "9" * 30, "a", "%00", "%", "a%2Fb", "+", "1s", "é",
              "AAAA", "____", "*", "1e3"]
    names = re.findall(r"^QUERY\(\w+, (\w+)",
                       (ROOT / "fcgi-host/state/query.def").read_text(), re.M)
    headers = {"If-Match": ['"1"', "*", "1", '"', 'W/"1"', ","],
               "If-None-Match": ['"1"', "*", ""],
               "Idempotency-Key": ['"k"', "k", '"', "é"],
               "Accept": ["*/*", "text/html"],
               "Content-Type": ["a/b", "", "é" * 300],
               "Last-Event-ID": ["1", "x"],
               "Content-Encoding": ["gzip", "identity"]}
    bodies = ["", "{}", "[]", "{", '{"by":1}', '{"keys":["a"]}', "\0" * 100,
              '{"ops":[{"op":"set","key":"a","value":"1"}]}', "x" * 1000]
    for _ in range(count(2000, 20_000)):
        query = "&".join(
            rng.choice(names) + "=" + (quote if rng.random() < 0.5 else str)(
                rng.choice(values)) for _ in range(rng.choice([0, 0, 1, 2])))
        path = rng.choice(paths) + ("?" + query if query else "")
        if "wait=1" in path:        # has its own tests
            continue
        chosen = {name: rng.choice(headers[name])
                  for name in rng.sample(sorted(headers),
                                         rng.choice([0, 0, 1, 2]))}
        chosen = {name: value.encode() for name, value in chosen.items()}
        chosen["Authorization"] = "Bearer " + state.token
        method = rng.choice(["GET", "GET", "PUT", "POST", "DELETE", "HEAD",
                             "OPTIONS", "PATCH"])
        raw = f"{method} /state/v1{path} HTTP/1.1\r\nHost: x\r\n" \
            .encode("latin-1")
        body = rng.choice(bodies).encode()
        for name, value in chosen.items():
            value = value if isinstance(value, bytes) else value.encode()
            raw += name.encode() + b": " + value + b"\r\n"
        raw += b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.settimeout(20)
            client.sendall(raw + body)
            got = b""
            while piece := client.recv(65536):
                got += piece
        status = int(got.split(b" ", 2)[1])
        assert status in ALLOWED, (raw, got[:500])
    assert state.json("GET", "/")["version"] >= 0
