"""The simulator's limits: submits in a second, and binds of each kind. They are told the time and know no sockets."""

from collections.abc import Sequence

from kvitto.core.throttle import TokenBucket
from kvitto.simulator.scenario import Connection
from kvitto.smpp.spec import CommandId, CommandStatus

__all__ = ["BindLimits", "Rate"]


class Rate:
    """So many submits in a second, ``burst`` at once (None: a whole second's worth); time starts with the first."""

    def __init__(self, per_s: float, burst: int | None) -> None:
        self._per_s = per_s
        self._burst = float(burst or max(1.0, per_s))
        self._bucket: TokenBucket | None = None

    def take(self, now: float) -> bool:
        """Whether one more may come at ``now`` (monotonic seconds)."""
        bucket = self._bucket or TokenBucket.full(self._per_s, now, self._burst)
        allowed = bucket.available(now) > 0
        self._bucket = bucket.take(1, now) if allowed else bucket
        return allowed


class BindLimits:
    """Refuses the first binds as told, then those above the limit of their kind."""

    def __init__(self, connection: Connection) -> None:
        self._first = list(connection.refuse_binds)
        self._most = {
            int(CommandId.BIND_TRANSMITTER): connection.max_transmitters,
            int(CommandId.BIND_RECEIVER): connection.max_receivers,
            int(CommandId.BIND_TRANSCEIVER): connection.max_transceivers,
        }

    def judge(self, command_id: int, standing: Sequence[int]) -> int:
        """The command_status for one more bind; ``standing``: the commands of those that stand."""
        if self._first and (status := self._first.pop(0)):
            return status
        most = self._most.get(command_id)
        if most is not None and standing.count(command_id) >= most:
            return CommandStatus.ESME_RBINDFAIL
        return CommandStatus.ESME_ROK
