# SPDX-License-Identifier: MIT
"""`make run` itself, as a person would use it: with the functions of the tree,
stopped by Ctrl-C, leaving nothing behind."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
import requests

from host import (BUILD, FLAVOUR, ROOT, Host, alive, eventually, free_port,
                  made, tree)


class MakeRun:
    def __init__(self, **variables):
        self.port = variables.pop("PORT", None) or free_port()
        self.tmp = Path(tempfile.mkdtemp(prefix="fcgi-host-test."))
        self.tmp.chmod(0o755)
        self.output = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            ["make", "-s", "run", f"FLAVOUR={FLAVOUR}", f"PORT={self.port}",
             *(f"{name}={value}" for name, value in variables.items())],
            cwd=ROOT, env={**os.environ, "TMPDIR": str(self.tmp)},
            stdin=subprocess.DEVNULL, stdout=self.output,
            stderr=subprocess.STDOUT, start_new_session=True)

    def text(self):
        self.output.flush()
        return os.pread(self.output.fileno(), 1 << 20, 0).decode()

    def ready(self):
        eventually(lambda: "\nready: http" in self.text()
                   or self.process.poll() is not None, "ready", 60)
        assert self.process.poll() is None, self.text()
        return self

    def refused(self):
        """It has to end by itself; returns its own last line."""
        assert self.process.wait(60) != 0
        assert "\nready: http" not in self.text()
        assert not list(self.tmp.iterdir())
        self.tmp.rmdir()
        assert "No such file" not in self.text()
        lines = [line for line in self.text().splitlines()
                 if not re.match(r"make(\[\d+\])?: ", line)]
        assert not any(line.startswith("rm: ") for line in lines), lines
        return lines[-1]

    def ours(self):
        """Processes that came with it."""
        return tree(self.process.pid) | {self.process.pid}

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def get(self, path, **more):
        return requests.get(self.url(path), timeout=30, **more)

    def left(self):
        """What should not be there any more."""
        return [pid for pid in self.pids if alive(pid)] \
            + list(self.tmp.iterdir())

    def stop(self, how=signal.SIGINT, group=True):
        self.pids = self.ours()
        if group:
            os.killpg(self.process.pid, how)
        else:
            self.process.send_signal(how)
        self.process.wait(60)
        eventually(lambda: not self.left(), "nothing to be left")
        self.tmp.rmdir()


@pytest.fixture
def make_run():
    running = []

    def start(**variables):
        running.append(MakeRun(**variables))
        return running[-1].ready()
    yield start
    for each in running:
        if each.process.poll() is None:
            each.stop()
        else:
            shutil.rmtree(each.tmp, ignore_errors=True)


def test_ready_and_every_function_has_a_line(make_run):
    run = make_run()
    text = run.text()
    assert "removed at the end; RUN=dir keeps" in text
    assert f"ready: {run.url('/fn/demo/hello')}" in text.splitlines()
    urls = re.findall(r"http://[^\s]+", text)
    for name in ("hello", "environment", "echo", "calendar", "chart", "qr",
                 "whoami", "events", "slow", "welcome", "daylight"):
        assert any(url.endswith(f"/fn/demo/{name}") for url in urls), name
    assert any(url.endswith("/fn/git/gitweb") for url in urls)
    assert "rogue" not in text
    assert run.get("/fn/demo/hello").text == "hello, world\n"


@pytest.mark.parametrize("how, group", [
    (signal.SIGINT, True), (signal.SIGTERM, True), (signal.SIGTERM, False)])
def test_it_leaves_nothing_behind(make_run, how, group):
    run = make_run()
    assert run.get("/fn/demo/hello").status_code == 200
    run.stop(how, group)
    assert run.process.returncode is not None


def test_an_executable_dropped_in_answers_at_once(make_run):
    with tempfile.TemporaryDirectory() as closed:       # mode 0700
        demo = Path(closed) / "functions" / "demo"
        demo.mkdir(parents=True)
        run = make_run(FUNCTIONS=demo.parent)
        assert f"ready: {run.url('/fn/TENANT/FUNCTION')}" in run.text()
        assert run.get("/fn/demo/hello").status_code == 404
        new = demo / "hello"
        new.write_bytes((ROOT / "functions/demo/hello").read_bytes())
        new.chmod(0o755)
        assert run.get("/fn/demo/hello/you").text == "hello, you\n"


def test_of_many_tenants_it_says_how_many(make_run):
    """To list them makes a process for each."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        for i in range(60):
            new = Path(place) / f"t{i}" / "hello"
            new.parent.mkdir()
            new.write_bytes((ROOT / "functions/demo/hello").read_bytes())
            new.chmod(0o755)
        run = make_run(FUNCTIONS=place)
        assert f"60 tenants in {place}; their functions: " in run.text()
        assert "/fn/t7/hello" not in run.text()
        assert run.get("/fn/t7/hello").status_code == 200


