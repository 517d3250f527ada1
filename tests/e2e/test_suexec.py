# SPDX-License-Identifier: MIT
"""What Apache's suEXEC checks before it runs a program, each of its twenty checks
as a case with its number, and what it does not check: that nobody changes the file
in between. If one of these fails, this host runs what suEXEC would not."""
import ctypes
import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from cells import ATTEMPT, settle, uid_of
from fastcgi import Connection, request
from host import FLAVOUR, HEAD, IS_ROOT, ROGUE, Host, count, eventually

CONF = """
drain = "5s";
limits = { grace = "200ms"; };
"""
SAYS_WHO = f'#!/bin/sh\nprintf "{HEAD}"; id -u; id -g; id -G\n'
root_only = pytest.mark.skipif(not IS_ROOT, reason="needs several users")


def says(word):
    return f'#!/bin/sh\nprintf "{HEAD}{word}"\n'


def give(path, uid, gid=None):
    for each in [path, *path.rglob("*")]:
        os.chown(each, uid, uid if gid is None else gid,
                 follow_symlinks=False)


def refused(host, target, *words):
    host.get(f"/fn/{target}").problem(503, "refused", *words)


class WithUsers(Host):
    """Sees an /etc/passwd and /etc/group with some more lines, alone."""

    def __init__(self, *more, users=(), groups=(), **options):
        super().__init__(*more, **options)
        self.files = {}
        for name, lines in (("passwd", users), ("group", groups)):
            path = self.base / name
            path.write_text(Path("/etc", name).read_text()
                            + "".join(f"{line}\n" for line in lines))
            path.chmod(0o644)
            self.files[name] = path

    def _popen(self, args, user=None, **more):
        def see():
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(0x20000) != 0 or \
                    libc.mount(None, b"/", None, 0x44000, None) != 0:
                os._exit(77)
            for name, path in self.files.items():
                if libc.mount(bytes(path), f"/etc/{name}".encode(), None,
                              0x1000, None) != 0:
                    os._exit(78)
        if Path(str(args[0])).name == "fcgi-host":
            more["preexec_fn"] = see
        return super()._popen(args, user, **more)


def as_user(uid, gid, call, groups=()):
    """What call() returns or raises as this user, in a process of its own."""
    here, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups(list(groups))
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            answer = str(call())
        except OSError as error:
            answer = type(error).__name__
        os.write(there, answer.encode())
        os._exit(0)
    os.close(there)
    os.waitpid(pid, 0)
    with os.fdopen(here, "rb") as answer:
        return answer.read().decode()


# 1, 3
@root_only
@pytest.mark.parametrize("who", ["a stranger", "a tenant's user",
                                 "somebody else in the web server's group"])
def test_01_03_only_the_web_server_may_ask(host, who):
    front = host.run / "front.sock"
    www = os.stat(front).st_gid
    uid = uid_of(host, "rogue") if "tenant" in who else 64321
    groups = [www] if "group" in who else []

    def ask():
        with Connection(front, timeout=10) as connection:
            connection.send(request("/fn/rogue/rogue?mark=ran&head&out=x"))
            return connection.reply().stdout
    assert as_user(uid, uid, ask, groups) in (
        "PermissionError", "ConnectionResetError", "BrokenPipeError", "b''")
    assert host.marks("ran") == []


@root_only
def test_01_the_control_socket_knows_who_asks(host):
    def ask():
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
            control.connect(str(host.run / "control.sock"))
            return "connected"
    program = host.base / "fcgi-hostctl"
    shutil.copy(host.programs / "fcgi-hostctl", program)
    done = subprocess.run([program, "--run", host.run, "invoke",
                           "rogue/rogue?mark=ran&head"], user=64321,
                          group=64321, extra_groups=[], capture_output=True,
                          timeout=30)
    assert done.returncode == 1 and not done.stdout
    assert as_user(64321, 64321, ask) in ("connected", "PermissionError")
    assert host.marks("ran") == []


# 2
@pytest.mark.parametrize("query", ["", "-s", "1+ls", "-d+allow_url_include%3d1",
                                   "a+b+c", "%00", "--version"])
