"""Windows and clips are counted by time and by folder: by hand, and against counting them one after the other."""

from __future__ import annotations

import math
import os
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import pe_search
from pe_search.errors import QueryError, StoreError
from pe_search.known.filters import takes
from pe_search.queries import Filters
from pe_search.records import Clip, Content, Facts, IndexedClip
from pe_search.reports import COUNTED, COUNTED_BY, Counts, Root
from pe_search.search import counting
from pe_search.search.aims import Aim
from pe_search.search.counting import count
from pe_search.store import Store, sweep
from pe_search.store.facts import write_tags, write_zones
from pe_search.store.keeping import InRows
from pe_search.store.roots import write_roots
from tests.made_up import FakeEmbedder
from tests.recordings import CAT, DOG, HEARD, MANIFEST, SILENT, Recording, put


def aims_of(embeddings: NDArray[np.float32]) -> list[Aim]:
    return [Aim(embedding, None) for embedding in embeddings]


def counted(store: Store, by: str = "hour", of: str = "windows", **options: object) -> Counts:
    options = {"min_probability": 0.5} | options
    return count(
        store, ["dog", "cat"], [Aim(np.array(one, np.float32), None) for one in (DOG, CAT)], by=by, of=of, **options
    )


def table(counts: Counts) -> dict[str, tuple[int, ...]]:
    """Of each bin that has windows: the count of each text, and the total."""
    of_bins = zip(*counts.counts, counts.totals, strict=True)
    return {name: row for name, row in zip(counts.bins, of_bins, strict=True) if row[-1]}


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "store", MANIFEST) as opened:
        yield opened


def test_windows_count_in_the_hour_in_which_they_begin(store):
    put(
        store,
        # 05:59:40, 05:59:50, 06:00:00, 06:00:10
        Recording("/r/20240612_055940.wav", [HEARD, SILENT, HEARD, HEARD], [HEARD, SILENT, SILENT, SILENT]),
        Recording("/r/20240613_054000.wav", [SILENT]),
    )
    counts = counted(store)
    assert counts.bins == tuple(map(str, range(24)))
    assert table(counts) == {"5": (1, 1, 3), "6": (2, 0, 2)}
    assert (counts.texts, counts.by, counts.of, counts.min_probability) == (("dog", "cat"), "hour", "windows", 0.5)
    assert (counts.clips_without_time, counts.base) == (0, None)
    assert counts.best == pytest.approx([1 / (1 + math.exp(1 - 2 * HEARD))] * 2)
    assert len(list(counts.rows())) == 48
    assert list(counts.rows())[24 + 5] == ("cat", "5", 1, 3)


def test_a_recording_goes_on_past_midnight_and_into_the_next_year(store):
    put(store, Recording("/r/20241231_235950.wav", [HEARD, HEARD, SILENT]))
    assert table(counted(store)) == {"23": (1, 0, 1), "0": (1, 0, 2)}
    assert table(counted(store, "day")) == {"2024-12-31": (1, 0, 1), "2025-01-01": (1, 0, 2)}
    assert table(counted(store, "month")) == {"2024-12": (1, 0, 1), "2025-01": (1, 0, 2)}
    assert counted(store, "day").bins == ("2024-12-31", "2025-01-01")


def test_days_before_1970_and_after_the_year_9999(store):
    put(
        store,
        Recording("/a.wav", [HEARD, HEARD], facts=Facts(recorded_at="1969-12-31T23:59:50", recorded_by="bext")),
        Recording("/b.wav", [HEARD, HEARD], facts=Facts(recorded_at="9999-12-31T23:59:50", recorded_by="bext")),
        Recording("/c.wav", [HEARD], facts=Facts(recorded_at="0001-01-01T00:00:00", recorded_by="bext")),
    )
    days = ("0001-01-01", "1969-12-31", "1970-01-01", "9999-12-31", "10000-01-01")
    assert counted(store, "day").bins == days
    assert counted(store, "month").bins == ("0001-01", "1969-12", "1970-01", "9999-12", "10000-01")
    assert table(counted(store)) == {"0": (3, 0, 3), "23": (2, 0, 2)}


