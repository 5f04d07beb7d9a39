"""The driver: a process of a run that starts or joins a Ray runtime, and passes on what its workers tell.

Ray may wait for minutes without hearing Ctrl-C, ends its process without a word when the head of the cluster is gone,
and changes signals, limits and variables of a process. All that is the driver's, which can be given up at any moment.

Both send each other pickles: the run what to join, then the blocks; the driver its share, then results.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from typing import IO, Any, Protocol

from pe_search.cluster import runtime
from pe_search.cluster.blocks import BlockResult, Setup
from pe_search.cluster.choosing import OWN
from pe_search.cluster.runtime import Share
from pe_search.errors import ClusterError, MissingExtraError, PeSearchError, first_line
from pe_search.records import Clip

# What Ray may take to end by itself.
_END_S = 10.0
_KEPT = "What is embedded is kept; run the same command to go on."
# Enough where a cluster refuses this machine; Ray has no other option for it.
_LIMITS = {"RAY_NUM_REDIS_GET_RETRIES": "2"}


class Runtime(Protocol):
    """A Ray runtime with room for workers.

    Attributes:
        share: What each gets.
    """

    share: Share

    def results(self, setup: Setup, blocks: Sequence[Sequence[Clip]]) -> Generator[BlockResult, None, None]:
        """What came of blocks, in the order in which they end.

        Raises:
            ClusterError: If the runtime fails, or a machine can't have a worker.
        """


def need_ray() -> None:
    """Raise a `MissingExtraError` unless Ray Data is installed."""
    # Ray itself is on many machines without what Ray Data needs.
    if find_spec("ray") is None or find_spec("pyarrow") is None:
        raise MissingExtraError("--workers ray", "'ray[data]'", "ray")


@contextmanager
def connected(workers: str, *, worker_cpus: int | None, weights_bytes: int) -> Iterator[Runtime]:
    """Start or join a runtime, and leave it as it was at the end of the `with` block.

    That of a program which has called `ray.init` itself is used as it is.

    Args:
        workers: `ray` for a new runtime on this machine, or the address of one.
        worker_cpus: As in `runtime.share_of`.
        weights_bytes: See above.

    Raises:
        MissingExtraError: If Ray isn't installed.
        ClusterError: If there is no runtime at the address, or none of its machines has room for a worker.
    """
    need_ray()
    if runtime.is_in_use():
        yield _Here(runtime.share_of(workers, worker_cpus=worker_cpus, weights_bytes=weights_bytes, is_own=False))
        return
    with closing(_Driver(workers, worker_cpus, weights_bytes)) as driver:
        yield driver


class _Here:
    """The `Runtime` of this program.

    Args:
        share: See `Runtime`.
    """

    def __init__(self, share: Share) -> None:
        self.share = share

    def results(self, setup: Setup, blocks: Sequence[Sequence[Clip]]) -> Generator[BlockResult, None, None]:
        """See `Runtime`."""
        with closing(runtime.embedded(pickle.dumps(setup), self.share, _pickled(blocks))) as results:
            for result in results:
                yield _result(result)


class _Driver:
    """A `Runtime` that another process uses.

    Args:
        workers: As in `connected`.
        worker_cpus: See above.
        weights_bytes: See above.
    """

    def __init__(self, workers: str, worker_cpus: int | None, weights_bytes: int) -> None:
        self._workers = workers
        job = (workers, worker_cpus, weights_bytes)
        try:
            self._process, self.share = self._start(job, _environment(workers))
        except runtime.TokenError:
            # It must be asked for: with a token, a cluster that wants none can't call back.
            if "RAY_AUTH_MODE" in os.environ or not runtime.has_token():
                raise
            self._process, self.share = self._start(job, _environment(workers) | {"RAY_AUTH_MODE": "token"})

    def _start(self, job: object, environment: dict[str, str]) -> tuple[subprocess.Popen[bytes], Share]:
        # Nothing of Ray's comes here, and a Ctrl-C in a terminal not there.
        self._process = subprocess.Popen(
            _program(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        try:
            self._send(job)
            return self._process, self._receive()
        except BaseException:
            self.close()
            raise

    def results(self, setup: Setup, blocks: Sequence[Sequence[Clip]]) -> Generator[BlockResult, None, None]:
        """See `Runtime`."""
        self._send((pickle.dumps(setup), _pickled(blocks)))
        while (result := self._receive()) is not None:
            yield _result(result)

    def close(self) -> None:
        """End the process, and with it a runtime that it has started."""
        process = self._process
        try:
            # It ends by itself when nobody is there any more.
            with suppress(OSError):
                _pipe(process.stdin).close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_S)
        finally:
            process.kill()
            _pipe(process.stdout).close()
            process.wait()

    def _send(self, message: object) -> None:
        # What became of it is known by what it sends.
        with suppress(BrokenPipeError):
            pickle.dump(message, _pipe(self._process.stdin))
            _pipe(self._process.stdin).flush()

    def _receive(self) -> Any:
        try:
            message = pickle.load(_pipe(self._process.stdout))
        except (EOFError, pickle.UnpicklingError):
            raise ClusterError(f"{self._workers}: {self._end()}") from None
        if isinstance(message, PeSearchError):
            raise message
        return message

    def _end(self) -> str:
        """How the process ended that says nothing any more."""
        if hasattr(self, "share"):
            return f"{'Ray has ended' if self._workers == OWN else 'the Ray cluster is gone'}. {_KEPT}"
        if self._workers == OWN:
            return "Ray ends before it has started."
        from importlib.metadata import version

        return (
            f"no cluster that this machine belongs to answers there as Ray {version('ray')} does. Use the HOST:PORT "
            "that `ray start --head` printed, and the same version of Ray on all machines."
        )


def _program() -> list[str]:
    """What finds the same modules as this process does, and none in the working directory that this one does not."""
    path = [folder for folder in sys.path if isinstance(folder, str)]
    program = f"from {__name__} import main; main(sys.stdin.buffer, os._exit)"
    return [sys.executable, "-P", "-c", f"import os, sys; sys.path[:] = {path!r}; {program}"]


def _environment(workers: str) -> dict[str, str]:
    """The variables of the driver. What somebody has set stays."""
    usual = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
    if workers == OWN:
        # As Ray has it for a runtime of one's own, which would write a token into the home directory.
        usual["RAY_AUTH_MODE"] = "token"
        if not runtime.has_token():
            usual["RAY_AUTH_TOKEN"] = os.urandom(32).hex()
        return usual | os.environ
    return usual | os.environ | _LIMITS


def _pickled(blocks: Sequence[Sequence[Clip]]) -> list[bytes]:
    return [pickle.dumps(clips) for clips in blocks]


def _result(pickled: bytes) -> BlockResult:
    result = pickle.loads(pickled)
    if isinstance(result, str):
        raise ClusterError(result)
    assert isinstance(result, BlockResult)
    return result


def _pipe(file: IO[bytes] | None) -> IO[bytes]:
    assert file is not None
    return file


def main(asked: IO[bytes], leave: Callable[[int], object]) -> None:
    """Do what the run asks for, and answer on standard output.

    Args:
        asked: What the run sends.
        leave: Ends the process with an exit status, and does nothing else: what Ray does at an exit takes longer.
    """
    answers = os.fdopen(os.dup(1), "wb")
    # Ray and its workers write where they like.
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 1)
    # The run may be gone at any moment; then another thread ends the process.
    with suppress(OSError):
        try:
            _drive(asked, answers, leave)
        except PeSearchError as error:
            pickle.dump(error, answers)
        except Exception as error:
            pickle.dump(ClusterError(f"The Ray runtime failed: {first_line(error)}"), answers)
        answers.flush()
    _shut_down()
    leave(0)


def _drive(asked: IO[bytes], answers: IO[bytes], leave: Callable[[int], object]) -> None:
    workers, worker_cpus, weights_bytes = pickle.load(asked)
    told: list[Any] = []
    is_told = threading.Event()

    def listen() -> None:
        with suppress(EOFError):
            told.append(pickle.load(asked))
            is_told.set()
            asked.read()
        _shut_down()
        leave(1)

    threading.Thread(target=listen, name="run", daemon=True).start()
    runtime.join(workers)
    share = runtime.share_of(workers, worker_cpus=worker_cpus, weights_bytes=weights_bytes, is_own=workers == OWN)
    pickle.dump(share, answers)
    answers.flush()
    is_told.wait()
    setup, blocks = told[0]
    with closing(runtime.embedded(setup, share, blocks)) as results:
        for result in results:
            pickle.dump(result, answers)
            answers.flush()
    pickle.dump(None, answers)


def _shut_down() -> None:
    """End the runtime, if it is our own; and this process, if Ray takes long."""
    faulthandler.dump_traceback_later(_END_S / 2, exit=True, file=os.open(os.devnull, os.O_WRONLY))
    ray: Any = sys.modules.get("ray")
    if ray is not None:
        with suppress(Exception):
            ray.shutdown()
