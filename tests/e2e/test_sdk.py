# SPDX-License-Identifier: MIT
"""What `make install` puts there is all that a function in C needs: a header and a
library that pkg-config finds, for a static program as well, with glibc and musl."""
import os
import shutil
import subprocess

import pytest

from host import ROOT, Host

PROGRAM = r"""
#include <fn.h>
#include <stdio.h>

/* Names of the host's own libraries are free for functions. */
int buf_put(void) { return 1; }
int span_cut, json_init;

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
	return buf_put() + span_cut + json_init - 1;
}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    base = tmp_path_factory.mktemp("sdk")
    subprocess.run(["make", "-s", "FLAVOUR=release", "install",
                    f"DESTDIR={base}", "PREFIX=/opt/fn"], cwd=ROOT,
                   check=True, stdin=subprocess.DEVNULL,
                   env={name: value for name, value in os.environ.items()
                        if not name.startswith("MAKE")})
    (base / "program.c").write_text(PROGRAM)
    return base


def flags(place, *more):
    path = place / "opt/fn/lib/pkgconfig"
    assert path.is_dir()
    text = (path / "libfn.pc").read_text()
    assert "prefix=/opt/fn\n" in text and "@" not in text
    found = {}
    for line in text.replace("${prefix}", f"{place}/opt/fn").splitlines():
        name, colon, value = line.partition(": ")
        if colon:
            found[name] = value.split()
    return [found["Cflags"], found["Libs"] + found["Libs.private"]]


def build(place, compiler, libraries, *more):
    to = place / "program"
    cflags, libs = flags(place)
    subprocess.run([*compiler, "-Wall", "-Wextra", "-Werror", *cflags, *more,
                    "-o", to, place / "program.c",
                    *(libraries or libs)], check=True)
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
    runs(build(place, ["gcc"], None, *how))


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
    subprocess.run(["make", "-s", "FLAVOUR=musl", "build/musl/libfn.a"],
                   cwd=ROOT, check=True, stdin=subprocess.DEVNULL,
                   env={name: value for name, value in os.environ.items()
                        if not name.startswith("MAKE")})
    runs(build(place, ["musl-gcc", "-static"],
               [ROOT / "build/musl/libfn.a"]))


def test_header_stands_alone(place):
    subprocess.run(["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror",
                    "-Wpedantic", "-fsyntax-only", "-x", "c",
                    place / "opt/fn/include/fn.h"], check=True)


def test_only_its_own_names_are_seen(place):
    library = place / "opt/fn/lib/libfn.a"
    seen = subprocess.run(["nm", "-g", "--defined-only", library], check=True,
                          capture_output=True).stdout.decode()
    names = [line.split()[-1] for line in seen.splitlines()
             if len(line.split()) == 3]
    assert names and all(name.startswith("fn_") for name in names), names
    header = (ROOT / "fcgi-host/sdk/fn.h").read_text()
    for name in names:
        assert f"{name}(" in header, f"{name} is not in <fn.h>"
