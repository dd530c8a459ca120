"""Clock or Pizza: which of two algorithms adds the angles (Zhong et al. 2023, 2306.17844, §4 and §5).

A Clock multiplies cos and sin of the two operands, a Pizza works from the mean of their embeddings.

    gradient symmetricity    mean over random (a, b, c) of the cosine between ∂Q_abc/∂E_a and ∂Q_abc/∂E_b, Q the logit
                             and E_a, E_b the embeddings as they enter at the two places      pizza 0.99, clock 0.33
    distance irrelevance     mean over d of std over s of L[s, d], over the std of L; L[s, d] the right answer's logit
                             where the positions have s = a + b and d = a - b                pizza 0.17, clock 0.85
    circularity              of the first four principal components v_t of the embedding (t along the circle): the
                             share of the best frequency in each, averaged                    ≥ 0.995 is a circle

Only beside the same network untrained do they mean anything: an untrained one has a symmetricity near 1. For a
difference a - b, d is a + b. A task that does not add positions has no s and d, hence no distance irrelevance.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toy.analysis.readout import Readout
from toy.config import ToyConfig
from toy.maths import fourier
from toy.networks.model import MLP, Toy, activate
from toy.networks.tasks import circle_order, named

TRIPLES = 100
COMPONENTS = 4


def gradient_symmetricity(model: Toy, config: ToyConfig, *, seed: int, triples: int = TRIPLES) -> float:
    """Mean cosine between the gradients in the two operands' embeddings, over triples of tokens of the circle."""
    generator = torch.Generator().manual_seed(seed)
    circle, task = circle_order(config.task, config.modulus), named(config.task)
    triple_tokens = circle[torch.randint(len(circle), (triples, 3), generator=generator)]
    third = torch.full((triples, task.n_operands - 2), task.slice_at)
    return float(gradient_cosines(model, torch.cat([triple_tokens[:, :2], third], dim=1), triple_tokens[:, 2]).mean())


def gradient_cosines(
    model: Toy, operands: Int[Tensor, "rows operands"], outputs: Int[Tensor, " rows"]
) -> Float[Tensor, " rows"]:
    """cos(∂Q_c/∂E_a, ∂Q_c/∂E_b) of each question's logit c; 0 where a gradient vanishes."""
    device = model.embedding.device
    with torch.enable_grad():
        embeddings = model.embedding.detach()[operands.to(device)].requires_grad_()
        wanted = logits_from_embeddings(model, embeddings).gather(1, outputs.to(device)[:, None])
        (gradient,) = torch.autograd.grad(wanted.sum(), embeddings)
    gradient = gradient.double().cpu()
    return torch.cosine_similarity(gradient[:, 0], gradient[:, 1], eps=1e-30)


def logits_from_embeddings(model: Toy, embeddings: Float[Tensor, "rows operands d"]) -> Float[Tensor, "rows v"]:
    """The forward from the operands' embeddings on, so that each place has a gradient of its own."""
    if isinstance(model, MLP):
        hidden = torch.einsum("nid,idm->nm", embeddings, model.W_in) + model.b_in
        return activate(hidden, model.activation) @ model.W_out + model.b_out
    equals = model.W_E[model.modulus].expand(len(embeddings), 1, -1)
    x = torch.cat([embeddings, equals], dim=1) + model.W_pos
    for block in model.blocks:
        x = block(x)
    return x[:, -1] @ model.W_U


def distance_irrelevance(readout: Readout) -> float | None:
    """How much of the spread of the right answer's logit is over the answer and not over the distance d."""
    if not readout.is_cyclic:
        return None
    signs = named(readout.task).signs
    right = readout.logits.double().gather(2, readout.answer[..., None])[..., 0]
    by_distance = right.flatten()[same_distance(readout.size, signs[0] * signs[1])]
    spread = float(right.std(correction=0))
    # Equal logits everywhere: there is no spread to share out.
    if spread <= 1e-9 * float(right.abs().max()):
        return None
    return float(by_distance.std(dim=1, correction=0).mean()) / spread


def same_distance(n: int, sign: int) -> Int[Tensor, "n n"]:
    """Row d: the cells i·n + j of the grid with i - sign · j = d mod n."""
    j = torch.arange(n)
    i = (torch.arange(n)[:, None] + sign * j) % n
    return i * n + j


def circularity(embedding: Float[Tensor, "n d"], components: int = COMPONENTS) -> float | None:
    """Mean share of the best frequency in the first principal components; None for a constant embedding."""
    centred = embedding.double() - embedding.double().mean(dim=0)
    left, singular, _ = torch.linalg.svd(centred, full_matrices=False)
    kept = int((singular[:components] > 1e-9 * singular.max().clamp_min(1e-300)).sum())
    if kept == 0:
        return None
    power = fourier.power(left[:, :kept])
    return float((power.amax(dim=0) / power.sum(dim=0)).mean())
