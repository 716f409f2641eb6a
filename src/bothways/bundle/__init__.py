"""
A folder of evidence, opened.

============ ================================================================
Bundle       the evidence of one case: snapshot, captures, stacks, problems
folder       its files in a fixed order; links that leave it are not followed
manifest     ``bundle.toml``: title, question, segments, filtered views
dumps        which file of a namespace is read by which parser
switch       Open vSwitch of a host, merged from what its tools say
captures     pcap and tcpdump text, with what is known of how they ran
ages         when each dump was read, from ``collection.jsonl``
============ ================================================================

A missing file means that it was not collected; an empty one that there was nothing.
"""

from bothways.bundle.content import Bundle
from bothways.bundle.error import BundleError
from bothways.bundle.open import open_bundle

__all__ = ["Bundle", "BundleError", "open_bundle"]
