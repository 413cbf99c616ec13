"""The controlled experiment: what it is made of, that it goes on, and that it says what it has not done."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from skiagraph.cli import main
from skiagraph.detect.bundle import read_bundle
from skiagraph.detect.losses import Likelihood
from skiagraph.detect.trunks import ResidualUNet
from skiagraph.errors import DataError
from skiagraph.evaluate.landmarks import Table, interval
from skiagraph.experiments import grounds, published, sim2real
from skiagraph.experiments.cells import MATRIX, SIZES, USUAL, Cell, chosen
from skiagraph.experiments.grounds import STAND_IN_SHOWN, FixedPattern, StandIn
from skiagraph.experiments.presets import HIP_AP
from skiagraph.experiments.results import Measured, Result, read_result, write_result
from skiagraph.experiments.sim2real import RADIOGRAPHS, RESULT, Effort, Sim2Real
from skiagraph.factory.making import begin, make_subject
from skiagraph.factory.subjects import parametric
from skiagraph.factory.variation import UNCHANGED
from skiagraph.io.patient import Subject
from skiagraph.tasks.matrix import NOT_RUN, lines, write_report
from skiagraph.tasks.task import silent
from skiagraph.train import adapt
from skiagraph.train.regimen import SKIAGRAPH, regimen

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

PLAIN_AP = replace(HIP_AP, variation=UNCHANGED)
SMALL = Effort(steps=2, batch=2, translating=2, adapting=2, every=2)


def tiny_cell(domain="naive", adapted="none") -> Cell:
    return Cell("hip", 64, domain, "strong", adapted, "matched")


@pytest.fixture(scope="module")
def ground() -> StandIn:
    """One body under nine names."""
    one = parametric(1, 0, 6.0)[0].load()
    people = tuple(Subject(f"body-{n}", "ours", lambda: one) for n in range(9))
    return StandIn(PLAIN_AP, people[:6], 12, people[6:], 6)


@pytest.fixture
def study(ground, tmp_path, monkeypatch) -> Sim2Real:
    """Sets made in this process, and a network that takes no time."""

    def make(order, folder: Path, workers: int, report) -> None:
        begin(order, folder)
        for subject in range(len(order.subjects)):
            make_subject(order, subject, folder)

    def small(name: str, looks: str):
        return replace(regimen(name, looks), trunk=ResidualUNet((8, 8), features=8), landmark_loss=Likelihood(1.5))

    monkeypatch.setattr(grounds, "make_here", make)
    monkeypatch.setattr(sim2real, "regimen", small)
    monkeypatch.setattr(adapt, "CALIBRATING", 4)
    return Sim2Real(ground, tmp_path / "study", SMALL, workers=0)


def table(seed: int, subjects: int = 5) -> Table:
    draw = np.random.default_rng(seed)
    error = draw.gamma(2.0, 3.0, (2 * subjects, 3))
    there = np.ones_like(error, dtype=bool)
    who = tuple(f"s{n // 2}" for n in range(2 * subjects))
    return Table(("a", "b", "c"), who, error, ~there, there, draw.random(error.shape).astype(np.float32), ~there)


def measured(seed: int, on: str = "stand-in") -> Measured:
    draw = np.random.default_rng(seed)
    return Measured(on, table(seed), ("x", "y"), draw.random((10, 2)), draw.random((10, 6)))


def put(study: Sim2Real, cell: Cell, seed: int, *more: Measured) -> None:
    path = study.folder / "cells" / cell.name / RESULT
    write_result(path, Result(cell.name, 1.0, (measured(seed), *more)))


def test_the_matrix_has_every_cell_once_and_no_senseless_one():
    assert len({cell.name for cell in MATRIX}) == len(MATRIX) == 3 * 3 * (2 + 3 * 2 * 3 * 2)
    assert not [cell for cell in MATRIX if cell.domain == "real" and (cell.adapted, cell.scale) != ("none", "matched")]
    assert {cell.row for cell in MATRIX} >= {row.name for row in (*published.DICE, *published.LANDMARKS)}


def test_cells_are_chosen_by_name_or_pattern():
    assert [cell.name for cell in chosen(USUAL)] == list(USUAL) and len(USUAL) == 8
    assert {cell.size for cell in chosen(["hip-384-*"])} == {384}
    with pytest.raises(DataError, match="no cell 'hip-64-"):
        chosen(["hip-64-*"])


def test_published_figures_are_those_of_the_text():
    row = {one.name: one for one in published.LANDMARKS}
    assert row["realistic-scaled"].at(360, "strong").mean == published.HIP[0].sim2real.mean == 6.29
    assert row["real"].at(360, "strong").mean == published.HIP[0].real2real.mean == 8.15
    assert row["realistic-cyclegan-scaled"].at(480, "strong").mean == min(
        v.mean for r in row.values() for v in r.values
    )
    dice = {one.name: one for one in published.DICE}
    assert dice["realistic-scaled"].at(360, "strong").mean == published.HIP[1].sim2real.mean == 0.818
    assert all(len(one.values) == 6 for one in (*published.LANDMARKS, *published.DICE))
    with pytest.raises(DataError, match="180, 360, 480"):
        row["real"].at(192, "strong")
    assert tuple(SIZES.values()) == published.PIXELS


def test_sets_of_a_cell_differ_in_the_technique_alone(ground):
    orders = {
        domain: ground.order(tiny_cell(domain)).as_json() for domain in ("real", "realistic", "heuristic", "naive")
    }
    for said in orders.values():
        differing = {key for key in said if said[key] != orders["naive"][key]}
        assert differing <= {"recipe", "fidelity"}
    scaled = ground.order(replace(tiny_cell(), scale="scaled")).as_json()
    assert not {one["name"] for one in scaled["subjects"]} & {one["name"] for one in orders["naive"]["subjects"]}


def test_bodies_that_are_measured_on_are_not_in_scaled_sets(ground):
    with pytest.raises(DataError, match="measured on and trained on"):
        replace(ground, more=ground.subjects[:1])


def test_what_shows_the_stand_in_moves_nothing(rng):
    from skiagraph.domain.effects import Display, Look

    assert all(isinstance(effect, (Look, Display)) for effect in STAND_IN_SHOWN.effects)
    flat = torch.full((1, 1, 8, 8), 0.5)
    assert torch.equal(FixedPattern()(flat, rng), FixedPattern()(flat, rng))


def test_looks_belong_to_the_regimen_and_to_the_cell():
    for name in ("skiagraph", "synthex-preprint", "synthex-nmi"):
        cell = Cell("hip", 384, "naive", "regular", "none", "matched")
        made = replace(SMALL, regimen=name).trained_on(cell)
        other = replace(SMALL, regimen=name).trained_on(replace(cell, looks="strong"))
        assert made.appearance != other.appearance and (made.steps, made.size) == (2, 384)
    assert replace(SMALL, regimen="skiagraph").trained_on(cell).trunk == SKIAGRAPH.trunk


def test_cells_are_run_measured_and_skipped_when_run_again(study, tmp_path, monkeypatch):
    xrays = tmp_path / "xrays"
    xrays.mkdir()
    for n in range(2):
        Image.fromarray(np.random.default_rng(n).integers(0, 255, (80, 70)).astype(np.uint8)).save(xrays / f"{n}.png")
        points = {"FH-l": [40, 40], "FH-r": [20, 40], "_fh_radius_l": 8, "_fh_radius_r": 8}
        (xrays / f"{n}.json").write_text(json.dumps(points), encoding="utf-8")
    study = replace(study, radiographs=xrays)
    cells = [tiny_cell("naive"), tiny_cell("realistic", "cyclegan"), tiny_cell("realistic", "adda"), tiny_cell("real")]
    study.run(cells, silent)
    for result in study.finished(cells):
        assert [one.on for one in result.measured] == ["stand-in", RADIOGRAPHS]
        assert result.measured[0].dice.shape == (4, 6) and result.measured[1].table.error.shape == (2, 14)
        assert np.isfinite(result.measured[0].overlap.value) and np.isnan(result.measured[1].overlap.value)
        assert len(set(result.measured[0].table.subjects)) == 2
    assert read_bundle(study.folder / "cells" / cells[0].name).reading.size == 64

    def never(*_: object) -> None:
        raise AssertionError("a finished cell was run again")

    monkeypatch.setattr(sim2real, "detector", never)
    study.run(cells, silent)
    with pytest.raises(AssertionError, match="run again"):
        study.run([tiny_cell("heuristic")], silent)
    with pytest.raises(DataError, match="another experiment"):
        replace(study, effort=replace(SMALL, steps=3)).run(cells, silent)


def test_results_come_back_as_they_were_written(tmp_path):
    one = measured(3)
    error = one.table.error.copy()
    error[0, 1] = np.nan
    one = replace(one, table=replace(one.table, error=error))
    write_result(tmp_path / "r.json", Result("x", 2.0, (one,)))
    back = read_result(tmp_path / "r.json")
    np.testing.assert_allclose(back.measured[0].table.error, error, atol=1e-5)
    assert back.measured[0].table.subjects == one.table.subjects and back.on("other") is None
    np.testing.assert_allclose(back.measured[0].dice, one.dice, atol=1e-5)


def test_the_mean_of_all_has_the_interval_of_evaluate():
    one = measured(1)
    low, high = interval(one.table)
    assert one.mean.value == pytest.approx(one.table.all_errors.mean())
    assert (one.mean.low, one.mean.high) == pytest.approx((low, high), rel=0.1)
    assert one.kept(0.9).low <= one.kept(0.9).value <= one.kept(0.9).high


def test_the_report_says_what_was_not_run_and_what_synthex_published(study):
    cells = chosen(["hip-192-realistic-strong-none-matched", "hip-192-naive-strong-none-matched"])
    for seed, cell in enumerate(cells):
        put(study, cell, seed, measured(seed, RADIOGRAPHS))
    page, sheet = write_report(study.folder, study)
    text = page.read_text(encoding="utf-8")
    for word in ("8.41 ± 14.47", "0.787 ± 0.211", "53.26", "not run", "synthetic as all the rest"):
        assert word in text or (word == "53.26" and "0.5326 ± 0.2267" in text)
    rows = list(csv.DictReader(sheet.open(encoding="utf-8")))
    assert len(rows) == len(MATRIX) + len(cells)
    assert sum(row["on"] == NOT_RUN for row in rows) == len(MATRIX) - len(cells)
    run = next(row for row in rows if row["cell"] == cells[0].name and row["on"] == RADIOGRAPHS)
    assert float(run["mm_at_90"]) == pytest.approx(measured(0).kept(0.9).value, abs=1e-3)
    assert run["synthex_mm_at_90"] == "8.41" and all(len(row) == len(rows[0]) for row in rows)
    said = lines(study, cells)
    assert sum(line.endswith(NOT_RUN) and line.startswith("hip-192-") for line in said) == 38 - 2
    assert said[-1] == "304 of 304 cells of other tasks and sizes: not run"
    assert any(line.startswith(cells[1].name) and "mm on radiographs" in line for line in said)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--cells", "hip-200-*"], "no cell"),
        (["--deepfluoro", "gone.h5"], "not DeepFluoro's"),
        (["--bodies", "shape:many"], "does not say how many"),
        (["--steps", "0"], "at least one"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_line(flags, said, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["experiment", "sim2real", str(tmp_path / "out"), *flags])
    error = capsys.readouterr().err.strip()
    assert exit_.value.code == 2 and said in error and len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()
