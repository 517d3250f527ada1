# SPDX-License-Identifier: MIT
"""`fcgi-hostctl state`: what an administrator sees and does to what tenants keep. If
one of these fails, a backup is none, or something is lost that nobody meant."""
import json
import os
import signal
import sqlite3
import subprocess
import threading

import pytest

from host import IS_ROOT, Host, count, eventually


@pytest.fixture(scope="module")
def host():
    with Host() as made:
        yield made


@pytest.fixture
def ctl(host):
    """Runs `state ARGS`, and returns what it printed."""
    def run(*args, tenant="acme", fails=False, **more):
        done = host.ctl("state", *([tenant] if tenant else []), *args,
                        check=False, **more)
        assert done.returncode == (1 if fails else 0), done
        assert bool(done.stderr) == fails, done
        return (done.stderr if fails else done.stdout).decode()
    yield run
    for tenant in ("acme", "other"):
        host.ctl("state", tenant, "delete", "--yes", check=False)


def wants_yes(host, *args):
    done = host.ctl("state", "acme", *args, check=False)
    return done.returncode == 2 and b"--yes" in done.stderr


def keys(ctl, *more, **how):
    return {row["key"]: row for row in
            map(json.loads, ctl("ls", "--json", *more, **how).splitlines())}


def test_put_get_ls_rm(ctl, host, tmp_path):
    value = os.urandom(200000)
    (tmp_path / "value").write_bytes(value)
    ctl("put", "bin", "--data", f"@{tmp_path}/value", "--type", "image/png")
    ctl("put", "a/ü ?&%#+", "--data", "text", "--ttl", "1h")
    assert host.ctl("state", "acme", "get", "bin").stdout == value
    assert ctl("get", "a/ü ?&%#+") == "text"
    found = keys(ctl)
    assert list(found) == ["a/ü ?&%#+", "bin"]
    assert found["bin"]["type"] == "image/png"
    assert found["bin"]["size"] == len(value)
    assert found["a/ü ?&%#+"]["expires"] > 0 and not found["bin"]["expires"]
    words = [line.split() for line in ctl("ls").splitlines()]
    assert words[1][1:] == ["200000", "-", "bin"]
    assert 3590 <= int(words[0][2]) <= 3601
    assert list(keys(ctl, "a/")) == ["a/ü ?&%#+"]
    ctl("rm", "bin")
    assert "no such key" in ctl("get", "bin", fails=True)
    done = host.ctl("state", "acme", "put", "in", "--data", "@-",
                    input=b"from stdin")
    assert not done.stdout and ctl("get", "in") == "from stdin"


def test_ls_and_rm_go_beyond_a_page(ctl, host):
    number = count(2300, 5000)
    program = host.function("acme", "fill", f"""#!/usr/bin/python3
import http.client, json, os, socket
c = http.client.HTTPConnection("fn")
c.sock = socket.socket(socket.AF_UNIX)
c.sock.connect(os.environ["FN_SOCKET"])
for first in range(0, {number}, 500):
    ops = [{{"op": "set", "key": "n/%05d" % n, "value": ""}}
           for n in range(first, min(first + 500, {number}))]
    c.request("POST", "/state/v1/atomic", json.dumps({{"ops": ops}}),
              {{"Authorization": "Bearer " + os.environ["FN_TOKEN"],
               "Content-Type": "application/json"}})
    reply = c.getresponse()
    text = reply.read().decode()
    assert reply.status == 200, text
print("Content-Type: text/plain\\n\\nfilled")
""")
    assert program.exists()
    got = host.get("/fn/acme/fill")
    assert got.status == 200, got
    assert list(keys(ctl, "n/")) == [f"n/{n:05}" for n in range(number)]
    ctl("put", "m", "--data", "stays")
    ctl("rm", "--prefix", "n/")
    assert list(keys(ctl)) == ["m"]


def test_keys_do_not_move_a_terminal(ctl):
    ctl("put", "a\u009b31mred", "--data", "x")
    assert "\\xc2\\x9b31mred" in ctl("ls")


