"""The checkpoint of a library at work: the one that its store was made with, or the one that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pe_search.audio import SAMPLE_RATE_HZ
from pe_search.directories import shown_store
from pe_search.errors import StoreError
from pe_search.queries import is_word
from pe_search.records import USUAL_HEARING, Hearing

if TYPE_CHECKING:
    from pe_search.embedding import TextEmbedder
    from pe_search.pe_audio.checkpoint import Checkpoint
    from pe_search.pe_audio.compiled_audio import CompiledAudioEmbedder
    from pe_search.pe_audio.embedder import Embedder
    from pe_search.pe_audio.loaded import Loaded, OneAtATime
    from pe_search.store import Manifest

WINDOW_S = 10.0
# PE-AV was trained and evaluated on 30 s pieces; its frames are 40 ms.
LONGEST_WINDOW_S = 30.0
SHORTEST_WINDOW_S = 0.04


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a store is to be made with; None for what it has, or for what a new one has by default.

    Attributes:
        model: As `find_checkpoint` has it.
        revision: Branch, tag or commit of a hub checkpoint.
        window_s: Length of a window.
        hop_s: Step from one window to the next.
        level: As `Hearing` has it.
        speed: As `Hearing` has it.
        track: As `Hearing` has it.
        may_fetch: Whether the hub may be asked for the checkpoint that `model` names.
    """

    model: str | None = None
    revision: str | None = None
    window_s: float | None = None
    hop_s: float | None = None
    level: str | None = None
    speed: float | None = None
    track: int | None = None
    may_fetch: bool = False

    def check(self) -> None:
        """Raise a `ValueError` if a length, level, speed or track can't be."""
        window_s = WINDOW_S if self.window_s is None else self.window_s
        hop_s = window_s if self.hop_s is None else self.hop_s
        if not SHORTEST_WINDOW_S <= hop_s <= window_s <= LONGEST_WINDOW_S:
            raise ValueError(f"window_s={window_s:g} and hop_s={hop_s:g} must be 0.04 <= hop_s <= window_s <= 30")
        if self.level not in (None, "none", "auto"):
            raise ValueError(f"level={self.level!r} must be 'none' or 'auto'")
        if self.speed is not None and not 0.001 <= self.speed <= 1:
            raise ValueError(f"speed={self.speed:g} must be 0.001 to 1")
        if self.track is not None and self.track < 1:
            raise ValueError(f"track={self.track} must be 1 or more")

    def hearing(self, otherwise: Hearing = USUAL_HEARING) -> Hearing:
        """How clips are brought to the model, with what `otherwise` has in place of what is None."""
        return Hearing(
            level=otherwise.level if self.level is None else self.level,
            speed=otherwise.speed if self.speed is None else self.speed,
            track=otherwise.track if self.track is None else self.track,
        )


