"""Published dates, ours and htmldate's: python tests/benchmarks/published.py

On the sample pages: CPU time a page, pages with a date, and how often the two agree. htmldate (it comes with trafilatura)
also guesses from the text and the URL; ours takes what a page states.
"""

import logging
import time
from collections import Counter

from gold import samples
from htmldate import find_date

from pipeline.extract.pages.charset import decode
from pipeline.extract.pages.published import published


def main() -> None:
    logging.disable(logging.CRITICAL)
    pages = [decode(page.body, page.content_type).utf8 for page in samples()]
    began = time.process_time()
    ours = [published(page) for page in pages]
    own = time.process_time() - began
    began = time.process_time()
    theirs = [find_date(page.decode(), original_date=True, extensive_search=False) for page in pages]
    spent = time.process_time() - began
    began = time.process_time()
    guessed = [find_date(page.decode(), original_date=True) for page in pages]
    longer = time.process_time() - began
    for name, other, cost in (("htmldate, fast", theirs, spent), ("htmldate", guessed, longer)):
        count = Counter(
            ("both, equal" if a == b else "both, differ") if a and b else "ours" if a else "theirs" if b else "none"
            for a, b in zip(ours, other, strict=True)
        )
        print(f"{name:15} {cost / len(pages) * 1000:.3f} ms a page, ours {own / len(pages) * 1000:.3f} ms", dict(count))
    differ = [(a, b, n) for n, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a and b and a != b]
    print("differ (ours, theirs, page):", differ[:12])


if __name__ == "__main__":
    main()
