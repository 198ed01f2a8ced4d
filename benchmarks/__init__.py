"""Workloads, harness and results."""
