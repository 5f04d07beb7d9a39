"""What the package says about itself: its public names, its records, its errors."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pickle
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pe_search
from pe_search import errors, queries, records, reports

MODULES = sorted(
    {"pe_search", *(module.name for module in pkgutil.walk_packages(pe_search.__path__, "pe_search."))}
    - {"pe_search.__main__"}
)


def classes_of(module: object) -> list[type]:
    return [kind for kind in vars(module).values() if inspect.isclass(kind) and kind.__module__ == module.__name__]


RECORDS = [*classes_of(records), *classes_of(queries), *classes_of(reports)]
ERRORS = classes_of(errors)


# Public names


def test_the_public_names_are_there_once_and_in_order():
    assert pe_search.__all__ == sorted(set(pe_search.__all__))
    for name in pe_search.__all__:
        assert getattr(pe_search, name) is not None
    assert {error.__name__ for error in ERRORS} <= set(pe_search.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'close'"):
        pe_search.close  # noqa: B018


def test_whatever_record_a_method_of_the_library_takes_or_gives_is_public():
    signatures = " ".join(
        str(inspect.signature(method))
        for _, method in inspect.getmembers(pe_search.Library, inspect.isfunction)
        if not method.__name__.startswith("_")
    )
    mentioned = {record.__name__ for record in RECORDS} & set(re.findall(r"\w+", signatures))
    # Alone, within a list, beside None.
    assert {"Status", "Hit", "SpanRules"} <= mentioned
    assert mentioned <= set(pe_search.__all__)


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


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_is_frozen_and_compares_and_pickles_by_its_values(record):
    values = range(len(dataclasses.fields(record)))
    made = record(*values)
    for field in dataclasses.fields(record):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(made, field.name, 0)
    assert not hasattr(made, "__dict__")
    assert made == record(*values)
    assert hash(made) == hash(record(*values))
    assert made != record(*(value + 1 for value in values))
    assert pickle.loads(pickle.dumps(made)) == made


def test_a_hit_is_told_to_programs_in_the_order_of_its_fields_with_rounded_times():
    hit = queries.Hit("rain", 1, Path("/s/a.wav"), 1 / 3, 2 / 3, -1.5, 0.25)
    assert list(hit.to_dict().items()) == [
        ("query", "rain"),
        ("rank", 1),
        ("path", "/s/a.wav"),
        ("start_s", 0.333333),
        ("end_s", 0.666667),
        ("score", -1.5),
        ("probability", 0.25),
    ]


def test_rules_for_a_file_that_is_slowed_down_have_shorter_times():
    assert queries.SpanRules(0.5, 0.2, 0.4, 0.8).at_speed(0.1) == queries.SpanRules(
        0.5, pytest.approx(0.02), pytest.approx(0.04), pytest.approx(0.08)
    )


# Errors


def test_the_errors_are_one_tree():
    assert {error.__name__: error.__bases__ for error in ERRORS if error is not errors.PeSearchError} == {
        **dict.fromkeys(
            (
                "AudioError",
                "CheckpointError",
                "ClusterError",
                "LanguageModelError",
                "MissingExtraError",
                "PatternError",
                "QueryError",
                "StoreError",
                "TableError",
                "TuningError",
            ),
            (errors.PeSearchError,),
        ),
        "StoreBusyError": (errors.StoreError,),
        "UnansweredError": (errors.LanguageModelError,),
    }


def test_an_audio_error_has_path_and_reason_apart_and_both_in_its_message():
    error = errors.AudioError(Path("/s/a.wav"), "the file is empty")
    assert (error.path, error.reason) == (Path("/s/a.wav"), "the file is empty")
    assert str(error) == "/s/a.wav: the file is empty"
    assert not error.may_pass


def test_of_a_foreign_error_the_first_line_is_told_or_its_kind():
    assert errors.first_line(ValueError("\n  one\ntwo")) == "one"
    assert errors.first_line(KeyError()) == "KeyError"
    assert errors.first_line(KeyError("audio")) == "KeyError: 'audio'"
    assert (
        errors.first_line(ImportError("Install it with:\n\n`pip install x`\nthen"))
        == "Install it with: `pip install x`"
    )


def test_the_module_of_errors_imports_nothing_at_run_time():
    tree = ast.parse(inspect.getsource(errors))
    imported = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert {alias.name for node in imported for alias in node.names} == {"annotations", "TYPE_CHECKING"}
