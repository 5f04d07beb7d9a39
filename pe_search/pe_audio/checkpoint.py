"""Find a PE Audio checkpoint by name: the built-in one, one of the hub's, or a local directory. Imports no torch."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pe_search.errors import CheckpointError, first_line, quoted
from pe_search.pe_audio.vetting import CONFIG_FILE, MODEL_TYPES, SHARDS_FILE, read_json, vet, vet_language_model

BUILTIN = "builtin"
SHORT_NAMES = {
    "small": "facebook/pe-av-small",
    "base": "facebook/pe-av-base",
    "large": "facebook/pe-av-large",
}
_SIZES = ("small", "base", "large")
PUBLISHED_RANKING = tuple(f"facebook/pe-av-{size}{frames}" for frames in ("", "-16-frame") for size in _SIZES)
PUBLISHED_FRAME_LEVEL = tuple(f"facebook/pe-a-frame-{size}" for size in _SIZES)

# Those that are known to answer questions about sounds; others may.
LANGUAGE_MODEL_TYPES = (
    "audioflamingo3",
    "gemma3n",
    "gemma4",
    "glmasr",
    "musicflamingo",
    "qwen2_5_omni",
    "qwen2_audio",
    "qwen3_omni_moe",
    "voxtral",
)

_BUILTIN_DIRECTORY = Path(__file__).parent / "builtin"
WEIGHTS_FILE = "model.safetensors"
# Nothing that could run code is ever fetched: weights as safetensors, everything else as JSON or plain text.
_HUB_FILES = ("*.json", "*.safetensors", "*.txt", "*.jinja")
HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
_HUB_COMMIT = re.compile(r"[0-9a-f]{40}")
# Meta trained the two heads apart: these rank clips, and facebook/pe-a-frame-* of the same size say where sounds are.
_RANKS_CLIPS = re.compile(r"facebook/pe-av-(small|base|large)(-16-frame)?")

# A fingerprint reads this many blocks of each weights file, evenly spaced, so that it takes no longer for gigabytes.
_FINGERPRINT_BLOCKS = 64
_FINGERPRINT_BLOCK_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A PE Audio checkpoint on this machine.

    Attributes:
        name: What a store remembers it by: `builtin`, a hub id, or the absolute path of a directory.
        revision: The hub's commit, or for a directory a fingerprint of its files.
        directory: Where its files are.
        is_frame_level: Whether it was trained for the frame-level head (`PeAudioFrameLevelModel`).
    """

    name: str
    revision: str
    directory: Path
    is_frame_level: bool

    def weights_bytes(self) -> int:
        """Size of its weights on the disk."""
        return sum(file.stat().st_size for file in _weights_files(self.directory))


def find_checkpoint(name: str, revision: str | None = None, *, may_fetch: bool = False) -> Checkpoint:
    """Find a checkpoint by name and make sure that its files are here.

    What is on this machine already is taken as it is: the hub is asked only for what is missing, and only if it may be.

    Args:
        name: `builtin`; `small`, `base` or `large` for `facebook/pe-av-*`; a hub id; or a directory.
        revision: A branch, tag or commit of a hub checkpoint.
        may_fetch: Whether the hub may be asked, with the user's token if there is one. Only for what the user named:
            the name may be any that somebody put into the manifest of a store.

    Raises:
        CheckpointError: If there is no such checkpoint, it can't be downloaded, or it isn't PE Audio.
    """
    canonical = canonical_name(name)
    if canonical == BUILTIN:
        directory = _BUILTIN_DIRECTORY
    elif os.path.isabs(canonical):
        directory = Path(canonical)
    else:
        directory = _snapshot(canonical, revision, may_fetch=may_fetch)
        return _open_directory(canonical, directory, revision=directory.name)
    if revision is not None:
        raise CheckpointError(f"{name} is not on the Hugging Face hub and has no revisions; omit --revision.")
    return _open_directory(canonical, directory)


def find_same_checkpoint(name: str, revision: str, *, may_fetch: bool = False) -> Checkpoint:
    """Find the very checkpoint that a store was made with.

    Args:
        name: As `Checkpoint.name` has it.
        revision: As `Checkpoint.revision` has it.
        may_fetch: As in `find_checkpoint`.

    Raises:
        CheckpointError: If it is gone or has changed, or nothing can have that name and revision.
    """
    is_on_hub = name != BUILTIN and not os.path.isabs(name)
    if is_on_hub and not (HUB_ID.fullmatch(name) and _HUB_COMMIT.fullmatch(revision)):
        raise CheckpointError(f"The store names an invalid checkpoint: {name!r}, revision {revision!r}.")
    checkpoint = find_checkpoint(name, revision if is_on_hub else None, may_fetch=may_fetch)
    if checkpoint.revision != revision:
        raise CheckpointError(
            f"The checkpoint {name} has changed since the store was made (revision {revision}, now "
            f"{checkpoint.revision}). Index into another store (--store)."
        )
    return checkpoint


