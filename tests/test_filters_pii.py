"""Personal data by its form: what is, what only looks like it, and masking in texts and in runs."""

import random
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.config_file import check
from pipeline.errors import UserError
from pipeline.filters.kernels.pii_patterns import KINDS
from pipeline.filters.pii import MASKS, mask, mask_texts
from pipeline.filters.signals import measure
from pipeline.run.run import Run

Go = Callable[..., tuple[Run, list[str]]]

IS = {
    "email": [
        "Write to [jane.doe@example.org].",
        "mailto:[info@example.com]",
        "<[a_b+tag@mail.example.co.uk]>",
        "'[someone@example.net]'",
        "E-mail:[x@example.museum], or post",
        "([first.last@sub.domain.example.de])",
        "[USER@EXAMPLE.COM]",
        "[o'brien@example.ie] wrote",
        "[a1@b2.example.io]",
        "reach [me@my-host.example.org].",
        "联系[ming@example.cn]吧",
        "[a@example.com],[b@example.com];[c@example.com]",
        "Contact: [team-lead@example.xn--p1ai]",
        "[box@example.com]:25 is the mail host",
        "see [editor@example.com]'s column",
    ],
    "ip": [
        "The server 1 at [203.0.113.7] answered",
        "ping [8.8.8.8] first",
        "from [192.168.0.12]:8080 to [10.0.0.1]/8",
        "([172.16.254.1])",
        "host [255.255.255.0], mask",
        "at [2001:db8::ff00:42:8329] today",
        "[2001:0db8:85a3:0000:0000:8a2e:0370:7334]",
        "route via [fe80::1ff:fe23:4567:890a]",
        "http://[[2001:db8::7334]]:80/",
        "user logged in from [93.184.216.34].",
    ],
    "phone": [
        "Call [+44 20 7946 0958] now",
        "[+1-212-555-0123]",
        "[+49 (0) 30 123456] Berlin",
        "[+4930123456]",
        "[(212) 555-0123]",
        "[212-555-0123] or [212.555.0123]",
        "dial [1-800-555-0199] toll-free",
        "[212 555 0123]",
        "Ring [020 7946 0958] after six",
        "Tél. [01 23 45 67 89]",
        "[030 1234567], Berlin",
        "[089/12345678]",
        "[0049 30 1234567]",
        "Phone: [5550123]",
        "Tel: [555-0123]",
        "Fax [2125550123]",
        "mobile [07700 900123]",
        "whatsapp [919876543210]",
        "电话：[010-12345678]",
        "телефон [8 495 123 45 67]",
        "Tel:[(030)123456789]",
        "hotline [0800 123 4567]",
        "My phone number is [4155550123].",
        "call me at [4155550123]",
        "my mobile number: [415555012345]",
    ],
}
IS_NOT = [
    "image@2x.png",
    "my phone number is 415555012",
    "my phone number is 4155550123456",
    "the phone number of ours is 4155550123",
    "order number is 4155550123",
    "icon@3x.webp is larger",
    "git@github.example:name/project",
    "ftp://name:secret@files.example.org/x",
    "follow @someone or @name.surname",
    "name@localhost",
    "a@b",
    "@example.com",
    "x@.com and y@com.",
    "3 kg @ 2.50 each",
    "Version 1.22.3.4 is out",
    "v10.0.19041.1 fixes it",
    "firmware 21.4.130.8",
    "see section 13.4.2.1 for it",
    "12.2.13.4 A heading of a chapter",
    "as 3.2.2.6 of the law says",
    "1.2.3.4.5 is no address",
    "300.1.2.3 and 1.2.3.999",
    "01.02.03.04 has zeros",
    "at 12:30:45 and 10:15",
    "1:23:45.678",
    "00:1A:2B:3C:4D:5E is a MAC address",
    "std::vector and Face::add",
    "a[1::2] and b[::3]",
    "ratio 16:9, 4:3",
    "Psalm 119:105, John 3:16",
    "On 2021-03-04 at 10:20",
    "2021-03-04 10:20:30",
    "04/03/2021 and 4.3.2021",
    "20210304102030",
    "$1 234 567 890",
    "costs $212.555.0123 or so",
    "1,234,567,890 people",
    "1 234 567 890",
    "€ 1.234.567,89",
    "ISBN 978-0-306-40615-7",
    "ISBN 0-306-40615-2",
    "ISSN 2049-3630",
    "4111 1111 1111 1111",
    "doi:10.1000/182",
    "arXiv:2112.11446 and 1910.10683",
    "order #2125550123",
    "id=212-555-0123",
    "/page/212-555-0123",
    "3.14159265358979",
    "48.8566, 2.3522",
    "1990-2000 and 2001-2010",
    "5551234567",
    "123 456 7890",
    "10 20 30 40 50 60",
    "pages 101-110, 212-219",
    "192.168.1",
    "the years 1914 1918 1939 1945",
]


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in IS.items() for text in texts])
def test_what_is(kind: str, text: str) -> None:
    plain = text.replace("[", "").replace("]", "") if "[[" not in text else text.replace("[[", "[").replace("]]", "]")
    wanted, inside = "", False
    for place, letter in enumerate(text):
        if letter == "[" and not inside and text[place : place + 2] != "[[":
            wanted, inside = wanted + MASKS[kind], True
        elif letter == "]" and inside:
            inside = False
        elif not inside:
            wanted += letter
    masked = mask(plain)
    assert masked.text == wanted
    assert masked.counts == {name: text.count("[") - text.count("[[") if name == kind else 0 for name in KINDS}


