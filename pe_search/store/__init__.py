"""The directory that holds what was embedded: a manifest, a catalog (the one source of truth) and a FAISS index."""

from pe_search.store.catalog import Holdings
from pe_search.store.manifest import FORMAT_VERSION, Manifest, read_manifest_if_any
from pe_search.store.store import Store

__all__ = ["FORMAT_VERSION", "Holdings", "Manifest", "Store", "read_manifest_if_any"]
