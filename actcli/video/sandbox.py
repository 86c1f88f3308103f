"""What a decode process gives up before it opens a stranger's file.

FFmpeg is large, and a file may take over the process that decodes it. A filter of system calls
(seccomp, through libseccomp) leaves that process with what decoding needs: it reads files, computes
and answers through its pipe. It can't write, delete or rename anything, start programs or
processes, signal or look into others, or use a network. For remote videos it can do that, and keep
what it fetched in files without a name.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import sys
import tempfile
from typing import TYPE_CHECKING, Final, Literal

from actcli.errors import ResourceError

if TYPE_CHECKING:
    from pyseccomp import Arg, SyscallFilter

SandboxMode = Literal["auto", "require", "off"]
LIBRARY: Final = "pyseccomp"

_WRITING: Final = (
    "creat", "truncate", "ftruncate", "fallocate",
    "unlink", "unlinkat", "rename", "renameat", "renameat2", "mkdir",
    "mkdirat", "rmdir", "link", "linkat", "symlink", "symlinkat", "mknod", "mknodat", "chmod",
    "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat", "utime", "utimes",
    "futimesat", "utimensat", "setxattr", "lsetxattr", "fsetxattr", "removexattr",
    "lremovexattr", "fremovexattr", "acct", "quotactl", "name_to_handle_at",
    "open_by_handle_at", "fanotify_init", "mq_open", "mq_unlink", "flock",
    "shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl", "msgget", "msgsnd",
    "msgrcv", "msgctl",
)  # fmt: skip
_OTHERS: Final = (
    "execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev",
    "process_madvise", "kill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open",
    "pidfd_getfd", "pidfd_send_signal", "kcmp", "setpgid", "setsid", "setpriority", "ioprio_set",
    "migrate_pages", "move_pages", "get_robust_list", "sched_setscheduler", "sched_setparam",
    "sched_setattr",
)  # fmt: skip
_SYSTEM: Final = (
    "mount", "umount2", "move_mount", "open_tree", "fsopen", "fsmount", "fsconfig", "fspick",
    "mount_setattr", "pivot_root", "chroot", "unshare", "setns", "bpf", "perf_event_open",
    "add_key", "request_key", "keyctl", "io_uring_setup", "io_uring_enter", "io_uring_register",
    "userfaultfd", "kexec_load", "kexec_file_load", "init_module", "finit_module",
    "delete_module", "reboot", "swapon", "swapoff", "personality", "setuid", "setgid", "setreuid",
    "setregid", "setresuid", "setresgid", "setgroups", "capset", "sethostname", "setdomainname",
    "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "iopl", "ioperm", "vhangup",
    "modify_ldt", "syslog", "setfsuid", "setfsgid",
)  # fmt: skip
_NETWORK: Final = (
    "socket", "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmmsg",
)  # fmt: skip
# Newer than many a libseccomp that is installed; their numbers are those of every machine.
_NEWER: Final = {
    "quotactl_fd": 443, "fchmodat2": 452, "setxattrat": 463, "removexattrat": 466,
    "open_tree_attr": 467, "file_setattr": 469,
}  # fmt: skip
# Their arguments lie in memory that a filter can't read; libraries then use the older calls.
_OPAQUE: Final = ("openat2", "clone3")
_UNNAMED: Final = getattr(os, "O_TMPFILE", 0) & ~getattr(os, "O_DIRECTORY", 0)
_UNKNOWN: Final = -1
_CLONE_THREAD: Final = 0x00010000
_FAMILIES: Final = (2, 10, 16)
"""Of sockets: the internet, and the kernel's list of addresses; not this machine's own services."""
_MAX_FAMILY: Final = 45
# Requests that type into the user's terminal or change it, or that have signals sent to others.
_IOCTLS: Final = (0x5402, 0x5403, 0x5404, 0x540E, 0x5410, 0x5412, 0x5414, 0x541C, 0x541D, 0x5423,
                  0x5452, 0x8901, 0x8902)  # fmt: skip
_FCNTLS: Final = (8, 10, 15, 1024)
"""F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE"""
_F_SETFL: Final = 4
_O_ASYNC: Final = 0x2000


def missing() -> str | None:
    """Why a process can't be locked in here; None if it can, as far as can be told unlocked."""
    if not sys.platform.startswith("linux"):
        return "only Linux has seccomp"
    if importlib.util.find_spec(LIBRARY) is None:
        return "the extra actcli[sandbox] is not installed"
    try:
        import pyseccomp
    except (RuntimeError, OSError):
        return "the library libseccomp is not installed"
    return None if pyseccomp.get_api() else "this kernel has no seccomp filters"


