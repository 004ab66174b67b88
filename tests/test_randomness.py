import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hyperevo.randomness import drawing, generator_for, mixed
from hyperevo.search import eggroll, neat
from hyperevo.tasks import _draws

SEEDS = st.integers(0, 2**31 - 1)
NUMBERS = st.integers(0, 2**50)


@given(SEEDS, NUMBERS)
def test_every_formula_that_it_took_the_place_of_gives_the_same_seed(seed, number):
    # Runs made with them resume, and are made again, to the same bits.
    assert mixed(seed, number) == (seed * 1_000_003 + number) % 2**63
    assert mixed(seed, number) == (seed * 1_000_003 + number) % 2**61
    assert mixed(seed, number) == seed * 1_000_003 + number
    order = _draws.ORDER_STREAM
    assert mixed(seed, number, order) == (seed * 1_000_003 + number) % 2**63 ^ order
    for noise in (neat.NOISE_STREAM, eggroll.NOISE_STREAM):
        assert mixed(seed, number, noise) == ((seed * 1_000_003 + number) ^ noise) % 2**63


@pytest.mark.parametrize("stream", [0, _draws.ORDER_STREAM, neat.NOISE_STREAM, eggroll.NOISE_STREAM])
def test_a_generator_draws_from_the_mixed_seed(stream):
    wanted = torch.rand(4, generator=torch.Generator().manual_seed((3 * 1_000_003 + 7) ^ stream))
    assert torch.rand(4, generator=generator_for(3, 7, stream)).equal(wanted)
    assert not torch.rand(4, generator=generator_for(3, 8, stream)).equal(wanted)


@given(st.integers(0, 2**80), st.integers(0, 2**80))
def test_no_batch_is_drawn_with_a_held_out_seed(seed, number):
    assert 0 <= mixed(seed, number) < 2**61


def test_threads_draw_one_after_the_other_and_leave_the_generator_as_it_was():
    def drawn(seed):
        with drawing(seed, torch.device("cpu")):
            first = torch.rand(())
            time.sleep(0.005)  # long enough for another thread, if it may
            return float(first), float(torch.rand(()))

    before = torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        pairs = list(pool.map(drawn, [7, 8] * 8))
    assert len(set(pairs)) == 2 and pairs[0] == drawn(7) and pairs[1] == drawn(8)
    assert torch.equal(before, torch.get_rng_state())
