"""What a lab's things are called on the machine: its namespaces, and its folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bothways.lab.site import ROOT, Place

__all__ = ["PREFIX", "Naming", "home"]

#: Every namespace of every lab begins so; nothing else on the machine is touched.
PREFIX: Final = "bw-"
_HOME: Final = "/run/bothways/lab"


def home() -> Path:
    """Return the folder that the labs of this machine live in; ``BOTHWAYS_LAB_HOME`` names another."""
    return Path(os.environ.get("BOTHWAYS_LAB_HOME", _HOME))


@dataclass(frozen=True, slots=True)
class Naming:
    """
    Names of one lab.

    :param lab: its name.
    :param folder: where it keeps its switches, keys and the record of what it made.
    """

    lab: str
    folder: Path

    @classmethod
    def of(cls, lab: str) -> Naming:
        """Names of a lab that lives where labs live."""
        return cls(lab, home() / lab)

    def space(self, place: Place) -> str:
        """The machine's name of a namespace: ``bw-LAB--HOST`` or ``bw-LAB--HOST--NETNS``."""
        rest = "" if place.netns == ROOT else f"--{place.netns}"
        return f"{PREFIX}{self.lab}--{place.host}{rest}"

    @property
    def wires(self) -> str:
        """The namespace that holds segments with more than two ends."""
        return f"{PREFIX}{self.lab}---wires"

    def switch(self, host: str) -> Path:
        """Run directory of a host's Open vSwitch."""
        return self.folder / "switch" / host

    def database(self, host: str) -> str:
        """Where ``ovs-vsctl`` finds the host's database."""
        return f"unix:{self.switch(host)}/db.sock"

    def management(self, host: str, bridge: str) -> str:
        """Where ``ovs-ofctl`` finds a bridge."""
        return f"unix:{self.switch(host)}/{bridge}.mgmt"

    def control(self, host: str) -> str:
        """Where ``ovs-appctl`` finds ``ovs-vswitchd``."""
        return f"{self.switch(host)}/ovs-vswitchd.ctl"
