# SPDX-License-Identifier: MIT
"""bench.py - how fast the host is, beside its peers and beside what this
machine can do at all. Rounds alternate between all of them, so that a slow
moment of a shared machine hits everybody; ratios are taken within a round, and
medians over rounds. Writes bench.json and bench.svg below --out."""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import plot
import servers

RAW = "raw spawn"
DIRECT = "libfcgi direct"
COMPOSITE = "composite limit"
KINDS = ("static", "dynamic")


def wrk(url, connections, seconds, script=()):
    """requests/s, median and 99th percentile in ms, failed requests. script: a
    file of Lua that makes the requests, and its arguments."""
    threads = 1 if connections == 1 else 2
    text = subprocess.run(
        ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s",
         "--timeout", "10s", "--latency",
         *(["-s", script[0], url, "--", *map(str, script[1:])] if script
           else [url])], check=True,
        capture_output=True, text=True).stdout
    scale = {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}

    def latency(percent):
        found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)\s*$",
                          text, re.M)
        # nobody was answered within the time: wrk prints no number
        return float(found[1]) * scale[found[2]] if found else seconds * 1e3
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), "
                        r"write (\d+), timeout (\d+)", text)
    return {
        "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
        "median_ms": latency(50), "p99_ms": latency(99),
        "failed": (int(failed[1]) if failed else 0) +
        (sum(map(int, sockets.groups())) if sockets else 0),
    }


def raw_spawn(build, kind, processes, seconds):
    rate, median_us = subprocess.run(
        [build / "bench/spawn", build / f"bench/hello-{kind}", str(processes),
         str(seconds)], check=True, capture_output=True,
        text=True).stdout.split()
    return {"rate": float(rate), "median_ms": int(median_us) / 1e3,
            "p99_ms": 0.0, "failed": 0}


def composite(spawn, direct):
    """A start and a web request on the same processors."""
    rates = spawn["rate"], direct["rate"]
    return {"rate": 1 / sum(1 / max(rate, 1) for rate in rates),
            "median_ms": spawn["median_ms"] + direct["median_ms"],
            "p99_ms": 0.0, "failed": 0}


def check(urls):
    for name, url in urls.items():
        with urllib.request.urlopen(url, timeout=10) as reply:
            if reply.read() != b"hello\n":
                raise SystemExit(f"bench: {name} does not say hello at {url}")


def one_round(args, urls, connections, progress):
    """{name: measures}, everything once."""
    found = {}
    for name, url in urls.items():
        progress(f"{name}, {connections} connections")
        found[name] = wrk(url, connections, args.seconds)
    processes = 1 if connections == 1 else args.processes
    for kind in KINDS:
        progress(f"{RAW} {kind}")
        found[f"{RAW} {kind}"] = raw_spawn(args.build, kind, processes,
                                           args.seconds)
        if DIRECT in found:
            found[f"{COMPOSITE} {kind}"] = composite(
                found[f"{RAW} {kind}"], found[DIRECT])
    return found


def median_of(rounds, name, measure):
    return statistics.median(r[name][measure] for r in rounds)


def ratio_of(rounds, name, to):
    """Who answered nobody in a round (libfcgi's children can all stand in
    connections that nobody uses) counts as one answer."""
    return statistics.median(r[name]["rate"] / max(r[to]["rate"], 1)
                             for r in rounds)


def targets(results):
    """[(sentence, wanted, found, met)] for what was measured."""
    found = []
    rounds = results.get(32)
    if rounds:
        for to, wanted in ((f"{COMPOSITE} static", 0.9),
                           ("fcgiwrap static", 3.0),
                           ("lighttpd static", 2.5)):
            if to in rounds[0]:
                ratio = ratio_of(rounds, "fcgi-host static", to)
                found.append((f"static program at 32 connections against "
                              f"{to}", f"at least {wanted}", f"{ratio:.2f}",
                              ratio >= wanted))
    rounds = results.get(1)
    if rounds:
        over = statistics.median(
            r["fcgi-host static"]["median_ms"] -
            r[f"{COMPOSITE} static"]["median_ms"] for r in rounds) * 1000
        found.append(("median at 1 connection above raw spawn + direct",
                      "at most 60 µs", f"{over:.0f} µs", over <= 60))
    return found


