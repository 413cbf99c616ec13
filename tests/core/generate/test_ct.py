"""A CT generator is trained, goes on after being stopped, is a bundle at the end, and makes annotated CTs."""

import shutil
from dataclasses import replace

import pytest
import torch

from skiagraph.cli import main
from skiagraph.errors import DataError, ModelError
from skiagraph.factory.subjects import people
from skiagraph.generate.autoencoder import Coder
from skiagraph.generate.bundle import read_generator, write_generator
from skiagraph.generate.ct import CtGenerator, Drift
from skiagraph.generate.flow import Latents
from skiagraph.generate.frame import Frame
from skiagraph.generate.traits import Traits
from skiagraph.tasks import train_ct_diffusion
from skiagraph.tasks.task import silent
from skiagraph.tasks.train_ct_diffusion import Size, TrainCtDiffusion
from skiagraph.train.ct_coder import CoderRegimen
from skiagraph.train.ct_drift import DriftRegimen

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

TINY = Size(
    Frame(6.0, multiple=8),
    CoderRegimen(Coder((8, 12), latent=4), block=16, steps=4),
    DriftRegimen(Drift((16, 32), (False, True), context=16), batch=2, steps=4),
)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(train_ct_diffusion.SIZES, "cpu", TINY)


def trained(folder, **other):
    return TrainCtDiffusion(folder, ("parametric:3",), workers=1, every=2, **other)


def generator() -> CtGenerator:
    torch.manual_seed(0)
    coder, drift = Coder((8, 12), latent=4), Drift((16, 32), (False, True), context=16)
    latents = Latents((0.0,) * 4, (1.0,) * 4)
    network = drift.build(4).eval()
    for weights in network.parameters():  # MONAI's last layer begins with zeros
        torch.nn.init.normal_(weights, std=0.05)
    return CtGenerator(coder.build().eval(), network, latents, Frame(6.0, multiple=8), coder, {}, steps=3)


class Stopped(Exception):
    """Somebody stops a training."""


@pytest.mark.usefixtures("tiny")
def test_a_training_that_was_stopped_ends_with_the_weights_of_one_that_was_not(tmp_path):
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    trained(whole).run(silent)
    shutil.copytree(whole / "bodies", halves / "bodies")
    made = {path: path.stat().st_mtime_ns for path in (halves / "bodies").iterdir()}
    losses = 0

    def stop_in_each_half(done: int, total: int, doing: str) -> None:
        nonlocal losses
        losses += doing.startswith("loss")
        if losses in (3, 8):
            losses += 1
            raise Stopped

    for _ in range(2):
        with pytest.raises(Stopped):
            trained(halves).run(stop_in_each_half)
    trained(halves).run(silent)
    assert all(
        torch.equal(a, b)
        for part in ("coder", "drift")
        for a, b in zip(
            getattr(read_generator(whole), part).parameters(), getattr(read_generator(halves), part).parameters()
        )
    )
    assert made == {path: path.stat().st_mtime_ns for path in (halves / "bodies").iterdir()}  # made once
    assert (halves / "coder" / "curves.csv").read_text(encoding="utf-8").count("\n") == 3


@pytest.mark.usefixtures("tiny")
def test_one_body_is_too_few(tmp_path):
    with pytest.raises(DataError, match="give at least two"):
        replace(trained(tmp_path), bodies=("parametric:1",)).run(silent)


def test_a_bundle_read_back_generates_the_same(tmp_path):
    made = generator()
    write_generator(tmp_path, made, Drift((16, 32), (False, True), context=16))
    again = read_generator(tmp_path)
    assert again.at(guidance=2.0).guidance == 2.0 and again.at().steps == 3
    hu, index = made(Traits(), torch.Generator().manual_seed(3), lambda done, total: None)
    hu_again, index_again = again(Traits(), torch.Generator().manual_seed(3), lambda done, total: None)
    assert hu.shape == index.shape == made.frame.shape
    assert float((hu - hu_again).abs().mean()) < 20  # weights of 8 bits
    assert float((index == index_again).float().mean()) > 0.95


def test_a_weight_read_back_is_off_by_no_more_than_half_a_step(tmp_path):
    made = generator()
    write_generator(tmp_path, made, Drift((16, 32), (False, True), context=16))
    again = read_generator(tmp_path).drift.state_dict()
    for name, weight in made.drift.state_dict().items():
        if weight.ndim > 1:
            flat, read = weight.flatten(1), again[name].flatten(1)
            assert bool(((flat - read).abs() <= flat.abs().amax(1, keepdim=True) / 127 * 0.501).all())
        else:
            assert torch.allclose(weight, again[name], atol=1e-3)


@pytest.mark.usefixtures("tiny")
def test_a_training_that_begins_with_a_bundle_keeps_its_autoencoder_and_goes_on_with_its_flow(tmp_path):
    write_generator(tmp_path / "first", generator(), Drift((16, 32), (False, True), context=16))
    trained(tmp_path / "second", start=tmp_path / "first", drift_steps=2).run(silent)
    first, second = read_generator(tmp_path / "first"), read_generator(tmp_path / "second")
    assert not (tmp_path / "second" / "coder").exists()
    assert first.latents == second.latents
    parts = zip(first.coder.parameters(), second.coder.parameters())
    assert all(torch.allclose(one, other, atol=1e-3) for one, other in parts)
    moved = [(a - b).abs().max() for a, b in zip(first.drift.parameters(), second.drift.parameters())]
    assert 0 < float(torch.stack(moved).max()) < 0.01


def test_the_same_seed_is_the_same_body_and_another_is_another():
    made, nothing = generator(), lambda done, total: None
    one, same, other = (made(Traits(tilt=5.0), torch.Generator().manual_seed(n), nothing)[0] for n in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_labels_may_be_given():
    made, nothing = generator(), lambda done, total: None
    labels = torch.zeros(made.frame.shape, dtype=torch.uint8)
    labels[:, :, :5] = 2
    free, bound = (made(Traits(), torch.Generator().manual_seed(1), nothing, given)[0] for given in (None, labels))
    assert not torch.equal(free, bound)


def test_an_untrained_generator_says_that_nothing_it_makes_is_a_body(tmp_path, capsys):
    write_generator(tmp_path / "bundle", generator(), Drift((16, 32), (False, True), context=16))
    with pytest.raises(ModelError, match="none of 2 bodies holds together"):
        read_generator(tmp_path / "bundle").body(Traits(), torch.Generator().manual_seed(0), lambda d, t: None, tries=2)
    command = ["generate-ct", str(tmp_path / "ct.nii.gz"), "--bundle", str(tmp_path / "bundle"), "--tries", "1"]
    with pytest.raises(SystemExit):
        main(command)
    assert "holds together" in capsys.readouterr().err.replace("\n", " ")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_ct_goes_into_a_file_for_volumes(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["generate-ct", str(tmp_path / "ct.png")])
    assert "end it in one of .nii.gz" in capsys.readouterr().err.replace("\n", " ")


def test_what_is_no_bundle_says_so(tmp_path):
    with pytest.raises(DataError, match="a CT generator's bundle"):
        read_generator(tmp_path)


def test_generated_bodies_are_asked_for_by_their_number():
    with pytest.raises(DataError, match="generated:200"):
        people("generated:some", 0)
