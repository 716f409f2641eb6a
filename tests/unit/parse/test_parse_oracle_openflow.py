"""Thousands of flows of other projects: what ovs-ofctl makes of each is what bothways makes of it."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from parse_samples import assert_spans

from bothways.facts.openflow import Action, Flow, Term
from bothways.facts.span import Kind
from bothways.parse.openflow import parse_flows
from bothways.parse.openflow_fields import FIELDS

pytestmark = pytest.mark.shared

ORACLE = Path(__file__).resolve().parents[4] / "shared" / "oracles" / "openflow" / "flows.jsonl.gz"

#: bits of every field, as the normalised name holds them
WIDTH = {field.name: 0 for field in FIELDS.values()}
for _field in FIELDS.values():
    WIDTH[_field.name] = max(WIDTH[_field.name], _field.width + _field.shift)
WIDTH["in_port"] = 16

#: a double or fourfold register: so many 32-bit ones, the upper bits first
REGISTER = re.compile(r"(?P<wide>x+)reg(?P<number>\d+)")
IP = frozenset({"ip_proto", "nw_tos", "nw_ttl", "nw_frag"})
TRANSPORT = frozenset({"tp_src", "tp_dst", "icmp_type", "icmp_code", "tcp_flags", "ct_tp_src", "ct_tp_dst"})


def rows(path: Path = ORACLE) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines)


def dumped(canonical: str) -> str:
    """The canonical form is that of flow modifications: say its header as dumps do."""
    head, actions, rest = canonical.rpartition("actions=")
    head = re.sub(r"\b(table|cookie|importance):", r"\1=", head)
    head = re.sub(r"\b(idle|hard):", r"\1_timeout=", head)
    return head + actions + rest


def match(terms: Iterable[Term]) -> dict[str, tuple[int, int]]:
    """
    Every field with its mask and value, as a switch keeps them.

    A switch forgets a field without what has to be matched first, and has 32-bit registers only.
    """
    fields: dict[str, tuple[int, int]] = {}
    for term in terms:
        assert term.value is not None
        mask = (1 << WIDTH.get(term.field, 32)) - 1 if term.mask is None else term.mask
        parts = [(term.field, mask, term.value & mask)]
        wide = REGISTER.fullmatch(term.field)
        if wide is not None:
            words = 2 ** len(wide["wide"])
            shifts = [(words - 1 - place) * 32 for place in range(words)]
            first = words * int(wide["number"])
            parts = [
                (f"reg{first + place}", mask >> shift & 0xFFFFFFFF, term.value >> shift & 0xFFFFFFFF)
                for place, shift in enumerate(shifts)
            ]
        for name, bits, value in parts:
            old = fields.get(name, (0, 0))
            fields[name] = (old[0] | bits, old[1] | value)
    ether = fields.get("eth_type", (0, 0))[1]
    lost = {name for name, (mask, _) in fields.items() if not mask}
    lost |= {"nw_src", "nw_dst"} if ether != 0x800 else set()
    lost |= IP if ether not in (0x800, 0x86DD) else set()
    lost |= TRANSPORT if "ip_proto" not in fields else {"ct_tp_src", "ct_tp_dst"}
    return {name: value for name, value in fields.items() if name not in lost}


def steps(actions: Iterable[Action]) -> list[tuple[object, ...]]:
    """
    Actions as OpenFlow 1.0 with Nicira's extensions has them.

    There ``goto_table`` is a resubmit, ``set_field`` a load, and neighbouring loads of one field are one.
    """
    done: list[tuple[object, ...]] = []
    for action in actions:
        step = _step(action)
        last = done[-1] if done else ()
        if step[0] == "write" and last and last[0] == "write" and step[1] == last[1]:
            done[-1] = ("write", step[1], _int(last[2]) | _int(step[2]), _int(last[3]) | _int(step[3]))
        else:
            done.append(step)
    return done


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value


def _step(action: Action) -> tuple[object, ...]:
    args = dict(action.args)
    name = action.name
    if name == "goto_table":
        return "resubmit", None, args["table"], False
    if name == "resubmit":
        return name, args.get("port") or args.get("port_name"), args["table"], args["ct"]
    if name in ("set_field", "load"):
        field = str(args["field"])
        if name == "load":
            low, width = _int(args["low"]), _int(args["high"]) - _int(args["low"]) + 1
            mask, value = ((1 << width) - 1) << low, _int(args["value"]) << low
        else:
            mask = (1 << WIDTH[field]) - 1 if args["mask"] is None else _int(args["mask"])
            value = _int(args["value"])
        if field == "vlan_tci" and mask == 0x1FFF:
            return "set_vlan_vid", value & 0xFFF
        if field == "vlan_tci" and mask == 0xF000:
            return "set_vlan_pcp", value >> 13 & 7
        return "write", field, mask, value
    if name in ("set_vlan_vid", "set_vlan_pcp"):
        return name, args.get("vid", args.get("pcp"))
    if name in ("note", "sample", "fin_timeout"):
        return (name,)  # ovs-ofctl fills in what is left out
    if name == "learn":
        return name, args["table"], args["priority"], len(args["specs"])  # type: ignore[arg-type] # a tuple
    for inner in ("actions", "exec"):
        if inner in args:
            args[inner] = steps(args[inner])  # type: ignore[arg-type] # a tuple of actions
    return name, *sorted((key, repr(value)) for key, value in args.items())


def lossy(flow: str, canonical: str) -> object:
    """Whether the canonical form lost something: it is of OpenFlow 1.0 where the flow is not."""
    return (
        "write_actions" in flow
        or "clear_actions" in flow
        or "vlan_vid=" in flow  # a match on VLANs with bit 0x1000 clear is another one there
        or "->vlan_tci" in flow  # written as VLAN and priority there
        or "/ff:" in flow.partition("actions")[2]  # masks of MACs are lost
        or ("ip," in flow and "udp6" in flow)  # contradicts itself
        or "tun_erspan_hwid" in canonical  # the mask is lost
        or re.search(r"tun_metadata\d+=\w+/", flow)  # a mask of all bits of the option is not printed
        or ("actions=drop" in canonical and "actions=drop" not in flow)
    )


def test_a_flow_and_its_canonical_form_are_read_as_the_same_match_and_actions() -> None:
    outcome: Counter[str] = Counter()
    differ = []
    for row in rows():
        flow, canonical = row["flow"], row.get("canonical", "")
        if not canonical or lossy(flow, canonical):
            outcome["no form to compare with"] += 1
            continue
        ours, theirs = parse_flows(flow, file="f"), parse_flows(dumped(canonical), file="f")
        if ours.problems or theirs.problems:
            outcome["not modelled"] += 1
            continue
        one, other = ours.rows[0], theirs.rows[0]
        same = _key(one) == _key(other)
        outcome["same" if same else "differ"] += 1
        if not same:
            differ.append((flow, canonical))

    assert differ == []
    assert outcome["same"] > 3880
    assert outcome["not modelled"] < 280
    assert outcome["no form to compare with"] < 280


def _key(flow: Flow) -> tuple[object, ...]:
    return flow.table, flow.priority, flow.cookie, match(flow.match), steps(flow.actions)


def test_every_flow_is_a_row_and_next_to_none_is_malformed() -> None:
    malformed = []
    for row in rows():
        parsed = parse_flows(row["flow"], file="f")
        assert len(parsed.rows) == 1
        assert_spans(parsed, row["flow"], file="f")
        malformed += [problem.message for problem in parsed.problems if problem.kind is Kind.MALFORMED]

    # Cut out of a test that hides what varies.
    assert malformed == ["cannot read `duration=?s`", "cannot read `idle_age=?`"]


#: what a flow of the corpus may leave unread: tunnel options, MPLS, NSH and some rare actions
OPEN = re.compile(
    r"tun_metadata|tunnel option|mpls|encap|decap|check_pkt_larger|multipath|bundle|debug_|unroll_xlate"
    r"|delete_field|dec_nsh|pop_pbb|is not known"
)


def test_what_is_not_modelled_is_what_is_known_to_be_open() -> None:
    other = {
        problem.message
        for row in rows()
        for problem in parse_flows(row["flow"], file="f").problems
        if problem.kind is Kind.UNMODELLED and not OPEN.search(problem.message)
    }

    assert other == set()
