"""Adapt a checkpoint to more sounds and words: low-rank adapters on both towers, and their training.

Only this room imports peft.
"""