def syscalls(stage, url):
    """Per request, of gateway and launcher, by strace over 200 requests."""
    text = subprocess.run(["ps", "-eo", "pid,ppid,comm"], check=True,
                          capture_output=True, text=True).stdout
    rows = [line.split(None, 2) for line in text.splitlines()[1:]]
    master = stage.processes["host"].pid
    pids = {master}
    for _ in range(4):
        pids |= {int(p) for p, parent, _ in rows if int(parent) in pids}
    found = {}
    for who in ("fcgi-host-gatew", "fcgi-launcher"):
        mine = [p for p, _, comm in rows
                if int(p) in pids and comm.strip() == who]
        if not mine:
            continue
        tracer = subprocess.Popen(
            ["strace", "-c", "-f", "-U", "name,calls"] +
            [word for p in mine for word in ("-p", p)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        tracer.stderr.readline()	# attached
        for _ in range(200):
            urllib.request.urlopen(url).read()
        tracer.send_signal(2)
        calls = {}
        for line in tracer.communicate(timeout=20)[1].splitlines():
            words = line.split()
            if len(words) == 2 and words[1].isdigit():
                calls[words[0]] = int(words[1]) / 200
        calls.pop("total", None)
        found[who] = calls
    return found


def table(results):
    lines = []
    for connections, rounds in results.items():
        base = f"{COMPOSITE} static"
        lines += [f"{connections} connections, {len(rounds)} rounds", "",
                  "| what | requests/s | of the composite limit | median ms |"
                  " p99 ms | failed |", "|---|---|---|---|---|---|"]
        for name in rounds[0]:
            ratio = ""
            limit = f"{COMPOSITE} {name.split()[-1]}"
            if limit in rounds[0] or base in rounds[0]:
                ratio = f"{ratio_of(rounds, name, limit if limit in rounds[0] else base):.2f}"
            p99 = median_of(rounds, name, "p99_ms")
            lines.append(
                f"| {name} | {median_of(rounds, name, 'rate'):,.0f} | {ratio}"
                f" | {median_of(rounds, name, 'median_ms'):.2f} |"
                f" {f'{p99:.2f}' if p99 else ''} |"
                f" {sum(r[name]['failed'] for r in rounds)} |")
        lines.append("")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2,
                        help="of load, for each row of a round")
    parser.add_argument("--connections", type=int, nargs="+",
                        default=[1, 32, 256])
    parser.add_argument("--processes", type=int, default=4,
                        help="that start programs at once, for the raw limit")
    parser.add_argument("--only", help="a regular expression of rows")
    args = parser.parse_args()
    args.build = args.build.resolve()
    args.out.mkdir(parents=True, exist_ok=True)

    def progress(what):
        print(f"\r\033[K{what}" if sys.stderr.isatty() else f"{what}",
              end="" if sys.stderr.isatty() else "\n", file=sys.stderr,
              flush=True)

    with tempfile.TemporaryDirectory(prefix="fcgi-bench.") as directory:
        stage = servers.Stage(directory, args.build)
        try:
            urls = servers.start_all(stage)
            check(urls)
            if args.only:
                urls = {name: url for name, url in urls.items()
                        if re.search(args.only, name)}
            results = {connections: [] for connections in args.connections}
            for number in range(args.rounds):
                for connections, rounds in results.items():
                    rounds.append(one_round(
                        args, urls, connections,
                        lambda what, n=number + 1: progress(
                            f"round {n} of {args.rounds}: {what}")))
            calls = syscalls(stage, servers.Stage.url(
                stage, "/fn/bench/hello-static"))
        finally:
            stage.stop()
    reached = targets(results)
    print("\n" + table(results))
    for who, counts in calls.items():
        print(f"{who}: {sum(counts.values()):.1f} system calls a request: " +
              ", ".join(f"{name} {n:.1f}" for name, n in sorted(
                  counts.items(), key=lambda item: -item[1]) if n >= 0.05))
    print()
    for sentence, wanted, found, met in reached:
        print(f"{'met ' if met else 'MISSED'}  {sentence}: {found}, "
              f"wanted {wanted}")
    (args.out / "bench.json").write_text(json.dumps(
        {"rounds": {str(c): r for c, r in results.items()},
         "system_calls": calls, "processors": os.cpu_count(),
         "targets": [dict(zip(("what", "wanted", "found", "met"), row))
                     for row in reached]}, indent=1) + "\n")
    plot.draw(results, args.out / "bench.svg")
    print(f"\n{args.out}/bench.json, {args.out}/bench.svg")


if __name__ == "__main__":
    main()
