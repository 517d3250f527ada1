# SPDX-License-Identifier: MIT
"""bench_warm.py - what it is worth that a process stays: the same programs behind
nginx alone, behind a bare proxy and behind the host, one request at a time and
32; and a process for each request that is started ahead of it, at a pace. Rounds
alternate, as in bench.py; writes bench_warm.json and bench_warm.svg below --out.
--only modes prints the table of the README; another word is a regular expression
of rows."""
import re
import shutil
import statistics

import counts
import plot
import servers
from bench_common import (DIRECT, median_of, options, paced, parse, percentile,
                          ratio_of, raw_spawn, report, rounds, staged, wrk)

EACH = "libfcgi direct, a connection each"
# What any process between the web server and a program costs here.
PROXY = "bare proxy"
# nginx keeps no connections to PHP unless it is told to, and few tell it.
PHP_CGI, PHP_FPM = "php-cgi direct", "php-fpm direct"
PHP_KEPT = "php-cgi direct, connections kept"
CGI, ONCE = "fcgi-host CGI", "fcgi-host one-shot"
ONCE_LIBFCGI = "fcgi-host one-shot libfcgi"
SDK, LIBFCGI, PHP = "fcgi-host SDK", "fcgi-host libfcgi", "fcgi-host PHP"
TEMPLATE = "fcgi-host template, C with 64 MiB"
PYTHON, PYTHON_STAYS = "fcgi-host Python", "fcgi-host Python that stays"
ASKED = 20		# before it is measured: what is to be made is
CONNECTIONS = 16	# of the client that asks at a pace; more when it waits
WARM = (f'protocol = "fastcgi"; requests = 0; '
        f'concurrency = {servers.CHILDREN};\n')
EXEC = 'start = "exec"; '
AHEAD = f"{EXEC}requests = 1; spare = 4; spare_max = 16;\n"
HELLO_PHP = """<?php
header('Content-Type: text/plain');
header('Content-Length: 6');
echo "hello\\n";
"""
HELLO_PYTHON = """#!/usr/bin/env fcgi-host-python
def handle(request):
    return "hello\\n"
"""
# {row: (its name there, program or script, settings)}; the program of the SDK is
# all of them, as its settings say.
FUNCTIONS = {
    CGI: ("cgi", "hello-fn", f'{EXEC}protocol = "cgi";\n'),
    SDK: ("sdk", "hello-fn",
          f"requests = 0; concurrency = {servers.CHILDREN};\n"),
    LIBFCGI: ("libfcgi", "direct", WARM),
    PHP: ("php", "#!/usr/bin/php-cgi\n" + HELLO_PHP, WARM),
    ONCE: ("once", "hello-fn", AHEAD),
    ONCE_LIBFCGI: ("once-libfcgi", "direct",
                   'protocol = "fastcgi";\n' + AHEAD),
    TEMPLATE: ("template", "resident",
               'start = "fork"; protocol = "cgi";\n'
               'env = { RESIDENT_MIB = "64"; RESIDENT_HUGE = "1"; };\n'),
    PYTHON: ("python", HELLO_PYTHON, ""),
    PYTHON_STAYS: ("python-stays", HELLO_PYTHON, WARM),
}
# A process for each request beside one that stays, at a fifth of the rate at
# which the program starts: {(one-shot, persistent): program}
PACED = {(ONCE, SDK): "hello-fn", (ONCE_LIBFCGI, LIBFCGI): "direct"}
CONFIGURATION = """
tenant = { spare = 16; };
"""
# Of the README: mode, what is in its .conf, when.
MODES = {
    CGI: ("CGI", "nothing", "any program, and for whatever is asked rarely: "
          "nothing runs in between"),
    SDK: ("warm, with the SDK", "nothing", "C that is asked often; the same "
          "file is CGI elsewhere"),
    LIBFCGI: ("warm, any FastCGI program", '`protocol = "fastcgi";`',
              "what already speaks it: libfcgi, Perl's FCGI, flup, Ruby"),
    PHP: ("PHP", '`protocol = "fastcgi";`', "PHP: its compiled scripts stay"),
    ONCE: ("one-shot, started ahead", "`requests = 1; spare = 4;`",
           "a clean process for each request, without waiting for its start"),
    TEMPLATE: ("from a template: C that has loaded 64 MiB",
               '`start = "fork"; protocol = "cgi";`',
               "a clean process for each request that has its tables in memory "
               "already"),
    PYTHON: ("from a template: Python", "nothing",
             "a clean process for each request with all imports done"),
    PYTHON_STAYS: ("Python that stays", '`protocol = "fastcgi";`',
                   "Python that is asked very often, and keeps what it knows"),
}


