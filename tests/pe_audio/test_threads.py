"""torch's threads don't spin while they wait, unless the user says so."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("theirs", "ours"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_leave_the_cores_to_others(theirs, ours):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if theirs:
        environment["OMP_WAIT_POLICY"] = theirs
    script = "import os, sys, pe_search.pe_audio; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.split() == [ours, "False"]
