"""Vendor wire formats, each in a room of its own that knows nothing of the others.

Pure: a dialect turns its vendor's JSON into the canonical model and back; it must not know HTTP servers, SMPP or the
store. Start at `base`, the protocol that every vendor package fulfils.
"""

__all__: list[str] = []
