# SPDX-License-Identifier: MIT
"""If this fails, a hoster cannot add, change, suspend or remove a customer while
the others are served."""
import json
import os
import pwd
import re
import shutil
import signal
import threading

import pytest

from conftest import CONF
from host import IS_ROOT, ROGUE, Asking, Host, count, eventually

REASON = "moved to www.example.org"


def suspended(host, words=REASON, tenant="rogue"):
    host.rogue("head", tenant=tenant).problem(503, "suspended", tenant, words)


# ---- suspended --------------------------------------------------------------

def test_a_suspended_tenant_is_not_run(new_host):
    host = new_host()
    host.function("other", "rogue")
    assert host.rogue("head").status == 200
    said = host.ctl("suspend", "rogue", REASON).stdout.decode()
    assert said == f"tenant rogue is suspended: {REASON}\n"
    suspended(host)
    eventually(lambda: not host.cells(), "no process of it")
    got = host.ctl("invoke", "rogue/rogue?head", check=False)
    assert got.returncode == 1 and REASON.encode() in got.stdout
    assert host.rogue("head", tenant="other").status == 200
    assert host.status()["suspended"] == {"rogue": REASON}
    rows = json.loads(host.ctl("list", "--json").stdout)
    assert [(row["tenant"], "suspended: " + REASON in row.get("refused", ""))
            for row in rows] == [("other", False), ("rogue", True)]
    host.ctl("resume", "rogue")
    assert host.rogue("head").status == 200
    got = host.ctl("resume", "rogue", check=False)
    assert got.returncode == 1
    assert got.stderr.decode().endswith("tenant rogue is not suspended\n")


def test_what_runs_finishes(new_host):
    host = new_host()
    got = []
    thread = threading.Thread(
        target=lambda: got.append(host.rogue("mark=up&head&wait=go&out=whole")))
    thread.start()
    host.wait_mark("up")
    host.ctl("suspend", "rogue", REASON)
    suspended(host)
    host.data("go").write_text("")
    thread.join()
    assert got[0].text == "whole"
    host.quiet()


def test_now(new_host):
    host = new_host()
    got = []
    thread = threading.Thread(
        target=lambda: got.append(host.rogue("mark=up&ignore=TERM&forever")))
    thread.start()
    host.wait_mark("up")
    done = host.ctl("suspend", "rogue", "--now", "--json")
    assert json.loads(done.stdout) == {"tenant": "rogue", "suspended": True}
    thread.join()
    got[0].problem(503, "suspended", "by the operator of this host")
    host.quiet()
    eventually(lambda: not host.cells(), "no process of it")


def test_it_survives_whoever_ends(new_host):
    host = new_host(nginx=False)
    host.function("other", "rogue")

    def both():
        got = host.ask("/fn/rogue/rogue?head")
        assert got.status == 503 and REASON.encode() in got.body
        assert host.ask("/fn/other/rogue?head").status == 200
    host.ctl("suspend", "rogue", REASON)
    both()
    os.kill(host.gateway, signal.SIGKILL)
    eventually(lambda: "gateway gone" in host.errors.read_text())
    both()
    host.ctl("reload")
    both()
    host.master.terminate()
    assert host.master.wait(60) == 0
    host.start_master()
    both()


@pytest.mark.parametrize("words, says", [
    (["No-Such"], "is no name of a tenant"),
    (["rogue", "two\nlines"], "the reason has to be one line"),
    (["rogue", "x" * 201], "the reason has to be one line"),
])
def test_what_cannot_be_suspended(host, words, says):
    got = host.ctl("suspend", *words, check=False)
    assert got.returncode != 0 and says in got.stderr.decode()
    assert host.rogue("head").status == 200


@pytest.mark.skipif(not IS_ROOT, reason="only root can be somebody else")
def test_only_the_operator_may(host):
    path = host.tenant("owned")
    os.chown(path, 64321, 64321)
    for words in (["suspend", "owned"], ["resume", "owned"]):
        got = host.ctl(*words, check=False, user=64321, group=64321,
                       extra_groups=[])
        assert got.returncode == 1
        assert "operator_group may do this" in got.stderr.decode()


# ---- changed ----------------------------------------------------------------

