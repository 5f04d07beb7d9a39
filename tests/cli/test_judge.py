"""`pe-search judge`, on a terminal of its own: keys go in, and what is judged is in the store."""

from __future__ import annotations

import csv
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

import pe_search
from pe_search.cli.output.traces import strip_of
from pe_search.queries import Hit, Query
from tests.cli.conftest import HOP_S, Outcome, Terminal, wait_for_player
from tests.made_up import noise, write_audio

EXAMPLES = Path(__file__).parents[2] / "examples" / "sounds"
KEYS = "Keys: y yes, n no, u unsure, space play, b back, q quit.\n"


@pytest.fixture
def store(library, tmp_path, monkeypatch) -> Path:
    own = Path(shutil.copytree(library.store, tmp_path / "own.store"))
    monkeypatch.setenv("PE_SEARCH_STORE", str(own))
    monkeypatch.chdir(library.sounds)
    return own


class Round:
    """A round of judging, whose hits are those that the library would ask for."""

    def __init__(self, program: Terminal) -> None:
        self.program = program

    def key(self, key: bytes, turn: int, times: int = 1) -> None:
        """Press a key once a hit was shown as the turn of this number for so many times."""
        self.wait_for(turn, times)
        self.program.press(key)

    def wait_for(self, turn: int, times: int = 1) -> None:
        pattern = rb"(?m)^%d  \d\.\d\d  " % turn
        shown = self.program.read_until(lambda shown: len(re.findall(pattern, shown)) >= times)
        assert len(re.findall(pattern, shown)) >= times, shown.decode()


@pytest.fixture
def judge(terminal) -> Callable[..., Round]:
    return lambda *args: Round(terminal([sys.executable, "-m", "pe_search", "judge", *args]))


def judged_in(store: Path) -> dict[tuple[str, Path, float], str]:
    with pe_search.open(store) as library:
        return {(one.word, library.paths_of(one.digest)[0], one.start_s): one.verdict for one in library.judgements()}


def asked_for(store: Path, copy: Path, word: str, text: str, verdicts: list[str]) -> list[Hit]:
    """What is asked for in turn if these are the answers, by the Python API, in a copy of the store."""
    shutil.copytree(store, copy)
    hits = []
    with pe_search.open(copy) as library:
        for number, verdict in enumerate(verdicts):
            hit = library.to_judge(word, text)
            assert hit is not None
            hits.append(hit)
            if number == 0:
                library.learn(word, text=text)
            library.judge(word, hit, verdict)
            library.close()
    return hits


def test_a_round_from_beginning_to_end(judge, store, tmp_path):
    keys = b"ynunyynnuyn"
    verdicts = [{"y": "yes", "n": "no", "u": "unsure"}[key] for key in keys.decode()]
    hits = asked_for(store, tmp_path / "copy.store", "@dog-barking", "dog barking", verdicts)
    program = judge("dog barking")
    for turn, key in enumerate(keys, start=1):
        program.key(bytes([key]), turn)
    program.key(b"xq", len(keys) + 1)
    status, shown = program.program.finish()
    assert status == 0
    assert shown.startswith(KEYS)
    assert judged_in(store) == {
        ("@dog-barking", hit.path, hit.start_s): verdict for hit, verdict in zip(hits, verdicts, strict=True)
    }
    probabilities = [float(one) for one in re.findall(r"(?m)^\d+  (\d\.\d\d)  ", shown)]
    assert probabilities[:-1] == [round(hit.probability, 2) for hit in hits]
    right = [
        (hit.probability >= 0.5) == (verdict == "yes")
        for hit, verdict in zip(hits[:10], verdicts[:10], strict=True)
        if verdict != "unsure"
    ]
    counts = {verdict: verdicts[:10].count(verdict) for verdict in ("yes", "no", "unsure")}
    said = f'@dog-barking, from "dog barking": {counts["yes"]} yes, {counts["no"]} no, {counts["unsure"]} unsure.'
    told = " ".join(shown.split())
    assert f"{said} It was right about {sum(right)} of the last {len(right)}." in told
    end = f'@dog-barking, from "dog barking": {counts["yes"]} yes, {counts["no"] + 1} no, {counts["unsure"]} unsure.'
    assert told.endswith(f"{end} `pe-search query @dog-barking` asks for it.")


