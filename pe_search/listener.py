"""What needs no store: a checkpoint that embeds texts and samples, locates and labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from pe_search.directories import absolute, cache_directory, expanded
from pe_search.errors import QueryError, quoted
from pe_search.model import Model, Wanted
from pe_search.records import Clip, Hearing, Problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pe_search.audio.find import Found
    from pe_search.known.fields import Field
    from pe_search.pe_audio.checkpoint import Checkpoint
    from pe_search.pe_audio.loaded import Loaded
    from pe_search.queries import Filters, Hit, Query, Reference, Span, SpanRules, Term, Trace
    from pe_search.records import IndexedClip
    from pe_search.reports import FilterEffect, Progress
    from pe_search.spans.locating import Locator
    from pe_search.store import Manifest, Store
    from pe_search.tasks.describing import Describer
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
    """Raise a `PatternError` if a pattern for `exclude` is not valid."""
    from pe_search.audio.exclude import parse_patterns

    parse_patterns(several(globs))


def check_words(words: str, name: str, *, beside_sound: bool) -> None:
    """As `words.check_words`."""
    from pe_search.known import words as reading

    reading.check_words(words, name, beside_sound=beside_sound)


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
    """A checkpoint without a store. A `Library` is a listener with a store.

    Nothing is loaded before it is needed, and nothing is printed. Every method raises `CheckpointError` if the
    checkpoint can't be loaded.

    Arguments that several methods have: `paths` are folders and files, or what `find` returned. `on_progress` is called
    from time to time with a `Progress`. `on_problem` is called with each clip that is left out, incomplete or odd; None
    means that of the listener.

    Args:
        wanted: The checkpoint, and how it gets the sound of clips.
        frame_model: The checkpoint that finds spans. None means the same one, or for facebook/pe-av-* the
            facebook/pe-a-frame-* of the same size.
        device: As in `pe_search.open`.
        dtype: As in `pe_search.open`.
        loading: Returns the context in which a tower is loaded, for the checkpoint of an audio tower.
        on_compile: Called before a large text tower is compiled. This takes one or two minutes, once.
        loaded: Loads the towers of checkpoints and keeps them; None for a new one.
        on_problem: Called with each problem that does not stop the work.
        directory: The folder of its store, for error messages; None without a store.

    Raises:
        ValueError: If the device or the type is unknown.
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
                raise ValueError(f"{name}={quoted(value)} must be one of {', '.join(known)}")
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
        """Whether a file of this name has the extension of a clip."""
        from pe_search.audio.formats import audio_extensions

        return os.path.splitext(name)[1].lower() in audio_extensions()  # noqa: PTH122 (a name, and no path)

    def find(self, paths: Paths, *, exclude: Texts = (), on_problem: OnProblem | None = None) -> Found:
        """Find the clips in folders, as `index` does.

        Args:
            paths: Folders and files.
            exclude: Patterns of what to skip in folders, by the rules of .gitignore.
            on_problem: Called with each folder and file that can't be opened.

        Raises:
            PatternError: If a pattern is not valid.
        """
        from pe_search.audio.exclude import parse_patterns
        from pe_search.audio.find import find_stamps

        excluded = parse_patterns(several(exclude)) if exclude else None
        return find_stamps(list_of(paths), on_problem or self._on_problem, excluded)

    def embed_text(self, texts: Texts) -> NDArray[np.float32]:
        """Embed texts. Returns float32 of shape (texts, dimension).

        They are not normalised: PE Audio ranks by the plain inner product (facebookresearch/perception_models#108).

        Raises:
            QueryError: If there is no text, or one is empty.
        """
        return self.model.text_embedder().embed_texts(texts_of(texts))

    def untaught(self, texts: Texts) -> list[str]:
        """Return the texts of which the built-in checkpoint was taught no word. Their scores mean nothing.

        With another checkpoint none are returned, because its words are not known.
        """
        return self.model.untaught(several(texts))

    def embed_audio(self, samples: NDArray[Any], sample_rate_hz: float) -> NDArray[np.float32]:
        """Embed samples, cut into windows like a clip. Returns float32 of shape (windows, dimension).

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
        """Find when each text is heard in clips of any length. Yields a trace for each text of each clip.

        Args:
            texts: What to listen for.
            paths: See above.
            then: Texts that must follow, one after another.
            without: Texts that must not be heard at the same time.
            within_s: The longest pause before each text of `then`, in seconds.
            rules: How spans are made. None means the default rules.
            on_progress: See above.
            on_problem: See above.

        Raises:
            QueryError: If there is no text, one is empty, or one is a word that is taught.
        """
        from pe_search.spans.locating import Locator, Question, locate

        question = Question(texts_of(texts), self._rules(rules), several(without), several(then), within_s)
        clips, report = self._clips(paths, on_problem), on_problem or self._on_problem
        if self._are_unreadable(clips, report):
            return iter(())
        locator = Locator(self.model.frame_embedder(), question, hearing=self.hearing)
        return locate(locator, clips, on_progress, report)

    def locator(self, queries: Sequence[Query], rules: SpanRules | None = None) -> Locator:
        """Return a `Locator`, whose `in_hits` finds spans in the hits of some queries."""
        from pe_search.spans.locating import locator_of_queries

        return locator_of_queries(queries, self._rules(rules), self.model.frame_embedder(), self.hearing)

    def label(
        self,
        paths: Paths | Found,
        labels: Texts,
        *,
        all_windows: bool = False,
        filters: Filters | None = None,
        on_filtered: Callable[[FilterEffect], None] = ignore,
        on_progress: OnProgress = ignore,
        on_problem: OnProblem | None = None,
    ) -> Iterator[list[Hit]]:
        """Find how well labels fit clips. Yields for each clip a hit for each label, best first.

        Embeddings that the store has are used, and these clips are not read again.

        Args:
            paths: See above.
            labels: Texts, each judged by itself.
            all_windows: Whether to yield this for each window instead, in order of time, as soon as it is embedded. A
                clip that can't be read beyond some place may have given windows by then.
            filters: Which of the clips and windows are judged. A clip that the store does not hold as it is passes by
                what its header says; it has no loudness and no tags.
            on_filtered: Called once, before the first clip, with what the filters leave of the clips.
            on_progress: See above.
            on_problem: See above.

        Raises:
            QueryError: If there is no label, or one is empty.
        """
        from pe_search.tasks.labelling import label

        clips, report = self._clips(paths, on_problem), on_problem or self._on_problem
        wanted, held = texts_of(labels), self._held()
        has: Callable[[Path, float], bool] = lambda _path, _start_s: True  # noqa: E731
        if filters:
            from pe_search.tasks.filtering import filter_files

            passed = filter_files(clips, filters, held, self.hearing, report)
            on_filtered(passed.effect)
            clips, has = passed.clips, passed.has
        if not clips or (held is None and self._are_unreadable(clips, report)):
            return iter(())
        return label(self.model, self._all_held(), wanted, clips, report, on_progress, has, all_windows=all_windows)

    def rows(self, found: Iterable[Hit | IndexedClip], fields: Texts) -> Iterator[dict[str, Any]]:
        """Yield a row for each of some hits, labels or clips: the values of some fields by name, as JSON has them.

        Clips that no store holds are described by their files.

        Args:
            found: What `query`, `label` or `clips` returned.
            fields: Names of `pe_search.known.fields.FIELDS`: `["path", "at", "tags"]`. What is not known is None.

        Raises:
            ValueError: If a field is unknown or named twice.
        """
        from pe_search.known.fields import FIELDS, named

        return self.describer(named(several(fields), FIELDS)).rows(found)

    def describer(self, fields: Sequence[Field], *, are_of_files: bool = False) -> Describer:
        """Return what makes rows of hits and clips; see `Describer`."""
        from pe_search.tasks.describing import Describer

        return Describer(fields, self._all_held(), self.hearing, are_of_files=are_of_files)

    def describe(self, path: PathLike) -> IndexedClip:
        """What a file says of itself, of which only the header is read.

        Raises:
            AudioError: If the file can't be opened as audio.
        """
        from pe_search.tasks.describing import clip_of_file

        return clip_of_file(expanded(Path(path)), self.hearing)

    def copy(self, path: PathLike, folder: PathLike) -> Path:
        """Copy a clip into an existing folder, as `Keeper.copy`."""
        return self._keeper(folder).copy(expanded(Path(path)))

    def cut(self, path: PathLike, spans: Iterable[Span | Hit], folder: PathLike) -> list[Path]:
        """Cut spans of a clip, or hits, into FLAC files in an existing folder, as `Keeper.cut`."""
        zones = (store.zone_of(absolute(path)) for store in self._all_held())
        zone = next((zone for zone in zones if zone is not None), None)
        return self._keeper(folder).cut(expanded(Path(path)), spans, self.hearing.track, zone)

    def cut_wav(self, path: PathLike, span: Span | Hit, file: PathLike) -> None:
        """Write a span of a clip, or a hit, into a WAV file, slowed down if the listener slows clips down.

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

    def _all_held(self) -> Sequence[Store]:
        """All stores that it has, opened."""
        return () if (held := self._held()) is None else (held,)

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
        QueryError: If there is none, or one is empty or not Unicode.
    """
    from pe_search.known.words import check_text

    if not (listed := several(texts)):
        raise QueryError("There is no text.")
    for text in listed:
        check_text(text)
    return listed
