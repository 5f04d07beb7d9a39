"""Windows and macOS: nothing that only POSIX systems have is needed there, as far as that can be seen from here."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

import pe_search
from tests.made_up import noise, write_audio
from tests.windows import POSIX_ATTRIBUTES, POSIX_MODULES

PACKAGE = Path(pe_search.__path__[0])
FILES = sorted(PACKAGE.rglob("*.py"))
DEADLINE_S = 120


def unguarded(tree: ast.AST) -> Iterator[str]:
    """What a module takes from POSIX systems alone without having asked what system it is on.

    It has asked in a branch of an `if` that mentions `sys.platform` or `os.name`, below an `if` that does so and
    returns, raises or goes on, and in a `try` that catches what would be raised.
    """
    yield from _unguarded(list(ast.iter_child_nodes(tree)), set())


def _unguarded(nodes: list[ast.AST], caught: set[str]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom) and "ImportError" not in caught:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (name for name in names if name.partition(".")[0] in POSIX_MODULES)
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if alias.name in POSIX_ATTRIBUTES.get(node.module or "", ()):
                        yield f"{node.module}.{alias.name}"
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.attr in POSIX_ATTRIBUTES.get(node.value.id, ())
            and "AttributeError" not in caught
        ):
            yield f"{node.value.id}.{node.attr}"
        if isinstance(node, ast.If) and _asks_for_system(node.test):
            if isinstance(node.body[-1], ast.Return | ast.Raise | ast.Continue):
                return
            continue
        if isinstance(node, ast.Try):
            handled = {name.id for one in node.handlers if one.type for name in ast.walk(one.type) if _is_name(name)}
            yield from _unguarded([*node.body], caught | handled)
            yield from _unguarded([*node.handlers, *node.orelse, *node.finalbody], caught)
            continue
        yield from _unguarded(list(ast.iter_child_nodes(node)), caught)


def _is_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Name)


def _asks_for_system(test: ast.expr) -> bool:
    asked = {ast.unparse(node) for node in ast.walk(test) if isinstance(node, ast.Attribute)}
    return bool(asked & {"sys.platform", "os.name"})


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import fcntl", ["fcntl"]),
        ("from os import geteuid, path", ["os.geteuid"]),
        ("def f():\n    import termios", ["termios"]),
        ("flags = os.O_RDONLY | os.O_NOFOLLOW", ["os.O_NOFOLLOW"]),
        ("with socket.socket(socket.AF_UNIX): pass", ["socket.AF_UNIX"]),
        ("if sys.platform != 'win32':\n    import fcntl", []),
        ("if sys.platform == 'win32':\n    pass\nelse:\n    import fcntl", []),
        ("def f():\n    if sys.platform == 'win32':\n        return 0\n    return os.geteuid()", []),
        ("def f():\n    if x:\n        return 0\n    return os.geteuid()", ["os.geteuid"]),
        ("try:\n    import fcntl\nexcept ImportError:\n    fcntl = None", []),
        ("try:\n    import fcntl\nexcept ValueError:\n    fcntl = None", ["fcntl"]),
        ("getattr(os, 'O_NONBLOCK', 0)", []),
    ],
)
def test_the_check_itself(source, found):
    assert list(unguarded(ast.parse(source))) == found


@pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(PACKAGE)) for file in FILES])
def test_what_only_posix_systems_have_is_asked_for_on_them_alone(file):
    assert list(unguarded(ast.parse(file.read_text(encoding="utf-8")))) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the list is held against a system that has it all")
def test_the_list_names_what_there_is():
    for module, names in POSIX_ATTRIBUTES.items():
        here = {name for name in names if hasattr(__import__(module), name)}
        assert len(here) > len(names) / 2, f"{module}: {names - here}"


def test_the_workflow_runs_lint_types_and_tests_on_three_systems():
    workflow = yaml.safe_load((PACKAGE.parent / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
    job = workflow["jobs"]["test"]
    assert job["strategy"]["matrix"]["os"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    steps = " ".join(step.get("run", "") for step in job["steps"])
    for command in ("ruff check", "ruff format --check", "mypy", "pytest", "--constraint constraints.txt"):
        assert command in steps


# The package on what it takes for Windows


@pytest.fixture
def on_windows() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command as it would see Windows."""

    def run(*args: object, status: int = 0) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "tests.windows", *map(str, args)]
        done = subprocess.run(
            argv, capture_output=True, text=True, cwd=PACKAGE.parent, stdin=subprocess.DEVNULL, timeout=DEADLINE_S
        )
        assert done.returncode == status, done.stderr
        return done

    return run


