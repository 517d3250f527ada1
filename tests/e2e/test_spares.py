# SPDX-License-Identifier: MIT
"""How many processes a function of workers has: ready ones before they are
asked for, as many as are needed and no more than it may, none for nobody. If
one of these fails, a client waits for a start that could have been over, or a
function takes processes that others need."""
import json
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from host import Host, count, eventually

WORKER = Path(__file__).parent / "workers" / "worker.py"
CONF = """
drain = "5s";
cell = { idle = "2s"; };
limits = { grace = "200ms"; };
tenant = { spare = 8; };
"""
SOON = 'limits = { warm = "300ms"; };'     # those too many are gone
FINE = "head&out=fine"
PID = "head&pid"


class Pool:
    """One function; its workers as the host itself counts them."""

    def __init__(self, host, name, conf, tenant="rogue", source=WORKER, **env):
        self.host, self.name, self.tenant = host, name, tenant
        self.source = source
        self.env = "".join(f'{key} = "{value}";' for key, value in env.items())
        self.configure(conf)
        host.function(tenant, name, source)

    def configure(self, conf):
        self.host.write(self.host.tenant(self.tenant) / f"{self.name}.conf",
                        f'protocol = "fastcgi"; {conf} '
                        f"env = {{ {self.env} }};", 0o644)

    def get(self, steps=FINE, **more):
        return self.host.get(f"/fn/{self.tenant}/{self.name}?{steps}",
                             **more)

    def pid(self):
        got = self.get(PID)
        assert got.status == 200, got
        return int(got.text)

    def counts(self):
        """(workers, ready)"""
        rows = json.loads(self.host.ctl("list", self.tenant, "--json").stdout)
        row, = (row for row in rows if row["function"] == self.name)
        return row["workers"], row["ready"]

    def becomes(self, workers, ready, timeout=15):
        eventually(lambda: self.counts() == (workers, ready),
                   f"{workers} workers, {ready} ready of {self.name}", timeout)

    def stays(self, workers, ready, seconds=1.5):
        """Not right by sleeping: each look has to be right."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.counts() == (workers, ready)
            time.sleep(0.05)

    def open(self, gate="gate"):
        self.host.data(gate, self.tenant).touch()


@pytest.fixture(scope="module")
def warm():
    with Host(CONF) as host:
        yield host


@pytest.fixture
def pool(warm):
    """Makes pools whose functions, and workers, are gone with the test."""
    made = []

    def make(name, conf, **more):
        made.append(Pool(warm, name, conf, **more))
        return made[-1]
    yield make
    for one in made:
        directory = warm.tenant(one.tenant)
        for name in one.name, f"{one.name}.conf":
            (directory / name).unlink(missing_ok=True)
        eventually(lambda: one.get().status == 404)
    for path in warm.functions.glob("*/data/*"):
        path.unlink()
    warm.quiet()
    warm.check_errors()


def test_spares_are_kept_once_it_was_asked_for(pool):
    p = pool("kept", "spare = 2;" + SOON)
    assert p.counts() == (0, 0)
    p.get()
    # one is free again, and is one of the two
    p.becomes(2, 2)
    p.stays(2, 2)


def test_two_are_ready_beside_those_that_work(pool):
    p = pool("beside", "spare = 2;" + SOON)
    p.get()
    p.becomes(2, 2)
    with ThreadPoolExecutor() as threads:
        asked = [threads.submit(p.get, f"hold=gate&{FINE}") for _ in range(3)]
        p.becomes(5, 2)
        p.open()
        assert all(one.result().text == "fine" for one in asked)
    p.becomes(2, 2)


def test_spares_outlive_what_makes_a_tenant_idle(pool, warm):
    """cell.idle is 2 s here: a tenant with spares has its processes kept."""
    p = pool("night", "spare = 1;" + SOON)
    p.get()
    p.becomes(1, 1)
    kept, end = warm.running(), time.monotonic() + 5
    while time.monotonic() < end:
        assert warm.running() == kept       # without a word to the host
        time.sleep(0.05)
    assert p.pid() and len(kept) == 1


def test_a_new_process_for_each_request(pool):
    p = pool("fresh", "requests = 1; spare = 3;")
    pids = [p.pid() for _ in range(count(20, 500))]
    assert len(set(pids)) == len(pids)
    p.becomes(3, 3)


def test_a_new_process_for_each_of_many_at_once(pool):
    p = pool("fresh_ones", "requests = 1; spare = 2; concurrency = 6;")
    with ThreadPoolExecutor(16) as threads:
        pids = list(threads.map(lambda _: p.pid(), range(count(60, 2000))))
    assert len(set(pids)) == len(pids)
    p.becomes(2, 2)


def test_recycled_after_so_many_requests(pool):
    p = pool("recycled", "requests = 3;")
    pids = Counter(p.pid() for _ in range(9))
    assert list(pids.values()) == [3, 3, 3]


def test_no_end_of_requests(pool):
    p = pool("endless", "requests = 0;")
    assert len({p.pid() for _ in range(count(30, 1000))}) == 1


def test_scale_to_zero(pool):
    p = pool("zero", SOON)
    first = p.pid()
    p.becomes(0, 0)
    assert p.pid() != first


def test_nothing_of_an_idle_tenant_is_left(pool, warm):
    """Its last worker goes after limits.warm, and then its cell."""
    p = pool("left", SOON, tenant="idle")
    p.get()
    cells = [name for name in warm.status()["tenants"] if name == "idle"]
    assert cells == ["idle"]
    eventually(lambda: "idle" not in warm.status().get("tenants", ()))
    assert p.get().text == "fine"


def test_grows_up_to_concurrency(pool):
    p = pool("grows", "concurrency = 4;", WORKER="mark=born")
    with ThreadPoolExecutor(12) as threads:
        asked = [threads.submit(p.get, f"hold=gate&{FINE}")
                 for _ in range(12)]
        p.becomes(4, 0)
        p.stays(4, 0)
        p.open()
        assert [one.result().text for one in asked] == ["fine"] * 12
    assert len(p.host.marks("born")) == 4


def test_slow_requests_behind_quick_ones_grow_as_many(pool):
    """What was quick so far says that nobody has to wait for long."""
    made = pool("turned", "concurrency = 4; limits = { queue = \"4s\"; };")
    for _ in range(5):
        assert made.get().status == 200
    with ThreadPoolExecutor(4) as threads:
        slow = [threads.submit(made.get, "hold=turned&" + FINE, timeout=60)
                for _ in range(4)]
        made.becomes(4, 0)
        made.open("turned")
        assert [one.result().status for one in slow] == [200] * 4


def test_one_worker_is_enough_for_who_come_in_turn(pool):
    p = pool("turn", "", WORKER="mark=born")
    for _ in range(count(50, 1000)):
        assert p.get().text == "fine"
    assert len(p.host.marks("born")) == 1


def test_a_thousand_first_requests(pool):
    """Five processes and no sixth; who is not answered is told when to come
    again."""
    p = pool("thousand", "concurrency = 5;", WORKER="mark=born")

    def ask(_):
        got = p.get(timeout=60)
        if got.status == 503 and int(got.header("Retry-After")) > 0:
            return 503, "later"
        return got.status, got.text
    with ThreadPoolExecutor(1001) as threads:
        asked = [threads.submit(ask, None) for _ in range(1000)]
        most = 0
        while not all(one.done() for one in asked):
            most = max(most, len(p.host.running()))
        got = Counter(one.result() for one in asked)
    assert set(got) <= {(200, "fine"), (503, "later")}, got
    assert got[200, "fine"] > 0
    assert most <= 5
    # and one that was replaced does not begin a row of them
    assert len(p.host.marks("born")) <= 10


def test_another_file_within_a_second(pool):
    """Not one request fails, and a second later none is answered by the old
    one."""
    p = pool("changes", "spare = 1;" + SOON)
    p.get()
    p.becomes(1, 1)
    old = p.pid()
    p.host.function("rogue", "changes", WORKER)
    changed = time.monotonic()
    while time.monotonic() < changed + 1.2:
        assert p.get().text == "fine"
    assert old not in {p.pid() for _ in range(5)}
    p.becomes(1, 1)


def test_other_settings_within_a_second(pool):
    p = pool("settings", "", SAID="old")
    old = p.pid()
    p.env = 'SAID = "new";'
    p.configure("")
    changed = time.monotonic()
    while time.monotonic() < changed + 1.2:
        assert p.get().text == "fine"
    assert p.pid() != old


def test_a_reload_that_changes_nothing_for_it_keeps_its_workers(pool, warm):
    p = pool("reloaded", "requests = 0;")
    first = p.pid()
    warm.ctl("reload")
    reloaded = time.monotonic()
    while time.monotonic() < reloaded + 1.2:
        assert p.pid() == first


def test_status_counts(pool, warm):
    before = warm.status()["workers"]
    p = pool("counted", "requests = 2; spare = 1;" + SOON)
    for _ in range(4):
        p.get()
    p.becomes(1, 1)
    now = warm.status()["workers"]
    assert now["recycled"] - before["recycled"] >= 1
    assert now["started"] - before["started"] >= 3
    assert now["ready"] == 1 and now["busy"] == now["starting"] == 0
    assert now["started"] - now["ended"] == 1 + now["leaving"]
    assert warm.status()["tenants"]["rogue"]["spare"] == 1


def test_a_record_says_which_worker_and_its_how_manyth_request(pool):
    p = pool("told", "requests = 2;")
    asked = [p.get() for _ in range(3)]
    first, second, third = (p.host.access(got.request_id) for got in asked)
    assert [r["served"] for r in (first, second, third)] == [1, 2, 1]
    assert first["worker"] == second["worker"] != third["worker"]
    assert all("ran_ms" in r and "exit" in r for r in (first, second, third))
    # what a worker uses is no single request's
    assert not {"cpu_ms", "max_rss_kib", "strays"} & set(first)
    told = b"worker=%d served=2 " % second["worker"]
    assert told in p.host.ctl("logs", "--call", asked[1].request_id,
                              "rogue").stdout
    assert told in p.host.ctl("logs", "-n", "1000").stdout
    p.host.function("rogue", "own")
    assert "worker" not in p.host.access(
        p.host.rogue("head", name="own").request_id)


def test_a_worker_that_ends_with_a_request_is_the_one_in_its_record(pool):
    p = pool("ends", "")
    p.get()
    record = p.host.access(p.get("exit=3").request_id)
    assert (record["served"], record["exit"]) == (2, 3)


def test_list_says_whose_spares_there_is_no_room_for(pool, warm):
    """tenant.spare is 8: what the first has, the second lacks."""
    first = pool("first", "spare = 6;" + SOON, tenant="spares")
    second = pool("second", "spare = 6;" + SOON, tenant="spares")
    for p, has in (first, 6), (second, 2):      # who comes first has it
        p.get()
        p.becomes(has, has)
    rows = {row["function"]: row for row in
            json.loads(warm.ctl("list", "spares", "--json").stdout)}
    assert "spare_short" not in rows["first"]
    assert (rows["second"]["spare"], rows["second"]["spare_short"]) == (6, 4)
    said = warm.ctl("list", "spares").stdout.decode().splitlines()
    assert said[0].endswith("fastcgi, 6 workers (6 ready)")
    assert said[1].endswith("fastcgi, 2 workers (2 ready), 2 of spare = 6: "
                            "tenant.spare = 8 is used up")


def test_list_says_that_a_function_is_switched_off(pool, warm):
    p = pool("off", "concurrency = 0;")
    assert p.get().status == 503
    warm.function("rogue", "off_cgi", conf="concurrency = 0;")
    words = {line.split()[0]: line for line in
             warm.ctl("list", "rogue").stdout.decode().splitlines()}
    for name, how in ("off", "fastcgi"), ("off_cgi", "cgi"):
        assert words[f"/fn/rogue/{name}"].endswith(
            f"  {how}, switched off (concurrency = 0)")


def test_old_ones_finish_what_they_have(pool):
    p = pool("finishes", "")
    p.get()
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(p.get, f"mark=begun&hold=gate&{PID}")
        p.host.wait_mark("begun")
        p.env = 'SAID = "new";'
        p.configure("")
        eventually(lambda: p.get() and p.counts() == (2, 1))
        new = p.pid()
        p.open()
        got = asked.result()
    assert got.status == 200 and int(got.text) != new
    p.becomes(1, 1)


BOTH = r"""
#include <fcgi_stdio.h>
#include <unistd.h>

