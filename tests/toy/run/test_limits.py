"""Numbers of a configuration that are out of bounds are refused with their option, also inside another one."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from llm_probe.run.config import ProbeConfig
from sae.config import SaeConfig
from toy.config import ToyConfig
from toy.run.errors import InputError
from toy.run.limits import check_counts, check_numbers


@dataclass(frozen=True)
class Nested:
    toy: ToyConfig = field(default_factory=ToyConfig)
    minutes: float = float("inf")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            ProbeConfig(seed=10**20),
            r"--seed 100000000000000000000 is out of bounds: give a number from 0 to 4294967295",
        ),
        (ProbeConfig(seed=-1), r"--seed -1 is out of bounds"),
        (ProbeConfig(moduli=(7, 10**30)), r"--moduli 10{30} is out of bounds"),
        (SaeConfig(seeds=(0, 2**32)), r"--seeds 4294967296 is out of bounds"),
        (SaeConfig(data_seed=-5), r"--data-seed -5 is out of bounds"),
        (SaeConfig(learning_rate=float("nan")), r"--learning-rate nan is no number"),
        (Nested(ToyConfig(seed=2**40)), r"--seed 1099511627776 is out of bounds"),
    ],
)
def test_a_number_out_of_bounds_is_refused(config: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_numbers(config)


@pytest.mark.parametrize("config", [ProbeConfig(seed=2**32 - 1), SaeConfig(), Nested()])
def test_others_are_not(config: object) -> None:
    check_numbers(config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ProbeConfig(prompts=0), "0 prompts cannot be used: give --prompts 1 or more"),
        (ProbeConfig(batch_tokens=-5), "-5 batch_tokens cannot be used: give --batch-tokens 1 or more"),
        (ProbeConfig(site=()), "--site has no value: give one or more"),
    ],
)
def test_a_count_below_one_is_refused(config: ProbeConfig, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_counts(config, "prompts", "batch_tokens", "site")
    check_counts(ProbeConfig(), "prompts", "batch_tokens", "site")
