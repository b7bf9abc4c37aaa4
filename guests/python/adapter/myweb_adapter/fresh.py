"""Random numbers that no snapshot repeats.

`os.urandom` asks the server each time. A `random.Random()` that was made while building is in the snapshot with its
state, which every instance would start from: it is seeded again before the first request.
"""

import os
import random
import sys
import weakref

from . import report
from .store import APP

_unseeded = weakref.WeakSet([random._inst])
_frozen = []


def install():
    seed = random.Random.seed

    def tracked(self, a=None, version=2):
        if type(self).seed is tracked:
            (_unseeded.add if a is None else _unseeded.discard)(self)
        seed(self, a, version)

    tracked.original = seed
    random.Random.seed = tracked
    # `random.seed` is bound to the function from before.
    random.seed = random._inst.seed
    urandom = os.urandom

    def seen(size):
        _note(sys._getframe(1))
        return urandom(size)

    seen.original = urandom
    os.urandom = random._urandom = seen


def warn_of_frozen():
    """Tells of the places of the app that asked for secrets while it was imported."""
    for place in dict.fromkeys(_frozen):
        report.warn(
            f"{place}: a random value that is computed at import is the same in every instance, and anybody who has "
            "the component can read it: take it from os.environ, or compute it in the request"
        )


def end_build():
    os.urandom = random._urandom = os.urandom.original
    random.Random.seed = random.Random.seed.original
    random.seed = random._inst.seed


def reseed():
    """Before the first request."""
    for instance in _unseeded:
        instance.seed()
    uuid = sys.modules.get("uuid")
    if uuid is not None:
        uuid._node = None


def _note(frame):
    """Remembers the line of the app that asks, unless a package asks for itself."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(APP + "/"):
            _frozen.append(f"{file[len(APP) + 1 :]}:{frame.f_lineno}")
            return
        if not file.startswith(("/python/", "<frozen")):
            return
        frame = frame.f_back
