"""The bundled model and its tokenizer, loaded once."""

import pytest

from llm_probe.models.loading import LoadedModel, load


@pytest.fixture(scope="session")
def loaded() -> LoadedModel:
    return load("reference", device="cpu")
