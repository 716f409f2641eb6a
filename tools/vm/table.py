"""The answers of story.py as a table in Markdown: table.py RESULT.json ..."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HEAD = (
    "tier",
    "probes",
    "closed port: RST by",
    "bare ACK: RST by",
    "… and the ACK",
    "nft reject: RST by",
    "nft drop",
    "OVS drop",
)
Told = dict[str, Any]
#: The stories' namespaces and devices by their part.
PARTS = {"bwvs": "server", "bwvr": "router"}
DEVICES = {"bwvs0": "its device", "qr-bwv": "its `qr-` device"}


def author(told: Told) -> str:
    """Who sent the reset."""
    each = told.get("author") or {}
    if not each:
        return "not told"
    reason = f", {each['reason']}" if each.get("reason") else ""
    by = f" (told by {each['by']})" if each.get("by") else ""
    part, device = spoken(each.get("netns"), PARTS), spoken(each.get("device"), DEVICES)
    return f"{part}, {device} `{each.get('function')}`{reason}{by}"


def spoken(name: str | None, parts: dict[str, str]) -> str:
    """A name as readers of the table know it."""
    return "not told" if name is None else parts.get(name, name)


def bare_ack(told: Told) -> str:
    """What became of the ACK without an entry."""
    words = [
        "INVALID" if told.get("tracker") == "INVALID" else "tracker's answer not seen",
        "delivered locally" if told.get("delivered locally") else "",
        "not translated" if told.get("delivered locally") and not told.get("translated") else "",
        "the RST is linked to it"
        if told.get("the answer is linked to the ACK")
        else "the RST is not linked to it",
    ]
    return ", ".join(word for word in words if word)


def dropped(told: Told) -> str:
    """Where and why something was dropped."""
    drop, hook, guess = (told.get(key) or {} for key in ("drop", "hook", "inferred"))
    words = [
        f"`{drop['function']}` {drop.get('reason')} in {spoken(drop.get('netns'), PARTS)}" if drop else "",
        f"hook {hook['hook']}: {hook['verdict']}" if hook else "",
        f"inferred in the account: `{guess['function']}` in {guess['netns']}" if guess else "",
    ]
    return "; ".join(word for word in words if word) or "not told"


def table(answer: Told) -> str:
    """One kernel: a row for each tier."""
    lines = [
        f"### Linux {answer['kernel']}",
        "",
        f"| {' | '.join(HEAD)} |",
        "|" + "---|" * len(HEAD),
    ]
    for tier, each in answer["tiers"].items():
        if not each["probes"]:
            why = "; ".join(each["problems"]) or "no probe could be attached"
            lines.append(f"| {tier} | none | {why} | | | | | |")
            continue
        told = each["told"]
        switch = told["ovs-drop"]
        used = each.get("used") or tier
        cells = (
            tier if used == tier else f"{tier} was refused, in its place {used}",
            str(each["probes"]),
            author(told["closed-port"]),
            author(told["bare-ack"]),
            bare_ack(told["bare-ack"]),
            author(told["nft-reject"]),
            dropped(told["nft-drop"]),
            f"{dropped(switch)} (seen: {', '.join(switch['events']) or 'nothing'})",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(table(json.loads(Path(name).read_text())), end="\n\n")
