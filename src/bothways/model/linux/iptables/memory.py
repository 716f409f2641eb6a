"""
Conditions on what the kernel counts and remembers beside connections: rates, quotas, addresses, time.

No dump shows it, so the answer is open, and the reason is told. What can be said is: ``recent --set`` always
holds, parameters of a condition are no condition of their own. Sources: ``net/netfilter/xt_limit.c``,
``xt_hashlimit.c``, ``xt_recent.c``, ``xt_connlimit.c``, ``xt_quota.c``, ``xt_time.c``, ``xt_string.c``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bothways.facts.iptables import Match, Rule
from bothways.model.linux.iptables.condition import Fulfils
from bothways.model.linux.iptables.probe import Probe

__all__ = ["MEMORY", "REASONS", "likely"]

#: Module -> what decides and is not in any dump.
REASONS: Final[Mapping[str, str]] = {
    "limit": "how many packets came before",
    "hashlimit": "how many packets came before",
    "rateest": "the rate that was measured",
    "quota": "how much of the quota is used up",
    "nfacct": "how much was counted",
    "recent": "which addresses the list holds",
    "connlimit": "how many connections there are",
    "connbytes": "how much the connection has carried",
    "connlabel": "the labels of the connection",
    "time": "the time of day",
    "statistic": "chance, or how many packets came before",
    "string": "the payload",
    "u32": "the bytes of the packet",
    "bpf": "the bytes of the packet",
    "socket": "the sockets of the namespace",
    "owner": "who owns the socket",
    "cgroup": "who owns the socket",
    "cpu": "which CPU takes the packet",
    "cluster": "a hash that is not modelled",
    "ipvs": "what IPVS did to the packet",
    "devgroup": "the group of the device",
    "realm": "the realm of the route",
    "conntrack": "when the connection expires",
    "osf": "the fingerprint of the sender",
    "hbh": "the extension headers",
    "dst": "the extension headers",
    "rt": "the extension headers",
    "srh": "the extension headers",
    "ipv6header": "the extension headers",
    "eui64": "the sender's MAC",
    "set": "the set was not collected, or changes",
}
#: Options that only say how others are meant.
_PARAMETERS: Final[Mapping[str, tuple[str, ...]]] = {
    "hashlimit": (
        "hashlimit-mode", "hashlimit-name", "hashlimit-burst", "hashlimit-rate-interval", "hashlimit-srcmask",
        "hashlimit-dstmask", "hashlimit-htable-size", "hashlimit-htable-max", "hashlimit-htable-expire",
        "hashlimit-htable-gcinterval", "hashlimit-rate-match",
    ),
    "recent": ("rsource", "rdest", "name", "mask", "seconds", "hitcount", "rttl", "reap"),
    "connlimit": ("connlimit-mask", "connlimit-saddr", "connlimit-daddr"),
    "connbytes": ("connbytes-dir", "connbytes-mode"),
    "connlabel": ("set",),
    "time": ("kerneltz", "contiguous", "utc", "localtz"),
    "statistic": ("every", "packet"),
    "string": ("algo", "from", "to", "icase"),
    "owner": ("suppl-groups",),
    "policy": ("strict", "next", "reqid", "spi", "proto", "mode", "tunnel-src", "tunnel-dst"),
    "cluster": ("cluster-local-node", "cluster-local-nodemask", "cluster-hash-seed"),
    "set": ("update-counters", "update-subcounters"),
    "osf": ("ttl", "log"),
    "ipv6header": ("soft",),
    "rateest": (
        "rateest-delta", "rateest1", "rateest2", "rateest-bps", "rateest-bps1", "rateest-bps2", "rateest-pps",
        "rateest-pps1", "rateest-pps2",
    ),
    "ipvs": ("vproto", "vaddr", "vport", "vdir", "vmethod", "vportctl"),
}  # fmt: skip
#: Options that decide, and whose answer is open.
_OPEN: Final[Mapping[str, tuple[str, ...]]] = {
    "limit": ("limit",),
    "hashlimit": ("hashlimit", "hashlimit-upto", "hashlimit-above"),
    "rateest": ("rateest", "rateest-lt", "rateest-gt", "rateest-eq"),
    "quota": ("quota",),
    "nfacct": ("nfacct-name",),
    "recent": ("rcheck", "update", "remove"),
    "connlimit": ("connlimit-above", "connlimit-upto"),
    "connbytes": ("connbytes",),
    "connlabel": ("label",),
    "time": ("timestart", "timestop", "datestart", "datestop", "monthdays", "weekdays", "days"),
    "u32": ("u32",),
    "bpf": ("bytecode", "object-pinned"),
    "socket": ("socket",),
    "cpu": ("cpu",),
    "cluster": ("cluster-total-nodes",),
    "ipvs": ("ipvs",),
    "conntrack": ("ctexpire",),
    "osf": ("genre",),
    "hbh": ("hbh-len", "hbh-opts", "hbh"),
    "dst": ("dst-len", "dst-opts", "dst"),
    "rt": ("rt-type", "rt-segsleft", "rt-len", "rt-0-res", "rt"),
    "ipv6header": ("header",),
    "srh": (
        "srh", "srh-next-hdr", "srh-hdr-len-eq", "srh-hdr-len-gt", "srh-hdr-len-lt", "srh-segs-left-eq",
        "srh-segs-left-gt", "srh-segs-left-lt", "srh-last-entry-eq", "srh-last-entry-gt", "srh-last-entry-lt",
        "srh-tag", "srh-psid", "srh-nsid", "srh-lsid",
    ),
    "eui64": ("eui64",),
    "set": ("packets-eq", "packets-lt", "packets-gt", "bytes-eq", "bytes-lt", "bytes-gt"),
}  # fmt: skip
#: Modules and options that one connection by itself most likely passes.
_PASSED: Final = frozenset(
    {
        "limit",
        "quota",
        "time",
        "hashlimit-upto",
        "hashlimit",
        "connlimit-upto",
        "rateest-lt",
        "weekdays",
        "days",
    }
)


def likely(match: Match) -> bool:
    """Whether one connection by itself, among few, most likely fulfils an open condition."""
    module, _, option = match.name.partition(".")
    return (module in _PASSED or option in _PASSED) is not match.negate


def _open(_: Probe, __: Match, ___: Rule) -> bool | None:
    return None


def _parameter(_: Probe, __: Match, ___: Rule) -> bool | None:
    return True


def _remembered(_: Probe, match: Match, __: Rule) -> bool | None:
    """``recent --set`` notes the address and holds."""
    return not match.negate


def _helper(_: Probe, match: Match, __: Rule) -> bool | None:
    """Only connections that a helper expected have one, and helpers are not modelled."""
    return match.negate


def _group(probe: Probe, _: Match, __: Rule) -> bool | None:
    """Control groups: packets that came from outside have no socket, and fail whatever ``!`` says."""
    return None if probe.mine else False


def _string(probe: Probe, match: Match, rule: Rule) -> bool | None:
    """A pattern cannot stand in a packet that is shorter than it, behind where the search begins."""
    length = probe.packet.length
    begins = next((m.value for m in rule.matches if m.name == "string.from"), 0)
    if length is None or not isinstance(match.value, str) or not isinstance(begins, int):
        return None
    plain = match.name == "string.string"
    return match.negate if plain and length - 14 - begins < len(match.value) else None


#: match name of ``parse.iptables`` -> row
MEMORY: Final[Mapping[str, Fulfils]] = {
    **{f"{module}.{option}": _open for module, options in _OPEN.items() for option in options},
    **{f"{module}.{option}": _parameter for module, options in _PARAMETERS.items() for option in options},
    "recent.set": _remembered,
    "helper.helper": _helper,
    "cgroup.cgroup": _group,
    "cgroup.path": _group,
    "string.string": _string,
    "string.hex-string": _string,
}
