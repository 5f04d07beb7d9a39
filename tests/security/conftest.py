"""What several of these tests hold things to."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    """Fail where the processor is busy for longer, or where nothing at all goes on for much longer."""

    def fail(_number: int, _frame: object) -> None:
        raise AssertionError(f"it takes longer than {seconds} s")

    before = [signal.signal(number, fail) for number in (signal.SIGPROF, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, 30 * seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip((signal.SIGPROF, signal.SIGALRM), before, strict=True):
            signal.signal(number, handler)
