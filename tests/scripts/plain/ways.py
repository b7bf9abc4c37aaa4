"""Each function is a way to answer, by its name."""

import hashlib
import io
import json
import random
import sys
import uuid
import secrets
from wsgiref.validate import validator

TEXT = [("Content-Type", "text/plain; charset=utf-8")]
MADE_AT_IMPORT = random.Random()
SEEDED = random.Random(7)


def validated(environ, start_response, query):
    """All of it is checked by Python's own validator."""

    def app(environ, start_response):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        write = start_response("200 OK", TEXT)
        write(b"written, ")
        return [b"returned, ", b"read %d\n" % len(body)]

    return validator(app)(environ, start_response)


def lines(environ, start_response, query):
    start_response("200 OK", TEXT)
    first = environ["wsgi.input"].readline()
    return [first, b"|"] + [b"<" + line.rstrip() + b">" for line in environ["wsgi.input"]]


def generated(environ, start_response, query):
    start_response("200 OK", TEXT)
    yield b"one "
    yield b""
    yield b"two\n"


class _Closing:
    def __init__(self, chunks):
        self.chunks = chunks

    def __iter__(self):
        for chunk in self.chunks:
            if chunk is None:
                raise RuntimeError("broke in the middle")
            yield chunk

    def close(self):
        print("closed", file=sys.stderr)


def closed(environ, start_response, query):
    start_response("200 OK", TEXT)
    return _Closing([b"closing\n"])


def fails_to_close(environ, start_response, query):
    start_response("200 OK", TEXT)
    answer = _Closing([b"closing\n"])
    answer.close = lambda: 1 / 0
    return answer


class _Broken:
    """An output that cannot be written to, once."""

    def __init__(self):
        self.before = sys.stdout

    def flush(self):
        sys.stdout = self.before
        raise ValueError("closed")


def breaks_its_output(environ, start_response, query):
    sys.stdout = _Broken()
    start_response("200 OK", TEXT)
    return [b"closing\n"]


def closed_after_failure(environ, start_response, query):
    start_response("200 OK", TEXT)
    return _Closing([b"a", None])


def replaced(environ, start_response, query):
    """`exc_info` replaces what was said."""
    start_response("200 OK", TEXT)
    try:
        raise KeyError("lost")
    except KeyError:
        start_response("503 Service Unavailable", TEXT + [("X-Replaced", "yes")], sys.exc_info())
    return [b"replaced\n"]


def too_late(environ, start_response, query):
    """After a first byte, `exc_info` raises again."""
    write = start_response("200 OK", TEXT)
    write(b"sent")
    try:
        raise KeyError("too late")
    except KeyError:
        start_response("503 Service Unavailable", TEXT, sys.exc_info())
    return [b"never\n"]


def bytes_not_list(environ, start_response, query):
    start_response("200 OK", TEXT)
    return b"one chunk\n"


def bytes_headers(environ, start_response, query):
    start_response(b"201 Created", [(b"X-Bytes", b"yes"), (b"content-type", b"text/plain")])
    return [b"taken\n"]


def cookies(environ, start_response, query):
    start_response("200 OK", TEXT + [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    return [environ.get("HTTP_COOKIE", "").encode()]


def latin(environ, start_response, query):
    """Characters of headers stand for bytes, both ways."""
    start_response("200 OK", TEXT + [("X-Latin", environ["HTTP_X_LATIN"]), ("X-Empty", "")])
    return []


def marks(environ, start_response, query):
    """What is done to an environ is of no other request."""
    seen = [environ.get("marked"), environ["wsgi.input"].read().decode(), environ.get("HTTP_X_MARK")]
    environ["wsgi.input"].write(b"marked")
    environ["myweb.params"].append("marked")
    for name in [*environ, "marked"]:
        environ[name] = "marked"
    start_response("200 OK", TEXT)
    return [repr(seen).encode()]


def nul_header(environ, start_response, query):
    start_response("200 OK", TEXT + [("X-Split", "a\0Set-Cookie\0b=1")])
    return [b"split\n"]


def raises(environ, start_response, query):
    raise ValueError("a secret cause")


def exits(environ, start_response, query):
    sys.exit(3)


def returns_nothing(environ, start_response, query):
    start_response("200 OK", TEXT)


def starts_twice(environ, start_response, query):
    start_response("200 OK", TEXT)
    start_response("200 OK", TEXT)
    return [b""]


def never_starts(environ, start_response, query):
    return [b"unannounced"]


def yields_text(environ, start_response, query):
    start_response("200 OK", TEXT)
    return ["text"]


def lies_about_length(environ, start_response, query):
    start_response("200 OK", TEXT + [("Content-Length", "99")])
    return [b"short\n"]


def bad_header(environ, start_response, query):
    start_response("200 OK", TEXT + [("X-Split", "a\r\nSet-Cookie: b=1")])
    return [b"split\n"]


def bad_status(environ, start_response, query):
    start_response("OK", TEXT)
    return [b""]


def recurses(environ, start_response, query):
    def down(depth):
        return max([down(depth + 1)], key=lambda value: value)

    return down(0)


def eats_memory(environ, start_response, query):
    kept = []
    while True:
        kept.append(bytearray(8 << 20))


_kept = []


def leaks(environ, start_response, query):
    _kept.append(bytearray(100_000))
    start_response("200 OK", TEXT)
    return [b"kept\n"]


def nests(environ, start_response, query):
    """Recursion in C, below Python's own count of it."""
    value = []
    for _ in range(900):
        value = [value]
    start_response("200 OK", TEXT)
    return [str(len(json.dumps(value))).encode()]


def random_numbers(environ, start_response, query):
    """What must differ between instances, and what must not."""
    said = {
        "random": random.random(),
        "made_at_import": MADE_AT_IMPORT.random(),
        "run_time": random.Random().random(),
        "secrets": secrets.token_hex(),
        "uuid4": str(uuid.uuid4()),
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"fresh": said, "seeded": SEEDED.random()}).encode()]


