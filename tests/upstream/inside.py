"""Inside of the sandbox: answers what a test of a framework's own suite asks its app.

A test makes its app itself, and asks it one thing after the other. So a request names its test and which of the test's
calls it is: the test runs from its beginning, the calls before are made here, and this one is answered by the app that
the test has made, from the environ of the request that came over HTTP.
"""

import json
import sys
from urllib.parse import unquote

import pytest
import werkzeug.test

# As they are imported by tests, which keep them.
_original = werkzeug.test.run_wsgi_app
_PLAIN = ["-p", "no:cacheprovider", "-p", "no:faulthandler", "-p", "no:terminalreporter", "--capture=no", "-q"]
# What the test's client puts in an environ that no request can carry.
_OF_CLIENT = ("werkzeug.", "flask.")


class _Stop(BaseException):
    """The call was made: what the test would do next is asked in the next request."""


class _Call:
    """The call that is to be answered."""

    def __init__(self, number, environ, start_response):
        self.left = number
        self.environ = environ
        self.start_response = start_response
        self.result = self.failure = None
        self.is_reached = False

    def __call__(self, app, environ, buffered=False):
        self.left -= 1
        if self.left:
            return _original(app, environ, buffered)
        self.is_reached = True
        inner = {key: value for key, value in environ.items() if key.startswith(_OF_CLIENT)}
        _mount(self.environ, environ.get("SCRIPT_NAME", ""))
        try:
            self.result = app({**inner, **self.environ}, self.start_response)
            # A test's app ends with its test.
            closing = getattr(self.result, "close", lambda: None)
            try:
                self.result = list(self.result)
            finally:
                closing()
        except BaseException as failure:
            self.failure = failure
        raise _Stop


def _mount(environ, script_name):
    """The app is at the server's root, and each test mounts its own where it likes."""
    path = environ["PATH_INFO"]
    if script_name and path.startswith(script_name):
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = script_name, path[len(script_name) :]


def _current(app, environ, buffered=False):
    return _calls[-1](app, environ, buffered)


_calls = []
werkzeug.test.run_wsgi_app = _current


def app(environ, start_response):
    test = environ.pop("HTTP_X_TEST", None)
    if test is None:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [sys.version.encode()]
    # What the driver says about the client, as a proxy would.
    environ.pop("HTTP_FORWARDED")
    call = _Call(int(environ.pop("HTTP_X_CALL")), environ, start_response)
    _calls.append(call)
    report = _Report()
    try:
        pytest.main([*_PLAIN, f"/app/{unquote(test)}"], plugins=[report])
    except _Stop:
        pass
    finally:
        _calls.pop()
    if call.failure is not None:
        raise call.failure
    if call.is_reached:
        return call.result
    start_response("599 The test ended before", [("Content-Type", "text/plain")])
    return [json.dumps(report.said).encode()]


class _Report:
    """What pytest says of a test that ended before its call."""

    def __init__(self):
        self.said = []

    def pytest_runtest_logreport(self, report):
        self.said.append(f"{report.when} {report.outcome} {report.longreprtext}")

    def pytest_collectreport(self, report):
        if not report.passed:
            self.said.append(str(report.longrepr))
