import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.cli_in_process import run
from tests.cli_shards import KEYS
from tests.cli_support import Ran
from tests.vacua_support import REAL, Found, refused
from vulcan_cli.vacua import npz
from vulcan_cli.vacua.inputs import read_bytes
from vulcan_cli.vacua.shard import read_footer

HERE = ("-g", KEYS, "--staging-dir", "spool")


def arrays(n_rows: int = 3, h12: int = 2, **more: Any) -> dict[str, Any]:
    flux = np.arange(n_rows * 4 * (h12 + 1)).reshape(n_rows, -1) - 5
    return {
        "fluxes": flux,
        "moduli": np.linspace(0.5, 1.5, n_rows * h12).reshape(n_rows, h12) + 1.25j,
        "taus": np.linspace(0, 0.25, n_rows) + 3j,
    } | more


def packed(**of: Any) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **of)
    return out.getvalue()


def read(data: bytes) -> pl.DataFrame:
    return read_bytes(data, name="in").frame


def faults(data: bytes) -> list[Found]:
    return refused(lambda: read(data))


@pytest.mark.parametrize("path", sorted(REAL.glob("*.parquet")), ids=lambda path: path.stem)
def test_the_tadpole_is_that_of_all_real_vacua(path: Path) -> None:
    real = pl.read_parquet(path)
    fluxes = real["flux"].list.to_array(len(real["flux"][0])).to_numpy()
    assert npz.tadpole(fluxes).tolist() == real["tadpole_charge"].to_list()
    assert npz.tadpole(fluxes.astype(np.int64) * 10**9).tolist() == [
        charge * 10**18 for charge in real["tadpole_charge"].to_list()
    ]


@pytest.mark.parametrize("kind", ["i2", "i8", "f4", "f8", "c8", "c16", ">i4", ">f8", ">c16"])
def test_fluxes_may_be_integers_of_any_kind(kind: str) -> None:
    given = arrays()
    found = read(packed(**given | {"fluxes": given["fluxes"].astype(kind)}))
    assert found.to_dict(as_series=False) == {
        "flux": given["fluxes"].tolist(),
        "moduli_re": given["moduli"].real.tolist(),
        "moduli_im": given["moduli"].imag.tolist(),
        "tau_re": given["taus"].real.tolist(),
        "tau_im": [3.0] * 3,
        "tadpole_charge": npz.tadpole(given["fluxes"]).tolist(),
    }


def test_other_arrays_are_columns_or_are_named() -> None:
    more: dict[str, Any] = {
        "W": np.array([1 + 2j, 3, 4j]),
        "residual": np.array([1e-9, 2e-9, 3e-9]),
        "F_terms": np.array([[1, 2j], [3, 4], [5, 6]]),
        "task_id": np.array(7),
        "name": np.array("newton"),
        "tadpole_charge": np.array([1, 2, 3], "u1"),
        "seeds": np.arange(99),
    }
    given = read_bytes(packed(**arrays(**more)), name="in")
    assert given.frame.drop("flux", "moduli_re", "moduli_im", "tau_re", "tau_im").to_dict(
        as_series=False
    ) == {
        "W_re": [1.0, 3.0, 0.0],
        "W_im": [2.0, 0.0, 4.0],
        "residual": [1e-9, 2e-9, 3e-9],
        "F_terms_re": [[1.0, 0.0], [3.0, 4.0], [5.0, 6.0]],
        "F_terms_im": [[0.0, 2.0], [0.0, 0.0], [0.0, 0.0]],
        "task_id": [7, 7, 7],
        "name": ["newton"] * 3,
        "tadpole_charge": [1, 2, 3],
    }
    assert [(each.column, each.message) for each in given.remarks] == [
        ("seeds", "is left out: int64 of shape (99,) is no column")
    ]


@pytest.mark.parametrize(
    ("more", "columns"),
    [
        ({"flux": np.zeros((3, 12))}, ["flux"]),
        ({"tau_re": np.array([7.0, 8.0, 9.0])}, ["tau_re"]),
        ({"moduli_re": np.ones((3, 2)), "moduli_im": np.ones((3, 2))}, ["moduli_re", "moduli_im"]),
        ({"W": np.array([1j, 2, 3]), "W_im": np.array([4.0, 5.0, 6.0])}, ["W_im"]),
        ({"W_re": np.array([4.0, 5.0, 6.0]), "W": np.array([1j, 2, 3])}, ["W_re"]),
    ],
)
def test_two_arrays_for_one_column_are_refused(more: dict[str, Any], columns: list[str]) -> None:
    found: list[Found] = [(name, None, None, "two arrays give this column") for name in columns]
    assert faults(packed(**arrays(**more))) == found


