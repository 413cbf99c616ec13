"""Strategies in a race: who reads what, what it costs, that it goes on, and that figures are what they say."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch

from skiagraph.active.finetune import Plan
from skiagraph.anatomy import LANDMARK_NAMES
from skiagraph.detect.bundle import read_bundle, write_bundle
from skiagraph.detect.detector import Detector, Reading
from skiagraph.detect.losses import Likelihood
from skiagraph.detect.network import Network
from skiagraph.detect.trunks import ResidualUNet
from skiagraph.errors import DataError
from skiagraph.evaluate.cases import Known
from skiagraph.experiments import race as racing
from skiagraph.experiments.race import Leg, Race, Rules, read_leg, reading, write_leg
from skiagraph.tasks.finish import BASELINE, lines, write_report
from skiagraph.volume import Keypoints

TRUNK = ResidualUNet((8, 8), features=8)
RULES = Rules(Plan(2, 2, 1e-3, every=2), rounds=2, each=2, repeats=2, pool=6)
STRATEGIES = ("random", "uncertainty")


def known(number: int, who: str) -> Known:
    rng = torch.Generator().manual_seed(number)
    uv = 4 + 40 * torch.rand(14, 2, generator=rng, dtype=torch.float64)
    points = Keypoints(LANDMARK_NAMES, uv, torch.arange(14) % 5 != 4)
    picture = torch.rand(48, 48, generator=rng)
    return Known(f"{number:08d}", who, picture, points, 2.0, torch.zeros(0, 48, 48, dtype=torch.bool), ())


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    torch.manual_seed(0)
    network = Network(TRUNK, Likelihood(1.5), 48, 14, 1)
    write_bundle(folder, Detector(network.eval(), Reading(LANDMARK_NAMES, ("bone",), 48)), TRUNK)
    return folder


@pytest.fixture
def race(bundle, tmp_path) -> Race:
    pool = [known(n, f"p{n // 2}") for n in range(8)]
    return Race(tmp_path / "race", bundle, pool, [known(n, f"t{n // 2}") for n in range(20, 24)], RULES)


def silent(done: int, total: int, doing: str) -> None:
    pass


def test_a_reader_touches_what_is_too_far_off_or_wrongly_seen_and_leaves_the_rest(bundle):
    one, detector = known(1, "p"), read_bundle(bundle)
    found = detector(one.picture).keypoints
    near = found.uv + torch.tensor([1.0, 0.0])  # 2 mm
    truth = Keypoints(LANDMARK_NAMES, near, found.visible.clone())
    assert reading(replace(one, truth=truth), detector, 3.0).clicks == 0
    assert reading(replace(one, truth=truth), detector, 1.0).clicks == int(found.visible.sum())
    kept = reading(replace(one, truth=replace(truth, visible=~found.visible)), detector, 3.0)
    assert kept.clicks == 14
    assert torch.equal(kept.keypoints.visible, ~found.visible)
    torch.testing.assert_close(kept.keypoints.uv, near)


def test_a_race_is_run_once_goes_on_where_it_was_and_takes_more_repeats(race, monkeypatch):
    class Stop(Exception):
        pass

    def stopping(done: int, total: int, doing: str) -> None:
        if done == 3:
            raise Stop

    with pytest.raises(Stop):
        race.run(STRATEGIES, stopping)
    said: list[str] = []
    race.run(STRATEGIES, lambda done, total, doing: said.append(doing))
    assert said[0] == "uncertainty, repeat 1, round 2" and len(said) == 6
    assert not list(race.folder.rglob("weights-*"))
    monkeypatch.setattr(racing, "finetuned", None)
    race.run(STRATEGIES, silent)
    with pytest.raises(DataError, match="another experiment"):
        replace(race, rules=replace(RULES, each=1)).run(STRATEGIES, silent)
    replace(race, rules=replace(RULES, repeats=3)).begin()


def test_strategies_read_from_the_same_pools_and_nobody_reads_twice(race):
    race.run(STRATEGIES, silent)
    legs = {
        (way, repeat): [read_leg(race.folder / "runs" / f"{way}-{repeat}" / f"round-{n}.json") for n in (1, 2)]
        for way in STRATEGIES
        for repeat in (1, 2)
    }
    for (_, repeat), rounds in legs.items():
        names = [one.picture for leg in rounds for one in leg.readings]
        assert len(set(names)) == 4
        assert set(names) <= set(race._drawn(repeat - 1))
    course = race.course("random")
    assert course.labels == (0, 2, 4)
    assert course.total.shape == (2, 3, 2)
    assert (np.diff(course.clicks) > 0).all()
    assert [one.against(one)[-1].value for one in (course,)] == [0.0]


def test_the_same_race_ends_the_same(race, tmp_path):
    race.run(("random",), silent)
    again = replace(race, folder=tmp_path / "again")
    again.run(("random",), silent)
    np.testing.assert_allclose(race.course("random").total, again.course("random").total, rtol=1e-5)


def test_a_strategy_is_better_only_if_it_is_beyond_chance(race):
    race.run((), silent)

    def put(way: str, errors: list[float]) -> None:
        for repeat in (1, 2):
            for number, error in enumerate(errors, start=1):
                leg = Leg((), ("t10", "t10", "t11", "t11"), np.full((4, 3), error))
                write_leg(race.folder / "runs" / f"{way}-{repeat}" / f"round-{number}.json", leg)

    for way, errors in ((BASELINE, [5.0, 4.0]), ("hybrid", [4.0, 3.0]), ("diversity", [5.0, 4.0])):
        put(way, errors)
    said = "\n".join(lines(race))
    assert "Better than random over all rounds, by its interval: hybrid." in said
    assert "Not told from random: diversity." in said
    assert "One repeat alone" not in said
    assert "One repeat alone" in lines(replace(race, rules=replace(RULES, repeats=1)))[-1]
    assert "implausibility   not run" in said
    page, table = write_report(race.folder, race, "A stand-in.")
    assert "A stand-in." in page.read_text(encoding="utf-8")
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    last = next(row for row in rows if (row["strategy"], row["labels"]) == ("hybrid", "4"))
    assert float(last["more_than_random_mm"]) == -1.0


def test_one_cannot_read_more_than_there_is_nor_be_measured_on_what_one_reads(race):
    with pytest.raises(DataError, match="to choose from"):
        replace(race, rules=replace(RULES, each=4)).begin()
    with pytest.raises(DataError, match="may be read"):
        replace(race, tested=race.pool).begin()
