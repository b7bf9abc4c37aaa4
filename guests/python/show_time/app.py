"""Shows the server's time."""

import time


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{time.asctime(time.gmtime())}\n".encode()]
