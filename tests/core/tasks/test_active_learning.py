import pytest

from skiagraph.cli import main
from skiagraph.tasks.active_learning import ExperimentActiveLearning


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--strategies", "random", "best"], "no strategy 'best'; give one of random"),
        (["--rounds", "0"], "fewer than one"),
        (["--click", "0"], "fewer than one"),
        (["--preset", "elbow"], "no preset 'elbow'"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_line_and_nothing_is_left(flags, said, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["experiment", "active-learning", str(tmp_path / "out"), *flags])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_those_who_are_measured_on_are_others_than_those_the_shipped_detector_learned_from(tmp_path):
    ours = {one.name for seed in range(3) for one in ExperimentActiveLearning(tmp_path, seed=seed)._ground.subjects}
    assert not [name for name in ours if name.startswith("shape-1-")]
