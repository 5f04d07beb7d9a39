"""Words that are taught, by the Python API, with the built-in checkpoint and sounds of the examples."""

from __future__ import annotations

import getpass
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import pe_search
from pe_search import Judgement
from pe_search.queries import Query, Reference, Request

EXAMPLES = Path(__file__).parents[1] / "examples" / "sounds"
RAIN = EXAMPLES / "weather" / "rain.flac"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pe_search.Library]:
    """A library of some sounds and a long recording of them all, which tests only read."""
    folder = tmp_path_factory.mktemp("learning")
    (folder / "sounds").mkdir()
    names = [path.name for path in sorted(EXAMPLES.glob("*.flac"))][:8]
    for name in names:
        shutil.copy(EXAMPLES / name, folder / "sounds")
    rate_hz = soundfile.info(EXAMPLES / names[0]).samplerate
    parts = [soundfile.read(EXAMPLES / name, dtype="float32", always_2d=True)[0][:, 0] for name in names[:5]]
    soundfile.write(folder / "sounds" / "walk.wav", np.concatenate(parts), rate_hz)
    with pe_search.create(folder / "shared.store") as library:
        library.index(folder / "sounds")
        yield library


@pytest.fixture
def library(made: pe_search.Library, tmp_path: Path) -> Iterator[pe_search.Library]:
    """The same in a store and a folder that a test may change; its checkpoint is loaded already."""
    shutil.copytree(made.directory.parent / "sounds", tmp_path / "sounds")
    shutil.copytree(made.directory, tmp_path / "own.store")
    with pe_search.Library(tmp_path / "own.store", loaded=made.model.loaded) as library:
        # The bytes are known, and not embedded again.
        library.relocate(made.directory.parent / "sounds", tmp_path / "sounds")
        yield library


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    return tmp_path / "sounds"


def ranks(hits: list[pe_search.Hit]) -> list[tuple[Path, float, float, float | None, float | None]]:
    """All of hits but what the query is called."""
    return [(hit.path, hit.start_s, hit.end_s, hit.score, hit.probability) for hit in hits]


def likely(hits: list[pe_search.Hit]) -> dict[str, float | None]:
    """The probability of each hit, by the name of its clip."""
    return {hit.path.name: hit.probability for hit in hits}


def windows_of(library: pe_search.Library, path: Path) -> tuple[tuple[float, float], ...]:
    content = library.open().catalog.content(path)
    assert content is not None
    return tuple(content.times)


def files(sounds: Path) -> list[Path]:
    return sorted(sounds.glob("*.flac"))


# What is kept


def test_what_is_judged_is_kept_by_bytes_and_times(library, sounds):
    first, second, third, *_ = files(sounds)
    walk = sounds / "walk.wav"
    word = library.learn("@it", text="a dog", yes=first, no=[second, Reference(walk, (1.0, 2.5))], unsure=str(third))
    assert (word.word, word.text, word.gone) == ("@it", "a dog", 0)
    assert (word.yes, word.no, word.unsure) == tuple(
        sum(len(windows_of(library, path)) for path in paths) + more
        for paths, more in (([first], 0), ([second], 1), ([third], 0))
    )
    kept = library.judgements()
    expected = {
        (library.clip(path)[1], start_s, end_s, verdict)
        for path, verdict in ((first, "yes"), (second, "no"), (third, "unsure"))
        for start_s, end_s in windows_of(library, path)
    } | {(library.clip(walk)[1], 1.0, 2.5, "no")}
    assert {(one.digest, one.start_s, one.end_s, one.verdict) for one in kept} == expected
    assert {one.judged_by for one in kept} == {getpass.getuser()}
    assert {one.word for one in kept} == {"@it"}
    assert word.judged_at_s == max(one.judged_at_s for one in kept)
    assert library.words() == [word]
    assert library.judgements("@it") == kept
    assert library.judgements("@other") == []


