"""An X-ray generator is trained, goes on after being stopped, is a bundle at the end, and makes labelled X-rays."""

import json
from dataclasses import replace

import pytest
import torch
from support_xray import PerfectGenerator, made

from skiagraph.anatomy import LANDMARK_NAMES, STRUCTURE_NAMES, opposite
from skiagraph.cli import main
from skiagraph.detect.averaged import Consensus
from skiagraph.detect.detector import Findings
from skiagraph.detect.pose import Exposure
from skiagraph.errors import DataError, ModelError
from skiagraph.experiments.presets import HIP_VIEWS
from skiagraph.factory.reading import SampleSet
from skiagraph.factory.xrays import drawn_view, mean_pelvis, transmission
from skiagraph.generate import xray_bundle
from skiagraph.generate.flow import Latents
from skiagraph.generate.wanted import Wanted
from skiagraph.generate.xray import XrayDrift, XrayGenerator
from skiagraph.generate.xray_bundle import read_xray_generator, write_xray_generator
from skiagraph.generate.xray_coder import XrayCoder
from skiagraph.geometry import float64, rigid
from skiagraph.io.markups import read_keypoints
from skiagraph.io.records import read_record
from skiagraph.tasks import generate_xray, make_samples, train_xray_diffusion
from skiagraph.tasks.task import silent
from skiagraph.tasks.train_xray_diffusion import TrainXrayDiffusion, XraySize
from skiagraph.train.album import Album, album_of, kept_album
from skiagraph.train.believed import Believed, believed
from skiagraph.train.selftaught import SelfTaught
from skiagraph.train.unlabelled import Unlabelled
from skiagraph.train.xray_coder import XrayCoderRegimen
from skiagraph.train.xray_drift import XrayDriftRegimen
from skiagraph.volume import Keypoints

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

CODER, DRIFT = XrayCoder((8, 8, 8), latent=4), XrayDrift((16, 32), (False, True), layers=1, context=8)
TINY = XraySize(
    48, XrayCoderRegimen(CODER, piece=24, batch=2, steps=4), XrayDriftRegimen(DRIFT, batch=2, steps=4, alone=0.2)
)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(train_xray_diffusion.XRAY_SIZES, "cpu", TINY)


@pytest.fixture(scope="module")
def album(samples) -> Album:
    return album_of(samples, "train", 48, silent)


@pytest.fixture(scope="module")
def untrained() -> XrayGenerator:
    torch.manual_seed(0)
    return XrayGenerator(
        CODER.build().eval(), DRIFT.build(4).eval(), Latents((0.0,) * 4, (1.0,) * 4, 2), CODER, 48, steps=3
    )


class Stopped(Exception):
    """Somebody stops a training."""


@pytest.mark.usefixtures("small")
def test_a_training_that_was_stopped_ends_with_the_weights_of_one_that_was_not(tmp_path, samples):
    whole, halves = (TrainXrayDiffusion(tmp_path / name, (samples.folder,), every=2) for name in ("whole", "halves"))
    whole.run(silent)
    losses = 0

    def stop_in_each_half(done: int, total: int, doing: str) -> None:
        nonlocal losses
        losses += doing.startswith("loss")
        if losses in (3, 8):
            losses += 1
            raise Stopped

    for _ in range(2):
        with pytest.raises(Stopped):
            halves.run(stop_in_each_half)
    halves.run(silent)
    one, other = read_xray_generator(whole.output), read_xray_generator(halves.output)
    assert all(
        torch.equal(a, b)
        for part in ("coder", "drift")
        for a, b in zip(getattr(one, part).parameters(), getattr(other, part).parameters())
    )
    split = json.loads((whole.output / "configs/split.json").read_text(encoding="utf-8"))
    assert len(split["learned"]) == 2 and len(split["held"]) == 1 and not {*split["learned"]} & {*split["held"]}


