# SPDX-License-Identifier: MIT
"""bench_state.py - how fast state is over nginx, beside a libfcgi program that keeps
nothing, beside SQLite in one process with the same settings, and beside the disk's
own fdatasync. Every PUT is on the disk when it is answered. Rounds alternate, as in
bench.py; writes bench_state.json below --out."""
import http.client
import json
import statistics
import subprocess
import tempfile
import time

import servers
from bench_common import (DIRECT, median_of, options, parse, ratio_of, report,
                          rounds_of_each, staged, wrk)

KEYS = 100		# of each tenant
TENANTS = 100
RAW = ("raw SQLite, a commit each", "raw SQLite, a commit for 8",
       "raw SQLite, a commit for 64", "raw SQLite, point reads")


def name_of(method, tenants):
    what = "durable PUT" if method == "PUT" else "GET"
    return f"{what}, {tenants} tenant{'s' if tenants > 1 else ''}"


def ctl(stage, *words):
    return subprocess.run(
        [stage.build / "fcgi-hostctl", "--run", stage.directory / "run",
         *words], check=True, capture_output=True, text=True).stdout


def mint(stage):
    """{tenants: file with their tokens}"""
    tokens = [ctl(stage, "token", "mint", "--tenant", f"bench{number}",
                  "--scope", "write", "--ttl", "1d")
              for number in range(TENANTS)]
    return {number: stage.write(f"tokens{number}", "".join(tokens[:number]))
            for number in (1, TENANTS)}


def fill(stage, tokens):
    """Every key there is to be read."""
    connection = http.client.HTTPConnection("127.0.0.1", stage.port)
    body = json.dumps({"ops": [
        {"op": "set", "key": f"bench/{key}", "value": "x" * 100}
        for key in range(1, KEYS + 1)]})
    for token in tokens.read_text().split():
        connection.request("POST", "/state/v1/atomic", body, {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json"})
        reply = connection.getresponse()
        text = reply.read()
        if reply.status != 200:
            raise SystemExit(f"bench: state answers {reply.status}: {text}")
    connection.close()


def load(stage, method, tokens, connections, seconds):
    return wrk(stage.url("/"), connections, seconds, script=(
        servers.ROOT / "tests/bench/state.lua", method, KEYS, tokens))


def raw(stage, build, seconds):
    """{name: measures} and the disk's fdatasync in µs."""
    with tempfile.TemporaryDirectory(dir=stage.directory) as place:
        text = subprocess.run(
            [build / "bench/raw_sqlite", place, str(seconds)], check=True,
            capture_output=True, text=True).stdout.split()
    fdatasync, *rates = map(float, text)
    return {name: {"rate": rate, "median_ms": 1e3 / rate, "p99_ms": 0.0,
                   "failed": 0} for name, rate in zip(RAW, rates)}, fdatasync


def commits(stage):
    """How many the state process has made, in how many groups. It says so once a
    second."""
    before = None
    while True:
        state = json.loads(ctl(stage, "status", "--json"))["state"]
        now = state["commits"], state["commit_groups"]
        if now == before:
            return now
        before = now
        time.sleep(1.5)


def group_size(stage, tokens, connections):
    """PUTs for each time the disk is waited for."""
    commits_before, groups_before = commits(stage)
    load(stage, "PUT", tokens, connections, 1)
    commits_after, groups_after = commits(stage)
    return (commits_after - commits_before) / (groups_after - groups_before)


def one_round(stage, args, tokens, connections, progress):
    found = {}
    progress(f"{DIRECT}, {connections} connections")
    found[DIRECT] = wrk(stage.url("/direct"), connections, args.seconds)
    for method in ("GET", "PUT"):
        for tenants, file in tokens.items():
            name = name_of(method, tenants)
            progress(f"{name}, {connections} connections")
            found[name] = load(stage, method, file, connections, args.seconds)
    progress("raw SQLite")
    rows, fdatasync = raw(stage, args.build, args.seconds / 4)
    for row in found.values():
        row["fdatasync_us"] = fdatasync
    return {**found, **rows}


def targets(results):
    """[(sentence, wanted, found, met)]"""
    found = []

    def ratio(rounds, name, to, wanted):
        value = ratio_of(rounds, name, to)
        found.append((f"{name} at 32 connections against {to}",
                      f"at least {wanted}", f"{value:.2f}", value >= wanted))
    if 32 in results:
        ratio(results[32], name_of("GET", 1), DIRECT, 0.7)
        ratio(results[32], name_of("PUT", 1), DIRECT, 0.5)
        ratio(results[32], name_of("PUT", 1), RAW[0], 2.5)
    if 1 in results:
        over = statistics.median(
            r[name_of("GET", 1)]["median_ms"] - r[DIRECT]["median_ms"]
            for r in results[1]) * 1000
        found.append(("median GET at 1 connection above libfcgi direct",
                      "at most 60 µs", f"{over:.0f} µs", over <= 60))
    return found


def table(results, groups):
    lines = []
    for connections, rounds in results.items():
        fdatasync = statistics.median(r[DIRECT]["fdatasync_us"]
                                      for r in rounds)
        lines += [f"{connections} connections, {len(rounds)} rounds; "
                  f"fdatasync of the disk: {fdatasync:.0f} µs", "",
                  "| what | requests/s | of libfcgi direct | median ms |"
                  " p99 ms | failed | PUTs a commit |",
                  "|---|---|---|---|---|---|---|"]
        for name in rounds[0]:
            p99 = median_of(rounds, name, "p99_ms")
            size = groups.get((connections, name))
            lines.append(
                f"| {name} | {median_of(rounds, name, 'rate'):,.0f} |"
                f" {ratio_of(rounds, name, DIRECT):.2f} |"
                f" {median_of(rounds, name, 'median_ms'):.3f} |"
                f" {f'{p99:.2f}' if p99 else ''} |"
                f" {sum(r[name]['failed'] for r in rounds)} |"
                f" {f'{size:.1f}' if size else ''} |")
        lines.append("")
    return "\n".join(lines)


def main():
    args = parse(options(__doc__), others=True)
    with staged(args) as stage:
        servers.start_host(stage)
        servers.start_nginx(stage, wrap=False,
                            peers=[servers.start_direct(stage)])
        tokens = mint(stage)
        fill(stage, tokens[TENANTS])
        results = rounds_of_each(
            args, lambda connections, said: one_round(stage, args, tokens,
                                                      connections, said))
        groups = {(connections, name_of("PUT", tenants)):
                  group_size(stage, file, connections)
                  for connections in results
                  for tenants, file in tokens.items()}
    report(args, "bench_state", table(results, groups), targets(results),
           {"rounds": {str(c): r for c, r in results.items()},
            "puts_a_commit": {f"{name}, {c} connections": size
                              for (c, name), size in groups.items()}})


if __name__ == "__main__":
    main()
