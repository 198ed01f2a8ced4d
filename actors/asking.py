"""What operators want of strategies that run, asked of their hosts without holding anybody up.

A host answers between two candles; one whose strategy hangs in its own code answers late or never.
So nothing is asked under the manager's lock: what is to be asked is decided under it, and what was
obeyed is noted under it again, if it is still about the same life of the strategy.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from typing import Any

import msgspec

from actors.fleet import Fleet
from actors.members import HostProcess, Member
from actors.requests import Obey
from engine.errors import ChorusError, LifecycleError
from engine.instance import Command, Pause, Resume, Update

__all__ = ["ANSWER_WITHIN_S", "Asking", "live_host"]

ANSWER_WITHIN_S = 10.0
"""How long an operator waits for a host: less than the client does, so that it hears why."""

CHANGES_WITHIN_S = 5.0
"""How long a deployment waits for changes of parameters; what takes longer goes on without it."""

AT_ONCE = 16
"""Changes of parameters under way at the same time; each keeps a thread until it is answered."""


def live_host(fleet: Fleet, member: Member) -> HostProcess:
    """Return the host a strategy takes part in.

    Raises:
        LifecycleError: It takes part in none.
    """
    host = fleet.host_of(member.id)
    if host is None:
        raise LifecycleError(
            f"strategy {member.id!r} is {member.status.status}"
            f"{': ' + member.failure if member.failure else ''}; restart it first"
        )
    return host


class _Change:
    """Parameters one version of a strategy is to be told.

    Attributes:
        member: The strategy.
        version: Which of its lives this is about.
        wish: The newest that are wanted.
        done: Why they were not taken over, empty if they were, once that is known.
    """

    def __init__(self, member: Member, wish: dict[str, Any]) -> None:
        self.member = member
        self.version = member.version
        self.wish = wish
        self.done: Future[str] = Future()


class Asking:
    """Asks one thing at a time of each strategy, and of several strategies at the same time.

    Args:
        fleet: The strategies and their hosts.
        lock: The manager's; nobody may hold it who waits for something here.
        changed: Called under the lock when it is noted that something else is wanted.
    """

    def __init__(
        self, fleet: Fleet, lock: AbstractContextManager[Any], changed: Callable[[], None]
    ) -> None:
        self._fleet = fleet
        self._lock = lock
        self._changed = changed
        self._changes: dict[str, _Change] = {}
        self._confirmed = threading.Event()
        self._workers = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="change")

    def obey(self, member: Member, command: Command) -> None:
        """Have a strategy carry out a command.

        Raises:
            LifecycleError: It does not run, is not in a state to do so, or something else was
                decided meanwhile.
            ServiceAwayError: Its process has ended.
            ChorusError: It refused, or does not answer.
        """
        if isinstance(command, Update):
            self._update(member, command.parameters)
            return
        deadline = time.monotonic() + ANSWER_WITHIN_S
        if not member.turn.acquire(timeout=ANSWER_WITHIN_S):
            raise ChorusError(
                f"strategy {member.id!r}: has not answered what it was asked before; "
                "try again when it does"
            )
        try:
            with self._lock:
                host = live_host(self._fleet, member)
                before = member.version, member.wanted
            left_s = max(0.0, deadline - time.monotonic())
            self._fleet.ask(host, Obey(member.id, command), timeout_s=left_s)
            with self._lock:
                if (member.version, member.wanted) != before:
                    raise LifecycleError(
                        f"strategy {member.id!r}: something else was decided meanwhile; look at "
                        "it again"
                    )
                self._note(member, command)
        finally:
            member.turn.release()

    def _note(self, member: Member, command: Command) -> None:
        if isinstance(command, Pause | Resume):
            member.wanted = "paused" if isinstance(command, Pause) else "running"
            member.status = msgspec.structs.replace(member.status, status=member.wanted)
            self._changed()

    # ------------------------------------------------------------------ parameters

    def _update(self, member: Member, parameters: Mapping[str, Any]) -> None:
        with self._lock:
            live_host(self._fleet, member)
            pending = self._changes.get(member.id)
            known = member.parameters if pending is None else pending.wish
            member.is_unsure = True
            self._changed()
            done = self.change(member, {**known, **parameters})
        why = self.await_changes({member.id: done}, ANSWER_WITHIN_S)
        if why:
            raise ChorusError(why[member.id])

    def change(self, member: Member, wish: Mapping[str, Any]) -> Future[str]:
        """Begin to tell a strategy its parameters; called under the lock.

        Of several wishes at the same time the last one counts.

        Args:
            member: The strategy, known and stored to be unsure of its parameters: nobody can tell
                which it has if this process dies before it has answered.
            wish: All of them.

        Returns:
            Why they could not be changed, empty if they were, once that is known.
        """
        change = self._changes.get(member.id)
        if change is None or change.version != member.version:
            change = self._changes[member.id] = _Change(member, dict(wish))
            self._workers.submit(self._bring_about, change)
        elif change.wish != wish:
            change.wish = dict(wish)
        return change.done

    def await_changes(
        self, changes: Mapping[str, Future[str]], timeout_s: float = CHANGES_WITHIN_S
    ) -> dict[str, str]:
        """Return, by strategy, why parameters were not changed; empty if all were.

        Those whose hosts take longer are named, too; they change as soon as they answer.
        """
        wait(changes.values(), timeout=timeout_s)
        late = "has not answered yet; its parameters change as soon as it does"
        causes = {
            name: done.result() if done.done() else f"strategy {name!r}: {late}"
            for name, done in changes.items()
        }
        return {name: cause for name, cause in causes.items() if cause}

    def take_confirmed(self) -> bool:
        """Tell whether strategies have confirmed their parameters since this was asked last."""
        was_set = self._confirmed.is_set()
        self._confirmed.clear()
        return was_set

    def _bring_about(self, change: _Change) -> None:
        """Ask until the newest wish is taken over or refused; runs in a thread of its own."""
        with change.member.turn:
            while not change.done.done():
                self._ask_once(change)

    def _ask_once(self, change: _Change) -> None:
        member, fleet = change.member, self._fleet
        with self._lock:
            wish, host = change.wish, fleet.host_of(member.id)
            if member.version != change.version:
                self._end(change, f"strategy {member.id!r}: was started afresh meanwhile")
                return
            if host is None:
                self._end(
                    change,
                    f"strategy {member.id!r}: is {member.status.status}; its parameters are "
                    "changed once it runs",
                )
                return
            epoch = host.epoch
        cause = ""
        try:
            fleet.ask(host, Obey(member.id, Update(wish)))
        except ChorusError as error:
            cause = str(error)
        except Exception as error:  # noqa: BLE001 - a defect here must not leave anybody waiting
            cause = f"{type(error).__name__}: {error}"
        with self._lock:
            if change.wish is not wish:
                return
            if cause:
                self._end(change, cause)
            elif (fleet.host_of(member.id), host.epoch, member.version) == (
                host,
                epoch,
                change.version,
            ):
                # Those of its configuration stay: whoever builds it again lives through this, too.
                member.parameters, member.is_unsure = wish, False
                self._confirmed.set()
                self._end(change, "")
            # Else it was moved meanwhile, perhaps without this, or has begun anew.

    def _end(self, change: _Change, cause: str) -> None:
        if self._changes.get(change.member.id) is change:
            del self._changes[change.member.id]
        change.done.set_result(cause)
