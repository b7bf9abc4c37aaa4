"""ASGI 3 (scope `http`, and `lifespan` before the first request), over one event loop of the instance."""

import asyncio
from urllib.parse import unquote_to_bytes

from wit_world.imports import myweb_handler_types as types

from .answer import check_chunk


class Server:
    """Answers requests with an ASGI app."""

    def __init__(self, app):
        self.app = app
        self.loop = None
        self.state = {}
        self.lifespan = None

    def answer(self, env, _):
        """Status, headers and body; all of the request is in the first argument."""
        if self.loop is None:
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)
            self.loop.run_until_complete(self._start())
        return self.loop.run_until_complete(self._call(env))

    @staticmethod
    def request(path):
        """A request for a path, made while building."""
        path_info, _, query = path.partition("?")
        fields = dict(method="GET", scheme="http", host="localhost", port=80, script_name="", path_info=path_info)
        fields |= dict(query_string=query, uri=path, protocol="HTTP/1.1", remote_addr="127.0.0.1", request_id="build")
        return types.Env(**fields, params=[], headers=[("host", b"localhost")], body=b""), b""

    @staticmethod
    def sorry(env, shown):
        """The answer to a request that failed, with what its client is shown."""
        page = f"internal error, reference {env.request_id}\n{shown}"
        headers = [("content-type", b"text/plain; charset=utf-8")]
        return 500, headers, types.Body_Bytes(page.encode("utf-8", "replace"))

    @staticmethod
    def status(answer):
        """The number of an answer's status."""
        return answer[0]

    def forget(self):
        """What was started while building is not what a request finds."""
        self.__init__(self.app)

    async def _start(self):
        """The app's start-up, if it has one; it never ends."""
        told = asyncio.get_running_loop().create_future()
        first = [{"type": "lifespan.startup"}]

        async def receive():
            if first:
                return first.pop()
            await asyncio.get_running_loop().create_future()

        async def send(message):
            if not told.done():
                told.set_result(message)

        async def run():
            try:
                scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
                await self.app(scope, receive, send)
                why = None
            except BaseException as error:
                why = error
            if not told.done():
                # Raising means that it knows nothing of it (ASGI, Lifespan Protocol).
                told.set_result({"type": "lifespan.none", "why": why})

        self.lifespan = asyncio.ensure_future(run())
        message = await told
        if message["type"] == "lifespan.startup.failed":
            self.loop = None
            raise RuntimeError("the app's start-up failed: " + message.get("message", ""))

    async def _call(self, env):
        path = env.path_info
        if "%2F" in path:
            raw = unquote_to_bytes(env.uri.partition("?")[0]).decode("utf-8", "replace")
            path = raw[len(env.script_name) :] if raw.startswith(env.script_name) else path
        headers = [(name.encode("latin-1"), value) for name, value in env.headers if name != "transfer-encoding"]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "2" if env.protocol == "HTTP/2.0" else env.protocol.partition("/")[2],
            "method": env.method,
            "scheme": env.scheme,
            "path": env.script_name + path,
            "raw_path": env.uri.partition("?")[0].encode("latin-1"),
            "query_string": env.query_string.encode("latin-1"),
            "root_path": env.script_name,
            "headers": headers,
            "client": (env.remote_addr, 0),
            "server": (env.host or "localhost", env.port),
            "state": self.state.copy(),
            "extensions": {},
        }
        exchange = _Exchange(env.body)
        await self.app(scope, exchange.receive, exchange.send)
        return exchange.answer()


class _Exchange:
    """One request and its answer, as messages."""

    def __init__(self, body):
        self.body = body
        self.is_read = False
        self.status = None
        self.headers = []
        self.chunks = []
        self.is_complete = False
        self.ended = None

    async def receive(self):
        if not self.is_read:
            self.is_read = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        # The client stays until it has the answer.
        if not self.is_complete:
            self.ended = self.ended or asyncio.get_running_loop().create_future()
            await self.ended
        return {"type": "http.disconnect"}

    async def send(self, message):
        kind = message["type"]
        if kind == "http.response.start":
            if self.status is not None:
                raise RuntimeError("the app sent http.response.start a second time")
            self.status = int(message["status"])
            self.headers = [(bytes(name).decode("latin-1"), bytes(value)) for name, value in message.get("headers", ())]
        elif kind == "http.response.body":
            if self.status is None:
                raise RuntimeError("the app sent http.response.body before http.response.start")
            if self.is_complete:
                raise RuntimeError("the app sent more after the last http.response.body")
            self.chunks.append(check_chunk(message.get("body", b""), "http.response.body"))
            if not message.get("more_body", False):
                self.is_complete = True
                if self.ended is not None and not self.ended.done():
                    self.ended.set_result(None)
        else:
            raise RuntimeError(f"the app sent {kind!r}, which is not known here")

    def answer(self):
        if not self.is_complete:
            raise RuntimeError("the app returned before its answer was complete")
        return self.status, self.headers, types.Body_Bytes(b"".join(self.chunks))
