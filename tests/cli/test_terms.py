"""`pe-search query`: what a query is made of, as it is written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer

from pe_search.cli.input.terms import read_queries, read_reference, read_term
from pe_search.queries import Query, Reference, Term
from tests.made_up import noise, write_audio


@pytest.mark.parametrize(
    ("argument", "term"),
    [
        ("rain", Term("rain", 1.0)),
        ("0.5:rain", Term("rain", 0.5)),
        (".5:rain", Term("rain", 0.5)),
        ("2.:rain", Term("rain", 2.0)),
        ("1:3:00 am", Term("3:00 am", 1.0)),
        ("3: a bell", Term(" a bell", 3.0)),
        ("-1:rain", Term("-1:rain", 1.0)),
        ("half:rain", Term("half:rain", 1.0)),
        ("1e3:rain", Term("1e3:rain", 1.0)),
        ("rain:2", Term("rain:2", 1.0)),
        (":rain", Term(":rain", 1.0)),
        ("٣:rain", Term("٣:rain", 1.0)),
        ("2:line\nline", Term("line\nline", 2.0)),
    ],
)
def test_a_weight_is_a_plain_number_before_the_first_colon(argument, term):
    assert read_term(argument, "--plus") == term


@pytest.mark.parametrize(
    "argument", ["", " ", "2:", "2: ", "0:rain", "0.0:rain", "0.0009:rain", "1001:rain", "9" * 400 + ":rain", "\udcff"]
)
def test_a_term_of_no_text_or_of_no_sensible_weight_is_refused(argument):
    with pytest.raises(typer.BadParameter) as raised:
        read_term(argument, "--minus")
    assert raised.value.param_hint == "--minus"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The working directory, with a file whose name looks like a stretch, and one of which there are stretches."""
    (tmp_path / "a.wav").touch()
    (tmp_path / "b.wav@1-2").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("argument", "name", "place"),
    [
        ("a.wav", "a.wav", None),
        ("a.wav@1.5-3.0", "a.wav", (1.5, 3.0)),
        ("./a.wav@0-.5", "a.wav", (0.0, 0.5)),
        ("b.wav@1-2", "b.wav@1-2", None),
        ("b.wav@1-2@0-1", "b.wav@1-2", (0.0, 1.0)),
        ("b.wav@1-3", "b.wav", (1.0, 3.0)),
        ("a.wav@1:30-0:01:31.5", "a.wav", (90.0, 91.5)),
        ("a.wav@0:01–0:03", "a.wav", (1.0, 3.0)),
        ("c@home.wav", "c@home.wav", None),
        ("c.wav@1-", "c.wav@1-", None),
        ("c.wav@-1-2", "c.wav@-1-2", None),
    ],
)
def test_a_reference_is_a_file_by_its_full_name_if_there_is_one_else_a_stretch(folder, argument, name, place):
    assert read_reference(argument) == Reference(folder / name, place)


def test_a_place_that_is_no_time():
    with pytest.raises(typer.BadParameter, match=r"'1:75' is not a time; write 90, 1:30 or 0:01:30\.5\.$"):
        read_reference("a.wav@1:10-1:75")


@pytest.mark.parametrize("argument", ["a.wav@2-2", "a.wav@3-1"])
def test_a_stretch_without_length_is_refused(folder, argument):
    with pytest.raises(typer.BadParameter, match="must end after it starts"):
        read_reference(argument)


def test_each_text_is_a_query_with_all_the_parts(folder):
    plus, minus, like = (Term("sea", 2.0),), (Term("wind", 1.0),), (Reference(folder / "a.wav", None),)
    queries = read_queries(["rain", "bell"], ["2:sea"], ["wind"], ["a.wav"], [], is_any=False)
    assert queries == (Query(("rain",), plus, minus, like), Query(("bell",), plus, minus, like))


def test_any_makes_one_query_of_all_texts():
    assert read_queries(["rain", "bell"], [], [], [], [], is_any=True) == (Query(("rain", "bell"), (), (), ()),)


def test_without_a_text_there_is_one_query():
    assert read_queries([], ["rain"], ["sea"], [], [], is_any=False) == (
        Query((), (Term("rain", 1.0),), (Term("sea", 1.0),), ()),
    )


@pytest.mark.parametrize(
    ("texts", "minus", "is_any", "hint"),
    [([], [], False, None), ([], ["rain"], False, None), (["rain"], [], True, "--any"), ([""], [], False, "TEXT")],
)
def test_what_looks_for_nothing_is_refused(texts, minus, is_any, hint):
    with pytest.raises(typer.BadParameter) as raised:
        read_queries(texts, [], minus, [], [], is_any=is_any)
    assert raised.value.param_hint == hint


# The command


@pytest.fixture
def ask(run_cli, library):
    """The hits of a query of the library."""

    def run(*args: object) -> list[dict[str, object]]:
        outcome = run_cli("query", "--store", library.store, "-k", 100, "--all-windows", "--format", "jsonl", *args)
        assert (outcome.status, outcome.err) == (0, "")
        return [json.loads(line) for line in outcome.out.splitlines()]

    return run


def by_place(hits: list[dict[str, object]]) -> dict[tuple[object, object], float]:
    return {(hit["path"], hit["start_s"]): hit["score"] for hit in hits}


