"""``bothways trace --list``: the probes of a host, and why one cannot run there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bothways.cli.ending import CommandError, ExitCode
from bothways.cli.screen import say, say_data
from bothways.report.words import counted, plain

__all__ = ["list_probes", "listing_text"]


def list_probes(hosts: Sequence[str], *, as_json: bool) -> int:
    """
    List probes here, or on other hosts.

    :raises CommandError: if a host cannot be asked.
    """
    from bothways.trace.local import ask_local  # noqa: PLC0415 (only where wanted)

    if hosts and set(hosts) != {"local"}:
        message = "--list asks this machine only"
        raise CommandError(message, "run it on the host itself", ExitCode.WRONG_USAGE)
    rows, ending = ask_local(["list"])
    if ending.status != 0 and not any(row.get("type") == "start" for row in rows):
        raise CommandError(ending.text or "the probe could not run", ending.hint)
    for row in rows:
        if as_json:
            say_data(json.dumps(row, ensure_ascii=False) + "\n")
        else:
            say(listing_text(row))
    return ExitCode.DONE


#: What no probe can show, whatever the tier; docs/concepts/hooks.md says why.
_NOT_TOLD: Final = (
    "  not told by any tier: which rule of nftables or iptables decided (the kernel tells it only of packets "
    "that a rule marked for tracing), and ARP packets"
)


def listing_text(row: Mapping[str, Any]) -> str:
    """Tiers and probes of one host as text: a line each."""
    if row.get("type") == "problem":
        return f"{plain(str(row.get('text')))}\n"
    lines = [f"{plain(str(row.get('host', 'this host')))}, kernel {plain(str(row.get('kernel', '?')))}"]
    for tier in row.get("tiers") or ():
        state = "usable" if tier.get("usable") else f"not usable: {tier.get('why_not') or 'no reason given'}"
        lines.append(f"  tier {tier.get('tier', '?'):<16} {state}")
    probes = list(row.get("probes") or ())
    usable = sum(1 for probe in probes if _usable(probe))
    lines.append(f"  {counted(len(probes), 'probe')}, {usable} of them can run here")
    wide = max((len(str(probe.get("probe"))) for probe in probes), default=0)
    for probe in probes:
        why = "" if _usable(probe) else f"  not here: {probe.get('why_not') or 'no reason given'}"
        name, event = str(probe.get("probe")), str(probe.get("event"))
        lines.append(f"    {name:<{wide}}  {event:<14}  {probe.get('tier') or '-':<14}{why}".rstrip())
    if probes:
        lines.append(_NOT_TOLD)
    return "".join(f"{plain(line)}\n" for line in lines)


def _usable(probe: Mapping[str, Any]) -> bool:
    return bool(probe.get("attached") or probe.get("usable"))
