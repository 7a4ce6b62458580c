"""The promises of staging, sync, retry and trim under every sort of trouble; see the machine."""

from __future__ import annotations

import json

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.spool_machine import BUDGET, RUNS, SpoolMachine
from tests.sync_support import name_of

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


def test_p10_a_budget_spent_by_a_clock_that_was_ahead_holds_up_one_window() -> None:
    machine = SpoolMachine()
    machine.set_up()
    *others, refused = RUNS
    machine.refuse(refused)
    for run in RUNS:
        machine.stage(run, 1, None)
    machine.sync(None, 1, "before", other=False)
    machine.sync(None, 1, None, other=False)
    (spent,) = (machine.area.private / "budget").glob("*.json")
    assert len(json.loads(spent.read_bytes())["timestamps"]) == BUDGET
    where = machine._where()
    assert [sorted(where[state]) for state in ("synced", "failed")] == [
        sorted(map(name_of, others)),
        [name_of(refused)],
    ]
    machine.the_clock_jumps(-365 * 86_400)
    machine.teardown()