def test_one_may_go_back_and_judge_again(judge, store):
    program = judge("rain", "--word", "@storm", "--under", "weather")
    program.key(b"b", 1)
    program.key(b"y", 1, times=2)
    program.key(b"n", 2)
    program.key(b"b", 3)
    program.key(b"u", 2, times=2)
    program.key(b"\x04", 3, times=2)
    status, shown = program.program.finish()
    assert status == 0
    assert shown.count("There is nothing to go back to.\n") == 1
    assert sorted(judged_in(store).values()) == ["unsure", "yes"]
    assert {path.parent.name for _, path, _ in judged_in(store)} == {"weather"}
    assert {word for word, *_ in judged_in(store)} == {"@storm"}
    # It goes on where it was.
    again = judge("@storm")
    again.key(b"q", 1)
    status, shown = again.program.finish()
    assert status == 1
    assert shown.startswith(f'@storm, from "rain": 1 yes, 0 no, 1 unsure.\n{KEYS}')


def test_nothing_is_left_behind_if_nothing_is_judged(judge, store, run_cli):
    program = judge("rain")
    program.key(b"q", 1)
    assert program.program.finish()[0] == 1
    assert run_cli("words") == Outcome(1, b"", "")


def test_it_ends_when_nothing_is_left(judge, store):
    program = judge("rain", "--under", "dogs")
    program.key(b"y", 1)
    program.key(b"n", 2)
    status, shown = program.program.finish()
    assert status == 0
    assert "There is nothing left to judge.\n" in shown
    assert len(judged_in(store)) == 2


def test_spread_asks_for_what_is_drawn_and_count_estimates(judge, store, run_cli):
    with pe_search.open(store) as library:
        drawn = library.draw("@rain", "rain")
        windows = library.window_count()
    program = judge("rain", "--spread")
    for turn in range(1, len(drawn) + 1):
        program.key(b"y" if turn <= 2 else b"n", turn)
    status, shown = program.program.finish()
    assert status == 0
    assert "There is nothing left to judge.\n" in shown
    assert " ".join(shown.split()).endswith("`pe-search count @rain --judged` estimates how many windows have it.")
    assert judged_in(store) == {
        ("@rain", hit.path, hit.start_s): "yes" if turn < 2 else "no" for turn, hit in enumerate(drawn)
    }
    outcome = run_cli("count", "@rain", "--judged")
    assert (outcome.status, outcome.err) == (0, "")
    rows = list(csv.DictReader(outcome.out.decode().splitlines()))
    # Few enough that all are judged.
    assert rows[-1]["windows"] == rows[-1]["judged"] == str(windows)
    assert {rows[-1][name] for name in ("count", "low", "high")} == {"2.0"}
    table = run_cli("count", "@rain", "--judged", "--format", "table").out.decode().splitlines()
    assert table[1].split() == ["probability", "windows", "judged", "yes", "estimate", "from", "to"]
    assert table[-1].split()[1:] == [str(windows), str(windows), "2", "2", "2", "2"]
    # Of a part of the store.
    outcome = run_cli("count", "@rain", "--judged", "--under", "weather")
    assert {row["text"] for row in csv.DictReader(outcome.out.decode().splitlines())} == {"@rain"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["rain", "--judged"], "--judged: requires words, such as @rex, in place of 'rain'."),
        (["@rain", "--judged", "--by", "day"], "--by: can't be used with --judged."),
        (["@rain", "--judged", "--of", "clips"], "--of: can't be used with --judged."),
        (["@rain", "--judged"], "@rain has no text by whose scores windows could be drawn; `pe-search learn @rain"),
    ],
)
def test_what_can_not_be_estimated_is_one_line(run_cli, store, args, message):
    outcome = run_cli("count", *args)
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, b"", 1)
    assert outcome.err.startswith(f"pe-search: {message}")


def test_what_was_judged_for_other_reasons_is_no_sample(run_cli, store):
    with pe_search.open(store) as library:
        drawn = library.draw("@rain", "rain")
        library.learn("@rain", text="rain")
        library.judge("@rain", drawn[-1], "yes")
    outcome = run_cli("count", "@rain", "--judged")
    assert outcome.status == 2
    assert "no window is judged yes or no. `pe-search judge @rain --spread` asks for those" in outcome.err


