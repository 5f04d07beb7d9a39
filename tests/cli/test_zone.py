"""`index --zone`: where the clips of a folder were recorded."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import pe_search
from pe_search.queries import Filters
from pe_search.store import Store
from pe_search.store.files import LOOKUP_FILE
from tests.cli.conftest import Outcome
from tests.made_up import noise, write_audio


@pytest.fixture
def recordings(tmp_path, monkeypatch, plain_checkpoint) -> Path:
    """Folders of recordings with a time in their names, indexed without a zone."""
    monkeypatch.setenv("PE_SEARCH_STORE", str(tmp_path / "zones.store"))
    monkeypatch.setenv("PE_SEARCH_MODEL", str(plain_checkpoint[0]))
    folder = tmp_path / "recordings"
    for seed, name in enumerate(("de/20240612_053000.wav", "de/pt/20240112_053000.wav", "other/20240612_053000Z.wav")):
        write_audio(folder / name, noise(0.2, seed))
    return folder


def recorded() -> dict[str, str | None]:
    with pe_search.open() as library:
        return {f"{clip.path.parent.name}/{clip.path.name}": clip.recorded_at for clip in library.clips()}


def zones() -> dict[str, str]:
    with pe_search.open() as library:
        return {str(path): zone for path, zone in library.status().zones}


def test_a_zone_of_a_folder_is_kept_until_it_is_forgotten(run_cli, recordings):
    assert run_cli("index", recordings).status == 0
    without = {
        "de/20240612_053000.wav": "2024-06-12T05:30:00",
        "pt/20240112_053000.wav": "2024-01-12T05:30:00",
        "other/20240612_053000Z.wav": "2024-06-12T05:30:00+00:00",
    }
    assert recorded() == without
    assert run_cli("index", recordings, "--zone", "europe/berlin").status == 0
    of_berlin = without | {
        "de/20240612_053000.wav": "2024-06-12T05:30:00+02:00",
        "pt/20240112_053000.wav": "2024-01-12T05:30:00+01:00",
    }
    assert recorded() == of_berlin
    # The nearest folder with a zone counts, and a later run without the option leaves it.
    assert run_cli("index", recordings / "de" / "pt", "--zone", "Europe/Lisbon").status == 0
    assert run_cli("index", recordings).status == 0
    both = of_berlin | {"pt/20240112_053000.wav": "2024-01-12T05:30:00+00:00"}
    assert recorded() == both
    assert zones() == {str(recordings): "Europe/Berlin", str(recordings / "de" / "pt"): "Europe/Lisbon"}
    assert run_cli("index", recordings / "de" / "pt", "--zone", "none").status == 0
    assert recorded() == of_berlin
    assert run_cli("index", recordings, "--zone", "None").status == 0
    assert (recorded(), zones()) == (without, {})


def test_without_a_path_a_zone_is_that_of_all_folders(run_cli, recordings):
    assert run_cli("index", recordings / "de", recordings / "other").status == 0
    assert run_cli("index", "--zone", "Asia/Tokyo").status == 0
    assert zones() == dict.fromkeys((str(recordings / "de"), str(recordings / "other")), "Asia/Tokyo")


def test_status_shows_zones(run_cli, recordings):
    run_cli("index", recordings)
    assert b"\nzones" not in run_cli("status").out
    run_cli("index", recordings, "--zone", "Europe/Berlin")
    run_cli("index", recordings / "de" / "pt", "--zone", "UTC")
    assert run_cli("status").out.decode().splitlines()[-2:] == [
        f"zones       Europe/Berlin     {recordings}",
        f"            UTC               {recordings / 'de' / 'pt'}",
    ]
    assert json.loads(run_cli("status", "--format", "json").out)["zones"] == {
        str(recordings): "Europe/Berlin",
        str(recordings / "de" / "pt"): "UTC",
    }


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--zone", "Europe/Berln"), "--zone: 'Europe/Berln' is not a time zone; did you mean Europe/Berlin, "),
        (("--zone", "xyzzy"), "--zone: 'xyzzy' is not a time zone; write a region and a city, as in Europe/Berlin.\n"),
        (("--zone", "UTC", "--files-from", "-"), "--zone: can't be used with --files-from.\n"),
        (("--zone", "none", "--dry-run"), "--zone: can't be used with --dry-run.\n"),
    ],
)
def test_what_can_not_be_is_told_in_a_line(run_cli, recordings, words, error):
    outcome = run_cli("index", recordings, *words)
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err.startswith(f"pe-search: {error}")
    assert outcome.err.count("\n") == 1
    assert not Path(os.environ["PE_SEARCH_STORE"]).exists()


def test_removing_a_folder_forgets_its_zone(run_cli, recordings):
    run_cli("index", recordings, "--zone", "Europe/Berlin")
    run_cli("index", recordings / "de", "--zone", "UTC")
    assert run_cli("remove", recordings / "de") == Outcome(0, b"", "2 clips removed.\n")
    assert zones() == {str(recordings): "Europe/Berlin"}


def test_the_lookup_knows_a_new_zone_and_an_unchanged_one_costs_nothing(run_cli, recordings, monkeypatch):
    """Filters for hours go by the clock where it was recorded, so they find the same; only the mark of rows changes."""
    run_cli("index", recordings)
    run_cli("index", recordings, "--zone", "Europe/Berlin")
    lookup = Path(os.environ["PE_SEARCH_STORE"]) / LOOKUP_FILE
    before = lookup.stat().st_mtime_ns, lookup.stat().st_ino
    run_cli("index", recordings, "--zone", "Europe/Berlin")
    assert (lookup.stat().st_mtime_ns, lookup.stat().st_ino) == before
    monkeypatch.setattr("pe_search.store.lookup._bring_up_to_date", pytest.fail)
    with Store.open(lookup.parent) as store:
        import numpy as np

        ones = np.ones(store.manifest.dimension, np.float32)
        found = store.finder.best_matches(ones, None, filters=Filters(hours=(5, 6))).best
        assert len(found) == 3


def test_merge_and_rebuild_keep_zones(run_cli, recordings, tmp_path):
    run_cli("index", recordings, "--zone", "Europe/Berlin")
    assert run_cli("rebuild").status == 0
    assert zones() == {str(recordings): "Europe/Berlin"}
    assert run_cli("index", recordings / "de", "--store", tmp_path / "other", "--zone", "UTC").status == 0
    assert run_cli("merge", tmp_path / "other").status == 0
    assert zones() == {str(recordings): "Europe/Berlin", str(recordings / "de"): "UTC"}


def test_in_python(run_cli, recordings):
    run_cli("index", recordings)
    with pe_search.open() as library:
        library.index(recordings, zone="asia/tokyo")
        assert zones() == {str(recordings): "Asia/Tokyo"}
        library.index(zone="none")
        assert zones() == {}
        with pytest.raises(ValueError, match="'Mars' is not a time zone"):
            library.index(recordings, zone="Mars")
        with pytest.raises(ValueError, match="zone can't be used with listed"):
            library.index(listed=[recordings], zone="UTC")