def test_watch(ctl, host):
    ctl("put", "before", "--data", "x")
    version = json.loads(ctl("usage", "--json"))["version"]
    ctl("put", "w/missed", "--data", "x")
    watch = subprocess.Popen(
        [str(host.programs / "fcgi-hostctl"), "--run", str(host.run), "state",
         "acme", "watch", "w/", "--since", str(version)], stdout=subprocess.PIPE)
    lines = []
    reader = threading.Thread(
        target=lambda: lines.extend(iter(watch.stdout.readline, b"")))
    reader.start()
    try:
        ctl("put", "w/a", "--data", "x")
        ctl("put", "other", "--data", "x")
        ctl("rm", "w/a")
        eventually(lambda: len(lines) >= 3, "three changes")
    finally:
        watch.send_signal(signal.SIGINT)
        watch.wait(15)
        reader.join()
    words = [line.decode().split() for line in lines]
    assert [word[1:] for word in words] == \
        [["set", "w/missed"], ["set", "w/a"], ["delete", "w/a"]]
    assert int(words[0][0]) < int(words[1][0]) < int(words[2][0])


def test_usage(ctl):
    ctl("put", "a", "--data", "x" * 1000)
    found = json.loads(ctl("usage", "--json"))
    assert found["keys"] == 1 and found["bytes"] > 1000
    assert "keys        1\n" in ctl("usage")


def test_backup_and_restore(ctl, host, tmp_path):
    ctl("put", "kept", "--data", "one")
    ctl("backup", tmp_path / "copy")
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["copy"]
    ctl("put", "kept", "--data", "two")
    ctl("put", "later", "--data", "x")
    before = int(keys(ctl)["later"]["version"])
    assert wants_yes(host, "restore", tmp_path / "copy")
    assert ctl("get", "kept") == "two"
    ctl("restore", tmp_path / "copy", "--yes")
    assert ctl("get", "kept") == "one" and list(keys(ctl)) == ["kept"]
    ctl("put", "new", "--data", "x")
    assert int(keys(ctl)["new"]["version"]) > before
    # into another tenant, and over the backup of before
    ctl("restore", tmp_path / "copy", "--yes", tenant="other")
    assert ctl("get", "kept", tenant="other") == "one"
    ctl("backup", tmp_path / "copy")
    with sqlite3.connect(f"file:{tmp_path}/copy?mode=ro", uri=True) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert dict(copy.execute("SELECT k, v FROM kv")) == \
            {"kept": b"one", "new": b"x"}


def test_backup_under_load_is_of_one_moment(ctl, host, tmp_path):
    """Two keys that are always changed together are the same in every copy."""
    host.function("acme", "twins", """#!/usr/bin/python3
import http.client, json, os, socket, time
c = http.client.HTTPConnection("fn")
c.sock = socket.socket(socket.AF_UNIX)
c.sock.connect(os.environ["FN_SOCKET"])
end = time.monotonic() + 3
number = 0
while time.monotonic() < end:
    number += 1
    value = str(number) * 500
    c.request("POST", "/state/v1/atomic", json.dumps({"ops": [
        {"op": "set", "key": "left", "value": value},
        {"op": "set", "key": "right", "value": value}]}),
        {"Authorization": "Bearer " + os.environ["FN_TOKEN"],
         "Content-Type": "application/json"})
    reply = c.getresponse()
    assert reply.status == 200, reply.read()
    reply.read()
print("Content-Type: text/plain\\n\\n%d" % number)
""")
    replies = []
    writer = threading.Thread(
        target=lambda: replies.append(host.get("/fn/acme/twins")))
    writer.start()
    seen = set()
    try:
        eventually(lambda: "right" in keys(ctl), "the writer to write")
        while writer.is_alive() and len(seen) < count(10, 100):
            ctl("backup", tmp_path / "copy")
            with sqlite3.connect(f"file:{tmp_path}/copy?mode=ro&immutable=1",
                                 uri=True) as copy:
                found = dict(copy.execute("SELECT k, v FROM kv"))
            assert found["left"] == found["right"]
            seen.add(found["left"])
    finally:
        writer.join()
    assert replies[0].status == 200 and len(seen) > 1


