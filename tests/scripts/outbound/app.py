"""Asks other servers, with what apps use for it."""

import http.client
import json
import ssl
import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlsplit

import httpx
import requests


def with_urllib(url, body):
    request = urllib.request.Request(url, data=body, headers={"X-Own": "7"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.headers["X-Kept"], answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers["X-Kept"], answer.read().decode()


def with_http(url, body):
    parts = urlsplit(url)
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.netloc, context=ssl.create_default_context())
    else:
        connection = http.client.HTTPConnection(parts.netloc)
    # An iterable is sent in chunks.
    chunks = iter([body[:2], body[2:]]) if body else None
    connection.request("POST" if body else "GET", parts.path, chunks, {"X-Own": "7"}, encode_chunked=bool(body))
    answer = connection.getresponse()
    return answer.status, answer.getheader("X-Kept"), answer.read().decode()


def with_requests(url, body):
    answer = _session.request("POST" if body else "GET", url, data=body, headers={"X-Own": "7"}, timeout=5)
    return answer.status_code, answer.headers.get("X-Kept"), answer.text


def with_httpx(url, body):
    answer = httpx.request("POST" if body else "GET", url, content=body, headers={"X-Own": "7"}, timeout=5)
    return answer.status_code, answer.headers.get("X-Kept"), answer.text


_session = requests.Session()


def left_open(url, body):
    """Reads nothing of the body, and forgets it."""
    answers = [urllib.request.urlopen(url) for _ in range(3)]
    return answers[0].status, None, ""


def app(environ, start_response):
    query = {key: values[0] for key, values in parse_qs(environ["QUERY_STRING"]).items()}
    ask = globals()[environ["PATH_INFO"][1:]]
    start_response("200 OK", [("Content-Type", "application/json")])
    try:
        said = ask(query["url"], query.get("body", "").encode() or None)
    except (OSError, http.client.HTTPException, httpx.HTTPError) as error:
        said = [type(error).__name__, str(error)]
    return [json.dumps(said).encode()]
