"""Detectors are adapted to real X-rays without labels, never to those they are measured on, and go on to the bit."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from skiagraph.cli import main
from skiagraph.detect.bundle import read_bundle
from skiagraph.detect.detector import Detector, Reading
from skiagraph.detect.network import Network
from skiagraph.domain.adda import Narrow, Reconstructor, Strided
from skiagraph.domain.cyclegan import PatchGan, ResNetGenerator, Translated
from skiagraph.errors import DataError, ModelError
from skiagraph.tasks.task import silent
from skiagraph.train import adapt
from skiagraph.train.adapt import ADAPTATIONS, adaptation
from skiagraph.train.adda import ADDA, ADDA_NMI, ADDA_PREPRINT
from skiagraph.train.adda import HOME as ADDA_HOME
from skiagraph.train.course import CURVES
from skiagraph.train.cyclegan import HOME as GAN_HOME
from skiagraph.train.cyclegan import CycleGan
from skiagraph.train.loop import Training, losses_of, train
from skiagraph.train.regimen import Nesterov
from skiagraph.train.unlabelled import pieces, read_unlabelled

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

GAN = CycleGan(ResNetGenerator(1, 4), PatchGan(4), steps=4, piece=32, batch=2, pool=3)
SMALL = {"discriminator": Strided((4, 8)), "reconstructor": Reconstructor((4, 8)), "steps": 4}
ENCODER = replace(ADDA, **SMALL)
PREPRINT = replace(ADDA_PREPRINT, **SMALL)
RELEASED = replace(ADDA_NMI, discriminator=Narrow((4,)), turns=(2, 1), steps=4, optimiser=Nesterov(1e-3, 1e-4))


def picture(seed: int, size: tuple[int, int] = (70, 90)) -> np.ndarray:
    draw = np.random.default_rng(seed)
    coarse = Image.fromarray(draw.integers(0, 255, (7, 9)).astype(np.uint8)).resize(
        size[::-1], Image.Resampling.BICUBIC
    )
    return np.asarray(coarse)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("real")
    for n in range(4):
        Image.fromarray(picture(n)).save(home / f"xray-{n}.png")
    return home


@pytest.fixture(scope="module")
def real(folder):
    return read_unlabelled([folder], 48)


def stopped_at(step: int) -> Callable[[int, int, str], None]:
    def report(done: int, total: int, doing: str) -> None:
        if done == step and doing.startswith(("translator", "adapting")):
            raise KeyboardInterrupt

    return report


@pytest.mark.parametrize("way", [GAN, ENCODER, PREPRINT, RELEASED])
def test_an_adaptation_that_was_stopped_ends_with_the_same_bits(way, samples, tiny, real, tmp_path):
    regimen = replace(tiny, steps=2, average=0.0)
    whole = Training(regimen, (samples,), tmp_path / "whole", workers=0, every=2, validated=4)
    parts = replace(whole, folder=tmp_path / "parts")
    expected, _ = way(whole, real, silent)
    with pytest.raises(KeyboardInterrupt):
        way(parts, real, stopped_at(3))
    pieced, _ = way(parts, real, silent)
    assert all(torch.equal(a, b) for a, b in zip(expected.state_dict().values(), pieced.state_dict().values()))
    home = tmp_path / "whole" / (GAN_HOME if way is GAN else ADDA_HOME)
    assert [row["step"] for row in csv.DictReader((home / CURVES).open(encoding="utf-8"))] == ["2", "4"]


def test_adda_of_the_encoder_leaves_what_decodes_as_it_was(samples, tiny, real, tmp_path):
    training = Training(replace(tiny, average=0.0), (samples,), tmp_path, workers=0, validated=4)
    before = train(training, silent)
    after, _ = ENCODER(training, real, silent)
    still = {id(p) for part in tiny.trunk.decoder(after.trunk) for p in part.state_dict(keep_vars=True).values()}
    changed = {
        name
        for (name, new), old in zip(after.state_dict(keep_vars=True).items(), before.state_dict().values())
        if not torch.equal(new, old)
    }
    kept = {name for name, one in after.state_dict(keep_vars=True).items() if id(one) in still}
    heads = {name for name in after.state_dict() if not name.startswith("trunk.")}
    assert kept and heads and changed and not changed & (kept | heads)
    assert any(name.startswith("trunk.model.0.") for name in changed)


def test_the_papers_adda_moves_all_of_the_network(samples, tiny, real, tmp_path):
    training = Training(replace(tiny, average=0.0), (samples,), tmp_path, workers=0, validated=4)
    before = train(training, silent)
    after, _ = PREPRINT(training, real, silent)
    assert all(
        not torch.equal(a, b) for a, b in zip(after.trunk.parameters(), before.trunk.parameters()) if a.dim() > 1
    )


def test_every_trunk_knows_what_it_decodes_with(tiny, samples, tmp_path):
    from skiagraph.detect.trunks import ResidualUNet, SwinUNet, ViTUNet

    for trunk, size in ((ResidualUNet(), 64), (SwinUNet(12, (1, 1, 1, 1)), 64), (ViTUNet(8, 24, 2, 48), 32)):
        built = trunk.build(size)
        part = sum(p.numel() for one in trunk.decoder(built) for p in one.parameters())
        assert 0 < part < sum(p.numel() for p in built.parameters())


def test_a_detector_learns_from_translated_pictures(samples, tiny, real, tmp_path):
    training = Training(replace(tiny, steps=2), (samples,), tmp_path, workers=0, validated=4)
    _, seen = GAN(training, real, silent)
    for looks in (seen.regimen.appearance, seen.regimen.plain):
        assert any(isinstance(effect, Translated) for effect in looks.effects)


def test_a_detector_of_untranslated_pictures_is_not_taken_for_one_of_translated_ones(samples, tiny, real, tmp_path):
    training = Training(replace(tiny, steps=1), (samples,), tmp_path, workers=0, validated=4)
    train(training, silent)
    with pytest.raises(DataError, match="untranslated pictures"):
        GAN(training, real, silent)


def test_another_translators_checkpoint_is_refused(samples, tiny, real, tmp_path):
    training = Training(replace(tiny, steps=1), (samples,), tmp_path, workers=0, validated=4)
    GAN(training, real, silent)
    with pytest.raises(ModelError, match="another translator"):
        replace(GAN, generator=ResNetGenerator(2, 4))(training, real, silent)
    ENCODER(training, real, silent)
    with pytest.raises(ModelError, match="another adaptation"):
        replace(ENCODER, discriminator=Strided((4, 4)))(training, real, silent)


def test_a_picture_to_be_measured_on_is_left_out_whatever_it_is_called(folder, tmp_path):
    measured = tmp_path / "measured"
    measured.mkdir()
    half = Image.fromarray(255 - picture(2)).resize((60, 46), Image.Resampling.LANCZOS)
    half.save(measured / "other.jpg", quality=80)
    found = read_unlabelled([folder], 48, [measured])
    assert found.left_out == ("xray-2",) and found.names == ("xray-0", "xray-1", "xray-3")
    with pytest.raises(DataError, match="all are kept out"):
        read_unlabelled([folder], 48, [folder])


def test_pictures_with_landmarks_beside_them_are_left_out_under_any_name(tmp_path):
    for name, seed in (("a", 0), ("b", 1), ("again", 0)):
        Image.fromarray(picture(seed)).save(tmp_path / f"{name}.png")
    (tmp_path / "a.json").write_text(json.dumps({"FH-l": [10, 10]}), encoding="utf-8")
    found = read_unlabelled([tmp_path], 32)
    assert found.names == ("b",) and found.left_out == ("a", "again")


def test_bad_folders_are_one_clear_error_and_broken_pictures_a_note(folder, tmp_path, caplog):
    with pytest.raises(DataError, match="nothing at"):
        read_unlabelled([tmp_path / "gone"], 48)
    with pytest.raises(DataError, match="holds no X-rays"):
        read_unlabelled([tmp_path], 48)
    (tmp_path / "cut.png").write_bytes((folder / "xray-0.png").read_bytes()[:200])
    with pytest.raises(DataError, match="none of 1 X-rays can be read"):
        read_unlabelled([tmp_path], 48)
    with pytest.raises(DataError, match="cannot read"):
        read_unlabelled([folder], 48, [tmp_path])
    Image.fromarray(picture(7)).save(tmp_path / "whole.png")
    assert read_unlabelled([tmp_path], 48).names == ("whole",) and "cut.png" in caplog.text


def test_real_pictures_come_in_the_size_and_range_that_is_wanted(real, rng):
    cut = real.pieces(32, rng, 5)
    assert cut.shape == (5, 1, 32, 32) and float(cut.min()) >= 0 and float(cut.max()) <= 1
    assert real.framed(48, rng, 3).shape == (3, 1, 48, 48)
    with pytest.raises(DataError, match="give larger pictures"):
        pieces(cut, 40, rng)


def test_adaptations_have_names():
    assert adaptation("adda-nmi", 7) == replace(ADDA_NMI, steps=7) and {"cyclegan", "adda"} <= set(ADAPTATIONS)
    with pytest.raises(DataError, match="no adaptation"):
        adaptation("other")


def test_real_xrays_without_a_way_to_adapt_are_an_error(samples, folder, tmp_path, capsys):
    flags = ["train-detector", str(samples.folder), "--output", str(tmp_path / "x"), "--steps", "1", "--size", "64"]
    for more in (["--real", str(folder)], ["--adapt", "adda"], ["--adapt", "adda", "--real", str(tmp_path / "gone")]):
        with pytest.raises(SystemExit):
            main([*flags, *more])
        assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_detector_is_adapted_from_the_command_line_and_says_to_what(samples, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(adapt, "CALIBRATING", 4)
    flags = ["--steps", "1", "--batch", "2", "--size", "64", "--workers", "0", "--adapt", "adda", "--adapt-steps", "2"]
    main(["train-detector", str(samples.folder), "--output", str(tmp_path), *flags, "--real", str(folder)])
    said = json.loads((tmp_path / "adapted_to.json").read_text(encoding="utf-8"))
    assert said == {"used": [f"xray-{n}" for n in range(4)], "left_out": []}
    assert read_bundle(tmp_path).reading.size == 64 and (tmp_path / ADDA_HOME / CURVES).is_file()
    capsys.readouterr()


def test_a_network_that_looks_for_no_landmarks_learns_masks(samples, tiny):
    training = Training(tiny, (samples,), samples.folder)
    network = Network(tiny.trunk, tiny.landmark_loss, 48, 0, len(samples.structures))
    batch = next(iter(training.diet.batches("train", 0)))
    bare = replace(batch, uv=batch.uv[:, :0], visible=batch.visible[:, :0], landmarks=())
    losses = losses_of(tiny, network(bare.pictures), bare)
    assert losses[:2].tolist() == [0, 0] and float(losses[2]) > 0
    found = Detector(network, Reading((), samples.structures, 48))(batch.pictures[0, 0])
    assert found.keypoints.names == () and len(found.masks) == len(samples.structures)
