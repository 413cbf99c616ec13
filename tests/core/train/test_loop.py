"""A network learns from a set, goes on after being stopped, and is a bundle at the end."""

import csv
from dataclasses import replace

import pytest
import torch

from skiagraph.cli import main
from skiagraph.detect.bundle import read_bundle, write_bundle
from skiagraph.detect.detector import Detector, Reading
from skiagraph.detect.network import Network
from skiagraph.detect.trunks import ResidualUNet
from skiagraph.errors import DataError, ModelError
from skiagraph.tasks.task import silent
from skiagraph.train.batches import Diet
from skiagraph.train.course import CHECKPOINT, CURVES
from skiagraph.train.loop import Training, held_out, train, validate
from skiagraph.train.regimen import REGIMENS, SYNTHEX_NMI, Adam, Nesterov, regimen

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def test_a_network_learns(samples, tiny, tmp_path):
    training = Training(replace(tiny, appearance=tiny.plain, steps=60), (samples,), tmp_path, workers=0, every=20)
    train(training, silent)
    rows = list(csv.DictReader((tmp_path / CURVES).open(encoding="utf-8")))
    assert [int(row["step"]) for row in rows] == [20, 40, 60]
    assert float(rows[-1]["landmarks"]) < 0.8 * float(rows[0]["landmarks"])
    assert float(rows[-1]["masks"]) < float(rows[0]["masks"])


def test_a_training_that_was_stopped_goes_on_where_it_was(samples, tiny, tmp_path):
    first = Training(replace(tiny, steps=4), (samples,), tmp_path, workers=0, every=4)
    train(first, silent)
    steps = []
    train(replace(first, regimen=tiny), lambda done, total, doing: steps.append(done))
    assert steps == [5, 6]
    again = train(replace(first, regimen=tiny), silent)
    kept = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert kept["step"] == 6
    torch.testing.assert_close(dict(again.state_dict())["often"], kept["mean"]["module.often"])


def test_a_training_that_was_stopped_ends_with_the_same_bits(samples, tiny, tmp_path):
    whole = train(Training(tiny, (samples,), tmp_path / "whole", workers=0, every=3), silent)

    def tired(done: int, total: int, doing: str) -> None:
        if done == 5:
            raise KeyboardInterrupt

    parts = Training(tiny, (samples,), tmp_path / "parts", workers=0, every=3)
    with pytest.raises(KeyboardInterrupt):
        train(parts, tired)
    pieced = train(parts, silent)
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), pieced.state_dict().values()))


def test_the_same_seed_trains_the_same_network(samples, tiny, tmp_path):
    one, other = (train(Training(tiny, (samples,), tmp_path / name, workers=0), silent) for name in "ab")
    for a, b in zip(one.parameters(), other.parameters()):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("same", [True, False])
def test_a_training_begins_with_a_bundle_or_with_its_trunk_if_that_finds_other_things(samples, tiny, tmp_path, same):
    names = samples.landmarks if same else ("tip", "tail")
    network = Network(tiny.trunk, tiny.landmark_loss, tiny.size, len(names), len(samples.structures))
    write_bundle(tmp_path / "first", Detector(network, Reading(names, samples.structures, tiny.size)), tiny.trunk)
    still = replace(tiny, optimiser=Adam(0.0), average=0.0, steps=1)
    second = train(Training(still, (samples,), tmp_path / "second", workers=0, start=tmp_path / "first"), silent)
    for a, b in zip(second.trunk.parameters(), network.trunk.parameters()):
        assert torch.equal(a, b)
    assert torch.equal(second.structures.weight, network.structures.weight) == same


def test_a_training_begins_with_no_bundle_of_another_trunk(samples, tiny, tmp_path):
    trunk = ResidualUNet((8, 24, 24), features=8)
    network = Network(trunk, tiny.landmark_loss, tiny.size, 1, 1)
    write_bundle(tmp_path / "first", Detector(network, Reading(("tip",), ("tool",), tiny.size)), trunk)
    with pytest.raises(ModelError, match="give a checkpoint or a bundle of the same trunk"):
        train(Training(tiny, (samples,), tmp_path / "second", workers=0, start=tmp_path / "first"), silent)


def test_another_networks_checkpoint_is_refused(samples, tiny, tmp_path):
    train(Training(replace(tiny, steps=1), (samples,), tmp_path, workers=0), silent)
    wider = replace(tiny, trunk=ResidualUNet((8, 16, 32), features=8))
    with pytest.raises(ModelError, match="another network"):
        train(Training(wider, (samples,), tmp_path, workers=0), silent)


def test_held_out_samples_are_the_same_every_time(samples, tiny, tmp_path):
    training = Training(tiny, (samples,), tmp_path, validated=6)
    one, other = held_out(training, tiny.appearance), held_out(training, tiny.appearance)
    assert all(torch.equal(a.pictures, b.pictures) for a, b in zip(one, other))
    assert len(validate(train(replace(training, workers=0), silent), one)) > 0


def test_workers_and_the_process_itself_deal_batches_of_the_asked_size(samples, tiny):
    diet = Diet((samples,), 32, 3, tiny.appearance)
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
