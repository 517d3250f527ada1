# SPDX-License-Identifier: MIT
"""The examples that keep something, and what README and fn(3) say of it. If one of
these fails, people copy what does not work, or what can be abused."""
import concurrent.futures
import json
import os
import re
import select
import shutil
import subprocess
import time
import urllib.parse

import pytest

from host import BUILD, ROOT, Host, count, eventually

DEMO = ROOT / "functions" / "demo"
EXAMPLES = ("counter", "guestbook", "guestbook.conf", "lock", "ratelimit",
            "visits.sh")


@pytest.fixture(scope="module", params=["auto", "cgi"])
def host(request):
    """Those in C are handlers: a process for each request, or for many."""
    made = Host()
    made.write(made.tenant("demo") / "tenant.conf",
               f'protocol = "{request.param}";\n', 0o644)
    for name in EXAMPLES:
        made.function("demo", name, DEMO / name,
                      mode=0o644 if name.endswith(".conf") else 0o755)
    with made:
        yield made


@pytest.fixture(autouse=True)
def empty(host):
    yield
    host.ctl("state", "demo", "delete", "--yes", check=False)


def many(host, path, number):
    """The same at once; {status: [text, ...]}."""
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda _: host.get(path), range(number)))
    found = {}
    for reply in replies:
        found.setdefault(reply.status, []).append(reply.text)
    return found


def test_counter_counts_each_once(host):
    number = count(60, 600)
    found = many(host, "/fn/demo/counter", number)
    assert list(found) == [200]
    assert sorted(int(text.split()[-1]) for text in found[200]) == \
        list(range(1, number + 1))


def test_counter_goes_on_when_state_is_killed(host):
    """What it said it counted stays counted; it may say that it cannot."""
    seen = set()
    for _ in range(count(3, 20)):
        for pid in host.named("fcgi-host-state"):
            os.kill(pid, 9)
        got = eventually(
            lambda: (reply := host.get("/fn/demo/counter")).status == 200
            and reply, "the counter to count again")
        number = int(got.text.split()[-1])
        assert number not in seen
        seen.add(number)
    assert max(seen) == len(seen)


def test_visits(host):
    for number in range(1, 8):
        got = host.get("/fn/demo/visits")
        assert got.status == 200, got.text
        first, *last = got.text.splitlines()
        assert first == f"visit number {number}; the last ones:"
        assert len(last) == min(number, 5)
        for line in last:
            assert re.fullmatch(r"\d\d:\d\d:\d\d 127\.0\.0\.1", line)


def test_rate_limit(host):
    """Five in ten seconds, at once as well, and then again."""
    found = many(host, "/fn/demo/ratelimit", 12)
    assert len(found[200]) == 5 and len(found[429]) == 7
    got = host.get("/fn/demo/ratelimit")
    assert 1 <= int(got.header("Retry-After")) <= 10
    host.ctl("state", "demo", "rm", "ratelimit/127.0.0.1")
    got = host.get("/fn/demo/ratelimit")
    assert got.text == "request 1 of 5 in 10 seconds\n"


def test_lock_is_for_one_at_a_time(host):
    began = time.monotonic()
    found = many(host, "/fn/demo/lock?work=150", 6)
    assert time.monotonic() - began >= 6 * 0.15 - 0.3 or 423 in found
    lines = [re.fullmatch(r"done with token (\d+), (\d+) times in all\n", text)
             for text in found[200]]
    tokens = [int(line.group(1)) for line in lines]
    assert len(set(tokens)) == len(tokens)
    # Fencing tokens grow in the order of the work.
    assert [int(line.group(2)) for line in
            sorted(lines, key=lambda line: int(line.group(1)))] == \
        list(range(1, len(lines) + 1))


def test_lock_is_lost_with_its_time(host):
    """Who stalls beyond it writes nothing."""
    got = host.get("/fn/demo/lock?work=5600")
    assert got.status == 409, got.text
    assert host.ctl("state", "demo", "get", "lock/done",
                    check=False).returncode == 1


