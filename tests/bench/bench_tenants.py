# SPDX-License-Identifier: MIT
"""bench_tenants.py - what strangers on one machine cost each other, and what
keeping them apart costs: starting programs in a tenant's sandbox and outside, the
latency of one tenant while another floods, a tenant's first request, the memory
of its processes. Rounds alternate, as in bench.py; writes bench_tenants.json and
bench_tenants.svg below --out."""
import http.client
import json
import os
import shutil
import statistics
import subprocess
import time

import plot
import servers
from bench_common import (median_of, options, paced, parse, percentile, ratio_of,
                          report, rounds, staged, wrk_end, wrk_start)

PACE = 100		# requests/s of the victim
FLOOD = 256		# connections of the other
CONNECTIONS = 16	# of the victim; more when it has to wait
COLD = 12		# tenants asked for the first time, a round
INSIDE, OUTSIDE = "inside a cell", "outside"
ALONE, FLOODED = "alone", "under the flood"
VICTIM, STATIC = "victim's function", "nginx static reply"
PHASES = ("upload", "waited", "started", "ran")		# of an access record

# Each line of the log is looked for.
CONFIGURATION = """
logs = { size = "1 GiB"; };
"""


def programs(stage):
    """The tenants' directories, before the host starts."""
    hello = stage.build / "bench/hello-static"
    names = ["victim", "flood", "spawn"] + [
        f"cold{number}" for number in range(1 + COLD * stage.rounds)]
    for tenant in names:
        directory = stage.directory / "functions" / tenant
        directory.mkdir()
        shutil.copy(hello, directory / "hello")
    directory = stage.directory / "functions/spawn"
    shutil.copy(stage.build / "bench/spawn", directory / "spawner")
    script = directory / "spawn"
    script.write_text("#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\n"
                      "exec ./spawner ./hello $QUERY_STRING 1 scope\n")
    script.chmod(0o755)


def get(stage, path):
    connection = http.client.HTTPConnection("127.0.0.1", stage.port,
                                            timeout=20)
    connection.request("GET", path)
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    if reply.status != 200:
        raise SystemExit(f"bench: {path} answers {reply.status}: {text}")
    return text


def spawned(text):
    rate, median_us = text.split()
    return {"rate": float(rate), "median_ms": int(median_us) / 1e3}


def spawn_outside(stage, processes):
    """Scheduled as functions are, in a session of its own: what differs is the
    sandbox."""
    return subprocess.run(
        [stage.build / "bench/spawn", stage.build / "bench/hello-static",
         str(processes), "1"], check=True, capture_output=True, text=True,
        start_new_session=True,
        preexec_fn=lambda: os.sched_setscheduler(
            0, os.SCHED_BATCH, os.sched_param(0))).stdout


