# SPDX-License-Identifier: MIT
"""What a request costs the host, counted instead of timed: system calls by strace;
user-space instructions by perf, or, where the machine has no counter of them (few
virtual ones have), by stepping through them one by one."""
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

CALLED = 200		# requests that strace sees
STEPPED = 5		# a step takes forty microseconds


def below(stage, who="host"):
    """{pid: name} of it and all that it started."""
    text = subprocess.run(["ps", "-eo", "pid,ppid,comm"], check=True,
                          capture_output=True, text=True).stdout
    rows = [line.split(None, 2) for line in text.splitlines()[1:]]
    pids = {stage.processes[who].pid}
    for _ in range(6):
        pids |= {int(p) for p, parent, _ in rows if int(parent) in pids}
    return {int(p): name.strip() for p, _, name in rows if int(p) in pids}


def named(stage, name):
    return [pid for pid, found in below(stage).items() if found == name[:15]]


def ask(stage, path, times, wanted=None):
    for _ in range(times):
        try:
            with urllib.request.urlopen(stage.url(path), timeout=60) as reply:
                said = reply.read()
        except urllib.error.HTTPError as error:
            said = error.read()
        if wanted is not None and said != wanted:
            raise SystemExit(f"bench: {said.decode()} at {stage.url(path)}")


def system_calls(stage, path):
    """{process: {system call: how often a request}}"""
    found = {}
    for who in ("fcgi-host-gateway", "fcgi-launcher"):
        pids = named(stage, who)
        if not pids:
            continue
        tracer = subprocess.Popen(
            ["strace", "-c", "-f", "-U", "name,calls"] +
            [word for pid in pids for word in ("-p", str(pid))],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in pids:
            tracer.stderr.readline()	# attached
        ask(stage, path, CALLED)
        tracer.send_signal(signal.SIGINT)
        calls = {}
        for line in tracer.communicate(timeout=20)[1].splitlines():
            words = line.split()
            if len(words) == 2 and words[1].isdigit():
                calls[words[0]] = int(words[1]) / CALLED
        calls.pop("total", None)
        found[who] = calls
    return found


def instructions(stage, path):
    """(instructions of the gateway a request, who counted them)"""
    gateway, = named(stage, "fcgi-host-gateway")
    for counter, times, command in (
            ("perf", CALLED, ["perf", "stat", "-x,", "-e", "instructions:u",
                              "-p", str(gateway)]),
            ("single steps", STEPPED, [stage.build / "bench/steps",
                                       str(gateway)])):
        try:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, text=True)
        except FileNotFoundError:
            continue
        wait_attached(process, gateway)
        ask(stage, path, times)
        process.send_signal(signal.SIGINT)
        text = process.communicate(timeout=60)[1]
        counted = re.match(r"\d+", text.strip())
        if counted:
            return int(counted[0]) / times, counter
    return None, "nobody: neither perf nor ptrace is allowed here"


def wait_attached(process, pid):
    """perf says nothing when it has begun; ptrace is seen in /proc."""
    end = time.monotonic() + 1
    while process.poll() is None and time.monotonic() < end:
        with open(f"/proc/{pid}/status") as lines:
            if re.search(r"^TracerPid:\s+[1-9]", lines.read(), re.M):
                return
        time.sleep(0.01)


def words(per, calls, counted=None):
    text = ""
    for who, counts in calls.items():
        text += (f"{who}: {sum(counts.values()):.1f} system calls {per}: "
                 + ", ".join(f"{name} {n:.1f}" for name, n in sorted(
                     counts.items(), key=lambda item: -item[1]) if n >= 0.05)
                 + "\n")
    if counted:
        number, counter = counted
        text += "fcgi-host-gateway: " + (
            f"{number:,.0f} instructions {per}, counted by {counter}\n"
            if number else f"instructions {per} counted by {counter}\n")
    return text
