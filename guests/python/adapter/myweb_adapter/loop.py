"""An event loop of asyncio without a system below it: there is nothing to wait for but time."""

import time

from . import importer


def install():
    importer.after("asyncio.events", _install_events)


def _install_events(events):
    def new_event_loop():
        return _class()()

    events.new_event_loop = new_event_loop


_made = []


def _class():
    """The class of the loop; asyncio is not imported before somebody uses it."""
    if _made:
        return _made[0]
    from asyncio import base_events, tasks

    class Loop(base_events.BaseEventLoop):
        """Runs what is ready, and sleeps until the next timer."""

        def __init__(self):
            super().__init__()
            self._selector = _Selector(self)

        def _process_events(self, event_list):
            """There are none."""

        def _write_to_self(self):
            """Nobody else could wake it."""

        def run_in_executor(self, executor, func, *args):
            """There is one thread: at once."""
            future = self.create_future()
            try:
                future.set_result(func(*args))
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                future.set_exception(error)
            return future

        def add_signal_handler(self, sig, callback, *args):
            raise NotImplementedError("a sandboxed app gets no signals")

        async def shutdown_default_executor(self, timeout=None):
            """There is none."""

    assert tasks
    _made.append(Loop)
    return Loop


class _Selector:
    def __init__(self, loop):
        self._loop = loop

    def select(self, timeout=None):
        if timeout is None:
            # Nothing is ready, no timer runs, and nothing comes from outside.
            raise RuntimeError("the app awaits what can never happen: no timer runs, and nothing comes from outside")
        if timeout > 0:
            time.sleep(timeout)
        return []

    def close(self):
        pass
