"""The names that the parser knows (tags, entities, words in class names, stop words), as hash tables for compiled code."""

import html.entities
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.extract.native.compiled import inner

TAB, LINE_FEED, SPACE, EXCLAMATION, DOUBLE_QUOTE, HASH, AMPERSAND, QUOTE = b"\t\n !\"#&'"
DASH, SLASH, COLON, SEMICOLON, LESS, EQUALS, GREATER, QUESTION, BRACKET, CIRCUMFLEX = b"-/:;<=>?[^"
PARENTHESIS, PARENTHESIS_END = b"()"
NO_BREAK_SPACE, SOFT_HYPHEN = 0xA0, 0xAD

FNV_START = np.uint32(2166136261)
_FNV_PRIME = np.uint32(16777619)


@inner(forceinline=True)  # a few instructions in a loop over bytes: inlined by LLVM, at no cost to type inference
def fnv(h: Any, byte: Any) -> Any:
    """One step of FNV-1a, 32 bits."""
    return np.uint32((h ^ np.uint32(byte)) * _FNV_PRIME)


@inner
def look_up(table: Any, h: Any) -> Any:
    """The value of a hash; -1 if there is none. Tables are at most half full, so a search is short."""
    mask = len(table) - 1
    i = np.int64(h) & mask
    while table[i, 0] != 0:
        if table[i, 0] == h:
            return table[i, 1]
        i = (i + 1) & mask
    return np.int64(-1)


def _hash(name: bytes) -> int:
    h = 2166136261
    for byte in name:
        h = ((h ^ byte) * 16777619) & 0xFFFFFFFF
    return h


def _table(items: Iterable[tuple[str, int]]) -> NDArray[np.int64]:
    """An open hash table with (hash, value) per row; hash 0 marks a free row, and no name has it."""
    pairs = {_hash(name.encode()): value for name, value in items}
    size = 2 << len(pairs).bit_length()
    table = np.zeros((size, 2), np.int64)
    for h, value in pairs.items():
        i = h & (size - 1)
        while table[i, 0]:
            i = (i + 1) & (size - 1)
        table[i] = h, value
    return table


# Words of up to 16 bytes are compared as numbers, not byte by byte.

FAR = np.uint64(1099511628211)
"""FNV's prime for 64 bits."""
LOWER = np.uint64(0x2020202020202020)
"""The bits that make eight capital letters small."""
_MIX = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio: Knuth's multiplicative hashing
_BITS = 10
_FIRST, _SECOND, _SLOTS = np.uint64(64 - _BITS), np.uint64(64 - 2 * _BITS), np.uint64((1 << _BITS) - 1)


@inner(forceinline=True)
def word_key(first: Any, rest: Any, size: Any) -> Any:
    """The key of a word of `size` bytes: its `first` eight and the `rest`, as numbers (uint64), the first byte lowest."""
    return first + (rest + np.uint64(size)) * FAR


@inner(forceinline=True)
def word_value(words: Any, key: Any) -> Any:
    """The value of a key in a table of words; 0 if there is none. It has no branch to mispredict."""
    mixed = key * _MIX
    first, second = mixed >> _FIRST, (mixed >> _SECOND) & _SLOTS
    value = words[first, 1] if words[first, 0] == key else np.uint64(0)
    return np.int64(value | (words[second, 1] if words[second, 0] == key else np.uint64(0)))


def words_table(items: Iterable[tuple[str, int]]) -> NDArray[np.uint64]:
    """A table of words, (key, value) per row: each word is in one of the two rows that its key gives (cuckoo hashing)."""
    table = np.zeros((1 << _BITS, 2), np.uint64)
    for word, value in items:
        name = word.encode()
        first, rest = (int.from_bytes(part, "little") for part in (name[:8], name[8:16]))
        key, last = (first + (rest + len(name)) * int(FAR)) % 2**64, -1
        while True:
            mixed = key * int(_MIX) % 2**64
            choices = mixed >> int(_FIRST), mixed >> int(_SECOND) & int(_SLOTS)
            row = next((row for row in choices if table[row, 0] in (0, key)), choices[choices[0] == last])
            moved = table[row].tolist()
            table[row] = key, value
            if moved[0] in (0, key):
                break
            (key, value), last = moved, row
    return table


