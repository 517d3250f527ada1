# SPDX-License-Identifier: MIT
"""What a function must not do, done: in a cell of each kind, each attempt and the
answer that tests/sandbox/attempts.def says it gets. If one of these fails, a tenant
can reach what is another's, or the host's."""
import os
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from cells import (KINDS, OF_ROOT, Targets, cells_of, expected, settle,
                   uid_of)
from host import (BUILD, IS_ROOT, alive, eventually, groups, runtime_below,
                  tree)

# Users that no other host of this machine gives to its tenants.
CONF = f"""
users = {{ tenants_first = {1_000_000 + os.getpid() * 100}; }};
drain = "5s";
limits = {{ grace = "200ms"; time = "60s"; }};
cell = {{ idle = "1s"; launcher_idle = "500ms"; }};
"""
BOMB = BUILD / "sandbox" / "bomb"
REPORT = BUILD / "sandbox" / "report"
TABLE = expected()
ROWS = [(kind, name) for kind in KINDS for name in TABLE]


def shut_in(host):
    """Did the probe at start make namespaces?"""
    return "a cell cannot be shut in" not in host.ctl("status").stdout.decode()


@pytest.fixture(scope="module")
def cells():
    """Hosts by kind of cell; each lives until the last test of this file."""
    made = {}

    def of(kind):
        if kind not in made:
            context = cells_of(kind, CONF)
            made[kind] = context, context.__enter__()
            if kind == "user" and not shut_in(made[kind][1]):
                made[kind] = *made[kind], "this machine gives ordinary users " \
                    "no namespaces"
        if len(made[kind]) > 2:
            pytest.skip(made[kind][2])
        return made[kind][1]
    yield of
    for context, *_ in made.values():
        context.__exit__(None, None, None)


@pytest.fixture(scope="module")
def attempted(cells):
    """What the attempts were told, by kind of cell; each kind is asked once."""
    told = {}

    def of(kind):
        host = cells(kind)
        if kind not in told:
            with Targets(host) as targets:
                told[kind] = targets.attempt()
            host.quiet()
        return told[kind]
    return of


# What older kernels lack, and status then says.
NEEDED = {"signal_": "signals", "connect_abstract": "abstract sockets"}


def lacking(host, name):
    """What status says of that which is not kept here, or None."""
    told = host.ctl("status").stdout.decode().partition("not_enforced")[2]
    return next((word for start, word in NEEDED.items()
                 if name.startswith(start) and f" {word}: " in told), None)


@pytest.mark.parametrize("kind, name", ROWS,
                         ids=[f"{kind}-{name}" for kind, name in ROWS])
def test_attempt(attempted, cells, kind, name):
    told, right = attempted(kind).get(name, "was not tried"), TABLE[name][kind]
    if told not in right and (word := lacking(cells(kind), name)):
        pytest.skip(f"this kernel does not keep what is said of {word}")
    assert told in right


@pytest.mark.parametrize("kind", KINDS)
def test_every_attempt_has_its_row(attempted, kind):
    assert list(attempted(kind)) == list(TABLE)


# What a cell refuses, and nothing else does: an ordinary user with the same rights
# may do it. The names of a table that only ever says no would prove nothing.
MAY_OUTSIDE = [
    "*_neighbour*", "read_access_log", "list_state", "read_pid_file",
    "read_configuration", "*_outside", "list_homes", "list_run", "list_sys",
    "list_cgroups", "write_program", "make_program", "remove_program",
    "write_settings", "write_fn", "remove_fn", "see_*", "signal_master",
    "signal_gateway", "signal_log", "signal_state", "nice_gateway",
    "limit_gateway", "limit_itself", "schedule_itself", "io_uring", "add_key", "read_keys", "personality", "segments",
    "i386_trace", "connect_*"]


def test_the_attempts_would_succeed_outside(cells):
    host = cells("user")
    with Targets(host) as targets:
        told = targets.attempt_outside()
    host.quiet()
    assert list(told) == list(TABLE)
    wrong = {name: answer for name, answer in told.items()
             if any(fnmatchcase(name, one) for one in MAY_OUTSIDE)
             and answer != "ok"}
    assert not wrong


