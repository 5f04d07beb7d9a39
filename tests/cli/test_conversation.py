"""`pe-search query` with nothing to look for, on a terminal of its own: what is typed, and what is shown."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path

import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from pe_search.cli.input.conversation import _HELP, Conversation, ctrl_c_put_off
from pe_search.cli.output import reveal as reveal_module
from pe_search.errors import PeSearchError, StoreError
from pe_search.library import Library
from pe_search.queries import Query, Request, SpanRules, Term
from tests.cli.conftest import Terminal, names_in, wait_for_player, wait_until
from tests.made_up import make_checkpoint, noise, write_audio

HELP = f"{_HELP}\n"
GREETING = "Type what you are looking for. :help lists the commands, :q ends this.\n"
UP = b"\x1b[A"


class Talk:
    """A conversation that a test has with the command."""

    def __init__(self, program: Terminal) -> None:
        self.program = program
        self.greeting = self._read_answer()

    def type(self, line: str) -> str:
        """Type a line; returns what is shown up to the next prompt, without the line."""
        answer = self.press(f"{line}\r".encode())
        assert answer.startswith(f"{line}\n")
        return answer.removeprefix(f"{line}\n")

    def press(self, keys: bytes) -> str:
        """Press keys at the prompt; returns what is shown up to the next one."""
        self.program.press(keys)
        return self._read_answer()

    def interrupt(self) -> str:
        """Press Ctrl-C; returns what is shown up to the next prompt."""
        # Between the prompt and the wait for a key, readline doesn't notice a signal: nobody but a test is so quick.
        self.program.wait_until_it_waits()
        return self.press(b"\x03")

    def end(self, keys: bytes = b":quit\r") -> str:
        """Press keys that end the conversation as it should end; returns what is shown after the prompt."""
        before = len(self.program.shown)
        self.program.press(keys)
        status, _ = self.program.finish()
        assert status == 0
        return self.program.shown[before:].decode().replace("\r\n", "\n")

    def _read_answer(self) -> str:
        before = len(self.program.shown)
        shown = self.program.read_until(lambda shown: len(shown) > before and shown.endswith(b"\n> "))
        assert shown.endswith(b"\n> "), shown
        return shown[before:].decode().replace("\r\n", "\n").removesuffix("> ")


@pytest.fixture
def talk(terminal, tmp_path, monkeypatch) -> Callable[..., Talk]:
    """Begin a conversation."""
    # Versions of readline differ in what they ask of the terminal, and so do its users.
    (tmp_path / "inputrc").write_text("set enable-bracketed-paste off\n")
    monkeypatch.setenv("INPUTRC", str(tmp_path / "inputrc"))

    def begin(*args: object) -> Talk:
        return Talk(terminal([sys.executable, "-m", "pe_search", "query", *args]))

    return begin


@pytest.fixture
def shown_by(run_cli_on_terminal) -> Callable[..., str]:
    """What a query shows that is no conversation, but for the line that says how to see more."""
    return lambda *args: re.sub(r"[\d,]+ of [\d,]+ shown;.*\n", "", run_cli_on_terminal("query", *args))


def hits_of(run_cli, *args: object) -> list[dict[str, object]]:
    return [json.loads(line) for line in run_cli("query", *args, "--format", "jsonl").out.splitlines()]


def test_a_conversation_from_beginning_to_end(talk, shown_by, run_cli, library):
    options = ("--store", library.store, "-k", 3, "--under", library.sounds / "weather")
    hits = hits_of(run_cli, "rain", *options)
    second = "{path}@{start_s:.15g}-{end_s:.15g}".format(**hits[1])
    talk = talk(*options)

    assert talk.greeting == GREETING
    assert talk.type(":like 1") == "pe-search: There are no hits. Search for something first.\n"
    assert talk.type("rain") == shown_by("rain", *options)
    assert talk.type("  church   bell ") == shown_by("church bell", *options)
    assert talk.type("") == ""
    assert talk.type("rain") == shown_by("rain", *options)
    assert talk.type(":spans 4") == "pe-search: There is no hit 4: the last answer has 3 hits.\n"
    assert talk.type(":spans 0") == "pe-search: There is no hit 0: the last answer has 3 hits.\n"
    assert talk.type(":spans") == "pe-search: :spans takes the number of a hit, as in `:spans 1`.\n"
    assert talk.type(":like one") == "pe-search: :like takes the number of a hit, as in `:like 1`.\n"
    assert talk.type(":dance") == "pe-search: There is no command ':dance'. :help lists the commands.\n"
    assert talk.type(":spans 1") == shown_by("rain", "--spans", *options[:2], "-k", 1, *options[4:])
    assert talk.type(":like 2") == shown_by("--like", second, *options)
    assert talk.type(":spans 1") == (
        "pe-search: Spans need a text, and the last query was audio. Search for a text first.\n"
    )
    assert talk.type(":help") == HELP == talk.type("help")
    assert talk.end() == ":quit\n"


def test_every_command_has_a_line_of_help_that_fits_a_terminal():
    lines = HELP.splitlines()
    named = [line.split()[0] for line in lines if line.startswith(":")]
    assert named == [
        ":more",
        ":play",
        ":spans",
        ":ask",
        ":like",
        ":copy",
        ":reveal",
        ":word",
        ":yes",
        ":words",
        ":said",
        ":under",
        ":filter",
        ":k",
        ":help",
        ":q",
    ]
    assert all(len(line) <= 100 for line in lines)


@pytest.mark.parametrize("word", ["quit", "exit", "q", "Quit", ":q", ":quit", ":exit"])
def test_words_that_end_it(word):
    asked: list[object] = []
    hold([word, "rain"], lambda request, *_: asked.append(request))
    assert asked == []


def test_a_word_that_is_a_command_is_searched_in_quotes():
    asked: list[tuple[str, ...]] = []
    lines = ['"help"', "'quit'", '"a dog" barking', '""', "helping"]
    hold(lines, lambda request, *_: asked.append(request.queries[0].texts))
    assert asked == [("help",), ("quit",), ('"a dog" barking',), ("helping",)]


def test_more_goes_on_where_the_answer_ended(talk, shown_by, library):
    options = ("--store", library.store, "--under", library.sounds / "weather")
    talk = talk(*options, "-k", 1)
    assert talk.type(":more") == "pe-search: There are no hits. Search for something first.\n"

    def paths_in(table: str) -> list[str]:
        return [line.split()[-1] for line in table.splitlines() if "weather/" in line]

    def shown(line: str) -> list[str]:
        return paths_in(talk.type(line))

    paths = paths_in(shown_by("rain", *options))

    assert len(paths) == 3
    assert shown("rain") == paths[:1]
    assert shown(":more") == paths[1:2]
    assert talk.type(":k 5") == ""
    assert shown(":more") == paths[2:]
    assert talk.type(":more") == "There are no more hits.\n"
    assert talk.type(":more 2") == "pe-search: :more takes no argument. :k sets how many hits it shows.\n"
    assert talk.type(":spans 4") == "pe-search: There is no hit 4: the last answer has 3 hits.\n"
    talk.end(b":q\r")


def test_how_many_are_shown_and_of_which_folder_can_be_set(talk, shown_by, library):
    weather, dogs = library.sounds / "weather", library.sounds / "dogs"
    talk = talk("--store", library.store, "-k", 1)
    assert talk.type(f":under {weather}") == f"Searching 3 clips in {weather}.\n"
    assert talk.type(":k all") == ""
    assert talk.type("rain") == shown_by("rain", "--store", library.store, "--under", weather, "-k", "all")
    assert talk.type(f':under "{dogs}"') == f"Searching 2 clips in {dogs}.\n"
    assert talk.type(":k 1") == ""
    assert talk.type("rain") == shown_by("rain", "--store", library.store, "--under", dogs, "-k", 1)
    assert talk.type(":under /nowhere") == "pe-search: The store has no clips in /nowhere.\n"
    assert talk.type(":under") == f"Searching {len(library.clips)} clips.\n"
    assert talk.type("rain") == shown_by("rain", "--store", library.store, "-k", 1)
    for wrong in (":k", ":k 0", ":k ten", ":k -1"):
        assert talk.type(wrong) == "pe-search: :k takes a number of hits, as in `:k 20`, or `all`.\n"
    talk.end()


def test_a_hit_is_copied_and_the_folder_is_remembered(talk, run_cli, library, tmp_path):
    options = ("--store", library.store, "-k", 2, "--under", library.sounds / "weather")
    names = [Path(hit["path"]).name for hit in hits_of(run_cli, "rain", *options)]
    talk = talk(*options)
    talk.type("rain")
    assert talk.type(":copy 1") == "pe-search: Give a folder, as in `:copy 1 picks`.\n"
    assert talk.type(":copy") == "pe-search: :copy takes the number of a hit, as in `:copy 1`.\n"
    assert talk.type(f":copy 1 {tmp_path}/my picks") == f"1 clip copied to {tmp_path}/my picks\n"
    assert talk.type(":copy 2") == f"1 clip copied to {tmp_path}/my picks\n"
    assert names_in(tmp_path / "my picks") == sorted(names)
    talk.end()


# The file manager


@pytest.fixture
def opened(tmp_path, monkeypatch) -> Callable[[], str]:
    """A desktop, whose file manager writes down what it is to open; gives that."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "xdg-open"
    program.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opening\nmv {tmp_path}/opening {tmp_path}/opened\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("DISPLAY", ":0")

    def read() -> str:
        wait_until((tmp_path / "opened").exists, "it is opened")
        return (tmp_path / "opened").read_text()

    return read


