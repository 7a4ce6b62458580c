"""`vulcan help staging`."""

from vulcan_cli.cli.tree import Example, Part, Topic

TOPIC = Topic(
    name="staging",
    page="vulcan-staging",
    section=7,
    summary="The staging directory, and how a shard goes through it.",
    parts=(
        Part(
            paragraphs=(
                "A folder that all nodes share. Workers without network put shards into it; one "
                "account on a node with network, the head node, brings them to a repo. Nothing in "
                "it needs a server, and every command can be run again after a crash.",
            ),
        ),
        Part(
            "Folders",
            rows=(
                ("pending/", "what waits for `vulcan sync`; workers write here and nowhere else"),
                ("synced/", "what the repo has confirmed, by SHA-256; `vulcan query` reads it"),
                (
                    "failed/",
                    "what the repo refused for what it is; `vulcan retry-failed` brings it back",
                ),
                (
                    "_vulcan/",
                    "of the head node: the lock, the commit in flight, the commits of the last "
                    "day, what was confirmed when, the catalog",
                ),
                ("_vulcan/rejected/", "what was no shard, each entry with the reason"),
                ("_vulcan/conflicts/", "other rows under a name that was taken"),
            ),
        ),
        Part(
            "The life of a shard",
            paragraphs=(
                "`vulcan stage` validates an input, writes it to a hidden file beside its "
                "destination, makes it durable, and only then gives it a name that nobody had: a "
                "shard is there as a whole or not at all. Staging the same rows again under the "
                "same run id changes nothing; leave `{date}` out of the template where jobs may "
                "run twice.",
                "`vulcan sync` takes the lock, checks every file, uploads, spends one of its 90 "
                "commits an hour, commits up to 500 shards, asks the repo what it holds, and moves "
                "to `synced/` only what the repo names. What an earlier run left is settled first.",
                "`vulcan trim-synced` frees space: it deletes what the repo confirms in that very "
                "run, and nothing else.",
            ),
        ),
        Part(
            "Permissions",
            paragraphs=(
                "`vulcan init` gives the folders the modes that they need: accounts of the group "
                "may add to `pending/`, and touch no file of another there; all the rest is the "
                "head node's to write. `vulcan status` says where they are wider.",
            ),
        ),
    ),
    examples=(
        Example("Make one for all accounts of a group", "vulcan init /shared/vulcan --group forge"),
        Example("Is the file system fit for it?", "vulcan doctor"),
        Example("What waits, and what may be committed", "vulcan status --watch"),
    ),
)