def test_a_reload_replaces_only_cells_whose_terms_are_others(new_host):
    plan = 'plans = ( { name = "small"; limits = { time = "%s"; }; } );\n' \
           'tenants = ( { name = "other"; plan = "small"; } );\n'
    host = new_host(plan % "5s", nginx=False)
    host.function("other", "rogue")

    def reloaded(conf):
        host.conf.write_text(conf)
        host.ctl("reload")
    host.ask("/fn/rogue/rogue?head")
    rogue, = host.cells()
    host.ask("/fn/other/rogue?head")
    made = host.status()["capacity"]["cells_made"]
    for conf, new in (
            (plan % "5s", 0),                       # nothing
            (plan % "5s" + "logs = { keep = 7; };", 0),     # no cell's
            (plan % "6s", 1),                       # one tenant's
            (plan % "6s" + 'cell = { paths = [ "/srv" ]; };', 2)):
        reloaded(conf)
        for tenant in ("rogue", "other"):
            assert host.ask(f"/fn/{tenant}/rogue?head").status == 200
        made += new
        assert host.status()["capacity"]["cells_made"] == made, conf
        assert new > 1 or rogue in host.cells()


def says(text):
    return f"#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n{text}'\n"


def test_coming_changing_and_going_fails_no_request_of_others(new_host):
    """By count, not by time: each of theirs is answered, and well."""
    host = new_host()
    host.function("steady", "hello", says("steady"))
    grown = []
    with Asking(host, "/fn/steady/hello", ("steady",)) as asking:
        cell, = eventually(host.cells, "the cell of others")
        for number in range(count(4, 60)):
            name, before = f"new{number}", asking.answered
            url = f"/fn/{name}/hello"
            assert host.get(url).status == 404
            host.function(name, "hello", says("one"))       # comes
            assert host.get(url).text == "one"
            host.function(name, "hello", says("two"))       # changes
            assert host.get(url).text == "two"
            host.conf.write_text(                           # gets less
                CONF + 'tenants = ( { name = "%s"; slots = %d; } );'
                % (name, number + 1))
            host.ctl("reload")
            assert host.get(url).text == "two"
            host.ctl("suspend", name)                       # gets nothing
            assert host.get(url).status == 503
            host.ctl("resume", name)
            assert host.get(url).text == "two"
            shutil.rmtree(host.functions / name)            # goes
            eventually(lambda: host.get(url).status == 404, "it to be gone")
            eventually(lambda: asking.answered > before, "others meanwhile")
            grown.append(cell in host.cells())
    assert all(grown)                       # the same cell all the time
    host.function("steady", "hello", says("still"))
    assert host.get("/fn/steady/hello").text == "still"


# ---- users ------------------------------------------------------------------

@pytest.mark.skipif(not IS_ROOT, reason="tenants of several users")
def test_nobody_the_host_relies_on_is_a_tenant(new_host):
    host = new_host('front = { users = [ "www-data", "5010" ]; };'
                    'operator_group = "5011";')
    host.function("given", "rogue")

    def owned(uid):
        for path in [host.functions / "given",
                     *(host.functions / "given").iterdir()]:
            os.chown(path, uid, uid)
        return host.rogue("head&out=served", tenant="given")
    for uid, words in ((70001, "users.gateway"), (70002, "users.log"),
                       (70003, "users.state"), (5010, "front.users"),
                       (5011, "operator_group")):
        got = eventually(lambda: owned(uid) if owned(uid).status != 200
                         else None, f"{uid} to be seen")
        got.problem(503, "tenant-refused", words, "a user of its own")
    for uid in (65534, 71000):
        owned(uid).problem(503, "tenant-refused", f"user id {uid}, ", "or to root")
    assert owned(5012).text == "served"
    # who becomes one by a reload is served no more
    host.conf.write_text('front = { users = [ "www-data", "5012" ]; };')
    host.ctl("reload")
    owned(5012).problem(503, "tenant-refused", "front.users")


@pytest.mark.skipif(not IS_ROOT, reason="tenants of several users")
def test_no_directory_takes_the_number_of_another_tenant(new_host):
    """A number that a directory has already would be given to the next tenant
    of root's: one user for two."""
    host = new_host()
    for name in ("copied", "fresh"):
        host.function(name, "rogue")
    copied = host.functions / "copied"

    def uid(tenant):
        text = host.rogue("head&state", tenant=tenant).text
        return int(re.search(r"Uid:\t(\d+)", text)[1])
    next_uid = uid("rogue") + 1
    for path in (copied, *copied.iterdir()):
        os.chown(path, next_uid, next_uid)
    host.rogue("head", tenant="copied").problem(
        503, "tenant-refused", f"user id {next_uid}, ", "users.tenants_first")
    assert uid("fresh") == next_uid
    host.rogue("head", tenant="copied").problem(
        503, "tenant-refused", "tenant fresh's")
    for path in (copied, *copied.iterdir()):
        os.chown(path, 0, 0)
    assert uid("copied") == next_uid + 1
    # and a tenant whose files are given to the number it has is served
    os.chown(copied, next_uid + 1, next_uid + 1)
    assert uid("copied") == next_uid + 1


