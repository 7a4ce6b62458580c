"""The only writer to stdout and stderr: data to stdout, talk to stderr.

Text goes to a terminal only after control characters were escaped, and no secret goes anywhere.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, BinaryIO, Literal, TextIO, cast

from vulcan_cli.cli import screen
from vulcan_cli.cli.escaping import escaping
from vulcan_cli.cli.explain import Explanation
from vulcan_cli.cli.progress import Bar, Counter
from vulcan_cli.cli.text import aligned, cut, fields, json_text, printable
from vulcan_cli.environment import read_display
from vulcan_cli.errors import DiskTrouble
from vulcan_cli.interrupts import sigterm_interrupts
from vulcan_cli.vacua.secrets import scrub

Style = Literal["bold", "dim", "red", "yellow", "green"]

_CODES: Mapping[Style, str] = {"bold": "1", "dim": "2", "red": "31", "yellow": "33", "green": "32"}
# Polars tells a whole plan of its work.
_LONGEST_CAUSE = 300
# Who knows the query of a signed address may read what it names.
_SIGNED = re.compile(r"(https?://[^\s?'\"]*)\?[^\s'\"]*")

STDOUT = Path("standard output")
"""What stdout is called in an error."""


class Output:
    """How one command talks.

    Attributes:
        as_json: Whether stdout carries JSON.
        quiet: Whether talk is left out; errors never are.
        verbose: Whether details are told.
    """

    def __init__(
        self,
        *,
        as_json: bool = False,
        quiet: bool = False,
        verbose: bool = False,
    ) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.verbose = verbose
        # Either is None where the process was started with that descriptor closed.
        self._stdout: TextIO | None = sys.stdout
        self._stderr: TextIO | None = sys.stderr
        self._display = read_display()
        self._reader_gone = False
        self._held: list[str] | None = None
        self._bar: Bar | None = None
        if verbose:
            from vulcan_cli.cli import details  # noqa: PLC0415 - only who asks waits for logging

            details.listen(self.detail)

    @property
    def to_terminal(self) -> bool:
        """Whether stdout is a terminal."""
        return _is_terminal(self._stdout)

    @property
    def can_ask(self) -> bool:
        """Whether a person is there to be asked: stdin and stderr are terminals."""
        return _is_terminal(sys.stdin) and _is_terminal(self._stderr)

    @property
    def width(self) -> int:
        """Columns of the terminal; 80 where there is none."""
        return shutil.get_terminal_size().columns

    @property
    def draws(self) -> bool:
        """Whether stdout takes the signs that pictures are made of: a mail of cron does not."""
        encoding = getattr(self._stdout, "encoding", None) or "ascii"
        return self.to_terminal and encoding.lower().replace("-", "") == "utf8"

    @property
    def _ellipsis(self) -> str:
        return "…" if self.draws else "..."

    @property
    def reader_gone(self) -> bool:
        """Whether nobody reads stdout any more; work that is more than output goes on."""
        return self._reader_gone

    def line(self, text: str) -> None:
        """Write a line of data."""
        self.lines([text])

    def lines(self, texts: Iterable[str]) -> None:
        """Write lines of data, then let readers have them."""
        safe: Callable[[str], str] = fields if self.to_terminal else str
        for text in texts:
            self._write(scrub(safe(text)) + "\n")
        self._flush()

    def json(self, document: object) -> None:
        """Write one JSON document, on one line, in ASCII; NaN and infinities become null."""
        self._write(json_text(document) + "\n")
        self._flush()

    def table(
        self,
        rows: Iterable[Sequence[str]],
        *,
        header: Sequence[str] = (),
        right: Sequence[int] = (),
        indent: str = "",
    ) -> None:
        """Write a table with aligned columns; lines too long for a terminal are cut at its edge.

        Args:
            rows: Cells.
            header: Names of the columns.
            right: Which columns are aligned to the right, counted from 0.
            indent: What every line begins with.
        """
        cells = [[scrub(printable(cell)) for cell in row] for row in rows]
        head = [list(header)] if header else []
        widths = [max(map(len, column)) for column in zip(*head, *cells, strict=True)]
        texts = [indent + aligned(row, widths, frozenset(right)) for row in (*head, *cells)]
        if self.to_terminal:
            texts = [cut(text, self.width, self._ellipsis) for text in texts]
        for number, text in enumerate(texts):
            bold = bool(header) and number == 0
            self._write(self._paint(text, "bold", self._stdout) + "\n" if bold else text + "\n")
        self._flush()

    def drawn(self, render: Callable[[int, Callable[[str], str]], str]) -> None:
        """Write a text of ours that is drawn for the width, with headings in bold where welcome."""
        self._write(render(self.width, lambda text: self._paint(text, "bold", self._stdout)))
        self._flush()

    def verdict(self, word: str, style: Style, text: str) -> None:
        """Write a line that begins with a word in colour."""
        safe = scrub(printable(text) if self.to_terminal else text)
        self._write(f"{self._paint(word, style, self._stdout)}  {safe}\n")
        self._flush()

    def picture(
        self,
        draw: Callable[[int, int, bool, bool], Iterable[str]],
        *,
        width: int | None = None,
        height: int | None = None,
    ) -> None:
        """Write a picture of ours, made of letters.

        Args:
            draw: Makes its lines for so many letters and lines, with colour or without, of any
                letters or of ASCII alone.
            width: Letters in a line, instead of what the terminal has.
            height: Lines, likewise; the terminal keeps two for what stands around the picture.
        """
        size = shutil.get_terminal_size()
        color = self._display.color and self.to_terminal
        any_letters = self.draws or not self.to_terminal
        lines = draw(width or size.columns, height or size.lines - 2, color, any_letters)
        for line in lines:
            self._write(line + "\n")
        self._flush()

    def binary(self) -> BinaryIO:
        """Stdout for bytes.

        Writing to it raises `BrokenPipeError` where nobody reads any more; let it pass.

        Raises:
            DiskTrouble: Stdout is closed.
        """
        if self._stdout is None:
            raise _closed()
        self._stdout.flush()
        return self._stdout.buffer

    def rows(self, form: str) -> IO[bytes]:
        """Stdout for rows in a format: as `binary`, and text is escaped where it is a terminal.

        Raises:
            DiskTrouble: Stdout is closed.
        """
        stream = self.binary()
        shown = escaping(stream, form) if self.to_terminal else None
        return stream if shown is None else cast("IO[bytes]", shown)

    def redirected_to(self) -> Path | None:
        """The file that stdout goes to; None for a pipe, and where the system does not tell."""
        try:
            # Only Linux has this.
            file = Path(f"/proc/self/fd/{self.binary().fileno()}").readlink()
        except OSError:
            return None
        return file if file.is_file() else None

    def say(self, text: str) -> None:
        """Tell a person something."""
        if not self.quiet:
            self._talk(text)

    def detail(self, text: str) -> None:
        """Tell a person who asked for details."""
        if self.verbose and not self.quiet:
            self._talk(text)

    def warn(self, text: str) -> None:
        """Tell a person what they should know, quiet or not."""
        self._talk("vulcan: " + text, head="vulcan:", style="yellow")

    def notices(self, texts: Iterable[str]) -> None:
        """Warn of each."""
        for text in texts:
            self.warn(text)

    def explain(self, explanation: Explanation) -> None:
        """Tell a person, or a script, what went wrong."""
        if self.as_json:
            self._put(json_text(explanation.document()))
            return
        self._talk(f"vulcan: {explanation.sentence}", head="vulcan:", style="red")
        for line in explanation.lines():
            self._talk(line)

    def causes(self, error: BaseException) -> None:
        """Tell a person who asked for details what made an error, the nearest cause first."""
        while (cause := error.__cause__) is not None and not self.as_json:
            sentence = _SIGNED.sub(r"\1?...", " ".join(str(cause).split()))
            self.detail(
                f"  because: {type(cause).__name__}: {cut(sentence, _LONGEST_CAUSE, '...')}"
            )
            error = cause

    def trace(self, error: BaseException) -> None:
        """Tell a developer where an error came from, if `VULCAN_DEBUG` asks for it."""
        if self._display.debug:
            for line in "".join(traceback.format_exception(error)).splitlines():
                self._talk(line)

    def _paint(self, text: str, style: Style, stream: TextIO | None) -> str:
        """The text in a style, where the stream is a terminal and colour is welcome."""
        if self._held is None and self._display.color and _is_terminal(stream):
            return f"\x1b[{_CODES[style]}m{text}\x1b[0m"
        return text

    @contextmanager
    def screen(self) -> Iterator[Callable[[], AbstractContextManager[None]]]:
        """Show a block of output again and again: in its place on a terminal, else below.

        Yields:
            A context: what is written within it, warnings too, is the block.
        """
        redraws = self.to_terminal and self._display.motion and not self.as_json
        drawn: list[str] = []

        @contextmanager
        def show() -> Iterator[None]:
            nonlocal drawn
            with self._holding() as texts:
                yield
            lines = "".join(texts).splitlines()
            if redraws:
                lines = [cut(text, self.width, self._ellipsis) for text in lines[: self._height]]
                self._write(screen.over(len(drawn), lines))
            else:
                self._write("".join(f"{text}\n" for text in lines) + ("" if self.as_json else "\n"))
            drawn = lines
            self._flush()

        if not redraws:
            yield show
            return
        self._write(screen.HIDE)
        try:
            yield show
        finally:
            self._write(screen.SHOW)
            self._flush()

    @contextmanager
    def _holding(self) -> Iterator[list[str]]:
        """Keep what is written, without colour, instead of writing it."""
        self._held = []
        try:
            yield self._held
        finally:
            self._held = None

    @property
    def _height(self) -> int:
        # The cursor stands below the block.
        return shutil.get_terminal_size().lines - 1

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[..., None]]:
        """Show how far a long work is, on a terminal's stderr.

        Yields:
            What to call with the number of things just done, and a note to show, if there is one.
        """
        with self._ending_as_by_ctrl_c(), self._bar_of(what, total) as advance:
            yield advance

    @contextmanager
    def counting(self, what: str) -> Iterator[Callable[[int, int], None]]:
        """As `progress`, where the work itself finds out how much it is.

        Yields:
            What to call with how many things are done, and of how many; 0 begins anew.
        """
        with self._ending_as_by_ctrl_c(), contextlib.ExitStack() as bars:

            def begin(total: int) -> Callable[..., None]:
                bars.close()
                return bars.enter_context(self._bar_of(what, total))

            yield Counter(begin).tell

    @property
    def _shows_progress(self) -> bool:
        return not self.quiet and self._display.motion and _is_terminal(self._stderr)

    @contextmanager
    def _ending_as_by_ctrl_c(self) -> Iterator[None]:
        """Let SIGTERM take bars away, too: it would leave a terminal without its cursor."""
        with sigterm_interrupts() if self._shows_progress else contextlib.nullcontext():
            yield

    @contextmanager
    def _bar_of(self, what: str, total: int) -> Iterator[Callable[..., None]]:
        """As `progress`, from any thread."""
        if not self._shows_progress:
            yield lambda *_: None
            return
        bar = self._bar = Bar(printable(what), total, self._display)
        try:
            yield bar.advance
        finally:
            bar.stop()

    def finish(self) -> None:
        """Hand over what is still held back; call it last.

        Raises:
            DiskTrouble: Stdout is a file and its disk refused.
        """
        if self.verbose:
            from vulcan_cli.cli import details  # noqa: PLC0415 - as above

            details.stop_listening()
        try:
            self._flush()
        except DiskTrouble:
            self._give_up()
            raise
        if self._reader_gone:
            self._give_up()

    def lost_reader(self) -> None:
        """Note that somebody else found stdout closed."""
        self._reader_gone = True

    def _give_up(self) -> None:
        """Drop what stdout did not take; the interpreter would try once more, and complain."""
        if self._stdout is not None:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stdout.fileno())
            os.close(null)

    def _write(self, text: str) -> None:
        if self._held is not None:
            self._held.append(text)
            return
        if self._stdout is None:
            raise _closed()
        if self._bar is not None and self.to_terminal:
            self._bar.stop()
        with self._refusal():
            if not self._reader_gone:
                self._stdout.write(text)

    def _flush(self) -> None:
        if self._stdout is not None and not self._reader_gone:
            with self._refusal():
                self._stdout.flush()

    @contextmanager
    def _refusal(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self._reader_gone = True
        except OSError as error:
            raise DiskTrouble(STDOUT, error) from error

    def _talk(self, text: str, head: str = "", style: Style = "bold") -> None:
        safe = scrub(printable(text))
        if head and safe.startswith(head):
            safe = self._paint(head, style, self._stderr) + safe.removeprefix(head)
        self._put(safe)

    def _put(self, line: str) -> None:
        if self._held is not None and not self.as_json:
            self._held.append(line + "\n")
            return
        # Nobody listens: no reason to stop the work.
        with contextlib.suppress(OSError):
            if self._bar is not None and self._bar.print_above(line):
                return
            if self._stderr is not None:
                self._stderr.write(line + "\n")
                self._stderr.flush()


def prepare_streams() -> None:
    """Make stdout and stderr take any text: paths need not be UTF-8, locales need not be either."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if _is_terminal(stream):
                stream.reconfigure(errors="backslashreplace")
            else:
                stream.reconfigure(encoding="utf-8", errors="surrogateescape")


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def _closed() -> DiskTrouble:
    return DiskTrouble(STDOUT, OSError(errno.EBADF, os.strerror(errno.EBADF)))
