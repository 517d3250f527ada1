# SPDX-License-Identifier: MIT
"""What `make install` puts there is all that a function in C needs: a header and a
library that pkg-config finds, for a static program as well, with glibc and musl."""
import os
import shutil
import signal
import subprocess
import threading

import pytest

from host import ROOT, Host, count, eventually, made

HEADERS = ("fn.h", "fn_state.h", "fn_test.h")

PROGRAM = r"""
#include <fn.h>
#include <stdio.h>

/* Names of the host's own libraries are free for functions. */
int buf_put(void) { return 1; }
int span_cut, walk_init;

int
main(void)
{
	struct fn_value value;
	int64_t number = 0;

	if (fn_state_put("greeting", "hello", 5, NULL, NULL) != FN_OK ||
	    fn_state_get("greeting", &value) != FN_OK ||
	    fn_state_incr("number", 7, NULL, &number) != FN_OK) {
		fprintf(stderr, "%s\n", fn_problem());
		return 1;
	}
	printf("Content-Type: text/plain\n\n%s %d\n", value.data, (int)number);
	fn_value_free(&value);
	return buf_put() + span_cut + walk_init - 1;
}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    base = tmp_path_factory.mktemp("sdk")
    made("FLAVOUR=release", "install", f"DESTDIR={base}", "PREFIX=/opt/fn")
    (base / "program.c").write_text(PROGRAM)
    return base


def flags(place, name="libfn", prefix="/opt/fn"):
    path = place / "opt/fn/lib/pkgconfig"
    assert path.is_dir()
    text = (path / f"{name}.pc").read_text()
    assert f"prefix={prefix}\n" in text and "@" not in text
    found = {}
    for line in text.replace("${prefix}", f"{place}{prefix}").splitlines():
        name, colon, value = line.partition(": ")
        if colon:
            found[name] = value.split()
    return [found["Cflags"], found["Libs"] + found["Libs.private"]]


def build(place, *more):
    to = place / "program"
    cflags, libs = flags(place)
    subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", *cflags, *more,
                    "-o", to, place / "program.c", *libs], check=True)
    return to


def runs(program):
    with Host() as host:
        host.function("rogue", "sdk", program)
        got = host.get("/fn/rogue/sdk")
        assert (got.status, got.text) == (200, "hello 7\n"), got
        host.function("rogue", "none", program, 'state = "none";\n')
        assert host.get("/fn/rogue/none").status == 502
        host.wait_log("rogue", "FN_TOKEN is not set")
        host.function("rogue", "reader", program, 'state = "read";\n')
        assert host.get("/fn/rogue/reader").status == 502
        host.wait_log("rogue", "state answered 403")


@pytest.mark.parametrize("how", [[], ["-static"], ["-static-pie", "-O2",
                                                   "-Wl,--gc-sections"]])
def test_with_glibc(place, how):
    runs(build(place, *how))


def test_with_cxx(place):
    """The header is one of C++ too."""
    source = place / "program.cc"
    source.write_text("#include <fn.h>\nint main() { fn_put how = {}; return "
                      "how.ttl_s; }\n")
    if shutil.which("g++"):
        subprocess.run(["g++", "-Wall", "-Werror", "-fsyntax-only",
                        *flags(place)[0], source], check=True)


@pytest.mark.skipif(not shutil.which("musl-gcc"), reason="no musl-gcc")
def test_with_musl(place):
    cflags, libs = flags(place, "libfn-musl", "/opt/fn/lib/musl")
    to = place / "program-musl"
    subprocess.run(["musl-gcc", "-static", "-Wall", "-Wextra", "-Werror",
                    *cflags, "-o", to, place / "program.c", *libs], check=True)
    runs(to)


@pytest.mark.parametrize("name", HEADERS)
def test_header_stands_alone(place, name):
    for language, standard in (("c", "c99"), ("c++", "c++11")):
        if language == "c" or shutil.which("g++"):
            subprocess.run(["gcc", f"-std={standard}", "-Wall", "-Wextra",
                            "-Werror", "-Wpedantic", "-fsyntax-only", "-x",
                            language, place / "opt/fn/include" / name],
                           check=True)


def test_only_its_own_names_are_seen(place):
    library = place / "opt/fn/lib/libfn.a"
    seen = subprocess.run(["nm", "-g", "--defined-only", library], check=True,
                          capture_output=True).stdout.decode()
    names = [line.split()[-1] for line in seen.splitlines()
             if len(line.split()) == 3]
    names.remove("main")
    assert names and all(name.startswith("fn_") for name in names), names
    header = "".join((ROOT / "fcgi-host/sdk" / name).read_text()
                     for name in HEADERS)
    for name in names:
        assert f"{name}(" in header, f"{name} is not in <fn.h>"


def test_every_call(place):
    """sdk.c makes them against a real host, through nginx."""
    cflags, libs = flags(place)
    program = place / "sdk"
    subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", *cflags, "-o",
                    program, ROOT / "tests/e2e/sdk.c", *libs], check=True)
    with Host() as host:
        host.function("rogue", "sdk", program)
        assert host.get("/fn/rogue/sdk").text == "0 wrong\n"


HAMMER = r"""
#include <fn.h>
#include <stdio.h>
#include <time.h>

