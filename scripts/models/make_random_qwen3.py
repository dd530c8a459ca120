"""Lay out a Qwen3-0.6B with RANDOM weights as a model-hub cache, to try the probe offline and as a null.

The architecture and the vocabulary are Qwen's, the weights are drawn from a seed and know nothing: what the probe
reports of this model is what it reports of noise. About 2.4 GB at full size.

    python scripts/models/make_random_qwen3.py --cache /tmp/hub
    HF_HOME=/tmp/hub HF_HUB_OFFLINE=1 python scripts/probe_llm.py --model Qwen/Qwen3-0.6B

The vocabulary needs no model hub: the PyPI package `dashscope` carries the byte-pair ranks that Qwen2 and Qwen3 use, as
a tiktoken file of 151,643 lines (a base64 token and its rank). Converted with Qwen's pre-tokenization they give the ids
of the released tokenizer: "Hello" is 9707, every digit is a token of its own, " Thursday" is one token. The chat
template is a minimal ChatML of this project, not Qwen's (no system prompt, tools or thinking).
"""

import _root
from _command import run

import hashlib
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from toy.run.errors import InputError

MODEL = "Qwen/Qwen3-0.6B"
MARK = "RANDOM weights, not Qwen's"
CARD = """# {mark}

This folder stands where a download of {model} would stand, but its weights were drawn from seed {seed} by
`scripts/models/make_random_qwen3.py`: nothing was trained. Architecture: {layers} layers, d_model {hidden} (Qwen3-0.6B
has 28 and 1024). The vocabulary is Qwen's, the chat template a minimal ChatML. Delete the folder to download the model.
"""

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
END_OF_TEXT_ID, TURN_START_ID, TURN_END_ID = 151643, 151644, 151645
"""They follow the 151,643 ordinary tokens, in this order."""

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def qwen_ranks() -> Path | None:
    """The file of byte-pair ranks; None where it, or `tiktoken` that reads it, is not installed."""
    # find_spec looks a package up without running it.
    package = find_spec("dashscope")
    if package is None or not package.submodule_search_locations or find_spec("tiktoken") is None:
        return None
    path = Path(package.submodule_search_locations[0]) / "resources" / "qwen.tiktoken"
    return path if path.exists() else None


def qwen_tokenizer() -> Any:
    """Qwen's vocabulary as a fast tokenizer, converted anew (some seconds).

    Raises:
        InputError: `dashscope` or `tiktoken` is not installed.
    """
    ranks = qwen_ranks()
    if ranks is None:
        raise InputError("Qwen's vocabulary is not installed: run `pip install dashscope tiktoken`")
    from tokenizers import normalizers
    from transformers import PreTrainedTokenizerFast
    from transformers.convert_slow_tokenizer import TikTokenConverter

    from llm_probe.models.reference.prompts import QWEN_PRETOKENIZATION

    special = [END_OF_TEXT, TURN_START, TURN_END]
    tokenizer = TikTokenConverter(str(ranks), pattern=QWEN_PRETOKENIZATION, extra_special_tokens=special).converted()
    tokenizer.normalizer = normalizers.NFC()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=TURN_END, pad_token=END_OF_TEXT, chat_template=CHAT_TEMPLATE,
        additional_special_tokens=[TURN_START], clean_up_tokenization_spaces=False,
    )  # fmt: skip


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


def write_model(snapshot: Path, tokenizer: Any, options: Options) -> int:
    """Draw the weights, save them with the tokenizer, and count the parameters."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from llm_probe.models.loading import NOTE

    heads = options.hidden // 64
    config = Qwen3Config(
        vocab_size=151936, hidden_size=options.hidden, intermediate_size=3 * options.hidden,
        num_hidden_layers=options.layers, num_attention_heads=heads, num_key_value_heads=max(1, heads // 2),
        head_dim=128, max_position_embeddings=40960, rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6}, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=TURN_END_ID, pad_token_id=END_OF_TEXT_ID,
    )  # fmt: skip
    torch.manual_seed(options.seed)
    model = Qwen3ForCausalLM(config)
    model.config.update({NOTE: f"{MARK}: seed {options.seed}"})
    model.save_pretrained(snapshot)
    tokenizer.save_pretrained(snapshot)
    return model.num_parameters()


def main() -> int:
    return run(__file__, Options, __doc__, make, "the model is not whole, the same command makes it again")


def make(options: Options, _: str) -> None:
    """Lay out the cache and say how to use it."""
    if options.layers < 1 or options.hidden < 64 or options.hidden % 64:
        raise InputError("give --layers of at least 1 and --hidden as a multiple of 64")
    tokenizer = qwen_tokenizer()
    snapshot = snapshot_folder(options)
    parameters = write_model(snapshot, tokenizer, options)
    print(f"{parameters:,} random parameters in {snapshot}")
    print(f"try: HF_HOME={options.cache} HF_HUB_OFFLINE=1 python scripts/probe_llm.py --model {MODEL}")


if __name__ == "__main__":
    sys.exit(main())
