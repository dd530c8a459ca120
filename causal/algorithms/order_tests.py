"""Is it a circle that moves the answer, or one code for each answer? Tests that a look-up fails.

Turning all planes of the answer s by j is a cyclic shift of *any* code with one vector for each answer: a network with
random vectors and a nearest-neighbour read-out follows it as well as a clock. What a circle has and such a code has not
is an order, in which the place of one answer follows from the places of the others (`answer_code` has the formulas):

    unseen answer    planes are fitted without the prompts of answer r, and the states of other answers turned onto r.
                     A circle answers r. The code of r is in no plane that was fitted to other codes.
    other orders     the same two turns along planes fitted to π(s), π a random order of the answers, with as many
                     planes, chosen in the same way. A look-up moves along π as it does along s.

If the codes have no order - whatever their distribution, as long as renaming the answers does not change it - the share
of the unseen answers reached in the answers' own order is exchangeable with that in any other. The empirical rank
p = (1 + #{π: at least as large}) / (1 + N) is therefore exact: `circle` is said of such networks in at most one of a
hundred. Two orders that differ by π -> a π + b, a coprime to p, hold the same circles: each such class comes once and
the answers' own never (7 answers have 120 classes; fewer than 100 cannot show p <= 0.01, and nothing is said then).

    circle         the rank is at most 0.01; the unseen answers are reached in more than 1/4 of the turns (`CARRIES`,
                   lower end of the interval clustered on operand pairs) and the worst of them in as many: of an open
                   arc, which has an order too, one beside its ends is missed, though not of every arc
                   (`word_rates`): this is no test that the ends meet
    answer code    the rank is above 0.01 - no order was shown - and turning planes of other orders moves more than 1/4
                   of the answers where *they* point
    undetermined   otherwise: an order that does not reach every answer, or nothing that moves

Turns along π that move the answer do not refute a circle by themselves: 10 of the 11 planes of p = 23 hold a clock and
nearly every other code. A clock that uses *all* (p - 1)/2 frequencies with equal power is a regular simplex, the same
as one-hot answers: it holds every order alike, nothing at this place can tell it from a look-up, and it is called
`answer code`.

Two more turns are reported and decide nothing.

    k alone          one accepted frequency is turned by j. Where several carry the answer, one of them is outvoted.
    half a step      all accepted k are turned by 1/2. With logits Σ_K cos(2πk(s - c)/p) those after the turn are
                     Σ_K cos(2πk(s + 1/2 - c)/p): equal at c = s and s + 1, and largest there for K = {1}. For an even k
                     half a step is a whole one, k/2 = k (p + 1)/2 (mod p), so that K = {2} answers s + (p + 1)/2. The
                     simplex of a look-up has Σ_K = (Dirichlet kernel - 1) / 2, largest at s and s + 1 too: half a step
                     does not tell a look-up from a clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from causal.algorithms.answer_code import CodeTurn, Order, most_planes
from causal.algorithms.predictions import CARRIES
from toy.maths.intervals import mean_interval

CIRCLE, ANSWER_CODE, UNDETERMINED = "circle", "answer code", "undetermined"
LEVEL = 0.01
"""Rank in the other orders up to which the answers' own order counts as shown."""
DRAWS = 120
"""Other orders, at most; seven answers have 119."""
AnswersAfter = Callable[[Sequence[CodeTurn]], Float[Tensor, "t n p"]]
"""Distributions over the p answers after each turn."""


@dataclass(frozen=True)
class TurnTest:
    """Shares of answers that one kind of turn moved onto its target."""

    test: str
    """`unseen answer`, `together`, `half a step`, `k = 3 alone`."""
    moved: float
    low: float | None = None
    """Lower end of the 95 % interval, clustered on operand pairs."""
    high: float | None = None
    worst: float | None = None
    """Share of the answer that is reached least."""
    control: float | None = None
    """Mean over the other orders."""
    control_most: float | None = None
    """Largest share of another order."""
    rank: float | None = None
    """Empirical p among the other orders."""


@dataclass(frozen=True)
class OrderEvidence:
    """What the tests say of one network at one place."""

    word: str
    """`circle`, `answer code` or `undetermined`."""
    reason: str
    planes: int = 0
    """Planes that were turned in the answers' own order and in every other."""
    orders: int = 0
    """Other orders."""
    tests: tuple[TurnTest, ...] = field(default=())


