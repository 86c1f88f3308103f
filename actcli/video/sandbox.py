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
    "creat", "truncate", "unlink", "unlinkat", "rename", "renameat", "renameat2", "mkdir",
    "mkdirat", "rmdir", "link", "linkat", "symlink", "symlinkat", "mknod", "mknodat", "chmod",
    "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat", "utime", "utimes",
    "futimesat", "utimensat", "setxattr", "lsetxattr", "fsetxattr", "removexattr",
    "lremovexattr", "fremovexattr", "acct", "quotactl", "name_to_handle_at",
    "open_by_handle_at", "fanotify_init", "mq_open", "mq_unlink", "shmget",
)  # fmt: skip
_OTHERS: Final = (
    "execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev",
    "process_madvise", "kill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open",
    "pidfd_getfd", "pidfd_send_signal", "kcmp", "setpgid", "setsid", "setpriority", "ioprio_set",
    "migrate_pages", "move_pages",
)  # fmt: skip
_SYSTEM: Final = (
    "mount", "umount2", "move_mount", "open_tree", "fsopen", "fsmount", "fsconfig", "fspick",
    "mount_setattr", "pivot_root", "chroot", "unshare", "setns", "bpf", "perf_event_open",
    "add_key", "request_key", "keyctl", "io_uring_setup", "io_uring_enter", "io_uring_register",
    "userfaultfd", "kexec_load", "kexec_file_load", "init_module", "finit_module",
    "delete_module", "reboot", "swapon", "swapoff", "personality", "setuid", "setgid", "setreuid",
    "setregid", "setresuid", "setresgid", "setgroups", "capset", "sethostname", "setdomainname",
    "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "iopl", "ioperm", "vhangup",
    "modify_ldt",
)  # fmt: skip
_NETWORK: Final = (
    "socket", "connect", "bind", "listen", "accept", "accept4", "sendto", "sendmmsg",
)  # fmt: skip
# Newer than many a libseccomp that is installed; their numbers are those of every machine.
_NEWER: Final = {
    "fchmodat2": 452, "setxattrat": 463, "removexattrat": 466, "open_tree_attr": 467,
    "file_setattr": 469,
}  # fmt: skip
# Their arguments lie in memory that a filter can't read; libraries then use the older calls.
_OPAQUE: Final = ("openat2", "clone3")
_UNNAMED: Final = getattr(os, "O_TMPFILE", 0) & ~getattr(os, "O_DIRECTORY", 0)
_UNKNOWN: Final = -1
_CLONE_THREAD: Final = 0x00010000
_TERMINAL_INPUT: Final = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX: requests that type into the user's terminal."""


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
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)  # the stream of results is not for decoders
    rules = sc.SyscallFilter(sc.ALLOW)
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
    _add(rules, denied, "prlimit64", sc.Arg(0, sc.NE, 0))
    for request in _TERMINAL_INPUT:
        _add(rules, denied, "ioctl", sc.Arg(1, sc.MASKED_EQ, 0xFFFFFFFF, request))
    rules.load()


def _add(rules: SyscallFilter, action: int, name: str, *arguments: Arg) -> None:
    """A rule for a system call, if this libseccomp knows it."""
    import pyseccomp as sc

    if (number := sc.resolve_syscall(sc.Arch.NATIVE, name)) != _UNKNOWN:
        rules.add_rule(action, number, *arguments)
