# SPDX-License-Identifier: MIT
"""If this fails, somebody gets at a tenant's state who must not, or the
programs of others can neither read our access tokens nor make them. The names
A1 to A21 are the attack list; PyJWT is the program of others."""
import base64
import contextlib
import http.client
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import jwt
import pytest

from host import (FLAVOUR, Broken, Host, count, eventually, processes, seeded,
                  tree)

STATE = "/state/v1"
TYPE = "fn-access+jwt"
# A function that shows its token, and one that does so and goes on.
SHOW = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n%s' \"$FN_TOKEN\"\n"
CONF = """
drain = "5s";
limits = { grace = "200ms"; };
"""


class Stateful(Host):
    """A host whose state endpoint is asked with tokens."""

    @property
    def keys(self):
        return self.run / "state" / "keys"

    def book(self):
        return json.loads((self.keys / "book.json").read_text())

    def kid(self):
        return self.book()["current"]

    def secret(self, kid=None):
        return (self.keys / f"{kid or self.kid()}.key").read_bytes()

    def mint(self, tenant="acme", scope="write", *more):
        done = self.ctl("token", "mint", "--tenant", tenant, "--scope", scope,
                        *more)
        return done.stdout.decode().strip()

    def claims(self, **more):
        now = int(time.time())
        claims = {"iss": "fcgi-host", "aud": "fn-state", "sub": "acme",
                  "jti": "made-elsewhere", "iat": now, "exp": now + 600,
                  "scope": "write", **more}
        return {name: value for name, value in claims.items()
                if value is not None}

    def sign(self, claims=None, secret=None, kid=None, **header):
        """As anybody with a key may, by PyJWT."""
        return jwt.encode(
            self.claims() if claims is None else claims,
            secret or self.secret(), algorithm=header.pop("alg", "HS256"),
            headers={"kid": kid or self.kid(), "typ": TYPE, **header})

    def ask(self, method, path, token=None, body=None, headers=(), **more):
        headers = list(headers)
        if token is not None:
            headers.append(("Authorization", f"Bearer {token}"))
        return self.get(STATE + path, method, body, headers=headers, **more)

    def run_token(self, name="show", tenant="acme"):
        got = self.get(f"/fn/{tenant}/{name}")
        assert got.status == 200, got
        return got.text

    def serves_state(self):
        eventually((self.keys / "book.json").exists, "keys")
        eventually(lambda: self.ask("GET", "/", self.sign()).status == 200,
                   "state to be served")


def start(conf=CONF, **more):
    host = Stateful(conf, **more)
    host.function("acme", "show", SHOW)
    host.function("acme", "reader", SHOW, 'state = "read";')
    host.function("acme", "none", SHOW, 'state = "none";')
    host.function("acme", "short", SHOW, 'limits = { time = "1s"; };')
    host.function("other", "show", SHOW)
    return host.start()


@pytest.fixture(scope="module")
def state():
    host = start()
    try:
        host.serves_state()
        yield host
    except BaseException:
        host.stop(check=False)
        raise
    host.stop()


@pytest.fixture
def own():
    """A host that the test may harm."""
    host = start()
    try:
        host.serves_state()
        yield host
    finally:
        host.stop(check=False)


def part(value):
    if not isinstance(value, bytes):
        value = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def reads(token):
    """What a token says, without asking whether it is good."""
    return jwt.decode(token, options={"verify_signature": False})


def refused(got, plain=None):
    """Every refusal looks like every other."""
    assert got.status == 401, got
    assert got.header("WWW-Authenticate").startswith("Bearer")
    assert got.header("Content-Type") == "application/problem+json"
    problem = json.loads(got.body)
    assert problem["type"] == "urn:fn:problem:invalid-token"
    for words in plain or []:
        assert words not in got.text
    return {name: value for name, value in problem.items()
            if name != "instance"}


# ---- a library of others ----------------------------------------------------

