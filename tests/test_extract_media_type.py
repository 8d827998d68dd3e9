"""What a body is read as: declared types as browsers read them, and bytes that are no text."""

import gzip

import pytest

from pipeline.extract.pages.media_type import is_binary, media_type

PAGE = b"<html><p>The harbour was quiet."


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        ("text/html; charset=x", "text/html"),
        ("TEXT/HTML", "text/html"),
        ("image/png", "image/png"),
        ("text/html, text/html; charset=utf-8", "text/html"),
        ("text/html,text/html", "text/html"),
        ("text/html,charset=utf-8", "text/html"),
        ("text/plain, text/html", "text/html"),
        ("text/html, image/png", "image/png"),
        ("text/html, */*", "text/html"),
        ("text/html, nonsense", "text/html"),
        ('text/html; title="a, image/png"', "text/html"),
    ],
)
def test_the_last_valid_type_counts(declared: str, kind: str) -> None:
    assert media_type(declared, b"anything") == kind


@pytest.mark.parametrize(
    "declared",
    [
        None,
        "",
        "html",
        "text/html charset=utf-8",
        '"text/html"',
        "text / html",
        "text/html:charset=utf-8",
        "*/*",
        "application/octet-stream",
        "unknown/unknown",
        "charset=utf-8",
        "text/",
        "/html",
        "text/html/x",
    ],
)
def test_what_is_no_type_is_ignored(declared: str | None) -> None:
    assert media_type(declared, PAGE) == "text/html"
    assert media_type(declared, b" <!-- x --><!DOCTYPE html><p>") == "text/html"
    assert media_type(declared, b"<?xml version='1.0'?>\n<html lang=x>") == "text/html"
    assert media_type(declared, b"<helper>") == "text/plain"
    assert media_type(declared, b"just text\n") == "text/plain"
    assert media_type(declared, b"\x00\x01\x02") not in ("text/html", "text/plain")


STARTS = (
    b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"BZh91AY", b"\xfd7zXZ\0", b"PK\x03\x04", b"7z\xbc\xaf", b"%PDF-1.4", b"\xd0\xcf\x11\xe0",
    b"\x89PNG", b"GIF89a", b"\xff\xd8\xff", b"RIFF", b"\0\0\0\x20ftyp", b"OggS", b"ID3\x03", b"wOFF", b"wOF2", b"\0\1\0\0", b"OTTO",
    b"\0asm", b"\xca\xfe\xba\xbe", b"\x7fELF", b"CWS\x08", b"\x1f\x9d\x90", b"\x5d\0\0\x80\0", b"LZIP\1", b"MSCF\0", b"x" * 257 + b"ustar\0",
    b"%!PS-Adobe", b"{\\rtf1\\ansi", b"BM\1\2\3\4\0\0\0\0", b"II*\0", b"MM\0*", b"\0\0\1\0\1\0", b"8BPS\0\1", b"gimp xcf v003",
    b"\0\0\0\x0cjP  ", b"FLV\1", b"\x30\x26\xb2\x75", b"\0\0\1\xba", b"fLaC\0", b"MThd\0", b"#!AMR\n", b"\xff\xfb\x90\x64",
    b"12345678\1\0\2\0" + b"x" * 22 + b"LP", b"\x80\1abcd%!PS", b"MZ\x90\0", b"dex\n035", b"!<arch>\n", b"\xed\xab\xee\xdb",
    b"SQLite format 3\0", b"PAR1", b"ARROW1\0", b"\x89HDF", b"bplist00", b"ITSF\3", b"AT&TFORM", b"\xc5\xd0\xd3\xc6",
)  # fmt: skip


@pytest.mark.parametrize("start", STARTS)
def test_files_that_are_called_text(start: bytes) -> None:
    for lines in (b"", b"\r\n", b"\n\n", b"\xef\xbb\xbf", b" \t"):
        assert media_type("text/html", lines + start + b" and so on") == ""
        assert media_type("text/plain", lines + start + b" and so on") == ""


@pytest.mark.parametrize(
    "text",
    [
        b"BZh is a magic number",
        b"ID3 tags",
        b"OTTER",
        b"CWS is a company",
        b"wOFG",
        b"%PD",
        b"BM is a company of 2026",
        b"%!PS",
        b"{\\rtf",
        b"MThd",
        b"LZIP",
        b"PAR2",
        b"\xff\xfb\xc0\xe5",
        b"x" * 257 + b"ustard",
        b"MZ is short for",
        b"8BPSK",
        b"II*",
        b"dex\n",
        b"SQLite format 3 is",
    ],
)
def test_texts_that_begin_almost_like_a_file(text: bytes) -> None:
    assert media_type("text/plain", text) == "text/plain"


def test_control_characters_make_a_body_binary() -> None:
    assert not is_binary(b"x" * 98 + b"\x01\x02")
    assert is_binary(b"x" * 97 + b"\x01\x02\x03")
    assert is_binary(gzip.compress(bytes(range(256)) * 50)[20:])  # compressed data without its first bytes
    assert not is_binary(b"\x1b$B" * 50)  # ISO-2022
    assert not is_binary(b"")
    assert not is_binary(b"x" * 98 + b"\x01\x02" + bytes(5000))  # browsers leave NUL out
    assert is_binary(b"x" * 97 + b"\x01\x02\x03" + bytes(5000))


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
def test_wide_encodings_are_not_binary(codec: str) -> None:
    assert not is_binary("<p>The harbour was quiet.".encode(codec))
    chinese = ("\u6d77\u5b57" * 60 + " <p>").encode(codec)  # hardly any zeros in UTF-16
    assert not is_binary(chinese, f"text/html; charset={codec}")


def test_comments_before_the_first_tag_are_skipped_in_one_pass() -> None:
    comments = b"<!---->" * 140
    assert media_type(None, comments) == "text/plain"
    assert media_type(None, comments + b" \n<p>") == "text/html"
    assert media_type(None, b"<!-- a --> b --> <html>") == "text/html"
    assert media_type(None, b"<!-- a -- <html>") == "text/plain"
