"""The encoder and decoder against plain loops, and its beam search against brute force."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperevo.abilities import Beam
from hyperevo.data import BEGIN, END, PADDING
from hyperevo.geometry import Sheet
from hyperevo.targets._beam import beam_search
from hyperevo.targets.encoder_decoder import Settings, build, longest
from hyperevo.weights import Weights

LAYERS = ["lstm", "layer-norm-lstm", "hyper-lstm"]
SYMBOLS = 11


def network_of(layer, seed=0, **options):
    options = {"embedding": 5, "hidden": 6, "hyper": 4, "hyper_embedding": 3, **options}
    target = build(Settings(layer=layer, **options), Sheet((2, SYMBOLS)), SYMBOLS)
    start = target.start(torch.Generator().manual_seed(seed))
    return target, {name: value + 0.3 * torch.randn(value.shape, generator=torch.Generator().manual_seed(seed + 1))
                    for name, value in start.items()}


def as_weights(target, *networks):
    return Weights({name: torch.stack([own[name] for own in networks]).reshape(-1, *place.shape)
                    for name, place in target.geometry.items()})


def pairs(seed, count=4, length=7):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.zeros(count, 2, length, dtype=torch.long)
    for row, side in itertools.product(range(count), range(2)):
        own = int(torch.randint(2, length + 1, (), generator=generator))
        inputs[row, side, :own] = torch.randint(4, SYMBOLS, (own,), generator=generator)
    inputs[:, 1, 0] = BEGIN
    return inputs


def loop(network, source, written):
    """Scores (steps, symbols) of one pair in float64, by the equations of the module, a symbol after the other."""
    source = [symbol for symbol in source.tolist() if symbol != PADDING]
    embedded = network.embedding.weight[source]
    outputs = []
    for direction, cell in enumerate(network.encoder.cells):
        state, seen = None, []
        for place in (range(len(source)) if direction == 0 else reversed(range(len(source)))):
            state = cell(embedded[place][None], state)
            seen.append(state[0][0])
        outputs.append(seen if direction == 0 else seen[::-1])
    memory = torch.stack([torch.cat(both) for both in zip(*outputs, strict=True)])
    first = torch.tanh(network.bridge.weight @ memory.mean(0) + network.bridge.bias)
    state, fed, scores = (first[None],), torch.zeros(network.embedding.embedding_dim, dtype=torch.double), []
    for symbol in written.tolist():
        state = network.decoder[0](torch.cat([network.embedding.weight[symbol], fed])[None], state)
        hidden = state[0][0]
        logits = torch.stack([hidden @ network.attention.weight @ own for own in memory])
        shares = [math.exp(own - float(logits.max())) for own in logits.tolist()]
        context = sum(share / sum(shares) * own for share, own in zip(shares, memory, strict=True))
        fed = torch.tanh(network.combine.weight @ torch.cat([hidden, context]) + network.combine.bias)
        scores.append(network.embedding.weight @ fed + network.bias)
    return torch.stack(scores)


@pytest.mark.parametrize("layer", LAYERS)
@torch.no_grad()
def test_scores_equal_a_plain_loop_in_float64(layer):
    target, start = network_of(layer)
    network, inputs = target.loaded(start).double(), pairs(3)
    scores = network(inputs)
    for row in range(len(inputs)):
        length = int((inputs[row, 1] != PADDING).sum())
        expected = loop(network, inputs[row, 0], inputs[row, 1, :length])
        assert torch.allclose(scores[row, :length], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_gradient_of_the_cost_equals_that_of_sentences_one_by_one(layer):
    target, start = network_of(layer)
    network, inputs = target.loaded(start).double().requires_grad_(), pairs(5)
    wanted = torch.randint(4, SYMBOLS, (4, 7)).where(inputs[:, 1] != PADDING, PADDING)

    def cost(rows):
        scores = network(inputs[rows])
        return torch.nn.functional.cross_entropy(scores.flatten(0, 1), wanted[rows].flatten(), ignore_index=PADDING,
                                                 reduction="sum")

    together = torch.autograd.grad(cost(slice(None)), list(network.parameters()))
    alone = [torch.autograd.grad(cost(slice(row, row + 1)), list(network.parameters())) for row in range(4)]
    for whole, parts in zip(together, zip(*alone, strict=True), strict=True):
        assert torch.allclose(whole, sum(parts), rtol=0, atol=1e-10)


@pytest.mark.parametrize("layer", LAYERS)
@torch.no_grad()
def test_scores_of_a_sentence_equal_those_of_its_symbols_one_by_one(layer):
    target, start = network_of(layer, layers=2)
    network, inputs = target.loaded(start).double(), pairs(4)
    (memory, state), scores = network.read(inputs[:, 0]), network(inputs)
    for place, symbols in enumerate(network.embedding(inputs[:, 1, :longest(inputs[:, 1])]).unbind(1)):
        vector, _, state = network.step(symbols, memory, state)
        assert torch.allclose(scores[:, place], network.answers(vector), rtol=0, atol=1e-10)


@pytest.mark.parametrize("layer", LAYERS)
def test_networks_and_sentences_do_not_touch_each_other(layer):
    target, first = network_of(layer)
    second, inputs = network_of(layer, seed=8)[1], pairs(1)
    both = target.forward(as_weights(target, first, second), inputs)
    assert torch.allclose(both[1], target.forward(as_weights(target, second), inputs)[0], atol=1e-6)
    written = target.translate(as_weights(target, first, second), inputs[:, 0], Beam(3, 12, 0.4, 0.3))
    for number, row in itertools.product(range(2), range(len(inputs))):
        alone = target.translate(as_weights(target, [first, second][number]), inputs[row : row + 1, 0],
                                 Beam(3, 12, 0.4, 0.3))
        own = written[number, row]
        assert own[: alone.shape[2]].tolist() == alone[0, 0].tolist() and not own[alone.shape[2] :].any()


@pytest.mark.parametrize("layer", LAYERS)
@torch.no_grad()
def test_a_beam_of_one_is_greedy(layer):
    target, start = network_of(layer)
    network, source = target.loaded(start), pairs(2, count=6)[:, 0]
    written = target.translate(as_weights(target, start), source, Beam(1, 9))[0]
    for row in range(len(source)):
        sentence = [BEGIN]
        while len(sentence) < 10:
            scores = network(torch.nn.utils.rnn.pad_sequence([source[row][source[row] != PADDING],
                                                              torch.tensor(sentence)], batch_first=True)[None])
            scores = scores[0, len(sentence) - 1].clone()
            scores[PADDING] = -torch.inf
            if int(scores.argmax()) == END:
                break
            sentence.append(int(scores.argmax()))
        assert [symbol for symbol in written[row].tolist() if symbol != PADDING] == sentence[1:]


@given(seed=st.integers(0, 10**6), most=st.integers(1, 4), length_penalty=st.sampled_from([0.0, 0.6, 2.0]),
       coverage_penalty=st.sampled_from([0.0, 0.5]))
@settings(max_examples=40, deadline=None)
def test_a_wide_beam_finds_what_brute_force_finds(seed, most, length_penalty, coverage_penalty):
    """Symbols 0 to 4, of which 2 ends a sentence; chances depend on all that is written before."""
    symbols, places = 5, 3

    def chances(before):
        generator = torch.Generator().manual_seed(seed * 1000 + hash(tuple(before)) % 1000)
        scores = torch.randn(symbols, generator=generator, dtype=torch.double) * 2
        scores[PADDING] = -torch.inf
        return scores.log_softmax(0), torch.randn(places, generator=generator, dtype=torch.double).softmax(0)

    def step(last, state):
        after = torch.cat([state[0], last[:, None]], 1)
        scores, shares = zip(*(chances(row) for row in after.tolist()), strict=True)
        return torch.stack(scores), torch.stack(shares).float(), (after,)

    def value(sentence):
        total, covered, before = 0.0, torch.zeros(places, dtype=torch.double), [BEGIN]
        for symbol in [*sentence, END]:
            scores, shares = chances(before)
            total, covered = total + float(scores[symbol]), covered + shares
            before.append(symbol)
        penalty = ((5 + len(sentence) + 1) / 6) ** length_penalty
        return total / penalty + coverage_penalty * float(covered.clamp(max=1).log().sum())

    every = [sentence for length in range(most) for sentence in itertools.product((1, 3, 4), repeat=length)]
    best = max(every, key=value)
    found = beam_search(step, (torch.zeros(1, 0, dtype=torch.long),), torch.ones(1, places, dtype=torch.long),
                        Beam(symbols**most, most, length_penalty, coverage_penalty))[0]
    found = tuple(symbol for symbol in found.tolist() if symbol != PADDING)
    assert value(found) == pytest.approx(value(best), abs=1e-5)


def test_dropout_is_drawn_from_its_seed():
    target, start = network_of("hyper-lstm", keep=0.5)
    weights, inputs = as_weights(target, start, start), pairs(0)
    first, again = (target.forward_dropping(weights, inputs, 7) for _ in range(2))
    assert torch.equal(first, again) and torch.equal(first[0], first[1])
    assert not torch.equal(first, target.forward_dropping(weights, inputs, 8))
    assert torch.equal(target.forward(weights, inputs), target.forward(weights, inputs))


def test_dropout_keeps_the_mean():
    target, start = network_of("lstm", keep=0.75)
    kept = target.loaded(start).train()._dropped(torch.ones(20_000))
    assert set(kept.tolist()) == {0.0, float(torch.tensor(1.0) / 0.75)}
    assert float(kept.mean()) == pytest.approx(1, abs=0.02)
    assert target.loaded(start)._dropped(kept) is kept
