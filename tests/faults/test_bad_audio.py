"""Bad audio, in quantity and of every kind: a line each or indexed rightly, and no harm to the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.bad_audio import make_bad, make_good
from tests.faults.conftest import Contents, clips_embedded, contents
from tests.made_up import noise, write_audio

# More than this over what the good files take by themselves would be a file that gets what its header asks for. Most of
# it is for what torch keeps for each length of a window that it has met: the bad ones have many.
MARGIN_BYTES = 256 << 20


@pytest.mark.slow
def test_bad_files_in_quantity_spoil_nothing(warm, plain_checkpoint, tmp_path, request):
    good_count, bad_count = (200, 2_000) if request.config.getoption("--all-faults") else (20, 170)
    folder = tmp_path / "sounds"
    folder.mkdir()
    options = ["--model", plain_checkpoint[0], "--store"]
    # With a long one among them, because a header may make a short clip long, and that is nothing out of the way.
    good = [write_audio(folder / "good.wav", noise(30.0)), *make_good(folder, good_count - 1, seed=1)]
    alone = warm.run("index", folder, *options, tmp_path / "alone")
    assert alone.status == 0, alone.err
    expected = contents(tmp_path / "alone", tmp_path)
    assert set(expected.clips) == set(good)

    bad = make_bad(folder, bad_count, seed=2)
    mixed = warm.run("index", folder, *options, tmp_path / "mixed")

    assert (mixed.status, mixed.out) == (2, b"")
    held = contents(tmp_path / "mixed", tmp_path)
    *lines, summary = mixed.err.splitlines()
    told = [Path(line.removeprefix("pe-search: ").split(": ")[0]) for line in lines]
    assert len(told) == len(set(told))
    assert set(told) | set(held.clips) == {*good, *bad}
    assert set(told).isdisjoint(held.clips)
    assert summary.startswith(f"{len(held.clips)} clips embedded "), summary
    assert len(told) > bad_count / 3, "they were not bad enough"
    assert Contents(
        {path: clip for path, clip in held.clips.items() if path in expected.clips},
        {place: embedding for place, embedding in held.windows.items() if place[0] in expected.clips},
    ).is_as(expected)
    assert mixed.peak_bytes < alone.peak_bytes + MARGIN_BYTES

    again = warm.run("index", folder, *options, tmp_path / "mixed")
    assert (again.status, clips_embedded(again)) == (0, 0), again.err
    assert len(again.err.splitlines()) == 1
