"""A detector learns from its own answers, from those alone that several looks and a pelvis bear out."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.bodies import PelvisShape
from skiagraph.detect.averaged import Consensus
from skiagraph.detect.detector import Findings
from skiagraph.detect.pose import Exposure
from skiagraph.domain.appearance import PLAIN
from skiagraph.errors import DataError
from skiagraph.tasks.task import silent
from skiagraph.train import selftaught
from skiagraph.train.adapt import ADAPTATIONS
from skiagraph.train.loop import Training
from skiagraph.train.selftaught import Lesson, SelfTaught, taught
from skiagraph.train.unlabelled import Unlabelled
from skiagraph.volume import Keypoints

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

ROWS, COLUMNS = 300, 400
REAL = Unlabelled(("one",), (torch.rand(ROWS, COLUMNS, generator=torch.Generator().manual_seed(0)),), ROWS)


def consensus(wrong: int = 0, unsteady: int = 0, unsure: int = 0) -> Consensus:
    """A pelvis found; the first points are beside it, the next ones stray, the next are not believed."""
    points = PelvisShape.of(np.zeros(0)).landmarks.subset(LANDMARK_NAMES).points
    uv = Exposure.usual((ROWS, COLUMNS)).view.project(points)
    uv[:wrong] += torch.tensor([45.0, 30.0])
    spread, confidence = torch.full((14,), 0.5, dtype=torch.float64), torch.full((14,), 0.9)
    spread[wrong : wrong + unsteady] = 20.0
    confidence[wrong + unsteady : wrong + unsteady + unsure] = 0.05
    keypoints = Keypoints(LANDMARK_NAMES, uv, torch.ones(14, dtype=torch.bool))
    return Consensus(Findings(keypoints, confidence, torch.zeros(0, ROWS, COLUMNS, dtype=torch.bool), ()), spread)


def test_points_beside_the_pelvis_and_points_that_stray_or_are_not_believed_are_not_learned():
    (lesson,) = taught(SelfTaught(), lambda picture: consensus(1, 2, 1), REAL, 96, silent)
    assert lesson.kept.tolist() == [False] * 4 + [True] * 10
    assert lesson.picture.shape == (96, 96) and 0 <= float(lesson.picture.min()) <= float(lesson.picture.max()) <= 1


def test_points_are_learned_where_they_lie_on_the_square():
    (lesson,) = taught(SelfTaught(), lambda picture: consensus(), REAL, 96, silent)
    uv = consensus().findings.keypoints.uv
    expected = (uv + 0.5) * 96 / COLUMNS - 0.5 + torch.tensor([0.0, 12.0])
    assert torch.allclose(lesson.uv.double(), expected, atol=1e-3)


def test_pictures_without_a_pelvis_teach_nothing_and_that_is_said():
    with pytest.raises(DataError, match="on none of 1 X-rays are 8 points borne out"):
        taught(SelfTaught(), lambda picture: consensus(unsure=7), REAL, 96, silent)


def test_a_self_teaching_that_was_stopped_ends_with_the_same_bits(samples, tiny, tmp_path, monkeypatch):
    way = SelfTaught(steps=4, batch=2, looks=PLAIN)
    lesson = Lesson(torch.rand(48, 48), torch.full((14, 2), 20.0), torch.ones(14, dtype=torch.bool))
    monkeypatch.setattr(selftaught, "taught", lambda *given: [lesson])
    regimen = replace(tiny, steps=2)
    whole = Training(regimen, (samples,), tmp_path / "whole", workers=0, every=2, validated=4)
    parts = replace(whole, folder=tmp_path / "parts")

    def stopped(done: int, total: int, doing: str) -> None:
        if done == 3 and doing.startswith("adapting"):
            raise KeyboardInterrupt

    expected, _ = way(whole, REAL, silent)
    with pytest.raises(KeyboardInterrupt):
        way(parts, REAL, stopped)
    pieced, _ = way(parts, REAL, silent)
    assert all(torch.equal(a, b) for a, b in zip(expected.state_dict().values(), pieced.state_dict().values()))


def test_it_is_asked_for_by_name():
    assert isinstance(ADAPTATIONS["selftaught"], SelfTaught)
    with pytest.raises(DataError, match="give at least one of each"):
        SelfTaught(steps=0)