def order_evidence(
    answers_after: AnswersAfter,
    labels: Int[Tensor, " n"],
    answers: Int[Tensor, " n"],
    pairs: Int[Tensor, " n"],
    period: int,
    frequencies: Sequence[int],
    seed: int = 0,
) -> OrderEvidence:
    """Run every test.

    Args:
        answers_after: Runs the network.
        labels: What is turned: the answer, or the item that it is computed from.
        answers: The right answer of each prompt; it moves by as much as what is turned.
        pairs: Number of the operand pair of each prompt.
        period: Number of answers, p.
        frequencies: Those accepted, whose number (`most_planes` at most) other orders get too.
        seed: Of the orders and targets.
    """
    count = min(len(frequencies), most_planes(period))
    generator = torch.Generator().manual_seed(seed + 3)
    orders = other_orders(period, DRAWS, generator)
    if count < 1 or 1 / (1 + len(orders)) > LEVEL:
        said = f"{period} answers have {len(orders)} other orders: too few for p <= {LEVEL}"
        return OrderEvidence(UNDETERMINED, said)
    own = torch.arange(period)
    targets = (labels + torch.randint(1, period, labels.shape, generator=generator)) % period

    def turn(order: Order, towards: Int[Tensor, " n"], unseen: bool) -> CodeTurn:
        return CodeTurn(order, (order[towards] - order[labels]).double(), towards if unseen else None, count=count)

    def hits(turns: Sequence[CodeTurn], towards: Int[Tensor, " n"]) -> Float[Tensor, "t n"]:
        wanted = (answers + towards - labels) % period
        return answers_after(turns).double().gather(2, wanted[None, :, None].expand(len(turns), -1, -1))[:, :, 0]

    tests = {}
    for name, unseen in (("unseen answer", True), ("together", False)):
        share = hits([turn(order, targets, unseen) for order in (own, *orders)], targets)
        tests[name] = _against(name, share, pairs, seed)
    reached = torch.stack([hits([turn(own, torch.full_like(labels, r), True)], torch.full_like(labels, r))[0]
                           for r in range(period)])  # fmt: skip
    tests["unseen answer"] = _every_answer(tests["unseen answer"], reached, labels, pairs, seed)
    tests |= {one.test: one for one in _reported(answers_after, answers, targets - labels, own, frequencies)}
    word, reason = conclude(tests["unseen answer"], tests["together"], period)
    return OrderEvidence(word, reason, count, len(orders), tuple(tests.values()))


def conclude(unseen: TurnTest, together: TurnTest, period: int) -> tuple[str, str]:
    """(word, reason) from the two tests that decide."""
    assert unseen.low is not None and unseen.worst is not None and unseen.rank is not None
    said = (
        f"turned onto an answer that the planes were fitted without, {unseen.moved:.2f} of the answers follow "
        f"(worst {unseen.worst:.2f}, other orders {unseen.control:.2f} and at most {unseen.control_most:.2f}, "
        f"p = {unseen.rank:.3g})"
    )
    if unseen.rank <= LEVEL and unseen.low > max(CARRIES, 1 / period) and unseen.worst > CARRIES:
        return CIRCLE, said
    if unseen.rank > LEVEL and together.control is not None and together.control > CARRIES:
        along = f"planes of other orders move {together.control:.2f} of the answers, planes of their own "
        return ANSWER_CODE, f"{along}{together.moved:.2f}; {said}"
    short = "an order, but not of every answer: " if unseen.rank <= LEVEL else ""
    return UNDETERMINED, f"{short}{said}"


def other_orders(period: int, count: int, generator: torch.Generator) -> list[Order]:
    """Random orders, one of each class {a π + b: a coprime to p}, without the answers' own; at most `count`."""
    units = [a for a in range(1, period) if math.gcd(a, period) == 1]

    def class_of(order: Order) -> tuple[int, ...]:
        return min(tuple((a * (order - order[0]) % period).tolist()) for a in units)

    classes, orders = {class_of(torch.arange(period))}, []
    while len(orders) < min(count, math.factorial(period) // (period * len(units)) - 1):
        order = torch.randperm(period, generator=generator)
        if (name := class_of(order)) not in classes:
            classes.add(name)
            orders.append(order)
    return orders


def _against(name: str, share: Float[Tensor, "t n"], pairs: Int[Tensor, " n"], seed: int) -> TurnTest:
    """The answers' own order (row 0) among the others."""
    low, high = mean_interval(share[0], pairs, seed)
    own, *others = share.mean(dim=1).tolist()
    rank = (1 + sum(other >= own for other in others)) / (1 + len(others))
    return TurnTest(name, own, low, high, None, sum(others) / len(others), max(others), rank)


def _every_answer(
    test: TurnTest, reached: Float[Tensor, "p n"], labels: Int[Tensor, " n"], pairs: Int[Tensor, " n"], seed: int
) -> TurnTest:
    """The same test with every answer as the unseen one; its controls and rank stay those of one random answer."""
    others: Bool[Tensor, "p n"] = torch.arange(len(reached))[:, None] != labels
    share = (reached * others).sum(dim=0) / others.sum(dim=0)
    low, high = mean_interval(share, pairs, seed)
    worst = float(((reached * others).sum(dim=1) / others.sum(dim=1).clamp_min(1)).min())
    rest = (test.control, test.control_most, test.rank)
    return TurnTest(test.test, float(share.mean()), low, high, worst, *rest)


def _reported(
    answers_after: AnswersAfter,
    answers: Int[Tensor, " n"],
    steps: Int[Tensor, " n"],
    own: Order,
    frequencies: Sequence[int],
) -> list[TurnTest]:
    """Half a step of all accepted frequencies, and each of them alone; these have no control."""
    half = torch.full(answers.shape, 0.5, dtype=torch.float64)
    turns = [CodeTurn(own, half, frequencies=tuple(frequencies))]
    turns += [CodeTurn(own, steps.double(), frequencies=(k,)) for k in frequencies]
    after = answers_after(turns).double()
    period, rows = len(own), torch.arange(len(answers))
    stayed, followed = (float(after[0, rows, (answers + step) % period].mean()) for step in (0, 1))
    alone = [
        TurnTest(f"k = {k} alone", float(share[rows, (answers + steps) % period].mean()))
        for k, share in zip(frequencies, after[1:], strict=True)
    ]
    return [TurnTest("half a step", stayed + followed, worst=min(stayed, followed)), *alone]
