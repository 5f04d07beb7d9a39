"""`--play`: what was found is played in turn, with whatever player is there."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import TypeGuard

from pe_search.cli.output.hits import times
from pe_search.cli.output.keys import KeyWithin, pressed_keys
from pe_search.cli.output.messages import say, shown_path
from pe_search.errors import AudioError, PeSearchError
from pe_search.queries import Hit, Span
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
LOOK_EVERY_S = 0.05
# How long a digit waits for another, if there are so many hits that one may follow.
_NEXT_DIGIT_S = 1.0
# A player that has complained, and ended before this share of what it was to play, has not played it.
_LEAST_SHARE = 0.5
# What is left to play when a pause comes in the last moment.
_SHORTEST_S = 0.1
_KEYS = "Keys: space pause, r again, {}n next, p previous, Enter keep, q quit."


def find_player() -> list[str]:
    """The command that plays a file, when its path is put at the end.

    Raises:
        PeSearchError: If there is none.
    """
    for name, options in _PLAYERS.items():
        if (path := shutil.which(name)) is not None:
            return [path, *options]
    raise PeSearchError(f"No audio player found. Install one of {', '.join(_PLAYERS)}.")


def play(
    player: Sequence[str],
    picks: Sequence[tuple[Path, Span | Hit]],
    cut_wav: Callable[[Path, Span | Hit, Path], None],
    on_problem: Callable[[Problem], None],
    *,
    speed: float = 1.0,
    keep: Callable[[Path, Span | Hit], None] = lambda _path, _span: None,
) -> None:
    """Play stretches of clips one after the other. On a terminal, keys pause, repeat, jump, keep and end it.

    Args:
        player: From `find_player`.
        picks: Clips, each with the stretch to play.
        cut_wav: Writes a stretch of a clip as WAV to a file; raises an `AudioError` if it can't be read.
        on_problem: Called once with each clip that can't be played; it is passed over.
        speed: Seconds of a clip in one second of what `cut_wav` writes.
        keep: Called with what is being played when Enter is pressed.

    Raises:
        PeSearchError: If the player fails.
    """
    unplayable: set[Path] = set()
    with pressed_keys() as key_within, TemporaryDirectory(prefix="pe-search-") as folder:
        if key_within is not None and picks:
            say(_KEYS.format(f"1-{len(picks)} that one, " if len(picks) > 1 else ""))
        playing = _Playing(player, cut_wav, Path(folder) / "span.wav", _Keys(key_within, len(picks)), speed, keep)
        number, step = 0, 1
        while number < len(picks):
            path, span = picks[number]
            key = "n"
            if path not in unplayable:
                step = 1
                try:
                    key = playing.play(f"{number + 1}/{len(picks)}", path, span)
                except AudioError as error:
                    on_problem(Problem(error.path, error.reason))
                    unplayable.add(path)
            if key == "q":
                break
            if key == "p":
                step = -1
            elif number == 0:
                step = 1
            # What can't be played is passed over, backwards too.
            number = int(key) - 1 if key.isdecimal() else max(0, number + step)


def play_file(
    player: Sequence[str], wav: Path, length_s: float, pressed: Callable[[], str | None] | None
) -> tuple[str | None, float]:
    """Play a WAV file to its end, or to a key.

    Args:
        player: From `find_player`.
        wav: The file.
        length_s: How long it takes.
        pressed: Waits a moment for a key that ends it, and returns it; None if there is nobody to press any.

    Returns:
        The key, or None at the end of the file; and how long it played.

    Raises:
        PeSearchError: If the player fails.
    """
    started_s = time.monotonic()
    with TemporaryFile() as said:
        command = [*player, str(wav)]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said) as process:
            try:
                while process.poll() is None:
                    if pressed is None:
                        process.wait()
                    elif (key := pressed()) is not None:
                        return key, time.monotonic() - started_s
            finally:
                with suppress(ProcessLookupError):
                    process.terminate()
        played_s = time.monotonic() - started_s
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()
    # Without a sound device ffplay complains, plays nothing, and ends as if all were well.
    if process.returncode or (lines and played_s < _LEAST_SHARE * length_s):
        about_sound = [line for line in lines if str(wav) not in line]
        reason = (about_sound or lines or [f"it ended with status {process.returncode}"])[-1]
        name = Path(command[0]).stem
        raise PeSearchError(f"{name} can't play: {reason.strip().rstrip('.')}. Is there a sound device?")
    return None, played_s


class _Keys:
    """The keys of a player.

    Args:
        key_within: Gives them; None if there is nobody to press any.
        count: How many hits there are to jump to.
    """

    def __init__(self, key_within: KeyWithin | None, count: int) -> None:
        self.has_any = key_within is not None
        self._key_within = key_within
        self._count = count

    def within(self, seconds: float) -> str | None:
        """The key that is pressed within some seconds, Enter as `\\n`, or the number of a hit; None if none is."""
        assert self._key_within is not None
        key = self._key_within(seconds)
        if key is None or not key.isdecimal():
            return {"\r": "\n"}.get(key, key) if key else None
        number = int(key)
        while 10 * number <= self._count and (digit := self._key_within(_NEXT_DIGIT_S)) and digit.isdecimal():
            number = 10 * number + int(digit)
        return str(number) if 1 <= number <= self._count else None


class _Playing:
    """Plays a stretch, with whatever keys are pressed meanwhile; the arguments are those of `play`."""

    def __init__(
        self,
        player: Sequence[str],
        cut_wav: Callable[[Path, Span | Hit, Path], None],
        wav: Path,
        keys: _Keys,
        speed: float,
        keep: Callable[[Path, Span | Hit], None],
    ) -> None:
        self._player = player
        self._cut_wav = cut_wav
        self._wav = wav
        self._keys = keys
        self._speed = speed
        self._keep = keep

    def play(self, place: str, path: Path, span: Span | Hit) -> str:
        """Play a stretch until it ends or is left; returns `n`, `p`, `q` or the number of another."""

        def is_kept(key: str | None) -> bool:
            if key == "\n":
                self._keep(path, span)
            return key == "\n"

        start_s = span.start_s
        is_named = False
        while True:
            # A pause ends the player, because Windows has no signal to halt it with; what is left is played after it.
            self._cut_wav(path, replace(span, start_s=start_s), self._wav)
            if not is_named:
                chance = "" if span.probability is None else f"{span.probability:.2f}  "
                say(f"{place}  {chance}{times(span.start_s, span.end_s)}  {shown_path(path)}")
                is_named = True
            key, played_s = self._until_key((span.end_s - start_s) / self._speed, is_kept)
            if key == " ":
                start_s = max(span.start_s, min(start_s + played_s * self._speed, span.end_s - _SHORTEST_S))
                say("Paused; space goes on.")
                key = self._until_it_goes_on(is_kept)
            if key == "r":
                start_s = span.start_s
            elif key != " ":
                return key

    def _until_key(self, length_s: float, is_kept: Callable[[str | None], bool]) -> tuple[str, float]:
        """Play the file to its end or to a key; returns that key, or `n` at the end, and how long it took."""

        def pressed() -> str | None:
            key = self._keys.within(LOOK_EVERY_S)
            return key if _leads_on(key) and not is_kept(key) else None

        key, played_s = play_file(self._player, self._wav, length_s, pressed if self._keys.has_any else None)
        return key or "n", played_s

    def _until_it_goes_on(self, is_kept: Callable[[str | None], bool]) -> str:
        while not _leads_on(key := self._keys.within(_NEXT_DIGIT_S)) or is_kept(key):
            pass
        return key


def _leads_on(key: str | None) -> TypeGuard[str]:
    return key is not None and (key in " rnpq\n" or key.isdecimal())