def test_02_a_client_gives_no_arguments(host, query):
    host.function("rogue", "arguments", f'#!/bin/sh\nprintf "{HEAD}$#"\n')
    assert host.get(f"/fn/rogue/arguments?{query}").text == "0"


# 4
@pytest.mark.parametrize("path", [
    "/bin/id", "../rogue/rogue", "x/../../rogue/rogue", "%2e%2e/rogue/rogue",
    "%2fbin%2fid", "..%2frogue%2frogue", "./rogue", "%2e/rogue", "..", "",
    "data/../rogue", "rogue%00", "rogue%0a", "\\..\\rogue", "~root"])
def test_04_a_command_is_a_name_and_no_path(host, path):
    got = host.ask(f"/fn/rogue/{path}?mark=ran&head")
    assert 400 <= got.status < 500 and got.status != 408, got.head
    assert host.marks("ran") == []


# 5, 6: suEXEC refuses who is in no database; here the number is the user
@root_only
def test_05_06_a_user_and_group_without_names(new_host):
    host = new_host(CONF)
    settle(host, "nameless", "who", SAYS_WHO)
    give(host.functions / "nameless", 64555)
    assert host.get("/fn/nameless/who").text == "64555\n64555\n64555\n"


@root_only
def test_06_the_group_is_the_users_own_not_the_directorys():
    host = WithUsers(CONF, users=["ann:x:64556:64557::/:/bin/sh"],
                     groups=["anns:x:64557:", "more:x:64558:ann"])
    settle(host, "ann", "who", SAYS_WHO)
    give(host.functions / "ann", 64556, os.stat("/etc/shadow").st_gid)
    with host:
        assert host.get("/fn/ann/who").text == "64556\n64557\n64557\n"


# 7
@root_only
def test_07_nothing_runs_as_root(host):
    settle(host, "of-root", "who", SAYS_WHO)
    uid, gid, groups = host.get("/fn/of-root/who").text.splitlines()
    assert int(uid) >= 71000 and gid == uid and groups == gid


# 8
@root_only
@pytest.mark.parametrize("uid", [1, 2, 33, 999])
def test_08_nothing_runs_as_a_user_of_the_system(host, uid):
    path = settle(host, f"system{uid}", "who", SAYS_WHO)
    give(path, uid)
    host.get(f"/fn/system{uid}/who").problem(503, "tenant-refused",
                                            "users.least")


# 9
@root_only
def test_09_nothing_runs_in_roots_group():
    host = WithUsers(CONF, users=["wheel:x:64559:0::/:/bin/sh"])
    settle(host, "wheel", "who", SAYS_WHO)
    give(host.functions / "wheel", 64559)
    with host:
        host.get("/fn/wheel/who").problem(503, "tenant-refused",
                                          "root's group")


# 10
@root_only
def test_10_nothing_runs_in_a_group_of_the_system():
    """In shadow, say, it could read the passwords of all."""
    shadow = os.stat("/etc/shadow").st_gid
    host = WithUsers(CONF, users=[f"low:x:64560:{shadow}::/:/bin/sh"])
    settle(host, "low", "rogue")
    give(host.functions / "low", 64560)
    with host:
        host.rogue("head&cat=/etc/shadow", tenant="low").problem(
            503, "tenant-refused", "users.least_group")


# 11
@root_only
def test_11_the_change_of_user_is_complete(host):
    state = host.rogue("head&state").text
    uid = uid_of(host, "rogue")
    assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n" in state
    assert f"Gid:\t{uid}\t{uid}\t{uid}\t{uid}\n" in state
    groups = state.partition("Groups:\t")[2].partition("\n")[0]
    assert groups.split() in ([], [str(uid)])


