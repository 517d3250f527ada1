# SPDX-License-Identifier: MIT
"""bench_templates.py - what it is worth that a process is a copy of one that has
begun already: C with a table in memory, in huge pages and in small ones; Python,
small and with Flask, beside a process that stays and the same under uWSGI. Each
beside the same program executed for every request, one connection, and, where
copies are made ahead, at a pace. Rounds alternate, as in bench.py; writes
bench_templates.json and bench_templates.svg below --out. --only: a regular
expression of rows."""
import os
import re
import shutil
import statistics
import time

import counts
import plot
import servers
from bench_common import (median_of, options, paced, parse, percentile, report,
                          rounds, staged, wrk)

MIB = (1, 16, 64)
CONNECTIONS = 16	# of the client that asks at a pace; more when it waits
WARM_UP = 40		# answers before a row is measured
CONFIGURATION = """
tenant = { spare = 64; };
"""
FORK = 'start = "fork"; '
EXEC = 'start = "exec"; '
CGI = 'protocol = "cgi";\n'
STAYS = (f'{EXEC}protocol = "fastcgi"; requests = 0; '
         f'concurrency = {servers.CHILDREN};\n')
AHEAD = (f'{FORK}protocol = "fastcgi"; requests = 1; spare = 4; '
         'spare_max = 16;\n')
LIMITS = 'limits = { warm = "5m"; memory = "512MiB"; };\n'
SHEBANG = "#!/usr/bin/env fcgi-host-python\n"
SCRIPTS = {
    "small": """
def handle(request):
    return "hello\\n"
""",
    "Flask": """
import flask

app = application = flask.Flask(__name__)

@app.route("/")
def hello():
    return "hello\\n", {"Content-Type": "text/plain"}
""",
}
# The same two where there is no host: by WSGI, wherever they are.
ELSEWHERE = {
    "small": """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", "6")])
    return [b"hello\\n"]
""",
    "Flask": SCRIPTS["Flask"].replace('"/"', '"/uwsgi-flask"'),
}


def python(kind, how):
    return f"Python {kind}, {how}"


def resident(mib, huge, how="template"):
    pages = "huge" if huge else "small"
    return f"C {mib} MiB, {pages} pages, {how}"


def functions():
    """{row: (its name there, program or script, settings)}"""
    found = {}
    for mib in MIB:
        for huge in (True, False):
            env = (f'env = {{ RESIDENT_MIB = "{mib}"; '
                   f'RESIDENT_HUGE = "{int(huge)}"; }};\n')
            for how, start in (("template", FORK), ("exec", EXEC)):
                found[resident(mib, huge, how)] = (
                    f"c{mib}-{int(huge)}-{how}", "resident",
                    start + CGI + LIMITS + env)
    for kind, script in SCRIPTS.items():
        for how, settings in (("exec", EXEC + CGI), ("template", FORK + CGI),
                              ("template with spares", AHEAD),
                              ("stays", STAYS)):
            found[python(kind, how)] = (
                f"{kind}-{how.split()[-1]}".lower(), SHEBANG + script,
                settings + LIMITS)
    return found


def start_all(stage):
    """{row: url}, in the order of the table."""
    there, urls = stage.directory / "functions/bench", {}
    for row, (name, program, settings) in functions().items():
        if program.startswith("#!"):
            (there / name).write_text(program)
            (there / name).chmod(0o755)
        else:
            shutil.copy(stage.build / "bench" / program, there / name)
        (there / f"{name}.conf").write_text(settings)
        # a route of Flask's has the slash
        urls[row] = stage.url(f"/fn/bench/{name}" +
                              ("/" if "flask" in name else ""))
    servers.start_host(stage, CONFIGURATION, in_memory=True)
    peers = {kind: servers.start_uwsgi(
        stage, f"uwsgi-{kind.lower()}",
        stage.write(f"wsgi_{kind.lower()}.py", script))
        for kind, script in ELSEWHERE.items()}
    servers.start_nginx(stage, wrap=False, peers=peers.values())
    for kind, peer in peers.items():
        urls[python(kind, "uWSGI")] = stage.url(f"/{peer.name}")
    return dict(sorted(urls.items(), key=lambda row: row[0].startswith(
        "Python Flask")))	# else in the order in which they came


def warm_up(stage, urls):
    """Every row answers, and what there is to start ahead is started."""
    for row, url in urls.items():
        counts.ask(stage, path_of(url), WARM_UP, b"hello\n")


def path_of(url):
    return "/" + url.split("/", 3)[3]


