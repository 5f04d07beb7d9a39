"""The house: imports run downward only, and foreign runtimes stay on their floor."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pe_search

PACKAGE = Path(pe_search.__path__[0])
FILES = sorted(PACKAGE.rglob("*.py"))
IDS = [str(file.relative_to(PACKAGE)) for file in FILES]

# The floors of the house, from the top down. What is on a floor imports floors below its own, and no neighbour on it.
FLOORS: list[set[str]] = [
    {"__main__"},
    {"cli"},
    {"serving"},
    {"libraries"},
    {"library"},
    {"teacher", "viewer"},
    {"asker", "evaluator", "holder", "transcriber", "tuner"},
    {"listener"},
    {"cluster"},
    {"tasks"},
    {"tuning"},
    {"evaluation"},
    {"spans"},
    {"search"},
    {"learning"},
    {"language"},
    {"model", "speech"},
    {"embedding"},
    {"audio", "pe_audio", "store"},
    {"parquet"},
    {"known"},
    {"reports"},
    {"queries"},
    {"trust"},
    {
        "clock",
        "directories",
        "drafts",
        "efforts",
        "errors",
        "evaluations",
        "maps",
        "probability",
        "records",
        "tunings",
    },
    {"descriptions", "places"},
]
FLOOR_OF = {part: number for number, floor in enumerate(FLOORS) for part in floor}


def part_of(module: str) -> str:
    """`pe_search.store.index` is of `store`; `pe_search` itself is of ``."""
    return module.split(".")[1] if "." in module else ""


def module_of(file: Path) -> str:
    return ".".join(["pe_search", *file.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")


def is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def imported_by(tree: ast.AST, file: Path) -> Iterator[str]:
    """The modules that a file imports anywhere, inside functions and for type checking too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            # `from pe_search.cli import index` imports a module, `from pe_search import __version__` doesn't.
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full.startswith("pe_search.") and is_module(full) else node.module


def runtime_imports(tree: ast.AST, file: Path) -> Iterator[str]:
    """As `imported_by`, but for what is imported for type checking alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    yield from imported_by(tree, file)


def trees() -> Iterator[tuple[Path, ast.AST]]:
    for file in FILES:
        yield file, ast.parse(file.read_text(encoding="utf-8"))


def importers_of(*libraries: str) -> set[str]:
    return {
        str(file.relative_to(PACKAGE))
        for file, tree in trees()
        if any(name.split(".")[0] in libraries for name in imported_by(tree, file))
    }


def test_the_parts_of_the_house_are_those_of_the_plan():
    assert {part_of(module_of(file)) for file in FILES} - {""} == set(FLOOR_OF)


@pytest.mark.parametrize("file", FILES, ids=IDS)
def test_imports_run_downward_only(file):
    own = part_of(module_of(file))
    used = {
        part_of(name)
        for name in imported_by(ast.parse(file.read_text(encoding="utf-8")), file)
        if name.split(".")[0] == "pe_search"
    } - {own, ""}
    floor = FLOOR_OF.get(own, -1)
    assert {part for part in used if FLOOR_OF[part] <= floor} == set()


@pytest.mark.parametrize("room", ["cli", "serving"])
def test_the_command_line_and_the_servers_call_the_library_and_nothing_below_it(room):
    used = {
        part_of(name)
        for file, tree in trees()
        if part_of(module_of(file)) == room
        for name in runtime_imports(tree, file)
        if name.startswith("pe_search.")
    }
    called = {"serving", "libraries", "library", "teacher", "viewer", "asker", "evaluator", "tuner", "holder"}
    called |= {"listener", "model", "transcriber"}
    assert used <= {room, *called, "parquet", "known", "reports", "queries", "trust"}.union(*FLOORS[-2:])


def test_no_file_is_long():
    assert [str(file) for file in FILES if len(file.read_text(encoding="utf-8").splitlines()) > 400] == []


def test_this_walk_sees_every_way_to_import():
    source = """
import pe_search.store.index
from pe_search import errors, __version__
from pe_search.cli.commands import query
if TYPE_CHECKING:
    from torch.nn import functional
def function():
    import faiss as f, os.path
    from pe_search.store import Store
