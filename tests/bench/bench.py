# SPDX-License-Identifier: MIT
"""bench.py - how fast the host is, beside its peers and beside what this
machine can do at all. Rounds alternate between all of them, so that a slow
moment of a shared machine hits everybody; ratios are taken within a round, and
medians over rounds. Writes bench.json and bench.svg below --out."""
import re
import statistics
import urllib.request

import counts
import plot
import servers
from bench_common import (DIRECT, median_of, options, parse, ratio_of,
                          raw_spawn, report, rounds_of_each, staged, wrk)

RAW = "raw spawn"
COMPOSITE = "composite limit"
KINDS = ("static", "dynamic")


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
        found[f"{RAW} {kind}"] = raw_spawn(args.build, f"hello-{kind}",
                                           processes, args.seconds)
        if DIRECT in found:
            found[f"{COMPOSITE} {kind}"] = composite(
                found[f"{RAW} {kind}"], found[DIRECT])
    return found


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
    parser = options(__doc__)
    parser.add_argument("--only", help="a regular expression of rows")
    args = parse(parser)
    with staged(args) as stage:
        urls = servers.start_all(stage)
        check(urls)
        if args.only:
            urls = {name: url for name, url in urls.items()
                    if re.search(args.only, name)}
        results = rounds_of_each(
            args, lambda connections, said: one_round(args, urls, connections,
                                                      said))
        calls = counts.system_calls(stage, "/fn/bench/hello-static")
    text = table(results) + "\n" + counts.words("a request", calls)
    report(args, "bench", text, targets(results),
           {"rounds": {str(c): r for c, r in results.items()},
            "system_calls": calls})
    plot.draw(results, args.out / "bench.svg")
    print(f"{args.out}/bench.svg")


if __name__ == "__main__":
    main()