def test_the_clock_of_the_recorder_counts_whatever_its_zone(store):
    """On this day Berlin's clocks went from 2 to 3; a recorder's own goes on."""
    put(
        store,
        Recording("/r/a/20240331_013000.wav", [HEARD] * 3, starts_s=[0.0, 1800.0, 5400.0]),
        Recording("/r/b/20240331_013000Z.wav", [HEARD], starts_s=[0.0]),
        Recording("/r/c/x.wav", [HEARD], facts=Facts(recorded_at="2024-10-27T02:30:00+02:00", recorded_by="GUANO")),
        Recording("/r/c/y.wav", [HEARD], facts=Facts(recorded_at="2024-10-27T02:30:00+01:00", recorded_by="GUANO")),
    )
    expected = {"1": (2, 0, 2), "2": (3, 0, 3), "3": (1, 0, 1)}
    assert table(counted(store)) == expected
    write_zones(store.catalog, {Path("/r"): "Europe/Berlin"})
    assert {clip.recorded_at for clip in store.clips("/r/a")} == {"2024-03-31T01:30:00+01:00"}
    assert table(counted(store)) == expected


def test_what_has_no_time_is_unknown_and_comes_last(store):
    put(
        store,
        Recording("/r/20240612_055940.wav", [HEARD]),
        Recording("/r/x.wav", [HEARD, SILENT]),
        Recording("/r/y.wav", [SILENT]),
    )
    for by in ("hour", "day", "month"):
        counts = counted(store, by)
        assert counts.bins[-1] == "unknown"
        assert table(counts)["unknown"] == (1, 0, 3)
        assert counts.clips_without_time == 2
    assert counted(store, "folder").clips_without_time == 0


def test_a_store_in_which_nothing_has_a_time(store):
    put(store, Recording("/r/x.wav", [HEARD]), Recording("/r/y.wav", [HEARD]))
    assert table(counted(store, "day")) == {"unknown": (2, 0, 2)}
    assert counted(store, "day").bins == ("unknown",)


def test_clips_count_once_in_each_bin_that_they_reach(store):
    put(
        store,
        Recording("/r/20240612_055940.wav", [HEARD, HEARD, SILENT, HEARD], [SILENT, SILENT, HEARD, HEARD]),
        Recording("/r/20240612_055945.wav", [SILENT, HEARD], [SILENT, SILENT]),
    )
    assert table(counted(store, of="clips")) == {"5": (2, 0, 2), "6": (1, 1, 1)}
    assert table(counted(store, "day", of="clips")) == {"2024-06-12": (2, 1, 2)}


def test_clips_of_the_same_bytes_count_once_in_a_bin(store):
    put(
        store,
        Recording("/r/20240612_055940.wav", [HEARD, HEARD], content="dog"),
        Recording("/copies/20240612_055940.wav", [HEARD, HEARD], content="dog"),
        Recording("/copies/20240613_055940.wav", [HEARD, HEARD], content="dog"),
        Recording("/copies/unknown.wav", [HEARD, HEARD], content="dog"),
        Recording("/copies/unknown too.wav", [HEARD, HEARD], content="dog"),
    )
    assert table(counted(store)) == {"5": (2, 0, 2), "unknown": (2, 0, 2)}
    assert counted(store).clips_without_time == 2
    assert table(counted(store, "day")) == {"2024-06-12": (2, 0, 2), "2024-06-13": (2, 0, 2), "unknown": (2, 0, 2)}
    assert table(counted(store, "folder")) == {"copies": (2, 0, 2), "r": (2, 0, 2)}
    assert table(counted(store, "folder", of="clips")) == {"copies": (1, 0, 1), "r": (1, 0, 1)}


def test_folders_are_named_from_their_root(store):
    put(
        store,
        Recording("/data/birds/a/1.wav", [HEARD]),
        Recording("/data/birds/a/2.wav", [SILENT]),
        Recording("/data/birds/a/b/3.wav", [HEARD]),
    )
    assert table(counted(store, "folder")) == {".": (1, 0, 2), "b": (1, 0, 1)}
    assert counted(store, "folder").base == Path("/data/birds/a")
    write_roots(store.catalog, [Root(Path("/data")), Root(Path("/data/birds")), Root(Path("/data/birds/a/1.wav"))])
    assert table(counted(store, "folder")) == {"a": (1, 0, 2), "a/b": (1, 0, 1)}
    assert counted(store, "folder").base == Path("/data/birds")
    put(store, Recording("/data/cats/a/1.wav", [SILENT], [HEARD]))
    assert counted(store, "folder").bins == ("birds/a", "birds/a/b", "cats/a")
    put(store, Recording("/else/a/1.wav", [SILENT]))
    assert counted(store, "folder").bins == ("data/birds/a", "data/birds/a/b", "data/cats/a", "else/a")
    put(store, Recording("esc-50/1", [SILENT]), Recording("2", [HEARD]))
    bins = (".", "/data/birds/a", "/data/birds/a/b", "/data/cats/a", "/else/a", "esc-50")
    assert counted(store, "folder").bins == bins
    assert counted(store, "folder").base is None
    assert table(counted(store, "folder", under=Path("/data/cats"))) == {"cats/a": (0, 1, 1)}
    assert table(counted(store, "folder", under=Path("esc-50"))) == {"esc-50": (0, 0, 1)}


