"""Try the scenario's connection, the way its client would."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from bothways.lab.act import Act
from bothways.lab.build import run_act
from bothways.lab.naming import Naming
from bothways.lab.plan_services import program
from bothways.lab.site import Question, Site

__all__ = ["Attempt", "settle", "try_connection"]

_PATIENCE: Final = 4.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    What became of the connection, as its client saw it.

    :param fate: ``works``, ``reset``, ``refused``, ``timeout``, ``stall``, ``closed``, ``icmp-error`` or
        ``unknown``.
    :param stage: ``connect`` or ``read``: how far it came.
    :param began: seconds since 1970; *seconds* how long it took.
    :param winner: of a contested address, who answered: its name in the scenario, or its MAC.
    """

    fate: str
    stage: str
    error: str | None
    began: float
    seconds: float
    source_port: int
    heard: str | None = None
    winner: str | None = None

    @property
    def text(self) -> str:
        """One sentence."""
        said = (
            f", the server said {self.heard.strip().splitlines()[0]!r}"
            if self.heard and self.heard.strip()
            else ""
        )
        error = f" ({self.error} at {self.stage})" if self.error else ""
        return f"{self.fate}{error} after {self.seconds * 1000:.0f} ms{said}"


def try_connection(
    site: Site, naming: Naming, question: Question, *, source_port: int | None = None
) -> Attempt:
    """
    Try *question* once.

    :raises BuildError: if the client could not be run.
    """
    port = question.source_port or 0 if source_port is None else source_port
    words = [question.source, str(port), question.destination, str(question.destination_port), str(_PATIENCE)]
    words += [question.say] if question.say is not None else []
    said = run_act(Act("attempt", (*program("attempt"), *words), naming.space(question.at)))
    result = json.loads(said)
    return Attempt(
        fate=result["fate"],
        stage=result["stage"],
        error=result["error"],
        began=result["began"],
        seconds=result["seconds"],
        source_port=result["source_port"],
        heard=result.get("heard"),
        winner=_winner(site, naming),
    )


def settle(site: Site, naming: Naming, winner: str | None) -> None:
    """
    Decide who owns a contested address for the client, or leave it free.

    The address is asked for first, so that the switches know where each owner is, as behind any real answer.
    The entry is a dynamic one, as an answer would have made it, and no permanent one.
    """
    if site.contested is None:
        return
    member, address = site.contested
    space = naming.space(member.place)
    if winner is not None and site.question is not None and ":" not in address:
        run_act(Act("winner", (*program("ask"), member.device, site.question.source, address), space))
    run_act(Act("winner", ("ip", "neigh", "flush", "to", address, "dev", member.device), space))
    if winner is not None:
        words = ("ip", "neigh", "replace", address, "lladdr", site.winners[winner], "nud", "reachable")
        run_act(Act("winner", (*words, "dev", member.device), space))


def _winner(site: Site, naming: Naming) -> str | None:
    if site.contested is None:
        return None
    member, address = site.contested
    words = ("ip", "-j", "neigh", "show", "to", address, "dev", member.device)
    rows = json.loads(run_act(Act("winner", words, naming.space(member.place))) or "[]")
    mac = rows[0].get("lladdr") if rows else None
    return next((name for name, each in site.winners.items() if each == mac), mac)
