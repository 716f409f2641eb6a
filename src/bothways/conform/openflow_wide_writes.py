"""Writes of wide pipelines: a table of fields, how often, and the kind of packet that has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bothways.conform.openflow_draw import Draw
from bothways.conform.openflow_drawn_match import is_kind

__all__ = ["At", "wide_write"]


@dataclass(frozen=True, slots=True)
class At:
    """
    Where actions stand: the table, how many tables and groups there are, and what the match promises.

    :param tracked: whether the match asks for packets that a tracker has seen; *invalid*: that it refused.
    """

    table: int
    tables: int
    groups: int
    protocol: str = ""
    depth: int = 0
    tracked: bool = False
    invalid: bool = False

    def is_(self, kind: str) -> bool:
        """Whether the match promises a kind of packet."""
        return is_kind(self.protocol, kind)


Make = Callable[[Draw], str]
_PARTS: Final = ("[0..99]", "[31..120]", "[62..99]", "[96..120]", "[112..115]", "[48..127]")
#: a write for every packet; the third column of others is the kind that they need
_WRITES: Final[Sequence[tuple[int, str, Make]]] = (
    (3, "", lambda d: f"set_field:{d.masked()}->reg{d.one((4, 5, 7, 8, 15))}"),
    (2, "", lambda d: f"set_field:{d.part(5, d.one((0, 30, 60)))}->xxreg{d.one((1, 2, 3))}"),
    (2, "", lambda d: f"load:{d.small(4):#x}->NXM_NX_XXREG{d.one((0, 1, 3))}{d.one(_PARTS)}"),
    (1, "", lambda d: f"load:{d.small(8):#x}->OXM_OF_PKT_REG{d.small()}[28..40]"),
    (2, "", lambda d: f"set_field:{d.four()}->tun_{d.one(('src', 'dst'))}"),
    (1, "", lambda d: f"set_field:{d.one(('fd00::1', 'fe80::4'))}->tun_ipv6_{d.one(('src', 'dst'))}"),
    (1, "", lambda d: f"set_field:{d.small()}->tun_gbp_id"),
    (1, "", lambda d: f"set_field:{d.one(('oam', '+oam/+oam'))}->tun_flags".replace("+oam/+oam", "oam")),
    (1, "", lambda d: f"set_field:{d.small(40):#x}->tun_id"),
    (1, "", lambda d: f"set_field:{d.masked()}->pkt_mark"),
    (1, "", lambda d: f"set_field:{d.mac()}/ff:ff:00:00:00:ff->eth_{d.one(('src', 'dst'))}"),
    (2, "", lambda d: d.one((
        "move:NXM_NX_XXREG1[32..95]->OXM_OF_METADATA[]", "move:NXM_OF_ETH_SRC[]->NXM_NX_XXREG2[10..57]",
        "move:NXM_NX_TUN_IPV4_SRC[]->NXM_NX_REG5[]", "move:NXM_NX_REG4[]->NXM_NX_TUN_IPV4_DST[]",
        "move:NXM_NX_CT_MARK[]->NXM_NX_REG7[]", "move:NXM_NX_CT_LABEL[60..80]->NXM_NX_REG8[0..20]",
        "move:NXM_NX_CT_ZONE[]->NXM_NX_REG4[0..15]", "move:NXM_NX_CT_STATE[0..7]->NXM_NX_REG5[8..15]",
        "move:NXM_OF_VLAN_TCI[12..15]->NXM_NX_REG5[0..3]", "move:OXM_OF_PKT_REG1[]->NXM_NX_TUN_ID[]",
        "move:NXM_NX_PKT_MARK[0..4]->NXM_NX_REG15[27..31]",
    ))),
    (3, "ip", lambda d: f"set_field:{d.one((0, 1, 2, 255))}->nw_ttl"),
    (2, "ip", lambda d: f"move:NXM_OF_IP_{d.one(('SRC', 'DST'))}[8..15]->NXM_NX_REG4[0..7]"),
    (1, "ip", lambda _: "move:NXM_NX_IP_TTL[]->NXM_NX_REG5[0..7]"),
    (1, "ip", lambda _: "move:NXM_OF_IP_PROTO[]->NXM_NX_REG5[0..7]"),
    (2, "ip", lambda d: f"set_field:0.0.{d.small()}.0/0.0.255.0->ip_{d.one(('src', 'dst'))}"),
    (2, "ipv6", lambda d: f"set_field:{d.one((1, 2, 255))}->nw_ttl"),
    (2, "ipv6", lambda d: f"load:{d.small(4):#x}->NXM_NX_IPV6_{d.one(('SRC', 'DST'))}{d.one(_PARTS)}"),
    (1, "ipv6", lambda _: "move:NXM_NX_IPV6_DST[0..31]->NXM_NX_REG5[]"),
    (2, "tcp", lambda d: f"set_field:{d.transport_masked()}->tcp_{d.one(('src', 'dst'))}"),
    (2, "tcp6", lambda d: f"set_field:{d.transport_masked()}->tcp_{d.one(('src', 'dst'))}"),
    (2, "udp", lambda d: f"set_field:{d.transport_masked()}->udp_{d.one(('src', 'dst'))}"),
    (2, "udp6", lambda d: f"load:{d.small(8):#x}->NXM_OF_UDP_DST[4..11]"),
    (3, "sctp", lambda d: f"set_field:{d.transport()}->sctp_{d.one(('src', 'dst'))}"),
    (3, "icmp", lambda d: f"set_field:{d.small(3)}->icmp_{d.one(('type', 'code'))}"),
    (3, "icmp6", lambda d: f"set_field:{d.small(1)}->icmpv6_code"),
    (3, "arp", lambda d: d.one((
        f"set_field:{d.four_masked()}->arp_{d.one(('spa', 'tpa'))}", "set_field:2->arp_op",
        "move:NXM_NX_ARP_SHA[0..31]->NXM_NX_REG5[]", "move:NXM_OF_ARP_OP[]->NXM_NX_REG5[0..15]",
    ))),
    (9, "nd135", lambda d: d.one((
        f"set_field:{d.six()}->nd_target", f"set_field:{d.mac()}->nd_sll",
        "move:NXM_NX_ND_TARGET[]->NXM_NX_IPV6_DST[]",
        "move:NXM_NX_ND_SLL[]->NXM_OF_ETH_DST[]", "load:0x5->NXM_NX_ND_TARGET[0..15]",
    ))),
    (9, "nd136", lambda d: d.one((
        f"set_field:{d.six()}->nd_target", f"set_field:{d.mac()}->nd_tll",
        "move:NXM_OF_ETH_SRC[]->NXM_NX_ND_TLL[]",
        "move:NXM_NX_ND_TARGET[0..63]->NXM_NX_XXREG3[1..64]",
    ))),
)  # fmt: skip


def wide_write(draw: Draw, at: At) -> str:
    """Draw a write that the match allows."""
    kinds = {"", at.protocol, "ip" if at.is_("ip") else "ipv6" if at.is_("ipv6") else ""}
    if at.protocol.startswith("nd"):
        kinds |= {"icmp6", "ipv6"}
    return draw.weighted({make: weight for weight, kind, make in _WRITES if kind in kinds})(draw)
