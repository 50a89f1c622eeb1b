"""The tables, every column with its unit and meaning.

Conventions: ``*_at`` are BIGINT milliseconds since the epoch, UTC. Ids of batches and messages are 26-character
ULIDs; a message's id tells its batch's (``kvitto.core.ids``), so no table has both where one does. Words (status,
reason, state) are stored as words, for people who look with a database shell. Lists and mappings are JSON text. Every
table of customers' data carries ``account_id``. Nothing here is per process: ``node`` and ``leased_by`` name the
process that holds a claim.

Must not know: how the rows are used (``kvitto.store.verbs``), how they came to be (``kvitto.store.migrations``).
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    Sequence,
    SmallInteger,
    Table,
    Text,
    literal_column,
)
from sqlalchemy.types import TypeEngine

__all__ = [
    "FINISHED",
    "NOTABLE",
    "OPEN",
    "RESENT",
    "account",
    "app_user",
    "attempt",
    "audit",
    "batch",
    "callback",
    "dispatched",
    "endpoint",
    "event",
    "feedback",
    "handing",
    "high_water",
    "idempotency",
    "incoming",
    "link_counter",
    "link_state",
    "message",
    "metadata",
    "operator_event",
    "parked_key",
    "part",
    "pulse",
    "receipt",
    "replay",
    "sealed",
    "serial",
    "sign_in_failure",
    "sign_in_link",
    "tally",
    "token",
    "unread",
    "user_session",
    "webhook_move",
]

metadata: Final = MetaData()

Id: Final[TypeEngine[str]] = Text().with_variant(Text(collation="C"), "postgresql")
"""Ids compare octet by octet, so that a batch's messages are one range of the primary key."""

_Serial: Final[TypeEngine[int]] = BigInteger().with_variant(Integer(), "sqlite")
"""Numbers of ``event``, ``dispatched``, ``callback``, ``receipt``: one rising series for the four (``Tx.new_ids``)."""

serial: Final = Sequence("serial", metadata=metadata)
"""Where PostgreSQL draws them; on SQLite the tables themselves tell which is next."""

account = Table(
    "account",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True, comment="what the operator calls it"),
    Column("service_plan_id", Text, nullable=False, unique=True, comment="in the paths of the Sinch dialect"),
    Column("username", Text, nullable=False, unique=True, comment="for Basic authentication"),
    Column("password_hash", Text, nullable=False, comment="SHA-256, hex, of a random password of 144 bits or more"),
    Column("callback_secret", Text, nullable=False, comment="sealed (kvitto.store.sealing)"),
    Column("disabled", Boolean, nullable=False, comment="known, but refused"),
    Column("callback_url", Text, comment="where callbacks go when a batch names no URL"),
    Column("allow_callbacks_to", Text, nullable=False, comment="JSON list of CIDRs open to callbacks though private"),
    Column("default_from", Text, comment="sender when a batch names none"),
    Column("allowed_senders", Text, nullable=False, comment="JSON list; empty: any"),
    Column("blocked_numbers", Text, nullable=False, comment="JSON list of numbers that are never sent to"),
    Column("max_parts", Integer, comment="parts a message may have; NULL: the dialect's own"),
    Column("rate", Float, comment="messages per second; NULL: unlimited"),
    Column("quota", BigInteger, comment="messages that may still be accepted; NULL: unlimited"),
    Column("timezone", Text, nullable=False, comment="IANA name, for dialects that show local time"),
    Column("retention_days", Integer, comment="how long finished batches are kept; NULL: the server's default (R51)"),
    Column("created_at", BigInteger, nullable=False),
    Column("next_due_at", Float, nullable=False, comment="ms; when the next message may leave at this rate"),
    Column("callback_dialect", Text, comment="in whose words callbacks are told; NULL: the batch's own"),
    Column("final_only", Boolean, nullable=False, comment="changes that are no end are not told"),
    Column("late_corrections", Boolean, comment="whether late corrections are told (R45); NULL: the dialect's choice"),
    Column("ack", Text, nullable=False, comment="what acknowledges a callback: 'body' or 'http'"),
    Column(
        "feed", Text, nullable=False, comment="which ends enter the one-time feed: 'all', 'unpushed', 'infobip_only'"
    ),
    Column("old_callback_secret", Text, comment="sealed; signs too until old_secret_until (P18)"),
    Column("old_secret_until", BigInteger),
    Column("callback_statuses", Text, nullable=False, comment="JSON list of the statuses that are told; empty: all"),
    Column("incoming_url", Text, comment="where incoming messages are to go; nothing is posted there yet"),
    Column("events_url", Text, comment="where operator events are posted; NULL: nowhere"),
)

