"""A plugin of pytest, outside of the sandbox: what a test asks its app goes over HTTP to a server that has the same test
inside of a component (`inside.py`), and the test judges the answer that comes back.

The app is called here, too, so that what a test remembers of its calls is there; what it answers is thrown away.
"""

import http.client
import io
import json
import os
from urllib.parse import quote, unquote_to_bytes

import pytest
import werkzeug.test
from werkzeug.datastructures import Headers
from werkzeug.wsgi import ClosingIterator

_original = werkzeug.test.run_wsgi_app
_SUITE = os.environ["UPSTREAM_SUITE"]
_HOST, _PORT = os.environ["UPSTREAM_SERVER"].split(":")
_PATIENCE_S = 60


class _Test:
    """The test that runs now."""

    name = None
    calls = 0


# The outcome of each test that asked something over HTTP.
_outcomes = {}
# Those that asked an app nothing.
_silent = set()


def _over_http(app, environ, buffered=False):
    if "REQUEST_METHOD" not in environ or _Test.name is None:
        # An app without a request: a function of this process is tested.
        return _original(app, environ, buffered)
    _Test.calls += 1
    body = environ["wsgi.input"].read()
    status, headers, answer = _ask(environ, body)
    environ["wsgi.input"] = io.BytesIO(body)
    if status == 599:
        raise AssertionError("inside of the sandbox: " + "\n".join(json.loads(answer)))
    try:
        # Its end, too: what an app does when it is closed.
        chunks, _, _ = _original(app, environ, buffered)
        list(chunks)
        getattr(chunks, "close", lambda: None)()
    except BaseException:
        assert status == 500, f"the app failed here, and answered {status} inside of the sandbox"
        raise
    # As it was: a redirect may send it again.
    environ["wsgi.input"] = io.BytesIO(body)
    reason = http.client.responses.get(status, "UNKNOWN").upper()
    return ClosingIterator([answer] if answer else []), f"{status} {reason}", headers


def _ask(environ, body):
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    raw, mark, _ = environ.get("RAW_URI", "").partition("?")
    # As the test wrote it, if it is still what is asked for.
    is_raw = unquote_to_bytes(raw) == path.encode("latin-1") and raw.isascii()
    target = raw if is_raw else quote(path.encode("latin-1"), safe="/:@!$&'()*+,;=~")
    query = environ.get("QUERY_STRING")
    if query or (is_raw and mark):
        target += "?" + quote(query.encode("latin-1"), safe="%/?:@!$&'()*+,;=~")
    connection = http.client.HTTPConnection(_HOST, int(_PORT), timeout=_PATIENCE_S)
    connection.putrequest(environ["REQUEST_METHOD"], target or "/", skip_host=True, skip_accept_encoding=True)
    headers = {key[5:].replace("_", "-"): value for key, value in environ.items() if key.startswith("HTTP_")}
    headers["Content-Type"] = environ.get("CONTENT_TYPE")
    headers.setdefault("HOST", environ.get("SERVER_NAME"))
    if body or environ.get("CONTENT_LENGTH"):
        headers["Content-Length"] = str(len(body))
    headers |= {"X-Test": quote(f"{_SUITE}/{_Test.name}", safe="/:[]"), "X-Call": str(_Test.calls)}
    headers["Forwarded"] = f"for={environ.get('REMOTE_ADDR', '127.0.0.1')};proto={environ.get('wsgi.url_scheme', 'http')}"
    for name, value in headers.items():
        if value:
            connection.putheader(name, value.encode("latin-1"))
    connection.endheaders(body)
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    # Names have no case in HTTP; tests look for them as apps write them.
    return response.status, Headers([(name.title(), value) for name, value in response.getheaders()]), answer


werkzeug.test.run_wsgi_app = _over_http


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    _Test.name = item.nodeid
    _Test.calls = 0


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item):
    (_outcomes.setdefault(item.nodeid, "passed") if _Test.calls else _silent.add(item.nodeid))


def pytest_runtest_logreport(report):
    if report.failed:
        _outcomes[report.nodeid] = report.longreprtext


def pytest_sessionfinish():
    said = {"outcomes": {name: _outcomes[name] for name in _outcomes if name not in _silent}, "silent": len(_silent)}
    with open(os.environ["UPSTREAM_REPORT"], "w") as file:
        json.dump(said, file)
