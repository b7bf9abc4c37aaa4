"""`open`, `os.stat` and their like on the component's files, in place of the system's, which has none."""

import builtins
import errno
import io
import os
import sys
import time

from .store import Folder, Packed, Written, error, no_such, status

# Descriptors of ours are larger than any of the system's.
_FIRST = 1 << 20


class _Raw(io.RawIOBase):
    """An open file."""

    def __init__(self, node, name, readable, writable, append, store):
        self.node = node
        self.name = name
        self.mode = "rb+" if readable and writable else "wb" if writable else "rb"
        self._data = node.read() if isinstance(node, Packed) else node.data
        self._at = 0
        self._readable = readable
        self._writable = writable
        self._append = append
        self._descriptor = None
        self._store = store

    def readable(self):
        return self._readable

    def writable(self):
        return self._writable

    def seekable(self):
        return True

    def fileno(self):
        if self._descriptor is None:
            self._descriptor = descriptors.add(self)
        return self._descriptor

    def isatty(self):
        return False

    def readinto(self, buffer):
        if not self._readable:
            raise io.UnsupportedOperation("not readable")
        chunk = self._data[self._at : self._at + len(buffer)]
        buffer[: len(chunk)] = chunk
        self._at += len(chunk)
        return len(chunk)

    def readall(self):
        if not self._readable:
            raise io.UnsupportedOperation("not readable")
        chunk = bytes(self._data[self._at :])
        self._at += len(chunk)
        return chunk

    def write(self, chunk):
        if not self._writable:
            raise io.UnsupportedOperation("not writable")
        chunk = memoryview(chunk).cast("B")
        data = self.node.data
        if self._append:
            self._at = len(data)
        if self._at > len(data):
            data.extend(bytes(self._at - len(data)))
        data[self._at : self._at + len(chunk)] = chunk
        self._at += len(chunk)
        self.node.mtime = int(time.time())
        return len(chunk)

    def seek(self, offset, whence=0):
        start = (0, self._at, len(self._data))[whence]
        if start + offset < 0:
            raise error(errno.EINVAL, self.name)
        self._at = start + offset
        return self._at

    def tell(self):
        return self._at

    def truncate(self, size=None):
        if not self._writable:
            raise io.UnsupportedOperation("not writable")
        size = self._at if size is None else size
        data = self.node.data
        if size < len(data):
            del data[size:]
        else:
            data.extend(bytes(size - len(data)))
        return size

    def close(self):
        if not self.closed and self._descriptor is not None:
            descriptors.remove(self._descriptor)
        super().close()


class _Descriptors:
    """Numbers of open files."""

    def __init__(self):
        self.open = {}
        self.next = _FIRST

    def add(self, raw):
        number = self.next
        self.next += 1
        self.open[number] = raw
        return number

    def get(self, number):
        if number not in self.open:
            raise OSError(errno.EBADF, "Bad file descriptor")
        return self.open[number]

    def remove(self, number):
        self.open.pop(number, None)


descriptors = _Descriptors()


class _Entry:
    """What `os.scandir` yields."""

    __slots__ = ("name", "path", "_node")

    def __init__(self, name, path, node):
        self.name = name
        self.path = path
        self._node = node

    def __fspath__(self):
        return self.path

    def __repr__(self):
        return f"<DirEntry {self.name!r}>"

    def inode(self):
        return self._node.number

    def is_dir(self, *, follow_symlinks=True):
        return isinstance(self._node, Folder)

    def is_file(self, *, follow_symlinks=True):
        return not isinstance(self._node, Folder)

    def is_symlink(self):
        return False

    def is_junction(self):
        return False

    def stat(self, *, follow_symlinks=True):
        return status(self._node)


class _Entries:
    """An iterator that `with` can close."""

    def __init__(self, entries):
        self._entries = iter(entries)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._entries)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._entries = iter(())


