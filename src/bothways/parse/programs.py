"""
Programs whose output is evidence: by their words, which format they print, and of what.

One row a program. None as the answer means that this call prints nothing of use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from bothways.parse.tcpdump_options import read_options

__all__ = ["PROGRAMS", "Output"]


@dataclass(frozen=True, slots=True)
class Output:
    """
    What a command prints.

    :param kind: a key of ``text_format.FORMATS``; "" if the format has to be found by its content; ``unread``
        for a tool of the trade whose output is not read.
    :param switch: True if it speaks of Open vSwitch and not of a namespace.
    :param bridge: the bridge that it names.
    :param device: the device of a capture, "" if the command names none.
    :param filter: of a capture; None if what was recorded cannot be told from the command.
    :param view: the words that ask for a part only, None if for all.
    :param wrote: the file that a capture was written to.
    :param opened: the file that a capture or text was read from.
    :param instead: for ``unread``: the command whose output is read.
    """

    kind: str
    switch: bool = False
    bridge: str | None = None
    device: str = ""
    filter: str | None = None
    view: str | None = None
    wrote: str | None = None
    opened: str | None = None
    instead: str = ""


#: Objects of ``ip``, by every abbreviation from the shortest (ip(8): the first that fits, in its own order).
_IP_OBJECTS: Final = (
    ("address", "addr"), ("addrlabel", ""), ("route", "route"), ("rule", "rule"), ("neighbor", "neigh"),
    ("neighbour", "neigh"), ("ntable", ""), ("ntbl", ""), ("link", "link"),
)  # fmt: skip
_SHOWING: Final = frozenset({"show", "list", "lst", "ls", "l", "s", "sh", "sho", "li", "lis"})
#: What follows ``show`` and takes nothing away.
_ALL_OF_IT: Final = frozenset({"table", "all", "cache", "permanent"})


def _ip(words: list[str]) -> Output | None:
    at = 1
    options = []
    while at < len(words) and words[at].startswith("-"):
        options.append(words[at])
        at += 1 + (words[at] in ("-f", "-family", "-l", "-loops", "-rc", "-rcvbuf"))
    rest = words[at:]
    name = rest[0] if rest else ""
    kind = next((kind for word, kind in _IP_OBJECTS if name and word.startswith(name)), "")
    if name and "xfrm".startswith(name):
        return _xfrm(words)
    if not kind or (len(rest) > 1 and rest[1] not in _SHOWING):
        return None
    asked = rest[2:]
    whole = not asked or (kind == "route" and asked == ["table", "all"])
    if kind in ("route", "rule") and "-6" in options:
        return Output(f"{kind}6", view=None if whole else " ".join(words))
    one_family = {"-4", "-6", "-0"} & set(options) and not (kind == "rule" and "-4" in options)
    return Output(kind, view=" ".join(words) if one_family or not whole else None)


def _bridge(words: list[str]) -> Output | None:
    rest = [word for word in words[1:] if not word.startswith("-")]
    kind = next((kind for kind in ("fdb", "vlan") if rest and kind.startswith(rest[0])), None)
    if kind is None:
        return None
    asked = rest[2:] if len(rest) > 1 and rest[1] in _SHOWING else rest[1:]
    return Output(kind, view=" ".join(words) if asked else None)


def _iptables_save(words: list[str]) -> Output | None:
    kind = "ip6tables" if words[0].startswith("ip6") else "iptables"
    kind += "-legacy" if "legacy" in words[0] else ""
    partial = any(word.startswith(("-t", "--table")) for word in words[1:])
    return Output(kind, view=" ".join(words) if partial else None)


def _iptables(words: list[str]) -> Output | None:
    kind = "ip6tables" if words[0].startswith("ip6") else "iptables"
    if any(word in ("-S", "--list-rules", "-vS", "-Sv") for word in words[1:]):
        # Of one table only, the filter table if none is named.
        return Output(kind, view=" ".join(words))
    if any(re.fullmatch(r"-[a-zA-Z]*L[a-z]*|--list", word) for word in words[1:]):
        return Output("unread", instead=f"{words[0]}-save -c")
    return None


def _nft(words: list[str]) -> Output | None:
    rest = [word for word in words[1:] if not word.startswith("-")]
    if len(rest) < 2 or rest[0] not in ("list", "l"):  # noqa: PLR2004 (list ruleset)
        return None
    if rest[1] == "hooks":
        return Output("hooks", view=None if len(rest) == 2 else " ".join(words))  # noqa: PLR2004 (list hooks)
    return Output("nft", view=None if rest[1:] == ["ruleset"] else " ".join(words))


_CONNTRACK: Final = (
    (frozenset({"-L", "--dump"}), "conntrack"),
    (frozenset({"-G", "--get"}), "conntrack"),
    (frozenset({"-E", "--event"}), "conntrack-events"),
    (frozenset({"-S", "--stats"}), "conntrack-stats"),
)
#: Options that choose how entries are printed, and those of them that take a word.
_CONNTRACK_PRINT: Final = frozenset({"-o", "--output", "-f", "--family", "-b", "--buffer-size"})


def _conntrack(words: list[str]) -> Output | None:
    kind = next((kind for options, kind in _CONNTRACK if options & set(words)), None)
    if kind is None:
        return None
    rest = words[1:]
    asked = []
    while rest:
        word = rest.pop(0)
        if word in _CONNTRACK_PRINT:
            rest = rest[1:]
        elif word not in {w for options, _ in _CONNTRACK for w in options} | {"conntrack", "--any-nat"}:
            asked.append(word)
    return Output(kind, view=" ".join(words) if asked else None)


def _ss(words: list[str]) -> Output | None:
    if any(word in ("-s", "--summary") for word in words[1:]):
        return None
    letters = "".join(word[1:] for word in words[1:] if re.fullmatch(r"-[a-zA-Z0-9]+", word))
    names = {word for word in words[1:] if not word.startswith("-")}
    # `ss` without -l or -a shows no listening sockets; -t, -u, -4 and -6 choose families.
    partial = bool(names) or not {"l", "a"} & set(letters)
    return Output("ss", view=" ".join(words) if partial else None)


def _sysctl(words: list[str]) -> Output | None:
    rest = [word for word in words[1:] if not word.startswith("-")]
    whole = any(word in ("-a", "-A", "--all") for word in words[1:]) and not any(
        "pattern" in w for w in words
    )
    if any(word in ("-w", "-p", "--write", "--load") for word in words[1:]) or any(
        "=" in word for word in rest
    ):
        return None
    return Output("sysctl", view=None if whole or rest == ["net"] else " ".join(words))


#: Options of ``ovs-ofctl`` and its family that take a word.
_OVS_VALUED: Final = ("-O", "-F", "-t", "-m")


def _ovs_words(words: list[str]) -> list[str]:
    rest: list[str] = []
    at = 1
    while at < len(words):
        word = words[at]
        at += 1
        if word.startswith("-"):
            at += word in _OVS_VALUED
        else:
            rest.append(word)
    return rest


def _ofctl(words: list[str]) -> Output | None:
    match _ovs_words(words):
        case ["dump-flows" | "dump-flow", bridge, *match]:
            return Output("flows", switch=True, bridge=bridge, view=" ".join(match) or None)
        case ["show" | "dump-ports-desc", bridge]:
            return Output("ports", switch=True, bridge=bridge)
        case ["dump-groups", bridge]:
            return Output("groups", switch=True, bridge=bridge)
        case ["dump-tlv-map", bridge]:
            return Output("tlv-map", switch=True, bridge=bridge)
    return None


def _appctl(words: list[str]) -> Output | None:
    match _ovs_words(words):
        case ["fdb/show", bridge]:
            return Output("ovs-fdb", switch=True, bridge=bridge)
        case ["bridge/dump-flows", bridge]:
            return Output("flows", switch=True, bridge=bridge)
        case ["tnl/neigh/show" | "tnl/arp/show"]:
            return Output("tnl-neigh", switch=True)
    return None


_LISTS: Final = frozenset({"list-bridge", "list-port", "list-interface"})


def _vsctl(words: list[str]) -> Output | None:
    match _ovs_words(words):
        case ["show"]:
            return Output("vsctl-show", switch=True)
        case ["list", table, *rows] if f"list-{table.lower()}" in _LISTS:
            view = " ".join(words) if rows or any("columns" in word for word in words) else None
            return Output(f"list-{table.lower()}", switch=True, view=view)
    return None


def _ovsdb(words: list[str]) -> Output | None:
    return Output("ovsdb", switch=True) if "dump" in words[1:] else None


def _tcpdump(words: list[str]) -> Output | None:
    options = read_options(words)
    return Output(
        "tcpdump",
        device=options.device,
        filter=options.filter,
        wrote=options.wrote,
        opened=options.opened,
    )


#: Files of the kernel that are dumps by themselves.
_PROC: Final = {"/proc/net/ptype": "handlers", "/proc/net/ip_vs": "ipvs"}


def _log(words: list[str]) -> Output | None:
    """Programs that print kernel messages or files: the content tells what it is."""
    names = [word for word in words[1:] if not word.startswith("-")]
    if len(names) == 1 and names[0] in _PROC:
        return Output(_PROC[names[0]])
    return Output("", opened=names[-1] if names and words[0] != "dmesg" else None)


def _nstat(words: list[str]) -> Output | None:
    # Without -a and -z it prints what has changed since it was last run.
    letters = "".join(word[1:] for word in words[1:] if word.startswith("-"))
    whole = "a" in letters and "z" in letters
    return Output("nstat", view=None if whole else " ".join(words))


def _uname(words: list[str]) -> Output | None:
    return Output("uname") if any("r" in word or "a" in word for word in words[1:]) else None


def _tc(words: list[str]) -> Output | None:
    rest = [word for word in words[1:] if not word.startswith("-")]
    # Each filter list is asked for by its device: what another device has is seen in its own.
    return Output("tc") if rest and ("qdisc".startswith(rest[0]) or "filter".startswith(rest[0])) else None


def _xfrm(words: list[str]) -> Output | None:
    rest = [word for word in words[1:] if not word.startswith("-")]
    known = len(rest) > 1 and "xfrm".startswith(rest[0]) and "policy".startswith(rest[1])
    return Output("xfrm") if known else None


def _plain(kind: str, *needed: str) -> Callable[[list[str]], Output | None]:
    """A program that prints one thing, if it is asked with one of some words."""
    return lambda words: Output(kind) if not needed or set(needed) & set(words) else None


def _unread(instead: str) -> Callable[[list[str]], Output | None]:
    return lambda words: Output("unread", instead=instead) if words else None


#: Program -> what its words mean.
PROGRAMS: Final[Mapping[str, Callable[[list[str]], Output | None]]] = {
    "ip": _ip,
    "bridge": _bridge,
    "iptables-save": _iptables_save,
    "iptables-nft-save": _iptables_save,
    "iptables-legacy-save": _iptables_save,
    "ip6tables-save": _iptables_save,
    "ip6tables-nft-save": _iptables_save,
    "ip6tables-legacy-save": _iptables_save,
    "iptables": _iptables,
    "iptables-nft": _iptables,
    "iptables-legacy": _iptables,
    "ip6tables": _iptables,
    "nft": _nft,
    "conntrack": _conntrack,
    "ss": _ss,
    "sysctl": _sysctl,
    "ovs-ofctl": _ofctl,
    "ovs-appctl": _appctl,
    "ovs-vsctl": _vsctl,
    "ovsdb-client": _ovsdb,
    "tcpdump": _tcpdump,
    "dmesg": _log,
    "journalctl": _log,
    "cat": _log,
    "zcat": _log,
    "tail": lambda words: _viewed(_log(words), words),
    "head": lambda words: _viewed(_log(words), words),
    "grep": lambda words: _viewed(_log(words), words),
    "egrep": lambda words: _viewed(_log(words), words),
    "uname": _uname,
    "nstat": _nstat,
    "tc": _tc,
    "bpftool": _plain("bpf", "net"),
    "ipvsadm": _plain("ipvs", "-S", "-Sn", "-L", "-Ln", "-l", "-ln", "-n", "--save", "--list"),
    "ipset": _plain("ipset", "save", "list", "-S", "-L"),
    "ifconfig": _unread("ip addr"),
    "route": _unread("ip route show table all"),
    "arp": _unread("ip neigh"),
    "netstat": _unread("ss -tan"),
    "brctl": _unread("bridge -j fdb"),
    "ovs-dpctl": _unread("ovs-ofctl dump-flows BRIDGE"),
}


def _viewed(output: Output | None, words: list[str]) -> Output | None:
    return None if output is None else replace(output, view=" ".join(words))
