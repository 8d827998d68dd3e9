"""What a page says in JSON-LD, schema.org's vocabulary in scripts: articles, questions and answers, posts, reviews, products.

Types that describe the site, and descriptions that only sum up an article or a page, are left out.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from pipeline.extract.pages.json_markup import as_markup
from pipeline.extract.pages.json_values import read_json

_DEEPEST = 50
"""Values inside one another that are looked into."""

_OF_THE_SITE = frozenset(
    (
        *(
            "website",
            "organization",
            "corporation",
            "newsmediaorganization",
            "educationalorganization",
            "collegeoruniversity",
        ),
        *("brand", "person", "breadcrumblist", "imageobject", "videoobject", "audioobject", "sitenavigationelement"),
        *(
            "searchaction",
            "readaction",
            "wpheader",
            "wpfooter",
            "wpsidebar",
            "offer",
            "aggregateoffer",
            "aggregaterating",
        ),
        *("rating", "contactpoint", "postaladdress", "speakablespecification", "entrypoint"),
    )
)
_SUMMED_UP = frozenset(
    (
        *("webpage", "collectionpage", "itempage", "aboutpage", "contactpage", "profilepage", "faqpage", "qapage"),
        *(
            "medicalwebpage",
            "searchresultspage",
            "article",
            "newsarticle",
            "blogposting",
            "socialmediaposting",
            "techarticle",
        ),
        *("reportagenewsarticle", "scholarlyarticle", "report", "liveblogposting", "discussionforumposting", "blog"),
    )
)
"""Types whose description is a summary."""
_SIGNED = frozenset(("answer", "comment", "discussionforumposting", "question", "review", "userreview"))
"""Types whose author is named before the text."""
_ITEMS = frozenset(("howtodirection", "howtostep", "howtotip", "listitem"))
_BESIDE = frozenset(("comment", "hasPart", "itemListElement", "review", "reviews"))
"""Keys of what stands beside the main text."""
_BODY = ("articleBody", "articlebody", "text", "reviewBody", "description")
_PARTS = (
    *("@graph", "mainEntity", "additionalProperty", "recipeIngredient", "recipeInstructions", "step", "acceptedAnswer"),
    *("suggestedAnswer", "liveBlogUpdate", "hasPart", "itemListElement", "item", "comment", "review", "reviews"),
)
"""Keys that are looked into, in the order of the text."""


def json_ld(scripts: Iterable[bytes], beside: bool) -> Iterator[str]:
    """The entries of JSON-LD scripts, in order: an article, a question, an answer, a post, a product; with `beside` reviews,
    the entries of lists, and comments on articles."""
    for script in scripts:
        yield from _entries(read_json(script.decode(errors="ignore")), "", beside, 0)


def _entries(value: Any, key: str, beside: bool, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        for each in value:
            yield from _entries(each, key, beside, depth + 1)
    elif isinstance(value, str):
        if key == "recipeIngredient":
            yield f"<ul><li>{as_markup(value)}</ul>"
        elif key in ("recipeInstructions", "step"):
            yield f"<div>{as_markup(value)}</div>"
    elif isinstance(value, dict):
        kind = _type(value)
        if kind in _OF_THE_SITE:
            return
        if markup := _own(value, kind):
            yield markup
        for part in _PARTS:
            of_post = part == "comment" and kind == "discussionforumposting"
            instruction = part == "itemListElement" and key in ("recipeInstructions", "step")
            if part in value and (beside or part not in _BESIDE or of_post or instruction):
                yield from _entries(value[part], part, beside, depth + 1)


def _own(node: dict[str, Any], kind: str) -> str:
    """The text of a value itself, without its parts, as markup; "" if it has none."""
    name = _text(node.get("headline")) or _text(node.get("name"))
    if kind == "propertyvalue":
        value = _text(node.get("value"))
        return f"<ul><li>{as_markup(name)}: {as_markup(value)}</ul>" if name and value else ""
    texts = (_text(node.get(key)) for key in _BODY if key != "description" or kind not in _SUMMED_UP)
    bodies = [f"<div>{as_markup(text)}</div>" for text in dict.fromkeys(texts) if text]
    if kind in _ITEMS:
        if not bodies and name:
            bodies = [f"<div>{as_markup(name)}</div>"]
        return f"<ul><li>{''.join(bodies)}</ul>" if bodies else ""
    if not bodies and not (kind == "question" and name):
        return ""
    parts = [f"<h2>{as_markup(name)}</h2>"] if name else []
    author = node.get("author")
    author = author[0] if isinstance(author, list) and author else author
    if kind in _SIGNED and isinstance(author, dict) and (writer := _text(author.get("name"))):
        parts.append(f"<p>{as_markup(writer)}</p>")
    return "".join((*parts, *bodies))


def _type(node: dict[str, Any]) -> str:
    kind = node.get("@type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    return kind.rpartition("/")[2].lower() if isinstance(kind, str) else ""


def _text(value: Any) -> str:
    """A string, or those of a list, each on a line of its own; "" for anything else."""
    if isinstance(value, list):
        value = "\n".join(each for each in value if isinstance(each, str))
    return value.strip() if isinstance(value, str) else ""
