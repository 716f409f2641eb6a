"""
Which options a match or target module has, how many words each takes, and what they decode to.

One row per option. Names that mean the same share one *name* (``--dport`` and ``--destination-port``).
Sources: iptables-extensions(8), the ``libxt_*.c`` of iptables 1.8.9 for spellings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from bothways.parse import iptables_values as value

__all__ = ["BUILTIN", "COMBINED", "MATCHES", "PRESENT", "TARGETS", "VERDICTS", "Option"]


@dataclass(frozen=True, slots=True)
class Option:
    """
    One option of one module.

    :param words: how many words follow it.
    :param optional: True if its words may be missing, where another option follows.
    :param fixed: the value of an option that takes none and stands for one (``--syn``).
    """

    name: str
    decode: Callable[..., object]
    words: int = 1
    fixed: tuple[str, ...] = ()
    optional: bool = False


def _table(*rows: tuple[str, Callable[..., object], int]) -> dict[str, Option]:
    """Rows of (spellings, decoder, words); the first spelling is the name."""
    options = {}
    for spellings, decode, words in rows:
        names = spellings.split()
        for spelling in names:
            options[spelling] = Option(names[0], decode, words)
    return options


def _flags(spellings: str) -> dict[str, Option]:
    return {name: Option(name, value.flag, 0) for name in spellings.split()}


def _texts(spellings: str) -> dict[str, Option]:
    return {name: Option(name, value.text) for name in spellings.split()}


def _integers(spellings: str) -> dict[str, Option]:
    return {name: Option(name, value.integer) for name in spellings.split()}


_PORTS: Final = _table(
    ("sport source-port", value.port_span, 1),
    ("dport destination-port", value.port_span, 1),
)
_RANGES: Final = value.integer_range

#: Options without a module.
BUILTIN: Final[Mapping[str, Option]] = MappingProxyType(
    {
        "-s": Option("source", value.network_of),
        "-d": Option("destination", value.network_of),
        "-i": Option("in-interface", value.text),
        "-o": Option("out-interface", value.text),
        "-p": Option("protocol", value.protocol),
        "-f": Option("fragment", value.flag, 0),
        "--source": Option("source", value.network_of),
        "--src": Option("source", value.network_of),
        "--destination": Option("destination", value.network_of),
        "--dst": Option("destination", value.network_of),
        "--in-interface": Option("in-interface", value.text),
        "--out-interface": Option("out-interface", value.text),
        "--protocol": Option("protocol", value.protocol),
        "--proto": Option("protocol", value.protocol),
        "--fragment": Option("fragment", value.flag, 0),
    }
)

MATCHES: Final[Mapping[str, Mapping[str, Option]]] = MappingProxyType({
    "tcp": {
        **_PORTS,
        "tcp-flags": Option("tcp-flags", value.tcp_flags, 2),
        "syn": Option("tcp-flags", value.tcp_flags, 0, fixed=("FIN,SYN,RST,ACK", "SYN")),
        "tcp-option": Option("tcp-option", value.integer),
    },
    "udp": _PORTS,
    "udplite": _PORTS,
    "sctp": {**_PORTS, "chunk-types": Option("chunk-types", value.words, 2)},
    "dccp": {**_PORTS, **_texts("dccp-types"), **_integers("dccp-option")},
    "multiport": _table(
        ("sports source-ports", value.port_list, 1),
        ("dports destination-ports", value.port_list, 1),
        ("ports", value.port_list, 1),
    ),
    "icmp": _table(("icmp-type", value.icmp_type, 1)),
    "icmp6": _table(("icmpv6-type icmp6-type", value.icmp6_type, 1)),
    "icmpv6": _table(("icmpv6-type icmp6-type", value.icmp6_type, 1)),
    "mark": _table(("mark", value.mark, 1)),
    "connmark": _table(("mark", value.mark, 1)),
    "conntrack": _table(
        ("ctstate", value.upper_set, 1),
        ("ctproto", value.protocol, 1),
        ("ctorigsrc", value.network_of, 1),
        ("ctorigdst", value.network_of, 1),
        ("ctreplsrc", value.network_of, 1),
        ("ctrepldst", value.network_of, 1),
        ("ctorigsrcport", value.port_span, 1),
        ("ctorigdstport", value.port_span, 1),
        ("ctreplsrcport", value.port_span, 1),
        ("ctrepldstport", value.port_span, 1),
        ("ctstatus", value.upper_set, 1),
        ("ctexpire", _RANGES, 1),
        ("ctdir", str.upper, 1),
    ),
    "state": _table(("state", value.upper_set, 1)),
    "comment": _texts("comment"),
    "addrtype": {
        **_table(("src-type", value.upper_set, 1), ("dst-type", value.upper_set, 1)),
        **_flags("limit-iface-in limit-iface-out"),
    },
    "mac": _table(("mac-source", value.mac_address, 1)),
    "physdev": {
        **_texts("physdev-in physdev-out"),
        **_flags("physdev-is-in physdev-is-out physdev-is-bridged"),
    },
    "limit": {**_table(("limit", value.rate, 1)), **_integers("limit-burst")},
    "hashlimit": {
        **_texts(
            "hashlimit hashlimit-upto hashlimit-above hashlimit-mode hashlimit-name hashlimit-burst "
            "hashlimit-rate-interval"
        ),
        **_integers(
            "hashlimit-srcmask hashlimit-dstmask hashlimit-htable-size hashlimit-htable-max "
            "hashlimit-htable-expire hashlimit-htable-gcinterval"
        ),
        **_flags("hashlimit-rate-match"),
    },
    "set": {
        **_table(("match-set set", value.set_reference, 2)),
        **_flags("return-nomatch update-counters update-subcounters"),
        **_integers("packets-eq packets-lt packets-gt bytes-eq bytes-lt bytes-gt"),
    },
    "statistic": {
        **_texts("mode"),
        **_table(("probability", value.real, 1)),
        **_integers("every packet"),
    },
    "string": {
        **_texts("string hex-string algo"),
        **_integers("from to"),
        **_flags("icase"),
    },
    "owner": {**_texts("uid-owner gid-owner"), **_flags("socket-exists suppl-groups")},
    "pkttype": _table(("pkt-type", value.lower, 1)),
    "ttl": {**_table(("ttl-eq ttl", value.integer, 1)), **_integers("ttl-gt ttl-lt")},
    "hl": _integers("hl-eq hl-gt hl-lt"),
    "dscp": {**_integers("dscp"), **_texts("dscp-class")},
    "tos": _texts("tos"),
    "length": _table(("length", value.short_range, 1)),
    "iprange": _table(("src-range", value.address_range, 1), ("dst-range", value.address_range, 1)),
    "recent": {
        **_flags("set rcheck update remove rsource rdest rttl reap"),
        **_texts("name mask"),
        **_integers("seconds hitcount"),
    },
    "connlimit": {
        **_integers("connlimit-above connlimit-upto connlimit-mask"),
        **_flags("connlimit-saddr connlimit-daddr"),
    },
    "connbytes": {**_table(("connbytes", _RANGES, 1)), **_texts("connbytes-dir connbytes-mode")},
    "connlabel": {**_texts("label"), **_flags("set")},
    "quota": _integers("quota"),
    "time": {
        **_texts("timestart timestop datestart datestop monthdays weekdays days"),
        **_flags("kerneltz contiguous utc localtz"),
    },
    "policy": {
        **_texts("dir pol reqid spi proto mode tunnel-src tunnel-dst"),
        **_flags("strict next"),
    },
    "rpfilter": _flags("loose validmark accept-local invert"),
    "socket": _flags("transparent nowildcard restore-skmark"),
    "helper": _texts("helper"),
    "esp": _table(("espspi", _RANGES, 1)),
    "ah": {**_table(("ahspi", _RANGES, 1)), **_integers("ahlen"), **_flags("ahres")},
    "ecn": {**_flags("ecn-tcp-cwr ecn-tcp-ece"), **_integers("ecn-ip-ect")},
    "tcpmss": _table(("mss", value.short_range, 1)),
    "realm": _table(("realm", value.mark, 1)),
    "cpu": _integers("cpu"),
    "cgroup": _texts("cgroup path"),
    "bpf": _texts("bytecode object-pinned"),
    "u32": _texts("u32"),
    "devgroup": _table(("src-group", value.group, 1), ("dst-group", value.group, 1)),
    "nfacct": _texts("nfacct-name"),
    "ipvs": {
        **_flags("ipvs"),
        **_table(("vproto", value.protocol, 1), ("vaddr", value.network_of, 1), ("vport", value.one_port, 1)),
        **_texts("vdir vmethod"),
        **_table(("vportctl", value.one_port, 1)),
    },
    "ipv6header": {**_texts("header"), **_flags("soft")},
    "frag": {
        **_table(("fragid", _RANGES, 1)),
        **_integers("fraglen"),
        **_flags("fragres fragfirst fragmore fraglast"),
    },
    "hbh": {**_integers("hbh-len"), **_texts("hbh-opts")},
    "dst": {**_integers("dst-len"), **_texts("dst-opts")},
    "rt": {**_integers("rt-type rt-len"), **_table(("rt-segsleft", _RANGES, 1)), **_flags("rt-0-res")},
    "mh": _texts("mh-type"),
    "eui64": {},
    "ipcomp": _table(("ipcompspi", _RANGES, 1)),
    "osf": _texts("genre ttl log"),
    "rateest": {
        **_texts(
            "rateest rateest1 rateest2 rateest-bps1 rateest-bps2 rateest-pps1 rateest-pps2"
        ),
        **{name: Option(name, value.text, optional=True) for name in ("rateest-bps", "rateest-pps")},
        **_flags("rateest-delta rateest-lt rateest-gt rateest-eq"),
    },
    "srh": _texts(
        "srh-next-hdr srh-hdr-len-eq srh-hdr-len-gt srh-hdr-len-lt srh-segs-left-eq srh-segs-left-gt "
        "srh-segs-left-lt srh-last-entry-eq srh-last-entry-gt srh-last-entry-lt srh-tag srh-psid srh-nsid "
        "srh-lsid"
    ),
    "cluster": _integers("cluster-total-nodes cluster-local-node cluster-local-nodemask cluster-hash-seed"),
})  # fmt: skip

#: Modules whose options make one condition together, and which match also without any: one match, named
#: ``MODULE.MODULE``, whose value is the frozenset of the given flags.
COMBINED: Final = frozenset({"rpfilter", "socket", "eui64"})
#: Modules that match packets with their header, also where no option asks for more: then ``MODULE.MODULE``.
PRESENT: Final = frozenset({"ah", "esp", "frag", "hbh", "dst", "rt", "mh", "srh", "ipcomp"})

_NAT: Final = {**_flags("random random-fully persistent")}
_MARKS: Final = {
    **_table(("set-xmark", value.mark, 1), ("set-mark", value.mark, 1)),
    "and-mark": Option("set-xmark", value.mask_only),
    "or-mark": Option("set-xmark", value.or_mark),
    "xor-mark": Option("set-xmark", value.xor_mark),
}

#: Verdicts and targets without options, by name, and those with, by option.
VERDICTS: Final = frozenset({"ACCEPT", "DROP", "RETURN", "QUEUE"})

TARGETS: Final[Mapping[str, Mapping[str, Option]]] = MappingProxyType({
    **dict.fromkeys(VERDICTS, MappingProxyType({})),
    "NOTRACK": {},
    "TRACE": {},
    "REJECT": _texts("reject-with"),
    "DNAT": {**_NAT, **_table(("to-destination", value.target_range, 1))},
    "SNAT": {**_NAT, **_table(("to-source", value.target_range, 1))},
    "MASQUERADE": {**_NAT, **_table(("to-ports", value.dash_ports, 1))},
    "REDIRECT": {**_NAT, **_table(("to-ports", value.dash_ports, 1))},
    "NETMAP": _table(("to", value.network_or_address, 1)),
    "MARK": _MARKS,
    "CONNMARK": {
        **_MARKS,
        **_flags("save-mark restore-mark"),
        **_integers("nfmask ctmask mask left-shift-mark right-shift-mark"),
    },
    "CT": {
        **_flags("notrack"),
        **_table(("zone", value.zone, 1)),
        **_texts("helper ctevents expevents timeout zone-orig zone-reply"),
    },
    "TPROXY": _table(
        ("on-port", value.one_port, 1), ("on-ip", value.address_range, 1), ("tproxy-mark", value.mark, 1)
    ),
    "LOG": {
        **_texts("log-prefix log-level"),
        **_flags("log-tcp-sequence log-tcp-options log-ip-options log-uid log-macdecode"),
    },
    "NFLOG": {**_texts("nflog-prefix"), **_integers("nflog-group nflog-range nflog-size nflog-threshold")},
    "ULOG": {**_texts("ulog-prefix"), **_integers("ulog-nlgroup ulog-cprange ulog-qthreshold")},
    "NFQUEUE": {
        **_integers("queue-num"),
        **_table(("queue-balance", value.short_range, 1)),
        **_flags("queue-bypass queue-cpu-fanout"),
    },
    "TCPMSS": {**_integers("set-mss"), **_flags("clamp-mss-to-pmtu")},
    "TCPOPTSTRIP": _texts("strip-options"),
    "CHECKSUM": _flags("checksum-fill"),
    "DSCP": {**_integers("set-dscp"), **_texts("set-dscp-class")},
    "TOS": _texts("set-tos and-tos or-tos xor-tos"),
    "TTL": _integers("ttl-set ttl-dec ttl-inc"),
    "HL": _integers("hl-set hl-dec hl-inc"),
    "CLASSIFY": _texts("set-class"),
    "SET": {
        **_table(("add-set", value.set_reference, 2), ("del-set", value.set_reference, 2)),
        **_table(("map-set", value.set_reference, 2)),
        **_flags("exist map-mark map-prio map-queue"),
        **_integers("timeout"),
    },
    "TEE": _texts("gateway oif"),
    "SYNPROXY": {**_flags("sack-perm timestamp"), **_integers("wscale mss"), **_flags("ecn")},
    "AUDIT": _texts("type"),
    "SECMARK": _texts("selctx"),
    "CONNSECMARK": _flags("save restore"),
    "ECN": _flags("ecn-tcp-remove"),
    "HMARK": _texts(
        "hmark-tuple hmark-mod hmark-offset hmark-src-prefix hmark-dst-prefix hmark-sport-mask "
        "hmark-dport-mask hmark-spi-mask hmark-sport hmark-dport hmark-spi hmark-proto-mask hmark-rnd"
    ),
    "DNPT": _texts("src-pfx dst-pfx"),
    "SNPT": _texts("src-pfx dst-pfx"),
    "CLUSTERIP": {**_flags("new"), **_texts("hashmode clustermac total-nodes local-node hash-init")},
    "IDLETIMER": {**_integers("timeout"), **_texts("label"), **_flags("alarm")},
    "LED": {**_texts("led-trigger-id led-delay"), **_flags("led-always-blink")},
    "RATEEST": _texts("rateest-name rateest-interval rateest-ewmalog"),
})  # fmt: skip
