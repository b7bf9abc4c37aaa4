"""What the app's functions import late is imported while building: finding and compiling it takes long in a sandbox."""

import ast
import importlib
import sys

from .store import APP, Folder

# Codecs and modules that much of the standard library imports at first use.
_ALWAYS = (
    "encodings.ascii encodings.latin_1 encodings.idna encodings.unicode_escape encodings.raw_unicode_escape "
    "encodings.utf_16 encodings.cp1252 encodings.punycode threading tempfile linecache traceback http.cookies "
    "importlib.metadata importlib.resources html.entities mimetypes _strptime email.mime.multipart"
).split()


def import_all(store):
    """Imports them; what does not import here fails where the app asks for it, as it would anywhere."""
    for name in _ALWAYS:
        _try(name)
    for name, path in _modules(store.find(APP), APP, ""):
        if name not in sys.modules:
            continue
        try:
            tree = ast.parse(store.find(path).read())
        except (SyntaxError, ValueError):
            continue
        package = sys.modules[name].__package__ or ""
        for function in ast.walk(tree):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for node in ast.walk(function):
                    _import(node, package)


def _modules(folder, path, prefix):
    """The names of all modules below a folder, with their files."""
    for name, node in folder.names.items():
        if isinstance(node, Folder):
            yield from _modules(node, f"{path}/{name}", f"{prefix}{name}.")
        elif name == "__init__.py":
            yield prefix[:-1], f"{path}/{name}"
        elif name.endswith(".py"):
            yield prefix + name[:-3], f"{path}/{name}"


def _import(node, package):
    if isinstance(node, ast.Import):
        for alias in node.names:
            _try(alias.name)
    elif isinstance(node, ast.ImportFrom):
        name = "." * node.level + (node.module or "")
        try:
            name = importlib.util.resolve_name(name, package)
        except ImportError:
            return
        _try(name)
        for alias in node.names:
            if f"{name}.{alias.name}" not in sys.modules and not hasattr(sys.modules.get(name), alias.name):
                _try(f"{name}.{alias.name}")


def _try(name):
    try:
        importlib.import_module(name)
    except BaseException:
        return