webhook_move = Table(
    "webhook_move",
    metadata,
    Column("endpoint", BigInteger, primary_key=True, comment="where the account's callbacks went: its number"),
    Column("url", Text, primary_key=True, comment="the account's callback_url as it was"),
    Column("account_id", Id, nullable=False),
    Column("created_at", BigInteger, nullable=False, comment="when the account's callback_url last became another"),
    Column("after_at", BigInteger, nullable=False, comment="with after_id: how far the walk over what is due has come"),
    Column("after_id", BigInteger, nullable=False),
    Column("found", BigInteger, nullable=False, comment="callbacks that this walk has moved, or found in hand"),
    Column("next_at", BigInteger, nullable=False, comment="when its next step may be made"),
    sqlite_with_rowid=False,
)
"""Callback URLs of accounts that were changed, as long as callbacks to them may wait (kvitto.store.verbs.moves)."""

token = Table(
    "token",
    metadata,
    Column("hash", Text, primary_key=True, comment="SHA-256, hex, of a random token of 144 bits or more"),
    Column("account_id", Id, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, comment="NULL: never"),
    Column("name", Text, comment="as its owner calls it"),
    Column("tail", Text, comment="its last four characters, for people to know it by"),
    Column("last_used_at", BigInteger, comment="to the minute; NULL: never, or before this was kept"),
    Index("token_account", "account_id"),
)

