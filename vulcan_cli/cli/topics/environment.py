"""`vulcan help environment`."""

from vulcan_cli.cli.tree import Part, Topic
from vulcan_cli.settings_fields import ENVIRONMENT, FILES

TOPIC = Topic(
    name="environment",
    page="vulcan-environment",
    section=7,
    summary="The variables that vulcan reads.",
    parts=(
        Part(
            paragraphs=(
                "An option on the command line wins over these; these win over `vulcan.toml`. An "
                "empty variable counts as not set. `vulcan config` shows what counts, and why.",
                "A token is never an option, and `vulcan stage` reads none: workers need none.",
            ),
        ),
        Part("Variables", rows=ENVIRONMENT),
        Part("Files", rows=FILES),
    ),
)
