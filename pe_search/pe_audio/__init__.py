"""The PE Audio model: find a checkpoint, load its towers, embed windows and texts.

The only floor that imports torch and transformers.
"""
