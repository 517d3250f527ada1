# SPDX-License-Identifier: MIT
"""Real programs, unmodified: Debian's gitweb browsing a repository, and git
itself cloning and pushing through git-http-backend. If one of these fails, what
people want to run does not."""
import html
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from host import IS_ROOT, ROOT, Host, count, eventually

BACKEND = "/usr/lib/git-core/git-http-backend"


def git(*args, cwd=None):
    env = {**os.environ, "GIT_AUTHOR_NAME": "Ada", "GIT_COMMITTER_NAME": "Ada",
           "GIT_AUTHOR_EMAIL": "ada@example.org", "HOME": "/nonexistent",
           "GIT_COMMITTER_EMAIL": "ada@example.org",
           "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
           "GIT_CONFIG_VALUE_0": "*", "GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run(["git", *map(str, args)], cwd=cwd, env=env,
                          capture_output=True, timeout=120)
    assert done.returncode == 0, (args, done.stderr.decode())
    return done.stdout.decode().strip()


@pytest.fixture(scope="module")
def host():
    """A host with functions/git of the tree and a repository to show: our own
    if we are in one, else one made of our files."""
    made = Host()
    repository = made.base / "project.git"
    if (ROOT / ".git").exists():
        git("clone", "-q", "--bare", f"file://{ROOT}", repository)
    else:
        work = made.base / "work"
        shutil.copytree(ROOT / "conf", work)
        for command in (["init", "-q"], ["add", "."],
                        ["commit", "-q", "-m", "files: all of them"]):
            git(*command, cwd=work)
        git("clone", "-q", "--bare", work, repository)
    shutil.copytree(ROOT / "functions" / "git", made.functions / "git",
                    symlinks=True)
    data, granted = made.functions / "git" / "data", made.base / "granted"
    for name, place in (("backend", data), ("granted", granted)):
        git("init", "-q", "--bare", place / "pushed.git")
        git("config", "http.receivepack", "true", cwd=place / "pushed.git")
        (made.functions / "git" / name).symlink_to(BACKEND)
        made.write(made.functions / "git" / f"{name}.conf",
                   'env = { GIT_HTTP_EXPORT_ALL = "1"; '
                   f'GIT_PROJECT_ROOT = "{place}"; }};\n', 0o644)
    if IS_ROOT:
        subprocess.run(["chown", "-R", "5050:5050", data, granted],
                       check=True)
        os.chown(made.functions / "git", 5050, 5050)
    made.conf.write_text(f"""
        link_targets = [ "/usr/lib/cgi-bin", "/usr/share/gitweb",
            "/usr/lib/git-core" ];
        limits = {{ body = "256MiB"; }};
        tenants = ( {{ name = "git"; read = [ "{repository}" ];
            write = [ "{granted}" ];
            env = {{ GITWEB_PROJECTROOT = "{made.base}";
                GIT_CONFIG_COUNT = "1"; GIT_CONFIG_VALUE_0 = "*";
                GIT_CONFIG_KEY_0 = "safe.directory"; }}; }} );
        """)
    made.repository = repository
    with made:
        yield made
        made.quiet()


def page(host, query="", name="gitweb"):
    got = host.get(f"/fn/git/{name}{query}")
    assert got.status == 200, got
    assert "text/html" in got.header("Content-Type") \
        or "application/xhtml+xml" in got.header("Content-Type")
    return html.unescape(re.sub(r"<[^>]+>", "", got.text)), got.text


def test_projects_are_listed(host):
    words, source = page(host)
    assert "project.git" in words
    assert "/fn/git/gitweb?p=project.git;a=summary" in source


def test_the_newest_commit_is_shown(host):
    words, _ = page(host, "?p=project.git;a=shortlog")
    subject = git("log", "-1", "--format=%s", cwd=host.repository)
    assert subject[:40] in words
    newest = git("rev-parse", "HEAD", cwd=host.repository)
    words, _ = page(host, f"?p=project.git;a=commit;h={newest}")
    assert newest in words
    assert git("rev-parse", "HEAD^{tree}", cwd=host.repository) in words


