"""URLs that are not worth extracting: blocklists, words, and sites that come from a better source.

After RefinedWeb (Penedo et al. 2023, arXiv 2306.01116, appendix G.1): a blocklist of domains (the UT1 lists of Toulouse
Capitole University), scores of words in the URL, and the exclusion of sources that are usually added in curated form.

A blocklist is a sorted array of 64-bit hashes, 8 bytes an entry: it is made once, and workers map it into memory. Two
different entries of 5 million share a hash with a probability below one in a million.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.errors import UserError
from pipeline.filters.kernels import line_hashes

LIBRARIES = ("unicode",)  # Python's tables decide what a lower-case host is

REASONS = {
    "url_blocklist": "domain or URL stands in `url.blocklists`",
    "url_hard_word": "the URL has a word of `url.hard_words`",
    "url_soft_words": "the URL has two different words of `url.soft_words`",
    "url_substring": "the URL has a string of `url.substrings`",
    "url_curated": "the domain is one of `url.curated`, whose text comes in a better form",
}
Hashes = npt.NDArray[np.uint64]
# RFC 3986, appendix B: scheme, authority, path, query; the fragment is left out.
_PARTS = re.compile(r"(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)(\?[^#]*)?", re.S)
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DEFAULT_PORTS = {"http": "80", "https": "443", "ftp": "21"}
_WORDS = re.compile(r"[\W_]+")
_HOST = re.compile(r"^(?:[a-z][a-z0-9+.-]*:)?//(?:[^/?#]*@)?(?P<host>\[[^\]]*\]|[^/?#:]*)(?::\d*)?(?P<rest>.*)$", re.S)


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlRules:
    """Which URLs go. `soft` words go in company only: `soft_words` different ones and more (RefinedWeb: 2)."""

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
        domains, pages = places(url)
        if self.blocked is not None and len(self.blocked):
            wanted = hash_entries("\n".join([*domains, *pages]).encode("utf-8", "replace"))
            found = np.minimum(np.searchsorted(self.blocked, wanted), len(self.blocked) - 1)
            if np.any(self.blocked[found] == wanted):
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


def places(url: str) -> tuple[list[str], list[str]]:
    """The domains that a lower-case URL lies in, the host first, and the pages it lies under: each prefix of its path."""
    split = _HOST.match(url)
    if split is None:
        return [], []
    host = split["host"].rstrip(".").removeprefix("www.")
    labels = host.split(".")
    domains = [".".join(labels[n:]) for n in range(max(len(labels) - 1, 1))]
    path = re.split(r"[?#]", split["rest"], maxsplit=1)[0].strip("/")
    pages = []
    at = f"{host}"
    for segment in path.split("/") if path else ():
        at = f"{at}/{segment}"
        pages.append(at)
    if split["rest"].strip("/") != path:
        pages.append(f"{host}/{split['rest'].strip('/')}")
    return domains, pages


def page_key(url: str) -> bytes:
    """16 bytes that two URLs share where they name one page: BLAKE2b of the normalized form."""
    return blake2b(normalize(url).encode("utf-8", "replace"), digest_size=16).digest()


def normalize(url: str) -> str:
    """The URL in the form that RFC 3986 gives all that must mean the same (sections 6.2.2 and 6.2.3).

    Scheme and host in lower case, no default port, `/` for an empty path, dot segments resolved, escapes in capitals and
    none for letters, digits and -._~; and no fragment, which never reaches a server (3.5). What only mostly means the same
    stays apart: http and https, www., a closing slash, the order of a query.
    """
    found = _PARTS.match(url.strip())
    assert found is not None  # every part may be missing
    scheme, authority, path, query = found.groups()
    scheme = (scheme or "").lower()
    path, query = _unescape(path), _unescape(query or "")
    if "/." in path:
        path = _without_dots(path)
    if authority is None:
        return f"{scheme}:{path}{query}" if scheme else f"{path}{query}"
    user, at, place = authority.rpartition("@")
    host, colon, port = place.rpartition(":")
    if not colon or not (port.isdigit() or not port):  # a colon within [an IPv6 address] is none before a port
        host, port = place, ""
    if port == _DEFAULT_PORTS.get(scheme):
        port = ""
    return f"{scheme}://{user}{at}{_unescape(host.lower())}{':' if port else ''}{port}{path or '/'}{query}"


def _unescape(text: str) -> str:
    return _ESCAPE.sub(_one_escape, text) if "%" in text else text


def _one_escape(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if character in _UNRESERVED else found[0].upper()


def _without_dots(path: str) -> str:
    """The path with its segments `.` and `..` carried out (RFC 3986, 5.2.4)."""
    out: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del out[max(len(out) - 1, 1) :]  # the first is the nothing before the first slash
        elif segment != ".":
            out.append(segment)
    if path.endswith(("/.", "/..")):
        out.append("")
    return "/".join(out)


def read_blocklists(paths: Sequence[str | Path]) -> Hashes:
    """Sorted hashes of the entries of files, and of the files named `domains` and `urls` in directories (UT1's layout).

    An entry is a line: a domain, which stands for all that lies under it, or a domain and a path, the same. Upper case, a
    scheme, a leading www. and a closing slash do not matter; lines that start with # are comments. Raises UserError.
    """
    found = [hash_entries(_read(file)) for file in blocklist_files(paths)]
    hashes = np.sort(np.concatenate([np.zeros(0, np.uint64), *found]))  # np.unique takes fifty times as long
    once: Hashes = hashes[np.diff(hashes, prepend=~hashes[:1]) != 0]
    return once


def blocklist_files(paths: Sequence[str | Path]) -> list[Path]:
    """The files that make up the blocklists, sorted within a directory. Raises UserError."""
    files: list[Path] = []
    for path in map(Path, paths):
        inside = (
            sorted(file for file in path.rglob("*") if file.name in ("domains", "urls")) if path.is_dir() else [path]
        )
        if not inside:
            raise UserError(f"url.blocklists: {path}: no file named domains or urls in it")
        if not path.exists():
            raise UserError(f"url.blocklists: {path}: no such file or directory")
        files += inside
    return files


def read_words(path: str | Path) -> list[str]:
    """Lines of a word list, in lower case; # starts a comment. Raises UserError."""
    lines = (line.strip().lower() for line in _read(Path(path)).decode("utf-8", "replace").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def hash_entries(data: bytes) -> Hashes:
    """A hash for each entry in lines of text; blank lines and comments are none."""
    raw = np.frombuffer(data.lower(), np.uint8)
    out = np.empty(data.count(b"\n") + 1, np.uint64)
    return out[: line_hashes.hash_entries(raw, out)]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"url: {path}: cannot be read ({error.strerror})") from None


def warm_up() -> None:
    """Compile the kernel here, so that workers load it."""
    hash_entries(b"a")


def curated(domains: Iterable[str]) -> frozenset[str]:
    """Domains as the rules compare them."""
    return frozenset(domain.lower().removeprefix("www.").strip("./") for domain in domains)