def test_folders_of_any_bytes_keep_their_names_and_order(store):
    names = [os.fsdecode(name) for name in (b"\xff\xe9", b"new\nline", b"[red]x[/red]", "雨".encode(), b"b", b"a")]
    put(store, *(Recording(f"/r/{name}/1.wav", [HEARD]) for name in names))
    assert counted(store, "folder").bins == tuple(sorted(names, key=os.fsencode))


def test_only_what_is_below_a_folder_and_passes_the_filters_counts(store):
    put(
        store,
        Recording("/r/a/20240612_055940.wav", [HEARD] * 4, content="dog"),
        Recording("/r/b/20240612_065940.wav", [HEARD] * 4, content="dog"),
        Recording("/r/b/x.wav", [HEARD] * 4),
    )
    write_tags(store.catalog, added=[(b"dog", "good")], removed=[])
    assert table(counted(store, under=Path("/r/a"))) == {"5": (2, 0, 2), "6": (2, 0, 2)}
    assert table(counted(store, filters=Filters(tags=("good",)))) == {"5": (2, 0, 2), "6": (4, 0, 4), "7": (2, 0, 2)}
    assert table(counted(store, filters=Filters(hours=(6, 7)))) == {"6": (4, 0, 4)}
    assert counted(store, filters=Filters(hours=(6, 7))).clips_without_time == 0
    assert table(counted(store, "folder", filters=Filters(hours=(6, 7)))) == {"a": (2, 0, 2), "b": (2, 0, 2)}
    first = Filters(recorded=("2024-06-12T05:59:50", "2024-06-12T06:59:50"))
    assert table(counted(store, filters=first)) == {"5": (1, 0, 1), "6": (3, 0, 3)}
    assert table(counted(store, filters=Filters(names=("x*",)))) == {"unknown": (4, 0, 4)}
    assert table(counted(store, filters=Filters(names=("none*",)))) == {}
    assert counted(store, filters=Filters(names=("none*",))).best == (None, None)


def test_an_empty_store_has_hours_and_nothing_else(store):
    assert counted(store).counts == ((0,) * 24, (0,) * 24)
    assert counted(store).totals == (0,) * 24
    for by in ("day", "month", "folder"):
        counts = counted(store, by)
        assert (counts.bins, counts.totals, counts.counts) == ((), (), ((), ()))


def test_the_least_probability_itself_is_enough(store):
    put(store, Recording("/20240612_055940.wav", [0.5, 0.4995, HEARD]))
    assert table(counted(store)) == {"5": (1, 0, 2), "6": (1, 0, 1)}
    assert sum(counted(store, min_probability=0.0).counts[1]) == 3
    assert sum(counted(store, min_probability=1.0).counts[0]) == 0


@pytest.mark.parametrize(
    "change", [{"by": "year"}, {"of": "files"}, {"min_probability": 1.1}, {"min_probability": math.nan}]
)
def test_what_cannot_be_counted(store, change):
    with pytest.raises(ValueError, match=str(next(iter(change)))):
        counted(store, **change)


def test_a_filter_that_makes_no_sense(store):
    with pytest.raises(QueryError, match="length_s"):
        counted(store, filters=Filters(length_s=(2.0, 1.0)))


def test_progress_ends_when_all_windows_are_done(store, monkeypatch):
    monkeypatch.setattr(sweep, "_WINDOWS_AT_ONCE", 4)
    put(store, Recording("/20240612_055940.wav", [HEARD] * 10), Recording("/x.wav", [HEARD] * 6))
    told: list[float] = []
    counted(store, on_progress=told.append)
    assert told == [0.25, 0.5, 0.75, 1.0]


# Against counting one after the other


