"""One account's full queue does not hold up another's message, on a link that carries less than there is (P29)."""

from pathlib import Path

from kvitto.core.model import Account
from kvitto.simulator import Record
from kvitto.store.api import NewAccount
from tests.support.rig import eventually, open_rig

CROWD = 50_000
FIRST_NUMBER = 46_700_000_000
WINDOW = 10
RATE = 200.0
OTHER = Account(id="01OTHER000000000000000000Z", name="other", service_plan_id="plan2", username="user2")
SINGLE = "4670" + "9" * 7


class Order(Record):
    """The numbers in the order in which they came."""

    def __init__(self) -> None:
        super().__init__()
        self.came: list[str] = []

    def submit(self, destination: str, message_id: str, command_status: int) -> None:
        super().submit(destination, message_id, command_status)
        self.came.append(destination)


async def test_p29_a_single_message_leaves_before_fifty_thousand_of_another_account(tmp_path: Path):
    order = Order()
    async with open_rig(tmp_path, record=order, window=WINDOW, rate=RATE) as rig:
        await rig.store.create_account(NewAccount(OTHER, "hash2", "hash2"))
        for first in range(0, CROWD, 1000):
            numbers = [str(FIRST_NUMBER + n) for n in range(first, first + 1000)]
            await rig.accept(numbers, valid_ms=3_600_000)
        await eventually(lambda: len(order.came) > WINDOW)
        await rig.send(SINGLE, account_id=OTHER.id)
        before = len(order.came)
        await eventually(lambda: SINGLE in order.came, within_s=30)
        # What was claimed already, at most a window, goes before it; and the turn may be the crowd's.
        assert order.came.index(SINGLE) - before <= WINDOW + 2
        assert len(order.came) < CROWD / 10, "the queue was long"
        assert len(set(order.came)) == len(order.came)
