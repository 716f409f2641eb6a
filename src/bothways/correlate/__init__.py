"""
The same packet at all taps.

Captures in, connections out: each packet with all its sightings in the order of its way, through
translations and tunnels, on clocks that agree within stated bounds; and the taps that should have seen it
and did not.
"""

from bothways.correlate.clock import corrected_ns
from bothways.correlate.correlation import Correlation, correlate
from bothways.correlate.find import find
from bothways.correlate.round_trip import RoundTrip, round_trips
from bothways.correlate.unseen import first_unseen

__all__ = [
    "Correlation",
    "RoundTrip",
    "corrected_ns",
    "correlate",
    "find",
    "first_unseen",
    "round_trips",
]
