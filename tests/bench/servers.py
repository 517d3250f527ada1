# SPDX-License-Identifier: MIT
"""The host and its peers, each started on loopback or a Unix socket with its
best settings, each answering the same hello programs at a URL of its own."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SBIN = os.environ["PATH"] + ":/usr/sbin:/sbin"
ROOTED = os.geteuid() == 0
CHILDREN = 8		# of libfcgi and fcgiwrap: more were not faster
KEPT = 64		# connections nginx keeps to the host


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"bench: {what} did not come up in {seconds} s")
        time.sleep(0.02)


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Stage:
    """A directory with the programs, and the processes started in it."""

    def __init__(self, directory, build):
        self.directory, self.build = Path(directory), Path(build).resolve()
        self.processes = {}
        self.memory = None
        self.port = free_port()
        for kind in ("static", "dynamic"):
            for place in ("cgi", "functions/bench"):
                target = self.directory / place / f"hello-{kind}"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.build / "bench" / f"hello-{kind}", target)
        os.chmod(self.directory, 0o755)

    def start(self, name, *command):
        log = open(self.directory / f"{name}.log", "wb")
        self.processes[name] = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, start_new_session=True)
        return self.processes[name]

    def stop(self):
        for process in reversed(self.processes.values()):
            process.terminate()
        for name, process in self.processes.items():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                print(f"bench: {name} did not end; killed")
            # fcgiwrap's workers survive it
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        if self.memory:
            shutil.rmtree(self.memory)

    def write(self, name, text):
        path = self.directory / name
        path.write_text(text)
        return path

    def url(self, path, port=None):
        return f"http://127.0.0.1:{port or self.port}{path}"


def start_host(stage, configuration="", in_memory=False):
    """in_memory: sockets, spool and logs are in memory, as /run is; state, too."""
    run = stage.directory / "run"
    if in_memory:
        stage.memory = Path(tempfile.mkdtemp(prefix="fcgi-bench.",
                                             dir="/dev/shm"))
        stage.memory.chmod(0o755)
        run.symlink_to(stage.memory)
        run = stage.memory
    else:
        run.mkdir(mode=0o755)
    conf = stage.write("host.conf", configuration)
    stage.start("host", stage.build / "fcgi-host", "--config", conf, "--run",
                run, "--functions", stage.directory / "functions")
    wait_until((run / "front.sock").exists, "fcgi-host")
    for option, name in (("--nginx", "limits"),
                         ("--nginx-state", "state-limits")):
        stage.write(f"fcgi-host-{name}.conf", subprocess.run(
            [stage.build / "fcgi-host", "--config", conf, "--run", run,
             "--functions", stage.directory / "functions", "-n", option],
            check=True, capture_output=True, text=True).stdout)
    return {f"fcgi-host {kind}": stage.url(f"/fn/bench/hello-{kind}")
            for kind in ("static", "dynamic")}


def start_fcgiwrap(stage):
    program = shutil.which("fcgiwrap", path=SBIN)
    path = stage.directory / "fcgiwrap.sock"
    stage.start("fcgiwrap", program, "-c", CHILDREN, "-s", f"unix:{path}")
    wait_until(path.exists, "fcgiwrap")
    os.chmod(path, 0o666)
    return {f"fcgiwrap {kind}": stage.url(f"/wrap/hello-{kind}")
            for kind in ("static", "dynamic")}


class Peer:
    """A FastCGI program on a socket, behind nginx without a host. kept: so many
    connections nginx keeps; no more than there are processes to hold them."""

    def __init__(self, stage, name, kept, script=""):
        self.name, self.kept, self.script = name, kept, script
        self.socket = stage.directory / f"{name}.sock"

    @property
    def upstream(self):
        kept = f"keepalive {self.kept}; keepalive_requests 1000000;"
        return (f"upstream {self.name} {{ server unix:{self.socket}; "
                f"{kept if self.kept else ''} }}\n")

    @property
    def location(self):
        script = f"fastcgi_param SCRIPT_FILENAME {self.script};"
        return (f"location = /{self.name} {{"
                " include /etc/nginx/fastcgi_params;"
                f" {script if self.script else ''}"
                f" fastcgi_pass {self.name};"
                f" fastcgi_keep_conn {'on' if self.kept else 'off'}; }}\n")


def start_direct(stage, name="direct", kept=CHILDREN):
    peer = Peer(stage, name, kept)
    stage.start(name, stage.build / "bench/direct", peer.socket, CHILDREN)
    wait_until(peer.socket.exists, "the libfcgi program")
    return peer


def start_proxy(stage):
    """Workers as behind the host, and connections as nginx keeps to it."""
    peer = Peer(stage, "proxy", KEPT)
    stage.start("proxy", stage.build / "bench/proxy", peer.socket, CHILDREN,
                stage.build / "bench/direct")
    wait_until(peer.socket.exists, "the bare proxy")
    return peer


def start_php_cgi(stage, script, name="php-cgi", kept=0):
    peer = Peer(stage, name, kept, script)
    stage.start(name, "env", f"PHP_FCGI_CHILDREN={CHILDREN}",
                "PHP_FCGI_MAX_REQUESTS=0", shutil.which("php-cgi"), "-b",
                peer.socket)
    wait_until(peer.socket.exists, "php-cgi")
    os.chmod(peer.socket, 0o666)
    return peer


def start_php_fpm(stage, script):
    peer = Peer(stage, "php-fpm", 0, script)
    conf = stage.write("php-fpm.conf", f"""
