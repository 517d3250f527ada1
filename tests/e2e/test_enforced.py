# SPDX-License-Identifier: MIT
"""What a host says of itself, by the kind of cells it makes: if one of these fails,
it promises what it does not keep, or hides what it does. That it is kept is tested
in test_sandbox.py. The sentences need Landlock and seccomp, and are not compared
on a kernel without."""
import ctypes

import pytest

from cells import KINDS, cells_of

# Heads of sentences: which kinds keep it. "name": as it begins.
TABLE = {
    "time: a process": KINDS,
    "privileges: functions have none": KINDS,
    "users: functions run as": ("root", "network"),
    "count: processes and threads": ("root", "network", "user"),
    "files: functions see their own": ("root", "network", "user"),
    "files: functions open, make": ("bare",),
    "socket files: functions reach fn.sock": ("root", "network", "user"),
    "processes: functions see processes of": ("root", "network", "user"),
    "signals: functions signal processes of their own invocation": KINDS,
    "network: functions reach nothing": ("root",),
    "network = none: functions reach nothing": ("root", "network", "user"),
    "network = none: functions make and take no TCP": ("bare",),
    "abstract sockets: functions reach those of their own": KINDS,
    "system calls: mounts": KINDS,
}
NOT_KEPT = {
    "users: all functions": ("user", "bare"),
    "count: functions start": ("bare",),
    "files: functions see every": (),
    "socket files: functions reach all": ("bare",),
    "processes: functions see all": ("bare",),
    "signals: functions signal every": (),
    "network: functions reach whatever": ("network", "user", "bare"),
    "network = none: it keeps nothing": (),
    "abstract sockets: functions reach those of all": (),
    "system calls: functions may": (),
}
HERE = ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1)


def about(lines, heads):
    return {head for head in heads
            if any(line.startswith(head) for line in lines)}


@pytest.mark.skipif(HERE < 6, reason="this kernel has not all of Landlock")
@pytest.mark.parametrize("kind", KINDS)
def test_it_says_what_it_keeps(kind):
    with cells_of(kind) as host:
        said = host.status()["host"]
        kept, not_kept = said["enforced"], said.get("not_enforced", [])
        told = host.errors.read_text()
    assert about(kept, TABLE) == {h for h in TABLE if kind in TABLE[h]}
    assert about(not_kept, NOT_KEPT) == \
        {h for h in NOT_KEPT if kind in NOT_KEPT[h]}
    for line in not_kept:
        assert f"not enforced: {line}" in told
    if kind == "bare":
        assert any("since a cell cannot be shut in here: " in line
                   for line in not_kept)
