"""The benchmark of the store runs, in small."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "examples" / "benchmark_store.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and asks find for what only GNU's prints")
def test_the_benchmark_measures_and_goes_on_where_it_was(tmp_path):
    command = [sys.executable, str(SCRIPT), "--work", str(tmp_path), "--sizes", "300", "600", "--files", "12"]
    for said in (["300 of 300 windows committed", "600 of 600 windows committed"], []):
        run = subprocess.run(command, cwd=SCRIPT.parents[1], capture_output=True, text=True, check=True)
        assert run.stderr.splitlines() == said
        lines = [line for line in run.stdout.splitlines() if re.match(r"│ [36]00 ", line)]
        rows = [re.split(r" *│ *", line.strip("│ ")) for line in lines]
        assert [row[0] for row in rows] == ["300", "600"]
        # Stores as small as these are searched exactly.
        assert [(row[3], row[9], row[14]) for row in rows] == [("100.0 %", "1.000", "1.000")] * 2
        assert "12 unchanged files: pe-search index" in run.stdout