@pytest.mark.usefixtures("small")
def test_a_body_that_is_left_out_is_not_learned_and_a_generator_can_begin_with_another(tmp_path, samples):
    first = TrainXrayDiffusion(tmp_path / "first", (samples.folder,), every=4)
    first.run(silent)
    someone = next(iter(json.loads((tmp_path / "first/configs/split.json").read_text(encoding="utf-8"))["learned"]))
    second = replace(first, output=tmp_path / "second", start=first.output, leave_out=(someone,))
    second.run(silent)
    split = json.loads((tmp_path / "second/configs/split.json").read_text(encoding="utf-8"))
    assert someone in split["left_out"] and someone not in split["learned"]
    before, after = read_xray_generator(first.output), read_xray_generator(second.output)
    assert all(torch.equal(a, b) for a, b in zip(before.coder.parameters(), after.coder.parameters()))
    assert not (tmp_path / "second/coder").exists()


def test_an_album_is_made_once_and_again_when_the_set_is_another(tmp_path, samples, album):
    path = tmp_path / "album.safetensors"
    made = kept_album(path, samples, "train", 48, silent)
    stamp = path.stat().st_mtime_ns
    again = kept_album(path, samples, "train", 48, silent)
    assert path.stat().st_mtime_ns == stamp and torch.equal(made.pictures, again.pictures)
    assert torch.equal(made.pictures, album.pictures) and made.names == again.names
    kept_album(path, samples, "val", 48, silent)
    assert path.stat().st_mtime_ns != stamp


def test_views_are_in_the_axes_of_the_pelvis_that_is_seen(album):
    middle = album.views.project(torch.zeros(1, 3, dtype=torch.float64))[:, 0]
    heads = album.uv[:, :2].mean(dim=1)
    assert float((middle - heads).norm(dim=-1).max()) < 1.5
    expected = album.views.project(mean_pelvis().landmarks.subset(LANDMARK_NAMES).points)
    assert float((expected - album.uv).norm(dim=-1).median()) < 2.5  # pixels of 48: people differ


def test_in_the_mirror_left_is_right_and_the_view_still_projects_the_labels(album):
    mirror = album.mirrored()
    twice = mirror.mirrored()
    assert torch.equal(twice.pictures, album.pictures) and torch.equal(twice.bits, album.bits)
    assert torch.allclose(twice.uv, album.uv) and torch.allclose(twice.origin, album.origin)
    left, right = (STRUCTURE_NAMES.index(name) for name in ("left_femur", "right_femur"))
    assert torch.equal(mirror.masks(slice(0, 2))[:, left], album.masks(slice(0, 2))[:, right].flip(-1))
    points = mean_pelvis().landmarks.subset(LANDMARK_NAMES).points
    order = [LANDMARK_NAMES.index(opposite(name)) for name in LANDMARK_NAMES]
    other_body = (points * torch.tensor([-1.0, 1.0, 1.0]))[order]
    there = album.views.project(points)[:, order]
    here = mirror.views.project(other_body)
    assert torch.allclose(here[..., 0], 47 - there[..., 0]) and torch.allclose(here[..., 1], there[..., 1])


def test_a_set_without_a_pelvis_is_refused(samples, monkeypatch):
    monkeypatch.setattr(SampleSet, "landmarks", ("base", "tip"))
    with pytest.raises(DataError, match="hip task"):
        album_of(samples, "train", 48, silent)


@pytest.mark.parametrize("largest", ["15MB", "60KB"])
def test_a_bundle_read_back_makes_the_same_and_diffusers_reads_its_network(tmp_path, untrained, largest, monkeypatch):
    from diffusers.models.unets.unet_2d import UNet2DModel

    monkeypatch.setattr(xray_bundle, "LARGEST", largest)
    write_xray_generator(tmp_path, untrained, DRIFT)
    again = read_xray_generator(tmp_path).at(guidance=2.0)
    assert again.guidance == 2.0 and again.steps == 3
    assert (len(list(tmp_path.rglob("*.safetensors"))) > 2) == (largest != "15MB")
    wanted = [Wanted(drawn_view(HIP_VIEWS, 48, 0, 0))]
    one, other = (
        made(wanted, [torch.Generator().manual_seed(3)], lambda done, total: None)[0].picture
        for made in (untrained.at(guidance=2.0), again)
    )
    assert float((one - other).abs().mean()) < 0.01  # weights of 16 bits
    theirs = UNet2DModel.from_pretrained(tmp_path / "models/unet", low_cpu_mem_usage=False)
    assert all(torch.equal(a, b) for a, b in zip(theirs.float().parameters(), again.drift.unet.parameters()))