@pytest.mark.parametrize("text", IS_NOT)
def test_what_only_looks_like_it(text: str) -> None:
    assert mask(text).text == text


def test_public_addresses_only() -> None:
    text = "10.1.2.3 192.168.4.5 172.31.0.1 127.0.0.1 169.254.1.1 203.0.113.9 ; 93.184.216.34 172.32.0.1 2a00:1450::200e fe80::1ff:1"
    masked = mask(text, ("ip",), {"ip": "IP"}, public_ips_only=True)
    assert masked.text == "10.1.2.3 192.168.4.5 172.31.0.1 127.0.0.1 169.254.1.1 203.0.113.9 ; IP IP IP fe80::1ff:1"
    assert mask(f"see {text}", ("ip",)).counts == {"ip": 10}


def test_kinds_and_placeholders() -> None:
    text = "a@example.com, 212-555-0123, 8.8.8.8"
    assert mask(text, ("phone",), {"phone": "☎"}).text == "a@example.com, ☎, 8.8.8.8"
    with pytest.raises(UserError, match="fax: unknown kind of personal data; known: email, phone, ip"):
        mask(text, ("fax",))


def test_batches_with_nulls_slices_and_nothing() -> None:
    array = pa.array(["x", "a@example.com", None, "", "no", "b@example.com c@example.com"], pa.large_string())[1:]
    texts, counts = mask_texts(array, ("email",), {"email": "M"})
    assert texts.to_pylist() == ["M", None, "", "no", "M M"]
    assert texts.type == pa.large_string()
    assert counts["email"].tolist() == [1, 0, 0, 0, 2]
    assert measure(array, ["pii_count"])["pii_count"].to_pylist() == [1, None, 0, 0, 2]


def test_any_bytes_are_survived_and_nothing_else_is_changed() -> None:
    draw = random.Random(5)
    pieces = [
        "@",
        ".",
        ":",
        "::",
        "+",
        "(",
        ")",
        "1",
        "22",
        "333",
        "0",
        "ab",
        "f",
        " ",
        "\n",
        "é",
        "中",
        "-",
        "/",
        "tel",
        "x@y.org",
    ]
    texts = ["".join(draw.choices(pieces, k=draw.randrange(60))) for _ in range(5000)]
    masked, counts = mask_texts(pa.array(texts), KINDS, dict.fromkeys(KINDS, "\0"))
    for place, (text, after) in enumerate(zip(texts, masked.to_pylist(), strict=True)):
        kept = after.split("\0")
        assert len(kept) - 1 == sum(int(counts[kind][place]) for kind in KINDS)
        at = 0
        for piece in kept:  # what is left stands in the text, in order
            at = text.index(piece, at) + len(piece)


def test_a_run_masks_what_it_keeps(tmp_path: Path, go: Go) -> None:
    text = "The river of the valley has a bridge, and people who have letters write with that in mind to {} today.\n"
    lines = [
        f'{{"id": "{n}", "text": "{(text.format(who) * 6).strip()}"}}'
        for n, who in enumerate(["a@example.com", "nobody"])
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(line.replace("\n", "\\n") for line in lines))
    sets = [
        f'input.paths=["{tmp_path}/in.jsonl"]',
        'mask.kinds=["email"]',
        'mask.email="<mail>"',
        "quality.words.min=5",
    ]
    go(tmp_path / "run", sets)
    rows = {row["id"]: row for row in pq.read_table(tmp_path / "run" / "clean").to_pylist()}
    assert rows["0"]["text"].count("<mail>") == rows["0"]["masked_email"] == rows["0"]["pii_emails"] == 6
    assert rows["1"]["masked_email"] == 0


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match="mask.kinds"):
        check({"input": {"paths": ["x"]}, "mask": {"kinds": ["fax"]}}, "file")