[global]
error_log = {stage.directory}/php-fpm-error.log
daemonize = no
[www]
{"user = www-data" if ROOTED else ""}
listen = {peer.socket}
listen.mode = 0666
pm = static
pm.max_children = {CHILDREN}
""")
    program, = sorted(Path("/usr/sbin").glob("php-fpm[0-9]*"))[-1:]
    stage.start("php-fpm", program, "--fpm-config", conf)
    wait_until(peer.socket.exists, "php-fpm")
    return peer


class Uwsgi(Peer):
    """What speaks uwsgi, which nginx does as well as FastCGI. It keeps no
    connection."""

    @property
    def location(self):
        return (f"location = /{self.name} {{"
                " include /etc/nginx/uwsgi_params;"
                f" uwsgi_pass {self.name}; }}\n")


def start_uwsgi(stage, name, script):
    """uWSGI with a WSGI application. It stays, nothing is logged, and as
    everywhere here a process has one request at a time."""
    peer = Uwsgi(stage, name, False)
    place = stage.directory / f"{name}.run"	# it binds as its user
    place.mkdir()
    if ROOTED:
        shutil.chown(place, "www-data")
    peer.socket = place / "sock"
    stage.start(name, shutil.which("uwsgi"), "--plugin", "python3",
                "--uwsgi-socket", peer.socket, "--chmod-socket=666",
                "--wsgi-file", script, "--master", "--processes", CHILDREN,
                "--disable-logging", "--die-on-term", "--need-app",
                *(["--uid", "www-data", "--gid", "www-data"] if ROOTED
                  else []))
    wait_until(lambda: "spawned uWSGI worker" in
               (stage.directory / f"{name}.log").read_text(), "uWSGI")
    return peer


def start_nginx(stage, wrap=True, peers=()):
    """One nginx, set as `make run` sets it, before all that speak FastCGI; wrap:
    fcgiwrap too."""
    for file in (ROOT / "nginx").glob("*.conf"):
        stage.write(file.name, file.read_text().replace(
            "unix:/run/fcgi-host/", f"unix:{stage.directory}/run/"))
    work = stage.directory / "nginx"
    work.mkdir()
    user = "user www-data;" if ROOTED else ""
    wrapped = f"""
    location /wrap/ {{ include /etc/nginx/fastcgi_params;
      fastcgi_param SCRIPT_FILENAME
        {stage.directory}/cgi/$fastcgi_script_name;
      rewrite ^/wrap/(.*)$ $1 break;
      fastcgi_pass unix:{stage.directory}/fcgiwrap.sock; }}""" if wrap else ""
    stage.write("nginx.conf", f"""
