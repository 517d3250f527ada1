# SPDX-License-Identifier: MIT
"""The capabilities that the systemd unit leaves the host are all it needs to shut
functions in. If this fails, an installed host keeps less from them than one that
was started by hand."""
import re
import subprocess

import pytest

from host import BUILD, IS_ROOT, ROOT

UNIT = ROOT / "conf" / "fcgi-host.service"
# Kinds of cells by namespaces: pid, mount, ipc, uts, cgroup, network.
MADE_IN = ("--pid", "--mount", "--ipc", "--uts")
NAMESPACES = 0x20000000 | 0x20000 | 0x8000000 | 0x4000000 | 0x2000000 \
    | 0x40000000


def kept():
    return [name.removeprefix("CAP_").lower() for name in
            re.search(r"^CapabilityBoundingSet=(.*)$", UNIT.read_text(),
                      re.M).group(1).split()]


@pytest.mark.skipif(not IS_ROOT, reason="only root has capabilities to lose")
def test_its_capabilities_are_enough_for_a_cell():
    known = subprocess.run(["setpriv", "--list-caps"], check=True, text=True,
                           capture_output=True).stdout.split()
    held = int(re.search(r"CapBnd:\t(\w+)", open("/proc/self/status").read())
               .group(1), 16)
    dropped = ",".join(f"-{name}" for number, name in enumerate(known)
                       if held >> number & 1 and name not in kept())
    done = subprocess.run(
        ["setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}",
         "unshare", *MADE_IN, "--fork", "--kill-child",
         BUILD / "fcgi-host-cell", "--probe", str(NAMESPACES)],
        text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert "landlock=" in done.stderr
    assert "net_admin" in kept()        # without it 127.0.0.1 is down in there
