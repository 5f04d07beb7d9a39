"""Clips that are no files of this machine: behind URLs, in archives and in tables."""

from __future__ import annotations

import http.server
import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pe_search.audio.files import open_clip, state_of
from pe_search.audio.find import find_stamps
from pe_search.audio.read import ClipReader
from pe_search.errors import AudioError
from pe_search.places import in_columns, is_there, is_url, place_of
from pe_search.records import Problem
from pe_search.store import Store
from pe_search.tasks.indexing import run_index
from pe_search.tasks.planning import plan_index
from pe_search.trust import trust_urls
from tests.made_up import FakeEmbedder, manifest, noise, write_audio

SOUNDS = {"a.wav": 1.0, "b.flac": 0.5}


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("sounds")
    return {
        name: write_audio(folder / name, noise(seconds, seed=number), subtype="PCM_16").read_bytes()
        for number, (name, seconds) in enumerate(SOUNDS.items())
    }


def make_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    with Store.create(tmp_path / "store", manifest(window_s=1.0, hop_s=1.0)) as opened:
        yield opened


@pytest.fixture
def index(store) -> Callable[..., tuple[object, list[tuple[str, str]]]]:
    def index(*roots: Path, prune: bool = False):
        told: list[Problem] = []
        trust_urls(roots)
        plan = plan_index(roots, store.catalog.stamps(), store.catalog.left_out(), prune=prune)
        summary = run_index(plan, store, FakeEmbedder, on_problem=told.append)
        return summary, [(str(problem.path), problem.reason) for problem in told]

    return index


def held(store: Store) -> dict[str, list[tuple[float, float]]]:
    return {str(clip.path): [*content.times] for clip, content in store.embedded_clips()}


# Archives


def test_the_members_of_an_archive_are_clips_with_what_is_said_beside_them(store, index, sounds, tmp_path):
    beside = {"shard/a.txt": b"a hound\n", "shard/b.json": json.dumps({"caption": "a bird", "n": 3}).encode()}
    archive = make_tar(
        tmp_path / "s.tar",
        {
            "shard/a.wav": sounds["a.wav"],
            "shard/b.flac": sounds["b.flac"],
            **beside,
            ".hidden.wav": b"",
            "../c.wav": b"",
        },
    )
    summary, told = index(archive)
    skipped = "links, sparse files and names that lead out of it are skipped: ../c.wav"
    assert told == [(str(archive), skipped)] and (summary.clips, summary.windows) == (2, 2)
    paths = [f"{archive}/shard/a.wav", f"{archive}/shard/b.flac"]
    assert [*held(store)] == paths
    facts = [content.facts for _, content in store.embedded_clips()]
    assert [one.description for one in facts] == ["a hound", "a bird"]
    # Their bytes are those of files.
    assert open_clip(Path(paths[0])).read() == sounds["a.wav"]
    again, _ = index(archive)
    assert (again.unchanged, again.clips, again.removed) == (2, 0, 0)


def test_a_member_that_is_gone_leaves_the_store_and_one_that_is_new_joins_it(store, index, sounds, tmp_path):
    archive = make_tar(tmp_path / "s.tar", {"a.wav": sounds["a.wav"], "b.flac": sounds["b.flac"]})
    index(archive)
    make_tar(archive, {"c.wav": sounds["a.wav"], "b.flac": sounds["b.flac"]})
    summary, _ = index(archive)
    assert (summary.clips, summary.recognised, summary.removed) == (0, 2, 1)
    assert [*held(store)] == [f"{archive}/b.flac", f"{archive}/c.wav"]


