"""A store from a stranger names URLs: nothing is downloaded that this machine's user has not named."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import pe_search
from pe_search import trust
from pe_search.audio.files import open_clip
from pe_search.cli.app import app
from pe_search.errors import AudioError
from pe_search.trust import is_trusted, trust_urls
from tests.audio.sites import site_of
from tests.made_up import noise, write_audio

Site = tuple[str, list[tuple[str, str]]]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "rec").mkdir()
    write_audio(folder / "rec/a.wav", noise(1.0, seed=1), subtype="PCM_16")
    with site_of(folder) as one:
        yield one


@pytest.fixture(scope="module")
def strangers_store(site, tmp_path_factory) -> Path:
    """A store whose one clip and folder are behind a URL, made on another machine."""
    folder = tmp_path_factory.mktemp("stranger")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        patch.setattr(trust, "_named", set())
        with pe_search.create(folder / "store") as library:
            assert library.index(f"{site[0]}/rec/").clips == 1
    return folder / "store"


@pytest.fixture
def run(strangers_store) -> Callable[..., tuple[int, str]]:
    def run(*args: object) -> tuple[int, str]:
        told = [str(arg) for arg in args] + ["--store", str(strangers_store)]
        result = CliRunner().invoke(app, told, catch_exceptions=False, env={"COLUMNS": "10000"})
        return result.exit_code, result.stderr

    return run


REFUSED = "is not downloaded, because nobody named it on this machine; index its folder once, or add it to "


@pytest.mark.parametrize(
    "args",
    [
        ("index",),
        ("index", "--prune"),
        ("query", "rain", "--copy-to", "out"),
        ("query", "rain", "--spans"),
        ("verify",),
    ],
    ids=" ".join,
)
def test_no_command_asks_for_what_only_the_store_names(run, site, args, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = len(site[1])
    _, said = run(*args)
    name = site[0].replace("//", "/")
    assert f"{name}/rec" in said and REFUSED in said and "trusted-urls" in said
    assert len(site[1]) == before and not list(tmp_path.glob("out/*"))


def test_the_library_and_the_page_refuse_alike_and_nothing_is_removed(strangers_store, site):
    before = len(site[1])
    with pe_search.open(strangers_store) as library:
        clip = next(iter(library.clips()))
        for ask in (
            lambda: library.playable(clip.path, 0.0, 1.0),
            lambda: library.peaks(clip.path),
            lambda: library.check_unchanged(clip.path),
        ):
            with pytest.raises(AudioError, match="nobody named it"):
                ask()
        problems = library.index(prune=True).problems
        assert [problem.reason.startswith(REFUSED) for problem in problems] == [True]
        assert len(list(library.clips())) == 1
    assert len(site[1]) == before


def test_what_is_named_now_is_asked_for_once_and_what_index_is_given_from_then_on(run, site, strangers_store):
    with pe_search.open(strangers_store) as library:
        clip = next(iter(library.clips()))
    assert run("query", "--like", f"{site[0]}/rec/a.wav@0-1")[0] == 0
    trust._named.clear()
    with pytest.raises(AudioError):
        open_clip(clip.path)
    status, said = run("index", f"{site[0]}/rec/")
    assert (status, REFUSED in said) == (0, False)
    trust._named.clear()
    assert open_clip(clip.path).read(4) == b"RIFF"
    assert run("index")[0] == 0
    path = Path(os.environ["XDG_STATE_HOME"]) / "pe-search" / "trusted-urls"
    assert path.read_text() == f"{site[0].replace('//', '/')}/rec\n" and path.stat().st_mode & 0o77 == 0


def test_a_list_names_too(run, site, tmp_path):
    (tmp_path / "list").write_text(f"{site[0]}/rec/a.wav\n")
    assert run("index", "--files-from", tmp_path / "list")[0] == 0


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "local:///etc/passwd",
        "simplecache::http://host/a.wav",
        "zip://a.wav::http://host/b.zip",
        "reference://x/a.wav",
        "http://me:secret@host/a.wav",
        "http://host/rec/../secret.wav",
        "http://host/rec/%2e%2e/secret.wav",
        "http://host/rec/..\\secret.wav",
        "http://host.evil/rec/a.wav",
        "http://host/record.wav",
        "https://host/rec/a.wav",
        "http://host:81/rec/a.wav",
        "sftp://host/rec/a.wav",
        "http:///rec/a.wav",
        "http://host/rec/a\t.wav",
    ],
)
def test_no_spelling_of_a_url_leads_out_of_what_was_named(url):
    trust_urls(["http://host/rec/"])
    assert is_trusted("http:/host/rec/a.wav") and is_trusted("HTTP:/Host/rec") and not is_trusted("http:/host")
    with pytest.raises(AudioError) as caught:
        open_clip(Path(url))
    assert caught.value.reason.isprintable() and "secret@" not in str(caught.value)


def test_a_pattern_names_the_folder_that_it_begins_in_and_a_container_itself():
    trust_urls(["s3://bucket/rec/**/*.wav", "s3://other/t.parquet/audio", "https://*", "s3://*/x.wav"])
    assert is_trusted("s3:/bucket/rec/x/a.wav") and not is_trusted("s3:/bucket/a.wav")
    assert is_trusted("s3:/other/t.parquet") and not is_trusted("s3:/other/u.parquet")
    assert not is_trusted("https:/host/a.wav") and not is_trusted("s3:/third/x.wav")


def test_a_column_may_name_urls_only_if_it_was_named_itself_and_none_of_this_network(site, tmp_path):
    table = tmp_path / "t.parquet"
    pq.write_table(pa.table({"file": [f"{site[0]}/rec/a.wav", "file:///etc/passwd", "sftp://inner/a.wav"]}), table)
    before = len(site[1])
    with pytest.raises(AudioError, match="nobody named it"):
        open_clip(table / "file/0/a.wav")
    trust_urls([table / "file"])
    with pytest.raises(AudioError, match="is on this machine or its network, and was not named"):
        open_clip(table / "file/0/a.wav")
    for row in (1, 2):
        with pytest.raises(AudioError, match=r"write the path of a file|nobody named it"):
            open_clip(table / f"file/{row}")
    assert len(site[1]) == before
    trust_urls([site[0]])
    assert open_clip(table / "file/0/a.wav").read(4) == b"RIFF"


def test_what_cannot_be_remembered_is_told_of_and_counts_for_now(strangers_store, site, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    told = []
    with pe_search.open(strangers_store) as library:
        assert library.index(f"{site[0]}/rec/", on_problem=told.append).unchanged == 1
    assert [problem.reason for problem in told] == ["what was named is not remembered: Not a directory"]
