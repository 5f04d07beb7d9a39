"""Words that are learned from examples."""
