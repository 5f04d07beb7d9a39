"""The views of the whole store."""

from __future__ import annotations

import threading
from base64 import b64decode

import numpy as np
import pytest

import pe_search
from pe_search.search import layout, mapping
from pe_search.serving.answering import StoppedError
from pe_search.store import Store
from tests.page.conftest import HOSTILE
from tests.serving.conftest import DEADLINE_S


def unpacked(text: str, kind: str) -> list[int]:
    return np.frombuffer(b64decode(text), kind).tolist()


def test_the_map_is_that_of_the_library(client, scene):
    digest = scene.digest("weather/rain.flac")
    client.post("/page/tags", json={"clips": [digest], "add": ["wet"]})
    found = client.get("/page/map?label=rain&label=dog+barking").json()
    with pe_search.open(scene.store) as library:
        held = library.sound_map()
    assert found["count"] == len(held.paths) == 6
    assert unpacked(found["points"], "<u2") == np.rint(held.points * 65_535).astype(int).ravel().tolist()
    names = [path.name for path in held.paths]
    folders = [found["folders"][number] for number in unpacked(found["folder"], "<u2")]
    assert folders == [str(path.parent) for path in held.paths]
    tags = dict(zip(names, unpacked(found["tag"], "<u2"), strict=True))
    assert tags.pop("rain.flac") == 0
    assert set(tags.values()) == {65_535}
    hours = dict(zip(names, unpacked(found["hour"], "u1"), strict=True))
    assert hours.pop("PAM_20240612_050000.wav") == 5
    assert set(hours.values()) == {255}
    labels = dict(zip(names, unpacked(found["label"], "u1"), strict=True))
    assert (labels["rain.flac"], labels["dog-barking.flac"], labels["church-bell.flac"]) == (0, 1, 255)
    dots = [names.index(HOSTILE), names.index("rain.flac")]
    rows = client.post("/page/map/rows", json={"mark": found["mark"], "dots": dots}).json()["hits"]
    assert [(row["rank"], row["name"], row["tags"]) for row in rows] == [(1, HOSTILE, []), (2, "rain.flac", ["wet"])]


def test_windows_are_dots_too(reader, still):
    found = reader.get("/page/map?of=windows").json()
    with pe_search.open(still.store) as library:
        held = library.sound_map(of="windows")
    assert (found["of"], found["count"], found["windows"]) == ("windows", 12, 12)
    assert unpacked(found["points"], "<u2") == np.rint(held.points * 65_535).astype(int).ravel().tolist()
    asked = {"mark": found["mark"], "of": "windows", "dots": list(range(12))}
    rows = reader.post("/page/map/rows", json=asked).json()["hits"]
    assert [[row["start_s"], row["end_s"]] for row in rows] == held.times.tolist()
    assert [row["path"] for row in rows] == [str(path) for path in held.paths]
    assert reader.get("/page/map?of=files").status_code == 422


def test_of_many_windows_some_are_dots_and_it_says_of_how_many(client, scene, monkeypatch):
    with pe_search.open(scene.store) as library:
        # A copy is a clip, and its windows are dots.
        copy = scene.store.parent / "copy.flac"
        copy.write_bytes((scene.sounds / "dog-barking.flac").read_bytes())
        library.index(copy)
    monkeypatch.setattr(mapping, "MOST_WINDOWS", 5)
    found = client.get("/page/map?of=windows").json()
    assert (found["count"], found["windows"]) == (5, 13)


def test_a_better_map_is_made_aside_kept_and_shown_once_it_is_there(client, answering, scene, monkeypatch):
    monkeypatch.setattr(layout, "find_spec", lambda _name: True)
    monkeypatch.setattr(layout, "FEWEST", 3)
    begun, goes_on = threading.Event(), threading.Event()

    def fit(vectors, _check):
        begun.set()
        assert goes_on.wait(DEADLINE_S)
        return vectors[:, :2]

    monkeypatch.setattr(layout, "_fitted", fit)
    assert client.get("/page/map?layout=pca").json()["better"] == "none", "nobody wants it"
    first = client.get("/page/map").json()
    assert (first["layout"], first["better"], first["why"]) == ("pca", "making", "")
    assert begun.wait(DEADLINE_S)
    assert client.get("/page/map?layout=pacmap").json()["layout"] == "pca"
    assert client.get("/page/hits?text=rain").status_code == 200, "all else goes on"
    assert client.get("/page/map/better").json() == {"better": "making", "why": ""}
    goes_on.set()
    # One at a time: this comes after it.
    answering.aside(lambda _library, _check: None).result(DEADLINE_S)
    assert client.get("/page/map/better").json() == {"better": "ready", "why": ""}
    found = client.get("/page/map").json()
    with pe_search.open(scene.store) as library:
        held = library.laid_out(library.sound_map(), only_kept=True)
    assert (found["layout"], found["mark"]) == ("pacmap", first["mark"])
    assert unpacked(found["points"], "<u2") == np.rint(held.points * 65_535).astype(int).ravel().tolist()
    assert client.get("/page/map?layout=pca").json()["points"] == first["points"]


