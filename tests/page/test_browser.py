"""The page in a real browser."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
from axe_playwright_python.sync_playwright import Axe

import pe_search
from pe_search.search import layout
from tests.made_up import noise
from tests.page.browser import DEADLINE_MS, Watched, launched, program
from tests.page.conftest import HOSTILE, SOUNDS, served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(program() is None, reason="There is no Chromium (chromium, google-chrome, $PE_SEARCH_CHROMIUM)"),
]


_NOW_S = "document.getElementById('audio').currentTime"


@pytest.fixture(scope="module")
def browser():
    with launched() as one:
        yield one


@pytest.fixture
def watched(browser, url) -> Iterator[Watched]:
    """The page of a store that may be changed."""
    yield from _watched(browser, url)


@pytest.fixture
def looking(browser, still_url) -> Iterator[Watched]:
    """The page of a store that is not changed."""
    yield from _watched(browser, still_url)


def _watched(browser, url: str) -> Iterator[Watched]:
    one = Watched(browser, url)
    yield one
    one.close()
    assert one.wrong == []
    assert one.hosts == {urlsplit(url).netloc}


def test_what_is_typed_is_found(looking):
    looking.look_for("dog barking")
    assert sorted(looking.names()[:2]) == ["PAM_20240612_050000.wav", "dog-barking.flac"]
    assert "6 hits in " in looking.page.inner_text("#status")
    assert looking.page.url.endswith("/page/?text=dog+barking"), "and the key is not in the address any more"
    assert looking.page.title() == "dog barking – pe-search"


def test_an_arrow_plays_the_next_hit_and_space_stops_it(looking):
    looking.look_for("dog barking")
    looking.page.keyboard.press("ArrowDown")
    assert looking.play_time_s() > 0
    assert looking.page.evaluate("document.activeElement.className") == "hit chosen"
    looking.page.keyboard.press(" ")
    looking.page.wait_for_selector(".hit.chosen .play[aria-label^='Play']")
    assert looking.page.evaluate("document.getElementById('audio').paused")
    looking.page.keyboard.press("ArrowDown")
    looking.play_time_s()
    assert looking.page.get_attribute(".hit.chosen", "aria-posinset") == "2"
    at_s = looking.page.evaluate("document.getElementById('audio').currentTime")
    names = looking.names()
    if names[1] == "PAM_20240612_050000.wav":
        assert 30 <= at_s < 40, "its window begins there"


def test_what_no_browser_plays_is_played_too(looking):
    looking.look_for("rooster crowing")
    place = looking.names().index("rooster.aiff")
    looking.page.locator(".hit").nth(place).locator(".play").click()
    assert looking.play_time_s() > 0
    assert "from=0&to=" in looking.page.evaluate("document.getElementById('audio').src")


def test_behind_the_damage_of_a_file_it_plays_on(browser, url, scene, tmp_path):
    held = bytearray((SOUNDS / "owl-hooting.flac").read_bytes())
    middle = len(held) // 2
    held[middle : middle + 2_000] = np.random.default_rng(0).bytes(2_000)
    (tmp_path / "damaged.flac").write_bytes(held)
    with pe_search.open(scene.store) as library:
        library.index(tmp_path / "damaged.flac")
    watched = Watched(browser, url, "?text=owl&name=damaged.flac")
    watched.page.locator(".hit .play").click()
    assert watched.play_time_s() > 0
    # At once, or where the damage is: Chromium gives the file up.
    script = """() => new Promise((done) => {
        const audio = document.getElementById("audio");
        audio.addEventListener("ended", () => done([audio.src, audio.currentTime]));
    })"""
    src, end_s = watched.page.evaluate(script)
    assert "from=0&to=" in src
    assert end_s == pytest.approx(soundfile.info(SOUNDS / "owl-hooting.flac").duration, abs=0.2)
    assert "error" not in (watched.page.get_attribute("#said", "class") or "")
    watched.close()
    assert watched.wrong == []


def test_at_the_end_of_a_part_the_next_one_follows(browser, url, scene, tmp_path):
    # Of 130 s, parts are made.
    long = tmp_path / "long.aiff"
    soundfile.write(long, noise(130.0, rate_hz=8_000) / 10, 8_000, subtype="PCM_16")
    with pe_search.open(scene.store) as library:
        library.index(long)
        digest = library.known(long)[long].digest.hex()
    watched = Watched(browser, url, f"?view=strip&text=noise&clip={digest}")
    page = watched.page
    page.locator(".hit").first.click()
    wave = page.locator("#detail .wave")
    # It shows 20 s; the part is that of the window and half a minute more.
    wave.click(position={"x": wave.bounding_box()["width"] * 0.75, "y": 20})
    assert 14 <= watched.play_time_s() < 20
    assert "from=0&to=40&" in page.evaluate("document.getElementById('audio').src")
    script = """() => new Promise((done) => {
        const audio = document.getElementById("audio"), before = audio.src;
        audio.addEventListener("playing", () => audio.src !== before && done(audio.src));
        audio.currentTime = audio.duration - 0.1;
    })"""
    assert "from=10&to=70&" in page.evaluate(script)
    assert 29 <= watched.play_time_s() < 40
    watched.close()
    assert watched.wrong == []


def test_a_quiet_window_is_played_as_loud_as_it_is_heard(browser, url, scene, tmp_path):
    samples, rate_hz = soundfile.read(SOUNDS / "dog-barking.flac", dtype="float32")
    quiet = tmp_path / "quiet.wav"
    soundfile.write(quiet, samples / 100, rate_hz, subtype="PCM_24")
    with pe_search.open(scene.store) as library:
        library.index(quiet)
        gain_db = library.gain_db(quiet, 0, 3)
    assert gain_db > 20
    watched = Watched(browser, url)
    page = watched.page
    page.evaluate(
        """() => {
            const make = AudioContext.prototype.createGain;
            AudioContext.prototype.createGain = function () { return (window.amplifier = make.call(this)); };
        }"""
    )
    page.click("summary")
    page.fill("#filter-name", "quiet.wav")
    page.fill("#text", "dog barking")
    page.keyboard.press("Enter")
    page.wait_for_selector("#status:has-text('1 hit in')")
    page.click(".hit .play")
    page.wait_for_selector(f".transport:has-text('+{round(gain_db)} dB')")
    watched.play_time_s()
    near = """(wanted) => new Promise((done) => {
        const is = () => Math.abs(amplifier.gain.value / wanted - 1) < 0.01;
        const look = () => is() ? done(true) : requestAnimationFrame(look);
        look();
    })"""
    assert page.evaluate(near, 10 ** (gain_db / 20))
    page.click("button:has-text('Original')")
    page.wait_for_selector("button[aria-pressed=true]:has-text('Original')")
    assert page.evaluate(near, 1)
    assert "dB" not in page.inner_text(".transport")
    watched.close()
    assert watched.wrong == []


def test_hits_of_two_stores_and_views_of_one(browser, answering_two, scene, second):
    with contextmanager(served)(answering_two) as url:
        watched = Watched(browser, url, "?text=church+bell")
        page = watched.page
        page.wait_for_selector(".hit.chosen")
        places = page.locator(".hit .folder").all_inner_texts()
        assert {place.split(" · ")[0] for place in places} == {"store", "second"}
        assert page.inner_text("#store") == "store, second"
        row = page.locator(".hit", has_text="bell.wav")
        row.locator(".play").click()
        assert watched.play_time_s() > 0
        assert f"/audio/1-{second.digest('bell.wav')}?" in page.evaluate("document.getElementById('audio').src")
        page.wait_for_selector(".transport:has-text('× 0.5')")
        page.click("nav a:has-text('Outliers')")
        page.select_option("#store-choice", label="second")
        page.wait_for_selector(".hit .name:has-text('bell.wav')")
        assert page.url.endswith("&view=odd&store=1")
        assert sorted(watched.names()) == ["bell.wav", "rain.flac"]
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
        assert found.response["violations"] == []
        watched.close()
        assert watched.wrong == []


def test_a_click_into_the_waveform_plays_from_there(looking):
    looking.look_for("dog barking")
    place = looking.names().index("dog-barking.flac")
    wave = looking.page.locator(".hit").nth(place).locator(".wave")
    wave.click(position={"x": wave.bounding_box()["width"] * 0.5, "y": 20})
    assert 1.48 <= looking.play_time_s() < 3, "a pixel is a hundredth of a second"


def test_a_picture_is_there_for_whoever_asks_last(looking, scene):
    """Rows are made anew while their waveforms wait; the old rows are gone then."""
    script = """async (clip) => {
        const { peaks } = await import("./pictures.js");
        for (const columns of [51, 52, 53]) peaks(clip, 0, 1, columns);
        const gone = peaks(clip, 0, 1, 50, () => false), last = peaks(clip, 0, 1, 50, () => true);
        return [(await gone).length, (await last).length];
    }"""
    assert looking.page.evaluate(script, scene.digest("dog-barking.flac")) == [100, 100]


def test_the_window_is_played_again_and_again(looking):
    looking.look_for("dog barking")
    looking.page.keyboard.press("Escape")
    looking.page.keyboard.press("l")
    looking.page.wait_for_selector("[aria-pressed=true]:has-text('Loop')")
    place = looking.names().index("dog-barking.flac")
    looking.page.locator(".hit").nth(place).locator(".play").click()
    looking.play_time_s()
    script = """() => new Promise((done) => {
        const audio = document.getElementById("audio");
        audio.addEventListener("seeked", () => audio.currentTime < 1 && done(!audio.paused));
        audio.currentTime = 2.8;
    })"""
    assert looking.page.evaluate(script)


def test_spectrogram_and_spans_are_shown_when_asked_for(looking):
    looking.look_for("dog barking")
    looking.page.keyboard.press("Escape")
    assert not looking.page.is_visible(".spectrogram")
    looking.page.keyboard.press("s")
    looking.page.wait_for_selector(".spectrogram[aria-label*='up to 24 kHz']")
    looking.page.keyboard.press("h")
    looking.page.wait_for_selector("#said:has-text('Heard: ')")


def test_chips_filters_and_back(looking):
    page = looking.page
    looking.look_for("dog barking")
    page.fill("#text", "-rain")
    page.keyboard.press("Enter")
    page.wait_for_selector(".chip.minus:has-text('minus rain')")
    assert "minus=rain" in page.url
    page.click("summary")
    page.fill("#filter-name", "*.aiff")
    page.keyboard.press("Enter")
    page.wait_for_selector("#status:has-text('1 hit in')")
    assert looking.names() == ["rooster.aiff"]
    page.go_back()
    page.wait_for_selector("#status:has-text('6 hits in')")
    page.click(".chip.minus button")
    page.wait_for_selector(".chip", state="detached")
    assert "minus" not in page.url


def test_an_address_is_all_that_a_view_needs(browser, still_url, looking, still):
    digest = still.digest("weather/rain.flac")
    other = looking.context.new_page()
    other.goto(f"{still_url}/page/?text=dog&unlike={digest}@0-2&name=*.flac&view=search")
    other.wait_for_selector(".chip.unlike:has-text('unlike rain.flac')")
    other.wait_for_selector("#status:has-text('4 hits in')")
    assert other.input_value("#filter-name") == "*.flac"
    other.goto(f"{still_url}/page/?text=dog&k=3&sort=name&reverse=true&fields=name,codec")
    other.wait_for_selector("#status:has-text('3 hits in')")
    facts = other.locator(".hit .facts").all_inner_texts()
    assert facts == sorted(facts, reverse=True)
    assert other.locator(".fields dt").all_inner_texts() == ["name", "codec"]
    assert other.locator(".fields dd").all_inner_texts() == facts[0].split(" · ")
    shown = [other.input_value(f"#filter-{name}") for name in ("k", "sort", "fields")]
    assert (shown, other.is_checked("#filter-reverse")) == (["3", "name", "name,codec"], True)
    other.close()


def test_more_like_this_and_less(looking):
    looking.look_for("church bell")
    looking.page.click("button:has-text('Less like this')")
    looking.page.wait_for_selector(".chip.unlike")
    looking.page.wait_for_selector(".hit.chosen")
    looking.page.click("button:has-text('More like this')")
    looking.page.wait_for_selector(".chip.like")


def test_judging_by_keys(watched, scene):
    page = watched.page
    watched.look_for("dog barking")
    page.click("button:has-text('Teach a word')")
    page.wait_for_selector(".standing:has-text('@dog-barking: nothing judged yet')")
    page.locator(".hit").first.focus()
    first, second = watched.names()[:2]
    page.keyboard.press("y")
    page.wait_for_selector(".standing:has-text('@dog-barking: 1 yes, 0 no, 0 unsure')")
    page.wait_for_selector(".hit.chosen[aria-posinset='2']")
    page.keyboard.press("n")
    page.wait_for_selector(".standing:has-text('@dog-barking: 1 yes, 1 no, 0 unsure')")
    assert page.locator(".hit .verdict").all_inner_texts()[:2] == ["Yes", "No"]
    with pe_search.open(scene.store) as library:
        (word,) = library.words()
        assert (word.word, word.text, word.yes, word.no) == ("@dog-barking", "dog barking", 1, 1)
        verdicts = {library.paths_of(one.digest)[0].name: one.verdict for one in library.judgements()}
    assert verdicts == {first: "yes", second: "no"}
    page.click("button:has-text('Search with @dog-barking')")
    page.wait_for_selector("#status:has-text('6 hits in')")
    assert "text=%40dog-barking" in page.url


def test_tags_and_favourites(watched, scene):
    page = watched.page
    watched.look_for("church bell")
    page.keyboard.press("Escape")
    page.keyboard.press("f")
    page.wait_for_selector(".hit.chosen .tag:has-text('favourite')")
    page.keyboard.press("t")
    page.keyboard.type("big <b>one</b>")
    page.keyboard.press("Enter")
    page.wait_for_selector(".hit.chosen .tag:has-text('big <b>one</b>')")
    with pe_search.open(scene.store) as library:
        assert library.tags() == {"big <b>one</b>": 1, "favourite": 1}
    page.click("[aria-label='Remove the tag favourite']")
    page.wait_for_selector(".tag:has-text('favourite')", state="detached")


def test_a_hostile_name_is_a_name(looking):
    looking.look_for("owl hooting")
    assert HOSTILE in looking.names()
    place = looking.names().index(HOSTILE)
    looking.page.locator(".hit").nth(place).click()
    looking.page.wait_for_selector("#detail h2")
    assert looking.page.inner_text("#detail h2") == HOSTILE
    assert looking.page.locator("img").count() == 0
    assert looking.page.title() == "owl hooting – pe-search"


def test_marks_of_direction_and_line_ends_and_what_is_no_file(browser, url, scene, tmp_path):
    odd = tmp_path / "gpj.\u202ewav\nline \u200f<i>2.flac"
    odd.write_bytes((SOUNDS / "owl-hooting.flac").read_bytes() + b"more")
    row = f"rows/{'x' * 4_000}"
    with pe_search.open(scene.store) as library:
        library.index(odd)
        library.add(row, np.zeros(48_000, np.float32), 48_000)
    watched = Watched(browser, url)
    page = watched.page
    watched.look_for("owl hooting")
    names = watched.names()
    odd_name = "gpj.\ufffdwav\ufffdline \ufffd<i>2.flac"
    assert odd_name in names
    page.locator(".hit").nth(names.index(row.removeprefix("rows/"))).click()
    page.wait_for_selector("#detail .error:has-text('a name and not a file')")
    assert page.locator("#detail a").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == 1280
    odd.unlink()
    page.locator(".hit").nth(names.index(odd_name)).click()
    page.locator(".hit.chosen .play").click()
    page.wait_for_selector("#said.error:has-text('No such file or directory')")
    assert "\u202e" not in page.inner_text("#said")
    watched.close()
    # The browser itself tells of what is refused.
    assert {line.partition(":")[0] for line in watched.wrong} <= {"Failed to load resource"}


def test_when_the_server_does_not_answer_the_page_says_so_and_goes_on_later(browser, still_url):
    watched = Watched(browser, still_url)
    page = watched.page
    watched.look_for("dog barking")
    first = watched.names()
    page.route("**/page/hits*", lambda route: route.abort())
    page.fill("#text", "rain")
    page.wait_for_selector("#said.error.shown:has-text('The server does not answer.')")
    assert watched.names() == first, "what was found stays"
    page.unroute("**/page/hits*")
    page.wait_for_selector(".hit.chosen .name:has-text('rain.flac')")
    page.wait_for_selector("#said.shown", state="detached")
    # A server that was started again has another key.
    page.evaluate("localStorage.setItem('pe-search-key', 'an old one')")
    page.fill("#text", "church bell")
    page.wait_for_selector("input[type=password]")
    watched.close()


def test_a_dropped_file_is_a_query(looking):
    held = base64.b64encode((SOUNDS / "church-bell.flac").read_bytes()).decode()
    script = """(held) => {
        const bytes = Uint8Array.from(atob(held), (one) => one.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], "my <i>bell</i>.flac"));
        const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
        for (const kind of ["dragenter", "dragover", "drop"]) document.body.dispatchEvent(new DragEvent(kind, options));
    }"""
    looking.page.evaluate(script, held)
    looking.page.wait_for_selector(".chip.like:has-text('like my <i>bell</i>.flac')")
    looking.page.wait_for_selector(".hit.chosen")
    assert looking.names()[0] == "church-bell.flac"


def test_a_recording_from_the_microphone_is_a_query(looking):
    page = looking.page
    page.click("[aria-label='Record a sound to look for']")
    page.wait_for_selector("[aria-label='Stop recording']")
    # A recorder that is stopped before its first sample gives none.
    page.evaluate(
        "() => new Promise((done) => navigator.mediaDevices.getUserMedia({ audio: true }).then((stream) => {"
        "const other = new MediaRecorder(stream); other.ondataavailable = done; other.start(500); }))"
    )
    with page.expect_response(lambda response: "/page/hits" in response.url) as hits:
        page.click("[aria-label='Stop recording']")
    assert hits.value.ok
    page.wait_for_selector(".chip.like")


def test_what_is_said_is_found_shown_and_followed(talk, watched):
    page = watched.page
    page.click("summary")
    page.fill("#filter-said", "tuesday")
    page.keyboard.press("Enter")
    page.wait_for_selector("#status:has-text('1 hit in')")
    assert page.url.endswith("/page/?said=tuesday")
    assert page.inner_text(".hit .quote") == "See you at the Tuesday meeting."
    assert page.locator(".hit .quote mark").all_inner_texts() == ["Tuesday"]
    segments = page.locator(".segment")
    page.wait_for_selector(".segment[aria-current]:has-text('See you')")
    assert segments.all_inner_texts() == ["0:01\nGood morning to all.", "0:06\nSee you at the Tuesday meeting."]
    assert page.evaluate(_NOW_S) == 0, "nothing plays, and what was found is marked"
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
    assert found.response["violations"] == []
    page.click(".hit .play")
    assert 6 <= watched.play_time_s() < 11
    segments.nth(0).click()
    page.wait_for_selector(".segment[aria-current]:has-text('Good morning')")
    assert 1 <= page.evaluate(_NOW_S) < 6
    page.evaluate("document.getElementById('audio').currentTime = 7")
    page.wait_for_selector(".segment[aria-current]:has-text('See you')")
    assert page.locator(".segment[aria-current]").count() == 1
    page.evaluate("document.getElementById('audio').pause()")
    segments.nth(1).focus()
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.textContent") == "0:01Good morning to all."
    page.keyboard.press("Enter")
    page.wait_for_selector(".segment[aria-current]:has-text('Good morning')")
    assert 1 <= page.evaluate(_NOW_S) < 6
    # The other transcript has the times of words.
    page.select_option(".transcript select", label="Beside the file (de)")
    page.click(".word:has-text('Morgen.')")
    page.wait_for_selector(".word.now:has-text('Morgen.')")
    assert 6 <= page.evaluate(_NOW_S) < 11
    # What is found in it is shown in it.
    page.fill("#filter-said", "guten")
    page.keyboard.press("Enter")
    page.wait_for_selector(".segment[aria-current]:has-text('Guten Morgen.') .word.now:has-text('Guten')")


def test_of_a_transcript_of_hours_few_segments_are_elements(talk, watched):
    page = watched.page
    segments = [
        {
            "start_s": 0.002 * place,
            "end_s": 0.002 * (place + 1),
            "text": f"Sentence {place + 1}.<img src=x>",
            "words": [],
        }
        for place in range(5_000)
    ]
    transcript = {"engine": "some", "language": None, "until_s": None, "segments": segments}
    page.route("**/page/said/*", lambda route: route.fulfill(json={"transcripts": [transcript]}))
    page.click("summary")
    page.fill("#filter-said", "tuesday")
    page.keyboard.press("Enter")
    page.wait_for_selector(".segment[aria-current]:has-text('Sentence 3001.')")
    script = """async (steps) => {
        const list = document.querySelector(".transcript ol");
        for (let step = 0; step < Math.abs(steps); step += 1) {
            list.scrollTop = steps > 0 ? list.scrollHeight : 0;
            for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame);
        }
        return [...list.children].map((one) => [Number(one.ariaPosInSet), one.textContent, one.firstChild.tabIndex]);
    }"""
    for steps in (0, 8, -14):
        rows = page.evaluate(script, steps)
        assert 80 <= len(rows) <= 160
        places = [place for place, _, _ in rows]
        assert places == list(range(places[0], places[0] + len(rows)))
        assert [text.partition("S")[2] for _, text, _ in rows] == [f"entence {place}.<img src=x>" for place in places]
        assert sorted(tab for _, _, tab in rows)[-2:] == [-1, 0], "the tab key reaches one of them"
        assert (places[0] > 3_001, places[-1] < 3_001) == (steps > 0, steps < 0)
    assert page.locator("img").count() == 0
    page.locator(".segment").first.focus()
    page.keyboard.press("ArrowUp")
    assert page.evaluate("Number(document.activeElement.parentNode.ariaPosInSet)") == places[0] - 1
    page.keyboard.press("Enter")
    page.wait_for_selector(f".segment[aria-current]:has-text('Sentence {places[0] - 1}.')")


def test_a_hit_is_dragged_out_as_a_file(looking, still):
    looking.look_for("dog barking")
    place = looking.names().index("dog-barking.flac")
    script = """(row) => {
        const transfer = new DataTransfer();
        row.dispatchEvent(new DragEvent("dragstart", { dataTransfer: transfer, bubbles: true }));
        return transfer.getData("DownloadURL");
    }"""
    given = looking.page.locator(".hit").nth(place).evaluate(script)
    kind, name, address = given.split(":", 2)
    assert (kind, name) == ("application/octet-stream", "dog-barking.flac")
    held = looking.page.request.get(address).body()
    assert held == (still.sounds / "dog-barking.flac").read_bytes()


def test_without_the_key_it_asks_for_it(browser, still_url):
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{still_url}/page/?text=rain")
    page.fill("input[type=password]", "a key that nobody knows")
    page.click("button:has-text('Open')")
    page.wait_for_selector(".hit")
    context.close()


def test_on_the_width_of_a_phone_nothing_is_cut_off(browser, still_url):
    watched = Watched(browser, still_url, "?text=dog+barking", viewport={"width": 390, "height": 800}, has_touch=True)
    watched.page.wait_for_selector(".hit.chosen")
    assert watched.page.evaluate("document.documentElement.scrollWidth") == 390
    boxes = [row.bounding_box() for row in watched.page.locator(".hit").all()]
    assert all(one["y"] + one["height"] <= other["y"] for one, other in pairwise(boxes))
    watched.page.locator(".hit").nth(1).tap()
    watched.page.wait_for_selector(".hit.chosen[aria-posinset='2']")
    watched.close()
    assert watched.wrong == []


VIEWS = {
    "search": ("?text=dog+barking&minus=rain", ".hit.chosen"),
    "map": ("?view=map&by=rain,dog+barking", ".legend li"),
    "windows": ("?view=map&dots=windows&layout=pca", ".legend li"),
    "timeline": ("?view=strip&text=dog+barking&recorded=2024-06-12", ".strip"),
    "counts": ("?view=counts&text=dog+barking", "table.counts"),
    "outliers": ("?view=odd", ".hit.chosen"),
}


@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_no_fault(browser, still_url, view):
    """As WCAG 2.2 has it, up to AA: labels, roles, focus, contrast; in dark colours, contrast again."""
    address, ready = VIEWS[view]
    watched = Watched(browser, still_url, address, color_scheme="light", reduced_motion="reduce")
    watched.page.wait_for_selector(ready)
    found = Axe().run(watched.page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
    assert found.response["violations"] == []
    watched.page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    found = Axe().run(watched.page, options={"runOnly": ["color-contrast"]})
    assert found.response["violations"] == []
    assert len(found.response["passes"][0]["nodes"]) > 5
    watched.close()
    assert watched.wrong == []
    assert watched.hosts == {urlsplit(still_url).netloc}


def test_dots_of_the_map_are_chosen_and_tagged(watched, scene):
    page = watched.page
    page.click("nav a:has-text('Map')")
    page.wait_for_selector(".legend li")
    assert page.url.endswith("?view=map")
    box = page.locator(".map").bounding_box()
    # Not in the very corners, which are round.
    far_x, far_y = box["width"] - 20, box["height"] - 20
    corners = [(20, 20), (far_x, 20), (far_x, far_y), (20, far_y), (20, 21)]
    for step, (x, y) in enumerate(corners):
        page.mouse.move(box["x"] + x, box["y"] + y)
        if step == 0:
            page.mouse.down()
    page.mouse.up()
    page.wait_for_selector("#status:has-text('6 chosen')")
    page.fill("#tag-all", "garden")
    page.click("button:has-text('Tag all')")
    page.wait_for_selector(".hit .tag:has-text('garden')")
    with pe_search.open(scene.store) as library:
        assert library.tags() == {"garden": 6}
    with page.expect_download() as saved:
        page.click("button:has-text('Save paths')")
    assert len(saved.value.path().read_text().splitlines()) == 6


def test_the_map_changes_by_itself_and_its_windows_are_saved(browser, url, monkeypatch):
    goes_on = threading.Event()

    def fit(vectors, _check):
        assert goes_on.wait(DEADLINE_MS / 1_000)
        return vectors[:, :2]

    monkeypatch.setattr(layout, "find_spec", lambda _name: True)
    monkeypatch.setattr(layout, "FEWEST", 3)
    monkeypatch.setattr(layout, "_fitted", fit)
    watched = Watched(browser, url, "?view=map&dots=windows")
    page = watched.page
    page.wait_for_selector(".told:has-text('is being made')")
    assert (page.input_value("#layout"), page.input_value("#dots")) == ("pca", "windows")
    goes_on.set()
    page.wait_for_selector("#said:has-text('now keeps neighbours together')")
    assert page.input_value("#layout") == "pacmap"
    assert not page.is_visible(".told")
    page.focus(".map")
    page.keyboard.press("Enter")
    page.wait_for_selector("#status:has-text('12 chosen')")
    page.focus(".map")
    for key in (*"+++", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector("#status:text-matches('^[0-9] chosen|^1[01] chosen')")
    for key in (*"---", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector("#status:has-text('12 chosen')")
    with page.expect_download() as saved:
        page.click("button:has-text('Save windows')")
    head, *rows = saved.value.path().read_text().splitlines()
    assert (head, len(rows)) == ("path,start_s,end_s", 12)
    assert sum(row.endswith('/PAM_20240612_050000.wav",30,40') for row in rows) == 1
    page.select_option("#layout", "pca")
    page.wait_for_selector(".map")
    assert page.url.endswith("&layout=pca")
    page.go_back()
    page.select_option("#dots", "clips")
    page.wait_for_selector(".map[aria-label*='6 clips']")
    watched.close()
    assert watched.wrong == []


def test_two_fingers_zoom_the_map_and_choose_nothing(browser, still_url):
    watched = Watched(browser, still_url, "?view=map", viewport={"width": 390, "height": 800}, has_touch=True)
    page = watched.page
    page.wait_for_selector(".legend li")
    page.locator(".map").scroll_into_view_if_needed()
    box = page.locator(".map").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session = watched.context.new_cdp_session(page)
    for kind, far in (("touchStart", 20), ("touchMove", 60), ("touchMove", 150), ("touchEnd", None)):
        points = [] if far is None else [{"x": x - far, "y": y, "id": 1}, {"x": x + far, "y": y, "id": 2}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    # In the middle there is less than in all of it.
    page.click("button:has-text('Choose all')")
    page.wait_for_selector("#status:text-matches('^[0-5] chosen')")
    for _ in range(6):
        page.click("[aria-label='Zoom out']")
    page.click("button:has-text('Choose all')")
    page.wait_for_selector("#status:has-text('6 chosen')")
    watched.close()
    assert watched.wrong == []


def test_what_is_pointed_at_on_the_map_plays(looking):
    looking.page.goto(looking.page.url + "?view=map")
    looking.page.wait_for_selector(".legend li")
    script = """() => new Promise((done) => {
        const canvas = document.querySelector(".map"), audio = document.getElementById("audio");
        audio.addEventListener("playing", () => done(canvas.title));
        const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        const at = pixels.findIndex((value, place) => place % 4 === 3 && value === 255) >> 2;
        const x = (at % canvas.width) / (canvas.width / canvas.clientWidth), box = canvas.getBoundingClientRect();
        const y = Math.floor(at / canvas.width) / (canvas.height / canvas.clientHeight) + 3;
        canvas.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + x, clientY: box.top + y }));
    })"""
    assert looking.page.evaluate(script).rpartition(".")[2] in ("flac", "wav", "aiff")


def test_a_recording_is_shown_whole_and_its_parts_are_saved(looking):
    page = looking.page
    looking.look_for("dog barking")
    page.locator(".hit").nth(looking.names().index("PAM_20240612_050000.wav")).click()
    page.click("button:has-text('Whole recording')")
    page.wait_for_selector("#status:has-text('Parts above 50 %: 1. Windows: 7.')")
    assert page.get_attribute(".hit.chosen", "aria-posinset") == "4", "the surest window is chosen"
    with page.expect_download() as saved:
        page.click("button:has-text('Save for Audacity')")
    line = saved.value.path().read_text()
    assert line.startswith("30.000000\t40.000000\tdog barking 0.")
    assert saved.value.suggested_filename == "PAM_20240612_050000.txt"
    with page.expect_download() as saved:
        page.click("button:has-text('Save for Raven')")
    head, row = (line.split("\t") for line in saved.value.path().read_text().splitlines())
    told = dict(zip(head, row, strict=True))
    assert (told["Begin Time (s)"], told["End Time (s)"], told["High Freq (Hz)"]) == (
        "30.000000",
        "40.000000",
        "24000.0",
    )
    assert (told["Begin File"], told["Label"]) == ("PAM_20240612_050000.wav", "dog barking")


def test_the_timeline_and_the_counts_show_where_words_are_said(talk, watched, scene):
    page = watched.page
    recorded = talk.with_name("TALK_20240612_213000.wav")
    recorded.write_bytes(talk.read_bytes() + b"JUNK")
    recorded.with_suffix(".srt").write_bytes(talk.with_suffix(".srt").read_bytes())
    with pe_search.open(scene.store) as library:
        library.index(talk.parent)
    clip = scene.digest(recorded)
    at = f"{page.url}?view=strip&clip={clip}&said=tuesday"
    page.goto(f"{at}&text=dog+barking")
    page.wait_for_selector("#status:has-text('Windows: 2. Said: tuesday, 1 times.')")
    assert page.locator(".hit .quote").all_inner_texts() == ["See you at the Tuesday meeting."]
    with page.expect_download() as saved:
        page.click("button:has-text('Save for Audacity')")
    assert "6.000000\t11.000000\tSee you at the Tuesday meeting.\n" in saved.value.path().read_text()
    page.goto(at)
    page.wait_for_selector("#status:text-is('Said: tuesday, 1 times.')")
    assert watched.names() == [recorded.name]
    box = page.locator(".strip").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 4)
    assert 6 <= watched.play_time_s() < 11
    page.click("nav a:has-text('Counts')")
    page.click("[aria-label='2024-06-12 21:00, 1 place']")
    page.wait_for_selector("#status:has-text('1 hit in')")
    assert watched.names() == [recorded.name]
    assert "said=tuesday" in page.url


def test_a_number_of_the_counts_leads_to_its_windows(looking):
    page = looking.page
    looking.look_for("dog barking")
    page.click("nav a:has-text('Counts')")
    page.wait_for_selector("table.counts")
    page.click("[aria-label='2024-06-12 5:00, 1 of 7 windows']")
    page.wait_for_selector("#status:has-text('1 hit in')")
    assert looking.names() == ["PAM_20240612_050000.wav"]
    page.go_back()
    page.wait_for_selector("table.counts")


def test_ten_thousand_hits_are_few_elements(browser, still_url, looking):
    script = """async () => {
        const { List } = await import("./list.js");
        const { Player } = await import("./player.js");
        const place = document.getElementById("content");
        const list = new List(place, new Player(document.createElement("audio")));
        const hit = (rank) => ({ rank, name: `${rank}.wav`, folder: "/", start_s: 0, end_s: 1, length_s: 1, score: 1,
            probability: 0.5, tags: [], digest: "00", is_gone: true, copies: [], at: null, recorded_at: null });
        list.show(Array.from({ length: 10000 }, (_, place) => hit(place + 1)));
        const first = place.querySelectorAll(".hit").length;
        scrollTo(0, document.documentElement.scrollHeight);
        for (let frame = 0; frame < 3; frame += 1) await new Promise(requestAnimationFrame);
        const names = [...place.querySelectorAll(".hit .name b")].map((one) => one.textContent);
        return [first, names.length, names.at(-1)];
    }"""
    first, then, last = looking.page.evaluate(script)
    assert first < 40
    assert then < 40
    assert last == "10000.wav"
