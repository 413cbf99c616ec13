"""A network learns from a set, goes on after being stopped, and is a bundle at the end."""

import csv
from dataclasses import replace

import pytest
import torch

from skiagraph.cli import main
from skiagraph.detect.bundle import read_bundle
from skiagraph.detect.losses import Likelihood
from skiagraph.detect.trunks import ResidualUNet
from skiagraph.errors import DataError, ModelError
from skiagraph.experiments.presets import HIP_AP
from skiagraph.factory.card import finish
from skiagraph.factory.making import begin, make_subject
from skiagraph.factory.order import Order
from skiagraph.factory.reading import SampleSet
from skiagraph.factory.recipe import Technique
from skiagraph.factory.subjects import parametric
from skiagraph.factory.variation import UNCHANGED
from skiagraph.tasks.task import silent
from skiagraph.train.batches import Diet
from skiagraph.train.course import CHECKPOINT, CURVES
from skiagraph.train.loop import Training, held_out, train, validate
from skiagraph.train.regimen import REGIMENS, SKIAGRAPH, SYNTHEX_NMI, Adam, Nesterov, regimen

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

TINY = replace(
    SKIAGRAPH, trunk=ResidualUNet((8, 16, 16), features=8), size=48, landmark_loss=Likelihood(1.5), steps=6, batch=4,
    optimiser=Adam(5e-3), average=0.5,
)  # fmt: skip


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> SampleSet:
    folder = tmp_path_factory.mktemp("set")
    recipe = replace(HIP_AP, technique=Technique("naive"), variation=UNCHANGED)
    order = Order(recipe, tuple(parametric(3, 0, 6.0)), 18, 48, 2, (0.34, 0.0), 6)
    begin(order, folder)
    for subject in range(3):
        make_subject(order, subject, folder)
    finish(order, folder)
    return SampleSet(folder)


def test_a_network_learns(samples, tmp_path):
    training = Training(replace(TINY, appearance=TINY.plain, steps=60), (samples,), tmp_path, workers=0, every=20)
    train(training, silent)
    rows = list(csv.DictReader((tmp_path / CURVES).open(encoding="utf-8")))
    assert [int(row["step"]) for row in rows] == [20, 40, 60]
    assert float(rows[-1]["landmarks"]) < 0.8 * float(rows[0]["landmarks"])
    assert float(rows[-1]["masks"]) < float(rows[0]["masks"])


def test_a_training_that_was_stopped_goes_on_where_it_was(samples, tmp_path):
    first = Training(replace(TINY, steps=4), (samples,), tmp_path, workers=0, every=4)
    train(first, silent)
    steps = []
    train(replace(first, regimen=TINY), lambda done, total, doing: steps.append(done))
    assert steps == [5, 6]
    again = train(replace(first, regimen=TINY), silent)
    kept = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert kept["step"] == 6
    torch.testing.assert_close(dict(again.state_dict())["often"], kept["mean"]["module.often"])


def test_the_same_seed_trains_the_same_network(samples, tmp_path):
    one, other = (train(Training(TINY, (samples,), tmp_path / name, workers=0), silent) for name in "ab")
    for a, b in zip(one.parameters(), other.parameters()):
        torch.testing.assert_close(a, b)


def test_another_networks_checkpoint_is_refused(samples, tmp_path):
    train(Training(replace(TINY, steps=1), (samples,), tmp_path, workers=0), silent)
    wider = replace(TINY, trunk=ResidualUNet((8, 16, 32), features=8))
    with pytest.raises(ModelError, match="another network"):
        train(Training(wider, (samples,), tmp_path, workers=0), silent)


def test_held_out_samples_are_the_same_every_time(samples, tmp_path):
    training = Training(TINY, (samples,), tmp_path, validated=6)
    one, other = held_out(training, TINY.appearance), held_out(training, TINY.appearance)
    assert all(torch.equal(a.pictures, b.pictures) for a, b in zip(one, other))
    assert len(validate(train(replace(training, workers=0), silent), one)) > 0


def test_workers_and_the_process_itself_deal_batches_of_the_asked_size(samples):
    diet = Diet((samples,), 32, 3, TINY.appearance)
    for workers in (0, 1):
        batch = next(iter(diet.batches("train", workers)))
        assert batch.pictures.shape == (3, 1, 32, 32) and batch.uv.shape == (3, 14, 2)


def test_every_regimen_fits_its_network():
    assert all(one.size % one.trunk.multiple == 0 for one in REGIMENS.values())
    with pytest.raises(DataError, match="multiples of 16"):
        replace(SYNTHEX_NMI, size=100)
    with pytest.raises(DataError, match="no regimen"):
        regimen("other")
    with pytest.raises(DataError, match="no appearance"):
        regimen("skiagraph", "wild")


def test_rates_are_the_published_ones():
    halved = Nesterov(0.1, 1e-4, halvings=14)
    assert (
        halved.rate(0.0) == 0.1 and halved.rate(2.5 / 30) == 0.05 and halved.rate(0.999) == pytest.approx(0.1 / 2**14)
    )
    risen = Adam(1e-3, rise=0.1)
    assert risen.rate(0.05) == pytest.approx(5e-4) and risen.rate(0.1) == pytest.approx(1e-3)
    assert risen.rate(1.0) == pytest.approx(1e-5)


def test_train_detect_and_evaluate_from_the_command_line(samples, tmp_path, capsys):
    bundle = tmp_path / "bundle"
    flags = ["--steps", "2", "--batch", "2", "--size", "64", "--workers", "0"]
    main(["train-detector", str(samples.folder), "--output", str(bundle), *flags])
    assert read_bundle(bundle).reading.landmarks == samples.landmarks
    page = tmp_path / "report.html"
    main(["evaluate", str(samples.folder), str(page), "--bundle", str(bundle), "--split", "val"])
    assert "mean error" in page.read_text(encoding="utf-8") and page.with_suffix(".json").is_file()
    capsys.readouterr()
