"""`vulcan help settings`."""

from vulcan_cli.cli.tree import Example, Part, Topic
from vulcan_cli.settings_fields import FIELDS, written

TOPIC = Topic(
    name="settings",
    page="vulcan.toml",
    section=5,
    summary="Settings of vulcan in a file.",
    parts=(
        Part(
            paragraphs=(
                "What counts, the first that is there: the option; the variable `VULCAN_*`; the "
                "variable `STRINGFORGE_VULCAN_*`; `vulcan.toml` in the working directory or the "
                "nearest folder above; your own, `~/.config/vulcan/vulcan.toml`; the default.",
                "A file is obeyed only where its owner is you or root and nobody else can write to "
                "it or to its folder; any other is ignored, and vulcan says so. An unknown key "
                "is refused, and so is whatever looks like a token. Paths count from the folder of "
                "the file.",
            ),
        ),
        Part("Keys", rows=tuple((field.name, field.described) for field in FIELDS.values())),
        Part("The file that `vulcan config init` writes", lines=tuple(written({}).splitlines())),
    ),
    examples=(
        Example("Write such a file here", "vulcan config init"),
        Example("What counts, and where it comes from", "vulcan config"),
    ),
)