def require() -> None:
    """Raise ResourceError where a process can't be locked in."""
    if (reason := missing()) is not None:
        raise ResourceError(
            f"--sandbox require: decode workers can't be locked in ({reason})",
            hint="pip install 'actcli[sandbox]'" if "actcli[" in reason else None,
        )


def lock_in(*, is_online: bool) -> None:
    """Give all of it up, in this process for good and in every thread that it starts.

    is_online: a network may be used, and files without a name, for remote videos
    Raises OSError or RuntimeError if the kernel refuses, and where `missing` gives a reason.
    """
    import pyseccomp as sc

    if is_online:
        tempfile.gettempdir()  # found by writing into it
    _let_go()
    rules = sc.SyscallFilter(sc.ALLOW)
    rules.set_attr(sc.Attr.ACT_BADARCH, sc.KILL_PROCESS)
    denied = sc.ERRNO(errno.EPERM)
    for name in (*_WRITING, *_OTHERS, *_SYSTEM, *(() if is_online else _NETWORK)):
        _add(rules, denied, name)
    for number in _NEWER.values():
        rules.add_rule(denied, number)
    for name in _OPAQUE:
        _add(rules, sc.ERRNO(errno.ENOSYS), name)
    for argument, name in ((1, "open"), (2, "openat")):
        looked_at = os.O_ACCMODE | (_UNNAMED if is_online else 0)
        for flags in (os.O_WRONLY, os.O_RDWR):
            _add(rules, denied, name, sc.Arg(argument, sc.MASKED_EQ, looked_at, flags))
        for flag in (os.O_CREAT, os.O_TRUNC):
            _add(rules, denied, name, sc.Arg(argument, sc.MASKED_EQ, flag, flag))
    _add(rules, denied, "clone", sc.Arg(0, sc.MASKED_EQ, _CLONE_THREAD, 0))
    _add(rules, denied, "tgkill", sc.Arg(0, sc.NE, os.getpid()))
    for name in ("prlimit64", "sched_setaffinity"):
        _add(rules, denied, name, sc.Arg(0, sc.NE, 0))
    for family in set(range(_MAX_FAMILY + 1)) - set(_FAMILIES):
        _add(rules, denied, "socket", sc.Arg(0, sc.MASKED_EQ, 0xFFFFFFFF, family))
    _add(rules, denied, "socket", sc.Arg(0, sc.GT, _MAX_FAMILY))
    _deny_control(rules, denied)
    rules.load()


def _deny_control(rules: SyscallFilter, denied: int) -> None:
    """Of fcntl and ioctl all that reaches others or changes files."""
    import pyseccomp as sc

    for request in _IOCTLS:
        _add(rules, denied, "ioctl", sc.Arg(1, sc.MASKED_EQ, 0xFFFFFFFF, request))
    for bit in range(16, 32):  # those that say how large their argument is: of drivers and disks
        _add(rules, denied, "ioctl", sc.Arg(1, sc.MASKED_EQ, 1 << bit, 1 << bit))
    for request in _FCNTLS:
        _add(rules, denied, "fcntl", sc.Arg(1, sc.MASKED_EQ, 0xFFFFFFFF, request))
    signals = sc.Arg(2, sc.MASKED_EQ, _O_ASYNC, _O_ASYNC)
    _add(rules, denied, "fcntl", sc.Arg(1, sc.MASKED_EQ, 0xFFFFFFFF, _F_SETFL), signals)


def _let_go() -> None:
    """Of what was inherited: the streams, and the pipes to processes that clean up after others."""
    from multiprocessing import forkserver, resource_tracker

    null = os.open(os.devnull, os.O_RDWR)
    ways = (0, 1, getattr(forkserver._forkserver, "_forkserver_alive_fd", None),
            getattr(resource_tracker._resource_tracker, "_fd", None))  # fmt: skip
    for descriptor in ways:
        if descriptor is not None:
            os.dup2(null, descriptor)


def _add(rules: SyscallFilter, action: int, name: str, *arguments: Arg) -> None:
    """A rule for a system call, if this libseccomp knows it."""
    import pyseccomp as sc

    if (number := sc.resolve_syscall(sc.Arch.NATIVE, name)) != _UNKNOWN:
        rules.add_rule(action, number, *arguments)
