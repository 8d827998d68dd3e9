"""Our own extractor reads what a reader sees: hidden text, readings above a line, formulas, shadow roots, drawings."""

import numpy as np
import pytest

from pipeline.extract import html_to_text
from pipeline.extract.native.blocks import parse

SENTENCE = "The harbour was quiet in the morning, and the boats lay side by side along the old stone wall."
SECRET = "Nobody sees this sentence about a secret harbour, as the page keeps it from all of its readers."
ARTICLE = f"<h1>The harbour</h1><p>{SENTENCE}<p>{SENTENCE} {SENTENCE}<p>{SENTENCE}"


def everything(page: str, format: str = "text") -> str:
    return html_to_text(page, main_content=False, format="markdown" if format == "markdown" else "text")


HIDING = [
    "style='display:none'",
    "style='color:red; DISPLAY : none !important'",
    "style='display:block;display:none;'",
    "style=visibility:hidden",
    "style='visibility: collapse'",
    "style='opacity:0'",
    "style='opacity: 0.0;width:1px'",
    "style='opacity:.0%'",
    "hidden",
    "hidden=''",
    "aria-hidden=true",
    "popover",
    "class=sr-only",
    "class='a visually-hidden'",
    "class=u-visuallyHidden",
    "class='screen-reader-text'",
    "class=show-for-sr",
    "class=HiddenVisually",
]
SHOWING = [
    "style='display:none;display:block'",
    "style='visibility:visible'",
    "style='opacity:0.5'",
    "style='opacity:01'",
    "style='x-display:none'",
    "style='background:url(display:none)'",
    "hidden=until-found",
    "aria-hidden=false",
    "class='sr-only not-sr-only'",
    "class='sr-only lg:not-sr-only'",
    "class=screen-only",
    "class=reader",
    "id=sr-only",
    "title='hidden'",
]


@pytest.mark.parametrize("attribute", HIDING)
def test_what_no_reader_sees_is_no_text(attribute: str) -> None:
    inline = f"a <span {attribute}>x <b>y</b><br>z<br><br><img></span> b<i {attribute}>x</i>c"
    assert everything(inline) == "a bc"
    assert (
        everything(f"<p>a</p><div {attribute}><p>x<p>y</div><ul {attribute}><li>z</ul><p>b c d e f g h")
        == "a\nb c d e f g h"
    )
    page = f"<body>{ARTICLE}<p {attribute}>{SECRET}</p><p>{SENTENCE} <span {attribute}>{SECRET}</span> End.<div {attribute}><p>{SECRET}</div>"
    for main_content in (True, False):
        text = html_to_text(page, main_content=main_content)
        assert "secret" not in text
        assert text.count(SENTENCE) == 5
        assert text.endswith("wall. End.")


@pytest.mark.parametrize("attribute", SHOWING)
def test_what_only_looks_hidden_is_text(attribute: str) -> None:
    assert everything(f"a <span {attribute}>x</span> b") == "a x b"
    assert everything(f"<p>a<div {attribute}>x</div>") == "a\nx"


def test_closed_dialogs_and_fallbacks_are_not_seen() -> None:
    assert everything("a<dialog><p>x</dialog>b c<dialog open><p>d</dialog>") == "a\nb c\nd"
    assert everything("a<details><summary>b</summary><p>c</details>") == "a\nb\nc"  # one click away
    assert (
        everything("a<noembed><p>x</noembed> <datalist><option>x</datalist><progress>x</progress><meter>x</meter>b")
        == "a b"
    )
    assert everything("a<object data=y><p>b</object>") == "a\nb"


def test_hidden_text_that_may_be_the_page_is_kept() -> None:
    veiled = f"<div style='opacity:0'>{ARTICLE}</div>"
    for page in (
        veiled,
        veiled.replace("<div", "<app-root"),
        f"<body hidden>{ARTICLE}",
        f"<div hidden>{ARTICLE}</div>",
    ):
        for main_content in (True, False):
            assert html_to_text(page, main_content=main_content).count(SENTENCE) == 4
    within = f"<main style='visibility:hidden'>{ARTICLE}<p hidden>{SECRET}<p>a <span hidden>x</span> b</main>"
    assert "secret" not in everything(within)
    assert everything(within).endswith("\na b")
    assert everything("<div hidden>one two three</div>four") == "one two three\nfour"  # three quarters of the words
    assert everything("<div hidden>one two</div>three four") == "three four"


