"""Transliteration: a text's national letters become letters of the GSM alphabet, so that it needs fewer parts.

Tables, one for each alphabet that a customer may name (docs/dialects/infobip.md 3.3). What GSM 03.38 has stays as
it is: no table touches it. What a table does not know stays too, and then the text travels as UCS-2 all the same; only
NON_UNICODE leaves nothing behind. It happens before parts are counted, and the text is kept as it was sent.

Must not know: who asks, how a text is split. Next: ``kvitto.core.text``.
"""

import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from kvitto.core.text import is_gsm

__all__ = ["TABLES", "Alphabet", "transliterate"]


class Alphabet(StrEnum):
    """Whose letters are to be replaced."""

    TURKISH = "TURKISH"
    GREEK = "GREEK"
    CYRILLIC = "CYRILLIC"
    SERBIAN_CYRILLIC = "SERBIAN_CYRILLIC"
    BULGARIAN_CYRILLIC = "BULGARIAN_CYRILLIC"
    CENTRAL_EUROPEAN = "CENTRAL_EUROPEAN"
    BALTIC = "BALTIC"
    PORTUGUESE = "PORTUGUESE"
    COLOMBIAN = "COLOMBIAN"
    NON_UNICODE = "NON_UNICODE"
    ALL = "ALL"
    NONE = "NONE"


def transliterate(text: str, alphabet: Alphabet) -> str:
    """Return the text with the alphabet's letters replaced; what is GSM already comes back as it is."""
    if alphabet is Alphabet.NONE or is_gsm(text) or (text.isascii() and alphabet is not Alphabet.NON_UNICODE):
        return text
    replaced = unicodedata.normalize("NFC", text).translate(TABLES[alphabet])
    if alphabet is not Alphabet.NON_UNICODE:
        return replaced
    return "".join(char if is_gsm(char) else _nearest(char) for char in replaced)


def _nearest(char: str) -> str:
    """The letter under an accent, the plain form of a wide letter or digit; "?" when there is none."""
    category = unicodedata.category(char)
    if category in ("Mn", "Cf"):
        return ""
    if category[0] != "L" and category != "Nd":
        return "?"
    plain = unicodedata.normalize("NFKD", char)
    return "".join(one for one in plain if not unicodedata.combining(one) and is_gsm(one)) or "?"


# --- the tables ------------------------------------------------------------------------------------------------------

_NO_BASE: Final[Mapping[str, str]] = {"ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ı": "i", "ŀ": "l", "Ŀ": "L"}
"""Letters whose stroke or missing dot is no accent that Unicode can take off."""


def _without_accents(letters: str) -> dict[str, str]:
    """Each letter's base, lower and upper case; letters that GSM has are left out."""
    found = {}
    for letter in letters + letters.upper() + "".join(_NO_BASE):
        if letter in _NO_BASE and letter not in letters + letters.upper():
            continue
        if not is_gsm(letter):
            found[letter] = _NO_BASE.get(letter) or unicodedata.normalize("NFD", letter)[0]
    return found


def _pairs(lower: Mapping[str, str]) -> dict[str, str]:
    """A table of small letters, with the capitals beside them: "щ" -> "shch", "Щ" -> "Shch"."""
    return {**lower, **{letter.upper(): latin.capitalize() for letter, latin in lower.items()}}


_TURKISH: Final = {**_without_accents("çğşâîû"), "ı": "i", "İ": "I"}

# The ten capitals that GSM has stay Greek, the others become the Latin letters that look like them: how Greek has been
# written in 160 characters since there is SMS. There are no small ones.
_GREEK_CAPITALS: Final = dict(zip("ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ", "ABΓΔEZHΘIKΛMNΞOΠPΣTYΦXΨΩ", strict=True))
_GREEK_ACCENTED: Final = dict(zip("άέήίόύώϊϋΐΰςΆΈΉΊΌΎΏΪΫ", "AEHIOYΩIYIYΣAEHIOYΩIY", strict=True))
_GREEK: Final = {
    letter: latin
    for letter, latin in {
        **_GREEK_CAPITALS,
        **{letter.lower(): latin for letter, latin in _GREEK_CAPITALS.items()},
        **_GREEK_ACCENTED,
    }.items()
    if not is_gsm(letter)
}