def ask_both(stage, seconds):
    """The victim's function, and what nginx answers by itself meanwhile."""
    return {VICTIM: paced(stage, "/fn/victim/hello", PACE, seconds,
                          CONNECTIONS),
            STATIC: paced(stage, "/static", PACE, max(1, seconds // 2),
                          CONNECTIONS)}


def connections(port):
    """How many clients have one to that port of ours: as /proc/net/tcp has it,
    local address in hex, 01 for established."""
    with open("/proc/net/tcp") as table:
        return sum(row.split()[1].endswith(f":{port:04X}") and
                   row.split()[3] == "01" for row in table)


def flooded(stage, seconds):
    lasts = seconds + max(1, seconds // 2) + 1
    flood = wrk_start(stage.url("/fn/flood/hello"), FLOOD, lasts)
    servers.wait_until(lambda: connections(stage.port) >= FLOOD,
                       f"a flood of {FLOOD} connections")
    found = ask_both(stage, seconds)
    return found, wrk_end(flood, lasts)


def cold(stage, numbers):
    """ms from a tenant's first request to the first byte of its answer."""
    found = []
    connection = http.client.HTTPConnection("127.0.0.1", stage.port,
                                            timeout=20)
    connection.connect()
    for number in numbers:
        begun = time.monotonic()
        connection.request("GET", f"/fn/cold{number}/hello")
        connection.sock.recv(1, servers.socket.MSG_PEEK)
        found.append((time.monotonic() - begun) * 1e3)
        reply = connection.getresponse()
        reply.read()
        if reply.status != 200:
            raise SystemExit(f"bench: a cold tenant answers {reply.status}")
    connection.close()
    return found


def phases(stage, rows):
    """Adds to each request what its access record says of it, in ms. False: there
    is one that has none yet."""
    wanted = {row["request"]: row for row in rows}
    for path in (stage.directory / "run/log").glob("access.log*"):
        with open(path) as lines:
            for line in lines:
                if '"tenant":"victim"' not in line:
                    continue
                record = json.loads(line)
                row = wanted.get(record["request"])
                if row:
                    row.update({phase: record.get(f"{phase}_ms", 0)
                                for phase in PHASES})
    return all(PHASES[0] in row for row in rows)


def private_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        return sum(int(line.split()[1]) for line in lines
                   if line.startswith(("Private_Clean:", "Private_Dirty:")))


def memory(stage):
    """{name: [KiB]} of the cells' first processes and of the launchers, while
    several cells are there: what they share is nobody's own. Only root may look:
    they keep what they know to themselves."""
    text = subprocess.run(["ps", "-eo", "pid,ppid,comm"], check=True,
                          capture_output=True, text=True).stdout
    processes = [line.split(None, 2) for line in text.splitlines()[1:]]
    below = {stage.processes["host"].pid}
    for _ in range(4):
        below |= {int(p) for p, parent, _ in processes if int(parent) in below}
    found = {"fcgi-host-cell": [], "fcgi-launcher": []}
    for pid, _, name in processes:
        if int(pid) in below and name[:14] in found and servers.ROOTED:
            found[name[:14]].append(private_kib(pid))
    return found


def one_round(stage, args, said):
    seconds = 2 * args.seconds
    said(f"starting programs {INSIDE} and {OUTSIDE}")
    before = spawned(spawn_outside(stage, args.processes))
    found = {INSIDE: spawned(get(stage, f"/fn/spawn/spawn?{args.processes}"))}
    after = spawned(spawn_outside(stage, args.processes))
    found[OUTSIDE] = {measure: (before[measure] + after[measure]) / 2
                      for measure in before}
    said(f"{COLD} tenants' first requests")
    found["cold"] = cold(stage, [stage.colder.pop() for _ in range(COLD)])
    said(f"{PACE} requests/s {ALONE}")
    found[ALONE] = ask_both(stage, seconds)
    said(f"{PACE} requests/s {FLOODED}")
    found[FLOODED], found["flood"] = flooded(stage, seconds)
    return found


def rows_of(results, when, who):
    return [row for found in results for row in found[when][who]]


def latency(results, when, who, percent):
    return percentile([row["ms"] for row in rows_of(results, when, who)],
                      percent)


def targets(results, used):
    """[(sentence, wanted, found, met)]"""
    ratio = ratio_of(results, INSIDE, OUTSIDE)
    times = latency(results, FLOODED, VICTIM, 99) / \
        latency(results, ALONE, VICTIM, 99)
    first = statistics.median(ms for found in results for ms in found["cold"])
    found = [
        (f"starts {INSIDE} against {OUTSIDE}", "at least 0.95",
         f"{ratio:.2f}", ratio >= 0.95),
        (f"99th percentile at {PACE} requests/s while another tenant floods "
         f"{FLOOD} connections, against {ALONE}", "at most 2.0",
         f"{times:.1f}", times <= 2),
        ("median of a tenant's first request", "under 15 ms",
         f"{first:.1f} ms", first < 15)]
    for name, most, sentence in (
            ("fcgi-host-cell", 256, "of a cell's first process"),
            ("fcgi-launcher", 64, "of a launcher")):
        if used[name]:
            kib = statistics.median(used[name])
            found.append((f"private memory {sentence}", f"under {most} KiB",
                          f"{kib:.0f} KiB", kib < most))
    return found


def table(results):
    lines = [f"{PACE} requests/s, {len(results)} rounds", "",
             "| who | when | median ms | p90 | p99 | sent late, p99 |"
             " failed |", "|---|---|---|---|---|---|---|"]
    for who in (VICTIM, STATIC):
        for when in (ALONE, FLOODED):
            rows = rows_of(results, when, who)
            late = percentile([row["late_ms"] for row in rows], 99)
            lines.append(
                f"| {who} | {when} | "
                + " | ".join(f"{latency(results, when, who, p):.2f}"
                             for p in (50, 90, 99))
                + f" | {late:.2f} |"
                f" {sum(row['status'] != 200 for row in rows)} |")
    lines += ["", "| of it, by its access record | when | median ms | p90 |"
              " p99 |", "|---|---|---|---|---|"]
    for when in (ALONE, FLOODED):
        rows = [row for row in rows_of(results, when, VICTIM)
                if PHASES[0] in row]
        parts = {phase: [row[phase] for row in rows] for phase in PHASES}
        parts["between web server and gateway"] = [
            row["ms"] - sum(row[phase] for phase in PHASES) for row in rows]
        for part, values in parts.items():
            if values:
                lines.append(f"| {part} | {when} | " + " | ".join(
                    f"{percentile(values, p):.2f}" for p in (50, 90, 99))
                    + " |")
    starts = " and ".join(f"{median_of(results, where, 'rate'):,.0f} {where}"
                          for where in (INSIDE, OUTSIDE))
    lines += ["", f"starts/s: {starts}",
              f"the flood: {median_of(results, 'flood', 'rate'):,.0f} "
              f"requests/s, {sum(r['flood']['failed'] for r in results)} "
              "failed", ""]
    return "\n".join(lines)


def main():
    args = parse(options(__doc__), others=True)
    with staged(args) as stage:
        stage.rounds = args.rounds
        stage.colder = list(range(1 + COLD * args.rounds))
        programs(stage)
        servers.start_host(stage, CONFIGURATION)
        servers.start_nginx(stage, wrap=False)
        for tenant in ("victim", "flood", f"cold{stage.colder.pop()}"):
            get(stage, f"/fn/{tenant}/hello")
        results = list(rounds(args, lambda said: one_round(stage, args, said)))
        used = memory(stage)
        asked = [row for when in (ALONE, FLOODED)
                 for row in rows_of(results, when, VICTIM)]
        servers.wait_until(lambda: phases(stage, asked),
                           "the last access record")
    report(args, "bench_tenants", table(results), targets(results, used),
           {"rounds": results, "private_kib": used})
    plot.draw_latency(
        {f"{who}, {when}": [row["ms"] for row in rows_of(results, when, who)]
         for who in (VICTIM, STATIC) for when in (ALONE, FLOODED)},
        args.out / "bench_tenants.svg")
    print(f"{args.out}/bench_tenants.svg")


if __name__ == "__main__":
    main()