def test_a_long_file_is_all_its_windows_and_a_place_that_is_one_is_that_window(library, sounds):
    walk = sounds / "walk.wav"
    times = windows_of(library, walk)
    assert len(times) >= 2
    assert library.learn("@it", yes=walk).yes == len(times)
    # What is typed is rounded.
    start_s, end_s = times[1]
    assert library.learn("@other", no=Reference(walk, (start_s + 0.004, end_s - 0.004))).no == 1
    (kept,) = library.judgements("@other")
    assert (kept.start_s, kept.end_s) == times[1]


def test_a_later_judgement_takes_the_place_of_an_earlier(library, sounds):
    first, second, *_ = files(sounds)
    library.learn("@it", yes=[first, second])
    before = library.words()[0]
    hit = library.query(like=second, k=1)[0]
    after = library.judge("@it", hit, "unsure")
    assert (after.yes, after.no, after.unsure) == (before.yes - 1, 0, 1)
    assert library.judge("@it", (second, hit.start_s, hit.end_s), "no").no == 1
    assert library.learn("@it", text="rain").text == "rain"
    assert library.judge("@it", hit, "yes") == replace(library.words()[0], yes=before.yes, no=0, unsure=0, text="rain")


def test_words_are_forgotten_with_what_was_judged(library, sounds):
    first, *_ = files(sounds)
    library.learn("@one", text="rain")
    two = library.learn("@two", yes=first)
    assert [word.word for word in library.words()] == ["@one", "@two"]
    assert library.forget("@two") == two
    assert [word.word for word in library.words()] == ["@one"]
    assert library.judgements() == []
    with pytest.raises(pe_search.QueryError, match=r"^@two was not taught to the store at "):
        library.forget("@two")
    with pytest.raises(pe_search.QueryError, match=r"^@two was not taught to the store at .* The store knows @one"):
        library.query("@two")


@pytest.mark.parametrize(
    ("word", "given", "message"),
    [
        ("mybird", {"text": "a bird"}, "'mybird' is not a word: it must begin with @"),
        ("@", {"text": "a bird"}, "'@' is not a word"),
        ("@my bird", {"text": "a bird"}, "'@my bird' is not a word"),
        ("@" + 100 * "x", {"text": "a bird"}, "is not a word"),
        ("@it", {}, "There is nothing to teach @it: give a text"),
        ("@it", {"text": " "}, "The text of a word is empty."),
        ("@it", {"text": "@other"}, "A word can't start from another word, @other."),
    ],
)
def test_what_can_not_be_a_word_is_refused(library, word, given, message):
    with pytest.raises(pe_search.QueryError, match=message):
        library.learn(word, **given)
    assert library.words() == []


def test_clips_that_the_store_does_not_hold_are_refused(library, sounds):
    first, second, *_ = files(sounds)
    shutil.copy(first, sounds / "new.flac")
    with pytest.raises(pe_search.AudioError, match=r"new\.flac: is not in the store; index it first$"):
        library.learn("@it", yes=[second, sounds / "new.flac"])
    end_s = windows_of(library, first)[-1][1]
    with pytest.raises(pe_search.AudioError, match=f"ends at {end_s:g} s, before the end of 1–{end_s + 1:g} s"):
        library.judge("@it", (first, 1.0, end_s + 1), "yes")
    with pytest.raises(pe_search.QueryError, match="from a start to a later end"):
        library.judge("@it", (first, 1.0, 1.0), "yes")
    with pytest.raises(pe_search.QueryError, match="'maybe' is not a verdict; those are yes, no, unsure"):
        library.judge("@it", (first, 0.0, 1.0), "maybe")
    with pytest.raises(pe_search.QueryError, match="is judged both yes and no"):
        library.learn("@it", yes=first, no=first)
    shutil.copy(second, first)
    with pytest.raises(pe_search.AudioError, match="has changed since it was indexed; index it again"):
        library.learn("@it", yes=first)
    assert library.words() == []


