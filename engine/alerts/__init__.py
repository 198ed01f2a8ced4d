"""Alerts: what somebody should look at, until somebody has."""

from engine.alerts.alerts import ADMINS, LEVELS, Alerts, Level

__all__ = ["ADMINS", "LEVELS", "Alerts", "Level"]
