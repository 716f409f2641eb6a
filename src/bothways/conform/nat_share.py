"""
NAT rulesets among the sequences of `conform conntrack`: fresh ones, and those of a recording.

They are recorded as `conform netfilter` records rulesets, lines among the sequences, and are held like those.
What holds them is loaded with the first one: a recording without any is held in half the time that takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bothways.conform.netfilter_conformance import NetfilterConformance

__all__ = ["NatShare", "share_of"]

#: One ruleset of 24 packets is asked for so many sequences.
_ONE_IN: Final = 50


def share_of(count: int) -> int:
    """How many rulesets are asked beside so many sequences."""
    return max(1, count // _ONE_IN)


class NatShare:
    """
    Rulesets that are held beside sequences; *outcome* counts them, None before the first.

    :param kernel: release whose behaviour the model takes; None for the one that each ruleset names.
    :param keep: how many disagreements are kept whole.
    """

    def __init__(self, *, kernel: str | None, keep: int) -> None:
        self.outcome: NetfilterConformance | None = None
        self._kernel, self._keep = kernel, keep

    def recorded(self, said: Mapping[str, Any], where: str) -> None:
        """
        Hold a line of a recording.

        :param where: ``file:line``.
        :raises NetfilterFileError: if it is damaged.
        """
        from bothways.conform.netfilter_recording import netfilter_case_of  # noqa: PLC0415 (see above)
        from bothways.conform.netfilter_replay import Holder  # noqa: PLC0415

        case = netfilter_case_of(said, where)
        holder = Holder.of_case(case, kernel=self._kernel)
        outcome = self._counting()
        outcome.cases += 1
        for index, (sent, heard) in enumerate(zip(case.sent, case.heard, strict=True)):
            outcome.count(case, index, holder.hold(sent, heard), keep=self._keep)

    def fresh(self, count: int, seed: int, record: Path | None) -> None:
        """
        Ask the kernel of this machine, and hold the model beside it.

        :param record: recording at whose end the rulesets are kept.
        :raises OSError: if the kernel cannot be asked.
        """
        from bothways.conform.nat_live import fresh_nat_cases  # noqa: PLC0415 (sockets are loaded only to be used)
        from bothways.conform.netfilter_recording import netfilter_line  # noqa: PLC0415

        outcome = self._counting()
        lines = None if record is None else _appended(record)
        try:
            for case, held in fresh_nat_cases(count, seed, kernel=self._kernel):
                outcome.cases += 1
                for index, each in enumerate(held):
                    outcome.count(case, index, each, keep=self._keep)
                if lines is not None:
                    lines.write(netfilter_line(case))
        finally:
            if lines is not None:
                lines.close()

    def _counting(self) -> NetfilterConformance:
        from bothways.conform.netfilter_conformance import NetfilterConformance  # noqa: PLC0415

        if self.outcome is None:
            self.outcome = NetfilterConformance(subject="conntrack")
        return self.outcome


def _appended(record: Path) -> IO[str]:
    if record.suffix == ".gz":
        import gzip  # noqa: PLC0415 (only for who wants it)

        return gzip.open(record, "at", encoding="utf-8")
    return record.open("a", encoding="utf-8")
