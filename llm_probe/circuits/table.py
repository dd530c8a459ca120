"""What a circuits run is given, and what it writes: its configuration, and one dataclass for each table's rows.

attention.csv    AttentionRow   what a head at the answer position gives an operand, and the same place otherwise
offsets.csv      OffsetRow      how often the model is right, offset by offset, without and behind worked examples
lens.csv         LensRow        the answer read after every block with the final norm and the vocabulary head
analogies.csv    AnalogyRow     a is to b as c is to d, among the other items
embeddings.csv   EmbeddingRow   a circle in the rows of the input matrix
points.csv       PointRow       where those rows lie on the best circle
helix.csv        HelixRow       a family of curves fitted to the states of numbers, on numbers left out

An empty field means "not applicable". Importable without torch, so that `--help` is instant.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from llm_probe.run.config import ProbeConfig
from llm_probe.run.vocabulary import Weights

Role = Literal["item", "offset", "modulus", "first"]
Method = Literal["parallelogram", "rotation", "published sign"]

ITEMS = (
    "days", "months", "hours", "hours24", "alphabet", "compass", "notes", "zodiac",
    "numbers", "planets", "sizes", "grades",
)  # fmt: skip


@dataclass(frozen=True)
class CircuitsConfig:
    """Attention, logit lens, analogies, embeddings and the number helix of a language model."""

    model: str = "reference"
    """Hub id, local folder, `reference`, or a toy's run directory (embeddings and helix only)."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Number format of the weights."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the model runs."""
    domains: tuple[str, ...] = ("mod", "days", "months", "hours")
    """Domains whose questions attention and logit lens use, as in probe_llm.py."""
    moduli: tuple[int, ...] = (7, 12, 23)
    """Moduli of `mod`."""
    items: tuple[str, ...] = ITEMS
    """Domains whose items are compared (analogies, embeddings)."""
    prompts: int = 300
    """Questions a domain."""
    shots: tuple[int, ...] = (0, 8)
    """Worked examples before the questions that are counted offset by offset."""
    numbers: int = 100
    """The helix is fitted to the integers 0 … numbers - 1, at most 1,000."""
    periods: tuple[float, ...] = (2.0, 5.0, 10.0, 100.0)
    """Periods of the helix (Kantamneni & Tegmark 2025: 2, 5, 10, 100)."""
    renamings: int = 499
    """Random draws of every null; the smallest p is 1 / (renamings + 1)."""
    seed: int = 0
    """Seed of prompts, nulls and bootstrap; the random weights have seed + 1."""
    trust_remote_code: bool = False
    """Run code that comes with the model. Only for models whose code you have read."""
    out: Path | None = None
    """Results folder; none given: results/<model>/circuits."""

    @property
    def probed(self) -> ProbeConfig:
        """The configuration of the main probe that asks the same of the same model."""
        shared = {field.name for field in fields(ProbeConfig)}
        return ProbeConfig(**{name: value for name, value in vars(self).items() if name in shared})

    @property
    def folder(self) -> Path:
        """Where results go."""
        return self.out or self.probed.folder / "circuits"

    def decides(self) -> dict[str, object]:
        """Everything that can change a number, for the names of cells; shots are in the name of their question."""
        return {name: value for name, value in asdict(self).items() if name not in ("out", "device", "shots")}


