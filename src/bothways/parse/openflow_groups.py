"""
``ovs-ofctl dump-groups``: groups with their buckets; also as ``ovs-ofctl add-group`` takes them.

A row is ``group_id=N,type=KIND,…`` and then one ``bucket=`` after the other, each with its own facts
(``bucket_id:``, ``weight:``, ``watch_port:``, ``watch_group:``) before ``actions=``. Source: ovs-ofctl(8),
section Group Syntax.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from bothways.facts.openflow import Bucket, Group
from bothways.facts.parsed import Parsed
from bothways.facts.span import Kind, Problem, Span
from bothways.parse.openflow_actions import ActionReader
from bothways.parse.openflow_fields import FIELDS, field_named
from bothways.parse.openflow_lex import Piece, assigned, cut, keyed
from bothways.parse.openflow_values import FORMS, number, port_number, unquoted
from bothways.parse.reading import Reading, is_prompt, lines, quoted

__all__ = ["parse_groups", "read_group", "with_ports"]

_HEADER: Final = re.compile(r"\s*(?:NXST|OFPST)\w*[ _]")
_ROW: Final = re.compile(r"\s*(?:add |modify |insert_bucket )?\s*group_id=")
_BUCKET: Final = re.compile(r"bucket\s*[=:]?")
#: a switch hashes twelve bits of the ID and the one that says that there is a tag
_ID_AND_PRESENCE: Final = 0x1FFF
#: fields that the packets of one protocol have
_OF_ONE_PROTOCOL: Final = re.compile(r"(?:tcp|udp|sctp)_(?:src|dst)")
#: spelling of ``ovs-ofctl`` -> kind
_KINDS: Final[Mapping[str, str]] = {
    "all": "all", "select": "select", "indirect": "indirect", "ff": "fast_failover",
    "fast_failover": "fast_failover",
}  # fmt: skip
_NOBODY: Final = frozenset({"any", "none", "4294967295", "65535", "0xffff", "0xffffffff"})
_WITHOUT_MEANING: Final = frozenset(
    {"command_bucket_id", "ref_count", "duration", "packet_count", "byte_count"}
)


def parse_groups(text: str, *, file: str, read_at: float | None = None) -> Parsed[Group]:
    """Read ``ovs-ofctl dump-groups``; replies' headers and blank lines are irrelevant."""
    reading: Reading[Group] = Reading()
    for line in lines(text, file=file, read_at=read_at):
        if not line.text.strip() or is_prompt(line.text) or _HEADER.match(line.text):
            reading.skip()
        elif _ROW.match(line.text):
            group, problems = read_group(line)
            reading.problems += problems
            if group is not None:
                reading.rows.append(group)
        else:
            reading.malformed(
                line, f"not a group: {quoted(line.text)}", "expected a row of `ovs-ofctl dump-groups`"
            )
    return reading.done()


def read_group(line: Span) -> tuple[Group | None, list[Problem]]:
    """
    Read one row.

    :return: the group, None if its number or type cannot be read; and everything that could not be read.
    """
    start = line.text.find("group_id=")
    pieces = cut(line.text[max(start, 0) :], max(start, 0) + 1)
    at = [index for index, piece in enumerate(pieces) if assigned(piece.text)[0] == "bucket"]
    head = pieces[: at[0]] if at else pieces
    reader = ActionReader(line)
    about: dict[str, str] = {}
    fields: list[tuple[str, int | None]] = []
    unread: list[str] = []
    in_fields = False
    for piece in head:
        name, equals, value = assigned(piece.text)
        if name.startswith("fields"):
            in_fields = True
            inner = keyed(piece)[1]
            found = _fields("" if inner is None else inner.text)
        elif in_fields and name not in _ABOUT:
            found = _fields(piece.text)
        else:
            in_fields = in_fields and name not in _ABOUT
            if name in _ABOUT and equals:
                about[name] = value
            elif name not in _WITHOUT_MEANING:
                unread.append(piece.text)
            continue
        if found is None:
            unread.append(piece.text)
        else:
            fields += found
    buckets: list[Bucket] = []
    for index, first in enumerate(at):
        last = at[index + 1] if index + 1 < len(at) else len(pieces)
        bucket, odd = _bucket(line, pieces[first:last], reader)
        buckets.append(bucket)
        unread += odd
    problems = list(reader.problems)
    problems += [
        Problem(Kind.UNMODELLED, line, f"{quoted(text)} of a group is not modelled") for text in unread
    ]
    kind = _KINDS.get(about.get("type", "").lower())
    try:
        identity, parameter = (
            number(about.get("group_id", "")),
            number(about.get("selection_method_param", "0")),
        )
    except ValueError:
        kind = None
        identity = parameter = 0
    if kind is None:
        message = f"cannot read the group {quoted(line.text)}"
        return None, [
            Problem(Kind.MALFORMED, line, message, "expected group_id=N,type=all|select|indirect|ff")
        ]
    method = about.get("selection_method") or None
    return Group(
        identity, kind, tuple(buckets), line, method, parameter, tuple(fields), tuple(unread)
    ), problems


