"""How quick the page is in Chromium: `python examples/benchmark_page.py STORE [--dots 100000] [--hits 1000]`.

It prints the bytes of the first view and how long they take; frames a second while hits are scrolled through, and while
a map of made-up dots is moved. Without a graphics card, Chromium draws on the processor.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys

from playwright.sync_api import sync_playwright

SCROLLING = """async (hits) => {
    const { List } = await import("./list.js"), { Player } = await import("./player.js");
    const place = document.getElementById("content");
    place.replaceChildren();
    const list = new List(place, new Player(document.createElement("audio")));
    list.show(Array.from({ length: hits }, (_, one) => ({ rank: one + 1, name: `${one}.wav`, folder: "/", start_s: 0,
        end_s: 1, length_s: 1, probability: 0.5, score: 1, tags: [], digest: "00", is_gone: true, copies: [], at: null,
        recorded_at: null })));
    const frames = 120, began = performance.now(), far = document.documentElement.scrollHeight - innerHeight;
    for (let frame = 1; frame <= frames; frame += 1) {
        scrollTo(0, (far * frame) / frames);
        await new Promise(requestAnimationFrame);
    }
    return (1000 * frames) / (performance.now() - began);
}"""
MAP = """async (count) => {
    const { SoundMap } = await import("./map.js");
    const packed = (numbers) => {
        const bytes = new Uint8Array(numbers.buffer);
        let text = "";
        for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
        return btoa(text);
    };
    const shorts = (length, below) => packed(Uint16Array.from({ length }, () => Math.random() * below));
    const bytes = (length, below) => packed(Uint8Array.from({ length }, () => Math.random() * below));
    const page = { state: { by: "", colour: "folder" }, status() {}, showHits() {}, player: {} };
    const folders = Array.from({ length: 12 }, (_, one) => `/${one}`);
    const map = new SoundMap(page, document.getElementById("content"), { mark: "", count, folders, tags: [], labels: [],
        points: shorts(2 * count, 65536), folder: shorts(count, 12), tag: shorts(count, 1), hour: bytes(count, 24),
        label: bytes(count, 1) });
    const frames = 60, began = performance.now();
    for (let frame = 0; frame < frames; frame += 1) {
        map.zoom = 1 + frame / 30;
        map.left = frame / 200;
        map.draw();
        await new Promise(requestAnimationFrame);
    }
    return (1000 * frames) / (performance.now() - began);
}"""


def main() -> None:
    """Serve a store, open the page, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store")
    parser.add_argument("--dots", type=int, default=100_000)
    parser.add_argument("--hits", type=int, default=1_000)
    args = parser.parse_args()
    program = os.environ.get("PE_SEARCH_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    argv = [sys.executable, "-m", "pe_search", "serve", "--http", "0", "--page", "--store", args.store]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as server, sync_playwright() as playwright:
        assert server.stderr is not None
        try:
            found = next(filter(None, (re.search(r"The page is at (\S+)", line) for line in server.stderr)))
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--mute-audio"])
            times_ms, size_bytes = [], 0
            for _ in range(5):
                page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
                sizes: list[int] = []
                page.on("response", lambda response, sizes=sizes: sizes.append(len(response.body())))
                page.goto(found[1], wait_until="commit")
                page.wait_for_selector("body[data-ready]")
                times_ms.append(
                    page.evaluate("""() => {
                        const [state] = performance.getEntriesByName(new URL("state", location.href).href);
                        return state.responseEnd;
                    }""")
                )
                size_bytes = sum(sizes)
            print(f"first view: {size_bytes / 1000:.0f} kB, with its data after {sorted(times_ms)[2]:.0f} ms")
            print(f"{args.hits:,} hits: {page.evaluate(SCROLLING, args.hits):.0f} frames/s")
            print(f"{args.dots:,} dots: {page.evaluate(MAP, args.dots):.0f} frames/s")
            browser.close()
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
