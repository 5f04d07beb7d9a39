"""What the page has when it is loaded again, gone back to, left open, or printed; in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

import pe_search
from pe_search.records import Clip
from pe_search.store import Store
from tests.made_up import put_clips
from tests.page.browser import Watched, launched, program
from tests.page.conftest import KEY

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(program() is None, reason="There is no Chromium (chromium, google-chrome, $PE_SEARCH_CHROMIUM)"),
]


@pytest.fixture(scope="module")
def browser():
    with launched() as one:
        yield one


@pytest.fixture
def looking(browser, still_url) -> Iterator[Watched]:
    """The page of a store that is not changed."""
    one = Watched(browser, still_url)
    yield one
    one.close()
    assert one.wrong == []


def chosen(page) -> str:
    """The number of the hit that is chosen."""
    return page.get_attribute(".hit.chosen", "aria-posinset")


def test_the_chosen_hit_is_in_the_address(looking):
    page = looking.page
    looking.look_for("dog barking")
    page.locator(".hit").nth(3).click()
    name = looking.names()[3]
    page.wait_for_url("**&chosen=*")
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert (chosen(page), looking.names()[3], page.inner_text("#detail h2")) == ("4", name, name)
    # What is chosen in the very moment before is in the step that is gone back to.
    page.locator(".hit").nth(2).click()
    page.click("button:has-text('More like this')")
    page.wait_for_selector(".chip.like")
    page.wait_for_selector(".hit.chosen[aria-posinset='1']")
    assert "chosen=" not in page.url
    page.go_back()
    page.wait_for_selector(".hit.chosen[aria-posinset='3']")
    # To start a word asks for the same hits.
    page.fill("#word", "@mydog")
    page.click("button:has-text('Teach a word')")
    page.wait_for_selector("button:has-text('Unsure')")
    assert chosen(page) == "3"
    page.fill("#text", "rain")
    page.wait_for_selector(".hit.chosen[aria-posinset='1']")


def test_a_hit_far_down_is_found_again(browser, url, scene):
    with Store.open(scene.store, read_only=False) as store:
        rng = np.random.default_rng(0)
        rows = [
            (Clip(scene.sounds / f"{number:03}.wav", 1, number + 1), [(0.0, 10.0)], row[None, :])
            for number, row in enumerate(rng.normal(size=(200, store.manifest.dimension)).astype(np.float32))
        ]
        put_clips(store, rows)
    watched = Watched(browser, url, "?text=rain")
    page = watched.page
    page.evaluate("scrollTo(0, 100000)")
    page.wait_for_selector("#status:has-text('206 hits')")
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    last = page.locator(".hit[aria-posinset='206']")
    last.click()
    page.wait_for_url("**&chosen=*")
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert chosen(page) == "206"
    box = page.locator(".hit.chosen").bounding_box()
    assert 0 < box["y"] < 800 - box["height"]
    watched.close()


def test_the_address_with_a_new_key_is_enough_in_a_tab_that_is_open(browser, still_url):
    watched = Watched(browser, still_url)
    page = watched.page
    page.evaluate("localStorage.setItem('pe-search-key', 'an old one')")
    with page.expect_navigation(wait_until="load"):
        page.evaluate(f"location.hash = 'key={KEY}'")
    watched.look_for("dog barking")
    assert "#" not in page.url
    watched.close()


def test_a_server_that_comes_back_with_another_store_shows_that_one(browser, still_url):
    watched = Watched(browser, still_url)
    page = watched.page
    watched.look_for("dog barking")
    state = page.request.get(f"{still_url}/page/state", headers={"Authorization": f"Bearer {KEY}"}).json()
    state["stores"] = [{"path": "/elsewhere/bats.store", "name": "bats.store"}]
    page.route("**/page/hits*", lambda route: route.abort())
    page.fill("#text", "rain")
    page.wait_for_selector("#said.error.shown:has-text('The server does not answer.')")
    page.route("**/page/state", lambda route: route.fulfill(body=json.dumps(state), content_type="application/json"))
    page.unroute("**/page/hits*")
    page.wait_for_selector("#store:has-text('bats.store')")
    page.wait_for_selector(".hit.chosen .name:has-text('rain.flac')")
    assert page.input_value("#text") == "rain"
    watched.close()


def test_hours_are_drawn_an_hour_at_a_time(browser, url, scene, tmp_path):
    """Four hours, of which the header is all that lies on the disk."""
    long, rate_hz = tmp_path / "long.wav", 8_000
    samples = 4 * 3_600 * rate_hz
    header = b"RIFF" + (36 + samples).to_bytes(4, "little") + b"WAVEfmt \x10\0\0\0\x01\0\x01\0"
    header += 2 * rate_hz.to_bytes(4, "little") + b"\x01\0\x08\0data" + samples.to_bytes(4, "little")
    with long.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + samples)
    status = long.stat()
    with Store.open(scene.store, read_only=False) as store:
        vector = np.ones((1, store.manifest.dimension), np.float32)
        put_clips(store, [(Clip(long, status.st_size, status.st_mtime_ns), [(14_390.0, 14_400.0)], vector)])
    with pe_search.open(scene.store) as library:
        digest = library.known(long)[long].digest.hex()
    asked = []
    watched = Watched(browser, url)
    page = watched.page
    page.on("requestfinished", lambda one: "columns=300" in one.url and asked.append(one.url.partition("?")[2]))
    page.goto(f"{url}/page/?view=strip&text=dog&clip={digest}")
    with page.expect_response(lambda one: "from=10800&to=14400&columns=300" in one.url) as drawn:
        pass
    assert np.frombuffer(drawn.value.body(), np.int8).tolist() == [-127, 0] * 300
    assert asked[:3] == [f"from={3_600 * hour}&to={3_600 * (hour + 1)}&columns=300" for hour in range(3)]
    watched.close()
    assert watched.wrong == []


def test_views_that_are_left_leave_nothing_behind(looking, still):
    page = looking.page
    looking.look_for("dog barking")
    long = still.digest("PAM_20240612_050000.wav")
    session = looking.context.new_cdp_session(page)

    def listeners() -> int:
        session.send("HeapProfiler.collectGarbage")
        return session.send("Memory.getDOMCounters")["jsEventListeners"]

    def go(times: int) -> None:
        for turn in range(times):
            page.evaluate(
                """([clip, turn]) => {
                    history.pushState(null, "", `?view=${turn % 2 ? "map" : "strip"}&clip=${clip}&text=dog`);
                    dispatchEvent(new PopStateEvent("popstate"));
                }""",
                [long, turn],
            )
            # A handle of an element would keep it.
            page.locator("canvas.map" if turn % 2 else "canvas.strip").wait_for()

    go(4)
    before = listeners()
    go(30)
    assert listeners() <= before + 10


def test_all_hits_are_printed(looking):
    page = looking.page
    looking.look_for("dog barking")
    page.set_viewport_size({"width": 1000, "height": 200})
    text = page.evaluate("""() => {
        dispatchEvent(new Event("beforeprint"));
        return [...document.querySelectorAll(".hit .name b")].map((one) => one.textContent);
    }""")
    assert len(text) == 6
    page.emulate_media(media="print", color_scheme="dark")
    boxes = [row.bounding_box() for row in page.locator(".hit").all()]
    assert all(after["y"] >= row["y"] + row["height"] for row, after in pairwise(boxes))
    assert page.evaluate("getComputedStyle(document.querySelector('.hit .name')).color") == "rgb(0, 0, 0)"
    assert not page.is_visible("nav")
    assert not page.is_visible("#detail")


def test_what_is_too_long_says_so(looking):
    page = looking.page
    page.fill("#text", "a" * 10_000)
    page.wait_for_selector("#said.error.shown:has-text('1000 characters')")
    page.fill("#text", "a" * 1_500_000)
    page.wait_for_selector("#said.error.shown:has-text('This is too long to look for.')")
    looking.look_for("dog barking")
    looking.wrong[:] = [line for line in looking.wrong if "422" not in line]
