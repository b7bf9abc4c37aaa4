"""Requests to other servers, which the server sends: a request as it would be on the wire, and its answer the same way."""

import errno
import socket
from http import HTTPStatus

from componentize_py_types import Err, Ok
from wit_world.imports import outgoing_handler, streams
from wit_world.imports import wasi_http_types as types

from . import report

# What the server says itself: of the connection, not of the request.
_OF_CONNECTION = frozenset(
    "connection expect host http2-settings keep-alive proxy-authenticate proxy-authorization proxy-connection te "
    "trailer transfer-encoding upgrade".split()
)
_CHUNK = 64 << 10
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_METHODS = {
    "GET": types.Method_Get,
    "HEAD": types.Method_Head,
    "POST": types.Method_Post,
    "PUT": types.Method_Put,
    "DELETE": types.Method_Delete,
    "OPTIONS": types.Method_Options,
    "TRACE": types.Method_Trace,
    "PATCH": types.Method_Patch,
}

# Answers that are not read to their end. They are held here, since what is collected as garbage ends in any order, and a
# body's stream must end before its body.
_open = set()


def close_all():
    """At the end of a request: what its code left open."""
    while _open:
        _open.pop().close()


def origin_of(peer, is_secure):
    """The origin as it is granted."""
    host, port = peer
    host = f"[{host}]" if ":" in host else host
    usual = 443 if is_secure else 80
    authority = host if port == usual else f"{host}:{port}"
    return "https" if is_secure else "http", authority


def send(peer, is_secure, request, timeout):
    """Sends a request; returns its answer when its head is there.

    Raises: OSError, of the kind that a socket would raise.
    """
    scheme, authority = origin_of(peer, is_secure)
    origin = f"{scheme}://{authority}"
    if report.is_building():
        raise PermissionError(errno.EPERM, f"{origin} cannot be asked while the component is built; ask it in a request")
    if "://" in request.target:
        # As for a proxy: the server goes there itself.
        raise PermissionError(errno.EPERM, f"a sandboxed app uses no proxies, but asks {origin} for {request.target}")
    try:
        return _send(scheme, authority, request, timeout)
    except Err as error:
        raise _error(error.value, origin) from None


def _send(scheme, authority, request, timeout):
    kept = [(name, value) for name, value in request.headers if name.lower() not in _OF_CONNECTION]
    sent = types.OutgoingRequest(types.Fields.from_list(kept))
    kind = _METHODS.get(request.method)
    sent.set_method(kind() if kind else types.Method_Other(request.method))
    sent.set_scheme(types.Scheme_Https() if scheme == "https" else types.Scheme_Http())
    sent.set_authority(authority)
    sent.set_path_with_query(request.target)
    options = types.RequestOptions()
    if timeout is not None:
        nanoseconds = max(int(timeout * 1e9), 1)
        options.set_connect_timeout(nanoseconds)
        options.set_first_byte_timeout(nanoseconds)
        options.set_between_bytes_timeout(nanoseconds)
    outgoing = sent.body()
    future = outgoing_handler.handle(sent, options)
    with future:
        _write(outgoing, bytes(request.body))
        with future.subscribe() as ready:
            ready.block()
        result = future.get()
        # The first is whether it was taken before; the second is the answer.
        result = result.value if isinstance(result, Ok) else result
        if isinstance(result, Err):
            raise result
        response = result.value
    with response:
        with response.headers() as fields:
            entries = fields.entries()
        return Answer(response.status(), entries, response.consume())


def _write(outgoing, body):
    try:
        with outgoing.write() as stream:
            for start in range(0, len(body), 4096):
                stream.blocking_write_and_flush(body[start : start + 4096])
        types.OutgoingBody.finish(outgoing, None)
    except Err:
        # The other server wants no more of it; its answer says why.
        outgoing.__exit__(None, None, None)


class Answer:
    """An answer, as bytes of HTTP/1.1 on a connection that ends with it."""

    def __init__(self, status, headers, body):
        lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, 'Unknown')}".encode()]
        lines += [
            name.encode("latin-1") + b": " + value for name, value in headers if name.lower() not in _OF_CONNECTION
        ]
        self._head = b"\r\n".join([*lines, b"connection: close", b"", b""])
        self._body = body
        self._stream = body.stream()
        _open.add(self)

    def read(self, size):
        """Up to so many bytes; none at the end."""
        if self._head:
            chunk, self._head = self._head[:size], self._head[size:]
            return chunk
        while self._stream is not None:
            try:
                chunk = self._stream.blocking_read(min(size, _CHUNK))
            except Err as error:
                why = error.value
                self.close()
                if isinstance(why, streams.StreamError_LastOperationFailed):
                    with why.value as cause:
                        code = types.http_error_code(cause)
                    raise _broken(code) from None
                return b""
            if chunk:
                return chunk
        return b""

    def close(self):
        _open.discard(self)
        if self._stream is not None:
            self._stream.__exit__(None, None, None)
            self._body.__exit__(None, None, None)
            self._stream = self._body = None


def _broken(code):
    """Why an answer is not whole."""
    if code is None:
        return ConnectionResetError(errno.ECONNRESET, "the other server broke its answer off")
    return _error(code, "the other server")


def _error(code, origin):
    """An error of the server, as the one that a socket would raise."""
    if code is None or isinstance(code, types.HeaderError):
        return ValueError(f"what is sent to {origin} is no valid request: {code}")
    name = type(code).__name__.removeprefix("ErrorCode_")
    if name == "HttpRequestDenied":
        return PermissionError(
            errno.EPERM,
            f"{origin} is not granted to this app: add it with --outbound {origin}, or to `outbound` of its route's grants",
        )
    if name == "DestinationIpProhibited":
        return PermissionError(
            errno.EPERM, f"{origin} is at an address that is not public: its address must be granted, too"
        )
    if name in ("DnsError", "DestinationNotFound"):
        return socket.gaierror(socket.EAI_NONAME, f"{origin} has no address")
    if name == "ConnectionRefused":
        return ConnectionRefusedError(errno.ECONNREFUSED, f"{origin} refused the connection")
    if "Timeout" in name:
        return TimeoutError(errno.ETIMEDOUT, f"{origin} did not answer in time ({name})")
    if name.startswith("Tls"):
        import ssl

        if name == "TlsCertificateError":
            return ssl.SSLCertVerificationError(1, f"the certificate of {origin} is not trusted")
        return ssl.SSLError(1, f"{origin} does not speak TLS as it should ({name})")
    said = getattr(code, "value", None)
    return ConnectionError(errno.ECONNRESET, f"{origin} did not answer: {name}" + (f" ({said})" if said else ""))

