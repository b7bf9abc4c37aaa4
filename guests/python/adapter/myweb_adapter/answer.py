"""From what an app says to what the world returns."""

import sys
from http import HTTPStatus

_said = set()
# The usual ones need no look at their text.
_STATUSES = {f"{status.value} {status.phrase}": str(status.value) for status in HTTPStatus}


def once(text):
    """Warns in the log, the first time."""
    if text not in _said:
        _said.add(text)
        print(f"warning: {text}", file=sys.stderr)


def head_of(status, headers):
    """Status, names and values as one text, as the interface `wsgi` takes them; the server checks the rest."""
    if type(headers) is not list:
        headers = list(headers.items() if isinstance(headers, dict) else headers)
    try:
        parts = [_STATUSES[status]]
        for name, value in headers:
            parts.append(name)
            parts.append(value)
        text = "\0".join(parts)
    except (KeyError, TypeError, ValueError):
        text = None
    if text is None:
        # Something is unusual, or wrong: then it is told what.
        parts = [_status(status), *(part for pair in headers for part in _pair(pair))]
        text = "\0".join(parts)
    if not text.isascii():
        _check_latin(parts)
    # SECURITY: a part with the sign that is between parts would be two.
    if text.count("\0") != len(parts) - 1:
        raise ValueError(f"a header has a NUL: {headers!r}")
    return text


def _pair(pair):
    try:
        name, value = pair
    except (TypeError, ValueError):
        raise TypeError(f"a header is a pair of name and value, not {pair!r}") from None
    return _name(name), _value(name, value)


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
        return value.decode("latin-1")
    if not isinstance(value, str):
        raise TypeError(f"the value of the header {name!r} is str, not {value!r}")
    return value


def _check_latin(parts):
    for name, value in zip(parts[1::2], parts[2::2]):
        try:
            (name + value).encode("latin-1")
        except UnicodeEncodeError:
            raise ValueError(f"the header {name!r} has characters beyond latin-1: {value!r}") from None


def _status(status):
    """The number of a status like "200 OK"."""
    if isinstance(status, bytes):
        once("the status is bytes, not str; it is taken so")
        status = status.decode("latin-1")
    if not isinstance(status, str):
        raise TypeError(f"a status is str like '200 OK', not {status!r}")
    number, _, _ = status.partition(" ")
    if len(number) != 3 or not number.isascii() or not number.isdigit():
        raise ValueError(f"a status is str like '200 OK', not {status!r}")
    return number


def check_chunk(chunk, where="the body"):
    """Bytes of a body."""
    if type(chunk) is bytes:
        return chunk
    if isinstance(chunk, (bytes, bytearray, memoryview)):
        return bytes(chunk)
    raise TypeError(f"{where} takes bytes, not {type(chunk).__name__}: {chunk!r:.60}; encode text first")