@pytest.mark.parametrize("scope", ["read", "write", "admin"])
def test_pyjwt_reads_what_we_mint(state, scope):
    token = state.mint("acme", scope, "--prefix", 'app/"ä\\', "--ttl", "90s")
    header = jwt.get_unverified_header(token)
    assert header == {"alg": "HS256", "kid": state.kid(), "typ": TYPE}
    claims = jwt.decode(token, state.secret(), algorithms=["HS256"],
                        audience="fn-state", issuer="fcgi-host",
                        options={"require": ["exp", "iat", "jti", "sub"]})
    assert claims["sub"] == "acme"
    assert claims["scope"] == scope
    assert claims["pfx"] == 'app/"ä\\'
    assert claims["exp"] - claims["iat"] == 90
    assert abs(claims["iat"] - time.time()) < 30
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, b"x" * 32, algorithms=["HS256"],
                   audience="fn-state")


def test_pyjwt_reads_what_the_gateway_mints(state):
    got = state.get("/fn/acme/show")
    claims = reads(got.text)
    assert jwt.get_unverified_header(got.text) == {
        "alg": "HS256", "typ": "fn-inv+jwt"}
    assert claims["sub"] == "acme/show"
    assert claims["jti"] == got.request_id
    assert claims["scope"] == "write"
    assert claims["depth"] == 0
    assert 10 <= claims["exp"] - claims["iat"] <= 11
    assert reads(state.run_token("reader"))["scope"] == "read"
    assert state.run_token("none") == ""


def test_we_take_what_pyjwt_mints(state):
    token = state.sign()
    assert state.ask("PUT", "/kv/a", token, b"1").status in (201, 204)
    assert state.ask("GET", "/kv/a", token).body == b"1"
    # the order of a header's members, and claims of no meaning here
    token = state.sign(state.claims(name="Ada", roles=["x"], nbf=1))
    assert state.ask("GET", "/kv/a", token).body == b"1"


# ---- the attack list ---------------------------------------------------------

def bad_tokens(host):
    """Each with a good signature where that makes sense."""
    good, claims, now = host.sign(), host.claims(), int(time.time())
    head, body, mac = good.split(".")
    other = b"a secret of somebody else, 32 by"
    yield "A1 none", part({"alg": "none", "typ": TYPE}) + f".{body}."
    for alg in ("none", "None", "NONE", ""):
        header = {"alg": alg, "kid": host.kid(), "typ": TYPE}
        yield f"A1 {alg}", part(header) + f".{body}.{mac}"
    yield "A2 another secret", host.sign(secret=other)
    yield "A3 HS384", host.sign(alg="HS384")
    yield "A3 HS512", host.sign(alg="HS512")
    for kid in ("unknown", "../../dev/null", "' OR 1=1", "k" * 1000, "\0"):
        yield f"A4 {kid[:10]!r}", host.sign(kid=kid)
    for name, value in (("jwk", {"kty": "oct", "k": "AA"}),
                        ("jku", "https://a.example/"), ("crit", ["exp"]),
                        ("zip", "DEF"), ("x5c", ["AA"])):
        yield f"A5 {name}", host.sign(**{name: value})
    yield "A6 padding", good + "="
    yield "A6 plus", f"{head}.{body}.+{mac[1:]}"
    yield "A6 spare bits", good[:-1] + chr(ord(good[-1]) + 1)
    yield "A7 two parts", f"{head}.{body}"
    yield "A7 four parts", f"{good}.{mac}"
    yield "A7 dots", "." * 2000
    yield "A8 2049 and more", host.sign({**claims, "x": "x" * 2000})
    yield "A8 8 KiB less", host.sign({**claims, "x": "x" * 5000})
    yield "A10 no exp", host.sign(host.claims(exp=None))
    yield "A10 a string", host.sign(host.claims(nbf="x"))
    yield "A10 over", host.sign(host.claims(iat=now - 60, exp=now - 1))
    yield "A10 now", host.sign(host.claims(iat=now - 60, exp=now))
    yield "A10 in years", host.sign(host.claims(exp=now + 400 * 86400))
    yield "A10 not yet", host.sign(host.claims(nbf=now + 120))
    yield "A10 from the future", host.sign(host.claims(iat=now + 120))
    yield "A11 another audience", host.sign(host.claims(aud="fn-mail"))
    yield "A11 a list", host.sign(host.claims(aud=["fn-state"]))
    yield "A11 another issuer", host.sign(host.claims(iss="fcgi"))
    yield "A12 cut", good[:-4]
    yield "A12 empty", f"{head}.{body}."
    yield "A12 other payload", f"{head}.{part(host.claims(sub='x'))}.{mac}"
    yield "A14 typ JWT", host.sign(typ="JWT")
    yield "A14 an invocation by an access key", host.sign(
        host.claims(sub="acme/show", depth=0), typ="fn-inv+jwt")
    run = host.run_token()
    yield "A14 an access token by changing the header", ".".join(
        [part({"alg": "HS256", "kid": host.kid(), "typ": TYPE}),
         *run.split(".")[1:]])
    yield "A15 no scope", host.sign(host.claims(scope=None))
    yield "A15 an unknown scope", host.sign(host.claims(scope="root"))
    yield "no tenant", host.sign(host.claims(sub=""))
    yield "a path for a tenant", host.sign(host.claims(sub="../x"))
    yield "no id", host.sign(host.claims(jti=None))
    yield "garbage", "x"


