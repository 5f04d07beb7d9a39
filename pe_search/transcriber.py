"""A listener that can write down what is said."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Unpack

from pe_search.listener import Listener, ListenerOptions, OnProblem, OnProgress, Paths, ignore
from pe_search.places import is_name
from pe_search.records import Transcribed

if TYPE_CHECKING:
    from pe_search.audio.find import Found
    from pe_search.model import Wanted
    from pe_search.speech.recogniser import Recogniser
    from pe_search.store import Store


class Transcriber(Listener):
    """A listener that can write down what is said. A `Library` is one, with a store that keeps it."""

    def __init__(
        self, wanted: Wanted | None = None, *, directory: Path | None = None, **options: Unpack[ListenerOptions]
    ) -> None:
        super().__init__(wanted, directory=directory, **options)
        self._recognises_on = (options.get("device", "auto"), options.get("dtype", "auto"))

    def open_recogniser(
        self, speech_model: str | None = None, *, language: str | None = None, translate: bool = False
    ) -> Recogniser:
        """Find and load a recogniser, as `transcribe` has it. The Hugging Face hub is asked for one that is named.

        Raises:
            MissingExtraError: If it needs a package of the extra `pe-search[speech]` that is not installed.
            CheckpointError: If it can't be had.
            PeSearchError: If it can't do what is asked.
        """
        from pe_search.speech.choosing import find_recogniser
        from pe_search.speech.recogniser import Asked

        device, dtype = self._recognises_on
        return find_recogniser(speech_model, Asked(language, translate, device, dtype, may_fetch=True))

    def transcribe(
        self,
        paths: Paths | Found | None = None,
        *,
        speech_model: str | Recogniser | None = None,
        language: str | None = None,
        translate: bool = False,
        all_audio: bool = False,
        places: Mapping[Path, Sequence[tuple[float, float]]] = MappingProxyType({}),
        on_progress: OnProgress = ignore,
        on_problem: OnProblem | None = None,
    ) -> Generator[Transcribed, None, None]:
        """Write down what is said in clips. Yields the transcript of each clip, in order.

        Only windows that sound like speech to the checkpoint are given to the recogniser. The embeddings of a store are
        used if it has them. A store keeps the transcripts of its clips by their bytes and by the recogniser: they are
        made once, and a run that was ended goes on where it was.

        Args:
            paths: Folders and files, or what `find` returned. None means all clips of the store.
            speech_model: `pocketsphinx`, a name that onnx-asr knows, a Hugging Face id or a directory; or what
                `open_recogniser` returned. None means `pocketsphinx`, which is weak and needs no network.
            language: The language that is spoken. None leaves that to the recogniser.
            translate: Whether to translate into English.
            all_audio: Whether to recognise everything, not only what sounds like speech.
            places: The parts of some of the files that are transcribed alone, in seconds, by absolute path.
            on_progress: As in `label`.
            on_problem: As in `label`.

        Raises:
            MissingExtraError: As `open_recogniser`.
            CheckpointError: As `open_recogniser`.
            PeSearchError: As `open_recogniser`.
        """
        report = on_problem or self._on_problem
        recogniser = (
            self.open_recogniser(speech_model, language=language, translate=translate)
            if speech_model is None or isinstance(speech_model, str)
            else speech_model
        )
        from pe_search.tasks.transcribing import Transcribing

        with self._transcripts_store() as store:
            if paths is None:
                # A name that was given to `add` is no file.
                held = () if store is None else store.clips()
                paths = [one.path for one in held if not is_name(one.path)]
            clips = self._clips(paths, report)
            run = Transcribing(
                self.model,
                store,
                recogniser,
                is_gated=not all_audio,
                on_problem=report,
                on_progress=on_progress,
            )
            yield from run.transcribe(clips, places)

    def _transcripts_store(self) -> AbstractContextManager[Store | None]:
        """What transcripts are kept in, opened for writing."""
        return nullcontext()