def threads(environ, start_response, query):
    import threading

    threading.Thread(target=print).start()


def sockets(environ, start_response, query):
    import socket

    # That of a database, say.
    socket.create_connection(("127.0.0.1", 1)).sendall(b"\0\0\0\x08")


def processes(environ, start_response, query):
    import subprocess

    subprocess.run(["true"])


def ctypes(environ, start_response, query):
    import ctypes as module

    return module


def _say(start_response, value):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(value).encode()]


def loop(environ, start_response, query):
    import asyncio

    async def work():
        first, second = await asyncio.gather(asyncio.sleep(0.01, "a"), asyncio.to_thread(str.upper, "b"))
        try:
            await asyncio.wait_for(asyncio.sleep(10), 0.01)
        except TimeoutError:
            return [first, second, "timeout"]

    return _say(start_response, asyncio.run(work()))


def files(environ, start_response, query):
    import os
    import pathlib
    import tempfile

    said = {"relative": open("data/words.txt").read(), "listed": sorted(os.listdir("data"))}
    with tempfile.NamedTemporaryFile("w+", suffix=".txt") as file:
        file.write("kept in memory")
        file.flush()
        said["named"] = pathlib.Path(file.name).read_text()
    said["gone"] = os.path.exists(file.name)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "a", "b.bin")
        path.parent.mkdir()
        path.write_bytes(b"x" * 10)
        with open(path, "ab") as file:
            file.write(b"y")
        said["size"] = path.stat().st_size
        said["found"] = [str(found.relative_to(folder)) for found in pathlib.Path(folder).rglob("*.bin")]
    said["removed"] = os.path.exists(folder)
    with tempfile.TemporaryFile() as file:
        file.write(b"abc")
        file.seek(1)
        said["sought"] = file.read().decode()
    try:
        open("data/words.txt", "w")
    except OSError as error:
        said["read_only"] = error.strerror
    said["resource"] = pathlib.Path(__file__).with_name("data").joinpath("words.txt").exists()
    return _say(start_response, said)


def sqlite(environ, start_response, query):
    import sqlite3

    database = sqlite3.connect(":memory:")
    database.execute("create table words (word text)")
    database.executemany("insert into words values (?)", [("b",), ("a",)])
    return _say(start_response, database.execute("select word from words order by word").fetchall())


def zones(environ, start_response, query):
    import datetime
    import zoneinfo

    noon = datetime.datetime(2026, 7, 1, 12, tzinfo=datetime.timezone.utc)
    return _say(start_response, noon.astimezone(zoneinfo.ZoneInfo("Europe/Berlin")).isoformat())


def hashes(environ, start_response, query):
    said = {
        "pbkdf2": hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 4096).hex(),
        "sha1": hashlib.pbkdf2_hmac("sha1", b"password", b"salt", 2, 25).hex(),
        "md5": hashlib.md5(b"a").hexdigest(),
        "blake2": hashlib.blake2b(b"a", digest_size=8).hexdigest(),
    }
    return _say(start_response, said)


def scrypt(environ, start_response, query):
    """The vectors of RFC 7914, and what cannot be."""
    vectors = [(b"", b"", 16, 1, 1), (b"password", b"NaCl", 1024, 8, 16), (b"pleaseletmein", b"SodiumChloride", 16384, 8, 1)]
    said = [hashlib.scrypt(word, salt=salt, n=n, r=r, p=p, dklen=64).hex()[:32] for word, salt, n, r, p in vectors]
    for n, maxmem in ((1000, 0), (1 << 16, 0), (1 << 20, 1 << 40)):
        try:
            hashlib.scrypt(b"", salt=b"", n=n, r=8, p=1, maxmem=maxmem)
        except (ValueError, MemoryError) as error:
            said.append(f"{type(error).__name__}: {error}"[:40])
    return _say(start_response, said)


def secure_sockets(environ, start_response, query):
    import ssl
    import urllib.request

    ssl.create_default_context().load_default_certs()
    try:
        ssl.MemoryBIO()
    except ssl.SSLError as error:
        return _say(start_response, [bool(urllib.request.HTTPSHandler), str(error)])


def packages(environ, start_response, query):
    import importlib.metadata
    import inspect
    import pkgutil

    said = {
        "source": inspect.getsource(packages).splitlines()[0],
        "version": importlib.metadata.version("tzdata") > "2020",
        "modules": sorted(module.name for module in pkgutil.iter_modules(["/app"])),
        "stdlib": len(list(pkgutil.iter_modules(["/python"]))) > 100,
    }
    return _say(start_response, said)


def written_file(environ, start_response, query):
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](io.BytesIO(b"x" * 100_000))
