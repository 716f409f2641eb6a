"""
The flow key: every field of one packet on its way through the tables of a bridge.

Fields of the packet are read when somebody asks; registers, metadata and the tunnel's fields live here
only. Bit by bit the key says what is known (``field.Bits``). ``xreg0`` and ``xxreg0`` are the registers that
they are made of. Source: ovs-fields(7).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from bothways.facts.address import IPAddress
from bothways.facts.address import address as parse_address
from bothways.facts.openflow import LOCAL, Port
from bothways.facts.packet import Packet
from bothways.facts.step import Did
from bothways.model.openflow.field import FIELDS, KNOWN, Bits
from bothways.model.openflow.options import OPTIONS, OTHERS, is_option, presence
from bothways.model.openflow.passage import Arrival

__all__ = ["CARRIED", "PIPELINE", "TUNNELS", "WIDE", "Key", "of_arrival"]

#: kinds of ports that encapsulate
TUNNELS: Final = frozenset({"vxlan", "geneve", "gre", "stt", "erspan", "lisp", "gtpu", "ip6gre", "bareudp"})

_TUNNEL_FIELDS: Final[Mapping[str, int]] = {
    "tun_id": 64, "tun_src": 32, "tun_dst": 32, "tun_ipv6_src": 128, "tun_ipv6_dst": 128, "tun_flags": 1,
    "tun_gbp_id": 16, "tun_gbp_flags": 8, "tun_erspan_ver": 4, "tun_erspan_idx": 20, "tun_erspan_dir": 1,
    "tun_erspan_hwid": 6, "gtpu_flags": 8, "gtpu_msgtype": 8, "tun_tos": 8, "tun_ttl": 8,
}  # fmt: skip
#: conntrack's fields are zero until an action ``ct`` sets them
_TRACKING: Final[Mapping[str, int]] = {
    "ct_state": 32, "ct_zone": 16, "ct_mark": 32, "ct_label": 128, "ct_nw_src": 32, "ct_nw_dst": 32,
    "ct_ipv6_src": 128, "ct_ipv6_dst": 128, "ct_nw_proto": 8, "ct_tp_src": 16, "ct_tp_dst": 16,
}  # fmt: skip
_REGISTERS: Final[Mapping[str, int]] = {f"reg{n}": 32 for n in range(32)}
#: what comes with the packet from the stack that sent it, or from the datapath; no evidence holds it
_NOT_HELD: Final[Mapping[str, int]] = {"pkt_mark": 32, "skb_priority": 32, "dp_hash": 32}
#: fields that live only inside the pipeline -> width in bits
PIPELINE: Final[Mapping[str, int]] = {
    **_REGISTERS, **_TUNNEL_FIELDS, **_TRACKING, **_NOT_HELD,
    "vlan_tci1": 16, "mpls_lse1": 32, "mpls_lse2": 32,
    "metadata": 64, "in_port": 16, "actset_output": 32, "conj_id": 32, "recirc_id": 32, "packet_type": 32,
}  # fmt: skip
_OF_TRANSPORT: Final = frozenset({"tp_src", "tp_dst", "icmp_type", "icmp_code"})
#: value of ``actset_output`` while the action set sends nowhere
_UNSET: Final = 0xFFF7

#: wide register -> registers that it is made of, most significant first
WIDE: Final[Mapping[str, tuple[str, ...]]] = {
    **{f"xreg{n}": (f"reg{2 * n}", f"reg{2 * n + 1}") for n in range(8)},
    **{f"xxreg{n}": tuple(f"reg{4 * n + i}" for i in range(4)) for n in range(4)},
}

#: what a packet has, and ``facts.packet`` has no place for
CARRIED: Final = (
    "vlan_tci", "vlan_tci1", "pkt_mark", "ipv6_label", "nd_target", "nd_sll", "nd_tll", "nd_reserved",
    "nd_options_type", "mpls_label", "mpls_tc", "mpls_bos", "mpls_ttl", "mpls_lse1", "mpls_lse2",
)  # fmt: skip
_TURNED_FOUR: Final = (
    ("ip_proto", "ct_nw_proto"), ("nw_src", "ct_nw_src"), ("nw_dst", "ct_nw_dst"),
    ("tp_src", "ct_tp_src"), ("tp_dst", "ct_tp_dst"),
)  # fmt: skip
_TURNED_SIX: Final = (
    ("ip_proto", "ct_nw_proto"), ("ipv6_src", "ct_ipv6_src"), ("ipv6_dst", "ct_ipv6_dst"),
    ("tp_src", "ct_tp_src"), ("tp_dst", "ct_tp_dst"),
)  # fmt: skip

#: fields that address translation rewrites
_TRANSLATED: Final = frozenset(name for name, field in FIELDS.items() if field.did is Did.TRANSLATED)


class Key:
    """All fields of one packet. Changes as actions write it."""

    __slots__ = ("_bits", "_partly", "bare", "covered", "misread", "packet")

    def __init__(self, packet: Packet, bits: Mapping[str, Bits]) -> None:
        self.packet = packet
        self._bits = dict(bits)
        #: addresses and ports of which a part was written
        self._partly: frozenset[str] = frozenset()
        #: what is under the MPLS labels, None if there are none, or if nobody knows
        self.covered: Packet | None = None
        #: True once the last label is gone and the packet was not read anew
        self.bare = False
        #: True if the switch takes it for bare, because a copy of it has lost its labels
        self.misread = False

    def get(self, name: str) -> Bits:
        """Bits of a field and which of them are known; none of a field that the model does not have."""
        bits = self._bits.get(name)
        if bits is not None:
            return bits
        if name in WIDE:
            return self._wide(WIDE[name])
        field = FIELDS.get(name)
        if field is not None:
            bits = field.read(self.packet)
        elif is_option(name):
            return self._bits.get(
                OTHERS, (0, KNOWN)
            )  # not held, so that it does not count as one that is there
        else:
            bits = (0, 0)
        self._bits[name] = bits
        return bits

    def everything(self) -> dict[str, Bits]:
        """Every field that the model has, as it is now."""
        held = (name for name in OPTIONS if name in self._bits)
        return {name: self.get(name) for name in (*FIELDS, *PIPELINE, *held)}

    def seen(self, name: str) -> Bits:
        """
        What a table sees of a field: no ports in any fragment, not even in the first one.

        ``rule_dpif_lookup_from_table`` of ``ofproto/ofproto-dpif.c``, unless ``frags=nx-match`` is set.
        """
        ip = self.packet.ip
        if name in _OF_TRANSPORT and ip is not None and (ip.more or ip.offset):
            return 0, KNOWN
        return self.get(name)

    def masked(self, masks: Iterable[tuple[str, int]]) -> tuple[int, ...] | None:
        """What a table sees under some masks, field by field; None if a bit of it is not known."""
        held = self._bits
        values = []
        for name, mask in masks:
            bits = held.get(name)
            if bits is None or name in _OF_TRANSPORT:
                bits = self.seen(name)
            if mask & ~bits[1]:
                return None
            values.append(bits[0] & mask)
        return tuple(values)

    def part(self, name: str, low: int, high: int) -> Bits:
        """Bits *low* to *high* of a field, both included, moved down to bit 0."""
        value, known = self.get(name)
        whole = (1 << (high - low + 1)) - 1
        return value >> low & whole, known >> low & whole

    def put(self, name: str, bits: Bits, mask: int) -> bool:
        """
        Write the bits of *mask*.

        :return: False if a packet cannot say it, because a part of the new value is not known.
        """
        if name in WIDE:
            return self._put_wide(WIDE[name], bits, mask)
        if name == "in_port":
            mask &= 0xFFFF
        value, known = self.get(name)
        value = value & ~mask | bits[0] & mask
        known = known & ~mask | bits[1] & mask
        field = FIELDS.get(name)
        if is_option(name):
            self._bits[presence(name)] = (1, KNOWN)
        if name in _TRANSLATED:
            if ~mask & _whole(name):
                self._partly |= {name}
            held = self._bits.get(name)
            if (value, known) == held:
                # The switch sees no change, so it leaves a translation that it does not see alone.
                return True
            if held is not None and ~mask & _whole(name) and held != FIELDS[name].read(self.packet):
                return False  # which of the other bits it sets as well hangs on what tables looked at
        if field is not None and field.write is not None:
            packet = field.write(self.packet, value, known)
            if packet is None:
                return False
            self.packet = packet
        self._bits[name] = (value, known)
        return True

    @property
    def in_port(self) -> int:
        """The number of the ingress port."""
        value = self.get("in_port")[0]
        return LOCAL if value == LOCAL & 0xFFFF else value

    @in_port.setter
    def in_port(self, number: int) -> None:
        self._bits["in_port"] = (number & 0xFFFF, KNOWN)

    def copy(self) -> Key:
        """A key of its own for a copy of the packet."""
        other = Key(self.packet, self._bits)
        other.covered, other.bare, other.misread = self.covered, self.bare, self.misread
        other._partly = self._partly
        return other

    @property
    def unread(self) -> bool:
        """Whether most actions need the datapath to give the packet back first (``was_mpls``)."""
        return self.bare or self.misread

    def left_behind(self, copy: Key, *, labels: bool = True) -> tuple[str, ...]:
        """
        Take over what a copy that was no copy for the datapath has done to the packet.

        A tracker has translated it, and the switch, which did not see it, sets nothing back; unless it sets
        the field anew, as the copy had another value.

        :param labels: it also takes the packet for one without MPLS labels if the copy has lost them.
        :return: what then nobody knows: addresses of which a part is set anew, for how large a part hangs on
            what tables looked at.
        """
        lost = []
        self.misread = self.misread or (labels and copy.unread and not self.bare)
        for name, bits in copy.unseen().items():
            field = FIELDS[name]
            if field.write is not None and self.get(name) == bits:
                self.packet = field.write(self.packet, *field.read(copy.packet)) or self.packet
            elif name in copy._partly:
                lost.append(name)
        return tuple(lost)

    def cover(self, packet: Packet) -> None:
        """Put a label on: nothing of the network layer and above is seen any more."""
        self.covered = self.packet
        self.packet = packet
        self.forget(set(FIELDS) - {"vlan_tci"})

    def inside(self) -> Packet:
        """The packet as the datapath has it: with what was under its labels once they are gone."""
        if not self.bare or self.covered is None:
            return self.packet
        shown, hidden = self.packet, self.covered
        return replace(hidden, ethernet=replace(shown.ethernet, type=hidden.ethernet.type))

    def uncover(self) -> None:
        """Read the packet anew once its labels are gone."""
        if self.bare and self.covered is not None:
            self.packet = self.inside()
            self.forget(set(FIELDS) - {"vlan_tci"})
        self.covered, self.bare, self.misread = None, False, False

    def turned(self) -> Key:
        """The key with the original direction of the connection in place of addresses and ports."""
        four = self.packet.ip is not None and self.packet.ip.src.version == 4  # noqa: PLR2004 - IPv4
        turned = self.copy()
        for name, other in _TURNED_FOUR if four else _TURNED_SIX:
            turned._bits[name], turned._bits[other] = self.get(other), self.get(name)  # noqa: SLF001 - its own
        return turned

    def carried(self) -> dict[str, Bits]:
        """What was read or written of the fields for which a packet has no place."""
        held, packet = self._bits, self.packet
        bare = packet.ip is not None and not (packet.tcp or packet.udp or packet.icmp)
        names = (*CARRIED, "tp_src", "tp_dst", "icmp_type", "icmp_code") if bare else CARRIED
        return {name: held[name] for name in names if name in held}

    def options(self) -> dict[str, Bits]:
        """What is known of the options of a tunnel."""
        held = self._bits
        named = (name for option in OPTIONS for name in (option, presence(option)))
        return {name: held[name] for name in (OTHERS, *named) if name in held}

    def unseen(self) -> dict[str, Bits]:
        """Addresses and ports as the tables go on seeing them where a tracker has translated the packet."""
        held = self._bits
        return {
            name: held[name]
            for name in _TRANSLATED
            if name in held and held[name] != FIELDS[name].read(self.packet)
        }

    def as_seen(self) -> Packet:
        """The packet with addresses and ports as the tables see them."""
        packet = self.packet
        for name, bits in self.unseen().items():
            write = FIELDS[name].write
            packet = packet if write is None else write(packet, *bits) or packet
        return packet

    def forget(self, names: Iterable[str]) -> None:
        """Let fields be read anew from the packet."""
        for name in names:
            self._bits.pop(name, None)

    def seen_again(self, packet: Packet, fields: Mapping[str, Bits]) -> Key:
        """The key of the packet when it comes back translated: its addresses and ports are read anew."""
        kept = {
            name: bits
            for name, bits in self._bits.items()
            if name not in _TRANSLATED or not FIELDS[name].read(packet)[1]  # ports of SCTP are in no packet
        }
        return Key(packet, {**kept, **fields})

    def under_way(self, packet: Packet) -> None:
        """Let the datapath translate the packet unseen: tables go on with the addresses that they read."""
        if packet != self.packet:
            for name in _TRANSLATED:
                self.get(name)
            self.packet = packet

    def _wide(self, names: tuple[str, ...]) -> Bits:
        value = known = 0
        for name in names:
            bits = self._bits[name]
            value = value << 32 | bits[0] & 0xFFFFFFFF
            known = known << 32 | bits[1] & 0xFFFFFFFF
        return value, known

    def _put_wide(self, names: tuple[str, ...], bits: Bits, mask: int) -> bool:
        for position, name in enumerate(reversed(names)):
            shift = 32 * position
            part = mask >> shift & 0xFFFFFFFF
            if part:
                self.put(name, (bits[0] >> shift, bits[1] >> shift), part)
        return True


def _whole(name: str) -> int:
    return (1 << FIELDS[name].width) - 1


def of_arrival(arrival: Arrival, port: Port | None) -> Key:
    """
    The key of a packet that comes in.

    A tunnel's fields are zero for a packet that came out of none. What the port's options say (a fixed
    ``remote_ip``) is known even if the arrival does not say it.
    """
    bits: dict[str, Bits] = dict.fromkeys(PIPELINE, (0, KNOWN))
    bits |= dict.fromkeys(_NOT_HELD, (0, 0))
    bits["actset_output"] = (_UNSET, KNOWN)
    bits["in_port"] = (arrival.in_port & 0xFFFF, KNOWN)
    given = (arrival.tun_id, arrival.tun_src, arrival.tun_dst)
    if (port is not None and port.kind in TUNNELS) or any(part is not None for part in given):
        bits |= dict.fromkeys(_TUNNEL_FIELDS, (0, 0))
        if port is None or port.kind == "geneve":
            bits[OTHERS] = (0, 0)
        if arrival.tun_id is not None:
            bits["tun_id"] = (arrival.tun_id, KNOWN)
        options: Mapping[str, str] = {} if port is None else port.options
        bits |= _ends("src", arrival.tun_src, options.get("remote_ip"))
        bits |= _ends("dst", arrival.tun_dst, options.get("local_ip"))
    bits |= {name: (value, KNOWN) for name, value in arrival.fields.items()}
    return Key(arrival.packet, bits)


def _ends(name: str, address: IPAddress | None, option: str | None) -> dict[str, Bits]:
    """The two fields of one end of the tunnel: one holds the address, the other is zero."""
    if address is None:
        address = _parsed(option)
    if address is None:
        return {}
    four, six = f"tun_{name}", f"tun_ipv6_{name}"
    if address.version == 4:  # noqa: PLR2004 - IPv4
        return {four: (int(address), KNOWN), six: (0, KNOWN)}
    return {four: (0, KNOWN), six: (int(address), KNOWN)}


def _parsed(option: str | None) -> IPAddress | None:
    try:
        return None if option is None else parse_address(option)
    except ValueError:
        return None  # `flow`, or a host name
