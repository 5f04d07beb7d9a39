"""Ways to run the command, and a store whose scores are known from upstream's own forward."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from numpy.typing import NDArray
from transformers import PeAudioFeatureExtractor, PeAudioModel
from typer.testing import CliRunner

from pe_search.cli.app import app
from pe_search.cli.help import CommandHelp, command_help
from pe_search.cli.output import messages
from pe_search.store import finder
from pe_search.store.index import open_index
from tests.made_up import make_tokenizer, noise, write_audio

TEXTS = ("a dog barking", "rain", "church bell")
WINDOW_S, HOP_S = 1.28, 0.64
# A test that waits longer than this for a program has failed.
DEADLINE_S = 120
COLUMNS = 100

# Names, as bytes, that programs get wrong.
ODD_NAMES = (
    b"two words.wav",
    b"new\nline.wav",
    b'tab\t, "quotes".wav',
    b"-rf.wav",
    b"[red]x[/red].wav",
    b"\x1b[31mred.wav",
    b"not utf-8 \xff\xe9.wav",
    "ünïcode 雨.wav".encode(),
)


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    status: int
    out: bytes
    err: str


@dataclass(frozen=True)
class Place:
    """A window of a clip."""

    path: Path
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Library:
    """A folder of sounds, the store made of it, and what upstream makes of every window and text.

    Attributes:
        logits: Of shape (places, TEXTS), from `PeAudioModel.forward`.
    """

    sounds: Path
    store: Path
    checkpoint: Path
    places: tuple[Place, ...]
    logits: NDArray[np.float32]
    scale: float
    bias: float

    @property
    def clips(self) -> set[Path]:
        return {place.path for place in self.places}

    def ranking(self, text: str, *, all_windows: bool = False) -> list[tuple[Place, float]]:
        """All windows, or the best window of every clip, each with its logit, best first."""
        column = self.logits[:, TEXTS.index(text)]
        ranking = [(self.places[row], float(column[row])) for row in np.argsort(-column)]
        if all_windows:
            return ranking
        seen: set[Path] = set()
        return [(place, logit) for place, logit in ranking if not (place.path in seen or seen.add(place.path))]


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the wishes of whoever runs the tests, about colours and the like, out of them."""
    for name in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "PYTHONIOENCODING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", str(COLUMNS))


@pytest.fixture(autouse=True)
def _room_for_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep messages on one line, though the paths of tests are long; tables have the usual width."""
    monkeypatch.setattr(messages, "columns", lambda: 10_000)


def invoke(*args: object) -> Outcome:
    """Run the command in this process, with pipes for stdout and stderr."""
    result = CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)
    return Outcome(result.exit_code, result.stdout_bytes, result.stderr_bytes.decode())


@pytest.fixture
def run_cli() -> Callable[..., Outcome]:
    return invoke


@pytest.fixture
def run_cli_on_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run the command in this process, with stdout and stderr on one terminal; returns what that shows."""

    def run(*args: object, status: int = 0) -> str:
        shown = bytearray()
        master, slave = pty.openpty()

        def read() -> None:
            while chunk := _read(master):
                shown.extend(chunk)

        reader = threading.Thread(target=read)
        reader.start()
        with os.fdopen(slave, "w", encoding="utf-8") as stream, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stream)
            patch.setattr(sys, "stderr", stream)
            with pytest.raises(SystemExit) as exit_:
                app([str(arg) for arg in args])
        reader.join()
        os.close(master)
        assert exit_.value.code == status
        return shown.decode().replace("\r\n", "\n")

    return run