# ---- what a function is born with --------------------------------------------

def report(host, tenant="rogue"):
    host.function(tenant, "report", REPORT)
    got = host.get(f"/fn/{tenant}/report")
    assert got.status == 200, got
    return dict(line.split("=", 1) for line in got.text.splitlines()
                if "=" in line)


@pytest.mark.parametrize("kind", KINDS)
def test_born_with_nothing(cells, kind):
    """Descriptors, capabilities, groups, signals, terminal: none but its own."""
    host = cells(kind)
    born = report(host)
    descriptors = {key for key in born if re.fullmatch(r"fd\.\d+", key)}
    assert descriptors == {"fd.0", "fd.1", "fd.2"}
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(born[f"status.{name}"], 16) == 0, name
    if kind in (*OF_ROOT, "user"):
        assert int(born["status.CapBnd"], 16) == 0
    assert born["no_new_privs"] == "1"
    assert born["terminal"] == "0"
    assert set(born["signals.blocked"].split()) <= {"32", "33"}
    assert set(born["signals.ignored"].split()) <= {"32", "33"}
    assert born["group_leader"] == "1"
    assert born["limit.core"] == "0 0"
    assert int(born["umask"], 8) & 0o007 == 0o007
    if kind in OF_ROOT:
        uids, gids = set(born["uid"].split()), set(born["gid"].split())
        assert len(uids) == len(gids) == 1 and "0" not in uids | gids
        assert set(born["groups"].split()) <= gids


@pytest.mark.parametrize("kind", [*OF_ROOT, "user"])
def test_born_in_namespaces_of_its_own(cells, kind):
    host = cells(kind)
    settle(host, "neighbour")
    here, there = report(host), report(host, "neighbour")
    own = {f"namespace.{name}": os.readlink(f"/proc/self/ns/{name}")
           for name in ("pid", "mnt", "ipc", "uts", "net", "user")}
    for key in ("pid", "mnt", "ipc", "uts"):
        key = f"namespace.{key}"
        assert len({own[key], here[key], there[key]}) == 3, key
    if kind == "user":
        assert here["namespace.user"] != own["namespace.user"]
    assert here["hostname"] == "rogue" and there["hostname"] == "neighbour"
    assert set(here["root"].split()) <= {
        "bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "sbin",
        "tmp", "usr", "var", str(host.base).split("/")[1],
        *runtime_below("/")}


# ---- what it leaves ------------------------------------------------------------

