"""What the autoencoders of both generators learn from: what comes back of something through a latent drawn for it."""

import torch
from jaxtyping import Float
from torch import Tensor

from skiagraph.generate.autoencoder import CoderNetwork
from skiagraph.generate.xray_coder import XrayCoderNetwork
from skiagraph.train.course import precision


def there_and_back(
    coder: CoderNetwork | XrayCoderNetwork, seen: Float[Tensor, "b c *space"], rng: torch.Generator
) -> tuple[Float[Tensor, "b c *space"], Float[Tensor, ""]]:
    """What is decoded, and the latents' Kullback-Leibler divergence from a normal distribution. Kingma 2014, B."""
    with precision(seen.device):
        mean, deviation = coder.encode(seen)
        answer = coder.decode(mean + deviation * torch.randn(mean.shape, generator=rng).to(mean))
    mean, deviation = mean.float(), deviation.float()
    return answer.float(), 0.5 * (mean**2 + deviation**2 - 2 * deviation.log() - 1).sum() / len(seen)
