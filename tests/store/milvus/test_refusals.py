"""What Milvus returns is data that may be damaged, or come from anyone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from pe_search.directories import store_at
from pe_search.errors import StoreError
from pe_search.store import Store, read_manifest_if_any
from pe_search.store.milvus.changes import as_parts, of_parts
from pe_search.store.milvus.client import Server
from pe_search.store.milvus.connection import place_of
from tests.recordings import MANIFEST, Recording, put


def opened(address: str) -> None:
    with Store.open(store_at(address)):
        pass


def test_what_a_store_says_of_itself_is_checked(address):
    with Store.create(store_at(address), MANIFEST) as ours:
        put(ours, Recording("/a.wav", [1.0]))
    server = Server(place_of(store_at(address)), print)
    server.load()
    [(change, part, key, body)] = server.bodies('pk == "manifest"')
    kept = json.loads(body)

    def with_manifest(**fields: object) -> str:
        return json.dumps(kept | {"manifest": json.dumps(json.loads(kept["manifest"]) | fields)})

    for changed, reason in [
        ("{", "is damaged: what it says of itself makes no sense"),
        ("[]", "is damaged: what it says of itself makes no sense"),
        (json.dumps(kept | {"identity": 5}), "is damaged: what it says of itself makes no sense"),
        (json.dumps(kept | {"layout": 2}), "has layout 2; this pe-search reads 1. Upgrade pe-search."),
        (json.dumps(kept | {"manifest": "nonsense"}), "is damaged: its manifest can't be read"),
        (
            with_manifest(format_version=99),
            "has format 99; this pe-search",
        ),
        (with_manifest(hop_s=0), "is damaged: "),
        (with_manifest(dimension=4), "embeddings of 3 numbers, not 4"),
    ]:
        server.put_bodies([(key, change, part, changed)])
        with pytest.raises(StoreError, match=reason) as caught:
            opened(address)
        assert "\n" not in str(caught.value)
    server.put_bodies([(key, change, part, body)])
    opened(address)
    server.close()


def test_a_change_that_is_damaged_or_not_one_of_a_catalog_is_refused(address, cache):
    with Store.create(store_at(address), MANIFEST) as ours:
        put(ours, Recording("/a.wav", [1.0]))
    server = Server(place_of(store_at(address)), print)
    server.load()
    [(change, part, key, body)] = server.bodies('pk == "2-0"')
    for changed, reason in [
        (body[:-1] + ("A" if body[-1] != "A" else "B"), "change 2 of it can't be read"),
        ("", "change 2 of it can't be read"),
        (as_parts([{"table": "sqlite_master", "put": [], "gone": []}])[0], "tables that a catalog doesn't have"),
        (as_parts([{"table": "tags", "put": [(1,)], "gone": []}])[0], "rows of tags with other columns"),
        (as_parts([{"table": "windows", "put": [], "gone": [(1, 2)]}])[0], "change 2 of it can't be read"),
    ]:
        server.put_bodies([(key, change, part, changed)])
        shutil.rmtree(cache)
        with pytest.raises(StoreError, match=reason):
            opened(address)
    server.delete_bodies([key])
    with pytest.raises(StoreError, match="change 2 of it can't be read"):
        opened(address)
    server.put_bodies([(key, change, part, body)])
    opened(address)
    server.close()


def test_a_collection_of_someone_else_is_left_alone(address):
    pymilvus = pytest.importorskip("pymilvus")
    client = pymilvus.MilvusClient(address.removeprefix("milvus:"))
    client.create_collection("pe_search", dimension=3)
    client.close()
    for ask in (opened, lambda address: Store.create(store_at(address), MANIFEST)):
        with pytest.raises(StoreError, match=r"The collection pe_search at .* is not one of pe-search"):
            ask(address)
    server = Server(place_of(store_at(address)), print)
    assert server.fields_of("pe_search").keys() == {"id", "vector"}
    server.close()


def test_where_there_is_no_store_there_is_no_manifest_and_nothing_is_made(address, tmp_path):
    assert read_manifest_if_any(store_at(address)) is None
    with pytest.raises(StoreError, match="There is no store at milvus:/"):
        opened(address)
    assert not list(tmp_path.glob("cache/milvus/**/*.sqlite3"))


def test_a_change_is_the_same_after_it_was_written_as_text():
    blob = bytes(range(256))
    rows = [(1, blob, None, 1.5, -(2**63), "ä\udcff\0"), (2, b"", None, 1e-300, 2**63 - 1, "")]
    change = [{"table": "x", "put": rows, "gone": [(blob,)]}]
    assert of_parts(as_parts(change)) == change
    long = [{"table": "x", "put": [(np.random.default_rng(1).bytes(200_000),)], "gone": []}]
    assert len(as_parts(long)) > 3
    assert max(map(len, as_parts(long))) < 65_535
    assert of_parts(as_parts(long)) == long
    with pytest.raises(ValueError, match="is not as it was written"):
        of_parts([*as_parts(long)[:-1], ""])


def test_the_folder_of_an_address_tells_it_again(cache):
    for address in ("milvus:/a/b c.db", "milvus://h:1/x", "milvus://[::1]:5/x_1"):
        assert place_of(store_at(address)).address == address
    assert place_of(store_at("milvus://h/x")).address == "milvus://h:19530/x"
    assert place_of(store_at("milvus:b.db")).address == f"milvus:{Path.cwd()}/b.db"
