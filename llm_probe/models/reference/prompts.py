"""What the reference language model is and reads: its tokenizer, its untrained network, its batches and its loss.

A small Qwen3 whose answer to "what is circular in it?" is known. It is trained on questions (modular addition under
eight moduli, days, months, hours) and on English text. Of the operand pairs of every domain 20 % are never trained on
(`is_held_out`; a variant may hold out more), so exact match on them says whether the model computes. Training has two
stages, after the observation that operands up to 99 are never learnt from scratch: first operands below the modulus,
then a ceiling that grows to 99 (a curriculum).

Batch t is a function of (seed, t) alone. Shapes: `tokens` (batch, length) int64, right-padded; a causal model
never looks at the padding, and only answer tokens enter the loss.
"""

from __future__ import annotations

import pydoc_data.topics
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from llm_probe.models.reference.recipe import CALENDARS, HELD_OUT_SHARE, LARGEST_OPERAND, MODULI, Recipe
from llm_probe.questions.domains import DOMAINS, Domain, modular
from llm_probe.questions.prompts import Prompt, pair_hash, question

END_OF_TEXT = "<|endoftext|>"
ANSWER_END = "\n"
IGNORED = -100

QWEN_PRETOKENIZATION = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen's split of text before byte-pair merges: every digit stands alone (Qwen2 tokenizer, a fact of its files)."""


def reference_domains() -> list[Domain]:
    """The domains the reference model is trained on, all with operands up to 99."""
    calendars = [
        Domain(**{**vars(DOMAINS[name]), "largest_offset": LARGEST_OPERAND, "statements": {}}) for name in CALENDARS
    ]
    return [modular("add", modulus, operands=range(LARGEST_OPERAND)) for modulus in MODULI] + calendars


def is_held_out(domain: Domain, first: np.ndarray, offset: np.ndarray, share: float = HELD_OUT_SHARE) -> np.ndarray:
    """True for the share of a domain's operand pairs that are never trained on; a larger share holds a smaller one."""
    salt = 1000 + sum(ord(letter) * 31**index for index, letter in enumerate(domain.name)) % 100_000
    return pair_hash(np.asarray(first), np.asarray(offset), salt) < share


def english() -> tuple[str, str]:
    """Training and held-out English: Python's own help topics, every tenth topic held out."""
    texts = [text for _, text in sorted(pydoc_data.topics.topics.items())]
    trained = [text for index, text in enumerate(texts) if index % 10 != 9]
    return "\n\n".join(trained), "\n\n".join(texts[9::10])


def build_tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE with Qwen's pre-tokenization, trained on the English and the templates."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN_PRETOKENIZATION), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    # Each item once at a line's start and once after a space, often enough to become one token in both places.
    items = [item for name in CALENDARS for item in DOMAINS[name].items]
    texts = [text for domain in reference_domains() for text in domain.questions.values()]
    corpus = [english()[0]] + texts * 20 + [f"{item} {item}\n" for item in items] * 200
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[END_OF_TEXT], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END_OF_TEXT, pad_token=END_OF_TEXT)


