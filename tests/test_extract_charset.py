"""Bytes to text: what decides between a page's declarations, its bytes and detection."""

import json
from pathlib import Path

import pytest

from pipeline.extract.inputs.archive import read_records
from pipeline.extract.pages.charset import _codec, _some_utf8, clean, decode

SHARED = Path(__file__).parents[2] / "shared"
GERMAN = "Die Straße führt über schöne grüne Hügel; äußerst früh öffnen die Bäckereien. "
RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю. Широкая электрификация южных губерний. "
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所で泣いていた。"
CHINESE = "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。"
KOREAN = "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. "


def page(text: str, meta: str = "") -> str:
    return f"<html><head>{meta}<title>x</title></head><body><p>{text * 5}</p></body></html>"


@pytest.mark.parametrize(
    ("text", "codec", "header", "meta", "encoding", "how"),
    [
        (GERMAN, "utf-8", None, "", "utf-8", "utf-8"),
        (GERMAN, "utf-8", "UTF-8", "", "utf-8", "header"),
        (GERMAN, "utf-8", "iso-8859-1", "", "utf-8", "utf-8"),  # the header lies
        (GERMAN, "utf-8", None, "<meta charset=windows-1251>", "utf-8", "utf-8"),
        (GERMAN, "utf-8-sig", "iso-8859-1", "", "utf-8", "bom"),
        (GERMAN, "cp1252", "iso-8859-1", "", "windows-1252", "header"),
        (GERMAN, "cp1252", "utf-8", "<meta charset='latin1'>", "windows-1252", "meta"),  # the header lies
        (RUSSIAN, "cp1251", "text", '<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">', "windows-1251", "meta"),
        (RUSSIAN, "koi8-r", None, "", "koi8-r", "detected"),
        (RUSSIAN, "koi8-r", "utf-8", "", "koi8-r", "detected"),
        (RUSSIAN, "cp855", "ibm855", "", "ibm855", "header"),
        (JAPANESE, "cp932", "x-sjis", "", "shift_jis", "header"),
        (JAPANESE, "cp932", None, "", "shift_jis", "detected"),
        (JAPANESE, "cp932", "iso-8859-1", "", "shift_jis", "detected"),  # a server's default
        (JAPANESE, "euc_jp", "euc-jp", "", "euc-jp", "header"),
        (JAPANESE, "iso2022_jp", None, "", "iso-2022-jp", "detected"),
        (CHINESE, "gb18030", "gb2312", "", "gb18030", "header"),
        (CHINESE, "gb18030", None, "<!-- <meta charset=big5> --><meta charset=gbk>", "gb18030", "meta"),
        (CHINESE, "hz", None, "", "hz-gb-2312", "detected"),
        (KOREAN, "cp949", "ks_c_5601-1987", "", "euc-kr", "header"),
        (KOREAN, "iso2022_kr", None, "", "iso-2022-kr", "detected"),
        (GERMAN, "utf-16", None, "", "utf-16-le", "bom"),
        (GERMAN, "utf-16-le", None, "", "utf-16-le", "detected"),
        (RUSSIAN, "utf-16-be", "utf-8", "", "utf-16-be", "detected"),
        (RUSSIAN, "utf-32", None, "", "utf-32-le", "bom"),
        (JAPANESE, "utf-32-be", None, "", "utf-32-be", "detected"),
        (JAPANESE, "utf-32-le", None, "", "utf-32-le", "detected"),
        ("plain words ", "ascii", None, "", "utf-8", "default"),
        ("plain words ", "ascii", "utf-16", "", "utf-8", "default"),  # no page in ASCII is UTF-16
        ("plain words ", "ascii", "cp037", "", "utf-8", "default"),  # nor EBCDIC
        ("plain words ", "ascii", "nonsense", "", "utf-8", "default"),
        (GERMAN, "utf-8", "rot13", "<meta charset=base64>", "utf-8", "utf-8"),
    ],
)  # fmt: skip
def test_what_decides(text: str, codec: str, header: str | None, meta: str, encoding: str, how: str) -> None:
    html = page(text, meta)
    decoded = decode(html.encode(codec), header and f"text/html; charset={header}")
    assert (decoded.encoding, decoded.how) == (encoding, how)
    assert decoded.text == html