def test_marks_and_links_end_with_hidden_text() -> None:
    assert (
        everything("a <b>b <span hidden>x</b> y</span> c <span hidden><b>x</span> d</b> <i>e</i>", "markdown")
        == "a **b** y c d *e*"
    )
    assert everything("<span hidden>x</span>a <span hidden><p>y</p>z</span>b", "markdown") == "a\n\nb"


@pytest.mark.parametrize(
    ("ruby", "expected"),
    [
        ("<ruby>\u6e2f\u6e7e<rt>\u3053\u3046\u308f\u3093</rt></ruby>", "\u6e2f\u6e7e"),
        ("<ruby>\u6f22<rp>(</rp><rt>kan</rt><rp>)</rp>\u5b57<rp>(</rp><rt>ji</rt><rp>)</rp></ruby>", "\u6f22\u5b57"),
        ("<ruby>\u6f22<rp>(<rt>\u3113<rp>)</ruby>", "\u6f22"),
        ("<ruby><rb>\u6f22<rb>\u5b57<rt>kan<rt>ji</ruby>", "\u6f22\u5b57"),
        ("<ruby><rb>\u6f22</rb><rt>x</rt><rb>\u5b57</rb><rt>y</rt></ruby>", "\u6f22\u5b57"),
        ("<ruby><rb>\u6771<rb>\u5357<rtc><rt>h\u014d<rt>g\u014d</rtc><rtc>seat</rtc></ruby>", "\u6771\u5357"),
        ("<RUBY><RBC><RB>\u6771</RB></RBC><RTC><RT>x</RT></RTC></RUBY>", "\u6771"),
        ("<ruby>\u6771<rt><b>x</b> y<br>z</rt></ruby>", "\u6771"),
    ],
)
def test_readings_are_left_out(ruby: str, expected: str) -> None:
    assert everything(f"<p>\u53e4\u3044{ruby}\u306e\u5bb6") == f"\u53e4\u3044{expected}\u306e\u5bb6"


def test_a_reading_that_never_ends_ends_with_its_line() -> None:
    assert everything("<div>a<ruby>b<rt>x<p>c</p>d<p>e</div>f") == "ab\nc\nd\ne\nf"


TEX = "<annotation encoding='application/x-tex'>n=7</annotation>"
DRAWN = (
    "<span class='MathJax_Preview'>n</span><span class='MathJax' id=m><nobr><span>n</span>=<span>7</span></nobr></span>"
)
WIKI = "<span class='mwe-math-mathml-inline' style='{}'><math alttext='{{\\displaystyle n=7}}'><mi>n</mi></math></span>"


