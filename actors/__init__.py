"""Ray and ZeroMQ: the actors and the client that speaks to them.

Ray reads its environment when it is first imported, so it is prepared here, before any module of
this package imports it. What the user has set stays.
"""

import gc
import os

_ENVIRONMENT = {
    # Ray's own default of 15 lets every other program of the machine go first.
    "RAY_worker_niceness": "0",
    # Off Windows and macOS this is what makes Ray listen on the loopback address only.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    # Every Ray process would time each of its events, and write a page about them every minute.
    "RAY_event_stats": "0",
    "RAY_task_events_report_interval_ms": "0",
    "RAY_ROTATION_MAX_BYTES": "1000000",
    "RAY_ROTATION_BACKUP_COUNT": "1",
    # Ray prints a page when a worker dies; the engine reports it in one line of its own.
    "RAY_DEDUP_LOGS": "1",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Candle files are small; threads would only cost memory in every process.
    "POLARS_MAX_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}

for _name, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)

# In a worker's process Ray itself is imported by now, for good. Looking for garbage among its tens
# of thousands of objects while all the rest is imported would cost a quarter of that import.
gc.freeze()
