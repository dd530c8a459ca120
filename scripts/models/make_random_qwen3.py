"""Lay out a Qwen3-0.6B with RANDOM weights as a model-hub cache, to try the probe offline and as a null.

The architecture and the vocabulary are Qwen's, the weights are drawn from a seed and know nothing: what the probe
reports of this model is what it reports of noise. About 2.4 GB at full size.

    python scripts/models/make_random_qwen3.py --cache /tmp/hub
    HF_HOME=/tmp/hub HF_HUB_OFFLINE=1 python scripts/probe_llm.py --model Qwen/Qwen3-0.6B
"""

import _root
from _command import ended

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from toy.run.errors import InputError

MODEL = "Qwen/Qwen3-0.6B"
MARK = "RANDOM weights, not Qwen's"
CARD = """# {mark}

This folder stands where a download of {model} would stand, but its weights were drawn from seed {seed} by
`scripts/models/make_random_qwen3.py`: nothing was trained. Architecture: {layers} layers, d_model {hidden} (Qwen3-0.6B
has 28 and 1024). The vocabulary is Qwen's, the chat template a minimal ChatML. Delete the folder to download the model.
"""


@dataclass(frozen=True)
class Options:
    """Where the network is laid out, and its size."""

    cache: Path
    """Folder to be given as HF_HOME."""
    layers: int = 28
    """Number of blocks."""
    hidden: int = 1024
    """d_model, a multiple of 64."""
    seed: int = 0
    """Seed of the weights."""


def snapshot_folder(options: Options) -> Path:
    """The empty snapshot of a made-up revision (ten zeros first), and the `main` that points to it.

    Raises:
        InputError: the cache holds this model already and not from this script.
    """
    folder = options.cache / "hub" / f"models--{MODEL.replace('/', '--')}"
    cards = [path.read_text(encoding="utf-8") for path in folder.glob("snapshots/*/README.md")]
    if folder.exists() and not any(MARK in card for card in cards):
        raise InputError(f"{folder} holds a {MODEL} that this script did not make: give another --cache")
    recipe = f"random {MODEL} {options.layers} {options.hidden} {options.seed}"
    revision = "0" * 10 + hashlib.sha256(recipe.encode()).hexdigest()[:30]
    snapshot = folder / "snapshots" / revision
    for path in (snapshot, folder / "refs"):
        path.mkdir(parents=True, exist_ok=True)
    card = CARD.format(mark=MARK, model=MODEL, seed=options.seed, layers=options.layers, hidden=options.hidden)
    # The card comes first: a run that is interrupted leaves a folder that says what it is.
    (snapshot / "README.md").write_text(card, encoding="utf-8")
    (folder / "refs" / "main").write_text(revision, encoding="utf-8")
    return snapshot


def write_model(snapshot: Path, options: Options) -> int:
    """Draw the weights, save them with the tokenizer, and count the parameters."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from llm_probe.models.qwen_vocabulary import END_OF_TEXT_ID, TURN_END_ID, qwen_tokenizer

    tokenizer, heads = qwen_tokenizer(), options.hidden // 64
    config = Qwen3Config(
        vocab_size=151936, hidden_size=options.hidden, intermediate_size=3 * options.hidden,
        num_hidden_layers=options.layers, num_attention_heads=heads, num_key_value_heads=max(1, heads // 2),
        head_dim=128, max_position_embeddings=40960, rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6}, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=TURN_END_ID, pad_token_id=END_OF_TEXT_ID,
    )  # fmt: skip
    torch.manual_seed(options.seed)
    model = Qwen3ForCausalLM(config)
    model.config.update({"weights_note": f"{MARK}: seed {options.seed}"})
    model.save_pretrained(snapshot)
    tokenizer.save_pretrained(snapshot)
    return model.num_parameters()


def main() -> int:
    options = tyro.cli(Options, description=__doc__, prog="python scripts/models/make_random_qwen3.py")
    return ended(lambda: _make(options), "the model is not whole, the same command makes it again")


def _make(options: Options) -> None:
    from llm_probe.models.qwen_vocabulary import qwen_ranks

    if options.layers < 1 or options.hidden < 64 or options.hidden % 64:
        raise InputError("give --layers of at least 1 and --hidden as a multiple of 64")
    if qwen_ranks() is None:
        raise InputError("Qwen's vocabulary is not installed: run `pip install dashscope tiktoken`")
    snapshot = snapshot_folder(options)
    parameters = write_model(snapshot, options)
    print(f"{parameters:,} random parameters in {snapshot}")
    print(f"try: HF_HOME={options.cache} HF_HUB_OFFLINE=1 python scripts/probe_llm.py --model {MODEL}")


if __name__ == "__main__":
    sys.exit(main())
