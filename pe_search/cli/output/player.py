"""`--play`: what was found is played in turn, with whatever player is there."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from pe_search.cli.output.hits import times
from pe_search.cli.output.messages import say, shown_path
from pe_search.errors import AudioError, PeSearchError
from pe_search.queries import Span
from pe_search.records import Problem

# The first that is there is taken. Each plays a WAV file to its end, prints nothing but errors, and reads no keys. What
# mpv does at the end of a file is a thing that people set.
_PLAYERS = {
    "ffplay": ("-nodisp", "-autoexit", "-loglevel", "error"),
    "mpv": ("--no-video", "--msg-level=all=error", "--input-terminal=no", "--keep-open=no", "--loop-file=no"),
    "afplay": (),
    "aplay": ("-q",),
    "paplay": (),
}
_LOOKS_PER_S = 20


def find_player() -> list[str]:
    """The command that plays a file, when its path is put at the end.

    Raises:
        PeSearchError: If there is none.
    """
    for name, options in _PLAYERS.items():
        if (path := shutil.which(name)) is not None:
            return [path, *options]
    raise PeSearchError(f"There is nothing to play sound with: install one of {', '.join(_PLAYERS)}.")


def play(
    player: Sequence[str],
    picks: Sequence[tuple[Path, Span]],
    cut_wav: Callable[[Path, Span, Path], None],
    on_problem: Callable[[Problem], None],
) -> None:
    """Play stretches of clips one after the other; on a terminal n goes on, p goes back, q ends it.

    Args:
        player: From `find_player`.
        picks: Clips, each with the stretch to play.
        cut_wav: Writes a stretch of a clip as WAV to a file; raises an `AudioError` if it can't be read.
        on_problem: Called with each clip that can't be played; it is passed over.

    Raises:
        PeSearchError: If the player fails.
    """
    left = list(picks)
    with _keys() as reads_keys, TemporaryDirectory(prefix="pe-search-") as folder:
        number = 0
        while number < len(left):
            path, span = left[number]
            wav = Path(folder) / "span.wav"
            try:
                cut_wav(path, span, wav)
            except AudioError as error:
                on_problem(Problem(error.path, error.reason))
                del left[number]
                continue
            keys = "  (n next, p previous, q quit)" if reads_keys else ""
            when = times(span.start_s, span.end_s)
            say(f"{number + 1}/{len(left)}  {span.probability:.2f}  {when}  {shown_path(path)}{keys}")
            key = _play_file([*player, str(wav)], reads_keys=reads_keys)
            if key == "q":
                break
            number = max(0, number - 1) if key == "p" else number + 1


def _play_file(command: Sequence[str], *, reads_keys: bool) -> str:
    """Play to the end, or to a key; returns that key, or `n` at the end."""
    with TemporaryFile() as said:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said) as process:
            try:
                while process.poll() is None:
                    if not reads_keys:
                        process.wait()
                    elif select.select([sys.stdin], [], [], 1 / _LOOKS_PER_S)[0]:
                        key = os.read(sys.stdin.fileno(), 1).decode(errors="replace").lower()
                        if key in ("n", "p", "q"):
                            return key
            finally:
                with suppress(ProcessLookupError):
                    process.terminate()
        if process.returncode:
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
            reason = lines[-1] if lines else f"it ended with status {process.returncode}; is there a sound device?"
            raise PeSearchError(f"{Path(command[0]).name} can't play: {reason}")
    return "n"


@contextmanager
def _keys() -> Iterator[bool]:
    """Have single keys come in as they are pressed, where stdin is a terminal; yields whether they do."""
    if not sys.stdin.isatty():
        yield False
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin, termios.TCSANOW)
        yield True
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