def functions(stage):
    """The functions of the bench, before the host starts; {row: url}."""
    there, urls = stage.directory / "functions/bench", {}
    for row, (name, program, settings) in FUNCTIONS.items():
        if program.startswith("#!"):
            (there / name).write_text(program)
            (there / name).chmod(0o755)
        else:
            shutil.copy(stage.build / "bench" / program, there / name)
        (there / f"{name}.conf").write_text(settings)
        urls[row] = stage.url(f"/fn/bench/{name}")
    return urls


def start_all(stage):
    """{name: url}, in the order of the table."""
    ours = functions(stage)
    script = stage.write("hello.php", HELLO_PHP)
    servers.start_host(stage, CONFIGURATION, in_memory=True)
    peers = {DIRECT: servers.start_direct(stage),
             EACH: servers.start_direct(stage, "direct-each", kept=0),
             PROXY: servers.start_proxy(stage),
             PHP_CGI: servers.start_php_cgi(stage, script),
             PHP_KEPT: servers.start_php_cgi(stage, script, "php-cgi-kept",
                                             kept=servers.CHILDREN),
             PHP_FPM: servers.start_php_fpm(stage, script)}
    servers.start_nginx(stage, wrap=False, peers=peers.values())
    return {**{name: stage.url(f"/{peer.name}")
               for name, peer in peers.items()}, **ours}


def at_pace(stage, url, pace, seconds):
    path = "/" + url.split("/", 3)[3]
    rows = paced(stage, path, pace, seconds, CONNECTIONS)
    times = [row["ms"] for row in rows]
    return {"median_ms": percentile(times, 50), "p99_ms": percentile(times, 99),
            "failed": sum(row["status"] != 200 for row in rows)}


def paces_of(args):
    """{pace: rows that are asked at it}; all modes at the slowest."""
    found = {}
    for rows, program in PACED.items():
        rate = raw_spawn(args.build, program, args.processes, 1)["rate"]
        found.setdefault(max(100, int(round(rate / 5, -2))),
                         []).extend(rows)
    slowest = min(found)
    found[slowest] += [name for name in MODES if name not in found[slowest]]
    return found


def one_round(stage, args, urls, paces, said):
    """{connections or "... requests/s": {name: measures}}"""
    found = {}
    for connections in args.connections:
        found[connections] = {}
        for name, url in urls.items():
            said(f"{name}, {connections} connections")
            found[connections][name] = wrk(url, connections, args.seconds)
    for pace, rows in paces.items():
        found[paced_at(pace)] = at = {}
        for name in rows:
            if name in urls:
                said(f"{name}, {pace} requests/s")
                at[name] = at_pace(stage, urls[name], pace, args.seconds)
    return found


def paced_at(pace):
    return f"{pace:,} requests/s"


def targets(results, paces):
    """[(sentence, wanted, found, met)] for what was measured."""
    found = []
    full = results.get(32)
    for row, to, wanted in ((SDK, DIRECT, 0.85), (LIBFCGI, DIRECT, 0.85),
                            (LIBFCGI, EACH, 0.85), (SDK, PHP_CGI, 1.5),
                            (LIBFCGI, PHP_CGI, 1.5), (PHP, PHP_CGI, 0.9),
                            (PHP, PHP_KEPT, 0.9)):
        if full and row in full[0] and to in full[0]:
            ratio = ratio_of(full, row, to)
            found.append((f"{row} at 32 connections against {to}",
                          f"at least {wanted}", f"{ratio:.2f}",
                          ratio >= wanted))
    for row, to in PACED:
        for pace in paces:
            rounds_at = results[paced_at(pace)]
            if not {row, to} <= rounds_at[0].keys():
                continue
            ratio = statistics.median(r[row]["median_ms"] / r[to]["median_ms"]
                                      for r in rounds_at)
            found.append((f"median of {row} at {paced_at(pace)} against {to}",
                          "at most 1.2", f"{ratio:.2f}", ratio <= 1.2))
    return found


