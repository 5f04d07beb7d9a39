"""What the package says about itself: its public names, its records, its errors."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pickle
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import pe_search
from pe_search import errors, records

MODULES = sorted(
    {"pe_search", *(module.name for module in pkgutil.walk_packages(pe_search.__path__, "pe_search."))}
    - {"pe_search.__main__"}
)
RECORDS = [getattr(records, name) for name in records.__all__ if inspect.isclass(getattr(records, name))]
ERRORS = [kind for kind in vars(errors).values() if inspect.isclass(kind) and kind.__module__ == "pe_search.errors"]


def module_with_all(name: str) -> bool:
    return hasattr(importlib.import_module(name), "__all__")


# Public names


def test_the_public_names_of_the_package():
    assert set(pe_search.__all__) == {*(error.__name__ for error in ERRORS), *records.__all__, "__version__"}
    assert pe_search.__all__ == sorted(pe_search.__all__)


def test_the_modules_that_declare_public_names():
    assert {name for name in MODULES if module_with_all(name)} == {
        "pe_search",
        "pe_search.errors",
        "pe_search.records",
        "pe_search.store",
    }


@pytest.mark.parametrize("name", [name for name in MODULES if module_with_all(name)])
def test_public_names_are_there_and_are_all(name):
    module = importlib.import_module(name)
    assert len(module.__all__) == len(set(module.__all__))
    tree = ast.parse(inspect.getsource(module))
    bound = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module.startswith("pe_search")
        for alias in node.names
    }
    bound |= {node.name for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    bound |= {"__version__"} & vars(module).keys()
    assert set(module.__all__) == {public for public in bound if not public.startswith("_") or public == "__version__"}
    for public in module.__all__:
        assert hasattr(module, public)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_for(name):
    assert importlib.import_module(name).__doc__


def test_the_version_has_three_numbers():
    assert [part.isdigit() for part in pe_search.__version__.split(".")] == [True] * 3


def test_the_package_imports_nothing_heavy():
    code = (
        "import sys; before = set(sys.modules); import pe_search; "
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(pe_search.__path__[0]).parent
    )
    assert result.stdout == "['pe_search']\n"


# Records


def test_all_records_are_listed():
    defined = {
        name for name, kind in vars(records).items() if inspect.isclass(kind) and kind.__module__ == records.__name__
    }
    assert {record.__name__ for record in RECORDS} == defined


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_is_frozen_and_has_slots(record):
    made = record(*range(len(dataclasses.fields(record))))
    for field in dataclasses.fields(record):
        assert field.default_factory is dataclasses.MISSING
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(made, field.name, 0)
    assert not hasattr(made, "__dict__")


@pytest.mark.parametrize("record", RECORDS)
def test_records_of_the_same_values_are_equal_and_hash_alike(record):
    values = range(len(dataclasses.fields(record)))
    assert record(*values) == record(*values)
    assert hash(record(*values)) == hash(record(*values))
    assert record(*values) != record(*(value + 1 for value in values))
    assert pickle.loads(pickle.dumps(record(*values))) == record(*values)


RATIOS = (
    "cosine",
    "score",
    "probability",
    "fdr",
    "min_probability",
    "weight",
    "speed",
    "threshold",
    "largest_difference",
    "largest_relative",
    "smallest_cosine",
)


@pytest.mark.parametrize("record", RECORDS)
def test_a_name_says_the_unit_of_seconds_bytes_and_nanoseconds(record):
    for field in dataclasses.fields(record):
        if field.type == "float":
            assert field.name.endswith("_s") or field.name in RATIOS
        if field.name.startswith(("size", "modified")):
            assert field.name.endswith(("_bytes", "_ns"))


# Errors


def test_the_errors_are_one_tree_and_all_are_listed():
    assert {error.__name__: error.__bases__ for error in ERRORS} == {
        "AudioError": (errors.PeSearchError,),
        "CheckpointError": (errors.PeSearchError,),
        "PatternError": (errors.PeSearchError,),
        "PeSearchError": (Exception,),
        "StoreError": (errors.PeSearchError,),
    }
    assert {error.__name__ for error in ERRORS} <= set(errors.__all__)


def test_an_audio_error_has_path_and_reason_apart_and_both_in_its_message():
    error = errors.AudioError(Path("/s/a.wav"), "the file is empty")
    assert (error.path, error.reason) == (Path("/s/a.wav"), "the file is empty")
    assert str(error) == "/s/a.wav: the file is empty"
    assert not error.may_pass


def test_of_a_foreign_error_the_first_line_is_told_or_its_kind():
    assert errors.first_line(ValueError("\n  one\ntwo")) == "one"
    assert errors.first_line(KeyError()) == "KeyError"


def test_the_module_of_errors_imports_nothing_at_run_time():
    tree = ast.parse(inspect.getsource(errors))
    imported = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert {alias.name for node in imported for alias in node.names} == {"annotations", "TYPE_CHECKING"}