def test_the_same_seed_is_the_same_x_ray_and_any_part_may_be_given(untrained):
    view = drawn_view(HIP_VIEWS, 48, 0, 0)
    masks = torch.zeros(6, 48, 48, dtype=torch.bool)
    masks[4, 30:, 30:] = True
    points, drr = mean_pelvis().landmarks.seen_from(view), torch.linspace(0, 1, 48).expand(48, 48)
    wishes = [
        Wanted(view, a, b, c) for a in (None, masks) for b in (None, points) for c in (None, drr)
    ]  # fmt: skip
    nothing = lambda done, total: None  # noqa: E731
    made = untrained(wishes, [torch.Generator().manual_seed(1) for _ in wishes], nothing)
    again = untrained(wishes, [torch.Generator().manual_seed(1) for _ in wishes], nothing)
    assert all(torch.equal(a.picture, b.picture) for a, b in zip(made, again))
    assert len({tuple(one.picture.flatten().tolist()) for one in made}) == len(wishes)
    other = untrained(wishes[:1], [torch.Generator().manual_seed(2)], nothing)[0]
    assert not torch.equal(other.picture, made[0].picture)


def test_an_untrained_generator_says_that_nothing_it_makes_holds_together(tmp_path, untrained, capsys):
    write_xray_generator(tmp_path / "bundle", untrained, DRIFT)
    with pytest.raises(SystemExit):
        main(["generate-xray", str(tmp_path / "out"), "--bundle", str(tmp_path / "bundle"), "--n", "2", "--tries", "1"])
    assert "holds together" in capsys.readouterr().err.replace("\n", " ")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_generators_x_rays_are_written_as_our_other_commands_read_them(tmp_path, monkeypatch):
    perfect = PerfectGenerator(64, failing=1)
    monkeypatch.setattr(generate_xray, "read_xray_generator", lambda folder: perfect)
    folder = tmp_path / "out"
    main(["generate-xray", str(folder), "--bundle", str(tmp_path), "--view", "inlet", "--n", "3", "--seed", "4"])
    said = json.loads((folder / "generated.json").read_text(encoding="utf-8"))
    assert said["kept"] == 3 and said["rejected"] == 3 and said["given_up"] == 0
    record = read_record(folder / "00001.json")
    assert record.extra["asked"]["secondary"] == pytest.approx(25, abs=0.1)
    assert record.extra["turned"] < 3
    points = read_keypoints(folder / "00001.mrk.json", record.view)
    assert torch.allclose(points.uv[points.visible], record.keypoints.uv[record.keypoints.visible], atol=1e-3)
    assert {path.stem for path in (folder / "00001_masks").iterdir()} == {*STRUCTURE_NAMES}
    assert (folder / "contact_sheet.png").is_file() and (folder / "run.json").is_file()


def test_a_set_of_generated_x_rays_is_read_like_any_other(tmp_path, monkeypatch, untrained):
    write_xray_generator(tmp_path / "bundle", untrained, DRIFT)
    monkeypatch.setattr(make_samples, "read_xray_generator", lambda folder: PerfectGenerator(64))
    command = ["make-samples", "--output", str(tmp_path / "set"), "--source", "xray-diffusion", "--count", "5"]
    command += ["--preset", "hip-views", "--bundle", str(tmp_path / "bundle")]
    main(command)
    made = SampleSet(tmp_path / "set")
    takens = list(made.samples())
    assert len(takens) == 5 and made.landmarks == LANDMARK_NAMES and made.size == 64
    picture = PerfectGenerator.picture(takens[0].sample.view)
    assert torch.allclose(takens[0].sample.image, transmission(picture), atol=1e-3)
    assert "weights" in made.card["sources"][0]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "set").glob("*.tar")}
    main(command)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "set").glob("*.tar")}


