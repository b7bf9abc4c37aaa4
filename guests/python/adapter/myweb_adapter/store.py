"""The files that are in the component, compressed; and those of /tmp, in memory."""

import errno
import os
import posixpath
import stat
import zlib

# The app's folder, its packages, and where it may write.
APP = "/app"
PACKAGES = "/packages"
TMP = "/tmp"
# Who runs, and whose all files are.
USER = 1000

# Never read at run time.
_NOT_KEPT = (".pyc", ".so", ".a", ".dylib", ".dll", ".exe")
# Parts of the standard library that need a screen, a compiler or a network.
_NOT_OF_STDLIB = {"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "pydoc_data"}


class Packed:
    """A file of the component."""

    __slots__ = ("size", "mtime", "packed", "number")

    def __init__(self, data, mtime, number):
        self.size = len(data)
        self.mtime = mtime
        self.packed = zlib.compress(data, 6)
        self.number = number

    def read(self):
        return zlib.decompress(self.packed)


class Written:
    """A file that was written at run time."""

    __slots__ = ("data", "mtime", "number")

    def __init__(self, mtime, number):
        self.data = bytearray()
        self.mtime = mtime
        self.number = number

    @property
    def size(self):
        return len(self.data)

    def read(self):
        return bytes(self.data)


class Nothing:
    """`/dev/null`: it is empty, whatever is written to it."""

    __slots__ = ("mtime", "number")
    size = 0

    def __init__(self, number):
        self.mtime = 0
        self.number = number

    @property
    def data(self):
        return bytearray()

    def read(self):
        return b""


class Folder:
    """Names, and what they name."""

    __slots__ = ("names", "mtime", "number")

    def __init__(self, number):
        self.names = {}
        self.mtime = 0
        self.number = number


class Store:
    """A tree of files. Only what is below /tmp may change."""

    def __init__(self):
        self.count = 0
        self.root = Folder(self.next())
        self.folder = APP
        # Modules of C, by their names, which are not kept.
        self.extensions = set()
        self.add_folder(TMP)
        self.add_folder("/dev").names["null"] = Nothing(self.next())

    def next(self):
        self.count += 1
        return self.count

    def absolute(self, path):
        """The text of a path, from the root, without `.` and `..`."""
        path = os.fspath(path)
        if isinstance(path, bytes):
            path = path.decode("utf-8", "surrogateescape")
        if "\0" in path:
            raise ValueError("embedded null byte")
        path = posixpath.normpath(posixpath.join(self.folder, path))
        return path[1:] if path.startswith("//") else path

    def find(self, path):
        """What an absolute path names, or None."""
        node = self.root
        for name in path.split("/"):
            if not name:
                continue
            if not isinstance(node, Folder):
                return None
            node = node.names.get(name)
            if node is None:
                return None
        return node

    def get(self, path):
        """What a path names.

        Raises: OSError as the system would.
        """
        if os.fspath(path) in ("", b""):
            raise no_such(path)
        whole = self.absolute(path)
        node = self.find(whole)
        if node is not None:
            return node
        above = self.find(posixpath.dirname(whole))
        if above is not None and not isinstance(above, Folder):
            raise error(errno.ENOTDIR, path)
        raise no_such(path)

    def add_folder(self, path):
        node = self.root
        for name in path.split("/"):
            if name:
                if name not in node.names:
                    node.names[name] = Folder(self.next())
                node = node.names[name]
        return node

    def writable(self, path):
        """The folder that a name is to be made or changed in, and the name."""
        whole = self.absolute(path)
        if not whole.startswith(TMP + "/") and whole != os.devnull:
            if self.find(whole) is None and self.find(posixpath.dirname(whole)) is None:
                raise no_such(path)
            message = "Read-only file system: a sandboxed app may write below /tmp only, in memory"
            raise OSError(errno.EROFS, message, path)
        above = self.find(posixpath.dirname(whole))
        if above is None:
            raise no_such(path)
        if not isinstance(above, Folder):
            raise error(errno.ENOTDIR, path)
        return above, posixpath.basename(whole)

    def take_in(self, source, target, is_stdlib=False):
        """Copies a folder of the system while the component is built."""
        into = self.add_folder(target)
        for entry in _scandir(source):
            name = entry.name
            if entry.is_dir():
                left_out = is_stdlib and name in _NOT_OF_STDLIB
                if name != "__pycache__" and not left_out:
                    self.take_in(f"{source}/{name}", f"{target}/{name}", is_stdlib)
            elif name.endswith(".so"):
                self.extensions.add(f"{target}/{name.partition('.')[0]}".removeprefix(PACKAGES + "/").replace("/", "."))
            elif not name.endswith(_NOT_KEPT):
                path = f"{source}/{name}"
                with _open(path, "rb") as file:
                    into.names[name] = Packed(file.read(), int(os.stat(path).st_mtime), self.next())


# The system's own, from before they are replaced.
_scandir = os.scandir
_open = open


def error(number, path):
    return OSError(number, os.strerror(number), path)


def no_such(path):
    return error(errno.ENOENT, path)


def status(node):
    """The `os.stat_result` of a file or folder."""
    is_folder = isinstance(node, Folder)
    mode = stat.S_IFDIR | 0o755 if is_folder else stat.S_IFREG | 0o644
    size = 4096 if is_folder else node.size
    time = node.mtime
    return os.stat_result((mode, node.number, 1, 1, USER, USER, size, time, time, time))
