"""What to offer in place of a command or an option that does not exist."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

# Two names of options that share less are not taken for one and its misspelling; from 0 to 1.
_LEAST_RATIO = 0.7
# What people type who know other programs. Misspellings need no line here.
_COMMANDS = {
    "add": "index",
    "ask": "query",
    "classify": "label",
    "delete": "remove",
    "detect": "locate",
    "find": "query",
    "histogram": "count",
    "info": "status",
    "ls": "list",
    "plot": "count",
    "move": "relocate",
    "mv": "relocate",
    "rm": "remove",
    "scan": "index",
    "search": "query",
    "settings": "config",
    "stores": "config",
    "teach": "learn",
    "train": "learn",
    "tags": "tag",
    "update": "index",
    "version": "--version",
}
_OPTIONS = {
    "--all": "-k all",
    "--copy": "--copy-to",
    "--count": "-k",
    "--csv": "--format csv",
    "--cut": "--cut-to",
    "--date": "--recorded",
    "--dir": "--under",
    "--duration": "--length",
    "--folder": "--under",
    "--glob": "--name",
    "--ignore": "--exclude",
    "--json": "--format jsonl",
    "--limit": "-k",
    "--lufs": "--loudness",
    "--not": "--minus",
    "--print0": "-0",
    "--sample-rate": "--rate",
    "--similar": "--like",
    "--tempo": "--bpm",
    "--threshold": "--min-probability",
    "--time": "--hour",
    "--top": "-k",
    "-n": "-k",
    "-o": "--format",
}


def command_instead(word: str, commands: Collection[str]) -> str | None:
    """The command that is meant by a word, or `--version`; None if there is nothing near it."""
    known = {name: name for name in commands} | {
        name: meant for name, meant in _COMMANDS.items() if meant in (*commands, "--version")
    }
    near = [word.lower()] if word.lower() in known else get_close_matches(word.lower(), known, 1)
    return known[near[0]] if near else None


def option_instead(word: str, options: Collection[str]) -> str | None:
    """The option that is meant by another one, perhaps with its value; None if there is nothing near it."""
    meant = _OPTIONS.get(word.lower())
    if meant is not None and meant.split()[0] in options:
        return meant
    # Without the dashes, which would make any two options alike.
    names = [option.removeprefix("--") for option in options if option.startswith("--")]
    name = word.lower().lstrip("-")
    begun = [one for one in names if len(name) > 1 and one.startswith(name)]
    near = begun if len(begun) == 1 else get_close_matches(name, names, 1, _LEAST_RATIO)
    return f"--{near[0]}" if near else None