def test_generated_x_rays_are_of_no_bodies(tmp_path):
    task = make_samples.MakeSamples(tmp_path, source="xray-diffusion", bodies=("shape:2",))
    with pytest.raises(DataError, match="of nobody"):
        task.run(silent)
    with pytest.raises(DataError, match="give both or neither"):
        make_samples.MakeSamples(tmp_path, bundle=tmp_path).run(silent)


def test_nothing_to_learn_from_says_so(tmp_path):
    with pytest.raises(DataError, match="with 0 sets"):
        TrainXrayDiffusion(tmp_path).run(silent)


def test_what_is_no_bundle_says_so(tmp_path, untrained):
    with pytest.raises(DataError, match="an X-ray generator's bundle"):
        read_xray_generator(tmp_path)
    write_xray_generator(tmp_path, untrained, DRIFT)
    config = json.loads((tmp_path / "configs/inference.json").read_text(encoding="utf-8"))
    config["drift"]["layers"] = 2
    (tmp_path / "configs/inference.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelError, match="not of the networks it describes"):
        read_xray_generator(tmp_path)


def looked_at(view, names, size, sure=1.0) -> Consensus:
    """What a teacher would say of a picture of the mean pelvis."""
    one = made(view)
    points = Keypoints(names, one.keypoints.uv, one.keypoints.visible)
    findings = Findings(points, torch.full((14,), sure), one.masks, STRUCTURE_NAMES)
    return Consensus(findings, torch.zeros(14, dtype=torch.float64))


def test_a_real_x_ray_is_cut_about_its_hips_and_one_without_a_pelvis_is_dropped_and_named():
    exposure = Exposure.usual((48, 64)).view
    mean = mean_pelvis().landmarks.subset(LANDMARK_NAMES)
    shift = rigid(torch.eye(3, dtype=torch.float64), torch.zeros(3).double(), float64([40.0, 0.0, 0.0]))
    view = exposure.moved(shift)
    pictures = (torch.rand(48, 64), torch.rand(48, 64))
    looks = iter([looked_at(view, LANDMARK_NAMES, (48, 64)), looked_at(view, LANDMARK_NAMES, (48, 64), sure=0.0)])
    found = believed(SelfTaught(), lambda picture: next(looks), Unlabelled(("a", "b"), pictures, 48), silent)
    album = found.album
    assert found.dropped == ("b",) and album.names == ("a",) and album.size == (48, 48)
    again = album.views.project(mean.points)[0]
    seen = album.visible[0]
    assert int(seen.sum()) >= 12 and float((again - album.uv[0])[seen].norm(dim=-1).max()) < 1.0
    assert bool(album.trusted[0][seen].all())


def test_an_arm_says_what_it_learns_from(tmp_path, samples):
    with pytest.raises(DataError, match="give --samples to arms with drr"):
        TrainXrayDiffusion(tmp_path, (samples.folder,), arm="drr+real").run(silent)


@pytest.mark.usefixtures("small")
def test_an_arm_with_real_x_rays_goes_on_with_both(tmp_path, samples, album, monkeypatch):
    real = tmp_path / "real"
    real.mkdir()
    few = replace(album.part(slice(0, 4)), names=tuple("abcd"))
    found = Believed(few, ("unseen",))
    monkeypatch.setattr(
        train_xray_diffusion, "read_unlabelled", lambda *a: Unlabelled(("x",), (torch.rand(48, 48),), 48)
    )
    monkeypatch.setattr(train_xray_diffusion, "believed", lambda *a: found)
    TrainXrayDiffusion(tmp_path / "out", (samples.folder,), arm="drr+real", real=(real,), every=2).run(silent)
    said = json.loads((tmp_path / "out/configs/real.json").read_text(encoding="utf-8"))
    assert said["no_pelvis"] == ["unseen"] and len(said["held"]) == 1 and len(said["learned"]) == 3
    assert (tmp_path / "out/onward/curves.csv").is_file()
