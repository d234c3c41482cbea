"""The short ways past the look for words that PostgreSQL reads from its clock lead past none of them."""

import re

import pytest

from inbox.store.tables.casts.times import _IN_A_WORD, _PLAIN, _WORD

WORDS = re.findall("[a-z]{3,}", _WORD.split("(")[2])


def fits(word: str, pattern: str, start: int) -> bool:
    """Whether a text of that pattern may have the word there: letters at its places, none beside it."""
    place = pattern[start : start + len(word)]
    beside = pattern[max(0, start - 1) : start] + pattern[start + len(word) : start + len(word) + 1]
    return (
        len(place) == len(word)
        and all(any_ in ("_", letter) for any_, letter in zip(place.lower(), word, strict=True))
        and not any(each.isalpha() for each in beside)
    )


def test_there_are_five_words() -> None:
    assert WORDS == ["now", "today", "tomorrow", "yesterday", "allballs"]


@pytest.mark.parametrize("pattern", _PLAIN)
@pytest.mark.parametrize("word", WORDS)
def test_no_word_fits_into_a_plain_time(pattern: str, word: str) -> None:
    assert not [start for start in range(len(pattern)) if fits(word, pattern, start)]


def test_the_look_finds_a_word_where_there_is_place_for_one() -> None:
    assert fits("now", "20__-01-01 ___", 11)


@pytest.mark.parametrize("word", WORDS)
def test_each_word_has_a_letter_that_is_looked_for(word: str) -> None:
    letters = {each.strip("%") for each in _IN_A_WORD}

    assert letters & set(word)
    assert letters & set(word.upper())