# ---- guest book --------------------------------------------------------------

class Browser:
    """As much of one as the form needs."""

    def __init__(self, host):
        self.host, self.cookie = host, None

    def page(self, query=""):
        headers = {"Cookie": self.cookie} if self.cookie else {}
        got = self.host.get("/fn/demo/guestbook" + query, headers=headers)
        if got.header("Set-Cookie"):
            self.cookie = got.header("Set-Cookie").split(";")[0]
        return got

    def form(self, **more):
        fields = dict(re.findall(r'name="(proof|once)" value="(\w+)"',
                                 self.page().text))
        assert set(fields) == {"proof", "once"}
        return {**fields, **more}

    def send(self, fields, headers=()):
        headers = {"Content-Type": "application/x-www-form-urlencoded",
                   "Cookie": self.cookie or "", **dict(headers)}
        return self.host.post("/fn/demo/guestbook",
                              urllib.parse.urlencode(fields).encode(),
                              headers=headers)

    def sign(self, name, text):
        return self.send(self.form(name=name, text=text))


def entries(page):
    return re.findall(r"<article>.*?<h2>(.*?) <time.*?<p>(.*?)</p>",
                      page.text, re.S)


def test_guest_book(host):
    browser = Browser(host)
    assert "Nobody has signed yet" in browser.page().text
    got = browser.sign("Ada", "first")
    assert got.status == 303
    assert got.header("Location") == "/fn/demo/guestbook"
    browser.sign("Jo Grün", "second\r\nline")
    assert entries(browser.page()) == [("Jo Grün", "second\r\nline"),
                                       ("Ada", "first")]


def test_guest_book_escapes(host):
    nasty = "<script>alert('1')</script>\"&amp;"
    safe = ("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;amp;")
    browser = Browser(host)
    assert browser.sign(nasty, nasty).status == 303
    page = browser.page()
    assert entries(page) == [(safe, safe)]
    assert "<script" not in page.text
    assert "default-src 'none'" in page.header("Content-Security-Policy")
    # what was written comes back escaped in the form too
    got = browser.send(browser.form(name=nasty, text=" "))
    assert got.status == 400 and safe in got.text and "<script" not in got.text


def test_guest_book_takes_no_forged_form(host):
    browser, other = Browser(host), Browser(host)
    mine = browser.form(name="a", text="b")
    others = other.form(name="a", text="b")
    for fields, headers in (
            (mine, {"Cookie": ""}),
            (mine, {"Cookie": "guestbook=" + "0" * 32}),
            ({**mine, "proof": "0" * 32}, {}),
            ({**mine, "proof": others["proof"]}, {}),
            ({**mine, "once": "../../x"}, {}),
            ({**mine, "once": ""}, {}),
            ({"name": "a", "text": "b"}, {}),
            (mine, {"Origin": "http://elsewhere.example"}),
            (mine, {"Origin": "null"}),
            (mine, {"Sec-Fetch-Site": "cross-site"}),
            (mine, {"Sec-Fetch-Site": "same-site"})):
        got = browser.send(fields, headers)
        assert got.status == 403, (fields, headers, got.text)
    assert entries(browser.page()) == []
    cookie = host.get("/fn/demo/guestbook").header("Set-Cookie")
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert browser.send(mine, {"Origin": f"http://127.0.0.1:{host.port}",
                               "Sec-Fetch-Site": "same-origin"}).status == 303


def test_guest_book_takes_a_form_once(host):
    browser = Browser(host)
    fields = browser.form(name="a", text="b")
    assert {browser.send(fields).status for _ in range(3)} == {303}
    assert len(entries(browser.page())) == 1


def test_guest_book_is_not_flooded(host):
    browser = Browser(host)
    statuses = [browser.sign("a", str(n)).status for n in range(12)]
    assert statuses == [303] * 10 + [429] * 2
    assert len(entries(browser.page())) == 10


