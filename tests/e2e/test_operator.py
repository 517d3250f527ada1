# SPDX-License-Identifier: MIT
"""If this fails, somebody who runs the host looks for a mistake of theirs in the
wrong place: what is set wrongly, or taken away under a running host, is told by
the layer that meets it, with the name of the setting."""
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from host import IS_ROOT, Host, eventually


def test_a_granted_path_that_is_made_anew(new_host):
    """By a service that is restarted; its tenant is never idle meanwhile."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        granted = Path(place) / "run"

        def make(text):
            granted.mkdir()
            (granted / "file").write_text(text)

        make("old")
        host = new_host(f'tenants = ( {{ name = "rogue"; '
                        f'read = [ "{granted}" ]; }} );')
        look = f"head&cat={granted}/file"
        assert host.rogue(look).text == "old"
        granted.rename(Path(place) / "away")
        make("new")
        eventually(lambda: host.rogue(look).text == "new", "the new one")


@pytest.mark.skipif(not IS_ROOT, reason="without root it may have no mounts")
@pytest.mark.parametrize("conf, setting", [
    ('cell = { paths = [ "/nosuch" ]; };', "cell.paths"),
    ('tenants = ( { name = "rogue"; read = [ "/nosuch" ]; } );',
     "tenants.read"),
    ('tenants = ( { name = "rogue"; write = [ "/nosuch" ]; } );',
     "tenants.write"),
], ids=["paths", "read", "write"])
def test_a_path_that_is_not_there(new_host, conf, setting):
    host = new_host(conf=conf)
    host.rogue("head").problem(503, "tenant-refused", setting, "/nosuch",
                               "No such file")
    assert f'/nosuch" of {setting}:' in host.errors.read_text()


@pytest.mark.skipif(not IS_ROOT, reason="without root it may have no mounts")
def test_a_reload_tries_again_at_once(new_host):
    host = new_host('cell = { paths = [ "/nosuch" ]; };')

    def waits_long():
        host.rogue("head").problem(503, "tenant-refused", "/nosuch")
        return "not tried again for 2000 ms" in host.errors.read_text()
    eventually(waits_long, "some attempts")
    host.conf.write_text("")
    host.ctl("reload")
    assert host.rogue("head&out=well").text == "well"


@pytest.mark.skipif(not IS_ROOT, reason="only root has users to give")
def test_user_ids_that_cannot_be_read():
    host = Host()
    (host.run / "uids").write_text("71000 acme\nnonsense\n")
    host.start()
    try:
        for _ in range(3):
            got = host.rogue("head")
            got.problem(503, "tenant-refused", "uids:2", "repaired")
        assert host.errors.read_text().count("uids:2") == 1
        (host.run / "uids").write_text("71000 acme\n")
        assert host.rogue("head&out=well").text == "well"
    finally:
        host.stop()


@pytest.mark.skipif(not IS_ROOT, reason="gives a directory away")
def test_clients_are_not_told_where_things_are(host):
    path = host.tenant("misplaced")
    path.chmod(0o777)
    got = host.get("/fn/misplaced/hello")
    got.problem(503, "tenant-refused", ".../misplaced", "chmod go-w")
    assert str(host.base) not in got.text
    assert str(path) in host.access(got.request_id)["detail"]
    assert str(path) in host.ctl("list").stdout.decode()
    path.chmod(0o755)


def test_a_cell_opens_its_files_whatever_functions_may(new_host):
    host = new_host(conf="limits = { files = 8; }; maximum = { files = 8; };")
    assert "limit_nofile 8\n" in host.rogue("head&state").text


@pytest.mark.parametrize("conf, words", [
    ('log = "/dev/null";', 'log = "/dev/null" has to be a directory'),
    ('log = "/proc/no/log";', 'log = "/proc/no/": cannot make /proc/no:'),
    ('operator_group = "no-such-group";',
     'operator_group = "no-such-group": there is no such group here'),
    ('user_directories = "/home/functions";',
     'user_directories = "/home/functions" has to be an absolute path of which '
     'one part is *'),
    pytest.param('users = { log = "nobody"; tenants_first = 65000; tenants_count = 999; };',
                 "users.log is user id 65534, one of those from "
                 "users.tenants_first = 65000 on", marks=pytest.mark.skipif(
                     not IS_ROOT, reason="only root has users to give")),
], ids=["log", "below", "group", "users", "range"])
def test_what_it_cannot_start_with(conf, words):
    host = Host(conf=conf, nginx=False)
    try:
        done = subprocess.run(host.command(), capture_output=True, timeout=30)
        assert done.returncode == 1
        assert words in done.stderr.decode()
    finally:
        host.stop(check=False)


def test_the_spool_is_taken_away(new_host):
    """For each large body it is the same, so it is said once; a reload, or the
    next gateway, makes it again."""
    host = new_host(nginx=False)
    body = b"b" * 3_000_000

    def put():
        return host.ask("/fn/rogue/rogue?head&echo", body)
    assert put().body == body
    (host.run / "spool").rmdir()
    for _ in range(3):
        assert put().status == 503
    told = f"the spool directory {host.run}/spool was removed (option run)"
    assert host.errors.read_text().count(told) == 1
    assert host.ask("/fn/rogue/rogue?head&echo", b"small").body == b"small"
    assert b"it is made again" in host.ctl("reload").stdout
    assert put().body == body
    (host.run / "spool").rmdir()
    os.kill(host.gateway, signal.SIGKILL)
    eventually(lambda: "gateway gone" in host.errors.read_text())
    assert put().body == body
    assert f"{host.run}/spool was removed or replaced; it is made again" in \
        host.errors.read_text()


def test_the_front_socket_is_taken_away(new_host):
    host = new_host(nginx=False)
    front = host.run / "front.sock"
    assert host.ctl("check").returncode == 0
    front.unlink()
    for make in lambda: None, front.mkdir:
        make()
        got = host.ctl("check", check=False)
        assert got.returncode == 1 and not got.stdout
        assert f"the web server, at {front}" in got.stderr.decode()
        assert f"{front} was removed or replaced" in \
            host.ctl("reload").stdout.decode()


@pytest.mark.skipif(not IS_ROOT, reason="only root has users to give")
def test_variables_of_tenants_that_everybody_may_read(new_host):
    conf = 'tenants = ( { name = "rogue"; env = { SECRET = "x"; }; } );'
    host = new_host(conf, nginx=False)
    said = "can be read by everybody, so by functions of other tenants: " \
           f"chmod o-r {host.conf}"
    assert said in host.errors.read_text()
    assert said in host.ctl("reload").stdout.decode()
    host.conf.chmod(0o600)
    assert said not in host.ctl("reload").stdout.decode()
    host.conf.chmod(0o644)
    host.conf.write_text("")
    assert said not in host.ctl("reload").stdout.decode()


@pytest.mark.skipif(not IS_ROOT, reason="only root has something to lose")
def test_only_root_can_change_what_is_included(new_host):
    """Who can write a line of the configuration decides who runs as whom."""
    host = new_host()
    below = host.conf.parent / "below"
    below.mkdir()
    (below / "more.conf").write_text("")
    host.conf.write_text(host.conf.read_text() +
                         '\n@include "below/more.conf"\n')
    line = host.conf.read_text().count("\n")
    host.ctl("reload")
    for path in (below, below / "more.conf"):
        os.chown(path, 1234567, 0)
        done = host.ctl("reload", check=False)
        words = f" {path} belongs to user id 1234567".encode()
        assert done.returncode == 1 and words in done.stdout + done.stderr
        assert f"{host.conf}:{line}: ".encode() in done.stdout + done.stderr
        os.chown(path, 0, 0)
        path.chmod(0o777)
        done = host.ctl("reload", check=False)
        words = f" {path} can be changed by everybody".encode()
        assert done.returncode == 1 and words in done.stdout + done.stderr
        path.chmod(0o755)
    host.ctl("reload")


@pytest.mark.skipif(not IS_ROOT, reason="only root has something to lose")
@pytest.mark.parametrize("option", ["--run", "--state"])
def test_directories_on_the_way_are_roots(option):
    """Who can rename one on the way puts another in its place."""
    host = Host(nginx=False)
    try:
        above = host.base / "above"
        above.mkdir()
        os.chown(above, 1234567, 0)
        done = subprocess.run([*host.command(), option, above / "below"],
                              capture_output=True, timeout=30)
        assert done.returncode == 1
        assert f"{above} belongs to user id 1234567" in done.stderr.decode()
        assert list(above.iterdir()) == []      # nor is anything made there
    finally:
        host.stop(check=False)


@pytest.mark.parametrize("what", ["/dev", "/proc", "functions", "run",
                                  "base"])
def test_what_is_the_hosts_own_is_not_granted(new_host, what):
    """Whoever saw it would see the others, or could not be run at all."""
    host = new_host()
    good = host.conf.read_text()
    path = getattr(host, what, what)
    for text in (f'tenants = ( {{ name = "rogue"; read = [\n"{path}" ]; }} );',
                 f'plans = ( {{ name = "p"; write = [ "{path}" ]; }} );',
                 f'cell = {{ paths = [ "{path}" ]; }};'):
        host.conf.write_text(text)
        done = host.ctl("reload", check=False)
        said = (done.stdout + done.stderr).decode()
        assert done.returncode == 1
        assert f'has "{path}'[:50] in said and "must not see" in said
        assert f"{host.conf}:" in said
    host.conf.write_text(good)
    host.ctl("reload")
    assert host.rogue("head&out=well").text == "well"
