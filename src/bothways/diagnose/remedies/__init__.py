"""
What repairs a connection, what does not, and what breaks with it.

candidates    take one owner's claim away, whole or by half; pin the neighbour: as the commands one would type
popular       what people try, with the reason for which it fails where it fails
trial         every one of them parsed, made to the snapshot and walked
"""

from bothways.diagnose.remedies.trial import remedies_of

__all__ = ["remedies_of"]
