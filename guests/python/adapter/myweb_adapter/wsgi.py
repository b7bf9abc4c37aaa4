"""PEP 3333: the environ of a request, `start_response`, and all that an app may return."""

import sys
from io import BytesIO

from .answer import check_chunk, head_of, once
from .report import log


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


# What requests have alike, by the first part of their texts, and where to put the other parts. SECURITY: it is kept for
# other clients, so no value of a header is in it, but the server's name; and it is bounded.
_likenesses = {}
_MOST_LIKENESSES = 64
_LONGEST_LIKENESS = 1024
# Where the parts begin that differ in their number.
_FIXED = 6


def _likeness(text):
    lines, _, script_name = text.partition("\n\n")
    method, scheme, protocol, host, port, many, *names = map(sys.intern, lines.split("\n"))
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": script_name,
        "PATH_INFO": None,
        "QUERY_STRING": None,
        "REQUEST_URI": None,
        "RAW_URI": None,
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": protocol,
        "SERVER_SOFTWARE": "myweb",
        "REMOTE_ADDR": None,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": None,
        "wsgi.input_terminated": True,
        "wsgi.errors": _errors,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        "myweb.request_id": None,
        "myweb.params": None,
        **dict.fromkeys(names),
    }
    found = environ, names, int(many)
    if len(text) <= _LONGEST_LIKENESS:
        if len(_likenesses) >= _MOST_LIKENESSES:
            _likenesses.clear()
        _likenesses[text] = found
    return found


def environ_of(text, body):
    """The environ of a request, of the text that the interface `wsgi` is given."""
    parts = text.split("\0")
    alike = parts[0]
    alike, names, many = _likenesses[alike] if alike in _likenesses else _likeness(alike)
    environ = alike.copy()
    environ["PATH_INFO"] = parts[1]
    environ["QUERY_STRING"] = parts[2]
    environ["REQUEST_URI"] = environ["RAW_URI"] = parts[3]
    environ["REMOTE_ADDR"] = parts[4]
    environ["wsgi.input"] = BytesIO(body)
    environ["myweb.request_id"] = parts[5]
    if many:
        last = _FIXED + 2 * many
        environ["myweb.params"] = list(zip(parts[_FIXED:last:2], parts[_FIXED + 1 : last : 2]))
        del parts[_FIXED:last]
    else:
        environ["myweb.params"] = []
    # One by one is faster than all at once.
    for name, value in zip(names, parts[_FIXED:]):
        environ[name] = value
    return environ


class _Call:
    """One call of the app: what it has said so far."""

    head = None
    chunks = None

    def start_response(self, status, headers, exc_info=None):
        if exc_info is not None:
            try:
                # Nothing leaves before all is said; but an app is told what is true of
                # other servers: after a first byte, the headers are gone.
                if self.chunks:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self.head is not None:
            raise AssertionError("start_response() was called a second time, without exc_info (PEP 3333)")
        self.head = head_of(status, headers)
        return self.write

    def write(self, chunk):
        chunk = check_chunk(chunk, "write()")
        if self.head is None:
            raise AssertionError("the app wrote a chunk before it called start_response() (PEP 3333)")
        if chunk:
            self._chunks().append(chunk)

    def _chunks(self):
        if self.chunks is None:
            self.chunks = []
        return self.chunks

    def finish(self, result):
        """The text and the body of the answer."""
        try:
            if result is None:
                raise TypeError("the app returned None; return an iterable of bytes, such as [b'text'] (PEP 3333)")
            if isinstance(result, (bytes, bytearray)):
                once("the app returned bytes, not a list of them; it is taken for one chunk (write [body])")
                result = [bytes(result)]
            elif isinstance(result, str):
                raise TypeError("the app returned str; encode it and return a list: [text.encode()] (PEP 3333)")
            chunks = self._chunks()
            for chunk in result:
                if chunk and self.head is not None and type(chunk) is bytes:
                    chunks.append(chunk)
                else:
                    self.write(chunk)
            if self.head is None:
                raise AssertionError("the app never called start_response() (PEP 3333)")
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                # The answer is there, as with servers that have sent it by now.
                try:
                    close()
                except BaseException as error:
                    log(error, "")
        return self.head, chunks[0] if len(chunks) == 1 else b"".join(chunks)


class Server:
    """Answers requests with a WSGI app."""

    def __init__(self, app):
        self.app = app

    def forget(self):
        """What was kept while building is not what a request finds."""
        _likenesses.clear()

    def answer(self, text, body):
        """The text and the body of the answer."""
        call = _Call()
        result = self.app(environ_of(text, body), call.start_response)
        # What most apps return.
        if type(result) is list and len(result) == 1 and call.head is not None and not call.chunks:
            chunk = result[0]
            if type(chunk) is bytes:
                return call.head, chunk
        return call.finish(result)

    @staticmethod
    def request(path):
        """A request for a path, made while building."""
        path_info, _, query = path.partition("?")
        likeness = "GET\nhttp\nHTTP/1.1\nlocalhost\n80\n0\nHTTP_HOST\n\n"
        return "\0".join([likeness, path_info, query, path, "127.0.0.1", "build", "localhost"]), b""

    @staticmethod
    def sorry(text, shown):
        """The answer to a request that failed, with what its client is shown."""
        request_id = text.split("\0")[5]
        page = f"internal error, reference {request_id}\n{shown}"
        return "500\0content-type\0text/plain; charset=utf-8", page.encode("utf-8", "replace")

    @staticmethod
    def status(answer):
        """The number of an answer's status."""
        return int(answer[0][:3])