def of_proxy(results):
    """The host beside a loop that does nothing but pass on."""
    lines = []
    for connections, found in results.items():
        if isinstance(connections, int) and found and PROXY in found[0]:
            lines += [f"{row} of {PROXY} at {connections} connections: "
                      f"{ratio_of(found, row, PROXY):.2f}"
                      for row in (SDK, LIBFCGI) if row in found[0]]
    return "\n".join([*lines, ""])


def table(results, paces):
    lines = []
    for connections, found in results.items():
        if not isinstance(connections, int) or not found[0]:
            continue
        base = DIRECT if DIRECT in found[0] else next(iter(found[0]))
        lines += [f"{connections} connections, {len(found)} rounds", "",
                  f"| what | requests/s | of {base} | median ms | p99 ms |"
                  " failed |", "|---|---|---|---|---|---|"]
        for name in found[0]:
            lines.append(
                f"| {name} | {median_of(found, name, 'rate'):,.0f} |"
                f" {ratio_of(found, name, base):.2f} |"
                f" {median_of(found, name, 'median_ms'):.2f} |"
                f" {median_of(found, name, 'p99_ms'):.2f} |"
                f" {sum(r[name]['failed'] for r in found)} |")
        lines.append("")
    for pace in paces:
        found = results[paced_at(pace)]
        if not found[0]:
            continue
        lines += [f"{paced_at(pace)}, at fixed times", "",
                  "| what | median ms | p99 ms | failed |",
                  "|---|---|---|---|"]
        for name in found[0]:
            lines.append(
                f"| {name} | {median_of(found, name, 'median_ms'):.2f} |"
                f" {median_of(found, name, 'p99_ms'):.2f} |"
                f" {sum(r[name]['failed'] for r in found)} |")
        lines.append("")
    return "\n".join(lines)


def modes(results, paces):
    """The table of the README."""
    full, slow = results[32], results[paced_at(min(paces))]
    lines = [f"| mode | in its `.conf` | median at {paced_at(min(paces))} |"
             " requests/s, 32 connections | for |", "|---|---|---|---|---|"]
    for row, (mode, settings, when) in MODES.items():
        lines.append(
            f"| {mode} | {settings} |"
            f" {median_of(slow, row, 'median_ms'):.2f} ms |"
            f" {median_of(full, row, 'rate'):,.0f} | {when} |")
    return "\n".join(lines) + "\n"


def counted(stage):
    """What is counted of one request each of a CGI and of a warm function."""
    found, text = {}, ""
    for per, name in (("a CGI request", "cgi"), ("a warm request", "sdk"),
                      ("a warm request of libfcgi", "libfcgi")):
        path = f"/fn/bench/{name}"
        counts.ask(stage, path, 20)
        calls = counts.system_calls(stage, path)
        steps = counts.instructions(stage, path)
        text += counts.words(per, calls, steps) + "\n"
        found[per] = {"system_calls": calls, "instructions": steps[0],
                      "instructions_by": steps[1]}
    return found, text


def main():
    parser = options(__doc__)
    parser.add_argument("--only", help="modes, or a regular expression of rows")
    args = parse(parser)
    only_modes = args.only == "modes"
    args.connections = [32] if only_modes else \
        [number for number in args.connections if number <= 32]
    with staged(args) as stage:
        urls = start_all(stage)
        if args.only:
            urls = {name: url for name, url in urls.items()
                    if (name in MODES if only_modes
                        else re.search(args.only, name))}
        for url in urls.values():
            counts.ask(stage, "/" + url.split("/", 3)[3], ASKED, b"hello\n")
        paces = paces_of(args)
        if only_modes:
            paces = {min(paces): list(MODES)}
        results = {kind: [] for kind in [*args.connections,
                                         *map(paced_at, paces)]}
        for found in rounds(args, lambda said: one_round(
                stage, args, urls, paces, said)):
            for kind, row in found.items():
                results[kind].append(row)
        facts, text = ({}, "") if args.only else counted(stage)
    text = modes(results, paces) if only_modes else \
        table(results, paces) + of_proxy(results) + "\n" + text
    report(args, "bench_warm", text, targets(results, paces),
           {"rounds": {str(kind): found for kind, found in results.items()},
            "counts": facts})
    if not args.only and args.connections:
        plot.draw({number: results[number] for number in args.connections},
                  args.out / "bench_warm.svg", list(urls),
                  "requests/s, processes that stay")
        print(f"{args.out}/bench_warm.svg")


if __name__ == "__main__":
    main()