def test_run_and_conf_are_heeded(make_run):
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        conf = Path(place) / "host.conf"
        conf.write_text('limits = { time = "400ms"; };\n')
        run = make_run(RUN=f"{place}/run", CONF=conf)
        got = run.get("/fn/demo/slow")
        assert got.status_code == 504
        assert re.search("limits.time = 400 ?ms", got.json()["detail"])
        done = subprocess.run(
            [BUILD / "fcgi-hostctl", "--run", f"{place}/run", "status"],
            capture_output=True)
        assert done.returncode == 0
        run.stop()
        assert not list(Path(place).rglob("*.sock"))
        assert (Path(place) / "run" / "log" / "access.log").exists()


def test_it_says_what_is_wrong():
    for variables, word in (({"FUNCTIONS": "/nowhere"}, "/nowhere"),
                            ({"CONF": "/nowhere"}, "/nowhere")):
        run = MakeRun(**variables)
        assert run.process.wait(60) != 0
        assert word in run.text()
        run.tmp.rmdir()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as conf:
        conf.write("nonsense = 1;\n")
        conf.flush()
        run = MakeRun(CONF=conf.name)
        assert run.process.wait(60) != 0
        assert f"{conf.name}:1:" in run.text()
        run.tmp.rmdir()


@pytest.mark.parametrize("port", ["80a", "0", "65536", "08", "99999999999",
                                  "8080; user root"])
def test_a_port_that_is_none(port):
    last = MakeRun(PORT=port).refused()
    assert last == f"make run: PORT={port} is not a number from 1 to 65535"


def test_a_port_in_use():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        last = MakeRun(PORT=port).refused()
    assert last.startswith(f"make run: PORT={port}"), last
    assert "in use" in last


def everything(place):
    """{path: content} of what is not a socket."""
    return {path: path.read_bytes() if path.is_file() else None
            for path in place.rglob("*") if not path.is_socket()}


@pytest.mark.parametrize("good", [True, False])
def test_what_was_in_run_before_is_there_afterwards(make_run, good):
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        place = Path(name)
        for path in ("nginx/nginx.conf", "nginx/pid", "make-run.conf",
                     "make-run.old/host.conf"):
            (place / path).parent.mkdir(exist_ok=True)
            (place / path).write_text("mine\n")
        before = everything(place)
        if good:
            run = make_run(RUN=place)
            assert run.get("/fn/demo/hello").status_code == 200
            assert "removed at the end" not in run.text()
            run.stop()
        else:
            MakeRun(RUN=place, PORT="80a").refused()
        after = everything(place)
        assert {path: after.get(path) for path in before} == before
        more = {path.relative_to(place).parts[0]
                for path in after.keys() - before.keys()}
        assert more <= {"uids", "spool", "workers", "log", "state",
                        "fn"}


def test_two_with_one_run(make_run):
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        first = make_run(RUN=name)
        pid = (Path(name) / "pid").read_text()

        def there():        # logs are written when there is time
            return {path for path in everything(Path(name))
                    if not path.is_relative_to(Path(name) / "log")}
        before = there()
        for port in (None, first.port):
            last = MakeRun(RUN=name, PORT=port).refused()
            assert f"another fcgi-host (pid {pid.strip()}) serves" in last
            assert there() == before
            assert first.get("/fn/demo/hello").text == "hello, world\n"
        assert (Path(name) / "pid").read_text() == pid
        first.stop()


@pytest.mark.parametrize("path", ["closed/run", "closed", "file/run", "a b"])
def test_a_run_that_cannot_be(path):
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        place = Path(name)
        (place / "closed").mkdir(mode=0o700 if os.geteuid() == 0 else 0o500)
        (place / "file").touch()
        last = MakeRun(RUN=place / path).refused()
        assert last.startswith(f"make run: RUN={place / path}"), last
        assert {entry.name for entry in place.iterdir()} == {"closed", "file"}
        assert not list((place / "closed").iterdir())