/* Counts until its time is nearly over; says how often, how often it does not
 * know, and whether a value came twice or out of order. */
int
main(void)
{
	long done = 0, unknown = 0, other = 0, wrong = 0;
	int64_t last = 0, value;
	time_t end = time(NULL) + SECONDS;

	while (time(NULL) < end) {
		switch (fn_state_incr("number", 1, NULL, &value)) {
		case FN_OK:
			done++;
			/* unknown ones may have been carried out */
			wrong += value < done || value > done + unknown ||
			    value <= last;
			last = value;
			break;
		case FN_UNKNOWN:
			unknown++;
			break;
		default:
			other++;
			fprintf(stderr, "%s\n", fn_problem());
		}
	}
	printf("Content-Type: text/plain\n\n%ld %ld %ld %ld\n", done, unknown,
	    other, wrong);
	return 0;
}
"""


def hammer_built(place, seconds):
    (place / "hammer.c").write_text(HAMMER)
    cflags, libs = flags(place)
    subprocess.run(["gcc", f"-DSECONDS={seconds}", *cflags, "-o",
                    place / "hammer", place / "hammer.c", *libs], check=True)
    return place / "hammer"


def test_counters_count_once_while_state_is_killed(place):
    """What returned FN_OK counted exactly once, however often the state process
    died in between; nobody else counts here."""
    kills = count(5, 40)
    hammer_built(place, kills)
    with Host('maximum = { time = "5m"; };') as host:
        host.function("rogue", "hammer", place / "hammer",
                      'limits = { time = "2m"; };\n')
        replies = []
        hammer = threading.Thread(target=lambda: replies.append(
            host.get("/fn/rogue/hammer", timeout=120)))
        hammer.start()
        number = 0
        while hammer.is_alive():
            for pid in host.named("fcgi-host-state"):
                os.kill(pid, signal.SIGKILL)
                number += 1
            hammer.join(0.9)
        assert replies[0].status == 200, replies
        done, unknown, other, wrong = map(int, replies[0].text.split())
        # Who dies often is started with longer and longer pauses.
        assert number >= 4 and done > 10 * number and wrong == 0, \
            replies[0].text
        got = eventually(
            lambda: host.ctl("state", "rogue", "get", "number",
                             check=False).stdout, "the number")
        assert done <= int(got) <= done + unknown, (got, replies[0].text)
        print(f"{number} kills: {done} done, {unknown} unknown, {other} not")


def test_counters_count_once_while_nginx_is_restarted(place):
    """It closes kept connections as it likes, and takes its socket away."""
    with Host() as host:
        host.function("rogue", "hammer", hammer_built(place, 4))
        replies = []
        hammer = threading.Thread(target=lambda: replies.append(
            host.ctl("invoke", "rogue/hammer")))
        hammer.start()
        number = 0
        while hammer.is_alive():
            hammer.join(0.5)
            host.nginx.terminate()
            host.nginx.wait(15)
            host.start_nginx()
            number += 1
        done, unknown, other, wrong = map(int, replies[0].stdout.split())
        assert number >= 4 and done > 10 * number, replies[0]
        assert (unknown, other, wrong) == (0, 0, 0), replies[0]
        assert int(host.ctl("state", "rogue", "get", "number").stdout) == done
