"""The FAISS index of a store: exact inner products. The only importer of faiss."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BYTES_AT_ONCE = 1 << 20


class Index:
    """An exact index from window ids to embeddings.

    Build one with `Index.build` or `Index.read`.
    """

    def __init__(self, faiss_index: Any) -> None:
        self._index = faiss_index

    @classmethod
    def build(cls, ids: NDArray[np.int64], embeddings: NDArray[np.float32]) -> Index:
        """Make an index of embeddings of shape (windows, dimension)."""
        faiss = _faiss()
        index = faiss.IndexIDMap(faiss.IndexFlatIP(embeddings.shape[1]))
        index.add_with_ids(np.ascontiguousarray(embeddings), ids)
        return cls(index)

    @classmethod
    def read(cls, path: Path, dimension: int) -> Index | None:
        """Read an index, or return None where the file is missing, damaged or of other embeddings."""
        faiss = _faiss()
        if not path.is_file():
            return None
        try:
            # Through a file, because faiss can't open a name that is not UTF-8.
            with path.open("rb") as file:
                index = faiss.read_index(faiss.PyCallbackIOReader(file.read, _BYTES_AT_ONCE))
        except (OSError, RuntimeError, MemoryError):
            return None
        if not isinstance(index, faiss.IndexIDMap) or index.d != dimension:
            return None
        return cls(index)

    def write(self, path: Path) -> None:
        """Write the index whole or not at all.

        Raises:
            OSError: If the disk is full or can't be written to.
        """
        draft = path.with_suffix(".new")
        faiss = _faiss()
        try:
            with draft.open("wb") as file:
                faiss.write_index(self._index, faiss.PyCallbackIOWriter(file.write, _BYTES_AT_ONCE))
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        os.replace(draft, path)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(
        self, query: NDArray[np.float32], k: int, among: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The best windows for one query, best first.

        Args:
            query: Shape (dimension,).
            k: How many at most.
            among: Window ids to choose from; all if None.

        Returns:
            Scores and window ids, both of shape (at most k,).
        """
        faiss = _faiss()
        parameters = None
        if among is not None:
            parameters = faiss.SearchParameters(sel=faiss.IDSelectorBatch(among))
        scores, ids = self._index.search(query[None], k, params=parameters)
        found = ids[0] >= 0
        return scores[0][found], ids[0][found]


def _faiss() -> Any:
    if sys.platform == "darwin":
        # torch and faiss each bring an OpenMP runtime, and on macOS a process with both aborts or crashes inside the
        # search: kyamagu/faiss-wheels#73, pytorch/pytorch#149201.
        os.environ.setdefault("KMP_DUPLICATE_LIB_OK", "TRUE")
    import faiss

    if sys.platform == "darwin":
        faiss.omp_set_num_threads(1)
    return faiss
