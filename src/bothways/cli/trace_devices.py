"""``bothways trace devices``: namespaces, devices, and the kernel function that transmits for each."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches
from typing import Any, Final

import click

from bothways.cli.ending import CommandError, ExitCode
from bothways.cli.screen import say, say_data, tell
from bothways.report.words import counted, plain

__all__ = ["command", "devices_text"]

Row = Mapping[str, Any]

_LOCAL: Final = "local"
_SHOWN: Final = 8
_WILD: Final = frozenset("*?[")
_HEAD: Final = ("", "device", "driver", "mtu", "state", "transmitted by")


@click.command("devices", short_help="Namespaces, their devices, and the function that transmits for each.")
@click.option(
    "--host", "hosts", metavar="HOST", multiple=True, help="Over ssh; more than one; `local` is this machine."
)
@click.option(
    "--netns", metavar="NAME", multiple=True, help="Of these namespaces only: a name, a glob, inode:N."
)
@click.option("--device", metavar="GLOB", multiple=True, help="These devices only: 'qg-*'.")
@click.option("--json", "as_json", is_flag=True, help="Print bothways/trace-devices/1, a line a namespace.")
def command(hosts: tuple[str, ...], netns: tuple[str, ...], device: tuple[str, ...], *, as_json: bool) -> int:
    """
    List every network namespace, those with names and those of processes, with its devices.

    For each device the kernel function that transmits for it is told, the one that its ndo_start_xmit is:
    veth_xmit, tun_net_xmit, internal_dev_xmit of Open vSwitch. The kernel shows it nowhere, so a BPF program
    reads it; where none can run the rest is told all the same. It changes nothing and needs root.

    Exit 4 where a host could not be asked, or may not be looked at; 2 where there is nothing of that name.
    """
    asked = hosts or (_LOCAL,)
    with ThreadPoolExecutor(max_workers=len(asked)) as pool:
        answers = list(pool.map(_ask, asked))
    failed = [error for _, error in answers if error is not None]
    if not failed:
        _refuse_strangers([row for rows, _ in answers for row in rows], netns, device)
    for host, (rows, _) in zip(asked, answers, strict=True):
        chosen = list(_chosen(rows, netns, device))
        if as_json:
            for row in chosen:
                named = row if host == _LOCAL else {**row, "host": host}
                say_data(json.dumps(named, ensure_ascii=False) + "\n")
        elif rows:
            say(devices_text(chosen, "" if host == _LOCAL else host))
    if len(failed) == 1 == len(asked):
        raise failed[0]
    if any(_shut_out(rows) for rows, _ in answers):
        failed.append(CommandError("not every namespace could be entered", "run it as root"))
    for error in failed:
        tell(f"bothways: {error.message}")
        if error.hint:
            tell(f"  hint: {error.hint}")
    return ExitCode.COULD_NOT_RUN if failed else ExitCode.DONE


def _ask(host: str) -> tuple[list[Row], CommandError | None]:
    """Ask one host; what it said, and what went wrong if anything did."""
    from bothways.trace.local import ask_local  # noqa: PLC0415 (only where wanted)

    if host == _LOCAL:
        rows, ending = ask_local(["devices"])
    else:
        from bothways.trace.carry import pack  # noqa: PLC0415 (only where wanted)
        from bothways.trace.remote import Refused, ask  # noqa: PLC0415 (only where wanted)

        try:
            rows, ending = ask(host, pack(), ["devices"])
        except Refused as error:
            return [], CommandError(str(error), error.hint)
    told = [row for row in rows if row.get("type") in {"host", "namespace"}]
    if ending.status == 0:
        return list(told), None
    named = "" if host == _LOCAL else f"{host}: "
    return list(told), CommandError(f"{named}{ending.text or 'the probe could not run'}", ending.hint)


def _refuse_strangers(rows: Sequence[Row], netns: Sequence[str], device: Sequence[str]) -> None:
    """
    Say that nothing is as it was asked for: that a glob fits nothing is an answer, a name is a mistake.

    :raises CommandError: if there is no namespace or no device of a name on any host.
    """
    for name in netns:
        if not any(row.get("type") == "namespace" for row in _chosen(rows, (name,), ())):
            have = sorted(str(row.get("netns")) for row in rows if row.get("type") == "namespace")
            near = get_close_matches(name, have, 3) or have[:_SHOWN]
            message = f"there is no network namespace `{name}`"
            _refuse((name,), message, f"there is {', '.join(near)} …")
    if device and not any(row.get("type") == "namespace" for row in _chosen(rows, netns, device)):
        message = f"there is no device `{' or '.join(device)}`{' in these namespaces' if netns else ''}"
        _refuse(device, message, "`bothways trace devices` lists them all")


def _refuse(names: Sequence[str], message: str, hint: str) -> None:
    if not any(set(name) & _WILD for name in names):
        raise CommandError(message, hint, ExitCode.WRONG_USAGE)
    tell(message)


def _shut_out(rows: Sequence[Row]) -> bool:
    """Whether most of a host was not to be seen: all namespaces but that of the probe itself."""
    inner = [row for row in rows if row.get("type") == "namespace"]
    entered = [row for row in inner if not row.get("why_not")]
    return len(inner) > 1 >= len(entered)


def _chosen(rows: Sequence[Row], netns: Sequence[str], device: Sequence[str]) -> Iterator[Row]:
    """Leave out what was not asked for."""
    for row in rows:
        if row.get("type") != "namespace":
            yield row
            continue
        names = (str(row.get("netns")), f"inode:{row.get('inode')}")
        if netns and not any(fnmatch.fnmatchcase(name, glob) for name in names for glob in netns):
            continue
        kept = [
            each
            for each in row.get("devices") or ()
            if not device or any(fnmatch.fnmatchcase(str(each.get("device")), glob) for glob in device)
        ]
        if kept or not device:
            yield {**row, "devices": kept}


def devices_text(rows: Sequence[Row], host: str = "") -> str:
    """
    Write the namespaces of one host as text: a paragraph each, a line for each device.

    :param host: as the user called it; "" takes the name that it gives itself.
    """
    lines: list[str] = []
    for row in rows:
        if row.get("type") == "host":
            lines.append(f"{host or row.get('host', '?')}, kernel {row.get('kernel', '?')}")
            if row.get("why_not"):
                lines.append(f"  which function transmits is not known: {row['why_not']}")
        else:
            lines += ["", *_namespace(row)]
    return "".join(f"{plain(line)}\n" for line in lines)


def _namespace(row: Row) -> Iterator[str]:
    processes = int(row.get("processes") or 0)
    lives = f", {counted(processes, 'process', 'processes')}" if processes else ""
    yield f"{row.get('netns', '?')} (inode {row.get('inode', '?')}{lives})"
    if row.get("why_not"):
        yield f"  {row['why_not']}"
        return
    table = [_HEAD, *(_cells(each) for each in row.get("devices") or ())]
    if len(table) == 1:
        yield "  no devices"
        return
    wide = [max(len(cells[at]) for cells in table) for at in range(len(_HEAD))]
    for cells in table:
        right = (0, 3)  # numbers
        padded = [
            cell.rjust(w) if at in right else cell.ljust(w)
            for at, (cell, w) in enumerate(zip(cells, wide, strict=True))
        ]
        yield f"  {'  '.join(padded)}".rstrip()


def _cells(device: Row) -> tuple[str, ...]:
    return (
        str(device.get("ifindex", "?")),
        str(device.get("device", "?")),
        str(device.get("driver") or device.get("kind") or "-"),
        str(device.get("mtu") or "-"),
        "up" if device.get("up") else "down",
        str(device.get("transmit") or "-"),
    )
