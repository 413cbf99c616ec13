"""What a request may ask for: every option by name, of its kind and within its limits. All else is refused."""

from collections.abc import Callable, Mapping
from typing import Any

from monailabel_app.access import TAG
from skiagraph.errors import DataError

Check = Callable[[Any], bool]
STOCK = frozenset(
    {"client_id", "device", "logging", "result_extension", "result_dtype", "result_compress", "result_write_to_file",
     "label_info", "multi_gpu", "gpus", "max_workers", "local_rank"}
)  # fmt: skip
"""What MONAI Label's own clients send along and nothing here heeds."""


class Unasked(DataError):
    """An option that is none, or not of its kind."""


def _number(low: float, high: float, kind: type = int) -> Check:
    return lambda value: isinstance(value, (int, kind)) and not isinstance(value, bool) and low <= value <= high


def _truth(value: Any) -> bool:
    return isinstance(value, bool)


def _tag(value: Any) -> bool:
    return isinstance(value, str) and TAG.fullmatch(value) is not None


def _table(value: Any) -> bool:
    return isinstance(value, dict)


def _bone(value: Any) -> bool:
    return value in ("bright", "dark")


def _told(value: Any) -> bool:
    return isinstance(value, (bool, int, float)) or (isinstance(value, str) and len(value) <= 200)


INFER: Mapping[str, Check] = {
    "fixed": _table, "bone": _bone, "uncertainty": _truth, "pose": _truth, "save_label": _truth, "label_tag": _tag,
}  # fmt: skip
CHOICE: Mapping[str, Check] = {"readers": _number(1, 20), "strategy": lambda value: isinstance(value, str)}
TRAINING: Mapping[str, Check] = {
    "steps": _number(1, 20000), "batch": _number(1, 64), "rate": _number(1e-7, 1e-2, float), "seed": _number(0, 2**31),
}  # fmt: skip
BATCH: Mapping[str, Check] = {
    "label_tag": _tag, "save_label": _truth, "max_batch_size": _number(0, 100000), "bone": _bone,
}  # fmt: skip


def of_infer(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of an inference."""
    return _only(given, INFER)


def of_choice(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a choice."""
    return _only(given, CHOICE)


def of_training(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a training."""
    return _only(given, TRAINING)


def of_batch(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a batch."""
    return _only(given, BATCH)


def of_label(given: Mapping[str, Any]) -> dict[str, Any]:
    """What a client says about its label: a few short things, whatever they are."""
    kept = {str(name): value for name, value in given.items() if len(str(name)) <= 64 and _told(value)}
    return dict(list(kept.items())[:20])


def _only(given: Mapping[str, Any], known: Mapping[str, Check]) -> dict[str, Any]:
    found = {}
    for name, value in given.items():
        if name in known and known[name](value):
            found[name] = value
        elif name in known:
            raise Unasked(f"the option {name} is not of its kind or beyond its limits")
        elif name not in STOCK:
            raise Unasked(f"no option {str(name)[:40]!r}; there are {', '.join(known)}")
    return found
