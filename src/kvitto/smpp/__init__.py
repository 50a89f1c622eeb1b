"""SMPP 3.4 without input or output: octets <-> PDUs <-> events (docs/smpp.md).

``spec`` the tables, ``pdus`` the values, ``codec`` octets to PDUs and back, ``states`` and ``session`` one bind as a
state machine, ``events`` what it tells, ``receipts`` what a deliver_sm says about a message.
Must not know: sockets, clocks, storage.
"""

from kvitto.smpp import codec, events, pdus, session, spec, states

__all__ = ["codec", "events", "pdus", "session", "spec", "states"]
