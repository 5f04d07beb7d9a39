"""What Windows lacks, and a way to run the package as if it were there.

Nothing here runs on Windows itself: the package's own modules alone see a system without what Windows lacks, and the
standard library goes on as ever.
"""

from __future__ import annotations

import builtins
import sys
from types import ModuleType
from typing import Any

# Modules of the standard library that only POSIX systems have.
POSIX_MODULES = frozenset(
    {"curses", "fcntl", "grp", "nis", "posix", "pty", "pwd", "readline", "resource", "spwd", "syslog", "termios", "tty"}
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What some modules have only there. What only Linux has is among it, for macOS.
POSIX_ATTRIBUTES = {
    "os": _words("""
        O_ASYNC O_CLOEXEC O_DIRECT O_DIRECTORY O_DSYNC O_NOATIME O_NOCTTY O_NOFOLLOW O_NONBLOCK O_NDELAY O_PATH O_SYNC
        O_TMPFILE chown chroot ctermid eventfd fchdir fchmod fchown fdatasync fork forkpty fpathconf getegid geteuid
        getgid getgroups getloadavg getpgid getpgrp getpriority getresuid getsid getuid getxattr initgroups killpg
        lchown lockf major makedev memfd_create minor mkfifo mknod nice openpty pathconf pidfd_open posix_fadvise
        posix_fallocate posix_spawn pread preadv pwrite pwritev readv sched_getaffinity sched_setaffinity sched_yield
        sendfile setegid seteuid setgid setgroups setpgid setpriority setsid setuid statvfs sync sysconf tcgetpgrp
        tcsetpgrp ttyname uname wait wait3 wait4 waitid writev
        """),
    "signal": _words("""
        SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGUSR1 SIGUSR2
        SIGWINCH alarm getitimer pause pthread_kill pthread_sigmask setitimer siginterrupt sigpending sigtimedwait
        sigwait
        """),
    "socket": frozenset({"AF_UNIX", "SO_PEERCRED", "SO_REUSEPORT", "SCM_RIGHTS", "CMSG_LEN", "send_fds", "recv_fds"}),
    "asyncio": frozenset({"start_unix_server", "open_unix_connection", "get_child_watcher"}),
    "select": frozenset({"epoll", "kqueue", "poll"}),
    "time": frozenset({"clock_gettime", "tzset"}),
}


class _Lacking(ModuleType):
    """A module as Windows has it: a view of the one that is here."""

    def __init__(self, module: ModuleType, lacks: frozenset[str], **others: object) -> None:
        super().__init__(module.__name__)
        ModuleType.__getattribute__(self, "__dict__").update(_module=module, _lacks=lacks, _others=others)

    def __getattribute__(self, name: str) -> Any:
        own = ModuleType.__getattribute__(self, "__dict__")
        if name in own["_lacks"]:
            raise AttributeError(f"module {own['_module'].__name__!r} has no attribute {name!r}")
        return own["_others"][name] if name in own["_others"] else getattr(own["_module"], name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(ModuleType.__getattribute__(self, "__dict__")["_module"], name, value)


def pretend(platform: str = "win32", *, has_all: bool = False) -> None:
    """Let the package's modules that are imported from now on see another system than this one.

    Args:
        platform: What `sys.platform` says there.
        has_all: Whether it has all that POSIX systems have.
    """
    views: dict[str, ModuleType] = {}
    import_here = builtins.__import__

    def view(module: ModuleType) -> ModuleType:
        if module is sys:
            return views.setdefault("sys", _Lacking(module, frozenset(), platform=platform))
        lacks = None if has_all else POSIX_ATTRIBUTES.get(getattr(module, "__name__", ""))
        if lacks is None:
            return module
        return views.setdefault(module.__name__, _Lacking(module, lacks))

    def import_there(name: str, scope: Any = None, inner: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        importer = (scope or {}).get("__name__", "")
        if importer.partition(".")[0] != "pe_search":
            return import_here(name, scope, inner, fromlist, level)
        if name.partition(".")[0] in POSIX_MODULES and not has_all:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        module = import_here(name, scope, inner, fromlist, level)
        for wanted in fromlist or ():
            if wanted in POSIX_ATTRIBUTES.get(name, ()):
                raise ImportError(f"cannot import name {wanted!r} from {name!r}", name=name)
        return view(module)

    builtins.__import__ = import_there


def main() -> None:
    """Run the command on what is taken for Windows: `python -m tests.windows query rain …`."""
    pretend()
    from pe_search.cli.app import main as command

    sys.argv[0] = "pe-search"
    command()


if __name__ == "__main__":
    main()
