"""
Evidence of one case, opened: a folder of it, or loose files.

============== ================================================================
Bundle         the evidence of one case: snapshot, captures, stacks, problems
folder         its files in a fixed order; links that leave it are not followed
archive        the same in a tar or zip, read into memory; ``compression`` around a tar
manifest       ``bundle.toml``: title, question, segments, filtered views
dumps          which file of a namespace is read by which parser; ``completed`` by others
switch         Open vSwitch of a host, merged from what its tools say
captures       capture files and tcpdump text, with what is known of how they ran
ages           when each dump was read, from ``collection.jsonl``
loose          captures, dumps and pasted terminals without a folder
loose_file     what one such file holds
loose_place    where it was taken: prompts, options (``place``), names, or asked
loose_captures its captures
loose_hosts    loose dumps put together, quoted as their files stand (``requote``)
item           one piece of loose evidence
============== ================================================================

A missing file means that it was not collected; an empty one that there was nothing.
"""

from bothways.bundle.content import Bundle
from bothways.bundle.error import BundleError
from bothways.bundle.loose import open_evidence
from bothways.bundle.open import open_bundle

__all__ = ["Bundle", "BundleError", "open_bundle", "open_evidence"]