def canonical_name(name: str) -> str:
    """The one name that a store remembers a checkpoint by, however it was asked for.

    Raises:
        CheckpointError: If nothing can have that name.
    """
    if name == BUILTIN:
        return BUILTIN
    if name in SHORT_NAMES:
        return SHORT_NAMES[name]
    directory = Path(os.path.expanduser(name))  # noqa: PTH111 (Path.expanduser raises for an unknown user)
    refuse_file(name, directory)
    if name and (directory.is_dir() or directory.is_absolute()):
        return os.path.abspath(directory)
    if HUB_ID.fullmatch(name):
        return name
    raise CheckpointError(
        f"There is no checkpoint {quoted(name)}: give builtin, small, base, large, a Hugging Face id like "
        "facebook/pe-av-small, or a directory."
    )


def refuse_file(name: str, place: Path) -> None:
    """Raise a `CheckpointError` if the name of a model is that of a file: a checkpoint is a directory with several."""
    if name and place.is_file():
        served = " Give it to llama-server, and its URL to pe-search." if place.suffix == ".gguf" else ""
        raise CheckpointError(f"{quoted(name)} is a file, and a model is a directory with a checkpoint.{served}")


def frame_model_of(name: str) -> str:
    """The canonical name of the checkpoint whose frame-level head goes with a checkpoint.

    For `facebook/pe-av-*`, and so for `small`, `base` and `large`, that is the `facebook/pe-a-frame-*` of the same
    size; any other checkpoint serves both heads.

    Raises:
        CheckpointError: If nothing can have that name.
    """
    canonical = canonical_name(name)
    sized = _RANKS_CLIPS.fullmatch(canonical)
    return f"facebook/pe-a-frame-{sized[1]}" if sized else canonical


def cached_hub_ids() -> list[str]:
    """The ids of those PE Audio checkpoints that were fetched from the hub, at least in part; in order."""
    from huggingface_hub.constants import HF_HUB_CACHE

    found = set()
    for snapshot in Path(HF_HUB_CACHE).glob("models--*--*/snapshots/*"):
        hub_id = snapshot.parts[-3].removeprefix("models--").replace("--", "/")
        with suppress(OSError, ValueError, AttributeError):
            if read_json(snapshot / CONFIG_FILE).get("model_type") in MODEL_TYPES:
                found.add(hub_id)
    return sorted(found)


def builtin_concepts() -> tuple[str, ...]:
    """What the built-in checkpoint was taught, in a few words each, as the file beside its weights has it."""
    entries = json.loads((_BUILTIN_DIRECTORY / "concepts.json").read_text(encoding="utf-8"))
    return tuple(entry["prompt"] for entry in entries)


def find_language_model(
    name: str, revision: str | None = None, *, may_fetch: bool = False, may_be_server: bool = True
) -> Checkpoint:
    """Find a language model by name, by the rules of `find_checkpoint`.

    Args:
        name: A hub id, or a directory.
        revision: A branch, tag or commit of a hub checkpoint.
        may_fetch: As in `find_checkpoint`.
        may_be_server: Whether a URL would do as well, for messages.

    Raises:
        CheckpointError: As `find_checkpoint`.
    """
    directory = Path(os.path.expanduser(name))  # noqa: PTH111 (Path.expanduser raises for an unknown user)
    refuse_file(name, directory)
    if name and (directory.is_dir() or directory.is_absolute()):
        return _open_directory(os.path.abspath(directory), Path(os.path.abspath(directory)), is_language_model=True)
    if not HUB_ID.fullmatch(name):
        url = "the URL of a server, " if may_be_server else ""
        raise CheckpointError(
            f"There is no language model {quoted(name)}: give {url}a Hugging Face id like "
            "Qwen/Qwen2-Audio-7B-Instruct, or a directory."
        )
    at_revision = f" --revision {shlex.quote(revision)}" if revision else ""
    directory = snapshot(
        name,
        revision,
        may_fetch=may_fetch,
        command=f"pe-search models --fetch {name}{at_revision}",
        otherwise="--language-model URL",
    )
    return _open_directory(name, directory, revision=directory.name, is_language_model=True)


