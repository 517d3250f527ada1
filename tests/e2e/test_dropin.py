# SPDX-License-Identifier: MIT
"""The drop-in directory: a file that is put there answers, a file that should
not run does not, and the answer says why. If one of these fails, authors wonder
why their function is not there, or somebody else's is."""
import contextlib
import ctypes
import os
import shutil
import tempfile
import threading
from collections import Counter
from pathlib import Path
from urllib.parse import quote

import pytest

from host import Asking, HEAD, IS_ROOT, ROGUE, alive, count, eventually, memory_kib


def says(word):
    return f'#!/bin/sh\nprintf "{HEAD}{word}"\n'


def test_a_new_file_answers_at_once(host):
    for number in range(count(20, 500)):
        assert host.get(f"/fn/rogue/new{number}").status == 404
        path = host.function("rogue", f"new{number}", says(number))
        assert host.get(f"/fn/rogue/new{number}").text == str(number)
        path.unlink()
        assert host.get(f"/fn/rogue/new{number}").status == 404


def test_a_changed_file_counts_from_the_next_request(host):
    for number in range(count(30, 1000)):
        host.function("rogue", "changed", says(number))
        assert host.get("/fn/rogue/changed").text == str(number)


def test_a_file_changed_in_place_counts_too(host):
    path = host.function("rogue", "inplace", says("one"))
    assert host.get("/fn/rogue/inplace").text == "one"
    path.write_text(says("two"))
    assert host.get("/fn/rogue/inplace").text == "two"


def test_changed_settings_count_from_the_next_request(host):
    path = host.functions / "rogue" / "tuned.conf"
    host.function("rogue", "tuned")
    for word in ("a", "b", "c"):
        host.write(path, f'env = {{ WORD = "{word}"; }};', 0o644)
        assert host.rogue("head&env=WORD", name="tuned").text == word
    path.unlink()
    assert host.rogue("head&env=WORD", name="tuned").text == "(unset)"


@pytest.mark.parametrize("conf, end, status, words", [
    ('methods = [ "GET" ];', "method", 405, ["GET"]),
    ('limits = { body = "3 B"; };', "body-size", 413, ["limits.body = 3 B"]),
    ('concurrency = 0;', "switched-off", 503, ["switched off"])])
def test_changed_settings_count_for_who_is_about_to_start(
        host, conf, end, status, words):
    path = host.functions / "rogue" / "strict.conf"
    host.function("rogue", "strict")
    for _ in range(count(3, 50)):
        host.write(path, "", 0o644)
        got = host.rogue("head&echo", name="strict", method="POST",
                         body=b"four")
        assert got.text == "four"
        host.write(path, conf, 0o644)
        host.rogue("mark=ran&head", name="strict", method="POST",
                   body=b"four").problem(status, end, *words)
    path.unlink()
    assert not host.marks("ran")


def test_settings_of_a_tenant_are_defaults(host):
    host.tenant("family")
    host.function("family", "plain")
    host.function("family", "own", conf='env = { B = "own"; };')
    host.write(host.functions / "family" / "tenant.conf",
               'env = { A = "all"; B = "all"; }; methods = [ "GET" ];', 0o644)
    ask = {"tenant": "family"}
    assert host.rogue("head&env=A", name="plain", **ask).text == "all"
    assert host.rogue("head&env=B", name="plain", **ask).text == "all"
    assert host.rogue("head&env=B", name="own", **ask).text == "own"
    got = host.rogue("head", name="own", method="POST", body=b"x", **ask)
    got.problem(405, "method", "GET")
    assert got.header("Allow") == "GET"


def test_replacing_by_rename_fails_no_request(host):
    host.function("rogue", "busy", says("x" * 1000))
    stop, wrong = threading.Event(), []

    def replace():
        while not stop.is_set():
            host.function("rogue", "busy", says("x" * 1000))
    thread = threading.Thread(target=replace)
    thread.start()
    for _ in range(count(200, 20_000)):
        got = host.get("/fn/rogue/busy")
        if got.status != 200 or len(got.body) != 1000:
            wrong.append(got)
    stop.set()
    thread.join()
    assert not wrong


