"""
The actions ``ct`` and ``ct_clear``.

``compose_conntrack_action`` of ``ofproto/ofproto-dpif-xlate.c``. The tracker acts on the packet itself, so
a translation shows in whatever is sent from here on; the tables of this translation go on seeing the packet
as it was. With ``table=`` one copy comes back with what the tracker found in its ``ct_*`` fields
(``recirculation``); outside of that copy they read zero. Without a tracker the model says that it does not
know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from bothways.facts.address import IPAddress
from bothways.facts.conntrack import Tuple
from bothways.facts.iptables import AddressRange
from bothways.facts.openflow import Action
from bothways.facts.packet import ICMP, ICMP6
from bothways.facts.span import Span
from bothways.facts.step import Did
from bothways.model.linux.nat.target import NatTarget
from bothways.model.openflow.field import KNOWN, Bits
from bothways.model.openflow.key import Key
from bothways.model.openflow.recirculation import Frozen
from bothways.model.openflow.run import Run
from bothways.model.openflow.tracker import Finding, Request, Tracked

__all__ = ["FIELDS_OF_TRACKING", "ct", "ct_clear", "fields_of"]

#: what an action ``ct`` sets for the copy that comes back
FIELDS_OF_TRACKING: Final = (
    "ct_state", "ct_zone", "ct_mark", "ct_label", "ct_nw_src", "ct_nw_dst", "ct_ipv6_src", "ct_ipv6_dst",
    "ct_nw_proto", "ct_tp_src", "ct_tp_dst",
)  # fmt: skip
_IPV4: Final = 4
#: bytes that it takes among datapath actions, with what is set before, at most
_ASKS: Final = 300


def ct(run: Run, action: Action) -> None:
    """Send the packet through the connection tracker."""
    if run.key.packet.ip is None:
        # A switch refuses such a flow unless its match asks for IP.
        run.doubt(f"what `{action.text}` does to {run.where}, which is not IP", blind=True)
        return
    table = action.args.get("table")
    request = _request(run, action)
    if run.tracker is None or request is None:
        behind = isinstance(table, int)
        missing = "there is no tracker" if run.tracker is None else "what it is asked is not known"
        text = f"what `{action.text}` does to {run.where}: {missing}"
        run.doubt(text, blind=behind or action.args.get("nat") is not None)
        return
    if action.args.get("alg"):
        run.doubt(f"which connections `{action.text}` expects for {run.where}: helpers are not modelled")
    run.beside += _ASKS
    tracked = run.tracker.track(run.key.packet, request, run.tracked, run.now_ns)
    _tell(run, action, tracked)
    run.tracked = tracked
    for text in tracked.unknown:
        run.doubt(text)
    if tracked.lost:
        run.lose(tracked.lost)
        run.stop()
        return
    if isinstance(table, int):
        key = _coming_back(run, request, tracked)
        if run.spoiled:
            run.doubt(
                f"what {run.where} restores when it comes back: behind a patch port a copy waits for a hash",
                blind=True,
            )
        gathered, stack = tuple(run.actions_of_set), tuple(run.stack)
        run.frozen.append(
            Frozen(
                key,
                table,
                tuple(run.steps),
                gathered,
                stack,
                tracked,
                here=run.here,
                mirrored=run.mirrored,
                ends=run.take_exit(),
            )
        )
    run.key.under_way(tracked.packet)
    _zero(run)


def _coming_back(run: Run, request: Request, tracked: Tracked) -> Key:
    """
    The key of the packet that comes back.

    ``ofproto/trace`` asks no datapath: it shows addresses as the tables saw them, with this translation and
    none that an action before has made unseen, and what was found before as it was, under what this action
    writes (``oftrace_add_recirc_node`` of ``ofproto/ofproto-dpif-trace.c``).
    """
    key, packet, fields = run.key, tracked.packet, fields_of(tracked)
    if run.traced and run.tracker is not None:
        if key.unseen():
            alone = replace(request, comes_back=False)
            packet = run.tracker.track(key.as_seen(), alone, run.tracked, run.now_ns).packet
        fields |= {name: key.get(name) for name in FIELDS_OF_TRACKING if name not in ("ct_state", "ct_zone")}
        for name, (value, mask) in (("ct_mark", request.mark), ("ct_label", request.label)):
            old, known = fields[name]
            fields[name] = (old & ~mask | value & mask, known | mask)
    again = key.seen_again(packet, fields)
    if request.nat is not None and any(each.port_low is not None for each in request.nat.ranges):
        again.forget(("tp_src", "tp_dst"))
    return again


def ct_clear(run: Run, _action: Action) -> None:
    """
    Take from the packet what a tracker found.

    The switch believes that a copy which it made for itself only has taken it already; what tables see then
    stays.
    """
    if run.cleared:
        return
    run.tracked = None
    _zero(run)


def fields_of(tracked: Tracked) -> dict[str, Bits]:
    """The ``ct_*`` fields of a packet that was tracked."""
    fields: dict[str, Bits] = dict.fromkeys(FIELDS_OF_TRACKING, (0, KNOWN))
    fields["ct_state"] = (int(tracked.state), KNOWN)
    fields["ct_zone"] = (tracked.zone, KNOWN)
    fields["ct_mark"] = (tracked.mark, KNOWN)
    fields["ct_label"] = (tracked.label, KNOWN)
    if tracked.original is not None:
        fields |= _of_tuple(tracked.original)
    return fields


def _of_tuple(one: Tuple) -> dict[str, Bits]:
    """The original direction; ICMP has its type and code where others have ports."""
    ports = one.sport, one.dport
    if one.protocol in (ICMP, ICMP6):
        ports = one.icmp_type or 0, one.icmp_code or 0
    names = ("ct_nw_src", "ct_nw_dst") if one.src.version == _IPV4 else ("ct_ipv6_src", "ct_ipv6_dst")
    return {
        names[0]: (int(one.src), KNOWN),
        names[1]: (int(one.dst), KNOWN),
        "ct_nw_proto": (one.protocol, KNOWN),
        "ct_tp_src": (ports[0], KNOWN),
        "ct_tp_dst": (ports[1], KNOWN),
    }


def _zero(run: Run) -> None:
    run.cleared = True
    for name in FIELDS_OF_TRACKING:
        run.key.put(name, (0, KNOWN), -1)


def _tell(run: Run, action: Action, tracked: Tracked) -> None:
    """Write the tracker's steps down; they belong to the table whose flow asked."""
    for finding in tracked.findings:
        run.tell(finding)
    if not tracked.findings and isinstance(action.args.get("table"), int):
        packet = tracked.packet
        reason = f"zone {tracked.zone}: tracked before, comes back as {tracked.state}"
        run.tell(Finding(Did.TRACKED, "recirculation", reason, packet, packet, run.frame.evidence))


