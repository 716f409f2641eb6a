"""What is unknown: dumps that are missing, filtered views, and the command that would supply each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bothways.diagnose.case import Case
from bothways.diagnose.counted_drop import counted_drop
from bothways.diagnose.cut_short import cut_short
from bothways.diagnose.open_end import open_end
from bothways.diagnose.verdict import Explanation
from bothways.facts.diagnosis import Confidence, Fate, Next, Status
from bothways.facts.snapshot import Host, Netns, Snapshot
from bothways.model.linux.iptables.uses import tracks

__all__ = ["wanted"]

#: field of Netns -> (what is not known without it, the command that shows it)
_DUMPS: Final = {
    "devices": ("devices and addresses", "ip -d -j addr"),
    "routes": ("routes", "ip -j route show table all"),
    "rules": ("routing rules", "ip -j rule"),
    "neighbours": ("neighbour (ARP) entries", "ip -j neigh"),
    "iptables": ("iptables rules", "iptables-save -c"),
    "conntrack": ("conntrack entries", "conntrack -L -o extended"),
    "sockets": ("listening sockets", "ss -tlnp"),
    "sysctls": ("sysctls", "sysctl -a"),
}
#: hosts that are asked for a capture where there is none
_MOST_CAPTURES: Final = 3
#: damaged captures that are named
_MOST_CUT: Final = 3


def wanted(
    case: Case, explanation: Explanation | None, status: Status
) -> tuple[tuple[str, ...], tuple[Next, ...]]:
    """What keeps the verdict from being proved, one sentence each, and what to run for it."""
    proved = explanation is not None and explanation.cause.confidence is Confidence.PROVED
    if proved or (status is Status.HEALTHY and case.story is not None):
        return (), ()
    texts: list[str] = list(explanation.gaps) if explanation is not None else []
    commands: list[Next] = []
    if explanation is not None and case.walk.fate is Fate.UNKNOWN:
        texts.append("which change would repair it was not walked, as the connection itself cannot be")
    if explanation is None and status is Status.UNDETERMINED:
        texts.extend(
            f"how it ended: {p.span.file} breaks off ({p.message})" for p in cut_short(case)[:_MOST_CUT]
        )
        left_open = open_end(case)
        texts.append(_undecided(case) if left_open is None or case.fate is not Fate.WORKS else left_open)
        commands.extend(_more(case))
    if explanation is None:
        texts.extend((*case.bypassed, *case.walk.unknown))
    for text, command in _partial_views(case.bundle.snapshot, str(case.question.destination)):
        texts.append(text)
        commands.append(command)
    for netns in _concerned(case):
        missing = _missing(netns)
        if missing:
            texts.append(f"of {netns.label} were not collected: {', '.join(missing)}")
        prefix = "" if netns.name == "root" else f"ip netns exec {netns.name} "
        commands.extend(
            Next(
                netns.host, prefix + command, f"shows the {what}: the model needs them to walk the connection"
            )
            for what, command in missing.items()
        )
    return tuple(dict.fromkeys(texts)), tuple(dict.fromkeys(commands))


def _concerned(case: Case) -> list[Netns]:
    """The namespace that sent the RST first, then every other one that captures were taken in."""
    places = [(case.origin.host, case.origin.netns)] if case.origin is not None else []
    places += [(c.tap.host, c.tap.netns) for c in case.bundle.captures]
    found = []
    for host, name in dict.fromkeys(places):
        if host is not None and name is not None:
            found.append(case.bundle.snapshot.netns(host, name) or Netns(host, name))
    return found


def _missing(netns: Netns) -> dict[str, str]:
    """What was not collected of a namespace, and what to run for each."""
    untracked = netns.iptables is not None and not tracks(netns)  # then there is no table to look at
    return {
        what: command
        for name, (what, command) in _DUMPS.items()
        if getattr(netns, name) is None and not (name == "conntrack" and untracked)
    }


def _partial_views(snapshot: Snapshot, address: str) -> Iterator[tuple[str, Next]]:
    """Filtered flow dumps, and bridges whose flows nobody dumped."""
    for host in snapshot.hosts.values():
        yield from _of_switch(host, address)


def _of_switch(host: Host, address: str) -> Iterator[tuple[str, Next]]:
    for bridge in host.switch.bridges.values() if host.switch is not None else ():
        command = f"ovs-ofctl -O OpenFlow13 dump-flows {bridge.name}"
        if bridge.flows is None:
            yield (
                f"the flows of {host.name} {bridge.name} were not collected",
                Next(host.name, command, f"flows may translate {address} or answer ARP for it"),
            )
        elif not bridge.flows.whole:
            yield (
                (
                    f"{host.name} {bridge.name}: the flows are a filtered view ({bridge.flows.partial}); "
                    f"whether another flow answers ARP for {address} is not known: a race for the ARP answer "
                    "is possible, not observed"
                ),
                Next(host.name, command, "the filter hides flows"),
            )


def _undecided(case: Case) -> str:
    seen = "" if case.story is None else f"observed: {case.story.fate}; "
    why = f"{case.walk.why}{counted_drop(case)}"
    return f"{seen}predicted: {case.walk.fate} ({why}); no cause that bothways knows explains it yet"


def _more(case: Case) -> Iterator[Next]:
    """Commands that would show what drew a RST, or what becomes of the connection at both of its ends."""
    origin = case.origin
    filter_ = f"host {case.question.source} and port {case.question.destination_port}"
    if origin is not None and origin.host is not None:
        prefix = _inside(origin.netns)
        yield Next(origin.host, f"{prefix}tcpdump -ni any '{filter_}'", "to see what drew the RST")
        yield Next(origin.host, f"{prefix}ss -tan", "to see whether a socket there sent it")
        return
    why = (
        "no capture shows the connection" if case.story is None else "to see how the connection goes on there"
    )
    for host, netns in _ends(case)[:_MOST_CAPTURES]:
        yield Next(host, f"{_inside(netns)}tcpdump -ni any '{filter_}'", why)


def _inside(netns: str | None) -> str:
    return "" if netns in (None, "root") else f"ip netns exec {netns} "


def _ends(case: Case) -> list[tuple[str, str]]:
    """Where to capture: at the client and at the server, else wherever evidence is from."""
    snapshot, connection = case.bundle.snapshot, None if case.story is None else case.story.connection
    addresses = [case.question.source, case.question.destination]
    addresses += [e.address for e in connection.server_names] if connection is not None else []
    places = [
        (netns.host, netns.name) for address in addresses for netns, _, _ in snapshot.owners_of(address)
    ]
    places += [(name, "root") for name in snapshot.hosts] if not places else []
    places += [(c.tap.host, c.tap.netns) for c in case.bundle.captures] if not places else []
    return list(dict.fromkeys(places)) or [("", "root")]
