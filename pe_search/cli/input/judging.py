"""`pe-search judge`: hit after hit on a terminal, with one key each."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pe_search.cli.output.hits import times
from pe_search.cli.output.keys import KeyWithin
from pe_search.cli.output.messages import say, say_error, say_problem, shown_path
from pe_search.cli.output.player import LOOK_EVERY_S, find_player, play_file
from pe_search.cli.output.tables import room
from pe_search.cli.output.taught import how_it_stands
from pe_search.cli.output.traces import strip_of
from pe_search.errors import AudioError, PeSearchError
from pe_search.queries import Filters, Hit, Query, Reference
from pe_search.records import Problem, Word

if TYPE_CHECKING:
    from pe_search.library import Library
    from pe_search.spans.locating import Locator

_KEYS = "Keys: y yes, n no, u unsure, space play, b back, q quit."
_VERDICTS = {"y": "yes", "n": "no", "u": "unsure"}
# Ctrl-D ends it too.
_ENDS = ("q", "\x04")
_WAIT_S = 1.0
_SAY_EVERY = 10
_WIDEST_STRIP = 80
# Whoever judges should not wait for strips; the first one may take longer, as it loads the model.
_LONGEST_WAIT_S = 3.0


class JudgingRound:
    """Asks for hit after hit whether it is what a word means, and keeps each answer at once.

    Args:
        library: Is taught.
        word: What is taught.
        text: What it starts from; empty if it is known.
        under: A clip, or a folder that the clips must be below; None for all.
        filters: Which clips and windows are gone through.
        key_within: Gives keys.
        spread: Whether to ask for what `Library.draw` draws.
    """

    def __init__(
        self,
        library: Library,
        word: str,
        text: str,
        under: Path | None,
        filters: Filters,
        key_within: KeyWithin,
        *,
        spread: bool = False,
    ) -> None:
        self._library = library
        self._word = word
        self._text = text
        self._under = under
        self._filters = filters
        self._key_within = key_within
        self._drawn = deque(library.draw(word, text, under=under, filters=filters)) if spread else None
        self._skipped: list[Hit] = []
        self._judged: list[Hit] = []
        self._expected: deque[bool | None] = deque(maxlen=_SAY_EVERY)
        self._player: list[str] | None = None
        self._locator: Locator | None = None
        self._shows_strips = True

    def go_through(self) -> Word | None:
        """Go on until the user has had enough or nothing is left; returns how the word stands if anything was judged.

        Raises:
            PeSearchError: If the store can't be searched or written to.
        """
        stands = self._known()
        if stands is not None:
            say(how_it_stands(stands))
        say(_KEYS)
        hit = self._next()
        while hit is not None:
            key = self._ask(hit)
            if key in _ENDS:
                break
            if key == "b":
                hit = self._back(hit)
                continue
            self._keep(hit, _VERDICTS[key])
            hit = self._next()
        else:
            say("There is nothing left to judge.")
        if not self._judged:
            return None
        return self._known()

    def _known(self) -> Word | None:
        return next((one for one in self._library.words() if one.word == self._word), None)

    def _next(self) -> Hit | None:
        if self._drawn is not None:
            return self._drawn.popleft() if self._drawn else None
        if not self._library.is_current():
            self._library.close()
        return self._library.to_judge(
            self._word, self._text, under=self._under, filters=self._filters, skipped=self._skipped
        )

    def _ask(self, hit: Hit) -> str:
        """Show a hit; returns the key that says what to do with it."""
        place = f"{times(hit.start_s, hit.end_s)}  {shown_path(hit.path)}"
        say(f"{len(self._judged) + 1}  {hit.probability:.2f}  {place}")
        if self._shows_strips:
            self._show_strip(hit)
        while True:
            key = self._key_within(_WAIT_S)
            while key == " ":
                key = self._play(hit)
            if key is not None and (key in _VERDICTS or key in _ENDS or key == "b"):
                return key

    def _show_strip(self, hit: Hit) -> None:
        """Show when in a hit its text is heard, if that can be told in a moment."""
        known = self._known()
        text = self._text or (known.text if known is not None else "")
        self._shows_strips = bool(text) and self._library.model.has_frames_at_hand
        if not self._shows_strips:
            return
        started_s = time.monotonic()
        self._locator = self._locator or self._library.locator([Query(texts=(text,))])
        (trace,) = self._locator.in_hits([replace(hit, query=text)], self._library.clip, lambda _problem: None)
        if trace is not None:
            say(f"   {strip_of(trace.probabilities, min(room(), _WIDEST_STRIP) - 4)}")
        self._shows_strips = time.monotonic() - started_s < _LONGEST_WAIT_S

    def _play(self, hit: Hit) -> str | None:
        """Play a hit; returns the key that ended it, if one did. Space ends it too."""
        try:
            self._player = self._player or find_player()
            with TemporaryDirectory(prefix="pe-search-") as folder:
                wav = Path(folder) / "hit.wav"
                self._library.cut_wav(hit.path, hit, wav)
                length_s = (hit.end_s - hit.start_s) / self._library.hearing.speed
                key, _ = play_file(self._player, wav, length_s, lambda: self._key_within(LOOK_EVERY_S))
                return None if key == " " else key
        except PeSearchError as error:
            say_error(error)
            return None

    def _keep(self, hit: Hit, verdict: str) -> None:
        given = {verdict: [Reference(hit.path, (hit.start_s, hit.end_s))]}
        known = self._known()
        text = self._text if self._text and (known is None or not known.text) else None
        try:
            stands = self._library.learn(self._word, text=text, **given)
        except AudioError as error:
            say_problem(Problem(error.path, error.reason))
            self._skipped.append(hit)
            return
        say(f"   {verdict}")
        self._judged.append(hit)
        assert hit.probability is not None
        self._expected.append(None if verdict == "unsure" else (hit.probability >= 0.5) == (verdict == "yes"))
        if len(self._judged) % _SAY_EVERY == 0:
            told = [one for one in self._expected if one is not None]
            right = f" It was right about {sum(told)} of the last {len(told)}." if told else ""
            say(f"{how_it_stands(stands)}{right}")

    def _back(self, hit: Hit) -> Hit:
        """The hit that was judged before, to be judged again; what is said of it then counts."""
        if not self._judged:
            say("There is nothing to go back to.")
            return hit
        self._expected.pop()
        return self._judged.pop()