def test_a_running_function_finishes_on_the_old_file(host):
    host.function("rogue", "twice")
    connection = host.http()
    connection.request("GET", "/fn/rogue/twice?mark=up&wait=go&head&out=old")
    host.wait_mark("up")
    host.function("rogue", "twice", says("new"))
    assert host.get("/fn/rogue/twice").text == "new"
    host.data("go").touch()
    assert connection.getresponse().read() == b"old"
    connection.close()


def test_a_file_still_written_holds_the_request(host):
    path = host.function("rogue", "copied")
    writer = open(path, "r+b")
    connection = host.http()
    connection.request("GET", "/fn/rogue/copied?head&out=whole")
    connection.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        connection.sock.recv(1)
    connection.sock.settimeout(20)
    writer.close()
    assert connection.getresponse().read() == b"whole"
    connection.close()


def test_an_empty_file_that_is_being_written_holds_the_request(host):
    """Whoever writes it, and whether or not the cell can know that."""
    path = host.function("rogue", "begun")
    program = path.read_bytes()
    assert host.rogue("head&out=whole", name="begun").text == "whole"
    for bytes_first in (0, 1, len(program) // 2):
        connection = host.http()
        with open(path, "wb") as writer:
            writer.write(program[:bytes_first])
            writer.flush()
            connection.request("GET", "/fn/rogue/begun?head&out=whole")
            connection.sock.settimeout(0.3)
            with pytest.raises(TimeoutError):
                connection.sock.recv(1)
            connection.sock.settimeout(20)
            writer.write(program[bytes_first:])
        got = connection.getresponse()
        assert (got.status, got.read()) == (200, b"whole")
        connection.close()


def test_writing_a_file_in_place_fails_no_request(host):
    path = host.function("rogue", "rewritten")
    program = path.read_bytes()
    stop, written = threading.Event(), []

    def write():
        while not stop.is_set():
            with contextlib.suppress(OSError):     # it runs
                path.write_bytes(program)
                written.append(1)
            stop.wait(0.01)
    thread = threading.Thread(target=write)
    thread.start()
    got = Counter(host.rogue("head&out=whole", name="rewritten").text
                  for _ in range(count(100, 5000)))
    stop.set()
    thread.join()
    assert set(got) == {"whole"}, got
    assert written


def test_a_file_written_for_too_long(host):
    path = host.function("rogue", "endless",
                         conf='limits = { queue = "300ms"; };')
    with open(path, "r+b"):
        host.rogue("head", name="endless").problem(
            503, "still-written", "rogue/endless", "limits.queue")


@pytest.mark.parametrize("file, urls", [
    ("plain", ["plain"]), ("report.py", ["report", "report.py"]),
    ("tool.v2.sh", ["tool", "tool.v2.sh"]), ("A-b_9", ["A-b_9"]),
    ("n" * 63, ["n" * 63])])
def test_names(host, file, urls):
    path = host.function("rogue", file, says("here"))
    for url in urls:
        assert host.get(f"/fn/rogue/{url}").text == "here"
    assert host.get(f"/fn/rogue/{urls[0]}.other").status == 404
    path.unlink()


@pytest.mark.parametrize("file", [
    ".hidden", "old~", "old.bak", "old.orig", "old.swp", "old.tmp",
    "n" * 64, "sp ace", "umläut", "per%cent"])
def test_files_that_are_never_functions(host, file):
    path = host.function("rogue", file, says("wrong"))
    for url in (file, file.partition(".")[0]):
        if url:
            assert host.get(f"/fn/rogue/{quote(url)}").status in (400, 404)
    path.unlink()


def test_directory_form(host):
    path = host.functions / "rogue" / "gallery2"
    path.mkdir()
    host.write(path / "run", '#!/bin/sh\nprintf "' + HEAD + '"\ncat own.txt\n',
               0o755)
    (path / "own.txt").write_text("own file")
    host.write(path / "function.conf", 'methods = [ "GET" ];', 0o644)
    assert host.get("/fn/rogue/gallery2/x").text == "own file"
    assert host.post("/fn/rogue/gallery2", b"x").status == 405
    shutil.rmtree(path)
    assert host.get("/fn/rogue/gallery2/x").status == 404


def refused(host, name, *words):
    got = host.get(f"/fn/rogue/{name}")
    got.problem(503, "refused", f"rogue/{name}", *words)


@pytest.mark.parametrize("mode, word", [
    (0o644, "not executable"), (0o757, "writable by everybody"),
    (0o4755, "setuid"), (0o2755, "setgid")])
def test_modes_that_are_refused(host, mode, word):
    path = host.function("rogue", "moded", says("wrong"), mode=mode)
    refused(host, "moded", word)
    path.chmod(0o755)
    assert host.get("/fn/rogue/moded").text == "wrong"
    path.unlink()


@pytest.mark.skipif(not IS_ROOT, reason="gives a file away")
def test_a_group_that_is_nobodys_own(host):
    path = host.function("rogue", "grouped", says("x"))
    os.chown(path, -1, 12345)
    path.chmod(0o775)
    refused(host, "grouped", "writable by group")
    path.unlink()


@pytest.mark.skipif(not IS_ROOT, reason="gives a file away")
def test_a_file_of_somebody_else(host):
    path = host.function("rogue", "foreign", says("wrong"))
    os.chown(path, 4321, 4321)
    refused(host, "foreign", "4321")
    path.unlink()


def test_things_that_are_no_files(host):
    directory = host.functions / "rogue"
    os.mkfifo(directory / "fifo")
    refused(host, "fifo", "FIFO")
    (directory / "empty").mkdir()
    assert host.get("/fn/rogue/empty").status in (404, 503)
    (directory / "empty").rmdir()
    (directory / "fifo").unlink()


@pytest.mark.parametrize("conf, words", [
    ("methods = ;", ["broken.conf:1"]),
    ('limits = { tiem = "1s"; };', ["broken.conf:1", "tiem", "time"]),
    ('limits = { time = "1 fortnight"; };', ["broken.conf:1", "time"]),
    ('limits = { time = "100h"; };', ["time", "maximum"]),
    ('limits = { time = 5; };', ["time"]),
    ('concurrency = -1;', ["concurrency"]),
    ('start = "spoon";', ["start", "exec"]),
    ('@include "/etc/passwd"', ["include"]),
    ('env = { "A B" = 1; };', ["broken.conf:1"]),
    ("x" * 70_000, ["broken.conf"]),
    *[(f"{name} = {value};",
       [f"broken.conf:1: {name} = {value} needs protocol", "fastcgi"])
      for name, value in (("requests", 20), ("requests", 0), ("spare", 2))],
    ('start = "fork";', ["broken.conf:1", "built with the SDK"]),
    ('protocol = "cgi"; spare = 1;', ["spare = 1 contradicts"]),
    ('protocol = "fastcgi"; spare = 9;', ["tenant.spare"]),
], ids=range(16))
def test_settings_that_are_refused(host, conf, words):
    host.function("rogue", "broken", says("x"), conf=conf)
    refused(host, "broken", *words)
    listed = host.ctl("list", "rogue").stdout.decode()
    for word in words:
        assert word in listed
    assert host.rogue("head&out=other").text == "other"
    host.write(host.functions / "rogue" / "broken.conf", "", 0o644)
    assert host.get("/fn/rogue/broken").text == "x"


@pytest.mark.parametrize("name", ["LD_PRELOAD", "PATH_INFO", "HTTP_PROXY",
                                  "REMOTE_USER", "FN_TENANT", "BASH_ENV"])
def test_settings_cannot_set_the_servers_variables(host, name):
    host.function("rogue", "setter", conf=f'env = {{ {name} = "mine"; }};')
    got = host.rogue(f"head&env={name}", name="setter")
    assert got.status == 503 or got.text != "mine"


def test_two_files_for_one_name(host):
    first = host.function("rogue", "double.sh", says("first"))
    assert host.get("/fn/rogue/double").text == "first"
    second = host.function("rogue", "double.py", says("second"))
    assert host.get("/fn/rogue/double").text == "first"   # it already serves
    assert host.get("/fn/rogue/double.sh").text == "first"
    first.unlink()
    assert host.get("/fn/rogue/double").text == "second"
    second.unlink()
    host.function("rogue", "pair.a", says("a"))
    host.function("rogue", "pair.b", says("b"))
    refused(host, "pair", "pair.a", "pair.b")
    assert host.rogue("head&out=other").text == "other"
    for name in ("pair.a", "pair.b"):
        (host.functions / "rogue" / name).unlink()


def test_source_beside_its_program(host):
    host.function("rogue", "compiled", says("program"))
    host.write(host.functions / "rogue" / "compiled.c", "int main;", 0o644)
    assert host.get("/fn/rogue/compiled").text == "program"
    host.get("/fn/rogue/compiled.c").problem(503, "refused", "not executable")


def test_bystanders_are_not_listed(host):
    directory = host.functions / "rogue"
    texts = {"alone.c": "int main;", "notes.txt": "", "meant.sh": says("x"),
             "whole": "data"}
    for name, text in texts.items():
        host.write(directory / name, text, 0o644)
    listed = host.ctl("list", "rogue").stdout.decode()
    assert "alone.c" not in listed and "notes.txt" not in listed
    assert "chmod +x meant.sh" in listed and "chmod +x whole" in listed
    host.get("/fn/rogue/alone").problem(503, "refused", "chmod +x alone.c")
    for name in texts:
        (directory / name).unlink()


def test_links(host):
    directory = host.functions / "rogue"
    host.function("rogue", "target", says("target"))
    (directory / "inside").symlink_to("target")
    assert host.get("/fn/rogue/inside").text == "target"
    (directory / "outside").symlink_to("/usr/bin/id")
    refused(host, "outside", "/usr/bin/id", "link_targets")
    (directory / "dangling").symlink_to("nowhere")
    refused(host, "dangling", "does not exist")
    (directory / "circle").symlink_to("circle")
    refused(host, "circle", "circles")
    (directory / "up").symlink_to("../rogue/target")
    assert host.get("/fn/rogue/up").status in (200, 503)
    host.tenant("linked")
    (directory / "other").symlink_to("../linked/rogue")
    host.function("linked", "rogue")
    assert host.get("/fn/rogue/other").status == 503
    for name in ("inside", "outside", "dangling", "circle", "up", "other"):
        (directory / name).unlink()


def test_links_to_listed_places(new_host):
    host = new_host('link_targets = [ "/usr/bin" ];', nginx=False)
    (host.functions / "rogue" / "outside").symlink_to("/usr/bin/printenv")
    got = host.ask("/fn/rogue/outside")
    assert got.status == 502        # it ran, and wrote no header
    assert b"bad-reply" in got.body


def test_tenants_appear_and_go(host):
    assert host.get("/fn/late/hello").status == 404
    host.tenant("late")
    host.function("late", "hello", says("late"))
    assert host.get("/fn/late/hello").text == "late"
    shutil.rmtree(host.functions / "late")
    eventually(lambda: host.get("/fn/late/hello").status == 404,
               "the tenant to be gone")
    host.tenant("late")
    host.function("late", "hello", says("again"))
    eventually(lambda: host.get("/fn/late/hello").text == "again",
               "the new directory to be seen")


def exchange(one, other):
    """Two directories change names, with no moment between."""
    libc = ctypes.CDLL(None, use_errno=True)
    here, both = -100, 2            # AT_FDCWD, RENAME_EXCHANGE
    assert libc.renameat2(here, bytes(one), here, bytes(other), both) == 0, \
        os.strerror(ctypes.get_errno())


def test_replacing_a_tenants_directory_fails_no_request(host):
    host.function("swap", "hello", says("1"))
    host.function(".swap", "hello", says("2"))
    this, other = host.functions / "swap", host.functions / ".swap"
    with Asking(host, "/fn/swap/hello", ("1", "2")):
        for number in range(count(3, 50)):
            word = "21"[number % 2]
            exchange(this, other)
            eventually(lambda: host.get("/fn/swap/hello").text == word,
                       "the new directory to be seen")


def test_what_runs_finishes_in_the_directory_it_began_in(host):
    for name, word in (("moved", "old"), (".moved", "new")):
        host.function(name, "slow")
        host.function(name, "hello", says(word))
    this, other = host.functions / "moved", host.functions / ".moved"
    connection = host.http()
    connection.request("GET", "/fn/moved/slow?mark=up&wait=go&head&out=done")
    host.wait_mark("up", tenant="moved")
    exchange(this, other)
    eventually(lambda: host.get("/fn/moved/hello").text == "new",
               "the new directory to be seen")
    (other / "data" / "go").touch()
    assert connection.getresponse().read() == b"done"
    connection.close()
    shutil.rmtree(other)                # only what is no tenant is not clean


@pytest.mark.skipif(not IS_ROOT, reason="tenants of several users")
def test_another_owner_fails_no_request(host):
    host.function("given", "whose", '#!/bin/sh\nprintf "%s\\n\\n" '
                  '"Content-Type: text/plain"\nid -u\n')
    this = host.functions / "given"
    first = host.get("/fn/given/whose").text
    with Asking(host, "/fn/given/whose", (first, "5003\n")):
        for number in range(count(2, 20)):
            owner, text = ((5003, "5003\n"), (0, first))[number % 2]
            os.chown(this, owner, owner)
            eventually(lambda: host.get("/fn/given/whose").text == text,
                       "the new owner to be seen")


def test_a_tenant_that_is_a_link_is_none(host):
    (host.functions / "alias").symlink_to("rogue")
    assert host.get("/fn/alias/rogue?head").status in (404, 503)
    (host.functions / "file").write_text("")
    assert host.get("/fn/file/rogue?head").status in (404, 503)
    (host.functions / "alias").unlink()
    (host.functions / "file").unlink()


@pytest.mark.parametrize("name", ["Upper", "ten.ant", "_x", "a" * 64])
def test_a_name_that_no_tenant_can_have(host, name):
    got = host.get(f"/fn/{name}/hello")
    got.problem(404, "no-tenant", f"there is no tenant {name}: a tenant's name",
                "small letters, digits, _ and -, at most 63")
    assert host.access(got.request_id)["end"] == "no-tenant"
    detail = host.get("/fn/nosuch/hello").problem(404, "no-tenant")["detail"]
    assert detail == "there is no tenant nosuch"


@pytest.mark.skipif(not IS_ROOT, reason="tenants of several users")
def test_functions_run_as_the_owner_of_their_directory(host):
    for name, uid in (("ann", 5001), ("ben", 5002)):
        path = host.tenant(name)
        host.function(name, "rogue")
        for each in [path, *path.iterdir()]:
            os.chown(each, uid, uid)
        text = host.rogue("head&state", tenant=name).text
        assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}" in text
    host.tenant("system")
    host.function("system", "rogue")
    os.chown(host.functions / "system", 2, 2)
    host.rogue("head", tenant="system").problem(503, "tenant-refused")


