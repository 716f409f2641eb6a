"""
Flows in the normal form of ``ovs-ofctl parse-flow``: one text for all spellings of a flow.

The order of fields is the switch's, defaults are left out, fields without what has to be matched first are
dropped as they are on the wire, and every action is in the words of the first protocol that can say all of
the flow: OpenFlow 1.0 with Nicira's extensions, 1.1 or 1.3. Counters and ages are no part of it. Source:
``ofputil_flow_mod_format`` of ``lib/ofp-flow.c``; ``match_format`` of ``lib/match.c``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from bothways.facts.openflow import Action, Flow
from bothways.parse.openflow_facts import DEFAULT_PRIORITY
from bothways.parse.openflow_written_actions import written_actions
from bothways.parse.openflow_written_match import kept_fields, written_match

__all__ = ["written"]

_FLAGS: Final = ("send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts")
#: what each version brought: 1.1 its instructions and tags, 1.2 and later the rest
_FROM_11: Final = frozenset({"push_vlan"})
_FROM_13: Final = frozenset({"meter", "pop_queue", "encap", "decap", "delete_field"})
_NEW_FLAGS: Final = frozenset({"reset_counts", "no_packet_counts", "no_byte_counts"})
_TAG, _TAG_AND_ID = 0x1000, 0x1FFF
_IN_10: Final = frozenset(
    {
        "in_port", "eth_src", "eth_dst", "eth_type", "vlan_tci", "nw_src", "nw_dst", "ip_proto", "nw_tos",
        "tp_src", "tp_dst", "icmp_type", "icmp_code", "arp_op", "arp_spa", "arp_tpa",
    }
)  # fmt: skip
#: all that OpenFlow 1.1 matches on
_IN_11: Final = _IN_10 | {"mpls_label", "mpls_tc", "metadata"}


def written(flow: Flow) -> str:
    """The flow in its normal form. What could not be read stands as it was printed."""
    fields = kept_fields(flow.match)
    version = _version(flow, fields)
    about = [f"table:{flow.table}"] if flow.table else []
    if _old_untagged(flow, fields, version):
        fields["vlan_tci"] = (0, 0xFFFF)
    match = ",".join(written_match(fields, flow.match))
    priority = "" if flow.priority == DEFAULT_PRIORITY else f"priority={flow.priority}"
    about += [text for text in (",".join(filter(None, (priority, match))),) if text]
    about += [f"cookie:{flow.cookie:#x}"] if flow.cookie else []
    about += [f"idle:{flow.idle_timeout}"] if flow.idle_timeout else []
    about += [f"hard:{flow.hard_timeout}"] if flow.hard_timeout else []
    about += [flag for flag in _FLAGS if flag in flow.flags]
    return " ".join((*about, f"actions={written_actions(flow.actions, version)}"))


def _old_untagged(flow: Flow, fields: dict[str, tuple[int, int]], version: int) -> bool:
    """True for ``vlan_vid`` without the bit of a tag, which OpenFlow 1.0 can say as "no tag" only."""
    tci = fields.get("vlan_tci", (0, 0))
    return (
        tci[1] == _TAG_AND_ID
        and not tci[0] & _TAG
        and not version
        and fields.keys() <= _IN_10
        and any(term.text.startswith("vlan_vid=") for term in flow.match)
    )


def _version(flow: Flow, fields: dict[str, tuple[int, int]]) -> int:
    """The minor number of the first OpenFlow version that can say it."""
    names = set(_names(flow.actions))
    if names & _FROM_13 or flow.flags & _NEW_FLAGS:
        return 3
    tci = fields.get("vlan_tci", (0, 0))
    tagged = bool(tci[0] & tci[1] & _TAG)
    if not names & _FROM_11 and (tagged or not _tags_only(flow.actions)):
        return 0
    odd = tci[1] not in (0, _TAG_AND_ID, 0xE000, 0xF000, 0xFFFF) or (tci[1] == _TAG_AND_ID and not tagged)
    return 1 if fields.keys() <= _IN_11 and not odd else 3


def _tags_only(actions: Iterable[Action]) -> bool:
    """True for the actions of 1.1 that write a tag and never add one."""
    return any(a.name in ("set_vlan_vid", "set_vlan_pcp") and not a.args.get("push", True) for a in actions)


def _names(actions: Iterable[Action]) -> Iterator[str]:
    for action in actions:
        yield action.name
        for key in ("actions", "exec"):
            inner = action.args.get(key)
            if isinstance(inner, tuple):
                yield from _names(inner)
