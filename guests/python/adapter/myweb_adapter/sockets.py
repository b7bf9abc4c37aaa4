"""Sockets that speak HTTP, and nothing else: libraries of Python write requests to them, as to any other, and what is
written is handed to the server, which sends it where that was granted.
"""

import errno
import re
import socket

from . import answer, importer, outbound

_SENTENCE = "a sandboxed app has no sockets, only requests of HTTP to other servers"
_REQUEST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP/1\.[01]\r\n")
_END_OF_HEAD = b"\r\n\r\n"
# A first line that is no request yet may be this long.
_LONGEST_LINE = 64 << 10
_PORTS = {"http": 80, "https": 443}


def install():
    socket.socket = Socket
    socket.getaddrinfo = _address
    importer.after("ssl", _secure)


def _refuse(*_, **__):
    raise PermissionError(errno.EPERM, _SENTENCE)


def _address(host, port, family=0, type=0, proto=0, flags=0):
    """The server resolves names, so the name is the address."""
    if isinstance(host, bytes):
        host = host.decode("idna")
    port = _PORTS.get(port) or int(port or 0)
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host or "127.0.0.1", port))]


def _secure(ssl):
    """TLS is the server's: it is said of the socket that it is wanted."""

    def wrap_socket(self, sock, server_side=False, do_handshake_on_connect=True, *_, server_hostname=None, **__):
        if server_side or not isinstance(sock, Socket):
            _refuse()
        if self.verify_mode == ssl.CERT_NONE:
            answer.once("certificates are verified by the server, though this app asks for none to be")
        sock.is_secure = True
        return sock

    ssl.SSLContext.wrap_socket = wrap_socket


class Socket(socket.socket):
    """A connection to another server, as far as a client of HTTP can tell."""

    __slots__ = ("peer", "is_secure", "_timeout", "_request", "_answer", "_failure")

    def __init__(self, family=-1, type=-1, proto=-1, fileno=None):
        # Not the system's: it would open one.
        if fileno is not None or family not in (-1, socket.AF_INET, socket.AF_INET6):
            _refuse()
        if type not in (-1, socket.SOCK_STREAM):
            _refuse()
        self._io_refs, self._closed = 0, False
        self.peer, self.is_secure = None, False
        self._timeout, self._request, self._answer = socket.getdefaulttimeout(), _Request(), None
        # Some clients pass over it when they write, and look for an answer.
        self._failure = None

    bind = listen = accept = sendto = recvfrom = recvmsg = sendmsg = recvfrom_into = _refuse

    def connect(self, address):
        host, port = address[:2]
        if isinstance(host, bytes):
            host = host.decode()
        self.peer = host, int(port)

    def connect_ex(self, address):
        self.connect(address)
        return 0

    def settimeout(self, value):
        self._timeout = value

    def gettimeout(self):
        return self._timeout

    def setblocking(self, flag):
        self._timeout = None if flag else 0.0

    def setsockopt(self, *_):
        """There is nothing to set."""

    def getsockopt(self, *_):
        return 0

    def getpeername(self):
        if self.peer is None:
            raise OSError(errno.ENOTCONN, "the socket is not connected")
        return self.peer

    def getsockname(self):
        return ("0.0.0.0", 0)

    def fileno(self):
        return -1

    def sendall(self, data, flags=0):
        if self.peer is None:
            raise OSError(errno.ENOTCONN, "the socket is not connected")
        if self._request.add(data):
            request, self._request = self._request, _Request()
            self._end_answer()
            try:
                self._answer = outbound.send(self.peer, self.is_secure, request, self._timeout)
            except OSError as error:
                self._failure = error
                raise

    def send(self, data, flags=0):
        self.sendall(data)
        return memoryview(data).nbytes

    def recv(self, size, flags=0):
        if self._failure is not None:
            raise self._failure
        if self._answer is None:
            _refuse()
        return self._answer.read(size)

    def recv_into(self, buffer, nbytes=0, flags=0):
        view = memoryview(buffer).cast("B")
        chunk = self.recv(nbytes or len(view))
        view[: len(chunk)] = chunk
        return len(chunk)

    def _end_answer(self):
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def shutdown(self, how):
        """The server ends connections."""

    def _real_close(self, *_):
        self._end_answer()

    def detach(self):
        return -1

    # What is asked of a socket of TLS.

    def getpeercert(self, binary_form=False):
        # The server has verified that it is the peer's.
        return b"" if binary_form else {"subjectAltName": (("DNS", self.peer[0]), ("IP Address", self.peer[0]))}

    def selected_alpn_protocol(self):
        return "http/1.1" if self.is_secure else None

    def version(self):
        return "TLSv1.3" if self.is_secure else None

    def cipher(self):
        return None

    def do_handshake(self, *_):
        """The server's, when the request is sent."""

    def unwrap(self):
        return self


class _Request:
    """What was written of a request."""

    def __init__(self):
        self.method = self.target = self.headers = None
        self.body = bytearray()
        self._written = bytearray()
        # Bytes of the body, or of its chunk, that are missing; None while a chunk's size is.
        self._missing = 0
        self._is_chunked = False

    def add(self, data):
        """Takes what is written; whether the request is whole now."""
        self._written += memoryview(data).cast("B")
        if self.headers is None and not self._read_head():
            return False
        return self._read_chunks() if self._is_chunked else self._read_body()

    def _read_head(self):
        written = self._written
        first = _REQUEST.match(written)
        if first is None:
            is_begun = written[:1].isalpha() and b"\n" not in written and len(written) < _LONGEST_LINE
            return False if is_begun else _refuse()
        end = written.find(_END_OF_HEAD)
        if end < 0:
            return False
        self.method, self.target = first[1].decode(), first[2].decode("latin-1")
        self.headers = []
        for line in bytes(written[first.end() : end]).split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name:
                self.headers.append((name.decode("latin-1"), value.strip()))
        del written[: end + len(_END_OF_HEAD)]
        sizes = [value for name, value in self.headers if name.lower() == "content-length"]
        self._is_chunked = any(name.lower() == "transfer-encoding" for name, _ in self.headers)
        self._missing = None if self._is_chunked else int(sizes[0]) if sizes else 0
        return True

    def _read_body(self):
        self._take(self._missing)
        return self._missing == 0

    def _take(self, most):
        taken = self._written[:most]
        del self._written[:most]
        self.body += taken
        self._missing -= len(taken)

    def _read_chunks(self):
        while True:
            if self._missing is None:
                size, end, _ = self._written.partition(b"\r\n")
                if not end:
                    return False
                size = int(size.partition(b";")[0], 16)
                if size == 0:
                    # Trailers are left out.
                    return self._written.endswith(_END_OF_HEAD)
                del self._written[: self._written.index(b"\r\n") + 2]
                self._missing = size
            self._take(self._missing)
            if self._missing or len(self._written) < 2:
                return False
            del self._written[:2]
            self._missing = None
