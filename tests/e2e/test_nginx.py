# SPDX-License-Identifier: MIT
"""The files in nginx/ are sound, and the variants route as they say. If one of
these fails, an administrator's nginx does not start, or asks for the wrong
thing."""
import contextlib
import http.client
import socket
import subprocess

import pytest

from host import FILES, IS_ROOT, NGINX, ROOT, Host, eventually, free_port


@pytest.fixture(scope="module")
def virtual():
    host = Host("drain = \"1s\";")
    port = free_port()
    write = host.write_nginx

    def with_virtual_hosts():
        to = write()
        conf = to / "nginx.conf"
        conf.write_text(conf.read_text().replace(
            "\tserver {", "\tinclude fcgi-host-virtual.conf;\n\tserver {", 1))
        file = to / "fcgi-host-virtual.conf"
        file.write_text(file.read_text().replace(
            "listen 80", f"listen 127.0.0.1:{port}"))
        return to
    host.write_nginx = with_virtual_hosts
    host.virtual_port = port
    with host:
        yield host


def test_nginx_finds_no_fault(virtual):
    to = virtual.run / "nginx"
    done = subprocess.run([NGINX, "-t", "-e", to / "test.log", "-c",
                           to / "nginx.conf"], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"warn" not in done.stderr, done.stderr
    text = (to / "nginx.conf").read_text()
    for file in (ROOT / "nginx").glob("*.conf"):
        assert file.name in text or file.name == "fcgi-host-params.conf"


def test_connections_to_fn_sock_have_a_number_of_their_own():
    """With fcgi-host-fn-alone.conf functions can take all there are, and clients
    notice nothing."""
    host = Host()
    to, write = host.run / "nginx", host.write_nginx

    def apart():
        write()
        main, alone = to / "nginx.conf", to / "fcgi-host-fn-alone.conf"
        main.write_text(main.read_text().replace(
            "include fcgi-host-fn.conf;", ""))
        text = alone.read_text()
        for old, new in (("user www-data;", "daemon off;"),
                         ("nofile 34816", f"nofile {FILES}"),
                         ("connections 32768", "connections 64"),
                         ("/run/fcgi-host-fn.pid", f"{to}/alone.pid"),
                         ("/var/log/nginx/", f"{to}/"),
                         ("/var/lib/nginx/", f"{to}/")):
            assert old in text
            text = text.replace(old, new)
        alone.write_text(text)
        return to

    def fill(calls):
        """Half requests, as many as it takes."""
        for call in [call for call in calls if closed(call)]:
            calls.remove(call)
            call.close()
        while len(calls) < 100:
            calls.append(socket.socket(socket.AF_UNIX))
            calls[-1].connect(str(host.run / "fn" / "fn.sock"))
            with contextlib.suppress(OSError):
                calls[-1].send(b"GET / HTTP/1.1\r\nX: ")

    def closed(call):
        try:
            return call.recv(1, socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    host.write_nginx, calls = apart, []
    with host:
        user = {"user": "www-data", "group": "www-data",
                "extra_groups": []} if IS_ROOT else {}
        with subprocess.Popen([NGINX, "-e", to / "alone.log", "-c",
                               to / "fcgi-host-fn-alone.conf"],
                              stdin=subprocess.DEVNULL, **user) as second:
            try:
                eventually((host.run / "fn" / "fn.sock").is_socket, "fn.sock")
                for number in range(50):
                    fill(calls)
                    assert host.rogue(f"head&out={number}").text == str(number)
                log = (to / "fcgi-host-fn.log").read_text()
                assert "64 worker_connections are not enough" in log
                assert "not enough" not in (to / "error.log").read_text()
            finally:
                second.terminate()
                for call in calls:
                    call.close()


def test_no_parameter_is_set_twice():
    text = (ROOT / "nginx" / "fcgi-host-params.conf").read_text()
    names = [line.split()[1] for line in text.splitlines()
             if line.startswith("fastcgi_param ")]
    assert len(names) == len(set(names)) > 20


def test_limits_are_the_hosts(virtual):
    virtual.conf.write_text('maximum = { body = "3MiB"; time = "70s"; queue = '
                            '"1s"; grace = "1s"; start = "1s"; };\n'
                            'limits = { body = "1MiB"; queue = "1s"; '
                            'start = "1s"; };')
    done = subprocess.run(virtual.command("-n", "--nginx"),
                          capture_output=True, check=True)
    values = dict(line.rstrip(";").split() for line in
                  done.stdout.decode().splitlines() if line[0] != "#")
    assert values["client_max_body_size"] == str(3 << 20)
    assert int(values["fastcgi_read_timeout"].rstrip("s")) > 73


@pytest.mark.parametrize("name, status", [
    ("rogue.fn.example", 200), ("other.fn.example", 404),
    ("fn.example", 421), ("a.rogue.fn.example", 421),
    ("-.fn.example", 421), ("rogue.fn.example.evil.test", 421)])
def test_virtual_hosts(virtual, name, status):
    port, virtual.port = virtual.port, virtual.virtual_port
    try:
        got = virtual.get("/rogue/info?head&env", headers={"Host": name})
        assert got.status == status
        if status == 200:
            found = virtual.parse_environment(got.body)
            assert found["SCRIPT_NAME"] == "/rogue"
            assert found["PATH_INFO"] == "/info"
            assert found["FN_TENANT"] == "rogue"
        if status == 200:
            got = virtual.get("/nothing", headers={"Host": name})
            assert got.status == 404
    finally:
        virtual.port = port


def test_user_directories(virtual):
    for path in ("/~rogue/rogue/x", "/%7Erogue/rogue/x"):
        got = virtual.get(path + "?head&env")
        found = virtual.parse_environment(got.body)
        assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == \
            ("/~rogue/rogue", "/x")
    assert virtual.get("/~nobody/rogue").status == 404


def test_streaming(virtual):
    connection = virtual.http()
    connection.request("GET", "/stream/rogue/rogue?head&out=first&wait=go"
                       "&out=second")
    reply = connection.getresponse()
    assert reply.read(5) == b"first"
    virtual.data("go").touch()
    assert reply.read() == b"second"
    connection.close()


def test_events_are_not_held_back(virtual):
    """A stream of events passes at once below /fn/ as well."""
    connection = virtual.http()
    connection.request("GET", "/fn/rogue/rogue?line=Content-Type:+text/"
                       "event-stream&line&out=data:+1%0a%0a&wait=more&out=end")
    reply = connection.getresponse()
    assert reply.read(9) == b"data: 1\n\n"
    assert reply.getheader("X-Accel-Buffering") is None
    virtual.data("more").touch()
    assert reply.read() == b"end"
    connection.close()


@pytest.mark.parametrize("prefix", ["fn", "stream"])
def test_a_broken_reply_is_seen_to_be_broken(host, prefix):
    """Also where nginx does not wait for the end of a reply."""
    connection = host.http()
    connection.request("GET", f"/{prefix}/rogue/rogue?head&fill=100000"
                       "&mark=out&wait=go&signal=KILL")
    reply = connection.getresponse()
    assert reply.status == 200
    reply.read(1000)
    host.data("go").touch()
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        reply.read()
    connection.close()