def test_a_hit_is_shown_in_the_file_manager(talk, run_cli, library, opened):
    options = ("--store", library.store, "-k", 1)
    hit = hits_of(run_cli, "rain", *options)[0]
    talk = talk(*options)
    talk.type("rain")
    assert talk.type(":reveal 1") == ""
    assert opened() == f"{Path(str(hit['path'])).parent}\n"
    talk.end()


@pytest.mark.parametrize(
    ("system", "expected"),
    [("darwin", ["open", "-R", "{path}"]), ("win32", 'explorer /select,"{path}"')],
)
def test_other_systems_select_the_file(tmp_path, monkeypatch, system, expected):
    path = write_audio(tmp_path / "a.wav", noise(0.1))
    run: list[object] = []
    monkeypatch.setattr(reveal_module.sys, "platform", system)
    monkeypatch.setattr(reveal_module.subprocess, "Popen", lambda command, **_: run.append(command))
    reveal_module.reveal(path)
    expected = (
        [part.format(path=path) for part in expected] if isinstance(expected, list) else expected.format(path=path)
    )
    assert run == [expected]


def test_without_a_desktop_or_a_file_there_is_a_line_that_says_so(tmp_path, monkeypatch):
    path = write_audio(tmp_path / "a.wav", noise(0.1))
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    said = f"no file manager can be opened: there is no desktop here. The file is {path}"
    with pytest.raises(PeSearchError, match=f"^{re.escape(said)}$"):
        reveal_module.reveal(path)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PeSearchError, match="xdg-open is not installed"):
        reveal_module.reveal(path)
    with pytest.raises(PeSearchError, match="No such file"):
        reveal_module.reveal(tmp_path / "b.wav")


