"""A store that can be taught words: what is judged is kept, and queries learn from it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from pe_search.holder import Holder
from pe_search.listener import PathLike, References, several
from pe_search.records import Judgement, Word

if TYPE_CHECKING:
    from pe_search.evaluations import Estimate
    from pe_search.queries import Answer, Filters, Hit, Reference, Request
    from pe_search.search.aims import QueryEmbedder
    from pe_search.store import Store
    from pe_search.tasks.spreading import Population


class Teacher(Holder):
    """A holder that can be taught words. A `Library` is one.

    Every method that is given a word or a text raises `QueryError` if it makes no sense.
    """

    # Those whose words and judgements count together; none if there is no other.
    _taught_with: Sequence[Teacher] = ()

    def answers(self, request: Request) -> Iterator[Answer]:
        """Yield the answer to each query of a request."""
        raise NotImplementedError

    def learn(
        self,
        word: str,
        *,
        text: str | None = None,
        yes: References = (),
        no: References = (),
        unsure: References = (),
    ) -> Word:
        """Teach the store a word, such as `@mybird`, which queries, labels and counts then take as a text.

        What is kept is what was judged, by the bytes of the clips: judgements outlive moves and another checkpoint. A
        later judgement of the same stretch takes the place of an earlier one.

        Args:
            word: `@`, and letters, digits, `_`, `-` and dots.
            text: What it starts from. None leaves that as it is.
            yes: Clips of the store, or parts of them, that have it. A clip without a part is all its windows.
            no: Likewise, that don't have it.
            unsure: Likewise, of which that can't be told. They teach nothing, and are kept.

        Returns:
            How the word stands.

        Raises:
            QueryError: If it can't be a word, there is nothing to teach, or the arguments contradict each other.
            AudioError: If the store does not hold a clip as it is on disk, or a part lies beyond its end.
        """
        from pe_search.tasks.teaching import teach

        judged = {"yes": _references(yes), "no": _references(no), "unsure": _references(unsure)}
        with self._writer() as writer:
            return teach(writer, word, text, judged)

    def judge(self, word: str, place: Hit | tuple[PathLike, float, float], verdict: str) -> Word:
        """Judge one hit, or one stretch of a clip, for a word.

        Args:
            word: As in `learn`. A new one starts without a text.
            place: A hit; or a path, and from when to when in seconds.
            verdict: `yes`, `no` or `unsure`.

        Returns:
            How the word stands.

        Raises:
            QueryError: As `learn`, or if there is no such verdict.
            AudioError: As `learn`.
        """
        from pe_search.queries import Reference
        from pe_search.tasks.teaching import teach

        path, *times = place if isinstance(place, tuple) else (place.path, place.start_s, place.end_s)
        with self._writer() as writer:
            return teach(writer, word, None, {verdict: [Reference(Path(path), (times[0], times[1]))]})

    def take_judgements(self, judgements: Iterable[Judgement], texts: Mapping[str, str] = MappingProxyType({})) -> None:
        """Keep judgements that `judgements` returned, here or elsewhere, each in place of one of the same stretch.

        Args:
            judgements: Of any words.
            texts: What words start from, by the word; those of other words stay.

        Raises:
            QueryError: If one is not valid.
        """
        from pe_search.tasks.teaching import take_judgements

        with self._writer() as writer:
            take_judgements(writer, list(judgements), texts)

    def words(self) -> list[Word]:
        """The words that the store was taught, in order, and how each stands."""
        from pe_search.tasks.teaching import words

        return words(self.open())

    def judgements(self, word: str | None = None) -> list[Judgement]:
        """What was judged, for one word or for all, in order of word, digest and time."""
        from pe_search.store.judgements import read_judgements

        return read_judgements(self.open().catalog, word)

    def paths_of(self, digest: bytes) -> list[Path]:
        """The clips of the store whose bytes have a digest, in order of path."""
        return self.open().catalog.paths_of(digest)

    def forget(self, word: str) -> Word:
        """Forget a word with all that was judged for it, and return how it stood.

        Raises:
            QueryError: If the store has no such word.
        """
        from pe_search.tasks.teaching import forget

        with self._writer() as writer:
            return forget(writer, word)

    def to_judge(
        self,
        word: str,
        text: str = "",
        *,
        under: PathLike | None = None,
        filters: Filters | None = None,
        skipped: Collection[Hit] = (),
    ) -> Hit | None:
        """Return the window that is to be judged next for a word; None if there is none left.

        First the three that are surest, then in turn the one nearest even odds, whose judgement teaches most, and the
        surest. What overlaps by more than half with what was judged is not asked for again. The result depends on the
        store, the word and what was judged alone.

        Args:
            word: What is judged; its hits are gone through if the store knows it.
            text: Whose hits are gone through if not.
            under: See above.
            filters: Which clips and windows to go through.
            skipped: Hits that are passed over.

        Raises:
            QueryError: If the store does not know the word, and there is no text.
        """
        from pe_search.queries import Filters, Query, Request
        from pe_search.tasks.judging import MOST_HITS, next_to_judge

        known = {one.word: one for one in self.words()}.get(word)
        starts = text if known is None or not (known.yes or known.no or known.text) else word
        judged = self.judgements(word)
        below = self.open().below(under)
        query = Query(texts=(starts or word,))
        request = Request((query,), k=MOST_HITS, under=below, filters=filters or Filters(), all_windows=True)
        (answer,) = self.answers(request)
        return next_to_judge(answer.hits, judged, self.paths_of, skipped)

    def draw(
        self, word: str, text: str = "", *, k: int = 36, under: PathLike | None = None, filters: Filters | None = None
    ) -> list[Hit]:
        """Return the windows that are to be judged next for `estimate`, drawn evenly over the range of scores.

        The highest scores come first, then in turn one of each lower range. What was judged is not drawn again.

        Args:
            word: What is judged.
            text: By whose scores they are drawn, if the word has no text yet.
            k: How many.
            under: See above.
            filters: Which clips and windows to draw from.

        Raises:
            QueryError: If there is no text, or no window.
        """
        return self._population(word, text, under, filters).draw(k)

    def estimate(self, word: str, *, under: PathLike | None = None, filters: Filters | None = None) -> list[Estimate]:
        """Estimate how many windows have the sound of a word, from judgements of the windows that `draw` returns.

        Navine et al., "All thresholds barred" (2024): each range of scores counts by the share of yes in it.

        Args:
            word: With a text.
            under: As for `draw`.
            filters: As for `draw`.

        Returns:
            For the windows that score highest, then for more and more of them, and last for all windows.

        Raises:
            QueryError: As `draw`, or if too little was judged.
        """
        return self._population(word, "", under, filters).estimates(word)

    def _population(self, word: str, text: str, under: PathLike | None, filters: Filters | None) -> Population:
        from pe_search.tasks.spreading import population

        stores = self._taught()
        return population(stores, word, text, self._embedder(), under=stores[0].below(under), filters=filters)

    def _taught(self) -> Sequence[Store]:
        """The stores that have its words."""
        return tuple(one.open() for one in self._taught_with) or (self.open(),)

    def _embedder(self) -> QueryEmbedder:
        """What embeds the parts of queries."""
        raise NotImplementedError


def _references(given: References) -> list[Reference]:
    from pe_search.queries import Reference

    return [one if isinstance(one, Reference) else Reference(Path(one)) for one in several(given)]