def expected(
    store: Store, texts: NDArray[np.float32], by: str, of: str, least: float, filters: Filters, under: str | None
) -> tuple[dict[str, set[object]], list[dict[str, set[object]]]]:
    """Of each bin, what is there, and of each text what reaches the probability: by the definition."""
    totals: dict[str, set[object]] = {}
    reached: list[dict[str, set[object]]] = [{} for _ in texts]
    for clip in store.clips(under):
        content = store.catalog.content(clip.path)
        assert content is not None
        for (start_s, _), vector in zip(content.times, content.embeddings, strict=True):
            if not takes(filters, clip, start_s):
                continue
            name = bin_of(clip, start_s, by)
            unit: object = (clip.digest, start_s) if of == "windows" else clip.digest
            totals.setdefault(name, set()).add(unit)
            for text, where in zip(texts, reached, strict=True):
                score = float(np.dot(vector.astype(np.float64), text))
                if 1 / (1 + math.exp(-(score * MANIFEST.logit_scale + MANIFEST.logit_bias))) >= least:
                    where.setdefault(name, set()).add(unit)
    return totals, reached


def bin_of(clip: IndexedClip, start_s: float, by: str) -> str:
    if by == "folder":
        return str(clip.path.parent)
    if clip.recorded_at is None:
        return "unknown"
    at = datetime.fromisoformat(clip.recorded_at).replace(tzinfo=None) + timedelta(seconds=start_s)
    names = {"hour": str(at.hour), "day": f"{at:%Y-%m-%d}", "day-hour": f"{at:%Y-%m-%dT%H}", "month": f"{at:%Y-%m}"}
    return names[by]


def random_store(store: Store, seed: int) -> None:
    """Some clips of one window and some of many, some of them copies, some without a time; at several places."""
    random = np.random.default_rng(seed)
    contents = []
    for number in range(40):
        windows = int(random.choice([1, 2, 20, 150], p=[0.5, 0.2, 0.2, 0.1]))
        times = [(row * 137.5, row * 137.5 + 10) for row in range(windows)]
        recorded_at = (datetime(2024, 5, 30) + timedelta(seconds=int(random.integers(0, 4 * 86_400)))).isoformat()
        facts = Facts(recorded_at=recorded_at, recorded_by="bext") if random.random() < 0.5 else Facts()
        contents.append(
            Content(
                b"%d" % number, times, random.normal(size=(windows, 3)).astype(np.float32), is_whole=True, facts=facts
            )
        )
    clips = []
    for number in range(60):
        named = random.random() < 0.6
        name = f"2024060{random.integers(1, 5)}_{random.integers(0, 24):02}{random.integers(0, 60):02}00"
        folder = random.choice(["/r", "/r/a", "/r/a/b", "/q"])
        path = Path(f"{folder}/{number}/{name}.wav" if named else f"{folder}/{number % 3}/{number}.wav")
        clips.append((Clip(path, 1, 1), contents[int(random.integers(0, 40))].digest))
    order = random.permutation(len(contents))
    # In parts, so that the windows of one content lie between those of others.
    for part in (0, 1):
        store.catalog.commit(
            contents=[
                Content(
                    one.digest,
                    one.times[: len(one.times) // 2] if part == 0 else one.times[len(one.times) // 2 :],
                    one.embeddings[: len(one.times) // 2] if part == 0 else one.embeddings[len(one.times) // 2 :],
                    is_whole=part == 1,
                    facts=one.facts,
                )
                for one in (contents[place] for place in order)
                if part == 1 or len(one.times) > 1
            ]
        )
    store.catalog.commit(clips=clips)
    store.catalog.drop_unused_contents()


FILTERS = {
    "all": Filters(),
    "hours": Filters(hours=(22, 5.5)),
    "recorded": Filters(recorded=("2024-05-31T10:00:00", "2024-06-02")),
    "names": Filters(names=("*/1*/*.wav", "2024*")),
}


@pytest.mark.parametrize("of", COUNTED)
@pytest.mark.parametrize("by", COUNTED_BY)
@pytest.mark.parametrize("filters", FILTERS)
def test_counts_are_those_of_one_after_the_other(store, monkeypatch, by, of, filters):
    monkeypatch.setattr(sweep, "_WINDOWS_AT_ONCE", 97)
    monkeypatch.setattr(sweep, "_CONTENTS_AT_ONCE", 7)
    random_store(store, seed=7)
    texts = np.random.default_rng(8).normal(size=(5, 3)).astype(np.float32)
    for least, under in ((0.5, None), (0.13, "/r/a"), (0.0, "/q"), (0.9, "/none")):
        totals, reached = expected(store, texts, by, of, least, FILTERS[filters], under)
        found = count(
            store,
            list("abcde"),
            aims_of(texts),
            by=by,
            of=of,
            min_probability=least,
            under=None if under is None else Path(under),
            filters=FILTERS[filters],
        )
        names = [str((found.base or Path()) / name) for name in found.bins] if by == "folder" else list(found.bins)
        assert {name for name, total in zip(names, found.totals, strict=True) if total} == set(totals)
        for name, total, *of_texts in zip(names, found.totals, *found.counts, strict=True):
            assert total == len(totals.get(name, ()))
            assert of_texts == [len(where.get(name, ())) for where in reached]


def test_it_counts_exactly_what_a_query_finds(store):
    """With thresholds that are the very probabilities of windows, to the last bit."""
    random = np.random.default_rng(3)
    vectors = random.normal(size=(500, 3)).astype(np.float32)
    put(store, *(Recording(f"/{row}.wav", [float(a)], [float(b)]) for row, (a, b, _) in enumerate(vectors)))
    text = random.normal(size=3).astype(np.float32)
    matches = store.finder.best_matches(text, None, all_windows=True).best
    for place in range(0, 500, 25):
        score = np.float64(matches[place].score)
        least = float(counting.probabilities(score, MANIFEST.logit_scale, MANIFEST.logit_bias))
        found = count(store, ["x"], [Aim(text, None)], by="folder", of="windows", min_probability=least)
        assert found.counts == ((place + 1,),)


def test_a_long_recording_is_never_in_memory_as_a_whole(store, monkeypatch):
    """A week at a window every ten seconds."""
    seen: list[int] = []
    vectors = InRows.vectors
    monkeypatch.setattr(InRows, "vectors", lambda self, db, rows: (seen.append(len(rows)), vectors(self, db, rows))[1])
    put(store, Recording("/r/20240603_000000.wav", [HEARD if row % 360 == 5 else SILENT for row in range(60_480)]))
    assert table(counted(store)) == {str(hour): (7, 0, 2_520) for hour in range(24)}
    assert table(counted(store, "day", of="clips")) == {f"2024-06-{day:02}": (1, 0, 1) for day in range(3, 10)}
    assert (max(seen), sum(seen)) == (4_096, 2 * 60_480)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM windows WHERE id = 2",
        "DELETE FROM clips WHERE id = 2",
        "DELETE FROM contents WHERE id = 2",
        "UPDATE windows SET start_s = 1e300 WHERE id = 3",
        "UPDATE windows SET embedding = x'00' WHERE id = 3",
        "UPDATE clips SET content_id = 1 WHERE id = 2",
    ],
)
def test_damage_is_an_error_and_no_other_count(tmp_path, statement):
    import sqlite3

    with Store.create(tmp_path / "store", MANIFEST) as store:
        put(store, *(Recording(f"/r/{name}.wav", [HEARD, SILENT]) for name in "abc"))
    with sqlite3.connect(tmp_path / "store" / "catalog.sqlite3") as db:
        assert db.execute(statement).rowcount == 1
    db.close()
    with Store.open(tmp_path / "store") as store, pytest.raises(StoreError, match="damaged"):
        counted(store)