LEAVING = ["child", "daemon", "parent", "relay", "stopped"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", LEAVING)
def test_no_process_outlives_its_invocation(cells, kind, how):
    host = cells(kind)
    host.function("rogue", "bomb", BOMB)
    got = host.get(f"/fn/rogue/bomb?{how}")
    assert (got.status, got.text) == (200, "left\n")
    host.quiet()
    assert host.rogue("head&out=next").text == "next"


def belonging_to(uid):
    """Pids of this user, zombies included."""
    found = []
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            if f"\nUid:\t{uid}\t" in path.read_text("latin-1"):
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def shared_memory():
    """Segments of the host, by id, with their owner."""
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return {line.split()[1]: line.split()[7] for line in lines}


def groups_of(host, tenant):
    return [path / f"tenant-{tenant}" for path in groups(host.master.pid)
            if (path / f"tenant-{tenant}").exists()]


@pytest.mark.skipif(not IS_ROOT, reason="looks at another user's processes")
def test_nothing_is_left_of_a_tenant_after_its_cell(cells):
    """No process, mount, cgroup, shared memory or file but in data/."""
    host = cells("root")
    settle(host, "leaver")
    host.function("leaver", "bomb", BOMB)
    mounts = Path("/proc/self/mounts").read_text()
    memory, uid = shared_memory(), uid_of(host, "leaver")
    for how in ("files", *LEAVING):
        assert host.get(f"/fn/leaver/bomb?{how}").text == "left\n"
    assert belonging_to(uid)            # its cell
    assert len(groups_of(host, "leaver")) == len(groups(host.master.pid))
    eventually(lambda: not belonging_to(uid), "the cell to end by itself")
    assert Path("/proc/self/mounts").read_text() == mounts
    assert str(uid) not in set(shared_memory().values()) - set(memory.values())
    eventually(lambda: not groups_of(host, "leaver"),
               "its cgroups to be removed")
    for place in ("/tmp", "/var/tmp", "/dev/shm"):
        left = [path for path in Path(place).iterdir()
                if path.lstat().st_uid == uid]
        assert not left
    # and the next cell finds a new /tmp
    assert host.rogue("head&cat=/tmp/left", tenant="leaver").text \
        .startswith("No such file")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_of_a_killed_host(kind):
    mounts = Path("/proc/self/mounts").read_text()
    with cells_of(kind, CONF, nginx=False) as host:
        host.function("rogue", "bomb", BOMB)
        for how in LEAVING:
            host.ask(f"/fn/rogue/bomb?{how}")
        below = tree(host.master.pid)
        host.master.kill()
        host.master.wait()
        eventually(lambda: not any(alive(pid) for pid in below),
                   "everything to be gone")
        host.start_master()
        assert host.ask("/fn/rogue/rogue?head&out=x").body == b"x"
    assert Path("/proc/self/mounts").read_text() == mounts


# ---- what the table cannot say --------------------------------------------------

@pytest.mark.parametrize("kind", KINDS)
def test_paths_that_are_granted(kind):
    """To one tenant, and not more of them than was said."""
    with cells_of(kind, CONF, prepare=grant) as host:
        settle(host, "neighbour")

        def answer(step, place, tenant="rogue"):
            return host.rogue(f"head&{step}={host.base}/{place}/file",
                              tenant=tenant).text
        assert answer("cat", "readable") == "readable"
        assert answer("write", "readable") != "ok\n"
        assert answer("cat", "writable") == "writable"
        assert answer("write", "writable") == "ok\n"
        for place in ("readable", "writable"):
            assert answer("cat", place, "neighbour") != place
            assert answer("write", place, "neighbour") != "ok\n"


def grant(host):
    for name in ("readable", "writable"):
        place = host.base / name
        place.mkdir()
        place.chmod(0o777)
        (place / "file").write_text(name)
        (place / "file").chmod(0o666)
    host.conf.write_text(
        host.conf.read_text() + 'tenants = ( { name = "rogue"; '
        f'read = [ "{host.base}/readable" ]; '
        f'write = [ "{host.base}/writable" ]; }} );\n')


@pytest.mark.parametrize("kind", [*OF_ROOT, "user"])
def test_one_tmp_a_tenant(cells, kind):
    host = cells(kind)
    settle(host, "neighbour")
    assert host.rogue("head&write=/tmp/mine").text == "ok\n"
    got = host.rogue("head&cat=/tmp/mine", tenant="neighbour")
    assert got.text.startswith("No such file")
    assert not Path("/tmp/mine").exists()


@pytest.mark.parametrize("kind", [*OF_ROOT, "user"])
def test_proc_has_no_process_of_others(cells, kind):
    """What readdir shows: the reporting process alone, hidepid hides the cell."""
    born = report(cells(kind))
    assert len(born["processes"].split()) == 1, born["processes"]


def test_cgroup_names_say_nothing_of_the_host(cells):
    if not IS_ROOT:
        pytest.skip("an ordinary user makes no cgroups")
    host = cells("root")
    for line in host.rogue("head&cat=/proc/self/cgroup").text.splitlines():
        assert line.split(":", 2)[2] == "/", line


@pytest.mark.skipif(not IS_ROOT, reason="sets a capability of a file")
def test_a_file_capability_gives_nothing(cells):
    host = cells("root")
    path = host.function("rogue", "capable", REPORT)
    set_capability(path)
    got = host.get("/fn/rogue/capable")
    if got.status == 200:
        assert "status.CapPrm=0000000000000000\n" in got.text
    else:
        got.problem(503, "refused", "capabilities")
    path.unlink()


def set_capability(path):
    """cap_dac_override and cap_setuid, permitted and effective, as setcap does."""
    mask = (1 << 1) | (1 << 7)
    value = (0x02000001).to_bytes(4, "little") + mask.to_bytes(4, "little") + \
        bytes(12)
    os.setxattr(path, "security.capability", value)