def test_a_strip_shows_when_the_text_is_heard(judge, run_cli, tmp_path, monkeypatch):
    monkeypatch.setenv("PE_SEARCH_STORE", str(tmp_path / "builtin.store"))
    assert run_cli("index", EXAMPLES / "dog-barking.flac").status == 0
    with pe_search.open(tmp_path / "builtin.store") as library:
        (hit,) = library.query("dog barking", spans=True)
        (trace,) = library.locator([Query(texts=("dog barking",))]).in_hits([hit], library.clip, pytest.fail)
    program = judge("dog barking")
    strip = strip_of(trace.probabilities, 76)
    shown = program.program.read_until(lambda shown: strip.encode() in shown)
    assert re.search(rf"(?m)^1  \d\.\d\d  .*dog-barking.flac\r?\n   {strip}\r?$", shown.decode())
    program.program.press(b"q")
    assert program.program.finish()[0] == 1


def test_space_plays_a_hit_and_keys_end_it(judge, store, player, tmp_path):
    with pe_search.open(store) as library:
        first = library.to_judge("@rain", "rain")
    played = player("ffplay", "time.sleep(600)")
    program = judge("rain")
    program.key(b" ", 1)
    wait_for_player(played, 1)
    program.program.press(b" ")
    program.program.press(b" ")
    wait_for_player(played, 2)
    program.program.press(b"y")
    program.key(b" ", 2)
    wait_for_player(played, 3)
    program.program.press(b"q")
    status, shown = program.program.finish()
    assert (status, shown.count("   yes\n")) == (0, 1)
    wav, rate_hz = soundfile.read(played / "0.wav")
    assert len(wav) / rate_hz == pytest.approx(first.end_s - first.start_s, abs=0.001)
    assert judged_in(store) == {("@rain", first.path, first.start_s): "yes"}


def test_without_a_player_one_can_judge_all_the_same(judge, store, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    program = judge("rain")
    program.key(b" y", 1)
    program.key(b"q", 2)
    status, shown = program.program.finish()
    assert (status, len(judged_in(store))) == (0, 1)
    assert "pe-search: No audio player found." in shown


def test_a_clip_that_has_changed_is_passed_over(judge, plain_checkpoint, run_cli, tmp_path, monkeypatch):
    monkeypatch.setenv("PE_SEARCH_STORE", str(tmp_path / "store"))
    for seed in range(3):
        write_audio(tmp_path / "sounds" / f"{seed}.wav", noise(1, seed) * (0.2 + seed / 4))
    assert (
        run_cli("index", tmp_path / "sounds", "--model", plain_checkpoint[0], "--window", "1", "--hop", HOP_S).status
        == 0
    )
    with pe_search.open(tmp_path / "store") as library:
        first = library.to_judge("@rain", "rain")
    write_audio(first.path, noise(2, 9))
    program = judge("rain")
    program.key(b"y", 1)
    program.key(b"y", 1, times=2)
    program.key(b"q", 2)
    status, shown = program.program.finish()
    assert status == 0
    assert "has changed since it was indexed; index it again" in " ".join(shown.split())
    assert first.path not in {path for _, path, _ in judged_in(tmp_path / "store")}
    assert len(judged_in(tmp_path / "store")) == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["rain"], "judge needs a terminal. Elsewhere, `pe-search learn @rain --yes FILE@S-E` teaches it."),
        (
            ["Rain, on a Roof!"],
            "judge needs a terminal. Elsewhere, `pe-search learn @rain-on-a-roof --yes FILE@S-E` te",
        ),
        ([" "], "TEXT: must not be empty."),
        (["rain", "--word", "rain"], "--word: 'rain' is not a word: write @, then letters"),
        (["@rain", "--word", "@storm"], "--word: @rain is a word itself; omit --word."),
        (["!?"], "--word: no name can be made of '!?'; give one, such as @dog."),
    ],
)
def test_what_can_not_be_judged_is_one_line(run_cli, store, args, message):
    outcome = run_cli("judge", *args)
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, b"", 1)
    assert message in outcome.err


def test_a_word_that_is_not_known_can_not_be_judged_without_a_text(judge, store):
    status, shown = judge("@storm").program.finish()
    assert status == 2
    assert "pe-search: @storm was not taught to the store at" in shown
