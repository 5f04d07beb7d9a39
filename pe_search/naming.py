"""What the names of files and folders say: words, and the category of the Universal Category System."""

from __future__ import annotations

import os
import re
from pathlib import PurePath

_WORDS = re.compile(r"[^\W\d_]+|\d+")
_CAPITALS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# CatID_Name_Creator_Source, where the CatID is a category in capitals and a subcategory (universalcategorysystem.com).
_UCS = re.compile(r"([A-Z]{2,}[a-z][A-Za-z]*)(?:-[^_]*)?_[^_]+_[^_]+_[^_]+")


def words_in(text: str) -> list[str]:
    """The words of a name, in lower case: `DOGBark_Kick808` has dog, bark, kick and 808."""
    return [part.lower() for word in _WORDS.findall(text) for part in _CAPITALS.split(word)]


def category_of(path: str | os.PathLike[str]) -> str | None:
    """The words of the UCS category in a file's name, as `dog bark`; None if the name is not of that form."""
    found = _UCS.match(PurePath(path).stem)
    return None if found is None else " ".join(words_in(found[1]))
