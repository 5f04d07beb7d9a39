"""The commands that README.md and docs/ show: found, run as at a terminal of 80 by 24, and compared with what is shown.

`python -m tests.docs.pages` (or `make docs`) writes docs/cli.md again, and what the commands on all other pages print.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.language.stand_in import StandIn, hears
from tests.made_up import make_checkpoint

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")))
# What a page shows as the user's home, in place of the folder that a test has for it.
HOME_SHOWN = "/home/me"
# The rest of what is printed is not shown.
MORE = "…"
_CONSOLE = re.compile(r"(?ms)^```console\n(.*?)^```$")
_STATUS = re.compile(r"#.*\bexit status (\d+)")
_IS_PIPED = re.compile(r" \| |--format (?!table)")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x07")
# How long it took and on what, and what a draw of temporary names or a clock decided.
_MACHINE = (
    re.compile(r"in [\d.,]+ s( on \w+ in \w+)?"),
    re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d(:\d\d)?)?"),
)
# In how many digits they agree depends on the processor.
_LONG_NUMBER = re.compile(r"\d+\.\d{6,}")
_CHECKPOINTS = {"facebook/pe-av-small": "pe_audio_video", "facebook/pe-a-frame-small": "frame_level"}


@dataclass(frozen=True)
class Turn:
    """A command as it is typed, and the lines that are shown below it; none if the page doesn't show any."""

    command: str
    shown: tuple[str, ...]

    @property
    def status(self) -> int:
        """The exit status that the page says the command has."""
        told = _STATUS.search(self.command)
        return int(told[1]) if told else 0

    @property
    def is_server(self) -> bool:
        """Whether the command stays in the background for those after it."""
        return self.command.split("#")[0].rstrip().endswith("&")


def turns_of(text: str) -> list[Turn]:
    """The commands of all `console` blocks of a page, in order."""
    return [turn for block in _CONSOLE.findall(text) for turn in _turns(block)]


def _turns(block: str) -> list[Turn]:
    turns = []
    for part in re.split(r"(?m)^\$ ", block)[1:]:
        lines = part.rstrip("\n").split("\n")
        end = next(number for number, line in enumerate(lines) if not line.endswith("\\"))
        turns.append(Turn("\n".join(lines[: end + 1]), tuple(lines[end + 1 :])))
    return turns


