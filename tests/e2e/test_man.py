# SPDX-License-Identifier: MIT
"""The examples of the man pages are done as they stand there, on a host of their
own for each page. If one of these fails, a page tells people what is not so.

In a page a block behind `.\\" example: KIND` is an example:
  file PATH        is put there
  shell            commands behind $ with what they print; ... is anything
  shell as root    the same, behind #, and only where we are root
  musl             commands behind $, and only where musl-gcc is
  conf             a configuration that is good
  bad conf         one that is not, and the block behind it (its errors)
  lighttpd         part of a configuration of lighttpd
Places that are the system's in the page are the host's own in the test."""
import os
import re
import shutil
import subprocess

import pytest

from host import BUILD, IS_ROOT, ROOT, Host, eventually, free_port, made

PAGES = sorted((ROOT / "fcgi-host" / "man").glob("*.[1-8]"))
LIGHTTPD = shutil.which("lighttpd", path=os.environ["PATH"] + ":/usr/sbin")


def examples(page):
    """[(number of the line, kind, text)]"""
    found, lines = [], page.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        match = re.match(r'\.\\" example: (.*)', line)
        if match:
            assert lines[number].startswith(".Bd -literal"), (page, number)
            end = lines.index(".Ed", number)
            text = "\n".join(lines[number + 1:end]) + "\n"
            for old, new in ((r"\&", ""), (r"\-", "-"), (r"\(dq", '"'),
                             (r"\e", "\\")):
                text = text.replace(old, new)
            found.append((number, match.group(1), text))
    return found


class Place:
    """A host, and a directory to work in, for one page."""

    def __init__(self, host):
        self.host = host
        self.work = host.base / "work"
        self.work.mkdir()
        (self.work / ".curlrc").write_text(
            f'connect-to = "localhost:80:127.0.0.1:{host.port}"\n'
            "silent\nshow-error\n")
        self.names = [("/srv/functions", host.functions),
                      ("/run/fcgi-host", host.run),
                      ("/var/log/fcgi-host", host.run / "log"),
                      ("/etc/fcgi-host/fcgi-host.conf", host.conf),
                      ("/usr/local/lib/musl/include",
                       ROOT / "fcgi-host" / "sdk"),
                      ("/usr/local/lib/musl/lib", ROOT / "build" / "musl"),
                      ("/usr/local/include", ROOT / "fcgi-host" / "sdk"),
                      ("/usr/local/lib", ROOT / "build" / "release")]
        host.tenant("acme")

    def ours(self, text):
        for there, here in self.names:
            text = text.replace(there, str(here))
        return text

    def theirs(self, text):
        # a host that is installed has it below /usr, which cells show anyway
        text = re.sub(rf"(?m)^\w+ {BUILD}/fcgi-host-python.*\n", "", text)
        for there, here in sorted(self.names, key=lambda n: -len(str(n[1]))):
            text = text.replace(str(here), there)
        return text

    def file(self, path, text):
        path = self.work / self.ours(path)
        self.host.write(path, self.ours(text), 0o644)

    def shell(self, text, prompt):
        commands = split(text, prompt)
        assert commands
        script = "umask 022\n" + "".join(
            f"{self.ours(command)}\nprintf '\\036'\n"
            for command, _ in commands)
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.work, timeout=60,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env={
                "PATH": f"{BUILD}:{os.environ['PATH']}",
                "HOME": str(self.work), "LC_ALL": "C.UTF-8",
                "FCGI_HOST_RUN": str(self.host.run)})
        printed = self.theirs(done.stdout.decode()).split("\036")
        assert len(printed) == len(commands) + 1, printed
        for (command, wanted), got in zip(commands, printed):
            pattern = ".*?".join(re.escape(piece)
                                 for piece in blank(wanted).split("..."))
            assert re.fullmatch(pattern, blank(got)), \
                f"$ {command}\n{got}\nwanted:\n{wanted}"

    def conf(self, text):
        """What the host says of a configuration."""
        path = self.work / "host.conf"
        path.write_text(text)
        return subprocess.run([BUILD / "fcgi-host", "-n", "-c", path.name],
                              cwd=self.work, capture_output=True, text=True)

    def lighttpd(self, text):
        if not LIGHTTPD:
            return
        port = free_port()
        path = self.work / "lighttpd.conf"
        path.write_text(f'server.document-root = "{self.work}"\n'
                        f'server.bind = "127.0.0.1"\nserver.port = {port}\n'
                        "server.modules = ()\n" + self.ours(text))
        with subprocess.Popen([LIGHTTPD, "-D", "-f", path],
                              stderr=subprocess.DEVNULL) as server:
            try:
                got = eventually(lambda: subprocess.run(
                    ["curl", "-s", f"http://127.0.0.1:{port}/fn/acme/hello"],
                    capture_output=True).stdout, "lighttpd to answer")
                assert got == b"hello\n"
            finally:
                server.terminate()