@root_only
@pytest.mark.skipif(FLAVOUR == "asan", reason="the sanitizer needs the calls")
@pytest.mark.parametrize("call", ["setgroups", "setresgid", "setresuid"])
def test_11_a_change_of_user_that_fails_runs_nothing(new_host, call):
    """As it does when the user has too many processes (CVE-2013-4559)."""
    host = new_host(CONF)
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
         "-e", f"inject={call}:error=EAGAIN", "-p", str(host.master.pid)],
        stderr=subprocess.PIPE)
    try:
        eventually(lambda: "TracerPid:\t0" not in
                   Path(f"/proc/{host.master.pid}/status").read_text(),
                   "strace to attach")
        host.rogue("mark=ran&head").problem(503, "tenant-refused")
    finally:
        tracer.terminate()
        tracer.wait()
    assert host.marks("ran") == []
    assert "sandbox step" in host.errors.read_text()


# 12
@root_only
def test_12_a_directory_that_cannot_be_entered(host):
    path = settle(host, "shut")
    inner = path / "inner"
    inner.mkdir()
    host.write(inner / "run", says("x"), 0o755)
    inner.chmod(0o700)                      # of root, not of the tenant
    refused(host, "shut/inner", "shut/inner")
    inner.chmod(0o755)
    assert host.get("/fn/shut/inner").text == "x"


def test_12_it_starts_in_its_own_directory(host):
    path = host.functions / "rogue" / "placed"
    path.mkdir(exist_ok=True)
    host.write(path / "run", f'#!/bin/sh\nprintf "{HEAD}$(pwd)"\n', 0o755)
    assert host.get("/fn/rogue/placed/more").text == str(path)
    shutil.rmtree(path)


# 13
def test_13_a_name_that_begins_alike_is_another(new_host):
    """suEXEC took /var/www2 for a place below /var/www (CVE-2007-1742)."""
    host = Host(CONF)
    allowed, alike = host.base / "allowed", host.base / "allowed-not"
    for place in (allowed, alike):
        place.mkdir()
        host.write(place / "program", says(place.name), 0o755)
    host.conf.write_text(
        CONF + f'link_targets = [ "{allowed}" ];\n')
    host.tenant("rogue2")
    host.function("rogue2", "rogue", says("of the other"))
    links = host.functions / "rogue"
    (links / "good").symlink_to(allowed / "program")
    (links / "alike").symlink_to(alike / "program")
    (links / "dots").symlink_to(f"{allowed}/../allowed-not/program")
    (links / "other").symlink_to("../rogue2/rogue")
    (links / "absolute").symlink_to(host.functions / "rogue2" / "rogue")
    with host:
        assert host.get("/fn/rogue/good").text == "allowed"
        for name in ("alike", "dots", "other", "absolute"):
            refused(host, f"rogue/{name}")


# 14
@pytest.mark.parametrize("mode, word", [(0o777, "can be changed by others"),
                                        (0o757, "can be changed by others")])
def test_14_a_directory_of_a_tenant_that_others_write(host, mode, word):
    path = settle(host, f"open{mode:o}")
    path.chmod(mode)
    host.rogue("head", tenant=path.name).problem(503, "tenant-refused", word)
    path.chmod(0o755)


@pytest.mark.parametrize("mode", [0o777, 0o757, 0o1777])
def test_14_a_directory_of_a_function_that_everybody_writes(host, mode):
    path = host.functions / "rogue" / "loose"
    path.mkdir(exist_ok=True)
    host.write(path / "run", says("x"), 0o755)
    path.chmod(mode)
    refused(host, "rogue/loose", "writable by everybody")
    path.chmod(0o755)
    assert host.get("/fn/rogue/loose").text == "x"
    shutil.rmtree(path)


@root_only
def test_14_a_directory_of_a_function_that_a_group_writes(host):
    path = host.functions / "rogue" / "shared"
    path.mkdir()
    host.write(path / "run", says("x"), 0o755)
    os.chown(path, -1, 12345)
    path.chmod(0o775)
    refused(host, "rogue/shared", "writable by group 12345")
    shutil.rmtree(path)


# 15
def test_15_a_program_that_is_not_there_or_a_link_out(host):
    assert host.get("/fn/rogue/absent").status == 404
    link = host.functions / "rogue" / "leading-out"
    link.symlink_to("/usr/bin/id")
    refused(host, "rogue/leading-out", "link_targets")
    link.unlink()