class Model:
    """A checkpoint, found and loaded as far as it is needed.

    Args:
        existing: Gives the manifest of the store; None if it is not made.
        wanted: What is wanted.
        frame_model: As `Library` has it.
        loaded: Gives what loads the towers, and keeps them.
        directory: The store's, for what errors say; None if there is none.
    """

    def __init__(
        self,
        existing: Callable[[], Manifest | None],
        wanted: Wanted,
        frame_model: str | None,
        loaded: Callable[[], Loaded],
        directory: Path | None = None,
    ) -> None:
        self._shown = "" if directory is None else shown_store(directory)
        self._existing = existing
        self._wanted = wanted
        self._frame_model = frame_model
        self._loaded = loaded

    @cached_property
    def loaded(self) -> Loaded:
        """What loads the towers, and keeps them."""
        return self._loaded()

    def load_with(self, other: Model) -> None:
        """Share what another one loads, so that one checkpoint is loaded once for several stores."""
        self._loaded = lambda: other.loaded

    @property
    def checkpoint(self) -> Checkpoint:
        """The store's own checkpoint if there is a store, else the one that is wanted.

        Raises:
            StoreError: If another one is wanted than the store's.
            CheckpointError: If it can't be had.
        """
        from pe_search.pe_audio.checkpoint import BUILTIN, canonical_name, find_checkpoint, find_same_checkpoint

        manifest, wanted = self._existing(), self._wanted
        if manifest is None:
            return find_checkpoint(
                BUILTIN if wanted.model is None else wanted.model, wanted.revision, may_fetch=wanted.may_fetch
            )
        if wanted.model is not None and canonical_name(wanted.model) != manifest.model:
            raise StoreError(
                f"The store at {self._shown} was made with {manifest.model}, and a store has one checkpoint. To "
                f"use {wanted.model}, index into another store (--store)."
            )
        # What the manifest names need not be what the user would fetch.
        may_fetch = wanted.may_fetch and wanted.model is not None
        if wanted.revision is not None:
            asked = find_checkpoint(manifest.model, wanted.revision, may_fetch=may_fetch)
            if asked.revision != manifest.revision:
                raise StoreError(
                    f"The store at {self._shown} was made with revision {manifest.revision} of {manifest.model}. "
                    f"To use {wanted.revision}, index into another store (--store)."
                )
        name, revision = manifest.model, manifest.revision
        return self.loaded.checkpoint(name, revision, lambda: find_same_checkpoint(name, revision, may_fetch=may_fetch))

    @property
    def frame_checkpoint(self) -> Checkpoint:
        """The checkpoint that finds spans.

        Raises:
            CheckpointError: If it can't be had.
        """
        from pe_search.pe_audio.checkpoint import BUILTIN, find_checkpoint, find_same_checkpoint, frame_model_of

        manifest = self._existing()
        ranking = self._wanted.model if manifest is None else manifest.model
        names = (name for name in (self._frame_model, ranking, BUILTIN) if name is not None)
        name = frame_model_of(next(names))
        if manifest is not None and name == manifest.model:
            revision = manifest.revision
            return self.loaded.checkpoint(name, revision, lambda: find_same_checkpoint(name, revision))
        return self.loaded.checkpoint(name, None, lambda: find_checkpoint(name))

    @property
    def may_fetch(self) -> bool:
        """Whether the hub may be asked for the store's checkpoint, because the user named it."""
        return self._wanted.may_fetch and self._wanted.model is not None

    @property
    def has_frames_at_hand(self) -> bool:
        """Whether frames can be embedded without another checkpoint and without torch, in a fraction of a second."""
        from pe_search.pe_audio.checkpoint import BUILTIN

        manifest = self._existing()
        return self._frame_model is None and manifest is not None and manifest.model == BUILTIN

    @property
    def hearing(self) -> Hearing:
        """How clips are brought to the model."""
        manifest = self._existing()
        return self._wanted.hearing() if manifest is None else manifest.hearing

    @property
    def has_store(self) -> bool:
        """Whether there is a store, made with a checkpoint already."""
        return self._existing() is not None

    def refuse_other_windows(self) -> None:
        """Refuse a store that has other windows, or other hearing, than is wanted.

        Raises:
            StoreError: If it does.
        """
        manifest, wanted = self._existing(), self._wanted
        if manifest is None:
            return
        if wanted.window_s not in (None, manifest.window_s) or wanted.hop_s not in (None, manifest.hop_s):
            raise StoreError(
                f"The store at {self._shown} has windows of {manifest.window_s:g} s every {manifest.hop_s:g} s. "
                "To use others, index into another store (--store)."
            )
        hearing = manifest.hearing
        if wanted.hearing(hearing) != hearing:
            raise StoreError(
                f"The store at {self._shown} was made with --level {hearing.level} --speed {hearing.speed:g} "
                f"--track {hearing.track}. To use others, index into another store (--store)."
            )

    def manifest(self) -> Manifest:
        """The store's manifest; of a store that is not made, the one that it would have."""
        return self._existing() or self.new_manifest()

    def new_manifest(self) -> Manifest:
        """What the embeddings of a new store will have in common."""
        from pe_search.store import Manifest

        # The text tower first, while the audio tower isn't there yet: each takes gigabytes where they are large.
        embedder, hearing = self.embedder_for_indexing(self.checkpoint).embedder, self._wanted.hearing()
        window_s = WINDOW_S if self._wanted.window_s is None else self._wanted.window_s
        return Manifest(
            model=embedder.checkpoint.name,
            revision=embedder.checkpoint.revision,
            dimension=embedder.dimension,
            window_s=window_s,
            hop_s=window_s if self._wanted.hop_s is None else self._wanted.hop_s,
            sample_rate_hz=SAMPLE_RATE_HZ,
            logit_scale=embedder.logit_scale,
            logit_bias=embedder.logit_bias,
            level=hearing.level,
            speed=hearing.speed,
            track=hearing.track,
        )

    def embedder_for_indexing(self, checkpoint: Checkpoint) -> OneAtATime:
        """What embeds windows, with the text tower compiled for the queries to come."""
        embedder = self.loaded.audio_embedder(checkpoint)
        self.loaded.compile_texts(checkpoint)
        return embedder

    def text_embedder(self) -> TextEmbedder:
        """What embeds texts. For a store, its checkpoint need not be found if its text tower is compiled."""
        manifest = self._existing()
        if manifest is not None:
            return self.loaded.text_embedder(manifest.model, manifest.revision)
        return self.loaded.text_embedder(self.checkpoint.name, self.checkpoint.revision)

    def untaught(self, texts: Sequence[str]) -> list[str]:
        """Those of some texts of which the checkpoint was taught no word; none if that is not known."""
        from pe_search.pe_audio.vocabulary import untaught_by_builtin

        # A word that the user taught is none of the checkpoint's.
        untaught = untaught_by_builtin(text for text in texts if not is_word(text))
        if not untaught:
            return []
        from pe_search.pe_audio.checkpoint import BUILTIN, canonical_name

        manifest = self._existing()
        name = manifest.model if manifest is not None else canonical_name(self._wanted.model or BUILTIN)
        return untaught if name == BUILTIN else []

    def audio_embedder(self) -> OneAtATime:
        """What embeds windows."""
        return self.loaded.audio_embedder(self.checkpoint)

    def frame_embedder(self) -> CompiledAudioEmbedder | Embedder:
        """What embeds frames."""
        return self.loaded.frame_embedder(self.frame_checkpoint)

    def frame_s(self) -> float:
        """Length of a frame in a clip, in seconds."""
        return self.frame_embedder().samples_per_frame / SAMPLE_RATE_HZ * self.hearing.speed


