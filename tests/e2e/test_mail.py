# SPDX-License-Identifier: MIT
"""Functions send mail as fcgi-host-tenants(7) says, with the msmtp of the system and
its configurations from the page, to a mail server of the test. If one of these
fails, a form of a customer's page mails nobody."""
import os
import re
import shutil
import socketserver
import stat
import threading

import pytest

from host import ROOT, eventually
from test_man import examples

PAGE = ROOT / "fcgi-host/man/fcgi-host-tenants.7"
MSMTP = shutil.which("msmtp")
FORM = """#!/bin/sh
printf 'To: ada@example.org\\nSubject: form\\n\\n%s\\n' "$QUERY_STRING" |
    msmtp -t 2>&1 >/dev/null || exit 1
printf 'Content-Type: text/plain\\n\\nsent\\n'
"""


class Session(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as a client needs to be happy."""

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self):
        letter = {"from": None, "to": []}
        self.say("220 sink ESMTP")
        for line in self.rfile:
            word = line.split()[0].upper() if line.split() else b""
            address = re.search(rb"<(.*?)>", line)
            if word == b"MAIL":
                letter["from"] = address[1].decode()
            elif word == b"RCPT":
                letter["to"].append(address[1].decode())
            elif word == b"DATA":
                self.say("354 go on")
                text = iter(self.rfile.readline, b".\r\n")
                letter["text"] = b"".join(text).decode()
                self.server.letters.append(letter)
            elif word == b"QUIT":
                self.say("221 bye")
                return
            self.say("250 sink" if word != b"DATA" else "250 taken")


class Inet(socketserver.ThreadingTCPServer):
    daemon_threads, allow_reuse_address = True, True


class Local(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@pytest.fixture
def sink():
    """Starts a mail server at an address; gives what came, in `letters`."""
    servers = []

    def start(kind, address):
        server = kind(address, Session)
        server.letters = []
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def recipe(name):
    """What the page has the administrator write to msmtprc, and behind it to the
    host's configuration."""
    found = examples(PAGE)
    at = [kind for _, kind, _ in found].index(f"file msmtprc-of-a-{name}")
    return found[at][2], found[at + 1][2]


def mails(host, server):
    got = host.get("/fn/acme/form?name=Ada")
    assert (got.status, got.text) == (200, "sent\n"), host.tenant_log("acme")
    eventually(lambda: server.letters or None, "the letter to come")
    (letter,) = server.letters
    assert letter["from"] == "acme@example.org"
    assert letter["to"] == ["ada@example.org"]
    assert "Subject: form\r\n" in letter["text"]
    assert letter["text"].endswith("\r\n\r\nname=Ada\r\n")


@pytest.mark.skipif(not MSMTP, reason="there is no msmtp here")
def test_by_the_network_of_the_host(new_host, sink):
    server = sink(Inet, ("127.0.0.1", 0))
    text, conf = recipe("port")
    text, changed = re.subn(r"^port .*$", f"port {server.server_address[1]}",
                            text, flags=re.M)
    assert changed == 1
    host = new_host(conf)
    host.function("acme", "form", FORM)
    host.write(host.tenant("acme") / ".msmtprc", text, 0o644)
    mails(host, server)


@pytest.mark.skipif(not MSMTP, reason="there is no msmtp here")
def test_by_a_socket_without_network(new_host, sink, tmp_path_factory):
    place = tmp_path_factory.mktemp("mail")
    for directory in (place, *place.parents[:2]):
        directory.chmod(0o755)
    server = sink(Local, str(place / "smtp"))
    (place / "smtp").chmod(0o666)
    text, conf = (part.replace("/run/mail", str(place))
                  for part in recipe("socket"))
    host = new_host(conf)
    host.function("acme", "form", FORM)
    host.write(host.tenant("acme") / ".msmtprc", text, 0o644)
    mails(host, server)


@pytest.mark.skipif(not MSMTP, reason="there is no msmtp here")
def test_msmtp_needs_no_rights_of_its_own():
    """What runs with the rights of its file's group would not do so in a cell."""
    mode = os.stat(MSMTP).st_mode
    assert not mode & (stat.S_ISUID | stat.S_ISGID)
