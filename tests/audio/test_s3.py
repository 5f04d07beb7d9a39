"""Clips in an object store: moto's server is one, on this machine."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pe_search.audio import remote
from pe_search.audio.files import open_clip
from pe_search.places import in_columns
from pe_search.records import Problem
from pe_search.store import Store
from pe_search.tasks.indexing import run_index
from pe_search.tasks.planning import plan_index
from pe_search.trust import trust_urls
from tests.made_up import FakeEmbedder, manifest, noise, write_audio

s3fs = pytest.importorskip("s3fs", reason="needs s3fs")
moto_server = pytest.importorskip("moto.server", reason="needs moto")

pytestmark = pytest.mark.slow

Told = list[tuple[str, str]]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    one = moto_server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    one.start()
    host, port = one.get_host_and_port()
    yield f"http://{host}:{port}"
    one.stop()


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("sounds")
    return {
        f"{seed}.wav": write_audio(folder / f"{seed}.wav", noise(0.5, seed=seed), subtype="PCM_16").read_bytes()
        for seed in range(5)
    }


@pytest.fixture
def bucket(server, sounds, tmp_path, monkeypatch):
    """A bucket of clips, an archive and two tables; the file system by which tests change it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "verysecret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    _forget()
    system = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
    system.mkdir("bucket")
    system.pipe("bucket/rec/0.wav", sounds["0.wav"])
    system.pipe("bucket/rec/deep/[1] what?.wav", sounds["1.wav"])
    system.pipe("bucket/rec/notes.txt", b"hello")
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        for name in ("2.wav", "3.wav"):
            (tmp_path / name).write_bytes(sounds[name])
            archive.add(tmp_path / name, name)
    system.put(str(tmp_path / "s.tar"), "bucket/shards/s.tar")
    pq.write_table(pa.table({"audio": [{"bytes": sounds["4.wav"], "path": "4.wav"}]}), tmp_path / "t.parquet")
    system.put(str(tmp_path / "t.parquet"), "bucket/shards/t.parquet")
    pq.write_table(
        pa.table({"file": ["../rec/0.wav", "s3://bucket/rec/0.wav", "gone.wav", "/etc/passwd"]}),
        tmp_path / "u.parquet",
    )
    system.put(str(tmp_path / "u.parquet"), "bucket/u.parquet")
    yield system
    _forget()
    system.rm("bucket", recursive=True)


def _forget() -> None:
    remote._system.cache_clear()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    with Store.create(tmp_path / "store", manifest(window_s=1.0, hop_s=1.0)) as opened:
        yield opened


@pytest.fixture
def index(store) -> Callable[..., tuple[object, Told]]:
    def index(*roots: str, column: str = "audio", prune: bool = False):
        told: list[Problem] = []
        paths = in_columns(map(Path, roots), column)
        trust_urls(paths)
        plan = plan_index(paths, store.catalog.stamps(), store.catalog.left_out(), prune=prune)
        summary = run_index(plan, store, FakeEmbedder, on_problem=told.append)
        return summary, [(str(problem.path), problem.reason) for problem in told]

    return index


def held(store: Store) -> list[str]:
    return [str(clip.path) for clip, _ in store.embedded_clips()]


@pytest.fixture
def read(bucket, monkeypatch) -> list[str]:
    """The URLs whose bytes are read, from now on."""
    names: list[str] = []
    fetch = remote.fetch_into

    def fetch_into(name, *args, **kwargs):
        names.append(name)
        return fetch(name, *args, **kwargs)

    monkeypatch.setattr(remote, "fetch_into", fetch_into)
    return names


def test_a_bucket_an_archive_and_a_table_are_indexed_and_read_again_only_where_they_changed(
    bucket, store, index, sounds, read
):
    roots = ("s3://bucket/rec/", "s3://bucket/shards/s.tar", "s3://bucket/shards/t.parquet")
    summary, told = index(*roots)
    assert told == [] and summary.clips == 5
    assert held(store) == [
        "s3:/bucket/rec/0.wav",
        "s3:/bucket/rec/deep/[1] what?.wav",
        "s3:/bucket/shards/s.tar/2.wav",
        "s3:/bucket/shards/s.tar/3.wav",
        "s3:/bucket/shards/t.parquet/audio/0/4.wav",
    ]
    assert open_clip(Path("s3:/bucket/rec/deep/[1] what?.wav")).read() == sounds["1.wav"]
    read.clear()
    assert index(*roots)[0].unchanged == 5 and read == []
    bucket.pipe("bucket/rec/0.wav", sounds["4.wav"])
    bucket.rm_file("bucket/rec/deep/[1] what?.wav")
    summary, _ = index(*roots)
    assert (summary.recognised, summary.removed, summary.unchanged) == (1, 1, 3)
    assert read == ["s3:/bucket/rec/0.wav"]
    bucket.rm("bucket/rec", recursive=True)
    summary, told = index("s3://bucket/rec/")
    assert summary.removed == 0 and "--prune takes them out" in told[0][1]
    assert index("s3://bucket/rec/", prune=True)[0].removed == 1


