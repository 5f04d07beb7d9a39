"""What a run and its workers know of each other: files in the folder of pieces, which all of them see.

A block is some clips that one worker embeds at a time.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pe_search.records import Clip, Hearing, LeftOut, Problem
from pe_search.reports import Progress
from pe_search.tasks.destination import Times

_DIGEST_BYTES = 32
# A block is so much audio that it takes a worker minutes, not hours; one clip may be longer. Where there are few clips,
# blocks are smaller, so that workers end at about the same time, but not so small that a worker mostly begins.
_BLOCK_BYTES = 64 << 20
_BLOCK_CLIPS = 64
_SMALLEST = 0.5
_BLOCKS_PER_WORKER = 4
_LIVES_EVERY_S = 3.0
_DEAD_AFTER_S = 15.0
# Ray holds each block as an object of its own.
_MOST_BLOCKS = 10_000


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker needs to know; all of it can be pickled.

    Attributes:
        directory: The store's.
        run: What tells this run from any other.
        model: The name of the checkpoint.
        revision: Of the checkpoint.
        may_fetch: Whether a machine that lacks the checkpoint may download it.
        device: As `Embedder` has it.
        dtype: As `Embedder` has it.
        dimension: Length of the embeddings.
        window_s: Length of a window.
        hop_s: Step from one window to the next.
        hearing: How clips are brought to the model.
        threads: CPUs that a worker has.
        commit_every_s: How often it writes what it has embedded, in seconds.
        trusted: URLs that the run may download, see `trust`.
    """

    directory: Path
    run: str
    model: str
    revision: str
    may_fetch: bool
    device: str
    dtype: str
    dimension: int
    window_s: float
    hop_s: float
    hearing: Hearing
    threads: int
    commit_every_s: float
    trusted: tuple[str, ...] = ()


@dataclass(slots=True)
class BlockResult:
    """What came of a block.

    Attributes:
        block: Its number.
        machine: Where the worker is.
        clips: Those that are embedded, each with the digest of its content.
        left_out: Those that can't be until they change.
        problems: All that were not embedded, with the reasons.
        told: Those, and what is missing or odd, in order.
        incomplete: How many are embedded and could not be read completely.
        dropped: Contents whose windows in the store are not those of the file any more.
        progress: How far it came, which is to its end.
        runtime: Where and in what windows were embedded, in words; None if none were.
        error: What ended the work, in a line; the run ends with it.
    """

    block: int
    machine: str
    clips: list[tuple[Clip, bytes]] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    told: list[Problem] = field(default_factory=list)
    incomplete: int = 0
    dropped: list[bytes] = field(default_factory=list)
    progress: Progress = field(default_factory=lambda: Progress(0, 0, 0.0))
    runtime: str | None = None
    error: str | None = None