def test_all(ctl, tmp_path):
    ctl("put", "a", "--data", "x")
    ctl("put", "a", "--data", "y", tenant="other")
    ctl("--all", "backup", tmp_path, tenant=None)
    assert sorted(os.listdir(tmp_path)) == ["acme.sqlite3", "other.sqlite3"]
    assert ctl("--all", "check", tenant=None).splitlines() == \
        ["acme: sound", "other: sound"]
    assert ctl("check", "--deep") == "acme: sound\n"


@pytest.mark.parametrize("content", [
    b"", b"junk", b"junk" * 20000, b"SQLite format 3\0" + b"\0" * 8176],
    ids=["empty", "short", "long", "zeros"])
def test_restore_of_what_is_no_copy(ctl, tmp_path, content):
    ctl("put", "kept", "--data", "one")
    (tmp_path / "bad").write_bytes(content)
    ctl("restore", tmp_path / "bad", "--yes", fails=True)
    assert ctl("get", "kept") == "one"


def test_restore_of_what_is_no_file(ctl, tmp_path):
    """A FIFO would be waited for."""
    ctl("put", "kept", "--data", "one")
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", "."):
        assert "is not a file" in ctl("restore", tmp_path / name, "--yes",
                                      fails=True)
    (tmp_path / "empty").touch()
    assert "is empty" in ctl("restore", tmp_path / "empty", "--yes",
                             fails=True)
    assert ctl("get", "kept") == "one"


def test_a_restore_that_breaks_off_leaves_nothing(ctl, host, tmp_path):
    """The caller dies in the middle of a large copy."""
    ctl("put", "kept", "--data", "one")
    with open(tmp_path / "large", "wb") as large:
        large.write(b"SQLite format 3\0")
        large.truncate(1 << 30)
    exports = host.run / "state" / "export"
    restore = subprocess.Popen(
        [str(host.programs / "fcgi-hostctl"), "--run", str(host.run), "state",
         "acme", "restore", str(tmp_path / "large"), "--yes"],
        stderr=subprocess.DEVNULL)
    eventually(lambda: os.listdir(exports), "a copy that comes")
    restore.kill()
    restore.wait(15)
    eventually(lambda: not os.listdir(exports) or None, "it to be removed")
    assert ctl("get", "kept") == "one"


def test_restore_of_another_database(ctl, tmp_path):
    with sqlite3.connect(tmp_path / "other") as other:
        other.execute("CREATE TABLE t(a)")
    ctl("put", "kept", "--data", "one")
    ctl("restore", tmp_path / "other", "--yes", fails=True)
    assert ctl("get", "kept") == "one"


def test_backup_that_cannot_be_written(ctl, tmp_path):
    ctl("put", "kept", "--data", "one")
    assert "No such file" in ctl("backup", tmp_path / "no" / "copy",
                                 fails=True)
    assert "cannot" in ctl("restore", tmp_path / "no", "--yes", fails=True)
    ctl("rm", "kept")
    # nothing was ever written: there is nothing to copy
    ctl("backup", tmp_path / "copy", tenant="nobody", fails=True)
    assert os.listdir(tmp_path) == []


def test_delete(ctl, host):
    ctl("put", "a", "--data", "x")
    assert wants_yes(host, "delete")
    assert ctl("get", "a") == "x"
    ctl("delete", "--yes")
    assert ctl("ls") == ""


def test_while_state_restarts(ctl, host):
    """It says that it cannot; what was put stays put."""
    ctl("put", "a", "--data", "x")
    for pid in host.named("fcgi-host-state"):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: host.ctl("state", "acme", "get", "a",
                                check=False).stdout == b"x", "the value")


def test_while_state_is_stopped(ctl, host):
    """Somebody attached a debugger: said, not waited for."""
    ctl("put", "a", "--data", "x")
    pids = host.named("fcgi-host-state")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        assert "does not" in ctl("usage", fails=True)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    eventually(lambda: host.ctl("state", "acme", "get", "a",
                                check=False).stdout == b"x", "the value")