@pytest.mark.skipif(not IS_ROOT, reason="tenants of several users")
def test_directories_of_root_have_users_of_their_own(host):
    uids = set()
    for name in ("one", "two", "one"):
        host.function(name, "rogue")
        text = host.rogue("head&state", tenant=name).text
        uids.add(text.partition("Uid:\t")[2].split()[0])
    assert len(uids) == 2 and "0" not in uids


@pytest.mark.skipif(not IS_ROOT, reason="needs the mount namespace of root")
def test_what_can_be_written(host):
    def answer(path):
        return host.rogue(f"head&write={path}").text.strip()
    assert answer("data/new") == "ok"
    assert answer(f"/tmp/new-of-{host.base.name}") == "ok"
    assert not os.path.exists(f"/tmp/new-of-{host.base.name}")
    for path in ("new", f"{host.functions}/rogue/rogue", "/etc/new",
                 "/usr/new", f"{host.functions}/neighbour/new"):
        assert answer(path) not in ("ok", ""), path


def tenant_with_data(host, name, uid=0):
    """As mkdir(1) makes it, for this user; the function tries to write."""
    path = host.functions / name
    (path / "data").mkdir(parents=True, mode=0o755)
    (path / "data" / "kept").touch()
    host.function(name, "rogue")
    os.chown(path, uid, uid)
    return path / "data"