def fetch(name: str, revision: str | None = None) -> Checkpoint:
    """A checkpoint or a language model, fetched from the hub unless it is on this machine already.

    Args:
        name: As in `find_checkpoint`, or as in `find_language_model`.
        revision: As there.

    Raises:
        CheckpointError: As there.
    """
    if HUB_ID.fullmatch(name) and canonical_name(name) == name:
        directory = _snapshot(name, revision, may_fetch=True)
        with suppress(OSError, ValueError, AttributeError):
            if read_json(directory / CONFIG_FILE).get("model_type") in LANGUAGE_MODEL_TYPES:
                return find_language_model(name, revision)
    return find_checkpoint(name, revision, may_fetch=True)


def _open_directory(
    name: str, directory: Path, revision: str | None = None, *, is_language_model: bool = False
) -> Checkpoint:
    config = (vet_language_model if is_language_model else vet)(name, directory)
    weights = weights_in(name, directory)
    architectures = config.get("architectures")
    return Checkpoint(
        name=name,
        revision=revision or fingerprint(directory, weights),
        directory=directory,
        is_frame_level=isinstance(architectures, list) and "PeAudioFrameLevelModel" in architectures,
    )


def weights_in(name: str, directory: Path) -> list[Path]:
    """The safetensors files that a checkpoint is made of.

    Raises:
        CheckpointError: If one is not there.
    """
    weights = _weights_files(directory)
    missing = [file.name for file in weights if not file.is_file()]
    if missing:
        raise CheckpointError(f"{name} lacks {', '.join(missing)}: only safetensors weights are loaded.")
    return weights


def _weights_files(directory: Path) -> list[Path]:
    """The safetensors files that a checkpoint is made of, whether they are there or not.

    Raises:
        CheckpointError: If the list of them can't be read.
    """
    path = directory / SHARDS_FILE
    try:
        names = set(read_json(path)["weight_map"].values())
        if not all(name == Path(name).name for name in names):
            raise ValueError("it names files elsewhere")
        return sorted(directory / name for name in names)
    except FileNotFoundError:
        return [directory / WEIGHTS_FILE]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} can't be read: {error}") from error


def _snapshot(hub_id: str, revision: str | None, *, may_fetch: bool) -> Path:
    """The local snapshot directory of a PE Audio checkpoint of the hub, its name being the commit."""
    at_revision = f" --revision {shlex.quote(revision)}" if revision else ""
    return snapshot(
        hub_id,
        revision,
        may_fetch=may_fetch,
        command=f"pe-search models --fetch {hub_id}{at_revision}",
        otherwise="--model builtin",
    )


def snapshot(
    hub_id: str,
    revision: str | None,
    *,
    may_fetch: bool,
    command: str,
    otherwise: str,
    files: Sequence[str] = _HUB_FILES,
) -> Path:
    """The local snapshot directory of a hub checkpoint, its name being the commit.

    Args:
        hub_id: Of the checkpoint.
        revision: A branch, tag or commit.
        may_fetch: Whether the hub may be asked.
        command: What downloads it, for messages.
        otherwise: What needs no download, for messages.
        files: Patterns of the files that are downloaded.

    Raises:
        CheckpointError: If it is not here and can't be downloaded.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    def download(local_files_only: bool) -> Path:
        return Path(
            snapshot_download(hub_id, revision=revision, allow_patterns=list(files), local_files_only=local_files_only)
        )

    try:
        cached = download(local_files_only=True)
        if (cached / CONFIG_FILE).is_file() and all(file.is_file() for file in _weights_files(cached)):
            return cached
    except (LocalEntryNotFoundError, HFValidationError):
        pass
    if not may_fetch:
        raise CheckpointError(
            f"{hub_id} is not on this machine. Download it with `{command}`, if you trust its author."
        )
    try:
        return download(local_files_only=False)
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{hub_id} is not on this machine and the Hugging Face hub can't be reached. With a network, "
            f"download it with `{command}`, or use `{otherwise}`."
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise CheckpointError(f"{hub_id} can't be downloaded from the Hugging Face hub: {first_line(error)}") from error


def fingerprint(directory: Path, weights: list[Path]) -> str:
    """A name for what a directory holds: it changes when the configuration, the tokenizer or the weights do."""
    digest = hashlib.sha256()
    for name in (CONFIG_FILE, "tokenizer.json"):
        path = directory / name
        if path.is_file():
            digest.update(path.read_bytes())
    for path in weights:
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        step = max(_FINGERPRINT_BLOCK_BYTES, size // _FINGERPRINT_BLOCKS)
        with path.open("rb") as file:
            for offset in range(0, size, step):
                file.seek(offset)
                digest.update(file.read(_FINGERPRINT_BLOCK_BYTES))
            file.seek(max(0, size - _FINGERPRINT_BLOCK_BYTES))
            digest.update(file.read())
    return digest.hexdigest()[:16]
