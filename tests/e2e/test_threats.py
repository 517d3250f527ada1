# SPDX-License-Identifier: MIT
"""How other hosts were broken into by the files of their tenants, tried here. Each
row of the table in SECURITY.md that is no case of another file is one here. If one
fails, a hole that others had is ours."""
import ctypes
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from cells import settle, uid_of
from host import FLAVOUR, IS_ROOT, count, eventually

CONF = f"""
users = {{ tenants_first = {1_200_000 + os.getpid() * 100}; }};
drain = "5s";
limits = {{ grace = "100ms"; }};
"""
root_only = pytest.mark.skipif(not IS_ROOT, reason="needs several users")
untraced = pytest.mark.skipif(FLAVOUR == "asan",
                              reason="the sanitizer needs the calls")


class Trace:
    """What one process asks of the kernel, by strace."""

    def __init__(self, host, pid, calls):
        self.path = host.base / "trace"
        self.pid = pid
        self.tracer = subprocess.Popen(
            ["strace", "-qq", "-s", "4096", "-o", str(self.path), "-e",
             f"trace={calls}", "-p", str(pid)], stderr=subprocess.PIPE)

    def __enter__(self):
        def attached():
            assert self.tracer.poll() is None, self.tracer.stderr.read()
            return "TracerPid:\t0" not in \
                Path(f"/proc/{self.pid}/status").read_text()
        eventually(attached, "strace to attach")
        return self

    def __exit__(self, *_):
        self.tracer.terminate()
        self.tracer.wait()

    def lines(self):
        return self.path.read_text(errors="replace").splitlines()


def kill_cells(host):
    for pid in host.cells():
        os.kill(pid, 9)


# root opened a log in a directory of the tenant (CVE-2016-1247, CVE-2013-2119)
@root_only
@untraced
def test_root_opens_nothing_below_a_tenants_directory(new_host):
    host = new_host(CONF)
    path = settle(host, "owned")
    for each in [path, *path.iterdir()]:
        os.chown(each, 5301, 5301)
    settle(host, "of-root")
    calls = "open,openat,openat2,creat,chown,fchown,lchown,fchownat,chmod," \
        "fchmod,fchmodat,mkdir,mkdirat,link,linkat,symlink,symlinkat,rename," \
        "renameat,renameat2,unlink,unlinkat,truncate,ftruncate,mknod,mknodat"
    with Trace(host, host.master.pid, calls) as trace:
        for tenant in ("owned", "of-root"):
            assert host.rogue("head&out=x&err=to+the+log",
                              tenant=tenant).text == "x"
        host.ctl("list")
        host.ctl("reload")
        host.wait_log("owned", "to the log")
        eventually(lambda: any('"owned"' in line for line in trace.lines()))
    for line in trace.lines():
        if re.search(r'"(?:[^"]*/)?(?:owned|of-root)(?:/[^"]*)?"', line):
            assert line.startswith("openat2(") and "O_PATH" in line \
                and "RESOLVE_NO_SYMLINKS" in line \
                and "RESOLVE_BENEATH" in line, line
    for log in (host.run / "log").rglob("*"):
        assert log.stat().st_uid != 5301


# settings of a directory chose another user (CVE-2025-66200)
@pytest.mark.parametrize("name", ["user", "uid", "group", "run_as", "setuid",
                                  "network", "read", "write", "plan",
                                  "memory", "tenant"])
@pytest.mark.parametrize("file", ["chooser.conf", "tenant.conf"])
def test_a_tenants_settings_choose_no_user_and_no_terms(host, name, file):
    settle(host, "chooser", "chooser")
    path = host.write(host.functions / "chooser" / file,
                      f'{name} = "root";', 0o644)
    host.get("/fn/chooser/chooser?head").problem(503, "refused", name,
                                                f"{file}:1")
    path.unlink()


# a path was swapped between the check and the mount (CVE-2021-30465)
def exchange(one, other):
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.renameat2(-100, bytes(one), -100, bytes(other), 2) == 0, \
        os.strerror(ctypes.get_errno())


