"""The strategies of `skiagraph.active.choosing`, with leases."""

import time
from collections.abc import Mapping
from typing import Any

import torch
from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.strategy import Strategy

from monailabel_app.lib.study import Study
from skiagraph.active.choosing import STRATEGIES, Choice, ranked
from skiagraph.active.choosing import Strategy as Way
from skiagraph.active.looking import Look
from skiagraph.errors import DataError

PATIENCE = 5.0
"""Seconds that a request spends looking at pictures; the others have their turn at the next."""


class Choosing(Strategy):
    """One strategy, as MONAI Label asks for it."""

    def __init__(self, study: Study, way: Way) -> None:
        super().__init__(way.title)
        self.study, self.way = study, way

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """The next picture for `reader`, who holds it from now on; nothing if there is none left for him.

        `readers` says by how many a picture is to be read.
        """
        store, reader, wanted = self.study.store, str(request["reader"]), int(request.get("readers", 1))
        open_ = [name for name in store.pictures() if self._open(name, reader, wanted)]
        held = {lease.picture for lease in self.study.leases.held()}
        rng = torch.Generator().manual_seed(time.time_ns() % 2**63)
        order = [open_[k] for k in torch.randperm(len(open_), generator=rng).tolist() if open_[k] not in held]
        looks = self._looks(order) if self.way.looks else {}
        labelled = [look for name in store.pictures() if name not in open_ and (look := self.study.glanced(name))]
        choices = ranked(self.way, [(name, looks.get(name)) for name in order], labelled, rng)
        by_name = {choice.picture: choice for choice in choices}
        lease = self.study.leases.take(by_name, reader)
        if lease is None:
            return {}
        choice = by_name[lease.picture]
        return {
            "id": choice.picture,
            "weight": choice.worth,
            "strategy": self.way.name,
            "reason": self._why(choice, len(looks), len(order)),
            "lease_until": lease.until,
        }

    def _open(self, picture: str, reader: str, wanted: int) -> bool:
        finished = self.study.store.finished(picture)
        return len(finished) < wanted and reader not in finished

    def _looks(self, names: list[str]) -> dict[str, Look | None]:
        """Those already looked at, and as many more as patience allows. A picture that cannot be read is left out."""
        found: dict[str, Look | None] = {}
        until = time.monotonic() + PATIENCE
        for name in names:
            look = self.study.glanced(name)
            if look is None and time.monotonic() < until:
                try:
                    look = self.study.look(name)
                except DataError:
                    continue
            found[name] = look
        return found

    def _why(self, choice: Choice, looked: int, total: int) -> str:
        return f"{choice.why}; chosen among {total}" if looked in (0, total) else f"{choice.why}; {total} are open"


def strategies(study: Study) -> dict[str, Choosing]:
    """All of them, by name."""
    return {name: Choosing(study, way) for name, way in STRATEGIES.items()}
