"""Completion where a shell of this account finds it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vulcan_cli.environment import COMPLETION_VARIABLE, Shell
from vulcan_cli.errors import DiskTrouble, UsageError
from vulcan_cli.files.paths import append_durably, replace_durably

SHELLS = ("bash", "zsh", "fish")

# Typer's script only defines the function; autoloaded from `fpath`, the first TAB would be lost.
_ZSH = """#compdef vulcan

_vulcan_completion() {
  eval $(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" _VULCAN_COMPLETE=complete_zsh vulcan)
}

if [[ "${funcstack[1]}" == "_vulcan" ]]; then
  _vulcan_completion "$@"
else
  compdef _vulcan_completion vulcan
fi
"""

# Typer's does not say whether the shell lists the words.
_BASH = """_vulcan_completion() {
    local IFS=$'\\n'
    COMPREPLY=( $( env COMP_WORDS="${COMP_WORDS[*]}" \\
                   COMP_CWORD=$COMP_CWORD \\
                   COMP_TYPE=$COMP_TYPE \\
                   _VULCAN_COMPLETE=complete_bash $1 ) )
    return 0
}

complete -o default -F _vulcan_completion vulcan
"""

_SCRIPTS: Mapping[str, str] = {"bash": _BASH, "zsh": _ZSH}

# Where packages put it, below a prefix.
_PACKAGED: Mapping[str, str] = {
    "bash": "share/bash-completion/completions/vulcan",
    "zsh": "share/zsh/site-functions/_vulcan",
    "fish": "share/fish/vendor_completions.d/vulcan.fish",
}
_PREFIXES = (Path("/usr"), Path("/usr/local"))


def script(shell: str) -> str:
    """What makes a shell complete.

    Raises:
        UsageError: We do not know the shell.
    """
    if shell not in SHELLS:
        known = ", ".join(SHELLS)
        raise UsageError(f"completion is for {known}, not for {shell or 'no shell'!r}: use --shell")
    if shell in _SCRIPTS:
        return _SCRIPTS[shell]
    from typer._completion_shared import get_completion_script  # noqa: PLC0415

    made = get_completion_script(prog_name="vulcan", complete_var=COMPLETION_VARIABLE, shell=shell)
    return made + "\n"


def install(shell: Shell) -> tuple[Path, ...]:
    """Put the script where the shell finds it, and tell the shell where that is needed.

    Returns:
        The files that were written or added to.

    Raises:
        UsageError: We do not know the shell.
        DiskTrouble: A file cannot be written.
    """
    text = script(shell.name)
    target, start = _target(shell), _start(shell)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_durably(target, text.encode())
        if start is None or _says(start, _line(shell)):
            return (target,)
        # People keep such files elsewhere, behind a link.
        append_durably(start.resolve(), f"{_line(shell)}\n".encode())
    except OSError as error:
        raise DiskTrouble(Path(error.filename or target), error) from error
    return (target, start)


def is_installed(shell: Shell) -> bool:
    """Whether a package or `install` put the script where the shell finds it."""
    start = _start(shell)
    if _target(shell).is_file() and (start is None or _says(start, _line(shell))):
        return True
    return any((prefix / _PACKAGED[shell.name]).is_file() for prefix in _PREFIXES)


def _target(shell: Shell) -> Path:
    return {
        "bash": shell.data / "bash-completion" / "completions" / "vulcan",
        "zsh": shell.data / "zsh" / "site-functions" / "_vulcan",
        "fish": shell.config / "fish" / "completions" / "vulcan.fish",
    }[shell.name]


def _start(shell: Shell) -> Path | None:
    """The file that the shell runs when it starts, where it must be told; fish looks by itself."""
    return {"bash": shell.home / ".bashrc", "zsh": shell.zsh / ".zshrc"}.get(shell.name)


def _line(shell: Shell) -> str:
    import shlex  # noqa: PLC0415

    target = _target(shell)
    if shell.name == "bash":
        return f"[ -r {shlex.quote(str(target))} ] && . {shlex.quote(str(target))}  # vulcan"
    folder = shlex.quote(str(target.parent))
    return f"fpath=({folder} $fpath); autoload -Uz compinit; compinit  # vulcan"


def _says(file: Path, line: str) -> bool:
    try:
        return line in file.read_text("utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
