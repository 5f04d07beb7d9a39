"""The Python API, with the built-in checkpoint and sounds of the examples."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import pe_search
from pe_search.listener import Listener
from pe_search.model import Wanted
from pe_search.queries import Hit, Query, Reference, Request, Span, SpanRules, Term
from pe_search.reports import Progress
from tests.made_up import noise, tone, write_audio

EXAMPLES = Path(__file__).parents[1] / "examples" / "sounds"
RATE_HZ = 48_000


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dog, a bell and, below it, rain."""
    folder = tmp_path_factory.mktemp("library") / "sounds"
    (folder / "weather").mkdir(parents=True)
    for name in ("dog-barking.flac", "church-bell.flac", "weather/rain.flac"):
        (folder / name).write_bytes((EXAMPLES / name).read_bytes())
    return folder


@pytest.fixture(scope="module")
def birds(sounds: Path) -> Iterator[pe_search.Library]:
    """A library of the three sounds, which tests only read."""
    with pe_search.create(sounds.parent / "shared.store") as library:
        library.index(sounds)
        yield library


@pytest.fixture
def library(tmp_path: Path, birds: pe_search.Library) -> Iterator[pe_search.Library]:
    """An empty library that a test may write to; its checkpoint is loaded already."""
    pe_search.create(tmp_path / "own.store")
    with pe_search.Library(tmp_path / "own.store", loaded=birds.model.loaded) as library:
        yield library


@pytest.fixture(scope="module")
def bark() -> NDArray[np.float32]:
    samples, rate_hz = soundfile.read(EXAMPLES / "dog-barking.flac", dtype="float32")
    assert rate_hz == RATE_HZ
    return samples


def names(hits: list[Hit]) -> list[str]:
    return [hit.path.name for hit in hits]


# Made and opened


def test_there_is_one_way_to_make_a_store_and_one_to_open_it(tmp_path, birds):
    with pytest.raises(pe_search.StoreError, match="There is no store at"):
        pe_search.open(tmp_path / "a.store")
    library = pe_search.create(tmp_path / "a.store")
    assert library.is_made()
    with pytest.raises(pe_search.StoreError, match=r"There is already a store at .*a\.store"):
        pe_search.create(tmp_path / "a.store")
    assert pe_search.open(tmp_path / "a.store").query("dog") == []
    assert repr(library) == f"Library({str(tmp_path / 'a.store')!r})"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window_s": 31}, "window_s=31 and hop_s=31 must be 0.04 <= hop_s <= window_s <= 30"),
        ({"window_s": 5, "hop_s": 6}, "window_s=5 and hop_s=6 must be"),
        ({"window_s": float("nan")}, "window_s=nan"),
        ({"level": "loud"}, "level='loud' must be 'none' or 'auto'"),
        ({"speed": 2}, "speed=2 must be 0.001 to 1"),
        ({"track": 0}, "track=0 must be 1 or more"),
        ({"device": "gpu"}, "device='gpu' must be one of auto, cpu, cuda, mps"),
        ({"dtype": "int8"}, "dtype='int8' must be one of auto, float32, bfloat16, float16"),
    ],
)
def test_a_store_can_not_be_made_with_what_can_not_be(tmp_path, options, message):
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        pe_search.create(tmp_path / "a.store", **options)
    assert not (tmp_path / "a.store").exists()


def test_an_unknown_checkpoint_makes_no_store(tmp_path):
    with pytest.raises(pe_search.CheckpointError, match="There is no checkpoint 'nonsense'"):
        pe_search.create(tmp_path / "a.store", "nonsense")
    assert not (tmp_path / "a.store").exists()


def test_a_library_that_was_closed_opens_again(birds, sounds):
    with pe_search.open(birds.directory) as library:
        assert names(library.query("dog barking", k=1)) == ["dog-barking.flac"]
    assert names(library.query("dog barking", k=1)) == ["dog-barking.flac"]


def test_two_libraries_of_one_store_see_what_each_other_writes(library, bark):
    with pe_search.Library(library.directory, loaded=library.model.loaded) as other:
        assert list(other.clips()) == []
        library.add("a", bark, RATE_HZ)
        assert [clip.path for clip in other.clips()] == [Path("a")]
        other.remove("a")
    assert list(library.clips()) == []


