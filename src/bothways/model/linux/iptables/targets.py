"""
Targets: what a rule does to a packet that it matched.

One row per target of ``parse.iptables``. A row may change the buffer (marks, zone, NOTRACK, TTL); what
becomes of the packet is its :class:`Effect`. No verdict means that the next rule is asked. Sources:
iptables-extensions(8), ``net/netfilter/xt_*.c``, ``net/ipv4/netfilter/ipt_*.c``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from bothways.facts.address import IPAddress, IPNetwork, address
from bothways.facts.iptables import AddressRange, Rule, Target
from bothways.facts.step import Did
from bothways.facts.trajectory import Way
from bothways.model.linux.buffer import Buffer
from bothways.model.linux.hook import Hook
from bothways.model.linux.iptables.rewrites import REWRITES, with_mss
from bothways.model.linux.nat import NatTarget

__all__ = ["IDLE", "TARGETS", "Effect", "Resolver", "Verdict", "apply"]

_FULL: Final = 0xFFFFFFFF
_FLAGS: Final = ("random", "random-fully", "persistent")


class Verdict(StrEnum):
    """What becomes of a packet."""

    ACCEPT = "ACCEPT"
    DROP = "DROP"
    REJECT = "REJECT"
    TRANSLATE = "TRANSLATE"
    UNDECIDED = "UNDECIDED"  # somebody decides who is not modelled


@dataclass(frozen=True, slots=True)
class Effect:
    """
    What a target did.

    :param verdict: None: the next rule is asked.
    :param did: what to write down, None if the packet is the same as before.
    :param reject: what a REJECT answers with, as ``--reject-with`` spells it.
    :param nat: what the packet's connection is to be translated to.
    :param doubt: what is not modelled, "" if nothing.
    :param forward: for DROP: the device by which it leaves instead (nft's ``fwd``), and *next_hop* for whom.
    """

    verdict: Verdict | None = None
    did: Did | None = None
    reason: str = ""
    reject: str = ""
    nat: NatTarget | None = None
    doubt: str = ""
    forward: str = ""
    next_hop: IPAddress | None = None


class Resolver(Protocol):
    """Finds the addresses that MASQUERADE and REDIRECT take from a device."""

    def masquerade(self, buffer: Buffer) -> IPAddress | None:
        """The source address of what leaves by the buffer's device."""

    def redirect(self, buffer: Buffer) -> IPAddress | None:
        """The first address of the device that the buffer came in at."""

    def mtu(self, buffer: Buffer) -> int | None:
        """What fits through the devices of the buffer, None if that is not known."""


Does = Callable[[Rule, Target, Buffer, Hook, Resolver], Effect]


def apply(rule: Rule, target: Target, buffer: Buffer, hook: Hook, resolver: Resolver) -> Effect:
    """Do what a target says."""
    row = TARGETS.get(target.name)
    if row is None:
        return Effect(Verdict.UNDECIDED, doubt=f"the target {target.name} is not modelled")
    if not target.modelled:
        return Effect(doubt=f"an option of the target {target.name} is not modelled: it is left out")
    return row(rule, target, buffer, hook, resolver)


def _accept(*_: object) -> Effect:
    return Effect(Verdict.ACCEPT, Did.MATCHED, "a rule accepts it")


def _drop(*_: object) -> Effect:
    return Effect(Verdict.DROP, Did.DROPPED, "a rule drops it")


def _nothing(*_: object) -> Effect:
    return Effect()


def _elsewhere(_: Rule, target: Target, *__: object) -> Effect:
    return Effect(
        Verdict.UNDECIDED, doubt=f"{target.name} hands the packet to something that is not modelled"
    )


def _copies(_: Rule, target: Target, *__: object) -> Effect:
    return Effect(
        doubt=f"{target.name} sends a copy to {target.options.get('gateway')}, which is not followed"
    )


def _prefix(_: Rule, target: Target, *__: object) -> Effect:
    return Effect(Verdict.UNDECIDED, doubt=f"the translation of prefixes by {target.name} is not modelled")


def _marks_otherwise(_: Rule, target: Target, *__: object) -> Effect:
    return Effect(doubt=f"the mark that {target.name} gives is not modelled")


def _reject(_: Rule, target: Target, *__: object) -> Effect:
    kind = str(target.options.get("reject-with", "icmp-port-unreachable"))
    return Effect(Verdict.REJECT, reason=f"a rule rejects it with {kind}", reject=kind)


# -- marks and tracking ------------------------------------------------------------------------------


def _pair(value: object) -> tuple[int, int] | None:
    if isinstance(value, tuple) and len(value) == 2:  # noqa: PLR2004 - value and mask
        return int(value[0]), int(value[1])
    return None


def _number(target: Target, name: str) -> int:
    value = target.options.get(name, _FULL)
    return value if isinstance(value, int) else _FULL


def _written(target: Target, old: int) -> int | None:
    """The mark that ``--set-xmark`` and ``--set-mark`` make of an old one."""
    exclusive = _pair(target.options.get("set-xmark"))
    if exclusive is not None:
        value, mask = exclusive
        return (old & ~mask & _FULL) ^ value
    plain = _pair(target.options.get("set-mark"))
    if plain is None:
        return None
    value, mask = plain
    return (old & ~(mask | value) & _FULL) | value


def _mark(_: Rule, target: Target, buffer: Buffer, *__: object) -> Effect:
    new = _written(target, buffer.mark)
    return Effect(doubt="a MARK rule without a value") if new is None else _marked(buffer, new)


def _marked(buffer: Buffer, new: int) -> Effect:
    old, buffer.mark = buffer.mark, new
    return (
        Effect()
        if old == new
        else Effect(did=Did.CHANGED, reason=f"the packet's mark {old:#x} becomes {new:#x}")
    )


def _connmark(_: Rule, target: Target, buffer: Buffer, *__: object) -> Effect:
    connection = None if buffer.tracking is None else buffer.tracking.connection
    if connection is None:
        return Effect()  # nothing to save to or to restore from
    if any(_number(target, name) not in (0, _FULL) for name in ("left-shift-mark", "right-shift-mark")):
        return Effect(doubt="a CONNMARK rule that shifts marks is not modelled")
    packet_bits, saved_bits = _number(target, "nfmask"), _number(target, "ctmask")
    if "restore-mark" in target.options:
        restored = (buffer.mark & ~packet_bits & _FULL) ^ (connection.mark & saved_bits)
        return _marked(buffer, restored)
    old = connection.mark
    if "save-mark" in target.options:
        new: int | None = (old & ~saved_bits & _FULL) ^ (buffer.mark & packet_bits)
    else:
        new = _written(target, old)
    if new is None:
        return Effect(doubt="a CONNMARK rule without a value")
    connection.mark = new
    if old == new:
        return Effect()
    return Effect(did=Did.CHANGED, reason=f"the connection's mark {old:#x} becomes {new:#x}")


def _settled(buffer: Buffer) -> bool:
    """Whether the tracker has the packet, or a rule said already what it is to do (``xt_ct_target``)."""
    return buffer.tracking is not None or buffer.untracked or buffer.zone != 0 or buffer.hollow


def _untrack(_: Rule, __: Target, buffer: Buffer, *___: object) -> Effect:
    if _settled(buffer):
        return Effect()
    buffer.untracked = True
    return Effect(did=Did.CHANGED, reason="a rule takes the packet out of connection tracking")


def _ct(rule: Rule, target: Target, buffer: Buffer, hook: Hook, resolver: Resolver) -> Effect:
    if "notrack" in target.options:
        return _untrack(rule, target, buffer, hook, resolver)
    if _settled(buffer):
        return Effect()
    if "helper" in target.options:
        helper = target.options["helper"]
        return Effect(doubt=f"the connections that the helper {helper} expects are not modelled")
    named = next((name for name in _ZONES if name in target.options), "")
    zone, half = target.options.get(named), _ZONES.get(named)
    if zone == "mark":
        zone = buffer.mark & 0xFFFF
    if isinstance(zone, str):  # of one direction, as its option was written
        zone = int(zone, 0) if _NUMBER.fullmatch(zone) else None
    if not isinstance(zone, int) or zone == buffer.zone:
        return Effect()
    buffer.zone, buffer.half = zone, half
    of = "" if half is None else f", of which the {half} direction alone stands there"
    return Effect(did=Did.CHANGED, reason=f"the packet is tracked in zone {zone}{of}")


_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]{1,4}|[0-9]{1,5}")
#: Option of CT -> the only direction for which the zone holds.
_ZONES: Final[Mapping[str, Way | None]] = {
    "zone": None, "zone-orig": Way.ORIGINAL, "zone-reply": Way.REPLY,
}  # fmt: skip