@pytest.mark.parametrize("name, text, complaint", [
    ("", "b", "name is missing"), (" \t", "b", "name is missing"),
    ("a", "", "message is missing"), ("a", "\r\n \n", "message is missing"),
    ("a", "b" * 2001, "too long"), ("a" * 161, "b", "too long"),
    ("a\nb", "b", "no text"), (b"\xff", "b", "no text"),
    ("a", b"\xc0\xaf", "no text"), ("a", "\x1b[2J", "no text")])
def test_guest_book_complains(host, name, text, complaint):
    browser = Browser(host)
    got = browser.send(browser.form(name=name, text=text))
    assert got.status == 400 and complaint in got.text
    assert entries(browser.page()) == []


def test_guest_book_has_pages(host):
    browser = Browser(host)
    for number in range(25):
        if number % 9 == 0:
            host.ctl("state", "demo", "rm", "guestbook/client/127.0.0.1")
        assert browser.sign("a", str(number)).status == 303
    page = browser.page()
    assert [text for _, text in entries(page)] == \
        [str(n) for n in range(24, 4, -1)]
    older = re.search(r'href="[^"?]*(\?before=[^"]*)"', page.text).group(1)
    page = browser.page(older)
    assert [text for _, text in entries(page)] == \
        [str(n) for n in range(4, -1, -1)]
    assert "?before=" not in page.text


# ---- a real browser ------------------------------------------------------------

class Chromium:
    """Spoken to over its debugging pipe: JSON, each message ends with NUL."""

    def __init__(self, place):
        # Its descriptors 3 and 4: what it reads, what it writes.
        to_it, from_it = os.pipe(), os.pipe()
        script = f'exec "$@" 3<&{to_it[0]} 4>&{from_it[1]}'
        self.process = subprocess.Popen(
            ["bash", "-c", script, "sh", shutil.which("chromium"),
             "--headless=new", "--no-sandbox", "--disable-gpu",
             "--hide-scrollbars", "--no-first-run",
             "--disable-dev-shm-usage", f"--user-data-dir={place}/profile",
             "--remote-debugging-pipe", "about:blank"],
            pass_fds=(to_it[0], from_it[1]), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(place)})
        os.close(to_it[0])
        os.close(from_it[1])
        self.out, self.into = to_it[1], from_it[0]
        self.number, self.unread, self.session = 0, b"", None
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self.session = self("Target.attachToTarget", targetId=target,
                            flatten=True)["sessionId"]

    def __call__(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + 60
        while True:
            while b"\0" not in self.unread:
                assert select.select([self.into], [], [],
                                     max(0, until - time.monotonic()))[0], \
                    f"Chromium does not answer {method}"
                part = os.read(self.into, 1 << 20)
                assert part, "Chromium ended"
                self.unread += part
            text, _, self.unread = self.unread.partition(b"\0")
            got = json.loads(text)
            if got.get("id") == self.number:
                assert "error" not in got, got
                return got["result"]

    def value(self, expression):
        got = self("Runtime.evaluate", expression=expression,
                   returnByValue=True)
        assert "exceptionDetails" not in got, got
        return got["result"].get("value")

    def wait(self, expression):
        """Also while a page is on its way, when there is none to ask."""
        return eventually(lambda: self.value(
            f"document.readyState == 'complete' && ({expression})"),
            expression)

    def go(self, url):
        self("Page.navigate", url=url)
        self.wait(f"location.href == {json.dumps(url)}")

    def close(self):
        self("Browser.close")
        self.process.wait(30)
        os.close(self.out)
        os.close(self.into)


@pytest.fixture
def chromium(tmp_path):
    # 300 MB that nothing else here needs: no package of `make test`.
    if not shutil.which("chromium"):
        pytest.skip("chromium is not installed")
    browser = Chromium(tmp_path)
    yield browser
    browser.close()


def test_guest_book_in_a_browser(host, chromium):
    """Typed and clicked. SCREENSHOT=DIR keeps pictures to be looked at."""
    import base64
    url = f"http://127.0.0.1:{host.port}/fn/demo/guestbook"
    chromium.go(url)
    assert "Nobody has signed yet" in chromium.value("document.body.innerText")
    for number, (name, text) in enumerate(
            [("Ada Lovelace", "It weaves algebraical patterns."),
             ("<b>Grüße</b>", "Zeile eins\nZeile zwei & \"mehr\"")], 1):
        for field, what in (("name", name), ("text", text)):
            chromium.value(f"document.querySelector('[name={field}]').focus()")
            chromium("Input.insertText", text=what)
        chromium.value("document.querySelector('button').click()")
        chromium.wait(f"document.querySelectorAll('article').length == "
                      f"{number}")
        assert chromium.value("location.href") == url   # POST, redirect, GET
        assert chromium.value("document.querySelector('article h2')"
                              ".firstChild.textContent").strip() == name
        assert chromium.value("document.querySelector('article p')"
                              ".innerText") == text
    # Loading again does not sign again; an empty form is not sent at all.
    chromium("Page.reload")
    chromium.wait("document.querySelectorAll('article').length == 2")
    chromium.value("document.querySelector('button').click()")
    assert chromium.value("document.querySelector('form:invalid') != null")
    # The style sheet counts, in the dark as well, and nothing is too wide.
    wide = chromium.value("document.querySelector('article').offsetWidth")
    assert 300 < wide < 700
    for scheme in ("light", "dark"):
        chromium("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": scheme}])
        colours = chromium.value(
            "getComputedStyle(document.body).backgroundColor")
        light = sum(map(int, re.findall(r"\d+", colours)[:3])) > 380
        assert light == (scheme == "light"), colours
        for width in (1000, 360):
            chromium("Emulation.setDeviceMetricsOverride", width=width,
                     height=900, deviceScaleFactor=1, mobile=False)
            assert chromium.value("document.documentElement.scrollWidth") <= \
                width
            picture = base64.b64decode(
                chromium("Page.captureScreenshot")["data"])
            assert picture.startswith(b"\x89PNG")
            if os.environ.get("SCREENSHOT"):
                name = f"guestbook-{scheme}-{width}.png"
                with open(os.path.join(os.environ["SCREENSHOT"], name),
                          "wb") as file:
                    file.write(picture)


