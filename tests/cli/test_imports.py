"""What a command loads, seen from an interpreter that has loaded nothing yet."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.conftest import DEADLINE_S
from tests.made_up import noise, write_audio

HEAVY = (
    "asyncio",
    "faiss",
    "fastapi",
    "huggingface_hub",
    "matplotlib",
    "msgspec",
    "numpy",
    "onnxruntime",
    "pandas",
    "pathspec",
    "pydantic",
    "rich",
    "scipy",
    "sed_scores_eval",
    "sklearn",
    "soundfile",
    "soxr",
    "tokenizers",
    "tomllib",
    "torch",
    "transformers",
    "uvicorn",
)

_PROGRAM = f"""
import sys
from pe_search.cli.app import main
sys.argv[0] = "pe-search"
try:
    main()
finally:
    print("\\nloaded:", *[name for name in {HEAVY} if name in sys.modules])
"""


@pytest.fixture
def loaded_by():
    """Run a command in a new interpreter; returns which of the `HEAVY` packages it loaded."""

    def run(*args: object, status: int = 0) -> set[str]:
        argv = [sys.executable, "-c", _PROGRAM, *map(str, args)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        assert done.returncode == status, done.stderr
        return set(done.stdout.splitlines()[-1].removeprefix("loaded:").split())

    return run


@pytest.mark.parametrize(
    "args",
    [
        ["--help"],
        ["index", "--help"],
        ["query", "--help"],
        ["locate", "--help"],
        ["label", "--help"],
        ["duplicates", "--help"],
        ["count", "--help"],
        ["evaluate", "--help"],
        ["ask", "--help"],
        ["describe", "--help"],
        ["tune", "--help"],
        ["mcp", "--help"],
        ["status", "--help"],
        ["remove", "--help"],
        ["rebuild", "--help"],
        ["models", "--help"],
        ["serve", "--help"],
        ["page", "--help"],
        ["--version"],
    ],
    ids=" ".join,
)
def test_help_loads_nothing_heavy(loaded_by, args):
    assert loaded_by(*args) == set()


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--frob"],
        ["query", "rain", "--frob"],
        ["query", ""],
        ["query", "rain", "--join", "1"],
        ["label", "."],
        ["ask", "", "a.wav"],
        ["count"],
    ],
    ids=" ".join,
)
def test_neither_does_a_wrong_call(loaded_by, args):
    assert loaded_by(*args, status=2) == set()


def test_the_package_itself_loads_nothing_heavy():
    program = f"import sys, pe_search; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_status_loads_neither_a_model_nor_an_index(loaded_by, library):
    assert loaded_by("status", "--store", library.store) <= {"msgspec", "numpy"}


def test_looking_for_a_store_that_is_not_there_loads_no_model(loaded_by, tmp_path):
    assert loaded_by("query", "rain", "--store", tmp_path, status=2) <= {"msgspec", "numpy"}


def test_a_text_query_loads_neither_torch_nor_transformers(loaded_by, library):
    (library.store / "texts.sqlite3").unlink(missing_ok=True)
    query = ("query", "rain", "--format", "jsonl", "--store", library.store)
    assert loaded_by(*query) == {"faiss", "msgspec", "numpy", "onnxruntime", "tokenizers"}
    assert loaded_by(*query) == {"faiss", "msgspec", "numpy"}


def test_counting_loads_no_model_and_matplotlib_only_for_a_heat_map(loaded_by, library, tmp_path):
    count = ("count", "rain", "--min-probability", 0, "--store", library.store)
    loaded_by(*count)  # remembers the text
    assert loaded_by(*count) == {"msgspec", "numpy"}
    assert "matplotlib" in loaded_by(*count, "-o", tmp_path / "rain.svg")


def test_indexing_again_loads_neither_a_model_nor_rich(loaded_by, run_cli, plain_checkpoint, tmp_path):
    write_audio(tmp_path / "a.wav", noise(0.2))
    args = ("index", tmp_path / "a.wav", "--model", plain_checkpoint[0], "--store", tmp_path / "store")
    assert run_cli(*args).status == 0
    assert loaded_by(*args) == {"msgspec", "numpy", "soundfile", "soxr"}
