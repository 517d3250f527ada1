#!/usr/bin/python3 -IS
# SPDX-License-Identifier: MIT
"""A FastCGI program that misbehaves on request, for the tests: raw sockets, no
library. A request's query is a list of steps, STEP or STEP=ARGUMENT between '&',
done in order when its PARAMS are read; what they leave out of a reply is sent
behind them. WORKER in the environment is such a list as well, done before the
first accept(). Records are those of a well-behaved program until a step says
otherwise. Files are in data/ of the tenant."""
import os
import select
import signal
import socket
import struct
import sys
import time

END, STDIN, STDOUT, STDERR, PARAMS = 3, 5, 6, 7, 4
BLOCK = 65528


def data(name):
    return f"data/{name}"


def decode(text):
    """Percent-decoded bytes."""
    parts = text.replace("+", " ").encode("latin-1").split(b"%")
    return parts[0] + b"".join(bytes([int(part[:2], 16)]) + part[2:]
                               for part in parts[1:])


def wait_for(name):
    """Until the test makes that file."""
    while not os.path.exists(data(name)):
        time.sleep(0.005)


def mark(name):
    """A line more in that file: how often something was done."""
    fd = os.open(data(name), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(fd, b"%d\n" % os.getpid())
    os.close(fd)


class Done(Exception):
    """No more of this connection."""


class Process:
    """What a step can do outside of any request."""

    def __init__(self):
        self.last = False

    def step(self, name, argument):
        method = getattr(self, "do_" + name, None)
        if method is None:
            sys.exit(f"worker.py has no step {name}")
        method(argument.decode("latin-1"))

    def steps(self, text):
        for item in filter(None, text.split("&")):
            name, _, argument = item.partition("=")
            self.step(name, decode(argument))

    def do_mark(self, name):
        mark(name)

    def do_hold(self, name):
        wait_for(name)

    def do_hang(self, _):
        while True:
            signal.pause()

    def do_exit(self, code):
        os._exit(int(code or 0))

    def do_kill(self, name):
        os.kill(os.getpid(), getattr(signal, "SIG" + name))

    def do_ignore(self, name):
        signal.signal(getattr(signal, "SIG" + name), signal.SIG_IGN)

    def do_last(self, _):
        """Ends by itself right behind this request."""
        self.last = True

    def do_closed(self, _):
        """No listener any more."""
        os.close(0)

    def do_deaf(self, _):
        """A listener, but of no use to anybody."""
        listener.shutdown(socket.SHUT_RDWR)

    def do_family(self, name):
        """A child that holds the listener, and outlives us if it can."""
        if os.fork() == 0:
            mark(name)
            self.do_hang("")

    def do_fd1(self, text):
        os.write(1, text.encode("latin-1"))

    def do_fd2(self, text):
        os.write(2, text.encode("latin-1"))


class Request(Process):
    def __init__(self, connection):
        super().__init__()
        self.connection = connection
        self.id, self.padding, self.size, self.dribbles = 1, 0, BLOCK, False
        self.version, self.ended, self.stdin_over = 1, False, False
        self.stays = False

    def serve(self):
        params = b""
        while True:
            kind, content = self.record()
            if kind == PARAMS and not content:
                break
            if kind == PARAMS:
                params += content
        self.params = dict(self.pairs(params))
        try:
            self.steps(self.params.get(b"QUERY_STRING", b"").decode("latin-1"))
            if not self.ended:
                self.do_outend("")
                self.do_end("")
        except Done:
            pass

    # ---- reading: a header at a time, so that what is unread stays there ----

    def take(self, count):
        got = b""
        while len(got) < count:
            part = self.connection.recv(count - len(got))
            if not part:
                raise EOFError
            got += part
        return got

    def record(self):
        _, kind, _, count, padding, _ = struct.unpack(">BBHHBB", self.take(8))
        return kind, self.take(count + padding)[:count]

    @staticmethod
    def pairs(stream):
        def length(at):
            if stream[at] < 128:
                return stream[at], at + 1
            return struct.unpack_from(">I", stream, at)[0] & 0x7fffffff, at + 4
        at = 0
        while at < len(stream):
            name, at = length(at)
            value, at = length(at)
            yield stream[at:at + name], stream[at + name:at + name + value]
            at += name + value

    def body(self, most=None):
        got = b""
        while not self.stdin_over and (most is None or len(got) < most):
            kind, content = self.record()
            got += content
            self.stdin_over = kind == STDIN and not content
        return got

    def do_read(self, _):
        self.body()

    def do_readsome(self, count):
        self.body(int(count))

    def do_length(self, _):
        self.say(STDOUT, b"%d" % len(self.body()))

    def do_echo(self, _):
        self.say(STDOUT, self.body())

    def do_param(self, name):
        self.say(STDOUT, self.params.get(name.encode(), b"(none)"))

    # ---- writing ----

    def send(self, content):
        step = 1 if self.dribbles else len(content) or 1
        for at in range(0, len(content), step):
            self.connection.sendall(content[at:at + step])

    def put(self, kind, content):
        self.send(struct.pack(">BBHHBB", self.version, kind, self.id,
                              len(content), self.padding, 0)
                  + content + b"P" * self.padding)

    def say(self, kind, content):
        for at in range(0, len(content), self.size):
            self.put(kind, content[at:at + self.size])

    def do_head(self, _):
        self.say(STDOUT, b"Content-Type: text/plain\r\n\r\n")

    def do_out(self, text):
        self.say(STDOUT, text.encode("latin-1"))

    def do_err(self, text):
        self.say(STDERR, text.encode("latin-1"))

    def do_pid(self, _):
        self.say(STDOUT, b"%d" % os.getpid())

    def do_fill(self, count):
        left = int(count)
        while left > 0:
            self.put(STDOUT, b"x" * min(left, self.size))
            left -= self.size

    def do_bytes(self, text):
        """As they are, in no record."""
        self.send(text.encode("latin-1"))

    def do_type(self, kind):
        self.put(int(kind), b"")

    def do_outend(self, _):
        self.put(STDOUT, b"")

    def do_errend(self, _):
        self.put(STDERR, b"")

    def do_end(self, argument):
        """APP_STATUS:PROTOCOL_STATUS"""
        app, _, protocol = argument.partition(":")
        self.put(END, struct.pack(">IB3x", int(app or 0), int(protocol or 0)))
        self.ended = True

    def do_noend(self, _):
        self.ended = True

    def do_short(self, count):
        """An END_REQUEST of so many bytes."""
        self.put(END, b"\0" * int(count))
        self.ended = True

    # how records look from now on
    def do_id(self, number):
        self.id = int(number)

    def do_version(self, number):
        self.version = int(number)

    def do_padding(self, count):
        self.padding = int(count)

    def do_size(self, count):
        self.size = int(count)

    def do_dribble(self, _):
        self.dribbles = True

    # ---- the connection ----

    def do_keep(self, _):
        """It stays for the next request, and all of this one was read."""
        self.body()
        self.stays = True

    def do_spurn(self, _):
        """Behind the end: closes it as soon as something comes."""
        select.select([self.connection], [], [])
        self.stays = False

    def do_close(self, _):
        self.ended = True
        self.connection.close()
        raise Done

    def do_half(self, _):
        """Nothing more from us, but the connection stays."""
        self.ended = True
        self.connection.shutdown(socket.SHUT_WR)


def main():
    process = Process()
    process.steps(os.environ.get("WORKER", ""))
    most = int(os.environ.get("WORKER_REQUESTS", 0))
    served = 0
    while not process.last and (served < most or most == 0):
        try:
            connection, _ = listener.accept()
        except OSError as error:
            sys.exit(0 if error.errno == 22 else f"accept: {error}")
        stays = True
        while stays and not process.last:
            request = Request(connection)
            try:
                request.serve()
            except (EOFError, OSError):
                break
            stays = request.stays
            process.last |= request.last
            served += 1
        if not process.last:
            connection.close()


if __name__ == "__main__":
    listener = socket.socket(fileno=0)
    main()
