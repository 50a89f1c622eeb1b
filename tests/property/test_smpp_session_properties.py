"""The session under any order of events: no number twice, no window exceeded, every message told of exactly once."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kvitto.smpp import events as ev
from kvitto.smpp.pdus import DeliverSm, SubmitSm
from kvitto.smpp.session import Role, Session, State, Timers
from kvitto.smpp.spec import MAX_SEQUENCE_NUMBER, BindMode

WINDOW = 4
SUBMIT = SubmitSm(source_addr="Kvitto", destination_addr="46701234567", short_message=b"Hi")
TIMERS = Timers(enquire_link_s=30, response_s=60, enquire_answer_s=1e6, bind_s=1e6)


class TwoEnds(RuleBasedStateMachine):
    """An ESME near the wrap of its numbers and an SMSC that answers late, out of order, or never."""

    def __init__(self):
        super().__init__()
        self.now = 0.0
        start = MAX_SEQUENCE_NUMBER - 3
        self.esme = Session(role=Role.ESME, now=0.0, window=WINDOW, timers=TIMERS, first_sequence_number=start)
        self.smsc = Session(role=Role.SMSC, now=0.0, window=WINDOW, timers=TIMERS)
        self.unanswered_submits = []
        self.unanswered_receipts = []
        self.next_token = 0
        self.waiting, self.doubtful, self.done = {}, {}, set()
        self.receipts_waiting, self.receipts_done = set(), []
        self.esme.bind(BindMode.TRANSCEIVER, "x", "y", now=0.0)
        self.carry()

    def carry(self, size=None):
        while True:
            up, down = self.esme.take_output(), self.smsc.take_output()
            if not up and not down:
                return
            self.cut(up, self.smsc, size, self.at_smsc)
            self.cut(down, self.esme, size, self.at_esme)

    def cut(self, data, session, size, told):
        step = size or max(1, len(data))
        for at in range(0, len(data), step):
            for event in session.receive(data[at : at + step], self.now):
                told(event)

    def at_smsc(self, event):
        if isinstance(event, ev.BindReceived):
            self.smsc.answer_bind(event.pdu.sequence_number, 0, "SMSC")
        elif isinstance(event, ev.SubmitReceived):
            self.unanswered_submits.append(event.pdu.sequence_number)
        elif isinstance(event, ev.DeliverAnswered):
            self.receipts_waiting.discard(event.token)
            self.receipts_done.append(event.token)
        else:
            assert isinstance(event, ev.RequestTimedOut), event

    def at_esme(self, event):
        if isinstance(event, ev.SubmitAnswered):
            (self.doubtful if event.late else self.waiting).pop(event.token)
            assert event.token not in self.done
            assert event.message_id == f"id-{event.token}" or event.command_status
            self.done.add(event.token)
        elif isinstance(event, ev.DeliverReceived):
            self.unanswered_receipts.append(event.pdu.sequence_number)
        elif isinstance(event, ev.RequestTimedOut):
            self.doubtful[event.token] = self.waiting.pop(event.token)
        else:
            assert isinstance(event, ev.BindAnswered), event

    @precondition(lambda self: self.esme.free_window)
    @rule()
    def submit(self):
        token = self.next_token
        self.next_token += 1
        number = self.esme.submit(SUBMIT, token, self.now)
        assert 1 <= number <= MAX_SEQUENCE_NUMBER
        assert number not in self.waiting.values()
        assert number not in self.doubtful.values()
        self.waiting[token] = number

    @precondition(lambda self: self.unanswered_submits)
    @rule(data=st.data(), status=st.sampled_from((0, 0, 0x58, 0x401)))
    def answer_any_submit(self, data, status):
        number = self.unanswered_submits.pop(data.draw(st.integers(0, len(self.unanswered_submits) - 1)))
        token = {n: t for t, n in (self.waiting | self.doubtful).items()}[number]
        self.smsc.answer_submit(number, status, "" if status else f"id-{token}")

    @precondition(lambda self: self.smsc.free_window)
    @rule()
    def receipt(self):
        self.next_token += 1
        self.smsc.deliver(DeliverSm(source_addr="4670"), self.next_token, self.now)
        self.receipts_waiting.add(self.next_token)

    @precondition(lambda self: self.unanswered_receipts)
    @rule(data=st.data())
    def answer_any_receipt(self, data):
        number = self.unanswered_receipts.pop(data.draw(st.integers(0, len(self.unanswered_receipts) - 1)))
        self.esme.answer_deliver(number, 5, 0)

    @rule(size=st.sampled_from((None, 1, 3, 17)))
    def octets_travel(self, size):
        self.carry(size)

    @rule(passed=st.sampled_from((0.5, 20.0, 31.0, 61.0)))
    def time_passes(self, passed):
        self.now += passed
        for event in self.esme.poll(self.now):
            self.at_esme(event)
        for event in self.smsc.poll(self.now):
            self.at_smsc(event)

    @invariant()
    def windows_hold_and_the_books_agree(self):
        assert self.esme.state is State.BOUND_TRX
        assert self.esme.outstanding == len(self.waiting) <= WINDOW
        assert self.esme.free_window == WINDOW - len(self.waiting)
        assert self.smsc.outstanding <= WINDOW
        assert len(set(self.receipts_done)) == len(self.receipts_done)

    def teardown(self):
        self.carry()
        assert self.esme.lost(self.now) == list(self.waiting)


TestTwoEnds = TwoEnds.TestCase
TestTwoEnds.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