# Tags ----------------------------------------------------------------------------------------------------------------

_BLOCK = """
    address article aside blockquote caption center dd details dialog dir div dl dt fieldset figcaption figure footer form
    frameset h1 h2 h3 h4 h5 h6 header hgroup hr legend li main marquee menu nav ol option p pre search section summary table
    tbody td tfoot th thead tr ul
""".split()
_VOID = "area base br col embed frame hr img input link meta param source track wbr".split()
# Their content is not text of the page: raw text by the standard, another language, or shown only by scripts.
_OPAQUE = """
    script style textarea iframe noframes noembed template svg select datalist video audio canvas math xmp progress meter
""".split()
_OTHER = """
    html head body title noscript a b strong i em span button label code font small u s sub sup cite q time abbr kbd var samp
    del ins mark tt big picture object ruby rb rt rtc rp tex
""".split()
TAGS = ("", *dict.fromkeys(_BLOCK + _VOID + _OPAQUE + _OTHER))
"""The tags that the extractor distinguishes; an element's tag is an index into them, 0 for all others. A formula's is `tex`."""
TAG = {name: number for number, name in enumerate(TAGS) if name}
TAG_TABLE = words_table(TAG.items())
VOID, OPAQUE, BLOCK = 1, 2, 4
KIND = np.array(
    [VOID * (t in _VOID) + OPAQUE * (t in _OPAQUE) + BLOCK * (t in _BLOCK) for t in TAGS],
    np.uint8,
)
"""Flags of each tag: VOID, OPAQUE, BLOCK."""

# Entities ------------------------------------------------------------------------------------------------------------

LEGACY = 1 << 42
"""Flag of an entity that is also valid without its semicolon."""
ENTITY_TABLE = _table(
    (
        name[:-1],
        ord(text[0]) | (ord(text[1]) << 21 if len(text) > 1 else 0) | LEGACY * (name[:-1] in html.entities.html5),
    )
    for name, text in html.entities.html5.items()
    if name.endswith(";")
)
"""Name -> code point, plus a second code point from bit 21 on, plus LEGACY."""
WINDOWS_1252 = np.array(
    [ord(bytes([byte]).decode("cp1252", "ignore") or chr(byte)) for byte in range(0x80, 0xA0)], np.int64
)
"""Code points that the numbers 128 to 159 stand for in a numeric entity."""

# Hints ---------------------------------------------------------------------------------------------------------------