def test_an_archive_that_breaks_off_is_a_problem_and_what_comes_before_is_read(store, index, sounds, tmp_path):
    archive = make_tar(tmp_path / "s.tar", {"a.wav": sounds["a.wav"], "b.flac": sounds["b.flac"]})
    archive.write_bytes(archive.read_bytes()[: 512 + 512 * (len(sounds["a.wav"]) // 512 + 1) + 600])
    summary, told = index(archive)
    assert summary.clips == 1 and [*held(store)] == [f"{archive}/a.wav"]
    assert [path for path, _ in told] == [str(archive), f"{archive}/b.flac"]
    assert all("breaks off" in reason for _, reason in told)


def test_a_file_that_is_no_archive_is_one_problem(index, tmp_path):
    path = tmp_path / "s.tar"
    path.write_bytes(b"nothing of the kind" * 100)
    _, told = index(path)
    assert [one for one, _ in told] == [str(path)]


def test_the_place_of_a_member_is_there_as_long_as_its_archive_is(sounds, tmp_path):
    archive = make_tar(tmp_path / "s.tar", {"a.wav": sounds["a.wav"]})
    assert is_there(archive / "a.wav")
    before = state_of(archive / "a.wav")
    make_tar(archive, {"a.wav": sounds["b.flac"]})
    assert state_of(archive / "a.wav") != before
    archive.unlink()
    assert not is_there(archive / "a.wav")
    with pytest.raises(AudioError, match="No such file or directory"):
        open_clip(archive / "a.wav")


def test_patterns_exclude_members(index, sounds, tmp_path):
    from pe_search.audio.exclude import parse_patterns

    archive = make_tar(tmp_path / "s.tar", {"a.wav": sounds["a.wav"], "drafts/b.flac": sounds["b.flac"]})
    found = find_stamps([archive], pytest.fail, parse_patterns(["drafts/*"]))
    assert [*found.stamps] == [f"{archive}/a.wav"] and found.passed_over.excluded_files == 1


# Tables


@pytest.fixture
def table(sounds, tmp_path) -> Path:
    """As Hugging Face datasets write it, in two groups of rows, with a row without audio and one that is none."""
    rows = [{"bytes": sounds[name], "path": f"folder/{name}"} for name in SOUNDS]
    rows += [{"bytes": None, "path": "gone.wav"}, {"bytes": b"nothing", "path": None}]
    columns = {"audio": rows, "category": ["dog", "bird", None, ""], "fold": [1, 2, 3, 4]}
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


def test_the_rows_of_a_table_are_clips(store, index, sounds, table):
    summary, told = index(*in_columns([table], "audio"))
    assert summary.clips == 2
    assert [*held(store)] == [f"{table}/audio/0/a.wav", f"{table}/audio/1/b.flac"]
    assert told == [
        (f"{table}/audio/2/gone.wav", f"names {table.parent}/gone.wav: No such file or directory"),
        (f"{table}/audio/3", "can't be read as audio: Format not recognised"),
    ]
    assert [content.facts.description for _, content in store.embedded_clips()] == ["dog", "bird"]
    assert open_clip(table / "audio/1/b.flac").read() == sounds["b.flac"]
    again, told = index(*in_columns([table], "audio"))
    assert (again.unchanged, again.left_out_before, len(told)) == (2, 1, 1)


def test_a_column_of_plain_bytes_is_read_and_one_of_numbers_is_refused(store, index, sounds, tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"wav": [*sounds.values()], "n": [1, 2]}), path)
    assert index(path / "wav")[0].clips == 2 and [*held(store)] == [f"{path}/wav/0", f"{path}/wav/1"]
    reason = "its column 'n' holds int64, neither audio files nor their paths; use --audio-column"
    assert index(path / "n")[1] == [(str(path), reason)]
    assert index(path / "audio")[1] == [(str(path), "has no column 'audio', but wav, n; use --audio-column")]


def test_a_damaged_table_is_one_problem(index, table):
    table.write_bytes(table.read_bytes()[:-20])
    _, told = index(table / "audio")
    assert [path for path, _ in told] == [str(table)]


# URLs


@pytest.fixture
def memory(sounds) -> Iterator[str]:
    system = fsspec.filesystem("memory")
    for name, data in {**sounds, "notes.txt": b"hello", "sub/.hidden.wav": b""}.items():
        system.pipe(f"/bucket/{name}", data)
    yield "memory://bucket"
    system.rm("/bucket", recursive=True)


def test_what_is_below_a_url_is_found_and_read_like_files(store, index, memory, sounds):
    summary, told = index(Path(memory))
    assert told == [] and summary.clips == 2
    assert held(store) == {"memory:/bucket/a.wav": [(0.0, 1.0)], "memory:/bucket/b.flac": [(0.0, 0.5)]}
    assert index(Path(memory))[0].unchanged == 2
    fsspec.filesystem("memory").rm("/bucket/b.flac")
    summary, _ = index(Path(memory))
    assert (summary.unchanged, summary.removed) == (1, 1)
    assert index(Path("memory://bucket/a.wav"))[0].unchanged == 1
    with ClipReader(Path("memory://bucket/a.wav")) as reader:
        assert sum(len(block) for block in reader.blocks()) == 48_000


def test_a_changed_object_is_read_again_and_a_missing_one_is_a_problem(index, memory, sounds):
    index(Path(memory))
    fsspec.filesystem("memory").pipe("/bucket/a.wav", sounds["b.flac"])
    summary, _ = index(Path(memory))
    assert (summary.clips, summary.recognised, summary.unchanged) == (0, 1, 1)
    assert index(Path("memory://bucket/c.wav"))[1] == [("memory:/bucket/c.wav", "No such file or directory")]


def test_an_archive_and_a_table_behind_a_url_are_read(store, index, memory, sounds, table, tmp_path):
    system = fsspec.filesystem("memory")
    system.pipe("/bucket/s.tar", make_tar(tmp_path / "s.tar", sounds).read_bytes())
    system.pipe("/bucket/t.parquet", table.read_bytes())
    assert index(Path("memory://bucket/s.tar"))[0].clips == 2
    assert index(*in_columns([Path("memory://bucket/t.parquet")], "audio"))[0].recognised == 2
    assert [*held(store)] == [
        *("memory:/bucket/s.tar/a.wav", "memory:/bucket/s.tar/b.flac"),
        *("memory:/bucket/t.parquet/audio/0/a.wav", "memory:/bucket/t.parquet/audio/1/b.flac"),
    ]


@pytest.mark.parametrize(
    ("url", "shown", "reason"),
    [
        ("https://me:secret@host/a.wav", "https:/host/a.wav", "a URL with a password or a query is refused"),
        ("https://host/a.wav?X-Amz-Signature=secret", "https:/host/a.wav", "a URL with a password or a query"),
        ("file:///tmp/a.wav", "file:/tmp/a.wav", "write the path of a file on this machine"),
        ("zip://a.wav::https://host/b.zip", "zip:/a.wav::https:/host/b.zip", "URLs within URLs are not read"),
        ("nosuch://host/a.wav", "nosuch:/host/a.wav", "can't be read"),
    ],
)
def test_urls_that_are_refused_are_one_line_without_what_is_secret(index, store, url, shown, reason):
    summary, told = index(Path(url))
    assert [path for path, _ in told] == [shown] and told[0][1].startswith(reason)
    assert "secret" not in str(told) + str(summary) and held(store) == {}


def test_names_of_urls_and_paths():
    assert is_url("s3://bucket/a") and is_url(Path("s3://bucket/a")) and not is_url("c:/a") and not is_url("/s3:/a")
    assert place_of("s3://bucket/a/") == "s3:/bucket/a"
    assert is_there("s3:/bucket/a")


@pytest.fixture
def site(sounds, tmp_path) -> Iterator[str]:
    pytest.importorskip("aiohttp", reason="fsspec needs it for HTTP")
    folder = tmp_path / "site" / "recordings"
    folder.mkdir(parents=True)
    for name, data in sounds.items():
        (folder / name).write_bytes(data)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "site")))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/recordings"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_folder_that_a_web_server_lists_is_read(store, index, site):
    summary, told = index(Path(f"{site}/"))
    assert told == [] and summary.clips == 2
    name = site.replace("//", "/")
    assert [*held(store)] == [f"{name}/a.wav", f"{name}/b.flac"]
    assert index(Path(f"{site}/"))[0].unchanged == 2
    assert index(Path(f"{site}/c.wav"))[1] == [(f"{name}/c.wav", "No such file or directory")]


def test_a_folder_that_is_walked_keeps_what_its_archives_and_tables_hold_until_they_are_gone(
    store, index, sounds, table, tmp_path
):
    folder = tmp_path / "folder"
    (folder / "real.tar").mkdir(parents=True)
    for name in ("c.wav", "real.tar/d.wav"):
        (folder / name).write_bytes(sounds["a.wav"] + name.encode())
    archive = make_tar(folder / "s.tar", sounds)
    table.rename(folder / "t.parquet")
    index(archive, *in_columns([folder / "t.parquet"], "audio"))
    summary, _ = index(folder)
    assert summary.removed == 0 and len(held(store)) == 6
    (folder / "real.tar/d.wav").unlink()
    archive.unlink()
    summary, _ = index(folder)
    assert summary.removed == 3 and len(held(store)) == 3
