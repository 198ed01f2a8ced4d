"""Starting Ray small and quiet on this machine, and stopping it without a trace."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import ray
from ray._private import worker as ray_worker

from engine.errors import ChorusError, ConfigError

__all__ = ["ACTOR_OPTIONS", "embedded_cluster", "spawn"]

_FOLDER_PREFIX = "chorus-engine-"
_LOCK_NAME = "in-use.lock"
_LONGEST_HOME = 26
"""Ray's own sockets lie up to 80 bytes below, and the system allows 107 in all."""

_MEANWHILE_EVERY_S = 0.02

_OBJECT_STORE_BYTES = 80 * 1024 * 1024

ACTOR_OPTIONS: dict[str, Any] = {
    # A whole 0 would make Ray place actors at random; a fraction keeps its bin packing.
    "num_cpus": 0.001,
    # Retried calls may run out of order and twice; whoever calls decides what a failure means.
    "max_restarts": 0,
    "max_task_retries": 0,
}


@contextlib.contextmanager
def embedded_cluster(actors: int, *, meanwhile: Callable[[], object] = bool) -> Iterator[Path]:
    """Run Ray in this process tree for the length of a `with` block.

    Nothing listens beyond this machine, no dashboard, no log forwarding, and nothing is left
    behind: processes and the session folder go with the block.

    Args:
        actors: How many actors will be started; sizes the process table.
        meanwhile: Called again and again in this thread until Ray is there. Ray puts handlers of
            its own in the place of the program's; whoever wants a signal takes it back here.

    Yields:
        A private folder (mode 0700); it goes with the block.
    """
    home = _home()
    _sweep(home)
    folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER_PREFIX}{os.getpid()}-", dir=home))
    # The lock says "in use" to every other engine, and goes with the process however it ends.
    lock = os.open(folder / _LOCK_NAME, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    # Ray's processes die with the thread that started them, so it has to live as long as they do.
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ray")
    try:
        _start_ray(thread, actors, folder / "ray", meanwhile)
        yield folder
    finally:
        ray.shutdown()
        thread.shutdown()
        os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


def _start_ray(
    thread: ThreadPoolExecutor, actors: int, folder: Path, meanwhile: Callable[[], object]
) -> None:
    """Start Ray in another thread, so that this one keeps serving signals.

    Raises:
        ChorusError: It does not start.
    """
    # Ray prints on standard output that a worker has died, whatever it is told about logging. Here
    # that is the supervision's business, and standard output may be somebody's JSON.
    ray_worker.print_to_stdstream = _discard
    # Outside the main thread Ray sets no handler that ends the program, and warns that it did not.
    logging.getLogger("ray").setLevel(logging.ERROR)
    starting = thread.submit(
        ray.init,
        address="local",
        num_cpus=max(os.cpu_count() or 1, 1 + actors // 1000),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=_OBJECT_STORE_BYTES,
        _temp_dir=str(folder),
    )
    while not wait([starting], timeout=_MEANWHILE_EVERY_S).done:
        meanwhile()
    meanwhile()
    try:
        starting.result()
    except Exception as error:  # Ray raises bare ones, as for a machine too busy
        raise ChorusError(
            f"Ray could not be started on this machine: {str(error) or type(error).__name__}; "
            f"load over the last minute {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; try "
            "again when it is less busy"
        ) from error


def _discard(data: dict[str, Any], ignore_prefix: bool) -> None:  # noqa: FBT001 - Ray's signature
    """Take what Ray would print."""
    del ignore_prefix
    logging.getLogger("ray").debug("%s", data.get("lines"))


def _home() -> Path:
    """Return the folder for temporary files, or a shorter one where its path is too long.

    Raises:
        ConfigError: There is none short enough.
    """
    for home in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - mkdtemp makes it private
        if len(os.fsencode(home)) <= _LONGEST_HOME and os.access(home, os.W_OK):
            return home
    raise ConfigError(
        f"folder {tempfile.gettempdir()!r} for temporary files: Unix sockets need a path of at "
        f"most {_LONGEST_HOME} bytes; set TMPDIR to a shorter one"
    )


def _sweep(home: Path) -> None:
    """Remove the folders of engines that were killed before they could tidy up."""
    for folder in home.glob(f"{_FOLDER_PREFIX}*"):
        with contextlib.suppress(OSError):
            lock = os.open(folder / _LOCK_NAME, os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def spawn(actor_class: type, *args: Any, threads: int, **options: Any) -> Any:
    """Start an actor of a plain class.

    Args:
        actor_class: The class; it knows nothing of Ray itself, so tests may use it directly.
        args: Constructor arguments.
        threads: Calls the actor may serve at the same time, its `run` included.
        options: Further Ray options.

    Returns:
        The actor's handle.
    """
    settings = {**ACTOR_OPTIONS, "max_concurrency": threads, **options}
    return ray.remote(**settings)(actor_class).remote(*args)
