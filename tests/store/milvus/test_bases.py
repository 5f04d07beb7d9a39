"""Changes of months make way for a base, and nobody sees it happen."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pe_search.directories import store_at
from pe_search.errors import StoreError
from pe_search.store import Store
from pe_search.store.facts import read_tags, write_tags
from pe_search.store.milvus import bases, changes, following
from pe_search.store.milvus.client import Server
from pe_search.store.milvus.state import change_number, state_of
from tests.recordings import MANIFEST, Recording, put


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """A base is made as soon as changes have three times the weight of the rows; in parts of a few rows."""
    monkeypatch.setattr(bases, "_LEAST_WEIGHT", 100)
    monkeypatch.setattr(bases, "_TIMES", 3)
    monkeypatch.setattr(bases, "_PARTS_AT_ONCE", 3)
    monkeypatch.setattr(changes, "_BYTES_AT_ONCE", 200)


def fill(store: Store) -> None:
    put(store, *(Recording(f"/s/{one}.wav", [float(one)] * (1 + one % 2)) for one in range(6)))
    # Ids that were given are not given again, also by whoever has read them from a base.
    store.catalog.commit(removed=[Path("/s/5.wav")])
    store.catalog.drop_unused_contents()


def tag(store: Store, times: int, first: int = 0) -> None:
    for one in range(first, first + times):
        write_tags(store.catalog, added=[(b"/s/1.wav", f"t{one}")], removed=[(b"/s/1.wav", f"t{one - 1}")])


def all_rows(store: Store) -> list[object]:
    """Of all tables, but for what says when something was done and what tells a catalog from another."""
    with store.catalog.reading() as db:
        return [
            db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
            for table in (*changes.tables(), "sqlite_sequence")
        ]


def kept(server: Server) -> tuple[int, int]:
    """How many changes and how many parts of bases there are."""
    return len(server.parts("change > 0")), len(server.parts("change <= -10"))


def test_a_new_machine_reads_the_base_and_what_came_after_it(address, cache):
    with Store.create(store_at(address), MANIFEST) as ours:
        fill(ours)
        tag(ours, 30)
        server = ours._mirror._server
        state = state_of(server)
        assert 1 < state.base < state.head
        assert kept(server) == (state.head - state.base, state.parts)
        assert state.parts > 3
        expected = all_rows(ours)
    shutil.rmtree(cache)
    with Store.open(store_at(address)) as again:
        assert all_rows(again) == expected
        assert again.catalog.find_damage() == []
        assert read_tags(again.catalog) == {b"/s/1.wav": ("t29",)}
    with Store.open(store_at(address), read_only=False) as again:
        put(again, Recording("/s/7.wav", [7.0]))
        assert again.catalog.window_ids().max() == 10
        found = again.finder.best_matches(np.eye(3, dtype=np.float32)[0], 2).best
        assert [str(match.path) for match in found] == ["/s/7.wav", "/s/4.wav"]


def test_a_mirror_that_is_behind_the_base_or_only_behind_the_head_follows(address, tmp_path, monkeypatch):
    with Store.create(store_at(address), MANIFEST) as ours:
        fill(ours)
        monkeypatch.setenv("PE_SEARCH_CACHE", str(tmp_path / "behind"))
        with Store.open(store_at(address)) as behind:
            monkeypatch.setenv("PE_SEARCH_CACHE", str(tmp_path / "near"))
            with Store.open(store_at(address)) as near:
                query = np.eye(3, dtype=np.float32)[0]
                before = near.finder.best_matches(query, 3)
                server, base = ours._mirror._server, 0
                for one in range(25):
                    tag(ours, 1, one)
                    near.catch_up()
                    near._mirror._caught_up_s = 0.0
                    assert base <= state_of(server).base
                    base = state_of(server).base
                assert base > 1
                put(ours, Recording("/s/8.wav", [8.0]))
                for reader in (near, behind):
                    assert str(reader.finder.best_matches(query, 1).best[0].path) == "/s/8.wav"
                    assert reader.finder.best_matches(query, 4).best[1:] == before.best
                    assert all_rows(reader) == all_rows(ours)


def test_a_reader_whose_changes_are_deleted_while_it_reads_takes_the_base(address, tmp_path, cache, monkeypatch):
    with Store.create(store_at(address), MANIFEST) as ours:
        fill(ours)
        writing, parts, bodies_of = iter(range(1, 100)), Server.parts, Server.bodies_of

        def begun(server: Server) -> bool:
            """Whether the reader asks; the first times, another base takes the place of what it asks for."""
            if server is ours._mirror._server or (turn := next(writing)) > 4:
                return False
            tag(ours, 30, 30 * turn)
            return True

        def parts_in_between(server: Server, expression: str):
            begun(server)
            return parts(server, expression)

        def bodies_in_between(server: Server, keys):
            begun(server)
            return bodies_of(server, keys)

        monkeypatch.setattr(Server, "parts", parts_in_between)
        monkeypatch.setattr(Server, "bodies_of", bodies_in_between)
        monkeypatch.setenv("PE_SEARCH_CACHE", str(tmp_path / "another machine"))
        with Store.open(store_at(address)) as reader:
            assert next(writing) > 4
            reader._mirror.catch_up()
            assert all_rows(reader) == all_rows(ours)


class KilledError(BaseException):
    """Nothing that anyone catches."""


@pytest.mark.slow
def test_killed_at_any_call_nothing_is_lost_and_what_is_left_is_deleted(address, cache, tmp_path, monkeypatch):
    with Store.create(store_at(address), MANIFEST) as ours:
        fill(ours)
    calls = 0
    killed_at: list[str] = []
    count = 0

    def until_killed(name: str):
        call = getattr(Server, name)

        def counted(server: Server, *args, **options):
            nonlocal calls
            calls -= 1
            # Before it has done anything, or when it has, and nobody was told.
            if calls == 0 and len(killed_at) % 2:
                call(server, *args, **options)
            if calls == 0:
                raise KilledError(name)
            return call(server, *args, **options)

        return counted

    for turn in range(100):
        with Store.open(store_at(address), read_only=False) as ours:
            # The next commit begins with a base.
            while not bases.is_worthwhile(ours.catalog._db, state_of(ours._mirror._server)):
                tag(ours, 1, count)
                count += 1
            expected = all_rows(ours)
            with monkeypatch.context() as patched:
                for name in ("put_bodies", "delete_bodies", "parts", "bodies"):
                    patched.setattr(Server, name, until_killed(name))
                calls = turn + 1
                try:
                    with ours.catalog.writing() as db:
                        assert change_number(db) == state_of(ours._mirror._server).base
                        calls = 0
                        raise KilledError("nothing")
                except KilledError as error:
                    killed_at.append(str(error))
            if killed_at[-1] == "nothing":
                break
        if turn % 2:
            shutil.rmtree(cache)
        with Store.open(store_at(address)) as reader:
            assert all_rows(reader) == expected
        with Store.open(store_at(address), read_only=False) as ours:
            tag(ours, 1, count)
            count += 1
            ours.finder.refresh()
            state = state_of(ours._mirror._server)
            assert kept(ours._mirror._server) == (state.head - state.base, state.parts)
    assert killed_at[-1] == "nothing"
    assert len(killed_at) > 10
    assert {"put_bodies", "delete_bodies", "parts", "bodies"} <= set(killed_at)


def test_a_base_that_is_damaged_is_refused(address, cache):
    with Store.create(store_at(address), MANIFEST) as ours:
        fill(ours)
        tag(ours, 30)
    server = Server(ours._mirror._server.place, print)
    server.load()
    state = state_of(server)
    [(change, part, key, body)] = server.bodies(f'pk == "base-{state.base}-1"')
    for changed in (body[:-1] + ("A" if body[-1] != "A" else "B"), "", None):
        if changed is None:
            server.delete_bodies([key])
        else:
            server.put_bodies([(key, change, part, changed)])
        shutil.rmtree(cache)
        with pytest.raises(StoreError, match=rf"is damaged: its base at change {state.base} can't be read"):
            Store.open(store_at(address))
    server.put_bodies([(key, change, part, body)])
    with Store.open(store_at(address)):
        pass
    server.close()


def test_changes_are_read_some_at_a_time(address, cache, monkeypatch):
    monkeypatch.setattr(following, "_CHANGES_AT_ONCE", 3)
    monkeypatch.setattr(following, "_BODIES_AT_ONCE", 2)
    monkeypatch.setattr(bases, "_LEAST_WEIGHT", 10_000)
    with Store.create(store_at(address), MANIFEST) as ours:
        fill(ours)
        # One that was killed has left more parts than the change has now.
        number = state_of(ours._mirror._server).head + 1
        ours._mirror._server.put_bodies([(f"{number}-{part}", number, part, "left") for part in range(4)])
        tag(ours, 10)
        expected = all_rows(ours)
    shutil.rmtree(cache)
    with Store.open(store_at(address)) as again:
        assert all_rows(again) == expected
