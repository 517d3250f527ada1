# SPDX-License-Identifier: MIT
"""The state process beside the others: what a function reaches of it, who else
does, and what happens when it, nginx or its directory fails. If one of these
fails, what functions keep is out of reach, or an accident of it takes the
functions that keep nothing with it."""
import json
import os
import pwd
import signal
import socket
import stat

import pytest

import fastcgi
from host import Host, IS_ROOT, TORTURE, alive, eventually
from state import State

CURL = """#!/bin/sh
printf 'Content-Type: text/plain\\n\\n'
ask() {
	curl -sS -w ' %{http_code}\\n' --unix-socket "$FN_SOCKET" \\
	    -H "Authorization: Bearer $FN_TOKEN" "$@" 2>&1
}
"""
VISIT = CURL + 'ask -d \'{"by":1}\' "$FN_STATE_URL/counter/visits"\n'


@pytest.fixture(scope="module")
def host():
    with Host("drain = \"5s\";") as it:
        it.function("acme", "visit", VISIT)
        it.function("other", "visit", VISIT)
        it.function("acme", "reader", VISIT, 'state = "read";')
        it.function("acme", "nothing", VISIT, 'state = "none";')
        it.function("acme", "call", CURL + 'ask "http://fn/fn/acme/env"\n')
        it.function("acme", "env", "#!/bin/sh\nprintf 'Content-Type: "
                    "text/plain\\n\\n'\nenv | sort\n")
        it.function("acme", "spoil", "#!/bin/sh\nprintf 'Content-Type: "
                    "text/plain\\n\\n'\ncd ${FN_SOCKET%/*} && rm -f fn.sock; "
                    "touch x; mv fn.sock y; ls -A\n")
        yield it


def visit(host, tenant="acme", name="visit"):
    got = host.get(f"/fn/{tenant}/{name}")
    assert got.status == 200, got
    return got.body.decode()


def visits(host, **more):
    """How many there were with this one."""
    text = visit(host, **more)
    assert text.rstrip().endswith(" 200"), text
    return int(text.partition('"value":')[2].partition(",")[0])


def state_process(host):
    return eventually(lambda: host.named("fcgi-host-state"), "a state process")[0]


def test_a_function_keeps_something(host):
    first = visits(host)
    assert visits(host) == first + 1
    assert visits(host, tenant="other") == 1    # its own


@pytest.mark.parametrize("name, status", [("reader", " 403"),
                                          ("nothing", " 401")])
def test_settings_decide_what_it_may(host, name, status):
    assert visit(host, name=name).rstrip().endswith(status)


def test_functions_call_functions(host):
    text = visit(host, name="call")
    assert text.rstrip().endswith(" 200")
    found = dict(line.partition("=")[::2] for line in text.splitlines())
    # it may be another tenant's: nobody who "only localhost" means
    assert found["REMOTE_ADDR"] == found["REMOTE_HOST"] == "0.0.0.0"
    assert found["SERVER_PORT"] == "80"
    assert "SERVER_ADDR" not in found
    assert found["FN_SOCKET"] == f"{host.run}/fn/fn.sock"
    assert found["FN_STATE_URL"] == "http://fn/state/v1"


def test_functions_see_nothing_else_of_nginx(host):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(host.run / "fn" / "fn.sock"))
        client.sendall(b"GET / HTTP/1.1\r\nHost: fn\r\n"
                       b"Connection: close\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 404 ")


def test_a_function_cannot_spoil_the_socket(host):
    if not IS_ROOT and "user" in str(host.status()["host"]["not_enforced"]):
        pytest.skip("functions run as the user who owns it")
    assert host.get("/fn/acme/spoil").body == b"fn.sock\n"
    visits(host)


def test_the_world_needs_a_token(host):
    got = host.get("/state/v1/kv/a")
    assert got.status == 401
    assert got.header("Content-Type") == "application/problem+json"


def test_what_nginx_refuses_has_the_same_form(host):
    with socket.create_connection(("127.0.0.1", host.port)) as client:
        client.sendall(b"PUT /state/v1/kv/a HTTP/1.1\r\nHost: x\r\n"
                       b"Content-Length: 99999999\r\n\r\n")
        reply = client.makefile("rb").read(4096)
    assert reply.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in reply
    assert b"urn:fn:problem:too-large" in reply


def test_only_the_web_server_may_connect(host):
    """And nothing that is not FastCGI does harm."""
    path = host.run / "state.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    if IS_ROOT:
        pid = os.fork()
        if pid == 0:
            os.setgroups([path.stat().st_gid])
            os.setresgid(*[pwd.getpwnam("nobody").pw_gid] * 3)
            os.setresuid(*[pwd.getpwnam("nobody").pw_uid] * 3)
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(20)
                client.connect(str(path))
                os._exit(0 if client.recv(1) == b"" else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert "connection to the state socket refused" in \
            host.errors.read_text()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.recv(1) == b""
    got = fastcgi.ask(path, "/state/v1/kv/a")
    assert got.status == 401


def test_status_says_what_it_does(host):
    visits(host)
    known = eventually(lambda: host.status()["state"].get("commits"),
                       "the state process to say something")
    visits(host)
    eventually(lambda: host.status()["state"]["commits"] > known, "one more")
    said = host.status()["state"]
    assert said["serving"] == "yes"
    assert said["commit_groups"] <= said["commits"] <= said["requests"]
    assert said["files_open"] >= 1


def test_kill_9_and_nothing_is_lost(host):
    before, gateway = visits(host), host.gateway
    for _ in range(3):
        pid = state_process(host)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: not alive(pid))
        eventually(lambda: state_process(host) != pid
                   and visit(host).rstrip().endswith(" 200"), "state is back")
        now = visits(host)
        assert now > before     # the one that found it there, at least
        before = now
    assert host.gateway == gateway
    status = host.status()
    assert status["state"]["restarts"] >= 3
    assert status["log"]["restarts"] == 0


