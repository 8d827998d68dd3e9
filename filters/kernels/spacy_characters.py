"""Character classes of spaCy 3.8's English tokenizer, and of datatrove, which counts its tokens.

The sets are those of spacy/lang/char_classes.py and punctuation.py (MIT licence) and of datatrove's utils/text.py (Apache-2.0),
expressed by Unicode properties where possible. `tests/benchmarks/conformance/datatrove.py` compares the tokens with theirs.
"""

from functools import cache

import numpy as np
import numpy.typing as npt
import regex

from pipeline.filters.kernels.unicode import every_character

LIBRARIES = ("regex",)  # its tables decide what a character is

# One bit per property of a character.
SPACE, ALPHA, LOWER, UPPER, PREFIX, SUFFIX, INFIX, QUOTE = (1 << bit for bit in range(8))
DOTTED, LETTER, MARK, PUNCTUATION, TERMINAL, CURRENCY, HOST, WORD = (1 << bit for bit in range(8, 16))
"""DOTTED: a full stop after it is a suffix. MARK: in datatrove's PUNCTUATION_SET. HOST: may be part of an address."""


_UNCASED = (  # spaCy's scripts without case, by block
    r"\u0591-\u05F4\u0620-\u064A\u066E-\u06D5\u06E5-\u06FF\u0750-\u077F\u08A0-\u08BD\u0900-\u09FF\u0B80-\u0CFF\u0D80-\u0DFF"
    r"\u1100-\u137F\u2E80-\u2FDF\u2FF0-\u30FF\u31C0-\u31EF\u3200-\u4DBF\u4E00-\u9FFF\uAC00-\uD7AF\uF900-\uFAFF\uFB1D-\uFBB1"
    r"\uFBD3-\uFD3D\uFD50-\uFDC7\uFDF0-\uFDFB\uFE30-\uFE4F\uFE70-\uFEFC\U0001EE00-\U0001EEBB\U0001F200-\U0001F2FF"
    r"\U00020000-\U0002A6DF\U0002A700-\U0002EBEF\U0002F800-\U0002FA1F"
)
_CASED = (  # its Latin, Cyrillic and Greek letters
    r"A-Za-zＡ-Ｚａ-ｚÀ-ÖØ-öø-ÿĀ-ƿǄ-ɏⱠ-ⱻⱾⱿꜢ-ꝯꝱ-ꞇꞋ-ꞎꞐ-ꞹꟺꬰ-ꭚꭠ-ꭤɐ-ʯᴀ-ᴥᵫ-ᵷᵹ-ᶚḀ-ỿ"
    r"ёа-яЁА-ЯәөүҗңһӘӨҮҖҢҺα-ωάέίόώήύΑ-ΩΆΈΊΌΏΉΎіїєґІЇЄҐѓѕјљњќѐѝЃЅЈЉЊЌЀЍ"
)
_ICONS_SINCE = (  # other symbols of Unicode 12 and later, which spaCy's table lacks
    r"\u166D\u2427-\u2429\u2B96\u2B97\u2BC9\u2BFF\u2E50\u2E51\u2FFC-\u2FFF\u31E4\u31E5\u31EF\u32FF\uFBC3-\uFBD2\uFD40-\uFD4F"
    r"\uFD90\uFD91\uFDC8-\uFDCF\uFDFE\uFDFF\U0001019C\U00010ED1-\U00010ED8\U00011FD5-\U00011FDC\U00011FE1-\U00011FF1"
    r"\U0001CC00-\U0001CFC3\U0001D1E9-\U0001D1FF\U0001D253-\U0001D25A\U0001D25D\U0001D25E\U0001D260-\U0001D27F\U0001E14F"
    r"\U0001ED2E\U0001F10D-\U0001F10F\U0001F16C-\U0001F16F\U0001F1AD\U0001F1AE\U0001F6D5-\U0001F6D9\U0001F6DC-\U0001F6DF"
    r"\U0001F6FA-\U0001F6FC\U0001F774-\U0001F77F\U0001F7D9-\U0001F7DB\U0001F7E0-\U0001F7F0\U0001F8B0-\U0001F8C1"
    r"\U0001F90C-\U0001F90F\U0001F93F\U0001F971\U0001F972\U0001F977-\U0001F979\U0001F97B\U0001F9A3-\U0001F9AF"
    r"\U0001F9BA-\U0001F9BF\U0001F9C3-\U0001F9CF\U0001FA00-\U0001FA57\U0001FA70-\U0001FBFA"
)
_TERMINALS_SINCE = (  # sentence terminals of Unicode 11 and later, which spaCy's sentencizer lacks
    r"\u061D\u061E\u0837\u0839\u083D\u083E\u1B4E\u1B4F\u1B7D-\u1B7F\u17D4\u17D5\u2024\u2CF9-\u2CFB\u2E53\u2E54\u2E60\u2E61"
    r"\uFE12\uFE15\uFE16\U00010F55-\U00010F59\U00010F86-\U00010F89\U000113D4\U000113D5\U00011944\U00011946"
    r"\U00011EF7\U00011EF8\U00011F43\U00011F44\U00016D6E\U00016D6F\U00016E98"
)
_PUNCT = r"…,:;!?¿؟¡()\[\]{}<>_#*&。？！，、；：～·।،۔؛٪"
_QUOTES = "',\"”“`‘´’‚„»«「」『』（）〔〕【】《》〈〉〈〉⟦⟧"
_MONEY = "$£€¥฿₽﷼₴₠-₫₭-₿"
_ICONS = rf"[\p{{So}}--[{_ICONS_SINCE}]]"
# datatrove's PUNCTUATION (utils/text.py); its list of terminal marks is Unicode's, except for a few Khmer signs.
_MARKS = (
    r"\x00-\x08\x0B-\x1F\x7F-\x9F"
    r"!\"#$%\&'()*+,\-./:;<=>?@\[\\\]\^_`{|}\~«´»–—’“”„…∶━►、。〈〉《》「」【】！％（），．１：；？～"
)