def test_A1_to_A14_all_are_one_401(state):
    bodies = set()
    for what, token in bad_tokens(state):
        with contextlib.suppress(Broken):
            got = state.ask("GET", "/kv/a", token)
            assert got.status == 401, (what, got)
            bodies.add(json.dumps(refused(got, [token]), sort_keys=True))
    assert len(bodies) == 1, bodies
    assert refused(state.ask("GET", "/kv/a")) == json.loads(bodies.pop())


def test_the_operator_is_told_why(own):
    got = own.ask("GET", "/kv/a", own.sign(secret=b"x" * 32))
    refused(got, ["signature"])
    eventually(lambda: f"reason=signature request={got.request_id}"
               in own.errors.read_text(), "the log to say why")
    eventually(lambda: own.status()["state"].get("tokens_signature") == 1,
               "status to count it")


def test_A8_a_token_of_a_megabyte(state):
    """nginx turns it away, or we do; the process lives on."""
    before = state.named("fcgi-host-state")
    with contextlib.suppress(OSError, Broken, http.client.HTTPException):
        assert state.ask("GET", "/kv/a", "x" * (1 << 20)).status in (400, 401)
    assert state.named("fcgi-host-state") == before
    assert state.ask("GET", "/kv/none", state.sign()).status == 404


def test_A12_random_bits(state):
    rng, good = seeded(), state.sign().encode()
    for _ in range(100):
        token = bytearray(good)
        token[rng.randrange(len(good))] ^= 1 << rng.randrange(7)
        if not all(0x21 <= byte < 0x7f for byte in token):
            continue
        refused(state.ask("GET", "/kv/a", token.decode()))


def test_A13_the_tenant_comes_from_the_token(state):
    mine, other = state.mint("acme"), state.mint("other")
    assert state.ask("PUT", "/kv/secret", mine, b"mine").status in (201, 204)
    assert state.ask("GET", "/kv/secret", other).status == 404
    assert state.ask("GET", "/kv/secret",
                     state.run_token("show", "other")).status == 404
    assert state.ask("GET", "/kv/secret", state.run_token()).body == b"mine"
    assert state.ask("PUT", "/kv/secret", other, b"theirs").status == 201
    assert state.ask("GET", "/kv/secret", mine).body == b"mine"


def test_A13_another_host_and_another_start(own):
    second = start()
    try:
        second.serves_state()
        refused(second.ask("GET", "/kv/a", own.mint()))
        refused(second.ask("GET", "/kv/a", own.run_token()))
    finally:
        second.stop(check=False)
    access, run = own.mint(), own.run_token()
    assert own.ask("GET", "/kv/a", run).status == 404
    own.master.terminate()
    own.master.wait(30)
    own.start_master()
    own.serves_state()
    refused(own.ask("GET", "/kv/a", run))
    assert own.ask("GET", "/kv/a", access).status == 404