@pytest.mark.parametrize("is_installed", [False, True])
def test_why_there_is_no_better_map_is_said(client, answering, monkeypatch, is_installed):
    monkeypatch.setattr(layout, "find_spec", lambda _name: True if is_installed else None)
    monkeypatch.setattr(layout, "FEWEST", 3)
    monkeypatch.setattr(layout, "_PROGRAM", "raise SystemExit('no room')")
    client.get("/page/map")
    answering.aside(lambda _library, _check: None).result(DEADLINE_S)
    told = client.get("/page/map").json()
    said = (
        "PaCMAP failed, so there is no map by it: no room"
        if is_installed
        else "A map that keeps neighbours together needs"
    )
    assert (told["layout"], told["better"]) == ("pca", "none")
    assert told["why"].startswith(said)


def test_what_is_made_aside_ends_with_the_server(answering, client, monkeypatch):
    monkeypatch.setattr(layout, "find_spec", lambda _name: True)
    monkeypatch.setattr(layout, "FEWEST", 3)
    monkeypatch.setattr(layout, "_PROGRAM", "import time; time.sleep(600)")
    assert client.get("/page/map").json()["better"] == "making"
    after = answering.aside(lambda _library, _check: None)
    answering.stop()
    assert isinstance(after.exception(DEADLINE_S), StoppedError)


def test_a_map_stays_good_while_its_dots_do_though_clips_are_tagged(client, scene):
    mark = client.get("/page/map").json()["mark"]
    with pe_search.open(scene.store) as library:
        digest = library.sound_map().digests[0].hex()
    client.post("/page/tags", json={"clips": [digest], "add": ["dry"]})
    (row,) = client.post("/page/map/rows", json={"mark": mark, "dots": [0]}).json()["hits"]
    assert row["tags"] == ["dry"]
    assert client.get("/page/map").json()["mark"] != mark


def test_a_map_that_is_old_is_refused(client, scene):
    mark = client.get("/page/map").json()["mark"]
    assert client.post("/page/map/rows", json={"mark": mark, "dots": [6]}).status_code == 409
    with pe_search.open(scene.store) as library:
        library.remove(scene.sounds / "rooster.aiff")
    assert client.post("/page/map/rows", json={"mark": mark, "dots": [0]}).status_code == 409


def test_what_the_store_holds_is_read_once_after_each_commit(client, scene, monkeypatch):
    read, status = [], Store.status
    monkeypatch.setattr(Store, "status", lambda store: read.append(store.directory) or status(store))
    assert [client.get("/page/state").json()["clips"] for _ in range(3)] == [6, 6, 6]
    client.get("/page/map")
    assert read == [scene.store]
    with pe_search.open(scene.store) as library:
        before = library.mark()
        library.remove(scene.sounds / "rooster.aiff")
    with pe_search.open(scene.store) as library:
        assert library.mark() != before
    assert client.get("/page/state").json()["clips"] == 5
    assert read == [scene.store] * 2


@pytest.mark.parametrize("share", ["", "&min_probability=0.9"])
def test_counts_are_those_of_the_library(client, scene, share):
    found = client.get(f"/page/counts?text=dog+barking{share}").json()
    with pe_search.open(scene.store) as library:
        least = found["min_probability"]
        by_hour = library.count("dog barking", by="hour", min_probability=least)
        by_day = library.count("dog barking", by="day", min_probability=least)
    (day,) = found["days"]
    counts, totals = day["counts"]["dog barking"]
    assert day["day"] == "2024-06-12"
    assert counts == list(by_hour.counts[0][:24])
    assert totals == list(by_hour.totals[:24])
    assert sum(counts) == by_day.counts[0][0] == 1
    assert (counts[5], totals[5]) == (1, 7)
    assert client.get("/page/counts?text=dog&hour=5").status_code == 422


def test_places_where_words_are_said_are_counted(client, talk, scene):
    recorded = talk.with_name("TALK_20240612_235955.wav")
    recorded.write_bytes(talk.read_bytes() + b"JUNK")
    recorded.with_suffix(".srt").write_bytes(talk.with_suffix(".srt").read_bytes())
    with pe_search.open(scene.store) as library:
        library.index(talk.parent)
    found = client.get("/page/counts?said=tuesday").json()
    hours = [0] * 24
    hours[0] = 1  # at 6 s, after midnight; of the other clip no time is known
    assert found["said_days"] == [{"day": "2024-06-13", "counts": hours}]
    assert (found["texts"], found["days"]) == ([], [])
    both = client.get("/page/counts?text=dog+barking&said=tuesday").json()
    assert both["said_days"] == found["said_days"]
    assert both["days"] == client.get("/page/counts?text=dog+barking").json()["days"]
    places = client.get("/page/hits?said=tuesday&all_windows=true&recorded=2024-06-13&hour=0-1").json()["hits"]
    assert [place["name"] for place in places] == [recorded.name]
    assert client.get("/page/counts?said=%22").json() == {"detail": "said has a quote that is not closed: '\"'."}


def test_duplicates_and_outliers_are_those_of_the_library(client, scene, tmp_path):
    copy = tmp_path / "copy.flac"
    copy.write_bytes((scene.sounds / "dog-barking.flac").read_bytes())
    with pe_search.open(scene.store) as library:
        library.index(copy)
        ((one, other),) = library.duplicates()
        outliers = library.outliers(200)
    found = client.get("/page/duplicates").json()
    hits = found["hits"]
    assert found["groups"] == 1
    assert [(hit["rank"], hit["path"], hit["score"]) for hit in hits] == [
        (1, str(one.path), one.cosine),
        (1, str(other.path), other.cosine),
    ]
    hits = client.get("/page/outliers").json()["hits"]
    assert [(hit["path"], hit["score"]) for hit in hits] == [(str(path), cosine) for path, cosine in outliers]
