# SPDX-License-Identifier: MIT
"""If this fails, a copy of a Python template that is made ahead waits in its first
request for some hundred pages of memory, which it had the time to take before."""
import platform

import pytest

from host import BUILD, Host, eventually

SCRIPT = """#!/usr/bin/env fcgi-host-python
import os

loader = os.getpid()
table = [object() for _ in range(30000)]    # to look at it is to write to it


def own():
    for line in open("/proc/self/smaps_rollup"):
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1])


def handle(request):
    kind = "copied" if os.getpid() != loader else "loaded"
    before = own()
    for one in table:
        pass
    return f"{kind} {before} {own() - before}"
"""
SETTINGS = 'start = "fork"; protocol = "fastcgi"; requests = 1; spare = 1;\n'


def kernel():
    return tuple(map(int, platform.release().split("-")[0].split(".")[:2]))


@pytest.mark.skipif(not (BUILD / "fcgi-host-python").exists(),
                    reason="fcgi-host-python is not built")
@pytest.mark.skipif(kernel() < (5, 14), reason="Linux before 5.14")
def test_what_the_first_copies_write_later_ones_have_before_a_request():
    with Host() as host:
        host.function("pages", "look", source=SCRIPT, conf=SETTINGS)

        def answer(of):
            kind, before, taken = host.get("/fn/pages/look").text.split()
            return (int(before), int(taken)) if kind == "copied" and \
                of(int(before), int(taken)) else None
        # the table has about 500 KiB
        before, taken = eventually(lambda: answer(lambda b, t: True),
                                   "a copy answers")
        assert taken > 400
        later, rest = eventually(lambda: answer(lambda b, t: t < 100),
                                 "a copy has its pages")
        assert later > before + 400
