"""A store whose clips can be looked at and played: what a page, an editor or a notebook shows of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pe_search.errors import AudioError
from pe_search.holder import Holder
from pe_search.listener import PathLike
from pe_search.places import is_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from pe_search.maps import SoundMap
    from pe_search.records import IndexedClip

MOST_COLUMNS = 4_000
LONGEST_PART_S = 600.0
"""As it is played: what a spectrogram, or a part that is made playable, is made of at most."""


class Viewer(Holder):
    """A holder whose clips can be looked at and played. A `Library` is one.

    Times are seconds of the file; a store with a speed plays, and draws, what the model hears. Pictures and playable
    parts are kept in the store's folder `previews`, up to 256 MB. Every method that is given a clip raises `AudioError`
    if it is gone, has changed since it was indexed, or can't be read.
    """

    def clip_of(self, digest: bytes) -> IndexedClip | None:
        """The first clip of some bytes whose file is there, else the first; None if the store has none."""
        known = self.known(self.open().catalog.paths_of(digest))
        return next((clip for clip in known.values() if not clip.is_gone()), next(iter(known.values()), None))

    def peaks(
        self, path: PathLike, *, start_s: float = 0.0, end_s: float | None = None, columns: int = 600
    ) -> NDArray[np.int8]:
        """The waveform of a clip, or a part of it: the lowest and the highest sample of each column.

        Args:
            path: The clip.
            start_s: Of the part.
            end_s: Of the part; None for the end of the clip.
            columns: How many, at most 4,000.

        Returns:
            int8 of shape (columns, 2), where 127 is full scale.

        Raises:
            ValueError: If there is no such part, or there are too many columns.
        """
        import numpy as np

        from pe_search.audio.previews import peaks_of_file

        clip = self._unchanged(path)
        start_s, end_s = _within(clip, start_s, end_s, columns)
        kept = self._kept("peaks", clip, start_s, end_s, columns)
        if kept is None or len(kept) != 2 * columns:
            found = peaks_of_file(clip.path, self.manifest.hearing, start_s, end_s, clip.duration_s, columns)
            kept = found.tobytes()
            self._keep(kept, "peaks", clip, start_s, end_s, columns)
        return np.frombuffer(kept, np.int8).reshape(columns, 2)

    def spectrogram(
        self, path: PathLike, *, start_s: float = 0.0, end_s: float | None = None, columns: int = 600
    ) -> NDArray[np.uint8]:
        """The spectrogram of a clip, or of a part that plays for at most 10 minutes.

        Args:
            path: The clip.
            start_s: Of the part.
            end_s: Of the part; None for the end of the clip.
            columns: How many, at most 4,000.

        Returns:
            uint8 of shape (columns, 128): 255 is the loudest, and 0 is 80 dB below it or less. Rows are as far from
            each other in mel, from 30 Hz up to `highest_hz`, both as heard.

        Raises:
            ValueError: If there is no such part, it is too long, or there are too many columns.
        """
        import numpy as np

        from pe_search.audio.previews import SPECTROGRAM_ROWS, spectrogram

        clip = self._unchanged(path)
        start_s, end_s = _within(clip, start_s, end_s, columns)
        kept = self._kept("spectrogram", clip, start_s, end_s, columns)
        if kept is None or len(kept) != columns * SPECTROGRAM_ROWS:
            samples = self._samples(clip, start_s, end_s)
            kept = spectrogram(samples, columns, self.highest_hz(clip)).tobytes()
            self._keep(kept, "spectrogram", clip, start_s, end_s, columns)
        return np.frombuffer(kept, np.uint8).reshape(columns, SPECTROGRAM_ROWS)

    def highest_hz(self, clip: IndexedClip) -> float:
        """The highest frequency that a clip has, as it is heard: at most 24 kHz."""
        rate_hz = clip.facts.sample_rate_hz or 48_000
        return max(min(24_000.0, rate_hz * self.manifest.hearing.speed / 2), 100.0)

    def browser_type(self, path: PathLike) -> str | None:
        """The media type of a clip whose file any browser plays as it is; None for one of which parts must be made."""
        from pe_search.audio.files import open_clip
        from pe_search.audio.previews import browser_type, is_beyond_floats
        from pe_search.tasks.describing import clip_of_file

        clip = self._unchanged(path)
        hearing = self.manifest.hearing
        facts = clip.facts if clip.facts.codec else clip_of_file(clip.path, hearing).facts
        with open_clip(clip.path) as file:
            found = browser_type(file.read(12), facts, hearing, clip.duration_s or 0.0)
        return None if found == "audio/wav" and is_beyond_floats(clip.path) else found

    def playable(self, path: PathLike, start_s: float, end_s: float, *, original: bool = False) -> bytes:
        """A part of a clip as a WAV file that any browser plays: 48 kHz mono, at the speed of the store.

        Args:
            path: The clip.
            start_s: Of the part.
            end_s: Of the part, which plays for at most 10 minutes.
            original: Whether to make it at the speed of the file instead.

        Raises:
            ValueError: If there is no such part, or it is too long.
        """
        from pe_search.audio.previews import wave_file

        clip = self._unchanged(path)
        start_s, end_s = _within(clip, start_s, end_s, 1)
        kind = "wav original" if original and self.manifest.hearing.speed != 1 else "wav"
        kept = self._kept(kind, clip, start_s, end_s)
        if kept is None:
            kept = wave_file(self._samples(clip, start_s, end_s, original=original))
            self._keep(kept, kind, clip, start_s, end_s)
        return kept

    def gain_db(self, path: PathLike, start_s: float, end_s: float) -> float:
        """By how many decibels a window of a clip is made louder for the model; 0 in a store with the level `none`.

        Args:
            path: The clip.
            start_s: Of the window.
            end_s: Of the window, which plays for at most 10 minutes.

        Raises:
            ValueError: If there is no such part, or it is too long.
        """
        from pe_search.audio.level import gain_db

        clip = self._unchanged(path)
        level = self.manifest.hearing.level
        if level == "none":
            return 0.0
        samples = self._samples(clip, *_within(clip, start_s, end_s, 1))
        return gain_db(samples, level) if len(samples) else 0.0

    def sound_map(self, *, of: str = "clips", layout: str = "pca") -> SoundMap:
        """All clips or windows in the plane, as dots: what sounds alike lies close.

        A map by PaCMAP keeps neighbours together. It is made in another process, takes seconds to minutes, and is kept
        in `previews` until a tenth of the dots is new or gone. It needs the extra `pe-search[map]`. A store with fewer
        than 30 dots has none, and is shown by principal components.

        Args:
            of: `clips`, each by the mean of its windows, or `windows`, of which at most 100,000 are drawn.
            layout: `pca` for principal components, or `pacmap`.

        Raises:
            ValueError: If `of` or `layout` is unknown.
            MissingExtraError: If the extra is not installed.
            PeSearchError: If PaCMAP fails, or takes longer than 10 minutes.
        """
        from pe_search.maps import LAYOUTS
        from pe_search.search.mapping import map_sounds

        if layout not in LAYOUTS:
            raise ValueError(f"layout={layout!r} must be one of {', '.join(LAYOUTS)}")
        held = map_sounds(self.open(), of)
        return held if layout == "pca" else self.laid_out(held) or held

    def laid_out(
        self, held: SoundMap, *, only_kept: bool = False, check: Callable[[], None] = lambda: None
    ) -> SoundMap | None:
        """A map of this store as PaCMAP lays it out: as it was kept, or made anew and kept. None if there is none.

        Args:
            held: The map by principal components.
            only_kept: Whether to return None if it would have to be made.
            check: Called several times a second. What it raises ends the work.

        Raises:
            MissingExtraError, PeSearchError: As `sound_map`.
        """
        from pe_search.search.layout import from_kept, is_enough, lay_out
        from pe_search.store.previews import Previews

        if not is_enough(held):
            return None
        previews, key = Previews(self.directory), ("pacmap", held.of, self.manifest.revision)
        kept = previews.get(key)
        found = None if kept is None else from_kept(held, kept, check)
        if found is None and not only_kept:
            made = lay_out(held, check)
            previews.put(key, made)
            found = from_kept(held, made)
        return found

    def outliers(self, limit: int = 100) -> list[tuple[Path, float]]:
        """The clips that are least like their neighbours, each with its mean cosine to the 10 that are most like it.

        In a store of more than 20,000 clips, each is compared with 20,000 of them, always the same ones.

        Args:
            limit: How many, the least like first.
        """
        from pe_search.search.mapping import likeness_to_neighbours, map_sounds

        held = map_sounds(self.open())
        likeness = likeness_to_neighbours(held.means)
        return [(held.paths[row], float(likeness[row])) for row in likeness.argsort(kind="stable")[:limit].tolist()]

    def _samples(
        self, clip: IndexedClip, start_s: float, end_s: float, *, original: bool = False
    ) -> NDArray[np.float32]:
        import numpy as np

        from pe_search.audio.previews import part

        hearing = self.manifest.hearing
        if original:
            hearing = replace(hearing, speed=1.0)
        if (end_s - start_s) / hearing.speed > LONGEST_PART_S + 1:
            raise ValueError(f"the part plays for more than {LONGEST_PART_S:g} s")
        blocks: Iterator[NDArray[np.float32]] = part(clip.path, hearing, start_s, end_s, clip.duration_s)
        return np.concatenate([np.empty(0, np.float32), *blocks])

    def _unchanged(self, path: PathLike) -> IndexedClip:
        """A clip whose file is as it was indexed, by its size and the time of its last change."""
        place = self.open().clip_at(path)
        clip = self.known(place).get(place)
        if clip is None:
            raise AudioError(place, "is not in the store")
        if is_name(place):
            raise AudioError(place, "is a name and not a file; it can't be played or drawn")
        from pe_search.audio.files import looks_unchanged

        if not looks_unchanged(place, clip.size_bytes, clip.modified_ns):
            raise AudioError(place, "has changed since it was indexed; index it again")
        return clip

    def _kept(self, kind: str, clip: IndexedClip, *part: float) -> bytes | None:
        from pe_search.store.previews import Previews

        return Previews(self.directory).get(self._key(kind, clip, part))

    def _keep(self, made: bytes, kind: str, clip: IndexedClip, *part: float) -> None:
        from pe_search.store.previews import Previews

        Previews(self.directory).put(self._key(kind, clip, part), made)

    def _key(self, kind: str, clip: IndexedClip, part: tuple[float, ...]) -> tuple[object, ...]:
        hearing = self.manifest.hearing
        return kind, clip.digest.hex(), hearing.speed, hearing.track, part


def _within(clip: IndexedClip, start_s: float, end_s: float | None, columns: int) -> tuple[float, float]:
    """A part that lies in a clip."""
    length_s = clip.duration_s or 0.0
    end_s = length_s if end_s is None else min(end_s, length_s)
    if not 0 <= start_s < end_s:
        raise ValueError(f"there is nothing from {start_s:g} s to {end_s:g} s in {Path(clip.path)}")
    if not 1 <= columns <= MOST_COLUMNS:
        raise ValueError(f"columns={columns} must be 1 to {MOST_COLUMNS}")
    return round(start_s, 3), max(round(end_s, 3), round(start_s, 3) + 0.001)
