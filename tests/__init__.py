"""Tests know no settings, tokens or proxies of the machine they run on, and not its umask."""

import os

_SETTINGS = ("HF_", "HUGGING_FACE_", "STRINGFORGE_", "VULCAN_")

for _name in [name for name in os.environ if name.startswith(_SETTINGS)]:
    del os.environ[_name]
# Their Hub is here, too.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
os.umask(0o022)
