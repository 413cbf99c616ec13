import pytest
from monailabel_app.asked import Unasked, of_batch, of_choice, of_infer, of_label, of_training


def test_what_is_known_is_taken_and_what_stock_clients_send_along_is_dropped():
    given = {"bone": "dark", "save_label": True, "client_id": "x", "device": "cuda", "result_extension": ".nrrd"}
    assert of_infer(given) == {"bone": "dark", "save_label": True}


@pytest.mark.parametrize(
    ("read", "given"),
    [
        (of_infer, {"image": "/etc/passwd"}),
        (of_infer, {"model": "other"}),
        (of_infer, {"bone": "green"}),
        (of_infer, {"label_tag": "../x"}),
        (of_infer, {"fixed": [1, 2]}),
        (of_infer, {"save_label": "yes"}),
        (of_training, {"steps": 0}),
        (of_training, {"steps": True}),
        (of_training, {"steps": 10**9}),
        (of_training, {"rate": float("nan")}),
        (of_training, {"replay": "/etc"}),
        (of_choice, {"readers": 0}),
        (of_batch, {"images": ["/etc/passwd"]}),
    ],
)
def test_what_is_not_known_or_beyond_its_limits_is_refused(read, given):
    with pytest.raises(Unasked):
        read(given)


def test_of_a_label_a_few_short_things_are_kept():
    kept = of_label({"seconds": 3.5, "note": "x" * 500, "deep": {"a": 1}, **{f"k{n}": n for n in range(50)}})
    assert kept["seconds"] == 3.5
    assert len(kept) == 20
    assert not {"note", "deep"} & set(kept)
