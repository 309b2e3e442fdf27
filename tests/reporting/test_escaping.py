"""A name is only ever a name: on the page, in a script and in a sentence."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from featstore.reporting.escaping import legible, prose, script_json

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # halves of pairs too, as file names may have them


@given(ANY_TEXT)
def test_json_in_a_script_is_the_same_value_and_cannot_end_it(text: str) -> None:
    written = script_json({text: [text]})
    assert json.loads(written) == {text: [text]}
    assert written.isascii()
    assert not {"<", ">", "&"} & {*written}


@given(ANY_TEXT)
def test_what_is_legible_can_be_written_and_stays_so(text: str) -> None:
    shown = legible(text)
    assert shown.encode().decode() == shown
    assert legible(shown) == shown


def test_what_cannot_be_seen_is_written_out() -> None:
    assert legible("photo\u202egpj.exe\x00\n\udc80") == "photo\\u202egpj.exe\\x00\\n\\udc80"


def test_letters_that_need_joiners_keep_them() -> None:
    for text in ("می\u200cخواهم", "👩\u200d🔬", "猫", "e\u0301"):
        assert legible(text) == text


def test_names_in_a_sentence_are_isolated() -> None:
    assert prose("`قطة` & `<b>` differ") == (
        "<code><bdi>قطة</bdi></code> &amp; <code><bdi>&lt;b&gt;</bdi></code> differ"
    )


def test_a_name_with_a_backquote_is_shown_as_it_is() -> None:
    assert prose("the class `a`b` & others") == "the class `a`b` &amp; others"
