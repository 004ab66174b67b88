"""Tensors in safetensors files: read back as they lay in memory."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from hyperevo.errors import UserError, reason, shortened, shown_path
from hyperevo.reading import check_regular

ORDERS = "axes in memory"
"""Key of a file's header."""


def tensor_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors as the content of a safetensors file, which says of those that lie otherwise in memory how they do."""
    orders = {name: order for name, tensor in tensors.items() if (order := _order(tensor)) is not None}
    # Clones: tensors that share memory would be refused.
    return save({name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
                 for name, tensor in tensors.items()}, {ORDERS: json.dumps(orders)} if orders else None)


def _order(tensor: Tensor) -> list[int] | None:
    """Axes of a tensor from the one whose steps in memory are longest on; None where they are in order, and where its
    numbers do not lie side by side."""
    order = sorted(range(tensor.dim()), key=tensor.stride, reverse=True)
    return order if not tensor.is_contiguous() and tensor.permute(order).is_contiguous() else None


def read_tensors(path: Path | str) -> dict[str, Tensor]:
    """Tensors on the CPU; raises UserError naming the file where it is missing, cut short or not safetensors.

    They lie in memory as those that were written, and are aligned, which they are not in the file's bytes: products of
    what lies there otherwise round otherwise.
    """
    check_regular(path)
    try:
        with safe_open(path, "pt") as file:
            orders = json.loads((file.metadata() or {}).get(ORDERS, "{}"))
            return {name: _laid_out(file.get_tensor(name), orders.get(name)) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise UserError(f"{shown_path(path)}: cannot be read: {reason(error)}") from error
    except Exception as error:  # SafetensorError, and what torch says of types and sizes that it does not know
        raise UserError(f"{shown_path(path)}: is cut short or damaged: {shortened(error)}") from error


def _laid_out(tensor: Tensor, order: list[int] | None) -> Tensor:
    """Copy of a tensor whose axes lie in memory in this order."""
    if order is None:
        return tensor.clone()
    places = [order.index(axis) for axis in range(tensor.dim())]
    return tensor.permute(order).clone(memory_format=torch.contiguous_format).permute(places)