batch = Table(
    "batch",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account_id", Id, nullable=False),
    Column("dialect", Text, nullable=False, comment="the dialect it was sent in; decides its callbacks"),
    Column("sender", Text, comment="as accepted; NULL only for media"),
    Column("recipients", Text, nullable=False, comment="JSON list of digits, in the order sent"),
    Column("content", Text, nullable=False, comment="JSON of core.model.Content, defaults left out"),
    Column("kind", Text, nullable=False, comment="content.kind"),
    Column("max_parts", Integer, comment="content.max_parts"),
    Column("notify", Text, nullable=False, comment="core.model.Notify"),
    Column("callback_url", Text, comment="as given; NULL: the account's, looked up when a callback is due"),
    Column("client_reference", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("modified_at", BigInteger, nullable=False),
    Column("send_at", BigInteger, comment="NULL when at once"),
    Column("expire_at", BigInteger, nullable=False, comment="validity ends; nothing is submitted after it"),
    Column("cancelled_at", BigInteger),
    Column("feedback", Boolean, nullable=False),
    Column("extra", Text, nullable=False, comment="JSON; only the batch's own dialect reads it"),
    Column("pending", Integer, nullable=False, comment="messages not final; kept only where notify is per batch"),
    Column("client_id", Text, comment="as the customer named it; may occur again"),
    Column("feed", Text, nullable=False, comment="core.model.Feed, the account's rule laid over it"),
    Column("delivery_window", Text, comment="JSON of core.model.DeliveryWindow; NULL: at any time"),
    Column("paused_at", BigInteger, comment="NULL unless the customer holds it back"),
    Column("callback_dialect", Text, comment="in whose words its callbacks are told; NULL: its own"),
    Column("spacing_us", BigInteger, comment="microseconds from one message to the next; kept where they can be moved"),
    Index("batch_account", "account_id", "created_at", "id"),
    Index(
        "batch_client",
        "account_id",
        "client_id",
        sqlite_where=Column("client_id").is_not(None),
        postgresql_where=Column("client_id").is_not(None),
    ),
    sqlite_with_rowid=False,
)

message = Table(
    "message",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account_id", Id, nullable=False),
    Column("recipient", Text, nullable=False, comment="digits"),
    Column("route", Text, nullable=False, comment="the link that must carry it; '' for any"),
    Column("parts", SmallInteger, nullable=False, comment="submit_sm that it takes"),
    Column("text", Text, comment="where it differs from the batch's"),
    Column("abort", Text, comment="reason: it will not be sent, and ends when it falls due"),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since_at", BigInteger, nullable=False, comment="when it came to its status here"),
    Column("done_at", BigInteger, comment="as the receipt says (R55)"),
    Column("error_source", Text, nullable=False),
    Column("error_text", Text),
    Column("error_net_type", SmallInteger),
    Column("error_net_code", Integer),
    Column("error_command_status", BigInteger),
    Column("notes", SmallInteger, nullable=False, comment="core.status.Note"),
    Column("attempts", Integer, nullable=False, comment="times a link has claimed it"),
    Column("created_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, comment="when a link may claim it; NULL: not in the queue"),
    Column("deadline_at", BigInteger, comment="when time alone decides next (R44, R58); NULL when final"),
    Column(
        "first_final",
        Text,
        comment="JSON [status, reason, error...] of the first end, where a late receipt corrected it (R45)",
    ),
    Column(
        "first_times",
        Text,
        comment="JSON [since_at, done_at] of the same; a third, true: in the feed its correction replaces it",
    ),
    Index("message_recipient", "account_id", "recipient", "id"),
    Column("client_id", Text, comment="as the customer named it, once for each account"),
    Column("own", Text, comment="JSON of core.model.Own: what it has in place of its batch's; NULL: nothing"),
    Column("send_at", BigInteger, comment="when it is planned to leave; NULL: at created_at"),
    Column("decided_by", SmallInteger, comment="the part that decided its end (R38), of several; NULL: the first"),
    Index(
        "message_client",
        "account_id",
        "client_id",
        unique=True,
        sqlite_where=Column("client_id").is_not(None),
        postgresql_where=Column("client_id").is_not(None),
    ),
    Index(
        "message_planned",
        "account_id",
        "send_at",
        "id",
        sqlite_where=Column("send_at").is_not(None),
        postgresql_where=Column("send_at").is_not(None),
    ),
    Index(
        "message_queue",
        "route",
        "account_id",
        "due_at",
        "id",
        sqlite_where=Column("due_at").is_not(None),
        postgresql_where=Column("due_at").is_not(None),
    ),
    Index(
        "message_deadline",
        "deadline_at",
        sqlite_where=Column("deadline_at").is_not(None),
        postgresql_where=Column("deadline_at").is_not(None),
    ),
    sqlite_with_rowid=False,
)

part = Table(
    "part",
    metadata,
    Column("message_id", Id, primary_key=True),
    Column("part_no", SmallInteger, primary_key=True, comment="from 1"),
    Column("account_id", Id, nullable=False),
    Column("link", Text, nullable=False, comment="the link that took it last"),
    Column("grp", Text, nullable=False, comment="the group: links that share one message-id space"),
    Column("node", Text, nullable=False, comment="the process that wrote it"),
    Column("state", Text, nullable=False, comment="core.status.PartState"),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since_at", BigInteger, nullable=False),
    Column("done_at", BigInteger),
    Column("error_source", Text, nullable=False),
    Column("error_text", Text),
    Column("error_net_type", SmallInteger),
    Column("error_net_code", Integer),
    Column("error_command_status", BigInteger),
    Column("written_at", BigInteger, nullable=False, comment="when it was claimed to be written"),
    Column("answered_at", BigInteger, comment="when its last submit_sm_resp came"),
    Column("queried_at", BigInteger, comment="when the SMSC was asked for its end (R52); NULL: never"),
    Column("smsc_message_id", Text, comment="as sent by the SMSC, never changed (R27)"),
    Column("folded_id", Text, comment="core.matching.fold of it: finds it at all four levels (R26)"),
    Index(
        "part_smsc",
        "grp",
        "folded_id",
        sqlite_where=Column("folded_id").is_not(None),
        postgresql_where=Column("folded_id").is_not(None),
    ),
    sqlite_with_rowid=False,
)

OPEN: Final = part.c.state.in_([literal_column("'written'"), literal_column("'in_doubt'")])
"""Parts without an answer: the condition of the index ``part_open``, to be repeated where that index is wanted."""
Index("part_open", part.c.state, sqlite_where=OPEN, postgresql_where=OPEN)

RESENT: Final = (part.c.state == literal_column("'waiting'")) & (part.c.reason == literal_column("'not_acknowledged'"))
"""Parts that were in doubt and wait to be sent again on somebody's word: condition of the index ``part_resent``."""
Index("part_resent", part.c.grp, sqlite_where=RESENT, postgresql_where=RESENT)

receipt = Table(
    "receipt",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=False),
    Column("account_id", Id, comment="NULL until it is matched"),
    Column("link", Text, nullable=False),
    Column("grp", Text, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("raw", Text, nullable=False, comment="the whole PDU, hex (R25)"),
    Column("outcome", Text, nullable=False, comment="core.model.ReceiptOutcome"),
    Column("level", SmallInteger, comment="of the match (R26)"),
    Column("message_id", Id),
    Column("part_no", SmallInteger),
    Column("parsed", Text, comment="JSON of core.receipt.Receipt without raw, while it has no message"),
    Column("next_try_at", BigInteger, comment="parked: when to look again (R33); else NULL"),
    Column("tries", Integer, nullable=False),
    Column("assigned_at", BigInteger, comment="when an operator said whose it is (R34)"),
    Index(
        "receipt_message",
        "message_id",
        sqlite_where=Column("message_id").is_not(None),
        postgresql_where=Column("message_id").is_not(None),
    ),
    Index(
        "receipt_parked",
        "next_try_at",
        sqlite_where=Column("next_try_at").is_not(None),
        postgresql_where=Column("next_try_at").is_not(None),
    ),
)

NOTABLE: Final = receipt.c.outcome.not_in([literal_column("'matched'"), literal_column("'duplicate'")])
"""Receipts that an operator may ask for by their outcome: the condition of the index ``receipt_notable``."""
Index("receipt_notable", receipt.c.outcome, receipt.c.id, sqlite_where=NOTABLE, postgresql_where=NOTABLE)

parked_key = Table(
    "parked_key",
    metadata,
    Column("grp", Text, primary_key=True),
    Column(
        "folded_id", Text, primary_key=True, comment="one of the keys under which the receipt's message may be stored"
    ),
    Column("receipt_id", BigInteger, primary_key=True),
    Column("account_id", Id, comment="always NULL: a parked receipt is nobody's yet"),
    Index("parked_key_receipt", "receipt_id"),
    sqlite_with_rowid=False,
)

link_counter = Table(
    "link_counter",
    metadata,
    Column("node", Text, primary_key=True, comment="who counted; so that nodes do not wait for each other"),
    Column("link", Text, primary_key=True),
    Column("grp", Text, primary_key=True),
    Column("name", Text, primary_key=True, comment="kvitto.store.verbs.counting says which"),
    Column("value", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

link_state = Table(
    "link_state",
    metadata,
    Column("node", Text, primary_key=True, comment="the process that runs the link"),
    Column("link", Text, primary_key=True),
    Column("grp", Text, nullable=False),
    Column("binds_up", Integer, nullable=False),
    Column("binds_wanted", Integer, nullable=False),
    Column("send_window", Integer, nullable=False, comment="submit_sm that may be in flight, over all binds"),
    Column("in_flight", Integer, nullable=False),
    Column("rate", Float, nullable=False, comment="parts a second at present; 0: no limit"),
    Column("paused_until_at", BigInteger, comment="NULL: not paused"),
    Column("last_error", Text),
    Column("at", BigInteger, nullable=False, comment="when this was so; an old one is of a process that ended"),
    sqlite_with_rowid=False,
)

pulse = Table(
    "pulse",
    metadata,
    Column("node", Text, primary_key=True),
    Column("at", BigInteger, nullable=False, comment="when this node last proved that it can write (P24)"),
)

incoming = Table(
    "incoming",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("account_id", Id, comment="NULL: not assigned"),
    Column("link", Text, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("source", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("raw", Text, nullable=False, comment="the whole PDU, hex"),
    sqlite_autoincrement=True,
)

event = Table(
    "event",
    metadata,
    Column(
        "seq",
        _Serial,
        primary_key=True,
        autoincrement=False,
        comment="rises; a message's events rise in the order they happened",
    ),
    Column("account_id", Id, nullable=False),
    Column("message_id", Id, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("done_at", BigInteger),
    Column("error_source", Text, nullable=False),
    Column("error_text", Text),
    Column("error_net_type", SmallInteger),
    Column("error_net_code", Integer),
    Column("error_command_status", BigInteger),
    Column("part_no", SmallInteger, comment="the part that decided it, of several; NULL: the first"),
    Column("tx", BigInteger, comment="PostgreSQL: the transaction that wrote it; SQLite, where seq is enough: NULL"),
    Index("event_message", "message_id"),
    Index(
        "event_commit",
        "tx",
        "seq",
        sqlite_where=Column("tx").is_not(None),
        postgresql_where=Column("tx").is_not(None),
    ),
)

dispatched = Table(
    "dispatched",
    metadata,
    Column(
        "seq", _Serial, primary_key=True, autoincrement=False, comment="of its last change; each has one of its own"
    ),
    Column("account_id", Id, nullable=False),
    Column("at", BigInteger, nullable=False, comment="when the last of them was taken"),
    Column("messages", Text, nullable=False, comment="their ids, a space between two"),
    Column("earlier", Text, comment="JSON list: how long before at each was taken, ms; NULL: all at once"),
    Column("seqs", Text, comment="JSON list; NULL: without a gap up to seq"),
    Column("tx", BigInteger, comment="as in event"),
    Index(
        "dispatched_commit",
        "tx",
        "seq",
        sqlite_where=Column("tx").is_not(None),
        postgresql_where=Column("tx").is_not(None),
    ),
)
"""Messages of one account that an SMSC took, all of one transaction in a row: to be told nowhere but where everything
that changed is read (ADR 0020). One that is told, or had an error before, has an ``event`` instead.
"""

callback = Table(
    "callback",
    metadata,
    Column(
        "id",
        _Serial,
        primary_key=True,
        autoincrement=False,
        comment="the number of the event it tells of, if it tells of one",
    ),
    Column("account_id", Id, nullable=False),
    Column("batch_id", Id, nullable=False, comment="'' of a notice"),
    Column("dialect", Text, nullable=False, comment="in whose words it is told; 'kvitto': our own"),
    Column("url", Text, nullable=False),
    Column(
        "tells", Text, nullable=False, comment="'message': of an event; 'summary', 'full': of a batch's end; 'notice'"
    ),
    Column("state", Text, nullable=False, comment="core.model.CallbackState"),
    Column("created_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", BigInteger, comment="NULL when finished"),
    Column("leased_by", Text, comment="the node that is posting it"),
    Column("leased_until", BigInteger),
    Column("first_failed_at", BigInteger),
    Column("last_at", BigInteger, comment="when the last attempt was made"),
    Column("last_status_code", Integer),
    Column("last_error", Text),
    Column("last_elapsed_ms", Integer),
    Column("bundle", BigInteger, comment="those with the same were tried in one call, and will be again"),
    Column("endpoint", BigInteger, nullable=False, comment="kvitto.core.endpoint.endpoint_number of account and URL"),
    Column("again_at", BigInteger, comment="when somebody asked to have it posted again, whatever was told since"),
    Column("notice", BigInteger, comment="the operator_event that it tells of"),
    Index(
        "callback_bundle",
        "bundle",
        sqlite_where=Column("bundle").is_not(None),
        postgresql_where=Column("bundle").is_not(None),
    ),
    Index(
        "callback_due",
        "endpoint",
        "next_attempt_at",
        sqlite_where=Column("next_attempt_at").is_not(None),
        postgresql_where=Column("next_attempt_at").is_not(None),
    ),
)

GIVEN_UP: Final = callback.c.state == literal_column("'given_up'")
"""Callbacks that nobody took: the condition of the index ``callback_given_up``, to be repeated where it is wanted."""
Index("callback_given_up", callback.c.account_id, callback.c.id, sqlite_where=GIVEN_UP, postgresql_where=GIVEN_UP)

attempt = Table(
    "attempt",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("callback_id", BigInteger, nullable=False),
    Column("account_id", Id, nullable=False),
    Column("at", BigInteger, nullable=False, comment="when its end was known"),
    Column("status_code", Integer, comment="NULL: no answer came"),
    Column("error", Text, comment="in plain words; NULL: it was taken"),
    Column("elapsed_ms", Integer, nullable=False),
    Column("headers", Text, nullable=False, comment="JSON list of pairs, as sent, secrets masked"),
    Column("body_hash", Text, nullable=False, comment="SHA-256 of the request's body, hex"),
    Column("body", Text, comment="the request's; NULL once retention has ended"),
    Column("answer", Text, nullable=False, comment="the first 4 KiB of the answer's body"),
    Index("attempt_callback", "callback_id"),
    sqlite_autoincrement=True,
)
"""Attempts that failed, and those that followed one. A first attempt that succeeds is told by the callback's row."""

endpoint = Table(
    "endpoint",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False, comment="kvitto.core.endpoint.endpoint_number"),
    Column("account_id", Id, nullable=False),
    Column("origin", Text, nullable=False, comment="scheme://host:port"),
    Column("name", Text, comment="once for each account; NULL: it came of a batch's URL"),
    Column("url", Text, comment="as given when it was named"),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False, comment="when anything but a count last changed"),
    Column("state", Text, nullable=False, comment="core.endpoint.EndpointState"),
    Column("disabled_why", Text, comment="core.endpoint.DisabledWhy"),
    Column("disabled_at", BigInteger),
    Column("breaker", Text, comment="JSON of core.breaker.Breaker; NULL: at rest"),
    Column("secret", Text, comment="sealed; NULL: the account's"),
    Column("old_secret", Text, comment="sealed; signs too until old_secret_until (P18)"),
    Column("old_secret_until", BigInteger),
    Column("profile", Text, nullable=False, comment="core.endpoint.Profile"),
    Column("concurrency", Integer, comment="posts at once; NULL: the setting's"),
    Column("rate", Float, comment="posts per second; NULL: unlimited"),
    Column("headers", Text, nullable=False, comment="JSON list of pairs that each request has beside its own"),
    Column("username", Text, comment="for Basic authentication towards it"),
    Column("password", Text, comment="sealed"),
    Column("ca_pem", Text, comment="who signs its certificate, where that is nobody known"),
    Column("client_cert_pem", Text),
    Column("client_key_pem", Text, comment="sealed"),
    Column("allow_callbacks_to", Text, nullable=False, comment="JSON list of CIDRs, beside the account's"),
    Column("delivered", BigInteger, nullable=False, comment="attempts that were taken, as far as told"),
    Column("failed", BigInteger, nullable=False),
    Column("last_ok_at", BigInteger),
    Column("last_failed_at", BigInteger),
    Column("last_error", Text),
    Column("switches", Integer, nullable=False, comment="times somebody has disabled or enabled it"),
    Index("endpoint_account", "account_id", "id"),
    Index(
        "endpoint_name",
        "account_id",
        "name",
        unique=True,
        sqlite_where=Column("name").is_not(None),
        postgresql_where=Column("name").is_not(None),
    ),
    Index("endpoint_changed", "changed_at"),
)

operator_event = Table(
    "operator_event",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("account_id", Id, comment="NULL: the house's"),
    Column("at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False, comment="'endpoint.open' and the like"),
    Column("subject", Text, nullable=False, comment="what it is about: an endpoint's public id"),
    Column("detail", Text, nullable=False, comment="in plain words; names no subscriber"),
    Index("operator_event_account", "account_id", "id"),
    sqlite_autoincrement=True,
)

replay = Table(
    "replay",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("account_id", Id, comment="NULL: the operator's, over all accounts"),
    Column("endpoint", BigInteger, comment="NULL: any"),
    Column("states", Text, nullable=False, comment="JSON list of core.model.CallbackState; empty: any"),
    Column("since_at", BigInteger),
    Column("until_at", BigInteger),
    Column("rate", Float, nullable=False, comment="callbacks per second"),
    Column("created_at", BigInteger, nullable=False),
    Column("state", Text, nullable=False, comment="core.record.ReplayState"),
    Column("first_id", BigInteger, nullable=False),
    Column("cursor", BigInteger, nullable=False, comment="the callback that was looked at last"),
    Column("last_id", BigInteger, nullable=False, comment="the last callback that is meant"),
    Column("replayed", BigInteger, nullable=False),
    Column("skipped", BigInteger, nullable=False, comment="were being posted just then"),
    Column("next_at", BigInteger, nullable=False, comment="when its next step may be made"),
    sqlite_autoincrement=True,
)

RUNNING: Final = replay.c.state == literal_column("'running'")
Index("replay_running", replay.c.id, sqlite_where=RUNNING, postgresql_where=RUNNING)

unread = Table(
    "unread",
    metadata,
    Column("account_id", Id, primary_key=True),
    Column("seq", BigInteger, primary_key=True, comment="of the event that tells the end; newest first is downwards"),
    Column("message_id", Id, nullable=False),
    sqlite_with_rowid=False,
)

handing = Table(
    "handing",
    metadata,
    Column("id", _Serial, primary_key=True, comment="never used again: a late word about it means no other"),
    Column("account_id", Id, nullable=False),
    Column("node", Text, nullable=False, comment="the process that is handing these reports over"),
    Column("at", BigInteger, nullable=False),
    Column("seqs", Text, nullable=False, comment="JSON list: the rows of unread that were taken (P16)"),
    sqlite_autoincrement=True,
)

high_water = Table(
    "high_water",
    metadata,
    Column("name", Text, primary_key=True, comment="'serial': of the one series of numbers"),
    Column("value", BigInteger, nullable=False, comment="the highest that was drawn when rows were last forgotten"),
    sqlite_with_rowid=False,
)
"""So that numbers rise for ever, also where all rows that had one are gone: readers keep their places by them."""

idempotency = Table(
    "idempotency",
    metadata,
    Column("account_id", Id, primary_key=True),
    Column("key", Text, primary_key=True, comment="as the customer chose it (P7)"),
    Column("fingerprint", Text, nullable=False, comment="SHA-256, hex, of what was asked"),
    Column("created_at", BigInteger, nullable=False),
    Column("status", Integer, nullable=False, comment="of the HTTP answer, which is given again as it was"),
    Column("content_type", Text, nullable=False),
    Column("headers", Text, nullable=False, comment="JSON list of pairs"),
    Column("body", Text, nullable=False),
    Index("idempotency_age", "created_at"),
    sqlite_with_rowid=False,
)

sealed = Table(
    "sealed",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False, comment="a known text under the database's key (kvitto.store.keycheck)"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("batch_id", Id, primary_key=True),
    Column("recipient", Text, primary_key=True, comment="digits; '' for every recipient"),
    Column("account_id", Id, nullable=False),
    Column("at", BigInteger, nullable=False),
)

FINISHED: Final = message.c.status.not_in([literal_column("'QUEUED'"), literal_column("'DISPATCHED'")])
"""Final messages: the condition of the index ``message_final``, to be repeated where that index is wanted."""
Index("message_final", message.c.account_id, message.c.since_at, sqlite_where=FINISHED, postgresql_where=FINISHED)

# --- the dashboard (kvitto.store.office) ------------------------------------------------------------------------------

app_user = Table(
    "app_user",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True, comment="what is typed to sign in, lower case"),
    Column("password_hash", Text, comment="argon2; NULL until one is chosen"),
    Column("role", Text, nullable=False, comment="core.users.Role"),
    Column("account_id", Id, comment="NULL: an operator"),
    Column("created_at", BigInteger, nullable=False),
    Index("app_user_account", "account_id"),
)

user_session = Table(
    "user_session",
    metadata,
    Column("hash", Text, primary_key=True, comment="SHA-256, hex, of the cookie"),
    Column("user_id", Id, nullable=False),
    Column("csrf", Text, nullable=False, comment="what each form must bring back"),
    Column("account_id", Id, comment="the account an operator looks at; NULL: all"),
    Column("reveal", Boolean, nullable=False, comment="a viewer has asked to see numbers whole"),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False, comment="the last visit, to a minute; what is live is none"),
    Index("user_session_user", "user_id"),
)

sign_in_link = Table(
    "sign_in_link",
    metadata,
    Column("hash", Text, primary_key=True, comment="SHA-256, hex, of what the link carries"),
    Column("user_id", Id, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

sign_in_failure = Table(
    "sign_in_failure",
    metadata,
    Column("key", Text, primary_key=True, comment="SHA-256, hex, of a name, an address, or both"),
    Column("failures", Integer, nullable=False),
    Column("last_at", BigInteger, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False, comment="a user's name, or 'the server'"),
    Column("account_id", Id, comment="NULL: the server's own"),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Index("audit_account", "account_id", "id"),
    sqlite_autoincrement=True,
)

tally = Table(
    "tally",
    metadata,
    Column("account_id", Id, primary_key=True, comment="'': all accounts together"),
    Column("at", BigInteger, primary_key=True, comment="the minute's first instant; 0: as it stands now"),
    Column("name", Text, primary_key=True, comment="kvitto.store.verbs.tallies says which"),
    Column("node", Text, primary_key=True, comment="who counted; so that nodes do not wait for each other"),
    Column("value", BigInteger, nullable=False),
    Index("tally_at", "at"),
    sqlite_with_rowid=False,
)
