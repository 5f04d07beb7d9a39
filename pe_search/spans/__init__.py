"""Clips become frames, frames become the spans in which a sound is heard."""
