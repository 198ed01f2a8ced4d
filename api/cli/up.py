"""`chorus up`: the engine and its API, until somebody stops them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import SecretStr
from rich.console import Console

from api.cli.columns import report_console
from api.cli.preflight import check_files, open_catalog, strategy_problems
from api.cli.runs import ConfigArgument, QuietOption, ReplayOption, StopRequest, parse_speed
from api.logs import configure_logging
from api.settings import read_settings
from engine.config import InvalidConfigError, load_run_with_places
from engine.errors import StoppedError

if TYPE_CHECKING:
    from actors.engine import RunningEngine
    from api.service.service import RunningService

__all__ = ["up"]

DEFAULT_DATA = Path("chorus-data")
DEFAULT_PORT = 8642

DataOption = Annotated[
    Path, typer.Option("--data", metavar="FOLDER", help="Everything that is to outlive it.")
]
HostOption = Annotated[str, typer.Option("--host", help="Address to listen at.")]
PortOption = Annotated[
    int, typer.Option("--port", min=0, max=65535, help="Port to listen at; 0: any that is free.")
]
SpeedOption = Annotated[
    str,
    typer.Option("--speed", metavar="max|N", help="Pace of the market: N times real time."),
]
NewRunOption = Annotated[
    bool,
    typer.Option("--new-run", help="Go on with the run in --data, whichever the store had before."),
]

_LOOK_EVERY_S = 0.25


def up(
    config: ConfigArgument,
    *,
    data: DataOption = DEFAULT_DATA,
    replay: ReplayOption = None,
    speed: SpeedOption = "60",
    host: HostOption = "127.0.0.1",
    port: PortOption = DEFAULT_PORT,
    new_run: NewRunOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run the service: engine, strategies and API, until Ctrl-C.

    What the configuration deploys is deployed at the first start. From then on what was changed
    over the API counts: everything is found as it was after a restart with the same --data.

    Where another service leads on the same store this one stands by, and goes on with the same
    run, in the same folder, when that one is gone.
    """
    settings = read_settings()
    configure_logging(settings.log_level, settings.log_format)
    pace = parse_speed(speed)
    check_files(replay or [])
    loaded = load_run_with_places(config)
    catalog = open_catalog(loaded.config, settings.plugin_folders)
    problems = list(strategy_problems(loaded, catalog))
    if problems:
        raise InvalidConfigError(problems)
    # The engine and the API take seconds to import; messages about input need not wait.
    from api.server import Exposition, Guards, create_app  # noqa: PLC0415 - see above
    from api.server.standby import create_standby_app  # noqa: PLC0415 - see above
    from api.service.listening import bound, serving, serving_meanwhile  # noqa: PLC0415 - see above
    from api.service.plan import Keep, ServicePlan  # noqa: PLC0415 - see above
    from api.service.service import running_service  # noqa: PLC0415 - see above

    plan = ServicePlan(
        config=loaded.config,
        replay=tuple(replay or ()),
        speed=pace if pace is not None else 60.0,
        folder=data,
        store=settings.store,
        redis=settings.redis_url,
        host=host,
        port=port,
        plugin_folders=tuple(
            str(each) for each in (*settings.plugin_folders, *loaded.config.plugin_folders)
        ),
        leader_lease_s=settings.leader_lease_s,
        is_new_run=new_run,
        keep=Keep(
            audit_days=settings.keep_audit_days,
            alert_days=settings.keep_alert_days,
            code_days=settings.keep_code_days,
        ),
    )
    console = report_console()
    guards = Guards(
        hosts=settings.hosts, origins=settings.origins, redis_url=SecretStr(settings.redis_url)
    )

    exposition = Exposition(is_open=settings.metrics_open, strategies=settings.metrics_strategies)

    def say(line: str) -> None:
        if not quiet:
            console.print(f"{line} …", highlight=False)

    try:
        with StopRequest() as stop, bound(host, port) as listener:
            address = f"http://{_shown(host)}:{listener.getsockname()[1]}"
            with (
                running_service(
                    plan,
                    stop=stop,
                    say=say,
                    standing_by=lambda: serving_meanwhile(create_standby_app(), listener),
                    on_lost=lambda: _end(console),
                ) as service,
                serving(
                    create_app(service.services, guards=guards, exposition=exposition), listener
                ),
            ):
                _greet(console, service, address)
                _stay(console, service.engine, stop)
    except StoppedError as error:
        # It was asked to end while it stood by or started, and has ended in an orderly way.
        console.print(str(error), highlight=False)


def _greet(console: Console, service: RunningService, address: str) -> None:
    for notice in service.notices:
        console.print(notice, highlight=False, soft_wrap=True)
    if service.admin_key is not None:
        console.print(
            f"admin key: {service.admin_key}\n"
            "it is shown this once; whoever has it may do everything",
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"Chorus runs at {address}  (Ctrl-C stops it)", highlight=False, soft_wrap=True)


def _stay(console: Console, engine: RunningEngine, stop: StopRequest) -> None:
    """Return when somebody stops the service.

    Raises:
        ChorusError: The engine has failed.
    """
    while not stop():
        if engine.wait(_LOOK_EVERY_S):
            console.print("the feed has come to its end; the API goes on")
            break
    while not stop():
        stop.wait(_LOOK_EVERY_S)


def _end(console: Console) -> None:
    """Leave at once, because another service may lead by now."""
    from api.service.leading import end_at_once  # noqa: PLC0415 - seldom needed

    console.print("leadership is lost, another engine may lead by now: ending at once")
    end_at_once()


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
