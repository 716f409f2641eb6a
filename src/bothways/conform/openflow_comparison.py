"""
What the switch and the model say of one traced packet, held against each other.

Three things are compared: the copies that go out (``outputs``: ports and all fields of each copy, in any
order, since a flood has none), the packet at the end of each translation (``final flow``), and the look-ups
(``tables``: table and priority of the flow that was hit). Identifiers of recirculations are left aside, and
so are fields that the switch uses inside one translation only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bothways.conform.openflow_case import Setting, Told, TraceCase
from bothways.conform.openflow_datapath import Sent, follow
from bothways.conform.openflow_packet import read_packet
from bothways.conform.openflow_walk import ModelCopy, Walked
from bothways.model.openflow.field import KNOWN, Bits
from bothways.model.openflow.options import is_option
from bothways.parse.ovs_tlv_map import parse_tlv_map

__all__ = ["FIELDS", "TraceDifference", "compare_trace", "told_fields"]

#: names of what is compared
FIELDS: Final = ("final flow", "outputs", "tables")
#: what has no meaning behind one translation; which priority a queue has is up to the datapath
_ALWAYS_SHOWN: Final = frozenset({"tun_id", "tun_dst", "tun_ipv6_dst"})
_INSIDE: Final = frozenset(
    {"recirc_id", "actset_output", "conj_id", "dp_hash", "packet_type", "skb_priority"}
)
#: bits of a field that a ``Packet`` has a place for, where those are not all
_HELD: Final[Mapping[str, int]] = {"tcp_flags": 0xFF}
_PRIORITY: Final = re.compile(r"\bpriority=(\d+)")
#: not shown of a fragment that is not the first
_OF_ICMP: Final = frozenset({"icmp_type", "icmp_code"})
_LATER: Final = 2
_TABLE: Final = re.compile(r"(\d+)\. (?:.*\bpriority (\d+)|.*)")


@dataclass(frozen=True, slots=True)
class TraceDifference:
    """
    One thing on which the two disagree.

    :param field: a name of ``FIELDS``.
    :param switch: what the switch said, in words; *model* likewise.
    """

    field: str
    switch: str
    model: str


def compare_trace(case: TraceCase, walked: Walked, size: int | None = None) -> TraceDifference | None:
    """
    Return the first thing on which they differ.

    :raises NotFollowedError: if the switch did what is not followed.
    """
    met = list(_met(case, size))
    different = _copies(case, walked, met) or _finals(case, walked, met)
    if different is not None or size is not None:
        return different  # where the size decides, the switch looks up the tables of both branches
    return _tables(case, walked)


#: a translation, and the copies of it
_Met = tuple[Told, Sequence[Sent]]


def _met(case: TraceCase, size: int | None) -> Iterator[_Met]:
    """The translations that a packet of this size gets: a trace shows what comes back from both branches."""
    waiting: list[tuple[int, bool]] = []
    tags = 0
    for number, told in enumerate(case.told):
        fields = told_fields(case, told)
        tags = tags if number else _tags(fields)
        length = None if size is None else size + _tags(fields) - tags
        sent, forks = follow(told.actions, fields, length, _options(case))
        back = fields.get("recirc_id")
        at = next((place for place, (fork, _) in enumerate(waiting) if fork == back), None)
        meets = number == 0 or at is None or waiting.pop(at)[1]
        waiting += [(int(fork, 16), meets and reached) for fork, reached in forks]
        if meets:
            yield told, sent


def _options(case: TraceCase) -> dict[tuple[int, int], str]:
    """Class and type of options of Geneve -> the field that the first bridge has for it."""
    rows = parse_tlv_map(case.setting.bridges[case.start].tlv_map, file="").rows
    return {(row.option_class, row.type): row.field for row in rows}


def _tags(fields: Mapping[str, int]) -> int:
    """Bytes that VLAN tags take: a packet that comes back is longer by those that were pushed before."""
    return 4 * sum(fields.get(name, 0) >> 12 & 1 for name in ("vlan_tci", "vlan_tci1"))


def told_fields(case: TraceCase, told: Told) -> Mapping[str, int]:
    """The fields of the packet that a translation began with."""
    names = _port_names(case.setting, case.start)
    return {} if told.flow is None else read_packet(told.flow, names).fields


def _port_names(setting: Setting, bridge: str) -> dict[str, int]:
    return {
        str(row["name"]): row["ofport"]
        for row in setting.bridges[bridge].ports
        if isinstance(row.get("ofport"), int)
    }


# -- the packet at the end -----------------------------------------------------------------------------


def _finals(case: TraceCase, walked: Walked, met: Sequence[_Met]) -> TraceDifference | None:
    if len(walked.finals) != len(met):
        return TraceDifference("final flow", f"{len(met)} translations", f"{len(walked.finals)} translations")
    names = _port_names(case.setting, case.start)
    for number, ((told, _), final) in enumerate(zip(met, walked.finals, strict=True)):
        text = told.flow if told.final is None else told.final
        if text is None:
            continue
        expected = read_packet(text, names)
        differing = list(_different(expected.fields, final))
        if differing:
            which = "" if len(case.told) == 1 else f" of translation {number}"
            theirs = ", ".join(f"{name}={expected.fields.get(name, 0):#x}" for name in differing)
            ours = ", ".join(_shown(name, final) for name in differing)
            return TraceDifference("final flow", theirs + which, ours + which)
    return None


def _different(expected: Mapping[str, int], final: Mapping[str, Bits]) -> Iterator[str]:
    # Without an outer destination a switch shows nothing of a tunnel but its key.
    outside = bool(expected.get("tun_dst") or expected.get("tun_ipv6_dst"))
    for name in sorted(expected.keys() | final.keys()):
        if name in _INSIDE or (name.startswith("tun_") and not outside and name not in _ALWAYS_SHOWN):
            continue
        if name not in expected and (name.startswith("nd_") or (name == "tun_id" and outside)):
            continue  # the one if type and code are no longer those of a neighbour, the other without a key
        if name in _OF_ICMP and name not in expected and expected.get("nw_frag", 0) & _LATER:
            continue
        value, known = final.get(name, (0, -1))
        wanted = expected.get(name, 0)
        if name == "in_port":
            wanted &= 0xFFFF
        if (value ^ wanted) & known or (wanted and not known):
            yield name


def _shown(name: str, final: Mapping[str, Bits]) -> str:
    value, known = final.get(name, (0, 0))
    return f"{name}={value & known:#x}" if known else f"{name} not known"


# -- the copies ----------------------------------------------------------------------------------------


def _copies(case: TraceCase, walked: Walked, met: Sequence[_Met]) -> TraceDifference | None:
    theirs = [sent for _, copies in met for sent in copies]
    left = list(theirs)
    extra: list[ModelCopy] = []
    for copy in walked.copies:
        found = next((sent for sent in left if _same(case.setting, sent, copy)), None)
        if found is None:
            extra.append(copy)
        else:
            left.remove(found)
    if not left and not extra:
        return None
    return TraceDifference(
        "outputs",
        _sent_words(case.setting, theirs, [_of_datapath(case, sent) for sent in left]),
        _copy_words(walked.copies, extra, left),
    )


def _number(setting: Setting, copy: ModelCopy) -> str:
    """The datapath's number of a copy's port."""
    if not setting.datapath:
        return str(copy.port)
    return setting.datapath.get((copy.bridge, copy.port), f"{copy.bridge}:{copy.port}")


def _same(setting: Setting, sent: Sent, copy: ModelCopy) -> bool:
    if _number(setting, copy) != sent.port:
        return False
    return not _apart(sent, copy)


def _of_datapath(case: TraceCase, sent: Sent) -> str:
    for (bridge, port), number in case.setting.datapath.items():
        if number == sent.port:
            return str(port) if bridge == case.start else f"{bridge}:{port}"
    return sent.port


def _sent_words(setting: Setting, theirs: Sequence[Sent], missed: Sequence[str]) -> str:
    del setting
    if missed:
        return f"{len(theirs)} copies, of which the model lacks those to port {', '.join(missed)}"
    return f"{len(theirs)} copies"


def _copy_words(ours: Sequence[ModelCopy], extra: Sequence[ModelCopy], left: Sequence[Sent]) -> str:
    if not extra:
        return f"{len(ours)} copies"
    words = [str(copy.port) for copy in extra]
    text = f"{len(ours)} copies, of which the switch does not send those to port {', '.join(words)}"
    for copy in extra:
        near = min(left, key=lambda sent: len(_apart(sent, copy)), default=None)
        if near is not None and len(left) == len(extra):
            text += f"; port {copy.port}: {', '.join(_apart(near, copy)[:4]) or 'another port'}"
    return text


def _apart(sent: Sent, copy: ModelCopy) -> list[str]:
    """The fields in which two copies differ, but those of a neighbour that a switch no longer shows."""
    ours = copy.fields
    if "tun_id" in ours:  # out of a tunnel, where an option that the model does not send is one too many
        ours = {name: (0, KNOWN) for name in sent.fields if is_option(name)} | dict(ours)
    return [
        f"{name} {value & known:#x} for {sent.fields.get(name, 0):#x}"
        for name, (value, known) in ours.items()
        if (value ^ sent.fields.get(name, 0)) & known & _HELD.get(name, -1)
        and (name in sent.fields or not (name.startswith("nd_") or name in _OF_ICMP))
    ]


# -- the look-ups --------------------------------------------------------------------------------------


def _tables(case: TraceCase, walked: Walked) -> TraceDifference | None:
    if case.tables is None:
        return None
    theirs = [row for text in case.tables if (row := _looked_up(text)) not in _of_underlay(case.setting)]
    ours = [(table, None if flow is None else flow.priority) for _, table, flow in walked.visited]
    # A flood has no order, and behind a patch port it looks up tables in that order.
    if ours == theirs or (len(case.setting.bridges) > 1 and Counter(ours) == Counter(theirs)):
        return None
    at = next(
        (i for i, (one, other) in enumerate(zip(theirs, ours, strict=False)) if one != other),
        min(len(theirs), len(ours)),
    )
    return TraceDifference("tables", _words(theirs, at), _words(ours, at))


def _of_underlay(setting: Setting) -> set[tuple[int, int | None]]:
    """The look-ups of bridges that carry tunnels: what is pushed around a packet has been compared before."""
    flows = [text for record in setting.bridges.values() if record.address for text in record.flows]
    return {(0, int(number)) for text in flows for number in _PRIORITY.findall(text)}


def _looked_up(text: str) -> tuple[int, int | None]:
    found = _TABLE.match(text)
    if found is None:
        return -1, None
    return int(found[1]), None if found[2] is None else int(found[2])


def _words(looked_up: Sequence[tuple[int, int | None]], at: int) -> str:
    if at >= len(looked_up):
        return f"ends after {len(looked_up)} look-ups"
    table, priority = looked_up[at]
    hit = "no match" if priority is None else f"priority {priority}"
    return f"look-up {at} in table {table}: {hit}"
