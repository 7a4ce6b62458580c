"""Each option once: its names, what it takes, its help, and the heading it stands under.

A module for each subject. A command names the alias and a default, which is always "not given":
`repo: Repos = None`. What counts then is decided in `vulcan_cli.settings`.
"""
