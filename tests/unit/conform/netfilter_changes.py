"""Changes to the tables of the model, each of which a recording must notice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any, cast

import pytest

from bothways.model.linux import stages
from bothways.model.linux.conntrack import settings as tracker
from bothways.model.linux.hook import Hook
from bothways.model.linux.iptables.matches import MATCHES
from bothways.model.linux.iptables.targets import TARGETS, Effect
from bothways.model.linux.nftables import value, write
from bothways.model.linux.routing import rule
from bothways.model.linux.settings import Settings

__all__ = [
    "Change", "Patch", "at_priority", "entry", "idle", "ignored", "misread", "rows_of", "set_to",
    "tracker_ignores", "turned", "unset", "unwritten", "without_selector", "without_stage",
]  # fmt: skip

Patch = pytest.MonkeyPatch
Change = Callable[[Patch], None]


def rows_of(module: ModuleType, name: str) -> Any:
    """A table that is a module's own affair."""
    return getattr(module, name)


def turned(name: str) -> Change:
    def change(patch: Patch) -> None:
        original = MATCHES[name]

        def row(*arguments: Any) -> bool | None:
            answer = original(*arguments)
            return None if answer is None else not answer

        patch.setitem(cast("dict[str, Any]", MATCHES), name, row)

    return change


def idle(name: str) -> Change:
    return lambda patch: patch.setitem(cast("dict[str, Any]", TARGETS), name, lambda *_: Effect())


def misread(name: str) -> Change:
    def change(patch: Patch) -> None:
        original = value.MODELLED[name]

        def row(view: Any) -> Any:
            found = original(view)
            return (
                found ^ 0xFF if isinstance(found, int) else f"{found}x" if isinstance(found, str) else found
            )

        patch.setitem(cast("dict[str, Any]", value.MODELLED), name, row)

    return change


def unwritten(name: str) -> Change:
    return lambda patch: patch.setitem(rows_of(write, "_HEADERS"), name, lambda packet, _: packet)


def unset(name: str) -> Change:
    return lambda patch: patch.setitem(rows_of(write, "_META"), name, lambda *_: Effect())


def ignored(name: str) -> Change:
    def change(patch: Patch) -> None:
        original = Settings.of_device

        def of_device(self: Settings, asked: str, device: str, version: int = 4) -> Any:
            found = original(self, asked, device, version)
            return None if found is None else replace(found, value=0) if asked == name else found

        patch.setattr(Settings, "of_device", of_device)

    return change


def tracker_ignores(name: str) -> Change:
    """The tracker takes its default."""
    return lambda patch: patch.setattr(tracker, "NAMES", tracker.NAMES - {name})


def at_priority(name: str, priority: int) -> Change:
    return lambda patch: patch.setitem(rows_of(stages, "_PRIORITIES"), name, priority)


def without_stage(hook: Hook, name: str) -> Change:
    def change(patch: Patch) -> None:
        left = tuple(each for each in stages.STAGES[hook] if each != name)
        patch.setitem(cast("dict[Hook, tuple[str, ...]]", stages.STAGES), hook, left)

    return change


def without_selector(number: int) -> Change:
    left = tuple(each for at, each in enumerate(rows_of(rule, "_SELECTORS")) if at != number)
    return lambda patch: patch.setattr(rule, "_SELECTORS", left)


def set_to(module: ModuleType | type, name: str, what: object) -> Change:
    return lambda patch: patch.setattr(module, name, what)


def entry(rows: Mapping[Any, Any], key: object, what: object) -> Change:
    return lambda patch: patch.setitem(cast("dict[Any, Any]", rows), key, what)
