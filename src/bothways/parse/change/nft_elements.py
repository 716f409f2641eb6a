"""
Elements of a set as a command gives them: ``{ 192.0.2.1 . ssh, 192.0.2.2 . 80 timeout 1h }``.

``nft`` asks the kernel for the types of the set before it reads them. Here each part is read as every type
that it can be of, and whoever has the set picks. Source: nft(8), *Set statement*, *Sets*.
"""

from __future__ import annotations

from collections.abc import Mapping

from bothways.facts.change import WrittenElement
from bothways.facts.nft_expression import Interval, Verdict, Word
from bothways.parse.nft_cursor import Cursor
from bothways.parse.nft_decode import decode, element, verdict
from bothways.parse.nft_phrase import set_elements
from bothways.parse.nft_types import KINDS

__all__ = ["written_elements"]


def written_elements(cursor: Cursor, family: str) -> tuple[WrittenElement, ...]:
    """
    Read elements between braces.

    :raises ValueError: for what is no element of any set.
    """
    return tuple(_written(given, family) for given in set_elements(cursor))


def _written(given: object, family: str) -> WrittenElement:
    key, value = given if isinstance(given, list) and len(given) == 2 else (given, None)  # noqa: PLR2004 (a pair)
    paired = key is not given
    timeout = None
    inner = key.get("elem") if isinstance(key, dict) else None
    if isinstance(inner, dict):
        timeout = element(key, ("string",), (), family).timeout_s
        key = inner.get("val")
    members = key.get("concat") if isinstance(key, dict) else None
    items = members if isinstance(members, list) else [key]
    parts = () if key == "*" else tuple(_readings(item, family) for item in items)
    unread = next((item for item, part in zip(items, parts, strict=False) if not part), None)
    if unread is not None:
        raise ValueError(f"`{unread}` is no value of any type")
    text = " . ".join(map(_shown, items))
    return WrittenElement(text, parts, _data(value, family) if paired else None, timeout)


def _shown(item: object) -> str:
    inner = item.get("prefix") if isinstance(item, dict) else None
    if isinstance(inner, dict):
        return f"{inner.get('addr')}/{inner.get('len')}"
    span = item.get("range") if isinstance(item, dict) else None
    return "-".join(map(str, span)) if isinstance(span, list) else str(item)


def _data(value: object, family: str) -> Mapping[str, Interval | Word | Verdict]:
    said = verdict(value)
    return _readings(value, family) if said is None else {"verdict": said}


def _readings(given: object, family: str) -> dict[str, Interval | Word]:
    found: dict[str, Interval | Word] = {}
    for kind in sorted(KINDS):
        try:
            read = decode(given, (kind,), family)
        except (ValueError, RecursionError):
            continue
        if isinstance(read, Interval | Word):
            found[kind] = read
    return found