def written(host, name):
    return host.rogue("head&write=data/new", tenant=name).text.strip()


@pytest.mark.skipif(not IS_ROOT, reason="gives a directory away")
def test_data_that_root_made_is_given_to_the_tenant(new_host):
    host = new_host()
    data = tenant_with_data(host, "fresh")
    assert written(host, "fresh") == "ok"
    uid = data.stat().st_uid
    assert uid >= 71000 and (data / "new").stat().st_uid == uid
    assert (data / "kept").stat().st_uid == 0
    step = f"give {data} user={uid} group={uid}\n"
    assert step in host.ctl("plan", "fresh").stdout.decode()


@pytest.mark.skipif(not IS_ROOT, reason="gives a directory away")
def test_data_is_not_given_to_a_user_of_the_machine(new_host):
    host = new_host()
    data = tenant_with_data(host, "owned", 5005)
    assert written(host, "owned") != "ok"
    assert data.stat().st_uid == 0
    assert "give " not in host.ctl("plan", "owned").stdout.decode()


@pytest.mark.skipif(not IS_ROOT, reason="gives a directory away")
def test_data_of_somebody_or_behind_a_link_is_not_given(new_host):
    host = new_host()
    data = tenant_with_data(host, "other")
    os.chown(data, 5005, 5005)
    target = host.base / "target"
    target.mkdir()
    host.function("link", "rogue", mode=0o755)
    shutil.rmtree(host.functions / "link" / "data")
    (host.functions / "link" / "data").symlink_to(target)
    for name in ("other", "link"):
        assert written(host, name) != "ok"
    assert (data.stat().st_uid, target.stat().st_uid) == (5005, 0)
    assert "(belongs to user id 5005)" in \
        host.ctl("plan", "other").stdout.decode()
    assert f"{data} belongs to user id 5005, and the functions of this " \
        "tenant run as 7" in host.errors.read_text()