def canonical_name(name: str) -> str:
    """The one name that a store remembers a checkpoint by, as `pe_audio.checkpoint.canonical_name` has it."""
    from pe_search.pe_audio import checkpoint

    return checkpoint.canonical_name(name)


def known_checkpoints(*, frame_level: bool = False) -> dict[str, str]:
    """Names of checkpoints that are published or on this machine, each with a few words about it.

    Args:
        frame_level: Whether to name the published ones that find spans, in place of those that rank clips.
    """
    from pe_search.pe_audio import checkpoint

    published = checkpoint.PUBLISHED_FRAME_LEVEL if frame_level else checkpoint.PUBLISHED_RANKING
    names = {checkpoint.BUILTIN: "in this package", **checkpoint.SHORT_NAMES}
    names |= dict.fromkeys(published, "on the Hugging Face hub")
    return names | dict.fromkeys(checkpoint.cached_hub_ids(), "on this machine")


def short_names() -> dict[str, str]:
    """The short names of checkpoints, each with its Hugging Face id, or where else it is."""
    from pe_search.pe_audio import checkpoint

    return {checkpoint.BUILTIN: "in this package", **checkpoint.SHORT_NAMES}


def builtin_concepts() -> tuple[str, ...]:
    """What the built-in checkpoint was taught, in a few words each."""
    from pe_search.pe_audio import checkpoint

    return checkpoint.builtin_concepts()


def fetch_checkpoint(name: str, revision: str | None = None) -> Checkpoint:
    """A checkpoint, or a language model, fetched from the Hugging Face hub unless it is on this machine already.

    Raises:
        CheckpointError: If there is none of that name, or it can't be downloaded.
    """
    from pe_search.pe_audio import checkpoint

    return checkpoint.fetch(name, revision)
