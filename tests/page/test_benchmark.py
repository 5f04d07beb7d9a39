"""The benchmark of the page runs, in small."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.page.browser import program

SCRIPT = Path(__file__).parents[2] / "examples" / "benchmark_page.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.skipif(program() is None, reason="There is no Chromium (chromium, google-chrome, $PE_SEARCH_CHROMIUM)")
def test_the_benchmark_measures(made, tmp_path):
    small = ["--dots", "200", "--hits", "60", "--windows", "300", "--work", str(tmp_path)]
    command = [sys.executable, str(SCRIPT), str(made / "store"), *small]
    run = subprocess.run(command, cwd=SCRIPT.parents[1], capture_output=True, text=True, check=True)
    whats = [line.partition(":")[0] for line in run.stdout.splitlines()]
    assert whats == [
        *("load before", "pe-search page", "first view", "60 hits", "200 dots"),
        *("300 windows, a new text", "300 windows, a remembered text", "load after"),
    ]
