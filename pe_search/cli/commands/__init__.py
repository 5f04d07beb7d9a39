"""Each command: parse, ask the library, render."""
