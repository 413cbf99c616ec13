"""A detector learns from readers, goes on after being stopped, and is not taken over for worse."""

from dataclasses import replace

import pytest
import torch
from annotated import points

from skiagraph.active.finetune import CHECKPOINT, SPLIT, Labelled, Plan, divided, finetuned, finished, write
from skiagraph.detect.bundle import read_bundle, write_bundle
from skiagraph.detect.detector import Detector, Reading
from skiagraph.detect.framing import Framing
from skiagraph.detect.losses import Likelihood
from skiagraph.detect.network import Network
from skiagraph.detect.trunks import ResidualUNet
from skiagraph.errors import DataError
from skiagraph.volume import Keypoints

NAMES = ("large_ball", "small_ball")
TRUNK = ResidualUNet((8, 16, 16), features=8)
PLAN = Plan(steps=120, batch=6, rate=3e-3, every=40)


def silent(done: int, total: int, doing: str) -> None:
    pass


def labelled(count: int, lower: float = 0.0) -> list[Labelled]:
    """A large and a small ball on noise, with points so many pixels below their middles."""
    found = []
    for number in range(count):
        rng = torch.Generator().manual_seed(number)
        uv = torch.tensor([[40.0, 22.0], [14.0, 22.0]]) + 10 * (torch.rand(2, 2, generator=rng) - 0.5)
        v, u = torch.meshgrid(torch.arange(44.0), torch.arange(56.0), indexing="ij")
        off = [(u - x).square() + (v - y).square() for x, y in uv.tolist()]
        picture = torch.exp(-off[0] / 30) + torch.exp(-off[1] / 6) + 0.05 * torch.randn(44, 56, generator=rng)
        keypoints = Keypoints(NAMES, uv.double() + torch.tensor([0.0, lower]), torch.ones(2, dtype=torch.bool))
        found.append(Labelled(f"p{number}", lambda picture=picture: picture, keypoints, 1))
    return found


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    torch.manual_seed(0)
    network = Network(TRUNK, Likelihood(1.5), 48, 2, 1)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-2)
    framing = Framing((44, 56), 48)
    pictures = torch.stack([framing.framed(one.read()) for one in labelled(24)])[:, None]
    uv = torch.stack([framing.onto(one.keypoints.uv).float() for one in labelled(24)])
    for _ in range(150):
        optimiser.zero_grad()
        network.landmark_loss(network(pictures).heatmaps, uv, torch.ones(24, 2, dtype=torch.bool)).backward()
        optimiser.step()
    write_bundle(folder, Detector(network.eval(), Reading(NAMES, ("bone",), 48)), TRUNK)
    return folder


def test_a_detector_learns_what_readers_show_it(bundle, tmp_path):
    outcome = finetuned(bundle, labelled(12, lower=5.0), None, tmp_path, PLAN, silent)
    assert (outcome.learned, outcome.validated) == (10, 2)
    assert outcome.better
    assert outcome.after < 0.5 * outcome.before
    write(outcome, bundle, tmp_path / "new")
    picture = labelled(1)[0].read()
    again = read_bundle(tmp_path / "new")(picture)
    torch.testing.assert_close(again.keypoints.uv, outcome.detector(picture).keypoints.uv)


def test_a_training_that_was_stopped_goes_on_where_it_was(bundle, tmp_path):
    class Stop(Exception):
        pass

    def stopping(done: int, total: int, doing: str) -> None:
        if done == 9:
            raise Stop

    plan = replace(PLAN, steps=12, every=4)
    with pytest.raises(Stop):
        finetuned(bundle, labelled(4), None, tmp_path, plan, stopping)
    steps: list[int] = []
    resumed = finetuned(bundle, labelled(4), None, tmp_path, plan, lambda done, total, doing: steps.append(done))
    assert steps == [9, 10, 11, 12]
    whole = finetuned(bundle, labelled(4), None, tmp_path / "whole", plan, silent)
    for a, b in zip(resumed.detector.network.parameters(), whole.detector.network.parameters()):
        torch.testing.assert_close(a, b)
    finished(tmp_path)
    assert not (tmp_path / CHECKPOINT).exists()


def test_another_label_begins_the_training_anew(bundle, tmp_path):
    plan, steps = replace(PLAN, steps=2), list[int]()
    finetuned(bundle, labelled(4), None, tmp_path, plan, silent)
    changed = [replace(one, version=2) for one in labelled(4)]
    finetuned(bundle, changed, None, tmp_path, plan, lambda done, total, doing: steps.append(done))
    assert steps == [1, 2]


def test_what_a_picture_was_for_once_it_is_for_ever(tmp_path):
    first = divided(labelled(6), tmp_path / SPLIT)
    second = divided(labelled(25), tmp_path / SPLIT)
    for before, after in zip(first, second):
        assert {one.name for one in before} <= {one.name for one in after}
    assert len(second[1]) == 5


def test_one_label_is_too_few(bundle, tmp_path):
    with pytest.raises(DataError, match="label two or more"):
        finetuned(bundle, labelled(1), None, tmp_path, PLAN, silent)


def test_landmarks_the_detector_does_not_know_teach_nothing(bundle, tmp_path):
    strange = [replace(one, keypoints=points()) for one in labelled(3)]
    assert finetuned(bundle, strange, None, tmp_path, replace(PLAN, steps=1), silent).validated == 1