# 16
@pytest.mark.parametrize("mode", [0o777, 0o757])
def test_16_a_program_that_everybody_writes(host, mode):
    path = host.function("rogue", "written", says("x"), mode=mode)
    refused(host, "rogue/written", "writable by everybody")
    path.unlink()


@root_only
def test_16_a_program_that_a_group_writes(host):
    path = host.function("rogue", "written", says("x"))
    os.chown(path, -1, 12345)
    path.chmod(0o775)
    refused(host, "rogue/written", "writable by group 12345")
    path.unlink()


# 17
@pytest.mark.parametrize("mode, word", [(0o4755, "setuid"), (0o2755, "setgid"),
                                        (0o6755, "setuid")])
def test_17_a_program_that_is_setuid(host, mode, word):
    path = host.function("rogue", "set", says("x"), mode=mode)
    refused(host, "rogue/set", word)
    path.unlink()


@root_only
def test_17_a_program_with_file_capabilities(host):
    path = host.function("rogue", "capable")
    mask = (1 << 1) | (1 << 7)              # cap_dac_override, cap_setuid
    os.setxattr(path, "security.capability", (0x02000001).to_bytes(4, "little")
                + mask.to_bytes(4, "little") + bytes(12))
    got = host.rogue("head&state", name="capable")
    if got.status == 200:
        assert "CapPrm:\t0000000000000000\n" in got.text
        assert "CapEff:\t0000000000000000\n" in got.text
    else:
        got.problem(503, "refused", "capabilities")
    path.unlink()


# 18
@root_only
def test_18_a_program_of_somebody_else(host):
    path = host.function("rogue", "foreign", says("x"))
    os.chown(path, 4321, 4321)
    refused(host, "rogue/foreign", "belongs to user 4321")
    path.unlink()


@root_only
def test_18_a_directory_of_somebody_else(host):
    path = host.functions / "rogue" / "strange"
    path.mkdir()
    host.write(path / "run", says("x"), 0o755)
    os.chown(path, 4321, 4321)
    refused(host, "rogue/strange", "belongs to user 4321")
    shutil.rmtree(path)


# 19
def test_19_the_environment_is_made_not_cleaned(new_host, monkeypatch):
    """suEXEC let through all that began like a good name: TZ, and TZFOO."""
    for name in ("TZFOO", "PATHOLOGY", "LD_PRELOAD", "HTTP_SECRET", "SECRET",
                 "FN_FORGED"):
        monkeypatch.setenv(name, "of-the-host")
    # the dynamic linker would read it in our own processes
    monkeypatch.setenv("LD_PRELOAD", "")
    host = new_host(CONF)
    found = host.environment()
    assert "of-the-host" not in found.values()
    for name in ("TZFOO", "PATHOLOGY", "LD_PRELOAD", "HTTP_SECRET", "SECRET",
                 "FN_FORGED"):
        assert name not in found
    assert found["PATH"] == "/usr/local/bin:/usr/bin:/bin"


