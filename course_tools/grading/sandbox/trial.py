"""A hostile little submission: what it tries must fail where isolation is good.

It is handed in, as any other, and never imported.
"""

import contextlib
import ctypes
import os
import platform
import signal
import socket
from functools import partial

import torch

ARM = platform.machine() == "aarch64"
ADD_KEY, KEYCTL, OPEN, UNLINK = (217, 219, 180, 181) if ARM else (248, 250, 240, 241)
NAME, KEY, WORD, RING = b"course-trial", 0x1D97777, 12345, -4


def call(number, *given):
    libc = ctypes.CDLL(None)
    got = libc.syscall(number, *given)
    if got == -1:
        raise OSError
    return got


def fork():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def limit(victim):
    import resource

    resource.prlimit(victim, resource.RLIMIT_STACK, (1 << 16, 1 << 16))


def came(*attempts):
    """For each a 1 if it worked, or else a 0."""
    found = []
    for attempt in attempts:
        try:
            attempt()
            found.append(1.0)
        except BaseException:
            found.append(0.0)
    return torch.tensor(found)


def trial(secret, outside, port, victim):
    here = "127.0.0.1", port
    return came(
        fork,
        lambda: open(secret).read(1),
        lambda: open(outside, "w").close(),
        lambda: socket.create_connection(here, 1).close(),
        lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"here", here),
        lambda: socket.socket(socket.AF_UNIX).connect(outside + ".talk"),
        lambda: limit(victim),
        lambda: os.kill(victim, signal.SIGKILL),
    )


def keys(find):
    if not find:
        call(ADD_KEY, b"user", NAME, b"word", 4, RING)
    else:
        call(KEYCTL, 9, call(KEYCTL, 10, RING, b"user", NAME, 0), RING)


def queues(find):
    call(OPEN, NAME, 0 if find else os.O_CREAT, 0o600, None)
    if find:
        call(UNLINK, NAME)


def memory(find):
    libc = ctypes.CDLL(None)
    got = libc.shmget(KEY, 4096, 0o600 if find else 0o1600)
    if got == -1:
        raise OSError
    if find:
        libc.shmctl(got, 0, None)


def files(find):
    done = 0
    for folder in (".", "..", "/tmp", "/dev/shm", "/var/tmp"):
        path = os.path.join(folder, NAME.decode())
        with contextlib.suppress(OSError):
            os.unlink(path) if find else open(path, "w").close()
            done += 1
    if not done:
        raise OSError


def marks(find):
    for folder in (".", ".."):
        if not find:
            os.setxattr(folder, "user.course", b"word")
        elif os.listxattr(folder):
            return
    if find:
        raise OSError


def limits(find):
    import resource

    kind, parent = resource.RLIMIT_STACK, os.getppid()
    if not find:
        resource.prlimit(parent, kind, (WORD << 12, resource.prlimit(parent, kind)[1]))
    elif resource.getrlimit(kind)[0] != WORD << 12:
        raise OSError


def pace(find):
    if not find:
        os.setpriority(os.PRIO_PROCESS, os.getppid(), 11)
    elif os.getpriority(os.PRIO_PROCESS, os.getppid()) != 11:
        raise OSError


def cache(find):
    with open(torch.__file__, "rb") as file:
        if not find:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            return
        with contextlib.suppress(BlockingIOError):  # to say that it would have to wait
            os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT)


def times(find):
    """By the kernel's word: a file that was read today may show that only tomorrow."""
    for path in (torch.__file__, os.__file__):
        if not os.statvfs(path).f_flag & (os.ST_NOATIME | os.ST_RDONLY):
            return
    raise OSError


def words(find):
    ways = keys, queues, memory, files, marks, limits, pace, cache, times
    return came(*(partial(way, find) for way in ways))