def run_there(program: str, *args: object, platform: str = "win32") -> str:
    """What a program prints whose imports of the package see another system."""
    start = f"from tests.windows import pretend; pretend({platform!r})\n"
    argv = [sys.executable, "-c", start + program, *map(str, args)]
    return subprocess.run(
        argv, check=True, capture_output=True, text=True, cwd=PACKAGE.parent, timeout=DEADLINE_S
    ).stdout


@pytest.mark.slow
def test_every_module_is_imported_without_what_windows_lacks():
    program = """
import pkgutil, importlib, pe_search
for module in pkgutil.walk_packages(pe_search.__path__, 'pe_search.'):
    if not module.name.endswith('__main__'):
        importlib.import_module(module.name)
        print(module.name)
"""
    # A package's own __init__ is named by its folder.
    assert len(run_there(program).splitlines()) == len(FILES) - 2


@pytest.mark.slow
def test_a_store_is_made_searched_and_changed_there(on_windows, tmp_path):
    sounds = tmp_path / "sounds"
    for seed, name in enumerate(("a.wav", "b.wav")):
        write_audio(sounds / name, noise(1.0, seed))
    store = ("--store", tmp_path / "store")
    assert "2 clips embedded" in on_windows("index", sounds, *store).stderr
    found = on_windows("query", "rain", *store, "--format", "jsonl", "--copy-to", tmp_path / "copies")
    assert {json.loads(line)["path"] for line in found.stdout.splitlines()} == {
        str(sounds / "a.wav"),
        str(sounds / "b.wav"),
    }
    assert sorted(path.name for path in (tmp_path / "copies").iterdir()) == ["a.wav", "b.wav"]
    assert on_windows("remove", sounds / "a.wav", *store).stderr == "1 clip removed.\n"
    assert on_windows("rebuild", *store).stderr == "The new index has 1 window.\n"
    assert "clips    1\n" in on_windows("status", *store).stdout.replace("       1", "    1")
    assert not list(tmp_path.rglob("*.part")), "no draft is left behind"


@pytest.mark.slow
def test_a_server_there_answers_http_alone(on_windows, tmp_path):
    write_audio(tmp_path / "sounds" / "a.wav", noise(1.0))
    store = ("--store", tmp_path / "store")
    on_windows("index", tmp_path / "sounds", *store)
    refused = on_windows("serve", *store, status=2)
    assert refused.stderr == (
        "pe-search: On Windows a server answers over HTTP only: give --http PORT, such as --http 8765.\n"
    )
    argv = [sys.executable, "-m", "tests.windows", "serve", "--http", "0", *map(str, store)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, cwd=PACKAGE.parent) as server:
        try:
            ready = server.stderr.readline()
            assert ready.startswith(f"Ready for queries to the store at {tmp_path / 'store'} at http://127.0.0.1:")
            url = ready.split(" at ")[-1].split(". ")[0]
            with urllib.request.urlopen(f"{url}?text=rain", timeout=DEADLINE_S) as answer:
                assert [hit["path"] for hit in json.load(answer)["hits"]] == [str(tmp_path / "sounds" / "a.wav")]
            # A query beside it asks nobody.
            assert on_windows("query", "rain", *store).stdout == f"{tmp_path / 'sounds' / 'a.wav'}\n"
            server.terminate()
            assert (server.wait(DEADLINE_S), server.stderr.read()) == (0, "")
        finally:
            server.kill()


def test_a_draft_there_goes_when_it_is_done_and_stays_while_it_is_open(tmp_path):
    """What nobody has open is dropped; an open file, which can't be removed there, keeps its folder."""
    program = """
import sys, os
from pathlib import Path
from pe_search import drafts
folder = Path(sys.argv[1])
with drafts.whole_file(folder / 'a') as file:
    file.write(b'one')
    print(len(list(folder.iterdir())))
left = folder / '.pe-search-0123456789abcdef.part'
left.mkdir()
(left / 'lock').touch()
(left / 'draft').write_bytes(b'half')
empty = folder / '.pe-search-0123456789abcdee.part'
empty.mkdir()
open_one = folder / '.pe-search-0123456789abcded.part'
open_one.mkdir()
(open_one / 'lock').touch()
unlink = Path.unlink
def refuse(path, *args, **options):
    if path.parent == open_one:
        raise PermissionError(13, 'in use', str(path))
    unlink(path, *args, **options)
Path.unlink = refuse
drafts.drop_left_over(folder)
print(sorted(os.listdir(folder)))
with drafts.draft_folder(folder) as made:
    (made / 'b').write_bytes(b'two')
    print(drafts.put_if_free(made / 'b', folder / 'b'), drafts.put_if_free(folder / 'a', folder / 'b'))
print(sorted(os.listdir(folder)))
"""
    assert run_there(program, tmp_path).splitlines() == [
        "1",
        "['.pe-search-0123456789abcded.part', 'a']",
        "True False",
        "['.pe-search-0123456789abcded.part', 'a', 'b']",
    ]


