"""The loop out, against a scripted store and connections without sockets."""

from typing import Any, cast

import pytest

from kvitto.core.model import PartKey
from kvitto.core.receipt import CommandClass, LinkRules, LongText
from kvitto.dispatch.dispatcher import Lane
from kvitto.dispatch.link import BindState, LinkConfig
from kvitto.smpp.spec import StatusClass
from kvitto.store.api import MOST_QUEUES, SubmitAnswer, SubmitFate
from tests.support.clock import FakeClock
from tests.support.scripted import ScriptedConnection, ScriptedStore, claimed, settle

THROTTLED = 0x58


class Bench:
    """A lane whose binds have scripted connections."""

    def __init__(self, clock: FakeClock, **config: Any) -> None:
        self.clock = clock
        self.store = ScriptedStore()
        fields = {"name": "main", "group": "g", "host": "h", "port": 1, "system_id": "s", "password": "p", **config}
        self.config = LinkConfig(**fields)
        self.lane = Lane(self.config, cast("Any", self.store), clock)
        self.out = self.lane.submitter
        self.connections: list[ScriptedConnection] = []
        for bind in self.lane.link.binds:
            connection = ScriptedConnection(clock, window=self.config.window, mode=bind.mode)
            bind.connection = cast("Any", connection)
            bind.state = BindState.BOUND
            self.connections.append(connection)
        self.out.start()

    @property
    def connection(self) -> ScriptedConnection:
        return self.connections[0]

    async def wake(self) -> None:
        self.out.wake()
        await settle()

    async def answer(self, *answers: tuple[int, int, str], on: int = 0) -> None:
        """Feed answers as one socket read."""
        bind = self.lane.link.binds[on]
        bind.on_events(cast("Any", self.connections[on]), self.connections[on].responses(*answers))
        await settle()

    def asked(self) -> list[int]:
        return [parts for _, parts, _ in self.store.of("claim_messages")]

    def answers(self) -> list[SubmitAnswer]:
        return [answer for _, _, batch in self.store.of("record_answers") for answer in batch]

    def fates(self) -> list[SubmitFate]:
        return [fate for batch, _ in self.store.of("record_fates") for fate in batch]

    def close(self) -> None:
        self.out.stop_claiming()
        self.out.close()


@pytest.fixture
async def make(clock: FakeClock):
    benches: list[Bench] = []

    def _make(**config: Any) -> Bench:
        benches.append(Bench(clock, **config))
        return benches[-1]

    yield _make
    for bench in benches:
        bench.close()


def numbered(*names: str) -> list:
    return [claimed(name) for name in names]


# --- claiming ---------------------------------------------------------------------------------------------------------


async def test_p6_a_claim_never_asks_for_more_parts_than_the_bound_windows_have_free(make):
    bench = make(binds=2, window=4)
    bench.store.claims = [numbered("a", "b", "c")]
    await bench.wake()
    assert bench.asked()[0] == 8
    assert sum(connection.session.outstanding for connection in bench.connections) == 3
    bench.store.claims = [numbered("d")]
    await bench.wake()
    assert bench.asked() == [8, 5]


async def test_only_one_claim_is_in_flight_and_the_next_follows_when_it_returns(make):
    bench = make(window=4)
    bench.store.held = {"claim_messages"}
    bench.store.claims = [numbered("a", "b", "c", "d")]
    await bench.wake()
    await bench.wake()
    assert bench.asked() == [4]
    bench.store.release("claim_messages")
    await settle()
    assert bench.asked() == [4]  # the window is full
    await bench.answer((2, 0, "id-1"), (3, 0, "id-2"))
    assert bench.asked() == [4, 2]


async def test_an_empty_queue_is_asked_once_and_then_only_when_woken(make):
    bench = make()
    bench.store.claims = [numbered("a")]
    await bench.wake()
    await bench.answer((2, 0, "id"))
    asked = len(bench.asked())
    assert asked <= 3
    await settle(50)
    assert len(bench.asked()) == asked
    await bench.wake()
    assert len(bench.asked()) == asked + 1


async def test_p29_accounts_beyond_those_of_one_claim_are_asked_for_before_any_answer(make):
    bench = make(window=100)
    bench.store.claims = [
        [claimed(f"m{n}", account_id=f"A{n}") for n in range(MOST_QUEUES)],
        [claimed("last", account_id="B")],
    ]
    await bench.wake()
    assert bench.connection.session.outstanding == MOST_QUEUES + 1
    assert bench.asked() == [100, 100 - MOST_QUEUES]


async def test_a_wake_up_during_a_claim_is_not_lost(make):
    bench = make()
    bench.store.held = {"claim_messages"}
    await bench.wake()
    await bench.wake()
    bench.store.held = set()
    bench.store.claims = [numbered("a")]
    bench.store.release("claim_messages")
    await settle()
    assert bench.connection.session.outstanding == 1


