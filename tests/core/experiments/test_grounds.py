"""On DeepFluoro nothing that is measured on is trained on or adapted to."""

import pytest
import torch
from deepfluoro_file import write_deepfluoro

from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.errors import DataError
from skiagraph.experiments.cells import Cell
from skiagraph.experiments.grounds import DeepFluoro
from skiagraph.factory.subjects import parametric
from skiagraph.io.datasets.deepfluoro import read_radiograph
from skiagraph.tasks.task import silent

REAL = Cell("hip", 64, "real", "strong", "none", "matched")
NAIVE = Cell("hip", 64, "naive", "strong", "adda", "matched")
SCALED = Cell("hip", 64, "naive", "strong", "cyclegan", "scaled")


@pytest.fixture(scope="module")
def ground(tmp_path_factory) -> DeepFluoro:
    path = write_deepfluoro(tmp_path_factory.mktemp("data") / "full.h5")
    return DeepFluoro(path, tuple(parametric(2, 0, 6.0)), 4)


def test_every_specimen_is_left_out_once(ground, tmp_path):
    assert ground.folds(NAIVE) == ("17-1882", "18-1109", "17-1905") and ground.folds(SCALED) == ("all",)
    for fold in ground.folds(NAIVE):
        trained = {one.name for one in ground.order(NAIVE, fold).subjects}
        measured = list(ground.cases(NAIVE, fold, tmp_path, 1, silent))
        adapted = ground.unlabelled(NAIVE, fold, tmp_path, 1, silent)
        assert {one.subject for one in measured} == {fold} and len(measured) == 2
        assert trained == set(ground.folds(NAIVE)) - {fold} == {name.split("/")[0] for name in adapted.names}
    assert len(list(ground.cases(SCALED, "all", tmp_path, 1, silent))) == 6


def test_matched_sets_are_the_real_xrays_taken_again(ground):
    real, naive = (ground.order(cell, "17-1882").as_json() for cell in (REAL, NAIVE))
    assert real["subjects"] == naive["subjects"] and real["count"] == naive["count"] == 4
    assert all("poses" in one for one in real["subjects"])


def test_a_set_of_real_xrays_holds_them_as_they_are(ground, tmp_path):
    found = list(ground.samples(REAL, "17-1882", tmp_path, 1, silent).samples())
    assert [one.record.extra["subject"] for one in found] == ["18-1109"] * 2 + ["17-1905"] * 2
    pixels = read_radiograph(ground.path, "18-1109", "000").picture.pixels
    expected = (pixels / pixels.max()).clamp(1e-4, 1.0)
    torch.testing.assert_close(found[0].sample.image, expected, rtol=1e-3, atol=1e-5)
    assert found[0].sample.keypoints.names == LANDMARK_NAMES
    seen = dict(zip(LANDMARK_NAMES, found[0].sample.keypoints.visible.tolist()))
    assert seen["left_femoral_head"] and not seen["right_anterior_superior_iliac_spine"]


def test_what_cannot_be_is_refused(ground, tmp_path):
    with pytest.raises(DataError, match="cannot be adapted to it"):
        ground.unlabelled(SCALED, "all", tmp_path, 1, silent)
    with pytest.raises(DataError, match="shows no tool"):
        ground.folds(Cell("tool", 64, "naive", "strong", "none", "matched"))
