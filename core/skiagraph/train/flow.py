"""What learning the flows of both generators has in common: a network, the running mean of its weights, a rate."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from skiagraph.train.course import Course
from skiagraph.train.loop import descend

Network = TypeVar("Network", bound=nn.Module)


class FlowCourse(Course, Generic[Network]):
    """A rectified flow, on its way."""

    kind = "network"

    def __init__(self, network: Network, rate: float, steps: int, average: float) -> None:
        """`average` is the running mean's decay a step."""
        self.network, self._rate, self._steps, self._average = network, rate, steps, average
        self.mean = AveragedModel(network, use_buffers=True)
        self.optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-4)

    @property
    def kept(self) -> Network:
        """The weights worth keeping."""
        return deepcopy(self.mean.module).cpu().eval()  # type: ignore[return-value]

    def begin_with(self, weights: Mapping[str, Tensor]) -> None:
        """Weights of the same network that has learned before, in place of those drawn."""
        self.network.load_state_dict(weights)
        self.mean.module.load_state_dict(weights)

    def learn(self, losses: Float[Tensor, "*n"]) -> None:
        """One step of the weights down the sum of the losses, and of their running mean after them."""
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate * min(1.0, (self.step + 1) / 200, 2.5 * (1.02 - self.step / self._steps))
        descend(self.network.parameters(), self.optimiser, losses, longest=1.0)
        self.mean.multi_avg_fn = get_ema_multi_avg_fn(min(self._average, (1 + self.step) / (10 + self.step)))
        self.mean.update_parameters(self.network)

    def parts(self) -> Mapping[str, Any]:
        """Weights, their running mean, and what the optimiser remembers."""
        return {"network": self.network, "mean": self.mean, "optimiser": self.optimiser}