async def test_the_parts_of_a_message_go_over_one_connection_in_order(make):
    bench = make(binds=2, window=4)
    bench.store.claims = [[claimed("a", todo=(1, 2, 3), parts=3, text="x" * 400)], [claimed("b")]]
    await bench.wake()
    await bench.wake()
    long_one, other = sorted(bench.connections, key=lambda connection: -len(connection.submitted))
    assert [pdu.short_message[5] for _, pdu in long_one.submitted] == [1, 2, 3]
    assert [pdu.short_message for _, pdu in other.submitted] == [b"hello"]


async def test_a_message_longer_than_the_free_window_waits_for_it_whole(make):
    bench = make(window=4)
    bench.store.claims = [numbered("a", "b", "c"), [claimed("long", todo=(1, 2), parts=2, text="x" * 200)]]
    await bench.wake()
    assert len(bench.connection.submitted) == 3
    await bench.answer((2, 0, "id"))
    assert len(bench.connection.submitted) == 5


async def test_r59_a_message_longer_than_the_window_follows_as_slots_come_free(make):
    bench = make(window=2)
    bench.store.claims = [[claimed("long", todo=(1, 2, 3), parts=3, text="x" * 400)]]
    await bench.wake()
    assert [pdu.short_message[5] for _, pdu in bench.connection.submitted] == [1, 2]
    assert bench.lane.link.free_window() == 0
    await bench.answer((2, 0, "id-1"))
    assert [pdu.short_message[5] for _, pdu in bench.connection.submitted] == [1, 2, 3]
    assert bench.connection.session.outstanding <= 2


async def test_r38_parts_that_have_not_left_go_back_when_one_is_refused(make):
    bench = make(window=2)
    bench.store.claims = [[claimed("long", todo=(1, 2, 3), parts=3, text="x" * 400)]]
    await bench.wake()
    await bench.answer((2, 0x0B, ""))
    assert bench.fates() == [SubmitFate(PartKey("long", 3), False)]
    assert len(bench.connection.submitted) == 2


async def test_a_rate_bounds_what_is_claimed(make, clock):
    bench = make(window=100, rate=20.0)  # a burst of one part
    bench.store.claims = [numbered("a")]
    await bench.wake()
    assert bench.asked() == [1]
    clock.advance(0.05)
    bench.store.claims = [numbered("b")]
    await bench.wake()
    assert bench.asked() == [1, 1]


async def test_r58_a_message_past_its_validity_is_not_sent_but_given_back(make, clock):
    bench = make()
    bench.store.claims = [[claimed("late", expire_at=clock.now())]]
    await bench.wake()
    assert bench.connection.submitted == []
    assert bench.fates() == [SubmitFate(PartKey("late", 1), False)]
    assert len(bench.asked()) == 1  # it is not claimed again at once


async def test_what_no_submit_sm_can_carry_ends_as_refused(make):
    bench = make()
    bench.store.claims = [[claimed("bad", sender="far too long to be a sender")]]
    await bench.wake()
    assert [(answer.key, answer.command_status, answer.temporary) for answer in bench.answers()] == [
        (PartKey("bad", 1), 0x0A, False)
    ]


async def test_messages_claimed_while_the_last_bind_went_down_go_back_to_the_queue(make):
    bench = make()
    bench.store.held = {"claim_messages"}
    bench.store.claims = [numbered("a", "b")]
    await bench.wake()
    bench.lane.link.binds[0].state = BindState.DOWN
    bench.store.release("claim_messages")
    await settle()
    assert bench.fates() == [SubmitFate(PartKey("a", 1), False), SubmitFate(PartKey("b", 1), False)]


# --- answers ----------------------------------------------------------------------------------------------------------


async def test_r37_the_answers_of_one_socket_read_are_one_batch_with_their_ids(make, clock):
    bench = make()
    bench.store.claims = [numbered("a", "b")]
    await bench.wake()
    await bench.answer((3, 0, "second"), (2, 0, "first"))
    assert bench.store.of("record_answers") == [
        (
            "main",
            "g",
            [
                SubmitAnswer(PartKey("b", 1), clock.now(), 0, "second"),
                SubmitAnswer(PartKey("a", 1), clock.now(), 0, "first"),
            ],
        )
    ]
    assert bench.out.answers_by_class[StatusClass.OK] == 2