def test_plus_minus_and_any_are_sums_of_the_scores_of_their_texts(ask):
    rain, dog, bell = (by_place(ask(text)) for text in ("rain", "a dog barking", "church bell"))
    composed = by_place(ask("rain", "--plus", "0.5:a dog barking", "--minus", "2:church bell"))
    average = by_place(ask("rain", "church bell", "--any"))
    assert composed.keys() == rain.keys()
    for place in rain:
        assert composed[place] == pytest.approx((rain[place] + 0.5 * dog[place] - 2 * bell[place]) / 1.5, abs=1e-4)
        assert average[place] == pytest.approx((rain[place] + bell[place]) / 2, abs=1e-4)


def test_a_clip_of_the_store_is_most_like_itself_whether_it_is_held_or_embedded(ask, library, tmp_path):
    storm = library.sounds / "weather" / "wind.wav"
    scale = 2 * 1.0 / library.scale  # the made-up checkpoint's bias is above -1
    held = ask("--like", f"{storm}@0.64-1.92")
    assert (held[0]["path"], held[0]["start_s"], held[0]["end_s"]) == (str(storm), 0.64, 1.92)
    assert held[0]["score"] == pytest.approx(scale, abs=1e-4)
    assert {hit["query"] for hit in held} == {f"like {storm}@0.64-1.92"}
    copy = tmp_path / "copy.wav"
    copy.write_bytes(storm.read_bytes())
    embedded = ask("--like", f"{copy}@0.64-1.92")
    np.testing.assert_allclose([hit["score"] for hit in embedded], [hit["score"] for hit in held], atol=3e-3)
    assert [hit["start_s"] for hit in embedded] == [hit["start_s"] for hit in held]


def test_a_reference_goes_with_text(ask, library):
    storm = library.sounds / "weather" / "wind.wav"
    text, like = by_place(ask("rain")), by_place(ask("--like", storm))
    both = by_place(ask("rain", "--like", storm))
    for place, score in both.items():
        assert score == pytest.approx((text[place] + like[place]) / 2, abs=1e-4)


def test_audio_is_taken_from_a_text(ask, library):
    storm = library.sounds / "weather" / "wind.wav"
    text, like = by_place(ask("rain")), by_place(ask("--like", storm))
    hits = ask("rain", "--unlike", storm)
    assert {hit["query"] for hit in hits} == {f"rain, unlike {storm}"}
    for place, score in by_place(hits).items():
        assert score == pytest.approx(text[place] - like[place], abs=1e-4)


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (["rain", "--minus", "a.wav@1-2"], "--minus: 'a.wav@1-2' is an audio file; use --unlike a.wav@1-2."),
        (["rain", "--minus", "2:b/a.flac"], "--minus: 'b/a.flac' is an audio file; use --unlike b/a.flac."),
        (["--plus", "a.wav"], "--plus: 'a.wav' is an audio file; use --like a.wav."),
        (["here.wav"], "TEXT: 'here.wav' is an audio file; use --like here.wav."),
        (["rain", "--unlike", "a.wav@2-1"], "--unlike: the part 2-1 must end after it starts."),
        (["--unlike", "a.wav"], "Give a TEXT, --plus, --like, --words or --said. As TEXT, - reads standard input."),
        (["rain", "--unlike", "a.wav", "--fdr", "0.1"], "--fdr: can't be used with --like or --unlike."),
    ],
)
def test_audio_is_no_text(run_cli, folder, args, error):
    (folder / "here.wav").touch()
    outcome = run_cli("query", *args)
    assert (outcome.status, outcome.out, outcome.err) == (2, b"", f"pe-search: {error}\n")


def test_a_text_that_is_no_file_may_look_like_one(ask):
    assert {hit["query"] for hit in ask("not here.wav", "--minus", "e.g. rain")} == {"not here.wav - e.g. rain"}


@pytest.mark.parametrize(
    ("make", "place", "reason"),
    [
        (None, "", "No such file or directory"),
        (None, "@1-2", "No such file or directory"),
        (lambda path: path.write_bytes(b""), "", "the file is empty"),
        (lambda path: path.write_bytes(b"no audio at all"), "", "can't be read as audio: Format not recognised"),
        (
            lambda path: write_audio(path, noise(1.0)),
            "@0.5-1.5",
            "ends at 1 s, before the end of 0.5–1.5 s",
        ),
    ],
    ids=["missing", "stretch of a missing file", "empty", "no audio", "beyond the end"],
)
def test_a_reference_that_can_not_be_heard_is_one_line(run_cli, library, tmp_path, make, place, reason):
    path = tmp_path / "reference.wav"
    if make is not None:
        make(path)
    outcome = run_cli("query", "--like", f"{path}{place}", "--store", library.store)
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err == f"pe-search: {path}: {reason}\n"


@pytest.mark.parametrize(("option", "part"), [("--like", ""), ("--unlike", ""), ("--like", "@1-2")])
def test_a_folder_is_no_reference(run_cli, folder, option, part):
    (folder / "sounds" / "weather").mkdir(parents=True)
    outcome = run_cli("query", "rain", option, f"sounds/weather{part}")
    says = f"pe-search: sounds/weather is a folder; {option} takes an audio file.\n"
    assert (outcome.status, outcome.out, outcome.err) == (2, b"", says)


def test_spans_need_a_text(run_cli, library):
    reference = library.sounds / "dogs/bark.wav"
    outcome = run_cli("query", "--like", reference, "--spans", "--store", library.store)
    assert outcome.status == 2
    assert outcome.err.endswith("--spans: needs a TEXT or --plus.\n")
