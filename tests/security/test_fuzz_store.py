"""Whatever a disk or a stranger makes of one file of a store, it answers as before, or one line says why not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random

import numpy as np
import pytest

from pe_search.errors import StoreError
from pe_search.queries import Match
from pe_search.records import Clip, Content, LeftOut
from pe_search.store import Store
from pe_search.store.listed import ListedPaths
from pe_search.store.manifest import numbers_of
from pe_search.store.salvage import restore_manifest, salvage_if_damaged
from tests.made_up import manifest
from tests.security.conftest import no_longer_than

pytestmark = pytest.mark.slow

LONGEST_S = 2
# Of the damaged catalogs, `rebuild` is tried on one of so many.
REBUILDS = 8
DIMENSION = 32
CLIPS = 24
FOLDERS = ("a", "b", "c")
QUERY = np.linspace(-1, 1, DIMENSION, dtype=np.float32)
TEXTS = {f"text number {number}": np.full(DIMENSION, number, np.float32) for number in range(40)}
LISTED = frozenset(f"/s/{folder}/{number}.wav" for folder in FOLDERS for number in range(60))
# Of a clip that the next index run reads again.
READ_AGAIN = (-1, 0, None, None)

Question = Callable[[Store], object]


def make(directory: Path) -> None:
    """A store of several commits: tables of several pages, windows that are gone, and some that the index lacks."""
    random = np.random.default_rng(0)

    def content(number: int) -> Content:
        times = [(10.0 * row, 10.0 * row + 10.0) for row in range(number % 9 + 1)]
        embeddings = random.standard_normal((len(times), DIMENSION), np.float32)
        missing = "it breaks off" if number % 7 == 3 else None
        return Content(number.to_bytes(32, "big"), times, embeddings, is_whole=True, missing=missing)

    def clip(number: int) -> Clip:
        return Clip(Path(f"/s/{FOLDERS[number % 3]}/{number}.wav"), number, 7 * number, 9 * number, number)

    with Store.create(directory, manifest(dimension=DIMENSION)) as store:
        for first in range(0, CLIPS, 6):
            contents = {number: content(number) for number in range(first, first + 6)}
            clips = [(clip(number), one.digest) for number, one in contents.items()]
            clips.append((Clip(Path(f"/s/copies/{first}.wav"), 5, 6), contents[first + 5].digest))
            store.catalog.commit(contents=contents.values(), clips=clips)
            if first == 6:
                store.catalog.commit(removed=[clip(number).path for number in (2, 4, 9)])
                store.catalog.drop_unused_contents()
            if first == 12:
                store.finder.rebuild()
        store.catalog.commit(left_out=[LeftOut(Clip(Path(f"/s/bad-{number}.wav"), 1, 2), "bad") for number in range(3)])
        store.remembered_texts.remember(TEXTS)
    ListedPaths(directory).write(LISTED)


def embedded(store: Store) -> dict[Path, tuple[object, ...]]:
    with store.catalog.snapshot():
        return {
            clip.path: (clip, content.digest, content.times, content.embeddings.tolist(), content.missing)
            for clip, content in store.embedded_clips()
        }


def without_what_is_missing(clips: dict[Path, tuple[object, ...]]) -> dict[Path, tuple[object, ...]]:
    return {path: row[:-1] for path, row in clips.items()}


def hits(store: Store) -> list[Match]:
    return store.finder.best_matches(QUERY, 1_000, all_windows=True).best


def numbers(store: Store) -> dict[str, object]:
    return numbers_of(store.manifest)


QUERIES: dict[str, Question] = {
    "numbers": numbers,
    "hits": hits,
    "under": lambda store: store.finder.best_matches(QUERY, 1_000, under=Path("/s/b"), all_windows=True).best,
}
CATALOG: dict[str, Question] = {
    **QUERIES,
    "clips": lambda store: store.catalog.clips(),
    "holdings": lambda store: store.catalog.holdings(),
    "left out": lambda store: store.catalog.left_out(),
    "incomplete": lambda store: store.catalog.incomplete(),
    "sample": lambda store: store.sample(50)[0].tolist(),
    "embedded": embedded,
}
INDEX: dict[str, Question] = {
    **QUERIES,
    "best": lambda store: store.finder.best_matches(QUERY, 5).best,
    "like": lambda store: store.finder.best_matches(QUERY, 3, like=-QUERY).best,
}


def damaged(whole: bytes, random: Random) -> bytes:
    """The content of a file as a disk, or somebody, may have left it."""
    spoilt = bytearray(whole)
    at, length = random.randrange(len(whole)), random.choice([1, 2, 8, 100, 512, 4096, 16384])
    some = slice(at, min(at + length, len(whole)))
    match random.randrange(8):
        case 0:
            for _ in range(random.randint(1, 3)):
                spoilt[random.randrange(len(whole))] ^= 1 << random.randrange(8)
        case 1:
            spoilt[some] = random.randbytes(some.stop - at)
        case 2:
            spoilt[some] = random.choice([b"\0", b"\xff"]) * (some.stop - at)
        case 3:
            del spoilt[at:]
        case 4:
            del spoilt[some]
        case 5:
            spoilt[at:at] = random.randbytes(length)
        case how:
            page = random.choice([size for size in (64, 512, 4096, 16384) if 2 * size <= len(whole)])
            one, other = (page * number for number in random.sample(range(len(whole) // page), 2))
            spoilt[one : one + page] = whole[other : other + page]
            if how == 7:
                spoilt[other : other + page] = whole[one : one + page]
    return bytes(spoilt)


@pytest.fixture
def whole(tmp_path) -> dict[str, bytes]:
    """The files of a store, by name."""
    make(tmp_path / "made")
    files = {path.name: path.read_bytes() for path in (tmp_path / "made").iterdir()}
    shutil.rmtree(tmp_path / "made")
    return files


@pytest.fixture
def store(tmp_path) -> Path:
    """Where the store is put, beside what is none of its business."""
    (tmp_path / "thesis.tex").write_text("years of work")
    return tmp_path / "store"


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch) -> None:
    # What a power cut leaves is not asked here.
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


def put(store: Path, files: Mapping[str, bytes]) -> None:
    """Put a store's files there, and nothing else."""
    store.mkdir(exist_ok=True)
    for path in set(store.iterdir()) - {store / name for name in files}:
        path.unlink()
    for name, content in files.items():
        path = store / name
        # To write takes far longer than to read.
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)


