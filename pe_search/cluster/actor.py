"""What Ray Data makes in each of its processes. It goes there as a whole, and not by name.

So it runs where pe-search is missing or another one, and says so. It must not import anything of pe-search above.
"""

from __future__ import annotations

import pickle
import platform
from typing import Any


class Actor:
    """A worker, as Ray Data calls it.

    Args:
        version: Of pe-search where the run is.
        setup: A `Setup`, pickled.
    """

    def __init__(self, version: str, setup: bytes) -> None:
        self._worker: Any = None
        self._reason = ""
        try:
            from pe_search import __version__
        except Exception as error:
            self._reason = f"pe-search can't be imported ({error}). Install pe-search {version} there."
            return
        if __version__ != version:
            self._reason = f"there is pe-search {__version__}. Install pe-search {version} there."
            return
        try:
            from pe_search.cluster.worker import Worker

            self._worker = Worker(pickle.loads(setup))
        except Exception as error:
            self._reason = f"pe-search can't be used there: {error}."

    def __call__(self, rows: dict[str, Any]) -> dict[str, list[Any]]:
        """Embed some blocks.

        Args:
            rows: `block`, its number, and `clips`, which are pickled, of each.

        Returns:
            `result` of each, pickled: a `BlockResult`, or a line that says why there is none.
        """
        if self._worker is None:
            return {"result": [pickle.dumps(f"{platform.node()}: {self._reason}") for _ in rows["block"]]}
        pairs = zip(rows["block"], rows["clips"], strict=True)
        return {"result": [pickle.dumps(self._worker.embed(int(block), pickle.loads(clips))) for block, clips in pairs]}
