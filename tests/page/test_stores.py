"""Several stores on one page."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

import pe_search
from tests.page.conftest import client_with_key
from tests.page.test_routes import PASS


@pytest.fixture
def client(answering_two):
    return client_with_key(answering_two)


def test_hits_are_those_of_both_and_say_which_store_has_them(client, scene, second):
    told = client.get("/page/state").json()
    assert [(one["path"], one["name"]) for one in told["stores"]] == [
        (str(scene.store), scene.store.name),
        (str(second.store), "second"),
    ]
    assert told["clips"] == 8
    hits = client.get("/page/hits?text=church+bell&k=20").json()["hits"]
    assert len(hits) == 7, "the rain is in both, and is one hit"
    places = {hit["path"]: (hit["store"], hit["digest"]) for hit in hits}
    for path, place in places.items():
        own, name, number = (second, "second", "1-") if path.startswith(str(second.sounds)) else (scene, "store", "")
        assert place == (name, number + own.digest(str(Path(path).relative_to(own.sounds))))
    assert str(second.sounds / "bell.wav") in places


def test_sound_and_pictures_come_from_the_store_that_has_the_clip(client, scene, second):
    digest = f"1-{second.digest('bell.wav')}"
    with pe_search.open(second.store) as library:
        peaks = library.peaks(second.sounds / "bell.wav", columns=50)
        gain_db = library.gain_db(second.sounds / "bell.wav", 0, 1)
    assert client.get(f"/page/clips/{digest}").json()["speed"] == 0.5
    assert client.get(f"/page/peaks/{digest}?columns=50").content == peaks.tobytes()
    assert client.get(f"/page/gain/{digest}?from=0&to=1").json() == {"gain_db": gain_db}
    held = client.get(f"/page/audio/{digest}?pass={PASS}&from=0&to=1").content
    slow, rate_hz = soundfile.read(io.BytesIO(held))
    assert len(slow) == 2 * rate_hz
    held = client.get(f"/page/audio/{digest}?pass={PASS}&from=0&to=1&original=true").content
    assert len(soundfile.read(io.BytesIO(held))[0]) == rate_hz
    assert client.get(f"/page/file/{digest}?pass={PASS}").content == (second.sounds / "bell.wav").read_bytes()
    assert client.get(f"/page/clips/{scene.digest('dog-barking.flac')}").json()["speed"] == 1
    # Both have the rain, and each as it hears it.
    rain = second.digest("rain.flac")
    speeds = [client.get(f"/page/clips/{number}{rain}").json()["speed"] for number in ("", "1-")]
    assert speeds == [1, 0.5]
    assert client.get(f"/page/clips/2-{rain}").status_code == 404
    like = client.get("/page/hits", params={"like": f"{digest}@0-1"}).json()["hits"]
    assert like[0]["name"] == "bell.wav"


def test_tags_and_judgements_go_into_the_store_that_has_the_clip(client, scene, second):
    bell, dog = f"1-{second.digest('bell.wav')}", scene.digest("dog-barking.flac")
    told = client.post("/page/tags", json={"clips": [bell, dog], "add": ["good"]}).json()
    assert told == {"clips": {bell: ["good"], dog: ["good"]}, "tags": {"good": 2}}
    given = {"word": "@bell", "clip": bell, "start_s": 0.0, "end_s": 1.0, "verdict": "yes", "text": "church bell"}
    assert client.post("/page/judgements", json=given).json()["word"]["yes"] == 1
    for place, judged in ((scene.store, []), (second.store, [bell.removeprefix("1-")])):
        with pe_search.open(place) as library:
            assert library.tags() == {"good": 1}
            assert [one.digest.hex() for one in library.judgements()] == judged


def test_views_of_one_store_have_a_choice(client, scene, second):
    counts = [client.get(f"/page/map?store={store}").json()["count"] for store in (0, 1)]
    assert counts == [6, 2]
    found = client.get("/page/map?store=1&of=windows").json()
    rows = client.post("/page/map/rows", json={"mark": found["mark"], "of": "windows", "store": 1, "dots": [0]}).json()
    assert [(row["name"], row["store"]) for row in rows["hits"]] == [("bell.wav", "second")]
    hits = client.get("/page/outliers?store=1").json()["hits"]
    assert {hit["name"] for hit in hits} == {"bell.wav", "rain.flac"}
    assert client.get("/page/duplicates?store=1").json() == {"hits": [], "groups": 0}
    for view in ("map", "outliers", "duplicates"):
        refused = client.get(f"/page/{view}?store=2")
        assert (refused.status_code, refused.json()["detail"]) == (404, "The page was opened with fewer stores.")


def test_counts_and_filters_go_through_both(client):
    days = client.get("/page/counts?text=dog+barking").json()["days"]
    totals = {one["day"]: sum(one["counts"]["dog barking"][1]) for one in days}
    assert totals["2024-06-12"] == 7
    names = [hit["name"] for hit in client.get("/page/hits?text=rain&name=b*").json()["hits"]]
    assert names == ["bell.wav"]


def test_hits_over_http_are_those_of_both(client):
    found = client.get("/hits?text=church+bell&k=all").json()["hits"]
    assert sum(hit["path"].endswith("bell.wav") for hit in found) == 1
    np.testing.assert_array_equal([hit["rank"] for hit in found], np.arange(1, 8))
