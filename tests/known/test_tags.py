"""What a tag may be."""

from __future__ import annotations

import pytest

from pe_search.known.tags import tag_of, tags_of


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("favourite", "favourite"),
        ("  to check\n", "to check"),
        ("Café 雨 🐕", "Café 雨 🐕"),
        # Composed and not are one tag, as they look the same.
        ("Cafe\u0301", "Café"),
        ("x" * 100, "x" * 100),
        (" " + "x" * 100 + " ", "x" * 100),
    ],
)
def test_a_tag_as_it_is_kept(text, tag):
    assert tag_of(text) == tag


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "a tag must not be empty"),
        (" \t ", "a tag must not be empty"),
        ("x" * 101, "a tag has at most 100 characters; this one has 101"),
        ("a,b", "'a,b' has a comma, which a tag must not have"),
        ("a\nb", r"'a\nb' has a character that can't be printed"),
        ("\x1b[31m", r"'\x1b[31m' has a character that can't be printed"),
        ("\udcff", r"'\udcff' has a character that can't be printed"),
    ],
)
def test_what_is_no_tag(text, reason):
    with pytest.raises(ValueError) as error:
        tag_of(text)
    assert str(error.value) == reason


def test_one_or_several_each_once():
    assert tags_of("a b") == ("a b",)
    assert tags_of(["b", " a", "b "]) == ("b", "a")
    assert tags_of(()) == ()
    with pytest.raises(ValueError, match="empty"):
        tags_of(["a", ""])
