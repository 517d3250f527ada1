#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The same as fcgx.c as a WSGI application, and below it the server that brings
it to FastCGI the way flup does: a thread that accepts, a thread for each
connection, records read one by one, streams made of them."""
import os
import socket
import struct
import sys
import threading

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR = range(1, 8)
KEEP_CONN = 1
served = 0


def application(environ, start_response):
    global served
    served += 1
    word, _, value = environ["QUERY_STRING"].partition("=")
    if word == "exit":
        os._exit(3)
    status = f"{value} Told" if word == "status" else "200 OK"
    start_response(status, [("Content-Type", "text/plain"),
                            ("X-Pid", str(os.getpid())),
                            ("X-Served", str(served)),
                            ("X-Thread", threading.current_thread().name)])
    if word == "error":
        print(f"python says {value}", file=environ["wsgi.errors"])
    if word == "ignore":
        return [b"unread\n"]
    if environ["REQUEST_METHOD"] == "POST":
        return iter(lambda: environ["wsgi.input"].read(4000), b"")
    if word == "large":
        return [b"x" * int(value)]
    path = environ.get("PATH_INFO", "-")
    return [f"{environ['REQUEST_METHOD']} {path}\n".encode()]


# ---- the server -------------------------------------------------------------

def record(kind, number, content=b""):
    return struct.pack(">BBHHBB", 1, kind, number, len(content), 0, 0) + content


def length(content, at):
    if content[at] < 128:
        return content[at], at + 1
    return struct.unpack_from(">I", content, at)[0] & 0x7fffffff, at + 4


def pairs(content):
    found, at = {}, 0
    while at < len(content):
        name, at = length(content, at)
        value, at = length(content, at)
        found[content[at:at + name].decode("latin-1")] = \
            content[at + name:at + name + value].decode("latin-1")
        at += name + value
    return found


class Connection:
    def __init__(self, connected):
        self.socket, self.file = connected, connected.makefile("rb")
        self.number = self.keep = 0

    def record(self):
        """(kind, content), or None at the end of the connection."""
        head = self.file.read(8)
        if len(head) < 8:
            return None
        _, kind, number, size, padding, _ = struct.unpack(">BBHHBB", head)
        content = self.file.read(size)
        self.file.read(padding)
        if kind == BEGIN:
            self.number, self.keep = number, content[2] & KEEP_CONN
        return kind, content

    def stream(self, wanted):
        """All of a stream; what comes beside it is nothing to us."""
        content = b""
        while True:
            got = self.record()
            if got is None or got[0] == ABORT:
                raise ConnectionError
            if got[0] == wanted:
                if not got[1]:
                    return content
                content += got[1]

    def send(self, kind, content):
        for at in range(0, len(content), 8000):
            self.socket.sendall(record(kind, self.number,
                                       content[at:at + 8000]))

    def serve(self):
        """One request; True: there may be another."""
        first = self.record()
        if first is None:
            return False
        environ = pairs(self.stream(PARAMS))
        environ["wsgi.input"] = Input(self)
        environ["wsgi.errors"] = Errors(self)
        head = []
        for part in application(environ, lambda *told: head.append(told)):
            if head[-1]:
                status, fields = head[-1]
                lines = [f"Status: {status}"] + [f"{name}: {value}"
                                                 for name, value in fields]
                self.send(STDOUT, ("\r\n".join(lines) + "\r\n\r\n").encode())
                head.append(None)
            self.send(STDOUT, part)
        environ["wsgi.input"].read()	# or it would be the next request
        self.socket.sendall(record(STDOUT, self.number)
                            + record(END, self.number, bytes(8)))
        return self.keep


class Input:
    def __init__(self, connection):
        self.connection, self.ready, self.over = connection, b"", False

    def read(self, most=-1):
        while not self.over and (most < 0 or len(self.ready) < most):
            got = self.connection.record()
            if got is None or got[0] == ABORT:
                raise ConnectionError
            if got[0] == STDIN:
                self.over = not got[1]
                self.ready += got[1]
        most = len(self.ready) if most < 0 else most
        part, self.ready = self.ready[:most], self.ready[most:]
        return part


class Errors:
    def __init__(self, connection):
        self.connection = connection

    def write(self, text):
        self.connection.send(STDERR, text.encode())

    def flush(self):
        pass


def talk(connected):
    try:
        connection = Connection(connected)
        while connection.serve():
            pass
    except (ConnectionError, BrokenPipeError):
        pass
    finally:
        # the file has the connection as well: without this nobody sees its end
        connected.shutdown(socket.SHUT_RDWR)
        connected.close()


def main():
    listener = socket.socket(fileno=0)
    while True:
        try:
            connected, _ = listener.accept()
        except OSError:
            return 0
        threading.Thread(target=talk, args=(connected,)).start()


if __name__ == "__main__":
    sys.exit(main())
