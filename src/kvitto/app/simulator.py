"""The simulated SMSC: started when no link is configured, with the one link that leads to it.

Must not know dispatch. Next: ``kvitto.simulator``.
"""

from collections.abc import Mapping
from typing import Final

from kvitto.app.common import SIMULATOR_LINK, Common
from kvitto.settings import Link, Settings
from kvitto.simulator import Simulator, SimulatorConfig, read_scenario, scripted
from kvitto.telemetry import get_logger

__all__ = ["start_simulator"]

SIMULATOR_BINDS: Final = 2
"""Two, so that receipts can come on another bind than the submit did (magic number 08)."""
SIMULATOR_WINDOW: Final = 100


async def start_simulator(common: Common) -> Mapping[str, Link]:
    """Return the links to run: the configured ones, else one to a simulator that is started here."""
    if common.settings.links:
        return common.settings.links
    wanted = common.settings.simulator
    simulator = Simulator(_simulator_config(common.settings), common.clock)
    await simulator.start()
    common.services.add("simulator", simulator.stop)
    get_logger().info("simulator.listening", host=wanted.host, port=simulator.port)
    return {
        SIMULATOR_LINK: Link(
            host=wanted.host,
            port=simulator.port,
            system_id=wanted.system_id,
            password=wanted.password,
            binds=SIMULATOR_BINDS,
            window=SIMULATOR_WINDOW,
        )
    }


def _simulator_config(settings: Settings) -> SimulatorConfig:
    wanted = settings.simulator
    config = SimulatorConfig(
        host=wanted.host,
        port=wanted.port,
        system_id=wanted.system_id,
        password=wanted.password.get_secret_value(),
        max_binds=wanted.max_binds,
        delay_min_ms=wanted.delay_min_ms,
        delay_max_ms=wanted.delay_max_ms,
    )
    return config if wanted.scenario is None else scripted(config, read_scenario(wanted.scenario))
