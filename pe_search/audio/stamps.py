"""What tells whether a file has changed since it was read.

Size and time of the last write are not enough: tools set that time back, and another file may have both. The time of
the last change of anything about a file (ctime), which only the system sets, and its inode tell it then. To compare
them costs at most that a file is read again, and found to hold the same bytes: where a disk gives other inodes each
time it is mounted, as some network and FAT file systems do, and after a file was copied, renamed or given other rights.
"""

from __future__ import annotations

import os

from pe_search.records import Stamp

_MOST = 2**63 - 1


def stamp_of(status: os.stat_result) -> Stamp:
    """The stamp of a file, of what the system says of it."""
    return (
        status.st_size,
        _in_64_bits(status.st_mtime_ns),
        # On Windows that is when the file was made, which nothing that is done to its bytes changes.
        None if os.name == "nt" else _in_64_bits(status.st_ctime_ns),
        # A walk of a folder on Windows gives none.
        (status.st_ino & _MOST) or None,
    )


def is_same(held: Stamp | None, found: Stamp) -> bool:
    """Whether a file is as it was when its stamp was taken, as far as both stamps know; not if there is no stamp."""
    return held == found or (
        held is not None
        and held[:2] == found[:2]
        and all(None in pair or pair[0] == pair[1] for pair in zip(held[2:], found[2:], strict=True))
    )


def _in_64_bits(time_ns: int) -> int:
    # A clock that was far off may have left a time that 64 bits can't hold, as they do in the catalog.
    return min(max(time_ns, -_MOST - 1), _MOST)