# -- translation -------------------------------------------------------------------------------------


def _nat(rule: Rule, target: Target, *ranges: AddressRange) -> Effect:
    flags = frozenset(name for name in _FLAGS if name in target.options)
    return Effect(Verdict.TRANSLATE, nat=NatTarget(target.name, ranges, flags, (rule.span,)))


def _to(option: str) -> Does:
    def row(rule: Rule, target: Target, *_: object) -> Effect:
        wanted = target.options.get(option)
        return _nat(rule, target, *([wanted] if isinstance(wanted, AddressRange) else []))

    return row


def _netmap(rule: Rule, target: Target, *_: object) -> Effect:
    wanted = target.options.get("to")
    if not isinstance(wanted, IPNetwork):
        return Effect(doubt="a NETMAP rule without a network")
    return _nat(rule, target, AddressRange(wanted[0], wanted[-1]))


def _of_device(rule: Rule, target: Target, held: IPAddress | None, device: str) -> Effect:
    if held is None:
        return Effect(
            Verdict.DROP, Did.DROPPED, f"{target.name} finds no address on {device} to translate to"
        )
    ports = _pair(target.options.get("to-ports")) or (None, None)
    return _nat(rule, target, AddressRange(held, held, *ports))


def _masquerade(rule: Rule, target: Target, buffer: Buffer, _: Hook, resolver: Resolver) -> Effect:
    connection = None if buffer.tracking is None else buffer.tracking.connection
    ipv4 = connection is not None and connection.original.src.version == 4  # noqa: PLR2004 - IPv4
    if connection is not None and ipv4 and not int(connection.original.src):
        return Effect(Verdict.ACCEPT)  # a sender without an address stays (``nf_nat_masquerade_ipv4``)
    return _of_device(rule, target, resolver.masquerade(buffer), buffer.device_out)