def cases(store: Path, whole: Mapping[str, bytes], name: str, count: int) -> Iterator[Path]:
    """The store with one of its files damaged, so many times, each in a way of its own."""
    outside = store.with_name("thesis.tex")
    before = outside.stat()
    random = Random(name)
    for _ in range(count):
        put(store, {**whole, name: damaged(whole[name], random)})
        with no_longer_than(LONGEST_S):
            yield store
        assert set(store.parent.iterdir()) == {store, outside}
        assert outside.stat() == before


@contextmanager
def refusing() -> Iterator[list[str]]:
    """Take a refusal for an answer, in one line."""
    said: list[str] = []
    try:
        yield said
    except StoreError as error:
        said.append(str(error))
        assert len(said[0].splitlines()) == 1


def answers(store: Path, questions: Mapping[str, Question]) -> dict[str, object]:
    """What the store answers to those of the questions that it doesn't refuse."""
    found: dict[str, object] = {}
    with refusing(), Store.open(store) as opened:
        for name, question in questions.items():
            with refusing():
                found[name] = question(opened)
    return found


def test_a_damaged_catalog(store, whole):
    put(store, whole)
    expected = answers(store, CATALOG)
    assert expected.keys() == CATALOG.keys()
    with Store.open(store) as opened:
        stamps, digests = opened.catalog.stamps(), opened.catalog.digests()
    refused = rebuilt = 0
    for number, _ in enumerate(cases(store, whole, "catalog.sqlite3", 5_000)):
        found = answers(store, CATALOG)
        assert found == {name: expected[name] for name in found}, number
        with refusing(), Store.open(store) as opened:
            opened.catalog.find_damage()
            known = opened.catalog.stamps()
            assert known.keys() == stamps.keys(), number
            assert all(stamp in (stamps[path], READ_AGAIN) for path, stamp in known.items()), number
            assert opened.catalog.digests() <= digests, number
        if len(found) == len(expected):
            continue
        refused += 1
        if refused % REBUILDS == 0:
            with refusing():
                salvage = salvage_if_damaged(store)
                rebuilt += salvage is not None
                if salvage is not None:
                    with Store.open(store) as opened:
                        saved = embedded(opened)
                    compared = without_what_is_missing if salvage.unsure else dict
                    assert compared(saved).items() <= compared(expected["embedded"]).items(), number
    assert refused > 1_000
    assert rebuilt > 100


def test_a_damaged_index_changes_no_answer(store, whole):
    put(store, whole)
    expected = answers(store, INDEX)
    for number, _ in enumerate(cases(store, whole, "index.vectors", 2_000)):
        assert answers(store, INDEX) == expected, number


def test_damaged_texts_are_right_or_forgotten(store, whole):
    put(store, whole)
    expected = {text: row.tolist() for text, row in TEXTS.items()}
    kept = forgotten = 0
    for number, _ in enumerate(cases(store, whole, "texts.sqlite3", 1_500)):
        with Store.open(store) as opened:
            found = {text: row.tolist() for text, row in opened.remembered_texts.recall([*TEXTS]).items()}
            assert found.items() <= expected.items(), number
            if number % 10 == 0:
                opened.remembered_texts.remember({"new": np.ones(DIMENSION, np.float32)})
                for row in opened.remembered_texts.recall(["new"]).values():
                    assert row.tolist() == [1.0] * DIMENSION, number
        kept += found == expected
        forgotten += not found
    assert min(kept, forgotten) > 100


def test_a_damaged_manifest_is_refused_and_written_again(store, whole):
    put(store, whole)
    questions: dict[str, Question] = {"numbers": numbers, "hits": hits}
    expected = answers(store, questions)
    restored = 0
    for number, _ in enumerate(cases(store, whole, "manifest.json", 1_000)):
        found = answers(store, questions)
        assert found in ({}, expected), number
        if not found:
            assert restore_manifest(store), number
            assert answers(store, questions) == expected, number
            restored += 1
    assert restored > 100


def test_damaged_lists_are_refused(store, whole):
    for number, _ in enumerate(cases(store, whole, "listed.paths", 500)):
        with refusing():
            assert ListedPaths(store).read() == LISTED, number
