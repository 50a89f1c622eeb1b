"""The built-in SMSC: real SMPP, scripted outcomes. For `make run`, `kvitto simulate`, tests and others.

``numbers`` the magic numbers as data, ``scenario`` the keys of a scenario file (docs/simulator.md), ``reading`` the
file, ``script`` what it draws for a message; ``smsc`` the server, ``outgoing`` what it sends by itself, ``bind`` one
connection and ``faults`` one that misbehaves; ``receipts`` what it writes, ``record`` what it saw. Must not know: the
sending side, HTTP, the store.
"""

from kvitto.simulator.config import SimulatorConfig, scripted
from kvitto.simulator.numbers import NUMBERS, Behaviour
from kvitto.simulator.reading import make_scenario, read_scenario
from kvitto.simulator.record import JsonLinesRecord, Record, Recorder, WireRecorder
from kvitto.simulator.scenario import Scenario
from kvitto.simulator.smsc import Simulator

__all__ = [
    "NUMBERS",
    "Behaviour",
    "JsonLinesRecord",
    "Record",
    "Recorder",
    "Scenario",
    "Simulator",
    "SimulatorConfig",
    "WireRecorder",
    "make_scenario",
    "read_scenario",
    "scripted",
]
