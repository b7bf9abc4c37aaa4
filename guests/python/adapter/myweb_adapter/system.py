"""What a sandbox lacks: stood in for where that is true to it, else refused with a sentence."""

import errno
import os
import sys
import threading
import time
import types

from . import answer, importer, report, sockets
from .store import USER

# Modules of Python that need what a sandbox has not, and why.
_LACKS = {
    "_ctypes": "it has no C functions to call",
    "_bz2": "bzip2 is not in its Python; use zlib or gzip",
    "_lzma": "LZMA is not in its Python; use zlib or gzip",
    "_zstd": "Zstandard is not in its Python; use zlib or gzip",
    "_posixshmem": "it has one process",
    "_multiprocessing": "it has one process",
    "fcntl": "it has no files to lock",
    "mmap": "it has no files to map",
    "termios": "it has no terminal",
    "_curses": "it has no terminal",
    "readline": "it has no terminal",
    "_tkinter": "it has no screen",
    "resource": "its limits are the server's",
    "pwd": "it has no users",
    "grp": "it has no groups",
    "syslog": "what it prints is in the server's log",
    "_posixsubprocess": "it has one process",
}


def install():
    for name in ("getuid", "geteuid", "getgid", "getegid"):
        setattr(os, name, lambda: USER)
    os.getppid = lambda: 1
    _name_program()
    os.system = os.popen = os.pipe = os.kill = _refused("it has one process")
    time.tzset = _tzset
    threading._start_joinable_thread = _no_thread
    sys.modules["_thread"].start_new_thread = _no_thread
    sockets.install()
    importer.after("concurrent.futures.thread", _inline_pool)
    importer.after("anyio._backends._asyncio", _inline_anyio)
    importer.after("asgiref.sync", _inline_asgiref)


def end_build():
    from . import fresh

    fresh.end_build()
    report.end_build()


def begin():
    """Before the first request: the variables of the server, not those of the build."""
    from . import environ

    _name_program()
    environ.begin()


def explain(error, extensions=()):
    """A sentence about a module that cannot be in a sandbox, or None."""
    name = getattr(error, "name", None) if isinstance(error, ImportError) else None
    if not name:
        return None
    if name in _LACKS:
        return f"a sandboxed app has no {name}: {_LACKS[name]}"
    if name in extensions:
        return (
            f"{name} is a C extension, compiled for this machine, and its package has no fallback in Python: it cannot "
            "run in a sandbox; use another package"
        )
    return None


def _name_program():
    """There is no command line; `argparse` asks for its first word."""
    if not sys.argv:
        sys.argv.append("myweb")


def _refused(why):
    def refuse(*_, **__):
        raise OSError(errno.ENOSYS, f"a sandboxed app cannot do this: {why}")

    return refuse


def _tzset():
    zone = os.environ.get("TZ", "UTC")
    if zone not in ("UTC", "UTC0", "Etc/UTC", ""):
        answer.once(f"time.tzset(): the local time of a sandboxed app is UTC, not {zone}; use zoneinfo")


def _no_thread(*_, **__):
    raise RuntimeError("can't start new thread: a sandboxed app has one; do the work within the request")


def _inline_pool(module):
    """An executor of threads that does the work at once."""

    def submit(self, fn, /, *args, **kwargs):
        if self._shutdown:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future = module._base.Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future

    module.ThreadPoolExecutor.submit = submit


def _inline_asgiref(module):
    """Django ends executors in a thread: those that do the work at once have nothing to end."""

    class Thread:
        def __init__(self, target, **_):
            self.start = target

    module.threading = types.ModuleType("threading")
    vars(module.threading).update(vars(threading), Thread=Thread)


def _inline_anyio(module):
    """Sync endpoints of Starlette are called where they stand."""

    async def run_sync_in_worker_thread(cls, func, args, abandon_on_cancel=False, limiter=None):
        return func(*args)

    module.AsyncIOBackend.run_sync_in_worker_thread = classmethod(run_sync_in_worker_thread)


__all__ = ["begin", "end_build", "explain", "install", "report"]
