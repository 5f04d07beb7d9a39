"""The words that the built-in checkpoint was taught. Apart from the rest, because every query asks for it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from unicodedata import normalize

_WORDS_FILE = Path(__file__).parent / "builtin" / "words.txt"
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")


def untaught_by_builtin(texts: Iterable[str]) -> list[str]:
    """Those of some texts of which the built-in checkpoint was taught no word, by the file beside its weights."""
    taught = b"\n" + _WORDS_FILE.read_bytes()

    def is_taught(word: str) -> bool:
        return any(b"\n" + part.encode(errors="replace") + b"\n" in taught for part in (word, *re.split("['-]", word)))

    return [text for text in texts if not any(map(is_taught, _WORD.findall(normalize("NFKC", text.lower()))))]
