"""Take over what another store holds."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pe_search.directories import shown_store
from pe_search.errors import StoreError
from pe_search.records import Clip, Content, ModelAnswer, Transcript
from pe_search.store.answers import read_answers, write_answers
from pe_search.store.catalog import Catalog
from pe_search.store.facts import read_tags, read_zones, write_tags, write_zones
from pe_search.store.judgements import read_judgements, read_words, write_judgements, write_words
from pe_search.store.manifest import Manifest
from pe_search.store.roots import read_roots, write_roots
from pe_search.store.store import Store
from pe_search.store.transcripts import read_sidecars, read_transcripts, write_transcripts

# What is committed at once: enough to be quick, little enough to be held in memory and to be lost when it is cut short.
_WINDOWS_PER_COMMIT = 4_096
_TRANSCRIPTS_PER_COMMIT = 256


def merge(store: Store, other: Store, *, said: bool = True) -> int:
    """Put the clips of another store into a store, with their embeddings.

    Of a clip that both hold, the one whose file was modified later stays. What is committed when a merge is cut short
    needs not be done again, and a second merge changes nothing.

    Args:
        store: Opened for writing.
        other: Is only read.
        said: Whether what is said in clips comes along, and what models answered about them. Of two transcripts by
            one engine, the one that is further stays; of equal ones, that of the store.

    Returns:
        The number of clips that came in.

    Raises:
        StoreError: If the two were made with another checkpoint or other windows, or are the same.
    """
    _refuse_misfits(store, other)
    clips = 0
    with other.catalog.snapshot():
        held = store.catalog.clips()
        known = store.catalog.digests()
        for batch in _batches(_arrivals(other, held)):
            new = {content.digest: content for _, content in batch if content.digest not in known}
            store.catalog.commit(contents=new.values(), clips=[(clip, content.digest) for clip, content in batch])
            store.finder.keep_up()
            known |= new.keys()
            clips += len(batch)
        known_paths = held.keys() | {one.clip.path for one in store.catalog.left_out()} | other.catalog.clips().keys()
        store.catalog.commit(left_out=[one for one in other.catalog.left_out() if one.clip.path not in known_paths])
        known_roots = {root.path for root in read_roots(store.catalog)}
        # Those of another machine would be taken for disks that are not mounted, by every run.
        arriving = [root for root in read_roots(other.catalog) if root.path not in known_roots]
        write_roots(store.catalog, [root for root in arriving if os.path.lexists(root.path)])
        tags = read_tags(other.catalog).items()
        write_tags(store.catalog, added=[(digest, tag) for digest, those in tags for tag in those], removed=())
        write_words(store.catalog, {**read_words(other.catalog), **read_words(store.catalog)})
        # Of two judgements of one stretch, the later one stays.
        judged = [*read_judgements(store.catalog), *read_judgements(other.catalog)]
        write_judgements(store.catalog, sorted(judged, key=lambda one: one.judged_at_s))
        write_zones(store.catalog, {**read_zones(other.catalog), **read_zones(store.catalog)})
        if said:
            _take_what_is_said(store.catalog, other.catalog)
    store.catalog.drop_unused_contents()
    store.finder.refresh()
    return clips


def _take_what_is_said(ours: Catalog, theirs: Catalog) -> None:
    held = ours.digests()
    progress = {(one.digest, one.engine): _until_s(one) for one in read_transcripts(ours)}
    arriving = (
        one
        for one in read_transcripts(theirs)
        if one.digest in held and _until_s(one) > progress.get((one.digest, one.engine), -math.inf)
    )
    while some := list(islice(arriving, _TRANSCRIPTS_PER_COMMIT)):
        write_transcripts(ours, some)
    known = {(one.path, one.digest) for one in read_sidecars(ours)}
    write_transcripts(
        ours,
        sidecars=(one for one in read_sidecars(theirs) if one.digest in held and (one.path, one.digest) not in known),
    )
    answered = {_question(one) for one in read_answers(ours)}
    write_answers(ours, (one for one in read_answers(theirs) if one.digest in held and _question(one) not in answered))


def _until_s(one: Transcript) -> float:
    return math.inf if one.until_s is None else one.until_s


def _question(one: ModelAnswer) -> ModelAnswer:
    return dataclasses.replace(one, answer="", made_at_s=0)


def _refuse_misfits(store: Store, other: Store) -> None:
    if store.directory.samefile(other.directory):
        raise StoreError(f"The store at {shown_store(other.directory)} can't be merged into itself.")
    for field in dataclasses.fields(Manifest):
        ours, theirs = (getattr(one.manifest, field.name) for one in (store, other))
        if ours != theirs:
            differs = f"its {field.name} is {theirs}, not {ours}"
            if field.name in ("window_s", "hop_s"):
                differs = f"it has windows of {_windows_of(other)}, this store {_windows_of(store)}"
            names = shown_store(other.directory), shown_store(store.directory)
            raise StoreError(f"The store at {names[0]} does not match the one at {names[1]}: {differs}.")


def _windows_of(store: Store) -> str:
    return f"{store.manifest.window_s:g} s every {store.manifest.hop_s:g} s"


def _arrivals(other: Store, held: dict[Path, Clip]) -> Iterator[tuple[Clip, Content]]:
    def comes_in(clip: Clip) -> bool:
        ours = held.get(clip.path)
        return ours is None or ours.modified_ns < clip.modified_ns

    return other.embedded_clips(comes_in)


def _batches(clips: Iterator[tuple[Clip, Content]]) -> Iterator[list[tuple[Clip, Content]]]:
    batch: list[tuple[Clip, Content]] = []
    windows = 0
    for clip, content in clips:
        batch.append((clip, content))
        windows += len(content.times)
        if windows >= _WINDOWS_PER_COMMIT:
            yield batch
            batch, windows = [], 0
    if batch:
        yield batch
