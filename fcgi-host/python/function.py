# SPDX-License-Identifier: MIT
"""What a function written in Python is called with: `application` by WSGI
(PEP 3333), or `handle` with a request. The reply is written through _fcgi_host,
which knows nothing of either. Imports little, for a process that answers one
request waits for all of it; what a script itself does not need is imported where
it is used."""
import _fcgi_host as door
import io
import os
import sys
from _frozen_importlib import module_from_spec
from _frozen_importlib_external import (SourceFileLoader,
                                        spec_from_file_location)

NAME = "function"           # of the script's module: never "__main__"
FAILED, LEAVE = 1, 2        # answer() returns them, added up

call = None                 # what answers a request; None: there is nothing


class NoFunction(Exception):
    """The script has nothing that could be called."""


class BadRequest(ValueError):
    """It is the client's fault; what it says is its answer."""


# ---- life -------------------------------------------------------------------

def load(script):
    """Runs the script once and finds out what answers. What it prints is for the
    log; so is the reason when it fails, and each request is told that it did."""
    global call
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    script = os.path.abspath(script)
    sys.path.insert(0, os.path.dirname(script))
    try:
        call = find(run(script))
    except BaseException as error:
        say(error)
        return FAILED
    return 0


def copied():
    """In the copy of a template: os.environ was made before it had its own. What
    the script has set is in there; so nothing is to be told to the process."""
    own = os.environ._data
    own.clear()
    for variable in door.environment():
        name, _, value = variable.partition(b"=")
        own[name] = value
    import atexit               # what it has is for the template's end
    atexit._clear()
    return 0


def run(script):
    """Its source is read anew each time: a compiled one could be of before."""
    loader = SourceFileLoader(NAME, script)
    spec = spec_from_file_location(NAME, script, loader=loader)
    module = module_from_spec(spec)
    sys.modules[NAME] = module
    exec(loader.source_to_code(loader.get_data(script), script),
         module.__dict__)
    return module


def find(module):
    application = getattr(module, "application", None)
    handle = getattr(module, "handle", None)
    if application is None and handle is None:
        application = getattr(module, "app", None)
    found = handle if application is None else application
    if found is None:
        raise NoFunction(f"{module.__file__} has neither application (WSGI) "
                         "nor handle(request)")
    if not callable(found):
        raise NoFunction(f"{found!r} of {module.__file__} cannot be called")
    if is_async(found):
        raise NoFunction(f"{found!r} of {module.__file__} is asynchronous "
                         "(ASGI?): only WSGI and handle(request) are served")
    if application is None:
        return lambda: answer_handle(found)
    return lambda: answer_wsgi(found)


def is_async(found):
    """CO_COROUTINE, of what is called or of its type."""
    for one in (found, getattr(type(found), "__call__", None)):
        code = getattr(one, "__code__", None)
        if code is not None and code.co_flags & 0x80:
            return True
    return False


def answer():
    """One request. FAILED: the client is to get a 500, or, if it has got some of
    the reply, to see that this is not all; LEAVE: no further request."""
    me, result = os.getpid(), FAILED
    try:
        if call is None:
            log("not answered: the script could not be loaded")
            result = FAILED | LEAVE
        else:
            call()
            result = 0
    except BadRequest as error:
        result = refuse(400, str(error))
    except Gone:
        pass                    # nobody is there to be told
    except (SystemExit, KeyboardInterrupt) as error:
        say(error)
        result = FAILED | LEAVE
    except BaseException as error:
        say(error)
    if os.getpid() != me:       # a fork() that came back: it is no function
        flush()
        os._exit(1)
    flush()
    return result


def refuse(status, detail):
    try:
        door.problem(status, detail)
    except (RuntimeError, OSError, ValueError):
        return FAILED
    return 0


def finish():
    """As at the end of any Python program."""
    threading = sys.modules.get("threading")
    try:
        if threading is not None:
            threading._shutdown()
        import atexit
        atexit._run_exitfuncs()
    except BaseException as error:
        say(error)
    flush()
    return 0


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass                # replaced by the script, or closed
    return 0


def say(error):
    """The traceback, for the log, without what is not the author's."""
    if isinstance(error, NoFunction):
        return log(str(error))
    from traceback import TracebackException
    told = one = TracebackException.from_exception(error)
    while one:
        one.stack[:] = [frame for frame in one.stack
                        if not frame.filename.startswith("<frozen fcgi")]
        one = one.__cause__ or one.__context__
    text = "".join(told.format())
    if isinstance(error, SystemExit):
        text += "SystemExit: a function is not to end its process\n"
    for line in text.splitlines():
        log(line)