def test_a_gateway_or_state_that_restarts_keeps_the_key(own):
    run = own.run_token()
    for name in ("fcgi-host-state", "fcgi-host-gateway"):
        pid, = own.named(name)
        os.kill(pid, 9)
        eventually(lambda: own.named(name) not in ([], [pid]),
                   f"a new {name}")
        own.serves_state()
        assert own.ask("GET", "/kv/a", run).status == 404
        eventually(lambda: own.get("/fn/acme/show").status == 200,
                   "functions to be served")
        assert own.ask("GET", "/kv/a", own.run_token()).status == 404


def forbidden(got):
    assert got.status == 403, got
    assert json.loads(got.body)["type"].endswith(":insufficient-scope")


def test_A15_scopes(state):
    for token in (state.mint("acme", "read"), state.run_token("reader")):
        assert state.ask("GET", "/kv/none", token).status == 404
        assert state.ask("GET", "/kv?prefix=x", token).status == 200
        forbidden(state.ask("PUT", "/kv/x", token, b"1"))
        forbidden(state.ask("DELETE", "/kv/x", token))
        forbidden(state.ask("DELETE", "/kv?prefix=x", token))
        forbidden(state.ask("POST", "/counter/x", token, b'{"by":1}'))
        forbidden(state.ask("POST", "/atomic", token, json.dumps(
            {"ops": [{"op": "set", "key": "x", "value": "1"}]}).encode()))
        assert state.ask("GET", "/kv/x", state.mint()).status == 404
    for token in (state.mint("acme", "write"), state.run_token()):
        forbidden(state.ask("GET", "/export", token))
    assert state.ask("GET", "/export",
                     state.mint("acme", "admin")).status == 200
    forbidden(state.ask("GET", "/export",
                        state.mint("acme", "admin", "--prefix", "app/")))


def test_A15_prefixes(state):
    token = state.mint("acme", "write", "--prefix", "app/")
    assert state.ask("PUT", "/kv/app/x", token, b"1").status in (201, 204)
    assert state.ask("GET", "/kv/app/x", token).status == 200
    assert state.ask("GET", "/kv?prefix=app/", token).status == 200
    assert state.ask("GET", "/kv?prefix=app/y", token).status == 200
    for key in ("app", "apple", "APP/x", "other", "a%70p", "x/app/"):
        forbidden(state.ask("GET", f"/kv/{key}", token))
        forbidden(state.ask("PUT", f"/kv/{key}", token, b"1"))
        forbidden(state.ask("DELETE", f"/kv/{key}", token))
        forbidden(state.ask("POST", f"/counter/{key}", token, b'{"by":1}'))
    for path in ("app%2f../x", "app/../x", "app/%2e%2e/x", "../x"):
        assert state.ask("PUT", f"/kv/{path}", token,
                         b"1").status in (400, 403, 404), path
    for query in ("", "?prefix=", "?prefix=ap", "?prefix=app",
                  "?start=app/&end=app0", "?prefix=other"):
        forbidden(state.ask("GET", f"/kv{query}", token))
    for query in ("", "?prefix=ap"):
        forbidden(state.ask("GET", f"/watch{query}", token))
    forbidden(state.ask("DELETE", "/kv?prefix=ap", token))
    forbidden(state.ask("POST", "/get", token,
                        b'{"keys":["app/x","other"]}'))
    forbidden(state.ask("POST", "/atomic", token, json.dumps({"ops": [
        {"op": "set", "key": "app/y", "value": "1"},
        {"op": "set", "key": "other", "value": "1"}]}).encode()))
    forbidden(state.ask("POST", "/atomic", token, json.dumps({
        "checks": [{"key": "other", "version": None}],
        "ops": [{"op": "set", "key": "app/y", "value": "1"}]}).encode()))
    assert state.ask("GET", "/kv/app/y", token).status == 404