def test_a_clip_without_a_file_is_judged_by_its_name(library):
    samples, rate_hz = soundfile.read(RAIN, dtype="float32")
    library.add("set/1", samples, rate_hz)
    assert library.learn("@it", yes="set/1").yes == len(windows_of(library, Path("set/1")))
    assert library.query("@it", k=1)[0].path == Path("set/1")


# What it comes to


def test_without_a_judgement_a_word_is_its_text_bit_for_bit(library):
    library.learn("@it", text="dog barking")
    assert ranks(library.query("@it", k=None)) == ranks(library.query("dog barking", k=None))
    assert ranks(library.query("rain", minus="@it")) == ranks(library.query("rain", minus="dog barking"))
    assert ranks(library.query(plus="@it", like=RAIN)) == ranks(library.query(plus="dog barking", like=RAIN))
    assert library.count("@it").counts == library.count("dog barking").counts


def test_unsure_alone_teaches_nothing(library, sounds):
    library.learn("@it", text="dog barking", unsure=files(sounds))
    assert ranks(library.query("@it", k=None)) == ranks(library.query("dog barking", k=None))
    library.learn("@without", unsure=files(sounds))
    with pytest.raises(pe_search.QueryError, match=r"^@without has no text and no judgement yet"):
        library.query("@without")


def test_what_is_judged_moves_the_hits(library, sounds):
    wanted, other, *_ = files(sounds)
    library.learn("@it", yes=wanted)
    first = library.query("@it", k=None)
    assert first[0].path == wanted
    library.learn("@it", no=other)
    again = library.query("@it", k=None)
    was, now = ({hit.path: hit.probability for hit in hits} for hits in (first, again))
    assert now[other] < was[other]
    assert again == library.query("@it", k=None)
    labelled = {hits[0].path: hits[0].probability for hits in library.label(sounds, "@it")}
    assert labelled == pytest.approx({hit.path: hit.probability for hit in again}, rel=1e-6)


def test_the_order_of_judgements_does_not_count(library, sounds, tmp_path):
    shutil.copytree(library.directory, tmp_path / "other.store")
    with pe_search.Library(tmp_path / "other.store", loaded=library.model.loaded) as other:
        one, two, three, *_ = files(sounds)
        for path, verdict in ((one, "yes"), (two, "no"), (three, "yes")):
            library.learn("@it", **{verdict: path})
        other.learn("@it", yes=[three, one])
        other.learn("@it", no=two)
        assert library.query("@it", k=None) == other.query("@it", k=None)


def test_judgements_outlive_moves_and_a_new_store(library, sounds, tmp_path):
    wanted, other, *_ = files(sounds)
    library.learn("@it", text="rain", yes=wanted, no=[other, Reference(sounds / "walk.wav", (0.5, 3.1))])
    before, kept = library.query("@it", k=None), library.judgements()
    sounds.rename(tmp_path / "moved")
    library.index(tmp_path / "moved")
    library.close()
    after = library.query("@it", k=None)
    assert {hit.path.parent for hit in after} == {tmp_path / "moved"}
    assert likely(after) == likely(before)
    assert library.judgements() == kept
    with pe_search.Library(tmp_path / "new.store", loaded=library.model.loaded) as new:
        new.index(tmp_path / "moved")
        new.take_judgements(kept, {"@it": "rain"})
        assert new.judgements() == kept
        assert likely(new.query("@it", k=None)) == pytest.approx(likely(after), rel=1e-4)


def test_what_was_judged_of_a_clip_that_is_gone_waits_for_it(library, sounds):
    wanted, other, *_ = files(sounds)
    library.learn("@it", yes=wanted)
    alone = library.query("@it", k=None)
    library.learn("@it", no=other)
    both = library.query("@it", k=None)
    library.remove(other)
    library.close()
    assert library.words()[0].gone == len(windows_of(library, wanted)) == 1
    # The sample of the store lacks it too, so that nothing is the same to the last digit.
    without = {name: one for name, one in likely(alone).items() if name != other.name}
    assert likely(library.query("@it", k=None)) == pytest.approx(without, rel=0.1)
    library.remove(wanted)
    library.close()
    with pytest.raises(pe_search.QueryError, match=r"^@it: the store at .* holds none of the clips that were judged"):
        library.query("@it")
    library.index(sounds)
    library.close()
    assert library.words()[0].gone == 0
    assert likely(library.query("@it", k=None)) == pytest.approx(likely(both), rel=1e-4)


