"""
The account of a trace: who sent a RST or an ICMP error, who dropped what, and where two packets part.

What a tier cannot see is said, never filled in: tracepoints know no verdict of the tracker, so there a
packet that was not translated is "INVALID or untracked".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from bothways.correlate.kernel_account import same_kernel
from bothways.correlate.kernel_deed import written
from bothways.correlate.kernel_identity import ends_of
from bothways.correlate.kernel_stack_diff import meaning_of
from bothways.facts.address import Endpoint
from bothways.facts.kernel_account import Deed, DeedKind, KernelAccount, Known, Parting, TracedPacket
from bothways.facts.kernel_event import Happening, KernelEvent
from bothways.facts.kernel_trace import KernelTrace
from bothways.report.icmp_errors import error_words
from bothways.report.kernel_agents import agent_of
from bothways.report.kernel_lines import WORDS, chain_words, packet_words, since
from bothways.report.kernel_waiting import waiting_sentences
from bothways.report.paper import Sheet
from bothways.report.words import counted, tolerance

__all__ = ["deed_sentence", "losses", "parting_sentences", "render_account"]

_DID: Final[Mapping[DeedKind, str]] = {
    DeedKind.RST: "RST sent by",
    DeedKind.ICMP: "ICMP error sent by",
    DeedKind.DROP: "dropped by",
}
#: What the tracker says of a packet that it does not follow.
_REFUSED: Final = frozenset({"INVALID", "UNTRACKED"})
#: What follows from what did not happen, by the function in which it does.
_INFERRED: Final[Mapping[str | None, str]] = {
    "tcp_conn_request": "the listener took the SYN and did not answer; its accept queue is full (nstat "
    "TcpExtListenOverflows), or memory is short",
    "do_execute_actions": "Open vSwitch's datapath took it and nothing came out: its flow has no output "
    "(what Linux 6.6 and later call LAST_ACTION), or a meter took it",
}
_UNSENT: Final[Mapping[DeedKind, str]] = {
    DeedKind.RST: "its transmission was not seen: no way back, or it waits for the next hop's address",
    DeedKind.ICMP: "its transmission was not seen: no way back, or the kernel holds such errors back "
    "(icmp_ratelimit)",
}
_MOST_DEEDS: Final = 20
_MOST_NUMBERS: Final = 8
_MOST_PARTINGS: Final = 3
_MOST_FUNCTIONS: Final = 4


def render_account(account: KernelAccount, *, width: int, colour: bool) -> str:
    """Return the account, ending with a newline."""
    sheet = Sheet(width, colour)
    _head(sheet, account)
    _deeds(sheet, account)
    _partings(sheet, account)
    _strangers(sheet, account)
    _aside(sheet, account)
    _clocks(sheet, account)
    for line in (*_one_kernel(account.traces), *losses(account.traces)):
        sheet.paragraph(line, indent=0)
    for problem in account.problems:
        sheet.paragraph(problem.message, indent=0)
    return sheet.text()


def _head(sheet: Sheet, account: KernelAccount) -> None:
    events = sum(len(packet.events) for packet in account.packets)
    hosts = list(dict.fromkeys(trace.host for trace in account.traces))
    tiers = list(dict.fromkeys(trace.tier for trace in account.traces if trace.tier))
    packets = sum(1 for packet in account.packets if packet.first.buffer)
    words = f"{counted(events, 'event')} of {counted(packets, 'packet')}"
    words += f" on {', '.join(hosts) or 'no host'}"
    sheet.item((("account: ", "bold"),), words, indent=0, tail=f"tier {', '.join(tiers)}" if tiers else "")


def _deeds(sheet: Sheet, account: KernelAccount) -> None:
    alike: dict[tuple[object, ...], list[Deed]] = {}
    for deed in account.deeds:
        if not deed.aside and not _headless(deed, account):
            event = deed.event
            key = deed.kind, event.place, event.reason, deed.function, _ends(deed, account)
            alike.setdefault(key, []).append(deed)
    if not alike:
        known = "of a packet whose headers are known " if any(not d.aside for d in account.deeds) else ""
        sheet.paragraph(f"no RST, no ICMP error and no drop {known}was seen", indent=0)
        return
    sheet.heading("Who did it")
    for deeds in list(alike.values())[:_MOST_DEEDS]:
        _deed(sheet, deeds, account)
    left = sum(len(deeds) for deeds in list(alike.values())[_MOST_DEEDS:])
    if left:
        sheet.paragraph(f"… and {left} more; -o keeps them all")


def _headless(deed: Deed, account: KernelAccount) -> bool:
    """True for a drop of a packet of which nobody knows whose it is."""
    if deed.kind is not DeedKind.DROP or deed.packet is None:
        return False
    headers = account.packet(deed.packet).headers
    return headers is None or headers.packet.ip is None


def _strangers(sheet: Sheet, account: KernelAccount) -> None:
    """Drops of packets whose headers the tier could not read: the filter could not be held against them."""
    dropped = Counter(
        (deed.event.place, deed.event.reason or "no reason given", deed.function or "?")
        for deed in account.deeds
        if not deed.aside and _headless(deed, account)
    )
    if not dropped:
        return
    sheet.heading("Dropped meanwhile, whose packets is not known", "dim")
    for (place, reason, function), amount in dropped.most_common(_MOST_NUMBERS):
        sheet.paragraph(f"{place}: {reason} in {function}, {counted(amount, 'time')}")
    if len(dropped) > _MOST_NUMBERS:
        sheet.paragraph(f"… and at {counted(len(dropped) - _MOST_NUMBERS, 'more place')}")


def _ends(deed: Deed, account: KernelAccount) -> object:
    """The addresses that a deed is about, without ports of the client: many connections can end alike."""
    headers = None if deed.packet is None else account.packet(deed.packet).headers
    ends = None if headers is None else ends_of(headers)
    return None if ends is None else (ends[0].address, ends[1].address, min(_port(ends[0]), _port(ends[1])))


def _port(end: Endpoint) -> int:
    return -1 if end.port is None else end.port


def _deed(sheet: Sheet, deeds: Sequence[Deed], account: KernelAccount) -> None:
    deed = deeds[0]
    sheet.item(((f"{_verb(deed)} ", "bold red"),), deed_sentence(deed), hang=3, tail=_basis(deed))
    if deed.packet is not None:
        told = account.packet(deed.packet)
        sheet.paragraph(f"#{deed.packet} {_words(told)}", indent=5, hang=3)
        said = None if told.headers is None else error_words(told.headers.packet)
        if deed.kind is DeedKind.ICMP and said is not None:
            sheet.paragraph(f"it says: {said}", indent=5, hang=3)
    if deed.unsent and deed.kind in _UNSENT:
        sheet.paragraph(_UNSENT[deed.kind], indent=5, hang=3)
    if deed.provoked_by is not None:
        provoker = account.packet(deed.provoked_by.number)
        how = "" if deed.provoked_by.known is Known.KERNEL else ", by its numbers"
        sheet.item((("in answer to ", ""),), f"#{provoker.number} {_words(provoker)}{how}", indent=5, hang=3)
    if len(deeds) > 1:
        again = [f"#{each.packet}" for each in deeds[1:] if each.packet is not None]
        named = (
            f": {', '.join(again[:_MOST_NUMBERS])}{' …' if len(again) > _MOST_NUMBERS else ''}"
            if again
            else ""
        )
        sheet.paragraph(f"and {counted(len(deeds) - 1, 'time')} more{named}", indent=5, hang=3)
    agent = None if deed.event.rule or deed.foreign else agent_of(deed)
    if agent is not None:
        task = f" ({deed.event.task})" if written(deed) and deed.event.task else ""
        sheet.paragraph(f"{agent}{task}", indent=5, hang=3)
    if deed.event.stack:
        chain = chain_words(deed.event.stack, 12, beginning=deed.function)
        sheet.item((("stack ", ""),), chain, indent=5, hang=3)
    why = _tracker(deed, account)
    if why:
        sheet.paragraph(why, indent=5)


def _verb(deed: Deed) -> str:
    if deed.foreign:
        return "RST came in at" if deed.kind is DeedKind.RST else "ICMP error came in at"
    return _DID[deed.kind]


def deed_sentence(deed: Deed) -> str:
    """Who: host, namespace, device, function, and why."""
    event = deed.event
    parts = [event.host]
    if event.netns is not None:
        parts.append("root namespace" if event.netns == "root" else f"namespace {event.netns}")
    if event.device is not None:
        parts.append(f"device {event.device}")
    if deed.function is not None:
        parts.append(f"function {deed.function}")
    text = ", ".join(parts)
    if deed.foreign:
        text += ", from a station that was not traced"
    if event.reason is not None:
        owner = event.subsystem if event.subsystem not in (None, "core", "rst") else ""
        text += f": {event.reason}{f' ({owner})' if owner else ''}"
    if event.rule and isinstance(event.rule.get("text"), str):
        text += f", by rule {event.rule['text']}"
    if deed.inferred:
        text += f": {_INFERRED.get(deed.function, 'no event tells it')}"
    return text


def _basis(deed: Deed) -> str:
    read = f"{deed.event.tier}, {deed.event.probe}{', inferred' if deed.inferred else ''}"
    return f"{read}, function by its call stack" if deed.by_stack else read


def _words(packet: TracedPacket) -> str:
    return packet_words(next((t.event.packet for t in packet.events if t.event.packet is not None), None))


def _tracker(deed: Deed, account: KernelAccount) -> str:
    """What the tracker said of the packet that was answered or dropped, where it was."""
    number = deed.packet if deed.kind is DeedKind.DROP else None
    if deed.provoked_by is not None:
        number = deed.provoked_by.number
    if number is None or deed.foreign:
        return ""
    for timed in reversed(account.packet(number).events):
        event = timed.event
        entry = event.conntrack
        here = (event.host, event.netns) == (deed.event.host, deed.event.netns)
        if not here or entry is None or entry.info is None:
            continue
        # What hung on the packet when it was freed may be newer than what was decided.
        if event.happening is not Happening.CONNTRACK and entry.info not in _REFUSED:
            continue
        state = f", the entry was in {entry.state}" if entry.state else ""
        return f"the tracker took #{number} as {entry.info}{state} ({event.tier}, {event.probe})"
    return ""


def _partings(sheet: Sheet, account: KernelAccount) -> None:
    if not account.partings:
        return
    sheet.heading("Where packets part")
    for parting in account.partings[:_MOST_PARTINGS]:
        for number, sentence in enumerate(parting_sentences(parting, account)):
            sheet.item((("- " if not number else "  ", ""),), sentence, hang=2)
    if len(account.partings) > _MOST_PARTINGS:
        sheet.paragraph(f"… and {len(account.partings) - _MOST_PARTINGS} more like these")


def parting_sentences(parting: Parting, account: KernelAccount) -> Iterator[str]:
    """Say where they came in alike, how each went on, and what the tier does not tell."""
    went, ended = account.packet(parting.went), account.packet(parting.ended)
    both = f"#{went.number} and #{ended.number} came in alike"
    yield f"at {parting.at.place} {both}: {_words(went)}; {_words(ended)}"
    yield f"#{went.number} went on: {_how(parting.went_to, parting.went_functions)}"
    yield f"#{ended.number} did not: {_how(parting.ended_at, parting.ended_functions)}"
    if parting.translated:
        known = _verdict(parting, ended)
        why = known or f"INVALID or untracked: tier {parting.ended_at.tier} did not tell which"
        yield f"#{went.number} was translated there, #{ended.number} was not ({why})"


def _verdict(parting: Parting, ended: TracedPacket) -> str:
    infos = [
        t.event.conntrack.info
        for t in ended.events
        if (t.event.host, t.event.netns) == (parting.at.host, parting.at.netns)
        and t.event.conntrack is not None
        and t.event.conntrack.info is not None
    ]
    return f"the tracker took it as {infos[-1]}" if infos else ""


def _how(event: KernelEvent, functions: tuple[str, ...]) -> str:
    # That it was dropped is what happened; what else was decided is worth a word.
    meant = None if event.happening is Happening.DROP else meaning_of(functions, received=True)
    names = ", ".join(functions[:_MOST_FUNCTIONS]) + (" …" if len(functions) > _MOST_FUNCTIONS else "")
    said = _short(event)
    return f"{f'{meant}, ' if meant else ''}{said} at {event.place}{f' ({names})' if names else ''}"


def _short(event: KernelEvent) -> str:
    words = WORDS[event.happening]
    words = words if words.startswith("RST") else words.lower()
    return f"{words.replace('SENT', 'sent')}{f' ({event.reason})' if event.reason else ''}"


def _aside(sheet: Sheet, account: KernelAccount) -> None:
    """What was freed as dropped and is no loss: copies, and packets that had been answered."""
    aside = Counter(
        (deed.event.place, deed.event.reason or "no reason given")
        for deed in account.deeds
        if deed.aside and not deed.late
    )
    _late(sheet, account)
    _waiting(sheet, account)
    if not aside:
        return
    sheet.heading("Freed as dropped, and no loss", "dim")
    for (place, reason), amount in aside.most_common(5):
        sheet.paragraph(
            f"{place}: {reason}, {counted(amount, 'time')}: answered already, a copy, or left over"
        )


def _late(sheet: Sheet, account: KernelAccount) -> None:
    """Tell what was freed as dropped where others had copies that went on, and the trace ended."""
    late = Counter(deed.event.place for deed in account.deeds if deed.late)
    if not late:
        return
    sheet.heading("Not told to the end", "dim")
    for place, amount in late.most_common(5):
        freed = f"{place}: {counted(amount, 'packet')} freed as dropped where others had copies that went on"
        sheet.paragraph(f"{freed}; the trace ended first")


def _waiting(sheet: Sheet, account: KernelAccount) -> None:
    waiting = list(waiting_sentences(account))
    if not waiting:
        return
    sheet.heading("Waiting at the end")
    for sentence in waiting[:_MOST_NUMBERS]:
        sheet.paragraph(sentence, hang=3)
    if len(waiting) > _MOST_NUMBERS:
        sheet.paragraph(f"… and {counted(len(waiting) - _MOST_NUMBERS, 'more packet')}")


def _clocks(sheet: Sheet, account: KernelAccount) -> None:
    if not account.clocks:
        return
    sheet.heading("Clocks")
    for clock in account.clocks:
        words = f"against {clock.relative_to} {tolerance(clock.low_ns, clock.high_ns)}"
        sheet.item(((f"{clock.host} ", "bold"),), words, hang=3)
    unsure = sum(1 for packet in account.packets for timed in packet.events if not timed.sure)
    if unsure:
        why = "which event came first is not certain (~), the clocks are not known so exactly"
        sheet.paragraph(f"{counted(unsure, 'passage')} between hosts: {why}")


def _one_kernel(traces: Sequence[KernelTrace]) -> Iterator[str]:
    """Hosts that are one kernel: their events are told once."""
    for number, trace in enumerate(traces):
        for other in traces[:number]:
            if same_kernel(trace.start, other.start):
                once = f"what it told both is told once, as {other.host}"
                yield f"{trace.host} and {other.host} are one kernel: {once}"
                break


def losses(traces: tuple[KernelTrace, ...]) -> Iterator[str]:
    """What is missing, what it cost, and what probes could not run: one sentence each."""
    for trace in traces:
        if trace.lost:
            hint = "the account may lack events; a larger --ring-size or a narrower FILTER helps"
            yield f"{trace.host}: {counted(trace.lost, 'event')} lost: {hint}"
        elif trace.lost is None and trace.events:
            yield f"{trace.host}: the trace broke off: what it lost is not known"
        for note in trace.notes:
            yield f"{trace.host}: {note.text}{f' (hint: {note.hint})' if note.hint else ''}"
        if trace.stop is not None and trace.stop.cost:
            yield f"{trace.host}: {_cost(trace)}"


def _cost(trace: KernelTrace) -> str:
    stop = trace.stop
    rows = () if stop is None else tuple(row for row in stop.cost if row.runs)
    total = sum(row.ns for row in rows)
    runs = sum(row.runs for row in rows)
    each = ", ".join(
        f"{row.probe} {row.ns / row.runs:.0f} ns" for row in sorted(rows, key=lambda r: -r.ns)[:4]
    )
    if not runs:
        return "no program ran"
    took = f"{since(total)[1:]}, {total / runs:.0f} ns a run"
    return f"programs ran {counted(runs, 'time')} and took {took} ({each})"
