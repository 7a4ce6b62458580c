"""`python -m benchmarks.lookup`: a second lookup in one process, beside the peer.

Four shards of 40 rows, which both programs hold in memory after a first question. The programs
take turns; of each the least of three medians counts. Prints a table in Markdown.
"""

from __future__ import annotations

import json
import subprocess

from benchmarks.environments import CHECKOUT, Environment, cache_folder, ours, peer

ROUNDS = 3
DATA = ("synced", "4", "40")
QUESTIONS = (
    "query(ks_id=2)",
    "query()",
    "query(is_susy=True)",
    "query(ks_id=2, columns=['flux', 'tau_im'])",
    "query(ks_id=2, solver_name='x')",
    "fetch_run(run_id)",
    "read_columns(path, ['flux'])",
)

# What ours remembers of the answers is forgotten where `fresh`; the peer remembers none.
_SCRIPT = """
import json
import sys
import time
from statistics import median
from {package} import VulcanReader

fresh, folder, *questions = sys.argv[1:]
reader = VulcanReader.from_local(folder)
catalog = reader.catalog()
run_id, path = catalog["run_id"][2], catalog["path_in_repo"][2]
reader.query()


def milliseconds(ask):
    if fresh:
        reader._memory.forget_answers()
    began = time.perf_counter()
    ask()
    return 1000 * (time.perf_counter() - began)


print(json.dumps([
    median(milliseconds(ask) for _ in range(60))
    for ask in (eval("lambda: reader." + question) for question in questions)
]))
"""


def main() -> None:
    theirs, mine = peer(), ours()
    data = cache_folder() / "data"
    command = [mine.python, "-m", "benchmarks.data", str(data), *DATA]
    subprocess.run(command, cwd=CHECKOUT, check=True)
    folder = str(data / "-".join(DATA))
    columns = [
        (theirs, "stringforge.vulcan", ""),
        (mine, "vulcan_cli", "fresh"),
        (mine, "vulcan_cli", ""),
    ]
    rounds = [[_ask(*column, folder) for column in columns] for _ in range(ROUNDS)]
    print("| question | peer | ours, another question | ours, the same again |")
    print("| --- | --- | --- | --- |")
    for number, question in enumerate(QUESTIONS):
        least = [min(each[column][number] for each in rounds) for column in range(len(columns))]
        print(f"| `{question}` | {' | '.join(f'{value:.3f}' for value in least)} |")


def _ask(environment: Environment, package: str, fresh: str, folder: str) -> list[float]:
    """Milliseconds of each question in a process of its own."""
    script = _SCRIPT.format(package=package)
    command = [environment.python, "-c", script, fresh, folder, *QUESTIONS]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    medians: list[float] = json.loads(told.stdout)
    return medians


if __name__ == "__main__":
    main()