_ABOUT: Final = frozenset({"group_id", "type", "selection_method", "selection_method_param"})


def _fields(text: str) -> list[tuple[str, int | None]] | None:
    """Fields that are hashed, with the bits that count; None if one is not known."""
    found: list[tuple[str, int | None]] = []
    for piece in cut(text, 1):
        name, equals, value = assigned(piece.text)
        known = field_named(name)
        if known is None:
            return None
        try:
            mask = FORMS[known.form].decode(value, known.width)[0] if equals else None
        except ValueError:
            return None
        if known.form == "vid" and mask is None:
            mask = _ID_AND_PRESENCE
        elif known.width < FIELDS[known.name].width:
            mask = ((1 << known.width) - 1 if mask is None else mask) << known.shift
        found.append((name if _OF_ONE_PROTOCOL.fullmatch(name) else known.name, mask))
    return found


def _bucket(line: Span, pieces: Sequence[Piece], reader: ActionReader) -> tuple[Bucket, list[str]]:
    """One bucket; its first piece begins with ``bucket=``."""
    first = pieces[0]
    word = _BUCKET.match(first.text)
    offset = 0 if word is None else word.end()
    inside = [Piece(first.text[offset:], first.column + offset), *pieces[1:]]
    end = pieces[-1].column - 1 + len(pieces[-1].text)
    about: dict[str, str] = {}
    start = len(line.text)
    for piece in inside:
        name, given, value = assigned(piece.text)
        if name in ("actions", "action") and given:
            start = piece.column - 1 + len(piece.text) - len(piece.text[len(name) + 1 :])
            break
        if name not in _OF_BUCKET:
            start = piece.column - 1
            break
        about[name] = value
    text = line.text[start:end]
    lead = len(text) - len(text.lstrip())
    actions = reader.actions(text[lead:], start + lead + 1)
    unread = [f"{name}:{value}" for name, value in about.items() if not _readable(name, value)]
    watched = about.get("watch_port", "any")
    port = None if watched.lower() in _NOBODY else port_number(watched)
    named = None if watched.lower() in _NOBODY or port is not None else unquoted(watched)
    bucket = Bucket(
        tuple(action for action in actions if action.name != "drop"),
        line.text[first.column - 1 : end],
        first.column,
        _number(about.get("weight")),
        port,
        named,
        _watched_group(about.get("watch_group")),
        _number(about.get("bucket_id")),
    )
    return bucket, unread


_OF_BUCKET: Final = frozenset({"bucket_id", "weight", "watch_port", "watch_group"})


def _readable(name: str, value: str) -> bool:
    if name == "watch_port" or value.lower() in _NOBODY:
        return True
    return _number(value) is not None


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else number(text)
    except ValueError:
        return None


def _watched_group(text: str | None) -> int | None:
    return None if text is None or text.lower() in _NOBODY else _number(text)


def with_ports(group: Group, numbers: Mapping[str, int]) -> Group:
    """The group with the numbers of ports that its buckets watch by name."""
    buckets = tuple(
        replace(bucket, watch_port=numbers.get(bucket.watch_port_name))
        if bucket.watch_port is None and bucket.watch_port_name is not None
        else bucket
        for bucket in group.buckets
    )
    return replace(group, buckets=buckets)
