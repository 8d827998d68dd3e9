"""Formulas, tables and code of pages survive, in text and in Markdown: the pages of markup_pages.toml, and siblings of each kind."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from pipeline.extract import html_to_text

_SPEC = spec_from_file_location("markup_kept", Path(__file__).parent / "benchmarks" / "markup_kept.py")
assert _SPEC is not None
assert _SPEC.loader is not None
markup_kept = module_from_spec(_SPEC)
_SPEC.loader.exec_module(markup_kept)
PAGES = markup_kept.load()


def everything(page: str, format: str = "text") -> str:
    return html_to_text(page, main_content=False, format="markdown" if format == "markdown" else "text")


def test_there_are_pages_of_each_kind() -> None:
    kinds = [page["kind"].partition(":")[0] for page in PAGES]
    assert len(PAGES) >= 60
    assert {kind: kinds.count(kind) >= 15 for kind in ("formula", "table", "code")} == dict.fromkeys(kinds, True)
    assert len({page["name"] for page in PAGES}) == len(PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page["name"])
def test_what_must_survive_does(page: dict[str, Any]) -> None:
    for main_content in (True, False):
        text = html_to_text(page["html"], main_content=main_content)
        markdown = html_to_text(page["html"], main_content=main_content, format="markdown")
        assert markup_kept.faults(page, text) == []
        assert markup_kept.faults(page, markdown, markdown=True) == []
        assert page.get("text", "").strip("\n") in text
        assert page.get("markdown", "").strip("\n") in markdown


@pytest.mark.parametrize(
    ("mathml", "tex"),
    [
        ("<mi>α</mi><mo>≥</mo><mi>β</mi><mi>x</mi>", "\\alpha\\geq\\beta x"),
        ("<mo>{</mo><mi>𝑥</mi><mo>∣</mo><mi>𝔽</mi><mo>}</mo>", "\\{x\\mid\\mathbb{F}\\}"),
        ("<msup><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mn>2</mn></msup>", "{a+b}^2"),
        ("<msup><mi>x</mi><mo>″</mo></msup><msubsup><mi>y</mi><mn>1</mn><mo>′</mo></msubsup>", "x''y_1'"),
        ("<munder><mi>x</mi><mo>_</mo></munder><munder><mo>=</mo><mi>n</mi></munder>", "\\underline{x}\\underset{n}{=}"),
        ("<mover><mo>→</mo><mi>f</mi></mover><mover><mrow><mi>a</mi><mi>b</mi></mrow><mo>⏞</mo></mover>", "\\overset{f}{\\to}\\overbrace{ab}"),
        ("<munder><mo>∏</mo><mi>k</mi></munder><mi>k</mi><mi>dim</mi><mi>V</mi><mi>rank</mi>", "\\prod_kk\\dim V\\mathrm{rank}"),
        ("<mfenced><mi>x</mi><mi>y</mi></mfenced><mfenced open='[' separators=''><mi>z</mi></mfenced>", "(x,y)[z)"),
        ("<mtable><mlabeledtr><mtd><mtext>(1)</mtext></mtd><mtd><mi>a</mi></mtd></mlabeledtr></mtable>", "\\begin{matrix}a\\end{matrix}"),
        ("<mmultiscripts><mi>R</mi><mi>i</mi><none/><none/><mi>j</mi></mmultiscripts><mi mathvariant='script'>L</mi>", "R_i^j\\mathcal{L}"),
        ("<mtext>50% of {x}</mtext><mo>$</mo><mspace width=1em /><mn>5</mn>", "\\text{50\\% of \\{x\\}}\\$5"),
        ("<m:mfrac><m:mi>a</m:mi><m:mi>b</m:mi></m:mfrac><maction><mi>c</mi><mi>d</mi></maction>", "\\frac{a}{b}c"),
        ("<msup></msup><mfrac><mi>a</mi></mfrac><msqrt/><unknown><mi>z</mi></unknown>", "{}\\frac{a}{}z"),
    ],
)  # fmt: skip
def test_mathml_as_tex(mathml: str, tex: str) -> None:
    assert everything(f"<p>so <math>{mathml}</math>") == f"so {tex}"


def test_deep_and_long_mathml_gives_its_characters() -> None:
    for markup in ("<mrow>" * 58 + "<mi>α</mi>", "<mi>x</mi>" * 1_800):
        assert "α" not in everything(f"<p>so <math>{markup}</math>")
    deep = "<mrow>" * 61 + "<mi>α</mi>"
    assert everything(f"<p>so <math>{deep}</math>") == "so α"
    assert everything(f"<p>so <math>{'<mi>α</mi>' * 2_001}</math>") == "so " + "α" * 2_001


@pytest.mark.parametrize(
    ("address", "tex"),
    [
        ("https://latex.codecogs.com/png.image?\\dpi{110}\\bg_white\\large x+1", "x+1"),
        ("http://latex.codecogs.com/svg.latex?%5Cinline%20%5Cfrac%7Ba%7D%7Bb%7D", "\\frac{a}{b}"),
        ("//s0.wp.com/latex.php?zoom=2&amp;bg=fff&amp;latex=a%2Bb+c", "a+b c"),
        ("/cgi-bin/mimetex.cgi?\\Large x^2", "x^2"),
        ("https://latex.codecogs.com/gif.latex", ""),
        ("https://example.org/render.latex?x", ""),
        ("https://chart.googleapis.com/chart?cht=qr&chl=hello", ""),
        ("https://example.org/img?id=latex", ""),
        ("http://[latex", ""),
        ("https://latex.codecogs.com/gif.latex?" + "x" * 5_000, ""),
    ],
)
def test_tex_in_the_address_of_an_image(address: str, tex: str) -> None:
    assert everything(f"<p>so <img src='{address}'>") == f"so {tex}".strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\\(x\\) and \\[y\\]", "$x$ and $$y$$"),
        ("\\\\(x\\\\) \\(\\) \\(x", "\\\\(x\\\\) \\(\\) \\(x"),
        ("\\(a $5 b\\) costs $5", "\\(a $5 b\\) costs $5"),
        ("$$a \\[2pt] b$$ \\(x\\)", "$$a \\[2pt] b$$ $x$"),
        ("<code>\\(x\\)</code> \\(y\\)", "`\\(x\\)` $y$"),
        ("\\begin{aligned}x\\end{aligned} \\begin{gather}y\\end{gather}", "\\begin{aligned}x\\end{aligned} $$\\begin{gather}y\\end{gather}$$"),
        ("\\[a<br>b\\]", "$$a\nb$$"),
        ("\\(a<p>b\\)", "\\(a\n\nb\\)"),
    ],
)  # fmt: skip
def test_delimiters_in_markdown(text: str, expected: str) -> None:
    named = "<script src=/MathJax.js></script><p>"
    assert everything(named + text, "markdown") == expected
    plain = everything(named + text).replace("\n", " ")
    assert plain == everything("<p>" + text).replace("\n", " ")  # plain text is left as it was written
    if "$$" not in text:
        assert "$$" not in everything("<p>" + text, "markdown")


@pytest.mark.parametrize(
    ("config", "text", "expected"),
    [
        ("tex2jax: {inlineMath: [ [ '@' , '@' ], ['#', '#'] ]}", "@x@ #y#", "$x$ $y$"),
        ('"inlineMath": [], "displayMath": [["(*", "*)"]]', "(*x*)", "$$x$$"),
        ("delimiters: [{left: '\\\\{', right: '\\\\}', display: true}]", "\\{x\\}", "$$x$$"),
        ("delimiters: [{left: '', right: '', display: true}, {left: '`', right: '`'}]", "x y z", "x y z"),
    ],
)
def test_delimiters_that_a_page_sets(config: str, text: str, expected: str) -> None:
    assert everything(f"<script>renderMathInElement({{ {config} }})</script><p>{text}", "markdown") == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("10<sup>−6</sup>, 10<sup>–6</sup>", "10^−6, 10^–6"),
        ("e<sup>-kt</sup>, x<sup>n/2</sup>, (a)<sup>n−1</sup>", "e^(-kt), x^(n/2), (a)^(n−1)"),
        ("Ca<sup>2+</sup>, SO<sub>4</sub><sup>2-</sup>", "Ca2+, SO42-"),
        ("is<sup>3-4</sup>, x<sup>a b</sup>, x<sup><i>n</i>+1</sup>", "is3-4, xa b, xn+1"),
        ("x<sup>12345678901+1</sup>, x<sup>1234567890123456+1</sup>", "x^(12345678901+1), x1234567890123456+1"),
        ("x<sup>n+1</b> y</sup> z", "xn+1 y z"),
        ("10<sup hidden>6</sup> x<sup hidden>n+1</sup> y<sup>2</sup>", "10 x y^2"),
    ],
)
def test_powers_of_more_than_a_number(page: str, expected: str) -> None:
    assert everything(page) == expected


@pytest.mark.parametrize(
    ("opening", "language"),
    [
        ("<pre class='brush: python; toolbar: false'>", "python"),
        ("<pre class='prettyprint lang-js'>", "js"),
        ("<pre lang=ruby>", "ruby"),
        ("<pre><code class='lang-C++'>", "c++"),
        ("<pre><code class='language-my-own'>", "my-own"),
        ("<pre><code class=json>", "json"),
        ("<div class=highlight-source-diff><pre>", "diff"),
        ("<div class=highlight-text-html-basic><pre>", "html"),
        ("<div class='highlight-default'><div class=highlight><pre>", ""),
        ("<figure class='highlight yaml'><table><tr><td class=code><pre>", "yaml"),
        ("<pre><code class='language-'>", ""),
        ("<pre class=r>", ""),
        ("<pre class='language-```'>", ""),
        ("<pre class='language-abcdefghijklmnopqrst'>", "abcdefghijklmnopqrst"),
        ("<pre class='language-abcdefghijklmnopqrstu'>", ""),
        ("<main class=language-js><p>a</p><pre>", ""),
    ],
)
def test_the_language_of_code(opening: str, language: str) -> None:
    text = everything(f"<p>a</p>{opening}x = 1</pre>", "markdown")
    assert text.endswith(f"```{language}\nx = 1\n```")


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<p>a <code>b</code> <tt>c</tt> <samp>d</samp> <kbd>e</kbd>", "a `b` `c` `d` e"),
        ("<p><code>`</code> <code>a``b</code> <code>`x</code>", "`` ` `` ```a``b``` `` `x ``"),
        ("<p>a ` b <code>c</code><p><code>d</code>", "a ` b c\n\n`d`"),
        ("<p><code>a</code><code>b</code> <code>c</code>", "`a`b `c`"),
        ("<p><code>a <code>b</code></code> <code> </code> <code>c<br>d</code>", "`a b` c  \nd"),
        ("<p><b><code>a</code></b> <code><b>b</b> <i>c</i></code> <i>d <code>e</code></i>", "**`a`** `b c` *d `e`*"),
        ("<h2>The <code>x</code> option</h2>", "## The `x` option"),
        ("<table><tr><td>a<td><code>b|c</code></table>", "| a | `b\\|c` |\n|---|---|"),
        ("<p>\\<code>a</code>", "\\a"),
        ("<pre>a <code>b</code></pre>", "```\na b\n```"),
    ],
)
def test_inline_code_in_markdown(page: str, expected: str) -> None:
    assert everything(page, "markdown") == expected


def test_inline_code_and_links() -> None:
    for inner in ("<code><a href=/y>x</a></code>", "<a href=/y><code>x</code></a>"):
        page = f"<p>a {inner} b <code>c <a href=/z>d</a></code>"
        assert html_to_text(page, main_content=False, format="markdown", links=True) == "a [`x`](/y) b `c d`"


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<pre><span class=lineno> 1 </span>a\n<span class=lineno>2</span>b</pre>", "a\nb"),
        ("<pre><span class=lineno>1a</span>b</pre>", "1ab"),
        ("<pre><span class=lineno>1234567</span>b</pre>", "1234567b"),
        ("<pre><span class=token>12</span>b</pre>", "12b"),
        ("<p><span class=lineno>1</span>b", "1b"),
        ("<table><tr><td class=gutter><pre>1\n2</pre><td><pre>a\nb</pre></table>", "a\nb"),
        ("<table><tr><td class=gutter>12 km<td>a</table>", "12 km | a"),
        ("<div class=gutter>12</div><p>a", "12\na"),
    ],
)
def test_numbers_of_lines_are_no_code(page: str, expected: str) -> None:
    assert everything(page) == expected


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<code>a:<br>\n &nbsp; &nbsp;b<br>\u00a0\u00a0c<br> d</code>", "a:\n   b\n  c\nd"),
        ("<tt>a<br>&nbsp;&nbsp;<br>b</tt>", "a\nb"),
        ("<p>a<br>&nbsp;&nbsp;b", "a\nb"),
    ],
)
def test_indentation_of_code_by_no_break_spaces(page: str, expected: str) -> None:
    assert everything(page) == expected


def test_code_between_kept_text_is_kept() -> None:
    words = "The harbour was quiet in the morning, and the boats lay side by side along the old stone wall."
    code = "<div class='highlight-none'><pre>zz 4</pre></div>"
    page = f"<h1>The harbour</h1><p>{words}{code}<p>{words}{code}<footer><p>Contact | Imprint</p></footer>"
    assert html_to_text(page).count("zz 4") == 1
    assert "zz 4" not in html_to_text(page, whole=False)