@pytest.fixture
def command() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run `python -m pe_search` in a process of its own, with bytes in and out."""

    def run(*args: object, **streams: object) -> subprocess.CompletedProcess[bytes]:
        streams.setdefault("stdout", subprocess.PIPE)
        streams.setdefault("stderr", subprocess.PIPE)
        argv = [os.fsencode(arg) if isinstance(arg, Path) else arg for arg in args]
        return subprocess.run(
            [sys.executable, "-m", "pe_search", *argv],
            stdin=subprocess.DEVNULL,
            timeout=DEADLINE_S,
            check=False,
            **streams,
        )

    return run


@dataclass
class Terminal:
    """A program on a terminal of its own."""

    process: subprocess.Popen[bytes]
    _master: int
    shown: bytes = field(default=b"", init=False)
    _deadline: float = field(default_factory=lambda: time.monotonic() + DEADLINE_S, init=False)

    def read_until(self, is_enough: Callable[[bytes], object]) -> bytes:
        """Read until enough is shown, or the program ends; returns all that was shown."""
        while not is_enough(self.shown):
            ready, _, _ = select.select([self._master], [], [], max(0.0, self._deadline - time.monotonic()))
            assert ready, f"still waiting; shown until now: {self.shown!r}"
            chunk = _read(self._master)
            if not chunk:
                break
            self.shown += chunk
        return self.shown

    def press(self, keys: bytes) -> None:
        """Press some keys, one after the other."""
        os.write(self._master, keys)

    def wait_until_it_waits(self) -> None:
        """Until the program sleeps, a moment after it has shown its prompt. Elsewhere than on Linux at once."""
        state = Path(f"/proc/{self.process.pid}/stat")
        wait_until(lambda: not state.exists() or state.read_text().rpartition(") ")[2][0] == "S", "it sleeps")

    def finish(self) -> tuple[int, str]:
        """Read to the end; returns the exit status and all that was shown."""
        shown = self.read_until(lambda _shown: False)
        status = self.process.wait(max(1.0, self._deadline - time.monotonic()))
        return status, shown.decode(errors="replace").replace("\r\n", "\n")


@pytest.fixture
def terminal() -> Iterator[Callable[[Sequence[object]], Terminal]]:
    """Start a program with stdin, stdout and stderr on a terminal."""
    with contextlib.ExitStack() as stack:

        def start(argv: Sequence[object]) -> Terminal:
            master, slave = pty.openpty()
            stack.callback(os.close, master)
            termios.tcsetwinsize(slave, (40, COLUMNS))
            process = subprocess.Popen(
                [str(arg) for arg in argv],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                start_new_session=True,
                # The terminal has to be the session's own for Ctrl-C to be more than a character.
                preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
            )
            os.close(slave)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return Terminal(process, master)

        yield start


@pytest.fixture
def one_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let any store be cut into lists when its index is made, and a query go through one of them."""
    monkeypatch.setattr(finder, "LISTS_FROM", 2)
    monkeypatch.setattr(finder, "_AT_LEAST", 1)
    monkeypatch.setattr(finder, "open_index", lambda *of: replace(open_index(*of), probes=(1, 1, 1)))


@pytest.fixture
def player(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a player into the only folder in which programs are looked for. It keeps what it is given to play."""
    programs, played = tmp_path / "programs", tmp_path / "played"
    programs.mkdir()
    played.mkdir()
    monkeypatch.setenv("PATH", str(programs))

    def make(name: str, then: str = "") -> Path:
        program = programs / name
        script = (
            "import pathlib, shutil, sys, time\n"
            f"folder = pathlib.Path({str(played)!r})\n"
            "copy = pathlib.Path(shutil.copy(sys.argv[-1], folder.with_name('copy.wav')))\n"
            "copy.rename(folder / f'{len(list(folder.iterdir()))}.wav')\n"
            f"{then}\n"
        )
        program.write_text(f"#!{sys.executable}\n{script}")
        program.chmod(0o755)
        return played

    return make


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def wait_for_player(played: Path, times: int) -> None:
    """Until it has been started so many times, so that a key never comes before it."""
    wait_until(lambda: len(names_in(played)) >= times, f"it has been started {times} times")


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Look until something is so that nothing tells of."""
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, f"still waiting until {what}"
        os.sched_yield()


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65_536)
    except OSError as error:
        if error.errno == errno.EIO:  # how Linux says that nobody has the other end open
            return b""
        raise


