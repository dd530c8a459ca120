"""Read-outs whose content a test has put there."""

import torch

from toy.analysis.readout import Readout, answer_positions, grid
from toy.networks.tasks import circle_order


def planted(
    task: str,
    modulus: int,
    *,
    logits: torch.Tensor | None = None,
    neurons: torch.Tensor | None = None,
    embedding: torch.Tensor | None = None,
    attention: torch.Tensor | None = None,
    seed: int = 0,
) -> Readout:
    """A read-out of noise, but for what is given."""
    generator = torch.Generator().manual_seed(seed)
    tokens = circle_order(task, modulus)
    n = len(tokens)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    neurons = noise(n, n, 6) if neurons is None else neurons
    return Readout(
        task=task,
        modulus=modulus,
        tokens=tokens,
        embedding=noise(n, 5) if embedding is None else embedding,
        unembedding=noise(4, n),
        W_L=noise(neurons.shape[2], n),
        logits=noise(n, n, n) if logits is None else logits,
        neurons=neurons,
        attention=attention,
        answer=answer_positions(task, modulus, grid(task, modulus)).view(n, n),
    )
