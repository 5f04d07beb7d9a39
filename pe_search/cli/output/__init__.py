"""What the user gets: tables, timelines, progress, messages."""
