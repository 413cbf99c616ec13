"""What a finished set says of itself: its order, its shards with their hashes, and whose bodies they show."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from skiagraph.errors import DataError
from skiagraph.factory.making import done_in
from skiagraph.factory.order import SPLITS, Order
from skiagraph.io.files import digest, write_json

CARD_NAME = "dataset.json"


def finish(order: Order, folder: Path) -> Path:
    """Write the card of a set that is whole and clear away what killed runs left; the card's path."""
    missing = order.count - done_in(order, folder)
    if missing:
        raise DataError(f"{missing} of {order.count} samples are not there; run the same command again")
    for left in folder.glob(".part-*"):
        left.unlink(missing_ok=True)
    write_json(folder / CARD_NAME, _card(order, folder))
    return folder / CARD_NAME


def _card(order: Order, folder: Path) -> dict[str, Any]:
    shards = [
        {
            "name": shard.name,
            "split": shard.split,
            "subject": order.subjects[shard.subject].name,
            "first": shard.first,
            "count": shard.count,
            "bytes": (folder / shard.name).stat().st_size,
            "sha256": digest(folder / shard.name),
        }
        for shard in order.shards
    ]
    return {
        "kind": "Skiagraph samples",
        "versions": {name: version(name) for name in ("skiagraph", "torch", "numpy", "pillow")},
        "samples": {split: sum(shard.count for shard in order.shards if shard.split == split) for split in SPLITS},
        "bodies": {split: order.splits.count(split) for split in SPLITS},
        "sources": sorted({subject.source for subject in order.subjects}),
        "order": order.as_json(),
        "shards": shards,
    }