@root_only
@pytest.mark.parametrize("owner", [0, 5302])
def test_data_is_swapped_while_cells_are_made(new_host, owner):
    """A link in place of data/ leads to where this tenant has no right at all;
    neither is it mounted, nor does anything there change hands."""
    host = new_host(CONF)
    path = settle(host, "swapper")
    victim = host.base / "victim"
    victim.mkdir()
    victim.chmod(0o755)
    before = victim.stat()
    link = path / ".link"
    link.symlink_to(victim)
    for each in [path, *path.iterdir()]:
        os.chown(each, owner, owner, follow_symlinks=False)
    over = threading.Event()

    def swap():
        while not over.is_set():
            exchange(path / "data", link)
    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        answers = set()
        for _ in range(count(30, 3000)):
            got = host.rogue("head&write=data/planted", tenant="swapper")
            answers.add((got.status, got.text if got.status == 200 else ""))
            kill_cells(host)
    finally:
        over.set()
        swapper.join()
    assert {status for status, _ in answers} <= {200, 502, 503}, answers
    assert not list(victim.iterdir())
    now = victim.stat()
    assert (now.st_uid, now.st_mode) == (before.st_uid, before.st_mode)


@root_only
def test_a_tenants_directory_is_swapped_while_cells_are_made(new_host):
    """Master opened one directory, and it is this one that is shown, or none."""
    host = new_host(CONF)
    settle(host, "victim")
    secret = host.data("secret", "victim")
    secret.write_text("secret")
    path = settle(host, "turning")
    for each in [path, *path.iterdir()]:
        os.chown(each, 5303, 5303)
    link = host.functions / ".link"
    link.symlink_to(host.functions / "victim")
    over = threading.Event()

    def swap():
        while not over.is_set():
            exchange(path, link)
    swapper = threading.Thread(target=swap)
    swapper.start()
    texts = set()
    try:
        for _ in range(count(100, 3000)):
            got = host.rogue("head&cat=data/secret", tenant="turning")
            if got.status == 200:
                texts.add(got.text)
            kill_cells(host)
    finally:
        over.set()
        swapper.join()
    assert "secret" not in texts, texts


# characters typed into the terminal of whoever started it (CVE-2017-5226)
def test_no_process_of_the_host_has_a_terminal(host):
    host.rogue("head")
    for pid in {host.master.pid, host.gateway, host.log, host.state,
                *host.cells(), *host.launchers()}:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
        assert fields.split()[4] == "0", pid        # tty_nr


# a cgroup's release_agent runs as root (CVE-2022-0492)
@root_only
def test_no_file_system_of_the_kernel_is_mounted_in_a_cell(new_host):
    """But /proc, which has no sysctl in it."""
    host = new_host(CONF)
    mounts = host.rogue("head&cat=/proc/self/mountinfo").text
    kinds = set(re.findall(r" - (\S+) ", mounts))
    devices = [line.split()[4] for line in mounts.splitlines()
               if " - devtmpfs " in line]
    assert set(devices) <= {f"/dev/{name}" for name in (
        "null", "zero", "full", "random", "urandom")}, devices
    assert kinds and not kinds & {
        "cgroup", "cgroup2", "sysfs", "debugfs", "tracefs", "securityfs",
        "bpf", "configfs", "devpts", "mqueue", "fusectl"}, kinds
    for path in ("/proc/sys", "/proc/sysrq-trigger", "/proc/kcore",
                 "/sys/fs/cgroup"):
        got = host.rogue(f"head&cat={path}").text
        assert got.startswith("No such file"), (path, got[:100])


# an open descriptor of the host led out of the container (CVE-2024-21626)
@root_only
def test_no_process_in_a_cell_has_a_descriptor_of_the_hosts_files(new_host):
    """Not the functions, and not cell and launchers, whose they might get."""
    host = new_host(CONF)
    host.rogue("head")
    own = str(host.functions / "rogue")
    for pid in host.cells() + host.launchers():
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            target = os.readlink(entry)
            assert not target.startswith("/") or target == "/dev/null" \
                or target == own or target.startswith(own + "/") \
                or target.startswith(str(host.errors)) or \
                "(deleted)" in target, (pid, target)


# who runs in a cell as root overwrote the host's program (CVE-2019-5736)
@root_only
def test_the_hosts_programs_cannot_be_written_from_a_cell(new_host):
    host = new_host(CONF)
    uid = uid_of(host, "rogue")
    for pid in host.cells() + host.launchers():
        status = Path(f"/proc/{pid}/status").read_text()
        assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}\n" in status
        assert "CapEff:\t0000000000000000\n" in status
    for what in ("/proc/self/exe", "/proc/1/exe"):
        assert host.rogue(f"head&write={what}").text != "ok\n"


# what outlives a tenant's removal is somebody else's problem (uid reused)
@root_only
def test_a_user_id_is_never_given_to_another_tenant(new_host):
    host = new_host(CONF)
    settle(host, "first")
    uid = uid_of(host, "first")
    shutil.rmtree(host.functions / "first")
    for name in ("second", "third"):
        settle(host, name)
        assert uid_of(host, name) != uid
    settle(host, "first")
    assert uid_of(host, "first") == uid
