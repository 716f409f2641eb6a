"""
Hosts to a bundle: what is asked of a namespace and of a switch, and captures at many taps at once.

So far the namespaces of this machine alone; nothing is changed in them.

============ =====================================================
commands     which dumps there are, and the command of each
gather       runs them, and writes files and ``collection.jsonl``
captures     tcpdump at every tap, listening before anything happens
============ =====================================================
"""

from bothways.collect.captures import Captures, Tap
from bothways.collect.gather import Gatherer, Source

__all__ = ["Captures", "Gatherer", "Source", "Tap"]