@dataclass(frozen=True)
class AttentionRow:
    """One head, from the prompt's last token to one part of the prompt."""

    weights: Weights
    """`trained`, or `random`: the same architecture with freshly drawn weights."""
    domain: str
    """Domain of the questions, such as `mod-add 7` or `days`."""
    layer: int
    """Block of the head, counted from 0."""
    head: int
    """Head within its block, counted from 0."""
    role: Role
    """Part of the prompt: all tokens of the first operand (`item`), of the second (`offset`), of the modulus
    (`modulus`), or token 0, whatever it is (`first`)."""
    attention: float
    """Mean attention from the last token, summed over the tokens of the role."""
    control: float
    """Mean attention to the same places in the same prompts after their tokens were replaced by others that the prompts
    have outside their operands."""
    difference: float
    """Attention minus control, prompt by prompt: what is due to the content of the tokens."""
    half_width: float
    """Half-width of the difference's 95 % band, simultaneous over all heads and roles of the domain."""
    uniform: float
    """Attention that the role would get if every token of the prompt got the same."""
    distance: float
    """Mean number of tokens from the role's last token to the prompt's last token."""
    most_attended: str
    """Operand, or word and its place, that gets most of this head's attention in most prompts."""
    most_attended_share: float
    """Share of prompts in which it gets most."""
    n: int
    """Number of prompts."""


@dataclass(frozen=True)
class OffsetRow:
    """The questions of one domain with one offset, and whether the model answers them better than by guessing."""

    weights: Weights
    """`trained`, or `random`: the same architecture with freshly drawn weights."""
    domain: str
    """Domain of the questions, such as `days` or `add`."""
    shots: int
    """Worked examples of the same template before the question, of operand pairs that no question asks about."""
    offset: int
    """Second operand: how many steps on the answer is. Of sums of numbers both operands are below 10."""
    n: int
    """Number of questions."""
    exact: float
    """Share of questions whose greedy continuation is the answer."""
    constrained: float
    """Share of questions whose most probable answer, of all possible ones, is right."""
    low: float
    """Lower end of the 95 % Wilson interval of `constrained`."""
    high: float
    """Upper end of that interval."""
    chance: float
    """Share of the most frequent right answer of these questions, never below one over the number of answers."""
    p_holm: float
    """Exact binomial test that `constrained` is above chance, corrected (Holm) over the offsets and shots of the
    domain."""


@dataclass(frozen=True)
class LensRow:
    """The answer as the vocabulary head would read it after one block."""

    weights: Weights
    """`trained`, or `random`: the same architecture with freshly drawn weights."""
    domain: str
    """Domain of the questions, such as `mod-add 7` or `days`."""
    period: int
    """Number of possible answers."""
    part: Literal["all", "no wrap", "wrap"]
    """`all` prompts; those whose integer result is already the answer (`no wrap`); those whose result must be reduced
    (`wrap`)."""
    layer: int
    """Block after which the stream was read, with the final norm applied once; counted from 0."""
    accuracy: float
    """Share of prompts whose most probable answer, of all possible ones and over all their tokens, is right."""
    low: float
    """Lower end of the accuracy's 95 % Wilson interval."""
    high: float
    """Upper end of the accuracy's 95 % Wilson interval."""
    p_right: float
    """Mean probability of the right answer among the possible ones."""
    p_half_width: float
    """Half-width of the 95 % band of `p_right`, simultaneous over layers."""
    chance: float
    """Share of the most frequent right answer, never below 1 / period: what guessing one answer gives."""
    n: int
    """Number of prompts."""


@dataclass(frozen=True)
class AnalogyRow:
    """Every quadruple of a domain, at one layer."""

    weights: Weights
    """`trained`, or `random`: the same architecture with freshly drawn weights."""
    domain: str
    """Domain whose items are compared; `published words` are fourteen quadruples of words."""
    cyclic: bool
    """Whether the items are a cycle; false for linear controls and for words."""
    layer: int
    """Block after which the item's last token was read, counted from 0."""
    method: Method
    """How d is predicted: b - a + c (`parallelogram`), a - b + c (`published sign`), or the angle of c plus the step
    from a to b (`rotation`)."""
    beaten: float
    """Share of the other candidates (without a, b, c) that are farther from the prediction than d; chance is 0.5."""
    low: float
    """Lower end of the 95 % interval of `beaten` (jackknife over items; for words a bootstrap over quadruples)."""
    high: float
    """Upper end of the 95 % interval of `beaten`."""
    first: float
    """Share of quadruples whose nearest candidate is d."""
    chance_first: float
    """What guessing gives for `first`: one over the number of candidates."""
    null_mean: float
    """Mean of `beaten` under the null: renamed items; for words, quadruples that trade their first pairs."""
    null_high: float
    """95th percentile, under the null, of the largest `beaten` over the layers."""
    p_fwer: float | None
    """p corrected over layers; empty where the items' names cannot change places."""
    quadruples: int
    """Number of quadruples."""


