"""The adversarial search plays a game of two, resumes to the same bits, and gives a generator that is sampled, searched
in, and refused where it does not fit."""

import shutil

import pytest
import torch
from safetensors.torch import load_file
from torch.distributions import Normal, kl_divergence
from typer.testing import CliRunner

from hyperevo.abilities import HasPrior, LearnsPrior
from hyperevo.cli import app
from hyperevo.config import load_config
from hyperevo.encodings import build_encoding
from hyperevo.encodings.gaussian import Settings as GaussianSettings
from hyperevo.encodings.generator import Settings as GeneratorSettings
from hyperevo.encodings.hypergan import Settings as HyperGANSettings
from hyperevo.errors import UserError
from hyperevo.genotypes import Drawn, first_of
from hyperevo.geometry import ParameterGeometry, Sheet
from hyperevo.plots.run_samples import sampled
from hyperevo.randomness import generator_for
from hyperevo.runs import create_run, execute, open_run
from hyperevo.runs.opened import OpenedRun
from hyperevo.runs.parcels import common_part, pack, unpack
from hyperevo.search.adversarial import PRIOR_STREAM, Settings, build, distance_from_normal

GEOMETRY = {"hidden.weight": ParameterGeometry(Sheet((3,)), Sheet((4,))), "readout.weight": ParameterGeometry(
    Sheet((2,)), Sheet((3,)))}
ENCODING = build_encoding(HyperGANSettings(noise=6, layer_code=4, mixer=(9,), generator=(8,)), GEOMETRY,
                          torch.device("cpu"))
DIGITS = ["task.name=digits", "target={name='mlp', hidden=[[3,3]]}", "threads=1", "run.rounds=4",
          "run.validate_every=2",
          "encoding={name='hypergan', noise=7, layer_code=5, mixer=[8], generator=[9]}",
          "search={name='adversarial', population=4, validated=3, discriminator_hidden=[6], steps_per_round=3}"]


def make(seed=0, **options):
    return build(Settings(**{"population": 5, "discriminator_hidden": (7,), "pretraining": 0, **options}), ENCODING,
                 seed)


def fitness_of(drawn):
    weights = ENCODING.express(drawn).dense().values()
    return -torch.cat([value.flatten(1) for value in weights], 1).sub(0.3).square().mean(1)


def test_a_step_is_that_of_both_players_written_out():
    search = make(beta=3.0, discriminator_beta=2.0, weight_decay=0.01, discriminator="joint")
    drawn, judging = search.ask(), search._judging.detach().clone()
    shared = drawn.shared.detach().clone().requires_grad_()
    mixer = ENCODING.parts[0]
    parts = [shared.detach()[:mixer].clone(), shared.detach()[mixer:].clone()]
    players = [torch.optim.Adam([part], rate, (0.5, 0.9), weight_decay=0.01)
               for part, rate in zip(parts, (5e-4, 1e-4), strict=True)]

    def answers(codes, numbers):
        first, biases, last, bias = numbers.split([7 * 8, 7, 7, 1])
        return torch.relu(codes @ first.view(7, 8).T + biases) @ last.view(1, 7).T + bias

    codes = ENCODING.codes(Drawn(shared, drawn.codes)).flatten(1)
    normal = torch.randn(5, 8, generator=search_normal(search))
    judge = judging.clone().requires_grad_()
    judge_loss = -torch.log(answers(normal, judge).sigmoid()).mean() \
        - torch.log(1 - answers(codes.detach(), judge).sigmoid()).mean()
    (2.0 * judge_loss).backward()
    judges = torch.optim.Adam([judge], 1e-4, (0.5, 0.9), weight_decay=0.01)
    judges.step()
    loss = -3.0 * fitness_of(Drawn(shared, drawn.codes)).mean() - torch.log(
        answers(codes, judge.detach()).sigmoid()).mean()
    loss.backward()
    for part, own, player in zip(parts, (shared.grad[:mixer], shared.grad[mixer:]), players, strict=True):
        part.grad = own
        player.step()

    search.tell(fitness_of(search.ask()))
    torch.testing.assert_close(search._judging.detach(), judge.detach())
    torch.testing.assert_close(search.candidates().shared, torch.cat(parts))
    assert search.statistics()["discriminator_loss"] == pytest.approx(float(judge_loss.detach()))


