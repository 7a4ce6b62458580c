from collections.abc import Iterator, Sequence
from functools import partial
from io import BytesIO

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vacua_support import refused, rows
from vulcan_cli.errors import InputRefused
from vulcan_cli.vacua.splitters import splitter
from vulcan_cli.vacua.stream import Read, Rows, batches

VACUA = rows(7, note=["plain", 'a "quoted" word', "two\nlines", "ü", "a,b", "", "end"])


def written(kind: str, frame: pl.DataFrame = VACUA, batch: int = 3) -> bytes:
    out = BytesIO()
    if kind == "ndjson":
        frame.write_ndjson(out)
    elif kind == "csv":
        lists = ("flux", "moduli_re", "moduli_im")
        frame.with_columns(
            pl.col(name).cast(pl.List(pl.String)).list.join(" ") for name in lists
        ).write_csv(out)
    else:
        with pa.ipc.new_stream(out, frame.to_arrow().schema) as stream:
            for piece in frame.iter_slices(batch):
                stream.write_table(piece.to_arrow())
    return out.getvalue()


class Script:
    """Bytes and silences, one after the other, by a clock of its own."""

    def __init__(self, *events: bytes | float) -> None:
        self.now = 100.0
        self.asked: list[float | None] = []
        self._events = iter(events)

    def read(self, seconds: float | None) -> bytes | None:
        self.asked.append(None if seconds is None else round(seconds, 6))
        event = next(self._events, b"")
        if isinstance(event, bytes):
            return event
        self.now += event
        return None


def cut(
    kind: str, read: Read, script: Script | None = None, max_rows: int | None = None, **more: float
) -> Iterator[Rows]:
    clock = (lambda: script.now) if script is not None else (lambda: 0.0)
    age = more.get("max_age_s")
    return batches(read, splitter(kind), max_rows=max_rows, max_age_s=age, clock=clock)


def whole(found: Sequence[Rows]) -> list[pl.DataFrame]:
    return [each.frame(range(len(each))) for each in found]


KINDS = ("ndjson", "csv", "arrow")


@pytest.mark.parametrize("kind", KINDS)
@given(sizes=st.lists(st.integers(1, 400), min_size=1, max_size=8))
def test_wherever_the_bytes_are_cut_the_rows_are_the_same(kind: str, sizes: list[int]) -> None:
    data, chunks = written(kind), []
    for size in sizes:
        chunks.append(data[:size])
        data = data[size:]
    script = Script(*filter(None, chunks), *filter(None, [data]))
    found = list(cut(kind, script.read, max_rows=2))
    assert [len(each) for each in found] == [2, 2, 2, 1]
    assert [each.first for each in found] == [1, 3, 5, 7]
    together = pl.concat(whole(found))
    assert together["note"].to_list() == VACUA["note"].to_list()
    assert together["tau_im"].cast(pl.Float64).to_list() == VACUA["tau_im"].to_list()
    some = found[0].frame([1])
    assert some["note"].to_list() == ['a "quoted" word']


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    "cut_here",
    [
        ['1,"x\ny"\n', "2,3\n"],
        ['5" tape,"x\n\ny"\n', '6" tape,7" tape\n', "1,2\n"],
        ['1,"a ""b"" \n""c"""\n', '2,"x"\n'],
        ['1,"a\n"" b\nc",5" tape\n', "3,4\n"],
        ['1,"a\nb","c\nd"\n', "3,4\n"],
    ],
)
def test_quotes_within_cells_hold_no_rows_together(cut_here: list[str], size: int) -> None:
    data, rows_ = ("a,b\n" + "".join(cut_here)).encode(), splitter("csv")
    for start in range(0, len(data), size):
        rows_.feed(data[start : start + size])
    found = rows_.take(None)
    assert [found.file([place]).decode() for place in range(len(found))] == [
        f"a,b\n{row}" for row in cut_here
    ]


def test_rows_are_cut_by_age_also_while_nothing_comes() -> None:
    lines = written("ndjson").splitlines(keepends=True)
    script = Script(lines[0], 4.0, lines[1], 6.0, 5.0, lines[2], 10.0)
    found = list(cut("ndjson", script.read, script, max_age_s=10.0))
    assert [len(each) for each in found] == [2, 1]
    # Without a row there is nothing to wait for.
    assert script.asked == [None, 10.0, 6.0, 6.0, None, None, 10.0, None]


def test_a_batch_cut_by_rows_starts_a_new_age() -> None:
    lines = written("ndjson").splitlines(keepends=True)
    script = Script(lines[0], 9.0, lines[1] + lines[2], 9.0, 1.0)
    found = list(cut("ndjson", script.read, script, max_rows=2, max_age_s=10.0))
    assert [len(each) for each in found] == [2, 1]
    assert script.asked == [None, 10.0, 1.0, 10.0, 1.0, None]


@pytest.mark.parametrize("kind", ["ndjson", "csv"])
def test_a_torn_row_counts_where_the_solver_ended_and_not_where_we_stop(kind: str) -> None:
    data = written(kind).rstrip(b"\n")
    for is_cut_short, n_rows, torn in ((False, 7, 0), (True, 6, len(data.splitlines()[-1]))):
        rows_ = splitter(kind)
        found = batches(
            Script(data).read,
            rows_,
            max_rows=None,
            max_age_s=None,
            clock=lambda: 0.0,
            cut_short=partial(bool, is_cut_short),
        )
        assert (sum(map(len, found)), rows_.torn) == (n_rows, torn)


def test_empty_lines_and_a_byte_order_mark_are_no_rows() -> None:
    lines = written("ndjson").splitlines()
    data = b"\xef\xbb\xbf" + b"\n".join((lines[0], b"", b"  \r", lines[1])) + b"\n\n"
    (found,) = cut("ndjson", Script(data).read)
    assert found.frame([0, 1]).equals(VACUA[:2])
    assert found.file([1]) == lines[1] + b"\n"


def test_what_breaks_off_gives_all_rows_before() -> None:
    good = written("arrow")
    second = good.index(b"\xff\xff\xff\xff", len(written("arrow", VACUA[:3])) - 8)
    for data, why in (
        (good[: len(good) - 30], "ends within a message"),
        (good[:second] + b"x" * 20, "has no message where one should begin"),
        (good + b"x", "goes on behind its end"),
        (good[:second] + b"\xff\xff\xff\xff\xff\xff\xff\x7f", "has a message of 2147483647 bytes"),
    ):
        got: list[int] = []
        with pytest.raises(InputRefused) as refusal:
            got.extend(len(each) for each in cut("arrow", Script(data).read))
        (problem,) = refusal.value.problems
        assert problem.message.startswith(f"the Arrow stream {why}, before row "), problem
        assert f"before row {sum(got) + 1}" in problem.message


def test_a_line_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vulcan_cli.vacua.splitters.LONGEST_ROW", 1000)
    line = written("ndjson").splitlines(keepends=True)[0]
    found = cut("ndjson", Script(line + b"x" * 1001).read)
    assert len(next(found)) == 1
    assert refused(lambda: next(found)) == [
        (None, 2, None, "is longer than 1000 bytes without an end")
    ]
