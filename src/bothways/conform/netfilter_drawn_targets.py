"""Targets of iptables that `conform netfilter` draws: one row each, as in ``netfilter_drawn_matches``."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Final

from bothways.conform.netfilter_drawn_matches import Drawable
from bothways.conform.netfilter_place import Place

__all__ = ["TARGETS"]

_BEFORE: Final = ("PREROUTING", "OUTPUT")
_REJECTS4: Final = ("net", "host", "proto", "port")
_PROHIBITED: Final = ("net-prohibited", "host-prohibited", "admin-prohibited")
_REJECTS: Final[Mapping[int, tuple[str, ...]]] = {
    4: tuple(f"icmp-{each}" for each in (*(f"{one}-unreachable" for one in _REJECTS4), *_PROHIBITED)),
    6: tuple(
        f"icmp6-{each}"
        for each in (
            "no-route",
            "adm-prohibited",
            "addr-unreachable",
            "port-unreachable",
            "policy-fail",
            "reject-route",
        )
    ),
}


def _mark(chance: Random) -> str:
    return chance.choice(
        (
            "--set-xmark 0x1/0xffffffff", "--set-mark 0x2", "--set-xmark 0x10/0xf0", "--or-mark 0x3",
            "--and-mark 0x1", "--xor-mark 0x3",
        )
    )  # fmt: skip


def _connmark(chance: Random) -> str:
    return chance.choice(
        (
            "--save-mark", "--restore-mark", "--set-xmark 0x1/0xffffffff", "--set-mark 0x2/0x3",
            "--save-mark --nfmask 0x3 --ctmask 0xf", "--restore-mark --nfmask 0xf --ctmask 0x3",
            "--or-mark 0x10",
        )
    )  # fmt: skip


def _to(address: str, place: Place) -> str:
    return f"[{address}]" if place.version == 6 else address


def _ported(chance: Random, address: str, place: Place) -> str:
    port = chance.choice(("80", "8080", "443", "300-302"))
    return f"{_to(address, place)}:{port}"


def _destination(chance: Random, place: Place) -> str:
    return chance.choice((*place.stations, *place.stations, *place.own, *place.remote))


def _source(chance: Random, place: Place) -> str:
    return chance.choice((*place.own, *place.own, *place.stations))


_PORTED: Final = {"tcp": "tcp", "udp": "udp"}

#: name -> row
TARGETS: Final[Mapping[str, Drawable]] = {
    "ACCEPT": Drawable(lambda _, __: "-j ACCEPT", weight=4),
    "DROP": Drawable(lambda _, __: "-j DROP", weight=3),
    "RETURN": Drawable(lambda _, __: "-j RETURN", weight=2),
    "": Drawable(lambda _, __: "", weight=0.3),
    "REJECT": Drawable(
        lambda c, p: "-j REJECT --reject-with " + c.choice(_REJECTS[p.version]),
        hooks=("INPUT", "FORWARD", "OUTPUT"),
        tables=("filter",),
        weight=4,
    ),
    "REJECT tcp-reset": Drawable(
        lambda _, __: "-j REJECT --reject-with tcp-reset",
        "tcp",
        hooks=("INPUT", "FORWARD", "OUTPUT"),
        tables=("filter",),
        weight=4,
    ),
    "MARK": Drawable(lambda c, _: "-j MARK " + _mark(c), tables=("mangle",), weight=6),
    "CONNMARK": Drawable(lambda c, _: "-j CONNMARK " + _connmark(c), tables=("mangle",), weight=4),
    "TTL": Drawable(
        lambda c, _: (
            "-j TTL " + c.choice(("--ttl-set 5", "--ttl-dec 1", "--ttl-inc 3", "--ttl-set 1", "--ttl-dec 2"))
        ),
        versions=(4,),
        tables=("mangle",),
        weight=2,
    ),
    "HL": Drawable(
        lambda c, _: "-j HL " + c.choice(("--hl-set 5", "--hl-dec 1", "--hl-inc 3", "--hl-set 1")),
        versions=(6,),
        tables=("mangle",),
        weight=2,
    ),
    "DSCP": Drawable(
        lambda c, _: "-j DSCP --set-dscp " + c.choice(("0x0a", "0x00", "0x2e")),
        tables=("mangle",),
        weight=1.5,
    ),
    "TOS": Drawable(
        lambda c, _: "-j TOS --set-tos " + c.choice(("0x10/0x3f", "0x00/0xff", "0x28/0xfc")),
        tables=("mangle",),
    ),
    "ECN": Drawable(
        lambda _, __: "-j ECN --ecn-tcp-remove", "tcp", versions=(4,), tables=("mangle",), weight=0.4
    ),
    "TCPMSS": Drawable(
        lambda c, _: "-m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss " + c.choice(("1000", "536")),
        "tcp",
        tables=("mangle",),
    ),
    "TCPMSS clamp": Drawable(
        lambda _, __: "-m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu",
        "tcp",
        hooks=("FORWARD", "OUTPUT", "POSTROUTING"),
        tables=("mangle",),
        weight=0.7,
    ),
    "CLASSIFY": Drawable(
        lambda _, __: "-j CLASSIFY --set-class 1:1",
        hooks=("FORWARD", "OUTPUT", "POSTROUTING"),
        tables=("mangle",),
        weight=0.4,
    ),
    "LOG": Drawable(lambda _, __: '-j LOG --log-prefix "seen: "', weight=0.4),
    "NFLOG": Drawable(lambda _, __: "-j NFLOG --nflog-group 7", weight=0.6),
    "TRACE": Drawable(lambda _, __: "-j TRACE", tables=("raw",), weight=0.3),
    "NOTRACK": Drawable(lambda _, __: "-j CT --notrack", hooks=_BEFORE, tables=("raw",), weight=4),
    "CT zone": Drawable(
        lambda c, _: "-j CT --zone " + c.choice(("3", "7")), hooks=_BEFORE, tables=("raw",), weight=2
    ),
    "CT zone-orig": Drawable(
        lambda c, _: f"-j CT --zone-{c.choice(('orig', 'reply'))} {c.choice(('3', '7'))}",
        hooks=_BEFORE,
        tables=("raw",),
        weight=0.7,
    ),
    "DNAT": Drawable(
        lambda c, p: "-j DNAT --to-destination " + _destination(c, p),
        hooks=_BEFORE,
        tables=("nat",),
        weight=8,
    ),
    "DNAT tcp": Drawable(
        lambda c, p: "-j DNAT --to-destination " + _ported(c, _destination(c, p), p),
        "tcp",
        hooks=_BEFORE,
        tables=("nat",),
        weight=8,
    ),
    "REDIRECT": Drawable(lambda _, __: "-j REDIRECT", hooks=_BEFORE, tables=("nat",), weight=4),
    "REDIRECT udp": Drawable(
        lambda c, _: "-j REDIRECT --to-ports " + c.choice(("53", "5000-5002")),
        "udp",
        hooks=_BEFORE,
        tables=("nat",),
        weight=4,
    ),
    "NETMAP": Drawable(
        lambda c, p: "-j NETMAP --to " + c.choice(p.networks[1:3]),
        hooks=("PREROUTING", "OUTPUT", "POSTROUTING", "INPUT"),
        tables=("nat",),
        weight=1,
    ),
    "SNAT": Drawable(
        lambda c, p: "-j SNAT --to-source " + _source(c, p),
        hooks=("POSTROUTING", "INPUT"),
        tables=("nat",),
        weight=8,
    ),
    "SNAT udp": Drawable(
        lambda c, p: "-j SNAT --to-source " + _to(_source(c, p), p) + ":500-510",
        "udp",
        hooks=("POSTROUTING", "INPUT"),
        tables=("nat",),
        weight=4,
    ),
    "MASQUERADE": Drawable(lambda _, __: "-j MASQUERADE", hooks=("POSTROUTING",), tables=("nat",), weight=8),
}
