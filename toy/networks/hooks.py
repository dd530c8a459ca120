"""Reading and rewriting what a module puts out, on any torch model, while a `with` block lasts.

    with capture({"block.3": model.layers[3]}, sink):      sink("block.3", output) at each forward
    with capture_input(model.layers[0], sink):             sink(input) at each forward: what the embedding hands on
    with rewrite({"block.3": model.layers[3]}, edit):      the output becomes edit("block.3", output)
    with stop_after(model.layers[3]):                      nothing behind the module is computed

One mechanism serves the toy, language models, sparse features and patching. Outputs are (batch, position, d_model):
some modules return the tensor, others a tuple or list that begins with it. The tensor is unwrapped by type, because
`output[0]` of a bare tensor is silently its first batch row. Hooks are removed when the block ends, also by an
exception; they fire in the order in which the blocks were entered, so a capture inside a rewrite sees the edit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


class StopForward(Exception):
    """Raised by `stop_after` inside a forward; its own `with` block swallows it: a signal, not an error."""


@contextmanager
def capture(modules: Mapping[str, nn.Module], sink: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Hand each module's output to `sink(name, output)`; the forward itself is left as it is.

    Reduce inside `sink`: a reference to the whole output keeps its memory.
    """

    def read(name: str, output: Any) -> None:
        sink(name, unwrap(output, name))

    with _attached(modules, read):
        yield


@contextmanager
def capture_input(module: nn.Module, sink: Callable[[Tensor], None]) -> Iterator[None]:
    """Hand the (batch, position, d_model) tensor that a module is called with, its first argument, to `sink`."""

    def read(_module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        sink(unwrap(arguments[0] if arguments else named.get("hidden_states"), f"what stands before {before}"))

    before = type(module).__name__
    handle = module.register_forward_pre_hook(read, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def rewrite(modules: Mapping[str, nn.Module], edit: Callable[[str, Tensor], Tensor]) -> Iterator[None]:
    """Replace each module's output by `edit(name, output)`, keeping whatever else a tuple holds.

    `edit` returns a new tensor; writing into the old one would also change what other modules still hold.
    """

    def write(name: str, output: Any) -> Any:
        old = unwrap(output, name)
        new = edit(name, old)
        if new.shape != old.shape or new.dtype != old.dtype:
            raise ValueError(
                f"the edit of {name} turned {old.dtype} {tuple(old.shape)} into {new.dtype} {tuple(new.shape)}: "
                "return a tensor of the same shape and type"
            )
        return new if isinstance(output, Tensor) else type(output)([new, *output[1:]])

    with _attached(modules, write):
        yield


@contextmanager
def stop_after(module: nn.Module) -> Iterator[None]:
    """End a forward as soon as `module` has run: what follows it in the `with` block is skipped, silently.

    Enter it after the captures, so that their hooks on the same module come first.
    """
    stop = StopForward()

    def end(_name: str, _output: Any) -> None:
        raise stop

    with _attached({"stop": module}, end):
        try:
            yield
        except StopForward as signal:
            if signal is not stop:  # an outer block's
                raise


def unwrap(output: Any, name: str) -> Tensor:
    """The (batch, position, d_model) tensor of a module's output.

    Raises TypeError if the output is neither a 3-D tensor nor a tuple or list that begins with one.
    """
    tensor = output[0] if isinstance(output, tuple | list) and output else output
    if not isinstance(tensor, Tensor) or tensor.ndim != 3:
        given = f"a tensor of shape {tuple(tensor.shape)}" if isinstance(tensor, Tensor) else type(tensor).__name__
        raise TypeError(f"{name} puts out {given}: hooks read (batch, position, d_model) tensors only")
    return tensor


@contextmanager
def _attached(modules: Mapping[str, nn.Module], hook: Callable[[str, Any], Any]) -> Iterator[None]:
    """Run `hook(name, output)` after each module; what it returns, if anything, replaces the output."""
    handles = []
    try:
        for name, module in modules.items():
            handles.append(module.register_forward_hook(lambda _, __, output, name=name: hook(name, output)))
        yield
    finally:
        for handle in handles:
            handle.remove()
