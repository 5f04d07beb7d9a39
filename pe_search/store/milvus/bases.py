"""A base: all rows of a catalog as some change left them, in the place of that change and all before it.

Changes are kept one by one, so a store that is tagged for months would have far more to say than its catalog has rows,
and a new machine would read all of it. A base is written first, then the state names it, then what it replaces is
deleted. So a writer may be killed at any moment: a base that no state names is deleted with the rest.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator

from pe_search.store.milvus.changes import as_parts, carry_out, everything, of_bodies, row_count, tables
from pe_search.store.milvus.client import Server
from pe_search.store.milvus.state import State, another_has_written, change_number, state_of, write_state

# Changes of a small store are read soon, however many they are.
_LEAST_WEIGHT = 20_000
# How many times the rows of the catalog the changes weigh before a base is made.
_TIMES = 4
_PARTS_AT_ONCE = 200
# The numbers of bases in the place of those of changes.
_BASES_FROM = -10


def is_worthwhile(db: sqlite3.Connection, state: State) -> bool:
    """Whether the changes say so much more than the catalog has rows that a base should take their place."""
    return state.weight > _LEAST_WEIGHT and state.weight > _TIMES * row_count(db)


def write_base(db: sqlite3.Connection, server: Server, check: Callable[[], None]) -> State:
    """Write the catalog as a base, and have the state name it.

    Args:
        db: The mirror of who may write, at the last change, with nothing changed since.
        server: Where the store is.
        check: Called before each try to write; raises a StoreError if another process may be writing.

    Returns:
        The new state.

    Raises:
        StoreError: If another process has written, or Milvus doesn't answer.
    """
    number = change_number(db)
    state = _state_at(number, server)
    if state.base == number:
        # It was written and nobody was told, because Milvus didn't answer.
        return state
    # What one that was killed has written at the same change could be longer.
    delete_what_bases_replace(server, state)
    parts = 0
    for change in everything(db):
        bodies = list(enumerate(as_parts(change), parts))
        server.put_bodies([(_key(number, part), _BASES_FROM - number, part, body) for part, body in bodies], check)
        parts += len(bodies)
    new = _state_at(number, server)._replace(base=number, parts=parts, weight=0)
    write_state(server, new, check)
    return new


def _state_at(number: int, server: Server) -> State:
    state = state_of(server)
    if state is None or state.head != number:
        raise another_has_written(server)
    return state


def delete_what_bases_replace(server: Server, state: State) -> None:
    """Delete the changes that the base of a store has, and other bases."""
    others = f"change <= {_BASES_FROM} and change != {_BASES_FROM - state.base}"
    for expression in (others, f"change > 0 and change <= {state.base}"):
        while found := server.parts(expression):
            server.delete_bodies([key for *_, key in found])


def carry_out_base(db: sqlite3.Connection, server: Server, state: State) -> None:
    """Make a mirror the base of its store, within the transaction of whoever calls.

    Raises:
        KeyError: If a part is missing: another base may have taken its place.
        ValueError: If a part is damaged.
    """
    for table in tables():
        db.execute(f"DELETE FROM main.{table}")
    db.execute("DELETE FROM sqlite_sequence")
    for change in of_bodies(_bodies(server, state)):
        carry_out(db, change)


def _bodies(server: Server, state: State) -> Iterator[str]:
    keys = [_key(state.base, part) for part in range(state.parts)]
    for first in range(0, len(keys), _PARTS_AT_ONCE):
        some = keys[first : first + _PARTS_AT_ONCE]
        found = server.bodies_of(some)
        yield from (found[key] for key in some)


def _key(number: int, part: int) -> str:
    return f"base-{number}-{part}"
