"""
Fresh rulesets through the running kernel, and the model beside it.

For every case the router gets random rules, routes and sysctls, its tools are asked what it has, and packets
go through it one by one. What the model does not know is followed by a clean table, so that the rest of the
case counts again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final

from bothways.capture.compose_frame import compose_frame
from bothways.conform.netfilter_bed import NetfilterBed, RefusedError
from bothways.conform.netfilter_case import Heard, NetfilterCase, Sent, Setting
from bothways.conform.netfilter_comparison import decoded
from bothways.conform.netfilter_draw import Drawn, fresh_setting
from bothways.conform.netfilter_replay import Held, Holder, read_router
from bothways.conform.netfilter_shrink import Small, shrunk
from bothways.conform.netfilter_traffic import FilterTraffic

__all__ = ["LENGTH", "Asked", "asked_again", "fresh_cases", "held_packet", "made_small"]

#: Packets of one case.
LENGTH: Final = 48


@dataclass(slots=True)
class Asked:
    """
    One case that was asked.

    :param held: packet by packet, what the model says to what the kernel did.
    """

    drawn: Drawn
    case: NetfilterCase
    held: list[Held] = field(default_factory=list)


def fresh_cases(
    bed: NetfilterBed, count: int, seed: int, refused: Callable[[str], None], *, length: int = LENGTH
) -> Iterator[Asked]:
    """
    Ask the kernel with fresh rulesets.

    :param count: how many packets in all.
    :param refused: is told why a tool did not take a ruleset; another is drawn then.
    :param length: packets of one ruleset.
    """
    random, number, done = Random(seed), 0, 0
    while done < count:
        chance = Random(random.getrandbits(64))
        drawn = fresh_setting(chance)
        number += 1
        traffic = FilterTraffic(chance, drawn.version, bed.macs)
        try:
            asked = _asked(bed, drawn, f"{seed}/{number}", traffic, min(length, count - done))
        except RefusedError as error:
            refused(str(error))
            continue
        done += len(asked.held)
        yield asked


def _asked(bed: NetfilterBed, drawn: Drawn, name: str, traffic: FilterTraffic, length: int) -> Asked:
    case, holder = _loaded(bed, drawn.setting, drawn.forms, name)
    sent: list[Sent] = []
    heard: list[Heard] = []
    held: list[Held] = []
    afresh = False
    for _ in range(length):
        leg, packet = traffic.next()
        one = Sent(leg, compose_frame(packet))
        if afresh:
            bed.forget()
        came, verdict = held_packet(bed, holder, one, afresh=afresh)
        sent.append(one)
        heard.append(came)
        held.append(verdict)
        afresh = not verdict.agrees
        out = [(at, each) for at, frame in came.out if (each := decoded(frame)) is not None]
        traffic.heard(leg, packet, out, came.local)
    return Asked(drawn, _with(case, sent, heard), held)


def _loaded(
    bed: NetfilterBed, setting: Setting, forms: dict[int, int], name: str
) -> tuple[NetfilterCase, Holder]:
    bed.load(setting)
    release = os.uname().release
    case = NetfilterCase(name, release, bed.dumps(forms))
    return case, Holder(read_router(case.dumps)[0], release)


def held_packet(bed: NetfilterBed, holder: Holder, one: Sent, *, afresh: bool = False) -> tuple[Heard, Held]:
    """Send one packet and hold it; the bed is told to whom the kernel complained."""
    came = bed.send(one, afresh=afresh)
    verdict = holder.hold(one, came)
    told = {
        str(step.before.ip.src) for step in verdict.steps if step.function == "ip_error" and step.before.ip
    }
    if verdict.unknown or verdict.field:
        told |= set(_told(came))
    bed.complained(told)
    return came, verdict


def _told(heard: Heard) -> Iterator[str]:
    """Who got an error of IPv4."""
    for _, frame in heard.out:
        packet = decoded(frame)
        if packet is not None and packet.ip is not None and packet.icmp is not None and packet.icmp.inner:
            yield str(packet.ip.dst)


def _with(case: NetfilterCase, sent: list[Sent], heard: list[Heard]) -> NetfilterCase:
    return NetfilterCase(case.name, case.kernel, case.dumps, tuple(sent), tuple(heard))


def asked_again(
    bed: NetfilterBed, setting: Setting, forms: dict[int, int], name: str, sent: list[Sent]
) -> Asked:
    """
    Ask the kernel with a setting and packets that are known; up to the first disagreement.

    :raises RefusedError: if a tool does not take the setting.
    """
    case, holder = _loaded(bed, setting, forms, name)
    heard: list[Heard] = []
    held: list[Held] = []
    for one in sent:
        came, verdict = held_packet(bed, holder, one)
        heard.append(came)
        held.append(verdict)
        if held[-1].field:
            break
    asked = Asked(Drawn(setting, 0, forms), _with(case, sent[: len(heard)], heard))
    asked.held = held
    return asked


def made_small(bed: NetfilterBed, asked: Asked, index: int) -> Asked:
    """
    Make a case small in which a packet disagrees; the whole case up to it if it does not come again.

    :param index: of that packet.
    """
    field_name, forms = asked.held[index].field, asked.drawn.forms
    first = max((at for at in range(index + 1) if asked.case.heard[at].afresh), default=0)

    def again(small: Small) -> Asked | None:
        try:
            return asked_again(bed, small.setting, forms, f"{asked.case.name}/small", list(small.sent))
        except RefusedError:
            return None

    def disagrees(small: Small) -> bool:
        found = again(small)
        return found is not None and len(found.held) == len(small.sent) and found.held[-1].field == field_name

    whole = Small(asked.drawn.setting, asked.case.sent[first : index + 1])
    if disagrees(whole):
        found = again(shrunk(whole.setting, whole.sent, disagrees))
        if found is not None and found.held[-1].field:
            return found
    case = asked.case
    cut = NetfilterCase(case.name, case.kernel, case.dumps, case.sent[: index + 1], case.heard[: index + 1])
    return Asked(asked.drawn, cut, asked.held[: index + 1])