def test_floats_beyond_64_bits_are_refused_or_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    long, both = np.dtype(np.longdouble), np.dtype(np.clongdouble)
    given = arrays(residual=np.ones(3, long), W=np.ones(3, both), g_s=np.array(0.5, long))
    assert [
        (each.column, each.message) for each in read_bytes(packed(**given), name="in").remarks
    ] == [
        ("residual", f"is left out: {long} of shape (3,) is no column"),
        ("W", f"is left out: {both} of shape (3,) is no column"),
        ("g_s", f"is left out: {long} of shape () is no column"),
    ]
    given |= {name: given[name].astype(both) for name in ("moduli", "taus")}
    message = f"must hold numbers of 64 bits at most, not {both}"
    assert faults(packed(**given)) == [(name, None, None, message) for name in ("moduli", "taus")]
    assert capfd.readouterr() == ("", "")


def flawed(row: int, column: int, value: complex) -> bytes:
    given = arrays(30)
    given["fluxes"] = given["fluxes"].astype(complex)
    given["fluxes"][row, column] = value
    return packed(**given)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1 + 1e-9j, "(1+1e-09j)"),
        (0.5, "(0.5+0j)"),
        (np.nan, "(nan+0j)"),
        (complex(2, np.inf), "(2+infj)"),
        (2**31, "(2147483648+0j)"),
    ],
)
def test_a_flux_that_is_no_integer_is_refused_with_row_and_value(
    value: complex, shown: str
) -> None:
    assert faults(flawed(4, 7, value)) == [
        ("fluxes", 5, shown, "must be integers of 32 bits"),
    ]


def test_many_of_them_are_counted() -> None:
    given = arrays(30)
    found = faults(packed(**given | {"fluxes": given["fluxes"] + 0.5}))
    assert len(found) == 21
    assert found[-1] == ("fluxes", None, None, "10 more rows like these")


