"""Keep account of what of a file can't be decoded."""

from __future__ import annotations

from pe_search.clock import clock


class Damage:
    """The places of a file that couldn't be decoded, as it is read from its start."""

    def __init__(self) -> None:
        self._places = 0
        self._bytes = 0
        self._gap_s = 0.0
        self._first_s = 0.0
        self._last_s = -1.0

    def add(self, at_s: float, size_bytes: int) -> None:
        """Count some bytes at a place; those that follow on others there are one place with them."""
        if not self._places:
            self._first_s = at_s
        self._places += at_s != self._last_s
        self._last_s = at_s
        self._bytes += size_bytes

    def add_gap(self, at_s: float, gap_s: float) -> None:
        """Count what lies between two frames that don't follow on one another."""
        self.add(at_s, 0)
        self._gap_s += gap_s

    def told(self) -> str | None:
        """The damage in words; None if there is none."""
        if not self._places:
            return None
        where = f"at {clock(self._first_s)}" if self._places == 1 else f"in {self._places:,} places"
        since = "" if self._places == 1 else f" from {clock(self._first_s)} on"
        amount = f"{self._gap_s:.2g} s" if self._gap_s else f"{self._bytes:,} bytes"
        return f"is damaged {where}{since}: {amount} can't be decoded"
