# SPDX-License-Identifier: MIT
"""A host with a real nginx before it, in a directory of its own, for as long as
a test needs it; and what tests want to know about its processes and logs."""
import contextlib
import fcntl
import http.client
import itertools
import json
import os
import pwd
import random
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import fastcgi

ROOT = Path(__file__).resolve().parents[2]
FLAVOUR = os.environ.get("FLAVOUR", "release")
BUILD = ROOT / "build" / FLAVOUR
ROGUE = BUILD / "rogue" / "rogue"
TORTURE = bool(os.environ.get("TORTURE"))
# The leak detector needs to see its own process in /proc, and a cell's /proc shows
# it too little. Unit tests run with it.
if FLAVOUR == "asan":
    os.environ.setdefault("ASAN_OPTIONS", "detect_leaks=0")
IS_ROOT = os.geteuid() == 0
HARD = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
FILES = 17408 if HARD == resource.RLIM_INFINITY else min(17408, HARD)  # of nginx
NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
http.client._MAXHEADERS = 1000
HEAD = "Content-Type: text/plain\\n\\n"


def runtime_below(directory):
    """What a cell has there for its Python alone, which is where it was built."""
    python = BUILD / "fcgi-host-python"
    if not python.is_relative_to(directory):
        return set()
    return {python.relative_to(directory).parts[0]}


def count(short, full):
    """How often: short in `make test`, full in `make torture`."""
    return full if TORTURE else short


def seeded():
    """A random generator; SEED= in the environment repeats a run."""
    seed = int(os.environ.get("SEED", time.time_ns() % 2**32))
    print(f"SEED={seed}")
    return random.Random(seed)


def eventually(condition, what="condition", timeout=15):
    """Waits until condition() is true and returns what it returned."""
    end = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, f"waited {timeout} s for {what}"
        time.sleep(0.01)


