"""`vulcan split`: what it prints, warns of, writes down and refuses."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import polars as pl
import pytest

from tests.cli_in_process import run, run_binary
from tests.cli_support import (
    VULCAN,
    Ran,
    clean,
    interrupted,
    interrupted_at_work,
    our_lines,
    vulcan,
)
from tests.dataset_support import put, vacua
from vulcan_cli.dataset.splits import Splits
from vulcan_cli.vacua.geometry import Geometry


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    """Ten triangulations of five polytopes and a geometry without a `ks_id` in `spool/synced`."""
    synced = tmp_path / "spool/synced"
    for name in ("pending", "synced", "failed"):
        (tmp_path / "spool" / name).mkdir(parents=True)
    for number in range(10):
        keys = {"h11": 3, "h12": 2, "ks_id": number // 2, "triang_id": number % 2}
        put(synced, vacua(5 + number), f"r{number}", **keys)
    put(synced, vacua(4), "none", h11=3, h12=2)
    return tmp_path


def split(cwd: Path, *words: str | Path) -> Ran:
    return run("split", *words, "--staging-dir", "spool", cwd=cwd)


def printed(ran: Ran) -> dict[str, tuple[str, int]]:
    """What a table of assignments says of each geometry."""
    head, *lines = ran.out.splitlines()
    assert head == "geometry_id\tsplit\tn_rows"
    cells = [line.split("\t") for line in lines]
    assert [ids for ids, _, _ in cells] == sorted(ids for ids, _, _ in cells)
    return {geometry_id: (name, int(n_rows)) for geometry_id, name, n_rows in cells}


def twin(number: int) -> str:
    return Geometry(h11=3, h12=2, ks_id=number // 2, triang_id=number % 2).geometry_id


def test_every_geometry_is_printed_with_a_summary_and_warnings(cwd: Path) -> None:
    ran = vulcan("split", "--staging-dir", "spool", home=cwd)

    assert ran.code == 0
    sizes = {**{twin(n): 5 + n for n in range(10)}, Geometry(h11=3, h12=2).geometry_id: 4}
    assert printed(ran) == {each: (Splits().of(each), sizes[each]) for each in sizes}
    assert ran.err == (
        "read synced of spool\n"
        "train: 9 geometries, 81 rows, 81.8% of rows where 80.0% is wanted\n"
        "val: 1 geometry, 4 rows, 4.0% of rows where 10.0% is wanted\n"
        "test: 1 geometry, 14 rows, 14.1% of rows where 10.0% is wanted\n"
        "vulcan: val is far from what is wanted\n"
        "vulcan: --salt 14 draws train 80.8%, val 10.1%, test 9.1%\n"
        "vulcan: --folds 5 uses every geometry, each once to test and otherwise to train\n"
        "vulcan: triangulations of 1 polytope stand in more than one split: "
        "--group-by polytope keeps them together\n"
    )


def test_filters_change_neither_what_is_frozen_nor_which_catalog_is_named(cwd: Path) -> None:
    told = []
    for name, words in (("all", ()), ("some", ("--ks-id", "3"))):
        ran = split(cwd, *words, "--out-dir", name, "--freeze", f"{name}.json")
        assert ran.code == 0, ran
        description = json.loads((cwd / name / "split.json").read_text())
        frozen = json.loads((cwd / f"{name}.json").read_text())
        told.append((frozen, description["catalog_sha256"]))
    assert told[0] == told[1]


def test_json_has_geometries_and_splits(cwd: Path) -> None:
    document = split(cwd, "--json", "--h11", "4").document()
    assert document == {
        "geometries": [],
        "splits": [
            {"name": "train", "wanted": 0.8, "geometries": 0, "n_rows": 0, "of_rows": 0.0},
            {"name": "val", "wanted": 0.1, "geometries": 0, "n_rows": 0, "of_rows": 0.0},
            {"name": "test", "wanted": 0.1, "geometries": 0, "n_rows": 0, "of_rows": 0.0},
        ],
    }


def test_rows_are_counted_where_a_condition_looks_at_them(cwd: Path) -> None:
    ran = split(cwd, "--where", "flux[1] >= 12", "--group-by", "polytope")

    assert {key: n_rows for key, (_, n_rows) in printed(ran).items()} == {twin(8): 1, twin(9): 2}

    both = split(cwd, "--where", "flux[1] >= 12", "--where", "flux[1] < 13")

    assert {key: n_rows for key, (_, n_rows) in printed(both).items()} == {twin(8): 1, twin(9): 1}


def test_triangulations_stay_together_and_the_rest_stays_where_it_was(cwd: Path) -> None:
    alone = Geometry(h11=3, h12=2).geometry_id
    for salt in map(str, range(8)):
        found = printed(split(cwd, "--group-by", "polytope", "--salt", salt))
        for number in range(10):
            polytope = Geometry(h11=3, h12=2, ks_id=number // 2).geometry_id
            assert found[twin(number)][0] == Splits(salt=salt).of(polytope)
        assert found[alone][0] == Splits(salt=salt).of(alone)


ASSIGNED = {
    "grouped": ("--group-by", "polytope"),
    "compared with rows of all splits": ("--where", "flux[1] > avg(flux[1])"),
    "grouped and compared": ("--group-by", "polytope", "--where", "flux[1] = max(flux[1])"),
}


@pytest.mark.parametrize("words", ASSIGNED.values(), ids=ASSIGNED)
def test_rows_of_splits_are_those_assigned(cwd: Path, words: tuple[str, ...]) -> None:
    options = (*words, "--fractions", "0.5,0.25,0.25")
    found = printed(split(cwd, *options))
    seen: dict[str, tuple[str, int]] = {}
    for name in ("train", "val", "test"):
        code, out, _ = run_binary("split", name, *options, "--staging-dir", "spool", cwd=cwd)
        assert code == 0
        rows = pl.read_parquet(out).group_by("geometry_id").len()
        seen |= {geometry_id: (name, number) for geometry_id, number in rows.iter_rows()}
    assert seen == found


def test_folds_are_splits_of_one_size(cwd: Path) -> None:
    names = ",".join(f"fold{n}" for n in range(4))
    wanted = split(cwd, "--splits", names, "--fractions", "0.25,0.25,0.25,0.25")

    assert split(cwd, "--folds", "4").out == wanted.out
    assert {name for name, _ in printed(wanted).values()} <= set(names.split(","))


def test_a_frozen_assignment_outlives_other_salts_and_takes_in_what_is_new(cwd: Path) -> None:
    first = split(cwd, "--freeze", "splits.json")
    before = printed(first)
    assert first.err.splitlines()[-1] == "11 geometries frozen in splits.json"
    document = json.loads((cwd / "splits.json").read_text())
    assert document == {
        "splits": ["train", "val", "test"],
        "fractions": [0.8, 0.1, 0.1],
        "salt": "",
        "group_by": "geometry",
        "assignments": {geometry_id: name for geometry_id, (name, _) in before.items()},
    }
    put(cwd / "spool/synced", vacua(3), "new", h11=9)
    new = Geometry(h11=9).geometry_id

    frozen = ("--frozen", "splits.json", "--salt", "x", "--fractions", "0,1,0")
    after = printed(split(cwd, *frozen, "--freeze", "splits.json"))

    assert after == {**before, new: ("val", 3)}
    assert printed(split(cwd, "--frozen", "splits.json")) == after
    again = json.loads((cwd / "splits.json").read_text())
    assert again["assignments"] == {**document["assignments"], new: "val"}


def test_a_frozen_polytope_takes_its_new_triangulations(cwd: Path) -> None:
    split(cwd, "--group-by", "polytope", "--freeze", "splits.json")
    put(cwd / "spool/synced", vacua(3), "new", h11=3, h12=2, ks_id=1, triang_id=7)

    found = printed(split(cwd, "--frozen", "splits.json", "--salt", "another"))

    late = Geometry(h11=3, h12=2, ks_id=1, triang_id=7).geometry_id
    assert found[late][0] == found[twin(2)][0] == found[twin(3)][0]


def test_freezing_again_forgets_nothing(cwd: Path) -> None:
    split(cwd, "--freeze", "splits.json")
    held = (cwd / "splits.json").read_bytes()
    for shard in (cwd / "spool/synced").iterdir():
        shard.unlink()

    assert split(cwd, "--frozen", "splits.json", "--freeze", "splits.json").code == 0
    assert (cwd / "splits.json").read_bytes() == held


def test_splits_are_frozen_though_nobody_reads_all_rows(cwd: Path) -> None:
    split(cwd, "--freeze", "wanted.json")
    command = [*VULCAN, "split", "train", "--staging-dir", "spool", "--format", "csv"]
    with subprocess.Popen(
        [*command, "--freeze", "splits.json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean(cwd),
        cwd=cwd,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read().decode().splitlines()
    assert (process.returncode, said) == (
        0,
        ["read synced of spool", "11 geometries frozen in splits.json"],
    )
    assert (cwd / "splits.json").read_bytes() == (cwd / "wanted.json").read_bytes()


def test_a_folder_to_freeze_in_is_looked_for_before_anything_is_written(cwd: Path) -> None:
    words = ("--out-dir", "ml", "--freeze", "no/such/splits.json")

    ran = split(cwd, *words)

    typed = "vulcan split --out-dir ml --freeze no/such/splits.json --staging-dir spool"
    assert ran == Ran(
        6,
        "",
        "vulcan: no/such/splits.json: No such file or directory\n"
        "  safe: what was already staged or confirmed stays so; nothing half-written counts\n"
        f"  next: mkdir -p no/such\n  next: {typed}\n",
    )
    assert not (cwd / "ml").exists()
    (cwd / "no/such").mkdir(parents=True)
    assert split(cwd, *words).code == 0


def test_a_fraction_of_nothing_is_told_without_a_sign(cwd: Path) -> None:
    signed = split(cwd, "--fractions", "0.8,0.2,-0.0")
    assert signed == split(cwd, "--fractions", "0.8,0.2,0.0")
    assert signed.err.splitlines()[3] == (
        "test: 0 geometries, 0 rows, 0.0% of rows where 0.0% is wanted"
    )


def test_no_folds_are_advised_for_one_geometry(cwd: Path) -> None:
    ran = split(cwd, "--ks-id", "3", "--triang-id", "0")

    assert ran.err == (
        "read synced of spool\n"
        "train: 1 geometry, 11 rows, 100.0% of rows where 80.0% is wanted\n"
        "val: 0 geometries, 0 rows, 0.0% of rows where 10.0% is wanted\n"
        "test: 0 geometries, 0 rows, 0.0% of rows where 10.0% is wanted\n"
        "vulcan: train is far from what is wanted\n"
        "vulcan: val is empty\n"
        "vulcan: test is empty\n"
    )


def test_an_empty_split_is_told_with_a_salt_that_fills_it(cwd: Path) -> None:
    ran = split(cwd, "--salt", "4", "--group-by", "polytope")

    assert ran.err == (
        "read synced of spool\n"
        "train: 10 geometries, 95 rows, 96.0% of rows where 80.0% is wanted\n"
        "val: 1 geometry, 4 rows, 4.0% of rows where 10.0% is wanted\n"
        "test: 0 geometries, 0 rows, 0.0% of rows where 10.0% is wanted\n"
        "vulcan: train is far from what is wanted\n"
        "vulcan: val is far from what is wanted\n"
        "vulcan: test is empty\n"
        "vulcan: --salt 20 draws train 80.8%, val 4.0%, test 15.2%\n"
        "vulcan: --folds 5 uses every geometry, each once to test and otherwise to train\n"
    )
    advised = split(cwd, "--salt", "20", "--group-by", "polytope")
    assert "train: 8 geometries, 80 rows, 80.8% of rows where 80.0% is wanted" in (
        advised.err.splitlines()
    )


FEATURES = ("--features", "flux,moduli,tau", "--list-max-len", "3")


def test_a_folder_of_files_is_counted_described_and_warned_of(cwd: Path) -> None:
    ran = split(cwd, *FEATURES, "--seed", "1", "--out-dir", "ml", "--salt", "14")

    assert (ran.code, ran.out) == (0, "train\t80\nval\t10\ntest\t9\n")
    assert ran.err.splitlines()[:5] == [
        "read synced of spool",
        "vulcan: flux, train: 80 lists cut short",
        "vulcan: flux, val: 10 lists cut short",
        "vulcan: flux, test: 9 lists cut short",
        "written to ml",
    ]
    described = json.loads((cwd / "ml/split.json").read_text())
    again = split(cwd, *FEATURES, "--seed", "1", "--out-dir", "ml2", "--salt", "14", "--json")
    assert again.document() == described
    assert {path.name: path.read_bytes() for path in (cwd / "ml").iterdir()} == {
        path.name: path.read_bytes() for path in (cwd / "ml2").iterdir()
    }
    rows = pl.read_parquet(cwd / "ml/train-*.parquet")
    assert dict(rows.schema) == {
        "flux": pl.Array(pl.Int32, 3),
        "moduli": pl.Array(pl.Float64, (3, 2)),
        "tau": pl.Array(pl.Float64, 2),
        "geometry_id": pl.String,
    }


def test_who_stands_in_the_folder_is_told_to_enter_it_anew(cwd: Path) -> None:
    here = cwd / "m l"
    here.mkdir()
    command = [*VULCAN, "split", "--staging-dir", "../spool", "--salt", "14", "--out-dir"]

    for folder, said in ((".", ["written to .", f"next: cd '{here}'"]), ("x", ["written to x"])):
        ran = subprocess.run(
            [*command, folder], cwd=here, env=clean(cwd), capture_output=True, text=True, check=True
        )
        assert [line for line in ran.stderr.splitlines() if not line.startswith("vulcan: ")] == [
            "read synced of ../spool",
            *said,
        ]
    assert sorted(path.name for path in here.iterdir()) == [
        "split.json",
        "test-00000-of-00001.parquet",
        "train-00000-of-00001.parquet",
        "val-00000-of-00001.parquet",
        "x",
    ]


@pytest.mark.parametrize("form", ["npz", "safetensors"])
def test_rows_of_a_split_as_arrays_are_those_of_the_folder(cwd: Path, form: str) -> None:
    folder = split(cwd, *FEATURES, "--format", form, "--out-dir", "ml")
    file = split(cwd, "train", *FEATURES, "-o", f"train.{form}")
    code, out, _ = run_binary(
        "split", "train", *FEATURES, "--format", form, "--staging-dir", "spool", cwd=cwd
    )

    assert (folder.code, file.code, code) == (0, 0, 0)
    written = (cwd / f"ml/train-00000-of-00001.{form}").read_bytes()
    assert (cwd / f"train.{form}").read_bytes() == written
    assert out == written


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train", "--out-dir", "ml"], "--out-dir holds all splits; leave the name out"),
        (["-o", "x.parquet"], "-o is for the rows of one split; name it"),
        (["--format", "npz"], "--format is for the rows of one split, or for --out-dir"),
        (["train", "--seed", "1"], "--seed shuffles the files of --out-dir or --push"),
        (
            ["train", "--features", "moduli"],
            "the complex feature moduli needs lists of one length: give list_max_len",
        ),
        (
            ["--features", "flux", "--format", "npz", "--out-dir", "ml"],
            "npz holds arrays, and the lists of flux need one length in all files: give "
            "list_max_len",
        ),
        (["--group-by", "h11"], "geometries are grouped by geometry or polytope, not h11"),
        (
            ["--folds", "3", "--fractions", "0.5,0.5"],
            "--folds names and sizes the splits: no --splits, no --fractions",
        ),
        (["--folds", "9" * 20], f"there are at most 10000 folds, not {'9' * 20}"),
        (["--salt", "\udcff"], r"the salt '\udcff' is not UTF-8"),
        (["--frozen", "nowhere"], "nowhere is not there; --freeze writes one"),
        (["--freeze", "there"], "there is there already: --frozen there keeps to it"),
        (
            ["--frozen", "held", "--freeze", "there"],
            "there is there already: --frozen there keeps to it",
        ),
        (
            ["--frozen", "held", "--folds", "3"],
            "held says which splits there are: no --splits, no --folds",
        ),
        (
            ["--frozen", "held", "--group-by", "polytope"],
            "held is grouped by geometry: no other --group-by",
        ),
        (
            ["--features", "flux"],
            "features are of the rows of one split, or for --out-dir: name a split",
        ),
        (
            ["train", "--list-fill", "3"],
            "--list-fill fills lists up to a length: say it with --list-max-len",
        ),
        (
            ["train", "--features", "flux,geometry_id", "--drop-geometry-id"],
            "--features names geometry_id, which --drop-geometry-id leaves out",
        ),
        (["--frozen", "there"], "there is no file of frozen splits: it lacks splits"),
        (["--frozen", "list"], "list is no file of frozen splits: it holds no JSON object"),
        (
            ["--frozen", "text"],
            "text is no file of frozen splits: Expecting value: line 1 column 1 (char 0)",
        ),
        (
            ["--frozen", "other"],
            "other is no file of frozen splits: 'c' is frozen, but the splits are a, b",
        ),
        (["--frozen", "deep"], "deep is no file of frozen splits: it is nested too deep"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(
    cwd: Path, words: list[str], sentence: str
) -> None:
    held = {"splits": ["a", "b"], "fractions": [0.5, 0.5], "salt": "", "group_by": "geometry"}
    (cwd / "held").write_text(json.dumps({**held, "assignments": {}}))
    (cwd / "other").write_text(json.dumps({**held, "assignments": {"0" * 16: "c"}}))
    (cwd / "there").write_text("{}")
    (cwd / "list").write_text("[]")
    (cwd / "text").write_text("geometry_id split")
    (cwd / "deep").write_text("[" * 100_000)

    ran = split(cwd, *words)

    assert (ran.code, ran.out) == (2, "")
    said = [line for line in ran.err.splitlines() if line.startswith("vulcan: ")]
    assert said == [f"vulcan: {sentence}"]
    assert (cwd / "there").read_text() == "{}"


def test_a_complex_feature_of_lists_is_given_a_length_by_what_to_type_next(cwd: Path) -> None:
    words = ("train", "--features", "moduli,tau", "-o", "x.npz", "-q")
    cure = "vulcan split train --features moduli,tau -o x.npz -q --staging-dir spool --list-max-len"

    assert split(cwd, *words) == Ran(
        2,
        "",
        "vulcan: the complex feature moduli needs lists of one length: give list_max_len\n"
        f"  safe: nothing was changed\n  next: {cure} N\n",
    )
    assert run(*f"{cure} 2".split()[1:], cwd=cwd) == Ran(0, "", "")
    assert (cwd / "x.npz").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -15)])
def test_an_interrupt_leaves_nothing_of_a_folder(
    cwd: Path, number: signal.Signals, code: int
) -> None:
    keys = {"h11": 3, "h12": 2, "ks_id": 9}
    put(cwd / "spool/synced", pl.concat([vacua(1_000)] * 300), "large", **keys)
    (cwd / "out").mkdir()
    words = ("split", "--staging-dir", "spool", "-q", "--out-dir", "out/ml")
    ran = interrupted_at_work(*words, home=cwd, folder=cwd / "out", number=number)
    assert (ran.code, ran.out, our_lines(ran.err)) == (code, "", interrupted(" ".join(words)))
    assert list((cwd / "out").iterdir()) == []
