"""Tries to leave the sandbox of builds. Prints each attempt with its error, or with `allowed`.

Arguments: a JSON object with the paths and the process to try.
"""

import ctypes
import errno
import json
import os
import platform
import shutil
import socket
import subprocess
import sys

AIM = json.loads(sys.argv[1])
LIBC = ctypes.CDLL(None, use_errno=True)
NUMBERS = {
    "x86_64": {
        "io_uring_setup": 425, "ptrace": 101, "process_vm_readv": 310, "bpf": 321, "userfaultfd": 323,
        "perf_event_open": 298, "keyctl": 250, "unshare": 272, "setns": 308, "mount": 165, "clone3": 435,
        "memfd_create": 319, "pidfd_getfd": 438, "tgkill": 234, "tkill": 200, "prctl": 157, "shmget": 29,
        "open_by_handle_at": 304, "prlimit64": 302, "pidfd_send_signal": 424,
    },
    "aarch64": {
        "io_uring_setup": 425, "ptrace": 117, "process_vm_readv": 270, "bpf": 280, "userfaultfd": 282,
        "perf_event_open": 241, "keyctl": 219, "unshare": 97, "setns": 268, "mount": 40, "clone3": 435,
        "memfd_create": 279, "pidfd_getfd": 438, "tgkill": 131, "tkill": 130, "prctl": 167, "shmget": 194,
        "open_by_handle_at": 265, "prlimit64": 261, "pidfd_send_signal": 424,
    },
}[platform.machine()]
PARENT = AIM["parent"]


def call(name, *arguments):
    def attempt():
        ctypes.set_errno(0)
        whole = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
        if LIBC.syscall(ctypes.c_long(NUMBERS[name]), *whole) == -1:
            raise OSError(ctypes.get_errno(), "")
    return attempt


def read(path):
    return lambda: open(path, "rb").read(1)


def write(path):
    return lambda: open(path, "wb").write(b"x")


def through_link(path):
    def attempt():
        os.symlink(path, "link")
        try:
            open("link", "rb").read(1)
        finally:
            os.remove("link")
    return attempt


def hard_link():
    os.link(AIM["secret"], "hard")


def executes_own_file():
    shutil.copy("/bin/true", "program")
    os.chmod("program", 0o755)
    subprocess.run(["./program"], check=True)


def opens(family, kind, protocol=0):
    return lambda: socket.socket(family, kind, protocol).close()


def connects_by_pair(path):
    def attempt():
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        one.connect(path)
    return attempt


def stream_pair():
    one, other = socket.socketpair()
    one.close(), other.close()


def listens():
    with socket.socket(socket.AF_INET) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()


def other_numbers():
    # `getpid` of x32.
    if platform.machine() == "x86_64" and LIBC.syscall(ctypes.c_long(0x40000000 | 39)) == -1:
        raise OSError(ctypes.get_errno(), "")


BUFFER = ctypes.create_string_buffer(256)
ATTEMPTS = {
    "read the secret": read(AIM["secret"]),
    "read the secret through a link": through_link(AIM["secret"]),
    "read the secret through a hard link": hard_link,
    "read shadow": read("/etc/shadow"),
    "read passwd": read("/etc/passwd"),
    "list the home folder": lambda: os.listdir(AIM["home"]),
    "list the root folder": lambda: os.listdir("/"),
    "list the processes": lambda: os.listdir("/proc"),
    "read the environment of init": read("/proc/1/environ"),
    "read the environment of the parent": read(f"/proc/{PARENT}/environ"),
    "read the memory of the parent": read(f"/proc/{PARENT}/mem"),
    "write beside the secret": write(AIM["secret"] + ".new"),
    "write into tmp": write("/tmp/myweb-escape"),
    "write into shared memory": write("/dev/shm/myweb-escape"),
    "move a file out": lambda: (open("f", "w").close(), os.rename("f", AIM["secret"] + ".moved")),
    "execute a file of its own": executes_own_file,
    "change a mode": lambda: os.chmod(AIM["secret"], 0o777),
    "change a time": lambda: os.utime(AIM["secret"]),
    "change an owner": lambda: os.chown(AIM["secret"], -1, os.getgid()),
    "change an attribute": lambda: os.setxattr(AIM["secret"], "user.a", b"b"),
    "truncate the secret": lambda: os.truncate(AIM["secret"], 0),
    "truncate a readable file": lambda: os.open(__file__, os.O_RDONLY | os.O_TRUNC),
    "make a pipe": lambda: os.mkfifo("pipe"),
    "TCP": opens(socket.AF_INET, socket.SOCK_STREAM),
    "TCP over IPv6": opens(socket.AF_INET6, socket.SOCK_STREAM),
    "UDP": opens(socket.AF_INET, socket.SOCK_DGRAM),
    "raw": opens(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "netlink": opens(socket.AF_NETLINK, socket.SOCK_RAW),
    "packet": opens(socket.AF_PACKET, socket.SOCK_RAW),
    "vsock": opens(40, socket.SOCK_STREAM),
    "alg": opens(38, socket.SOCK_SEQPACKET),
    "multipath": opens(socket.AF_INET, socket.SOCK_STREAM, 262),
    "unix stream": opens(socket.AF_UNIX, socket.SOCK_STREAM),
    "unix datagram": opens(socket.AF_UNIX, socket.SOCK_DGRAM),
    "unix pair of datagrams": connects_by_pair(AIM["socket"]),
    "unix pair of streams": stream_pair,
    "listen": listens,
    "io_uring": call("io_uring_setup", 8, BUFFER),
    "trace the parent": call("ptrace", 0x4206, PARENT, 0, 0),
    "read the parent by call": call("process_vm_readv", PARENT, 0, 0, 0, 0, 0),
    "bpf": call("bpf", 0, BUFFER, 16),
    "userfaultfd": call("userfaultfd", 1),
    "perf": call("perf_event_open", BUFFER, 0, -1, -1, 0),
    "keyring": call("keyctl", 0, -3, 0),
    "namespace": call("unshare", 0x10000000),
    "enter a namespace": call("setns", 0, 0),
    "mount": call("mount", 0, BUFFER, 0, 0, 0),
    "open by handle": call("open_by_handle_at", 0, BUFFER, 0),
    "memory in a file": call("memfd_create", BUFFER, 0),
    "shared memory": call("shmget", 0, 4096, 0o1600),
    "take a descriptor": call("pidfd_getfd", 0, 0, 0),
    "signal the parent": lambda: os.kill(PARENT, 0),
    "signal the parent's thread": call("tgkill", PARENT, PARENT, 15),
    "signal a thread": call("tkill", PARENT, 15),
    "limit the parent": call("prlimit64", PARENT, 7, BUFFER, 0),
    "raise a limit": call("prlimit64", 0, 7, BUFFER, 0),
    "slow the parent down": lambda: os.setpriority(os.PRIO_PROCESS, PARENT, 19),
    "a session": os.setsid,
    "a process group": lambda: os.setpgid(0, 0),
    "outlive the parent": call("prctl", 1, 0, 0, 0, 0),
    "calls by other numbers": other_numbers,
    "clone3": call("clone3", BUFFER, 88),
}
for name, attempt in ATTEMPTS.items():
    try:
        attempt()
        result = "allowed"
    except OSError as error:
        result = errno.errorcode.get(error.errno, str(error.errno))
    print(f"{name}: {result}", flush=True)