def log(line):
    """As one of the request that is being answered, if there is one."""
    data = line.encode("utf-8", "backslashreplace").replace(b"\0", b"?")
    try:
        door.log(data)
    except RuntimeError:
        os.write(2, data + b"\n")


# ---- the reply --------------------------------------------------------------

class Gone(BrokenPipeError):
    """Nobody is there to read the reply."""


def write(data):
    try:
        door.write(data)
    except BrokenPipeError as error:
        raise Gone(str(error)) from None


def push():
    try:
        door.flush()
    except BrokenPipeError as error:
        raise Gone(str(error)) from None


def begin(status, headers):
    """Status and header of the reply, checked; nothing is left of one that is
    refused."""
    door.reset()
    try:
        door.status(status)
        for name, value in headers:
            if type(name) is not str or type(value) is not str:
                raise TypeError("name and value of a header are str, not "
                                f"{name!r}: {value!r}")
            door.header(name, value)
    except BaseException:
        door.reset()
        raise


# ---- WSGI -------------------------------------------------------------------

class Body(io.RawIOBase):
    """The body of the request, as it comes."""

    def readable(self):
        return True

    def readinto(self, room):
        return door.readinto(room)


class Errors(io.TextIOBase):
    """wsgi.errors: whole lines, which the log knows the request of."""

    def __init__(self):
        self.part = ""

    def writable(self):
        return True

    def write(self, words):
        *lines, self.part = (self.part + words).split("\n")
        for line in lines:
            log(line)
        return len(words)

    def flush(self):
        if self.part:
            log(self.part)
            self.part = ""


class FileWrapper:
    """wsgi.file_wrapper"""

    def __init__(self, file, block_size=64 * 1024):
        self.file, self.block_size = file, block_size
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self):
        return iter(lambda: self.file.read(self.block_size), b"")


class Reply:
    """start_response and write of one request."""

    def __init__(self):
        self.begun = self.written = self.over = False

    def start_response(self, status, headers, exc_info=None):
        try:
            if self.over:
                raise RuntimeError("the request is over")
            if exc_info:
                if self.written:
                    raise exc_info[1].with_traceback(exc_info[2])
            elif self.begun:
                raise RuntimeError("start_response() was called before")
        finally:
            exc_info = None     # no circle with the traceback
        if type(status) is not str:
            raise TypeError(f"the status is a str, not {status!r}")
        if type(headers) is not list:
            raise TypeError(f"the headers are a list, not {type(headers)!r}")
        if len(status) < 4 or not status[:3].isdecimal() or status[3] != " ":
            raise ValueError(f'the status is as "200 OK", not {status!r}')
        self.begun = False
        begin(int(status[:3]), headers)
        self.begun = True
        return self.write

    def put(self, data):
        """Some of the body: true when there was any."""
        if self.over:
            raise RuntimeError("the request is over")
        if not self.begun:
            raise RuntimeError("the body comes before start_response()")
        if not isinstance(data, bytes):
            raise TypeError("the body is made of bytes, not "
                            f"{type(data).__name__}")
        if not data:
            return False
        self.written = True
        write(data)
        return True

    def write(self, data):
        if self.put(data):
            push()


def answer_wsgi(application):
    environ = door.variables()
    reply = Reply()
    body = io.BufferedReader(Body())
    errors = Errors()
    environ.setdefault("SCRIPT_NAME", "")
    environ.setdefault("PATH_INFO", "")
    environ.setdefault("QUERY_STRING", "")
    environ.setdefault("REQUEST_METHOD", "GET")
    environ.setdefault("SERVER_NAME", "localhost")
    environ.setdefault("SERVER_PORT", "80")
    environ.setdefault("SERVER_PROTOCOL", "HTTP/1.1")
    https = environ.get("HTTPS", "").lower() in ("on", "1")
    environ.update({
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https" if https else "http",
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": errors,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": "REQUEST_METHOD" in os.environ,
        "wsgi.file_wrapper": FileWrapper,
    })
    try:
        result = application(environ, reply.start_response)
        try:
            # What is made while it is sent is sent when it is made.
            ready = isinstance(result, (list, tuple, FileWrapper))
            for data in result:
                if reply.put(data) and not ready:
                    push()
            if not reply.begun:
                raise RuntimeError("start_response() was not called")
        finally:
            if hasattr(result, "close"):
                result.close()
    finally:
        reply.over = True
        errors.flush()
        body.close()


