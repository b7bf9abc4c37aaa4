"""What the build tells its caller: a file in the adapter's folder, which is written to while the component is built."""

import json
import sys
import traceback

# Before `open` is replaced.
_open = open

_warnings = []
# The server's functions cannot be called before it runs.
_is_building = [True]


def is_building():
    return bool(_is_building)


def end_build():
    _is_building.clear()


def warn(text):
    """Something that the author of the app should know."""
    _warnings.append(text)


def _write(path, **what):
    what["warnings"] = _warnings
    with _open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(what))


def built(path, reads):
    """Tells what the component needs to know: which variables the app read at import."""
    _write(path, ok=True, reads=reads)


def failed(path, error, of_target, hint):
    """Tells why the app cannot be imported: `of_target` is a sentence for failures of no line of its code, `hint` one more
    about one that has a line.
    """
    trace = traceback.TracebackException.from_exception(error)
    trace.stack = traceback.StackSummary.from_list(_of_app(trace.stack))
    for chained in (trace.__cause__, trace.__context__):
        if chained is not None:
            chained.stack = traceback.StackSummary.from_list(_of_app(chained.stack))
    _write(
        path,
        ok=False,
        kind=type(error).__name__,
        message=str(error),
        missing=getattr(error, "name", None) if isinstance(error, ImportError) else None,
        file=error.filename if isinstance(error, SyntaxError) else None,
        line=error.lineno if isinstance(error, SyntaxError) else None,
        sentence=of_target,
        hint=hint,
        traceback="".join(trace.format()),
    )


def _of_app(stack):
    """Without the frames of the adapter and of `import`."""
    own = ("/myweb_adapter/", "/myweb_entry.py", "/importlib/", "<frozen importlib")
    return [frame for frame in stack if not any(part in frame.filename for part in own)]


def log(error, hint):
    """Writes a failure of a request to the log; what is written."""
    try:
        trace = traceback.TracebackException.from_exception(error)
        own = "/myweb_adapter/"
        trace.stack = traceback.StackSummary.from_list([f for f in trace.stack if own not in f.filename])
        said = "".join(trace.format()) + (f"{hint}\n" if hint else "")
    except BaseException as second:  # Out of memory or of stack: the least that can be said.
        said = f"{type(error).__name__} (its traceback failed: {type(second).__name__})\n"
    _to_log(said)
    return said


def _to_log(said):
    # An app may have closed it, or have another in its place: what fails here would end the instance.
    for stream in (sys.stderr, sys.__stderr__):
        try:
            stream.write(said)
            return
        except BaseException:
            continue


def flush():
    """Writes to the log what an app has printed."""
    try:
        sys.stdout.flush()
    except BaseException as error:
        _to_log(f"what was printed is lost: {type(error).__name__}: {error}\n")
