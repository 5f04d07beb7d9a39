"""How quick the page is in Chromium: `python examples/benchmark_page.py STORE [--work FOLDER]`.

STORE holds clips whose files are there, as that of `examples/sounds`. It prints how long `pe-search page` takes to the
page's being ready; the requests and bytes of the first view; frames a second while hits with waveforms are scrolled
through, and while a map of made-up dots is moved; and how long answers take in the server, for texts that it has
remembered and for new ones, from a made-up store in FOLDER, which is kept there.

Beside the time on the clock stands that of the processors, which other work on the machine changes little: of the
server, of the page's own thread, and of all of Chromium. Without a graphics card, Chromium draws on the processor.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Response

OPENINGS = 5
# Every hit asks for a waveform of its own, for no two have the same end.
SCROLLING = """async (count) => {
    const { List } = await import("./list.js"), { Player } = await import("./player.js");
    const api = await import("./api.js");
    const place = document.getElementById("content");
    place.replaceChildren();
    const list = new List(place, new Player(document.createElement("audio")));
    const { hits } = await api.hits({ text: "sound", k: 1000 });
    list.show(Array.from({ length: count }, (_, one) => {
        const hit = hits[one % hits.length];
        return { ...hit, rank: one + 1, length_s: hit.length_s - 0.001 * Math.floor(one / hits.length) };
    }));
    const frames = 240, far = document.documentElement.scrollHeight - innerHeight;
    performance.mark("moves");
    const began = performance.now();
    for (let frame = 1; frame <= frames; frame += 1) {
        scrollTo(0, (far * frame) / frames);
        await new Promise(requestAnimationFrame);
    }
    return [frames, performance.now() - began];
}"""
MAP = """async (count) => {
    const { SoundMap } = await import("./map.js"), { read } = await import("./address.js");
    const api = await import("./api.js");
    const packed = (numbers) => {
        const bytes = new Uint8Array(numbers.buffer);
        let text = "";
        for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
        return btoa(text);
    };
    const shorts = (length, below) => packed(Uint16Array.from({ length }, () => Math.random() * below));
    const bytes = (length, below) => packed(Uint8Array.from({ length }, () => Math.random() * below));
    const state = { ...read(), colour: "folder" }, store = await api.state();
    const page = { state, store, status() {}, showHits() {}, player: {} };
    const folders = Array.from({ length: 12 }, (_, one) => `/${one}`);
    // The store's own map, with other dots.
    const found = await (await fetch("map", {
        headers: { Authorization: `Bearer ${localStorage.getItem("pe-search-key")}` },
    })).json();
    const map = new SoundMap(page, document.getElementById("content"), { ...found, count, folders, tags: [], labels: [],
        points: shorts(2 * count, 65536), folder: shorts(count, 12), tag: shorts(count, 1), hour: bytes(count, 24),
        label: bytes(count, 1) });
    const frames = 120, began = performance.now();
    for (let frame = 0; frame < frames; frame += 1) {
        map.zoom = 1 + frame / 60;
        map.left = frame / 400;
        map.draw();
        await new Promise(requestAnimationFrame);
    }
    return [frames, performance.now() - began];
}"""


@dataclass(frozen=True)
class Server:
    """A server of the page.

    Attributes:
        url: The address of the page, with the key.
        began_s: When its command was entered, on the clock of `time.perf_counter`.
    """

    process: subprocess.Popen[str]
    url: str
    began_s: float

    @property
    def key(self) -> str:
        """What requests must show."""
        return self.url.partition("#key=")[2]


@contextmanager
def serving(store: Path) -> Iterator[Server]:
    """A server of a store, once it can be asked."""
    argv = [sys.executable, "-m", "pe_search", "page", "--no-browser", "--port", "0", "--store", str(store)]
    # Who has installed the package has it compiled.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began_s = time.perf_counter()
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        try:
            found = next(filter(None, (re.search(r"The page is at (\S+)", line) for line in process.stderr)))
            yield Server(process, found[1], began_s)
        finally:
            process.terminate()


def cpu_s(pid: int) -> float:
    """Seconds of the processors that a process and all below it have had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            seconds += cpu_s(int(child))
    return seconds


def browser_pid() -> int:
    """Of the Chromium that this process has started, through playwright's driver."""
    waiting = [os.getpid()]
    for pid in waiting:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                if "chrom" in Path(f"/proc/{child}/comm").read_text():
                    return int(child)
                waiting.append(int(child))
    raise LookupError("no Chromium runs")


def measure_opening(browser: Browser, store: Path) -> None:
    """From the command to the page's being ready."""
    with serving(store) as server:
        printed_s = time.perf_counter() - server.began_s
        page = opened(browser, server.url)
        print(
            f"pe-search page: its address after {1e3 * printed_s:.0f} ms, the page ready after "
            f"{1e3 * (time.perf_counter() - server.began_s):.0f} ms; processor {1e3 * cpu_s(server.process.pid):.0f} ms"
        )
        page.context.close()