@pytest.mark.parametrize("status", [0x08, 0x64, 0xFE, 0xFF])
async def test_r11_a_temporary_refusal_is_sent_again_later(make, clock, status: int):
    bench = make()
    bench.store.claims = [[claimed("a")]]
    await bench.wake()
    await bench.answer((2, status, ""))
    (answer,) = bench.answers()
    assert answer.temporary
    assert answer.retry_at == clock.now() + 2_000
    assert not bench.lane.link.pacer.throttled


@pytest.mark.parametrize("status", [0x58, 0x14])
async def test_r11_a_throttle_pauses_the_link_and_keeps_the_message(make, clock, status: int):
    bench = make()
    bench.store.claims = [numbered("a", "b")]
    await bench.wake()
    await bench.answer((2, status, ""))
    (answer,) = bench.answers()
    assert (answer.temporary, answer.retry_at) == (True, clock.now() + 1_000)
    asked = len(bench.asked())
    await bench.wake()
    assert len(bench.asked()) == asked
    clock.advance(1.0)
    await bench.wake()
    clock.advance(0.02)  # fifty a second now: too little was sent before to tell how fast the link was
    await bench.wake()
    assert bench.asked()[asked:] == [1]


async def test_r11_a_part_throttled_again_while_others_are_accepted_does_not_slow_its_link(make, clock):
    bench = make()
    bench.store.claims = [[claimed("bad")], [claimed("good")], [claimed("bad", attempts=1)]]
    await bench.wake()
    await bench.answer((2, THROTTLED, ""))
    clock.advance(60.0)
    await bench.wake()
    assert not bench.lane.link.pacer.throttled
    await bench.answer((3, 0, "id"))
    await bench.wake()
    await bench.answer((4, THROTTLED, ""))
    assert not bench.lane.link.pacer.throttled
    assert bench.lane.link.throttles == 2
    assert bench.answers()[-1].retry_at == clock.now() + 2_000


async def test_messages_claimed_before_a_throttle_wait_for_the_pause_to_end(make, clock):
    bench = make()
    bench.store.claims = [numbered("a"), numbered("b")]
    await bench.wake()
    bench.store.held = {"claim_messages"}
    await bench.wake()
    await bench.answer((2, THROTTLED, ""))
    bench.store.release("claim_messages")
    await settle()
    assert len(bench.connection.submitted) == 1
    clock.advance(1.0)
    await bench.wake()
    clock.advance(1.0)
    await bench.wake()
    assert len(bench.connection.submitted) == 2


@pytest.mark.parametrize("status", [0x0B, 0x45, 0x401, 0x7777])
async def test_a_permanent_refusal_is_final(make, status: int):
    bench = make()
    bench.store.claims = [[claimed("a")]]
    await bench.wake()
    await bench.answer((2, status, ""))
    assert [(answer.command_status, answer.temporary) for answer in bench.answers()] == [(status, False)]


async def test_an_unknown_error_is_tried_twice(make):
    bench = make()
    bench.store.claims = [[claimed("a", attempts=1)]]
    await bench.wake()
    await bench.answer((2, 0xFF, ""))
    assert [answer.temporary for answer in bench.answers()] == [False]


async def test_a_link_may_say_that_its_refusals_mean_something_else(make):
    bench = make(rules=LinkRules(status_overrides={0x45: CommandClass.TEMPORARY}))
    bench.store.claims = [[claimed("a")]]
    await bench.wake()
    await bench.answer((2, 0x45, ""))
    assert [answer.temporary for answer in bench.answers()] == [True]


async def test_a_refused_bind_state_keeps_the_message_and_binds_anew(make):
    bench = make()
    bench.store.claims = [numbered("a", "b")]
    await bench.wake()
    await bench.answer((2, 0x04, ""))
    assert [answer.temporary for answer in bench.answers()] == [True]
    assert bench.lane.link.binds[0].state is BindState.DRAINING
    assert not bench.connection.unbound  # one answer is still missing
    await bench.answer((3, 0, "id"))
    assert bench.connection.unbound
    assert bench.lane.link.free_window() == 0


async def test_an_answer_for_a_whole_payload_is_the_answer_of_every_part(make):
    bench = make(rules=LinkRules(long=LongText.PAYLOAD))
    bench.store.claims = [[claimed("long", todo=(1, 2), parts=2, text="x" * 200)]]
    await bench.wake()
    await bench.answer((2, 0, "id"))
    assert [(answer.key.part_no, answer.smsc_message_id) for answer in bench.answers()] == [(1, "id"), (2, "id")]


# --- doubt ------------------------------------------------------------------------------------------------------------


