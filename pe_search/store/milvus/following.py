"""Bring a mirror up to the last change of its store."""

from __future__ import annotations

import sqlite3
from itertools import groupby

from pe_search.errors import StoreError
from pe_search.store.milvus.bases import carry_out_base
from pe_search.store.milvus.changes import carry_out, number_of_parts, of_parts
from pe_search.store.milvus.client import MOST_ROWS, Server
from pe_search.store.milvus.state import State, change_number, damaged, state_of

_CHANGES_AT_ONCE = 1_000
_BODIES_AT_ONCE = 200


def follow(db: sqlite3.Connection, server: Server, state: State) -> None:
    """Bring a mirror up to the last change of a store.

    Args:
        db: The mirror.
        server: Where the store is.
        state: The store's, as it was lately. If a base has taken the place of changes since, it is read.

    Raises:
        StoreError: If a change is missing or damaged.
    """
    while True:
        try:
            if change_number(db) < state.base:
                _take_base(db, server, state)
            _take_changes(db, server, state.head)
            return
        except StoreError:
            now = state_of(server)
            if now is None or now.identity != state.identity or now.base <= max(state.base, change_number(db)):
                raise
            state = now


def _take_base(db: sqlite3.Connection, server: Server, state: State) -> None:
    with db:
        db.execute("BEGIN IMMEDIATE")
        try:
            carry_out_base(db, server, state)
        except (KeyError, ValueError, TypeError, sqlite3.Error) as error:
            raise damaged(server, f"its base at change {state.base} can't be read ({error})") from error
        db.execute(f"PRAGMA user_version = {state.base}")


def _take_changes(db: sqlite3.Connection, server: Server, head: int) -> None:
    number = change_number(db)
    while number < head:
        last = min(head, number + _CHANGES_AT_ONCE)
        while True:
            found = server.parts(f"change > {number} and change <= {last}")
            if len(found) < MOST_ROWS or last == number + 1:
                break
            last = (number + last) // 2
        keys = {change: [key for *_, key in parts] for change, parts in groupby(found, lambda one: one[0])}
        bodies: dict[str, str] = {}
        with db:
            db.execute("BEGIN IMMEDIATE")
            for one in range(number + 1, last + 1):
                try:
                    if keys[one][0] not in bodies:
                        bodies = server.bodies_of(_next_keys(keys, one, last))
                    parts = [bodies[key] for key in keys[one]]
                    # More may be left of a writer that was killed.
                    carry_out(db, of_parts(parts[: number_of_parts(parts[0])]))
                except (KeyError, ValueError, TypeError, sqlite3.Error) as error:
                    raise damaged(server, f"change {one} of it can't be read ({error})") from error
            db.execute(f"PRAGMA user_version = {last}")
        number = last


def _next_keys(keys: dict[int, list[str]], first: int, last: int) -> list[str]:
    """Of whole changes, so many as are read at once; one at least."""
    some: list[str] = list(keys[first])
    for one in range(first + 1, last + 1):
        if one not in keys or len(some) + len(keys[one]) > _BODIES_AT_ONCE:
            break
        some += keys[one]
    return some
