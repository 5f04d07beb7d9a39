"""The benchmarks run, and what they say about hits holds; what they say about time is for whoever runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.slow
def test_the_benchmark_of_queries_finds_the_same_hits_in_every_way():
    command = [EXAMPLES / "benchmark_query.py", "--repeats", "1", "--windows", "100", "--no-large"]
    command += ["--served-windows", "100", "--requests", "2"]
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "The hits of torch, of the compiled tower, from memory and served are the same." in done.stdout
    for row in (
        "--help",
        "new text, compiled, 320 clips",
        "text asked before, 100 windows",
        "new text, served, 100 windows",
    ):
        assert f"| {row} |" in done.stdout
    assert "| 8 clients at once, 100 windows | p50 ms | p99 ms |" in done.stdout


def test_the_benchmark_of_indexing_agrees_with_upstream(tmp_path):
    options = ["--sizes", "builtin", "--repeats", "1", "--clips", "3", "--work", tmp_path]
    command = [sys.executable, EXAMPLES / "benchmark_indexing.py", *options]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if "builtin" in line]
    assert [row[1] for row in rows] == ["upstream, float32", "pe-search, float32"]
    assert float(rows[1][8]) < 1e-5
    assert float(rows[1][9]) == pytest.approx(1, abs=1e-5)


@pytest.mark.slow
def test_the_benchmark_of_clusters_finds_the_same_hits_in_every_store():
    command = [sys.executable, str(EXAMPLES / "benchmark_cluster.py"), "--only", "stores", "--windows", "2000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if "folder" in line or "Milvus" in line]
    assert rows and all("100 %" in row for row in rows)
