"""The running state of one strategy, a pure state machine."""
