"""What a learner's process may ask of Linux: no privileges, and no call that reaches
other processes, the network, other programs or whatever outlives a process.

The filter is a short program for the kernel (seccomp), made here because the bindings
to libseccomp are no longer maintained. A call that it stops fails with EPERM.
"""

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterator

__all__ = ["confine"]

# call: its number on x86_64 and on aarch64, None where there is none
PROCESSES = {  # others' memory, signals and pace; and programs in place of this one
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
}
NETWORK = {  # a pair of connected sockets is all there is
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
}
OUTLIVING = {  # memory, queues, keys, marks and locks on files, and who looks at them
    "flock": (73, 32),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "semctl": (66, 191),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "mq_timedsend": (242, 182),
    "mq_timedreceive": (243, 183),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "fallocate": (285, 47),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
}
CACHE = {  # what the computer holds of files in its memory: asked, or arranged
    "mincore": (27, 232),
    "cachestat": (451, 451),
    "preadv2": (327, 286),
    "fadvise64": (221, 223),
    "readahead": (187, 213),
}
KERNEL = {  # what only tools need, and attacks
    "syslog": (103, 116),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_by_handle_at": (304, 265),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "personality": (135, 92),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}
CLONE, CLONE3 = (56, 220), (435, 435)
OWN = {  # only of this process: the place of the process's number, and whether 0 is it
    "kill": ((62, 129), 0, False),
    "tgkill": ((234, 131), 0, False),
    "prlimit64": ((302, 261), 0, True),
    "sched_setaffinity": ((203, 122), 0, True),
    "setpriority": ((141, 140), 1, True),
}
SENDTO = (44, 206)  # only without an address: to whom it is connected
THREAD = 0x10000  # CLONE_THREAD
IOCTL, FCNTL = (16, 29), (72, 25)
REFUSED = (  # what may not be asked of these calls, in their second argument
    (IOCTL, 0x40086602),  # FS_IOC_SETFLAGS
    (IOCTL, 0x401C5820),  # FS_IOC_FSSETXATTR
    (IOCTL, 0x5412),  # TIOCSTI
    *((FCNTL, lock) for lock in (5, 6, 7, 36, 37, 38)),  # F_GETLK to F_OFD_SETLKW
    *((FCNTL, lease) for lease in (1024, 1025, 1026)),  # F_SETLEASE to F_NOTIFY
)

MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH_…
X32 = 0x40000000  # a second set of numbers on x86_64
EPERM, ENOSYS = 1, 38
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
LOAD, EQUAL, ANY_BIT, AT_LEAST, RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
NUMBER, ARCH, ARGUMENTS = 0, 4, 16  # offsets in the kernel's description of a call


def confine() -> bool:
    """Close this process, for good; say whether the kernel has taken the filter.

    Elsewhere than on Linux, and on other processors, it does nothing.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    _give_up_capabilities(libc)
    machine = platform.machine()
    if machine not in MACHINES or sys.byteorder != "little":
        return False
    steps = [struct.pack("HBBI", *step) for step in _steps(machine, os.getpid())]
    held = ctypes.create_string_buffer(b"".join(steps))
    program = struct.pack("HP", len(steps), ctypes.addressof(held))
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    return libc.prctl(22, 2, program, 0, 0) == 0  # PR_SET_SECCOMP


def _give_up_capabilities(libc: ctypes.CDLL):
    for number in range(64):
        libc.prctl(24, number, 0, 0, 0)  # PR_CAPBSET_DROP
    libc.prctl(47, 4, 0, 0, 0)  # PR_CAP_AMBIENT, clear all
    version_3 = (ctypes.c_uint32 * 2)(0x20080522, 0)
    libc.capset(version_3, (ctypes.c_uint32 * 6)())


def _steps(machine: str, own: int) -> Iterator[tuple[int, int, int, int]]:
    """The filter: (code, jump if so, jump if not, value) for each step."""
    column = list(MACHINES).index(machine)
    yield LOAD, 0, 0, ARCH
    yield EQUAL, 1, 0, MACHINES[machine]
    yield RETURN, 0, 0, ERRNO | EPERM
    yield LOAD, 0, 0, NUMBER
    yield AT_LEAST, 0, 1, X32
    yield RETURN, 0, 0, ERRNO | EPERM
    for numbers in (PROCESSES | NETWORK | OUTLIVING | CACHE | KERNEL).values():
        if numbers[column] is not None:
            yield EQUAL, 0, 1, numbers[column]
            yield RETURN, 0, 0, ERRNO | EPERM
    yield EQUAL, 0, 1, CLONE3[column]  # its flags cannot be seen: the C library then
    yield RETURN, 0, 0, ERRNO | ENOSYS  # asks for the older call
    yield from _unless(CLONE[column], 0, (ANY_BIT, THREAD))
    for numbers, place, zero in OWN.values():
        mine = [(EQUAL, own)] + [(EQUAL, 0)] * zero
        yield from _unless(numbers[column], place, *mine)
    for half in (0, 4):
        yield from _unless(SENDTO[column], 4, (EQUAL, 0), half=half)
    for numbers, word in REFUSED:
        yield EQUAL, 0, 4, numbers[column]
        yield LOAD, 0, 0, ARGUMENTS + 8
        yield EQUAL, 0, 1, word
        yield RETURN, 0, 0, ERRNO | EPERM
        yield LOAD, 0, 0, NUMBER
    yield RETURN, 0, 0, ALLOW


def _unless(
    number: int, place: int, *tests: tuple[int, int], half: int = 0
) -> Iterator[tuple[int, int, int, int]]:
    """Refuse call `number` unless its argument at `place` passes one of the tests."""
    yield EQUAL, 0, 3 + len(tests), number
    yield LOAD, 0, 0, ARGUMENTS + 8 * place + half
    for left, (code, value) in enumerate(reversed(tests)):
        yield code, len(tests) - left, 0, value
    yield RETURN, 0, 0, ERRNO | EPERM
    yield LOAD, 0, 0, NUMBER