def test_who_asked_it_when_it_died_hears_so_in_its_form(host):
    with State(host, "acme") as state, \
            socket.create_connection(("127.0.0.1", host.port)) as client:
        client.sendall(
            b"GET /state/v1/kv/never?since=0&wait=50s HTTP/1.0\r\nHost: x\r\n"
            b"Authorization: Bearer " + state.token.encode() + b"\r\n\r\n")
        eventually(lambda: host.status()["state"].get("requests_open"),
                   "a request that waits for a change")
        os.kill(state_process(host), signal.SIGKILL)
        reply = client.makefile("rb").read()
    assert reply.startswith(b"HTTP/1.1 503 "), reply
    assert b"application/problem+json" in reply
    assert b"urn:fn:problem:storage-unavailable" in reply
    assert b'"outcome":"unknown"' in reply


@pytest.mark.skipif(not TORTURE, reason="takes 30 s")
def test_one_that_is_stopped_is_replaced(host):
    pid = state_process(host)
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: not alive(pid), "it to be killed", timeout=60)
    eventually(lambda: visit(host).rstrip().endswith(" 200"), "state is back")
    assert "state has not answered for 30 s" in host.errors.read_text()


def test_kill_9_of_the_gateway_leaves_tokens_good(host):
    before, pid, gateway = visits(host), state_process(host), host.gateway
    os.kill(gateway, signal.SIGKILL)
    eventually(lambda: not alive(gateway))
    assert visits(host) == before + 1
    assert state_process(host) == pid


def test_a_killed_nginx_comes_back(new_host):
    """On the same path: cells see the directory, not the socket."""
    host = new_host()
    host.function("acme", "visit", VISIT)
    assert visits(host) == 1
    os.killpg(host.nginx.pid, signal.SIGKILL)
    host.nginx.wait()
    assert (host.run / "fn" / "fn.sock").is_socket()
    (host.run / "fn" / "fn.sock").unlink()
    host.start_nginx()
    assert visits(host) == 2


def test_a_socket_nobody_serves_goes_with_the_next_start(new_host):
    host = new_host(nginx=False)
    host.master.kill()
    host.master.wait()
    left = host.run / "fn" / "fn.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(left))
    host.start_master()
    assert not left.exists()


def test_a_socket_in_use_stays(new_host):
    host = new_host()
    host.master.kill()
    host.master.wait()
    host.start_master()
    assert (host.run / "fn" / "fn.sock").is_socket()


def test_a_broken_directory_is_not_the_end_of_functions(new_host):
    """Who keeps nothing goes on; who asks is refused; then it is mended."""
    host = new_host(nginx=False)
    host.master.terminate()
    assert host.master.wait(20) == 0
    keys = host.run / "state" / "keys"
    mode = stat.S_IMODE(keys.stat().st_mode)
    keys.chmod(0o777)
    host.start()
    host.start_nginx()
    assert host.rogue("head&out=fine").body == b"fine"
    got = host.get("/state/v1/kv/a")
    assert got.status == 503
    assert b'"outcome":"none"' in got.body
    State.check(got)
    assert "state is not served: " in host.errors.read_text()
    assert "keys" in host.status()["state"]["serving"]
    keys.chmod(mode)
    eventually(lambda: host.get("/state/v1/kv/a").status == 401,
               "state to be served")


def test_it_drains(new_host):
    """A write that is under way is answered; a watch ends."""
    host = new_host()
    with State(host, "acme") as state:
        reply = state.open("GET", "/watch", headers={
            "Accept": "text/event-stream"})
        assert reply.status == 200
        host.master.terminate()
        reply.read()
    assert host.master.wait(20) == 0
    host.nginx.terminate()
    host.nginx.wait()


def test_a_reload_changes_how_it_is_kept(new_host):
    """Nothing that was answered is lost."""
    host = new_host("state = { quota = \"2 MiB\"; };")
    with State(host, "acme") as state:
        assert state.put("before", "1").status == 201
        assert state.ask("PUT", "/kv/large", b"x" * 3000).status == 201
        gateway, pid = host.gateway, state_process(host)
        host.conf.write_text("state = { quota = \"4 MiB\"; "
                             "value = \"2 KiB\"; };")
        host.ctl("reload")
        eventually(lambda: "opened anew" in host.errors.read_text())
        assert state.ask("GET", "/kv/before").status == 200
        assert state.ask("PUT", "/kv/large", b"x" * 3000).status == 413
        usage = json.loads(state.ask("GET", "/usage").body)
        assert usage["quota"] == 4 << 20
        assert host.gateway == gateway
        assert state_process(host) == pid
        host.conf.write_text("state = { quota = \"4 MiB\"; value = "
                             "\"2 KiB\"; keys = 3; };")
        host.ctl("reload")
        eventually(lambda: b'"keys":3' in state.ask("GET", "/").body)
        assert host.errors.read_text().count("opened anew") == 1
