"""The words that columns are made of, and the level of the tests behind a verdict."""

from __future__ import annotations

from typing import Literal

ALPHA = 0.01
"""Level of every test that enters a verdict."""
FAMILY_ALPHA = 0.05
"""Chance that any claim of a run is called a circle where none of them is."""
EMBEDDING = -1
"""The layer of the token embedding: what the first block reads, with all that the model adds before it."""

Weights = Literal["trained", "random"]
Quantity = Literal["sum", "item"]
Verdict = Literal["supported", "refuted", "undetermined"]
Level = Literal["nothing", "decodable", "clusters", "ordered", "helix", "circle"]
Origin = Literal["embedding", "blocks"]
OrderNull = Literal["orders", "words"]
Site = Literal["resid_post", "mlp_out", "attn_out"]
Position = Literal["last", "item", "offset", "modulus"]
Control = Literal[
    "shuffled", "difference", "sum", "latin_square", "reordered", "no_modulus", "wrong_modulus", "random_weights",
    "random_blocks",
]  # fmt: skip