def search_normal(search):
    return generator_for(search.seed, search.generation + 2, PRIOR_STREAM)


def test_fitness_rises_and_every_step_draws_anew():
    search = make(learning_rate=3e-3, mixer_learning_rate=3e-3)
    before, codes = fitness_of(search.ask()).mean(), search.ask().codes
    for _ in range(50):
        search.tell(fitness_of(search.ask()))
    assert fitness_of(search.ask()).mean() > before / 4 and not torch.equal(search.ask().codes, codes)
    assert torch.equal(search.candidates().codes, make().candidates().codes)


def test_pretraining_brings_codes_near_the_prior():
    noise = torch.randn(500, 6, generator=torch.Generator().manual_seed(1))
    far = {}
    for steps in (0, 60):
        search = make(pretraining=steps)
        with torch.no_grad():
            search._shared[: ENCODING.parts[0]] *= 1.2
        far[steps] = float(distance_from_normal(ENCODING.codes(Drawn(search.ask().shared.detach(), noise))))
    assert far[60] < far[0] / 2


def test_the_divergence_of_weights_is_torchs():
    encoding = build_encoding(GaussianSettings(prior=0.7), GEOMETRY, torch.device("cpu"))
    shared = torch.randn(36, generator=torch.Generator().manual_seed(0))
    priors = torch.cat([torch.full((place.size,), 0.7 * place.deviation) for place in GEOMETRY.values()])
    wanted = kl_divergence(Normal(shared[18:], shared[:18].exp()), Normal(torch.zeros(18), priors)).sum()
    torch.testing.assert_close(encoding.divergence(shared), wanted)
    drawn = encoding.drawn(shared, 4000, torch.Generator().manual_seed(1))
    weights = torch.cat([value.flatten(1) for value in encoding.express(drawn).dense().values()], 1)
    torch.testing.assert_close(weights.mean(0), shared[18:], atol=0.2, rtol=0.1)
    torch.testing.assert_close(weights.std(0), shared[:18].exp(), atol=0.01, rtol=0.1)
    with pytest.raises(UserError, match="search.divergence"):
        build(Settings(divergence=0.1), ENCODING, 0)


def test_the_evidence_lower_bound_finds_the_posterior_of_a_known_mean():
    encoding = build_encoding(GaussianSettings(), {"a.weight": ParameterGeometry(Sheet((1,)), Sheet((2,)))},
                              torch.device("cpu"))  # prior N(0, 1) for each of two weights
    search = build(Settings(population=64, discriminator="none", pretraining=0, divergence=1.0, learning_rate=0.03,
                            mixer_learning_rate=0.03, betas=(0.9, 0.99)), encoding, 0)
    for _ in range(300):  # likelihood N(2, 1): posterior N(1, 1/2)
        weights = encoding.express(search.ask())["a.weight"]
        search.tell(-(weights - 2).square().sum((1, 2)) / 2)
    logarithms, means = search.candidates().shared.split(2)
    torch.testing.assert_close(means, torch.ones(2), atol=0.15, rtol=0)
    torch.testing.assert_close(logarithms.exp().square(), torch.full((2,), 0.5), atol=0.12, rtol=0)


def test_a_generator_only_is_trained_so():
    direct = load_config("direct-mnist").config.part("encoding")
    with pytest.raises(UserError, match="encoding direct is none"):
        build(Settings(), build_encoding(direct, GEOMETRY, torch.device("cpu")), 0)
    assert isinstance(ENCODING, LearnsPrior) and not isinstance(ENCODING, HasPrior)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hypergan") / "run"
    return folder, execute(create_run(load_config("hypergan-mnist", DIGITS).config, folder))


def test_a_run_resumes_to_the_same_bits(unbroken, tmp_path, run_until):
    config = load_config("hypergan-mnist", DIGITS).config
    for rounds in (1, 2):
        run_until(config, tmp_path / f"{rounds}", rounds)
        resumed = execute(open_run(tmp_path / f"{rounds}"))
        for name, value in unbroken[1].weights.items():
            assert torch.equal(resumed.weights[name], value)
        assert (tmp_path / f"{rounds}" / "metrics.csv").read_bytes() == (unbroken[0] / "metrics.csv").read_bytes()


