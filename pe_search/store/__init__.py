"""The directory that holds what was embedded: a manifest, a catalog (the one source of truth) and a FAISS index.

Beside them lie the texts that the store was asked before, with their embeddings.
"""

from pe_search.store.conversion import read_manifest_if_any
from pe_search.store.files import TEXTS_FILE
from pe_search.store.manifest import Manifest
from pe_search.store.schema import FORMAT_VERSION
from pe_search.store.store import Store
from pe_search.store.texts import RememberedTexts

__all__ = ["FORMAT_VERSION", "TEXTS_FILE", "Manifest", "RememberedTexts", "Store", "read_manifest_if_any"]