int
main(void)
{
	int requests = 0;

	while (FCGI_Accept() >= 0)
		printf("Content-Type: text/plain\r\n\r\n%d %d\n", ++requests,
		    (int)getpid());
	return 0;
}
"""


def test_one_line_makes_a_program_warm(warm, tmp_path):
    """A program that speaks CGI and FastCGI, as those of libfcgi do."""
    source, program = tmp_path / "both.c", tmp_path / "both"
    source.write_text(BOTH)
    subprocess.run(["gcc", "-o", program, source, "-lfcgi"], check=True)
    warm.function("rogue", "both", program)

    def ask():
        return warm.get("/fn/rogue/both").text.split()
    cold = [ask() for _ in range(3)]
    assert [row[0] for row in cold] == ["1", "1", "1"]
    assert len({row[1] for row in cold}) == 3
    warm.function("rogue", "both", program, conf='protocol = "fastcgi";')
    kept = [ask() for _ in range(3)]
    assert [row[0] for row in kept] == ["1", "2", "3"]
    assert len({row[1] for row in kept}) == 1
    listed = warm.ctl("list", "rogue").stdout.decode()
    assert "both fastcgi, 1 worker (1 ready)" in " ".join(listed.split())
    warm.function("rogue", "both", program, conf='protocol = "cgi";')
    eventually(lambda: len({tuple(ask()) for _ in range(3)}) == 3
               and ask()[0] == "1")
    (warm.functions / "rogue" / "both").unlink()
    (warm.functions / "rogue" / "both.conf").unlink()


def test_what_a_tenant_says_is_for_those_that_can(pool, warm):
    """tenant.conf with spares is no error of a CGI program."""
    directory = warm.tenant("mixed")
    warm.write(directory / "tenant.conf", "spare = 1;", 0o644)
    warm.function("mixed", "plain")
    p = pool("keeps", SOON, tenant="mixed")
    assert warm.get("/fn/mixed/plain?head&out=x").text == "x"
    p.get()
    p.becomes(1, 1)
    (directory / "tenant.conf").unlink()


def test_functions_share_what_their_tenant_may_keep(pool, warm):
    """tenant.spare is 8, of both together."""
    before = warm.status()["workers"]["started"]
    one = pool("one", "spare = 6;" + SOON)
    other = pool("other", "spare = 6;" + SOON)
    one.get()
    one.becomes(6, 6)
    other.get()
    other.becomes(2, 2)
    assert one.counts() == (6, 6)
    # none is started again and again, also not of a file that is this young
    assert warm.status()["workers"]["started"] - before <= 14


def test_spares_make_way_for_others(new_host):
    """All processes that the host may have are idle ones of one tenant; the
    request of another has one all the same."""
    host = new_host(CONF + "slots = { host = 3; share = 100; };")
    keeps = Pool(host, "keeps", "spare = 3;")
    keeps.get()
    keeps.becomes(3, 3)
    host.function("other", "cgi")
    assert host.get("/fn/other/cgi?head&out=x").text == "x"
    other = Pool(host, "warm", "", tenant="other")
    assert other.get().text == "fine"
    assert keeps.get().text == "fine"


def test_spares_that_start_make_way_as_well(new_host):
    """None is idle yet when another tenant's request needs a process; they are
    soon, when they are old enough to be."""
    host = new_host(CONF + "slots = { host = 2; share = 100; };")
    starts = Pool(host, "starts", "spare = 2; requests = 1;",
                  WORKER="hold=gate")
    starts.open()
    assert starts.get().text == "fine"
    host.data("gate").unlink()
    with ThreadPoolExecutor() as threads:
        used = threads.submit(starts.get)       # one of two; others start
        eventually(lambda: starts.counts()[0] == 2)
        other = Pool(host, "warm", "", tenant="other")
        assert other.get().text == "fine"
        starts.open()
        assert used.result().text == "fine"


def test_who_dies_young_is_started_seldom(pool):
    """Until it is started once more, those who ask are told why it is not."""
    p = pool("dies", 'limits = { queue = "1s"; };', WORKER="mark=born&exit=3")
    begun, damped = time.monotonic(), []

    def ask(threads):
        for one in threads.map(lambda _: p.get(), range(4)):
            assert one.status in (502, 503), one
            if one.status == 503 and ":damped" in one.text:
                damped.append(one)
        return len(damped) and len(p.host.marks("born"))
    with ThreadPoolExecutor(4) as threads:
        born = eventually(lambda: ask(threads), "the damper", 60)
        eventually(lambda: ask(threads) > born, "another start", 60)
    for one in damped:
        one.problem(503, "damped", "exit 3")
        assert int(one.header("Retry-After")) > 0
    # four at once, and one in three seconds
    assert len(p.host.marks("born")) <= 8 + (time.monotonic() - begun) / 3


def test_who_dies_young_is_not_kept_for_nobody(pool):
    p = pool("dies_ahead", "spare = 2;", WORKER="mark=born&exit=3")
    p.get()
    p.becomes(0, 0)
    born = len(p.host.marks("born"))
    p.stays(0, 0, seconds=5)
    assert len(p.host.marks("born")) == born


def test_more_than_the_tenant_may_is_refused(pool):
    p = pool("greedy", "spare = 9;")
    p.get().problem(503, "refused", "spare = 9", "tenant.spare")
