"""A real browser with the page in it, which tells of anything that is wrong there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.page.conftest import KEY

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# What takes longer has failed.
DEADLINE_MS = 60_000


def program() -> str | None:
    """The browser of this machine; None if there is none."""
    return os.environ.get("PE_SEARCH_CHROMIUM") or next(filter(None, map(shutil.which, _PROGRAMS)), None)


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser without windows, that plays without being clicked, into nowhere."""
    from playwright.sync_api import sync_playwright

    args = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required", "--use-fake-device-for-media-stream"]
    args += ["--use-fake-ui-for-media-stream", "--mute-audio"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=args)
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """The page in a tab, and what went wrong there.

    Attributes:
        page: The tab.
        wrong: Errors of scripts and of the console.
        hosts: All that was asked for anything.
    """

    def __init__(self, browser: Browser, url: str, address: str = "", **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | options)
        self.context.set_default_timeout(DEADLINE_MS)
        self.page: Page = self.context.new_page()
        self.wrong: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("console", lambda line: line.type == "error" and self.wrong.append(line.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        self.page.goto(f"{url}/page/{address}#key={KEY}")
        self.page.wait_for_selector("body[data-ready]")

    def look_for(self, text: str) -> None:
        """Type a text, and wait for the hits."""
        with self.page.expect_response(lambda response: "/page/hits" in response.url):
            self.page.fill("#text", text)
        self.page.wait_for_selector(".hit.chosen")

    def names(self) -> list[str]:
        """Of the hits that are shown, in order."""
        return self.page.locator(".hit .name b").all_inner_texts()

    def play_time_s(self) -> float:
        """Wait until a sound plays, and its time advances; gives the time."""
        # The policy of the page allows no code as text, which `wait_for_function` needs.
        script = """() => new Promise((done) => {
            const audio = document.getElementById("audio"), from = audio.currentTime;
            const look = () => !audio.paused && audio.currentTime > from + 0.05 && done(audio.currentTime);
            audio.addEventListener("timeupdate", look);
        })"""
        return float(self.page.evaluate(script))

    def close(self) -> None:
        """Close the tab."""
        self.context.close()