# ---- handle(request) --------------------------------------------------------

class Values(dict):
    """The first value of each name; all(name) has all of them."""

    def __init__(self, pairs):
        self.pairs = pairs
        super().__init__(reversed(pairs))

    def all(self, name):
        return [value for key, value in self.pairs if key == name]


class Headers(dict):
    """Those of the request, in any case."""

    def __init__(self, variables):
        super().__init__()
        for name, value in variables.items():
            if name.startswith("HTTP_"):
                name = name[5:]
            elif name not in ("CONTENT_TYPE", "CONTENT_LENGTH") or not value:
                continue
            self[name.replace("_", "-").lower()] = value

    def __getitem__(self, name):
        return super().__getitem__(name.lower())

    def __contains__(self, name):
        return super().__contains__(name.lower())

    def get(self, name, default=None):
        return super().get(name.lower(), default)


class File:
    """One that was sent with a form. Its name is no path, whatever it says."""

    def __init__(self, name, kind, data):
        self.name, self.type, self.data = name, kind, data

    def __repr__(self):
        return f"<File {self.name!r} {self.type} {len(self.data)} bytes>"


class once:
    """An attribute that is made when it is first asked for."""

    def __init__(self, make):
        self.make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, _, name):
        self.name = name

    def __get__(self, instance, _):
        if instance is None:
            return self
        value = instance.__dict__[self.name] = self.make(instance)
        return value


def text(data):
    """What a client sent may be no UTF-8, and shall not fail in the reply."""
    return data.decode("utf-8", "replace")


class Request:
    """What handle() is called with."""

    def __init__(self):
        self.variables = door.variables()
        self.method = self.variables.get("REQUEST_METHOD", "GET")
        self.path = self._text("PATH_INFO")
        self.script = self._text("SCRIPT_NAME")
        self.address = self._text("REMOTE_ADDR")
        self.id = self._text("FN_REQUEST_ID")

    def __repr__(self):
        return f"<Request {self.method} {self.script}{self.path}>"

    def _text(self, name):
        return text(self.variables.get(name, "").encode("latin-1"))

    @once
    def query(self):
        """The values of the query."""
        return Values([(text(name), text(value))
                       for name, value, _, _ in door.query()])

    @once
    def headers(self):
        return Headers(self.variables)

    @once
    def body(self):
        """All of it, as bytes."""
        return door.body()

    @once
    def json(self):
        """The body as JSON."""
        import json
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise BadRequest(f"the body is no JSON: {error}") from None

    @once
    def _form(self):
        self.body               # which reading the form may change
        try:
            return door.form() or []
        except ValueError as error:
            raise BadRequest(str(error)) from None

    @once
    def form(self):
        """The values of a form, without its files."""
        return Values([(text(name), text(value))
                       for name, value, file, _ in self._form if file is None])

    @once
    def files(self):
        """The files of a form."""
        return Values([(text(name), File(text(file), text(kind or b""), value))
                       for name, value, file, kind in self._form
                       if file is not None])


def answer_handle(handle):
    result = handle(Request())
    status, headers = 200, ()
    if isinstance(result, tuple):
        if len(result) != 3:
            raise TypeError("handle() returns (status, headers, body), not "
                            f"{len(result)} values")
        status, headers, result = result
        if not isinstance(status, int):
            raise TypeError(f"the status is an int, not {status!r}")
    headers = list(headers.items() if hasattr(headers, "items") else
                   headers or ())
    kind, parts = body_of(result)
    if kind and not any(str(name).lower() == "content-type"
                        for name, _ in headers):
        headers.append(("Content-Type", kind))
    if result is None and status == 200:
        status = 204
    begin(status, headers)
    try:
        for part in parts:
            if isinstance(part, str):
                part = part.encode()
            write(part)
            if parts is result:
                push()
    finally:
        if hasattr(result, "close"):
            result.close()


def body_of(result):
    """Its media type and its parts."""
    if result is None:
        return None, ()
    if isinstance(result, str):
        return "text/plain; charset=utf-8", (result.encode(),)
    if isinstance(result, (bytes, bytearray, memoryview)):
        return "application/octet-stream", (result,)
    if isinstance(result, (dict, list)):
        import json
        return "application/json", (json.dumps(
            result, ensure_ascii=False).encode() + b"\n",)
    if hasattr(result, "__iter__"):
        return "text/plain; charset=utf-8", result
    raise TypeError("handle() returns str, bytes, dict, list, None, what gives "
                    "parts of them, or (status, headers, body), not "
                    f"{type(result).__name__}")
