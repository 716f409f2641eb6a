"""What a trace was asked for: its options, checked, and the probes started that they mean."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Final

from bothways.cli.ending import CommandError, ExitCode, reason
from bothways.parse.filter import parse_filter
from bothways.trace.filter_plan import FilterError, FilterPlan, plan_filter
from bothways.trace.local import CannotStart, start_local
from bothways.trace.profile import Profile, ProfileError, read_profile
from bothways.trace.session import Probe

__all__ = [
    "LOCAL",
    "Wanted",
    "end_probes",
    "plan",
    "probe_arguments",
    "refuse_contradictions",
    "start_probes",
]

#: The name of this machine among those of --host.
LOCAL: Final = "local"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options of a trace, as they were typed."""

    filter: str
    argv: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    netns: tuple[str, ...] = ()
    device: tuple[str, ...] = ()
    profile: str = "reset"
    stack: str | None = None
    follow_nat: bool = True
    count: int | None = None
    timeout: float | None = None
    ring_size: int | None = None
    tier: str | None = None
    as_json: bool = False
    output: Path | None = None
    rotate: int | None = None
    pcapng: Path | None = None
    listing: bool = False
    ssh_config: Path | None = None
    allow_system_changes: bool = False


def refuse_contradictions(wanted: Wanted) -> None:
    """
    Say which options contradict each other, before anything is started.

    :raises CommandError: if some do.
    """
    if wanted.rotate is not None and wanted.output is None:
        raise CommandError(
            "--rotate begins files of a bundle anew, and -o names none", "add -o BUNDLE", ExitCode.WRONG_USAGE
        )
    if wanted.listing and (wanted.filter or wanted.argv):
        raise CommandError("--list takes no FILTER and no command", "leave them out", ExitCode.WRONG_USAGE)
    if wanted.listing and (wanted.output is not None or wanted.pcapng is not None):
        raise CommandError(
            "--list traces nothing that could be kept", "leave -o or --pcapng out", ExitCode.WRONG_USAGE
        )
    if wanted.timeout is not None and not isfinite(wanted.timeout):
        raise CommandError(
            f"--timeout {wanted.timeout:g} is no time",
            "leave it out to trace until Ctrl-C",
            ExitCode.WRONG_USAGE,
        )
    if wanted.pcapng is not None:
        _refuse_capture(wanted.pcapng)
    if wanted.output is None:
        return
    try:
        is_file = wanted.output.is_file()
    except OSError as error:
        message = f"`{wanted.output}` cannot be looked at: {reason(error)}"
        raise CommandError(message, "name a folder that you may write to") from None
    if is_file:
        message = f"`{wanted.output}` is a file, and a bundle is a folder"
        raise CommandError(message, "name a folder, a new one or one that is there", ExitCode.WRONG_USAGE)


def _refuse_capture(path: Path) -> None:
    """Say before the trace that its capture could not be written."""
    try:
        if path.is_dir():
            message = f"`{path}` is a folder, and --pcapng writes a file"
            raise CommandError(message, "name a file in it", ExitCode.WRONG_USAGE)
        if not path.parent.is_dir():
            message = f"`{path}` cannot be written: there is no folder `{path.parent}`"
            raise CommandError(message, "make it, or name another file")
    except OSError as error:
        message = f"`{path}` cannot be looked at: {reason(error)}"
        raise CommandError(message, "name a file that you may write") from None


def plan(wanted: Wanted) -> tuple[Profile, FilterPlan]:
    """
    Read profile and filter.

    :raises CommandError: if one of them cannot be used.
    """
    try:
        profile = read_profile(wanted.profile)
        texts = [text for text in (wanted.filter, profile.filter) if text.strip()]
        text = texts[0] if len(texts) == 1 else " and ".join(f"({each})" for each in texts)
        return profile, plan_filter(parse_filter(text), follow_nat=wanted.follow_nat)
    except (ProfileError, FilterError) as error:
        raise CommandError(str(error), error.hint, ExitCode.WRONG_USAGE) from None


def probe_arguments(wanted: Wanted, profile: Profile, plan: FilterPlan) -> list[str]:
    """The command line of the probe."""
    argv = ["--stack", wanted.stack or profile.stack]
    argv += ["--follow-nat"] if wanted.follow_nat else ["--no-follow-nat"]
    if plan.terms:
        argv += ["--filter", json.dumps(plan.as_json())]
    if profile.events:
        argv += ["--profile-events", ",".join(profile.events)]
    for name in wanted.netns:
        argv += ["--netns", name]
    for glob in wanted.device:
        argv += ["--device", glob]
    if wanted.ring_size is not None:
        argv += ["--ring-size", str(wanted.ring_size)]
    if wanted.tier is not None:
        argv += ["--tier", wanted.tier]
    counts_all = wanted.as_json or not profile.unsaid  # what is not shown is not counted
    if wanted.count is not None and counts_all and plan.exact and len(wanted.hosts) <= 1:
        argv += ["--count", str(wanted.count)]
    return [*argv, *(["--allow-system-changes"] if wanted.allow_system_changes else [])]


def start_probes(wanted: Wanted, arguments: Sequence[str]) -> list[tuple[str, Probe]]:
    """
    Start a probe on every host.

    :raises CommandError: if one cannot be started; the others are ended then.
    """
    probes: list[tuple[str, Probe]] = []
    packed: bytes | None = None
    try:
        for host in dict.fromkeys(wanted.hosts or (LOCAL,)):
            if host == LOCAL:
                try:
                    probes.append((host, start_local(arguments)))
                except CannotStart as error:
                    raise CommandError(str(error), error.hint) from None
                continue
            from bothways.trace.carry import pack  # noqa: PLC0415 (only where wanted)
            from bothways.trace.remote import Refused, connect  # noqa: PLC0415 (only where wanted)

            packed = packed or pack()
            options = () if wanted.ssh_config is None else ("-F", str(wanted.ssh_config))
            try:
                probes.append((host, connect(host, packed, ["trace", *arguments], options=options)))
            except Refused as error:
                raise CommandError(str(error), error.hint) from None
    except BaseException:
        end_probes(probes)
        raise
    return probes


def end_probes(probes: Sequence[tuple[str, Probe]]) -> None:
    """Ask all probes to detach, and end those that do not."""
    for _, probe in probes:
        probe.stop()
    for _, probe in probes:
        probe.end()
