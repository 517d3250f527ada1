# SPDX-License-Identifier: MIT
"""If this fails, a tenant gets more or less than its plan says, or is not told
which plan and which limit it was."""
import threading

import pytest

from host import eventually

CONF = """
plan = "small";
plans = (
    { name = "small"; rate = 1; burst = 6; slots = 3; tmp = "1 MiB";
      env = { PLAN_OF = "small"; };
      limits = { time = "300ms"; };
      maximum = { time = "5s"; body = "64 KiB"; files = 99; }; },
    { name = "large"; weight = 300; }
);
tenants = ( { name = "rogue"; plan = "large"; },
            { name = "given"; rate = 100; burst = 100; } );
"""


@pytest.fixture
def plans(new_host):
    host = new_host(CONF)
    for tenant in ("few", "given"):
        host.tenant(tenant)
        host.function(tenant, "rogue")
    return host


def test_errors_name_plan_and_setting(plans):
    host = plans
    host.rogue("forever", tenant="given").problem(
        504, "time", "given/rogue", "limits.time = 300 ms of plan small")
    host.function("given", "long", conf='limits = { time = "6s"; };')
    host.rogue("head", tenant="given", name="long").problem(
        503, "refused", "long.conf:1: limits.time = 6s is above the tenant's "
        "maximum of 5s (maximum.time of plan small)")
    host.function("given", "much", conf='limits = { body = "1 MiB"; };')
    host.rogue("head", tenant="given", name="much").problem(
        503, "refused", "maximum.body of plan small")
    got = host.rogue("head&env=PLAN_OF", tenant="given")
    assert got.text.strip() == "small"
    # on another plan the same files are good
    host.function("rogue", "long", conf='limits = { time = "6s"; };')
    assert host.rogue("head", name="long").status == 200


def test_default_follows_a_lower_maximum(plans):
    state = plans.rogue("head&state", tenant="given").text
    assert "limit_nofile 99\n" in state or "limit_files 99\n" in state, state


def test_rate_is_429_until_then(plans):
    host, served = plans, 0
    while True:
        got = host.rogue("head", tenant="few")
        if got.status != 200:
            break
        served += 1
    assert served >= 6
    got.problem(429, "rate", "tenant few", "rate = 1 a second of plan small")
    assert got.header("Retry-After") == "1"
    assert host.access(got.request_id)["end"] == "rate"
    # nobody else is refused for it, and it does not last
    assert host.rogue("head", tenant="given").status == 200
    eventually(lambda: host.rogue("head", tenant="few").status == 200 or None,
               "the next second")
    faults = host.ctl("faults", "few").stdout.decode()
    assert "came faster than rate = 1 a second of plan small" in faults, faults


def test_plans_are_shown(plans):
    host = plans
    assert host.rogue("head", tenant="given").status == 200
    assert host.status()["tenants"]["given"]["plan"] == "small"
    assert host.status()["tenants"]["given"]["slots"] == 3
    assert host.ctl("check", "given").returncode == 0
    host.function("given", "long", conf='limits = { time = "6s"; };')
    done = host.ctl("check", "given", check=False)
    assert done.returncode == 1
    assert "given/long: long.conf:1: limits.time = 6s is above the tenant's " \
        "maximum of 5s (maximum.time of plan small)" in done.stderr.decode()
    assert "(plan small)" in host.ctl("list", "given").stdout.decode()
    assert "(plan large)" in host.ctl("list", "rogue").stdout.decode()


def test_another_plan_by_reload(plans):
    host = plans
    host.rogue("forever", tenant="given").problem(504, "time")
    host.conf.write_text(CONF.replace('"given"; rate', '"given"; '
                                      'plan = "large"; rate'))
    host.ctl("reload")
    host.function("given", "long", conf='limits = { time = "6s"; };')
    assert host.rogue("head", tenant="given", name="long").status == 200
    assert host.status()["tenants"]["given"]["plan"] == "large"


@pytest.mark.alone
def test_weights_are_shares(new_host):
    """By count: while both have more than is served, one with three times the
    weight has three times the starts."""
    host = new_host("""
        slots = { host = 2; share = 100; };
        plans = ( { name = "large"; weight = 300; } );
        tenants = ( { name = "heavy"; plan = "large"; } );""")
    served, stop = {"heavy": 0, "light": 0}, threading.Event()
    for tenant in served:
        host.tenant(tenant)
        host.function(tenant, "rogue")
        assert host.rogue("head", tenant=tenant).status == 200

    def ask(tenant):
        while not stop.is_set():
            assert host.rogue("sleep=10&head", tenant=tenant).status == 200
            if stop.is_set():
                return
            served[tenant] += 1
            if sum(served.values()) >= 400:
                stop.set()

    threads = [threading.Thread(target=ask, args=(tenant,))
               for tenant in served for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ratio = served["heavy"] / served["light"]
    assert 2.4 < ratio < 3.75, served
