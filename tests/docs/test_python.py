"""The pages about the inside tell the truth: the examples print what they show, and what they name is there."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import io
import re
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import typer

import pe_search
from pe_search.asker import Asker
from pe_search.cli.app import app
from pe_search.evaluator import Evaluator
from pe_search.holder import Holder
from pe_search.listener import Listener
from pe_search.teacher import Teacher
from pe_search.transcriber import Transcriber
from pe_search.tuner import Tuner
from tests.test_layers import FLOOR_OF

ROOT = Path(__file__).parents[2]
PYTHON = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
# An example, and what is shown right below it.
EXAMPLE = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", re.DOTALL)
SOUNDS = {
    "README.md": ("dog-barking", "field-recording", "weather/rain"),
    "docs/python.md": (
        "church-bell",
        "dog-barking",
        "rooster-crowing",
        "drums/closed-hi-hat",
        "drums/cowbell",
        "drums/kick-drum",
        "drums/snare-drum",
        "weather/rain",
        "weather/sea-waves",
        "weather/thunder",
        "weather/wind",
    ),
}
# These are read in another folder, and not indexed.
MORE = ("owl-hooting", "telephone", "drums/hand-clap")


@pytest.mark.parametrize("page", SOUNDS)
def test_the_python_examples_print_what_the_page_shows(page, tmp_path, monkeypatch):
    sounds = tmp_path / "sounds"
    for name in SOUNDS[page]:
        (sounds / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "examples" / "sounds" / f"{name}.flac", sounds / f"{name}.flac")
    (tmp_path / "more").mkdir()
    for name in MORE:
        shutil.copy(ROOT / "examples" / "sounds" / f"{name}.flac", tmp_path / "more")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    examples = EXAMPLE.findall((ROOT / page).read_text(encoding="utf-8"))
    assert examples
    for code, shown in examples:
        if "sklearn" in code and importlib.util.find_spec("sklearn") is None:
            continue
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(code, page, "exec"), namespace)
        # What "\r" goes back over is not seen.
        seen = "\n".join(line.rpartition("\r")[2] for line in printed.getvalue().split("\n"))
        assert seen == shown, code


def test_every_public_method_is_on_the_page():
    kinds = pe_search.Library, Teacher, Asker, Evaluator, Transcriber, Holder, Listener, Tuner
    members = {name for kind in kinds for name in vars(kind) if not name.startswith("_")}
    assert {name for name in members if not re.search(rf"`{name}\b", PYTHON)} == set()


def test_every_command_is_on_the_page():
    assert {name for name in typer.main.get_command(app).commands if not re.search(rf"`{name}\b", PYTHON)} == set()


def test_every_error_is_on_the_page():
    errors = {
        name for name, value in vars(pe_search).items() if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert {name for name in errors if name not in PYTHON} == set()


def test_what_the_architecture_names_is_there():
    paths = re.findall(r"`(pe_search/[\w/.]*)`", ARCHITECTURE)
    names = re.findall(r"`([a-z_]+(?:\.\w+)+)(?:\(\))?`", ARCHITECTURE)
    assert len(paths) > 10
    assert len(names) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [name for name in names if not _is_there(f"pe_search.{name.removeprefix('pe_search.')}")] == []


def test_the_picture_has_every_room_and_every_module_beside_them():
    picture = re.search(r"```mermaid\n(.*?)```", ARCHITECTURE, re.DOTALL).group(1)
    assert {part for part in FLOOR_OF if not re.search(rf"\b{part}\b", picture)} == {"__main__"}


def test_each_of_the_two_walks_has_ten_stops_at_most():
    stops = [len(re.findall(r"^\d+\. ", part, re.MULTILINE)) for part in ARCHITECTURE.split("\n## ")]
    walks = [count for count in stops if count]
    assert len(walks) == 2
    assert max(walks) <= 10


def _is_there(dotted: str) -> bool:
    """Whether a dotted name is that of a module, or of what is in one."""
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False
