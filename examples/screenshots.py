"""Make the pictures of docs/page.md, with Chromium: `python examples/screenshots.py [FOLDER]`.

A store is made of the example sounds, of each second of them as a clip of its own, and of three made-up days of a
recorder in a garden, which are copies of them.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import soundfile
from PIL import Image
from playwright.sync_api import Page, sync_playwright

import pe_search

EXAMPLES = Path(__file__).parent
DEADLINE_MS = 60_000
WIDE, PHONE = {"width": 1280, "height": 760}, {"width": 390, "height": 760}
# What is heard in the garden, by hours of the day.
GARDEN = {
    "owl-hooting": (22, 23, 0, 1, 2, 3),
    "rooster-crowing": (4, 5, 6),
    "bird-song": (5, 6, 7, 8, 9, 18, 19),
    "weather/rain": (10, 11, 12),
    "dog-barking": (8, 13, 17),
    "weather/wind": (14, 15, 16, 20, 21),
}


def make_store(base: Path) -> Path:
    """The store of all these sounds."""
    sounds = base / "sounds"
    shutil.copytree(EXAMPLES / "sounds", sounds)
    for file in sorted(sounds.rglob("*.flac")):
        samples, rate_hz = soundfile.read(file, dtype="int16")
        for second in range(len(samples) // rate_hz):
            part = samples[second * rate_hz : (second + 1) * rate_hz]
            if abs(part).max() > 600:
                place = base / "seconds" / file.stem / f"{file.stem}-{second:03}.flac"
                place.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(place, part, rate_hz)
    garden = base / "garden"
    garden.mkdir()
    for day in (12, 13, 14):
        for name, hours in GARDEN.items():
            for hour in hours[: len(hours) - (day - 12) % 2]:
                minute = (len(name) * 7 + hour * 11 + day) % 60
                shutil.copy(sounds / f"{name}.flac", garden / f"PAM_202406{day}_{hour:02}{minute:02}00.flac")
    store = base / "birds.store"
    with pe_search.create(store) as library:
        library.index([sounds, base / "seconds", garden])
    return store


def picture(page: Page, folder: Path, name: str) -> None:
    """Wait until nothing is loaded or moves, and take a picture."""
    page.wait_for_load_state("networkidle")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    whole = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    # As many colours as are told apart, and a third of the bytes.
    whole.quantize(192, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(folder / name, optimize=True)
    print(f"{name}: {(folder / name).stat().st_size / 1000:.0f} kB")


def take(page: Page, address: str, folder: Path) -> None:
    """Take all pictures."""
    url, _, key = address.partition("#")

    def view(query: str, ready: str) -> None:
        page.goto(f"{url}{query}#{key}")
        page.wait_for_selector(ready)

    # The first query of a server loads the text tower.
    view("?text=dog+barking", ".hit.chosen")
    page.reload()
    page.wait_for_selector(".hit.chosen")
    page.locator(".hit").nth(1).click()
    page.click("button:has-text('Spectrogram')")
    page.wait_for_selector(".spectrogram[aria-label]")
    page.click("button:has-text('When it is heard')")
    page.wait_for_selector("#said:has-text('Heard')")
    page.evaluate("document.getElementById('said').classList.remove('shown')")
    picture(page, folder, "search.png")

    page.emulate_media(color_scheme="dark")
    view("?text=rain&minus=wind&name=*.flac&teach=@drizzle", ".standing")
    page.locator(".hit").first.focus()
    for verdict, place in (("y", "2"), ("y", "3"), ("n", "4")):
        page.keyboard.press(verdict)
        page.wait_for_selector(f".hit.chosen[aria-posinset='{place}']")
    page.evaluate("document.getElementById('audio').pause()")
    page.evaluate("document.getElementById('said').classList.remove('shown')")
    picture(page, folder, "judge.png")
    page.emulate_media(color_scheme="light")

    labels = "rain,bird+song,dog+barking,owl+hooting,piano,drum,engine,typing,siren"
    view(f"?view=map&by={labels}&colour=label", ".legend li")
    # It is made aside, and the page changes to it.
    page.wait_for_selector("#said:has-text('now keeps neighbours together')", timeout=5 * DEADLINE_MS)
    page.evaluate("document.getElementById('said').classList.remove('shown')")
    picture(page, folder, "map.png")

    page.goto(f"{url}?text=rooster+crowing&name=field-recording.flac#{key}")
    page.click("button:has-text('Whole recording')")
    page.wait_for_selector(".strip")
    picture(page, folder, "timeline.png")

    view("?view=counts&text=bird+song", "table.counts")
    picture(page, folder, "counts.png")

    page.set_viewport_size(PHONE)
    view("?text=church+bell", ".hit.chosen")
    picture(page, folder, "phone.png")


def main() -> None:
    """Make the store, serve it, and take the pictures."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else EXAMPLES.parent / "docs" / "pictures").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    program = os.environ.get("PE_SEARCH_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("There is no Chromium: install it, or set PE_SEARCH_CHROMIUM.")
    # Its name is in the pictures.
    base = Path(tempfile.gettempdir()) / "recordings"
    base.mkdir()
    try:
        store = make_store(base)
        argv = [sys.executable, "-m", "pe_search", "serve", "--http", "0", "--page", "--store", str(store)]
        with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as server, sync_playwright() as playwright:
            assert server.stderr is not None
            try:
                found = next(filter(None, (re.search(r"The page is at (\S+)", line) for line in server.stderr)))
                browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--mute-audio"])
                page = browser.new_page(viewport=WIDE)
                page.set_default_timeout(DEADLINE_MS)
                take(page, found[1], folder)
                browser.close()
            finally:
                server.terminate()
    finally:
        shutil.rmtree(base)


if __name__ == "__main__":
    main()