_CLASSES = (
    (r"\p{White_Space}\x1C-\x1F", SPACE),
    (rf"{_CASED}{_UNCASED}", ALPHA),
    (rf"[[\p{{Ll}}&&[{_CASED}]]{_UNCASED}ʔʕ]", LOWER),
    (rf"[[\p{{Lu}}&&[{_CASED}]]{_UNCASED}]", UPPER),
    (rf"[§%=—–{_PUNCT}{_QUOTES}{_MONEY}{_ICONS}]", PREFIX),
    (rf"[—–{_PUNCT}{_QUOTES}{_ICONS}]", SUFFIX),
    (rf"[…{_ICONS}]", INFIX),
    (_QUOTES, QUOTE),
    (rf"[[\p{{Ll}}&&[{_CASED}]]{_UNCASED}ʔʕ0-9%²\-+|{_PUNCT}{_QUOTES}]", DOTTED),
    (r"\p{L}", LETTER),
    (
        rf"{_MARKS}[\p{{Sentence_Terminal}}--[\u1B4E\u1B4F\u1B7F\u2024\u2CF9-\u2CFB\u2E60\u2E61\uFE12\uFE15\uFE16]]",
        MARK,
    ),
    (r"\p{P}", PUNCTUATION),
    (rf"[\p{{Sentence_Terminal}}--[{_TERMINALS_SINCE}]]", TERMINAL),
    (_MONEY, CURRENCY),
    (r"A-Za-z0-9\u00A1-\uFFFF", HOST),
    (r"\p{L}\p{N}_", WORD),
)
UNITS = (
    "km km² km³ m m² m³ dm dm² dm³ cm cm² cm³ mm mm² mm³ ha µm nm yd in ft kg g mg µg t lb oz m/s km/h kmh mph hPa Pa mbar mb "
    "MB kb KB gb GB tb TB T G M K % км км² км³ м м² м³ дм дм² дм³ см см² см³ мм мм² мм³ нм кг г мг м/с км/ч кПа Па мбар "
    "Кб КБ кб Мб МБ мб Гб ГБ гб Тб ТБ тбكم كم² كم³ م م² م³ سم سم² سم³ مم مم² مم³ كم غرام جرام جم كغ ملغ كوب اكواب US$ C$ A$"
)
"""Suffixes after a digit. One of them is two units, by a slip in spaCy's table; the last three are money."""


@cache
def character_classes() -> npt.NDArray[np.uint16]:
    """The property bits of every code point, uint16 (0x110000,)."""
    classes = np.zeros(0x110000, np.uint16)
    all_characters = every_character()
    for members, value in _CLASSES:
        for match in regex.finditer(f"(?V1)[{members}]+", all_characters):
            classes[match.start() : match.end()] |= np.uint16(value)
    classes[0x3A2] |= np.uint16(UPPER)  # an unassigned code point among the Greek capitals
    classes.flags.writeable = False
    return classes
