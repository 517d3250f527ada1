# SPDX-License-Identifier: MIT
"""What the benches share: their options, rounds that alternate between all that
is measured, so that a slow moment of a shared machine hits everybody, and how
what was found is said: ratios within a round, medians over rounds, a table, the
targets met and missed, a file of JSON."""
import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import servers

DIRECT = "libfcgi direct"


def options(description):
    """Those that all benches have: `make bench` gives all of them the same."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2,
                        help="of load, for each row of a round")
    parser.add_argument("--connections", type=int, nargs="+",
                        default=[1, 32, 256])
    parser.add_argument("--processes", type=int, default=4,
                        help="that start programs at once, for the raw limit")
    return parser


def parse(parser, others=False):
    """others: an option of another bench is no error."""
    args = parser.parse_known_args()[0] if others else parser.parse_args()
    args.build = args.build.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    return args


@contextlib.contextmanager
def staged(args):
    with tempfile.TemporaryDirectory(prefix="fcgi-bench.") as directory:
        stage = servers.Stage(directory, args.build)
        try:
            yield stage
        finally:
            stage.stop()


def progress(what):
    print(f"\r\033[K{what}" if sys.stderr.isatty() else f"{what}",
          end="" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)


def rounds(args, one_round):
    """Yields what one_round found, once a round; it gets what says how far it
    is."""
    for number in range(args.rounds):
        yield one_round(lambda what, n=number + 1: progress(
            f"round {n} of {args.rounds}: {what}"))


def rounds_of_each(args, one_round):
    """{connections: [what one_round found]}"""
    results = {connections: [] for connections in args.connections}
    for found in rounds(args, lambda said: {
            connections: one_round(connections, said)
            for connections in results}):
        for connections, row in found.items():
            results[connections].append(row)
    return results


def wrk_start(url, connections, seconds, script=()):
    threads = 1 if connections == 1 else 2
    return subprocess.Popen(
        ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s",
         "--timeout", "10s", "--latency",
         *(["-s", script[0], url, "--", *map(str, script[1:])] if script
           else [url])], stdout=subprocess.PIPE, text=True)


def wrk_end(process, seconds):
    """requests/s, median and 99th percentile in ms, failed requests."""
    text = process.communicate()[0]
    if process.returncode != 0:
        raise SystemExit(f"bench: wrk ended with {process.returncode}")

    def latency(percent):
        found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)\s*$",
                          text, re.M)
        scale = {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}
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


def wrk(url, connections, seconds, script=()):
    """script: a file of Lua that makes the requests, and its arguments."""
    return wrk_end(wrk_start(url, connections, seconds, script), seconds)


def raw_spawn(build, program, processes, seconds):
    rate, median_us = subprocess.run(
        [build / "bench/spawn", build / "bench" / program, str(processes),
         str(seconds)], check=True, capture_output=True,
        text=True).stdout.split()
    return {"rate": float(rate), "median_ms": int(median_us) / 1e3,
            "p99_ms": 0.0, "failed": 0}


def paced(stage, path, pace, seconds, connections):
    """Asks at a pace, whatever the answers do (paced.c). A row a request: latency
    and how late it was sent, in ms, its status and name."""
    text = subprocess.run(
        [stage.build / "bench/paced", str(stage.port), path, str(pace),
         str(seconds), str(connections)], check=True, capture_output=True,
        text=True).stdout
    rows = [line.split() for line in text.splitlines()]
    return [{"ms": (int(answered) - int(due)) / 1e3,
             "late_ms": (int(sent) - int(due)) / 1e3,
             "status": int(status), "request": name}
            for due, sent, answered, status, name in rows]


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def median_of(found, name, measure):
    return statistics.median(r[name][measure] for r in found)


def ratio_of(found, name, to):
    """Who answered nobody in a round (libfcgi's children can all stand in
    connections that nobody uses) counts as one answer."""
    return statistics.median(r[name]["rate"] / max(r[to]["rate"], 1)
                             for r in found)


def report(args, name, text, reached, facts):
    """reached: [(sentence, wanted, found, met)]"""
    print(f"\n{text}")
    for sentence, wanted, found, met in reached:
        print(f"{'met ' if met else 'MISSED'}  {sentence}: {found}, "
              f"wanted {wanted}")
    path = args.out / f"{name}.json"
    path.write_text(json.dumps(
        {**facts, "processors": os.cpu_count(),
         "targets": [dict(zip(("what", "wanted", "found", "met"), row))
                     for row in reached]}, indent=1) + "\n")
    print(f"\n{path}")