@pytest.mark.skipif(not IS_ROOT, reason="needs the mount namespace of root")
def test_a_tree_below_a_closed_directory(new_host):
    with tempfile.TemporaryDirectory() as closed:      # mode 0700
        functions = Path(closed) / "functions"
        host = new_host(functions=functions)
        functions.mkdir(exist_ok=True)
        assert host.rogue("head&out=through").text == "through"
        assert f"cwd {functions}/rogue\n" in host.rogue("head&state").text
        assert host.rogue(f"head&cat={closed}/secret").text != "secret"


def test_programs_that_cannot_start(host):
    host.function("rogue", "garbage", b"PK\3\4 of no kind")
    host.get("/fn/rogue/garbage").problem(502, "not-started")
    (host.functions / "rogue" / "garbage").unlink()


@pytest.mark.parametrize("text, words", [
    (b"", ["is empty"]),
    (says("x").replace("\n", "\r\n").encode(), ["CRLF"]),
    (b"#!/usr/bin/pyton3\n", ["/usr/bin/pyton3 is not there"]),
    (b"echo no line\n", ["no #! line"]),
    (b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\x08\0" + bytes(100),
     ["another machine"]),
    (b"\x7fELF but not really", ["cut off"]),
    (ROGUE.read_bytes()[:5000], ["cut off"]),
    (b"#!/usr/bin\n", ["/usr/bin is a directory"]),
    (b"#!/bin/sh\0\n", ["NUL"]),
], ids=range(9))
def test_files_the_kernel_would_not_start(host, text, words):
    path = host.function("rogue", "wontrun", text)
    refused(host, "wontrun", *words)
    listed = host.ctl("list", "rogue").stdout.decode()
    assert all(word in listed for word in words), listed
    path.unlink()