def test_A16_where_a_token_may_stand(state):
    token = state.sign()
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert state.ask("GET", "/kv/none", headers=[
            ("Authorization", f"{scheme} {token}")]).status == 404
    for value in (f"Bearer\t{token}", token, f"Basic {token}",
                  f"Bearer {token} x", f"Bearer x, Bearer {token}",
                  f"Bearer token={token}", "Bearer", "Bearer "):
        refused(state.ask("GET", "/kv/none",
                          headers=[("Authorization", value)]), [token])
    refused(state.ask("GET", "/kv/none", headers=[
        ("Cookie", f"token={token}; access_token={token}")]))
    refused(state.ask("GET", "/kv/none", headers=[
        ("X-Authorization", f"Bearer {token}"),
        ("Proxy-Authorization", f"Bearer {token}")]))
    refused(state.ask("GET", f"/kv/none?access_token={token}"))
    refused(state.ask("POST", "/kv/none", body=f"access_token={token}"
                      .encode()))
    got = state.ask("GET", "/kv/none", headers=[
        ("Authorization", f"Bearer {token}"),
        ("Authorization", f"Bearer {token}")])
    assert got.status in (400, 401), got   # nginx refuses two by itself


@pytest.mark.parametrize("damage, words", [
    (lambda path: path.chmod(0o444), "has mode 0444, must have 0400"),
    (lambda path: (path.unlink(), path.write_bytes(b"short"),
                   path.chmod(0o400)), "has 5 bytes"),
    (lambda path: path.unlink(), "cannot be opened: No such file")],
    ids=["world", "short", "missing"])
def test_A18_a_bad_key_is_not_used(damage, words):
    host = start()
    try:
        host.serves_state()
        token, path = host.mint(), host.keys / f"{host.kid()}.key"
        owner, secret = os.stat(path), path.read_bytes()
        damage(path)
        with contextlib.suppress(OSError):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
        # Who runs goes on; who starts does not.
        assert host.ask("GET", "/kv/a", token).status == 404
        pid, = host.named("fcgi-host-state")
        os.kill(pid, 9)
        eventually(lambda: f"keys/{path.name} {words}"
                   in host.errors.read_text(), f"the host to say {words}")
        eventually(lambda: host.ask("GET", "/kv/a", token).status == 503,
                   "503")
        assert host.get("/fn/acme/show").status == 200
        failed = host.ctl("token", "mint", "--tenant", "acme", "--scope",
                          "read", check=False)
        assert failed.returncode == 1 and not failed.stdout
        # Mended, it is served again.
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        path.write_bytes(secret)
        path.chmod(0o400)
        os.chown(path, owner.st_uid, owner.st_gid)
        eventually(
            lambda: host.ask("GET", "/kv/a", token).status == 404,
            "state to be served again", 30)
    finally:
        host.stop(check=False)


def test_a_reload_says_that_keys_are_refused(own):
    """They stay as they were."""
    token, path = own.mint(), own.keys / f"{own.kid()}.key"
    assert own.ctl("reload").stderr == b""
    path.chmod(0o444)
    done = own.ctl("reload", check=False)
    assert done.returncode == 1 and b"generation" in done.stdout
    assert b"stay as they were: " in done.stderr, done.stderr
    assert b"has mode 0444, must have 0400" in done.stderr
    said = json.loads(own.ctl("reload", "--json", check=False).stdout)
    assert said["reloaded"] is True and "mode 0444" in said["reason"]
    assert own.ask("GET", "/kv/a", token).status == 404
    path.chmod(0o400)
    assert own.ctl("reload").stderr == b""


def test_a_token_for_a_tenant_that_is_not_there(own):
    """It is minted; who mistyped the name is told."""
    for tenant, warns in (("acme", False), ("acne", True)):
        done = own.ctl("token", "mint", "--tenant", tenant, "--scope", "read")
        assert done.stdout.count(b".") == 2
        assert (b"there is no tenant acne yet" in done.stderr) is warns, done
        assert bool(done.stderr) is warns, done


