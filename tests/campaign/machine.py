"""The state machine of `tests/spool_machine.py` at length, each time with other examples.

`python -m tests.campaign.machine [--examples 1000] [--steps 40]`, from the checkout: about a second
for each ten examples.
"""

from __future__ import annotations

import argparse

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.spool_machine import SpoolMachine


def main() -> None:
    """Run it; an assertion says what went wrong, and the steps that lead there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    at_length = settings(
        max_examples=options.examples,
        stateful_step_count=options.steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(SpoolMachine, settings=at_length)
    print(f"{options.examples} histories of up to {options.steps} steps: every promise held")


if __name__ == "__main__":
    main()
