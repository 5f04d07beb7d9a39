"""Clips get tags, and lose them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from pe_search.directories import absolute
from pe_search.records import Problem
from pe_search.reports import Tagging
from pe_search.store import Store
from pe_search.store.facts import read_tags, write_tags
from pe_search.store.listing import held_under

_NOT_HELD = "the store holds no clip here"


def tag(store: Store, places: Iterable[Path] | None, added: Sequence[str], removed: Sequence[str]) -> Tagging:
    """Give tags to clips, and take tags from them.

    Args:
        store: Opened for writing.
        places: Clips, folders of clips, and names of clips that are no files; None for all.
        added: The tags to give.
        removed: Those to take: with None for places, from contents that no clip has any more too.
    """
    named = _digests(store) if places is None else {}
    problems: list[Problem] = []
    for place in places or ():
        found = _digests_at(store, place)
        named |= found
        if not found:
            problems.append(Problem(place, _NOT_HELD))
    before = read_tags(store.catalog)
    meant = {digest: set(before.get(digest, ())) for digest in named.values()}
    after = {digest: (tags | set(added)) - set(removed) for digest, tags in meant.items()}
    write_tags(
        store.catalog,
        added=[(digest, one) for digest in meant for one in after[digest] - meant[digest]],
        removed=[
            (digest, one) for digest in (before if places is None else meant) for one in removed if digest in before
        ],
    )
    store.finder.lookup.refresh()
    return Tagging(len(named), sum(meant[digest] != after[digest] for digest in named.values()), tuple(problems))


def _digests_at(store: Store, place: Path) -> dict[Path, bytes]:
    """Of each clip at or below a place. The name of a clip that is no file comes before a file."""
    named = {} if os.path.isabs(place) else _digests(store, place)
    return named or _digests(store, absolute(place))


def _digests(store: Store, place: Path | None = None) -> dict[Path, bytes]:
    return {path: digest for path, (_, digest) in held_under(store.catalog, place).items()}
