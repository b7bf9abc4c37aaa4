"""Which variables of the environment an app reads while it is imported, and what it puts there.

A component is built before it is served: a variable that is read at import has the value of the build, and never the
one that is granted. Each read is recorded with its name, file and line, so that the server can refuse a grant that
would have no effect.
"""

import os
import sys

from .store import APP, PACKAGES

# Reads that are recorded, and the longest name and place of one.
_MOST = 200
_LONGEST = 200
# The name of a read of all variables.
ALL = "*"

# The reader of a variable: a file of the app, a package at its own import, or the app for a page that is asked for
# while building.
OWN, PACKAGE, WARM = "own", "package", "warm"

# In the order in which they happen, each once.
_reads = {}
_missing = []
_is_warm = []
_at_import = {}
_plain = type(os.environ)
# The app may put another object in the place of `os.environ`.
_environ = os.environ
_both = [os.environ, os.environb]


def install():
    """From now on reads are recorded. The objects stay the same, since modules may have taken them already."""
    for environ in _both:
        environ.__class__ = _Recorded


def warm():
    """From now on the app is asked for pages."""
    _is_warm.append(True)


def end_build():
    """Keeps the variables that the app has set, for its requests."""
    for environ in _both:
        environ.__class__ = _plain
    _at_import.update((name, value) for name, value in _environ.items() if not name.startswith("PYTHON"))


def begin():
    """Before the first request: the variables that are granted, and those of the app at its import that are not."""
    if hasattr(os, "reload_environ"):
        os.reload_environ()
    for name in [name for name in _environ if name.startswith("PYTHON")]:
        del _environ[name]
    for name, value in _at_import.items():
        _environ.setdefault(name, value)


def reads():
    """All reads, for the report."""
    return [{"name": name, "file": file, "line": line, "by": by} for name, file, line, by in _reads]


def explain(error):
    """A sentence about a failed import that read a variable which is not set, or None."""
    traceback = error.__traceback__
    places = set()
    while traceback is not None:
        places.add((_shown(traceback.tb_frame.f_code.co_filename), traceback.tb_lineno))
        traceback = traceback.tb_next
    for name, file, line in _missing:
        if (file, line) in places:
            what = "the environment" if name == ALL else f"the variable {name}"
            return (
                f"{file}:{line} reads {what} at import, and no variable is set while an app is built: read it in the "
                "request, in a function or a property that the request calls, or in an app factory that takes a "
                "default while it builds (docs/values.md has recipes for Flask and Django)"
            )
    return None


def _shown(file):
    for folder in (APP, PACKAGES):
        if file.startswith(folder + "/"):
            return file[len(folder) + 1 :]
    return file


def _note(name, is_missing):
    """Records a read for whoever asked: the app, if it asked by itself or by a function of a package."""
    if isinstance(name, (bytes, bytearray)):
        name = os.fsdecode(bytes(name))
    if not isinstance(name, str):
        return
    package = None
    frame = sys._getframe(2)
    while frame is not None:
        file, line = frame.f_code.co_filename, frame.f_lineno
        if file.startswith(APP + "/"):
            return _record(name, file, line, WARM if _is_warm else OWN, is_missing)
        if file.startswith("<frozen importlib") or file.endswith("/myweb_adapter/importer.py"):
            # A module that is imported reads by itself.
            if package is not None:
                _record(name, *package, PACKAGE, is_missing)
            return
        if file.startswith(PACKAGES + "/"):
            package = package or (file, line)
        elif not file.startswith(("/python/", "<frozen")):
            return
        frame = frame.f_back


def _record(name, file, line, by, is_missing):
    file = _shown(file)
    if by == OWN and is_missing:
        _missing.append((name, file, line))
        del _missing[:-_MOST]
    read = (name[:_LONGEST], file[-_LONGEST:], line, by)
    if read in _reads:
        return
    if len(_reads) >= _MOST:
        # A read that is not recorded could be of any variable.
        read = (ALL, *read[1:]) if by == OWN else None
        if read is None or len(_reads) > _MOST:
            return
    _reads[read] = True


class _Recorded(_plain):
    """`os.environ` while an app is imported."""

    # The other ways to read one variable are those of the base classes, which all come here.
    def __getitem__(self, key):
        _note(key, self.encodekey(key) not in self._data)
        return super().__getitem__(key)

    def __iter__(self):
        _note(ALL, True)
        return super().__iter__()