@pytest.mark.skipif(not IS_ROOT, reason="reads everything that is its own")
def test_a_script_its_tenant_cannot_read(host):
    path = host.function("rogue", "closed", says("x"), mode=0o711)
    refused(host, "closed", "cannot be read by the tenant's user")
    path.chmod(0o755)
    assert host.get("/fn/rogue/closed").text == "x"
    path.unlink()


def test_names_that_cannot_be_asked_for_are_listed(host):
    names = ["we ird", "\u00fcn", "new\nline", "esc\x1b[1m"]
    paths = [host.function("rogue", name, says("x")) for name in names]
    listed = host.ctl("list", "rogue").stdout
    for name in ("we ird", "\u00fcn", "new\\x0aline", "esc\\x1b[1m"):
        assert f"{name}: its name has characters".encode() in listed
    for path in paths:
        path.unlink()


def test_settings_without_a_program_are_refused(host):
    path = host.functions / "rogue" / "meant"
    path.mkdir()
    host.write(path / "function.conf", "", 0o644)
    refused(host, "meant", "no executable meant/run")
    assert b"no executable meant/run" in host.ctl("list", "rogue").stdout
    shutil.rmtree(path)


def test_put(host):
    source = host.base / "source"
    source.write_text(says("put"))
    source.chmod(0o755)
    host.ctl("put", source, "rogue/installed")
    assert host.get("/fn/rogue/installed").text == "put"
    source.write_text(says("put again"))
    host.ctl("put", source, "rogue/installed")
    assert host.get("/fn/rogue/installed").text == "put again"
    bad = host.ctl("put", host.base / "missing", "rogue/installed",
                   check=False)
    assert bad.returncode == 1 and b"missing" in bad.stderr
    assert host.get("/fn/rogue/installed").text == "put again"


