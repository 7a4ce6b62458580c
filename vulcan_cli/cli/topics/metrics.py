"""`vulcan help metrics`."""

from vulcan_cli.cli.metrics import METRICS
from vulcan_cli.cli.tree import Example, Part, Topic

TOPIC = Topic(
    name="metrics",
    page="vulcan-metrics",
    section=7,
    summary="What `vulcan status --metrics` writes for Prometheus.",
    parts=(
        Part(
            paragraphs=(
                "A text file for the textfile collector of a node exporter, replaced as a whole. "
                "All are gauges with the label `staging_dir`; those of a state folder have "
                "`state`, those of the main repo `repo`, `vulcan_set_aside` has `why`.",
            ),
        ),
        Part("Metrics", rows=tuple(METRICS.items())),
        Part(
            "Alerts",
            lines=(
                "# nothing was committed for a day, and shards wait",
                'time() - vulcan_oldest_shard_timestamp_seconds{state="pending"} > 86400',
                "# shards were refused",
                'vulcan_shards{state="failed"} > 0',
                "# cron has stopped looking",
                "time() - vulcan_looked_at_timestamp_seconds > 3600",
            ),
        ),
    ),
    examples=(
        Example(
            "Every five minutes, from cron",
            "vulcan status --metrics /var/lib/node_exporter/vulcan.prom",
        ),
    ),
)
