"""How a simulator is reached and how quick it is: what its owner tells, with what a scenario says laid over it."""

import ssl
from dataclasses import dataclass, replace
from typing import Final

from kvitto.simulator.scenario import Scenario

__all__ = ["SimulatorConfig", "scripted"]

FIRST_ID: Final = 1_000_000_001
"""The first id of a run that a seed makes repeatable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """One simulator. ``scripted`` makes one of a scenario, and is the only way to give it one."""

    host: str = "127.0.0.1"
    port: int = 2775
    """0: any free port; ``Simulator.port`` tells which."""
    system_id: str = "kvitto"
    password: str = "kvitto"  # noqa: S105 -- of a simulator on loopback, printed in its own help.
    max_binds: int = 10
    """Binds of the system_id at the same time; one more is refused with ESME_RBINDFAIL."""
    window: int = 1000
    """Receipts written to one bind and not yet answered."""
    delay_min_ms: float = 10.0
    delay_max_ms: float = 50.0
    """A receipt comes this long after its message, evenly spread."""
    receipt_answer_s: float = 10.0
    """Unanswered for this long, a receipt counts as lost."""
    retry_s: float = 1.0
    """A receipt that was lost or refused is sent again after this."""
    receipt_tries: int = 100
    """How often a receipt is written before it is given up; binds that broke do not count."""
    rate: float = 0.0
    """Submits accepted in a second; 0: no limit."""
    seed: int | None = None
    """Of all chance; None: different each time."""
    first_id: int | None = None
    """The first message id; None: from the clock, so that a simulator started anew does not give out old ones."""
    tls: ssl.SSLContext | None = None
    scenario: Scenario | None = None
    """What ``scripted`` was given; None: the magic numbers alone decide."""


def scripted(
    base: SimulatorConfig, scenario: Scenario, *, seed: int | None = None, rate: float | None = None
) -> SimulatorConfig:
    """``base`` with what the scenario says laid over it; ``seed`` and ``rate``, where given, beat the scenario's."""
    connection = scenario.connection
    seed = scenario.seed if seed is None else seed
    return replace(
        base,
        scenario=scenario,
        seed=seed,
        first_id=scenario.first_id or (None if seed is None else FIRST_ID),
        rate=scenario.throttle.per_s if rate is None else rate,
        max_binds=connection.max_binds or base.max_binds,
        window=connection.window,
        receipt_answer_s=connection.receipt_answer_s,
        retry_s=connection.retry_s,
        receipt_tries=connection.receipt_tries,
    )