@pytest.mark.parametrize("name, text, words", [
    ("puttwo.sh", "#!/bin/sh\n", "puttwo"),
    ("putempty", "", "is empty"),
    ("putset.conf", "no such setting", "putset.conf:1"),
    ("putcrlf", "#!/bin/sh\r\n", "CRLF"),
])
def test_put_warns_of_what_is_not_served(host, name, text, words):
    good = host.base / "putgood"
    good.write_text(says("good"))
    function = name.partition(".")[0]
    if function != name:
        host.ctl("put", good, f"rogue/{function}")
    source = host.base / name
    source.write_text(text)
    done = host.ctl("put", source, "rogue")
    assert done.stdout.decode().startswith(f"{host.functions}/rogue/{name}")
    told = done.stderr.decode()
    assert f"rogue/{function} is not served as it is: " in told
    assert words in told
    (host.functions / "rogue" / name).unlink()
    assert not host.ctl("put", good, f"rogue/{function}").stderr


def test_put_warns_of_settings_for_all(host):
    """Each of its functions would be refused for them."""
    source = host.base / "tenant.conf"
    source.write_text("no such setting")
    for name in "one", "two":
        host.function("putall", name, says("good"))
    done = host.ctl("put", source, "putall")
    told = done.stderr.decode()
    assert "putall/tenant.conf: 2 of its functions are not served: " in told
    assert "tenant.conf:1" in told
    source.write_text('limits = { time = "5s"; };\n')
    assert not host.ctl("put", source, "putall").stderr
    assert host.get("/fn/putall/one").text == "good"



def test_ten_thousand_tenants_on_disk(new_host):
    host = new_host(nginx=False)
    host.master.terminate()
    host.master.wait()
    for number in range(10_000):
        (host.functions / f"t{number}").mkdir()
    host.start_master()
    assert host.ask("/fn/rogue/rogue?head&out=x").body == b"x"
    assert len(host.cells()) == 1
    host.function("t9999", "hello", says("last"))
    assert host.ask("/fn/t9999/hello").body == b"last"


def test_many_functions_in_little_memory(new_host):
    tenants, each = count(30, 1000), count(30, 10)
    host = new_host('cell = { idle = "1s"; launcher_idle = "100ms"; };',
                    nginx=False)
    script = says("x")
    for tenant in range(tenants):
        for number in range(each):
            host.function(f"t{tenant}", f"f{number}", script)
    for tenant in range(tenants):
        for number in range(each):
            got = host.ask(f"/fn/t{tenant}/f{number}")
            assert got.body == b"x", got
    if os.environ.get("FLAVOUR") != "asan":
        assert memory_kib(host.gateway) < 8192
    cells = host.cells()
    eventually(lambda: not any(alive(pid) for pid in cells),
               "idle cells to end", 60)
