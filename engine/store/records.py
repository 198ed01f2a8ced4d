"""Tables of what has happened: signals, executions, alerts, backtests, changes."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index, PrimaryKeyConstraint
from sqlalchemy.orm import Mapped, mapped_column

from engine.store.base import Amount, Asked, Base, Counter, Document, Id, Moment, Words

__all__ = ["Alert", "AuditEntry", "BacktestJob", "Execution", "LogLine", "Setting", "Signal"]


class Signal(Base):
    """What a strategy wanted, and what became of it; kept for 90 days.

    No foreign keys, here and wherever the recorder writes: what has been traded has been traded,
    and goes on record whether or not the strategy, subscription or account is on record, too.

    Attributes:
        id: Made from the run, the instance, its stream, the candle and a number.
        run_id: Of which run.
        strategy_id: Who: the id of a strategy, or of a subscription that follows one.
        at_ms: Close of the candle it was decided on.
        recorded_ms: When it was put here; it is kept for 90 days from then on, because a replay
            decides on old candles.
        kind: ``signal``, ``request`` (a plain order) or ``cancel``.
        action: ``BUY``, ``SELL``, ``CLOSE``, ``HOLD``; of a cancel ``CANCEL``.
        symbol: What; None for a cancel.
        order_type: Of a request, as it waits for its price; None otherwise.
        quantity: As wanted, base currency; None: as its sizing says.
        price: Limit or trigger, quote currency; None: the market's.
        stop_loss: Fraction of the entry price; None: as its risk says.
        take_profit: Likewise.
        trailing_stop: Fraction below the best price; None: as its risk says.
        is_reduce_only: Of a request: it may only close.
        confidence: From 0 to 1; None for a cancel.
        reason: In the strategy's words.
        code: ``accepted``, ``recorded`` (a HOLD), or why it was refused.
        detail: The same for people; empty where there is nothing to say.
        order_id: What came of it, or what is to be canceled; None: no order.
    """

    __tablename__ = "strategy_signals"
    __table_args__ = (
        Index(None, "strategy_id", "at_ms", "id"),
        Index(None, "at_ms"),
        Index(None, "recorded_ms"),
    )

    id: Mapped[Words] = mapped_column(primary_key=True)
    run_id: Mapped[Id]
    strategy_id: Mapped[Id]
    at_ms: Mapped[Moment]
    recorded_ms: Mapped[Moment]
    kind: Mapped[Id]
    action: Mapped[Id]
    symbol: Mapped[Words | None]
    order_type: Mapped[Id | None]
    quantity: Mapped[Asked | None]
    price: Mapped[Asked | None]
    stop_loss: Mapped[Asked | None]
    take_profit: Mapped[Asked | None]
    trailing_stop: Mapped[Asked | None]
    is_reduce_only: Mapped[bool] = mapped_column(default=False)
    confidence: Mapped[Asked | None]
    reason: Mapped[Words]
    code: Mapped[Id]
    detail: Mapped[Words] = mapped_column(default="")
    order_id: Mapped[Words | None]


class Execution(Base):
    """One strategy at one interval: there is one row, so one engine executed it.

    Attributes:
        strategy_id: Who. No foreign key, as in `Signal`.
        interval_ms: Close of the candle.
        recorded_ms: When it was put here.
        worker: Engine that executed it.
        duration_us: How long it took.
        result: ``success``, ``failed``, ``skipped`` or ``no_signal``.
        subscribers: Accounts that followed.
        trades: Orders that came of it.
    """

    __tablename__ = "strategy_executions"
    __table_args__ = (
        PrimaryKeyConstraint("strategy_id", "interval_ms"),
        CheckConstraint("result IN ('success', 'failed', 'skipped', 'no_signal')", name="result"),
        Index(None, "recorded_ms"),
    )

    strategy_id: Mapped[Id]
    interval_ms: Mapped[Moment]
    recorded_ms: Mapped[Moment]
    worker: Mapped[Id]
    duration_us: Mapped[Moment]
    result: Mapped[Id]
    subscribers: Mapped[int]
    trades: Mapped[int]


class Alert(Base):
    """Something somebody should look at.

    Attributes:
        id: In the order they came.
        at_ms: When.
        level: ``info``, ``warning`` or ``error``.
        strategy_id: About which strategy; None: about the engine.
        owner_id: Who sees it; None: admins.
        title: One line.
        text: The rest.
        open_key: What it is, so that the same is not raised twice; None: it is acknowledged.
        acknowledged_ms: When somebody did; None: nobody did.
        acknowledged_by: Who.
    """

    __tablename__ = "alerts"
    __table_args__ = (CheckConstraint("level IN ('info', 'warning', 'error')", name="level"),)

    id: Mapped[Counter]
    at_ms: Mapped[Moment] = mapped_column(index=True)
    level: Mapped[Id]
    strategy_id: Mapped[Id | None] = mapped_column(ForeignKey("strategies.id"), index=True)
    owner_id: Mapped[Id | None] = mapped_column(ForeignKey("users.id"), index=True)
    title: Mapped[Words]
    text: Mapped[Words]
    open_key: Mapped[Id | None] = mapped_column(unique=True)
    acknowledged_ms: Mapped[Moment | None] = mapped_column(index=True)
    acknowledged_by: Mapped[Id | None] = mapped_column(ForeignKey("users.id"))


class LogLine(Base):
    """A line of a strategy's log; the newest are kept for some days.

    Attributes:
        id: In the order they came.
        strategy_id: Whose. No foreign key, as in `Signal`.
        at_ms: When it was put here.
        level: ``debug``, ``info``, ``warning`` or ``error``.
        source: Who says so: ``strategy`` (its code), ``engine`` or ``operator``.
        text: What; no secrets.
        candle_ms: Close of the candle its code was at; None: none, or somebody else says so.
    """

    __tablename__ = "strategy_logs"
    __table_args__ = (
        CheckConstraint("level IN ('debug', 'info', 'warning', 'error')", name="level"),
        CheckConstraint("source IN ('strategy', 'engine', 'operator')", name="source"),
        Index(None, "strategy_id", "id"),
    )

    id: Mapped[Counter]
    strategy_id: Mapped[Id]
    at_ms: Mapped[Moment] = mapped_column(index=True)
    level: Mapped[Id]
    source: Mapped[Id]
    text: Mapped[Words]
    candle_ms: Mapped[Moment | None]


class BacktestJob(Base):
    """A backtest somebody asked for.

    Attributes:
        id: Random.
        owner_id: Whose.
        name: For people.
        config: The run, what it plays, and what it was made from.
        status: ``waiting``, ``running``, ``done``, ``failed`` or ``canceled``.
        progress: Part that is done, from 0 to 1, as decimal text.
        summary: The figures of the report; None until it is done.
        report: What came of it; None until it is done. Large: read only where it is asked for.
        error: Why it failed; empty otherwise.
        attempts: How often a worker has begun it.
        worker: Who has it, anew for each attempt; None: nobody.
        lease_ms: Until when that one need not be heard of.
        created_ms: When.
        started_ms: When it was begun last; None: never.
        ended_ms: When; None until then.
    """

    __tablename__ = "backtests"
    __table_args__ = (
        CheckConstraint(
            "status IN ('waiting', 'running', 'done', 'failed', 'canceled')", name="status"
        ),
        Index(None, "owner_id", "created_ms", "id"),
        Index(None, "status", "created_ms"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    owner_id: Mapped[Id] = mapped_column(ForeignKey("users.id"))
    name: Mapped[Words] = mapped_column(default="")
    config: Mapped[Document]
    status: Mapped[Id]
    progress: Mapped[Amount]
    summary: Mapped[Document | None]
    report: Mapped[Document | None] = mapped_column(deferred=True)
    error: Mapped[Words]
    attempts: Mapped[int] = mapped_column(default=0)
    worker: Mapped[Id | None]
    lease_ms: Mapped[Moment | None]
    created_ms: Mapped[Moment]
    started_ms: Mapped[Moment | None]
    ended_ms: Mapped[Moment | None]


class Setting(Base):
    """A setting that is changed while Chorus runs.

    Attributes:
        key: Its name.
        value: ``{"value": ...}``.
        version: Raised by every change.
        updated_ms: When.
        updated_by: By whom; None: by Chorus itself.
    """

    __tablename__ = "settings"

    key: Mapped[Id] = mapped_column(primary_key=True)
    value: Mapped[Document]
    version: Mapped[int] = mapped_column(default=1)
    updated_ms: Mapped[Moment]
    updated_by: Mapped[Id | None] = mapped_column(ForeignKey("users.id"))

    @property
    def id(self) -> str:
        """Return what it is on record by."""
        return self.key


class AuditEntry(Base):
    """A change somebody made; never changed, and deleted only when it is old.

    Attributes:
        id: In the order they came; never given twice.
        at_ms: When.
        user_id: Who; None: Chorus itself.
        action: ``create``, ``update``, ``delete``, ``start`` and so on.
        kind: Of what: the name of its table.
        object_id: Which.
        change: What changed; no secrets.
    """

    __tablename__ = "audit_log"
    __table_args__ = (Index(None, "kind", "object_id"), {"sqlite_autoincrement": True})

    id: Mapped[Counter]
    at_ms: Mapped[Moment] = mapped_column(index=True)
    user_id: Mapped[Id | None] = mapped_column(ForeignKey("users.id"), index=True)
    action: Mapped[Id]
    kind: Mapped[Id]
    object_id: Mapped[Words]
    change: Mapped[Document]
