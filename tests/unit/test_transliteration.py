"""Transliteration: national letters become GSM letters (docs/dialects/infobip.md 3.3)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kvitto.core.text import is_gsm
from kvitto.core.transliteration import TABLES, Alphabet, transliterate


@pytest.mark.parametrize(
    ("alphabet", "text", "expected"),
    [
        ("TURKISH", "İstanbul'da ığdır ŞÇ çş", "Istanbul'da igdir SÇ cs"),
        ("GREEK", "Ως μεγάλο πολύγλωσσο", "ΩΣ MEΓAΛO ΠOΛYΓΛΩΣΣO"),
        ("CYRILLIC", "Съешь ещё Щука", "Sesh eshchyo Shchuka"),
        ("SERBIAN_CYRILLIC", "Љубљана Ђак Џак Ћирилица", "Ljubljana Djak Dzak Cirilica"),
        ("BULGARIAN_CYRILLIC", "Щъркел Ямбол", "Shtarkel Yambol"),
        ("CENTRAL_EUROPEAN", "Příliš žluťoučký kůň łódź", "Prilis zlutoucky kun lodz"),
        ("BALTIC", "Āčēģ ķļņ", "Aceg kln"),
        ("PORTUGUESE", "ação é à São", "acao é à Sao"),
        ("COLOMBIAN", "mañana ó Á", "mañana o A"),
        ("NON_UNICODE", "“a” – 日本 é ß ő 😀", '"a" - ?? é ß o ?'),
        ("ALL", "Привет ő ğ", "Privet o g"),
        ("NONE", "ğ", "ğ"),
    ],
)
def test_i3_3_each_alphabet(alphabet, text, expected):
    assert transliterate(text, Alphabet(alphabet)) == expected


@pytest.mark.parametrize("alphabet", list(Alphabet))
def test_i3_3_tables_replace_what_is_not_gsm_by_what_is(alphabet):
    table = TABLES[alphabet]
    assert not [chr(code) for code in table if is_gsm(chr(code))]
    assert not [latin for latin in table.values() if not is_gsm(latin)]
    assert bool(table) == (alphabet is not Alphabet.NONE)


def test_i3_3_letters_with_loose_accents_are_the_same_letters():
    assert transliterate("s\u0327 ğ", Alphabet.TURKISH) == "s g"


def test_i3_3_what_a_table_does_not_know_stays():
    assert transliterate("ğ日", Alphabet.TURKISH) == "g日"


@given(st.text(), st.sampled_from(list(Alphabet)))
@example("\x0b`", Alphabet.NON_UNICODE)
def test_i3_3_gsm_texts_stay_as_they_are_and_non_unicode_leaves_nothing_else(text, alphabet):
    done = transliterate(text, alphabet)
    if is_gsm(text):
        assert done == text
    if alphabet is Alphabet.NON_UNICODE:
        assert is_gsm(done)
    assert transliterate(done, alphabet) == done
