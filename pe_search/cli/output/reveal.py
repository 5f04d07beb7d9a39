"""Show a file in the file manager."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from pe_search.errors import PeSearchError


def reveal(path: Path) -> None:
    """Open the file manager at a file; on Linux at its folder, because not every file manager there selects files.

    Args:
        path: The file; absolute.

    Raises:
        PeSearchError: If there is no file, or no file manager; it names the file's path.
    """
    if not path.exists():
        raise PeSearchError(f"{path}: No such file or directory")
    if sys.platform == "win32":
        # One argument, with quotes where explorer wants them: around the path alone.
        command: str | list[str] = f'explorer /select,"{path}"'
    elif sys.platform == "darwin":
        command = ["open", "-R", str(path)]
    else:
        has_desktop = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
        program = shutil.which("xdg-open")
        if program is None or not has_desktop:
            lack = "xdg-open is not installed" if has_desktop else "there is no desktop here"
            raise PeSearchError(f"no file manager can be opened: {lack}. The file is {path}")
        command = [program, str(path.parent)]
    # Nobody waits for it, and what it says is not for this terminal.
    subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=sys.platform != "win32",
    )
