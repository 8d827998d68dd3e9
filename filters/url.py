"""URLs not worth extracting: blocklists, words, and sites whose text comes from a better source.

After RefinedWeb (Penedo et al. 2023, arXiv 2306.01116, appendix G.1): a blocklist of domains (the UT1 lists of Toulouse
Capitole University), scores of words in the URL, and the exclusion of sources that are usually added in curated form.

A blocklist is a sorted array of 64-bit hashes, 8 bytes per entry. It is made once, and workers map it into memory. The
probability that any two of 5 million entries share a hash is below one in a million.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.arguments import not_one
from pipeline.errors import UserError
from pipeline.filters.kernels import line_hashes

LIBRARIES = ("unicode",)  # Python's tables decide the lower case of a host

REASONS = {
    "url_blocklist": "the domain or URL is in `url.blocklists`",
    "url_hard_word": "the URL contains a word of `url.hard_words`",
    "url_soft_words": "the URL contains two different words of `url.soft_words`",
    "url_substring": "the URL contains a string of `url.substrings`",
    "url_curated": "the domain is in `url.curated`: its text comes from a better source",
}
Hashes = npt.NDArray[np.uint64]
# RFC 3986, appendix B: scheme, authority, path, query; the fragment is left out.
_PARTS = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(\?[^#]*)?", re.S)
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DEFAULT_PORTS = {"http": "80", "https": "443", "ftp": "21"}
_WORDS = re.compile(r"[\W_]+")
_LONGEST_DOMAIN = 255
"""Characters of a domain that a list may name; a longer host has no address (RFC 1035, section 2.3.4)."""
_LONGEST_PAGE = 4096
"""Characters of a page that a list may name, beside the URL itself: without a bound, the pages above a URL of n slashes would
take n**2 bytes."""
_HOST = re.compile(r"^(?:[a-z][a-z0-9+.-]*:)?//(?:[^/?#]*@)?(?P<host>\[[^\]]*\]|[^/?#:]*)(?::\d*)?(?P<rest>.*)$", re.S)


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlRules:
    """Which URLs are dropped. `soft` words drop a URL only if at least `soft_words` different ones occur (RefinedWeb: 2)."""

    blocked: Hashes | None = None
    hard: frozenset[str] = frozenset()
    soft: frozenset[str] = frozenset()
    soft_words: int = 2
    substrings: tuple[str, ...] = ()
    curated: frozenset[str] = frozenset()

    def reasons(self, url: str) -> list[str]:
        """Every rule that the URL fails."""
        url = url.lower()
        failing = []
        domains, pages = domains_and_pages(url)
        if self.blocked is not None and len(self.blocked):
            hashes = hash_entries("\n".join([*domains, *pages]).encode("utf-8", "replace"))
            indices = np.minimum(np.searchsorted(self.blocked, hashes), len(self.blocked) - 1)
            if np.any(self.blocked[indices] == hashes):
                failing.append("url_blocklist")
        if self.hard or self.soft:
            words = {*_WORDS.split(url)}
            if words & self.hard:
                failing.append("url_hard_word")
            if len(words & self.soft) >= self.soft_words:
                failing.append("url_soft_words")
        if any(piece in url for piece in self.substrings):
            failing.append("url_substring")
        if self.curated.intersection(domains):
            failing.append("url_curated")
        return failing


def domains_and_pages(url: str) -> tuple[list[str], list[str]]:
    """The domains of a lower-case URL, the host first, and the pages above it: each prefix of its path.

    Of a very long host or path, only the domains and pages that a list may name, and the host and the path themselves.
    """
    split = _HOST.match(url)
    if split is None:
        return [], []
    host = split["host"].rstrip(".").removeprefix("www.")
    domains = [host]
    above = host if len(host) <= _LONGEST_DOMAIN else host[-_LONGEST_DOMAIN:]
    while "." in (above := above.partition(".")[2]):
        domains.append(above)
    path = re.split(r"[?#]", split["rest"], maxsplit=1)[0].strip("/")
    pages = []
    page = f"{host}"
    for segment in path.split("/") if path else ():
        page = f"{page}/{segment}"
        if len(page) > _LONGEST_PAGE:
            pages.append(f"{host}/{path}")
            break
        pages.append(page)
    if split["rest"].strip("/") != path:
        pages.append(f"{host}/{split['rest'].strip('/')}")
    return domains, pages


def page_key(url: str) -> bytes:
    """16 bytes that URLs of the same page share: BLAKE2b of the normalized form."""
    return blake2b(normalize(url).encode("utf-8", "replace"), digest_size=16).digest()


def normalize(url: str) -> str:
    """The URL in RFC 3986's normal form for equivalent URLs (sections 6.2.2 and 6.2.3).

    Scheme and host in lower case, no default port, `/` for an empty path, dot segments resolved, escapes in capitals and
    none for letters, digits and -._~, and no fragment, which never reaches a server (3.5). URLs that are only usually
    equivalent stay different: http and https, www., a trailing slash, the order of a query.
    """
    match = _PARTS.match(url.strip())
    assert match is not None  # every part may be missing
    scheme, authority, path, query = match.groups()
    scheme = (scheme or "").lower()
    path, query = _unescape(path), _unescape(query or "")
    if "/." in path:
        path = _without_dots(path)
    if authority is None:
        return f"{scheme}:{path}{query}" if scheme else f"{path}{query}"
    user, at, host_and_port = authority.rpartition("@")
    host, colon, port = host_and_port.rpartition(":")
    if not colon or not (port.isdigit() or not port):  # a colon within [an IPv6 address] does not precede a port
        host, port = host_and_port, ""
    if port == _DEFAULT_PORTS.get(scheme):
        port = ""
    return f"{scheme}://{user}{at}{_unescape(host.lower())}{':' if port else ''}{port}{path or '/'}{query}"


def _unescape(text: str) -> str:
    return _ESCAPE.sub(_one_escape, text) if "%" in text else text


def _one_escape(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0].upper()


def _without_dots(path: str) -> str:
    """The path with its `.` and `..` segments resolved (RFC 3986, 5.2.4)."""
    out: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del out[max(len(out) - 1, 1) :]  # the first segment is the empty text before the first slash
        elif segment != ".":
            out.append(segment)
    if path.endswith(("/.", "/..")):
        out.append("")
    return "/".join(out)


def read_blocklists(paths: Sequence[str | Path]) -> Hashes:
    """Sorted hashes of the entries of files, and of the files named `domains` and `urls` in directories (UT1's layout).

    An entry is a line with a domain, or a domain and a path; it covers everything below it. Upper case, a scheme, a leading
    www. and a trailing slash do not matter; lines that start with # are comments. Raises UserError.
    """
    entries = [hash_entries(_read(file)) for file in blocklist_files(paths)]
    hashes = np.sort(np.concatenate([np.zeros(0, np.uint64), *entries]))  # np.unique takes fifty times as long
    distinct: Hashes = hashes[np.diff(hashes, prepend=~hashes[:1]) != 0]
    return distinct


def blocklist_files(paths: Sequence[str | Path]) -> list[Path]:
    """The files that make up the blocklists, sorted within a directory. Raises UserError."""
    not_one(paths, "paths", "paths", "path")
    files: list[Path] = []
    for path in map(Path, paths):
        listed = (
            sorted(file for file in path.rglob("*") if file.name in ("domains", "urls")) if path.is_dir() else [path]
        )
        if not listed:
            raise UserError(f"url.blocklists: {path}: no file named domains or urls in it")
        if not path.exists():
            raise UserError(f"url.blocklists: {path}: no such file or directory")
        files += listed
    return files


def read_words(path: str | Path) -> list[str]:
    """Lines of a word list, in lower case; # starts a comment. Raises UserError."""
    lines = (line.strip().lower() for line in _read(Path(path)).decode("utf-8", "replace").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def hash_entries(data: bytes) -> Hashes:
    """A hash for each entry in lines of text, except blank lines and comments."""
    raw = np.frombuffer(data.lower(), np.uint8)
    out = np.empty(data.count(b"\n") + 1, np.uint64)
    return out[: line_hashes.hash_entries(raw, out)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"url: {path}: cannot be read ({error.strerror})") from None


def warm_up() -> None:
    """Compile the kernel, or load it from Numba's cache, so that workers need not compile."""
    hash_entries(b"a")


def curated(domains: Iterable[str]) -> frozenset[str]:
    """Domains in the form that the rules compare."""
    return frozenset(domain.lower().removeprefix("www.").strip("./") for domain in domains)