# 20
class Swaps:
    """Puts good and bad things in place of a program, as fast as they can be
    renamed; each is whole, so whatever is run is one of them."""

    def __init__(self, host, path, good, bad):
        self.host, self.path, self.done = host, path, 0
        self.spare = path.with_name(".swap")
        self.good, self.bad = good, bad
        evil = host.base / "evil"
        self.evil = host.write(evil, bad, 0o755)
        self.choices = [self.put_good, self.link_out, self.link_to_link,
                        self.everybodys, self.setuid, self.directory,
                        self.no_program]
        if IS_ROOT:
            self.choices += [self.foreign, self.hard_link]
            self.others = host.write(host.base / "others", bad, 0o755)
            os.chown(self.others, 4321, 4321)

    def file(self, content, mode=0o755):
        self.spare.write_bytes(content)
        self.spare.chmod(mode)

    def put_good(self):
        self.file(self.good)

    def link_out(self):
        self.spare.symlink_to(self.evil)

    def link_to_link(self):
        self.spare.symlink_to(".link")

    def everybodys(self):
        self.file(self.bad, 0o757)

    def setuid(self):
        self.file(self.bad, 0o4755)

    def no_program(self):
        self.file(self.bad, 0o644)

    def foreign(self):
        self.file(self.bad)
        os.chown(self.spare, 4321, 4321)

    def hard_link(self):
        os.link(self.others, self.spare)

    def directory(self):
        self.spare.mkdir()
        (self.spare / "run").write_bytes(self.bad)
        (self.spare / "run").chmod(0o755)
        self.spare.chmod(0o777)

    @staticmethod
    def remove(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def run(self, rng, times, enough):
        link = self.path.with_name(".link")
        link.symlink_to(self.evil)
        while self.done < times or enough() < times / 4:
            self.remove(self.spare)
            (self.put_good if self.done % 2 == 0 else
             rng.choice(self.choices))()
            exchange(self.spare, self.path)
            self.done += 1
        self.remove(self.spare)
        link.unlink()


def exchange(one, other):
    """They change names, with no moment between."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.renameat2(-100, bytes(one), -100, bytes(other), 2) == 0, \
        os.strerror(ctypes.get_errno())


def swap(host, rng, swaps, check):
    """Asks while the swaps go on; what check() says of an answer is wrong."""
    over, wrong, seen = threading.Event(), [], {}

    def ask():
        while not over.is_set():
            got = host.get(f"/fn/rogue/{swaps.path.name}?head&out=good")
            seen[got.status] = seen.get(got.status, 0) + 1
            if got.status not in (200, 404, 502, 503) or check(got):
                wrong.append(got)
    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        swaps.run(rng, count(2000, 100_000), lambda: sum(seen.values()))
        eventually(lambda: seen.get(200) and seen.get(503), "both answers")
    finally:
        over.set()
        for thread in threads:
            thread.join()
        Swaps.remove(swaps.path)
    print(f"{swaps.done} swaps, answers {seen}")
    assert not wrong, wrong[:3]


def test_20_swaps_under_load(host, rng):
    """What was looked at is what is run, or nothing is."""
    path = host.function("rogue", "swapped")
    good, bad = ROGUE.read_bytes(), ATTEMPT.read_bytes()
    swap(host, rng, Swaps(host, path, good, bad),
         lambda got: got.status == 200 and got.text != "good")


def test_20_swaps_of_a_script_under_load(host, rng):
    """An interpreter opens its script by name, after all checks: whoever swaps
    at that moment chooses what is run, but as the tenant and from its directory,
    which he could have chosen without a race."""
    mine = str(uid_of(host, "rogue"))

    def script(word):
        return f'#!/bin/sh\nprintf "{HEAD}{word} "; id -u\n'.encode()
    path = host.function("rogue", "swapped.sh", script("good"))
    swaps = Swaps(host, path, script("good"), script("bad"))
    swaps.evil.write_bytes(script("outside"))
    swap(host, rng, swaps, lambda got: got.status == 200 and
         got.text.split() not in (["good", mine], ["bad", mine]))


@root_only
def test_20_swaps_of_the_tenants_directory(host, rng):
    """Its owner decides who it runs as: now this user, now that, never root and
    never one with the other's program."""
    this, other = host.functions / "swapping", host.functions / ".swapping"
    for path, uid in ((this, 5201), (other, 5202)):
        path.mkdir()
        host.write(path / "who", f"#!/bin/sh\nprintf '{HEAD}'; "
                   f"printf '{uid} '; id -u\n", 0o755)
        give(path, uid)
    over, wrong, seen = threading.Event(), [], set()

    def ask():
        while not over.is_set():
            got = host.get("/fn/swapping/who")
            seen.add(got.text)
            if got.status == 200 and len(set(got.text.split())) != 1:
                wrong.append(got)
    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(count(200, 10_000)):
            exchange(this, other)
        eventually(lambda: {"5201 5201\n", "5202 5202\n"} & seen, "an answer")
    finally:
        over.set()
        thread.join()
    assert not wrong, wrong[:3]
    for path in (this, other):
        shutil.rmtree(path)
