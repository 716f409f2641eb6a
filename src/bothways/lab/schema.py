"""
What a scenario file may say: every table with its keys, what each holds, and which must be there.

``docs/reference/scenario.md`` describes the same; a contract test holds the two together.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

__all__ = ["SCENARIO", "Each", "Flaw", "Table", "flaws"]


@dataclass(frozen=True, slots=True)
class Table:
    """
    One table of a scenario file.

    :param keys: key -> what it holds: a type, a tuple of types, a :class:`Table`, or ``each(Table)``.
    :param needs: keys that must be there.
    """

    keys: Mapping[str, Any]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Each:
    """A table whose keys are names, or an array, of tables of one form."""

    form: Table
    array: bool = False


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that a scenario may not say; *path* leads to it: ``hosts.host1.bridges.br-int``."""

    path: tuple[str, ...] = field(default=())
    text: str = ""


_TEXT: Final = (str, dict)
_SERVICE: Final = Table({"kind": str, "address": str, "port": int}, ("kind", "address", "port"))
_DEVICE: Final = Table({"type": str, "members": list}, ("type",))
_SPACE: Final = MappingProxyType(
    {
        "addresses": dict,
        "routes": list,
        "rules": list,
        "neighbours": list,
        "fdb": list,
        "sysctls": dict,
        "iptables": _TEXT,
        "ip6tables": _TEXT,
        "nft": _TEXT,
        "devices": Each(_DEVICE),
        "services": Each(_SERVICE, array=True),
        "macs": dict,
        "mtus": dict,
        "announce": bool,
        "offload": list,
    }
)
_PORT: Final = Table(
    {
        "type": str,
        "number": int,
        "netns": str,
        "options": dict,
        "tag": int,
        "trunks": list,
        "vlan_mode": str,
        "external_ids": dict,
    }
)
_BRIDGE: Final = Table(
    {"ports": Each(_PORT), "flows": (str, dict, list), "groups": str, "fail_mode": str, "mac": str}
)
_HOST: Final = Table(
    {**_SPACE, "netns": Each(Table(_SPACE)), "bridges": Each(_BRIDGE), "clock": (int, float)}
)

_MESH_MEMBER: Final = Table(
    {"underlay": str, "via": str, "overlay": str, "mac": str, "subnet": str},
    ("underlay", "via", "overlay", "mac", "subnet"),
)
_MESH: Final = Table(
    {"vni": int, "port": int, "device": str, "members": Each(_MESH_MEMBER)}, ("vni", "members")
)

#: The whole file.
SCENARIO: Final = Table(
    {
        "format": str,
        "title": str,
        "base": str,
        "remove": list,
        "ipv6": bool,
        "hosts": Each(_HOST),
        "mesh": Each(_MESH),
        "wires": Each(Table({"members": list, "mtu": int, "loss": int}, ("members",))),
        "question": Table(
            {
                "at": str,
                "protocol": str,
                "source": str,
                "source_port": int,
                "destination": str,
                "destination_port": int,
                "say": str,
            },
            ("at", "source", "destination", "destination_port"),
        ),
        "taps": list,
        "pings": Each(Table({"at": str, "address": str}, ("at", "address")), array=True),
        "checks": Each(
            Table(
                {
                    "at": str,
                    "source": str,
                    "destination": str,
                    "destination_port": int,
                    "say": str,
                    "fate": str,
                },
                ("at", "source", "destination", "destination_port", "fate"),
            ),
            array=True,
        ),
        "contested": Table(
            {"at": str, "address": str, "winners": dict, "pinned": str}, ("at", "address", "winners")
        ),
        "expect": Table(
            {"status": str, "cause": str, "fate": str, "author": str, "culprit": str, "latent": str},
            ("status", "fate"),
        ),
    },
    ("format", "title", "hosts", "question", "expect"),
)

_WORDS: Final[Mapping[type, str]] = {
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


def flaws(said: Mapping[str, Any], form: Table = SCENARIO, path: tuple[str, ...] = ()) -> Iterator[Flaw]:
    """Find everything in *said* that the form does not admit."""
    for key in form.needs:
        if key not in said:
            yield Flaw(path, f"`{key}` is missing")
    for key, value in said.items():
        here = (*path, key)
        if key not in form.keys:
            close = difflib.get_close_matches(key, form.keys, n=1)
            hint = (
                f", did you mean `{close[0]}`?"
                if close
                else f", expected one of {', '.join(sorted(form.keys))}"
            )
            yield Flaw(here, f"no key `{key}` here{hint}")
            continue
        yield from _fits(value, form.keys[key], here)


def _fits(value: Any, wanted: Any, here: tuple[str, ...]) -> Iterator[Flaw]:
    if isinstance(wanted, Each):
        if not isinstance(value, list if wanted.array else dict):
            yield Flaw(here, f"{'an array of tables' if wanted.array else 'tables with names'} expected")
            return
        pairs = enumerate(value) if isinstance(value, list) else value.items()
        for name, each in pairs:
            yield from _fits(each, wanted.form, (*here, str(name)))
    elif isinstance(wanted, Table):
        if isinstance(value, dict):
            yield from flaws(value, wanted, here)
        else:
            yield Flaw(here, "a table is expected")
    else:
        types = wanted if isinstance(wanted, tuple) else (wanted,)
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            words = " or ".join(dict.fromkeys(_WORDS[each] for each in types))
            yield Flaw(here, f"{words} is expected, not {value!r}")
