"""Tensors are read back as they lay in memory, or their file is told in one line."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from hyperevo.errors import UserError
from hyperevo.runs.files import write_tensors
from hyperevo.tensors import read_tensors


@pytest.mark.parametrize("keep", [0, 4, 20, 100])
def test_cut_tensors_are_one_line_that_names_the_file(tmp_path, keep):
    path = tmp_path / "tensors.safetensors"
    write_tensors(path, {"t": torch.arange(100)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"tensors.safetensors: is cut short or damaged"):
        read_tensors(path)


def test_tensors_are_read_into_memory_that_is_aligned(tmp_path):
    tensors = {f"{place}": torch.ones(3 + place) for place in range(6)}
    write_tensors(tmp_path / "tensors.safetensors", tensors)
    read = read_tensors(tmp_path / "tensors.safetensors")
    assert all(torch.equal(read[name], value) and read[name].data_ptr() % 64 == 0 for name, value in tensors.items())


@given(st.permutations(range(3)))
def test_tensors_are_read_as_they_lay_in_memory(tmp_path_factory, axes):
    path = tmp_path_factory.mktemp("laid") / "tensors.safetensors"
    laid = torch.arange(24.0).reshape(2, 3, 4).permute(axes)
    write_tensors(path, {"laid": laid, "spread": torch.ones(3, 1).expand(3, 4)})
    read = read_tensors(path)
    assert torch.equal(read["laid"], laid) and read["laid"].stride() == laid.stride()
    assert torch.equal(read["spread"], torch.ones(3, 4)) and read["laid"].data_ptr() % 64 == 0


@pytest.mark.parametrize("orders", ["[", "[1]", '{"laid": 3}', '{"laid": [0, 0]}', '{"laid": [0, 1, 2]}'])
def test_damaged_order_of_axes_is_one_line_that_names_the_file(tmp_path, orders):
    path = tmp_path / "tensors.safetensors"
    path.write_bytes(save({"laid": torch.ones(2, 3)}, {"axes in memory": orders}))
    with pytest.raises(UserError, match="tensors.safetensors: is cut short or damaged"):
        read_tensors(path)
