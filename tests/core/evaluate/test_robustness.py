import torch

from skiagraph.detect.averaged import Look
from skiagraph.detect.detector import Findings
from skiagraph.evaluate.cases import Known
from skiagraph.evaluate.robustness import SWEEPS, Cropped, Inverted, Put, Sweep, swept
from skiagraph.geometry import float64
from skiagraph.volume import Keypoints

NAMES = ("left_femoral_head", "right_femoral_head")


def brightest(picture: torch.Tensor) -> Findings:
    """Finds one bright dot, where it is."""
    v, u = divmod(int(picture.argmax()), picture.shape[1])
    keypoints = Keypoints(NAMES, float64([[u, v], [0, 0]]), torch.tensor([True, False]))
    return Findings(keypoints, torch.tensor([0.9, 0.1]), torch.zeros(0, *picture.shape, dtype=torch.bool), ())


def known() -> Known:
    v, u = torch.meshgrid(torch.arange(60.0), torch.arange(80.0), indexing="ij")
    truth = Keypoints(NAMES, float64([[55, 20], [-5, 9]]), torch.tensor([True, False]))
    picture = torch.exp(-((u - 55) ** 2 + (v - 20) ** 2) / 40)
    return Known("a", "a", picture, truth, 2.0, torch.zeros(0, 60, 80, dtype=torch.bool), ())


def test_what_is_no_change_is_no_error_and_every_level_is_there(rng):
    steps = swept(brightest, [known()], rng)
    assert [(one.sweep, one.level) for one in steps] == [(s.name, level) for s in SWEEPS for level, _ in s.steps]
    assert all(one.mean == 0 and one.recall == 1 for one in steps if one.level == 1 and one.sweep == "Gamma")


def test_truth_moves_with_the_picture_and_millimetres_with_its_scale(rng):
    for look in (Look(turn=20.0), Look(scale=1.3), Look(scale=0.7, shift=(0.1, 0.0))):
        moved = Put(look)(known(), rng)
        away = brightest(moved.picture).keypoints.uv[0] - moved.truth.uv[0]
        assert float(away.norm()) < 1.0 and moved.millimetres == 2.0 / look.scale


def test_what_is_cropped_away_is_absent(rng):
    kept, gone = Cropped(0.1)(known(), rng), Cropped(0.35)(known(), rng)
    assert kept.picture.shape == (48, 64) and kept.truth.visible.tolist() == [True, False]
    assert brightest(kept.picture).keypoints.uv[0].tolist() == kept.truth.uv[0].tolist()
    assert not gone.truth.visible.any()


def test_a_negative_is_the_worst_for_who_looks_for_what_is_bright(rng):
    steps = swept(brightest, [known()], rng, (Sweep("Inversion", "", ((0.0, None), (1.0, Inverted()))),))
    assert steps[0].mean == 0 and steps[1].mean > 20