def test_every_method_that_needs_a_store_says_that_there_is_none(tmp_path, bark):
    library = pe_search.Library(tmp_path / "a.store")
    for use in (
        lambda: library.query("dog"),
        library.status,
        library.clips,
        library.problems,
        library.embeddings,
        library.duplicates,
        library.verify,
        library.rebuild,
        lambda: library.add("a", bark, RATE_HZ),
        lambda: library.remove("a"),
        lambda: library.merge(tmp_path / "b.store"),
        lambda: library.export(tmp_path / "a.npz"),
        lambda: library.clip("a"),
    ):
        with pytest.raises(pe_search.StoreError, match=r"There is no store at .*[ab]\.store"):
            use()
    assert not (tmp_path / "a.store").exists()


def test_importing_the_package_imports_nothing_heavy():
    script = "import sys, pe_search; print(*sorted({'numpy', 'torch', 'faiss', 'typer'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout == "\n"


# Clips that are no files


def test_what_is_added_is_found_by_its_name(library, bark):
    assert (
        library.add_all(
            (f"rows/{name}", samples, RATE_HZ)
            for name, samples in (("dog", bark), ("hiss", noise(1)), ("hum", tone(1, 100)))
        )
        == 3
    )
    hits = library.query("dog barking", k=1)
    assert [(str(hit.path), hit.start_s, hit.end_s) for hit in hits] == [("rows/dog", 0.0, 3.0)]
    assert [str(clip.path) for clip in library.clips()] == ["rows/dog", "rows/hiss", "rows/hum"]
    np.testing.assert_allclose(library.embeddings().vectors[:1], library.embed_audio(bark, RATE_HZ), atol=2e-2)


def test_a_name_is_added_again_in_place_of_what_it_was(library, bark):
    library.add("a", bark, RATE_HZ)
    library.add("a", noise(1), RATE_HZ)
    assert [(str(hit.path), hit.end_s) for hit in library.query("dog barking")] == [("a", 1.0)]


def test_integers_and_channels_are_the_same_sound(library, bark):
    same = [
        ("a", bark, RATE_HZ),
        ("b", (bark * 32_767).astype(np.int16), RATE_HZ),
        ("c", np.stack([bark, bark], axis=1), RATE_HZ),
        ("d", bark.tolist(), RATE_HZ),
    ]
    assert library.add_all(same) == 4
    assert [[str(one.path) for one in group] for group in library.duplicates()] == [["a", "b", "c", "d"]]


@pytest.mark.parametrize("name", ["", ".", "/", "a\0b", "\ud800"])
def test_a_name_that_no_path_can_have_leaves_the_store_as_it_was(library, bark, name):
    with pytest.raises(ValueError, match="must be a path"):
        library.add_all([("first", bark, RATE_HZ), (name, bark, RATE_HZ)])
    assert [str(clip.path) for clip in library.clips()] == ["first"]