_SLAVIC: Final = {
    "а": "a",
    "б": "b",
    "в": "v",
    "г": "g",
    "д": "d",
    "е": "e",
    "ж": "zh",
    "з": "z",
    "и": "i",
    "й": "y",
    "к": "k",
    "л": "l",
    "м": "m",
    "н": "n",
    "о": "o",
    "п": "p",
    "р": "r",
    "с": "s",
    "т": "t",
    "у": "u",
    "ф": "f",
    "ц": "ts",
    "ч": "ch",
    "ш": "sh",
    "ю": "yu",
    "я": "ya",
}
_CYRILLIC: Final = _pairs(
    {
        **_SLAVIC,
        "ё": "yo",
        "х": "kh",
        "щ": "shch",
        "ъ": "",
        "ы": "y",
        "ь": "",
        "э": "e",
        "є": "ye",
        "і": "i",
        "ї": "yi",
        "ґ": "g",
        "ў": "u",
    }
)
_BULGARIAN: Final = _pairs({**_SLAVIC, "х": "h", "щ": "sht", "ъ": "a", "ь": "y", "ѝ": "i"})
_SERBIAN: Final = _pairs(
    {
        **{letter: latin for letter, latin in _SLAVIC.items() if letter not in "йюя"},
        "ђ": "dj",
        "ж": "z",
        "ј": "j",
        "љ": "lj",
        "њ": "nj",
        "ћ": "c",
        "х": "h",
        "ц": "c",
        "ч": "c",
        "џ": "dz",
        "ш": "s",
    }
)

_CENTRAL_EUROPEAN: Final = _without_accents("áâăąćčçďđéěęëíîłľĺńňóôőöŕřśšșşťțţúůűüýźžż")
_BALTIC: Final = _without_accents("āąčēęėģīįķļņõšūųž")
_PORTUGUESE: Final = _without_accents("áâãçéêíóôõúüà")
_COLOMBIAN: Final = _without_accents("áéíóúüñ")

_SIGNS: Final[Mapping[str, str]] = {
    "‘": "'",
    "’": "'",
    "‚": "'",
    "‹": "<",
    "›": ">",
    "“": '"',
    "”": '"',
    "„": '"',
    "«": '"',
    "»": '"',
    "‐": "-",
    "‑": "-",
    "–": "-",
    "—": "-",
    "−": "-",
    "…": "...",
    "•": "*",
    "·": ".",
    "`": "'",
    "´": "'",
    "™": "TM",
    "©": "(C)",
    "®": "(R)",
    "№": "No",
    "\t": " ",
    "\u00a0": " ",
    "\u2009": " ",
    "\u202f": " ",
    "º": "o",
    "ª": "a",
    "đ": "d",
    "Đ": "D",
    "ł": "l",
    "Ł": "L",
    "œ": "oe",
    "Œ": "OE",
    "þ": "th",
    "Þ": "Th",
    "ð": "d",
    "Ð": "D",
}
"""Typographic signs and letters of no alphabet above."""

# Where alphabets differ on a letter, the first of these has the word: Russian's of the Cyrillic ones.
_LETTERS: Final = {
    **_SERBIAN,
    **_BULGARIAN,
    **_CYRILLIC,
    **_GREEK,
    **_BALTIC,
    **_CENTRAL_EUROPEAN,
    **_PORTUGUESE,
    **_COLOMBIAN,
    **_TURKISH,
}


def _table(letters: Mapping[str, str]) -> Mapping[int, str]:
    return {ord(letter): latin for letter, latin in letters.items()}


TABLES: Final[Mapping[Alphabet, Mapping[int, str]]] = {
    Alphabet.TURKISH: _table(_TURKISH),
    Alphabet.GREEK: _table(_GREEK),
    Alphabet.CYRILLIC: _table(_CYRILLIC),
    Alphabet.SERBIAN_CYRILLIC: _table(_SERBIAN),
    Alphabet.BULGARIAN_CYRILLIC: _table(_BULGARIAN),
    Alphabet.CENTRAL_EUROPEAN: _table(_CENTRAL_EUROPEAN),
    Alphabet.BALTIC: _table(_BALTIC),
    Alphabet.PORTUGUESE: _table(_PORTUGUESE),
    Alphabet.COLOMBIAN: _table(_COLOMBIAN),
    Alphabet.NON_UNICODE: _table({**_LETTERS, **_SIGNS}),
    Alphabet.ALL: _table(_LETTERS),
    Alphabet.NONE: {},
}
"""Alphabet -> code point -> what stands for it: GSM characters only, for code points that are not GSM."""
