"""The real command, run in children of a process that has imported everything, so that a hundred runs take seconds.

`python -m tests.faults.warm` is that process: it reads one request a line and answers each with one line or two. `Warm`
is the other end. A child is forked for each run and becomes `pe-search` as `main` starts it: own process, own threads,
own files. It differs from a fresh one in nothing but that its imports are done and its loops compiled, and that it
commits as often as it can, so that there are many commits to be in the middle of.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from threading import Thread
from typing import Any

# A run that takes longer than this hangs.
DEADLINE_S = 240.0


class Fault(IntEnum):
    """What a bad disk does; the same as in bad_disk.c."""

    NONE = 0
    FULL = 1
    FAIL_ONCE = 2
    KILL_BEFORE = 3
    KILL_WITHIN = 4
    KILL_AFTER = 5


@dataclass(frozen=True)
class BadDisk:
    """A fault at one of the calls that change what is below a folder.

    Attributes:
        log: Where those calls are listed, one a line: what it is, and the file below the folder.
        call: Which one fails, from 1.
    """

    folder: Path
    log: Path
    fault: Fault = Fault.NONE
    call: int = 0


@dataclass(frozen=True)
class Pause:
    """A file that lets its reader wait, as one on a slow network does, until it is told to go on.

    Attributes:
        path: The file.
        is_hashed: Whether the reader waits only when it has gone through the file's bytes once, or before.
        reached: A named pipe that the reader opens to write when it begins to wait.
        go_on: A named pipe that it then reads to its end.
    """

    path: Path
    is_hashed: bool
    reached: Path
    go_on: Path

    @classmethod
    def at(cls, path: Path, scratch: Path, *, is_hashed: bool) -> Pause:
        """One with new pipes."""
        pause = cls(path, is_hashed, scratch / "reached", scratch / "go-on")
        os.mkfifo(pause.reached)
        os.mkfifo(pause.go_on)
        return pause

    def as_json(self) -> list[object]:
        """For `_pause_at`."""
        return [str(self.path), self.is_hashed, str(self.reached), str(self.go_on)]

    def meanwhile(self, act: Callable[[], object]) -> Thread:
        """In a thread that is started: wait until the reader waits, act, and let it go on."""

        def run() -> None:
            self.reached.read_bytes()
            act()
            self.go_on.write_bytes(b"")

        thread = Thread(target=run, daemon=True)
        thread.start()
        return thread


@dataclass(frozen=True)
class Ended:
    """How a run came to its end.

    Attributes:
        status: Exit status, or minus the signal that killed it.
        wall_s: From fork to end.
        peak_bytes: The most memory it held, with what the warm process had already.
    """

    status: int
    out: bytes
    err: str
    wall_s: float
    peak_bytes: int

    @property
    def is_killed(self) -> bool:
        return self.status == -signal.SIGKILL


class Warm:
    """A warm process.

    Args:
        scratch: A folder for what the runs print.
        preload: A library that the process, and so every run, is started with.
        launcher: What to start Python with.
    """

    def __init__(self, scratch: Path, preload: Path | None = None, launcher: Sequence[str] = ()) -> None:
        self._scratch = scratch
        self._process = subprocess.Popen(
            [*launcher, sys.executable, "-m", "tests.faults.warm"],
            cwd=Path(__file__).parents[2],
            env=os.environ | ({} if preload is None else {"LD_PRELOAD": str(preload)}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._answer() == {"is_ready": True}

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    @property
    def root(self) -> Path:
        """The root directory as the process sees it."""
        return Path(f"/proc/{self._process.pid}/root")

    def mount(self, folder: Path, options: str) -> None:
        """Mount memory as a disk, for this process only."""
        self._ask({"mount": str(folder), "options": options})
        self._answer()

    def run(
        self,
        *args: object,
        disk: BadDisk | None = None,
        pause: Pause | None = None,
        kill_after_s: float | None = None,
        before_kill: Callable[[], object] = lambda: None,
    ) -> Ended:
        """Run the command.

        Args:
            args: Of the command.
            disk: What happens to what it writes.
            pause: Where it waits in what it reads.
            kill_after_s: How long it may live; it must end by itself if None.
            before_kill: Called when the process has been stopped dead, and is still to be killed.
        """
        out, err = self._scratch / "out", self._scratch / "err"
        self._ask(
            {
                "args": [os.fsdecode(arg) if isinstance(arg, Path) else str(arg) for arg in args],
                "out": str(out),
                "err": str(err),
                "disk": None if disk is None else [str(disk.folder), disk.call, int(disk.fault), str(disk.log)],
                "pause": None
                if pause is None
                else [str(pause.path), pause.is_hashed, str(pause.reached), str(pause.go_on)],
                "stop_after_s": DEADLINE_S if kill_after_s is None else kill_after_s,
            }
        )
        answer = self._answer()
        if answer == {"is_stopped": True}:
            before_kill()
            self._ask({"kill": True})
            answer = self._answer()
            assert kill_after_s is not None, f"{args} hangs; it said {err.read_text()!r}"
        return Ended(out=out.read_bytes(), err=err.read_text(encoding="utf-8"), **answer)

    def _ask(self, request: Mapping[str, object]) -> None:
        assert self._process.stdin is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the warm process has ended"
        return json.loads(line)


def _serve() -> None:
    """Answer requests until there are no more."""
    import faiss  # noqa: F401
    import torch

    import pe_search.search.searching  # noqa: F401
    from pe_search.audio import read  # noqa: F401
    from pe_search.pe_audio import embedder, snake  # noqa: F401
    from pe_search.tasks import indexing

    # Every run takes them, and compiling them takes longer than indexing a folder of short clips.
    snake.loops(torch.float32)
    assert isinstance(indexing.COMMIT_EVERY_S, float)
    indexing.COMMIT_EVERY_S = 0.0
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    _reply(is_ready=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "mount" in request:
            options = request["options"]
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", request["mount"]], check=True)
            _reply()
        else:
            _run(request)


def _run(request: dict[str, Any]) -> None:
    started_s = time.monotonic()
    child = os.fork()
    if child == 0:
        _become_command(request)
    deadline_s = started_s + request["stop_after_s"]
    while True:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            break
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            os.kill(child, signal.SIGSTOP)
            _, status, _ = os.wait4(child, os.WUNTRACED)
            if os.WIFSTOPPED(status):
                _reply(is_stopped=True)
                sys.stdin.readline()
                os.kill(child, signal.SIGKILL)
                _, status, usage = os.wait4(child, 0)
            break
        signal.sigtimedwait({signal.SIGCHLD}, left_s)
    _reply(
        status=os.waitstatus_to_exitcode(status),
        wall_s=time.monotonic() - started_s,
        peak_bytes=usage.ru_maxrss * 1024,
    )


def _become_command(request: dict[str, Any]) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    for fd, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, request["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, request["err"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        os.dup2(os.open(path, flags, 0o600), fd)
    status = 1
    try:
        from pe_search.cli.app import main

        if request["disk"] is not None:
            folder, call, fault, log = request["disk"]
            ctypes.CDLL(None).arm_bad_disk(
                os.fsencode(folder), ctypes.c_long(call), ctypes.c_int(fault), os.fsencode(log)
            )
        if request["pause"] is not None:
            _pause_at(*request["pause"])
        sys.argv = ["pe-search", *request["args"]]
        main()
    except SystemExit as exit_:
        status = exit_.code if isinstance(exit_.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _pause_at(path: str, is_hashed: bool, reached: str, go_on: str) -> None:
    from pe_search.audio import ahead

    digest_of = ahead.content_digest

    def wait() -> None:
        Path(reached).write_bytes(b"")
        Path(go_on).read_bytes()

    def digest_with_a_pause(read: Path, *args: Any) -> bytes:
        if read == Path(path) and not is_hashed:
            wait()
        digest = digest_of(read, *args)
        if read == Path(path) and is_hashed:
            wait()
        return digest

    ahead.content_digest = digest_with_a_pause


def _reply(**answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _serve()