class Place:
    """A home in which the examples of this repository are the working directory, and their sounds are indexed."""

    def __init__(self, base: Path) -> None:
        self._kept = base / "kept"
        self._language_model = StandIn(hears("A dog is barking.")).__enter__()
        self.home = _folder_as_long_as_shown()
        (self.home / "bin").mkdir()
        for python in ("python", "python3"):
            self._write_program(python, f'exec "{sys.executable}" "$@"')
        self._write_program("pe-search", f'exec "{sys.executable}" -m pe_search "$@"')
        shutil.copytree(ROOT / "examples" / "sounds", self.home / "pe-search" / "examples" / "sounds")
        shutil.copy(ROOT / "Makefile", self.home / "pe-search")
        for name, layout in _CHECKPOINTS.items():
            _put_into_hub_cache(self.home / ".cache" / "huggingface" / "hub", name, layout)
        self.cwd = self.home / "pe-search" / "examples"
        self._keep("new")
        self.run(Turn("pe-search index sounds", ()))
        self._keep("indexed")

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: object) -> None:
        self._language_model.__exit__()
        shutil.rmtree(self.home)

    def _write_program(self, name: str, line: str) -> None:
        program = self.home / "bin" / name
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)

    def _keep(self, name: str) -> None:
        shutil.copytree(self.home, self._kept / name, symlinks=True)

    def restore(self, *, indexed: bool) -> None:
        """Bring the home back to what it was before any page: with the sounds indexed, or not yet."""
        shutil.rmtree(self.home)
        shutil.copytree(self._kept / ("indexed" if indexed else "new"), self.home, symlinks=True)

    def environment(self) -> dict[str, str]:
        """What the commands have for an environment."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PE_SEARCH", "XDG_", "PYTEST", "HF_"))
        }
        return kept | {
            "HOME": str(self.home),
            "PATH": f"{self.home / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HF_HUB_OFFLINE": "1",
            "PE_SEARCH_LANGUAGE_MODEL": self._language_model.url,
            # A terminal that can't move its cursor: no bars, which would be gone at the end anyway.
            "TERM": "dumb",
            "COLUMNS": "80",
            "LINES": "24",
            "LC_ALL": "C.UTF-8",
        }

    @contextmanager
    def servers(self) -> Iterator[list[subprocess.Popen[bytes]]]:
        """Those that commands leave in the background; they are ended on the way out."""
        servers: list[subprocess.Popen[bytes]] = []
        try:
            yield servers
        finally:
            for server in servers:
                server.terminate()
                server.wait()

    def serve(self, turn: Turn) -> subprocess.Popen[bytes]:
        """Start a command that stays in the background, and wait until it has said that it is ready."""
        command = turn.command.split("#")[0].rstrip().removesuffix("&")
        server = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self.cwd,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert server.stderr is not None
        assert server.stderr.readline(), f"{command} ended"
        return server

    def run(self, turn: Turn) -> tuple[int, list[str]]:
        """The exit status of a command, and the lines that are on the terminal after it.

        Lines that are shown after `> ` are typed when the prompt `> ` appears.
        """
        typed = [line[2:] for line in turn.shown if line.startswith("> ")]
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        process = subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", turn.command],
            cwd=self.cwd,
            env=self.environment(),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        seen = _read_terminal(ours, typed)
        # Whoever is still on the way out would be hung up on.
        status = process.wait()
        os.close(ours)
        lines = self._lines(seen)
        if _IS_PIPED.search(turn.command):
            # A bar leaves an empty line on a terminal that can't move its cursor, and tables are not meant here.
            lines = [line for line in lines if line]
        return status, lines

    def _lines(self, seen: bytes) -> list[str]:
        text = _ESCAPES.sub("", seen.decode()).replace("\r\n", "\n").replace(str(self.home), HOME_SHOWN)
        lines = [line.rpartition("\r")[2].rstrip() for line in text.split("\n")]
        while lines and not lines[-1]:
            lines.pop()
        while lines and not lines[0]:
            lines.pop(0)
        return lines


def _folder_as_long_as_shown() -> Path:
    """A new folder with a path as long as `HOME_SHOWN`, so that tables are as wide with either."""
    for number in range(100):
        folder = Path(f"/tmp/{number:x}".ljust(len(HOME_SHOWN), "_"))
        with suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise FileExistsError("all folders for pages are taken; remove /tmp/*__")


def _read_terminal(descriptor: int, typed: list[str], patience_s: float = 120) -> bytes:
    """All that is written to a terminal, while `typed` is typed: a line each time that a prompt appears."""
    seen = b""
    answered = 0
    waiting = list(typed)
    deadline = time.monotonic() + patience_s
    while select.select([descriptor], [], [], max(0, deadline - time.monotonic()))[0]:
        try:
            part = os.read(descriptor, 65_536)
        except OSError:  # as Linux says that the other end is closed
            return seen
        if not part:
            return seen
        seen += part
        if waiting and seen.endswith(b"> ") and len(seen) > answered:
            answered = len(seen)
            os.write(descriptor, waiting.pop(0).encode() + b"\n")
    raise TimeoutError(f"nothing for {patience_s} s after {seen[-400:]!r}")


def _put_into_hub_cache(hub: Path, name: str, layout: str) -> None:
    """Put a made-up checkpoint where huggingface_hub keeps one that was fetched."""
    repository = hub / f"models--{name.replace('/', '--')}"
    make_checkpoint(repository / "snapshots" / ("0" * 40), layout)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)


def is_as_shown(shown: Sequence[str], seen: Sequence[str]) -> bool:
    """Whether what is shown was seen, but for what another machine or day may say otherwise."""
    if MORE in shown:
        return but_for_the_machine(seen).startswith(but_for_the_machine(shown[: shown.index(MORE)]))
    return but_for_the_machine(seen) == but_for_the_machine(shown)


def but_for_the_machine(lines: Sequence[str]) -> str:
    """Lines without how long it took, on what and when; as one, since it depends on that where a long line ends."""
    text = " ".join(" ".join(lines).split())
    for pattern in _MACHINE:
        text = pattern.sub("~", text)
    return _LONG_NUMBER.sub(lambda number: f"{float(number[0]):.3f}", text)


def starts_new(page: str) -> bool:
    """Whether the commands of a page begin with nothing indexed."""
    first = next((turn.command for turn in turns_of((ROOT / page).read_text("utf-8"))), "")
    return first == "pe-search index sounds"


def run_page(place: Place, page: str) -> Iterator[tuple[Turn, int, list[str]]]:
    """Run the commands of a page one after the other; give each with its exit status and what it printed."""
    place.restore(indexed=not starts_new(page))
    with place.servers() as servers:
        for turn in turns_of((ROOT / page).read_text("utf-8")):
            if turn.is_server:
                servers.append(place.serve(turn))
            else:
                status, seen = place.run(turn)
                yield turn, status, seen


def refreshed(place: Place, page: str) -> str:
    """The page with what its commands print now. A shown line `?` asks for all of it, `?N` for the first N lines."""
    text = (ROOT / page).read_text("utf-8")
    for turn, status, seen in run_page(place, page):
        if status != turn.status:
            print(f"{page}: {turn.command}: exit status {status}\n" + "\n".join(seen), file=sys.stderr)
        if not turn.shown or is_as_shown(turn.shown, seen):
            continue
        wanted = re.fullmatch(r"\?(\d*)", turn.shown[-1])
        count = turn.shown.index(MORE) if MORE in turn.shown else len(seen)
        if wanted and wanted[1]:
            count = int(wanted[1])
        new = [*seen[:count], *([MORE] if count < len(seen) else [])]
        old = "\n".join((f"$ {turn.command}", *turn.shown))
        text = text.replace(f"{old}\n", "\n".join((f"$ {turn.command}", *new)) + "\n", 1)
    return text


def main() -> None:
    """Write the pages again: those that are named, or all."""
    with tempfile.TemporaryDirectory() as base, Place(Path(base)) as place:
        for page in sys.argv[1:] or PAGES:
            new = refreshed(place, page)
            (ROOT / page).write_text(new, "utf-8")
            print(page)


if __name__ == "__main__":
    main()