def test_merging_brings_words_and_the_later_of_two_judgements(library, sounds, tmp_path):
    one, two, three, *_ = files(sounds)
    with pe_search.Library(tmp_path / "other.store", loaded=library.model.loaded) as other:
        other.index([one, two])
        digests = [other.clip(path)[1] for path in (one, two)]
        (place,) = windows_of(other, one)
        (place_2,) = windows_of(other, two)
        ours = [
            Judgement("@it", digests[0], *place, "yes", "ann", 1_000),
            Judgement("@it", digests[1], *place_2, "no", "ann", 3_000),
        ]
        theirs = [
            replace(ours[0], verdict="no", judged_by="bob", judged_at_s=2_000),
            replace(ours[1], verdict="yes", judged_by="bob", judged_at_s=2_000),
        ]
        library.take_judgements(ours, {"@it": "rain"})
        other.take_judgements(theirs, {"@it": "a dog", "@other": "siren"})
    library.merge(tmp_path / "other.store")
    assert sorted(library.judgements(), key=str) == sorted([theirs[0], ours[1]], key=str)
    assert {word.word: word.text for word in library.words()} == {"@it": "rain", "@other": "siren"}
    assert three in {hit.path for hit in library.query("@it", k=None)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"word": "it"}, "is not a word"),
        ({"verdict": "maybe"}, "is not a verdict"),
        ({"start_s": 3.0}, "3 to 2 s is not a stretch"),
        ({"end_s": float("inf")}, "is not a stretch"),
        ({"start_s": float("nan")}, "is not a stretch"),
    ],
)
def test_judgements_that_make_no_sense_are_not_taken(library, change, message):
    good = Judgement("@it", bytes(32), 1.0, 2.0, "yes", "ann", 1)
    with pytest.raises(pe_search.QueryError, match=message):
        library.take_judgements([good, replace(good, **change)])
    assert library.words() == []


# What it can't be used with


def test_spans_and_fdr_can_not_be_asked_of_a_word(library, sounds):
    library.learn("@it", text="dog barking")
    with pytest.raises(pe_search.QueryError, match=r"^@it is a learned word, which can't be used with fdr\.$"):
        library.query("@it", fdr=0.1)
    with pytest.raises(pe_search.QueryError, match="can't be used with fdr"):
        next(library.answers(Request((Query(("rain",), minus=(pe_search.Term("@it"),)),), fdr=0.1)))
    with pytest.raises(pe_search.QueryError, match="can't be used with spans"):
        library.query("rain", minus="@it", spans=True)
    with pytest.raises(pe_search.QueryError, match="can't be used with spans"):
        library.locator([Query(("@it",))])
    for given in ({"texts": "@it"}, {"texts": "rain", "then": "@it"}, {"texts": "rain", "without": "@it"}):
        with pytest.raises(pe_search.QueryError, match="can't be used with spans"):
            library.locate(paths=sounds, **given)
    assert library.query("dog barking", k=1, spans=True)[0].spans is not None


def test_a_word_is_not_held_to_what_the_checkpoint_was_taught(library):
    assert library.untaught(["@xyzzy", "xyzzy"]) == ["xyzzy"]


# Several stores


@pytest.fixture
def halves(library, sounds, tmp_path):
    """The same clips in two stores, every other one in each, asked as one."""
    paths = [*files(sounds), sounds / "walk.wav"]
    for number in range(2):
        with pe_search.Library(tmp_path / f"{number}.store", loaded=library.model.loaded) as half:
            half.index(paths[number::2])
    with pe_search.open([tmp_path / "0.store", tmp_path / "1.store"]) as both:
        yield both


