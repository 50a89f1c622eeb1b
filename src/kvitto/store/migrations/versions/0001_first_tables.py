"""The first tables.

Revision 0001.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

__all__ = ["upgrade"]

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_ID: Any = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SERIAL: Any = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make every table and index."""
    if op.get_context().dialect.name == "postgresql":
        op.execute(sa.schema.CreateSequence(sa.Sequence("serial")))
    op.create_table(
        "account",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("service_plan_id", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("callback_secret", sa.Text(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("callback_url", sa.Text(), nullable=True),
        sa.Column("allow_callbacks_to", sa.Text(), nullable=False),
        sa.Column("default_from", sa.Text(), nullable=True),
        sa.Column("allowed_senders", sa.Text(), nullable=False),
        sa.Column("blocked_numbers", sa.Text(), nullable=False),
        sa.Column("max_parts", sa.Integer(), nullable=True),
        sa.Column("rate", sa.Float(), nullable=True),
        sa.Column("quota", sa.BigInteger(), nullable=True),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("retention_days", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("next_due_at", sa.Float(), nullable=False),
        sa.Column("callback_dialect", sa.Text(), nullable=True),
        sa.Column("final_only", sa.Boolean(), nullable=False),
        sa.Column("late_corrections", sa.Boolean(), nullable=True),
        sa.Column("ack", sa.Text(), nullable=False),
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("old_callback_secret", sa.Text(), nullable=True),
        sa.Column("old_secret_until", sa.BigInteger(), nullable=True),
        sa.Column("callback_statuses", sa.Text(), nullable=False),
        sa.Column("incoming_url", sa.Text(), nullable=True),
        sa.Column("events_url", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
        sa.UniqueConstraint("service_plan_id"),
        sa.UniqueConstraint("username"),
    )
    op.create_table(
        "webhook_move",
        sa.Column("endpoint", sa.BigInteger(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("after_at", sa.BigInteger(), nullable=False),
        sa.Column("after_id", sa.BigInteger(), nullable=False),
        sa.Column("found", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint", "url"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "batch",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("dialect", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=True),
        sa.Column("recipients", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("max_parts", sa.Integer(), nullable=True),
        sa.Column("notify", sa.Text(), nullable=False),
        sa.Column("callback_url", sa.Text(), nullable=True),
        sa.Column("client_reference", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("modified_at", sa.BigInteger(), nullable=False),
        sa.Column("send_at", sa.BigInteger(), nullable=True),
        sa.Column("expire_at", sa.BigInteger(), nullable=False),
        sa.Column("cancelled_at", sa.BigInteger(), nullable=True),
        sa.Column("feedback", sa.Boolean(), nullable=False),
        sa.Column("extra", sa.Text(), nullable=False),
        sa.Column("pending", sa.Integer(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("feed", sa.Text(), nullable=False),
        sa.Column("delivery_window", sa.Text(), nullable=True),
        sa.Column("paused_at", sa.BigInteger(), nullable=True),
        sa.Column("callback_dialect", sa.Text(), nullable=True),
        sa.Column("spacing_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index("batch_account", "batch", ["account_id", "created_at", "id"], unique=False)
    op.create_index(
        "batch_client",
        "batch",
        ["account_id", "client_id"],
        unique=False,
        sqlite_where=sa.text("client_id IS NOT NULL"),
        postgresql_where=sa.text("client_id IS NOT NULL"),
    )
    op.create_table(
        "callback",
        sa.Column("id", _SERIAL, autoincrement=False, nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("batch_id", _ID, nullable=False),
        sa.Column("dialect", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("tells", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=True),
        sa.Column("leased_by", sa.Text(), nullable=True),
        sa.Column("leased_until", sa.BigInteger(), nullable=True),
        sa.Column("first_failed_at", sa.BigInteger(), nullable=True),
        sa.Column("last_at", sa.BigInteger(), nullable=True),
        sa.Column("last_status_code", sa.Integer(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("last_elapsed_ms", sa.Integer(), nullable=True),
        sa.Column("bundle", sa.BigInteger(), nullable=True),
        sa.Column("endpoint", sa.BigInteger(), nullable=False),
        sa.Column("again_at", sa.BigInteger(), nullable=True),
        sa.Column("notice", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "callback_given_up",
        "callback",
        ["account_id", "id"],
        unique=False,
        sqlite_where=sa.text("state = 'given_up'"),
        postgresql_where=sa.text("state = 'given_up'"),
    )
    op.create_index(
        "callback_bundle",
        "callback",
        ["bundle"],
        unique=False,
        sqlite_where=sa.text("bundle IS NOT NULL"),
        postgresql_where=sa.text("bundle IS NOT NULL"),
    )
    op.create_index(
        "callback_due",
        "callback",
        ["endpoint", "next_attempt_at"],
        unique=False,
        sqlite_where=sa.text("next_attempt_at IS NOT NULL"),
        postgresql_where=sa.text("next_attempt_at IS NOT NULL"),
    )
    op.create_table(
        "attempt",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("callback_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("elapsed_ms", sa.Integer(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("attempt_callback", "attempt", ["callback_id"], unique=False)
    op.create_table(
        "endpoint",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("disabled_why", sa.Text(), nullable=True),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.Column("breaker", sa.Text(), nullable=True),
        sa.Column("secret", sa.Text(), nullable=True),
        sa.Column("old_secret", sa.Text(), nullable=True),
        sa.Column("old_secret_until", sa.BigInteger(), nullable=True),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("concurrency", sa.Integer(), nullable=True),
        sa.Column("rate", sa.Float(), nullable=True),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=True),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("ca_pem", sa.Text(), nullable=True),
        sa.Column("client_cert_pem", sa.Text(), nullable=True),
        sa.Column("client_key_pem", sa.Text(), nullable=True),
        sa.Column("allow_callbacks_to", sa.Text(), nullable=False),
        sa.Column("delivered", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("last_ok_at", sa.BigInteger(), nullable=True),
        sa.Column("last_failed_at", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("switches", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("endpoint_account", "endpoint", ["account_id", "id"], unique=False)
    op.create_index(
        "endpoint_name",
        "endpoint",
        ["account_id", "name"],
        unique=True,
        sqlite_where=sa.text("name IS NOT NULL"),
        postgresql_where=sa.text("name IS NOT NULL"),
    )
    op.create_index("endpoint_changed", "endpoint", ["changed_at"], unique=False)
    op.create_table(
        "operator_event",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("account_id", _ID, nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("operator_event_account", "operator_event", ["account_id", "id"], unique=False)
    op.create_table(
        "replay",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("account_id", _ID, nullable=True),
        sa.Column("endpoint", sa.BigInteger(), nullable=True),
        sa.Column("states", sa.Text(), nullable=False),
        sa.Column("since_at", sa.BigInteger(), nullable=True),
        sa.Column("until_at", sa.BigInteger(), nullable=True),
        sa.Column("rate", sa.Float(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("first_id", sa.BigInteger(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("replayed", sa.BigInteger(), nullable=False),
        sa.Column("skipped", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "replay_running",
        "replay",
        ["id"],
        unique=False,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_table(
        "dispatched",
        sa.Column("seq", _SERIAL, autoincrement=False, nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("messages", sa.Text(), nullable=False),
        sa.Column("earlier", sa.Text(), nullable=True),
        sa.Column("seqs", sa.Text(), nullable=True),
        sa.Column("tx", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index(
        "dispatched_commit",
        "dispatched",
        ["tx", "seq"],
        unique=False,
        sqlite_where=sa.text("tx IS NOT NULL"),
        postgresql_where=sa.text("tx IS NOT NULL"),
    )
    op.create_table(
        "event",
        sa.Column("seq", _SERIAL, autoincrement=False, nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("message_id", _ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("error_source", sa.Text(), nullable=False),
        sa.Column("error_text", sa.Text(), nullable=True),
        sa.Column("error_net_type", sa.SmallInteger(), nullable=True),
        sa.Column("error_net_code", sa.Integer(), nullable=True),
        sa.Column("error_command_status", sa.BigInteger(), nullable=True),
        sa.Column("part_no", sa.SmallInteger(), nullable=True),
        sa.Column("tx", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index(
        "event_commit",
        "event",
        ["tx", "seq"],
        unique=False,
        sqlite_where=sa.text("tx IS NOT NULL"),
        postgresql_where=sa.text("tx IS NOT NULL"),
    )
    op.create_index("event_message", "event", ["message_id"], unique=False)
    op.create_table(
        "feedback",
        sa.Column("batch_id", _ID, nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "recipient"),
    )
    op.create_table(
        "handing",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("seqs", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "high_water",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "idempotency",
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("idempotency_age", "idempotency", ["created_at"], unique=False)
    op.create_table(
        "incoming",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("account_id", _ID, nullable=True),
        sa.Column("link", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "link_counter",
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("link", sa.Text(), nullable=False),
        sa.Column("grp", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node", "link", "grp", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "link_state",
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("link", sa.Text(), nullable=False),
        sa.Column("grp", sa.Text(), nullable=False),
        sa.Column("binds_up", sa.Integer(), nullable=False),
        sa.Column("binds_wanted", sa.Integer(), nullable=False),
        sa.Column("send_window", sa.Integer(), nullable=False),
        sa.Column("in_flight", sa.Integer(), nullable=False),
        sa.Column("rate", sa.Float(), nullable=False),
        sa.Column("paused_until_at", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node", "link"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "message",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("parts", sa.SmallInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("abort", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since_at", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("error_source", sa.Text(), nullable=False),
        sa.Column("error_text", sa.Text(), nullable=True),
        sa.Column("error_net_type", sa.SmallInteger(), nullable=True),
        sa.Column("error_net_code", sa.Integer(), nullable=True),
        sa.Column("error_command_status", sa.BigInteger(), nullable=True),
        sa.Column("notes", sa.SmallInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("deadline_at", sa.BigInteger(), nullable=True),
        sa.Column("first_final", sa.Text(), nullable=True),
        sa.Column("first_times", sa.Text(), nullable=True),
        sa.Column("client_id", sa.Text(), nullable=True),
        sa.Column("own", sa.Text(), nullable=True),
        sa.Column("send_at", sa.BigInteger(), nullable=True),
        sa.Column("decided_by", sa.SmallInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "message_client",
        "message",
        ["account_id", "client_id"],
        unique=True,
        sqlite_where=sa.text("client_id IS NOT NULL"),
        postgresql_where=sa.text("client_id IS NOT NULL"),
    )
    op.create_index(
        "message_planned",
        "message",
        ["account_id", "send_at", "id"],
        unique=False,
        sqlite_where=sa.text("send_at IS NOT NULL"),
        postgresql_where=sa.text("send_at IS NOT NULL"),
    )
    op.create_index(
        "message_deadline",
        "message",
        ["deadline_at"],
        unique=False,
        sqlite_where=sa.text("deadline_at IS NOT NULL"),
        postgresql_where=sa.text("deadline_at IS NOT NULL"),
    )
    op.create_index(
        "message_final",
        "message",
        ["account_id", "since_at"],
        unique=False,
        sqlite_where=sa.text("(status NOT IN ('QUEUED', 'DISPATCHED'))"),
        postgresql_where=sa.text("(status NOT IN ('QUEUED', 'DISPATCHED'))"),
    )
    op.create_index(
        "message_queue",
        "message",
        ["route", "account_id", "due_at", "id"],
        unique=False,
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_table(
        "parked_key",
        sa.Column("grp", sa.Text(), nullable=False),
        sa.Column("folded_id", sa.Text(), nullable=False),
        sa.Column("receipt_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", _ID, nullable=True),
        sa.PrimaryKeyConstraint("grp", "folded_id", "receipt_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("parked_key_receipt", "parked_key", ["receipt_id"], unique=False)
    op.create_table(
        "part",
        sa.Column("message_id", _ID, nullable=False),
        sa.Column("part_no", sa.SmallInteger(), nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("link", sa.Text(), nullable=False),
        sa.Column("grp", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since_at", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("error_source", sa.Text(), nullable=False),
        sa.Column("error_text", sa.Text(), nullable=True),
        sa.Column("error_net_type", sa.SmallInteger(), nullable=True),
        sa.Column("error_net_code", sa.Integer(), nullable=True),
        sa.Column("error_command_status", sa.BigInteger(), nullable=True),
        sa.Column("written_at", sa.BigInteger(), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("queried_at", sa.BigInteger(), nullable=True),
        sa.Column("smsc_message_id", sa.Text(), nullable=True),
        sa.Column("folded_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("message_id", "part_no"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "part_open",
        "part",
        ["state"],
        unique=False,
        sqlite_where=sa.text("state IN ('written', 'in_doubt')"),
        postgresql_where=sa.text("state IN ('written', 'in_doubt')"),
    )
    op.create_index(
        "part_resent",
        "part",
        ["grp"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting' AND reason = 'not_acknowledged'"),
        postgresql_where=sa.text("state = 'waiting' AND reason = 'not_acknowledged'"),
    )
    op.create_index(
        "part_smsc",
        "part",
        ["grp", "folded_id"],
        unique=False,
        sqlite_where=sa.text("folded_id IS NOT NULL"),
        postgresql_where=sa.text("folded_id IS NOT NULL"),
    )
    op.create_table(
        "pulse",
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node"),
    )
    op.create_table(
        "receipt",
        sa.Column("id", _SERIAL, autoincrement=False, nullable=False),
        sa.Column("account_id", _ID, nullable=True),
        sa.Column("link", sa.Text(), nullable=False),
        sa.Column("grp", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=True),
        sa.Column("message_id", _ID, nullable=True),
        sa.Column("part_no", sa.SmallInteger(), nullable=True),
        sa.Column("parsed", sa.Text(), nullable=True),
        sa.Column("next_try_at", sa.BigInteger(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("assigned_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "receipt_notable",
        "receipt",
        ["outcome", "id"],
        unique=False,
        sqlite_where=sa.text("(outcome NOT IN ('matched', 'duplicate'))"),
        postgresql_where=sa.text("(outcome NOT IN ('matched', 'duplicate'))"),
    )
    op.create_index(
        "receipt_message",
        "receipt",
        ["message_id"],
        unique=False,
        sqlite_where=sa.text("message_id IS NOT NULL"),
        postgresql_where=sa.text("message_id IS NOT NULL"),
    )
    op.create_index(
        "receipt_parked",
        "receipt",
        ["next_try_at"],
        unique=False,
        sqlite_where=sa.text("next_try_at IS NOT NULL"),
        postgresql_where=sa.text("next_try_at IS NOT NULL"),
    )
    op.create_table(
        "sealed",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "token",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("tail", sa.Text(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_index("token_account", "token", ["account_id"], unique=False)
    op.create_table(
        "unread",
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("message_id", _ID, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_index("message_recipient", "message", ["account_id", "recipient", "id"], unique=False)
    _make_office()


def _make_office() -> None:
    """Tables of the dashboard: people, what they changed, and counts by the minute."""
    op.create_table(
        "app_user",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("account_id", _ID, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_index("app_user_account", "app_user", ["account_id"], unique=False)
    op.create_table(
        "user_session",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("csrf", sa.Text(), nullable=False),
        sa.Column("account_id", _ID, nullable=True),
        sa.Column("reveal", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_index("user_session_user", "user_session", ["user_id"], unique=False)
    op.create_table(
        "sign_in_link",
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_table(
        "sign_in_failure",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "audit",
        sa.Column("id", _SERIAL, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("account_id", _ID, nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_account", "audit", ["account_id", "id"], unique=False)
    op.create_table(
        "tally",
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "at", "name", "node"),
        sqlite_with_rowid=False,
    )
    op.create_index("tally_at", "tally", ["at"], unique=False)