def test_A19_rotation(own):
    old, kid, secret = own.mint(), own.kid(), own.secret()
    own.ctl("token", "rotate", "--overlap", "3s")
    ended = own.book()["keys"][kid]
    assert own.kid() != kid
    assert own.ask("GET", "/kv/a", own.mint()).status == 404
    got = own.ask("GET", "/kv/a", old)
    assert got.status == 404 or time.time() >= ended
    eventually(lambda: own.ask("GET", "/kv/a", old).status == 401,
               "the old key to end")
    assert time.time() >= ended
    refused(own.ask("GET", "/kv/a", own.sign(secret=secret, kid=kid)))
    new = own.mint()
    own.ctl("token", "rotate", "--overlap", "0")
    refused(own.ask("GET", "/kv/a", new))
    # a key that an administrator puts there counts at the next reload
    path = own.keys / "partner.key"
    path.write_bytes(b"a key that another program signs with")
    path.chmod(0o400)
    owner = os.stat(own.keys)
    os.chown(path, owner.st_uid, owner.st_gid)
    token = own.sign(secret=path.read_bytes(), kid="partner")
    refused(own.ask("GET", "/kv/a", token))
    own.ctl("reload")
    eventually(lambda: own.ask("GET", "/kv/a", token).status == 404,
               "the new key to count")


def test_revoked(own):
    token, foreign = own.mint(), own.sign(own.claims(jti="of-a-partner"))
    assert own.ask("GET", "/kv/a", token).status == 404
    assert own.ask("GET", "/kv/a", foreign).status == 404
    own.ctl("token", "revoke", reads(token)["jti"])
    assert b"no token of that id" in own.ctl("token", "revoke",
                                             "of-a-partner").stderr
    for _ in range(2):
        refused(own.ask("GET", "/kv/a", token))
        refused(own.ask("GET", "/kv/a", foreign))
        pid, = own.named("fcgi-host-state")     # and after a restart
        os.kill(pid, 9)
        own.serves_state()
    rows = {row["id"]: row for row in json.loads(
        own.ctl("token", "list", "--json").stdout)}
    assert rows[reads(token)["jti"]]["revoked"]
    assert rows["of-a-partner"]["revoked"]
    assert token.encode() not in own.ctl("token", "list").stdout