def test_it_says_how_to_ask_it(make_run):
    run = make_run()
    command = re.search("^ask it: (.*)$", run.text(), re.M)[1].split()
    assert command[0] == f"build/{FLAVOUR}/fcgi-hostctl"
    done = subprocess.run(command, cwd=ROOT, capture_output=True)
    assert done.returncode == 0 and done.stdout


@pytest.mark.parametrize("name, signo, words", [
    ("nginx", signal.SIGKILL, "make run: nginx was ended by signal KILL"),
    ("host", signal.SIGKILL, "make run: the host was ended by signal KILL"),
    ("nginx", signal.SIGQUIT, "nginx was told to end, and so is the rest"),
    ("host", signal.SIGTERM, "the host was told to end, and so is the rest")])
def test_the_end_of_one_is_the_end(make_run, name, signo, words):
    """By itself or not: it says which, and fails only for a failure."""
    run = make_run()
    run.pids = run.ours()
    first = {"nginx": b"nginx: master", "host": b"/fcgi-host\0--config"}[name]
    pid, = (pid for pid in run.pids if first in
            Path(f"/proc/{pid}/cmdline").read_bytes())
    os.kill(pid, signo)
    assert (run.process.wait(60) == 0) == (signo != signal.SIGKILL)
    assert words in run.text()
    assert "by itself" not in run.text()
    eventually(lambda: not run.left(), "nothing to be left")


def test_install():
    """What is installed runs from where it is installed."""
    with tempfile.TemporaryDirectory(prefix="fcgi-host-test.") as place:
        os.chmod(place, 0o755)
        made("install", f"FLAVOUR={FLAVOUR}", f"DESTDIR={place}",
             "PREFIX=/usr")
        root = Path(place) / "usr"
        for file in ("sbin/fcgi-host", "bin/fcgi-hostctl",
                     "libexec/fcgi-host/fcgi-host-gateway",
                     "share/fcgi-host/nginx/fcgi-host.conf",
                     "share/man/man8/fcgi-host.8"):
            assert (root / file).is_file(), file
        programs = Path(place) / "programs"
        programs.mkdir()
        (programs / "fcgi-host").symlink_to(root / "sbin/fcgi-host")
        (programs / "fcgi-hostctl").symlink_to(root / "bin/fcgi-hostctl")
        with Host(programs=programs, nginx=False) as host:
            assert host.ask("/fn/rogue/rogue?head&out=x").body == b"x"
            assert host.status()


# ---- the demonstrations -----------------------------------------------------

@pytest.fixture(scope="module")
def demo():
    run = MakeRun().ready()
    yield run
    run.stop()


def test_demo_environment(demo):
    got = demo.get("/fn/demo/environment/p?q=<b>",
                   headers={"X-Test": "<script>"})
    assert got.headers["Content-Type"].startswith("text/html")
    assert "HTTP_X_TEST" in got.text and "&lt;script&gt;" in got.text
    assert "<script>" not in got.text


def test_demo_echo(demo):
    got = requests.post(demo.url("/fn/demo/echo"), timeout=30,
                        data={"word": "Grüße <b>"},
                        files={"file": ("a.bin", b"\0\1\2" * 100_000)})
    assert "Grüße &lt;b&gt;" in got.text
    assert "a.bin, 300000 bytes" in got.text
    got = requests.post(demo.url("/fn/demo/echo"), timeout=30,
                        data={"a": "1&2"})
    assert "1&amp;2" in got.text
    assert "<form" in demo.get("/fn/demo/echo").text


def test_demo_calendar(demo):
    got = demo.get("/fn/demo/calendar/2024/02")
    assert "February 2024" in got.text and "<td>29" in got.text
    assert "<td>30" not in got.text
    assert demo.get("/fn/demo/calendar/2024/13").status_code == 404


def test_demo_chart(demo):
    got = demo.get("/fn/demo/chart?a=1&b=2.5&%3Cx%3E=3")
    assert got.headers["Content-Type"] == "image/svg+xml"
    assert got.text.count("<rect") == 3 and "&lt;x&gt;" in got.text
    assert demo.get("/fn/demo/chart?a=x").status_code == 400
    assert requests.post(demo.url("/fn/demo/chart"), data=b"x",
                         timeout=30).status_code == 405


