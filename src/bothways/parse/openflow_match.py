"""
The match of a flow: decoder table per field, shorthands expanded, aliases made one.

Every term becomes one ``Term`` per field that it fixes, all with the text and column of the term as
printed: ``tcp`` becomes ``eth_type=0x800`` and ``ip_proto=6``. VLAN terms become ``vlan_tci``, in which
bit 0x1000 says that a tag is there. ``in_port=NAME`` keeps its text and has no value until
``openflow.resolve_ports`` gives it the number. A term that cannot be read keeps its text, so a flow is
never wider in the model than on the switch without saying so. Source: ovs-fields(7).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from bothways.facts.openflow import Term
from bothways.facts.packet import ETH_ARP, ETH_IP, ETH_IP6
from bothways.facts.span import Kind, Problem, Span
from bothways.parse.openflow_fields import FIELDS, field_named, subfield
from bothways.parse.openflow_lex import Piece, assigned
from bothways.parse.openflow_values import FORMS, number, unquoted
from bothways.parse.reading import quoted

__all__ = ["SHORTHANDS", "plain_term", "read_terms", "renamed"]

_RARP: Final = 0x8035
_VLAN_PRESENT: Final = 0x1000
_NO_VLAN: Final = 0xFFFF  # OFP_VLAN_NONE of OpenFlow 1.0

#: shorthand -> fields that it fixes
SHORTHANDS: Final[Mapping[str, tuple[tuple[str, int], ...]]] = {
    "eth": (),
    "ip": (("eth_type", ETH_IP),),
    "ipv4": (("eth_type", ETH_IP),),
    "ip4": (("eth_type", ETH_IP),),
    "ipv6": (("eth_type", ETH_IP6),),
    "ip6": (("eth_type", ETH_IP6),),
    "icmp": (("eth_type", ETH_IP), ("ip_proto", 1)),
    "icmp6": (("eth_type", ETH_IP6), ("ip_proto", 58)),
    "igmp": (("eth_type", ETH_IP), ("ip_proto", 2)),
    "tcp": (("eth_type", ETH_IP), ("ip_proto", 6)),
    "tcp6": (("eth_type", ETH_IP6), ("ip_proto", 6)),
    "udp": (("eth_type", ETH_IP), ("ip_proto", 17)),
    "udp6": (("eth_type", ETH_IP6), ("ip_proto", 17)),
    "sctp": (("eth_type", ETH_IP), ("ip_proto", 132)),
    "sctp6": (("eth_type", ETH_IP6), ("ip_proto", 132)),
    "arp": (("eth_type", ETH_ARP),),
    "rarp": (("eth_type", _RARP),),
    "mpls": (("eth_type", 0x8847),),
    "mplsm": (("eth_type", 0x8848),),
}
#: IPv4 spellings mean ARP's fields where the type is ARP
_IN_ARP: Final = {"nw_src": "arp_spa", "nw_dst": "arp_tpa", "ip_proto": "arp_op"}
#: OpenFlow 1.0 prints ICMP's type and code as ports
_IN_ICMP: Final = {"tp_src": "icmp_type", "tp_dst": "icmp_code"}


def _dl_vlan(text: str) -> tuple[int, int]:
    vid = number(text)
    if vid == _NO_VLAN:
        return 0, 0xFFFF
    if vid > _NO_VLAN:
        raise ValueError(text)
    return _VLAN_PRESENT | vid & 0xFFF, _VLAN_PRESENT | 0xFFF  # a switch looks at twelve bits only


def _vlan_vid(text: str) -> tuple[int, int]:
    value, slash, mask = text.partition("/")
    full = _VLAN_PRESENT | 0xFFF
    bits = number(mask) & full if slash else full
    return number(value) & bits, bits


def _vlan_pcp(text: str) -> tuple[int, int]:
    pcp = number(text)
    if pcp > 7:  # noqa: PLR2004 - three bits
        raise ValueError(text)
    return _VLAN_PRESENT | pcp << 13, _VLAN_PRESENT | 7 << 13


def _tos(text: str) -> tuple[int, int]:
    tos = number(text)
    if tos & ~0xFC:
        raise ValueError(text)
    return tos, 0xFC


def _dscp(text: str) -> tuple[int, int]:
    dscp = number(text)
    if dscp > 0x3F:  # noqa: PLR2004 - six bits
        raise ValueError(text)
    return dscp << 2, 0xFC


def _ecn(text: str) -> tuple[int, int]:
    ecn = number(text)
    if ecn > 3:  # noqa: PLR2004 - two bits
        raise ValueError(text)
    return ecn, 3


#: spellings whose match is not "these bits of the field equal the value"
_SPECIAL: Final[Mapping[str, tuple[str, Callable[[str], tuple[int, int]], str]]] = {
    "dl_vlan": ("vlan_tci", _dl_vlan, "a VLAN ID from 0 to 4095, or 0xffff for untagged"),
    "vlan_vid": ("vlan_tci", _vlan_vid, "a VLAN ID with bit 0x1000 set, or 0 for untagged"),
    "dl_vlan_pcp": ("vlan_tci", _vlan_pcp, "a priority from 0 to 7"),
    "vlan_pcp": ("vlan_tci", _vlan_pcp, "a priority from 0 to 7"),
    "nw_tos": ("nw_tos", _tos, "a TOS byte whose lower two bits are zero"),
    "ip_dscp": ("nw_tos", _dscp, "a DSCP from 0 to 63"),
    "nw_ecn": ("nw_tos", _ecn, "an ECN from 0 to 3"),
    "ip_ecn": ("nw_tos", _ecn, "an ECN from 0 to 3"),
}
_BY_CODE: Final = {
    "OXM_OF_VLAN_VID": "vlan_vid", "OXM_OF_VLAN_PCP": "vlan_pcp", "OXM_OF_IP_DSCP": "ip_dscp",
    "NXM_NX_IP_ECN": "nw_ecn", "OXM_OF_IP_ECN": "nw_ecn",
}  # fmt: skip


#: spelling -> normalised field, width and decoder, of fields that are matched as they are written
_WHOLE: Final[Mapping[str, tuple[str, int, Callable[[str, int], tuple[int, int | None]]]]] = {
    name: (field.name, field.width, FORMS[field.form].decode)
    for name, field in FIELDS.items()
    if name not in _SPECIAL and not field.shift and field.width == FIELDS[field.name].width
}


def plain_term(text: str, column: int) -> Term | None:
    """A term of the common kind, ``nw_dst=10.0.0.1``; None for any other, and for one that cannot be read."""
    name, _, value = text.partition("=")
    known = _WHOLE.get(name)
    if known is None:
        return None
    try:
        bits, mask = known[2](value, known[1])
    except ValueError:
        return None
    return Term(known[0], bits, mask, text, column)


def read_terms(piece: Piece, line: Span) -> tuple[list[Term], Problem | None]:
    """Read one term; what cannot be read stays as a term without value, and is a problem."""
    text = piece.text
    shorthand = SHORTHANDS.get(text.lower())
    if shorthand is not None:
        return [Term(name, value, None, text, piece.column) for name, value in shorthand], None
    name, equals, value = assigned(text)
    if not equals:
        return [_kept(name, piece)], Problem(
            Kind.UNMODELLED,
            replace(line, column=piece.column),
            f"the match {quoted(text)} is not known, so the flow may match less than it seems",
        )
    special = _SPECIAL.get(_BY_CODE.get(name, name))
    if special is not None:
        field, decode, expects = special
        try:
            bits, mask = decode(value)
        except ValueError:
            return [_kept(field, piece)], _malformed(replace(line, column=piece.column), text, expects)
        return [Term(field, bits & mask, mask, text, piece.column)], None
    return _plain(piece, name, value, line)


def _plain(piece: Piece, name: str, value: str, line: Span) -> tuple[list[Term], Problem | None]:
    try:
        part = subfield(name)
    except ValueError:
        return [_kept(name, piece)], Problem(
            Kind.UNMODELLED,
            replace(line, column=piece.column),
            f"the match field {quoted(name)} is not known, so the flow may match less than it seems",
        )
    field = field_named(part.name)
    whole = field is None or part.width >= field.width
    form = FORMS[part.form if whole else "number"]
    try:
        bits, mask = form.decode(value, part.width)
    except ValueError:
        if part.form == "port" and unquoted(value) and not value[:1].isdigit():
            return [_kept(part.name, piece)], None
        return [_kept(part.name, piece)], _malformed(
            replace(line, column=piece.column), piece.text, form.expects
        )
    if not whole:
        mask = (mask if mask is not None else (1 << part.width) - 1) << part.low
        bits <<= part.low
    return [Term(part.name, bits, mask, piece.text, piece.column)], None


def _kept(name: str, piece: Piece) -> Term:
    return Term(name, None, None, piece.text, piece.column)


def _malformed(place: Span, text: str, expects: str) -> Problem:
    return Problem(Kind.MALFORMED, place, f"cannot read the match {quoted(text)}", f"expected {expects}")


def renamed(terms: list[Term]) -> tuple[Term, ...]:
    """Give IPv4 spellings in ARP matches, and ports in ICMP matches, the names of what they match there."""
    kind = proto = None
    for term in terms:
        if term.mask is None:
            if term.field == "eth_type":
                kind = term.value
            elif term.field == "ip_proto":
                proto = term.value
    if kind in (ETH_ARP, _RARP):
        names = _IN_ARP
    elif (kind, proto) in ((ETH_IP, 1), (ETH_IP6, 58)):
        names = _IN_ICMP
    else:
        return tuple(terms)
    get = names.get
    return tuple(
        [t if (to := get(t.field)) is None else Term(to, t.value, t.mask, t.text, t.column) for t in terms]
    )
