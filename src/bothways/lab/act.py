"""
One command of a plan: what is run where, and when it counts as done.

A plan is a tuple of these: a value that can be printed, compared and tested without running it.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

__all__ = ["Act", "printed"]


@dataclass(frozen=True, slots=True)
class Act:
    """
    A command.

    :param stage: what it belongs to: ``namespaces``, ``switches``, ``wires`` …; timings are told by stage.
    :param argv: program and words.
    :param space: name of the machine's namespace that it runs in, None for the machine's own.
    :param given: what its standard input gets.
    :param stays: it runs on after this: a service.
    :param until: command, in the same namespace, that prints something once the service is ready.
    :param mild: a failure is said and does not end the build.
    :param patience: seconds after which it counts as failed.
    """

    stage: str
    argv: tuple[str, ...]
    space: str | None = None
    given: str | None = None
    stays: bool = False
    until: tuple[str, ...] = ()
    mild: bool = False
    patience: float = 60.0

    @property
    def words(self) -> tuple[str, ...]:
        """The command with the words that put it into its namespace."""
        return self.argv if self.space is None else ("ip", "netns", "exec", self.space, *self.argv)


def printed(acts: tuple[Act, ...]) -> str:
    """Write a plan as the shell script that would do the same."""
    lines: list[str] = []
    stage = None
    for act in acts:
        if act.stage != stage:
            stage = act.stage
            lines += ["", f"# {stage}"] if lines else [f"# {stage}"]
        command = shlex.join(act.words)
        if act.given is not None:
            lines += [f"{command} <<'END'", act.given.rstrip("\n"), "END"]
        else:
            lines.append(command + (" || true" if act.mild else "") + (" &" if act.stays else ""))
    return "\n".join(lines) + "\n"