"""
    assert sorted(imported_by(ast.parse(source), Path("x.py"))) == [
        "faiss",
        "os.path",
        "pe_search",
        "pe_search.cli.commands.query",
        "pe_search.errors",
        "pe_search.store",
        "pe_search.store.index",
        "torch.nn",
    ]


def _at_the_top(tree: ast.Module) -> list[ast.stmt]:
    return [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]


def test_only_the_kernels_import_faiss_and_only_once_it_is_needed():
    assert importers_of("faiss") == {"store/kernels.py"}
    tree = ast.parse((PACKAGE / "store/kernels.py").read_text(encoding="utf-8"))
    assert "faiss" not in [alias.name for node in _at_the_top(tree) for alias in node.names]


def test_only_pe_audio_speech_and_language_import_torch_and_what_comes_with_it():
    found = importers_of("torch", "transformers", "safetensors", "huggingface_hub", "tokenizers", "onnxruntime")
    assert {file.split("/")[0] for file in found} == {"pe_audio", "speech", "language"}


def test_only_speech_imports_recognisers():
    assert importers_of("pocketsphinx") == {"speech/sphinx.py"}
    assert importers_of("onnx_asr") == {"speech/onnx_models.py"}


def test_only_audio_imports_what_decodes_and_resamples():
    assert {file.split("/")[0] for file in importers_of("av", "soundfile", "soxr")} == {"audio"}


def test_only_the_exclusion_imports_pathspec_and_only_once_there_are_patterns():
    assert importers_of("pathspec") == {"audio/exclude.py"}
    tree = ast.parse((PACKAGE / "audio/exclude.py").read_text(encoding="utf-8"))
    assert "pathspec" not in {
        name.split(".")[0] for name in imported_by(ast.Module(_at_the_top(tree), []), Path("x.py"))
    }


def test_only_the_connection_to_milvus_and_its_client_import_pymilvus_and_only_once_it_is_needed():
    files = {"store/milvus/client.py", "store/milvus/connection.py"}
    assert importers_of("pymilvus", "milvus_lite") == files
    for file in files:
        tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
        names = runtime_imports(ast.Module(_at_the_top(tree), []), Path("x.py"))
        assert not {"pymilvus", "milvus_lite"} & {name.split(".")[0] for name in names}


def test_only_the_store_imports_sqlite_and_opens_it_in_one_place():
    found = importers_of("sqlite3")
    assert {file.split("/")[0] for file in found} == {"store"}
    opening = {file for file in found if re.search(r"sqlite3\.connect\(", (PACKAGE / file).read_text())}
    assert opening == {"store/database.py"}


def test_only_parquet_imports_pyarrow_and_only_once_it_is_needed():
    assert importers_of("pyarrow") == {"parquet.py"}
    tree = ast.parse((PACKAGE / "parquet.py").read_text(encoding="utf-8"))
    assert "pyarrow" not in [alias.name for node in _at_the_top(tree) for alias in node.names]


def test_only_figures_import_matplotlib_and_only_once_they_are_needed():
    files = {"cli/output/curves.py", "cli/output/drawing.py", "cli/output/heat_map.py"}
    assert importers_of("matplotlib") == files
    for file in files:
        tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
        names = imported_by(ast.Module(_at_the_top(tree), []), Path("x.py"))
        assert "matplotlib" not in {name.split(".")[0] for name in names}


def test_files_behind_urls_are_opened_in_one_place():
    assert importers_of("fsspec", "aiohttp") == {"audio/remote.py", "audio/web.py"}
    importers = {
        str(file.relative_to(PACKAGE)) for file, tree in trees() if "pe_search.audio.web" in imported_by(tree, file)
    }
    assert importers == {"audio/remote.py"}


def test_only_evaluation_imports_what_judges_and_times_need_more_of_it():
    found = importers_of("sklearn", "sed_scores_eval", "pandas")
    assert found == {"evaluation/extra.py", "evaluation/frames.py", "evaluation/measures.py"}
    assert importers_of("pandas") == {"evaluation/frames.py"}


def test_only_tuning_imports_peft_and_only_once_it_is_needed():
    files = {"pe_audio/tuning/adapted.py", "language/tuning/adapted.py"}
    assert importers_of("peft") == files
    for file in files:
        tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
        names = imported_by(ast.Module(_at_the_top(tree), []), Path("x.py"))
        assert "peft" not in {name.split(".")[0] for name in names}


def test_only_the_cluster_imports_ray_and_only_once_it_is_needed():
    files = {"cluster/runtime.py"}
    assert importers_of("ray") == files
    for file in files:
        tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
        names = imported_by(ast.Module(_at_the_top(tree), []), Path("x.py"))
        assert "ray" not in {name.split(".")[0] for name in names}


def test_only_the_server_for_assistants_imports_the_sdk_of_the_protocol():
    assert importers_of("mcp") == {"serving/mcp.py"}


def test_only_the_command_line_imports_typer_and_rich():
    found = importers_of("typer", "rich", "click")
    assert {file.split("/")[0] for file in found} == {"cli"}
    assert importers_of("platformdirs") == {"directories.py"}


def test_only_serving_listens_and_only_its_http_imports_what_that_takes():
    assert importers_of("msgspec") == {"serving/lines.py", "store/manifest.py"}
    http = {"serving/http.py", "serving/models.py", "serving/guard.py", "serving/replies.py"}
    found = importers_of("fastapi", "starlette", "uvicorn", "pydantic")
    # The tools of assistants have pydantic's bounds.
    assert {file for file in found if not file.startswith("serving/page/")} == http | {
        "serving/mcp.py",
        "serving/tool_arguments.py",
    }
    # A cluster is only knocked at, and a server of language models is only asked.
    calls = {"cluster/runtime.py", "language/server.py", "audio/web.py"}
    assert {file.split("/")[0] for file in importers_of("socket", "asyncio") - calls} == {"serving"}


def names_used(tree: ast.AST) -> set[str]:
    """Plain names and attributes of plain names, as `print` and `sys.exit`."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return names | {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }


@pytest.mark.parametrize("file", [file for file in FILES if part_of(module_of(file)) != "cli"], ids=str)
def test_nothing_outside_the_command_line_prints_or_exits(file):
    forbidden = {"print", "input", "exit", "quit", "SystemExit", "breakpoint", "sys.exit", "os._exit"}
    forbidden |= {"sys.stdout", "sys.stderr", "sys.stdin", "sys.argv"}
    assert not names_used(ast.parse(file.read_text(encoding="utf-8"))) & forbidden


def test_in_the_command_line_only_messages_print():
    found = {str(file.relative_to(PACKAGE)) for file, tree in trees() if "print" in names_used(tree)}
    assert found == {"cli/output/messages.py"}


def test_no_drawer_for_things_without_a_place():
    assert not {"utils", "util", "helpers", "helper", "common", "misc"} & {file.stem for file in FILES}
    assert not {"utils", "helpers", "common"} & {folder.name for folder in PACKAGE.rglob("*") if folder.is_dir()}