def _redirect(rule: Rule, target: Target, buffer: Buffer, hook: Hook, resolver: Resolver) -> Effect:
    ip = buffer.packet.ip
    if hook is Hook.OUTPUT:
        loopback = "127.0.0.1" if ip is None or ip.dst.version == 4 else "::1"  # noqa: PLR2004 - IPv4
        return _of_device(rule, target, address(loopback), "lo")
    return _of_device(rule, target, resolver.redirect(buffer), buffer.device_in)


# -- the header --------------------------------------------------------------------------------------


def _rewritten(name: str) -> Does:
    """A row of ``rewrites``."""

    def row(_: Rule, target: Target, buffer: Buffer, __: Hook, resolver: Resolver) -> Effect:
        if "clamp-mss-to-pmtu" in target.options:
            return _clamped(buffer, resolver)
        made = REWRITES[name](buffer.packet, target)
        if made is None:
            return Effect()
        buffer.packet, reason = made
        return Effect(did=Did.CHANGED, reason=reason)

    return row


def _clamped(buffer: Buffer, resolver: Resolver) -> Effect:
    """``TCPMSS --clamp-mss-to-pmtu``: what fits both ways, less the headers."""
    ip, mtu = buffer.packet.ip, resolver.mtu(buffer)
    if ip is None or mtu is None:
        return Effect(doubt="the MTU that TCPMSS clamps to is not known")
    made = with_mss(buffer.packet, mtu - _HEADERS[ip.src.version])
    if made is None:
        return Effect()
    buffer.packet, reason = made
    return Effect(did=Did.CHANGED, reason=reason)


#: Octets of IP and TCP header without options.
_HEADERS: Final = {4: 40, 6: 60}


#: Targets after which the packet, its marks and its way are the same as before.
IDLE: Final = frozenset(
    {
        "LOG", "NFLOG", "ULOG", "TRACE", "CHECKSUM", "TCPOPTSTRIP", "CLASSIFY", "SET", "AUDIT", "SECMARK",
        "CONNSECMARK", "IDLETIMER", "LED", "RATEEST",
    }
)  # fmt: skip

TARGETS: Final[Mapping[str, Does]] = {
    **dict.fromkeys(IDLE, _nothing),
    "ACCEPT": _accept,
    "DROP": _drop,
    "REJECT": _reject,
    "MARK": _mark,
    "CONNMARK": _connmark,
    "NOTRACK": _untrack,
    "CT": _ct,
    "DNAT": _to("to-destination"),
    "SNAT": _to("to-source"),
    "NETMAP": _netmap,
    "MASQUERADE": _masquerade,
    "REDIRECT": _redirect,
    **{name: _rewritten(name) for name in REWRITES},
    "TEE": _copies,
    "HMARK": _marks_otherwise,
    "QUEUE": _elsewhere,
    "NFQUEUE": _elsewhere,
    "TPROXY": _elsewhere,
    "SYNPROXY": _elsewhere,
    "CLUSTERIP": _elsewhere,
    "DNPT": _prefix,
    "SNPT": _prefix,
}
