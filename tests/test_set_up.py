"""What sets itself up: the demo, and the installed package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# As from a shell: `make test` hands its flags down, with which another make says which folder it enters.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}


@pytest.mark.slow
def test_the_first_answer_to_each_query_of_the_demo_is_right(tmp_path):
    result = subprocess.run(
        [
            "make",
            "demo",
            "-o",
            "venv/installed",
            "VENV=venv",
            f"BIN={Path(sys.executable).parent}",
            f"DEMO_STORE={tmp_path / 'demo'}",
        ],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    queries = re.findall(r"pe-search query '([^']+)'", result.stdout)
    first_hits = re.findall(r"(?m)^1 .* examples/sounds/(\S+) *$", result.stdout)
    assert dict(zip(queries, first_hits, strict=True)) == {
        "dog barking": "dog-barking.flac",
        "rain": "weather/rain.flac",
        "snare drum": "drums/snare-drum.flac",
    }


@pytest.mark.parametrize(("status", "made"), [(0, True), (1, False)])
def test_setting_up_says_what_it_does_and_what_pip_said_if_it_fails(tmp_path, status, made):
    """With a Python that makes no environment, and a pip that installs nothing."""
    python = tmp_path / "python"
    python.write_text(
        "#!/bin/sh\n"
        f'[ "$1" = -m ] || exit 0\nmkdir -p "$3/bin"\n'
        f"printf '#!/bin/sh\\necho no room on the disk\\nexit {status}\\n' > \"$3/bin/pip\"\n"
        'chmod +x "$3/bin/pip"\n'
    )
    python.chmod(0o755)
    venv = tmp_path / "venv"
    argv = ["make", f"{venv}/installed", f"VENV={venv}", f"PYTHON={python}"]
    done = subprocess.run(argv, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[:2] == [
        f"Making {venv} with {python}.",
        f"Installing pe-search into {venv}. The first time this takes some minutes.",
    ]
    assert ("no room on the disk" in done.stdout) is (not made)
    assert (done.returncode == 0) is (venv / "installed").is_file() is made


@pytest.mark.slow
def test_the_installed_package_is_complete(tmp_path):
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(tmp_path), str(ROOT)], check=True, capture_output=True)
    script = "import pe_search, pathlib; print(pathlib.Path(pe_search.__file__).parent)"
    installed = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout.strip()
    assert installed == str(tmp_path / "pe_search")
    names = {path.name for path in (tmp_path / "pe_search" / "pe_audio" / "builtin").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md", "ATTRIBUTION.txt"} <= names
    assert (tmp_path / "bin" / "pe-search").is_file()
