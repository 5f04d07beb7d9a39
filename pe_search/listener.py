"""What needs no store: a checkpoint that embeds texts and samples, locates and labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from pe_search.directories import cache_directory, expanded
from pe_search.errors import QueryError
from pe_search.model import Model, Wanted
from pe_search.records import Clip, Hearing, Problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pe_search.audio.find import Found
    from pe_search.pe_audio.checkpoint import Checkpoint
    from pe_search.pe_audio.loaded import Loaded
    from pe_search.queries import Hit, Query, Reference, Span, SpanRules, Term, Trace
    from pe_search.reports import Progress
    from pe_search.spans.locating import Locator
    from pe_search.store import Manifest, Store
    from pe_search.tasks.keeping import Keeper

PathLike = str | os.PathLike[str]
Paths = PathLike | Iterable[PathLike]
Texts = str | Iterable[str]
Terms: TypeAlias = "str | Term | Iterable[str | Term]"
References: TypeAlias = "PathLike | Reference | Iterable[PathLike | Reference]"
Loading = Callable[["Checkpoint | None"], AbstractContextManager[None]]
DEVICES = ("auto", "cpu", "cuda", "mps")
DTYPES = ("auto", "float32", "bfloat16", "float16")
OnProgress = Callable[["Progress"], None]
OnProblem = Callable[[Problem], None]


def nothing_around(_checkpoint: object) -> AbstractContextManager[None]:
    """Load with nothing around it."""
    return nullcontext()


def ignore(_event: object) -> None:
    """Do nothing about it."""


def check_patterns(globs: Texts) -> None:
    """Raise a `PatternError` if one of some patterns, as `exclude` takes them, is not valid."""
    from pe_search.audio.exclude import parse_patterns

    parse_patterns(several(globs))


class ListenerOptions(TypedDict, total=False):
    """What a `Listener` takes by name beside what is wanted; see there."""

    frame_model: str | None
    device: str
    dtype: str
    loading: Loading
    on_compile: Callable[[], None]
    loaded: Loaded | None
    on_problem: OnProblem


class Listener:
    """A checkpoint that listens to whatever it is given. A `Library` is one that has a store.

    Nothing is loaded before it is needed. Every method raises a `CheckpointError` if the checkpoint can't be had.
    Nothing is printed.

    What methods have in common: `paths` are folders, which are walked, and files, or what `find` found; `on_progress`
    is called now and then with a `Progress`; `on_problem` is called with each clip that is left out, incomplete or odd,
    and is the listener's own if it is None.

    Args:
        wanted: The checkpoint, and how clips are brought to it.
        frame_model: The checkpoint that finds spans; None for the same, or the facebook/pe-a-frame-* that goes with a
            facebook/pe-av-*.
        device: As in `pe_search.open`.
        dtype: As in `pe_search.open`.
        loading: Makes what a tower is loaded in, given the checkpoint of an audio tower.
        on_compile: Called when a large text tower is about to be compiled, which takes a minute or two, once.
        loaded: Loads the towers of checkpoints, and keeps them; None for one of its own.
        on_problem: Called when something is amiss that need not stop the work.
        directory: Of its store, for what errors say; None if it has none.

    Raises:
        ValueError: If the device or the type is none of those.
    """

    def __init__(
        self,
        wanted: Wanted | None = None,
        *,
        frame_model: str | None = None,
        device: str = "auto",
        dtype: str = "auto",
        loading: Loading = nothing_around,
        on_compile: Callable[[], None] = lambda: None,
        loaded: Loaded | None = None,
        on_problem: OnProblem = ignore,
        directory: Path | None = None,
    ) -> None:
        for name, value, known in (("device", device, DEVICES), ("dtype", dtype, DTYPES)):
            if value not in known:
                raise ValueError(f"{name}={value!r} must be one of {', '.join(known)}")
        self._wanted = wanted or Wanted()
        self._on_problem = on_problem
        self._keepers: dict[Path, Keeper] = {}

        def load() -> Loaded:
            from pe_search.pe_audio.loaded import Loaded

            return loaded or Loaded(cache_directory, device, dtype, loading=loading, on_compile=on_compile)

        self.model = Model(self._manifest, self._wanted, frame_model, load, directory)

    def close(self) -> None:
        """Close its store, if it has one."""

    @property
    def hearing(self) -> Hearing:
        """How clips are brought to the model."""
        manifest = self._manifest()
        return self._wanted.hearing() if manifest is None else manifest.hearing

    @staticmethod
    def has_audio_extension(name: str) -> bool:
        """Whether a file of this name in a folder would be taken for a clip."""
        from pe_search.audio.formats import audio_extensions

        return os.path.splitext(name)[1].lower() in audio_extensions()  # noqa: PTH122 (a name, and no path)

    def find(self, paths: Paths, *, exclude: Texts = (), on_problem: OnProblem | None = None) -> Found:
        """Walk folders for clips, as `index` does.

        Args:
            paths: Folders and files.
            exclude: Patterns of what to pass over in folders, by the rules of .gitignore.
            on_problem: Called with each folder and file that can't be looked at.

        Raises:
            PatternError: If a pattern is not valid.
        """
        from pe_search.audio.exclude import parse_patterns
        from pe_search.audio.find import find_stamps

        excluded = parse_patterns(several(exclude)) if exclude else None
        return find_stamps(list_of(paths), on_problem or self._on_problem, excluded)

    def embed_text(self, texts: Texts) -> NDArray[np.float32]:
        """Texts to embeddings, float32 of shape (texts, dimension).

        They are not normalised: PE Audio ranks by the plain inner product (facebookresearch/perception_models#108).

        Raises:
            QueryError: If there is no text, or one is empty.
        """
        return self.model.text_embedder().embed_texts(texts_of(texts))

    def untaught(self, texts: Texts) -> list[str]:
        """The texts of which the built-in checkpoint was taught no word; none with any other checkpoint.

        Scores of such a text mean nothing.
        """
        return self.model.untaught(several(texts))

    def embed_audio(self, samples: NDArray[Any], sample_rate_hz: float) -> NDArray[np.float32]:
        """Samples, cut into windows as a clip would be, to embeddings: float32 of shape (windows, dimension).

        Args:
            samples: As in `add`.
            sample_rate_hz: Of the samples.

        Raises:
            AudioError: If the samples are no audio.
        """
        from pe_search.tasks.adding import embed_samples

        return embed_samples(samples, sample_rate_hz, Path("samples"), self.model)

    def locate(
        self,
        texts: Texts,
        paths: Paths | Found,
        *,
        then: Texts = (),
        without: Texts = (),
        within_s: float = 5.0,
        rules: SpanRules | None = None,
        on_progress: OnProgress = ignore,
        on_problem: OnProblem | None = None,
    ) -> Iterator[Trace]:
        """Say when each text is heard in clips of any length: for each clip in turn a trace for each text.

        Args:
            texts: What to listen for.
            paths: See above.
            then: Texts that must follow, one after the other.
            without: Texts that must not be heard meanwhile.
            within_s: The longest pause before what must follow.
            rules: How spans are made; None for the usual ones.
            on_progress: See above.
            on_problem: See above.

        Raises:
            QueryError: If there is no text, or one is empty.
        """
        from pe_search.spans.locating import Locator, Question, locate

        question = Question(texts_of(texts), self._rules(rules), several(without), several(then), within_s)
        clips, report = self._clips(paths, on_problem), on_problem or self._on_problem
        if self._are_unreadable(clips, report):
            return iter(())
        locator = Locator(self.model.frame_embedder(), question, hearing=self.hearing)
        return locate(locator, clips, on_progress, report)

    def locator(self, queries: Sequence[Query], rules: SpanRules | None = None) -> Locator:
        """What listens to the windows of hits of some queries, as `Locator.in_hits`."""
        from pe_search.spans.locating import locator_of_queries

        return locator_of_queries(queries, self._rules(rules), self.model.frame_embedder(), self.hearing)

    def label(
        self,
        paths: Paths | Found,
        labels: Texts,
        *,
        on_progress: OnProgress = ignore,
        on_problem: OnProblem | None = None,
    ) -> Iterator[list[Hit]]:
        """Say how well labels fit clips: for each clip in turn a hit for each label, best first.

        What the store has of a clip is used, and the clip is not read again.

        Raises:
            QueryError: If there is no label, or one is empty.
        """
        from pe_search.tasks.labelling import label

        clips, report = self._clips(paths, on_problem), on_problem or self._on_problem
        wanted, held = texts_of(labels), self._held()
        if held is None and self._are_unreadable(clips, report):
            return iter(())
        return label(self.model, held, wanted, clips, report, on_progress)

    def copy(self, path: PathLike, folder: PathLike) -> Path:
        """As `Keeper.copy`, into a folder that is there."""
        return self._keeper(folder).copy(expanded(Path(path)))

    def cut(self, path: PathLike, spans: Iterable[Span], folder: PathLike) -> list[Path]:
        """As `Keeper.cut`, into a folder that is there."""
        return self._keeper(folder).cut(expanded(Path(path)), spans, self.hearing.track)

    def cut_wav(self, path: PathLike, span: Span, file: PathLike) -> None:
        """Cut a span out of a clip as it is brought to the model, slowed down if it is, into a WAV file.

        Raises:
            AudioError: If the clip can't be read.
            OSError: If the file can't be written.
        """
        from pe_search.audio.cut import cut
        from pe_search.audio.read import ClipReader

        with ClipReader(expanded(Path(path)), self.hearing) as reader:
            places = [((span.start_s, span.end_s), expanded(Path(file)))]
            cut(reader, places, "WAV", speed=self.hearing.speed)

    def _are_unreadable(self, clips: Sequence[Clip], on_problem: OnProblem) -> bool:
        """Whether no clip can be opened, so that no model need be loaded; each is reported then."""
        from pe_search.audio.read import all_unreadable

        problems = all_unreadable(clips, self.hearing)
        for problem in problems:
            on_problem(problem)
        return bool(problems)

    def _keeper(self, folder: PathLike) -> Keeper:
        from pe_search.tasks.keeping import Keeper

        place = expanded(Path(folder))
        if place not in self._keepers:
            self._keepers[place] = Keeper(place)
        return self._keepers[place]

    def _manifest(self) -> Manifest | None:
        """What its store was made with, if it has one."""
        return None

    def _held(self) -> Store | None:
        """Its store, if it has one, opened."""
        return None

    def _rules(self, rules: SpanRules | None) -> SpanRules:
        from pe_search.queries import SpanRules

        return rules or SpanRules().at_speed(self.hearing.speed)

    def _clips(self, paths: Paths | Found, on_problem: OnProblem | None) -> list[Clip]:
        from pe_search.audio.find import Found

        return list((paths if isinstance(paths, Found) else self.find(paths, on_problem=on_problem)).clips())


def several(values: Any) -> list[Any]:
    """One value or several, as a list; a text, a path, a term and a reference are one."""
    return [values] if isinstance(values, str) or not isinstance(values, Iterable) else list(values)


def list_of(paths: Paths) -> list[Path]:
    """Paths, with `~` put in full."""
    return [expanded(Path(path)) for path in several(paths)]


def texts_of(texts: Texts) -> list[str]:
    """One text or several, as a list.

    Raises:
        QueryError: If there is none, or one is empty.
    """
    listed: list[str] = several(texts)
    if not listed:
        raise QueryError("There is no text.")
    if not all(text.strip() for text in listed):
        raise QueryError("A text is empty.")
    return listed
