"""A lab's evidence as a bundle: captures around the connection, the tracker's events, dumps behind it."""

from __future__ import annotations

import signal
import subprocess
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from bothways.collect import Captures, Gatherer, Source, Tap
from bothways.collect.commands import BRIDGE, COUNTED, NETNS, SWITCH, TRACKED
from bothways.lab.attempt import Attempt, settle, try_connection
from bothways.lab.build import environment
from bothways.lab.naming import Naming
from bothways.lab.shift import shift_clock
from bothways.lab.site import Member, Place, Question, Site

__all__ = ["EvidenceError", "record_connection"]

#: What is captured of a question: its protocol, for NAT may give it another port, and whatever finds the way.
_FILTER: Final = "arp or icmp or icmp6 or {protocol} or udp port 4789 or udp port 6081"
#: NETLINK_NETFILTER
_NETFILTER: Final = "12"
_EVENTS: Final = ("conntrack", "-E", "-o", "timestamp,extended,id")
#: Long enough for the SYN/ACK that is sent once more after a second, and for what it draws.
_AFTERMATH: Final = 1.2


class EvidenceError(Exception):
    """Evidence that could not be taken."""


def record_connection(
    site: Site,
    naming: Naming,
    folder: Path,
    *,
    winner: str | None,
    taps: Sequence[Member] = (),
) -> tuple[Attempt, tuple[str, ...]]:
    """
    Try the site's connection with captures at every tap, and write the bundle.

    :returns: what became of it, and what could not be collected.
    :raises EvidenceError: if the site asks no question.
    :raises CaptureError: if a tap cannot be captured.
    """
    question = site.question
    if question is None:
        raise EvidenceError("this site asks no question: there is no connection to try")
    gatherer = Gatherer(folder)
    gatherer.write(Path("bundle.toml"), _manifest(site, question))
    tracked = [
        place for place, space in site.spaces.items() if space.iptables or space.ip6tables or space.nft
    ]
    points = [
        Tap(each.place.host, each.place.netns, each.device, naming.space(each.place))
        for each in (taps or site.taps)
    ]
    expression = _FILTER.format(protocol=question.protocol)
    with ExitStack() as stack:
        captures = stack.enter_context(Captures(folder, points, expression))
        for place in tracked:
            stack.enter_context(_events(naming, place, folder))
        settle(site, naming, winner)
        attempt = try_connection(site, naming, question)
        # An entry of a failed connection lives for a second: the tracker is asked first.
        for place in tracked:
            gatherer.netns(_source(naming, place), TRACKED)
        over = time.monotonic() + (0.1 if attempt.fate == "works" else _AFTERMATH)
        for place in site.spaces:
            gatherer.netns(_source(naming, place), NETNS)
        time.sleep(max(0.0, over - time.monotonic()))
    _counted(site, naming, gatherer)
    for host, ahead in site.clocks.items():
        shift_clock(folder / "hosts" / host, ahead)
    lost = [f"{tap}: tcpdump lost {count} packets" for tap, count in captures.lost.items()]
    return attempt, (*gatherer.failed, *lost)


def _counted(site: Site, naming: Naming, gatherer: Gatherer) -> None:
    for host in site.hosts:
        gatherer.kernel(host)
    for place in site.spaces:
        gatherer.netns(_source(naming, place), COUNTED)
    for host in site.hosts:
        bridges = site.bridges_of(host)
        if not bridges:
            continue
        source = _source(naming, Place(host))
        words = {"db": naming.database(host), "ctl": naming.control(host)}
        gatherer.switch(source, SWITCH, words)
        for bridge in bridges:
            mgmt = naming.management(host, bridge.name)
            gatherer.switch(source, BRIDGE, {**words, "mgmt": mgmt, "bridge": bridge.name})


def _source(naming: Naming, place: Place) -> Source:
    return Source(place.host, place.netns, naming.space(place))


@contextmanager
def _events(naming: Naming, place: Place, folder: Path) -> Iterator[None]:
    """Keep what the tracker of a namespace tells while this lasts."""
    path = folder / "hosts" / place.host / "netns" / place.netns / "conntrack-events.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    around = ("setpriv", "--pdeathsig", "KILL", "--", "ip", "netns", "exec", naming.space(place))
    with path.open("wb") as out:
        listener = subprocess.Popen(
            (*around, *_EVENTS), stdout=out, stderr=subprocess.DEVNULL, env=environment()
        )
        try:
            _await_subscription(listener)
            yield
        finally:
            listener.send_signal(signal.SIGINT)
            listener.wait(timeout=5)


def _await_subscription(listener: subprocess.Popen[bytes]) -> None:
    """Wait until a netlink socket of the namespace listens: /proc/PID/net/netlink shows its groups."""
    deadline = time.monotonic() + 5
    table = Path(f"/proc/{listener.pid}/net/netlink")
    while time.monotonic() < deadline and listener.poll() is None:
        try:
            rows = [line.split() for line in table.read_text().splitlines()[1:]]
        except OSError:
            return
        if any(row[1] == _NETFILTER and int(row[3], 16) for row in rows):
            return
        time.sleep(0.005)


def _manifest(site: Site, question: Question) -> str:
    """Write ``bundle.toml``."""
    lines = ['format = "bothways-bundle/1"', f"title = {_quoted(site.title)}", "", "[question]"]
    lines += [
        f"protocol = {_quoted(question.protocol)}",
        f"source = {_quoted(question.source)}",
        f"destination = {_quoted(question.destination)}",
        f"destination_port = {question.destination_port}",
    ]
    for wire in site.wires:
        members = ", ".join(_quoted(str(member)) for member in wire.members)
        lines += ["", "[[segments]]", f"name = {_quoted(wire.name)}", f"members = [{members}]"]
    text = "\n".join(lines) + "\n"
    tomllib.loads(text)
    return text


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