def split(text, prompt):
    """[(command, what it prints)]"""
    found, open_ = [], False
    for line in text.splitlines():
        if line.startswith(prompt) and not open_:
            found.append([line[2:], ""])
        elif open_:
            found[-1][0] += "\n" + line.removeprefix("> ")
        else:
            found[-1][1] += line + "\n"
            continue
        open_ = line.endswith(("\\", "|"))
    return [(command, re.sub(r"\\\n *", "", printed))
            for command, printed in found]


def blank(text):
    """Columns may be wider than in the page."""
    return re.sub(r"[ \t]+", " ", text.replace("\r", "")).strip()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples(page):
    found = examples(page)
    assert found, "no example is marked"
    with Host() as host:
        place, before = Place(host), None
        for number, kind, text in found:
            print(f"{page.name}:{number}: {kind}")
            word, _, rest = kind.partition(" ")
            if word == "file":
                place.file(rest, text)
            elif kind == "shell":
                place.shell(text, "$ ")
            elif kind == "musl":
                if shutil.which("musl-gcc"):
                    made("FLAVOUR=musl", "build/musl/libfn.a")
                    place.shell(text, "$ ")
            elif kind == "shell as root":
                if IS_ROOT:
                    place.shell(text, "# ")
            elif kind == "conf":
                done = place.conf(text)
                assert done.returncode == 0, done.stderr
            elif kind == "bad conf":
                before = place.conf(text)
                assert before.returncode == 1
            elif kind == "its errors":
                assert blank(before.stderr) == \
                    blank(re.sub(r"\\\n *", "", text))
            elif kind == "lighttpd":
                place.lighttpd(text)
            else:
                pytest.fail(f"no such kind: {kind}")


def test_fields_of_the_access_log():
    page = (ROOT / "fcgi-host" / "man" / "fcgi-host.8").read_text()
    part = page[page.index(".Ss Log files"):page.index(".Sh ENVIRONMENT")]
    documented = {word for line in re.findall(r"\.It Li (.*)", part)
                  for word in line.split(" ") if word != ","}
    found = set()
    with Host() as host:
        host.function("rogue", "slow", conf='limits = { time = "1ms"; };')
        host.function("rogue", "warm",
                      ROOT / "tests" / "e2e" / "workers" / "worker.py",
                      conf='protocol = "fastcgi";')
        for name, steps in (("rogue", "head"), ("rogue", "exit=3"),
                            ("rogue", "signal=KILL"), ("slow", "forever"),
                            ("warm", "head&out=fine")):
            got = host.rogue(steps, name=name,
                             headers={"X-Request-Id": "mine"})
            found |= set(host.access(got.request_id))
    assert found == documented


def test_pages_have_what_the_sources_have():
    """Options, settings, errors, verbs, steps, with their defaults and words."""
    done = subprocess.run([ROOT / "tests" / "check-man", BUILD],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
