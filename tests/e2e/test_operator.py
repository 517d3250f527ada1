# SPDX-License-Identifier: MIT
"""If this fails, somebody who runs the host looks for a mistake of theirs in the
wrong place: what is set wrongly, or taken away under a running host, is told by
the layer that meets it, with the name of the setting."""
import subprocess

import pytest

from host import IS_ROOT, Host, eventually


@pytest.mark.skipif(not IS_ROOT, reason="without root it may have no mounts")
@pytest.mark.parametrize("conf, setting", [
    ('cell = { paths = [ "/nosuch" ]; };', "cell.paths"),
    ('tenants = ( { name = "rogue"; read = [ "/nosuch" ]; } );',
     "tenants.read"),
    ('tenants = ( { name = "rogue"; write = [ "/nosuch" ]; } );',
     "tenants.write"),
], ids=["paths", "read", "write"])
def test_a_path_that_is_not_there(new_host, conf, setting):
    host = new_host(conf=conf)
    host.rogue("head").problem(503, "tenant-refused", setting, "/nosuch",
                               "No such file")
    assert f'/nosuch" of {setting}:' in host.errors.read_text()


@pytest.mark.skipif(not IS_ROOT, reason="without root it may have no mounts")
def test_a_reload_tries_again_at_once(new_host):
    host = new_host('cell = { paths = [ "/nosuch" ]; };')

    def waits_long():
        host.rogue("head").problem(503, "tenant-refused", "/nosuch")
        return "not tried again for 2000 ms" in host.errors.read_text()
    eventually(waits_long, "some attempts")
    host.conf.write_text("")
    host.ctl("reload")
    assert host.rogue("head&out=well").text == "well"


def test_a_cell_opens_its_files_whatever_functions_may(new_host):
    host = new_host(conf="limits = { files = 8; }; maximum = { files = 8; };")
    assert "limit_nofile 8\n" in host.rogue("head&state").text


@pytest.mark.parametrize("conf, words", [
    ('log = "/dev/null";', 'log = "/dev/null" has to be a directory'),
    ('log = "/proc/no/log";', 'log = "/proc/no/": cannot make /proc/no:'),
    ('operator_group = "no-such-group";',
     'operator_group = "no-such-group": there is no such group here'),
], ids=["log", "below", "group"])
def test_what_it_cannot_start_with(conf, words):
    host = Host(conf=conf, nginx=False)
    try:
        done = subprocess.run(host.command(), capture_output=True, timeout=30)
        assert done.returncode == 1
        assert words in done.stderr.decode()
    finally:
        host.stop(check=False)