def test_demo_daylight(demo):
    pids = set()
    for _ in range(3):
        got = demo.get("/fn/demo/daylight?lat=78.2&lon=15.6")
        assert got.status_code == 200 and got.text.count("<polygon") == 4
        assert got.headers["X-Request-Id"] in got.text
        pids.add(re.search(r"process (\d+)", got.text)[1])
    assert len(pids) == 1
    got = demo.get("/fn/demo/daylight?lat=north")
    assert (got.status_code, got.text) == \
        (400, "lat is a number of degrees, from -90 to 90\n")


def test_demo_worldclock(demo):
    """Once there is a template, each page comes from a process of its own that
    has the table, in huge pages where the system has them."""
    def page(**query):
        got = demo.get("/fn/demo/worldclock", params=query)
        assert got.status_code == 200
        return got.text, dict(re.findall(r'<td id="(\w+)">(.*)', got.text))

    text, _ = page(lat=52.5, lon=13.4)
    assert "Europe/Berlin is the nearest to 52.50, 13.40: 3 km" in text
    template, copies = set(), set()
    for _ in range(3):
        _, figures = eventually(
            lambda: (got := page())[1]["process"].find("a copy") > 0 and got,
            "a process that was copied")
        assert figures["table"].startswith("64 MiB, 4")
        template.add(re.search(r"by process (\d+)$", figures["table"])[1])
        copies.add(re.match(r"(\d+), a copy of process (\d+), made",
                            figures["process"]).groups())
    assert len(template) == 1 and len(copies) == 3
    assert {made_by for _, made_by in copies} == template
    huge = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if huge.exists() and "[never]" not in huge.read_text():
        assert figures["huge"] == "32 of 2 MiB"
    places = {"Pacific/Auckland": (-37, 175), "America/Lima": (-12, -77),
              "Antarctica/McMurdo": (-78, 167)}
    for city, (lat, lon) in places.items():
        assert f"{city} is the nearest" in page(lat=lat, lon=lon)[0], city
    assert "50.25, -150.00" in page(**{"at.x": 80, "at.y": 106})[0]
    assert page(lat=-90, lon=-180) and page(lat=90, lon=180)
    for query in ("lat=91", "lon=x", "lat=nan", "at.x=-1&at.y=5", "at.x=5"):
        code = demo.get("/fn/demo/worldclock?" + query).status_code
        assert code == (200 if query == "at.x=5" else 400), query
    image = demo.get("/fn/demo/worldclock/map")
    assert image.headers["Content-Type"] == "image/bmp"
    assert image.content.startswith(b"BM")
    assert int.from_bytes(image.content[2:6], "little") == len(image.content)
    assert len(set(image.content[-960 * 400:])) > 12


def test_demo_qr(demo):
    got = demo.get("/fn/demo/qr", params={"text": "ä & \\ %41 %n"})
    assert got.headers["Content-Type"] == "image/svg+xml"
    assert "<svg" in got.text
    assert demo.get("/fn/demo/qr").status_code == 400
    assert demo.get("/fn/demo/qr",
                    params={"text": "x" * 5000}).status_code == 400


def test_demo_whoami_and_welcome(demo):
    text = demo.get("/fn/demo/whoami").text
    assert "uid=" in text and "time left" in text
    text = demo.get("/").text
    links = re.findall(r"""href=["']([^"']+)["']""", text)
    assert any(link.endswith("/daylight") for link in links)
    assert len(links) >= 9
    assert any(f"text={demo.url('/')}" in link for link in links)
    forged = demo.get("/fn/demo/welcome", headers={"Host": 'a"<b>'})
    assert "<b>" not in forged.text
    for link in links:
        if "slow" not in link and "events" not in link:
            assert demo.get(link.replace("&amp;", "&")).status_code == 200


@pytest.mark.parametrize("path", ["/fn/demo/events", "/stream/demo/events"])
def test_demo_events(demo, path):
    with demo.get(path, stream=True) as got:
        assert got.headers["Content-Type"] == "text/event-stream"
        lines = got.iter_lines()
        assert next(lines) == b"id: 1"
        assert re.fullmatch(rb"data: \d\d:\d\d:\d\d", next(lines))


def test_gitweb_shows_this_repository(demo):
    if not (ROOT / ".git").exists():
        pytest.skip("not in a clone")
    subject = subprocess.run(
        ["git", "-C", ROOT, "-c", f"safe.directory={ROOT}", "log", "-1",
         "--format=%h"], capture_output=True, check=True).stdout.decode()
    got = demo.get("/fn/git/gitweb?p=.git;a=shortlog")
    assert got.status_code == 200
    assert subject.strip()[:7] in got.text
