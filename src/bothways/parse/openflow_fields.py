"""
The fields that Open vSwitch matches on and writes: every spelling, one name each.

Names and widths are those of ovs-fields(7). Two spellings of the same bits become one field:
``dl_vlan``, ``vlan_vid`` and ``vlan_pcp`` are parts of ``vlan_tci``; ``ip_dscp`` and ``nw_ecn`` are parts of
``nw_tos``; ``tcp_src``, ``udp_src`` and ``sctp_src`` are ``tp_src``. A field that stands in ``FIELDS`` but
not in the model is read as a number and left to the model to refuse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

__all__ = ["FIELDS", "Field", "Subfield", "code_of", "field_named", "subfield"]


@dataclass(frozen=True, slots=True)
class Field:
    """
    One spelling of a field.

    :param name: the normalised field that holds the bits.
    :param width: bits of this spelling.
    :param form: how values are written, a key of ``openflow_values.FORMS``.
    :param shift: lowest bit of this spelling inside the normalised field.
    """

    name: str
    width: int
    form: str = "number"
    shift: int = 0


@dataclass(frozen=True, slots=True)
class Subfield:
    """Bits *low* to *high*, both included, of a normalised field. *form* is that of the spelling."""

    name: str
    low: int
    high: int
    form: str = "number"

    @property
    def width(self) -> int:
        """Number of bits."""
        return self.high - self.low + 1


#: normalised name, width, form, other names, names in NXM and OXM
_TABLE: Final[tuple[tuple[str, int, str, str, str], ...]] = (
    ("conj_id", 32, "number", "", "NXM_NX_CONJ_ID"),
    ("tun_id", 64, "number", "tunnel_id", "NXM_NX_TUN_ID OXM_OF_TUNNEL_ID"),
    ("tun_src", 32, "ipv4", "", "NXM_NX_TUN_IPV4_SRC"),
    ("tun_dst", 32, "ipv4", "", "NXM_NX_TUN_IPV4_DST"),
    ("tun_ipv6_src", 128, "ipv6", "", "NXM_NX_TUN_IPV6_SRC"),
    ("tun_ipv6_dst", 128, "ipv6", "", "NXM_NX_TUN_IPV6_DST"),
    ("tun_gbp_id", 16, "number", "", "NXM_NX_TUN_GBP_ID"),
    ("tun_gbp_flags", 8, "number", "", "NXM_NX_TUN_GBP_FLAGS"),
    ("tun_erspan_ver", 4, "number", "", "NXOXM_ET_ERSPAN_VER"),
    ("tun_erspan_idx", 20, "number", "", "NXOXM_ET_ERSPAN_IDX"),
    ("tun_erspan_dir", 1, "number", "", "NXOXM_ET_ERSPAN_DIR"),
    ("tun_erspan_hwid", 6, "number", "", "NXOXM_ET_ERSPAN_HWID"),
    ("gtpu_flags", 8, "number", "tun_gtpu_flags", "NXOXM_ET_GTPU_FLAGS"),
    ("gtpu_msgtype", 8, "number", "tun_gtpu_msgtype", "NXOXM_ET_GTPU_MSGTYPE"),
    ("tun_flags", 1, "tun_flags", "", "NXM_NX_TUN_FLAGS"),
    ("in_port", 16, "port", "", "NXM_OF_IN_PORT"),
    ("skb_priority", 32, "number", "", ""),
    ("pkt_mark", 32, "number", "", "NXM_NX_PKT_MARK"),
    ("actset_output", 32, "actset", "", "ONFOXM_ET_ACTSET_OUTPUT OXM_OF_ACTSET_OUTPUT"),
    ("packet_type", 32, "packet_type", "", "OXM_OF_PACKET_TYPE"),
    ("dp_hash", 32, "number", "", "NXM_NX_DP_HASH"),
    ("recirc_id", 32, "number", "", "NXM_NX_RECIRC_ID"),
    ("ct_state", 32, "ct_state", "", "NXM_NX_CT_STATE"),
    ("ct_zone", 16, "number", "", "NXM_NX_CT_ZONE"),
    ("ct_mark", 32, "number", "", "NXM_NX_CT_MARK"),
    ("ct_label", 128, "number", "", "NXM_NX_CT_LABEL"),
    ("ct_nw_src", 32, "ipv4", "", "NXM_NX_CT_NW_SRC"),
    ("ct_nw_dst", 32, "ipv4", "", "NXM_NX_CT_NW_DST"),
    ("ct_ipv6_src", 128, "ipv6", "", "NXM_NX_CT_IPV6_SRC"),
    ("ct_ipv6_dst", 128, "ipv6", "", "NXM_NX_CT_IPV6_DST"),
    ("ct_nw_proto", 8, "number", "", "NXM_NX_CT_NW_PROTO"),
    ("ct_tp_src", 16, "number", "", "NXM_NX_CT_TP_SRC"),
    ("ct_tp_dst", 16, "number", "", "NXM_NX_CT_TP_DST"),
    ("metadata", 64, "number", "", "OXM_OF_METADATA"),
    ("eth_src", 48, "mac", "dl_src", "NXM_OF_ETH_SRC OXM_OF_ETH_SRC"),
    ("eth_dst", 48, "mac", "dl_dst", "NXM_OF_ETH_DST OXM_OF_ETH_DST"),
    ("eth_type", 16, "number", "dl_type", "NXM_OF_ETH_TYPE OXM_OF_ETH_TYPE"),
    ("vlan_tci", 16, "number", "", "NXM_OF_VLAN_TCI"),
    ("mpls_label", 20, "number", "", "OXM_OF_MPLS_LABEL"),
    ("mpls_tc", 3, "number", "", "OXM_OF_MPLS_TC"),
    ("mpls_bos", 1, "number", "", "OXM_OF_MPLS_BOS"),
    ("mpls_ttl", 8, "number", "", "NXM_NX_MPLS_TTL"),
    ("nw_src", 32, "ipv4", "ip_src", "NXM_OF_IP_SRC OXM_OF_IPV4_SRC"),
    ("nw_dst", 32, "ipv4", "ip_dst", "NXM_OF_IP_DST OXM_OF_IPV4_DST"),
    ("ipv6_src", 128, "ipv6", "", "NXM_NX_IPV6_SRC OXM_OF_IPV6_SRC"),
    ("ipv6_dst", 128, "ipv6", "", "NXM_NX_IPV6_DST OXM_OF_IPV6_DST"),
    ("ipv6_label", 20, "number", "", "NXM_NX_IPV6_LABEL OXM_OF_IPV6_FLABEL"),
    ("ip_proto", 8, "number", "nw_proto", "NXM_OF_IP_PROTO OXM_OF_IP_PROTO"),
    ("nw_ttl", 8, "number", "ip_ttl", "NXM_NX_IP_TTL"),
    ("nw_frag", 2, "frag", "ip_frag", "NXM_NX_IP_FRAG"),
    ("nw_tos", 8, "number", "ip_tos", "NXM_OF_IP_TOS"),
    ("arp_op", 16, "number", "", "NXM_OF_ARP_OP OXM_OF_ARP_OP"),
    ("arp_spa", 32, "ipv4", "", "NXM_OF_ARP_SPA OXM_OF_ARP_SPA"),
    ("arp_tpa", 32, "ipv4", "", "NXM_OF_ARP_TPA OXM_OF_ARP_TPA"),
    ("arp_sha", 48, "mac", "", "NXM_NX_ARP_SHA OXM_OF_ARP_SHA"),
    ("arp_tha", 48, "mac", "", "NXM_NX_ARP_THA OXM_OF_ARP_THA"),
    ("tp_src", 16, "number", "tcp_src udp_src sctp_src",
     "NXM_OF_TCP_SRC NXM_OF_UDP_SRC OXM_OF_TCP_SRC OXM_OF_UDP_SRC OXM_OF_SCTP_SRC"),
    ("tp_dst", 16, "number", "tcp_dst udp_dst sctp_dst",
     "NXM_OF_TCP_DST NXM_OF_UDP_DST OXM_OF_TCP_DST OXM_OF_UDP_DST OXM_OF_SCTP_DST"),
    ("tcp_flags", 12, "tcp_flags", "", "NXM_NX_TCP_FLAGS ONFOXM_ET_TCP_FLAGS OXM_OF_TCP_FLAGS"),
    ("icmp_type", 8, "number", "icmpv6_type",
     "NXM_OF_ICMP_TYPE OXM_OF_ICMPV4_TYPE NXM_NX_ICMPV6_TYPE OXM_OF_ICMPV6_TYPE"),
    ("icmp_code", 8, "number", "icmpv6_code",
     "NXM_OF_ICMP_CODE OXM_OF_ICMPV4_CODE NXM_NX_ICMPV6_CODE OXM_OF_ICMPV6_CODE"),
    ("nd_target", 128, "ipv6", "", "NXM_NX_ND_TARGET OXM_OF_IPV6_ND_TARGET"),
    ("nd_sll", 48, "mac", "", "NXM_NX_ND_SLL OXM_OF_IPV6_ND_SLL"),
    ("nd_tll", 48, "mac", "", "NXM_NX_ND_TLL OXM_OF_IPV6_ND_TLL"),
    ("nd_reserved", 32, "number", "", "ERICOXM_OF_ICMPV6_ND_RESERVED"),
    ("nd_options_type", 8, "number", "", "ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE"),
    ("nsh_flags", 8, "number", "", "NXOXM_NSH_FLAGS"),
    ("nsh_ttl", 6, "number", "", "NXOXM_NSH_TTL"),
    ("nsh_mdtype", 8, "number", "", "NXOXM_NSH_MDTYPE"),
    ("nsh_np", 8, "number", "", "NXOXM_NSH_NP"),
    ("nsh_spi", 24, "number", "nsp", "NXOXM_NSH_SPI"),
    ("nsh_si", 8, "number", "nsi", "NXOXM_NSH_SI"),
    ("nsh_c1", 32, "number", "nshc1", "NXOXM_NSH_C1"),
    ("nsh_c2", 32, "number", "nshc2", "NXOXM_NSH_C2"),
    ("nsh_c3", 32, "number", "nshc3", "NXOXM_NSH_C3"),
    ("nsh_c4", 32, "number", "nshc4", "NXOXM_NSH_C4"),
)  # fmt: skip

#: spellings of a part of another field
_PARTS: Final[tuple[tuple[str, Field], ...]] = (
    ("in_port_oxm", Field("in_port", 32, "port")),
    ("OXM_OF_IN_PORT", Field("in_port", 32, "port")),
    ("vlan_vid", Field("vlan_tci", 12, "vid")),
    ("OXM_OF_VLAN_VID", Field("vlan_tci", 12, "vid")),
    ("vlan_pcp", Field("vlan_tci", 3, shift=13)),
    ("OXM_OF_VLAN_PCP", Field("vlan_tci", 3, shift=13)),
    ("ip_dscp", Field("nw_tos", 6, shift=2)),
    ("OXM_OF_IP_DSCP", Field("nw_tos", 6, shift=2)),
    ("nw_ecn", Field("nw_tos", 2)),
    ("ip_ecn", Field("nw_tos", 2)),
    ("NXM_NX_IP_ECN", Field("nw_tos", 2)),
    ("OXM_OF_IP_ECN", Field("nw_tos", 2)),
)


def _register_code(number: int) -> str:
    """NXM had room for sixteen; those of 3.7 and later are extensions of OXM."""
    return f"NXM_NX_REG{number}" if number < 16 else f"NXOXM_ET_REG{number}"  # noqa: PLR2004 - see above


def _spellings() -> Iterator[tuple[str, Field]]:
    for name, width, form, others, codes in _TABLE:
        for spelling in (name, *others.split(), *codes.split()):
            yield spelling, Field(name, width, form)
    for number in range(32):
        yield f"reg{number}", Field(f"reg{number}", 32)
        yield _register_code(number), Field(f"reg{number}", 32)
    for number in range(8):
        yield f"xreg{number}", Field(f"xreg{number}", 64)
        yield f"OXM_OF_PKT_REG{number}", Field(f"xreg{number}", 64)
    for number in range(4):
        yield f"xxreg{number}", Field(f"xxreg{number}", 128)
        yield f"NXM_NX_XXREG{number}", Field(f"xxreg{number}", 128)
    for number in range(64):
        yield f"tun_metadata{number}", Field(f"tun_metadata{number}", 992)
        yield f"NXM_NX_TUN_METADATA{number}", Field(f"tun_metadata{number}", 992)
    yield from _PARTS


#: spelling -> field
FIELDS: Final[dict[str, Field]] = dict(_spellings())
_FOLDED: Final = {name.lower(): field for name, field in FIELDS.items()}
_SUBFIELD: Final = re.compile(
    r"(?P<name>[A-Za-z]\w*)(?:\[(?:(?P<low>\d{1,3})(?:\.\.(?P<high>\d{1,3}))?)?\])?\Z"
)


#: spelling -> the code that a switch prints, where it is not the first code of the field's row
_OWN_CODE: Final[dict[str, str]] = {
    "udp_src": "NXM_OF_UDP_SRC", "udp_dst": "NXM_OF_UDP_DST", "sctp_src": "OXM_OF_SCTP_SRC",
    "sctp_dst": "OXM_OF_SCTP_DST", "icmpv6_type": "NXM_NX_ICMPV6_TYPE", "icmpv6_code": "NXM_NX_ICMPV6_CODE",
    "nxm_of_udp_src": "NXM_OF_UDP_SRC", "nxm_of_udp_dst": "NXM_OF_UDP_DST",
    "oxm_of_udp_src": "NXM_OF_UDP_SRC",
    "oxm_of_udp_dst": "NXM_OF_UDP_DST", "oxm_of_sctp_src": "OXM_OF_SCTP_SRC",
    "oxm_of_sctp_dst": "OXM_OF_SCTP_DST", "nxm_nx_icmpv6_type": "NXM_NX_ICMPV6_TYPE",
    "oxm_of_icmpv6_type": "NXM_NX_ICMPV6_TYPE", "nxm_nx_icmpv6_code": "NXM_NX_ICMPV6_CODE",
    "oxm_of_icmpv6_code": "NXM_NX_ICMPV6_CODE", "in_port_oxm": "OXM_OF_IN_PORT",
    "oxm_of_in_port": "OXM_OF_IN_PORT", "vlan_vid": "OXM_OF_VLAN_VID", "oxm_of_vlan_vid": "OXM_OF_VLAN_VID",
    "vlan_pcp": "OXM_OF_VLAN_PCP", "oxm_of_vlan_pcp": "OXM_OF_VLAN_PCP", "ip_dscp": "OXM_OF_IP_DSCP",
    "oxm_of_ip_dscp": "OXM_OF_IP_DSCP", "nw_ecn": "NXM_NX_IP_ECN", "ip_ecn": "NXM_NX_IP_ECN",
    "nxm_nx_ip_ecn": "NXM_NX_IP_ECN", "oxm_of_ip_ecn": "NXM_NX_IP_ECN",
}  # fmt: skip


def _codes() -> Iterator[tuple[str, str]]:
    for name, _, _, others, codes in _TABLE:
        given = codes.split()
        for spelling in (name, *others.split(), *given):
            yield spelling.lower(), given[0] if given else name
    for stem, code, count in (
        ("xreg", "OXM_OF_PKT_REG", 8),
        ("xxreg", "NXM_NX_XXREG", 4),
        ("tun_metadata", "NXM_NX_TUN_METADATA", 64),
    ):
        for number in range(count):
            yield f"{stem}{number}", f"{code}{number}"
            yield f"{code}{number}".lower(), f"{code}{number}"
    for number in range(32):
        for spelling in (f"reg{number}", _register_code(number).lower()):
            yield spelling, _register_code(number)
    yield from _OWN_CODE.items()


_CODES: Final = dict(_codes())


def code_of(name: str) -> str:
    """The name in NXM or OXM that a switch prints for a spelling; the spelling if it is not known."""
    return _CODES.get(name.lower(), name)


def field_named(name: str) -> Field | None:
    """The field with a spelling, whatever its case; None if there is none."""
    return FIELDS.get(name) or _FOLDED.get(name.lower())


@lru_cache(maxsize=1024)
def subfield(text: str) -> Subfield:
    """
    Read ``NXM_NX_REG0[]``, ``reg0[0..15]``, ``eth_src`` or ``NXM_OF_VLAN_TCI[12]``.

    :raises ValueError: if the field is not known or does not have these bits.

    >>> subfield("OXM_OF_VLAN_PCP[1..2]")
    Subfield(name='vlan_tci', low=14, high=15, form='number')
    """
    found = _SUBFIELD.match(text.strip())
    field = field_named(found["name"]) if found else None
    if found is None or field is None:
        raise ValueError(text)
    low = int(found["low"] or 0)
    high = int(found["high"] or (low if found["low"] else field.width - 1))
    if not low <= high < field.width:
        raise ValueError(text)
    return Subfield(field.name, low + field.shift, high + field.shift, field.form)