# ---- at home ----------------------------------------------------------------

@pytest.fixture
def homes(new_host):
    """A host where users have functions, and the one user every machine has."""
    if not IS_ROOT:
        pytest.skip("only root has users to give")
    user = pwd.getpwnam("daemon")
    host = Host(CONF)
    home = host.base / "homes" / user.pw_name
    (home / "functions" / "data").mkdir(parents=True)
    for path in (home, home / "functions", home / "functions" / "data"):
        os.chown(path, user.pw_uid, user.pw_gid)
    home.chmod(0o700)           # homes are closed
    shutil.copy(ROGUE, home / "functions" / "rogue")
    os.chown(home / "functions" / "rogue", user.pw_uid, user.pw_gid)
    host.conf.write_text(
        CONF + f'user_directories = "{host.base}/homes/*/functions";'
        "users = { least = 1; least_group = 1; };")
    host.home, host.who = home, user
    try:
        yield host.start()
    finally:
        host.stop()


def test_a_user_has_functions_at_home(homes):
    host, uid = homes, homes.who.pw_uid
    text = host.get("/~daemon/rogue?head&state").text
    assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}" in text
    assert f"cwd {host.home}/functions\n" in text
    env = host.parse_environment(host.get("/~daemon/rogue/a?head&env").body)
    assert (env["SCRIPT_NAME"], env["PATH_INFO"], env["FN_TENANT"]) == \
        ("/~daemon/rogue", "/a", "~daemon")
    assert host.get("/fn/~daemon/rogue?head").status == 200
    assert host.get("/~daemon/rogue?head&write=data/new").text.strip() == "ok"
    got = host.get("/~daemon/rogue?head&err=to+the+log")
    host.wait_log("~daemon", "to the log")
    assert host.access(got.request_id)["tenant"] == "~daemon"
    # others have none, and a tenant of root's keeps its own name
    host.get("/~bin/x").problem(404, "no-tenant")
    host.get("/~rogue/rogue").problem(404, "no-tenant")
    assert host.rogue("head").status == 200


def test_the_operator_sees_users_as_tenants(homes):
    host = homes
    urls = [row.get("url") for row in
            json.loads(host.ctl("list", "--json").stdout)]
    assert urls == ["/fn/rogue/rogue", "/~daemon/rogue"]
    source = host.base / "hello"
    source.write_text("#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nhi'\n")
    source.chmod(0o755)
    put = host.ctl("put", source, "~daemon").stdout.decode()
    assert put == f"{host.home}/functions/hello\n"
    assert host.get("/~daemon/hello").text == "hi"
    assert b"hi" in host.ctl("invoke", "~daemon/hello").stdout
    host.ctl("state", "~daemon", "put", "key", "--data", "value")
    assert host.ctl("state", "~daemon", "get", "key").stdout == b"value"
    host.ctl("suspend", "~daemon", REASON)
    host.get("/~daemon/hello").problem(503, "suspended", REASON)
    host.ctl("resume", "~daemon")
    # himself, too
    got = host.ctl("list", "~daemon", user=host.who.pw_uid,
                   group=host.who.pw_gid, extra_groups=[])
    assert b"/~daemon/hello" in got.stdout


def test_a_home_that_changes(homes):
    host = homes
    assert host.get("/~daemon/rogue?head").status == 200
    away = host.home / "away"
    (host.home / "functions").rename(away)
    eventually(lambda: host.get("/~daemon/rogue?head").status == 404,
               "nothing to be there")
    (host.home / "functions").symlink_to("away")
    host.get("/~daemon/rogue?head").problem(503, "tenant-refused",
                                            "symbolic link")
    (host.home / "functions").unlink()
    away.rename(host.home / "functions")
    assert host.get("/~daemon/rogue?head").status == 200
    host.conf.write_text(CONF)
    host.ctl("reload")
    host.get("/fn/~daemon/rogue?head").problem(404, "no-tenant")
    assert host.get("/~rogue/rogue?head").status == 200
