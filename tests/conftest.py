"""Fixtures that several tests share."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from pe_search import trust
from tests.made_up import LAYOUTS, make_checkpoint

if TYPE_CHECKING:
    from transformers import PeAudioModel

# A shell gives its background jobs a Ctrl-C that is ignored, and some tests send one.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Nothing here may reach a network, and a test must not depend on what this machine has in its caches.
os.environ["HF_HUB_OFFLINE"] = "1"

# Tests run beside each other (`-n auto`), and what they compute is small: more threads would mostly wait, and burn time
# at it. torch and faiss read this as they are imported, here and in the commands that tests start.
os.environ["OMP_NUM_THREADS"] = "1"

# How long an example takes says more about what else the machine does than about the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# What tries out terminals, Unix sockets, signals and permissions, and so needs them.
if sys.platform == "win32":
    collect_ignore = [
        "cli",
        "faults",
        "security",
        "serving",
        "audio/test_cut.py",
        "tasks/test_keeping.py",
        "test_drafts.py",
    ]

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    # Here, because pytest reads no conftest further down before it reads its options.
    parser.addoption("--all-faults", action="store_true", help="inject as many faults as CONTRIBUTING.md tells of")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cache for all tests, so that each made-up checkpoint is compiled once; the user's is left alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PE_SEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, not yet made, in place of the one for all."""
    monkeypatch.setenv("PE_SEARCH_CACHE", str(tmp_path / "empty-cache"))
    return tmp_path / "empty-cache"


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's store, settings and checkpoints out of the tests, and the tests out of them."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data-home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config-home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state-home"))
    # What one test names is not trusted by the next.
    monkeypatch.setattr(trust, "_named", set())
    for name in ("PE_SEARCH_STORE", "PE_SEARCH_MODEL", "PE_SEARCH_LANGUAGE_MODEL", "PE_SEARCH_LANGUAGE_MODEL_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session", params=LAYOUTS)
def checkpoint_of_each_layout(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, PeAudioModel]:
    """A made-up checkpoint directory, and the upstream model that it holds."""
    directory = tmp_path_factory.mktemp("checkpoint") / request.param
    return directory, make_checkpoint(directory, request.param)


@pytest.fixture(scope="session")
def plain_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PeAudioModel]:
    """A made-up `pe_audio` checkpoint directory, and the upstream model that it holds."""
    directory = tmp_path_factory.mktemp("checkpoint") / "plain"
    return directory, make_checkpoint(directory)


@pytest.fixture(scope="session")
def esc10() -> Path:
    """Real recordings in ten folders; only some machines have them."""
    directory = SHARED_DATA / "esc10"
    if not directory.is_dir():
        pytest.skip(f"the recordings of ESC-10 are not at {directory}")
    return directory
