"""A listener that is compared with what a table says is heard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pe_search.directories import expanded
from pe_search.errors import QueryError
from pe_search.listener import Listener, OnProblem, OnProgress, PathLike, ignore
from pe_search.queries import is_word

if TYPE_CHECKING:
    from pe_search.evaluations import Evaluation
    from pe_search.known.annotations import Annotations
    from pe_search.store import Store


class Evaluator(Listener):
    """A listener that says how well it finds what a table says is heard. A `Library` is one, with its store."""

    def evaluate(
        self,
        table: PathLike,
        *,
        audio: PathLike | None = None,
        prompt: str = "{}",
        listens: bool = True,
        drawings: int = 1_000,
        seed: int = 0,
        on_progress: Callable[[float], None] = ignore,
        on_embedding: OnProgress = ignore,
        on_listening: OnProgress = ignore,
        on_problem: OnProblem | None = None,
    ) -> Evaluation:
        """Compare what a table says is heard in clips with what the checkpoint makes of them.

        A library takes the embeddings from its store. Without a store, the clips of the table are embedded, and the
        embeddings are not kept. Clips that the store doesn't hold, or that can't be read, are in `Evaluation.missing`.
        Needs the extra `pe-search[evaluate]`.

        Args:
            table: A file with the columns path and label; path, start, end and label; or path and caption. Also a
                selection table of Raven, or labels of Audacity. Relative paths are in its folder.
            audio: The clip that a table without paths is about.
            prompt: What is asked for a label, which stands in place of `{}`.
            listens: Whether the clips of a table with times are listened to, for the figures of frames and events.
            drawings: How often the recordings are drawn again for the intervals, in a bootstrap; 0 for no intervals.
            seed: Of the drawings.
            on_progress: Called from time to time with the share of the texts that is done, 0 to 1.
            on_embedding: As `on_progress` of `index`, without a store.
            on_listening: As `on_progress` of `locate`.
            on_problem: As in `locate`.

        Raises:
            TableError: If the table can't be used.
            OSError: If it can't be read.
            MissingExtraError: If the extra is not installed.
            QueryError: If the prompt has no `{}`, or a learned word is unknown.
            ValueError: If `drawings` is negative.
        """
        from pe_search.evaluation.extra import need_libraries
        from pe_search.known.annotations import TIMES, read_annotations
        from pe_search.search.searching import RememberingEmbedder

        if drawings < 0:
            raise ValueError(f"drawings={drawings} must be 0 or more")
        annotations = read_annotations(expanded(Path(table)), None if audio is None else expanded(Path(audio)))
        listens = listens and annotations.kind == TIMES
        need_libraries(with_times=listens)
        from pe_search.evaluation.evaluating import ask, evaluate, with_frames

        report, model = on_problem or self._on_problem, self.model
        with self._store_of(annotations, on_embedding, report) as store:
            asked = ask(annotations, store, prompt)
            embedder = RememberingEmbedder(store.remembered_texts, model.text_embedder, model.audio_embedder)
            taught = self._taught_to(store)
            found = evaluate(
                asked, store, embedder, taught=taught, drawings=drawings, seed=seed, on_progress=on_progress
            )
        if not (listens and asked.paths):
            return found
        locate = partial(self.locate, on_progress=on_listening, on_problem=report)
        return with_frames(found, asked, locate, model.frame_s())

    @contextmanager
    def _store_of(self, annotations: Annotations, on_embedding: OnProgress, on_problem: OnProblem) -> Iterator[Store]:
        """A store of the clips of a table, for as long as it is needed."""
        from pe_search.store import Store
        from pe_search.tasks.runs import Job, index_paths

        for label in filter(is_word, annotations.labels):
            raise QueryError(f"{label} is a learned word, which only a store knows; evaluate its store.")
        files = [path for path in dict.fromkeys(row.path for row in annotations.rows) if path.is_file()]
        with TemporaryDirectory(prefix="pe-search-") as folder:
            directory = Path(folder) / "store"
            job = Job((), tuple(files), sidecars=False)
            made = index_paths(directory, self.model, job, on_progress=on_embedding, on_problem=on_problem)
            if made.is_interrupted:
                raise KeyboardInterrupt
            if not directory.exists():
                with Store.create(directory, self.model.new_manifest()):
                    pass
            with Store.open(directory, on_problem=on_problem) as store:
                yield store

    def _taught_to(self, store: Store) -> Sequence[Store]:
        """The stores that have the words that a store is asked for."""
        return (store,)
