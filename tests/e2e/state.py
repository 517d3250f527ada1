# SPDX-License-Identifier: MIT
"""A client of the state API that shares no code with the host: over nginx, with a
token, on one connection that it keeps."""
import http.client
import json
import urllib.parse

from host import Response


def quote(key):
    """A key in a path: every byte that could mean something is encoded."""
    return urllib.parse.quote(key, safe="")


def mint(host, tenant, scope="admin", *more):
    done = host.ctl("token", "mint", "--tenant", tenant, "--scope", scope,
                    *more)
    return done.stdout.decode().strip()


class State:
    def __init__(self, host, tenant, scope="admin", *more, token=None):
        self.host, self.tenant = host, tenant
        self.token = token or mint(host, tenant, scope, *more)
        self.connection = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def open(self, method, path, body=None, headers=(), timeout=60):
        """Sends it and returns what reads the reply as it comes."""
        connection = self.host.http(timeout)
        self._send(connection, method, path, body, dict(headers))
        return connection.getresponse()

    def _send(self, connection, method, path, body, headers):
        if self.token:
            headers.setdefault("Authorization", "Bearer " + self.token)
        connection.putrequest(method, "/state/v1" + path,
                              skip_accept_encoding=True)
        for name, value in headers.items():
            for one in value if isinstance(value, list) else [value]:
                connection.putheader(name, one)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)

    def ask(self, method, path, body=None, **headers):
        """Header names with underscores: If_Match='"57"'."""
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        elif isinstance(body, str):
            body = body.encode()
        headers = {name.replace("_", "-"): value
                   for name, value in headers.items()}
        self.connection = self.connection or self.host.http(60)
        try:
            self._send(self.connection, method, path, body, headers)
            got = self.connection.getresponse()
            data = got.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if got.will_close:
            self.close()
        response = Response(got.status, got.reason, got.getheaders(), data)
        if method != "HEAD":
            self.check(response)
        return response

    @staticmethod
    def check(response):
        """What is true of every reply that the host itself writes."""
        assert response.header("Cache-Control") == "no-store", response
        assert response.request_id, response
        if response.status >= 400:
            assert response.header("Content-Type") == \
                "application/problem+json", response
            problem = json.loads(response.body)
            assert problem["status"] == response.status
            assert problem["instance"] == response.request_id
            assert problem["detail"] and problem["title"]
            assert problem["type"].startswith("urn:fn:problem:")

    # ---- the routes, each returns what it is about ----

    def get(self, key, query="", **headers):
        return self.ask("GET", f"/kv/{quote(key)}{query}", **headers)

    def put(self, key, value, query="", **headers):
        return self.ask("PUT", f"/kv/{quote(key)}{query}", value, **headers)

    def delete(self, key, **headers):
        return self.ask("DELETE", f"/kv/{quote(key)}", **headers)

    def list(self, **query):
        return self.json("GET", "/kv?" + urllib.parse.urlencode(query))

    def count(self, key, body="", **headers):
        return self.ask("POST", f"/counter/{quote(key)}", body, **headers)

    def atomic(self, checks=(), ops=(), **headers):
        return self.ask("POST", "/atomic",
                        {"checks": list(checks), "ops": list(ops)}, **headers)

    def json(self, method, path, body=None, **headers):
        got = self.ask(method, path, body, **headers)
        assert got.status == 200, got
        assert got.header("Content-Type") == "application/json"
        return json.loads(got.body)


def problem(response, status, name):
    """Asserts that this is what was refused, and why."""
    assert response.status == status, response
    found = json.loads(response.body)
    assert found["type"] == "urn:fn:problem:" + name, found
    return found


def version(response):
    """Of the key, by its ETag."""
    tag = response.header("ETag")
    assert tag[0] == tag[-1] == '"', tag
    return int(tag[1:-1])


def events(stream):
    """Server-sent events as they come: (id or None, name, data)."""
    found = {}
    for line in stream:
        line = line.decode().rstrip("\n")
        if line.startswith(":"):
            yield "comment", None, line[1:].strip()
        elif line:
            name, _, value = line.partition(": ")
            found[name] = value
        elif found:
            yield found.get("id"), found["event"], json.loads(found["data"])
            found = {}
