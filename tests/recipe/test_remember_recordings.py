"""The package knows each recording that its checkpoint was trained on, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest
import remember_recordings
from recipe import captions
from recipe.recordings import find_recordings

from pe_search.audio.hashing import content_digest
from pe_search.pe_audio.trained_on import DIGEST_BYTES, RECORDINGS, digests_trained_on

EXAMPLES = Path(__file__).parents[2] / "examples" / "sounds"
DATA = Path(__file__).parents[3] / "shared" / "data"


def test_the_script_keeps_the_digests_of_what_is_trained_on(tmp_path, monkeypatch, capsys):
    for name in ("rain/a.flac", "rain/copy.flac", "not_a_concept/b.flac"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.split("/")[0].encode())
    (tmp_path / "dog_bark").mkdir()
    (tmp_path / "dog_bark" / "c.ogg").write_bytes(b"dog")
    out = tmp_path / "digests"
    monkeypatch.setattr(remember_recordings, "RECORDINGS", out)
    monkeypatch.setattr("pe_search.pe_audio.trained_on.RECORDINGS", out)
    remember_recordings.main(["--data", str(tmp_path)])
    assert capsys.readouterr().out == "3 recordings, 16 bytes\n"
    kept = {content_digest(tmp_path / name)[:DIGEST_BYTES] for name in ("rain/a.flac", "dog_bark/c.ogg")}
    assert digests_trained_on("builtin") == kept
    assert digests_trained_on("facebook/pe-av-small") is None


def test_the_package_knows_what_it_was_trained_on():
    known = digests_trained_on("builtin")
    assert known is not None
    assert len(known) * DIGEST_BYTES == RECORDINGS.stat().st_size
    assert not {content_digest(path)[:DIGEST_BYTES] for path in EXAMPLES.rglob("*.flac")} & known
    if not DATA.is_dir():
        pytest.skip("there are no recordings at ../shared/data")
    recordings = find_recordings(DATA / "esc10", captions.CONCEPTS)
    assert recordings
    assert {content_digest(one.path)[:DIGEST_BYTES] for one in recordings} <= known
