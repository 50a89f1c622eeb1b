"""The built-in SMSC: real SMPP, scripted outcomes. For `make run`, `kvitto simulate`, tests and the bench.

``numbers`` the magic numbers as data, ``smsc`` the server, ``bind`` one connection, ``receipts`` what it writes,
``record`` what it saw. Must not know: the sending side, HTTP, the store.
"""

from kvitto.simulator.numbers import NUMBERS, Behaviour
from kvitto.simulator.record import JsonLinesRecord, Record, Recorder
from kvitto.simulator.smsc import Simulator, SimulatorConfig

__all__ = ["NUMBERS", "Behaviour", "JsonLinesRecord", "Record", "Recorder", "Simulator", "SimulatorConfig"]