def test_files_and_differences(host):
    words, _ = page(host, "?p=project.git;a=tree")
    for name in git("ls-tree", "--name-only", "HEAD",
                    cwd=host.repository).splitlines():
        assert name in words
    file = git("ls-tree", "-r", "--name-only", "HEAD",
               cwd=host.repository).splitlines()[0]
    got = host.get(f"/fn/git/gitweb?p=project.git;a=blob_plain;f={file}")
    assert got.text.rstrip("\n") == git("show", f"HEAD:{file}",
                                        cwd=host.repository)
    _, source = page(host, "?p=project.git;a=commitdiff;h=HEAD")
    assert "diff" in source


def test_a_snapshot_is_a_whole_archive(host):
    got = host.get("/fn/git/gitweb?p=project.git;a=snapshot;h=HEAD;sf=tgz")
    assert got.status == 200
    listed = subprocess.run(["tar", "tz"], input=got.body, check=True,
                            capture_output=True).stdout.decode()
    assert len(listed.splitlines()) >= len(git(
        "ls-tree", "-r", "--name-only", "HEAD",
        cwd=host.repository).splitlines())


def test_errors_are_gitwebs_own(host):
    got = host.get("/fn/git/gitweb?p=nothing.git;a=summary")
    assert got.status == 404
    assert "No such project" in got.text
    assert host.post("/fn/git/gitweb", b"x").status == 405


@pytest.mark.parametrize("file, kind", [
    ("gitweb.css", "text/css"), ("gitweb.js", "text/javascript"),
    ("git-logo.png", "image/png")])
def test_its_pictures_come_from_a_function(host, file, kind):
    _, source = page(host)
    got = host.get(f"/fn/git/static/{file}")
    assert (got.status, got.header("Content-Type")) == (200, kind)
    assert got.body == open(f"/usr/share/gitweb/static/{file}", "rb").read()
    assert f"/fn/git/static/{file}" in source or "js" in file
    for path in ("..%2f..%2fetc/passwd", "passwd", ""):
        assert host.get(f"/fn/git/static/{path}").status in (400, 404)


@pytest.mark.parametrize("backend", ["backend", "granted"])
def test_clone_and_push(host, backend):
    """git speaks to git-http-backend: chunked, compressed, streamed; into data/ and
    into a path that the administrator grants."""
    url = f"http://127.0.0.1:{host.port}/fn/git/{backend}/pushed.git"
    work = host.base / f"pushing-{backend}"
    work.mkdir()
    git("init", "-q", "-b", "main", cwd=work)
    (work / "large").write_bytes(os.urandom(count(5 << 20, 50 << 20)))
    git("add", ".", cwd=work)
    git("commit", "-q", "-m", "large: a file", cwd=work)
    git("push", "-q", url, "main", cwd=work)
    copy = host.base / f"copy-{backend}"
    git("clone", "-q", "-b", "main", url, copy)
    assert (copy / "large").read_bytes() == (work / "large").read_bytes()
    assert git("rev-parse", "HEAD", cwd=copy) == \
        git("rev-parse", "HEAD", cwd=work)


def command_line(pid):
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_gitweb_stays(host):
    """It can speak FastCGI, and ends by itself after a hundred requests. Perl is
    there, gitweb is compiled: it only answers."""
    place = host.functions / "git"
    (place / "warm").symlink_to("/usr/lib/cgi-bin/gitweb.cgi")
    settings = (place / "gitweb.conf").read_text()
    host.write(place / "warm.conf", settings + 'protocol = "fastcgi";\n'
               'args = [ "--fastcgi" ];\nconcurrency = 1;\n', 0o644)
    query, seen = "?p=project.git;a=tree", set()
    cold, _ = page(host, query)
    for _ in range(120):
        assert page(host, query, "warm")[0] == cold
        seen |= {pid for pid in host.running()
                 if "--fastcgi" in command_line(pid)}
    assert len(seen) == 2
    (place / "warm").unlink()
    eventually(lambda: host.get("/fn/git/warm").status == 404, "it to be gone")
    host.quiet()
