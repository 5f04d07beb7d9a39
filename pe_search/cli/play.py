"""`--play`: what was found is played in turn, with whatever player is there."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from pe_search.cli.messages import say, say_problem, shown_path
from pe_search.cli.render import times
from pe_search.errors import AudioError, PeSearchError
from pe_search.records import Problem, Span

# The first that is there is taken. Each plays a WAV file to its end, and prints nothing.
_PLAYERS = {
    "ffplay": ("-nodisp", "-autoexit", "-loglevel", "error"),
    "mpv": ("--no-video", "--really-quiet"),
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
    raise PeSearchError(f"--play needs a player, and none of {', '.join(_PLAYERS)} is there: install one of them.")


def play(player: Sequence[str], picks: Sequence[tuple[Path, Span]]) -> list[Problem]:
    """Play stretches of clips one after the other; on a terminal n goes on, p goes back, q ends it.

    Args:
        player: From `find_player`.
        picks: Clips, each with the stretch to play.

    Returns:
        Clips that couldn't be played.
    """
    problems: list[Problem] = []
    with _keys() as reads_keys, TemporaryDirectory(prefix="pe-search-") as folder:
        number = 0
        while number < len(picks):
            path, span = picks[number]
            wav = Path(folder) / "span.wav"
            try:
                _cut_wav(path, span, wav)
            except AudioError as error:
                problems.append(Problem(error.path, error.reason))
                say_problem(problems[-1])
                number += 1
                continue
            keys = "  (n next, p previous, q quit)" if reads_keys else ""
            when = times(span.start_s, span.end_s)
            say(f"{number + 1}/{len(picks)}  {span.probability:.2f}  {when}  {shown_path(path)}{keys}")
            key = _play_file([*player, str(wav)], reads_keys=reads_keys)
            if key == "q":
                break
            number = max(0, number - 1) if key == "p" else number + 1
    return problems


def _cut_wav(path: Path, span: Span, wav: Path) -> None:
    from pe_search.audio.cut import cut
    from pe_search.audio.read import ClipReader

    with ClipReader(path) as reader:
        cut(reader, [((span.start_s, span.end_s), wav)], "WAV")


def _play_file(command: Sequence[str], *, reads_keys: bool) -> str:
    """Play to the end, or to a key; returns that key, or `n` at the end."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
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
        raise PeSearchError(f"{Path(command[0]).name} ended with status {process.returncode}; is there a sound device?")
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
