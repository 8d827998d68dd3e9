#!/usr/bin/env bash
# trafilatura 2.3.1, resiliparse 2.0.1 and html2text 2025.4.15 by default: an exponent in <sup> is joined to the number before it,
# with no mark and no warning. "10<sup>6</sup> litres" is "106 litres", "2<sup>-3</sup>" is "2-3": other numbers, not lost markup.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv env
env/bin/pip install --quiet trafilatura==2.3.1 resiliparse==2.0.1 html2text==2025.4.15 lxml_html_clean==0.4.5

cat > read.py <<'PY'
from html2text import html2text
from resiliparse.extract.html2text import extract_plain_text
from trafilatura import extract

line = "The tank of the harbour held 10<sup>6</sup> litres in the summer, of which 2<sup>-3</sup> was ice in the winter."
page = f"<html><body><article><h1>The tank</h1><p>{line}</p><p>{line}</p></article></body></html>"
for read in (extract, extract_plain_text, html2text):
    text = " ".join(read(page).split())
    print(read.__name__, "106 litres" in text and "2-3 was ice" in text)
PY
found=$(env/bin/python read.py)
printf '%s\n' "$found"
[ "$found" = "extract True
extract_plain_text True
html2text True" ]
