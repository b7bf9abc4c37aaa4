"""From what an app says to what the world returns."""

import sys
from http import HTTPStatus

_said = set()
# The usual ones need no look at their text.
_STATUSES = {f"{status.value} {status.phrase}": status.value for status in HTTPStatus}


def once(text):
    """Warns in the log, the first time."""
    if text not in _said:
        _said.add(text)
        print(f"warning: {text}", file=sys.stderr)


def headers_of(headers):
    """Names and values, checked for their types; the server checks the rest."""
    if isinstance(headers, dict):
        headers = headers.items()
    pairs = []
    for pair in headers:
        try:
            name, value = pair
        except (TypeError, ValueError):
            raise TypeError(f"a header is a pair of name and value, not {pair!r}") from None
        pairs.append((name if type(name) is str else _name(name), _value(name, value)))
    return pairs


def _name(name):
    if isinstance(name, bytes):
        once("a header's name is bytes, not str; it is taken so")
        name = name.decode("latin-1")
    if not isinstance(name, str):
        raise TypeError(f"a header's name is str, not {name!r}")
    return name


def _value(name, value):
    if isinstance(value, bytes):
        once("a header's value is bytes, not str; it is taken so")
        return value
    if not isinstance(value, str):
        raise TypeError(f"the value of the header {name!r} is str, not {value!r}")
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"the value of the header {name!r} has characters beyond latin-1: {value!r}") from None


def check_status(status):
    """The number of a status like "200 OK"."""
    if type(status) is str and status in _STATUSES:
        return _STATUSES[status]
    if isinstance(status, bytes):
        once("the status is bytes, not str; it is taken so")
        status = status.decode("latin-1")
    if not isinstance(status, str):
        raise TypeError(f"a status is str like '200 OK', not {status!r}")
    number, _, _ = status.partition(" ")
    if len(number) != 3 or not number.isascii() or not number.isdigit():
        raise ValueError(f"a status is str like '200 OK', not {status!r}")
    return int(number)


def check_chunk(chunk, where="the body"):
    """Bytes of a body."""
    if type(chunk) is bytes:
        return chunk
    if isinstance(chunk, (bytes, bytearray, memoryview)):
        return bytes(chunk)
    raise TypeError(f"{where} takes bytes, not {type(chunk).__name__}: {chunk!r:.60}; encode text first")
