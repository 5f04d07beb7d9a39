"""Take in the transcripts that lie beside clips."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pe_search.known.sidecars import (
    SIDECAR_EXTENSIONS,
    NoTranscriptError,
    clips_meant,
    engine_of,
    is_from_sidecar,
    read_sidecar,
)
from pe_search.records import Problem, Sidecar, Stamp, Transcript
from pe_search.store import Store
from pe_search.store.transcripts import can_be_kept, digests_of, read_sidecars, write_transcripts

_TRANSCRIPTS_PER_COMMIT = 512
_NS_PER_S = 1_000_000_000

Key = tuple[bytes, str]
"""Digest and engine of a transcript."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What a walk found beside clips.

    Attributes:
        sidecars: The stamps of files that may be transcripts, by path.
        clips: Paths of the clips that were found.
    """

    sidecars: Mapping[str, Stamp] = field(default_factory=dict)
    clips: Iterable[str] = ()


def take_in_sidecars(store: Store, found: Beside, on_problem: Callable[[Problem], None]) -> int:
    """Keep what new and changed sidecars say, and forget what is gone.

    Args:
        store: Opened for writing; the clips are in it.
        found: What there is.
        on_problem: Called with each sidecar that can't be read.

    Returns:
        How many transcripts were taken in.
    """
    known = read_sidecars(store.catalog)
    if not (known or found.sidecars):
        return 0
    meant = _meant(found)
    held = digests_of(store.catalog, {clip for _, clips in meant for clip, _ in clips})
    candidates: dict[Key, list[str]] = {}
    lengths_s: dict[bytes, float] = {}
    for path, clips in meant:
        for clip, language in clips:
            if clip in held:
                digest, lengths_s[digest] = held[clip]
                candidates.setdefault((digest, engine_of(language)), []).append(path)
    taking = _Taking(store, found, known, lengths_s, on_problem)
    for key, paths in candidates.items():
        # Copies may lie side by side.
        taking.choose(key, list(dict.fromkeys(paths)))
    taking.forget_gone(candidates)
    taking.commit()
    return taking.taken


def _meant(found: Beside) -> list[tuple[str, list[tuple[str, str]]]]:
    """The sidecars in the order in which they are preferred, each with the clips that it may tell of."""
    by_name: dict[tuple[str, str], list[str]] = {}
    for clip in found.clips if found.sidecars else ():
        folder, name = os.path.split(clip)
        for one in dict.fromkeys((name, os.path.splitext(name)[0])):  # noqa: PTH122 (see `find.Found`)
            by_name.setdefault((folder, one), []).append(clip)
    meant = []
    for path in found.sidecars:
        folder, name = os.path.split(path)
        # The first that there is a clip for: `a.de.srt` beside `a.de.wav` has no language.
        for base, language in clips_meant(name):
            if clips := by_name.get((folder, base)):
                meant.append((path, [(clip, language) for clip in clips]))
                break
    return sorted(meant, key=_preference)


def _preference(one: tuple[str, list[tuple[str, str]]]) -> tuple[bool, int, bytes]:
    path, clips = one
    # `a.wav.srt` tells of one clip, `a.srt` of all with that stem.
    is_of_stem = not any(path.startswith(f"{clip}.") for clip, _ in clips)
    extension = os.path.splitext(path)[1].lower()  # noqa: PTH122
    return is_of_stem, SIDECAR_EXTENSIONS.index(extension), os.fsencode(path)


class _Taking:
    """Chooses a sidecar for each content and engine, and reads those that are not known as they are."""

    def __init__(
        self,
        store: Store,
        found: Beside,
        known: Iterable[Sidecar],
        lengths_s: Mapping[bytes, float],
        on_problem: Callable[[Problem], None],
    ) -> None:
        self._catalog = store.catalog
        self._found = found.sidecars
        self._folders = {os.path.dirname(clip) for clip in found.clips}  # noqa: PTH120
        self._lengths_s = lengths_s
        self._on_problem = on_problem
        self._known = {(str(one.path), one.digest): one for one in known}
        self._of_key: dict[Key, list[Sidecar]] = {}
        for one in self._known.values():
            self._of_key.setdefault((one.digest, one.engine), []).append(one)
        self._told: set[str] = set()
        self._transcripts: list[Transcript] = []
        self._sidecars: list[Sidecar] = []
        self._gone: list[Sidecar] = []
        self._forgotten: list[Key] = []
        self.taken = 0

    def choose(self, key: Key, paths: Iterable[str]) -> None:
        """Take the first of some files that is a transcript for a content, unless it is known as it is."""
        before = self._of_key.get(key, [])
        # Another clip of the same bytes has one that this walk did not come to.
        if any(str(one.path) not in self._found and os.path.lexists(one.path) for one in before):
            return
        chosen = next((path for path in paths if self._is_taken(path, key)), None)
        self._gone += [one for one in before if str(one.path) != chosen]
        if before and chosen is None:
            self._forgotten.append(key)

    def _is_taken(self, path: str, key: Key) -> bool:
        """Whether a file is a transcript; what it says is kept, if that is new."""
        digest, engine = key
        size_bytes, modified_ns, *_ = self._found[path]
        one = self._known.get((path, digest))
        is_same = one is not None and (one.size_bytes, one.modified_ns) == (size_bytes, modified_ns)
        # With no engine, it was seen to be something else.
        if one is not None and is_same and one.engine in ("", engine):
            return bool(one.engine)
        transcript = self._read(path, key, modified_ns)
        seen = Sidecar(Path(path), size_bytes, modified_ns, digest, "" if transcript is None else engine)
        self._sidecars.append(seen)
        if transcript is not None:
            self._transcripts.append(transcript)
            self.taken += 1
            if len(self._transcripts) >= _TRANSCRIPTS_PER_COMMIT:
                self.commit()
        return transcript is not None

    def _read(self, path: str, key: Key, modified_ns: int) -> Transcript | None:
        digest, engine = key
        extension = os.path.splitext(path)[1].lower()  # noqa: PTH122
        try:
            said = read_sidecar(Path(path).read_bytes(), extension, self._lengths_s[digest])
        except NoTranscriptError:
            return None
        except OSError as error:
            self._tell(path, error.strerror or str(error))
            return None
        except ValueError as error:
            self._tell(path, str(error))
            return None
        language = engine.partition(".")[2] or said.language
        transcript = Transcript(digest, engine, language, said.segments, made_at_s=modified_ns // _NS_PER_S)
        if not can_be_kept(transcript):
            self._tell(path, "says more than a store keeps of a clip")
            return None
        return transcript

    def _tell(self, path: str, reason: str) -> None:
        if path not in self._told:
            self._told.add(path)
            self._on_problem(Problem(Path(path), f"{reason}; what is said there is not known", is_note=True))

    def forget_gone(self, candidates: Mapping[Key, list[str]]) -> None:
        """Forget the files that are gone, or tell of another clip now, and what they said."""
        meant = {(path, digest) for (digest, _), paths in candidates.items() for path in paths}
        for one in self._known.values():
            key = one.digest, one.engine
            path = str(one.path)
            if path in self._found:
                is_stale = (path, one.digest) not in meant
            else:
                is_stale = os.path.dirname(path) in self._folders and not os.path.lexists(path)  # noqa: PTH120
            if is_stale:
                self._gone.append(one)
                if key not in candidates and is_from_sidecar(one.engine):
                    self._forgotten.append(key)

    def commit(self) -> None:
        """Write what has come together."""
        write_transcripts(
            self._catalog,
            self._transcripts,
            forgotten=self._forgotten,
            sidecars=self._sidecars,
            forgotten_sidecars=self._gone,
        )
        self._transcripts, self._sidecars, self._gone, self._forgotten = [], [], [], []
