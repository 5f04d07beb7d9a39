"""What is heard in windows that overlap becomes one text, in segments as they may be read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from pe_search.records import Segment, SpokenWord
from pe_search.speech.recogniser import Grain, Heard, Spoken
from pe_search.speech.windows import SpeechWindow

# A segment ends with a sentence, at a pause, and before it is too long to be read at once, as a subtitle is.
_PAUSE_S = 0.7
_LONGEST_S = 8.0
_LONGEST_TEXT = 84
_END_OF_SENTENCE = re.compile(r"[.!?…。！？]['\"”’)»]*$")
_FEWEST_COMMON_WORDS = 2


def join(heard: Iterable[tuple[SpeechWindow, Heard]]) -> Iterator[Segment]:
    """Join what is heard in the windows of a clip, holding two windows at most.

    Where two windows overlap, the words before the middle of that are those of the one, and those after it of the
    other. Where the model gives no times, the words at the end of the one that the other begins with are dropped.

    Args:
        heard: Each window with what is heard in it, in order of time.

    Yields:
        Segments in order of time, in seconds of the clip.
    """
    line: list[Spoken] = []
    for spoken, grain in _without_overlaps(heard):
        if line and (grain != "words" or _breaks(line, spoken)):
            yield _segment(line)
            line = []
        if grain == "words":
            line.append(spoken)
        else:
            yield Segment(spoken.start_s, spoken.end_s, spoken.text.strip())
    if line:
        yield _segment(line)


def _without_overlaps(heard: Iterable[tuple[SpeechWindow, Heard]]) -> Iterator[tuple[Spoken, Grain]]:
    held: list[Spoken] = []
    held_grain: Grain = "words"
    before: SpeechWindow | None = None
    for window, one in heard:
        spoken = [_moved(each, window) for each in one.spoken if each.text.strip()]
        if before is not None and not window.is_first and held and spoken:
            if "window" in (held_grain, one.grain):
                held, spoken = _drop_common_words(held, spoken, before, window)
            else:
                held, spoken = _split(held, spoken, before, window)
        yield from ((each, held_grain) for each in held)
        held, held_grain, before = spoken, one.grain, window
    yield from ((each, held_grain) for each in held)


def _moved(spoken: Spoken, window: SpeechWindow) -> Spoken:
    """In seconds of the clip, and within the window, which padding may have made longer."""
    start_s = min(window.start_s + max(spoken.start_s, 0.0), window.end_s)
    return Spoken(start_s, min(max(window.start_s + spoken.end_s, start_s), window.end_s), spoken.text)


def _split(
    left: Sequence[Spoken], right: Sequence[Spoken], before: SpeechWindow, window: SpeechWindow
) -> tuple[list[Spoken], list[Spoken]]:
    """Those of the one window up to a time, and those of the other from there on.

    The time is the middle of what both windows have, or the nearest to it at which neither has a word: a word there
    may be a little earlier in the one and a little later in the other.
    """
    middle_s = (before.end_s + window.start_s) / 2
    among = [one for one in (*left, *right) if window.start_s <= one.end_s and one.start_s <= before.end_s]
    edges_s = [edge_s for one in among for edge_s in (one.start_s, one.end_s)]
    free_s = [edge_s for edge_s in [middle_s, *edges_s] if not any(one.start_s < edge_s < one.end_s for one in among)]
    seam_s = min(
        (edge_s for edge_s in free_s if window.start_s <= edge_s <= before.end_s),
        key=lambda edge_s: abs(edge_s - middle_s),
        default=middle_s,
    )
    kept = [one for one in left if _middle_s(one) < seam_s]
    following = [one for one in right if _middle_s(one) >= seam_s]
    if kept and following and following[0].start_s < kept[-1].end_s and _plain(following[0]) == _plain(kept[-1]):
        following = following[1:]
    return kept, following


def _drop_common_words(
    left: Sequence[Spoken], right: Sequence[Spoken], before: SpeechWindow, window: SpeechWindow
) -> tuple[list[Spoken], list[Spoken]]:
    """Without the words that both windows have, which only their order tells."""
    ending, beginning = left[-1].text.split(), right[0].text.split()
    overlap_s = before.end_s - window.start_s
    # Twice as many as there are on average: nobody speaks evenly.
    tail = ending[-_words_in(ending, overlap_s, before) :]
    head = beginning[: _words_in(beginning, overlap_s, window)]
    matcher = SequenceMatcher(
        None, [_letters(word) for word in tail], [_letters(word) for word in head], autojunk=False
    )
    common = matcher.find_longest_match()
    if common.size < min(_FEWEST_COMMON_WORDS, len(tail), len(head)) or common.size == 0:
        return list(left), list(right)
    middle_s = (before.end_s + window.start_s) / 2
    kept = ending[: len(ending) - len(tail) + common.a + common.size]
    following = beginning[common.b + common.size :]
    last = replace(left[-1], end_s=min(left[-1].end_s, middle_s), text=" " + " ".join(kept))
    first = replace(right[0], start_s=max(right[0].start_s, middle_s), text=" " + " ".join(following))
    return [*left[:-1], last], [*([first] if following else []), *right[1:]]


def _words_in(words: Sequence[str], overlap_s: float, window: SpeechWindow) -> int:
    length_s = max(window.end_s - window.start_s, overlap_s)
    return max(_FEWEST_COMMON_WORDS, round(2 * len(words) * overlap_s / length_s))


def _breaks(line: Sequence[Spoken], following: Spoken) -> bool:
    """Whether a segment ends before a word."""
    text = "".join(one.text for one in line).strip()
    return (
        following.start_s - line[-1].end_s >= _PAUSE_S
        or _END_OF_SENTENCE.search(text) is not None
        or following.end_s - line[0].start_s > _LONGEST_S
        or len(text) + len(following.text) > _LONGEST_TEXT
    )


def _segment(line: Sequence[Spoken]) -> Segment:
    words = tuple(SpokenWord(one.start_s, one.end_s, one.text.strip()) for one in line)
    return Segment(line[0].start_s, line[-1].end_s, "".join(one.text for one in line).strip(), words)


def _middle_s(spoken: Spoken) -> float:
    return (spoken.start_s + spoken.end_s) / 2


def _plain(spoken: Spoken) -> str:
    return _letters(spoken.text)


def _letters(word: str) -> str:
    """A word as it is compared: two windows may differ in case and in signs."""
    return "".join(filter(str.isalnum, word)).casefold() or word.strip()
