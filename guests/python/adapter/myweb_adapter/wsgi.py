"""PEP 3333: the environ of a request, `start_response`, and all that an app may return."""

import sys
from io import BytesIO
from urllib.parse import unquote_to_bytes

from .answer import check_chunk, check_status, headers_of, once

# Names of headers that most requests have.
_USUAL = """
    accept accept-encoding accept-language authorization cache-control connection cookie dnt forwarded host if-match
    if-modified-since if-none-match if-range origin pragma priority range referer sec-ch-ua sec-ch-ua-mobile
    sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user upgrade-insecure-requests user-agent
    x-forwarded-for x-forwarded-host x-forwarded-proto x-requested-with
""".split()


def _variable(name):
    return "HTTP_" + name.upper().replace("-", "_")


# The variables of headers. None: framing that the server has undone.
_VARIABLES = {name: _variable(name) for name in _USUAL}
_VARIABLES |= {"content-type": "CONTENT_TYPE", "content-length": None, "transfer-encoding": None}


class _Errors:
    """`wsgi.errors`: whatever `sys.stderr` is now."""

    def write(self, text):
        sys.stderr.write(text)

    def writelines(self, lines):
        sys.stderr.writelines(lines)

    def flush(self):
        sys.stderr.flush()


_errors = _Errors()


class FileWrapper:
    """`wsgi.file_wrapper`: a file as chunks."""

    def __init__(self, file, size=1 << 16):
        self.file = file
        self.size = size
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self):
        return self

    def __next__(self):
        chunk = self.file.read(self.size)
        if not chunk:
            raise StopIteration
        return chunk


def path_info(env):
    """The path below the mount, decoded, as text that stands for bytes.

    The server keeps an encoded slash as `%2F`; servers of WSGI decode it.
    """
    path = env.path_info
    if "%2F" in path:
        raw = unquote_to_bytes(env.uri.partition("?")[0]).decode("utf-8", "replace")
        if raw.startswith(env.script_name):
            path = raw[len(env.script_name) :]
    return path if path.isascii() else path.encode("utf-8", "surrogateescape").decode("latin-1")


# What every environ has; a copy that has all keys need not grow.
_EVERY = {
    "REQUEST_METHOD": None,
    "SCRIPT_NAME": None,
    "PATH_INFO": None,
    "QUERY_STRING": None,
    "REQUEST_URI": None,
    "RAW_URI": None,
    "SERVER_NAME": None,
    "SERVER_PORT": None,
    "SERVER_PROTOCOL": None,
    "SERVER_SOFTWARE": "myweb",
    "REMOTE_ADDR": None,
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": None,
    "wsgi.input": None,
    "wsgi.input_terminated": True,
    "wsgi.errors": _errors,
    "wsgi.multithread": False,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "wsgi.file_wrapper": FileWrapper,
    "myweb.request_id": None,
    "myweb.params": None,
}


def environ_of(env):
    """The environ of a request."""
    body = env.body
    script_name = env.script_name
    host = env.host
    environ = _EVERY.copy()
    environ["REQUEST_METHOD"] = env.method
    environ["SCRIPT_NAME"] = script_name if script_name.isascii() else script_name.encode().decode("latin-1")
    environ["PATH_INFO"] = path_info(env)
    environ["QUERY_STRING"] = env.query_string
    environ["REQUEST_URI"] = environ["RAW_URI"] = env.uri
    environ["SERVER_NAME"] = host or "localhost"
    environ["SERVER_PORT"] = str(env.port)
    environ["SERVER_PROTOCOL"] = env.protocol
    environ["REMOTE_ADDR"] = env.remote_addr
    environ["wsgi.url_scheme"] = env.scheme
    environ["wsgi.input"] = BytesIO(body)
    environ["myweb.request_id"] = env.request_id
    environ["myweb.params"] = env.params
    for name, value in env.headers:
        # SECURITY: `x_a` and `x-a` would be the same variable.
        if "_" in name:
            continue
        key = _VARIABLES[name] if name in _VARIABLES else _variable(name)
        if key is None:
            if name == "content-length":
                environ["CONTENT_LENGTH"] = str(len(body))
        elif key in environ:
            environ[key] += ("; " if name == "cookie" else ",") + value.decode("latin-1")
        else:
            environ[key] = value.decode("latin-1")
    if body:
        environ["CONTENT_LENGTH"] = str(len(body))
    if "HTTP_HOST" not in environ and host:
        usual = 443 if env.scheme == "https" else 80
        environ["HTTP_HOST"] = host if env.port == usual else f"{host}:{env.port}"
    return environ


class _Call:
    """One call of the app: what it has said so far."""

    def __init__(self):
        self.status = None
        self.headers = None
        self.chunks = []

    def start_response(self, status, headers, exc_info=None):
        if exc_info is not None:
            try:
                # Nothing leaves before all is said; but an app is told what is true of
                # other servers: after a first byte, the headers are gone.
                if self.chunks:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self.status is not None:
            raise AssertionError("start_response() was called a second time, without exc_info (PEP 3333)")
        number = check_status(status)
        self.headers = headers_of(headers)
        self.status = number
        return self.write

    def write(self, chunk):
        chunk = check_chunk(chunk, "write()")
        if self.status is None:
            raise AssertionError("the app wrote a chunk before it called start_response() (PEP 3333)")
        if chunk:
            self.chunks.append(chunk)


class Server:
    """Answers requests with a WSGI app."""

    def __init__(self, app):
        self.app = app

    def forget(self):
        """Nothing is kept from one request to the next."""

    def answer(self, env):
        """Status, headers and body."""
        call = _Call()
        result = self.app(environ_of(env), call.start_response)
        try:
            if result is None:
                raise TypeError("the app returned None; return an iterable of bytes, such as [b'text'] (PEP 3333)")
            if isinstance(result, (bytes, bytearray)):
                once("the app returned bytes, not a list of them; it is taken for one chunk (write [body])")
                result = [bytes(result)]
            elif isinstance(result, str):
                raise TypeError("the app returned str; encode it and return a list: [text.encode()] (PEP 3333)")
            for chunk in result:
                if chunk and call.status is not None and type(chunk) is bytes:
                    call.chunks.append(chunk)
                else:
                    call.write(chunk)
            if call.status is None:
                raise AssertionError("the app never called start_response() (PEP 3333)")
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        chunks = call.chunks
        return call.status, call.headers, chunks[0] if len(chunks) == 1 else b"".join(chunks)