@pytest.mark.parametrize(
    ("meta", "declared"),
    [
        (b"<meta name=keywords content='charset=big5, html'><meta charset=koi8-r>", "koi8-r"),
        (b'<meta name="description" content="how to set charset=big5">', None),
        (b'<meta property=og:title content="charset = big5"><meta http-equiv=content-type content=text/html;charset=sjis>', "sjis"),
        (b"<meta itemprop=text content=charset=big5>", None),
        (b'<meta content="accept-charset=big5" name=q>', None),
        (b'<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">', "koi8-r"),
        (b'<meta content="text/html; charset=koi8-r" http-equiv="Content-Type">', "koi8-r"),
        (b'<meta name=a http-equiv="Content-Type" content="text/html; charset=koi8-r">', "koi8-r"),
        (b'<meta name="Content-Type" content="text/html; charset=koi8-r">', "koi8-r"),  # meant, though browsers ignore it
        (b'<meta content="text/html; charset=koi8-r">', "koi8-r"),
        (b'<meta name="x" charset="koi8-r">', "koi8-r"),
        (b"<meta name=x content='a' charset=koi8-r>", "koi8-r"),
    ],
)  # fmt: skip
def test_a_charset_in_the_content_of_another_meta_is_no_declaration(meta: bytes, declared: str | None) -> None:
    assert decode(meta + b"<p>x").declared == declared


@pytest.mark.parametrize(
    ("head", "declared"),
    [
        ("<META CHARSET=koi8-r>", "koi8-r"),
        ("<!-- <meta charset=big5> --><meta charset=koi8-r>", "koi8-r"),
        ("<!--><meta charset=big5>--><meta charset=koi8-r>", "koi8-r"),
        ("<meta charset=koi8-r><!-- <meta charset=big5>", "koi8-r"),
        ("<!-- <meta charset=koi8-r>", None),
        ("<meta name=a><meta content=b charset=koi8-r>", "koi8-r"),
        ("<meta a><p charset=big5><meta charset=koi8-r>", "koi8-r"),
        ("<meta charset=koi8-r", "koi8-r"),
        (" " * 1010 + "<meta charset=koi8-r>", "koi8-r"),  # across the first kilobyte
        (" " * 1000 + "<meta content='charset=big5' name=keywords><meta charset=koi8-r>", "koi8-r"),
        (" " * 980 + "<meta content='charset=big5'         name=keywords><meta charset=koi8-r>", "koi8-r"),
        (" " * 4075 + "<meta charset=koi8-r>", "koi8-r"),
        (" " * 4090 + "<meta charset=koi8-r>", None),
    ],
)
def test_where_a_page_declares_its_charset(head: str, declared: str | None) -> None:
    assert decode(head.encode()).declared == declared


def test_declared_is_the_label_as_written() -> None:
    assert decode(b"x", 'text/html; charset="ISO-8859-1"').declared == "iso-8859-1"
    assert decode(b"\r\n<?xml version='1.0' encoding='Big5'?><rss/>", "text/xml").declared == "big5"
    assert decode(page("x", "<meta charset=koi8-r>").encode("utf-16")).declared == "koi8-r"
    assert decode(b"<p>charset=utf-8").declared is None


def test_a_few_broken_bytes_do_not_change_the_encoding() -> None:
    chinese = page(CHINESE).encode("gb18030")
    cut = decode(chinese.replace(b"</p></body></html>", b"")[:-1], "text/html; charset=gb2312")
    assert (cut.encoding, cut.text[-2:]) == ("gb18030", "待\ufffd")
    russian = page(RUSSIAN * 5).encode()
    mixed = decode(russian.replace("чаю".encode(), b"\xff", 1), "text/html; charset=windows-1251")
    assert (mixed.encoding, mixed.text.count("\ufffd")) == ("utf-8", 1)


