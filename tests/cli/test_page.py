"""`pe-search page`, and `serve --page`, as processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

import pe_search
from tests.cli.conftest import DEADLINE_S

Start = Callable[..., tuple[subprocess.Popen[str], str]]


@pytest.fixture
def start(library, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a command of the library's store, which has no browser, and wait for the line that has the address."""
    for name in ("PE_SEARCH_TOKEN", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with ExitStack() as stack:
        runtime = stack.enter_context(tempfile.TemporaryDirectory(prefix="pe-", dir="/tmp"))
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)

        def started(*args: str, **environment: str) -> tuple[subprocess.Popen[str], str]:
            argv = [sys.executable, "-m", "pe_search", *args, "--store", str(library.store)]
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ | environment
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            lines = iter(process.stderr.readline, "")
            return process, next((line for line in lines if "The page is at " in line), "")

        yield started


def asked(url: str, key: str | None = None) -> int:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=DEADLINE_S) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def test_it_serves_the_page_to_whoever_has_the_address(start):
    process, line = start("page", "--port", "0")
    found = re.fullmatch(r"The page is at (http://127\.0\.0\.1:\d+)/page/#key=(\S{32}) and Ctrl-C ends it\.\n", line)
    url, key = found.groups()
    assert asked(f"{url}/page/") == 200
    assert asked(f"{url}/page/state") == 401
    assert asked(f"{url}/page/state", key) == 200
    assert asked(f"{url}/hits?text=rain") == 401
    assert asked(f"{url}/hits?text=rain", key) == 200
    process.send_signal(signal.SIGINT)
    assert (process.wait(DEADLINE_S), process.stderr.read()) == (0, "")


def test_the_key_is_new_each_time_and_another_port_is_used_where_the_usual_one_is_taken(start, monkeypatch):
    keys = []
    with socket.socket() as taken:
        # Whoever has it, it is taken.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8765))
            taken.listen()
        except OSError:
            pass
        for _ in range(2):
            process, line = start("page", "--no-browser")
            assert ":8765/" not in line
            keys.append(line.partition("#key=")[2].split()[0])
            process.terminate()
            assert process.wait(DEADLINE_S) == 0
    assert keys[0] != keys[1]


def test_the_browser_is_called_with_a_file_that_only_the_user_can_read(start, tmp_path):
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\ncd {tmp_path} && printf "%s" "$1" > part && mv part called\n')
    browser.chmod(0o755)
    process, line = start("page", "--port", "0", BROWSER=f"{browser} %s", DISPLAY=":99")
    address = line.removeprefix("The page is at ").split()[0]
    while not (tmp_path / "called").exists():
        assert process.poll() is None
        os.sched_yield()
    called = (tmp_path / "called").read_text()
    assert called.startswith("file:///")
    file = Path(called.removeprefix("file://"))
    assert f"0;url={address}" in file.read_text()
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    process.terminate()
    assert process.wait(DEADLINE_S) == 0
    assert not file.parent.exists()


def test_the_server_may_have_the_page_too(start):
    process, line = start("serve", "--http", "0", "--page")
    url, key = re.fullmatch(r"The page is at (http://127\.0\.0\.1:\d+)/page/#key=(\S{32})\n", line).groups()
    assert asked(f"{url}/page/state", key) == 200
    assert asked(f"{url}/hits?text=rain") == 200
    process.terminate()
    assert process.wait(DEADLINE_S) == 0


def test_a_token_of_the_user_is_the_key_and_not_printed(start):
    process, line = start("serve", "--http", "0", "--page", PE_SEARCH_TOKEN="a-secret-of-the-user")
    url = re.fullmatch(r"The page is at (http://127\.0\.0\.1:\d+)/page/\n", line)[1]
    assert asked(f"{url}/page/state", "a-secret-of-the-user") == 200
    assert asked(f"{url}/hits?text=rain") == 401
    process.terminate()
    assert process.wait(DEADLINE_S) == 0


def test_the_page_needs_http(run_cli, library):
    outcome = run_cli("serve", "--page", "--store", library.store)
    assert (outcome.status, outcome.err) == (2, "pe-search: --host, --origin and --page require --http.\n")


def test_several_stores_are_on_one_page(start, library, tmp_path):
    other = shutil.copytree(library.store, tmp_path / "other")
    process, line = start("page", "--port", "0", "--store", str(other))
    url, key = re.search(r"(http://127\.0\.0\.1:\d+)/page/#key=(\S{32})", line).groups()
    headers = {"Authorization": f"Bearer {key}"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/page/state", headers=headers)) as response:
        assert [one["path"] for one in json.load(response)["stores"]] == [str(other), str(library.store)]
    process.send_signal(signal.SIGINT)
    assert (process.wait(DEADLINE_S), process.stderr.read()) == (0, "")


def test_stores_that_do_not_go_together_are_refused(run_cli, library, tmp_path):
    with pe_search.create(tmp_path / "other") as other:
        other.add("a", np.zeros(48_000, np.float32), 48_000)
    stores = ("--store", library.store, "--store", tmp_path / "other")
    outcome = run_cli("page", "--port", "0", "--no-browser", *stores)
    assert outcome.status == 2
    assert outcome.err.endswith("they can't be asked together.\n")
    outcome = run_cli("serve", *stores)
    said = "Several stores are served over HTTP only: give --http PORT too, such as --http 8765."
    assert (outcome.status, outcome.err) == (2, f"pe-search: {said}\n")


def test_without_a_store_it_says_so(run_cli, tmp_path):
    outcome = run_cli("page", "--port", "0", "--no-browser", "--store", tmp_path / "none")
    assert outcome.status == 2
    assert outcome.err.startswith(f"pe-search: There is no store at {tmp_path / 'none'}")
