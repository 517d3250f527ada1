# SPDX-License-Identifier: MIT
"""The kinds of cells there are, each as a host that makes such cells, and the two
tenants that tests want to keep apart."""
import contextlib
import ctypes
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

import pytest

from host import BUILD, IS_ROOT, ROGUE, ROOT, Host, eventually, processes
from state import State

ATTEMPT = BUILD / "sandbox" / "attempt"
WORKER = ROOT / "tests/e2e/workers/worker.py"
USER = 64123 if IS_ROOT else None       # has no name, home or groups
NEWUSER = 0x10000000

# What the columns of attempts.def are called.
KINDS = {
    "root": "by root, with a network of its own",
    "network": "by root, with the network of the host",
    "user": "by an ordinary user, with namespaces",
    "bare": "by an ordinary user who may make no namespaces",
}
OF_ROOT = ("root", "network")


def without_namespaces():
    """In a child before execve: an ordinary user, in a user namespace that lets
    nobody make another. Root, who connects to its sockets, is known in there."""
    uid, gid = (USER, USER) if IS_ROOT else (os.getuid(), os.getgid())
    known = sorted({0, uid}) if IS_ROOT else [uid]
    here, there = os.pipe()
    child, libc = os.getpid(), ctypes.CDLL(None, use_errno=True)
    helper = os.fork()
    if helper == 0:
        os.close(there)
        os.read(here, 1)                # it is in its namespace
        if not IS_ROOT:
            Path(f"/proc/{child}/setgroups").write_text("deny")
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{child}/{name}").write_text(
                "".join(f"{each} {each} 1\n" for each in known))
        os._exit(0)
    os.close(here)
    if libc.unshare(NEWUSER) != 0:
        os._exit(77)
    os.close(there)
    if os.waitpid(helper, 0)[1] != 0:
        os._exit(78)
    Path("/proc/sys/user/max_user_namespaces").write_text("0")
    if IS_ROOT:
        os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    libc.prctl(47, 4, 0, 0, 0)          # no ambient capability either


def off_tmp():
    """A directory to make directories in, not below what everybody may write."""
    places = [Path("/var/lib")] if IS_ROOT else [BUILD, Path.home()]
    for place in places:
        if os.access(place, os.W_OK) and not any(
                place.resolve().is_relative_to(shared)
                for shared in ("/tmp", "/var/tmp", "/dev/shm")):
            return place
    pytest.skip("this user has no place but /tmp")


class Bare(Host):
    """Functions of such a host have the /tmp of all, so it stands elsewhere."""

    def __init__(self, *args, **more):
        super().__init__(*args, place=off_tmp(), **more)

    def _popen(self, args, user=None, **more):
        if Path(str(args[0])).name == "fcgi-host":
            more["preexec_fn"] = without_namespaces
            user = os.geteuid()
        return super()._popen(args, user, **more)


@contextlib.contextmanager
def programs_for(user):
    """The build may stand below a directory this user cannot enter."""
    if user is None:
        yield BUILD
        return
    with tempfile.TemporaryDirectory(prefix="fcgi-host-test.") as place:
        to = Path(place)
        to.chmod(0o755)
        for program in BUILD.glob("fcgi-host*"):
            if program.is_file():
                shutil.copy(program, to)
        yield to


@contextlib.contextmanager
def cells_of(kind, conf="", prepare=None, **more):
    """A host, started, whose cells are of this kind; kind is known as host.kind.
    prepare(host) comes before the start."""
    if kind in OF_ROOT and not IS_ROOT:
        pytest.skip("only root makes cells of this kind")
    if kind == "network":
        conf += 'tenant = { network = "host"; };\n'
    user = None if kind in OF_ROOT else USER
    with programs_for(user) as programs:
        make = Bare if kind == "bare" else Host
        host = make(conf, user=user, programs=programs, **more)
        host.kind = kind
        if prepare:
            prepare(host)
        with host:
            yield host


def settle(host, tenant, name="rogue", source=ROGUE):
    """A tenant whose files are its own user's, as if it had put them there."""
    path = host.tenant(tenant)
    host.function(tenant, name, source)
    return path


def uid_of(host, tenant):
    text = host.rogue("head&state", tenant=tenant).text
    return int(text.partition("Uid:\t")[2].split()[0])