@dataclass(frozen=True)
class EmbeddingRow:
    """One frequency of one set of tokens in the input matrix."""

    weights: Weights
    """`trained`, or `random`: the same architecture with freshly drawn weights."""
    domain: str
    """Domain whose items are one token each; `digits` and `numbers` are as many integers from 0 on as are one token."""
    cyclic: bool
    """Whether the items are a cycle; false for a linear control."""
    n: int
    """Number of rows of the matrix, one an item."""
    frequency: int
    """Turns of the circle over the n items."""
    r2_heldout: float
    """Held-out R² of the circle, each item's point predicted from the others' rows (ridge, best of three penalties)."""
    quadratic: float
    """Held-out R² of a parabola in the same search: beyond it a circle is more than a bent line."""
    null_high: float
    """95th percentile of the search over frequencies and penalties when the tokens change places."""
    p_fwer: float
    """p corrected over frequencies and penalties; exact where rows are exchangeable, as in an untrained matrix."""


@dataclass(frozen=True)
class PointRow:
    """One token on the best circle of its set."""

    weights: Weights
    """`trained`, or `random`: the same architecture with freshly drawn weights."""
    domain: str
    """Set of tokens, as in embeddings.csv."""
    frequency: int
    """Turns of the circle over the items."""
    label: int
    """Place of the item in the order, counted from 0."""
    item: str
    """Text of the item."""
    x: float
    """Cosine predicted from the other rows; the true points have radius 1."""
    y: float
    """Sine predicted from the other rows."""


@dataclass(frozen=True)
class HelixRow:
    """One family of curves and the states of the integers 0 … n - 1."""

    weights: Weights
    """`trained`, or `random`: the same architecture with freshly drawn weights."""
    context: str
    """Where the number stands: in a sentence (`statement`), in a question (`operand`), or in the input matrix
    (`embedding`)."""
    layer: int
    """Block after which the number was read, counted from 0; -1 for the input matrix."""
    family: str
    """`helix`: line and circles; `line`, `circles`: its parts; `polynomial`: as many columns as the helix; `digits`: an
    indicator of each digit at each place, alone and with the helix; `shuffled helix`: values in another order;
    `other periods`: a helix of random periods."""
    columns: int
    """Number of columns beside the constant."""
    r2: float
    """Share of the variance over all dimensions, each number predicted from the others."""
    low: float
    """Lower end of the 95 % bootstrap interval over numbers; for random families the 2.5th percentile of the draws."""
    high: float
    """Upper end of the 95 % bootstrap interval over numbers; for random families the 97.5th percentile of the draws."""
    r2_scaled: float
    """The same R² with every dimension at unit variance, so that no outlier dimension decides."""
    r2_tens: float
    """The same R² with each ten (such as 20 to 29) predicted from the other tens: the curve must carry over."""
    p_renamed: float | None
    """p of the helix corrected over layers, with numbers renamed so that an untrained network cannot notice."""
    p_periods: float | None
    """Share of helices of random periods that do as well as the helix, at this layer."""
    n: int
    """Number of integers."""


TABLES: dict[str, type] = {
    "attention": AttentionRow,
    "offsets": OffsetRow,
    "lens": LensRow,
    "analogies": AnalogyRow,
    "embeddings": EmbeddingRow,
    "points": PointRow,
    "helix": HelixRow,
}
"""Table name to the dataclass of its rows."""
