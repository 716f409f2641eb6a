"""Texts that a scenario fills in: iptables of a Neutron router, flows of OpenDaylight, kube-proxy's rules."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from ipaddress import IPv4Address
from typing import Any

import jinja2

__all__ = ["TemplateError", "fill", "known"]


class TemplateError(Exception):
    """A template that is not there, or one that misses a parameter; the text says which."""


def known(kind: str) -> tuple[str, ...]:
    """Names of the templates for a kind of text: ``iptables``, ``nft``, ``flows``."""
    suffix = f".{kind}.j2"
    folder = files("bothways.lab") / "templates"
    return tuple(
        sorted(each.name.removesuffix(suffix) for each in folder.iterdir() if each.name.endswith(suffix))
    )


def fill(kind: str, name: str, parameters: Mapping[str, Any]) -> str:
    """
    Fill in a template.

    :raises TemplateError: if there is none of that name, or a parameter is missing.
    """
    if name not in known(kind):
        raise TemplateError(f"no template `{name}` for {kind}, there are {', '.join(known(kind)) or 'none'}")
    try:
        return _loaded(f"{name}.{kind}.j2").render(parameters).strip("\n") + "\n"
    except jinja2.UndefinedError as error:
        raise TemplateError(f"template `{name}`: {error}") from None


@cache
def _loaded(file: str) -> jinja2.Template:
    text = (files("bothways.lab") / "templates" / file).read_text(encoding="utf-8")
    world = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True)  # noqa: S701 - no page is made of it
    world.filters["hexip"] = lambda address: f"0x{int(IPv4Address(address)):08x}"
    return world.from_string(text)
