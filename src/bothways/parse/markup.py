"""
What a ticket, a chat or a mail puts around a line of a terminal: tags, fences, quotes, list signs, remarks.

A line is cleaned in place: what is taken away becomes blanks, so that columns stay what they are in the file.
Only an HTML entity (``&gt;``) makes what follows move.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["fence", "is_remark", "plain", "without_tags"]

#: Tags that people and their tools write; a device's ``<UP,LOWER_UP>`` is none.
_TAG: Final = re.compile(
    r"</?(?:br|p|pre|code|b|i|u|em|tt|strong|span|div|font|li|ul|ol|td|tr|th|table|blockquote|kbd|samp"
    r"|details|summary)"
    r"(?:\s[^<>]{0,200})?/?>"
)
_ENTITY: Final = re.compile(r"&(?:gt|lt|amp|quot|nbsp|apos|#(?:x[0-9a-fA-F]{1,4}|\d{1,5}));")
_ENTITIES: Final = {
    "&gt;": ">", "&lt;": "<", "&amp;": "&", "&quot;": '"', "&nbsp;": " ", "&apos;": "'",
}  # fmt: skip
#: A mail's quote signs, a list's sign, a backtick, a chat's clock and nick; each is followed by a blank.
_LEADING: Final = re.compile(
    r"\s*(?:"
    r"(?:>\s?)+(?=\S)|[-*+•]\s+|\d{1,3}[.)]\s+|`+(?=\S)"
    r"|\[?\d{1,2}:\d\d(?::\d\d)?(?:\s?[AP]M)?\]?\s*<[\w.\-|@+ ]{1,40}>\s+"
    r"|\[\d{1,2}:\d\d(?::\d\d)?(?:\s?[AP]M)?(?:,[^\]]{1,30})?\]\s+(?:[\w.\-]{1,40}:\s+)?"
    r"|<[@+]?[\w.\-|]{1,40}>\s+(?=\S)"
    r")"
)
#: ``<-- the RST``, ``<=== here``, ``← here``, ``// here``: what an author points with.
_ARROW: Final = re.compile(r"\s+(?:<-{1,10}|<={1,10}|←|⟵|⬅|//|#{2,}|\^{3,})(?:\s.*)?\Z")
_REMARK: Final = re.compile(
    r"\s*(?:<-{2,}|<={2,}|\^{2,}|←|//|…|\.{3}|\[\.{3}\]|\[?snip|[~-]{2,}\s*snip)", re.IGNORECASE
)
_FENCE: Final = re.compile(r"\s{0,40}(?:>\s?){0,5}(`{3,}|~{3,})")
_TRACKER_FENCE: Final = re.compile(
    r"\s*(?:\{(?:noformat|code)(?::[^}]{0,80})?\}|\[/?code(?:=\w{1,20})?\])\s*\Z"
)
_CODE_TAG: Final = re.compile(
    r"\s*</?(?:pre|code|blockquote)(?:\s[^<>]{0,200})?>(?:\s*</?(?:pre|code)(?:\s[^<>]{0,200})?>)?\s*\Z"
)
#: Longer lines were not typed, and are left as they are.
_LONGEST: Final = 8000
_INVISIBLE: Final = str.maketrans(
    dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00a0\u2007\u202f\u3000", " ")
)


def fence(line: str) -> str | None:
    """The sign of a line that opens or closes a block of code, None if it is no such line."""
    found = _FENCE.match(line)
    if found is not None:
        return found[1][:3]
    return "<>" if _CODE_TAG.match(line) or _TRACKER_FENCE.match(line) else None


def is_remark(line: str) -> bool:
    """True if a line only points at the one above it, or says that lines were left out."""
    return not line.strip() or _REMARK.match(line) is not None


def without_tags(line: str) -> str:
    """A line of prose without tags, as a title."""
    return _ENTITY.sub(_character, _TAG.sub(_blank, line))


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])


def _character(found: re.Match[str]) -> str:
    name = found[0]
    if not name.startswith("&#"):
        return _ENTITIES[name]
    code = int(name[3:-1], 16) if name[2] in "xX" else int(name[2:-1])
    letter = chr(code)
    # A surrogate, a line end or a NUL would be no part of a line.
    return letter if letter.isprintable() else " "


def plain(line: str) -> str:
    """
    One line as the terminal printed it, with blanks where markup and trailing remarks stood.

    Letters that these tools do not print (outside ASCII) begin a remark, unless they stand in quotes.
    """
    text = line.translate(_INVISIBLE)
    if len(text) > _LONGEST:
        return text.rstrip()
    text = _TAG.sub(_blank, text)
    if "&" in text:
        text = _ENTITY.sub(_character, text)
    for _ in range(3):
        lead = _LEADING.match(text)
        if lead is None:
            break
        text = " " * lead.end() + text[lead.end() :]
    text = _without_remark(text)
    text = _ARROW.sub("", text)
    stripped = text.rstrip()
    if stripped.endswith("`") and stripped.count("`") % 2:
        stripped = stripped[:-1]
    return stripped.rstrip()


def _without_remark(text: str) -> str:
    """The text before its first letter outside ASCII, and before that one's parenthesis; quotes protect."""
    if text.isascii():
        return text
    at = next(n for n, letter in enumerate(text) if not letter.isascii())
    if text.count('"', 0, at) % 2 or not text[:at].strip():
        return text
    head = text[:at].rstrip()
    opened = head.rfind("(")
    # `… goto_table:50 (NAT is done here …`: the parenthesis belongs to the remark.
    if opened > 0 and head[opened - 1].isspace() and ")" not in head[opened:]:
        head = head[:opened]
    return head