class Targets:
    """All that an attempt in tenant rogue tries to get at. What it needs of the
    machine goes with it."""

    def __init__(self, host):
        self.host, self.kept = host, []
        self.values = {
            "functions": host.functions, "run": host.run, "port": host.port,
            "configuration": host.conf, "master": host.master.pid,
            "gateway": host.gateway, "log": host.log, "state": host.state,
            "neighbour": host.functions / "neighbour",
            "neighbour_name": "neighbour"}

    def __enter__(self):
        self.files()
        self.talkers()
        self.state()
        return self

    def __exit__(self, *_):
        for close in reversed(self.kept):
            close()

    def files(self):
        host = self.host
        settle(host, "neighbour")
        uid = self.values["neighbour_uid"] = uid_of(host, "neighbour")
        for name, mode in (("public", 0o644), ("secret", 0o600)):
            path = host.data(name, "neighbour")
            path.write_text(name)
            path.chmod(mode)
            if IS_ROOT:
                os.chown(path, uid, uid)
        host.write(host.functions / "neighbour" / "rogue.conf",
                   'env = { SECRET = "of the neighbour"; };', 0o644)
        host.function("neighbour", "sleeper")
        outside = self.values["outside"] = host.base / "outside"
        outside.write_text("outside")
        outside.chmod(0o666)
        self.kept.append(self.worker_removed)
        host.function("neighbour", "warm", WORKER, conf="protocol = "
                      '"fastcgi"; limits = { warm = "60s"; };')
        host.function("rogue", "attempt", ATTEMPT)
        victim = host.function("rogue", "victim", ATTEMPT)
        if IS_ROOT:                     # its modes do not protect it
            uid = uid_of(host, "rogue")
            os.chown(victim, uid, uid)
        setuid = host.data("setuid")
        shutil.copy(ATTEMPT, setuid)
        setuid.chmod(0o6755)

    def worker_removed(self):
        """Its worker goes with the file."""
        (self.host.functions / "neighbour" / "warm").unlink()
        eventually(lambda: self.host.get("/fn/neighbour/warm").status == 404)

    def talkers(self):
        name = f"fcgi-host-test-{os.getpid()}-{self.host.kind}"
        path = self.values["unix"] = self.host.base / "unix"
        for address in (str(path), "\0" + name):
            listener = socket.socket(socket.AF_UNIX)
            self.kept.append(listener.close)
            listener.bind(address)
            listener.listen(16)
        path.chmod(0o777)
        self.kept.append(path.unlink)
        self.values["abstract"] = name
        libc = ctypes.CDLL(None, use_errno=True)
        key = self.values["shm_key"] = 0x66630000 + os.getpid() % 0xffff
        shm = libc.shmget(key, 4096, 0o1666)            # IPC_CREAT
        assert shm >= 0, os.strerror(ctypes.get_errno())
        self.kept.append(lambda: libc.shmctl(shm, 0, None))   # IPC_RMID
        posix = Path("/dev/shm") / name
        posix.write_text("shared")
        posix.chmod(0o666)
        self.kept.append(posix.unlink)
        self.values["shm_name"] = name

    def state(self):
        with State(self.host, "neighbour") as state:
            assert state.ask("PUT", "/kv/secret", b"x").status in (200, 201,
                                                                   204)
        files = [path for path in self.host.run.rglob("*neighbour*")
                 if path.is_file() and path.suffix != ".log"]
        assert files, "a state file of the neighbour"
        self.values["state_file"] = files[0]

    def sleepers(self):
        """A process of the neighbour, and one of another invocation of rogue; and
        the socket of a worker."""
        host = self.host
        assert host.get("/fn/neighbour/warm?head&out=x").text == "x"
        self.values["worker"] = next((host.run / "workers").iterdir())
        for tenant, name in (("neighbour", "sleeper"), ("rogue", "rogue")):
            host.data("asleep", tenant).unlink(missing_ok=True)
            connection = host.http()
            connection.request("GET", f"/fn/{tenant}/{name}?mark=asleep"
                               "&forever")
            self.kept.append(connection.close)
            host.wait_mark("asleep", tenant=tenant)
        table = processes()
        self.values["sibling"] = host.marks("asleep")[-1]
        self.values["neighbour_pid"] = [
            pid for pid in host.running()
            if table.get(pid, "?")[0] == "sleeper"][0]
        self.values["cell"] = 1
        if host.kind == "bare":
            launcher = table[int(self.values["sibling"])][2]
            self.values["cell"] = table[launcher][2]

    def query(self):
        return "&".join(f"{key}={quote(str(value))}"
                        for key, value in self.values.items())

    def attempt(self):
        """{attempt: what it was told}"""
        self.sleepers()
        got = self.host.get(f"/fn/rogue/attempt?{self.query()}")
        assert got.status == 200, got
        return self.parse(got.text)

    def attempt_outside(self):
        """The same by the host's own user, an ordinary one, and in no cell."""
        self.sleepers()
        directory = self.host.functions / "rogue"
        user = {} if self.host.user is None else {
            "user": self.host.user, "group": self.host.user,
            "extra_groups": []}
        got = subprocess.run(
            [directory / "attempt"], cwd=directory, capture_output=True,
            check=True, timeout=60, text=True, **user,
            env={"GATEWAY_INTERFACE": "none", "QUERY_STRING": self.query()})
        return self.parse(got.stdout.partition("\n\n")[2])

    @staticmethod
    def parse(text):
        """{attempt: what it was told}"""
        return dict(line.split("=", 1) for line in text.splitlines())


def expected():
    """{attempt: {kind: the answers that are right}} of attempts.def."""
    table = {}
    for line in (ROOT / "tests/sandbox/attempts.def").read_text().splitlines():
        if line.startswith("ATTEMPT("):
            name, *cells = [word.strip() for word in
                            line[len("ATTEMPT("):].rstrip(")").split(",")]
            assert len(cells) == len(KINDS), line
            assert name not in table, line
            table[name] = {kind: cell.split("|")
                           for kind, cell in zip(KINDS, cells)}
    return table