@pytest.mark.parametrize("args", [
    [], ["acme"], ["acme", "burn"], ["acme", "get"], ["acme", "put", "a"],
    ["acme", "put", "--data", "x"], ["acme", "rm"],
    ["acme", "rm", "a", "--prefix", "b"], ["acme", "usage", "x"],
    ["acme", "ls", "a", "b"], ["Acme", "ls"], ["../acme", "ls"],
    ["acme", "delete"], ["acme", "restore", "x"], ["--all", "ls"],
    ["--all", "acme", "check"], ["acme", "backup"]])
def test_wrong_usage(host, args):
    done = host.ctl("state", *args, check=False)
    assert done.returncode == 2 and done.stderr and not done.stdout


@pytest.mark.skipif(not IS_ROOT, reason="asks as several users")
def test_a_copy_is_the_callers(host, ctl, tmp_path):
    """Files are read and written with the caller's rights, not the host's."""
    ctl("put", "a", "--data", "x")
    program = tmp_path / "fcgi-hostctl"
    program.write_bytes((host.programs / "fcgi-hostctl").read_bytes())
    program.chmod(0o755)
    for part in (tmp_path, *tmp_path.parents):
        if part.stat().st_uid == 0 and len(part.parts) > 2:
            part.chmod(part.stat().st_mode | 0o011)
    tenant = host.functions / "rogue"
    owner = tenant.stat().st_uid
    for each in [tenant, *tenant.iterdir()]:
        os.chown(each, 5077, 5077)
    try:
        def run(*args):
            return subprocess.run(
                [program, "--run", host.run, "state", *args],
                user=5077, group=5077, extra_groups=[], capture_output=True)
        assert run("rogue", "put", "a", "--data", "x").returncode == 0
        assert run("rogue", "get", "a").stdout == b"x"
        for args in (["acme", "get", "a"], ["acme", "backup", "/dev/null"],
                     ["acme", "delete", "--yes"], ["--all", "check"]):
            done = run(*args)
            assert done.returncode == 1 and not done.stdout, done
        assert run("rogue", "backup", tmp_path / "mine").returncode == 1
        assert run("rogue", "restore", "/etc/shadow",
                   "--yes").returncode == 1
        assert ctl("get", "a") == "x"
    finally:
        for each in [tenant, *tenant.iterdir()]:
            os.chown(each, owner, owner)
        host.ctl("state", "rogue", "delete", "--yes", check=False)


@pytest.mark.parametrize("deep", [False, True], ids=["quick", "deep"])
def test_damage_is_found_and_mended(tmp_path, deep):
    """A file that the disk spoilt: said, kept from harm, brought back by its
    backup; nobody else notices."""
    with Host() as host:
        def state(*args, status=0):
            done = host.ctl("state", *args, check=False)
            assert done.returncode == status, done
            return done.stdout.decode() + done.stderr.decode()
        value = tmp_path / "value"
        value.write_bytes(os.urandom(60000))
        for number in range(20):
            state("acme", "put", f"key/{number}", "--data", f"@{value}")
        state("other", "put", "a", "--data", "x")
        state("acme", "backup", tmp_path / "copy")
        host.master.terminate()
        host.master.wait(60)
        spoilt, = (host.run / "state").glob("*/acme.db")
        with open(spoilt, "r+b") as file:
            for page in range(2, spoilt.stat().st_size // 4096, 3):
                file.seek(page * 4096)
                file.write(b"\xde\xad" * 2048)
        host.start_master()
        options = ["--deep"] if deep else []
        assert state("acme", "check", *options, status=1) \
            .startswith("acme: damaged: ")
        state("acme", "get", "key/1", status=1)
        state("acme", "put", "key/1", "--data", "x", status=1)
        assert state("other", "get", "a") == "x"
        assert state("--all", "check", status=1).splitlines()[1] == \
            "other: sound"
        said = state("--all", "backup", tmp_path, status=1)
        assert said.startswith("fcgi-hostctl: error: acme: "), said
        assert (tmp_path / "other.sqlite3").exists()
        state("acme", "restore", tmp_path / "copy", "--yes")
        assert state("acme", "check", "--deep") == "acme: sound\n"
        assert host.ctl("state", "acme", "get", "key/19").stdout == \
            value.read_bytes()
        state("acme", "put", "key/1", "--data", "x")
