"""`vulcan help exit-codes`."""

from vulcan_cli.cli.explain import EXIT_STATUSES
from vulcan_cli.cli.tree import Part, Topic

TOPIC = Topic(
    name="exit-codes",
    page="vulcan-exit-codes",
    section=7,
    summary="What scripts read from the exit status.",
    parts=(
        Part("Statuses", rows=tuple((f"{code:>3}", text) for code, text in EXIT_STATUSES.items())),
        Part(
            "Which one, where several apply",
            paragraphs=(
                "The first of 1, 6, 4, 5, 3. A sync that used up its budget while shards wait has "
                "done what it could: 0, or 5 with `--error-on-remaining`. SIGTERM lets a command "
                "finish the batch or the shard at hand: 0. `query` and `split` drop the file or "
                "folder they are writing and end by the signal, which a shell reads as 143; in the "
                "background of a script, where Ctrl-C is ignored, they may leave a hidden one.",
                "After 5 run the same command again; after 7 another sync does the work. Neither "
                "needs a person. With `--json`, stderr carries the error as one JSON document: "
                "`kind`, `exit_code`, `message`, `safe`, `next`.",
            ),
        ),
        Part(
            "In a shell script",
            lines=(
                "vulcan sync --quiet",
                "case $? in",
                "  0|5|7) ;;                         # done, later, or another does it",
                "  3) vulcan status ;;               # some shards were refused: look at them",
                '  *) echo "vulcan needs you" >&2; exit 1 ;;',
                "esac",
            ),
        ),
    ),
)
