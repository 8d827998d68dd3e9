"""English contractions and abbreviations that spaCy's tokenizer looks up as a whole, and how it divides them.

They are data of spaCy (MIT licence; spacy/lang/en/tokenizer_exceptions.py and spacy/lang/tokenizer_exceptions.py of version
3.8), generated here by its rules: "don't" is do|n't, and "dont" is do|nt; "Mr." is one token.
`tests/benchmarks/conformance/datatrove.py` compares the two tables.
"""

from collections.abc import Iterable, Iterator
from itertools import product

_WORDS = ("who", "what", "when", "where", "why", "how", "there", "that", "this", "these", "those")
_NOT = "ca could do does did had may might must need ought sha should wo would"  # n't and n't've
_PLAIN_NOT = ("ai", "are", "is", "was", "were", "have", "has", "dare")  # n't
_EXCLUDED = frozenset(("ill", "its", "hell", "shell", "shed", "were", "well", "whore"))

_OTHER = """
y'|all y|all how|'d|'y How|'d|'y not|'ve not|ve Not|'ve Not|ve can|not Can|not gon|na Gon|na got|ta Got|ta let|'s Let|'s
c'm|on C'm|on 'S 's ‘S ‘s and/or w/o 're 'Cause 'cause 'cos 'Cos 'coz 'Coz 'cuz 'Cuz 'bout ma'am Ma'am o'clock O'clock
em 'em ll 'll nuff 'nuff 'd a.m. p.m. co. e.g. E.g. E.G. i.e. I.e. I.E. vs. v.s.
Adm. Bros. Co. Corp. D.C. Dr. Gen. Gov. Inc. Jr. Ltd. Messrs. Mr. Mrs. Ms. Mt. Ph.D. Prof. Rep. Rev. Sen. St.
Jan. Feb. Mar. Apr. Jun. Jul. Aug. Sep. Sept. Oct. Nov. Dec.
Ak. Ala. Ariz. Ark. Calif. Colo. Conn. Del. Fla. Ga. Ia. Id. Ill. Ind. Kan. Kans. Ky. La. Mass. Md. Mich. Minn. Miss. Mo. Mont.
N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr. Nev. Okla. Ore. Pa. S.C. Tenn. Va. Wash. Wis.
— ' \\") '' C++ \\t \\n <space> ä. ö. ü. °|c|. °|f|. °|k|. °|C|. °|F|. °|K|.
"""
_SMILEYS = r"""
:() >:o :* :-* :3 :-3 =3 :> :-> :1 :0 :-0 :P :-P :p :-p :O :-O :o :-o :X :-X :x :-x :D :-D ;D ;-D =D xD XD xDD XDD 8D 8-D
:o) (o: =| :| :-| :/ :-/ =/ 8) 8-) (-8 ;) ;-) (; (-; =) (= :] :-] [: [-: [= =] :} :-} :( :-( ): )-: =( >:( ]= =[ :') :'-)
:'( :'-( ^_^ ^__^ ^___^ >.< >.> <.< ._. ;_; -_- -__- v.v V.V v_v V_V o_o o_O O_o O_O 0_o o_0 0_0 o.O O.o O.O o.o 0.0 o.0 0.o @_@
<3 <33 <333 </3 (^_^) (-_-) (._.) (>_<) (*_*) (¬_¬) ಠ_ಠ ಠ︵ಠ (ಠ_ಠ) ¯\(ツ)/¯ (╯°□°）╯︵┻━┻ ><(((*>
:) :-) :)) :-)) :))) :-))) (: (-: :(( :-(( :((( :-(((
"""


def special_cases() -> dict[str, tuple[int, ...]]:
    """Each special case, with the lengths of the tokens it is divided into."""
    straight = {"".join(parts): tuple(map(len, parts)) for parts in _parts()}
    curly = {text.replace("'", "’"): lengths for text, lengths in straight.items()}
    return {text: lengths for text, lengths in (straight | curly).items() if text.lower() not in _EXCLUDED}


def _parts() -> Iterator[list[str]]:
    yield from _contracted("i", ["m", "m a"])
    for word in ("i", "you", "he", "she", "it", "we", "they", *_WORDS):
        yield from _contracted(word, ["ll", "ll ve", "d", "d ve"])
    for word in ("he", "she", "it", *(word for word in _WORDS if word not in ("these", "those"))):
        yield from _contracted(word, ["s"])
    for word in ("you", "we", "they", *(word for word in _WORDS if word not in ("that", "this"))):
        yield from _contracted(word, ["re"])
    for word in ("i", "you", "we", "they", *(word for word in _WORDS if word not in ("that", "this"))):
        yield from _contracted(word, ["ve"])
    for word in ("could", "might", "must", "should", "would"):
        yield from _contracted(word, ["ve"])
    for word in _both(_NOT.split()):
        yield from ([word, "n't", "'ve"], [word, "nt", "ve"])
    for word in _both((*_NOT.split(), *_PLAIN_NOT)):
        yield from ([word, "n't"], [word, "nt"])
    for word, mark in product(
        _both(["doin", "goin", "nothin", "nuthin", "ol", "somethin", "lovin", "havin"]), ("", "'")
    ):
        yield [word + mark]
    for hour, half in product(range(1, 13), ("a.m.", "am", "p.m.", "pm")):
        yield [str(hour), half]
    for letter in "abcdefghijklmnopqrstuvwxyz":
        yield [f"{letter}."]
    for text in (_OTHER + _SMILEYS).split():
        yield text.split("|") if len(text) > 4 and "|" in text.strip("|") else [text]


def _contracted(word: str, endings: Iterable[str]) -> Iterator[list[str]]:
    """The word with each ending, with and without apostrophes: i|'d|'ve, i|d|ve; a lone "a" never has one."""
    for cased, ending in product(_both([word]), endings):
        parts = ending.split()
        yield [cased, *(part if part == "a" else f"'{part}" for part in parts)]
        yield [cased, *parts]


def _both(words: Iterable[str]) -> Iterator[str]:
    for word in words:
        yield from (word, word.title())