daemon off; worker_processes auto; pid {work}/pid; {user}
error_log {work}/error.log warn;
events {{ worker_connections 2048; }}
http {{
  access_log off; server_tokens off; default_type text/plain;
  keepalive_requests 1000000;
  client_body_temp_path {work}/body; fastcgi_temp_path {work}/reply;
  proxy_temp_path {work}/unused; scgi_temp_path {work}/unused;
  uwsgi_temp_path {work}/unused;
  include fcgi-host-upstream.conf;
  {"".join(peer.upstream for peer in peers)}
  server {{
    listen 127.0.0.1:{stage.port} backlog=1024;
    include fcgi-host.conf;
    location = /static {{ return 200 "hello\\n"; }}
    {"".join(peer.location for peer in peers)}
    include fcgi-host-state.conf;
    {wrapped}
  }}
}}
""")
    stage.start("nginx", shutil.which("nginx", path=SBIN), "-e",
                work / "error.log", "-c", stage.directory / "nginx.conf")
    wait_until(lambda: answers(stage.port), "nginx")
    return {"nginx static reply": stage.url("/static")}


def start_lighttpd(stage):
    port = free_port()
    conf = stage.write("lighttpd.conf", f"""
server.modules = ( "mod_cgi" )
server.document-root = "{stage.directory}/cgi"
server.bind = "127.0.0.1"
server.port = {port}
server.max-keep-alive-requests = 1000000
server.max-connections = 1024
server.errorlog = "{stage.directory}/lighttpd-error.log"
cgi.assign = ( "" => "" )
cgi.execute-x-only = "enable"
""")
    stage.start("lighttpd", shutil.which("lighttpd", path=SBIN), "-D", "-f",
                conf)
    wait_until(lambda: answers(port), "lighttpd")
    return {f"lighttpd {kind}": stage.url(f"/hello-{kind}", port)
            for kind in ("static", "dynamic")}


def start_apache(stage):
    port, modules = free_port(), "/usr/lib/apache2/modules"
    load = "\n".join(
        f"LoadModule {name}_module {modules}/mod_{name}.so"
        for name in ("mpm_event", "authz_core", "cgid", "alias"))
    conf = stage.write("apache.conf", f"""
ServerRoot {stage.directory}
ServerName localhost
{load}
Listen 127.0.0.1:{port}
PidFile {stage.directory}/apache.pid
ErrorLog {stage.directory}/apache-error.log
ScriptSock {stage.directory}/apache-cgid.sock
{"User www-data" if ROOTED else ""}
KeepAlive On
MaxKeepAliveRequests 0
ThreadsPerChild 64
MaxRequestWorkers 256
ServerLimit 4
ScriptAlias /cgi/ {stage.directory}/cgi/
<Directory {stage.directory}/cgi>
Require all granted
Options +ExecCGI
</Directory>
""")
    stage.start("apache", shutil.which("apache2", path=SBIN), "-DFOREGROUND",
                "-f", conf)
    wait_until(lambda: answers(port), "Apache")
    return {f"Apache mod_cgid {kind}": stage.url(f"/cgi/hello-{kind}", port)
            for kind in ("static", "dynamic")}


def start_all(stage):
    """{name: url} of everything, in the order of the table."""
    host, direct = start_host(stage), start_direct(stage)
    wrap, nginx = start_fcgiwrap(stage), start_nginx(stage, peers=[direct])
    return {**nginx, "libfcgi direct": stage.url("/direct"), **host, **wrap,
            **start_lighttpd(stage), **start_apache(stage)}
