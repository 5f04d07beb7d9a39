"""The page of a store in Milvus shows what that of the same store in a folder does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient

import pe_search
from pe_search.directories import store_at
from pe_search.serving.answering import Answering
from tests.page.browser import Watched, launched, program
from tests.page.conftest import Scene, client_with_key, served
from tests.page.test_routes import PASS

pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")
pytestmark = pytest.mark.slow


@pytest.fixture
def ours(scene, tmp_path) -> Iterator[Answering]:
    """Of a copy of the store, in a file of Milvus Lite."""
    address = f"milvus:{tmp_path}/page.db"
    with pe_search.open(scene.store) as local, pe_search.create(address) as library:
        library.merge(scene.store)
        assert [clip.path for clip in library.clips()] == [clip.path for clip in local.clips()]
    with Answering(store_at(address), lambda: None) as one:
        yield one


def digests(scene: Scene) -> dict[str, str]:
    with pe_search.open(scene.store) as library:
        return {clip.path.name: clip.digest.hex() for clip in library.clips()}


def told(client: TestClient, method: str, address: str, **options: Any) -> object:
    """What a route answers, without what no two answers have alike."""
    response = client.request(method, f"/page/{address}", **options)
    if response.headers.get("content-type") != "application/json":
        return response.status_code, response.content
    text = re.sub(r'"(took_ms|mark|better|why|judged_at_s|made_at_s)":("[^"]*"|[\d.]+)', r'"\1":0', response.text)
    return response.status_code, re.sub(r'"stores?":("[^"]*"|\[\{.*?\}\])', '"store":0', text)


def test_every_route_answers_the_same(client, ours, scene):
    mine, names = client_with_key(ours), digests(scene)
    dog, rain = names["dog-barking.flac"], names["rain.flac"]

    def same(method: str, address: str, **options: Any) -> object:
        found = told(mine, method, address, **options)
        assert found == told(client, method, address, **options), address
        assert found[0] == 200, found
        return found[1]

    def look() -> None:
        same("GET", "state")
        same("GET", "hits?text=dog+barking&k=20")
        same("GET", f"hits?like={dog}@0-1&k=20")
        same("GET", "hits?text=rain&minus=wind&all_windows=true&k=20&sort=path&fields=tags,duration_s,loudness_lufs")
        same("GET", "hits?text=rain&name=r*&tag=wet")
        same("GET", "hits?text=@bark")
        same("GET", "words")
        same("GET", "judgements?word=@bark")
        same("GET", "map?label=rain")
        same("GET", "map?of=windows")
        same("GET", "counts?text=dog+barking")
        same("GET", "duplicates?threshold=0.1")
        same("GET", "outliers")

    given = {"word": "@bark", "clip": dog, "start_s": 0.0, "end_s": 1.0, "verdict": "yes", "text": "dog barking"}
    same("POST", "judgements", json=given)
    same("POST", "judgements", json=given | {"clip": rain, "verdict": "no"})
    same("POST", "tags", json={"clips": [rain, dog], "add": ["wet", "loud"]})
    look()
    same("POST", "tags", json={"clips": [dog], "remove": ["wet"]})
    same("POST", "judgements", json=given | {"verdict": "unsure"})
    look()
    for address in (f"clips/{dog}", f"said/{dog}", f"peaks/{dog}?columns=50", f"spectrogram/{dog}?columns=50"):
        same("GET", address)
    same("GET", f"gain/{dog}?from=0&to=1")
    same("GET", f"audio/{dog}?pass={PASS}&from=0&to=1")
    same("GET", f"file/{dog}?pass={PASS}")
    marks = [one.get("/page/map").json()["mark"] for one in (mine, client)]
    found, right = (
        one.post("/page/map/rows", json={"mark": mark, "dots": [0, 3]}).json()["hits"]
        for one, mark in zip((mine, client), marks, strict=True)
    )
    assert [row["path"] for row in found] == [row["path"] for row in right]
    assert len(found) == 2


@pytest.mark.skipif(program() is None, reason="There is no Chromium (chromium, google-chrome, $PE_SEARCH_CHROMIUM)")
def test_in_a_browser(ours, scene):
    with launched() as browser:
        for url in served(ours):
            watched = Watched(browser, url)
            page = watched.page
            watched.look_for("dog barking")
            assert sorted(watched.names()[:2]) == ["PAM_20240612_050000.wav", "dog-barking.flac"]
            assert "6 hits in " in page.inner_text("#status")
            page.keyboard.press("ArrowDown")
            assert watched.play_time_s() > 0
            page.keyboard.press(" ")
            page.keyboard.press("f")
            page.wait_for_selector(".hit.chosen .tag:has-text('favourite')")
            page.click("button:has-text('Teach a word')")
            page.wait_for_selector(".standing:has-text('@dog-barking: nothing judged yet')")
            page.locator(".hit").first.focus()
            page.keyboard.press("y")
            page.wait_for_selector(".standing:has-text('@dog-barking: 1 yes, 0 no, 0 unsure')")
            page.wait_for_selector(".hit.chosen[aria-posinset='2']")
            page.keyboard.press("n")
            page.wait_for_selector(".standing:has-text('@dog-barking: 1 yes, 1 no, 0 unsure')")
            page.click("button:has-text('Search with @dog-barking')")
            page.wait_for_selector("#status:has-text('6 hits in')")
            watched.close()
            assert watched.wrong == []
            assert watched.hosts == {urlsplit(url).netloc}
            for view, shown in (("map", "canvas"), ("counts", "table"), ("duplicates", "#main, main")):
                other = Watched(browser, url, f"?view={view}&text=dog+barking")
                other.page.wait_for_selector(shown)
                other.close()
                assert other.wrong == [], view
    with pe_search.open(str(f"milvus:{scene.store.parent}/page.db")) as library:
        assert library.tags() == {"favourite": 1}
        (word,) = library.words()
        assert (word.word, word.yes, word.no) == ("@dog-barking", 1, 1)