def opened(browser: Browser, url: str) -> Page:
    """The page in a window of its own, ready."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.goto(url, wait_until="commit")
    page.wait_for_selector("body[data-ready]")
    return page


def measure_first_view(browser: Browser, server: Server) -> Page:
    """Requests, bytes and time of the first view; gives the page."""
    ready_ms, server_ms, own_ms, all_ms, requests, size_bytes = [], [], [], [], 0, 0
    pid = browser_pid()
    for _ in range(OPENINGS):
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        sizes: list[int] = []
        keep = partial(_keep_size, sizes)
        page.on("response", keep)
        watch, browser_s, before_s = _Watch(page), cpu_s(pid), cpu_s(server.process.pid)
        page.goto(server.url, wait_until="commit")
        page.wait_for_selector("body[data-ready]")
        server_ms.append(1e3 * (cpu_s(server.process.pid) - before_s))
        own_ms.append(watch.all_ms()["TaskDuration"])
        all_ms.append(1e3 * (cpu_s(pid) - browser_s))
        ready_ms.append(page.evaluate("performance.getEntriesByName('ready')[0].startTime"))
        page.remove_listener("response", keep)
        requests, size_bytes = len(sizes), sum(sizes)
    print(
        f"first view: {requests} requests, {size_bytes / 1000:.0f} kB, ready after {median(ready_ms):.0f} ms "
        f"(least {min(ready_ms):.0f}); processor ms: server {sum(server_ms) / OPENINGS:.0f}, "
        f"page {median(own_ms):.0f}, Chromium {median(all_ms):.0f}"
    )
    return page


def _keep_size(sizes: list[int], response: Response) -> None:
    sizes.append(len(response.body()))


class _Watch:
    """What the page's own thread is busy with, in time of the processor."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def all_ms(self) -> dict[str, float]:
        metrics = self._session.send("Performance.getMetrics")["metrics"]
        return {one["name"]: 1e3 * one["value"] for one in metrics if one["name"].endswith("Duration")}


def measure_frames(page: Page, what: str, script: str, count: int, server: Server) -> None:
    """Frames a second while something moves, and what a frame takes of the processors."""
    watch, pid = _Watch(page), browser_pid()
    before, browser_s, server_s = watch.all_ms(), cpu_s(pid), cpu_s(server.process.pid)
    frames, took_ms = page.evaluate(script, count)
    after = watch.all_ms()
    per = {name.removesuffix("Duration").lower(): (after[name] - before[name]) / frames for name in after}
    parts = ", ".join(f"{name} {per[name]:.1f}" for name in ("script", "layout", "recalcstyle"))
    print(
        f"{count:,} {what}: {1e3 * frames / took_ms:.0f} frames/s; processor ms per frame: page {per['task']:.1f} "
        f"({parts}), Chromium {1e3 * (cpu_s(pid) - browser_s) / frames:.1f}, "
        f"server {1e3 * (cpu_s(server.process.pid) - server_s) / frames:.1f}"
    )


def measure_answers(server: Server, windows: int) -> None:
    """How long the server takes for texts that it remembers, and for new ones."""
    subjects = ("dog", "rain", "bell", "engine", "door", "crowd", "river", "bird", "drum", "glass")
    # A store that is kept remembers those of the last run.
    mark = secrets.token_hex(2)
    new = [f"a {one} {how} {mark}" for how in ("far away", "nearby", "at night", "in a hall") for one in subjects]
    for kind, texts in (("new", new), ("remembered", new)):
        took_ms, before_s = [], cpu_s(server.process.pid)
        for text in texts:
            began_s = time.perf_counter()
            ask(server, text)
            took_ms.append(1e3 * (time.perf_counter() - began_s))
        cpu_ms = 1e3 * (cpu_s(server.process.pid) - before_s) / len(texts)
        took_ms.sort()
        print(
            f"{windows:,} windows, a {kind} text: median {median(took_ms):.0f} ms, "
            f"95 % within {took_ms[int(0.95 * len(took_ms))]:.0f} ms; processor {cpu_ms:.0f} ms"
        )


def ask(server: Server, text: str) -> list[dict[str, Any]]:
    """The hits of a text, as the page asks for them while somebody types."""
    address = urlsplit(server.url)
    connection = HTTPConnection(address.netloc)
    query = urlencode({"text": text, "k": 60})
    connection.request("GET", f"/page/hits?{query}", headers={"Authorization": f"Bearer {server.key}"})
    response = connection.getresponse()
    hits: list[dict[str, Any]] = json.loads(response.read())["hits"]
    assert hits, text
    return hits


def made_store(folder: Path, windows: int) -> Path:
    """A store of made-up embeddings, for texts of the built-in checkpoint."""
    import benchmark_store

    import pe_search

    directory = folder / f"page-{windows}.store"
    if not directory.exists():
        with pe_search.create(directory) as library:
            manifest = library.manifest
        benchmark_store.fill(directory, windows, manifest)
        benchmark_store.make_index(directory)
    return directory


def main() -> None:
    """Serve stores, open the page, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--work", type=Path, help="where the made-up store is kept")
    parser.add_argument("--dots", type=int, default=100_000)
    parser.add_argument("--hits", type=int, default=1_000)
    parser.add_argument("--windows", type=int, default=100_000)
    args = parser.parse_args()
    program = os.environ.get("PE_SEARCH_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    print(f"load before: {', '.join(f'{load:.1f}' for load in os.getloadavg())}; {os.cpu_count()} processors")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--mute-audio"])
        with serving(args.store):
            pass
        measure_opening(browser, args.store)
        with serving(args.store) as server:
            page = measure_first_view(browser, server)
            measure_frames(page, "hits", SCROLLING, args.hits, server)
            measure_frames(page, "dots", MAP, args.dots, server)
        browser.close()
    with tempfile.TemporaryDirectory() as folder:
        work = args.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        with serving(made_store(work, args.windows)) as server:
            measure_answers(server, args.windows)
    print(f"load after: {', '.join(f'{load:.1f}' for load in os.getloadavg())}")


if __name__ == "__main__":
    main()
