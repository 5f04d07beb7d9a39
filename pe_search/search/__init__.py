"""A query becomes an aim, the store answers with matches, matches become hits."""