def test_what_was_judged_in_several_stores_counts_in_all(library, halves, sounds):
    first, second, third, fourth, *_ = files(sounds)
    judged = {"text": "a dog", "yes": [first, second], "no": [third, fourth]}
    assert replace(halves.learn("@it", **judged), judged_at_s=None) == replace(
        library.learn("@it", **judged), judged_at_s=None
    )
    assert [(word.yes, word.no, word.text) for one in halves.stores for word in pe_search.Library.words(one)] == [
        (1, 1, "a dog"),
        (1, 1, ""),
    ]
    of_one, of_both = likely(library.query("@it", k=None)), likely(halves.query("@it", k=None))
    assert of_both == pytest.approx(of_one, abs=1e-4)
    assert [one.digest for one in halves.judgements("@it")] == [one.digest for one in library.judgements("@it")]
    assert sorted(halves.paths_of(halves.clip(second)[1])) == [second]
    labelled, wanted = (
        [hit.probability for hits in one.label([first, second, third, fourth], "@it") for hit in hits]
        for one in (halves, library)
    )
    assert len(labelled) == 4
    assert labelled == pytest.approx(wanted, abs=1e-4)
    counts, expected = (one.count(["@it", "rain"], min_probability=0.05) for one in (halves, library))
    assert (counts.counts, counts.totals) == (expected.counts, expected.totals)
    by_folder = halves.count("rain", by="folder", of="clips", min_probability=0)
    assert by_folder.totals == library.count("rain", by="folder", of="clips", min_probability=0).totals


def test_each_is_judged_where_it_is_and_forgotten_everywhere(library, halves, sounds):
    first, second, *_ = files(sounds)
    halves.learn("@it", yes=first)
    (hit,) = halves.query(like=second, k=1)
    assert halves.judge("@it", hit, "no").no == 1
    # The later judgement of a stretch counts, whichever store has it.
    (kept,) = [one for one in halves.judgements() if one.verdict == "no"]
    halves.stores[0].take_judgements([replace(kept, verdict="unsure", judged_at_s=kept.judged_at_s + 1)])
    (word,) = halves.words()
    assert (word.no, word.unsure, word.gone) == (0, 1, 0)
    found = halves.judgements()
    assert halves.forget("@it") == word
    assert halves.words() == []
    with pytest.raises(pe_search.QueryError, match=r"^@it was not taught to any of the stores"):
        halves.forget("@it")
    with pytest.raises(pe_search.QueryError, match=r"^@it was not taught to the store at .*0\.store and .*1\.store"):
        halves.query("@it")
    halves.take_judgements(found, {"@it": "a dog"})
    assert halves.words() == [replace(word, text="a dog")]
    with pytest.raises(pe_search.AudioError, match="is not in the store"):
        halves.learn("@it", yes="no-such.wav")


def test_stores_are_evaluated_side_by_side_with_the_words_of_all(halves, sounds, tmp_path):
    first, second, third, fourth, *_ = files(sounds)
    halves.learn("@it", yes=[first, second], no=[third, fourth])
    table = tmp_path / "labels.csv"
    table.write_text(f"path,label\n{first},@it\n{second},@it\n{third},\n{fourth},\n")
    one, other = halves.evaluations(table, drawings=0)
    assert (one.clips, other.clips) == (2, 2)
    assert (one.mean_auroc.value, other.mean_auroc.value) == (1, 1)


def test_windows_of_several_stores_are_drawn_together(library, halves):
    of_one, of_both = (one.draw("@it", "rain", k=100) for one in (library, halves))
    assert [(hit.path, hit.start_s) for hit in of_both] == [(hit.path, hit.start_s) for hit in of_one]
    for hit in of_both:
        halves.judge("@it", hit, "yes")
    halves.learn("@it", text="rain")
    assert halves.estimate("@it")[-1].count == library.window_count()
