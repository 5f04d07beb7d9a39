"""Several stores of one checkpoint, asked as one."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pe_search.directories import shown_store
from pe_search.errors import QueryError, StoreError
from pe_search.library import Library
from pe_search.listener import several
from pe_search.reports import FilterEffect

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Unpack

    from pe_search.evaluations import Evaluation
    from pe_search.listener import ListenerOptions, PathLike, Paths, References
    from pe_search.model import Wanted
    from pe_search.queries import Answer, Filters, Hit, Query, Reference, Request, SpanRules
    from pe_search.records import Clip, Incomplete, IndexedClip, Judgement, LeftOut, Word
    from pe_search.search.searching import TextMemory
    from pe_search.spans.locating import Locator
    from pe_search.store import Store


class Libraries(Library):
    """Several stores of one checkpoint. Queries are put to all of them, and their hits are ranked together.

    `clips`, `filter_effect`, `clip`, `known`, `rows`, `problems`, `window_count`, `count`, `estimate`, `draw` and words
    are of all stores too. What is judged goes into the store that holds the clip, and all judgements count. All else is
    of the first.

    Args:
        directories: The stores', at least one.
        wanted: As in `Library`.
        **options: As in `Listener`.
    """

    def __init__(
        self, directories: Sequence[PathLike], *, wanted: Wanted | None = None, **options: Unpack[ListenerOptions]
    ) -> None:
        super().__init__(directories[0], wanted=wanted, **options)
        self._stores = tuple(Library(directory, wanted=wanted, **options) for directory in directories)
        self._taught_with = self.stores
        for one in self.stores:
            one._taught_with = self.stores
            one.model.load_with(self.model)

    def __repr__(self) -> str:
        return f"Libraries({[shown_store(one.directory) for one in self.stores]!r})"

    @property
    def stores(self) -> tuple[Library, ...]:
        """A library for each."""
        return self._stores

    def open(self) -> Store:
        """The first store; all of them are opened.

        Raises:
            StoreError: If two were made with different checkpoints.
        """
        first = super().open()
        for one in self.stores:
            ours, theirs = first.manifest, one.open().manifest
            if ours.revision != theirs.revision:
                here, there = shown_store(self.directory), shown_store(one.directory)
                raise StoreError(
                    f"The store at {here} was made with {ours.model}, revision {ours.revision}, and the one at {there} "
                    f"with {theirs.model}, revision {theirs.revision}: they can't be asked together."
                )
        return first

    def close(self) -> None:
        """Close all stores. Whatever is done next opens them again."""
        super().close()
        for one in self.stores:
            one.close()

    def is_current(self) -> bool:
        """Whether all stores that are open are those at their places, with nothing committed since."""
        return super().is_current() and all(one.is_current() for one in self.stores)

    def mark(self) -> str:
        """As `Library.mark`, of all stores together."""
        return "-".join(one.mark() for one in self.stores)

    def window_count(self) -> int:
        """How many windows the stores hold; those of a content count once in each."""
        return sum(one.window_count() for one in self.stores)

    def clips(self, under: PathLike | None = None, filters: Filters | None = None) -> Iterator[IndexedClip]:
        """The clips of each store in turn."""
        return chain.from_iterable([one.clips(under, filters) for one in self.stores])

    def filter_effect(self, under: PathLike | None, filters: Filters) -> FilterEffect:
        """As `Library.filter_effect`, of all stores together."""
        effects = [one.filter_effect(under, filters) for one in self.stores]
        alone, unknown = Counter[str](), Counter[str]()
        for effect in effects:
            alone.update(effect.alone)
            unknown.update(effect.unknown)
        clips, passing = sum(effect.clips for effect in effects), sum(effect.passing for effect in effects)
        return FilterEffect(clips, passing, dict(alone), dict(unknown))

    def clip(self, path: PathLike) -> tuple[Clip, bytes] | None:
        """As `Library.clip`, from the first store that holds it."""
        return next((found for one in self.stores if (found := one.clip(path)) is not None), None)

    def known(self, paths: Paths) -> dict[Path, IndexedClip]:
        """As `Library.known`, each from the first store that holds it."""
        wanted = several(paths)
        return {path: clip for one in reversed(self.stores) for path, clip in one.known(wanted).items()}

    def problems(self) -> list[LeftOut | Incomplete]:
        """As `Library.problems`, of each store in turn."""
        return [problem for one in self.stores for problem in one.problems()]

    def answers(
        self, request: Request, *, memory: TextMemory | None = None, check: Callable[[], None] | None = None
    ) -> Iterator[Answer]:
        """As `Library.answers`, with the hits of all stores ranked together.

        Raises:
            QueryError: If the request has an `fdr`, which compares hits with what else is in one store.
        """
        from pe_search.search.merging import merge_answers

        self.open()
        if request.fdr is not None:
            raise QueryError("fdr compares hits with the rest of one store, and can't be used with several stores.")
        part = self.part_of(request)
        return merge_answers([one.answers(part, memory=memory, check=check) for one in self.stores], request, self)

    def part_of(self, request: Request) -> Request:
        """What each store is asked, so that the answers can be merged."""
        return replace(request, is_part=True)

    def merged(self, found: Sequence[Iterator[Sequence[Hit]]], request: Request) -> Iterator[Sequence[Hit]]:
        """The hits of each query in turn, of what each of the stores has for it."""
        from pe_search.search.merging import merge_hits

        return (merge_hits(hits, request, self) for hits in zip(*found, strict=True))

    def locator(self, queries: Sequence[Query], rules: SpanRules | None = None) -> Locator:
        """As `Library.locator`.

        Raises:
            StoreError: If clips are not brought to the model in the same way in all stores.
        """
        for one in self.stores:
            if one.hearing != self.hearing:
                here, there = shown_store(self.directory), shown_store(one.directory)
                raise StoreError(
                    f"The stores at {here} and {there} were made with another --level, --speed or "
                    "--track: they can't be asked for spans together."
                )
        return super().locator(queries, rules)

    def _all_held(self) -> tuple[Store, ...]:
        return tuple(one.open() for one in self.stores)

    def hit_counts(self, request: Request) -> list[int]:
        """As `Library.hit_counts`."""
        return [len(answer.hits) for answer in self.answers(replace(request, k=None))]

    def word_counts(self, request: Request) -> dict[str, int]:
        """As `Library.word_counts`, of all stores together."""
        counts = Counter[str]()
        for one in self.stores:
            counts.update(one.word_counts(request))
        return dict(counts)

    def learn(
        self,
        word: str,
        *,
        text: str | None = None,
        yes: References = (),
        no: References = (),
        unsure: References = (),
    ) -> Word:
        """As `Library.learn`. Each clip is judged in the first store that holds it; the text goes into the first."""
        judged: dict[Library, dict[str, list[PathLike | Reference]]] = {}
        for verdict, references in {"yes": yes, "no": no, "unsure": unsure}.items():
            for one in several(references):
                # What none holds is refused by the first store, before anything is kept.
                path = one if isinstance(one, str | os.PathLike) else one.path
                judged.setdefault(self._holder_of(path), {}).setdefault(verdict, []).append(one)
        if text is not None or not judged:
            judged = {self.stores[0]: {}} | judged
        for library in sorted(judged, key=self.stores.index):
            library.learn(word, text=text if library is self.stores[0] else None, **judged[library])
        return next(one for one in self.words() if one.word == word)

    def judge(self, word: str, place: Hit | tuple[PathLike, float, float], verdict: str) -> Word:
        """As `Library.judge`, in the first store that holds the clip."""
        library = self._holder_of(place[0] if isinstance(place, tuple) else place.path)
        library.judge(word, place, verdict)
        return next(one for one in self.words() if one.word == word)

    def take_judgements(self, judgements: Iterable[Judgement], texts: Mapping[str, str] = MappingProxyType({})) -> None:
        """As `Library.take_judgements`, each in the first store that holds its clip, or else in the first."""
        shared: dict[Library, list[Judgement]] = {self.stores[0]: []}
        for judged in judgements:
            held = (one for one in self.stores if one.paths_of(judged.digest))
            shared.setdefault(next(held, self.stores[0]), []).append(judged)
        for library, those in shared.items():
            library.take_judgements(those, texts if library is self.stores[0] else {})

    def words(self) -> list[Word]:
        """As `Library.words`, of all stores together."""
        from pe_search.tasks.teaching import words_in

        return words_in(self._taught())

    def judgements(self, word: str | None = None) -> list[Judgement]:
        """As `Library.judgements`, of all stores; of one stretch, the latest."""
        from pe_search.search.learned import judgements_of

        return judgements_of(self._taught(), word)

    def paths_of(self, digest: bytes) -> list[Path]:
        """As `Library.paths_of`, of each store in turn."""
        return [path for one in self.stores for path in one.open().catalog.paths_of(digest)]

    def forget(self, word: str) -> Word:
        """As `Library.forget`, in all stores."""
        stands = next((one for one in self.words() if one.word == word), None)
        if stands is None:
            raise QueryError(f"{word} was not taught to any of the stores.")
        for library in self.stores:
            if any(one.word == word for one in Library.words(library)):
                library.forget(word)
        return stands

    def evaluations(self, table: PathLike, **options: Any) -> list[Evaluation]:
        """The `evaluate` of each store in turn, with the words of all of them.

        Args:
            table: As in `evaluate`.
            **options: Likewise.
        """
        return [one.evaluate(table, **options) for one in self.stores]

    def _holder_of(self, path: PathLike) -> Library:
        return next((one for one in self.stores if one.clip(path) is not None), self.stores[0])
