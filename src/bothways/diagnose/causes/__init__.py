"""
Causes, one file each, named for the fault.

A cause looks at a ``Case`` and returns an ``Explanation`` if it is the cause of the observed fate, or a
``Finding`` if it exists beside it; None otherwise. It accuses only what survived a flip.
"""

from typing import Final

from bothways.diagnose.causes import bw101_reply_bypasses_tracker as bw101
from bothways.diagnose.causes import bw102_reply_unknown_to_tracker as bw102
from bothways.diagnose.causes import bw201_two_owners as bw201

__all__ = ["CAUSES", "EXPLAIN", "FIND"]

#: Every code that a diagnosis can carry, with its name.
CAUSES: Final = ((bw101.CODE, bw101.NAME), (bw102.CODE, bw102.NAME), (bw201.CODE, bw201.NAME))
#: Causes that explain a fate, the first that does is taken.
EXPLAIN: Final = (bw101.explain, bw102.explain)
#: Faults that stand beside a cause, or wait.
FIND: Final = (bw201.find,)