def test_a_page_that_says_utf_8_may_have_foreign_bytes() -> None:
    one = "<meta charset=utf-8><p>10 \u20ac, and one caf".encode()
    for body in (one + b"\xe9 ", one + b"\xe9 and " + "\u00fc".encode()):
        decoded = decode(body)
        assert (decoded.encoding, decoded.text.count("\ufffd")) == ("utf-8", 1)
    russian = page(RUSSIAN, "<meta charset=utf-8>").encode("cp1251")
    assert decode(russian).encoding == "windows-1251"
    assert _some_utf8("\u20ac".encode() * 3 + b"\xe9 " * 3, 12)
    assert not _some_utf8("\u20ac".encode() * 3 + b"\xe9 " * 4, 13)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_that_only_the_header_tells(codec: str) -> None:
    body = ("\u6d77\u5b57" * 60 + "\n<p>").encode(codec)
    decoded = decode(body, f"text/html; charset={codec}")
    assert (decoded.encoding, decoded.how) == (codec, "header")
    assert decode(b"<p>plain ASCII, called something else", f"text/html; charset={codec}").encoding == "utf-8"


def test_of_several_charsets_in_a_header_the_last_counts() -> None:
    assert decode(b"\xe9", "text/html; charset=utf-8, text/html; charset=iso-8859-2").declared == "iso-8859-2"


@pytest.mark.parametrize("body", [b"", b"\0", b"\xff", b"\xff\xfe", b"\xff\xfe\0", b"\0" * 999, bytes(range(256)) * 20])
@pytest.mark.parametrize("header", [None, "charset=utf-16", "charset=\0", "charset=iso-2022-jp", "charset=utf-8"])
def test_never_raises_and_always_gives_storable_text(body: bytes, header: str | None) -> None:
    text = decode(body, header).text
    assert "\0" not in text
    text.encode("utf-8")


def test_clean_takes_out_nul_and_lone_surrogates_only() -> None:
    assert clean("a\0b\ud800c\udfffd\U0001f600\ue000") == "abcd\U0001f600\ue000"


def test_real_pages_of_36_encodings() -> None:
    folder = SHARED / "data" / "web-hostile"
    if not folder.is_dir():
        pytest.skip("the project's shared archives are not on this machine")
    truths = [json.loads(line) for line in (folder / "encodings.jsonl").read_text().strip().split("\n")]
    records = read_records(folder / "encodings.warc.gz", max_record_bytes=10_000_000)
    wrong = []
    for truth, record in zip(truths, records, strict=True):
        name = truth["encoding"].lower()
        codec = {"utf-16": "utf-16", "utf-32": "utf-32", "utf-8-sig": "utf-8-sig"}.get(name) or _codec(name)
        assert codec is not None
        expected = clean(record.body.decode(codec, "replace").removeprefix("\ufeff"))
        if decode(record.body, record.content_type).text != expected:
            wrong.append(truth["url"].split("/", 3)[3])
    # Johab is unknown to the detector; the others are plain texts in which one letter tells two encodings apart.
    assert wrong == [
        "Johab/iyagi-readme.txt",
        "Johab/mdir-doc.txt",
        "MacRoman/ioreg_output.txt",
        "iso-8859-7-greek/_ude_2.txt",
    ]


def test_a_detected_iso_encoding_has_no_control_characters() -> None:
    body = b"Then he said, \x93This is quite near.\x94\nAnd we said \x93yes\x94\n"
    assert decode(body).text == body.decode("cp1252")
    czech = ("Příliš žluťoučký kůň úpěl ďábelské ódy. " * 5).encode("iso8859-2")
    assert decode(czech).text == czech.decode("iso8859-2")


def test_a_declaration_padded_with_spaces_is_read_in_one_pass() -> None:
    spaces = " " * 1_000_000
    body = "naïve".encode("cp1252")
    for value in (f"charset={spaces}koi8-r", f"charset={spaces}'{spaces}koi8-r"):
        assert decode(body, value).declared == "koi8-r"
    assert decode(body, f"charset={spaces}!").declared is None
