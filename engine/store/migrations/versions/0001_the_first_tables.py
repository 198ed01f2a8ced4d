"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from engine.store import base

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Come from an empty database."""
    op.create_table(
        "strategy_files",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("compatibility", _JSON, nullable=False),
        sa.Column("schema", _JSON, nullable=False),
        sa.Column("problems", _JSON, nullable=False),
        sa.Column("is_usable", sa.Boolean(), nullable=False),
        sa.Column("is_present", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("validated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_strategy_files")),
        sa.UniqueConstraint("path", name=op.f("uq_strategy_files_path")),
    )
    op.create_index(op.f("ix_strategy_files_type"), "strategy_files", ["type"])

    op.create_table(
        "users",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("is_disabled", sa.Boolean(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("role IN ('viewer', 'trader', 'admin')", name=op.f("ck_users_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
    )
    op.create_table(
        "trusted_keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("author_id", sa.String(length=64), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["author_id"], ["users.id"], name=op.f("fk_trusted_keys_author_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trusted_keys")),
    )
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("venue", sa.String(length=64), nullable=False),
        sa.Column("balances", _JSON, nullable=False),
        sa.Column("limits", _JSON, nullable=False),
        sa.Column("credentials", sa.LargeBinary(), nullable=True),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_accounts_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("owner_id", "name", name=op.f("uq_accounts_owner_id_name")),
    )
    op.create_index(op.f("ix_accounts_created_ms_id"), "accounts", ["created_ms", "id"])

    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=True),
        sa.Column("used_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_api_keys_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    op.create_index(op.f("ix_api_keys_user_id"), "api_keys", ["user_id"])

    op.create_table(
        "audit_log",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=True),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("change", _JSON, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_audit_log_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_audit_log_at_ms"), "audit_log", ["at_ms"])
    op.create_index(op.f("ix_audit_log_kind_object_id"), "audit_log", ["kind", "object_id"])
    op.create_index(op.f("ix_audit_log_user_id"), "audit_log", ["user_id"])

    op.create_table(
        "backtests",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("config", _JSON, nullable=False),
        sa.Column("status", sa.String(length=64), nullable=False),
        sa.Column("progress", base.Money(length=80), nullable=False),
        sa.Column("summary", _JSON, nullable=True),
        sa.Column("report", _JSON, nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(length=64), nullable=True),
        sa.Column("lease_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "status IN ('waiting', 'running', 'done', 'failed', 'canceled')",
            name=op.f("ck_backtests_status"),
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_backtests_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backtests")),
    )
    op.create_index(
        op.f("ix_backtests_owner_id_created_ms_id"), "backtests", ["owner_id", "created_ms", "id"]
    )
    op.create_index(op.f("ix_backtests_status_created_ms"), "backtests", ["status", "created_ms"])

    op.create_table(
        "idempotency_keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("claim", sa.String(length=64), nullable=False),
        sa.Column("lease_ms", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", _JSON, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_idempotency_keys_user_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotency_keys")),
    )
    op.create_index(op.f("ix_idempotency_keys_created_ms"), "idempotency_keys", ["created_ms"])

    op.create_table(
        "settings",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", _JSON, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["updated_by"], ["users.id"], name=op.f("fk_settings_updated_by")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_settings")),
    )
    op.create_table(
        "strategy_definitions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("strategy_type", sa.String(length=64), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("visibility", sa.String(length=64), nullable=False),
        sa.Column("newest", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "visibility IN ('system', 'private', 'public')",
            name=op.f("ck_strategy_definitions_visibility"),
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_strategy_definitions_owner_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_strategy_definitions")),
        sa.UniqueConstraint("key", name=op.f("uq_strategy_definitions_key")),
    )
    op.create_index(
        op.f("ix_strategy_definitions_created_ms_id"), "strategy_definitions", ["created_ms", "id"]
    )
    op.create_index(op.f("ix_strategy_definitions_owner_id"), "strategy_definitions", ["owner_id"])
    op.create_index(
        op.f("ix_strategy_definitions_strategy_type"), "strategy_definitions", ["strategy_type"]
    )

    op.create_table(
        "strategy_definition_versions",
        sa.Column("definition_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("schema", _JSON, nullable=False),
        sa.Column("defaults", _JSON, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("is_rollback", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("author_id", sa.String(length=64), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["author_id"], ["users.id"], name=op.f("fk_strategy_definition_versions_author_id")
        ),
        sa.ForeignKeyConstraint(
            ["definition_id"],
            ["strategy_definitions.id"],
            name=op.f("fk_strategy_definition_versions_definition_id"),
        ),
        sa.PrimaryKeyConstraint(
            "definition_id", "number", name=op.f("pk_strategy_definition_versions")
        ),
    )
    op.create_table(
        "strategies",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("definition_id", sa.String(length=64), nullable=True),
        sa.Column("definition_number", sa.Integer(), nullable=True),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("given", _JSON, nullable=False),
        sa.Column("config", _JSON, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("desired", sa.String(length=64), nullable=False),
        sa.Column("visibility", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("deleted_ms", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "desired IN ('running', 'paused', 'stopped')", name=op.f("ck_strategies_desired")
        ),
        sa.CheckConstraint(
            "visibility IN ('private', 'public')", name=op.f("ck_strategies_visibility")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_strategies_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["definition_id", "definition_number"],
            ["strategy_definition_versions.definition_id", "strategy_definition_versions.number"],
            name=op.f("fk_strategies_definition_id_definition_number"),
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_strategies_owner_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_strategies")),
    )
    op.create_index(op.f("ix_strategies_account_id"), "strategies", ["account_id"])
    op.create_index(op.f("ix_strategies_created_ms_id"), "strategies", ["created_ms", "id"])
    op.create_index(
        op.f("ix_strategies_owner_id_created_ms_id"), "strategies", ["owner_id", "created_ms", "id"]
    )

    op.create_table(
        "alerts",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.String(length=64), nullable=False),
        sa.Column("strategy_id", sa.String(length=64), nullable=True),
        sa.Column("owner_id", sa.String(length=64), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("open_key", sa.String(length=64), nullable=True),
        sa.Column("acknowledged_ms", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_by", sa.String(length=64), nullable=True),
        sa.CheckConstraint("level IN ('info', 'warning', 'error')", name=op.f("ck_alerts_level")),
        sa.ForeignKeyConstraint(
            ["acknowledged_by"], ["users.id"], name=op.f("fk_alerts_acknowledged_by")
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_alerts_owner_id")),
        sa.ForeignKeyConstraint(
            ["strategy_id"], ["strategies.id"], name=op.f("fk_alerts_strategy_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sa.UniqueConstraint("open_key", name=op.f("uq_alerts_open_key")),
    )
    op.create_index(op.f("ix_alerts_acknowledged_ms"), "alerts", ["acknowledged_ms"])
    op.create_index(op.f("ix_alerts_at_ms"), "alerts", ["at_ms"])
    op.create_index(op.f("ix_alerts_owner_id"), "alerts", ["owner_id"])
    op.create_index(op.f("ix_alerts_strategy_id"), "alerts", ["strategy_id"])

    op.create_table(
        "subscriptions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("strategy_id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("capital", base.Money(length=80), nullable=False),
        sa.Column("leverage", base.Money(length=80), nullable=False),
        sa.Column("risk", _JSON, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("deleted_ms", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("status IN ('active', 'paused')", name=op.f("ck_subscriptions_status")),
        sa.CheckConstraint(
            "deleted_ms IS NULL OR status = 'paused'", name=op.f("ck_subscriptions_deleted")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_subscriptions_account_id")
        ),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_subscriptions_owner_id")),
        sa.ForeignKeyConstraint(
            ["strategy_id"], ["strategies.id"], name=op.f("fk_subscriptions_strategy_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
    )
    op.create_index(op.f("ix_subscriptions_account_id"), "subscriptions", ["account_id"])
    op.create_index(op.f("ix_subscriptions_created_ms_id"), "subscriptions", ["created_ms", "id"])
    op.create_index(op.f("ix_subscriptions_owner_id"), "subscriptions", ["owner_id"])
    op.create_index(
        op.f("ix_subscriptions_strategy_id_account_id"),
        "subscriptions",
        ["strategy_id", "account_id"],
        unique=True,
        sqlite_where=sa.text("deleted_ms IS NULL"),
        postgresql_where=sa.text("deleted_ms IS NULL"),
    )
    _create_what_was_traded()


def _create_what_was_traded() -> None:
    """Create what the recorder writes."""
    op.create_table(
        "orders",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("strategy_id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("slice", sa.BigInteger(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("quantity", base.AnyMoney(), nullable=False),
        sa.Column("price", base.AnyMoney(), nullable=True),
        sa.Column("trail", base.Money(length=80), nullable=True),
        sa.Column("net_id", sa.Text(), nullable=True),
        sa.Column("filled", base.Money(length=80), nullable=False),
        sa.Column("status", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "status IN ('open', 'filled', 'canceled', 'rejected')", name=op.f("ck_orders_status")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
    )
    op.create_index(
        op.f("ix_orders_account_id_created_ms_id"), "orders", ["account_id", "created_ms", "id"]
    )
    op.create_index(op.f("ix_orders_created_ms_id"), "orders", ["created_ms", "id"])
    op.create_index(op.f("ix_orders_status"), "orders", ["status"])
    op.create_index(
        op.f("ix_orders_strategy_id_created_ms_id"), "orders", ["strategy_id", "created_ms", "id"]
    )

    op.create_table(
        "positions",
        sa.Column("strategy_id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("quantity", base.Money(length=80), nullable=False),
        sa.Column("cost", base.Money(length=80), nullable=False),
        sa.Column("entry_price", base.Money(length=80), nullable=True),
        sa.Column("realized", base.Money(length=80), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("strategy_id", "account_id", "symbol", name=op.f("pk_positions")),
    )
    op.create_index(op.f("ix_positions_run_id"), "positions", ["run_id"])

    op.create_table(
        "strategy_executions",
        sa.Column("strategy_id", sa.String(length=64), nullable=False),
        sa.Column("interval_ms", sa.BigInteger(), nullable=False),
        sa.Column("recorded_ms", sa.BigInteger(), nullable=False),
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.Column("duration_us", sa.BigInteger(), nullable=False),
        sa.Column("result", sa.String(length=64), nullable=False),
        sa.Column("subscribers", sa.Integer(), nullable=False),
        sa.Column("trades", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "result IN ('success', 'failed', 'skipped', 'no_signal')",
            name=op.f("ck_strategy_executions_result"),
        ),
        sa.PrimaryKeyConstraint("strategy_id", "interval_ms", name=op.f("pk_strategy_executions")),
    )
    op.create_index(
        op.f("ix_strategy_executions_recorded_ms"), "strategy_executions", ["recorded_ms"]
    )

    op.create_table(
        "strategy_logs",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("strategy_id", sa.String(length=64), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("candle_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "level IN ('debug', 'info', 'warning', 'error')", name=op.f("ck_strategy_logs_level")
        ),
        sa.CheckConstraint(
            "source IN ('strategy', 'engine', 'operator')", name=op.f("ck_strategy_logs_source")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_strategy_logs")),
    )
    op.create_index(op.f("ix_strategy_logs_at_ms"), "strategy_logs", ["at_ms"])
    op.create_index(op.f("ix_strategy_logs_strategy_id_id"), "strategy_logs", ["strategy_id", "id"])

    op.create_table(
        "strategy_signals",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("strategy_id", sa.String(length=64), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("recorded_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=True),
        sa.Column("order_type", sa.String(length=64), nullable=True),
        sa.Column("quantity", base.AnyMoney(), nullable=True),
        sa.Column("price", base.AnyMoney(), nullable=True),
        sa.Column("stop_loss", base.AnyMoney(), nullable=True),
        sa.Column("take_profit", base.AnyMoney(), nullable=True),
        sa.Column("trailing_stop", base.AnyMoney(), nullable=True),
        sa.Column("is_reduce_only", sa.Boolean(), nullable=False),
        sa.Column("confidence", base.AnyMoney(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_strategy_signals")),
    )
    op.create_index(op.f("ix_strategy_signals_at_ms"), "strategy_signals", ["at_ms"])
    op.create_index(op.f("ix_strategy_signals_recorded_ms"), "strategy_signals", ["recorded_ms"])
    op.create_index(
        op.f("ix_strategy_signals_strategy_id_at_ms_id"),
        "strategy_signals",
        ["strategy_id", "at_ms", "id"],
    )

    op.create_table(
        "recordings",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("engine", sa.String(length=64), nullable=False),
        sa.Column("lines", sa.BigInteger(), nullable=False),
        sa.Column("last_hash", sa.String(length=64), nullable=False),
        sa.Column("recorded_ms", sa.BigInteger(), nullable=False),
        sa.Column("executions", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_recordings")),
    )
    op.create_index(op.f("ix_recordings_engine"), "recordings", ["engine"])
    op.create_table(
        "unpublished_events",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("engine", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("lines", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unpublished_events")),
    )
    op.create_index(op.f("ix_unpublished_events_engine"), "unpublished_events", ["engine"])

    op.create_table(
        "fills",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("strategy_id", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("quantity", base.Money(length=80), nullable=False),
        sa.Column("price", base.Money(length=80), nullable=False),
        sa.Column("fee", base.Money(length=80), nullable=False),
        sa.Column("fee_currency", sa.String(length=64), nullable=False),
        sa.Column("realized", base.Money(length=80), nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_fills_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fills")),
    )
    op.create_index(op.f("ix_fills_account_id_at_ms_id"), "fills", ["account_id", "at_ms", "id"])
    op.create_index(op.f("ix_fills_at_ms_id"), "fills", ["at_ms", "id"])
    op.create_index(op.f("ix_fills_order_id"), "fills", ["order_id"])
    op.create_index(op.f("ix_fills_strategy_id_at_ms_id"), "fills", ["strategy_id", "at_ms", "id"])


def downgrade() -> None:
    """Go back to an empty database."""
    for table in (
        "fills",
        "subscriptions",
        "unpublished_events",
        "recordings",
        "strategy_signals",
        "strategy_logs",
        "strategy_executions",
        "positions",
        "orders",
        "alerts",
        "strategies",
        "strategy_definition_versions",
        "strategy_definitions",
        "settings",
        "idempotency_keys",
        "backtests",
        "audit_log",
        "api_keys",
        "accounts",
        "trusted_keys",
        "users",
        "strategy_files",
    ):
        op.drop_table(table)