async def test_r7_r12_a_time_out_puts_in_doubt_and_a_late_answer_still_counts(make, clock):
    bench = make()
    bench.store.claims = [[claimed("a")]]
    await bench.wake()
    clock.advance(61)
    bind = bench.lane.link.binds[0]
    bind.on_events(cast("Any", bench.connection), bench.connection.session.poll(clock.monotonic()))
    await settle()
    assert bench.fates() == [SubmitFate(PartKey("a", 1), True)]
    await bench.answer((2, 0, "late-id"))
    assert [answer.smsc_message_id for answer in bench.answers()] == ["late-id"]
    assert bench.out.late_answers == 1


async def test_r7_a_late_refusal_is_told_as_late_since_the_part_may_have_been_sent_again(make, clock):
    bench = make()
    bench.store.claims = [[claimed("a")]]
    await bench.wake()
    clock.advance(61)
    bind = bench.lane.link.binds[0]
    bind.on_events(cast("Any", bench.connection), bench.connection.session.poll(clock.monotonic()))
    await settle()
    assert bench.fates() == [SubmitFate(PartKey("a", 1), True)]
    await bench.answer((2, 0x08, ""))
    assert [(answer.temporary, answer.late) for answer in bench.answers()] == [(True, True)]


async def test_r12_a_lost_connection_puts_what_was_written_in_doubt_and_the_rest_back(make, clock):
    bench = make(window=2)
    bench.store.claims = [[claimed("long", todo=(1, 2, 3), parts=3, text="x" * 400)]]
    await bench.wake()
    bind = bench.lane.link.binds[0]
    bind.on_closed(cast("Any", bench.connection), bench.connection.session.lost(clock.monotonic()), "reset")
    await settle()
    assert bench.fates() == [
        SubmitFate(PartKey("long", 1), True),
        SubmitFate(PartKey("long", 2), True),
        SubmitFate(PartKey("long", 3), False),
    ]


# --- the store away ---------------------------------------------------------------------------------------------------


async def test_p25_answers_that_cannot_be_stored_are_kept_and_nothing_is_claimed_meanwhile(make):
    bench = make()
    bench.out._answers._retry_s = 0.01
    bench.store.claims = [numbered("a", "b")]
    await bench.wake()
    bench.store.away = {"record_answers"}
    await bench.answer((2, 0, "id"))
    asked = len(bench.asked())
    await bench.wake()
    assert len(bench.asked()) == asked
    assert not bench.out.settled
    bench.store.away = set()
    bench.out.changed.clear()
    await bench.out.changed.wait()
    assert bench.answers()[-1].smsc_message_id == "id"
    await settle()
    assert bench.out.settled
    assert len(bench.asked()) > asked


async def test_p25_a_claim_that_fails_is_made_again_later(make):
    bench = make()
    bench.store.away = {"claim_messages"}
    await bench.wake()
    assert len(bench.asked()) == 1
    bench.store.away = set()
    bench.store.claims = [[claimed("a")]]
    await bench.wake()
    assert bench.connection.session.outstanding == 1


async def test_an_answer_that_the_store_stumbles_over_does_not_take_its_neighbours_along(make):
    bench = make()
    bench.store.claims = [numbered("a", "b")]
    await bench.wake()
    bench.store.stumbles = lambda answers: any(answer.key.message_id == "a" for answer in answers)
    await bench.answer((2, 0, "id-a"), (3, 0, "id-b"))
    await settle()
    assert [batch[0].smsc_message_id for _, _, batch in bench.store.of("record_answers") if len(batch) == 1] == [
        "id-a",
        "id-b",
    ]
    assert bench.out.settled


# --- stopping ---------------------------------------------------------------------------------------------------------


async def test_p28_a_stopping_submitter_claims_nothing_and_gives_back_what_waits(make, clock):
    bench = make()
    bench.store.claims = [numbered("a"), numbered("b")]
    await bench.wake()
    bench.store.held = {"claim_messages"}
    await bench.wake()
    await bench.answer((2, THROTTLED, ""))
    bench.store.release("claim_messages")
    await settle()
    bench.out.stop_claiming()
    bench.out.stop_claiming()
    asked = len(bench.asked())
    await bench.wake()
    assert len(bench.asked()) == asked
    assert bench.fates() == [SubmitFate(PartKey("b", 1), False)]


async def test_a_claim_that_returns_after_the_stop_goes_back_whole(make):
    bench = make()
    bench.store.held = {"claim_messages"}
    bench.store.claims = [numbered("a")]
    await bench.wake()
    bench.out.stop_claiming()
    bench.store.release("claim_messages")
    await settle()
    assert bench.connection.submitted == []
    assert bench.fates() == [SubmitFate(PartKey("a", 1), False)]
    assert bench.out.settled


async def test_the_queue_is_looked_at_when_the_next_message_falls_due(make, clock):
    bench = make()
    bench.store.due_at = clock.now()
    bench.store.claims = [[claimed("a")]]
    await settle()
    assert bench.connection.session.outstanding == 1