# Words in class, id, role and itemprop that hint at an element's purpose: one bit per line. Comments are the lowest bit.
_HINTS = """
    comment comments disqus respond
    sidebar aside rail secondary sidebars
    footer foot bottom colophon
    nav navigation navbar menu menus submenu dropdown
    share sharing social follow twitter facebook
    related recommend recommended recommendations similar more also suggested trending popular
    promo promotion sponsor sponsored partner cta
    ad ads advert advertisement adsense banner dfp outbrain taboola
    cookie cookies consent gdpr privacy
    modal popup overlay lightbox dialog tooltip
    breadcrumb breadcrumbs crumb crumbs
    widget widgets module block
    meta info details data
    author byline bio avatar writer profile
    date time timestamp published
    tag tags category categories topics keywords
    pagination pager paging pages next prev previous
    newsletter subscribe subscription signup register
    header masthead top toolbar logo brand
    hidden hide invisible sr screen visually noprint collapsed visuallyhidden screenreader sronly offscreen assistive accessibly
    article story news
    content maincontent contents
    post posts entry hentry blog
    body text articlebody richtext rte prose copy paragraph wysiwyg
    main primary center
    title headline heading subtitle
    description summary excerpt abstract intro lead teaser dek standfirst
    product products item items sku
    price cart buy checkout basket shop shipping
    review reviews rating ratings testimonial testimonials
    faq accordion question answer tab tabs panel
    caption figure image img photo gallery media video slider carousel slide
    copyright legal disclaimer terms license
    login signin user account members
    search form input filter filters sort
    thread message messages reply replies topic forum
    quote blockquote signature sig
    list grid card cards tile results row listing
    doc docs document documentation markdown code highlight wiki mw
    toc outline index jump
    hero jumbotron feature features section
    contact address location hours phone email
    print tools actions action button btn link links
    event recipe ingredients instructions steps spec specs specifications
""".strip().splitlines()
HINTS = len(_HINTS)
HINT = {word: bit for bit, line in enumerate(_HINTS) for word in line.split()}
"""Word -> its bit."""
UNSEEN = HINT["hidden"]
"""The line of words about what is not seen."""
_READERS = """
    sronly screenreader screenreaders visuallyhidden hiddenvisually visuallyhide hidevisually accessiblyhidden
    hiddenaccessible accessiblehidden elementinvisible forsr assistivetext offscreen
""".split()
HIDDEN, VEILED, OPEN, FORMULA, GUTTER = 62, 61, 60, 59, 58
"""Further hint bits. HIDDEN: not displayed (display:none, visibility:hidden, `hidden`, a closed dialog or popover), or for
screen readers only; VEILED: transparent or aria-hidden; OPEN: has the attribute `open`, or `reversed`; FORMULA: named
mathematics, by a class or by the address of an image; GUTTER: named the numbers of lines of code."""
HIDES = np.int64(1 << HIDDEN | 1 << VEILED)
_FORMULAS = "math tex latex mwe katex mathjax equation ql".split()
_GUTTERS = "gutter lineno linenos linenodiv linenumber linenumbers ln lnt".split()
"""Of Hexo, SyntaxHighlighter, Rouge, Pygments, react-syntax-highlighter, highlightjs-line-numbers and Chroma."""
HINT_TABLE = words_table(
    (
        *((word, 1 << bit) for word, bit in HINT.items()),
        *((word, 1 << FORMULA) for word in _FORMULAS),
        *((word, 1 << GUTTER) for word in _GUTTERS),
    )
)
"""Word -> its hint bit."""
SERVER_TABLE = _table((word, 1) for word in "latex codecogs mathtex mimetex equationtex mathmath chttx".split())
"""Words and pairs of words in the address of an image that a server draws from TeX, as equation?tex= and cht=tx."""
READER_TABLE = _table((word, 1) for word in _READERS)
"""Words and pairs of words in the class of an element that is for screen readers only."""

# Stop words ----------------------------------------------------------------------------------------------------------

_STOP_WORDS = """
    the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which you
    were their we can has been if will would there what so when our your also more about than them these into
    der die und das ist nicht ein eine zu den von mit sich des auf für dem auch es im wird sind bei wie oder nach aus
    werden hat er sie ich war noch nur über einen einem
    le la les et en un une du que est pour qui dans par sur pas au plus ce se ne sont avec il elle nous vous mais ont cette aux
    el los las y del con por no su para al lo como más pero sus ha o e di che non è per una sono della si da anche questo nel
    più i w z na się do nie jest od po przez oraz tym dla jak ale za co był
    και το να του η της με για που την από τα στο οι ο τον των θα δεν στη είναι σε τη στην ότι
    и в не на что с по к это как из за у от для но так он же а его то все был было мы их
    de het een van dat niet op te zijn voor met aan maar om ook als dan bij nog door naar uit os dos um uma não com mais
    ao och att det som är av inte jag på med var ett till har og at ikke ve bir bu için ile ja on ei että
    في من على إلى أن عن هذا التي الذي مع هذه كان ما لا או של על את לא הוא با که از را این است
""".split()
STOP_TABLE = words_table((word, 1) for word in _STOP_WORDS)