@pytest.mark.parametrize(
    "formula",
    [
        f"<math><semantics><mrow><mi>n</mi><mo>=</mo><mn>7</mn></mrow>{TEX}</semantics></math>",
        f"<MATH xmlns=x><SEMANTICS><mi>z</mi>{TEX.replace('application/x-tex', 'LaTeX')}</SEMANTICS></MATH>",
        "<math alttext='n=7'><mi>z</mi></math>",
        "<math data-latex='n=7'><mi>z</mi></math>",
        "<math><mi>n</mi> <mo>=</mo> <mn>7</mn><mphantom><mi>x</mi></mphantom></math>",
        "<math><mrow><mi>n<mo>=<mn>7</math>",
        "<script type='math/tex'>n=7</script>",
        f"{DRAWN}<script type=\"math/tex\" id=s>n=7</script>",
        "<script type='math/mml'><math><mi>n</mi><mo>=</mo><mn>7</mn></math></script>",
        f"<span class='katex'><span class='katex-mathml'><math><semantics><mi>n</mi>{TEX}</semantics></math></span>"
        "<span class='katex-html' aria-hidden='true'><span class=base>n</span><span>=7</span></span></span>",
        "<mjx-container><mjx-math aria-hidden=true><mjx-mi></mjx-mi></mjx-math><mjx-assistive-mml><math><mi>n</mi><mo>=</mo>"
        "<mn>7</mn></math></mjx-assistive-mml></mjx-container>",
        *(f"{WIKI.format(s)}<img class='mwe-math-fallback-image-inline' aria-hidden=true alt='{{\\displaystyle n=7}}'>" for s in ("", "display: none;")),
        "<img class='latex' src=x alt='n=7'>",
        "<img class='wp-math tex' src=x alt='$n=7$'>",
    ],
)  # fmt: skip
def test_a_formula_is_its_tex_once(formula: str) -> None:
    page = f"<p>Let {formula} be the number of ships."
    assert everything(page) == "Let n=7 be the number of ships."
    assert everything(page, "markdown") == "Let $n=7$ be the number of ships."
    article = f"{ARTICLE}<p>Let {formula} be the number of ships in the harbour, and let it be large. {SENTENCE}"
    assert "Let n=7 be" in html_to_text(article)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("<script type='math/tex; mode=display'>a<b &\\n</script>", "$$a<b &\\n$$"),
        ("<math display=block><mi>x</mi></math>", "$$x$$"),
        ("<math><msup><mi>x</mi><mn>2</mn></msup><mo>&#x2062;</mo><msub><mi>y</mi><mrow><mi>i</mi><mi>j</mi></mrow></msub></math>", "$x^2y_{ij}$"),
        ("<math><mfrac><mn>1</mn><msqrt><mi>x</mi><mo>+</mo><mn>1</mn></msqrt></mfrac></math>", "$\\frac{1}{\\sqrt{x+1}}$"),
        ("<math><munderover><mo>&Sum;</mo><mi>i</mi><mi>n</mi></munderover><mi>sin</mi><mi>x</mi></math>", "$\\sum_i^n\\sin x$"),
        ("<math><mover><mi>v</mi><mo>\u2192</mo></mover><mroot><mi>x</mi><mn>3</mn></mroot><mtext>if so</mtext></math>", "$\\vec{v}\\sqrt[3]{x}\\text{if so}$"),
        ("<math><mtable><mtr><mtd><mi>a</mi></mtd><mtd><mi>b</mi></mtd></mtr><mtr><mtd><mi>c</mi></mtd></mtr></mtable></math>", "$\\begin{matrix}a & b \\\\ c\\end{matrix}$"),
        ("<math></math><img class=latex><img class=photo alt=x><script type='math/tex'></script>", ""),
        ("<script>x = '<script type=math/tex>'</script>y", "y"),
    ],
)  # fmt: skip
def test_formulas_written_as_tex(formula: str, expected: str) -> None:
    assert everything(f"<p>a {formula}", "markdown") == f"a {expected}".strip()


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("10<sup>6</sup> and 2<sup>-3</sup>", "10^6 and 2^-3"),
        ("5 m<sup>2</sup>, km<SUP>3</SUP>, (a)<sup>12</sup>", "5 m^2, km^3, (a)^12"),
        ("x<sup>n</sup>", "x^n"),
        (
            "1<sup>st</sup>, word<sup>3</sup>, 10<sup><a>6</a></sup>, H<sub>2</sub>O, 3 <sup>4</sup>",
            "1st, word3, 106, H2O, 3 4",
        ),
    ],
)
def test_powers_stay_readable(page: str, expected: str) -> None:
    assert everything(page) == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<x-y><template shadowrootmode=open><style>p{}</style><p>b</p></template></x-y>c", "a\nb\nc"),
        ("<x-y><template ShadowRootMode='closed'>b</template></x-y> c", "ab c"),
        ("<x-y><template shadowrootmode=open>b<x-z><template shadowrootmode=open>c</template></x-z>d</template></x-y>e", "abcde"),
        ("<x-y><template shadowrootmode=open>b<template>x</template>c</template></x-y>", "abc"),
        ("<template><x-y><template shadowrootmode=open>x</template></x-y>x</template>b", "ab"),
        ("<template id=shadowroot>x</template>b", "ab"),
        ("<template shadowrootmode=open>b", "ab"),
        ("<svg><title>x</title><desc>x</desc><defs><text>x</text></defs><style>x</style><path d=M0/><text>b</text></svg>c", "a b c"),
        ("<svg><text>b<tspan> c</tspan></text><text>d</text></svg>e", "a\nb c\nd\ne"),
        ("<svg><foreignObject><div>b &amp; c</div></foreignObject></svg>d", "a\nb & c\nd"),
        ("<svg style='display:none'><symbol><text>x</text></symbol><text>x</text></svg>b", "ab"),
        ("<svg><textPath>x</textPath><title>x</title></svg>b", "ab"),
        ("<iframe srcdoc='<title>x</title>&lt;p>b &amp;amp; c'>x</iframe>d", "a\nb & c\nd"),
        ("<iframe src=x>x</iframe><iframe hidden srcdoc=x>x</iframe>b", "ab"),
        ("<![CDATA[x]]>b", "ab"),
        ("<!-- <math> <svg><text>x</text></svg> --><math><mi>b</mi></math>", "ab"),
        ("<script>'<template shadowrootmode=open>'</script><math><mi>b</mi></math>", "ab"),
    ],
)  # fmt: skip
def test_what_browsers_show_in_ways_of_their_own(page: str, expected: str) -> None:
    assert everything(f"<div>a{page}") == expected


