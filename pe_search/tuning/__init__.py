"""A table of what is heard in clips, and a checkpoint → a checkpoint that knows more. Imports no torch."""
