"""`import` from the component's files."""

import importlib
import sys
from importlib._bootstrap import ModuleSpec
from importlib._bootstrap_external import SourceFileLoader

from .store import Folder


class _Loader(SourceFileLoader):
    """Loads a module from its source."""

    store = None

    def get_data(self, path):
        return self.store.get(path).read()

    def path_stats(self, path):
        node = self.store.get(path)
        return {"mtime": node.mtime, "size": node.size}

    def _cache_bytecode(self, source_path, bytecode_path, data):
        """Nothing is written."""

    def exec_module(self, module):
        super().exec_module(module)
        change = _after.pop(module.__name__, None)
        if change is not None:
            change(module)

    def get_code(self, fullname):
        # What the one above looks for first, compiled files, are never there.
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Finder:
    """Finds modules in one folder of the store."""

    def __init__(self, store, path):
        self._store = store
        self._path = path

    def find_spec(self, fullname, target=None):
        name = fullname.rpartition(".")[2]
        folder = self._store.find(self._path)
        if not isinstance(folder, Folder):
            return None
        node = folder.names.get(name)
        inner = isinstance(node, Folder) and "__init__.py" in node.names
        if not inner and f"{name}.py" not in folder.names:
            if not isinstance(node, Folder):
                return None
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = [f"{self._path}/{name}"]
            return spec
        path = f"{self._path}/{name}/__init__.py" if inner else f"{self._path}/{name}.py"
        spec = ModuleSpec(fullname, _Loader(fullname, path), origin=path, is_package=inner)
        spec.has_location = True
        if inner:
            spec.submodule_search_locations = [f"{self._path}/{name}"]
        return spec

    def invalidate_caches(self):
        """There are none."""

    def iter_modules(self, prefix=""):
        """For `pkgutil`."""
        for name, node in sorted(self._store.find(self._path).names.items()):
            if isinstance(node, Folder):
                if "__init__.py" in node.names:
                    yield prefix + name, True
            elif name.endswith(".py") and name != "__init__.py":
                yield prefix + name[:-3], False


def install(store, paths):
    """From now on, modules come from these folders of the store."""
    _Loader.store = store

    def finder(path):
        path = store.absolute(path)
        if not isinstance(store.find(path), Folder):
            raise ImportError(f"{path} is no folder", path=path)
        return _Finder(store, path)

    sys.path_hooks.insert(0, finder)
    sys.path[:] = paths
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    sys.path_importer_cache.clear()


_after = {}


def after(name, change):
    """Changes a module right after it is imported."""
    if name in sys.modules:
        change(sys.modules[name])
    else:
        _after[name] = change
