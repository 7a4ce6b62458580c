"""The promises of staging, sync, retry and trim under every sort of trouble; see the machine."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.spool_machine import SpoolMachine

# The same examples each time; the campaign draws others.
BRIEF = settings(
    max_examples=12,
    stateful_step_count=12,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def test_p3_p5_p6_p7_p8_p12_whatever_happens_in_whatever_order() -> None:
    run_state_machine_as_test(SpoolMachine, settings=BRIEF)
