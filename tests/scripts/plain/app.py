"""A WSGI app without a framework: what a handler may do, well and badly."""

import json
import os
import sys
from urllib.parse import parse_qs

import ways

TEXT = [("Content-Type", "text/plain; charset=utf-8")]


def app(environ, start_response):
    name = environ["PATH_INFO"].strip("/").replace("/", "_") or "home"
    if name.startswith("path_info_"):
        return _path_info(environ, start_response)
    query = parse_qs(environ["QUERY_STRING"])
    # Where the path is what a route captures.
    name = query.get("way", [name])[0]
    way = getattr(ways, name, None) or globals().get(f"_{name}")
    if way is None:
        start_response("404 Not Found", TEXT)
        return [b"no such way\n"]
    return way(environ, start_response, query)


def _home(environ, start_response, query):
    start_response("200 OK", TEXT)
    return [b"home\n"]


def _environ(environ, start_response, query):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({key: str(value) for key, value in environ.items()}).encode()]


def _process(environ, start_response, query):
    """What the process looks like from inside."""
    start_response("200 OK", [("Content-Type", "application/json")])
    seen = {"environ": dict(os.environ), "folder": os.getcwd(), "path": sys.path, "uid": os.getuid()}
    return [json.dumps(seen).encode()]


def _path_info(environ, start_response):
    start_response("200 OK", TEXT)
    return [environ["PATH_INFO"].encode("utf-8")]