class Files:
    """The functions of the system, on a store."""

    def __init__(self, store):
        self.store = store

    def replace_systems(self):
        """From now on, these are the system's."""
        self.system = {name: getattr(os, name) for name in ("close", "read", "write", "lseek", "fstat", "isatty")}
        self.system_open = io.open
        replaced = {id(io.open): self.open}
        builtins.open = io.open = self.open
        # `io.open_code` and `io.FileIO` remain: nothing but `import` and C use them.
        for name in (
            "stat lstat listdir scandir access readlink mkdir rmdir unlink remove rename replace chdir getcwd getcwdb "
            "utime chmod truncate open close read write lseek fstat isatty fsync"
        ).split():
            function = getattr(self, name if name != "open" else "open_descriptor")
            replaced[id(getattr(os, name))] = function
            setattr(os, name, function)
        # Some modules took names of theirs before.
        for module in list(sys.modules.values()):
            names = vars(module)
            if not names.get("__name__", "").startswith(("myweb_", "posix", "_io", "_frozen")):
                for name, value in list(names.items()):
                    if id(value) in replaced:
                        names[name] = replaced[id(value)]

    def open(
        self, file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None
    ):
        """`io.open`."""
        if not isinstance(mode, str):
            raise TypeError(f"open() argument 'mode' must be str, not {type(mode).__name__}")
        kinds = set(mode)
        if kinds - set("rwxabt+") or len(kinds) != len(mode) or len(kinds & set("rwxa")) != 1 or kinds >= set("bt"):
            raise ValueError(f"invalid mode: {mode!r}")
        is_binary = "b" in kinds
        if is_binary and (encoding, errors, newline) != (None, None, None):
            raise ValueError("binary mode doesn't take an encoding, errors or newline argument")
        if isinstance(file, int) and file < _FIRST:
            return self.system_open(file, mode, buffering, encoding, errors, newline, closefd)
        if opener is not None:
            file = opener(file, _flags(kinds))
            if file < _FIRST:
                return self.system_open(file, mode, buffering, encoding, errors, newline, closefd)
        raw = descriptors.get(file) if isinstance(file, int) else self._raw(file, kinds)
        if buffering == 0 and is_binary:
            return raw
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        kind = io.BufferedRandom if "+" in kinds else io.BufferedReader if "r" in kinds else io.BufferedWriter
        buffered = kind(raw, size)
        if is_binary:
            return buffered
        text = io.TextIOWrapper(buffered, encoding or "utf-8", errors, newline, line_buffering=buffering == 1)
        text.mode = mode
        return text

    def _raw(self, path, kinds):
        node = self._node(path, "r" in kinds, "x" in kinds, "w" in kinds)
        if isinstance(node, Folder):
            raise error(errno.EISDIR, path)
        writes = "r" not in kinds or "+" in kinds
        if writes and isinstance(node, Packed):
            self.store.writable(path)
        return _Raw(node, path, "r" in kinds or "+" in kinds, writes, "a" in kinds, self.store)

    def _node(self, path, must_be, must_not_be, empties):
        """The file at a path, made where that is asked for."""
        if must_be:
            return self.store.get(path)
        folder, name = self.store.writable(path)
        node = folder.names.get(name)
        if node is not None and must_not_be:
            raise error(errno.EEXIST, path)
        if node is None:
            node = folder.names[name] = Written(int(time.time()), self.store.next())
        elif empties and isinstance(node, Written):
            node.data.clear()
        return node

    def open_descriptor(self, path, flags, mode=0o777, *, dir_fd=None):
        """`os.open`."""
        access = flags & os.O_ACCMODE
        writes = access in (os.O_WRONLY, os.O_RDWR)
        must_not_be = bool(flags & os.O_CREAT and flags & os.O_EXCL)
        node = self._node(path, not flags & os.O_CREAT, must_not_be, bool(flags & os.O_TRUNC))
        if isinstance(node, Folder) and writes:
            raise error(errno.EISDIR, path)
        if writes:
            self.store.writable(path)
        raw = _Raw(node, path, access != os.O_WRONLY, writes, bool(flags & os.O_APPEND), self.store)
        return raw.fileno()

    def close(self, fd):
        if fd < _FIRST:
            return self.system["close"](fd)
        descriptors.get(fd).close()

    def read(self, fd, length):
        return self.system["read"](fd, length) if fd < _FIRST else descriptors.get(fd).read(length)

    def write(self, fd, data):
        return self.system["write"](fd, data) if fd < _FIRST else descriptors.get(fd).write(data)

    def lseek(self, fd, position, whence):
        return self.system["lseek"](fd, position, whence) if fd < _FIRST else descriptors.get(fd).seek(position, whence)

    def fstat(self, fd):
        return self.system["fstat"](fd) if fd < _FIRST else status(descriptors.get(fd).node)

    def isatty(self, fd):
        return self.system["isatty"](fd) if fd < _FIRST else False

    def fsync(self, fd):
        """All is in memory."""

    def stat(self, path, *, dir_fd=None, follow_symlinks=True):
        return self.fstat(path) if isinstance(path, int) else status(self.store.get(path))

    def lstat(self, path, *, dir_fd=None):
        return status(self.store.get(path))

    def access(self, path, mode, *, dir_fd=None, effective_ids=False, follow_symlinks=True):
        try:
            self.store.get(path)
            if mode & os.W_OK:
                self.store.writable(path)
        except OSError:
            return False
        return True

    def _folder(self, path):
        node = self.store.get(path)
        if not isinstance(node, Folder):
            raise error(errno.ENOTDIR, path)
        return node

    def listdir(self, path="."):
        names = list(self._folder(path).names)
        return [os.fsencode(name) for name in names] if isinstance(path, bytes) else names

    def scandir(self, path="."):
        folder = self._folder(path)
        path = os.fspath(path)
        encode = os.fsencode if isinstance(path, bytes) else str
        names = folder.names.items()
        return _Entries([_Entry(encode(name), os.path.join(path, encode(name)), node) for name, node in names])

    def readlink(self, path, *, dir_fd=None):
        self.store.get(path)
        raise error(errno.EINVAL, path)

    def chdir(self, path):
        self._folder(path)
        self.store.folder = self.store.absolute(path)

    def getcwd(self):
        return self.store.folder

    def getcwdb(self):
        return os.fsencode(self.store.folder)

    def mkdir(self, path, mode=0o777, *, dir_fd=None):
        if self.store.find(self.store.absolute(path)) is not None:
            raise error(errno.EEXIST, path)
        folder, name = self.store.writable(path)
        folder.names[name] = Folder(self.store.next())

    def rmdir(self, path, *, dir_fd=None):
        if self._folder(path).names:
            raise error(errno.ENOTEMPTY, path)
        folder, name = self.store.writable(path)
        del folder.names[name]

    def unlink(self, path, *, dir_fd=None):
        if isinstance(self.store.get(path), Folder):
            raise error(errno.EISDIR, path)
        folder, name = self.store.writable(path)
        del folder.names[name]

    remove = unlink

    def rename(self, src, dst, *, src_dir_fd=None, dst_dir_fd=None):
        node = self.store.get(src)
        from_folder, from_name = self.store.writable(src)
        to_folder, to_name = self.store.writable(dst)
        there = to_folder.names.get(to_name)
        if isinstance(there, Folder) and (there.names or not isinstance(node, Folder)):
            raise error(errno.EISDIR, dst)
        inside = self.store.absolute(dst).startswith(self.store.absolute(src) + "/")
        if inside:
            raise error(errno.EINVAL, dst)
        del from_folder.names[from_name]
        to_folder.names[to_name] = node

    replace = rename

    def utime(self, path, times=None, *, ns=None, dir_fd=None, follow_symlinks=True):
        node = self.store.get(path)
        self.store.writable(path)
        seconds = ns[1] / 1e9 if ns else times[1] if times else time.time()
        node.mtime = int(seconds)

    def chmod(self, path, mode, *, dir_fd=None, follow_symlinks=True):
        """There is one user, who may read all."""
        if not isinstance(path, int):
            self.store.get(path)

    def truncate(self, path, length):
        if isinstance(path, int):
            return descriptors.get(path).truncate(length)
        with self.open(path, "rb+", 0) as file:
            file.truncate(length)


def _flags(kinds):
    """The flags of `os.open` for a mode of `open`."""
    if "r" in kinds:
        return os.O_RDWR if "+" in kinds else os.O_RDONLY
    access = os.O_RDWR if "+" in kinds else os.O_WRONLY
    how = os.O_EXCL if "x" in kinds else os.O_APPEND if "a" in kinds else os.O_TRUNC
    return access | os.O_CREAT | how


__all__ = ["Files", "no_such"]
