"""Who takes part, on which account, in which books."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.config.run import AccountConfig, RunConfig
from engine.config.strategy import StrategyConfig
from engine.errors import ConfigError, TradingError
from engine.money import find_instrument, instruments_by_symbol
from engine.timeframes import timeframe_ms
from engine.trading.capital import Account, Holding
from engine.trading.orders import SymbolBook
from engine.trading.participants import Participant
from engine.trading.positions import Position
from engine.trading.registration import Registration

__all__ = ["Enrolment"]


class Enrolment:
    """Opens accounts and lets strategies and their followers take part.

    Args:
        run: Accounts there are from the beginning, instruments.
        base_streams: Stream to match each symbol on, ``venue:symbol`` -> stream id.

    Attributes:
        accounts: By id.
        participants: Strategies and followers by id, withdrawn ones included.
        followers: Of each strategy that has any, by their ids.
        books: By ``venue:symbol``.
        books_by_stream: Those that are matched, by their base stream.

    Raises:
        ConfigError: An instrument cannot be used.
    """

    def __init__(self, run: RunConfig, base_streams: Mapping[str, str]) -> None:
        self._base_streams = dict(base_streams)
        self._instruments = instruments_by_symbol(run.instruments)
        self._first = run.accounts[0].id if run.accounts else ""
        self.accounts = {config.id: Account(config) for config in run.accounts}
        self.participants: dict[str, Participant] = {}
        self.followers: dict[str, tuple[Participant, ...]] = {}
        self.books: dict[str, SymbolBook] = {}
        self.books_by_stream: dict[str, SymbolBook] = {}

    def find(self, instance_id: str, what_for: str) -> Participant:
        """Return a participant.

        Raises:
            TradingError: It was never registered.
        """
        participant = self.participants.get(instance_id)
        if participant is None:
            raise TradingError(f"strategy {instance_id!r}: {what_for}, it was never registered")
        return participant

    def register(self, registration: Registration) -> None:
        """Let a strategy or a follower take part; one that was withdrawn takes part again.

        Nothing has changed where it is refused.

        Raises:
            ConfigError: It takes part already or did so otherwise, its account does not hold a
                quote currency or is another one than was opened, or it cannot follow.
        """
        account = self._account_of(registration)
        leader, config = self._leader_of(registration, account), registration.strategy
        if leader is not None:
            config = _following(config, leader.config)
        known = self.participants.get(config.id)
        if known is not None:
            _require_same(known, account, leader)
        participant = known or Participant(config, account, leader)
        participant.positions.update(self._new_positions(participant, config))
        participant.configure(config)
        participant.withdrawn = None
        self.participants[config.id] = participant
        self.accounts[account.id] = account
        if leader is None:
            for follower in self.followers.get(config.id, ()):
                self._adopt(follower, config)
        elif known is None:
            present = (*self.followers.get(leader.id, ()), participant)
            self.followers[leader.id] = tuple(sorted(present, key=lambda each: each.id))

    def _account_of(self, registration: Registration) -> Account:
        strategy, config = registration.strategy, registration.account
        if config is None:
            account = self.accounts.get(strategy.account or self._first)
            if account is None:
                raise ConfigError(
                    f"strategy {strategy.id!r}: account {strategy.account!r} is not defined "
                    f"(defined: {', '.join(self.accounts)})"
                )
            return account
        if strategy.account not in ("", config.id):
            raise ConfigError(
                f"strategy {strategy.id!r}: trades with account {strategy.account!r}, but "
                f"{config.id!r} comes with it; give the account it names"
            )
        return self._opened(config)

    def _opened(self, config: AccountConfig) -> Account:
        known = self.accounts.get(config.id)
        if known is None:
            return Account(config)
        if known.config != config:
            raise ConfigError(
                f"account {config.id!r}: was opened with other balances or limits; open another "
                "one, or give those it was opened with"
            )
        return known

    def _leader_of(self, registration: Registration, account: Account) -> Participant | None:
        if not registration.follows:
            return None
        config, leader = registration.strategy, self.participants.get(registration.follows)
        subject = f"follower {config.id!r}"
        if leader is None:
            raise ConfigError(
                f"{subject}: strategy {registration.follows!r} is not registered; register it "
                "before those who follow it"
            )
        if leader.id == config.id:
            raise ConfigError(f"{subject}: cannot follow itself; give it an id of its own")
        if leader.leader is not None:
            raise ConfigError(
                f"{subject}: {leader.id!r} is a follower, too; follow {leader.leader.id!r} instead"
            )
        if leader.account is account:
            raise ConfigError(
                f"{subject}: account {account.id!r} is the one strategy {leader.id!r} trades with "
                "itself; follow it with another account"
            )
        limit, closes = config.risk.time_limit_candles, leader.config.risk.time_limit_candles
        if limit is not None and (closes is None or closes > limit):
            raise ConfigError(
                f"{subject}: risk.timeLimitCandles is kept by the strategy, and {leader.id!r} has "
                f"{'none' if closes is None else closes}; leave it out"
            )
        return leader

    def _adopt(self, follower: Participant, leader: StrategyConfig) -> None:
        """Have a follower keep to the settings its strategy takes part with from now on.

        A symbol its account cannot pay for is left out: its wishes are refused then.
        """
        config = _following(follower.config, leader)
        payable = [
            symbol
            for symbol in config.symbols
            if self._book(config.venue, symbol).instrument.quote in follower.account.wallets
        ]
        follower.positions.update(self._new_positions(follower, config, payable))
        follower.configure(config)

    def _new_positions(
        self,
        participant: Participant,
        config: StrategyConfig,
        symbols: list[str] | None = None,
    ) -> dict[str, Position]:
        return {
            symbol: self._open_position(participant, config, symbol)
            for symbol in (config.symbols if symbols is None else symbols)
            if symbol not in participant.positions
        }

    def _open_position(
        self, participant: Participant, strategy: StrategyConfig, symbol: str
    ) -> Position:
        book = self._book(strategy.venue, symbol)
        account, quote = participant.account, book.instrument.quote
        wallet = account.wallets.get(quote)
        if wallet is None:
            raise ConfigError(
                f"strategy {strategy.id!r}: {symbol} is traded in {quote}, but account "
                f"{account.id!r} holds {', '.join(account.wallets)}; "
                f"add {quote} to accounts.{account.id}.balances"
            )
        holding = wallet.holdings.get(book.key)
        if holding is None:
            holding = wallet.holdings[book.key] = Holding(book)
        purse = participant.purse(quote, wallet.start)
        return Position(
            participant,
            symbol,
            book=book,
            wallet=wallet,
            purse=purse,
            holding=holding,
            leverage=strategy.leverage,
        )

    def _book(self, venue: str, symbol: str) -> SymbolBook:
        key = f"{venue}:{symbol}"
        book = self.books.get(key)
        if book is None:
            stream = self._base_streams.get(key, "")
            interval = timeframe_ms(stream.rpartition(":")[2]) if stream else 1
            instrument = find_instrument(symbol, self._instruments)
            book = self.books[key] = SymbolBook(key, symbol, stream, interval, instrument)
            if stream:
                self.books_by_stream[stream] = book
        return book

    def on_accounts(self, ids: set[str]) -> Iterator[Participant]:
        """Return who trades with some accounts, by their ids."""
        for _, participant in sorted(self.participants.items()):
            if participant.account.id in ids:
                yield participant


def _following(own: StrategyConfig, leader: StrategyConfig) -> StrategyConfig:
    """Return the followed strategy's configuration with what is a follower's own."""
    kept = ("id", "account", "capital", "leverage", "risk")
    return leader.model_copy(update={name: getattr(own, name) for name in kept})


def _require_same(known: Participant, account: Account, leader: Participant | None) -> None:
    """Check that one who comes again does so with its account, following whom it followed."""
    if known.withdrawn is None or known.account is not account:
        raise ConfigError(
            f"strategy {known.id!r}: is registered already on account "
            f"{known.account.id!r}; withdraw it first, and keep its account"
        )
    if known.leader is not leader:
        follows = "nobody" if known.leader is None else repr(known.leader.id)
        raise ConfigError(
            f"strategy {known.id!r}: has followed {follows} and cannot change that; register "
            "another id"
        )
