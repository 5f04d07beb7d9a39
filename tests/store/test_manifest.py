"""The manifest of a store, whole or damaged."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from pe_search.errors import StoreError
from pe_search.model import LONGEST_WINDOW_S
from pe_search.store import FORMAT_VERSION, Manifest, read_manifest_if_any
from pe_search.store.manifest import read_manifest, write_manifest

MANIFEST = Manifest(
    model="facebook/pe-av-small",
    revision="c0ffee",
    dimension=1024,
    window_s=10.0,
    hop_s=2.5,
    sample_rate_hz=48_000,
    logit_scale=0.7,
    logit_bias=-0.4,
)
FIELDS = [field.name for field in dataclasses.fields(Manifest)]


def write_fields(directory: Path, **changes: object) -> None:
    """A manifest with some fields changed; Ellipsis takes one away."""
    fields = dataclasses.asdict(MANIFEST) | changes
    kept = {name: value for name, value in fields.items() if value is not ...}
    (directory / "manifest.json").write_text(json.dumps(kept))


def refusal(directory: Path) -> str:
    with pytest.raises(StoreError) as caught:
        read_manifest(directory)
    assert "\n" not in str(caught.value)
    with pytest.raises(StoreError):
        read_manifest_if_any(directory)
    return str(caught.value)


def test_what_is_written_is_read(tmp_path):
    write_manifest(tmp_path, MANIFEST)
    assert read_manifest(tmp_path) == MANIFEST
    assert read_manifest_if_any(tmp_path) == MANIFEST
    assert [file.name for file in tmp_path.iterdir()] == ["manifest.json"]


def test_the_file_is_json_with_the_fields_of_the_manifest(tmp_path):
    write_manifest(tmp_path, MANIFEST)
    assert json.loads((tmp_path / "manifest.json").read_text()) == dataclasses.asdict(MANIFEST)


def test_the_format_version_is_written_without_being_asked_for(tmp_path):
    write_manifest(tmp_path, MANIFEST)
    assert json.loads((tmp_path / "manifest.json").read_text())["format_version"] == FORMAT_VERSION == 6


def test_a_model_may_be_at_a_path_that_is_not_ascii_or_not_utf8(tmp_path):
    for name in ("/modèles/猫", os.fsdecode(b"/models/\xff")):
        manifest = dataclasses.replace(MANIFEST, model=name)
        write_manifest(tmp_path, manifest)
        assert read_manifest(tmp_path) == manifest


def test_writing_that_fails_leaves_the_manifest_that_was_there(tmp_path, monkeypatch):
    write_manifest(tmp_path, MANIFEST)

    def refuse(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="no space left"):
        write_manifest(tmp_path, dataclasses.replace(MANIFEST, model="other"))
    assert read_manifest(tmp_path) == MANIFEST


def test_a_whole_number_may_stand_for_a_float(tmp_path):
    write_fields(tmp_path, window_s=10, hop_s=5, logit_scale=1, logit_bias=-1)
    expected = dataclasses.replace(MANIFEST, window_s=10.0, hop_s=5.0, logit_scale=1.0, logit_bias=-1.0)
    assert read_manifest(tmp_path) == expected


@pytest.mark.parametrize("place", ["", "gone", "gone/deeper", "file", "file/deeper"])
def test_there_is_no_store(tmp_path, place):
    (tmp_path / "file").write_text("")
    directory = tmp_path / place
    with pytest.raises(StoreError) as caught:
        read_manifest(directory)
    assert str(caught.value) == (
        f"There is no store at {directory}; make it with `pe-search index PATH --store {directory}`."
    )
    assert read_manifest_if_any(directory) is None


def test_a_manifest_that_links_nowhere_is_not_taken_for_no_store(tmp_path):
    (tmp_path / "manifest.json").symlink_to(tmp_path / "gone")
    assert refusal(tmp_path) == (
        f"{tmp_path / 'manifest.json'} can't be read: it is a symbolic link; the files of a store are regular files in "
        "its folder."
    )


@pytest.mark.parametrize(
    "content", [b"", b"{", b"not json", b"\xff\xfe", b'{"model": "\xff"}', b"{} {}", b"\0" * 200], ids=repr
)
def test_a_file_that_is_no_json(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    assert refusal(tmp_path).startswith(f"{tmp_path / 'manifest.json'} can't be read: ")


def test_a_manifest_that_is_a_folder(tmp_path):
    (tmp_path / "manifest.json").mkdir()
    assert refusal(tmp_path).startswith(f"{tmp_path / 'manifest.json'} can't be read: ")


@pytest.mark.parametrize("content", ["[]", "null", "1", '"manifest"', "{}", "[1, 2, 3, 4, 5, 6, 7, 8]"])
def test_json_that_is_no_manifest(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    assert refusal(tmp_path).startswith(f"{tmp_path / 'manifest.json'} is damaged: ")


@pytest.mark.parametrize("name", [name for name in FIELDS if name != "format_version"])
def test_a_field_that_is_missing(tmp_path, name):
    write_fields(tmp_path, **{name: ...})
    message = refusal(tmp_path)
    assert message.startswith(f"{tmp_path / 'manifest.json'} is damaged: ")
    assert f"field `{name}`" in message


def test_a_field_too_many(tmp_path):
    write_fields(tmp_path, colour="blue")
    message = refusal(tmp_path)
    assert message.startswith(f"{tmp_path / 'manifest.json'} is damaged: ")
    assert "field `colour`" in message


NUMBERS = [name for name in FIELDS if name not in ("model", "revision", "embedding_dtype")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in FIELDS for value in (None, True, [], {})),
        *((name, "text") for name in NUMBERS),
        *((name, 7) for name in ("model", "revision")),
        *((name, 1.5) for name in ("dimension", "sample_rate_hz", "format_version", "model")),
        *((name, value) for name in ("dimension", "sample_rate_hz", "format_version") for value in (0, -1)),
        *((name, float(value)) for name in ("window_s", "hop_s") for value in ("0", "-1", "nan", "inf")),
        *((name, float(value)) for name in ("logit_scale", "logit_bias") for value in ("nan", "inf", "-inf")),
        ("hop_s", 10.5),
        ("window_s", 30.5),
        ("dimension", 16_385),
        ("sample_rate_hz", 768_001),
        *((name, value) for name in ("logit_scale", "logit_bias") for value in (1e7, -(10**400))),
        *(("embedding_dtype", value) for value in (7, "float32", "")),
    ],
)
def test_a_field_whose_value_makes_no_sense(tmp_path, name, value):
    write_fields(tmp_path, **{name: value})
    message = refusal(tmp_path)
    assert message.startswith(f"{tmp_path / 'manifest.json'} is damaged: ")
    assert name in message


@pytest.mark.parametrize("changes", [{}, {"dimension": ..., "colours": [1, 2]}])
def test_a_newer_format_says_so_whatever_its_fields(tmp_path, changes):
    write_fields(tmp_path, format_version=FORMAT_VERSION + 1, **changes)
    assert refusal(tmp_path) == (
        f"The store at {tmp_path} has format 7; this pe-search reads up to 6. Upgrade pe-search."
    )


@pytest.mark.parametrize("changes", [{}, {"dimension": ..., "embedding_dtype": ...}])
def test_an_older_format_says_so_whatever_its_fields(tmp_path, changes):
    write_fields(tmp_path, format_version=1, **changes)
    assert refusal(tmp_path) == (
        f"The store at {tmp_path} has format 1, which this pe-search can't read any more. Index again into a new store "
        "(--store)."
    )


def test_the_longest_window_is_that_of_the_command_line(tmp_path):
    write_fields(tmp_path, window_s=LONGEST_WINDOW_S)
    assert read_manifest(tmp_path).window_s == LONGEST_WINDOW_S


@pytest.mark.parametrize("content", [b"[" * 50_000, b'{"model": "' + b"x" * 70_000 + b'"}'])
def test_a_file_that_is_deep_or_long_is_refused(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    assert refusal(tmp_path).startswith(f"{tmp_path / 'manifest.json'} can't be read: ")


def test_a_full_disk_leaves_no_draft(tmp_path, monkeypatch):
    def refuse(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_manifest(tmp_path, MANIFEST)
    assert list(tmp_path.iterdir()) == []