def test_a_file_that_a_reader_has_open_there_is_replaced_once_it_lets_go(tmp_path):
    program = """
import sys, os
from pathlib import Path
from pe_search import drafts
refusals = [PermissionError(13, 'in use'), PermissionError(13, 'in use')]
replace = os.replace
def refuse(*places):
    if refusals:
        raise refusals.pop()
    replace(*places)
os.replace = refuse
drafts._RETRY_EVERY_S = 0
with drafts.whole_file(Path(sys.argv[1]) / 'a') as file:
    file.write(b'one')
print((Path(sys.argv[1]) / 'a').read_text(), refusals)
"""
    assert run_there(program, tmp_path) == "one []\n"


def test_an_index_there_is_not_mapped(tmp_path):
    program = """
import sys, mmap
from pathlib import Path
import numpy as np
from pe_search.store import tensors
mmap.mmap = None
path = Path(sys.argv[1]) / 'a'
tensors.write_tensors(path, {'x': tensors.Tensor('I64', (3,), [np.arange(3)])}, {})
print(tensors.map_checked(path)[0]['x'].tolist())
"""
    assert run_there(program, tmp_path) == "[0, 1, 2]\n"


@pytest.mark.parametrize("platform", ["win32", "another"])
def test_a_conversation_goes_on_without_readline(platform, tmp_path):
    program = """
import sys
from pathlib import Path
from pe_search.cli.input.history import History
history = History(Path(sys.argv[1]) / 'history')
history.add('rain')
print(Path(sys.argv[1], 'history').exists())
"""
    assert run_there(program, tmp_path, platform=platform) == "False\n"


def test_keys_there_come_from_the_console():
    program = """
import sys, types
from pe_search.cli.output.keys import pressed_keys
pressed = list('Q\\xe0Hx')
sys.modules['msvcrt'] = types.SimpleNamespace(kbhit=lambda: bool(pressed), getwch=lambda: pressed.pop(0))
sys.stdin = types.SimpleNamespace(isatty=lambda: True)
with pressed_keys() as key_within:
    print([key_within(0), key_within(0), key_within(0), key_within(0)])
sys.stdin = types.SimpleNamespace(isatty=lambda: False)
with pressed_keys() as key_within:
    print(key_within)
"""
    assert run_there(program) == "['q', None, 'x', None]\nNone\n"


@pytest.mark.parametrize("system", ["win32", "darwin"])
@pytest.mark.slow
def test_the_types_of_other_systems_hold(system, tmp_path):
    """The types of the standard library know what each system has."""
    argv = [sys.executable, "-m", "mypy", "--platform", system, "--cache-dir", tmp_path]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=PACKAGE.parent, check=False)
    assert done.returncode == 0, done.stdout


def test_faiss_has_one_thread_and_no_quarrel_with_torch_on_macos():
    """Each brings an OpenMP runtime, and on macOS two of them abort or crash inside the search."""
    program = """
import os
from pe_search.store.kernels import _faiss
print(_faiss().omp_get_max_threads(), os.environ.get('KMP_DUPLICATE_LIB_OK'))
"""
    # Libraries that other tests import set it too.
    environment = {name: value for name, value in os.environ.items() if name != "KMP_DUPLICATE_LIB_OK"}
    environment["OMP_NUM_THREADS"] = "2"
    for platform, expected in {"darwin": "1 TRUE\n", "linux": "2 None\n"}.items():
        start = f"from tests.windows import pretend; pretend({platform!r}, has_all=True)\n"
        argv = [sys.executable, "-c", start + program]
        done = subprocess.run(argv, check=True, capture_output=True, text=True, cwd=PACKAGE.parent, env=environment)
        assert done.stdout == expected
