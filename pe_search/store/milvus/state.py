"""What a store in Milvus says of itself: which manifest it has, and up to which change its catalog goes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from pe_search.errors import StoreError
from pe_search.store.milvus.client import Server

LAYOUT = 1
_HEAD, _MANIFEST = "head", "manifest"
# These are no changes of the catalog.
_ASIDE = -1


class State(NamedTuple):
    """What a store in Milvus says of itself.

    Attributes:
        head: The number of the last change that was committed.
        identity: What tells the store from any other that had its place.
        manifest: As JSON.
        base: The number of the last change that its base has; 0 if there is none.
        parts: Of how many parts that is.
        weight: How much the changes since have to say.
    """

    head: int
    identity: str
    manifest: str
    base: int = 0
    parts: int = 0
    weight: int = 0


NO_STATE = State(0, "", "")


def state_of(server: Server) -> State | None:
    """What the store that is there says of itself; None if there is none.

    Raises:
        StoreError: If that is damaged, or of another layout.
    """
    bodies = [(key, body) for _, _, key, body in server.bodies(f'pk in ["{_HEAD}", "{_MANIFEST}"]')]
    try:
        kept = next((json.loads(body) for key, body in bodies if key == _MANIFEST), None)
        if kept is None:
            return None
        if type(kept["layout"]) is int and kept["layout"] > LAYOUT:
            raise StoreError(
                f"The store at {server.place.address} has layout {kept['layout']}; this pe-search reads {LAYOUT}. "
                "Upgrade pe-search."
            )
        heads = [json.loads(body) for key, body in bodies if key == _HEAD]
        # While a row is written again, both may be seen.
        numbers = max((one["head"], *(one.get(name, 0) for name in ("base", "parts", "weight"))) for one in heads)
        are_numbers = all(type(number) is int and number >= 0 for number in numbers)
        if not (are_numbers and isinstance(kept["identity"], str) and isinstance(kept["manifest"], str)):
            raise TypeError("it has values of other kinds")
        head, base, parts, weight = numbers
        return State(head, kept["identity"], kept["manifest"], base, parts, weight)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise damaged(server, f"what it says of itself makes no sense ({error})") from error


def write_state(server: Server, state: State, before: Callable[[], None]) -> None:
    """Write the numbers of a state, which is a commit.

    Args:
        server: Where the store is.
        state: See above.
        before: Called before each try. What it raises ends the work.
    """
    body = {"head": state.head, "base": state.base, "parts": state.parts, "weight": state.weight}
    server.put_bodies([(_HEAD, _ASIDE, 0, json.dumps(body))], before)


def write_identity(server: Server, identity: str, manifest: str) -> None:
    """Write the rest of a state: from then on there is a store."""
    body = {"layout": LAYOUT, "identity": identity, "manifest": manifest}
    server.put_bodies([(_MANIFEST, _ASIDE, 0, json.dumps(body))])


def change_number(db: sqlite3.Connection) -> int:
    """The number of the last change that a mirror has."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def damaged(server: Server, reason: str) -> StoreError:
    """What says that a store can't be read."""
    return StoreError(f"The store at {server.place.address} is damaged: {reason}.")


def another_has_written(server: Server) -> StoreError:
    """What says that the lease was not enough."""
    return StoreError(
        f"Another process has written to the store at {server.place.address}. What follows is not kept. "
        "Run the same command again."
    )