# ---- README ------------------------------------------------------------------------

def test_readme(host):
    """The lines of the section State, one after the other, as they stand there."""
    text = (ROOT / "README.md").read_text()
    section = text[text.index("\n## State\n"):]
    section = section[:section.index("\n## ", 4)]
    lines = [line[6:] for line in section.replace("\\\n    > ", "")
             .splitlines() if line.startswith("    $ ")]
    assert sum("curl" in line for line in lines) == 5, lines
    where = f"127.0.0.1:{host.port}"
    script = "set -e\n" + "\n".join(
        line.replace("127.0.0.1:8080", where)
        .replace("--run DIR", f"--run {host.run}") + "\nprintf '\\036'"
        for line in lines)
    done = subprocess.run(
        ["bash", "-c", script], stdin=subprocess.DEVNULL, capture_output=True,
        env={**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}"},
        timeout=60)
    assert done.returncode == 0, done
    printed = done.stdout.decode().split("\036")[:-1]
    wanted = [block.split("\n", 1)[1] if "\n" in block else ""
              for block in re.split(r"^    \$ ", section, flags=re.M)[1:]]
    for line, got, want in zip(lines, printed, wanted):
        want = [row[4:] for row in want.split("\n\n")[0].splitlines()
                if row.startswith("    ") and not row.startswith("    > ")]
        pattern = ".*?".join(re.escape(piece) for piece in
                             "\n".join(want).split("..."))
        assert re.fullmatch(pattern, got.strip(), re.S), (line, got, want)
