# SPDX-License-Identifier: MIT
"""fcgi-hostctl, as operators and authors use it. If one of these fails, the
person awake at three cannot see what happens, or somebody sees too much."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from fastcgi import Connection, request
from host import BUILD, HEAD, IS_ROOT, ROOT, Host, eventually


def words(done):
    return done.stdout.decode()


def rows(host, *args):
    """The objects of list --json."""
    text = words(host.ctl("list", *args, "--json"))
    found = json.loads(text) if text.lstrip().startswith("[") else \
        [json.loads(line) for line in text.splitlines()]
    assert isinstance(found, list)
    return found


def test_status(host):
    host.rogue("head")
    host.rogue("exit=1")
    status = host.status()
    assert isinstance(status, dict)
    text = json.dumps(status)
    for name in ("gateway", "log", "pid"):
        assert name in text
    assert str(host.gateway) in text
    assert words(host.ctl("status")).strip()


def test_status_counts_what_runs(host):
    with Connection(host.front) as c:
        c.send(request("/fn/rogue/rogue?mark=up&wait=go&head"))
        host.wait_mark("up")
        busy = words(host.ctl("status", "--json"))
        host.data("go").touch()
        c.reply()
    eventually(lambda: words(host.ctl("status", "--json")) != busy)


def test_list(host):
    host.function("rogue", "listed.sh", f"#!/bin/sh\nprintf '{HEAD}'\n")
    host.function("rogue", "closed", "x", mode=0o644)
    found = {row.get("function"): row for row in rows(host)
             if row["tenant"] == "rogue"}
    assert found["listed"]["url"] == "/fn/rogue/listed"
    assert "refused" not in found["listed"]
    assert "not executable" in found["closed"]["refused"]
    text = words(host.ctl("list"))
    assert "/fn/rogue/listed" in text
    assert "not executable" in text
    assert {row["tenant"] for row in rows(host, "rogue")} == {"rogue"}
    for name in ("listed.sh", "closed"):
        (host.functions / "rogue" / name).unlink()


def test_list_of_no_tenant(host):
    done = host.ctl("list", "nobody", check=False)
    assert done.returncode == 1
    assert b"no such tenant" in done.stderr and not done.stdout


def test_list_of_a_tenant_that_is_a_link(host):
    (host.functions / "alias").symlink_to("rogue")
    row, = [row for row in rows(host) if row["tenant"] == "alias"]
    assert "symbolic link" in row["refused"] and "url" not in row
    assert "symbolic link" in words(host.ctl("list"))
    (host.functions / "alias").unlink()


@pytest.mark.parametrize("name", ["Upper", "ten.ant", "evil\x1b[31m\nx"])
def test_list_of_a_name_that_no_tenant_can_have(host, name):
    (host.functions / name).mkdir()
    row, = [row for row in rows(host) if row["tenant"] == name]
    assert "small letters, digits" in row["refused"] and "url" not in row
    assert any(row["tenant"] == "rogue" and "url" in row for row in rows(host))
    lines = host.ctl("list").stdout.split(b"\n")
    assert any(b"small letters" in line for line in lines)
    assert not any(b"\x1b" in line or line.startswith(b"x ")
                   for line in lines)
    (host.functions / name).rmdir()


def test_list_leaves_no_cells(new_host):
    """A cell that was made to be asked serves nobody: it goes at once, long
    before `cell.idle`; what is in use stays."""
    host = new_host('cell = { idle = "1h"; };', nginx=False)
    names = [f"t{i}" for i in range(12)]
    for name in ["rogue", *names]:
        host.function(name, "rogue")
    assert host.ask("/fn/rogue/rogue?head").status == 200
    used = host.named("fcgi-host-cell")
    assert {row["url"] for row in rows(host)} >= {
        f"/fn/{name}/rogue" for name in ["rogue", *names]}
    host.ctl("plan", "t0")
    host.ctl("check", "t1")
    eventually(lambda: host.named("fcgi-host-cell") == used,
               "the cells that were only asked to go")
    assert "not built" not in host.errors.read_text()


def test_list_without_a_cell_that_is_stopped(new_host):
    """Its owner may stop it; it costs him his answer, and the cell."""
    host = new_host('limits = { queue = "2s"; };', nginx=False)
    host.function("rogue", "rogue")
    host.function("stopped", "rogue")
    assert host.ask("/fn/rogue/rogue?head").status == 200

    others = set(host.named("fcgi-host-cell"))

    def stop():
        assert host.ask("/fn/stopped/rogue?head").status == 200
        made = set(host.named("fcgi-host-cell")) - others
        assert made
        for pid in made:
            os.kill(pid, signal.SIGSTOP)
        return made

    def gone(pids):
        eventually(lambda: not pids & set(host.named("fcgi-host-cell")),
                   "the stopped cell to be killed")

    pids = stop()
    found = {row["tenant"]: row for row in rows(host)}
    assert found["rogue"]["url"] == "/fn/rogue/rogue"
    assert found["stopped"] == {"tenant": "stopped",
                                "refused": "its cell does not answer"}
    gone(pids)
    assert {"/fn/rogue/rogue", "/fn/stopped/rogue"} <= {
        row.get("url") for row in rows(host)}
    for verb in "plan", "list":
        pids = stop()
        done = host.ctl(verb, "stopped", check=False)
        assert done.returncode == 1
        assert b"stopped: its cell does not answer" in done.stderr
        gone(pids)
    assert host.ask("/fn/stopped/rogue?head").status == 200


def test_list_of_nothing(host):
    host.tenant("bare")
    done = host.ctl("list", "bare")
    assert b"bare has no function" in done.stderr and not done.stdout
    (host.functions / "bare" / "data").rmdir()
    (host.functions / "bare").rmdir()


def test_list_without_functions_directory():
    host = Host(nginx=False, functions=Path(tempfile.mkdtemp()) / "none")
    shutil.rmtree(host.functions)
    with host:
        done = host.ctl("list")
        assert str(host.functions).encode() in done.stderr
        assert b"no functions" in done.stderr and not done.stdout
        assert "is no directory" in host.errors.read_text()
        host.functions.mkdir()
        assert b"no tenant" in host.ctl("list").stderr
    shutil.rmtree(host.functions.parent)


def test_list_names_hostile_files_safely(host):
    name = "evil\x1b[31m\nfake  fake.sh\tx"
    (host.functions / "rogue" / name).mkdir()
    host.write(host.functions / "rogue" / name / "run", "#!/bin/sh\n", 0o755)
    lines = host.ctl("list").stdout.split(b"\n")
    assert not any(b"\x1b" in line or b"\t" in line for line in lines)
    assert not any(line.startswith(b"fake") for line in lines)
    found, = [row for row in rows(host, "rogue")
              if row.get("file", "").startswith(name)]
    assert "its name has characters other than" in found["refused"]
    shutil.rmtree(host.functions / "rogue" / name)


def test_logs(host):
    first = host.rogue("err=one+line&head")
    second = host.rogue("err=another&head&exit=4")
    for got in (first, second):
        host.access(got.request_id)
    host.wait_log("rogue", "another")

    def both():
        text = words(host.ctl("logs", "rogue"))
        return "one line" in text and "another" in text
    eventually(both, "both lines")
    text = words(host.ctl("logs", "--call", second.request_id))
    assert "another" in text and "one line" not in text
    assert "exit" in text or "4" in text
    assert len(words(host.ctl("logs", "-n", 1, "rogue")).splitlines()) == 1


def test_logs_of_a_call_know_it_as_soon_as_its_reply_is_there(host):
    for _ in range(30):
        got = host.rogue("err=just+now&head")
        text = words(host.ctl("logs", "--call", got.request_id))
        assert f"{got.request_id} rogue= 200 " in text


def test_logs_of_a_call_that_never_was_say_so(host):
    done = host.ctl("logs", "--call", "01ARZ3NDEKTSV4RRFFQ69G5FAV", check=False)
    assert done.returncode == 1
    assert b"no such request in the log" in done.stderr


def test_logs_of_no_tenant(host):
    done = host.ctl("logs", "nobody", check=False)
    assert done.returncode == 1
    assert b"no such tenant" in done.stderr and not done.stdout
    assert len(done.stderr.splitlines()) == 1


def test_logs_of_a_quiet_tenant(host):
    host.tenant("quiet")
    assert host.ctl("logs", "quiet").stdout == b""


def test_stopped_gateway(host):
    os.kill(host.gateway, signal.SIGSTOP)
    try:
        done = host.ctl("status", check=False)
    finally:
        os.kill(host.gateway, signal.SIGCONT)
    assert done.returncode == 1
    assert b"does not answer (stopped or overloaded)" in done.stderr


def test_logs_follow(host):
    host.rogue("err=before&head")
    with subprocess.Popen(
            [BUILD / "fcgi-hostctl", "--run", host.run, "logs", "-f", "-n",
             "0", "rogue"], stdout=subprocess.PIPE) as tail:
        try:
            # It follows once a line of ours appears; ask until one does.
            os.set_blocking(tail.stdout.fileno(), False)
            seen = b""

            def appears():
                nonlocal seen
                host.rogue("err=while+following&head")
                seen += tail.stdout.read() or b""
                return b"while following" in seen
            eventually(appears, "the followed line")
        finally:
            tail.terminate()


def test_invoke(host):
    done = host.ctl("invoke", "rogue/rogue/info?head&out=reply&err=to+stderr"
                    "&exit=3")
    assert done.stdout.endswith(b"reply")
    errors = done.stderr.decode()
    assert "to stderr" in errors
    assert "200" in errors and "3" in errors and "ms" in errors


def test_invoke_with_data(host):
    done = host.ctl("invoke", "rogue/rogue?head&env=CONTENT_LENGTH&out=%0a"
                    "&echo", "--data", "twelve bytes")
    assert done.stdout.endswith(b"12\ntwelve bytes")
    file = host.base / "data"
    file.write_bytes(b"\0\1\2" * 1000)
    done = host.ctl("invoke", "rogue/rogue?head&echo", "--data", f"@{file}")
    assert done.stdout.endswith(b"\0\1\2" * 1000)


def test_invoke_what_is_no_request(host):
    """It was for no tenant, so none has lines of it to be missed."""
    done = host.ctl("invoke", "rogue/rogue/%00", check=False)
    assert done.returncode == 1
    assert b"the path has NUL in it" in done.stdout
    assert not done.stderr


def test_the_examples_of_invoke_are_there(host):
    text = words(host.ctl("invoke", "--help"))
    names = re.findall(r"invoke '?demo/(\w+)", text)
    assert len(names) == 3
    there = {path.name.partition(".")[0]
             for path in (ROOT / "functions" / "demo").iterdir()}
    assert set(names) <= there


def test_invoke_head(host):
    done = host.ctl("invoke", "--head", "rogue/rogue?line=Content-Type:+a/b"
                    "&line=X-Seen:+yes&line&out=body")
    assert b"X-Seen: yes\n" in done.stderr
    assert done.stdout == b"body"


@pytest.mark.parametrize("what, word", [
    ("rogue/nothing", "rogue/nothing"), ("nobody/rogue", "nobody")])
def test_invoke_what_is_not_there(host, what, word):
    done = host.ctl("invoke", what, check=False)
    assert done.returncode == 1
    assert word.encode() in done.stdout + done.stderr


def test_plan(host):
    text = words(host.ctl("plan", "rogue"))
    assert str(host.functions / "rogue") in text
    assert len(text.splitlines()) > 3
    assert host.ctl("plan", "nobody", check=False).returncode == 1


def test_check(host):
    assert host.ctl("check").returncode == 0
    good, bad = host.base / "good.conf", host.base / "bad.conf"
    good.write_text('limits = { time = "1s"; };')
    bad.write_text('limit = { time = "1s"; };\nrun = 5;\n')
    done = host.ctl("check", good)
    assert done.returncode == 0
    assert (done.stdout + done.stderr).decode() == f"good: {good}\n"
    done = host.ctl("check", bad, check=False)
    assert done.returncode == 1
    text = (done.stdout + done.stderr).decode()
    assert f"{bad}:1:" in text and "limits" in text
    assert f"{bad}:2:" in text      # all errors of meaning at once


@pytest.mark.parametrize("args", [
    [], ["no-such-verb"], ["status", "surplus"], ["invoke"], ["plan"],
    ["--no-such-option", "status"], ["logs", "-n", "many"], ["token"],
    ["token", "mint"], ["token", "mint", "--tenant", "a"],
    ["token", "mint", "--tenant", "A", "--scope", "read"],
    ["token", "mint", "--tenant", "a", "--scope", "root"],
    ["token", "mint", "--tenant", "a", "--scope", "read", "--ttl", "0"],
    ["token", "mint", "--tenant", "a", "--scope", "read", "--ttl", "9"],
    ["token", "list", "surplus"], ["token", "revoke"], ["token", "burn"]])
def test_wrong_usage(host, args):
    done = host.ctl(*args, check=False)
    assert done.returncode == 2
    assert done.stderr and not done.stdout


def test_help_and_version(host):
    text = words(host.ctl("--help"))
    for verb in ("status", "list", "logs", "invoke", "check", "plan",
                 "reload", "state", "token", "put"):
        assert verb in text
        assert words(host.ctl(verb, "--help"))
    assert "0.1" in words(host.ctl("--version"))


def test_no_host_there(host):
    done = subprocess.run([BUILD / "fcgi-hostctl", "--run", host.base,
                           "status"], capture_output=True)
    assert done.returncode == 1
    assert str(host.base).encode() in done.stderr


def test_run_by_environment(host):
    done = subprocess.run([BUILD / "fcgi-hostctl", "check"],
                          env={"FCGI_HOST_RUN": str(host.run)})
    assert done.returncode == 0


# ---- who may what -----------------------------------------------------------

VERBS = [["status"], ["list"], ["list", "mine"], ["list", "rogue"],
         ["logs"], ["logs", "mine"], ["logs", "rogue"], ["reload"],
         ["token", "list"], ["token", "rotate"],
         ["faults"], ["faults", "mine"], ["faults", "rogue"],
         ["plan", "mine"], ["plan", "rogue"],
         ["state", "mine", "usage"], ["state", "rogue", "usage"],
         ["invoke", "mine/rogue?head"], ["invoke", "rogue/rogue?head"]]


@pytest.fixture(scope="module")
def owned():
    made = Host("operator_group = \"5071\";", nginx=False)
    path = made.tenant("mine")
    made.function("mine", "rogue")
    for each in [path, *path.iterdir()]:
        os.chown(each, 5070, 5070)
    # The build may stand below a directory other users cannot enter.
    program = made.base / "fcgi-hostctl"
    program.write_bytes((BUILD / "fcgi-hostctl").read_bytes())
    program.chmod(0o755)
    with made:
        made.ask("/fn/mine/rogue?head")
        made.ask("/fn/rogue/rogue?head")
        yield made


@pytest.mark.skipif(not IS_ROOT, reason="asks as another user")
def test_who_is_suspended_may_ask_why(owned):
    owned.ctl("suspend", "mine", "not paid")
    try:
        assert owned.ask("/fn/mine/rogue?head").status == 503
        done = subprocess.run(
            [owned.base / "fcgi-hostctl", "--run", owned.run, "faults", "mine"],
            capture_output=True, user=5070, group=5070, extra_groups=[],
            timeout=30)
        assert b"suspended: not paid" in done.stdout, done
    finally:
        owned.ctl("resume", "mine")
    assert owned.ask("/fn/mine/rogue?head").status == 200


@pytest.mark.skipif(not IS_ROOT, reason="asks as several users")
@pytest.mark.parametrize("who, groups, allowed", [
    ("owner", [], lambda verb: "mine" in " ".join(verb)),
    ("operator", [5071], lambda verb: True),
    ("stranger", [], lambda verb: False)], ids=["owner", "operator",
                                                "stranger"])
@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_rights(owned, who, groups, allowed, verb):
    uid = {"owner": 5070, "operator": 5072, "stranger": 5073}[who]
    done = subprocess.run(
        [owned.base / "fcgi-hostctl", "--run", owned.run, *verb],
        capture_output=True, user=uid, group=uid, extra_groups=groups,
        timeout=30)
    assert (done.returncode == 0) == allowed(verb), done
    if not allowed(verb):
        assert done.stderr and not done.stdout