def bare(shape: str, data: bytes = b"", descr: str = "'<f8'") -> bytes:
    """An array file that says what it likes of its shape."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return out.getvalue()


def hostile() -> dict[str, tuple[bytes, str]]:
    good = {name: bare(str(of.shape), of.tobytes()) for name, of in arrays().items()}
    objects = packed(**arrays(evil=np.array([{}, {}, {}], dtype=object)))
    damaged = bytearray(packed(**arrays()))
    damaged[60:64] = b"\xff\xff\xff\xff"
    return {
        "pickle": (objects, "it holds Python objects, which are never unpickled"),
        "promises": (
            zipped(**good | {"taus": bare("(10000000000000,)")}),
            "its shape (10000000000000,) is more than it holds",
        ),
        "overflow": (
            zipped(**good | {"taus": bare("(4294967296, 4294967296)")}),
            "its shape (4294967296, 4294967296) is more than it holds",
        ),
        "negative": (
            zipped(**good | {"taus": bare("(-1,)")}),
            "its shape (-1,) is more than it holds",
        ),
        "not npy": (zipped(**good | {"taus": b"hello"}), "the array cannot be read"),
        "no zip": (b"PK\x03\x04rest", "is no npz: File is not a zip file"),
        "damaged": (bytes(damaged), "the array cannot be"),
        "many": (
            zipped(**{f"a{number}": b"" for number in range(1001)}),
            "holds 1001 arrays, 1000 are read",
        ),
    }


@pytest.mark.parametrize("name", hostile())
def test_hostile_files_are_refused(name: str) -> None:
    data, message = hostile()[name]
    ((_, row, value, found),) = faults(data)
    assert (row, value, message in found) == (None, None, True), found


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz, "MOST_BYTES", 10**6)
    data = packed(**arrays(bomb=np.zeros(200_000)))
    assert len(data) < 10_000
    ((_, _, _, message),) = faults(data)
    assert message.endswith(" bytes unpacked, 1000000 are read")


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (
            {"taus": np.zeros(4) + 1j},
            (None, "must be of the same vacua, not 3 fluxes, 3 moduli, 4 taus"),
        ),
        ({"fluxes": np.zeros((3, 6))}, ("fluxes", "must have 4 (h12 + 1) entries a vacuum, not 6")),
        ({"fluxes": np.zeros(3)}, ("fluxes", "must have one row a vacuum, not shape (3,)")),
        ({"taus": np.zeros((3, 1))}, ("taus", "must have one number a vacuum, not shape (3, 1)")),
        ({"taus": np.array(["a", "b", "c"])}, ("taus", "must hold numbers, not <U1")),
    ],
)
def test_shapes_that_cannot_be(more: dict[str, Any], problem: tuple[str | None, str]) -> None:
    assert [(each[0], each[3]) for each in faults(packed(**arrays(**more)))] == [problem]


def test_a_missing_array_is_named() -> None:
    assert faults(packed(fluxes=np.zeros((1, 4)))) == [
        ("moduli", None, None, "the npz has no such array"),
        ("taus", None, None, "the npz has no such array"),
    ]


def test_a_job_of_three_results_one_of_them_empty(tmp_path: Path) -> None:
    results = tmp_path / "job/results"
    results.mkdir(parents=True)
    (tmp_path / "job/config.json").write_text('{"model": 3, "seed": "many", "h12": 2}')
    (results / "result_0000.npz").write_bytes(packed(**arrays(3)))
    (results / "result_0001.npz").write_bytes(
        packed(fluxes=np.zeros((0, 12)), moduli=np.zeros((0, 2), complex), taus=np.zeros(0))
    )
    (results / "result_0002.npz").write_bytes(packed(**arrays(5)))
    files = [f"job/results/result_000{number}.npz" for number in range(3)]
    ran = run("stage", *files, *HERE, "--json", "--format", "npz", cwd=tmp_path)
    assert (ran.code, ran.err) == (0, f"{files[1]} holds no rows: nothing to stage\n")
    said = [json.loads(line) for line in ran.out.splitlines()]
    assert [each["n_rows"] for each in said] == [3, 5]
    footer = read_footer(tmp_path / said[0]["path"])
    assert footer.provenance["provenance"] == {
        "config": {"model": 3, "seed": "many", "h12": 2},
    }
    alone = run("stage", files[1], *HERE, cwd=tmp_path)
    assert alone == Ran(0, "", f"{files[1]} holds no rows: nothing to stage\n")
    assert run("stage", files[1], *HERE, "-q", cwd=tmp_path) == Ran(0, "", "")


def test_without_rows_no_staging_directory_is_made(tmp_path: Path) -> None:
    data = packed(fluxes=[], moduli=[], taus=[])
    ran = run("stage", *HERE, cwd=tmp_path, stdin=data)
    assert ran == Ran(0, "", "standard input holds no rows: nothing to stage\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[1]", "is no JSON object"),
        ("{", "is no JSON: Expecting property name enclosed in double quotes: line 1 column 2 "
         "(char 1)"),
        ('"' + "x" * npz.CONFIG_BYTES + '"', "is longer than 65536 bytes"),
    ],
)  # fmt: skip
def test_a_config_that_cannot_be_told(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results/result_0000.npz").write_bytes(packed(**arrays()))
    (tmp_path / "config.json").write_text(text)
    ran = run("stage", "results/result_0000.npz", *HERE, cwd=tmp_path)
    assert (ran.code, ran.err.splitlines()[0]) == (
        3,
        f"vulcan: the input is refused: {tmp_path}/config.json: {why}",
    )


def test_real_vacua_as_npz_are_the_same_rows_as_in_parquet(tmp_path: Path) -> None:
    real = pl.read_parquet(REAL / "model_h12-2_1_batch0.parquet").select(
        "flux", "moduli_re", "moduli_im", "tau_re", "tau_im", "tadpole_charge"
    )
    moduli = np.array(real["moduli_re"].to_list()) + 1j * np.array(real["moduli_im"].to_list())
    data = packed(
        fluxes=np.array(real["flux"].to_list(), complex),
        moduli=moduli,
        taus=real["tau_re"].to_numpy() + 1j * real["tau_im"].to_numpy(),
    )
    real.write_parquet(tmp_path / "in")
    words = ("stage", *HERE, "--set", "date=X", "--json")
    first = run(*words, "in", cwd=tmp_path).document()
    second = run(*words, cwd=tmp_path, stdin=data).document()
    assert (second["digest"], second["status"]) == (first["digest"], "already-staged")


def test_without_numpy_the_cure_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "numpy", None)
    ran = run("stage", *HERE, cwd=tmp_path, stdin=b"PK\x03\x04")
    assert (ran.code, ran.err.splitlines()[0]) == (
        4,
        "vulcan: numpy is not installed: pip install 'vulcan-cli[numpy]'",
    )