def build_model(recipe: Recipe) -> Qwen3ForCausalLM:
    """The untrained network: Qwen3 with tied embeddings, four heads of 32 and two key-value heads."""
    torch.manual_seed(recipe.seed)
    config = Qwen3Config(
        vocab_size=recipe.vocabulary, hidden_size=recipe.d_model, intermediate_size=4 * recipe.d_model,
        num_hidden_layers=recipe.layers, num_attention_heads=recipe.d_model // 32,
        num_key_value_heads=recipe.d_model // 64, head_dim=32, max_position_embeddings=256, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    model = Qwen3ForCausalLM(config)
    # On sequences this short eager attention trains twice as fast in bfloat16 as the fused kernel.
    model.set_attn_implementation("eager")
    return model


def answer_text(prompt: Prompt) -> str:
    """The continuation that is trained: digits directly, words after a space, then a line end.

    Digits follow directly so that the last prompt token, which the probe reads, is where the sum is needed.
    """
    assert prompt.answer is not None
    follows_directly = prompt.answer[0].isdigit() or prompt.text.endswith(" ")
    return ("" if follows_directly else " ") + prompt.answer + ANSWER_END


@dataclass(frozen=True)
class Batch:
    """Questions and English of one step."""

    questions: tuple[tuple[Tensor, Tensor], ...]
    """A (tokens, targets) pair per length bucket, each (rows, length) int64."""
    english: Tensor
    """(windows, window + 1) int64."""


class Stream:
    """Batches of a recipe: `stream(t)` depends on the seed and t only."""

    def __init__(self, recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> None:
        self.recipe, self.tokenizer, self.domains = recipe, tokenizer, reference_domains()
        self.english = torch.tensor(tokenizer.encode(english()[0]))

    def largest_operand(self, step: int) -> int:
        """The operand ceiling of a step; 0 in the first stage, where operands stay below the modulus."""
        progress = (step - self.recipe.first_steps) / (0.5 * self.recipe.second_steps)
        return 0 if progress < 0 else min(LARGEST_OPERAND, round(25 + 75 * progress))

    def questions(self, step: int) -> list[Prompt]:
        """The prompts of a step: a domain, an operand pair that is not held out and a template each."""
        rng = np.random.default_rng((self.recipe.seed, step))
        share = np.array([1.0] * len(MODULI) + [0.8] * len(CALENDARS))
        counts = rng.multinomial(self.recipe.batch, share / share.sum())
        prompts: list[Prompt] = []
        for domain, count in zip(self.domains, counts, strict=True):
            small = domain.period if domain.operands else 24
            # Small operands stay a third of the diet: they are one pair in two hundred of the full grid.
            ceiling = np.where(rng.random(3 * count) < 1 / 3, small, max(small, self.largest_operand(step)))
            firsts = rng.integers(0, np.minimum(ceiling, len(domain.first_operands)))
            offsets = rng.integers(0, ceiling)
            free = np.flatnonzero(~is_held_out(domain, firsts, offsets, self.recipe.held_out_share))[:count]
            names = list(domain.questions)
            # The published template is a third of the questions: the others must not drown it.
            picks = rng.integers(0, len(names) + 4, len(free)) % (len(names) + 4)
            for index, pick in zip(free, picks, strict=True):
                name = names[pick] if pick < len(names) else names[0]
                prompts.append(question(domain, name, int(firsts[index]), int(offsets[index])))
        return prompts

    def __call__(self, step: int) -> Batch:
        prompts = self.questions(step)
        rng = np.random.default_rng((self.recipe.seed, step, 1))
        starts = rng.integers(0, len(self.english) - self.recipe.window - 1, self.recipe.windows)
        windows = torch.stack([self.english[start : start + self.recipe.window + 1] for start in starts])
        prompts.sort(key=lambda prompt: len(prompt.text))
        third = len(prompts) // 3 + 1
        buckets = [prompts[start : start + third] for start in range(0, len(prompts), third)]
        return Batch(tuple(tokenise(self.tokenizer, bucket) for bucket in buckets), windows)


def tokenise(tokenizer: PreTrainedTokenizerFast, prompts: list[Prompt]) -> tuple[Tensor, Tensor]:
    """Tokens (batch, length) of prompt and answer, and the targets (batch, length): answer tokens only."""
    heads, tails = (
        tokenizer(texts, add_special_tokens=False)["input_ids"]
        for texts in ([prompt.text for prompt in prompts], [answer_text(prompt) for prompt in prompts])
    )
    length = max(len(head) + len(tail) for head, tail in zip(heads, tails, strict=True))
    tokens = torch.zeros(len(prompts), length, dtype=torch.long)
    targets = torch.full((len(prompts), length), IGNORED)
    for row, (head, tail) in enumerate(zip(heads, tails, strict=True)):
        tokens[row, : len(head) + len(tail)] = torch.tensor(head + tail)
        targets[row, len(head) - 1 : len(head) + len(tail) - 1] = torch.tensor(tail)
    return tokens, targets


def answer_logits(model: Qwen3ForCausalLM, tokens: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (n, vocabulary) and targets (n,) at the answer positions: the head runs nowhere else."""
    hidden = model.model(tokens, use_cache=False).last_hidden_state
    chosen = targets != IGNORED
    return model.lm_head(hidden[chosen]), targets[chosen]


def loss(model: Qwen3ForCausalLM, batch: Batch, english_weight: float) -> Tensor:
    """Cross-entropy on answer tokens plus `english_weight` times that of the English windows."""
    logits, targets = zip(*(answer_logits(model, *bucket) for bucket in batch.questions), strict=True)
    text = model(batch.english[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(torch.cat(logits).float(), torch.cat(targets)) + english_weight * (
        torch.nn.functional.cross_entropy(text.float().flatten(0, 1), batch.english[:, 1:].flatten())
    )
