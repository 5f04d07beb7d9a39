"""Which clips and windows of a catalog pass filters, one clip after the other, and what each filter leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pe_search.known.filters import check_filters, each_alone, is_at, is_whole_in, lacking, local_s, takes
from pe_search.queries import Filters
from pe_search.records import Content, IndexedClip
from pe_search.reports import FilterEffect
from pe_search.store.catalog import Catalog
from pe_search.store.listing import indexed_clips
from pe_search.store.windows import starts_of


class Passing:
    """What filters leave of the clips of a catalog.

    Args:
        catalog: The store's.
        filters: The filters.

    Raises:
        QueryError: If one is not valid.
    """

    def __init__(self, catalog: Catalog, filters: Filters) -> None:
        check_filters(filters)
        self._catalog = catalog
        self._filters = filters
        self._of_clips = replace(filters, recorded=None, hours=None)

    def takes(self, clip: IndexedClip) -> bool:
        """Whether a window of a clip passes."""
        return self.windows(clip) > 0

    def windows(self, clip: IndexedClip) -> int:
        """How many windows of a clip pass."""
        if not takes(self._of_clips, clip):
            return 0
        recorded_s = local_s(clip.recorded_at)
        if self._filters.has_time and recorded_s is None:
            return 0
        if recorded_s is None or is_whole_in(self._filters, recorded_s, clip.duration_s or 0.0):
            return clip.windows
        with self._catalog.reading() as db:
            return sum(is_at(self._filters, recorded_s, start_s) for start_s in starts_of(db, clip.digest))

    def cut(self, clip: IndexedClip, content: Content) -> Content:
        """The content of a clip that passes, with only those windows that do."""
        recorded_s = local_s(clip.recorded_at)
        rows = [row for row, (start_s, _) in enumerate(content.times) if is_at(self._filters, recorded_s, start_s)]
        return replace(content, times=[content.times[row] for row in rows], embeddings=content.embeddings[rows])


def passing(catalog: Catalog, filters: Filters | None) -> Callable[[IndexedClip], bool]:
    """What tells whether a clip passes; all do without filters."""
    return Passing(catalog, filters).takes if filters else lambda _clip: True


def filter_effect(catalog: Catalog, under: Path | None, filters: Filters) -> FilterEffect:
    """What filters leave of the clips at or below a path, or of all, each filter by itself and all together.

    Raises:
        StoreError: If the catalog is damaged.
    """
    alone = {field: Passing(catalog, one) for field, one in each_alone(filters).items()}
    together = Passing(catalog, filters)
    passed, unknown = Counter(dict.fromkeys(alone, 0)), Counter[str]()
    clips = taken = 0
    for clip in indexed_clips(catalog, under):
        clips += 1
        fits = [field for field, one in alone.items() if one.takes(clip)]
        passed.update(fits)
        unknown.update(lacking(filters, clip))
        taken += len(fits) == len(alone) and together.takes(clip)
    return FilterEffect(clips, taken, dict(passed), dict(unknown))
