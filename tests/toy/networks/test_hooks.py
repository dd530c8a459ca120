"""Hooks on a chain of three known maps: doubling, adding one (in a tuple), squaring."""

import pytest
import torch
from torch import Tensor, nn

from toy.networks.hooks import StopForward, capture, capture_input, rewrite, stop_after


class Double(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


class AddOne(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, str]:
        return x + 1, "rest"


class Square(nn.Module):
    calls = 0

    def forward(self, pair: tuple[Tensor, str]) -> Tensor:
        self.calls += 1
        assert pair[1] == "rest"
        return pair[0] ** 2


@pytest.fixture
def chain() -> nn.Sequential:
    return nn.Sequential(Double(), AddOne(), Square())


X = torch.full((2, 3, 4), 3.0)


def hooks_on(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def test_capture_unwraps_tensors_and_tuples_and_changes_nothing(chain: nn.Sequential) -> None:
    seen: dict[str, Tensor] = {}
    with capture({"double": chain[0], "plus": chain[1], "square": chain[2]}, seen.__setitem__):
        result = chain(X)
    # 3 -> 6 -> 7 -> 49, whole batches of shape (2, 3, 4) and not their first row.
    assert {name: float(value[0, 0, 0]) for name, value in seen.items()} == {"double": 6, "plus": 7, "square": 49}
    assert all(value.shape == X.shape for value in seen.values())
    assert torch.equal(result, torch.full_like(X, 49))
    assert hooks_on(chain) == 0


def test_rewrite_replaces_the_tensor_and_keeps_the_rest_of_the_tuple(chain: nn.Sequential) -> None:
    with rewrite({"double": chain[0], "plus": chain[1]}, lambda name, x: x * (10 if name == "plus" else 1)):
        assert torch.equal(chain(X), torch.full_like(X, 70.0**2))
    assert torch.equal(chain(X), torch.full_like(X, 49))


def test_capture_entered_after_a_rewrite_sees_the_edit(chain: nn.Sequential) -> None:
    seen: list[Tensor] = []
    with rewrite({"a": chain[0]}, lambda _, x: -x), capture({"a": chain[0]}, lambda _, x: seen.append(x)):
        chain(X)
    assert torch.equal(seen[0], -2 * X)


def test_hooks_are_removed_after_an_exception(chain: nn.Sequential) -> None:
    def fail(name: str, _: Tensor) -> None:
        raise KeyError(name)

    with (
        pytest.raises(KeyError),
        capture({"a": chain[0], "b": chain[1]}, fail),
        rewrite({"c": chain[2]}, lambda _, x: x),
    ):
        chain(X)
    assert hooks_on(chain) == 0


def test_stop_after_skips_what_follows(chain: nn.Sequential) -> None:
    seen: list[str] = []
    with capture({"plus": chain[1]}, lambda name, _: seen.append(name)), stop_after(chain[1]):
        chain(X)
        seen.append("never")
    assert seen == ["plus"] and chain[2].calls == 0
    assert hooks_on(chain) == 0


def test_an_inner_stop_does_not_swallow_an_outer_one(chain: nn.Sequential) -> None:
    reached = False
    with stop_after(chain[0]):
        with stop_after(chain[1]):
            chain(X)
        reached = True
    assert not reached


def test_a_foreign_stop_passes_through(chain: nn.Sequential) -> None:
    with pytest.raises(StopForward), stop_after(chain[0]):
        raise StopForward


@pytest.mark.parametrize("output", [torch.ones(3, 4), (torch.ones(3, 4),), [torch.ones(3, 4)], {"a": 1}, None, ()])
def test_outputs_of_another_kind_are_refused(output: object) -> None:
    module = nn.Module()
    module.forward = lambda: output
    with pytest.raises(TypeError, match="block 3 puts out"), capture({"block 3": module}, lambda *_: None):
        module()


def test_a_list_is_read_and_rewritten_like_a_tuple() -> None:
    module, seen = nn.Module(), []
    module.forward = lambda: [X, "more"]
    with rewrite({"a": module}, lambda _, x: 2 * x), capture({"a": module}, lambda _, x: seen.append(x)):
        output = module()
    assert isinstance(output, list) and output[1] == "more"
    torch.testing.assert_close(output[0], 2 * X)
    torch.testing.assert_close(seen[0], 2 * X)


def test_an_edit_of_another_shape_is_refused(chain: nn.Sequential) -> None:
    with pytest.raises(ValueError, match="same shape"), rewrite({"a": chain[0]}, lambda _, x: x[0]):
        chain(X)


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Double()

    def forward(self, hidden_states: Tensor) -> Tensor:
        return self.inner(hidden_states)


def test_the_input_of_a_module_is_read_by_place_and_by_name() -> None:
    seen: list[Tensor] = []
    module = Named()
    with capture_input(module, seen.append):
        module(X)
        module(hidden_states=2 * X)
    assert [float(state[0, 0, 0]) for state in seen] == [3, 6]
    module(X)
    assert len(seen) == 2 and not module._forward_pre_hooks


def test_an_input_comes_before_the_stop_and_of_another_kind_is_refused() -> None:
    seen: list[Tensor] = []
    module = Named()
    with capture_input(module, seen.append), stop_after(module):
        module(X)
    assert len(seen) == 1
    with pytest.raises(TypeError, match="before Named puts out a tensor of shape"), capture_input(module, seen.append):
        module(X[0])
    assert not module._forward_pre_hooks