def in_blocks(clips: Sequence[Clip], workers: int) -> list[list[Clip]]:
    """Share clips out into blocks, in order, for so many workers or more."""

    def most(total: int, usual: int) -> int:
        """Of a block, by the sum over all clips."""
        share = total // (workers * _BLOCKS_PER_WORKER) + 1
        return max(min(share, usual), int(_SMALLEST * usual), total // _MOST_BLOCKS)

    most_bytes = most(sum(clip.size_bytes for clip in clips), _BLOCK_BYTES)
    most_clips = most(len(clips), _BLOCK_CLIPS)
    blocks: list[list[Clip]] = []
    room = -1
    for clip in clips:
        if not blocks or clip.size_bytes > room or len(blocks[-1]) >= most_clips:
            blocks.append([])
            room = most_bytes
        blocks[-1].append(clip)
        room -= clip.size_bytes
    return blocks


class Board:
    """Files by which a run and its workers tell each other how they stand.

    Each run has a folder of its own: a worker of a run that was killed may live on for a while.

    Args:
        pieces: The folder of the pieces.
        run: What tells the run from any other.
    """

    def __init__(self, pieces: Path, run: str) -> None:
        self._run = run
        self._folder = folder = pieces / "runs" / run
        self._blocks = folder / "blocks"
        self._workers = folder / "workers"
        self._log = folder / "committed.jsonl"

    def begin(self, held: Collection[bytes], missing: Mapping[bytes, str], begun: Mapping[bytes, Times]) -> None:
        """What the run tells first: what the store holds, whole and in part."""
        self._blocks.mkdir(parents=True)
        self._workers.mkdir()
        digests = np.frombuffer(b"".join(held), f"S{_DIGEST_BYTES}")
        np.sort(digests).tofile(self._folder / "held")
        said = {digest.hex(): times for digest, times in begun.items()}
        (self._folder / "begun.json").write_text(json.dumps(said), encoding="ascii")
        self.add_committed(missing.items())
        # The last, so that whoever finds it finds all.
        (self._folder / "run").write_text(self._run, encoding="ascii")

    def is_there(self) -> bool:
        """Whether the run has begun and not ended, as a worker sees it."""
        try:
            return (self._folder / "run").read_text(encoding="ascii") == self._run
        except OSError:
            return False

    def live(self, worker: str) -> None:
        """Show now and then that a worker lives, until the run is over."""
        while True:
            try:
                self._show(worker)
            except FileNotFoundError:
                return
            except OSError:
                # The disk may be full only now; whoever writes what counts tells of it.
                pass
            time.sleep(_LIVES_EVERY_S)

    def living(self) -> int:
        """How many workers have shown lately that they live."""
        with suppress(OSError):
            # By the clock of the file system, which is the same for all machines.
            now_s = self._show("run")
            with os.scandir(self._workers) as entries:
                return sum(entry.stat().st_mtime > now_s - _DEAD_AFTER_S for entry in entries) - 1
        return 0

    def _show(self, name: str) -> float:
        path = self._workers / name
        path.write_bytes(b".")
        return path.stat().st_mtime

    def add_committed(self, contents: Iterable[tuple[bytes, str | None]]) -> None:
        """Tell the digests of contents that the store holds now, each with what is missing of it."""
        with self._log.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps([digest.hex(), missing]) + "\n" for digest, missing in contents)

    def begun(self) -> dict[bytes, Times]:
        """The windows that the store holds of contents of which more are to come."""
        said = json.loads((self._folder / "begun.json").read_text(encoding="ascii"))
        return {bytes.fromhex(name): [(start_s, end_s) for start_s, end_s in times] for name, times in said.items()}

    def held(self) -> Held:
        """What the store holds whole."""
        return Held(self._folder / "held", self._log)

    def start(self, block: int) -> int:
        """Count that a worker begins a block.

        Returns:
            How many did before.
        """
        path = self._blocks / f"{block}.starts"
        with path.open("ab") as file:
            file.write(b"|")
        return path.stat().st_size - 1

    def marks(self, block: int) -> dict[int, int]:
        """How many workers ended within each clip of a block, by its place, where none got through it."""
        try:
            said = json.loads((self._blocks / f"{block}.marks").read_text(encoding="ascii"))
        except OSError:
            return {}
        return {int(place): int(ended) for place, ended in said.items()}

    def mark(self, block: int, marks: Mapping[int, int]) -> None:
        """Keep such counts."""
        self._put(f"{block}.marks", json.dumps(marks))

    def tell(self, block: int, progress: Progress) -> None:
        """Tell how far a block is."""
        said = [progress.bytes_done, progress.audio_s, progress.bytes_skipped, progress.clips_done]
        self._put(f"{block}.progress", json.dumps(said))

    def told(self) -> Iterator[tuple[int, Progress]]:
        """How far the blocks are that workers are at, or were."""
        with suppress(OSError), os.scandir(self._blocks) as entries:
            for entry in entries:
                if entry.name.endswith(".progress"):
                    with suppress(OSError, ValueError):
                        done, audio_s, skipped, clips = json.loads(Path(entry.path).read_text(encoding="ascii"))
                        yield int(entry.name.split(".")[0]), Progress(done, 0, audio_s, skipped, clips)

    def end(self, block: int) -> None:
        """Forget a block."""
        for kind in ("starts", "marks", "progress"):
            with suppress(OSError):
                (self._blocks / f"{block}.{kind}").unlink()

    def _put(self, name: str, text: str) -> None:
        draft = self._blocks / f"{name}.{os.urandom(4).hex()}.draft"
        draft.write_text(text, encoding="ascii")
        os.replace(draft, self._blocks / name)


class Held:
    """What a store holds whole: what it did when the run began, mapped from a file, and what it said since.

    Args:
        file: Digests in order.
        log: Where the run tells of more, a line each.
    """

    def __init__(self, file: Path, log: Path) -> None:
        count = file.stat().st_size // _DIGEST_BYTES
        self._held: Any = np.memmap(file, f"S{_DIGEST_BYTES}", "r") if count else np.empty(0, f"S{_DIGEST_BYTES}")
        self._log = log
        self._since: dict[bytes, str | None] = {}
        self._read_bytes = 0

    def __contains__(self, digest: bytes) -> bool:
        if digest in self._since:
            return True
        wanted = np.frombuffer(digest, f"S{_DIGEST_BYTES}")
        place = int(np.searchsorted(self._held, wanted)[0])
        if place < len(self._held) and self._held[place] == wanted[0]:
            return True
        self._read_on()
        return digest in self._since

    def missing(self, digest: bytes) -> str | None:
        """What could not be read of a content; None if it was read whole."""
        self._read_on()
        return self._since.get(digest)

    def _read_on(self) -> None:
        with suppress(OSError), self._log.open("rb") as file:
            file.seek(self._read_bytes)
            said = file.read()
            # A line that is being written ends later.
            lines = said[: said.rfind(b"\n") + 1]
            for line in lines.splitlines():
                name, missing = json.loads(line)
                self._since[bytes.fromhex(name)] = missing
            self._read_bytes += len(lines)