@pytest.mark.parametrize(
    ("samples", "rate_hz", "reason"),
    [
        (np.zeros((2, 3, 4)), 48_000, r"samples of shape \(2, 3, 4\) and type float64 are not audio"),
        (np.zeros((2, 48_000)), 48_000, "have more channels than samples; transpose them"),
        (np.zeros(0), 48_000, "holds no audio"),
        (np.full(100, np.nan), 48_000, "not finite numbers"),
        (np.zeros(100, complex), 48_000, "type complex128 are not audio"),
        (np.zeros(100), 0, "has a sample rate of 0 Hz"),
        (np.zeros(100), np.nan, "has a sample rate of nan Hz"),
        (np.zeros(100), np.inf, "has a sample rate of inf Hz"),
        (np.zeros(100), 1e12, "holds no audio"),
        (np.full(48_000, 1e30), 48_000, "too large to embed"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_samples_that_are_no_audio_are_named_with_their_reason(library, samples, rate_hz, reason):
    for use in (library.embed_audio, lambda *audio: library.add("a", *audio)):
        with pytest.raises(pe_search.AudioError, match=reason):
            use(samples, rate_hz)
    assert list(library.clips()) == []


def test_what_came_before_an_error_is_kept(library, bark):
    def rows():
        yield "a", bark, RATE_HZ
        raise RuntimeError("the data set broke off")

    with pytest.raises(RuntimeError, match="the data set broke off"):
        library.add_all(rows())
    assert [str(clip.path) for clip in library.clips()] == ["a"]


@pytest.mark.filterwarnings("ignore:overflow")
def test_rows_around_one_that_is_too_loud_are_kept(library, bark):
    rows = [("a", bark, RATE_HZ), ("loud", np.full(RATE_HZ, 1e30), RATE_HZ), ("b", noise(12), RATE_HZ)]
    with pytest.raises(pe_search.AudioError, match=r"^loud: its samples are too large to embed$"):
        library.add_all(rows)
    assert [str(clip.path) for clip in library.clips()] == ["a", "b"]
    assert library.window_count() == 3


def test_rows_have_the_embeddings_that_they_have_alone(library, bark):
    sounds = [bark, noise(12), tone(1, 100), noise(31, seed=1)]
    library.add_all((f"{number}", samples, RATE_HZ) for number, samples in enumerate(sounds))
    table = library.embeddings()
    alone = [library.embed_audio(samples, RATE_HZ) for samples in sounds]
    assert [str(path) for path in table.paths] == ["0", "1", "1", "2", "3", "3", "3", "3"]
    np.testing.assert_allclose(table.vectors, np.concatenate(alone), rtol=2e-3, atol=2e-3)


def test_rows_are_committed_as_they_come(library, monkeypatch):
    monkeypatch.setattr("pe_search.tasks.adding._COMMIT_EVERY_S", 0.0)
    # Each is long enough to be embedded, at the latest once the next one comes.
    length_s = 3 * library.model.audio_embedder().batch_s + 1
    seen = []

    def rows():
        for number in range(3):
            seen.append([str(clip.path) for clip in library.clips()])
            yield f"{number}", noise(length_s, seed=number), RATE_HZ

    assert library.add_all(rows()) == 3
    assert (seen[0], seen[2][:1]) == ([], ["0"])


def test_names_go_where_paths_go(library, bark, sounds, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    library.add_all([("rows/a", bark, RATE_HZ), ("rows/b", bark[::-1], RATE_HZ), ("other", bark[:RATE_HZ], RATE_HZ)])
    library.index(sounds)
    assert {str(hit.path) for hit in library.query("dog", under="rows")} == {"rows/a", "rows/b"}
    [group] = library.duplicates(-1.0, under="rows")
    assert [str(one.path) for one in group] == ["rows/a", "rows/b"]
    assert {(hit.query, hit.path.name) for hit in library.query(like="rows/a", k=2)} == {
        ("like rows/a", "a"),
        ("like rows/a", "dog-barking.flac"),
    }
    assert library.clip("rows/a")[0].path == Path("rows/a")
    problems = []
    hits = pe_search.Library(library.directory, loaded=library.model.loaded, on_problem=problems.append).query(
        "dog barking", k=2, under="rows", spans=True
    )
    assert [hit.spans for hit in hits] == [None, None]
    assert {problem.reason for problem in problems} == {"No such file or directory"}
    # Only files can be embedded again.
    assert (library.verify().clips, library.verify().gone) == (3, ())
    assert library.remove("rows").clips == 2
    assert library.remove("nothing").clips == 0
    assert len(list(library.clips())) == 4


# Queries


def test_one_text_or_several(birds):
    assert names(birds.query("dog barking")) == ["dog-barking.flac", "church-bell.flac", "rain.flac"]
    hits = birds.query(["dog barking", "rain"], k=1)
    assert [(hit.query, hit.rank, hit.path.name) for hit in hits] == [
        ("dog barking", 1, "dog-barking.flac"),
        ("rain", 1, "rain.flac"),
    ]
    assert birds.query(text for text in ("dog barking", "rain"))[0] == birds.query("dog barking", k=1)[0]
    assert names(birds.query("dog barking", min_probability=0.5)) == ["dog-barking.flac"]
    assert names(birds.query("dog barking", fdr=0.05)) == ["dog-barking.flac"]


def test_one_part_or_several(birds, sounds):
    dog = sounds / "dog-barking.flac"
    for one, several in (
        ({"plus": "rain"}, {"plus": [Term("rain")]}),
        ({"minus": Term("rain", 0.5)}, {"minus": [Term("rain", 0.5)]}),
        ({"like": str(dog)}, {"like": [Reference(dog)]}),
        ({"like": dog}, {"like": [str(dog)]}),
    ):
        assert birds.query("bell", **one) == birds.query("bell", **several)
    assert birds.query("dog", plus="rain")[0].query == "dog + rain"


def test_paths_may_be_relative(birds, sounds, monkeypatch):
    monkeypatch.chdir(sounds)
    assert names(birds.query("dog", under="weather")) == ["rain.flac"]
    assert birds.query("dog", under="rain.flac") == []
    assert birds.query(like=Reference("dog-barking.flac", (0.5, 1.5)), k=1)[0].query == (
        f"like {sounds / 'dog-barking.flac'}@0.5-1.5"
    )
    assert birds.clip("dog-barking.flac")[0].path == sounds / "dog-barking.flac"
    birds.check_unchanged("dog-barking.flac")
    assert birds.clip("nothing.flac") is None


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({}, "There is nothing to look for"),
        ({"minus": "rain"}, "There is nothing to look for"),
        ({"texts": ""}, "A text is empty"),
        ({"texts": ["dog", " "]}, "A text is empty"),
        ({"texts": "dog\udcff"}, "A text must be Unicode"),
        ({"words": "dog\udcff"}, "words must be UTF-8"),
        ({"texts": "dog", "minus": ""}, "A text is empty"),
        ({"texts": "dog", "plus": Term("rain", float("nan"))}, "A weight must be above 0, not nan"),
        ({"texts": "dog", "minus": Term("rain", float("inf"))}, "A weight must be above 0, not inf"),
        ({"texts": "dog", "minus": Term("rain", 0)}, "A weight must be above 0, not 0"),
        ({"like": Reference(Path("a.wav"), (2, 1))}, r"must be from a start to a later end, not \(2, 1\)"),
        ({"like": "a.wav", "fdr": 0.1}, "fdr can.t be used with like or unlike"),
        ({"like": "a.wav", "spans": True}, "spans needs a text or plus"),
        ({"texts": "dog", "k": 0}, "k must be 1 or more, not 0"),
        ({"texts": "dog", "min_probability": 50}, "min_probability must be 0 to 1, not 50"),
        ({"texts": "dog", "min_probability": float("nan")}, "min_probability must be 0 to 1, not nan"),
        ({"texts": "dog", "fdr": -1}, "fdr must be 0 to 1, not -1"),
    ],
)
def test_a_query_that_can_not_be_asked_is_one_line(birds, query, message):
    with pytest.raises(pe_search.QueryError, match=message):
        birds.query(**query)


@pytest.mark.parametrize(
    ("question", "place", "message"),
    [
        ("what?", (1.0, 0.0), "must be from a start to a later end"),
        ("what?", (-1.0, 1.0), "must be from a start to a later end"),
        ("what?", (0.0, float("nan")), "must be from a start to a later end"),
        ("what?", (0.0, float("inf")), "must be from a start to a later end"),
        ("q\ud800", (0.0, 1.0), "must be Unicode"),
        (" ", (0.0, 1.0), "is empty"),
    ],
)
def test_a_question_that_can_not_be_asked_is_one_line(birds, question, place, message):
    with pytest.raises(pe_search.QueryError, match=message):
        birds.ask(question, Reference(Path("a.wav"), place), language_model="http://localhost:1/v1")


def test_hits_have_spans_if_asked(birds):
    [hit] = birds.query("dog barking", k=1, spans=True)
    [span] = hit.spans
    assert (span.start_s, span.end_s) == (0.16, 3.0)
    # Of a higher threshold, less is left.
    [strict] = birds.query("dog barking", k=1, spans=SpanRules(threshold=0.9))
    assert [(span.start_s, span.end_s) for span in strict.spans] == [(0.2, 2.4)]
    assert birds.query("dog barking", k=1)[0].spans is None


def test_a_library_that_another_thread_reads_says_so(birds):
    began, may_end = threading.Event(), threading.Event()

    def read() -> None:
        with birds.open().catalog.snapshot():
            began.set()
            may_end.wait(60)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        assert began.wait(60)
        with pytest.raises(pe_search.StoreError, match="is being read by another thread; open the store once in each"):
            birds.query("dog barking")
    finally:
        may_end.set()
        thread.join()
    assert names(birds.query("dog barking", k=1)) == ["dog-barking.flac"]


# Embeddings, spans and labels


def test_texts_that_the_builtin_was_not_taught(birds):
    texts = ["xyzzy", "a dog barking", "the frobnicator of qwrt", "HI-HAT", "dog-like", ""]
    assert birds.untaught(texts) == ["xyzzy", "the frobnicator of qwrt", ""]
    assert birds.untaught("xyzzy") == ["xyzzy"]


def test_what_another_checkpoint_was_taught_is_not_known():
    assert Listener(Wanted("small")).untaught("xyzzy") == []
    assert Listener().untaught("xyzzy") == ["xyzzy"]


def test_all_hits_are_those_of_every_clip(birds):
    hits = birds.query("dog barking", k=None)
    clips = {clip.path for clip in birds.clips()}
    assert {hit.path for hit in hits} == clips
    assert birds.query("dog barking", k=1) == hits[:1]
    request = Request((Query(("dog barking",)),), k=1)
    assert birds.hit_counts(request) == [len(clips)]
    likely = [hit for hit in hits if hit.probability >= 0.5]
    assert birds.hit_counts(replace(request, min_probability=0.5)) == [len(likely)]


def test_texts_and_windows_have_embeddings_of_one_length(birds, bark):
    texts, windows = birds.embed_text(["dog barking", "rain"]), birds.embed_audio(bark, RATE_HZ)
    assert (texts.shape, windows.shape) == ((2, 192), (1, 192))
    assert (texts.dtype, windows.dtype) == (np.float32, np.float32)
    [hit] = birds.query("dog barking", k=1)
    assert float(windows[0] @ texts[0]) == pytest.approx(hit.score, rel=1e-2)
    np.testing.assert_array_equal(birds.embed_text("rain"), birds.embed_text(["rain"]))


def test_embeddings_come_with_their_places(birds, sounds):
    table = birds.embeddings()
    assert table.paths == tuple(sounds / name for name in ("church-bell.flac", "dog-barking.flac", "weather/rain.flac"))
    assert table.times.tolist() == [[0.0, 4.5], [0.0, 3.0], [0.0, 2.5]]
    assert (table.vectors.shape, table.vectors.dtype) == ((3, 192), np.float32)


def test_locating_and_labelling_take_one_text_or_several(birds, sounds):
    dog = sounds / "dog-barking.flac"
    [trace] = birds.locate("dog barking", dog)
    assert [(span.start_s, span.end_s) for span in trace.spans] == [(0.16, 3.0)]
    assert [trace.spans for trace in birds.locate("dog barking", [dog], then="church bell")] == [()]
    assert [len(trace.spans) for trace in birds.locate("dog barking", dog, without="rain")] == [1]
    [hits] = birds.label(dog, ["rain", "dog barking"])
    assert [(hit.query, hit.rank) for hit in hits] == [("dog barking", 1), ("rain", 2)]
    assert [[hit.query for hit in hits] for hits in birds.label(dog, "rain")] == [["rain"]]


def test_every_window_of_a_clip_can_be_labelled(birds, tmp_path):
    long = write_audio(tmp_path / "long.wav", noise(35.0))
    labelled = list(birds.label(long, ["rain", "dog barking"], all_windows=True))
    assert [(hits[0].start_s, hits[0].end_s, len(hits)) for hits in labelled] == [
        (0.0, 10.0, 2),
        (10.0, 20.0, 2),
        (20.0, 30.0, 2),
        (25.0, 35.0, 2),
    ]
    [best] = birds.label(long, ["rain", "dog barking"])
    for hit in best:
        assert hit.probability == max(one.probability for hits in labelled for one in hits if one.query == hit.query)


@pytest.mark.parametrize(("texts", "message"), [([], "There is no text"), (["dog", ""], "A text is empty")])
def test_there_must_be_a_text(birds, sounds, texts, message):
    for use in (
        birds.embed_text,
        lambda texts: list(birds.locate(texts, sounds)),
        lambda texts: list(birds.label(sounds, texts)),
    ):
        with pytest.raises(pe_search.QueryError, match=message):
            use(texts)


def test_a_listener_needs_no_store(sounds, birds):
    library = pe_search.Library(sounds.parent / "none.store", loaded=birds.model.loaded)
    assert library.embed_text("dog").shape == (1, 192)
    assert [[hit.path.name for hit in hits] for hits in library.label(sounds / "weather", "rain")] == [["rain.flac"]]
    assert not library.is_made()


# Folders, and what is left out of them


def test_progress_and_problems_are_told(library, sounds, tmp_path):
    write_audio(tmp_path / "more" / "hiss.wav", noise(1))
    (tmp_path / "more" / "empty.wav").touch()
    progress: list[Progress] = []
    problems: list[pe_search.Problem] = []
    summary = library.index([sounds, tmp_path / "more"], on_progress=progress.append, on_problem=problems.append)
    assert (summary.clips, summary.windows, summary.audio_s) == (4, 4, 11.0)
    assert (progress[0].bytes_done, progress[-1].bytes_done) == (0, progress[-1].bytes_total)
    assert progress[-1].audio_s == 11.0
    assert [problem.path.name for problem in problems] == ["empty.wav"]
    assert summary.problems == tuple(problems)
    assert [one.clip.path.name for one in library.problems()] == ["empty.wav"]
    assert library.index([sounds, tmp_path / "more"]).unchanged == 4


def test_one_pattern_or_several(library, sounds):
    assert library.index(sounds, exclude="weather/").clips == 2
    assert library.index(sounds, exclude=["weather/", "dog*"]).removed == 1
    assert [clip.path.name for clip in library.find(sounds, exclude="*.flac").clips()] == []


def test_a_folder_that_is_not_there_is_told_in_the_summary(library, tmp_path):
    summary = library.index(tmp_path / "nothing")
    assert summary.found_nothing
    assert [problem.reason for problem in summary.problems] == ["No such file or directory"]


# The store is looked after


def test_a_store_goes_out_and_comes_in(library, birds, tmp_path):
    assert library.merge(birds.directory) == 3
    assert library.merge(birds.directory) == 0
    assert library.export(tmp_path / "all.npz") == 3
    with np.load(tmp_path / "all.npz") as written:
        np.testing.assert_array_equal(written["embedding"], library.embeddings().vectors)
    assert library.rebuild().windows == 3
    assert library.status().clips == 3
    verification = library.verify(2)
    assert (verification.clips, verification.gone, verification.problems) == (2, (), ())
    assert verification.smallest_cosine > 0.999


def test_arguments_that_are_out_of_range_are_refused(birds, tmp_path):
    for use, message in (
        (lambda: birds.verify(0), "sample=0 must be 1 or more"),
        (lambda: birds.duplicates(1.5), "threshold=1.5 must be -1 to 1"),
        (lambda: birds.duplicates(float("nan")), "threshold=nan must be -1 to 1"),
        (lambda: birds.export(tmp_path / "all.csv"), "must end with .npz or .parquet"),
    ):
        with pytest.raises(ValueError, match=message):
            use()
    assert not (tmp_path / "all.csv").exists()


def test_copies_and_cuts_take_paths_in_any_form(birds, sounds, tmp_path):
    dog = str(sounds / "dog-barking.flac")
    assert birds.copy(dog, str(tmp_path)) == tmp_path / "dog-barking.flac"
    [cut] = birds.cut(dog, [Span(0.5, 1.5, 0.93)], str(tmp_path))
    assert (cut.name, soundfile.info(cut).frames) == ("dog-barking_0.50-1.50s_0.93.flac", RATE_HZ)
    birds.cut_wav(dog, Span(0.5, 1.5, 0.93), str(tmp_path / "a.wav"))
    assert soundfile.info(tmp_path / "a.wav").frames == RATE_HZ


def test_hits_and_errors_go_to_other_processes(birds):
    hits = birds.query("dog barking")
    assert pickle.loads(pickle.dumps(hits)) == hits
    error = pickle.loads(pickle.dumps(pe_search.AudioError(Path("a.wav"), "holds no audio", may_pass=True)))
    assert (str(error), error.path, error.may_pass) == ("a.wav: holds no audio", Path("a.wav"), True)
