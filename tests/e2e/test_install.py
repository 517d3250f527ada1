# SPDX-License-Identifier: MIT
"""What `make install` puts there is a service: unit, configuration, and the
directory that nginx needs before the host is there. If this fails, who follows
README has a unit that does not start, or an nginx that does not."""
import os
import re
import stat

import pytest

from host import IS_ROOT, ROOT, made

CONF = "etc/fcgi-host/fcgi-host.conf"
UNIT = "usr/local/lib/systemd/system/fcgi-host.service"
TMPFILES = "usr/local/lib/tmpfiles.d/fcgi-host.conf"


def install(to):
    made("FLAVOUR=release", "install", f"DESTDIR={to}")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    base = tmp_path_factory.mktemp("install")
    install(base)
    return base


def test_the_unit_finds_what_it_names(place):
    text = (place / UNIT).read_text()
    paths = set(re.findall(r"(/usr/local/\S+|/etc/\S+)", text))
    assert {"/usr/local/sbin/fcgi-host", f"/{CONF}"} <= paths
    for path in paths - {"/usr/local;"}:
        assert (place / path[1:]).is_file(), path


def test_a_configuration_that_is_there_stays(place):
    conf = place / CONF
    assert conf.read_bytes() == (ROOT / "conf/fcgi-host.conf").read_bytes()
    assert conf.stat().st_mode & 0o077 == 0     # it may have secrets
    conf.write_text("# mine\n")
    install(place)
    assert conf.read_text() == "# mine\n"


def test_a_restart_leaves_the_socket_of_nginx(place):
    lines = (place / UNIT).read_text().splitlines()
    assert "RuntimeDirectory=fcgi-host" in lines
    assert "RuntimeDirectoryPreserve=yes" in lines


@pytest.mark.skipif(not IS_ROOT, reason="as the service is: by root")
def test_directories_made_at_boot_are_the_hosts(place, host):
    made = {}
    for line in (place / TMPFILES).read_text().splitlines():
        if not line.startswith("#"):
            kind, path, mode, user, group, age = line.split()
            assert (kind, age) == ("d", "-")
            made[path] = (mode, user, group)
    found = {}
    for path in made:
        at = host.run / os.path.relpath(path, "/run/fcgi-host")
        found[path] = (f"{stat.S_IMODE(at.stat().st_mode):04o}", at.owner(),
                       at.group())
    assert found == made
    assert set(found) == {"/run/fcgi-host", "/run/fcgi-host/fn"}