def test_options_hold_for_every_line(talk, shown_by, library, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    options = (
        "--store",
        library.store,
        "--all-windows",
        "--min-probability",
        0.4,
        "--minus",
        "church bell",
        "--explain",
    )
    rules = ("--threshold", 0.6, "--smooth", 0, "--min-length", 0, "--join", 0)
    texts = ("rain", "a dog barking")
    for text in texts:
        shown_by(text, *options)
    # By now the store remembers all of them, and --explain says so.
    one_by_one = [shown_by(text, *options) for text in texts]
    talk = talk(*options, *rules)
    assert [talk.type(text) for text in texts] == one_by_one
    talk.end()


@pytest.mark.slow
def test_so_does_the_one_for_spans(talk, shown_by, run_cli, library):
    options = ("--store", library.store, "--spans", "--threshold", 0.6, "-k", 2, "--minus", "sea")
    talk = talk(*options)
    assert talk.type("rain") == shown_by("rain", *options)
    like = "{path}@{start_s:.15g}-{end_s:.15g}".format(**hits_of(run_cli, "rain", *options)[0])
    assert talk.type(":like 1") == shown_by("--like", like, "--store", library.store, "-k", 2, "--minus", "sea")
    talk.end()


def test_nothing_found_is_said(talk, library):
    talk = talk("--store", library.store, "--min-probability", 1)
    assert "nothing found in 14 clips with --min-probability 1; the best has probability" in talk.type("rain")
    assert talk.type(":play 1") == "pe-search: There are no hits. Search for something first.\n"
    talk.end()


def test_ctrl_c_gives_up_the_line_and_ctrl_d_ends(talk, shown_by, library):
    talk = talk("--store", library.store, "-k", 1)
    # Echoed first, because the terminal drops what it hasn't handed on when Ctrl-C is pressed.
    talk.program.press(b"church")
    talk.program.read_until(lambda shown: shown.endswith(b"church"))
    assert talk.interrupt() == "\n"
    assert talk.interrupt() == "\n"
    assert talk.type("rain") == shown_by("rain", "--store", library.store, "-k", 1)
    assert talk.end(b"\x04") == "\n"


def test_the_arrow_keys_go_back_to_earlier_conversations(talk, shown_by, library, tmp_path):
    options = ("--store", library.store, "-k", 1)
    first = talk(*options)
    first.type("rain")
    first.type("church bell")
    first.end()
    history = tmp_path / "state-home" / "pe-search" / "history"
    assert history.read_text() == "rain\nchurch bell\n"
    assert history.stat().st_mode & 0o777 == 0o600

    second = talk(*options)
    assert second.press(2 * UP + b"\r").endswith(f"\n{shown_by('rain', *options)}")
    second.end()
    assert history.read_text() == "rain\nchurch bell\nrain\n"


@pytest.mark.parametrize(
    ("encoding", "answer"),
    [
        ("utf-8:strict", "what you typed is not utf-8."),
        ("utf-8:surrogateescape", "TEXT: must be UTF-8."),
    ],
)
def test_bytes_that_are_no_text_are_a_line(talk, shown_by, library, monkeypatch, encoding, answer):
    """Which of the two Python takes depends on the user's locale."""
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    talk = talk("--store", library.store, "-k", 1)
    talk.program.press(b"\xff\r")
    shown = talk.program.read_until(lambda shown: shown.count(b"> ") == 2)
    assert shown.endswith(f"\r\npe-search: {answer}\r\n> ".encode())
    assert talk.type("rain") == shown_by("rain", "--store", library.store, "-k", 1)
    talk.end()


# What is played


def test_a_hit_is_played_and_ctrl_c_stops_it_and_nothing_else(talk, run_cli, library, player):
    played = player("ffplay", "time.sleep(600)")
    options = ("--store", library.store, "-k", 2)
    hit = hits_of(run_cli, "rain", *options)[1]
    talk = talk(*options)
    answer = talk.type("rain")
    for times in (1, 2):
        talk.program.press(b":play 2\r")
        wait_for_player(played, times)
        talk.interrupt()
        assert talk.program.shown.endswith(str(hit["path"]).encode() + b"\r\n\r\n> ")
    assert [soundfile.info(played / name).duration for name in names_in(played)] == pytest.approx(
        2 * [hit["end_s"] - hit["start_s"]], abs=1e-4
    )
    assert talk.type("rain") == answer
    talk.end()


def test_without_a_player_there_is_a_line_that_says_so(talk, library, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    talk = talk("--store", library.store, "-k", 1)
    talk.type("rain")
    assert talk.type(":play 1") == (
        "pe-search: No audio player found. Install one of ffplay, mpv, afplay, aplay, paplay.\n"
    )
    talk.end()


def test_with_an_option_that_needs_one_there_is_no_conversation(terminal, library, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    program = terminal([sys.executable, "-m", "pe_search", "query", "--play", "--store", library.store])
    assert program.finish() == (
        2,
        "pe-search: No audio player found. Install one of ffplay, mpv, afplay, aplay, paplay.\n",
    )


# Whatever is typed

COMMANDS = st.sampled_from(
    [":", ":play", ":spans", ":like", ":help", "help", ":quit", ":play 1", ":like 0", ":spans " + "9" * 5_000, ":more"]
)
BESIDE = (), (Term("speech", 1.0),), ()
LINES = st.lists(COMMANDS | st.text(st.characters(exclude_characters="\"'"), max_size=20))


@given(LINES)
def test_nothing_that_is_typed_ends_it_but_quit_and_all_else_is_asked(lines):
    asked = []
    hold(lines, lambda request, *_: asked.append(request.queries[0]))
    plain = [" ".join(line.split()) for line in lines]
    until_quit = list(
        takewhile(lambda line: line.casefold() not in (":q", ":quit", ":exit", "q", "quit", "exit"), plain)
    )
    texts = [line for line in until_quit if line.casefold() not in ("", "help", "?") and not line.startswith(":")]
    assert asked == [Query((text,), *BESIDE) for text in texts if is_utf8(text)]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyboardInterrupt(), "\n"),
        (StoreError("The catalog is damaged."), "pe-search: The catalog is damaged.\n"),
        (OSError(28, "No space left on device", "/a/b\n"), "pe-search: /a/b\\n: No space left on device\n"),
        (OSError("odd"), "pe-search: odd\n"),
    ],
    ids=["Ctrl-C", "of pe-search", "of a file", "of the system"],
)
def test_neither_does_what_goes_wrong_with_an_answer(capsys, error, said):
    asked = []

    def show(request: Request, *_: object) -> None:
        asked.append(request.queries[0].texts)
        raise error

    hold(["rain", ":play 1", "sea"], show)
    assert asked == [("rain",), ("sea",)]
    no_hits = "pe-search: There are no hits. Search for something first.\n"
    assert capsys.readouterr().err == f"{GREETING}{said}{no_hits}{said}\n"