def test_windows_that_no_clip_has_any_more_do_not_count(tmp_path):
    with Store.create(tmp_path / "store", MANIFEST) as store:
        put(store, Recording("/r/a.wav", [HEARD, SILENT]), Recording("/r/b.wav", [HEARD, SILENT]))
        store.catalog.commit(removed=[Path("/r/a.wav")])
        assert table(counted(store)) == {"unknown": (1, 0, 2)}


# From Python


@pytest.fixture
def library(tmp_path, monkeypatch):
    with Store.create(tmp_path / "store", MANIFEST) as store:
        put(
            store,
            Recording("/r/a/20240612_055940.wav", [HEARD, SILENT, HEARD]),
            Recording("name/1", [SILENT], [HEARD]),
        )
    opened = pe_search.open(tmp_path / "store")
    monkeypatch.setattr(opened.model, "text_embedder", FakeEmbedder)
    with opened:
        yield opened


def test_a_library_counts(library):
    counts = library.count(["1 0 0", "0 1 0"])
    assert isinstance(counts, pe_search.Counts)
    assert table(counts) == {"5": (1, 0, 2), "6": (1, 0, 1), "unknown": (0, 1, 1)}
    assert counts.texts == ("1 0 0", "0 1 0")
    assert library.count("1 0 0", by="folder", of="clips", under="/r").counts == ((1,),)
    assert library.count("1 0 0", by="folder", under="name").bins == ("name",)
    assert library.count("1 0 0", by="day", filters=Filters(hours=(6, 7))).counts == ((1,),)
    assert library.remembered_texts.recall(["1 0 0"])


@pytest.mark.parametrize("texts", [[], "", ["dog", " "]])
def test_a_library_counts_no_empty_text(library, texts):
    with pytest.raises(QueryError):
        library.count(texts)
