"""One loose file: a capture, a dump or a pasted terminal, told by its content."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Final

from bothways.bundle.item import Item
from bothways.bundle.place import Place
from bothways.parse.piece import Piece
from bothways.parse.text_json import json_kind
from bothways.parse.transcript import cut_transcript

__all__ = ["is_capture", "read_items"]

#: First bytes of captures: pcap in both byte orders and units, pcapng.
_MAGICS: Final = (
    b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x0a\x0d\x0d\x0a",
)  # fmt: skip
_GZIP: Final = b"\x1f\x8b"
_CAPTURE_NAME: Final = re.compile(r"\.(?:pcap|cap|pcapng|dmp)(?:\d{0,4})(?:\.gz)?\Z")


#: `ip link` looks like `ip addr` of a machine without addresses; it does not say that there are none.
_INET: Final = re.compile(r"(?m)(?:^|\s)inet6?\s")
_XML: Final = ('<?xml version="1.0" encoding="utf-8"?>\n<conntrack>', "<conntrack>")
_EVENT: Final = re.compile(r"<flow type=")
#: The tracer's first line, or the first of those that may stand before it.
_KERNEL_TRACE: Final = re.compile(
    r'\s*\{"type": ?"(?:start|ready|event|lost|problem|clock|stop)"'
    r'.{0,200}?"(?:host|schema|text|seconds|lost)":'
)
#: Name of a file -> what it would hold; an empty one shows that there was nothing.
_EMPTY: Final = {
    "iptables-save": "iptables",
    "ip6tables-save": "ip6tables",
    "conntrack": "conntrack",
    "ss": "ss",
    "nft": "nft",
    "route": "route",
    "neigh": "neigh",
}


def is_capture(file: str, data: bytes) -> bool:
    """Whether a file is a binary capture; a damaged one is told by its name."""
    return data.startswith(_MAGICS) or (
        _CAPTURE_NAME.search(file.lower()) is not None
        and (data.startswith(_GZIP) or b"\0" in data or not data)
    )


def read_items(file: str, data: bytes) -> Iterator[Item]:
    """
    The evidence in one file, with the places that its text tells.

    A text of one format without a command is one dump, whole; any other is cut into pieces.
    """
    if is_capture(file, data):
        yield Item(file, "pcap", Place(), data=data)
        return
    text = data.decode(errors="replace").removeprefix("\ufeff")
    if _KERNEL_TRACE.match(text) is not None:
        yield Item(file, "kernel-trace", Place(), text)
        return
    kind = json_kind(text)
    if kind is not None:
        yield Item(file, kind, Place(), text, json=True)
        return
    if text.lstrip().startswith(_XML):
        kind = "conntrack-events-xml" if _EVENT.search(text) else "conntrack-xml"
        yield Item(file, kind, Place(), text)
        return
    if not text.strip():
        name = PurePath(file).name.partition(".")[0].lower()
        if name in _EMPTY:
            yield Item(file, _EMPTY[name], Place(), text)
        return
    pieces = cut_transcript(text)
    kinds = {piece.kind for piece in pieces}
    if len(kinds) == 1 and all(piece.command is None for piece in pieces):
        kind = kinds.pop()
        if kind == "addr" and _INET.search(text) is None:
            kind = "link"
        yield Item(file, kind, Place(), text)
        return
    total = text.count("\n") + 1
    for piece in pieces:
        yield _item(file, piece, total)


def _item(file: str, piece: Piece, total: int) -> Item:
    output = None if piece.command is None else piece.command.output
    device = None
    told = None
    if output is not None:
        device = output.bridge or output.device or None
        told = output.filter
    if piece.kind == "tcpdump":
        device = device or piece.listening or None
        # What a pipe took away cannot be said in a filter's words.
        told = told if piece.view is None else None
    return Item(
        file,
        piece.kind,
        Place(piece.host, piece.netns, device),
        piece.text(total),
        piece=piece,
        filter=told,
        view=output.wrote if output is not None and piece.kind == "wrote" else piece.view,
        json=piece.json,
        section=piece.section,
    )