def test_the_trained_generator_is_an_encoding(unbroken, tmp_path):
    folder = shutil.copytree(unbroken[0], tmp_path / "model")
    opened = OpenedRun(folder)
    config = load_config("dct-mnist", [
        "task.name=digits", "target={name='mlp', hidden=[[3,3]]}", f"encoding={{name='generator', run='{folder}'}}",
        "task.images=40", "search={name='cmaes', population=6}", "run.rounds=2", "run.validate_every=1",
        "threads=1"]).config
    run = create_run(config, tmp_path / "searched")
    encoding = run.parts.encoding
    assert isinstance(encoding, HasPrior) and encoding.genes == 7
    own = encoding.express(opened.genotype[None, -7:])
    for name, value in opened.weights.items():
        torch.testing.assert_close(own[name][0], value)
    assert execute(run)["encoded_genes"] == 7
    shutil.rmtree(folder)
    execute(open_run(tmp_path / "searched", changes=["run.rounds=3"]))  # the run keeps the model
    sampled(tmp_path / "searched", None, 0, {"count": 2})
    assert len(list((tmp_path / "searched" / "networks").iterdir())) == 2


def test_a_generator_of_other_parameters_is_refused(unbroken):
    settings = GeneratorSettings.model_validate({"run": str(unbroken[0])})
    geometry = {"first.weight": ParameterGeometry(Sheet((9,)), Sheet((64,))), "other.weight": ParameterGeometry(
        Sheet((10,)), Sheet((9,))), "all.bias": ParameterGeometry(Sheet((19,)))}
    with pytest.raises(UserError, match="generates the parameters hidden.bias, hidden.weight"):
        build_encoding(settings, geometry, torch.device("cpu"))


def test_networks_are_drawn_as_state_dicts(unbroken, tmp_path):
    folder, opened = unbroken[0], OpenedRun(unbroken[0])
    out = sampled(folder, None, 3, {"count": 5, "out": tmp_path / "drawn"})
    files = sorted(out.iterdir())
    assert [file.name for file in files] == [f"network-{index:04d}.safetensors" for index in range(5)]
    networks = [load_file(file) for file in files]
    assert {name: value.shape for name, value in networks[0].items()} == {
        name: value.shape for name, value in opened.weights.items()}
    assert not torch.equal(networks[0]["readout.weight"], networks[1]["readout.weight"])
    sampled(folder, None, 3, {"count": 2, "out": tmp_path / "again"})
    torch.testing.assert_close(load_file(tmp_path / "again" / files[1].name), networks[1])
    with pytest.raises(UserError, match="drawn holds files"):
        sampled(folder, None, 0, {"out": tmp_path / "drawn"})
    for length, options, key in ((None, {"prompt": "a"}, "--prompt"), (5, {}, "--length")):
        with pytest.raises(UserError, match=key):
            sampled(folder, length, 0, options)


def test_the_command_line_draws_networks(unbroken, tmp_path):
    out = tmp_path / "drawn"
    done = CliRunner().invoke(app, ["sample", str(unbroken[0]), "--count", "3", "--seed", "3", "--out", str(out)])
    assert done.exit_code == 0 and done.stdout.strip() == str(out)
    assert len(list(out.iterdir())) == 3
    assert CliRunner().invoke(app, ["sample", str(unbroken[0]), "--out", str(out)]).exit_code != 0


def test_drawn_networks_travel_with_their_generator_once():
    drawn = make().ask()
    parcel, common = pack(drawn[1:3]), common_part(drawn)
    arrived = unpack(parcel, common, torch.device("cpu"))
    assert isinstance(arrived, Drawn) and len(arrived) == len(parcel) == 2
    assert torch.equal(arrived.codes, drawn.codes[1:3]) and torch.equal(arrived.shared, drawn.shared)
    assert parcel.bytes == 4 * 2 * 6 and torch.equal(first_of(arrived), drawn.genotype(1))
