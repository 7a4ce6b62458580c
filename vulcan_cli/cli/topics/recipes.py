"""`vulcan help recipes`."""

from vulcan_cli.cli.tree import Part, Topic

TOPIC = Topic(
    name="recipes",
    page="vulcan-recipes",
    section=7,
    summary="Lines to copy.",
    parts=(
        Part(
            "On a worker",
            lines=(
                "# the last line of a job; --provenance keeps whatever you name",
                "vulcan stage results.parquet -g h11=132,h12=2,ks_id=3,triang_id=0 \\",
                "  --solver name=newton --provenance seed=42",
                "",
                "# many files at once: all are validated before any is published",
                "vulcan stage results/*.csv -g h11=132,h12=2,ks_id=3 --tadpole-charge 10",
                "",
                "# while the solver works: a shard every 5000 rows, or every ten minutes",
                "my-solver --json | vulcan stage -g h12=2,ks_id=3 --max-rows 5000 --max-age 10m",
                "",
                "# a job array that does so on 200 nodes, and stages what is there when preempted",
                "vulcan job-script slurm --tasks 200 -g h12=2,ks_id=3 -- my-solver {task} > job.sh",
            ),
        ),
        Part(
            "On the head node",
            lines=(
                "# what would be committed; no network, nothing moves",
                "vulcan sync --dry-run --no-reserve",
                "",
                "# every quarter of an hour; mail comes only when something went wrong",
                "(crontab -l; vulcan schedule cron) | crontab -",
                "",
                "# a night's work: stay until all is committed, at most eight hours",
                "vulcan sync --wait --max-duration 8h",
                "",
                "# free space, keeping a month",
                "vulcan trim-synced --older-than 30d --dry-run",
            ),
        ),
        Part(
            "When something went wrong",
            lines=(
                "vulcan doctor                       # what is not as it should be, and its cure",
                "vulcan status                       # what waits, what failed, who is syncing",
                "vulcan retry-failed --dry-run       # why each shard failed",
                "vulcan verify                       # read everything again, and compare",
            ),
        ),
        Part(
            "Reading",
            lines=(
                "vulcan query --is-susy --count",
                "vulcan query --h12 2 --where 'tau_im > 2 AND moduli_im[1] < 5' -o weak.parquet",
                'vulcan query --sql "SELECT h11, count(*) AS n FROM vacua GROUP BY h11" --json',
                "vulcan split --out-dir ml --features flux,tau",
                "vulcan plot tadpole --h12 2 --bound 276          # in the terminal",
                "vulcan plot tau --is-susy -o tau.png",
            ),
        ),
    ),
)
