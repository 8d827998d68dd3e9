"""Mutated pages through the native extractor, with bounds checking on: python tests/benchmarks/fuzz_extractor.py [COUNT]

Slices of the sample pages with tags, quotes, entities and bytes put in, taken out and doubled; every page must give a text
or a reason. Prints the slowest page, in seconds a megabyte.
"""

import os
import random
import sys
import tempfile
import time

os.environ["NUMBA_BOUNDSCHECK"] = "1"
os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp(prefix="checked-kernels")  # apart from others, and never old ones

from gold import samples

from pipeline.extract.native.names import TAGS
from pipeline.extract.options import FORMATS, TEXT_SOURCES, TextOptions
from pipeline.extract.pages.markup import extract_page

PIECES = [f"<{tag}>" for tag in TAGS] + [f"</{tag}>" for tag in TAGS] + [
    "<!--", "-->", "<!", "<?", "&", "&#", "&#x1F600;", "&nGt;", "&amp", '"', "'", "=", "<a href=", "<p class='nav x", ">", "/>", "\n",
    "<base href='http://b.example/x/'>", "<li value=9>", "<ol start=-3>", "<figcaption>", "<caption>", "<a href='../y?z#w'>k</a>",
    "\u00a0", "\u6771", "\U0001f600", "\ufffd", "\0", "\ud800", "<div style=display:none>", "<br><br>", "<", "</",
    "<span hidden>", "<b style='opacity:0;", "<i class='sr-only'>", "<math alttext='x'>", "<annotation encoding=tex>", "10<sup>6</sup>",
    "<script type='math/tex'>", "<template shadowrootmode=open>", "<svg><text>", "<iframe srcdoc='", "<img class=tex alt=x>", "<![CDATA[",
    "<noscript>", "</noscript>", "<script type=application/ld+json>{\"@type\":\"Article\",\"text\":\"", "\\u003cp>", "\"}</script>",
    "<script type=application/json>{\"body\":\"", "<script>self.__next_f.push([1,\"1:T20,", "\"])</script>", "<div data-preloaded='{",
    "<pre class='hljs python'><code>", "<td class=gutter><pre>1", "<span class=lineno>1</span>", "<code>`a`</code>", "<tt>", "x<sup>n+1</sup>",
    "<br>&nbsp; &nbsp;", "\\(x\\) MathJax", "$latex x$", "<img src='//latex.codecogs.com/gif.latex?x'>", "<mjx-math class=tex data-latex=x>",
    "<rt>", "</ruby>", "<td rowspan=2>", "<th colspan=3>", "<td rowspan=99999>",
]  # fmt: skip


def mutate(rng: random.Random, pages: list[str]) -> str:
    page = rng.choice(pages)
    start = rng.randrange(max(1, len(page)))
    page = page[start : start + rng.choice((50, 300, 1500, 6000))]
    for _ in range(rng.randint(1, 12)):
        at = rng.randint(0, len(page))
        match rng.randrange(4):
            case 0:
                page = page[:at] + rng.choice(PIECES) + page[at:]
            case 1:
                page = page[:at] + page[at + rng.randint(1, 30) :]
            case 2:
                page = page[:at] + page[at : at + 40] * rng.randint(2, 20) + page[at:]
            case _:
                page = page[:at] + rng.choice(PIECES) * rng.randint(1, 50) + page[at:]
    return page


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    rng = random.Random(0)
    pages = [sample.body.decode(errors="replace") for sample in samples()]
    for form in FORMATS:  # compiles
        extract_page("<p>x", TextOptions(format=form, captions=True, comments=True, links=form == "markdown"))
    began, worst, problems, size = time.perf_counter(), (0.0, ""), 0, 0
    for _ in range(count):
        page = mutate(rng, pages)
        form = rng.choice(FORMATS)
        options = TextOptions(
            main_content=rng.random() < 0.8,
            format=form,
            captions=rng.choice((None, True, False)),
            links=form == "markdown" and rng.random() < 0.5,
            comments=rng.random() < 0.2,
            tables=rng.random() < 0.8,
            title=rng.random() < 0.2,
            text_from=tuple(rng.sample(TEXT_SOURCES, rng.randint(1, 4))),
        )
        url = rng.choice((None, "http://a.example/b/c?d#e"))
        start = time.process_time()
        found = extract_page(page, options, url)
        spent = time.process_time() - start
        assert (found.text is None) == (found.problem is not None)
        assert found.problem in (None, "empty_text", "too_deep"), (found.problem, found.detail)
        problems += found.problem is not None
        size += len(page)
        if len(page) > 4000 and spent / len(page) * 1e6 > worst[0]:
            start = time.process_time()
            extract_page(page, options, url)  # once more: the first time may have loaded what only it needs
            worst = max(worst, (min(spent, time.process_time() - start) / len(page) * 1e6, page[:80]))
    print(
        f"{count:,} pages, {size / 1e6:.0f} MB, {problems:,} without text, {time.perf_counter() - began:.0f} s, no fault"
    )
    print(f"slowest (of those above 4,000 characters): {worst[0]:.2f} s/MB with bounds checking: {worst[1]!r}")


if __name__ == "__main__":
    main()