def test_a_state_process_that_does_not_answer(own):
    pid, = own.named("fcgi-host-state")
    os.kill(pid, signal.SIGSTOP)
    before = time.monotonic()
    done = own.ctl("token", "list", check=False)
    assert done.returncode == 1
    # the host may have made a new one meanwhile
    assert b"does not answer" in done.stderr or b"again" in done.stderr or \
        b"broke off" in done.stderr, done
    assert time.monotonic() - before < 30
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def test_what_was_said_stays_said(own):
    """state is killed again and again while tokens are made, ended and their
    key replaced: what an operator was told is so afterwards."""
    rng, good, ended, over = seeded(), {}, {}, threading.Event()

    def kill():     # who dies within a second is started again later
        while not over.wait(rng.uniform(1.05, 1.5)):
            for pid in own.named("fcgi-host-state"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        end = time.monotonic() + count(6, 60)
        while time.monotonic() < end:
            choice = rng.random()
            if choice < 0.6 or not good:
                done = own.ctl("token", "mint", "--tenant", "acme", "--scope",
                               "read", check=False)
                if done.returncode == 0:
                    token = done.stdout.decode().strip()
                    good[reads(token)["jti"]] = token
            elif choice < 0.9:
                name = rng.choice(list(good))
                done = own.ctl("token", "revoke", name, check=False)
                # Without an answer it may be so or not.
                token = good.pop(name)
                if done.returncode == 0:
                    ended[name] = token
            else:
                own.ctl("token", "rotate", "--overlap", "1h", check=False)
    finally:
        over.set()
        killer.join()
    own.serves_state()
    assert good and ended, "nothing was done in between"
    print(f"{len(good)} good, {len(ended)} ended")
    for token in good.values():
        assert own.ask("GET", "/kv/a", token).status == 404
    for token in ended.values():
        refused(own.ask("GET", "/kv/a", token))


def test_A20_a_run_is_over(state):
    """What is promised: a token ends with its deadline, not with its run."""
    token = state.run_token("short")
    ends = reads(token)["exp"]
    got = state.ask("GET", "/kv/none", token)
    assert got.status == 404 or time.time() >= ends
    eventually(lambda: state.ask("GET", "/kv/none", token).status == 401
              , "the deadline")
    assert time.time() >= ends


def everything_written(host):
    for path in host.base.rglob("*"):
        if path.is_file() and "state/keys" not in str(path):
            with contextlib.suppress(OSError):
                yield path, path.read_bytes()


def test_A21_a_token_is_nowhere(state):
    access, run = state.mint(), state.run_token()
    dead = state.sign(state.claims(exp=int(time.time()), iat=1))
    for token in (access, run, dead):
        state.ask("GET", "/kv/none", token)
        state.ask("GET", f"/kv/none?access_token={token}")
        state.ask("BREW", "/kv/none", token)
        state.get("/fn/acme/no-such-function", headers=[
            ("Authorization", f"Bearer {token}")])
    state.ctl("token", "mint", "--tenant", "acme", "--scope", "read",
              "--prefix", "\x01", check=False)
    state.ctl("token", "list")
    status = state.ctl("status", "--json").stdout
    signatures = [token.rpartition(".")[2].encode()
                  for token in (access, run, dead)]
    secret = state.secret()
    eventually(lambda: b"no-such-function" in
               (state.run / "log" / "access.log").read_bytes(),
               "the log")
    for signature in signatures:
        assert signature not in status
        for path, content in everything_written(state):
            assert signature not in content, path
    for path, content in everything_written(state):
        assert secret not in content, path
    for pid in tree(state.master.pid):
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            assert not any(signature in line for signature in signatures)


def test_A21_no_function_sees_keys_or_who_has_them(state):
    if any("files" in line for line in
           state.status()["host"].get("not_enforced", [])):
        pytest.skip("this machine does not let us shut functions in")
    pids = [state.master.pid, *state.named("fcgi-host-gateway"),
            *state.named("fcgi-host-state")]
    places = [state.keys, state.keys / "book.json",
              state.keys / f"{state.kid()}.key",
              *(f"/proc/{pid}/{name}" for pid in pids
                for name in ("environ", "mem", "root", "fd"))]
    state.function("acme", "peek", "#!/bin/sh\nexec 2>&1\n"
                   "printf 'Content-Type: text/plain\\n\\n'\n" + "".join(
                       f"cat {place} || ls {place}/ || echo no\n"
                       for place in places))
    got = state.get("/fn/acme/peek")
    assert got.status == 200
    assert got.text.splitlines().count("no") == len(places), got.text


@pytest.mark.skipif(FLAVOUR == "asan", reason="its leak check looks into us")
def test_A21_no_core(state):
    """What cannot be looked into has no core either; the kernel shows its files
    in /proc as root's."""
    if os.geteuid() != 0:
        pytest.skip("only root sees whose it is")
    for name in ("fcgi-host-gateway", "fcgi-host-state"):
        pid, = state.named(name)
        table = processes()
        assert pid in table
        uid = int(next(line.split()[1] for line in Path(
            f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith("Uid:")))
        assert uid != 0
        assert os.stat(f"/proc/{pid}/environ").st_uid == 0
    # master may leave one, without the page of its key ("dd": do not dump)
    flags = [line.split()[1:] for line in Path(
        f"/proc/{state.master.pid}/smaps").read_text().splitlines()
        if line.startswith("VmFlags:")]
    assert [line for line in flags if "dd" in line and "wr" in line]


def test_only_operators_may(state):
    if os.geteuid() != 0:
        pytest.skip("asks as another user")
    program = state.base / "fcgi-hostctl"
    program.write_bytes((state.programs / "fcgi-hostctl").read_bytes())
    program.chmod(0o755)
    for args in (["mint", "--tenant", "acme", "--scope", "read"], ["list"],
                 ["revoke", "x"], ["rotate"]):
        done = subprocess.run([program, "--run", state.run, "token", *args],
                              capture_output=True, user=5073, group=5073,
                              extra_groups=[], timeout=30)
        assert done.returncode == 1 and not done.stdout, done
        assert b"only root" in done.stderr