@pytest.fixture(scope="session")
def library(plain_checkpoint: tuple[Path, PeAudioModel], tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Short clips and long ones, in several folders, some with odd names; made once and never changed."""
    checkpoint, model = plain_checkpoint
    folder = tmp_path_factory.mktemp("library")
    sounds = folder / "sounds"
    lengths_s = {
        "dogs/bark.wav": WINDOW_S,
        "dogs/growl.wav": 0.5,
        "dogs2/howl.wav": WINDOW_S,
        "weather/rain.wav": WINDOW_S,
        "weather/storm.wav": 3.2,
        "weather/wind.wav": 3.0,
    } | {f"odd/{os.fsdecode(name)}": WINDOW_S for name in ODD_NAMES}
    windows: list[NDArray[np.float32]] = []
    places: list[Place] = []
    for seed, (name, length_s) in enumerate(lengths_s.items()):
        # Another loudness for each, so that scores are far enough apart to be ranked for certain.
        samples = noise(length_s, seed) * (0.2 + 0.1 * seed)
        _write(sounds / name, samples)
        for start_s, end_s in _expected_windows(length_s):
            windows.append(samples[round(start_s * 48_000) : round(end_s * 48_000)])
            places.append(Place(sounds / name, start_s, end_s))
    store = folder / "store"
    outcome = invoke("index", sounds, "--model", checkpoint, "--window", WINDOW_S, "--hop", HOP_S, "--store", store)
    assert outcome.status == 0, outcome.err
    return Library(
        sounds=sounds,
        store=store,
        checkpoint=checkpoint,
        places=tuple(places),
        logits=_upstream_logits(model, windows),
        scale=0.7,
        bias=-0.4,
    )


def _write(path: Path, samples: NDArray[np.float32]) -> None:
    """Write a clip whatever its name; soundfile can't encode every name that a file may have."""
    write_audio(path.with_name("written.wav"), samples).rename(path)


def _expected_windows(length_s: float) -> list[tuple[float, float]]:
    """Worked out by hand for the lengths above: windows of 1.28 s every 0.64 s, the last one moved back."""
    return {
        0.5: [(0.0, 0.5)],
        WINDOW_S: [(0.0, 1.28)],
        3.2: [(0.0, 1.28), (0.64, 1.92), (1.28, 2.56), (1.92, 3.2)],
        3.0: [(0.0, 1.28), (0.64, 1.92), (1.28, 2.56), (1.72, 3.0)],
    }[length_s]


def _upstream_logits(model: PeAudioModel, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The logits matrix of all windows and `TEXTS`, windows of one length going through upstream together."""
    tokens = make_tokenizer()(list(TEXTS), padding=True, return_tensors="pt")
    logits = np.empty((len(windows), len(TEXTS)), np.float32)
    for length in {len(window) for window in windows}:
        rows = [row for row, window in enumerate(windows) if len(window) == length]
        features = PeAudioFeatureExtractor()([windows[row] for row in rows], sampling_rate=48_000, return_tensors="pt")
        with torch.no_grad():
            output = PeAudioModel.forward(
                model,
                input_ids=tokens["input_ids"],
                attention_mask=tokens["attention_mask"],
                input_values=features["input_values"],
            )
        logits[rows] = output.logits_audio_text.numpy()
    return logits


def commands() -> dict[str, Any]:
    """All commands by their names, those of commands with commands of their own too: `tag` and `tag add`."""
    found: dict[str, Any] = {}
    for name, command in typer.main.get_command(app).commands.items():
        found[name] = command
        found |= {f"{name} {word}": one for word, one in getattr(command, "commands", {}).items()}
    return found


def help_of(name: str) -> CommandHelp:
    """The parts of the help of a command, or of pe-search itself for an empty name."""
    command = typer.main.get_command(app)
    context = command.context_class(command, info_name="pe-search")
    for word in name.split():
        command = command.commands[word]
        context = command.context_class(command, info_name=word, parent=context)
    return command_help(command, context)
