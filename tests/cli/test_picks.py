"""`--copy-to`, `--cut-to` and `--play` of query and locate."""

from __future__ import annotations

import json
import signal
import sys
import termios
from pathlib import Path

import pytest
import soundfile

from pe_search.cli.output import player as player_module
from pe_search.cli.output.player import find_player, play
from pe_search.errors import PeSearchError
from pe_search.listener import Listener
from pe_search.queries import Span
from tests.cli.conftest import Library, Outcome, names_in, wait_for_player
from tests.made_up import noise, write_audio

BARE = ("--threshold", 0)


def weather(library: Library) -> tuple[object, ...]:
    return ("--store", library.store, "--under", library.sounds / "weather")


def hits_of(jsonl: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in jsonl.splitlines()]


def cut_name(path: object, start_s: float, end_s: float, probability: float) -> str:
    return f"{Path(str(path)).stem}_{start_s:.2f}-{end_s:.2f}s_{probability:.2f}.flac"


def test_query_copies_and_cuts_its_hits(run_cli, library, tmp_path):
    plain = run_cli("query", "rain", "church bell", *weather(library), "--format", "jsonl")
    picked = ("--copy-to", tmp_path / "new" / "copies", "--cut-to", tmp_path / "cuts")
    outcome = run_cli("query", "rain", "church bell", *weather(library), "--format", "jsonl", *picked)
    hits = hits_of(outcome.out)
    cuts = {cut_name(hit["path"], hit["start_s"], hit["end_s"], hit["probability"]) for hit in hits}
    assert (outcome.status, outcome.out) == (0, plain.out)
    assert outcome.err == (
        f"3 clips copied to {tmp_path / 'new' / 'copies'}\n{len(cuts)} cuts written to {tmp_path / 'cuts'}\n"
    )
    assert names_in(tmp_path / "new" / "copies") == ["rain.wav", "storm.wav", "wind.wav"]
    assert set(names_in(tmp_path / "cuts")) == cuts
    for hit in hits:
        cut = tmp_path / "cuts" / cut_name(hit["path"], hit["start_s"], hit["end_s"], hit["probability"])
        assert soundfile.info(cut).duration == pytest.approx(hit["end_s"] - hit["start_s"], abs=1e-4)


def test_query_with_spans_cuts_the_spans(run_cli, library, tmp_path):
    options = ("--spans", "--format", "jsonl", "--threshold", 0.6, "--min-length", 0, "--join", 0)
    outcome = run_cli("query", "rain", *weather(library), *options, "--cut-to", tmp_path)
    spans = [(hit["path"], *span.values()) for hit in hits_of(outcome.out) for span in hit["spans"]]
    assert len(spans) > 1
    assert set(names_in(tmp_path)) == {cut_name(*span) for span in spans}


def test_a_hit_is_copied_though_nothing_is_heard_in_it(run_cli, library, tmp_path):
    """What is shown is copied; there is nothing to cut out of it."""
    options = ("--spans", "--threshold", 1, "--copy-to", tmp_path / "copies", "--cut-to", tmp_path / "cuts")
    outcome = run_cli("query", "rain", *weather(library), *options)
    assert outcome.status == 0
    assert names_in(tmp_path / "copies") == ["rain.wav", "storm.wav", "wind.wav"]
    assert names_in(tmp_path / "cuts") == []


@pytest.fixture
def sounds(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("a.wav", "b.wav")):
        write_audio(tmp_path / name, noise(2 + seed, seed) * 2, subtype="PCM_16")
    return tmp_path


