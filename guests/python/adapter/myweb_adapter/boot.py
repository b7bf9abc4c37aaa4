"""Sets everything up, in this order, while a component is built; then answers requests."""

import os
import sys

from . import report
from .store import APP, PACKAGES, Store

# Where componentize-py mounts the folders that it is given, in their order.
_APP_FROM = "/0"
_PACKAGES_FROM = "/1"
_ADAPTER_FROM = "/2"
_STDLIB = "/python"
_REPORT = _ADAPTER_FROM + "/report.json"


class _Refused(Exception):
    """Something is wrong with what the caller named, not with a line of the app."""


def build():
    """Imports the app; returns what answers requests."""
    import myweb_target as target

    for name in list(os.environ):
        if name.startswith("PYTHON"):
            del os.environ[name]
    try:
        return _build(target)
    except BaseException as error:
        sentence = str(error) if isinstance(error, _Refused) else None
        report.failed(_REPORT, error, sentence, _hint(error))
        raise


def _hint(error):
    from . import environ, system

    while error is not None:
        hint = system.explain(error, _extensions) or environ.explain(error)
        if hint is not None:
            return hint
        error = error.__cause__ or error.__context__
    return None


# The modules of packages that are compiled for a machine.
_extensions = set()


def _build(target):
    # What the adapter needs itself is imported before the files are its own.
    from . import environ, files, fresh, hashes, importer, late, loop, outbound, system

    store = Store()
    store.take_in(_STDLIB, _STDLIB, is_stdlib=True)
    store.take_in(_PACKAGES_FROM, PACKAGES)
    _extensions.update(store.extensions)
    store.take_in(_APP_FROM, APP)
    store.take_in(_ADAPTER_FROM, _ADAPTER_FROM)
    store.take_in("/bundled", "/bundled")
    store.take_in("/world", "/world")
    files.Files(store).replace_systems()
    importer.install(store, [APP, PACKAGES, _STDLIB, "/world", "/bundled", _ADAPTER_FROM])
    system.install()
    hashes.install()
    fresh.install()
    loop.install()
    environ.install()
    app = _app(target)
    late.import_all(store)
    server = _server(target.KIND, app)
    handler = _handler(server, fresh, system, outbound.close_all)
    environ.warm()
    for path in target.WARM:
        _warm(handler, path, server)
    server.forget()
    fresh.warn_of_frozen()
    environ.end_build()
    system.end_build()
    _settle()
    report.built(_REPORT, environ.reads())
    return handler


def _server(kind, app):
    if kind == "asgi":
        from .asgi import Server
    else:
        from .wsgi import Server
    return Server(app)


def _app(target):
    """What the caller named."""
    import importlib
    import importlib.util

    module = target.MODULE
    try:
        found = importlib.util.find_spec(module)
    except ImportError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        found = None
    if found is None:
        raise _Refused(f"there is no module {module!r}; name one of this folder, as in --wsgi app:app")
    imported = importlib.import_module(module)
    app = imported
    for part in target.NAME.split("."):
        if not hasattr(app, part):
            raise _Refused(f"the module {module!r} has no {target.NAME!r}; it has {_callables(imported)}")
        app = getattr(app, part)
    if not callable(app):
        kind = type(app).__name__
        raise _Refused(f"{target.NAME!r} is not callable, it is of type {kind}; name the application itself")
    _check_call(target, app)
    return app


def _check_call(target, app):
    """Refuses what is callable, but not as the interface calls it."""
    import inspect

    def takes(count):
        try:
            inspect.signature(app).bind(*range(count))
        except TypeError:
            return False
        except ValueError:  # It does not tell.
            return count == wanted
        return True

    is_async = inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(getattr(app, "__call__", None))
    wanted, other, flag = (3, 2, "--wsgi") if target.KIND == "asgi" else (2, 3, "--asgi")
    if (is_async and wanted == 2) or (not takes(wanted) and takes(other)):
        raise _Refused(f"{target.NAME!r} is an application of {flag[2:].upper()}; build it with {flag}")
    if not takes(wanted) and takes(0):
        raise _Refused(f"{target.NAME!r} makes an application; call it in the module, and name what it returns")


def _callables(module):
    names = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
    return ", ".join(names[:8]) or "nothing that is callable"


def _handler(server, fresh, system, end):
    """What answers a request, and never fails: what leaves it would end the instance."""
    serve, fresh_start = server.answer, [True]

    def handler(request, body=b""):
        if fresh_start:
            fresh_start.clear()
            fresh.reseed()
            system.begin()
        try:
            return serve(request, body)
        except BaseException as error:
            said = report.log(error, _hint(error))
            shows = os.environ.get("MYWEB_DEBUG", "0") not in ("", "0", "false")
            return server.sorry(request, said if shows else "")
        finally:
            end()
            report.flush()

    handler.fresh_start = fresh_start
    return handler


def _warm(handler, path, server):
    """Asks once, so that what is made at first use is in the snapshot."""
    status = server.status(handler(*server.request(path)))
    handler.fresh_start.append(True)
    if status >= 500:
        report.warn(f"warm = [{path!r}]: the app answered {status}")


def _settle():
    """Leaves no garbage in the snapshot, and has no collection touch it."""
    import gc
    import linecache

    linecache.clearcache()
    gc.collect()
    gc.freeze()
