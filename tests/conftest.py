"""What every test runs under: shapes and types checked at each call, no network, a fixed seed, and one thread or as
many as the environment variable TEST_THREADS says.

The import hook rewrites the four packages while they are imported, so it stands before anything that imports them.
Tests import by path (`--import-mode=importlib` in pyproject.toml): `tests/toy` is not the package `toy`.
"""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.pop("COLUMNS", None)  # pytest's workers set it, and tables would be as narrow
os.environ["MPLBACKEND"] = "Agg"  # in the environment, so that scripts run by a test inherit it

import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook(["toy", "llm_probe", "sae", "causal"], "beartype.beartype")
torch.set_num_threads(int(os.environ.get("TEST_THREADS", "1")))
# No deadlines: the first example pays for imports, and shared machines stall.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """A network that a test initialises is the same whichever tests ran before it."""
    torch.manual_seed(0)
