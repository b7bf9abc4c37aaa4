"""What every server of Python is measured with: one small app of WSGI."""

import json

from jinja2 import Environment

TEXT = [("Content-Type", "text/plain; charset=utf-8")]
ITEMS = [{"id": number, "name": f"item {number}", "price": number * 1.25} for number in range(160)]
PAGE = Environment(autoescape=True).from_string(
    "<!doctype html><title>{{ title }}</title><ul>"
    "{% for item in items %}<li>{{ item.id }}: {{ item.name|upper }}</li>{% endfor %}</ul>"
)


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/json":
        body, kind = json.dumps(ITEMS), "application/json"
    elif path == "/page":
        body, kind = PAGE.render(title="Items", items=ITEMS[:40]), "text/html; charset=utf-8"
    elif path == "/cpu":
        body, kind = str(cpu(100_000)), "text/plain"
    else:
        body, kind = "Hello, world!\n", "text/plain; charset=utf-8"
    start_response("200 OK", [("Content-Type", kind)])
    return [body.encode()]


def cpu(rounds):
    """A linear congruence, over and over: all of it is the interpreter's work."""
    value = 1
    for _ in range(rounds):
        value = (value * 1103515245 + 12345) & 0x7FFFFFFF
    return value
