"""``bothways conform netfilter [FILE] [--live]``, behind the verb."""

from __future__ import annotations

import json
import os
import platform
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bothways.cli.ending import CommandError, ExitCode, reason
from bothways.cli.screen import say, say_data, tell
from bothways.conform.netfilter_conformance import (
    NetfilterConformance,
    NetfilterDisagreement,
    hold_netfilter,
)
from bothways.conform.netfilter_recording import (
    NetfilterFileError,
    netfilter_line,
    opened_for_writing,
    read_netfilter,
)
from bothways.conform.netfilter_words import netfilter_json, netfilter_text

if TYPE_CHECKING:
    from bothways.conform.netfilter_bed import NetfilterBed
    from bothways.conform.netfilter_live import Asked

__all__ = ["NETFILTER_DISAGREEMENTS", "NetfilterWishes", "conform_netfilter"]

#: where shrunk disagreements are kept, if no other file is named
NETFILTER_DISAGREEMENTS: Final = Path("netfilter-disagreements.jsonl")
_TELL_EVERY: Final = 2.0
_PROGRAMS: Final = {
    "ip": "iproute2", "nft": "nftables", "iptables-restore": "iptables", "ip6tables-restore": "iptables",
    "ss": "iproute2", "sysctl": "procps",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class NetfilterWishes:
    """
    What was asked for on the command line.

    :param count: packets with --live.
    :param strict: count what the model does not know as a disagreement.
    :param record: where what was asked and heard is kept.
    :param shrunk: where shrunk disagreements are kept.
    :param kernel: release whose behaviour the model takes, None: the one that the recording names.
    """

    file: Path | None
    show: int
    strict: bool
    as_json: bool
    count: int
    seed: int | None
    record: Path | None
    shrunk: Path
    kernel: str | None


def conform_netfilter(wishes: NetfilterWishes) -> ExitCode:
    """Hold hooks and routes against recorded or fresh packets, and print how it went."""
    try:
        if wishes.file is not None:
            cases = read_netfilter(wishes.file)
            outcome = hold_netfilter(cases, kernel=wishes.kernel, keep=wishes.show)
        else:
            outcome = _live(wishes)
    except NetfilterFileError as error:
        raise CommandError(str(error), error.hint) from error
    except OSError as error:
        raise CommandError(f"{error.filename or wishes.file}: {reason(error)}") from error
    if wishes.as_json:
        say_data(json.dumps(netfilter_json(outcome), indent=2) + "\n")
    else:
        say(netfilter_text(outcome))
    wrong = outcome.disagreements + (outcome.unknown if wishes.strict else 0)
    return ExitCode.CAUSE_FOUND if wrong else ExitCode.DONE


# -- the running kernel --------------------------------------------------------------------------------


def _live(wishes: NetfilterWishes) -> NetfilterConformance:
    # Sockets are loaded only to be used.
    from bothways.conform.netfilter_bed import NetfilterBed  # noqa: PLC0415
    from bothways.conform.netfilter_live import fresh_cases  # noqa: PLC0415

    _demand_programs()
    seed = random.SystemRandom().randrange(1 << 32) if wishes.seed is None else wishes.seed
    outcome, refused = NetfilterConformance(), Counter[str]()
    found: list[tuple[Asked, int]] = []
    with ExitStack() as stack:
        # A file that cannot be written is told before the work, not after it.
        lines = None if wishes.record is None else stack.enter_context(opened_for_writing(wishes.record))
        try:
            bed = stack.enter_context(closing(NetfilterBed(f"bwf{os.getpid()}")))
        except OSError as error:
            message = f"the kernel cannot be asked: {error.strerror or error} ({error.filename or ''})"
            raise CommandError(message, "it takes network namespaces, veth, nftables, ctnetlink") from error
        tell(f"bothways: asking Linux {platform.release()}, seed {seed}")
        start = time.monotonic()
        fresh = fresh_cases(bed, wishes.count, seed, lambda text: refused.update([text]))
        for asked in _watched(fresh, outcome, wishes.count):
            outcome.cases += 1
            before = outcome.disagreements
            for index, held in enumerate(asked.held):
                outcome.count(asked.case, index, held, keep=wishes.show)
                if held.field and outcome.disagreements == before + 1:
                    found.append((asked, index))
            if lines is not None:
                lines.write(netfilter_line(asked.case))
        outcome.seconds = time.monotonic() - start
        _keep_shrunk(wishes, bed, found, outcome)
    if refused:
        tell(f"bothways: {refused.total():,} rulesets were not taken by their tool, and others drawn")
    return outcome


def _demand_programs() -> None:
    if os.geteuid() != 0:
        raise CommandError("asking the running kernel needs root", "run it again with sudo")
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = sorted({package for name, package in _PROGRAMS.items() if not shutil.which(name, path=path)})
    if missing:
        needed = ", ".join(f"`{name}`" for name in _PROGRAMS)
        raise CommandError(f"{needed} are needed", f"apt-get install -y {' '.join(missing)}")


def _watched(cases: Iterator[Asked], outcome: NetfilterConformance, count: int) -> Iterator[Asked]:
    """Pass cases on, and tell a terminal how far it is."""
    watched = sys.stderr is not None and sys.stderr.isatty()
    last = time.monotonic()
    for case in cases:
        if watched and time.monotonic() - last > _TELL_EVERY:
            last = time.monotonic()
            tell(f"bothways: {outcome.packets:,} of {count:,} packets, {outcome.disagreements:,} disagree")
        yield case


def _keep_shrunk(
    wishes: NetfilterWishes, bed: NetfilterBed, found: list[tuple[Asked, int]], outcome: NetfilterConformance
) -> None:
    """Make disagreements small, show those, and keep them in a file that ``conform netfilter`` reads."""
    from bothways.conform.netfilter_live import made_small  # noqa: PLC0415 (sockets are loaded only to be used)

    if not found or not wishes.show:
        return
    small_ones: list[NetfilterDisagreement] = []
    with opened_for_writing(wishes.shrunk) as lines:
        for asked, index in found[: wishes.show]:
            small = made_small(bed, asked, index)
            lines.write(netfilter_line(small.case))
            last = len(small.held) - 1
            small_ones.append(NetfilterDisagreement(small.case, last, small.held[last]))
    outcome.first[:] = small_ones
    tell(f"bothways: {len(small_ones)} disagreements, shrunk, are in {wishes.shrunk}")
