# SPDX-License-Identifier: MIT
"""One host that most tests share; tests that harm a host start their own."""
import fcntl
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from host import Host, seeded  # noqa: E402

# Every example is a request or more; nothing is remembered between runs.
settings.register_profile("requests", deadline=None, database=None,
                          suppress_health_check=list(HealthCheck))
settings.load_profile("requests")

# Who starts tests in the background of a script has them ignore these, and every
# process they start would, too.
for ignored in signal.SIGHUP, signal.SIGINT, signal.SIGQUIT:
    if signal.getsignal(ignored) == signal.SIG_IGN:
        signal.signal(ignored, signal.SIG_DFL)

# Limits short enough to run into, and a password for /fn/private/.
CONF = """
drain = "5s";
limits = { grace = "200ms"; };
cell = { launcher_idle = "1s"; };
"""


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: counts what the machine does, or "
                            "keeps it busy: no other test runs at the same time")


# Those that take long begin first, so that no worker has one left when the others
# are through.
LONG = ["test_workers", "test_spares", "test_auto", "test_state", "test_tokens",
        "test_dropin", "test_nasty"]


def pytest_collection_modifyitems(items):
    def place(item):
        name = item.path.stem
        return LONG.index(name) if name in LONG else len(LONG)
    items.sort(key=place)


class Turns:
    """Workers of one run have two locks: who wants to be alone waits at the gate,
    where those who do not pass through, until the room is empty. Any two files
    of the tree will do, and the locks of who is killed are gone."""

    def __init__(self, gate, room):
        self.gate, self.room = gate.open("rb"), room.open("rb")

    def take(self, alone):
        fcntl.flock(self.gate, fcntl.LOCK_EX)
        fcntl.flock(self.room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(self.gate, fcntl.LOCK_UN)

    def give(self):
        fcntl.flock(self.room, fcntl.LOCK_UN)


TURNS = Turns(HERE / "conftest.py", HERE / "host.py")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """A test's turn is that of its fixtures, too."""
    TURNS.take(item.get_closest_marker("alone") is not None)
    yield
    TURNS.give()


@pytest.fixture(scope="session")
def shared():
    host = Host(CONF)
    password = host.base / "htpasswd"
    password.write_text("ada:{PLAIN}engine\n")
    host.server_lines = f"""
		location ^~ /fn/private/ {{
			auth_basic private;
			auth_basic_user_file {password};
			include fcgi-host-params.conf;
			fastcgi_param FN_PREFIX /fn/;
			fastcgi_param REMOTE_USER $remote_user;
			fastcgi_param AUTH_TYPE Basic;
		}}
"""
    host.tenant("private")
    host.function("private", "rogue")
    with host:
        yield host


@pytest.fixture
def host(shared):
    """The shared host; afterwards no function of the test may be running."""
    yield shared
    for path in shared.functions.glob("*/data/*"):
        path.unlink()
    shared.quiet()
    assert shared.master.poll() is None
    shared.check_errors()


@pytest.fixture
def new_host():
    """Makes hosts that end with the test."""
    made = []

    def make(conf=CONF, **more):
        host = Host(conf, **more)
        made.append(host)
        return host.start()
    yield make
    for host in made:
        host.stop()


@pytest.fixture
def rng():
    return seeded()


def pytest_terminal_summary(terminalreporter):
    """What was not tried here, and why: a number a reason."""
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ")
                      for report in terminalreporter.stats.get("skipped", []))
    if reasons:
        terminalreporter.section(f"{sum(reasons.values())} tests skipped")
        for reason, number in sorted(reasons.items()):
            terminalreporter.line(f"{number:5} {reason}")
