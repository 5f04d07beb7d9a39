"""Where the server of a store listens, and who may be at the other end: the same user, and nobody else."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import struct
import sys
from pathlib import Path

from pe_search.errors import PeSearchError

# macOS takes 103 bytes and Linux 107.
_LONGEST_PATH_BYTES = 103
_DIGITS = 16


def socket_path(folder: Path, directory: Path) -> Path:
    """The socket of the server of a store, whatever links lead to the store.

    Args:
        folder: The user's, for sockets.
        directory: The store's.
    """
    identity = os.fsencode(os.path.realpath(directory))
    return folder / f"{hashlib.sha256(identity).hexdigest()[:_DIGITS]}.socket"


def make_private_folder(folder: Path) -> None:
    """Make a folder that only its user may enter.

    On Windows it holds no sockets, only the locks of servers, and is as private as the user's other data.

    Raises:
        PeSearchError: If others may enter the one that is there, or sockets in it would have too long a path.
        OSError: If it can't be made.
    """
    if sys.platform == "win32":
        folder.mkdir(parents=True, exist_ok=True)
        return
    if len(os.fsencode(socket_path(folder, folder))) > _LONGEST_PATH_BYTES:
        raise PeSearchError(f"{folder} is too long a path for a socket; set XDG_RUNTIME_DIR to a shorter one.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not is_private(folder):
        raise PeSearchError(f"{folder} is open to other users; `chmod 700` it if it is yours, else remove it.")


def is_private(folder: Path) -> bool:
    """Whether a folder is there, and nobody but this user may enter it; on Windows that is never known."""
    if sys.platform == "win32":
        return False
    try:
        status = folder.stat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077


def is_same_user(connection: socket.socket) -> bool:
    """Whether this user is at the other end. Where the system doesn't tell, the private folder is all there is."""
    if sys.platform == "win32" or not hasattr(socket, "SO_PEERCRED"):
        return True
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return bool(struct.unpack("3i", credentials)[1] == os.geteuid())