def test_locate_copies_and_cuts_what_is_heard(run_cli, sounds, plain_checkpoint):
    options = ("--model", plain_checkpoint[0], "--copy-to", "copies", "--cut-to", "cuts")
    outcome = run_cli("locate", "rain", "dog", "a.wav", "b.wav", *BARE, *options)
    spans = [tuple(json.loads(line).values())[1:] for line in outcome.out.splitlines()]
    assert (outcome.status, outcome.err) == (0, "2 clips copied to copies\n4 cuts written to cuts\n")
    assert names_in(sounds / "copies") == ["a.wav", "b.wav"]
    assert set(names_in(sounds / "cuts")) == {cut_name(*span) for span in spans}
    outcome = run_cli("locate", "rain", "a.wav", "--threshold", 1, *options)
    assert (outcome.status, outcome.err) == (1, "0 clips copied to copies\n0 cuts written to cuts\n")


@pytest.mark.parametrize("spans", [(), ("--spans",)], ids=["windows", "spans"])
def test_a_clip_that_has_changed_or_is_gone_is_not_taken(run_cli, sounds, plain_checkpoint, spans):
    assert run_cli("index", ".", "--model", plain_checkpoint[0], "--store", "store").status == 0
    write_audio(sounds / "a.wav", noise(2, 9))
    options = ("--store", "store", "--format", "jsonl", *spans, *(BARE if spans else ()))
    outcome = run_cli("query", "rain", *options, "--cut-to", "cuts")
    assert outcome.status == 2
    changed = f"pe-search: {sounds / 'a.wav'}: has changed since it was indexed; index it again\n"
    assert outcome.err == f"{changed}1 cut written to cuts\n"
    assert len(outcome.out.splitlines()) == 2
    assert [name[:2] for name in names_in(sounds / "cuts")] == ["b_"]
    (sounds / "b.wav").unlink()
    outcome = run_cli("query", "rain", *options, "--copy-to", "copies")
    assert outcome.status == 2
    assert f"pe-search: {sounds / 'b.wav'}: No such file or directory\n" in outcome.err
    assert names_in(sounds / "copies") == []


@pytest.mark.parametrize("hit_format", ["paths", "jsonl", "csv"])
def test_hits_that_are_gone_are_told_where_no_table_marks_them(run_cli, sounds, plain_checkpoint, hit_format):
    assert run_cli("index", ".", "--model", plain_checkpoint[0], "--store", "./store").status == 0
    options = ("rain", "dog", "--store", "./store", "--format", hit_format)
    before = run_cli("query", *options)
    assert (before.status, before.err) == (0, "")
    (sounds / "b.wav").unlink()
    command = f"`pe-search index --store {sounds / 'store'}`"
    said = f"pe-search: 1 clip of the hits is gone from the disk; {command} removes what is gone\n"
    assert run_cli("query", *options) == Outcome(0, before.out, said)
    (sounds / "a.wav").unlink()
    assert run_cli("query", *options).err == said.replace("1 clip of the hits is", "2 clips of the hits are")
    assert run_cli("query", "rain", "--store", "./store", "--format", "table").err == ""
    # It is not said twice of a clip that can't be copied.
    copied = run_cli("query", "rain", *options[2:], "--copy-to", "copies")
    assert copied.status == 2
    assert "gone from the disk" not in copied.err


@pytest.mark.parametrize("spans", [(), ("--spans",)], ids=["windows", "spans"])
def test_a_clip_that_several_queries_find_is_named_once(run_cli, sounds, plain_checkpoint, spans):
    assert run_cli("index", ".", "--model", plain_checkpoint[0], "--store", "store").status == 0
    write_audio(sounds / "a.wav", noise(2, 9))
    outcome = run_cli("query", "rain", "church bell", "--store", "store", *spans, "--copy-to", "copies")
    assert outcome.status == 2
    assert outcome.err.count(str(sounds / "a.wav")) == 1
    assert names_in(sounds / "copies") == ["b.wav"]


@pytest.mark.parametrize("option", ["--copy-to", "--cut-to"])
def test_a_variable_that_was_never_set_is_not_the_working_directory(run_cli, sounds, option):
    outcome = run_cli("locate", "rain", "a.wav", option, "")
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err == f"pe-search: {option}: must not be empty.\n"
    assert names_in(sounds) == ["a.wav", "b.wav"]


