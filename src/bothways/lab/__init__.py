"""
A site rebuilt in namespaces, with the real kernel, Open vSwitch, iptables and sockets.

A scenario says what shall be there; a plan is the commands that make it so; what is made is written down
before it is made, so that it can always be removed.

=============== =================================================================
site            what shall be there: hosts, namespaces, wires, switches, services
schema          what a scenario file may say
scenario        a file -> a site and the verdict that it must earn
read_site       its tables -> nouns; template fills texts in; renumber changes every number
plan            a site -> commands; plan_namespaces, plan_wires, plan_switches, plan_services
build           runs them; record says what was made; teardown removes it
attempt         the connection, tried as its client would
evidence        captures around it, and every dump behind it, as a bundle
run             up, run, down
=============== =================================================================
"""

from bothways.lab.act import printed
from bothways.lab.naming import Naming
from bothways.lab.plan import plan
from bothways.lab.record import BusyError, Record, held, labs, read_record
from bothways.lab.run import LabError, Outcome, clear, run_once, up
from bothways.lab.scenario import Scenario, ScenarioError, read_scenario

__all__ = [
    "BusyError",
    "LabError",
    "Naming",
    "Outcome",
    "Record",
    "Scenario",
    "ScenarioError",
    "clear",
    "held",
    "labs",
    "plan",
    "printed",
    "read_record",
    "read_scenario",
    "run_once",
    "up",
]
