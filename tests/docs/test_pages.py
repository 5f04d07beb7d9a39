"""The commands on the pages run, and print what the pages show."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from pe_search.cli.app import app
from tests.docs.pages import PAGES, ROOT, Place, is_as_shown, run_page, turns_of

TEXTS = {page: (ROOT / page).read_text("utf-8") for page in PAGES}
WITH_COMMANDS = [page for page in PAGES if turns_of(TEXTS[page])]
# Commands that can't be run here: they install, build or delete, or are for another shell.
NOT_RUN = re.compile(r"pipx|uv |pip |make |rm -r |sudo |python ")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with Place(tmp_path_factory.mktemp("pages")) as place:
        yield place


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_COMMANDS)
def test_the_commands_of_a_page_print_what_it_shows(page, place):
    for tool in ("jq", "curl", "xargs"):
        if re.search(rf"\b{tool} ", TEXTS[page]) and shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    wrong = []
    for turn, status, seen in run_page(place, page):
        if status != turn.status or (turn.shown and not is_as_shown(turn.shown, seen)):
            wrong.append("\n".join((f"$ {turn.command}", f"exit status {status}, and printed:", *seen)))
        assert not any("Traceback" in line for line in seen), seen
    assert wrong == [], "\n\n".join([*wrong, "If this is right, `make docs` writes the page again."])


@pytest.mark.parametrize("page", PAGES)
def test_other_blocks_hold_no_commands_of_pe_search(page):
    """What is not in a `console` block is not run, so it may show no command but those that can't be."""
    for kind, block in re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", TEXTS[page]):
        if kind == "console":
            continue
        lines = [line for line in block.splitlines() if line.startswith(("$ ", "pe-search "))]
        assert [line for line in lines if not NOT_RUN.match(line.removeprefix("$ "))] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\((?!http)([^)]+)\)", TEXTS[page]):
        name, _, heading = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), link
        if heading:
            assert heading in _anchors(target), link


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.*)$", page.read_text("utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_reached_from_the_readme():
    linked = set(re.findall(r"\]\((docs/[\w-]+\.md)", TEXTS["README.md"]))
    assert linked == {page for page in PAGES if page.startswith("docs/")}


def test_the_readme_is_one_page():
    assert len(TEXTS["README.md"].splitlines()) <= 150
    assert len(TEXTS["README.md"].split()) <= 1200


def test_every_command_is_on_the_page_of_commands():
    shown = [turn.command for turn in turns_of(TEXTS["docs/cli.md"])]
    commands = list(typer.main.get_command(app).commands)
    assert shown == ["pe-search --help", *(f"pe-search {name} --help" for name in commands)]