def test_a_clip_that_flac_has_no_room_for_is_left_out_and_the_rest_is_cut(run_cli, sounds, plain_checkpoint):
    write_audio(sounds / "a.wav", noise(1, rate_hz=88_201), 88_201)
    outcome = run_cli("locate", "rain", "a.wav", "b.wav", *BARE, "--model", plain_checkpoint[0], "--cut-to", "cuts")
    reason = "has a sample rate of 88201 Hz, which FLAC does not support"
    assert (outcome.status, len(outcome.out.splitlines())) == (2, 2)
    assert outcome.err == f"pe-search: {sounds / 'a.wav'}: {reason}\n1 cut written to cuts\n"


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_done(run_cli, library, sounds):
    outcome = run_cli("query", "rain", "--store", library.store, "--copy-to", "a.wav")
    assert (outcome.status, outcome.out, outcome.err) == (2, b"", "pe-search: a.wav: is a file, not a folder.\n")


# Playing


def played_lengths_s(played: Path) -> list[float]:
    return [soundfile.info(played / name).duration for name in names_in(played)]


def test_hits_are_played_in_turn(run_cli, library, player):
    played = player("aplay")
    outcome = run_cli("query", "rain", *weather(library), "--format", "jsonl", "--play")
    hits = hits_of(outcome.out)
    assert outcome.status == 0
    assert played_lengths_s(played) == pytest.approx([hit["end_s"] - hit["start_s"] for hit in hits], abs=1e-4)
    lines = outcome.err.splitlines()
    assert [line.split()[:2] for line in lines] == [
        [f"{number}/3", f"{hit['probability']:.2f}"] for number, hit in enumerate(hits, 1)
    ]
    assert all("quit" not in line for line in lines), "there is nobody to press a key"


def test_nothing_found_plays_nothing(run_cli, library, player):
    played = player("aplay")
    outcome = run_cli("query", "rain", *weather(library), "--min-probability", 1, "--play")
    assert (outcome.status, outcome.out, names_in(played)) == (1, b"", [])


def test_spans_are_played_in_turn(run_cli, sounds, plain_checkpoint, player):
    played = player("mpv")
    outcome = run_cli("locate", "rain", "a.wav", "b.wav", *BARE, "--model", plain_checkpoint[0], "--play")
    assert outcome.status == 0
    assert played_lengths_s(played) == [2.0, 3.0]


