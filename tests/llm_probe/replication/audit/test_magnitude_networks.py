"""Untrained networks of magnitude: searches of their outputs and shares worked out by hand."""

import numpy as np
import pytest
import torch

from llm_probe.replication.audit import magnitude_networks


def test_groups_of_outputs_are_searches_of_that_size() -> None:
    values = np.arange(12.0).reshape(2, 6)
    assert magnitude_networks.largest_of(values, 3).tolist() == [2, 5, 8, 11]
    assert magnitude_networks.largest_of(values, 4).tolist() == [3, 9]
    assert magnitude_networks.largest_of(values, 100).tolist() == [5, 11]


def test_the_share_over_all_inputs_is_that_of_the_outputs_themselves() -> None:
    n = 7
    a, b = magnitude_networks.operands(n, "square")
    inner, offset, readout = (each[0] for each in magnitude_networks._weights())
    outputs = (torch.relu(torch.stack([a, b], 1).float() / n @ inner + offset) @ readout[:, :3]).double()
    centred = outputs - outputs.mean(dim=0)
    s = (a + b).double()
    by_hand = []
    for k in (1, 2, 3):
        circle = torch.stack([(2 * torch.pi * k * s / n).cos(), (2 * torch.pi * k * s / n).sin()], dim=1)
        explained = (circle.T @ centred).square().sum(dim=0) / (n * n / 2)
        by_hand.append(explained / centred.square().sum(dim=0))
    expected = torch.stack(by_hand).amax(dim=0)
    assert magnitude_networks.input_share(n, 1)[0, :3] == pytest.approx(expected.numpy(), rel=1e-3)
