"""What REDbot and httplint say of a server's answers: one line a finding that is
a warning or bad, nothing else.

    lint.py ORIGIN <<< '[{"method": "GET", "path": "/", "headers": {}, "allowed": []}]'

Findings that a request allows, by their names, must be there.

REDbot asks for each GET itself, and again with conditions, ranges and codings.
httplint is given each answer as it was on the wire.
"""

import json
import socket
import sys
import time
from configparser import ConfigParser
from urllib.parse import urlsplit

import thor
from httplint import HttpRequestLinter, HttpResponseLinter
from httplint.note import levels
from redbot.resource import HttpResource

CONFIG = ConfigParser()
CONFIG.read_dict({"redbot": {"enable_local_access": "True"}})


def findings(judge, request, response):
    """The lines for the notes of an answer, with those below them."""
    asked = f"{request['method']} {request['path']} {request['headers'] or ''}".strip()
    notes = list(response.notes)
    for note in notes:
        notes.extend(note.subnotes)
        name = type(note).__name__
        if name in request["allowed"]:
            request["seen"].add(name)
        elif note.level in (levels.WARN, levels.BAD):
            status = response.status_code
            yield f"{judge}: {note.level.name} {name}: {asked} -> {status}: {note.subject}: {note}"


def redbot(origin, requests):
    """REDbot's own requests, and what it finds in the answers to all of them."""
    resources = []
    done = 0

    def count():
        nonlocal done
        done += 1
        if done == len(requests):
            thor.stop()

    for request in requests:
        resource = HttpResource(CONFIG["redbot"])
        resource.set_request(origin + request["path"], headers=list(request["headers"].items()))
        resource.once("check_done", count)
        resource.check()
        resources.append(resource)
    thor.run()
    for request, resource in zip(requests, resources):
        for fetched in [resource, *resource.subreqs.values()]:
            if fetched.fetch_error:
                yield f"redbot: {request['path']}: {fetched.check_name}: {fetched.fetch_error.desc}"
            yield from findings("redbot", request, fetched.response)


def httplint(origin, request):
    """What httplint finds in one answer."""
    method, host = request["method"], urlsplit(origin).netloc
    fields = {"Host": host, "User-Agent": "lint", "Connection": "close", **request["headers"]}
    asked = HttpRequestLinter(start_time=time.time())
    asked.process_request_topline(method.encode(), (origin + request["path"]).encode(), b"1.1")
    asked.process_headers([(name.encode(), value.encode()) for name, value in fields.items()])
    asked.finish_content(True)
    lines = [f"{method} {request['path']} HTTP/1.1", *map(": ".join, fields.items()), "", ""]
    head, body = exchange(origin, "\r\n".join(lines).encode())
    status, *fields = head.split(b"\r\n")
    version, code, phrase = status.split(b" ", 2)
    answer = HttpResponseLinter(start_time=time.time(), _related=asked)
    answer.is_head_response = method == "HEAD"
    answer.process_response_topline(version.removeprefix(b"HTTP/"), code, phrase)
    pairs = [tuple(field.split(b":", 1)) for field in fields]
    answer.process_headers(pairs)
    coded = any(name.lower() == b"transfer-encoding" for name, _ in pairs)
    answer.feed_content(dechunked(body) if coded else body)
    answer.finish_content(True)
    yield from findings("httplint", request, answer)


def exchange(origin, request):
    """The head and the body of the answer, as they are on the wire."""
    url = urlsplit(origin)
    with socket.create_connection((url.hostname, url.port), timeout=60) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def dechunked(body):
    """The content of a chunked body."""
    content = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            assert body == b"\r\n", body
            return content
        content += body[:length]
        assert body[length:length + 2] == b"\r\n", body[length:length + 2]
        body = body[length + 2:]


def main():
    """Asks all requests of standard input."""
    origin, requests = sys.argv[1], json.load(sys.stdin)
    for request in requests:
        request["seen"] = set()
    found = list(redbot(origin, [request for request in requests if request["method"] == "GET"]))
    for request in requests:
        found.extend(httplint(origin, request))
    for request in requests:
        found.extend(f"{name} is not there any more: {request['path']}"
                     for name in set(request["allowed"]) - request["seen"])
    for finding in found:
        print(finding)


main()
