"""Adapt a language model to captions: low-rank adapters on its language part, and their training."""
