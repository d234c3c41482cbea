"""Wires the parts together; nothing else knows them all."""

from inbox.app.ready import Ready
from inbox.app.relay import make_relay, prepare_relay
from inbox.app.start import make_worker, prepare
from inbox.app.waiting import StopSignal

__all__ = ["Ready", "StopSignal", "make_relay", "make_worker", "prepare", "prepare_relay"]