def test_cdata_is_text_in_xhtml() -> None:
    assert everything("<?xml version='1.0'?>\n<html><p>a<![CDATA[ <b> & c]]> d") == "a <b> & c d"


def test_pages_of_formulas_take_linear_time() -> None:
    # Each would be quadratic for a search that starts anew at every beginning.
    for piece in (
        "<math>",
        "<math><mi>",
        "<svg><text>",
        "<template shadowrootmode>",
        "<template>",
        "<iframe srcdoc='",
        "<img class=tex alt=x ",
        "<script type=math/tex>",
        "<span class=MathJax>",
        "<svg><desc>",
        "<![CDATA[",
        "<math",
        "<ruby><rt>",
        "<b hidden>",
        "<p style='",
    ):
        for first in ("<math><mi>x</mi></math>", "<script type='math/tex'>x</script>"):
            html_to_text(f"{first}<p>a</p>" + piece * (600_000 // len(piece)), main_content=False)


FILLER = "The harbour was quiet, and the boats lay along the wall as they had done for many years before. "


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>Press <button>Save</button><button>Cancel</button>now.</p>", "Press Save Cancel now."),
        ("<p>Press <button>Save</button>.</p>", "Press Save."),
        ("<form><label>Name</label><input><label>Age</label>: 7</form>", "Name Age: 7"),
        ("<p>one<label>two</label> <b>three</b><button>four</button><i>five</i></p>", "one two three four five"),
        ("<p>a<textarea>b</textarea>c<select><option>d</select>e</p>", "a c e"),
        ("<p>x<span>y</span>z</p>", "xyz"),
        ("<ol reversed><li>a<li>b<li>c</ol>", "3. a\n2. b\n1. c"),
        ("<ol reversed start=10><li>a<li>b<li value=3>c<li>d</ol>", "10. a\n9. b\n3. c\n2. d"),
        ("<ol reversed=''><li>x<ol><li>i<li>j</ol><li>y</ol><ol><li>z</ol>", "2. x\n   1. i\n   2. j\n1. y\n1. z"),
        ("<ol reversed start=1><li>a<li>b<li>c</ol>", "1. a\n0. b\n0. c"),
        ("<ol class=reversed><li>a<li>b</ol>", "1. a\n2. b"),
    ],
)
def test_fields_keep_words_apart_and_reversed_lists_count_down(html: str, text: str) -> None:
    for format in ("text", "markdown"):
        found = html_to_text(f"<p>{FILLER}</p>{html}<p>{FILLER}</p>", main_content=False, format=format)
        around = FILLER.strip()
        assert found.replace("*", "").removeprefix(around).removesuffix(around).strip() == text


@pytest.mark.parametrize(
    ("page", "beyond"),
    [
        (b"<script math", b"/"),
        (b"<iframe srcdo", b"c"),
        (b"<template shadowroo", b"t"),
        (b"<script type=math", b"/tex>"),
    ],
)
def test_a_tag_that_the_end_cuts_is_not_read_beyond_it(page: bytes, beyond: bytes) -> None:
    memory = np.frombuffer(page + beyond, np.uint8)
    assert not parse(memory[: len(page)], 500, 100, True).special
    assert parse(np.frombuffer(page + beyond + b">", np.uint8), 500, 100, True).special
