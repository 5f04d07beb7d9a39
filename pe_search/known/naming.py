"""What the names of files and folders say: words, and the category of the Universal Category System."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from itertools import chain
from pathlib import PurePath

# Scripts without spaces between words, of which each character is a word: Thai, Lao, Burmese, Khmer, Kana, Han, Hangul.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
)
_RUNS = re.compile(rf"(?:(?![{_UNSPACED}])[^\W_])+|(?=[{_UNSPACED}])\w")
_BETWEEN = re.compile(rf"(?<=[{_UNSPACED}])(?=\w)|(?<=\w)(?=[{_UNSPACED}])")
_LETTERS_OR_DIGITS = re.compile(r"[^\W\d_]+|\d+")
_ACCENTS = re.compile("[\u0300-\u036f]+")
# CatID_Name_Creator_Source, where the CatID is a category in capitals and a subcategory (universalcategorysystem.com).
_UCS = re.compile(r"([A-Z]{2,}[a-z][A-Za-z]*)(?:-[^_]*)?_[^_]+_[^_]+_[^_]+")


def words_in(text: str) -> list[str]:
    """The words of a name, in lower case and without accents: `DÖGBark_Kick808` has dog, bark, kick and 808.

    A character of a script without spaces is a word by itself.
    """
    return list(chain.from_iterable(chain.from_iterable(_runs(text))))


def joined_words_in(text: str) -> list[str]:
    """The words of a name as they are written together: `DogBark_Kick808` has dogbark and kick808."""
    return ["".join(chain.from_iterable(run)) for run in _runs(text)]


def searchable(text: str) -> str:
    """The words of a text in order, then those that are several of them written together.

    `Big DogBark01` becomes `big dog bark 01 dogbark01 dogbark`, in which a phrase of words is found, and either way to
    write them.
    """
    words: list[str] = []
    joined: dict[str, None] = {}
    for run in _runs(text):
        words.extend(chain.from_iterable(run))
        for parts in (list(chain.from_iterable(run)), *run):
            if len(parts) > 1:
                joined["".join(parts)] = None
    return " ".join([*words, *joined])


def parted(text: str) -> str:
    """A text with a zero-width space between the characters of scripts without spaces, so that each is a word."""
    return _BETWEEN.sub("\u200b", text)


def category_of(path: str | os.PathLike[str]) -> str | None:
    """The words of the UCS category in a file's name, as `dog bark`; None if the name is not of that form."""
    found = _UCS.match(PurePath(path).stem)
    return None if found is None else " ".join(words_in(found[1]))


def _runs(text: str) -> Iterator[list[list[str]]]:
    """What stands between spaces and signs; each as its letters and digits, and those as words."""
    # Characters that look alike become one, whatever way they are written; bytes that are not UTF-8 are no letters.
    plain = unicodedata.normalize("NFKC", _ACCENTS.sub("", unicodedata.normalize("NFKD", text)))
    for run in _RUNS.findall(plain):
        yield [[word.casefold() for word in _humps(part)] for part in _LETTERS_OR_DIGITS.findall(run)]


def _humps(word: str) -> Iterator[str]:
    """`DOGBark` parted where capitals part it: DOG and Bark."""
    start = 0
    for place in range(1, len(word)):
        before, here, after = word[place - 1], word[place], word[place + 1 : place + 2]
        if here.isupper() and (before.islower() or (before.isupper() and after.islower())):
            yield word[start:place]
            start = place
    yield word[start:]