def test_without_a_player_there_is_a_line_that_says_so(run_cli, library, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = run_cli("query", "rain", *weather(library), "--play")
    assert (outcome.status, outcome.out) == (2, b"")
    assert outcome.err == ("pe-search: No audio player found. Install one of ffplay, mpv, afplay, aplay, paplay.\n")


def test_the_first_player_that_is_there_is_taken(player, tmp_path):
    with pytest.raises(PeSearchError):
        find_player()
    for name in ("paplay", "aplay", "afplay", "mpv", "ffplay"):
        player(name)
        assert find_player()[0] == str(tmp_path / "programs" / name)


def test_a_player_that_fails_is_a_line(run_cli, library, player):
    player("paplay", "sys.exit(3)")
    outcome = run_cli("query", "rain", *weather(library), "--play")
    assert outcome.status == 2
    said = "pe-search: paplay can't play: it ended with status 3. Is there a sound device?"
    assert outcome.err.splitlines()[-1] == said
    player("paplay", "sys.exit('ALSA lib pcm.c\\naudio open error: No such file or directory')")
    outcome = run_cli("query", "rain", *weather(library), "--play")
    said = "pe-search: paplay can't play: audio open error: No such file or directory. Is there a sound device?"
    assert (outcome.status, outcome.err.splitlines()[-1]) == (2, said)


def test_a_player_that_complains_and_plays_nothing_has_failed_whatever_its_status(run_cli, library, player):
    """So ffplay does where there is no sound device; its last line names the file."""
    lines = "'No more combinations to try, audio open failed\\nFailed to open file ' + sys.argv[-1]"
    player("ffplay", f"print({lines}, file=sys.stderr)")
    outcome = run_cli("query", "rain", *weather(library), "--play")
    said = "pe-search: ffplay can't play: No more combinations to try, audio open failed. Is there a sound device?"
    assert (outcome.status, outcome.err.splitlines()[-1]) == (2, said)


def test_a_player_that_complains_and_plays_on_has_not_failed(sounds, player):
    played = player("aplay", "print('underrun', file=sys.stderr); time.sleep(0.2)")
    span = Span(0.0, 0.3, 0.5)
    listener = Listener()
    play(find_player(), [(sounds / "a.wav", span)], listener.cut_wav, pytest.fail)
    assert played_lengths_s(played) == [0.3]


def test_a_clip_that_cannot_be_played_is_passed_over(run_cli, sounds, plain_checkpoint, player):
    """It was heard, and is gone when its turn comes."""
    played = player("aplay", f"pathlib.Path({str(sounds / 'b.wav')!r}).unlink(missing_ok=True)")
    write_audio(sounds / "c.wav", noise(1))
    files = ("a.wav", "b.wav", "c.wav")
    outcome = run_cli("locate", "rain", *files, *BARE, "--model", plain_checkpoint[0], "--play")
    assert outcome.status == 2
    assert f"pe-search: {sounds / 'b.wav'}: " in outcome.err
    assert played_lengths_s(played) == [2.0, 1.0]


def test_keys_go_on_and_back_and_quit(terminal, library, player):
    """The player would play on and on; it is the keys that end it."""
    played = player("ffplay", "time.sleep(600)")
    args = ["query", "rain", *weather(library), "--format", "paths", "--play"]
    program = terminal([sys.executable, "-m", "pe_search", *args])
    for started, (line, times, keys) in enumerate(
        [(b"1/3", 1, b"n"), (b"2/3", 1, b"xp"), (b"1/3", 2, b"N"), (b"2/3", 2, b"q")], start=1
    ):
        program.read_until(lambda shown, line=line, times=times: shown.count(line) == times)
        wait_for_player(played, started)
        program.press(keys)
    status, shown = program.finish()
    assert status == 0
    assert turns_of(shown) == ["1/3", "2/3", "1/3", "2/3"]
    assert len(names_in(played)) == 4
    assert "Keys: space pause, r again, 1-3 that one, n next, p previous, Enter keep, q quit.\n" in shown


def turns_of(shown: str) -> list[str]:
    return [line.split()[0] for line in shown.splitlines() if line[:1].isdigit() and "/" in line.split()[0]]


def test_a_number_goes_to_a_hit_and_r_plays_it_again(terminal, library, player):
    played = player("ffplay", "time.sleep(600)")
    program = terminal([sys.executable, "-m", "pe_search", "query", "rain", *weather(library), "--play"])
    for started, keys in enumerate((b"3", b"r", b"9p", b"1", b"q"), start=1):
        wait_for_player(played, started)
        program.press(keys)
    status, shown = program.finish()
    assert (status, turns_of(shown)) == (0, ["1/3", "3/3", "2/3", "1/3"])


def test_a_number_of_two_digits_is_waited_for(library, monkeypatch):
    pressed = iter(["1", "2", "1", None, "3", "0", None])
    keys = player_module._Keys(lambda _seconds: next(pressed), 12)
    assert [keys.within(0.05) for _ in range(4)] == ["12", "1", "3", None]


def test_a_pause_goes_on_where_it_was(run_cli, sounds, player):
    """What is left of the three seconds is played, from within them."""
    played = player("ffplay", "time.sleep(0 if len(list(folder.iterdir())) > 1 else 600)")
    seen: list[Span] = []

    def cut(path: Path, span: Span, wav: Path) -> None:
        seen.append(span)
        Listener().cut_wav(path, span, wav)

    def keys(_seconds: float) -> str | None:
        wait_for_player(played, 1)
        return next(pressed, None)

    pressed = iter([" ", None, "x", "\r", " "])
    kept: list[Path] = []
    playing = player_module._Playing(
        find_player(),
        cut,
        sounds / "span.wav",
        player_module._Keys(keys, 1),
        1.0,
        lambda path, _span: kept.append(path),
    )
    assert playing.play("1/1", sounds / "b.wav", Span(1.0, 3.0, 0.5)) == "n"
    assert [span.end_s for span in seen] == [3.0, 3.0]
    assert seen[0].start_s == 1.0 < seen[1].start_s <= 2.9
    assert kept == [sounds / "b.wav"]


@pytest.mark.parametrize("option", ["--copy-to", "--cut-to", None])
def test_enter_keeps_what_plays_and_nothing_else_is_taken(terminal, library, player, tmp_path, option):
    played = player("ffplay", "time.sleep(600)")
    folder = [] if option is None else [option, tmp_path / "picks"]
    args = ["query", "rain", *weather(library), "--format", "paths", "--play", *folder]
    program = terminal([sys.executable, "-m", "pe_search", *args])
    for started, keys in enumerate((b"n", b"\r"), start=1):
        wait_for_player(played, started)
        program.press(keys)
    program.read_until(lambda shown: b"kept  " in shown)
    program.press(b"q")
    status, shown = program.finish()
    path = shown.splitlines()[1]
    assert (status, shown.count("kept  ")) == (0, 1)
    assert f"kept  {path}\n" in shown
    if option is None:
        assert shown.endswith(f"You kept 1 clip:\n{path}\n")
    else:
        assert len(names_in(tmp_path / "picks")) == 1
        assert names_in(tmp_path / "picks")[0].startswith(Path(path).stem)
        what = "1 clip copied to" if option == "--copy-to" else "1 cut written to"
        assert shown.endswith(f"{what} {tmp_path / 'picks'}\n")


@pytest.mark.slow
def test_backwards_past_a_clip_that_cannot_be_played(terminal, sounds, plain_checkpoint, player):
    played = player("ffplay", f"pathlib.Path({str(sounds / 'b.wav')!r}).unlink(missing_ok=True); time.sleep(600)")
    write_audio(sounds / "c.wav", noise(1))
    args = ["locate", "rain", "a.wav", "b.wav", "c.wav", *BARE, "--model", plain_checkpoint[0], "--play"]
    program = terminal([sys.executable, "-m", "pe_search", *args])
    for started, keys in enumerate((b"n", b"p", b"q"), start=1):
        # Read, because a program waits that fills its terminal, as with a bar.
        program.read_until(lambda shown, turns=started: shown.count(b"/3  ") >= turns)
        wait_for_player(played, started)
        program.press(keys)
    status, shown = program.finish()
    assert (status, turns_of(shown)) == (2, ["1/3", "3/3", "1/3"])
    assert shown.count(f"{sounds / 'b.wav'}: ") == 1


def test_an_interrupt_ends_it_and_gives_the_terminal_back(terminal, library, player):
    played = player("mpv", "time.sleep(600)")
    program = terminal([sys.executable, "-m", "pe_search", "query", "rain", *weather(library), "--play"])
    echo_before = termios.tcgetattr(program._master)[3] & termios.ECHO
    program.read_until(lambda shown: b"1/3  " in shown)
    wait_for_player(played, 1)
    assert termios.tcgetattr(program._master)[3] & termios.ECHO == 0
    program.process.send_signal(signal.SIGINT)
    status, shown = program.finish()
    assert (status, "Traceback" in shown) == (130, False)
    assert termios.tcgetattr(program._master)[3] & termios.ECHO == echo_before != 0
