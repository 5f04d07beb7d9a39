"""Clips are embedded by processes of a Ray runtime. The only importer of ray."""