def cpu_s(stage, row):
    """Of who answers it, all processes that were and are, without nginx and
    client."""
    who = f"uwsgi-{row.split()[1].strip(',').lower()}" \
        if row.endswith("uWSGI") else "host"
    ticks = 0
    for pid in counts.below(stage, who):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def measured(stage, row, load):
    """What load() found, and the processor time a request of it."""
    before = cpu_s(stage, row)
    found, asked = load()
    time.sleep(0.05)	# the last process is waited for
    return {**found, "cpu_ms": (cpu_s(stage, row) - before) * 1e3 /
            max(asked, 1)}


def closed_loop(url, seconds):
    found = wrk(url, 1, seconds)
    return found, found["rate"] * seconds


def at_pace(stage, url, pace, seconds):
    rows = paced(stage, path_of(url), pace, seconds, CONNECTIONS)
    times = [row["ms"] for row in rows]
    return {"median_ms": percentile(times, 50), "p99_ms": percentile(times, 99),
            "failed": sum(row["status"] != 200 for row in rows)}, len(rows)


def pace_of(urls, kind):
    """A fifth of the rate at which its template answers who asks all the
    time."""
    rate = wrk(urls[python(kind, "template")], 4, 1)["rate"]
    return max(20, int(rate / 5) // 10 * 10)


def one_round(stage, args, urls, paces, said):
    """{"1 connection" or "Flask, 100 requests/s": {row: measures}}"""
    found = {ONE: {}}
    for row, url in urls.items():
        said(f"{row}, 1 connection")
        found[ONE][row] = measured(stage, row,
                                   lambda: closed_loop(url, args.seconds))
    for kind, pace in paces.items():
        found[paced_at(kind, pace)] = at = {}
        for row, url in urls.items():
            if row.startswith(python(kind, "")) and not row.endswith("exec"):
                said(f"{row}, {pace} requests/s")
                at[row] = measured(stage, row, lambda: at_pace(
                    stage, url, pace, args.seconds))
    return found


ONE = "1 connection"


def paced_at(kind, pace):
    return f"Python {kind} at {pace:,} requests/s, at fixed times"


def targets(results, paces):
    """[(sentence, wanted, found, met)] for what was measured."""
    found = []
    for row, most in ((resident(64, True), 0.5),
                      (python("small", "template"), 1.5)):
        if row in results[ONE][0]:
            median = median_of(results[ONE], row, "median_ms")
            found.append((f"median of {row}, 1 connection",
                          f"at most {most} ms", f"{median:.2f} ms",
                          median <= most))
    for kind, pace in paces.items():
        rows = results[paced_at(kind, pace)]
        row, to = python(kind, "template with spares"), python(kind, "stays")
        if {row, to} <= rows[0].keys():
            ratio = statistics.median(r[row]["median_ms"] / r[to]["median_ms"]
                                      for r in rows)
            found.append((f"median of {row} at {pace:,} requests/s against "
                          "the one that stays", "at most 1.3", f"{ratio:.2f}",
                          ratio <= 1.3))
    return found


def base_of(row, rows):
    """With what a row is compared: itself, executed; of those at a pace, the one
    that stays."""
    start = row.rpartition(", ")[0]
    return next((base for base in (f"{start}, exec", f"{start}, stays")
                 if base in rows), row)


def table(results):
    lines = []
    for kind, found in results.items():
        if not found[0]:
            continue
        base = "exec" if kind == ONE else "the one that stays"
        lines += [f"{kind}, {len(found)} rounds", "",
                  f"| what | median ms | of {base} | p99 ms | CPU ms | failed |",
                  "|---|---|---|---|---|---|"]
        for row in found[0]:
            ratio = statistics.median(
                r[row]["median_ms"] / r[base_of(row, r)]["median_ms"]
                for r in found)
            lines.append(
                f"| {row} | {median_of(found, row, 'median_ms'):.2f} |"
                f" {ratio:.2f} | {median_of(found, row, 'p99_ms'):.2f} |"
                f" {median_of(found, row, 'cpu_ms'):.2f} |"
                f" {sum(r[row]['failed'] for r in found)} |")
        lines.append("")
    return "\n".join(lines)


def main():
    parser = options(__doc__)
    parser.add_argument("--only", help="a regular expression of rows")
    args = parse(parser)
    with staged(args) as stage:
        every = start_all(stage)
        urls = {row: url for row, url in every.items()
                if not args.only or re.search(args.only, row)}
        warm_up(stage, urls)
        paces = {kind: pace_of(every, kind) for kind in SCRIPTS
                 if python(kind, "template with spares") in urls}
        results = {}
        for found in rounds(args, lambda said: one_round(
                stage, args, urls, paces, said)):
            for kind, rows in found.items():
                results.setdefault(kind, []).append(rows)
    report(args, "bench_templates", table(results), targets(results, paces),
           {"rounds": results})
    plot.draw_medians(results, args.out / "bench_templates.svg")
    print(f"{args.out}/bench_templates.svg")


if __name__ == "__main__":
    main()
