# SPDX-License-Identifier: MIT
"""A FastCGI client that can also do everything wrong. It shares no code with
the host, so that the two cannot agree on a mistake."""
import socket
import struct
from dataclasses import dataclass, field

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR, DATA = range(1, 9)
GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE = 9, 10, 11
RESPONDER, AUTHORIZER, FILTER = 1, 2, 3
REQUEST_COMPLETE, CANT_MPX_CONN, OVERLOADED, UNKNOWN_ROLE = 0, 1, 2, 3
KEEP_CONN = 1


def record(kind, number, content=b"", padding=0, version=1):
    return struct.pack(">BBHHBB", version, kind, number, len(content), padding,
                       0) + content + b"\xaa" * padding


def begin(number=1, role=RESPONDER, flags=0):
    return record(BEGIN, number, struct.pack(">HB5x", role, flags))


def length(value, long_form=False):
    return struct.pack(">I", value | 1 << 31) if long_form or value > 127 \
        else bytes([value])


def pair(name, value, long_form=False):
    name = name if isinstance(name, bytes) else name.encode()
    value = value if isinstance(value, bytes) else str(value).encode()
    return length(len(name), long_form) + length(len(value), long_form) \
        + name + value


def pairs(params):
    items = params.items() if isinstance(params, dict) else params
    return b"".join(pair(name, value) for name, value in items)


def parse_pairs(content):
    def size(at):
        if content[at] < 128:
            return content[at], at + 1
        return struct.unpack_from(">I", content, at)[0] & 0x7fffffff, at + 4
    found, at = {}, 0
    while at < len(content):
        names, at = size(at)
        values, at = size(at)
        name = content[at:at + names]
        found[name.decode()] = content[at + names:at + names + values].decode()
        at += names + values
    return found


def stream(kind, number, content, chunk=32768):
    """Records with all of content, then the empty one that ends the stream."""
    return b"".join(record(kind, number, content[at:at + chunk])
                    for at in range(0, len(content), chunk)) \
        + record(kind, number)


def target(uri, method="GET", **more):
    """The parameters nginx would send for this request target."""
    path, _, query = uri.partition("?")
    return {
        "REQUEST_URI": uri, "REQUEST_METHOD": method, "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_SOFTWARE": "test",
        "SERVER_NAME": "test.example", "SERVER_PORT": "80",
        "REMOTE_ADDR": "192.0.2.7", "GATEWAY_INTERFACE": "CGI/1.1",
        "FN_PREFIX": "/fn/", **more}


def request(uri, body=b"", number=1, flags=0, method=None, **more):
    """All records of one request."""
    method = method or ("POST" if body else "GET")
    if body:
        more.setdefault("CONTENT_LENGTH", len(body))
    return begin(number, flags=flags) \
        + stream(PARAMS, number, pairs(target(uri, method, **more))) \
        + stream(STDIN, number, body)


@dataclass
class Reply:
    stdout: bytes = b""
    stderr: bytes = b""
    app_status: int = None
    protocol_status: int = None
    ends: list = field(default_factory=list)    # streams ended, in order

    @property
    def complete(self):
        return self.protocol_status is not None

    @property
    def head(self):
        return self.stdout.partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def body(self):
        return self.stdout.partition(b"\r\n\r\n")[2]

    @property
    def status(self):
        return int(self.head.split("\r\n")[0].split()[1])

    def field(self, name):
        found = [line.partition(":")[2].strip()
                 for line in self.head.split("\r\n")
                 if line.lower().startswith(name.lower() + ":")]
        return found[0] if found else None


class Connection:
    """One connection to a front socket."""

    def __init__(self, path, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, *parts):
        self.socket.sendall(b"".join(parts))

    def take(self, count):
        """count bytes, or what was there before the end."""
        while len(self.buffer) < count:
            part = self.socket.recv(65536)
            if not part:
                break
            self.buffer += part
        part, self.buffer = self.buffer[:count], self.buffer[count:]
        return part

    def closed(self):
        """True at the end of the connection; fails when bytes come instead."""
        try:
            rest = self.take(1)
        except ConnectionResetError:
            return True
        assert rest == b"", rest
        return True

    def record(self):
        """(type, id, content), or None at the end."""
        head = self.take(8)
        if not head or head == bytes(8):     # broken off
            return None
        assert len(head) == 8, "the host closed in the middle of a record"
        version, kind, number, content, padding, _ = \
            struct.unpack(">BBHHBB", head)
        assert version == 1
        body = self.take(content + padding)
        assert len(body) == content + padding, \
            "the host closed in the middle of a record"
        return kind, number, body[:content]

    def reply(self, number=1):
        """Reads until END_REQUEST of this id or the end of the connection."""
        reply = Reply()
        parts = {STDOUT: [], STDERR: []}
        try:
            self.read_reply(reply, number, parts)
        finally:
            reply.stdout = b"".join(parts[STDOUT])
            reply.stderr = b"".join(parts[STDERR])
        return reply

    def read_reply(self, reply, number, parts):
        while True:
            one = self.record()
            if one is None:
                return
            kind, its_number, content = one
            assert its_number == number, f"record {kind} of id {its_number}"
            if kind == END:
                reply.app_status, reply.protocol_status = \
                    struct.unpack(">IB3x", content)
                return
            assert kind in (STDOUT, STDERR), kind
            if not content:
                reply.ends.append(kind)
            else:
                assert kind not in reply.ends, "bytes behind the end"
                parts[kind].append(content)

    def ask(self, uri, body=b"", **more):
        self.send(request(uri, body, **more))
        return self.reply(more.get("number", 1))


def ask(path, uri, body=b"", **more):
    """One request on a connection of its own."""
    with Connection(path) as connection:
        return connection.ask(uri, body, **more)