def hold(lines: list[str], show: Callable[[Request, object, int], None]) -> None:
    """Hold a conversation in this process, in which no answer has a hit, so that nothing can be done with one."""
    waiting = iter(lines)

    def typed(_prompt: str) -> str:
        try:
            return next(waiting)
        except StopIteration:
            raise EOFError from None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.input", typed)
        request = Request((Query((), *BESIDE),))
        Conversation(Library("/nowhere"), request, show, lambda _speed: SpanRules(), None).hold()


def is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


# A store of the test's own


@pytest.fixture
def sounds(tmp_path, monkeypatch) -> Path:
    """A folder of two clips, and beside it a checkpoint, and a store made with it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PE_SEARCH_STORE", str(tmp_path / "store"))
    make_checkpoint(tmp_path / "checkpoint")
    for seed, name in enumerate(("a.wav", "b.wav")):
        write_audio(tmp_path / "sounds" / name, noise(1, seed) * (1 + seed))
    return tmp_path / "sounds"


def test_what_comes_in_meanwhile_is_found_and_what_goes_is_not(talk, shown_by, run_cli, sounds):
    assert run_cli("index", sounds, "--model", "checkpoint").status == 0
    talk = talk()
    before = talk.type("rain")
    write_audio(sounds / "c.wav", noise(1, 7) * 3)
    assert run_cli("index", sounds).status == 0
    after = talk.type("rain")
    assert after == shown_by("rain")
    assert ("c.wav" in before, "c.wav" in after) == (False, True)
    assert run_cli("remove", sounds / "c.wav").status == 0
    assert talk.type("rain") == before
    talk.end()


def test_a_store_that_took_its_place_meanwhile_is_asked_also_one_of_another_kind(talk, shown_by, run_cli, sounds):
    assert run_cli("index", sounds, "--model", "checkpoint").status == 0
    talk = talk()
    assert "b.wav" in talk.type("rain")
    shutil.rmtree("store")
    assert run_cli("index", sounds / "a.wav", "--model", "checkpoint").status == 0
    answer = talk.type("rain")
    assert answer == shown_by("rain")
    assert "b.wav" not in answer
    shutil.rmtree("store")
    assert run_cli("index", sounds, "--model", "checkpoint", "--window", 0.5).status == 0
    of_short_windows = talk.type("rain")
    assert of_short_windows == shown_by("rain")
    assert "b.wav" in of_short_windows
    talk.end()


@pytest.mark.slow
def test_towers_are_loaded_once(talk, shown_by, run_cli, sounds, empty_cache):
    """Once they are, they can be deleted: there is nothing else that new texts could be embedded with."""
    assert run_cli("index", sounds, "--model", "checkpoint").status == 0
    bell, siren = shown_by("church bell"), shown_by("siren")
    bell_spans = shown_by("church bell", "--spans", "-k", 1)
    for text in ("church bell", "siren"):
        assert text in bell + siren
    (Path("store") / "texts.sqlite3").unlink()

    talk = talk()
    talk.type("rain")
    talk.type(":spans 1")
    shutil.rmtree("checkpoint")
    shutil.rmtree(empty_cache)
    assert talk.type("siren") == siren
    assert talk.type("church bell") == bell
    assert talk.type(":spans 1") == bell_spans
    talk.end()
    assert run_cli("query", "a dog").status == 2


def test_an_error_is_a_line_and_the_conversation_goes_on(talk, run_cli, sounds, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    assert run_cli("index", sounds, "--model", "checkpoint").status == 0
    talk = talk("-k", 1)
    answer = talk.type("rain")
    (hit,) = hits_of(run_cli, "rain", "-k", 1)
    shutil.move(hit["path"], "elsewhere.wav")
    assert talk.type(":like 1") == f"pe-search: {hit['path']}: No such file or directory\n"
    assert "(gone)" in talk.type("rain")
    shutil.move("elsewhere.wav", hit["path"])
    assert talk.type("rain") == answer
    talk.end()


# Before and beside


def test_a_store_that_is_not_there_is_told_before_anything_is_asked(terminal, sounds, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    status, shown = terminal([sys.executable, "-m", "pe_search", "query"]).finish()
    assert status == 2
    assert shown == (f"pe-search: There is no store at {Path.cwd() / 'store'}; make it with `pe-search index PATH`.\n")


def test_with_a_terminal_for_the_answers_only_there_is_no_conversation(run_cli_on_terminal):
    shown = run_cli_on_terminal("query", status=2)
    assert "pe-search: Give a TEXT, --plus, --like, --words or --said. As TEXT, - reads standard input." in shown


@pytest.fixture
def pressed() -> Iterator[list[int]]:
    """The signals of Ctrl-C that come through."""
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: pressed.append(number))
    yield pressed
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_waits_until_what_must_not_be_cut_short_is_done(pressed):
    done = False
    with pytest.raises(KeyboardInterrupt), ctrl_c_put_off():
        signal.raise_signal(signal.SIGINT)
        done = True
    assert done
    assert pressed == []
    signal.raise_signal(signal.SIGINT)
    assert pressed == [signal.SIGINT]


def test_without_a_ctrl_c_nothing_is_put_off(pressed):
    with ctrl_c_put_off():
        pass
    signal.raise_signal(signal.SIGINT)
    assert pressed == [signal.SIGINT]


# Words that are taught


def test_hits_are_judged_for_a_word(talk, shown_by, run_cli, library, tmp_path):
    store = shutil.copytree(library.store, tmp_path / "own.store")
    options = ("--store", store, "-k", 3, "--under", library.sounds / "weather")
    talk = talk(*options)
    shape = "pe-search: :word takes a word, as in `:word @mybird`: @, letters, digits, _, - and dots.\n"
    assert talk.type(":word") == talk.type(":word mybird") == talk.type(":word @my bird") == shape
    assert talk.type(":yes 1") == "pe-search: There are no hits. Search for something first.\n"
    assert talk.type(":word @new") == "@new is new; :yes N and :no N teach it.\n"
    rain = talk.type("rain")
    assert talk.type(":word @storm") == (
        '@storm, from "rain": 0 yes, 0 no, 0 unsure; until something is judged it is its text.\n'
    )
    assert talk.type("@storm") == rain.replace("\x1b[1mrain\x1b", "\x1b[1m@storm\x1b")
    assert talk.type(":yes") == "pe-search: :yes takes the number of a hit, as in `:yes 1`.\n"
    assert talk.type(":no 4") == "pe-search: There is no hit 4: the last answer has 3 hits.\n"
    hits = hits_of(run_cli, "rain", *options)
    assert talk.type(":yes 2") == '@storm, from "rain": 1 yes, 0 no, 0 unsure.\n'
    assert talk.type(":no 1 3") == '@storm, from "rain": 1 yes, 2 no, 0 unsure.\n'
    assert talk.type(":unsure 3") == '@storm, from "rain": 1 yes, 1 no, 1 unsure.\n'
    # What was judged counts at once; the word keeps its text.
    assert talk.type("@storm") == shown_by("@storm", *options) != rain.replace("rain", "@storm", 1)
    assert talk.type("church bell") == shown_by("church bell", *options)
    assert talk.type(":word @storm") == talk.type(":word") == '@storm, from "rain": 1 yes, 1 no, 1 unsure.\n'
    assert talk.type("@storm") == shown_by("@storm", *options)
    assert talk.type(":spans 1") == "pe-search: @storm is a learned word, which can't be used with spans.\n"
    assert talk.type(":word @other") == "@other is new; :yes N and :no N teach it.\n"
    assert talk.end() == ":quit\n"
    with Library(store) as opened:
        judged = {(opened.paths_of(one.digest)[0], one.start_s): one.verdict for one in opened.judgements()}
        assert [word.word for word in opened.words()] == ["@storm"]
    assert judged == {
        (Path(hit["path"]), hit["start_s"]): verdict for hit, verdict in zip(hits, ("no", "yes", "unsure"), strict=True)
    }


def test_a_word_must_be_named_before_hits_are_judged(talk, library, tmp_path):
    store = shutil.copytree(library.store, tmp_path / "own.store")
    talk = talk("--store", store)
    talk.type("rain")
    assert talk.type(":yes 1") == "pe-search: Say for which word first, as in `:word @mybird`.\n"
    assert talk.end() == ":quit\n"


def test_no_word_is_taught_to_several_stores(talk, library, tmp_path):
    store = shutil.copytree(library.store, tmp_path / "own.store")
    talk = talk("--store", store, "--store", library.store)
    talk.type("rain")
    said = "pe-search: A word is taught to one store, and several are searched here.\n"
    assert talk.type(":word @storm") == said
    assert talk.end() == ":quit\n"