# -- what is asked -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Writes:
    """Bits that ``exec(...)`` writes, and which of them."""

    written: dict[str, tuple[int, int]] = field(
        default_factory=lambda: {"ct_mark": (0, 0), "ct_label": (0, 0)}
    )

    def add(self, name: str, value: int, mask: int) -> None:
        old, before = self.written[name]
        self.written[name] = (old & ~mask | value & mask, before | mask)


def _request(run: Run, action: Action) -> Request | None:
    """What an action asks; None if a register that it reads is not known, or an action of ``exec`` is not."""
    args = action.args
    zone = _zone(run, args)
    writes = _Writes()
    inner = args.get("exec")
    for each in inner if isinstance(inner, tuple) else ():
        if not _written(run, each, writes):
            return None
    if zone is None:
        return None
    nat = args.get("nat")
    evidence = run.frame.evidence
    return Request(
        zone,
        bool(args.get("commit")) or bool(args.get("force")),
        bool(args.get("force")),
        _nat(nat, evidence) if isinstance(nat, Mapping) else None,
        writes.written["ct_mark"],
        writes.written["ct_label"],
        evidence,
        isinstance(args.get("table"), int),
    )


def _zone(run: Run, args: Mapping[str, object]) -> int | None:
    if "zone_field" not in args:
        zone = args.get("zone")
        return zone if isinstance(zone, int) else 0
    low, high = _bits(args, "zone_low", "zone_high")
    value, known = run.key.part(str(args["zone_field"]), low, high)
    whole = (1 << (high - low + 1)) - 1
    return value & 0xFFFF if known & whole == whole else None


def _bits(args: Mapping[str, object], low: str, high: str) -> tuple[int, int]:
    first, last = args.get(low), args.get(high)
    return (first if isinstance(first, int) else 0), (last if isinstance(last, int) else 0)


def _written(run: Run, action: Action, writes: _Writes) -> bool:
    """Take one action of ``exec``; False if what it writes is not known."""
    args = action.args
    name = str(args.get("field", ""))
    if not action.modelled or name not in writes.written:
        return False
    whole = (1 << (32 if name == "ct_mark" else 128)) - 1
    if action.name == "set_field":
        mask, value = args.get("mask"), args.get("value")
        if not isinstance(value, int):
            return False
        writes.add(name, value, mask if isinstance(mask, int) else whole)
        return True
    low, high = _bits(args, "low", "high")
    mask = ((1 << (high - low + 1)) - 1) << low
    if action.name == "load":
        value = args.get("value")
        writes.add(name, (value if isinstance(value, int) else 0) << low, mask)
        return isinstance(value, int)
    if action.name == "move":
        value, known = run.key.part(str(args.get("source")), *_bits(args, "source_low", "source_high"))
        writes.add(name, value << low, mask)
        return known == mask >> low
    return False


def _nat(given: Mapping[str, object], evidence: tuple[Span, ...]) -> NatTarget:
    kind = {"src": "SNAT", "dst": "DNAT"}.get(str(given.get("direction", "")), "")
    flags = given.get("flags")
    low, high = _address(given.get("low")), _address(given.get("high"))
    first, last = given.get("low_port"), given.get("high_port")
    port_low = first if isinstance(first, int) else None
    port_high = last if isinstance(last, int) else port_low
    ranges = (
        () if low is None and port_low is None else (AddressRange(low, high or low, port_low, port_high),)
    )
    names = frozenset(map(str, flags)) if isinstance(flags, tuple) else frozenset()
    return NatTarget(kind, ranges if kind else (), names - {"hash"}, evidence)


def _address(given: object) -> IPAddress | None:
    return given if isinstance(given, (IPv4Address, IPv6Address)) else None
