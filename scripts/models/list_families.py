"""Write docs/models.md: what becomes of every family of language models that transformers knows.

python scripts/models/list_families.py           all of them, in about a minute
python scripts/models/list_families.py qwen3     these only, on the terminal
"""

import _root
from _command import ROOT, ended

import argparse
import logging
import os
import sys

from toy.run.files import write_atomic


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", help="model types; none: every one of the registry")
    names = parser.parse_args().families
    return ended(lambda: write(names), "docs/models.md is as it was")


def write(names: list[str]) -> None:
    """Make, load and check a tiny model of every family."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # defaults of some configurations name a model of the hub
    import torch
    from transformers import __version__

    from llm_probe.models.families import character_tokenizer, families, family_row, page

    logging.disable(logging.CRITICAL)  # defaults that do not fit a tiny model are no news
    torch.set_num_threads(1)  # more would wait for each other on matrices this small
    tokenizer = character_tokenizer()
    rows = [family_row(name, tokenizer) for name in names or families()]
    if names:
        print(*rows, sep="\n")
    else:
        write_atomic(ROOT / "docs" / "models.md", page(rows, __version__))


if __name__ == "__main__":
    sys.exit(main())
