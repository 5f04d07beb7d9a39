"""The recipe is a package beside the example scripts: put their folder on the path, as running one of them does."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
