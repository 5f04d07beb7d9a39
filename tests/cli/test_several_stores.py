"""Several stores of one checkpoint, asked as one."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import pe_search
from pe_search.queries import Query, Request
from pe_search.serving.asking import ask_or_search
from pe_search.store import Store
from tests.made_up import make_checkpoint, noise, write_audio


@pytest.fixture(scope="module")
def places(plain_checkpoint, tmp_path_factory) -> dict[str, Path]:
    """Two stores, of six clips each one alone and of all of them, with two copies among them."""
    folder = tmp_path_factory.mktemp("several")
    for seed in range(6):
        write_audio(folder / "sounds" / "ab"[seed % 2] / f"{seed}.wav", noise(0.4, seed) * (0.2 + 0.1 * seed))
    shutil.copy(folder / "sounds" / "a" / "4.wav", folder / "sounds" / "b" / "copy of 4.wav")
    shutil.copy(folder / "sounds" / "a" / "4.wav", folder / "sounds" / "a" / "another 4.wav")
    for name, part in (("a", "sounds/a"), ("b", "sounds/b"), ("both", "sounds")):
        with pe_search.create(folder / name, str(plain_checkpoint[0]), window_s=0.2, hop_s=0.2) as library:
            library.index(folder / part)
    return {name: folder / name for name in ("a", "b", "both", "sounds")}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"k": 3},
        {"k": None},
        {"all_windows": True, "k": None},
        {"min_probability": 0.4},
        {"plus": "dog", "minus": "siren"},
        {"exact": True},
    ],
    ids=str,
)
def test_two_stores_answer_as_one_that_has_all_their_clips(places, options):
    with pe_search.open([places["a"], places["b"]]) as several, pe_search.open(places["both"]) as one:
        assert several.query(["rain", "church bell"], **options) == one.query(["rain", "church bell"], **options)
        under = places["sounds"] / "b"
        assert several.query("rain", under=under, **options) == one.query("rain", under=under, **options)


def test_copies_in_both_stores_are_one_hit(places):
    sounds = places["sounds"]
    with pe_search.open((places["b"], places["a"])) as library:
        hits = library.query("rain", k=None)
    assert len(hits) == 6
    (copied,) = [hit for hit in hits if hit.copies]
    assert copied.path == sounds / "a" / "4.wav"
    assert sorted(copied.copies) == [sounds / "a" / "another 4.wav", sounds / "b" / "copy of 4.wav"]


def test_the_same_clip_in_both_stores_is_one_hit_without_copies(places, tmp_path):
    shutil.copytree(places["a"], tmp_path / "again")
    with pe_search.open([places["a"], tmp_path / "again"]) as library, pe_search.open(places["a"]) as alone:
        assert library.query("rain") == alone.query("rain")


def test_audio_is_what_is_looked_for_in_all_of_them(places):
    with pe_search.open([places["a"], places["b"]]) as several, pe_search.open(places["both"]) as one:
        like = places["sounds"] / "b" / "3.wav"
        hits = several.query(like=like, k=6)
        assert [hit.path for hit in hits] == [hit.path for hit in one.query(like=like, k=6)]
        assert hits[0].path == like


def test_spans_come_from_wherever_a_hit_is(places):
    with pe_search.open([places["a"], places["b"]]) as several, pe_search.open(places["both"]) as one:
        several_hits, one_hits = (
            library.query("rain", k=4, spans=pe_search.SpanRules(threshold=0.0)) for library in (several, one)
        )
    assert several_hits == one_hits
    assert all(hit.spans for hit in several_hits)


def test_what_they_hold_is_of_all_of_them(places):
    with pe_search.open([places["a"], places["b"]]) as library:
        assert len(list(library.clips())) == 8
        assert library.window_count() == 14
        assert library.clip(places["sounds"] / "b" / "1.wav") is not None
        assert library.clip(places["sounds"] / "none.wav") is None
        assert library.problems() == []
        assert library.is_current()
        (answer,) = library.answers(Request((Query(("rain",)),), k=2))
        assert (answer.effort.windows, answer.effort.is_exact, len(answer.hits)) == (14, True, 2)
        assert library.hit_counts(Request((Query(("rain",)),), k=2)) == [6]
        with Store.open(places["b"], read_only=False) as writer:
            writer.catalog.commit(removed=[Path("/nothing")], left_out=[])
        assert repr(library) == f"Libraries(['{places['a']}', '{places['b']}'])"


def test_stores_of_different_checkpoints_are_refused(places, plain_checkpoint, tmp_path):
    make_checkpoint(tmp_path / "other checkpoint", seed=1)
    write_audio(tmp_path / "x.wav", noise(0.2))
    with pe_search.create(tmp_path / "other", str(tmp_path / "other checkpoint")) as library:
        library.index(tmp_path / "x.wav")
        theirs = library.status()
    with pe_search.open(places["a"]) as library:
        ours = library.status()
    with pytest.raises(pe_search.StoreError) as caught:
        pe_search.open([places["a"], tmp_path / "other"])
    assert str(caught.value) == (
        f"The store at {places['a']} was made with {ours.model}, revision {ours.revision}, and the one at "
        f"{tmp_path / 'other'} with {theirs.model}, revision {theirs.revision}: they can't be asked together."
    )


def test_stores_that_hear_otherwise_are_refused_for_spans_alone(places, plain_checkpoint, tmp_path):
    with pe_search.create(tmp_path / "slow", str(plain_checkpoint[0]), window_s=0.2, speed=0.5) as library:
        library.index(places["sounds"] / "b")
    with pe_search.open([places["a"], tmp_path / "slow"]) as library:
        assert library.query("rain")
        with pytest.raises(pe_search.StoreError, match="they can't be asked for spans together"):
            library.query("rain", spans=True)


def test_fdr_is_refused(places):
    library = pe_search.open([places["a"], places["b"]])
    with library, pytest.raises(pe_search.QueryError, match="can't be used with several stores"):
        library.query("rain", fdr=0.1)


def test_each_server_is_asked(places, monkeypatch):
    asked = []

    def served(path, request, _on_problem):
        asked.append(path)
        with pe_search.open(places["a"] if len(asked) == 1 else places["b"]) as library:
            yield from ([replace(hit, rank=1) for hit in answer.hits] for answer in library.answers(request))

    monkeypatch.setattr("pe_search.serving.asking.ask", served)
    request = Request((Query(("rain",)), Query(("siren",))), k=3)
    with pe_search.open([places["a"], places["b"]]) as library:
        found = list(ask_or_search(library, request, lambda _problem: None))
        assert found == [answer.hits for answer in library.answers(request)]
    assert len(set(asked)) == 2


@pytest.fixture
def query(run_cli, places):
    def run(*args: object, status: int = 0):
        outcome = run_cli("query", "rain", "--store", places["a"], "--store", places["b"], *args)
        assert outcome.status == status, outcome.err
        return outcome

    return run


def test_on_the_command_line(query, run_cli, places):
    both = run_cli("query", "rain", "--store", places["both"], "-k", 4, "--format", "jsonl")
    assert query("-k", 4, "--format", "jsonl").out == both.out
    twice = run_cli("query", "rain", "--store", places["a"], "--store", places["a"], "--format", "jsonl")
    assert twice.out == run_cli("query", "rain", "--store", places["a"], "--format", "jsonl").out
    rows = [json.loads(line) for line in query("--spans", "--threshold", 0, "-k", 2).out.splitlines()]
    assert all(row["spans"] for row in rows)
    assert query("--fdr", 0.1, status=2).err == "pe-search: --fdr: can't be used with several stores.\n"


def test_each_store_is_explained(query, places):
    lines = query("--explain", "-k", 2).err.splitlines()
    assert [line for line in lines if line.startswith("store: ")] == [
        f"store: {places['a']}",
        f"store: {places['b']}",
    ]
    assert sum(line.startswith("rain: ") and "windows searched, exactly" in line for line in lines) == 2


def test_the_environment_and_the_file_name_one_store(run_cli, places, monkeypatch, tmp_path):
    file = tmp_path / "config-home" / "pe-search" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(f'store = "{places["a"]}"')
    from_file = run_cli("query", "rain", "--format", "jsonl")
    assert from_file.out == run_cli("query", "rain", "--store", places["a"], "--format", "jsonl").out
    shutil.copytree(places["b"], tmp_path / "two words")
    monkeypatch.setenv("PE_SEARCH_STORE", str(tmp_path / "two words"))
    from_environment = run_cli("query", "rain", "--format", "jsonl")
    assert from_environment.out == run_cli("query", "rain", "--store", places["b"], "--format", "jsonl").out