def test_a_pattern_finds_clips_and_containers_and_lets_go_of_what_it_finds_no_more(bucket, store, index, sounds):
    assert index("s3://bucket/**/*.wav")[0].clips == 2
    assert index("s3://bucket/shards/*.tar", "s3://bucket/**/t*.parquet")[0].clips == 3
    assert held(store)[2:] == [
        "s3:/bucket/shards/s.tar/2.wav",
        "s3:/bucket/shards/s.tar/3.wav",
        "s3:/bucket/shards/t.parquet/audio/0/4.wav",
    ]
    bucket.pipe("bucket/x/9.wav", sounds["4.wav"])
    bucket.rm("bucket/rec/0.wav")
    summary, told = index("s3://bucket/**/*.wav")
    assert (summary.recognised, summary.removed, summary.unchanged, told) == (1, 1, 1, [])
    assert len(held(store)) == 5
    # A name with the characters of patterns is a name where there is such an object.
    assert index("s3://bucket/rec/deep/[1] what?.wav")[0].unchanged == 1
    _, told = index("s3://bucket/none/*.wav")
    assert told == [] and len(held(store)) == 5
    summary, told = index("s3://bucket/x/[0-9].wav")
    assert (summary.unchanged, told) == (1, [])
    bucket.rm("bucket/x/9.wav")
    summary, told = index("s3://bucket/x/[0-9].wav")
    assert summary.removed == 0 and "nothing is left here" in told[0][1]
    assert index("s3://bucket/x/[0-9].wav", prune=True)[0].removed == 1


def test_a_column_of_paths_leads_to_objects_beside_the_table_and_to_urls(bucket, store, index):
    summary, told = index("s3://bucket/u.parquet", column="file")
    row = "s3:/bucket/u.parquet/file"
    assert (summary.clips, held(store)) == (1, [f"{row}/0/0.wav", f"{row}/1/0.wav"])
    assert told == [
        (f"{row}/2/gone.wav", "names s3:/bucket/gone.wav: No such file or directory"),
        (f"{row}/3/passwd", "names /etc/passwd, and the table is not on this machine"),
    ]


def test_an_object_that_vanishes_between_listing_and_reading_is_one_problem(bucket, store, index, monkeypatch):
    fetch = remote.fetch_into

    def fetch_into(name, *args, **kwargs):
        if bucket.exists("bucket/rec/0.wav"):
            bucket.rm("bucket/rec/0.wav")
        return fetch(name, *args, **kwargs)

    monkeypatch.setattr(remote, "fetch_into", fetch_into)
    _, told = index("s3://bucket/rec/")
    assert told == [("s3:/bucket/rec/0.wav", "No such file or directory")]
    assert held(store) == ["s3:/bucket/rec/deep/[1] what?.wav"]


def test_a_bucket_that_is_not_there_and_no_credentials_are_one_line_each(bucket, index, monkeypatch):
    assert index("s3://nosuch/rec/")[1] == [("s3:/nosuch/rec", "No such file or directory")]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    _forget()
    _, told = index("s3://bucket/rec/")
    assert len(told) == 1 and told[0][1].startswith("can't be read: NoCredentialsError: ")


def test_wrong_credentials_are_one_line_without_them_and_remove_nothing(bucket, store, index, server, monkeypatch):
    import urllib.request

    index("s3://bucket/rec/")

    def after(actions: str) -> None:
        # How many requests moto lets pass before it looks at who asks.
        plain = {"Content-Type": "text/plain"}
        asked = urllib.request.Request(f"{server}/moto-api/reset-auth", actions.encode(), plain)
        urllib.request.urlopen(asked).close()

    after("0")
    try:
        _forget()
        _, told = index("s3://bucket/rec/", prune=True)
    finally:
        after("inf")
    assert len(told) == 1 and told[0][1].startswith("can't be read: PermissionError: ")
    assert "verysecret" not in str(told) and len(held(store)) == 2