def made(*what):
    """Runs make, as from a shell of its own. One at a time: two that find the same
    file missing would both write it."""
    with open(ROOT / "Makefile", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(["make", "-s", *map(str, what)], cwd=ROOT, check=True,
                       stdin=subprocess.DEVNULL,
                       env={name: value for name, value in os.environ.items()
                            if not name.startswith("MAKE")})


# ---- processes --------------------------------------------------------------

def _stat(pid):
    """(name, state, parent) or None."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("latin-1")
    except (FileNotFoundError, ProcessLookupError):
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    rest = rest.split()
    return name, rest[0], int(rest[1])


def alive(pid):
    """There and no zombie."""
    stat = _stat(pid)
    return stat is not None and stat[1] not in "ZX"


def processes():
    """{pid: (name, state, parent)} of the machine."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            stat = _stat(int(entry))
            if stat:
                found[int(entry)] = stat
    return found


def tree(root):
    """Pids below root, zombies included, root not."""
    table, found, new = processes(), set(), {root}
    while new:
        new = {pid for pid, (_, _, parent) in table.items()
               if parent in new and pid not in found}
        found |= new
    return found


def _groups_own():
    """Where a master that we start makes its groups, in each hierarchy."""
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        own.update({name: path for name in names.split(",")})
    seen, places = set(), []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, kind = line.partition(" - ")
        root, point = mount.split()[3:5]
        kind, _, options = kind.split(maxsplit=2)
        if kind == "cgroup2":
            names = {""} & own.keys()
        elif kind == "cgroup":
            names = set(options.split(",")) & own.keys()
        else:
            continue
        names -= seen
        seen |= names
        for path in {own[name] for name in names}:
            below = os.path.relpath(path, root)
            places.append(Path(point) if below.startswith("..")
                          else Path(point) / below)
            if kind == "cgroup2":       # or there, if that is not its own
                places.append(Path(point))
    return places


def groups(pid):
    """The control groups of this master, one in each tree, as the kernel shows
    them. Elsewhere there may be some of a master of the same number that was
    killed: they go with the next start in that place."""
    return sorted({place / f"fcgi-host-{pid}" for place in _groups_own()
                   if (place / f"fcgi-host-{pid}").is_dir()})


def groups_told(paths):
    """What is in these and below, for somebody who has to find out why."""
    table, lines = processes(), []
    for top in paths:
        for path, _, _ in os.walk(top):
            pids = []
            with contextlib.suppress(OSError):
                pids = Path(path, "cgroup.procs").read_text().split()
            lines.append(path + ": " + (", ".join(
                f"{pid} {table.get(int(pid), 'gone')}" for pid in pids)
                or "no process"))
    return "\n".join(lines)


def descriptors(pid):
    """How many; 0 where only root may look: gateway and state hold keys, and the
    functions of an ordinary user are that user."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except PermissionError:
        assert not IS_ROOT
        return 0


def memory_kib(pid, key="VmRSS"):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise KeyError(key)


# ---- HTTP -------------------------------------------------------------------

class Response:
    def __init__(self, status, reason, headers, body):
        self.status, self.reason = status, reason
        self.headers, self.body = headers, body

    def header(self, name):
        found = [value for key, value in self.headers
                 if key.lower() == name.lower()]
        assert len(found) <= 1, f"{name} came {len(found)} times"
        return found[0] if found else None

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def request_id(self):
        return self.header("X-Request-Id")

    def problem(self, status, end, *words):
        """Asserts that this is the host's own answer of this kind."""
        assert self.status == status, (self.status, self.text)
        assert self.header("Content-Type") == "application/problem+json"
        problem = json.loads(self.body)
        assert problem["status"] == status
        assert problem["type"].endswith(":" + end), problem
        assert problem["instance"] == self.request_id
        detail = problem["detail"].replace(" ", "")
        for word in words:          # "10 s" and "10s" are the same to us
            assert word.replace(" ", "") in detail, problem
        return problem

    def __repr__(self):
        return f"{self.status} {self.reason} {self.headers} {self.body[:300]}"


class Broken(Exception):
    """The server broke off in the middle of a reply."""


WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_ports = itertools.count(random.randrange(1000))


def free_port():
    """Of a thousand that other workers of the same run do not try, and that the
    kernel gives to no client: what is free stays free until it is listened at."""
    while True:
        port = 20000 + WORKER % 10 * 1000 + next(_ports) % 1000
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


class Host:
    """conf: text of its configuration. user: run as this uid (needs root).
    programs: where the programs are, if not in the build folder. place: where
    its directory is made, if not in /tmp."""

    def __init__(self, conf="", user=None, nginx=True, programs=BUILD,
                 functions=None, server="", place=None):
        self.base = Path(tempfile.mkdtemp(prefix="fcgi-host-test.",
                                          dir=place))
        self.base.chmod(0o755)
        self.user, self.programs = user, programs
        self.run = self.base / "run"
        self.functions = functions or self.base / "functions"
        self.conf = self.base / "host.conf"
        self.errors = self.base / "host.err"
        self.port, self.server_lines = free_port(), server
        self.master = self.nginx = None
        self.with_nginx = nginx
        for path in (self.run, self.functions):
            path.mkdir(exist_ok=True)
            self._own(path)
        self.conf.write_text(conf)
        self.tenant("rogue")

    # ---- life ----

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        self.stop(check=kind is None)

    def _own(self, path):
        if self.user is not None:
            os.chown(path, self.user, self.user, follow_symlinks=False)

    def _popen(self, args, user=None, **more):
        user = self.user if user is None else user
        if user is not None and user != os.geteuid():
            more.update(user=user, group=user, extra_groups=[])
        return subprocess.Popen([str(arg) for arg in args],
                                stdin=subprocess.DEVNULL, **more)

    def command(self, *more):
        return [self.programs / "fcgi-host", "--config", self.conf,
                "--run", self.run, "--functions", self.functions, *more]

    def start(self):
        try:
            self.start_master()
            if self.with_nginx:
                self.start_nginx()
        except BaseException:
            self.stop(check=False)
            raise
        return self

    def start_master(self):
        with open(self.errors, "ab") as errors:
            self.master = self._popen(self.command(), stdout=errors,
                                      stderr=errors, start_new_session=True)
        eventually(self.serves, "the host to serve")

    def serves(self):
        assert self.master.poll() is None, \
            "the host ended:\n" + self.errors.read_text()
        with contextlib.suppress(OSError):
            with fastcgi.Connection(self.front, timeout=5) as connection:
                connection.send(fastcgi.record(
                    fastcgi.GET_VALUES, 0,
                    fastcgi.pairs({"FCGI_MAX_CONNS": ""})))
                return connection.record() is not None
        return False

    def write_nginx(self):
        to = self.run / "nginx"
        to.mkdir(exist_ok=True)
        for source in [*(ROOT / "nginx").glob("fcgi-host*.conf"),
                       ROOT / "nginx" / "run.conf.in"]:
            text = source.read_text()
            for old, new in (("@RUN@", self.run), ("@PORT@", self.port),
                             ("@FILES@", FILES), ("@CONNECTIONS@",
                                                  FILES * 16 // 17),
                             ("unix:/run/fcgi-host/", f"unix:{self.run}/")):
                text = text.replace(old, str(new))
            if source.name == "run.conf.in":
                text = text.replace("\t\tlocation = /",
                                    self.server_lines + "\n\t\tlocation = /")
                text = text.replace("worker_processes auto",
                                    "worker_processes 1")
            (to / source.name.replace("run.conf.in", "nginx.conf")) \
                .write_text(text)
        for option, name in (("--nginx", "limits"),
                             ("--nginx-state", "state-limits")):
            limits = subprocess.run(self.command("-n", option), check=True,
                                    capture_output=True)
            (to / f"fcgi-host-{name}.conf").write_bytes(limits.stdout)
        return to

    def start_nginx(self):
        to = self.write_nginx()
        user = self.user
        if user is None and IS_ROOT:
            user = pwd.getpwnam("www-data").pw_uid
        if user is not None:
            os.chown(to, user, user)
        self.nginx = self._popen(
            [NGINX, "-e", to / "error.log", "-c", to / "nginx.conf"],
            user=user, start_new_session=True)

        def listens():
            assert self.nginx.poll() is None, \
                (to / "error.log").read_text()
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                return True
            return False
        eventually(listens, "nginx to listen")

    def stop(self, check=True):
        """Takes it down and checks that nothing of it is left."""
        below = tree(self.master.pid) if self.master else set()
        try:
            if self.nginx:
                self.nginx.terminate()
                self.nginx.wait(15)
            if self.master:
                self.master.terminate()
                status = self.master.wait(60)
                if check:
                    assert status == 0, self.errors.read_text()[-3000:]
                    eventually(
                        lambda: not [p for p in below if alive(p)],
                        "all processes to be gone")
                    sockets = [path for path in self.run.rglob("*")
                               if path.is_socket()]
                    assert not sockets
                    left = groups(self.master.pid)
                    assert not left, groups_told(left) + "\n" + \
                        self.errors.read_text()[-3000:]
            if check:
                self.check_errors()
        finally:
            for process in (self.nginx, self.master):
                if process and process.poll() is None:
                    process.kill()
                    process.wait()
            for pid in below:
                if alive(pid):
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)
            shutil.rmtree(self.base, ignore_errors=True)

    def check_errors(self):
        """No process of the host may have failed an assertion or sanitizer."""
        text = self.errors.read_text(errors="replace")
        for word in ("panic", "Assertion", "Sanitizer", "runtime error"):
            at = text.find(word)
            assert at < 0, text[max(0, at - 500):at + 3000]

    # ---- functions ----

    def tenant(self, name, data=True):
        path = self.functions / name
        if not path.exists():
            path.mkdir()
            path.chmod(0o755)
            self._own(path)
            if data:
                (path / "data").mkdir()
                (path / "data").chmod(0o777)
                self._own(path / "data")
            if name == "rogue":
                self.function("rogue", "rogue")
        return path

    def function(self, tenant, name, source=ROGUE, conf=None, mode=0o755):
        """Puts a function in place, as `install` would: by rename."""
        path = self.tenant(tenant) / name
        if conf is not None:
            self.write(path.with_suffix(".conf"), conf, 0o644)
        if isinstance(source, Path):
            source = source.read_bytes()
        return self.write(path, source, mode)

    def write(self, path, content, mode):
        new = path.with_name("." + path.name + ".new")
        new.write_bytes(content if isinstance(content, bytes)
                        else content.encode())
        new.chmod(mode)
        self._own(new)
        new.rename(path)
        return path

    def data(self, name, tenant="rogue"):
        return self.functions / tenant / "data" / name

    def marks(self, name, tenant="rogue"):
        """Pids the step mark=NAME left, as the functions saw them."""
        path = self.data(name, tenant)
        return path.read_text().split() if path.exists() else []

    def wait_mark(self, name, number=1, tenant="rogue"):
        return eventually(
            lambda: len(self.marks(name, tenant)) >= number or None,
            f"{number} marks in {name}")

    # ---- asking ----

    @property
    def front(self):
        return self.run / "front.sock"

    def http(self, timeout=30):
        return http.client.HTTPConnection("127.0.0.1", self.port,
                                          timeout=timeout)

    def get(self, target, method="GET", body=None, headers=(), timeout=30,
            connection=None):
        """Sends target as it is. Raises Broken on a reply cut short."""
        mine = connection is None
        connection = connection or self.http(timeout)
        try:
            headers = list(headers.items() if isinstance(headers, dict)
                           else headers)
            connection.putrequest(
                method, target, skip_accept_encoding=True,
                skip_host=any(name == "Host" for name, _ in headers))
            for name, value in headers:
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            got = connection.getresponse()
            try:
                data = got.read()
            except (http.client.IncompleteRead, ConnectionResetError) as error:
                raise Broken(str(error)) from error
            return Response(got.status, got.reason, got.getheaders(), data)
        finally:
            if mine:
                connection.close()

    def post(self, target, body, **more):
        return self.get(target, "POST", body, **more)

    def rogue(self, steps, path="", tenant="rogue", name="rogue", **more):
        return self.get(f"/fn/{tenant}/{name}{path}?{steps}", **more)

    def environment(self, path="", **more):
        """What the function found in its environment."""
        got = self.rogue("head&env", path, **more)
        assert got.status == 200, got
        return self.parse_environment(got.body)

    @staticmethod
    def parse_environment(body):
        names, found = set(), {}
        for item in body.split(b"\0")[:-1]:
            name, _, value = item.decode("utf-8", "surrogateescape") \
                .partition("=")
            assert name not in names, f"{name} twice"
            names.add(name)
            found[name] = value
        return found

    def ask(self, uri, body=b"", **more):
        """Straight to the front socket."""
        return fastcgi.ask(self.front, uri, body, **more)

    def ctl(self, *args, check=True, **more):
        done = subprocess.run(
            [str(self.programs / "fcgi-hostctl"), "--run", str(self.run),
             *[str(arg) for arg in args]],
            capture_output=True, timeout=60, **more)
        if check:
            assert done.returncode == 0, done
        return done

    def status(self):
        return json.loads(self.ctl("status", "--json").stdout)

    # ---- looking ----

    def named(self, name):
        """Pids of the host's processes of this name."""
        table = processes()
        return sorted(pid for pid in tree(self.master.pid) if pid in table
                      and table[pid][0] == name[:15]
                      and table[pid][1] not in "ZX")

    @property
    def gateway(self):
        return eventually(lambda: self.named("fcgi-host-gateway"), "a gateway")[0]

    @property
    def log(self):
        return eventually(lambda: self.named("fcgi-host-log"), "a log process")[0]

    @property
    def state(self):
        return eventually(lambda: self.named("fcgi-host-state"),
                          "a state process")[0]

    def cells(self):
        """One a tenant; as an ordinary user each has a keeper above it."""
        table = processes()
        return [pid for pid in self.named("fcgi-host-cell")
                if table.get(pid, (0, 0, 0))[2] == self.master.pid]

    def launchers(self):
        return self.named("fcgi-launcher")

    def running(self):
        """Processes of functions: what is below master and none of its own."""
        table = processes()
        return [pid for pid in tree(self.master.pid) if pid in table
                and not table[pid][0].startswith("fcgi-")]

    def quiet(self):
        """Waits until no process of a function is left, not even a zombie."""
        eventually(lambda: not self.running() or None,
                   f"functions to be gone: {self.running()}")

    def access(self, request, timeout=15):
        """The access record of this request."""
        log = self.run / "log" / "access.log"

        def find():
            if log.exists():
                # the last one may be on its way
                for line in log.read_text().split("\n")[:-1]:
                    if request in line:
                        record = json.loads(line)
                        if record["request"] == request:
                            return record
            return None
        return eventually(find, f"an access record of {request}", timeout)

    def tenant_log(self, tenant):
        path = self.run / "log" / "tenants" / f"{tenant}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_log(self, tenant, text):
        eventually(lambda: text in self.tenant_log(tenant),
                   f"{text!r} in the log of {tenant}")


class Asking:
    """Clients that ask without a pause; `wrong` is what was not answered well."""

    def __init__(self, host, target, texts, clients=3):
        self.host, self.target, self.texts = host, target, texts
        self.wrong, self.answered = [], 0
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.ask)
                        for _ in range(clients)]

    def ask(self):
        while not self.over.is_set():
            got = self.host.get(self.target)
            if got.status != 200 or got.text not in self.texts:
                self.wrong.append(got)
            self.answered += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()
        assert not self.wrong, self.wrong[:3]
