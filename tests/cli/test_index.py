"""`pe-search index`: what it does to a store, what it says, and what a run that was cut short leaves."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from pe_search.pe_audio import checkpoint as checkpoint_module
from pe_search.pe_audio import embedder as embedder_module
from pe_search.pe_audio.checkpoint import find_checkpoint
from pe_search.pe_audio.compiled import open_compiled
from pe_search.pe_audio.loaded import Loaded
from pe_search.store import Store
from pe_search.tasks import indexing
from tests.cli.conftest import invoke
from tests.made_up import make_checkpoint, noise, write_audio

CLIP_S = 0.2


@pytest.fixture
def sounds(tmp_path) -> Path:
    """A folder of three short clips."""
    for seed, name in enumerate(["a.wav", "b.wav", "deep/er/c.wav"]):
        write_audio(tmp_path / "sounds" / name, noise(CLIP_S, seed))
    return tmp_path / "sounds"


@pytest.fixture
def index(plain_checkpoint, sounds, tmp_path):
    """Index the three clips, and whatever else is named, with the made-up checkpoint; stdout must stay empty."""

    def run(*args: object, status: int = 0, store: Path = tmp_path / "store", model: Path = plain_checkpoint[0]) -> str:
        outcome = invoke("index", sounds, "--model", model, "--store", store, *args)
        assert (outcome.status, outcome.out) == (status, b""), outcome.err
        return outcome.err

    return run


@pytest.fixture
def forbid_models(monkeypatch):
    """In its `with` block, putting a model to work is an error."""

    @contextmanager
    def forbid() -> Iterator[None]:
        def refuse(*args: object) -> None:
            raise AssertionError("a model was loaded")

        with monkeypatch.context() as patch:
            patch.setattr(embedder_module.Embedder, "__init__", refuse)
            yield

    return forbid


def facts(store: Path) -> dict[str, object]:
    return json.loads(invoke("status", "--format", "json", "--store", store).out)


def clips_in(store: Path) -> set[str]:
    """The names of the clips."""
    out = invoke("list", "--format", "jsonl", "--store", store).out
    return {Path(json.loads(line)["path"]).name for line in out.splitlines()}


def summary(
    clips: int,
    store: Path,
    *,
    windows: int | None = None,
    recognised: int = 0,
    unchanged: int = 0,
    removed: int = 0,
    left_out: int = 0,
    left_out_before: int = 0,
    dtype: str = "float32",
) -> str:
    """A pattern for the line that a run ends with."""

    def count(number: int, noun: str) -> str:
        return f"{number} {noun}{'' if number == 1 else 's'}"

    embedded = rf"{count(clips, 'clip')} embedded \({count(clips if windows is None else windows, 'window')}, [^)]*\)"
    counts = f"{unchanged} unchanged, {removed} removed, {left_out} left out"
    if recognised:
        counts = f"{recognised} recognised, {counts}"
    if left_out_before:
        seen = f"`pe-search status --problems --store {re.escape(str(store))}`"
        counts = rf"{counts}, {left_out_before} left out before \(see {seen}\)"
    chosen = rf" on cpu in {dtype}" if clips else ""
    return rf"{embedded} in \d+\.\d s{chosen}, {counts}\. Store: {re.escape(str(store))}\n"


def test_a_run_says_one_line_on_stderr_and_nothing_on_stdout(index, tmp_path):
    assert re.fullmatch(summary(3, tmp_path / "store"), index())


def test_the_first_run_with_a_checkpoint_compiles_its_text_tower(index, plain_checkpoint, empty_cache):
    index()
    checkpoint = find_checkpoint(str(plain_checkpoint[0]))
    assert open_compiled(empty_cache, checkpoint.name, checkpoint.revision) is not None


def test_compiled_towers_are_kept_in_the_users_cache_directory_unless_told(index, tmp_path, monkeypatch):
    monkeypatch.delenv("PE_SEARCH_CACHE")
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name, **_options: tmp_path / "of-the-user" / name)
    index()
    assert len(list((tmp_path / "of-the-user" / "pe-search" / "text-towers").iterdir())) == 1


def test_a_cache_that_can_not_be_written_to_is_no_trouble(index, empty_cache, tmp_path):
    empty_cache.write_text("")
    assert re.fullmatch(summary(3, tmp_path / "store"), index())
    assert clips_in(tmp_path / "store") == {"a.wav", "b.wav", "c.wav"}


def test_what_is_indexed_is_found(index, tmp_path):
    index()
    assert clips_in(tmp_path / "store") == {"a.wav", "b.wav", "c.wav"}


def test_a_second_run_embeds_nothing_and_loads_no_model(index, tmp_path, forbid_models):
    index()
    with forbid_models():
        assert re.fullmatch(summary(0, tmp_path / "store", unchanged=3), index())


def test_only_what_is_new_or_changed_is_embedded(index, sounds, tmp_path):
    index()
    write_audio(sounds / "d.wav", noise(CLIP_S, 4))
    write_audio(sounds / "a.wav", noise(2 * CLIP_S, 5))
    assert re.fullmatch(summary(2, tmp_path / "store", unchanged=2), index())
    assert clips_in(tmp_path / "store") == {"a.wav", "b.wav", "c.wav", "d.wav"}
    assert facts(tmp_path / "store")["audio_s"] == pytest.approx(5 * CLIP_S)


def test_what_is_gone_leaves_the_store_and_needs_no_model(index, sounds, tmp_path, forbid_models):
    index()
    (sounds / "a.wav").unlink()
    with forbid_models():
        assert re.fullmatch(summary(0, tmp_path / "store", unchanged=2, removed=1), index())
    assert clips_in(tmp_path / "store") == {"b.wav", "c.wav"}


def test_a_folder_that_lost_its_last_clip_empties_the_store(index, sounds, tmp_path):
    index()
    for path in [*sounds.rglob("*.wav")]:
        path.unlink()
    assert "--prune takes them out" in index(status=2)
    assert clips_in(tmp_path / "store") == {"a.wav", "b.wav", "c.wav"}
    assert re.fullmatch(summary(0, tmp_path / "store", removed=3), index("--prune"))
    assert invoke("query", "rain", "--store", tmp_path / "store").status == 1


def test_a_folder_that_is_gone_keeps_its_clips_in_the_store(index, sounds, tmp_path):
    index()
    sounds.rename(tmp_path / "unplugged")
    assert index(status=2) == (
        f"pe-search: {sounds}: nothing is left here, so the 3 clips that the store holds are kept in case a disk is "
        "not mounted; --prune takes them out\n"
    )
    assert clips_in(tmp_path / "store") == {"a.wav", "b.wav", "c.wav"}


def test_files_may_be_named_and_named_twice(index, sounds, tmp_path):
    extra = write_audio(tmp_path / "elsewhere" / "d.wav", noise(CLIP_S, 4))
    assert re.fullmatch(summary(4, tmp_path / "store"), index(extra, extra, sounds / "a.wav"))


def test_windows_are_counted(index, sounds, tmp_path):
    err = index("--window", CLIP_S / 2, "--hop", CLIP_S / 4)
    assert re.fullmatch(summary(3, tmp_path / "store", windows=9), err)
    assert {key: facts(tmp_path / "store")[key] for key in ("window_s", "hop_s", "clips", "windows")} == {
        "window_s": CLIP_S / 2,
        "hop_s": CLIP_S / 4,
        "clips": 3,
        "windows": 9,
    }


def test_the_hop_is_the_window_unless_told(index, tmp_path):
    index("--window", 0.1)
    assert (facts(tmp_path / "store")["window_s"], facts(tmp_path / "store")["hop_s"]) == (0.1, 0.1)


def test_windows_of_10_s_every_10_s_unless_told(index, tmp_path):
    index()
    assert (facts(tmp_path / "store")["window_s"], facts(tmp_path / "store")["hop_s"]) == (10.0, 10.0)


def test_a_store_keeps_its_windows_whether_they_are_named_again_or_not(index, sounds, tmp_path):
    index("--window", 0.1, "--hop", 0.05)
    write_audio(sounds / "d.wav", noise(CLIP_S, 4))
    index("--hop", 0.05)
    assert re.fullmatch(summary(0, tmp_path / "store", unchanged=4), index("--window", "0.10", "--hop", "5e-2"))
    assert facts(tmp_path / "store")["windows"] == 12


def test_a_bad_file_is_named_once_and_the_rest_is_indexed(index, sounds, tmp_path):
    (sounds / "aa.wav").write_text("no audio")
    (sounds / "empty.flac").touch()
    bad, empty, last = index(status=2).splitlines(keepends=True)
    assert bad == f"pe-search: {sounds}/aa.wav: can't be read as audio: Format not recognised\n"
    assert empty == f"pe-search: {sounds}/empty.flac: the file is empty\n"
    assert re.fullmatch(summary(3, tmp_path / "store", left_out=2), last)
    assert clips_in(tmp_path / "store") == {"a.wav", "b.wav", "c.wav"}


def test_a_bad_file_is_named_again_only_when_it_has_changed(index, sounds, tmp_path):
    (sounds / "bad.wav").write_text("no audio")
    first = index(status=2)
    assert re.fullmatch(summary(0, tmp_path / "store", unchanged=3, left_out_before=1), index(status=0))
    os.utime(sounds / "bad.wav", ns=(1, 1))
    assert index(status=2).splitlines()[0] == first.splitlines()[0]
    (sounds / "bad.wav").unlink()
    assert re.fullmatch(summary(0, tmp_path / "store", unchanged=3), index(status=0))


def test_only_clips_that_were_left_out_before(plain_checkpoint, tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    options = ("--model", plain_checkpoint[0], "--store", tmp_path / "store")
    assert invoke("index", write_audio(tmp_path / "good.wav", noise(CLIP_S)), *options).status == 0
    args = ("index", tmp_path / "bad.wav", *options)
    assert invoke(*args).status == 2
    again = invoke(*args)
    assert again.status == 0
    assert re.fullmatch(summary(0, tmp_path / "store", left_out_before=1), again.err)
    (tmp_path / "bad.wav").unlink()
    assert invoke(*args).status == 2


def test_a_clip_that_was_moved_or_copied_is_recognised_and_no_model_is_loaded(index, sounds, tmp_path, forbid_models):
    index()
    (sounds / "a.wav").rename(sounds / "moved.wav")
    (sounds / "copy.wav").write_bytes((sounds / "b.wav").read_bytes())
    with forbid_models():
        assert re.fullmatch(summary(0, tmp_path / "store", recognised=2, unchanged=2, removed=1), index())
    assert clips_in(tmp_path / "store") == {"b.wav", "c.wav", "copy.wav", "moved.wav"}


def test_a_path_that_is_not_there_costs_the_others_nothing(index, tmp_path):
    missing, last = index(tmp_path / "nope", status=2).splitlines(keepends=True)
    assert missing == f"pe-search: {tmp_path}/nope: No such file or directory\n"
    assert re.fullmatch(summary(3, tmp_path / "store", left_out=1), last)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"new\nline.wav", r"new\nline.wav"),
        (b"\x1b]0;title\x07.wav", r"\x1b]0;title\x07.wav"),
        (b"\xff.wav", r"\xff.wav"),
        (b"[red]x.wav", "[red]x.wav"),
        ("\u202egpj.wav".encode(), r"\u202egpj.wav"),
    ],
)
def test_the_name_of_a_bad_file_is_harmless_on_stderr(index, sounds, name, shown):
    (sounds / os.fsdecode(name)).write_text("no audio")
    line, _summary = index(status=2).splitlines()
    assert line == f"pe-search: {sounds}/{shown}: can't be read as audio: Format not recognised"


def test_no_colour_and_no_progress_bar_in_a_pipe(index, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    err = index()
    assert "\x1b" not in err
    assert "\r" not in err
    assert err.count("\n") == 1


def test_a_terminal_shows_a_progress_bar_and_takes_it_away(run_cli_on_terminal, plain_checkpoint, sounds, tmp_path):
    (sounds / "[red]bad.wav").write_text("no audio")
    args = ("index", sounds, "--model", plain_checkpoint[0], "--store", tmp_path / "store")
    shown = run_cli_on_terminal(*args, status=2)
    assert "loading the model" in shown
    assert shown.index("0/4 clips") < shown.index("loading the model") < shown.rindex("embedding")
    assert "[red]bad.wav" in shown.replace("\n", ""), "a long line is broken above the bar"
    assert shown.rindex("\x1b[2K") > shown.rindex("embedding "), "the bar's line is erased after it was last drawn"
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor is back"
    assert re.search(summary(3, tmp_path / "store", left_out=1) + r"\Z", shown)


def test_a_terminal_shows_no_bar_when_there_is_nothing_to_embed(index, run_cli_on_terminal, sounds, tmp_path):
    index()
    shown = run_cli_on_terminal("index", sounds, "--store", tmp_path / "store")
    assert re.fullmatch(summary(0, tmp_path / "store", unchanged=3), shown)


def test_the_store_is_the_option_else_the_environment_else_the_users_data(
    plain_checkpoint, sounds, tmp_path, monkeypatch
):
    default = tmp_path / "data-home" / "pe-search" / "store"
    chosen, from_environment = tmp_path / "chosen", tmp_path / "from-environment"
    args = ("index", sounds, "--model", plain_checkpoint[0])

    assert re.fullmatch(summary(3, default), invoke(*args).err)
    monkeypatch.setenv("PE_SEARCH_STORE", str(from_environment))
    assert re.fullmatch(summary(3, from_environment), invoke(*args).err)
    assert re.fullmatch(summary(3, chosen), invoke(*args, "--store", chosen).err)
    assert [facts(store)["store"] for store in (default, from_environment, chosen)] == [
        str(default),
        str(from_environment),
        str(chosen),
    ]


def test_a_relative_store_is_made_in_the_working_directory(index, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert re.fullmatch(summary(3, tmp_path / "here" / "store"), index(store="here/store"))


def test_a_tilde_is_the_home_directory_and_that_of_an_unknown_user_is_itself(index, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert re.fullmatch(summary(3, tmp_path / "store"), index(store="~/store"))
    monkeypatch.chdir(tmp_path)
    write_audio(tmp_path / "~no such user" / "d.wav", noise(CLIP_S, 4))
    assert re.fullmatch(summary(1, tmp_path / "store", unchanged=3), index("~no such user"))


def test_any_store_name_will_do(index, tmp_path):
    store = tmp_path / os.fsdecode(b"\x1b[31m\xff[red]\n")
    assert index(store=store).endswith(r"\x1b[31m\xff[red]\n" + "\n")
    assert clips_in(store) == {"a.wav", "b.wav", "c.wav"}


def test_the_default_checkpoint_comes_from_the_environment_and_the_option_beats_it(
    plain_checkpoint, sounds, tmp_path, monkeypatch
):
    other = tmp_path / "other-checkpoint"
    make_checkpoint(other, seed=1)
    monkeypatch.setenv("PE_SEARCH_MODEL", str(other))
    assert invoke("index", sounds, "--store", tmp_path / "one").status == 0
    assert invoke("index", sounds, "--store", tmp_path / "two", "--model", plain_checkpoint[0]).status == 0
    assert facts(tmp_path / "one")["model"] == str(other)
    assert facts(tmp_path / "two")["model"] == str(plain_checkpoint[0])


def test_a_store_remembers_its_checkpoint(index, sounds, tmp_path, plain_checkpoint):
    index()
    write_audio(sounds / "d.wav", noise(CLIP_S, 4))
    outcome = invoke("index", sounds, "--store", tmp_path / "store")
    assert re.fullmatch(summary(1, tmp_path / "store", unchanged=3), outcome.err)
    assert facts(tmp_path / "store")["model"] == str(plain_checkpoint[0])


def test_a_frame_level_checkpoint_is_taken_with_a_word_about_it(sounds, tmp_path):
    make_checkpoint(tmp_path / "frames", "frame_level")
    outcome = invoke("index", sounds, "--model", tmp_path / "frames", "--store", tmp_path / "store")
    note, last = outcome.err.splitlines(keepends=True)
    assert outcome.status == 0
    assert note.startswith(f"pe-search: {tmp_path}/frames was trained to find sounds within clips. ")
    assert re.fullmatch(summary(3, tmp_path / "store"), last)


@pytest.mark.parametrize(
    ("dac_channels", "asked", "chosen"),
    [
        (16, "float32", "float32"),
        (16, "bfloat16", "bfloat16"),
        (2, "auto", "float32"),
        # It would gain nothing by fewer bits.
        (2, "bfloat16", "float32"),
    ],
)
def test_the_summary_says_what_the_model_calculated_in(index, tmp_path, dac_channels, asked, chosen):
    model = tmp_path / "model"
    make_checkpoint(model, dac_channels=dac_channels)
    said = index("--dtype", asked, "--device", "cpu", model=model)
    assert re.fullmatch(summary(3, tmp_path / "store", dtype=chosen), said)
    hits = map(json.loads, invoke("query", "rain", "--format", "jsonl", "--store", tmp_path / "store").out.splitlines())
    scores = [score for _, score in sorted((hit["path"], hit["score"]) for hit in hits)]
    embedder = embedder_module.Embedder(find_checkpoint(str(model)), "cpu", chosen)
    kept = embedder.embed_windows([noise(CLIP_S, seed) for seed in range(3)]).astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(scores, kept @ embedder.embed_texts(["rain"])[0], atol=1e-3)


@pytest.fixture
def made_up_builtin(plain_checkpoint, monkeypatch) -> None:
    """Put a made-up checkpoint in the place of the built-in one."""
    monkeypatch.setattr(checkpoint_module, "_BUILTIN_DIRECTORY", plain_checkpoint[0])


NOTICE = "Using the built-in model, "


def test_a_terminal_is_told_of_the_builtin_checkpoint_when_a_store_is_made_with_it_unasked(
    made_up_builtin, run_cli_on_terminal, sounds, tmp_path
):
    args = ("index", sounds, "--store", tmp_path / "store")
    shown = run_cli_on_terminal(*args)
    assert shown.count(NOTICE) == 1
    assert "`pe-search index PATH --model small --store pe-av`" in " ".join(shown.split())
    write_audio(sounds / "d.wav", noise(CLIP_S, 4))
    assert NOTICE not in run_cli_on_terminal(*args)
    assert facts(tmp_path / "store")["model"] == "builtin"
    assert facts(tmp_path / "store")["clips"] == 4


def test_nobody_is_told_who_asked_for_it_or_has_no_terminal(
    made_up_builtin, run_cli_on_terminal, sounds, tmp_path, monkeypatch
):
    assert NOTICE not in run_cli_on_terminal("index", sounds, "--model", "builtin", "--store", tmp_path / "one")
    assert re.fullmatch(summary(3, tmp_path / "two"), invoke("index", sounds, "--store", tmp_path / "two").err)
    monkeypatch.setenv("PE_SEARCH_MODEL", "builtin")
    assert NOTICE not in run_cli_on_terminal("index", sounds, "--store", tmp_path / "three")


@pytest.mark.skipif(
    not (checkpoint_module._BUILTIN_DIRECTORY / "config.json").is_file(),
    reason="the built-in checkpoint is not in the package yet",
)
def test_the_builtin_checkpoint_needs_no_option_and_no_network(sounds, tmp_path):
    store = tmp_path / "data-home" / "pe-search" / "store"
    assert re.fullmatch(summary(3, store), invoke("index", sounds).err)
    assert facts(store)["model"] == "builtin"
    assert clips_in(store) == {"a.wav", "b.wav", "c.wav"}


def test_ctrl_c_keeps_what_is_embedded_and_the_next_run_goes_on(index, sounds, tmp_path, monkeypatch):
    for seed in range(3, 6):
        write_audio(sounds / f"{seed}.wav", noise(CLIP_S, seed))
    # Three batches are gathered before they are embedded, so two clips go through at a time.
    monkeypatch.setattr(embedder_module, "_CPU_BATCH_OF_NARROW_S", CLIP_S / 2)
    embed_windows = embedder_module.Embedder.embed_windows
    calls = []

    def interrupted_at_the_second_call(self, windows):
        calls.append(len(windows))
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return embed_windows(self, windows)

    monkeypatch.setattr(embedder_module.Embedder, "embed_windows", interrupted_at_the_second_call)
    err = index(status=130)
    assert err == "Interrupted. 2 clips embedded; run the same command to go on.\n"
    assert calls == [2, 2]
    assert len(clips_in(tmp_path / "store")) == 2
    assert re.fullmatch(summary(4, tmp_path / "store", unchanged=2), index())
    assert len(clips_in(tmp_path / "store")) == 6


def test_ctrl_c_says_what_is_kept_of_a_long_clip(index, sounds, tmp_path, monkeypatch):
    for name in ("b.wav", "deep/er/c.wav"):
        (sounds / name).unlink()
    write_audio(sounds / "long.wav", noise(10 * CLIP_S, 3))
    monkeypatch.setattr(indexing, "COMMIT_EVERY_S", 0.0)
    monkeypatch.setattr(embedder_module, "_CPU_BATCH_OF_NARROW_S", CLIP_S / 3)
    embed_windows = embedder_module.Embedder.embed_windows
    calls = []

    def interrupted_at_the_fifth_call(self, windows):
        calls.append(len(windows))
        if len(calls) == 5:
            signal.raise_signal(signal.SIGINT)
        return embed_windows(self, windows)

    monkeypatch.setattr(embedder_module.Embedder, "embed_windows", interrupted_at_the_fifth_call)
    said = re.fullmatch(
        rf"Interrupted\. 1 clip embedded; (\d+) % of {sounds}/long.wav is kept; run the same command to go on\.\n",
        index("--window", CLIP_S, status=130),
    )
    assert said
    assert 0 < int(said[1]) < 100
    assert clips_in(tmp_path / "store") == {"a.wav"}


def test_a_file_that_is_no_audio_is_told_before_a_model_is_loaded(sounds, tmp_path, monkeypatch):
    for name in ("audio_embedder", "frame_embedder", "text_embedder"):
        monkeypatch.setattr(Loaded, name, lambda *_: pytest.fail("a model is loaded"))
    (sounds / "a.txt").write_text("words")
    outcome = invoke("index", sounds / "a.txt", "--store", tmp_path / "store")
    assert (outcome.status, outcome.err) == (
        2,
        f"pe-search: {sounds}/a.txt: can't be read as audio: Format not recognised\n"
        "No clip could be read; no store was made.\n",
    )
    assert not (tmp_path / "store").exists()


def test_ctrl_c_while_the_model_loads_leaves_no_traceback(index, monkeypatch):
    monkeypatch.setattr(embedder_module, "load_tower", lambda *_: signal.raise_signal(signal.SIGINT))
    assert index(status=130) == ""


def test_termination_is_taken_for_ctrl_c(index, monkeypatch, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(embedder_module.Embedder, "embed_windows", lambda *_: signal.raise_signal(signal.SIGTERM))
    assert index(status=130) == "Interrupted. 0 clips embedded; run the same command to go on.\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_writer_is_told_of_the_first_and_a_reader_is_not_kept_waiting(index, tmp_path):
    index()
    with Store.open(tmp_path / "store", read_only=False):
        assert index(status=2) == (
            f"pe-search: Another process (id {os.getpid()}) is writing to the store at {tmp_path}/store; wait until it "
            "has finished, or stop it.\n"
        )
        assert invoke("status", "--store", tmp_path / "store").status == 0
    assert index(status=0)


@pytest.mark.slow
def test_a_real_ctrl_c_on_a_real_terminal(terminal, plain_checkpoint, tmp_path):
    clips = 70
    for number in range(clips):
        write_audio(tmp_path / "sounds" / f"{number:03}.wav", noise(3.0, number))
    args = ["index", tmp_path / "sounds", "--model", plain_checkpoint[0], "--store", tmp_path / "store"]
    started = terminal([sys.executable, "-m", "pe_search", *args])
    started.read_until(re.compile(rb"(?<!0:00) of audio").search)
    started.process.send_signal(signal.SIGINT)
    status, shown = started.finish()

    assert status == 130
    assert "Traceback" not in shown
    said = re.search(r"Interrupted\. (\d+) clips embedded; run the same command to go on\.\n\Z", shown)
    assert said, shown
    kept = int(said[1])
    assert 0 < kept < clips
    assert facts(tmp_path / "store")["clips"] == kept
    assert re.fullmatch(summary(clips - kept, tmp_path / "store", unchanged=kept), invoke(*args).err)
    assert facts(tmp_path / "store")["clips"] == clips


def test_that_a_large_text_tower_is_compiled_is_told(run_cli, plain_checkpoint, tmp_path, empty_cache, monkeypatch):
    monkeypatch.setattr("pe_search.pe_audio.compile._TAKES_LONG_FROM_BYTES", 0)
    write_audio(tmp_path / "a.wav", noise(0.2))
    args = ("index", tmp_path / "a.wav", "--model", plain_checkpoint[0], "--store", tmp_path / "store")
    line = "Compiling the text tower to make queries fast. This takes one or two minutes, once."
    assert line in run_cli(*args).err.splitlines()
    shutil.rmtree(empty_cache)
    assert run_cli("query", "rain", "--store", tmp_path / "store").err.splitlines() == [line]
    assert run_cli("query", "the sea", "--store", tmp_path / "store").err == ""
