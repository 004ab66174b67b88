"""Translation: batches, scores, bad input, a run on disk, samples of it."""

import pytest
import sacrebleu
import torch

from hyperevo.config import load_config
from hyperevo.data import BEGIN, END, PADDING, load_pairs, read_pair_files
from hyperevo.errors import UserError
from hyperevo.plots import save_run_figures
from hyperevo.plots.run_samples import sampled
from hyperevo.runs import Interrupted, create_run, execute, open_run
from hyperevo.runs.compose import shaped_target
from hyperevo.tasks._bleu import scores_of
from hyperevo.tasks.translation import Settings, build

SMALL = ["task.symbols=60", "task.longest=24", "task.sentences=6", "target.embedding=4", "target.hidden=5",
         "target.hyper=3", "target.hyper_embedding=2", "search.steps_per_round=3", "run.rounds=4", "threads=1"]


@pytest.fixture
def small(small_files):
    """A task of sixty small sentences."""
    return build(Settings(pairs="", source=str(small_files["source"]), target=str(small_files["translation"]),
                          symbols=60, longest=24, sentences=6), torch.device("cpu"))


def config_of(small_files, name="translation-multi30k-hyperlstm"):
    files = f"task={{name='translation', source='{small_files['source']}', target='{small_files['translation']}'}}"
    return load_config(name, [files, *SMALL]).config


def test_batches_hold_whole_sentences_and_what_is_wanted_next(small):
    inputs, wanted = small.batch(0, 0)
    assert inputs.shape[:2] == (6, 2) and wanted.shape == (6, inputs.shape[2])
    for (source, written), next_ones in zip(inputs.tolist(), wanted.tolist(), strict=True):
        assert written[0] == BEGIN and END in next_ones and END in source
        length = next_ones.index(END)
        assert written[1 : length + 1] == next_ones[:length] and not any(next_ones[length + 1 :])
    every = [sentence for generation in range(9) for sentence in small.sentences_of(small.batch(3, generation)[1])]
    assert len(every) == 54 == len(small._train) and sorted(every) == sorted(
        small.subwords.decode(small.subwords.encode(small._data.train.target)))


def test_an_epoch_puts_sentences_of_one_length_together(real_data):
    task = build(Settings(), torch.device("cpu"))
    shares = [float((task.batch(0, generation)[1] == PADDING).float().mean()) for generation in range(20)]
    assert sum(shares) / len(shares) < 0.15
    assert len(task._train) == 29_000 and task.outputs == 6000
    assert task.sentences_of(task.test()[1])[0] == load_pairs("multi30k", ("en", "fr")).tests["2016"].target[0]


def test_scores_are_those_of_sacrebleu(small):
    references = ["Un homme, deux chats.", "L'arbre est rouge !"]
    written = ["Un homme et deux chats.", "L'arbre rouge !"]
    scores = scores_of(written, references)
    assert scores.bleu == sacrebleu.corpus_bleu(written, [references]).score
    assert scores.chrf == sacrebleu.corpus_chrf(written, [references]).score
    assert "tok:13a" in scores.signature and "case:mixed" in scores.signature
    tokens = scores_of(written, references, lower_tokens="fr")
    parted = [["un homme , deux chats .", "l' arbre est rouge !"], ["un homme et deux chats .", "l' arbre rouge !"]]
    assert tokens.bleu == sacrebleu.corpus_bleu(parted[1], [parted[0]], tokenize="none", force=True).score
    _, wanted = small.validation
    assert float(small.score(torch.stack([wanted, wanted.flip(0)]), wanted)[0]) == pytest.approx(1)


def test_label_smoothing_changes_the_fitness_and_padding_does_not(small):
    inputs, wanted = small.batch(0, 0)
    scores = torch.randn(2, *wanted.shape, small.outputs)
    plain = small.fitness(scores, wanted)
    longer = torch.cat([scores, torch.randn(2, len(wanted), 3, small.outputs)], 2)
    assert torch.allclose(small.fitness(longer, torch.nn.functional.pad(wanted, (0, 3), value=PADDING)), plain)
    smooth = build(small.settings.model_copy(update={"smoothing": 0.1}), torch.device("cpu")).fitness(scores, wanted)
    logs, there = scores.log_softmax(3), wanted != PADDING
    expected = 0.9 * plain + 0.1 * torch.stack([own.mean(2)[there].mean() for own in logs])
    assert torch.allclose(smooth, expected, atol=1e-5)


def test_published_sizes_are_about_equal(real_data):
    sizes = {}
    for name in ("lstm", "layernorm-lstm", "hyperlstm"):
        config = load_config(f"translation-multi30k-{name}").config
        task = build(config.task, torch.device("cpu"))
        sizes[name] = shaped_target(config.part("target"), task.inputs, task.outputs).size
    assert max(sizes.values()) / min(sizes.values()) < 1.005, sizes


def test_a_run_that_is_cut_off_ends_in_the_same_bits_and_translates(small_files, tmp_path):
    config = config_of(small_files)
    execute(create_run(config, tmp_path / "whole"))
    run = create_run(config, tmp_path / "cut")
    with pytest.raises(Interrupted):
        execute(run, lambda round_: (_ for _ in ()).throw(Interrupted(2)) if round_.number == 2 else None)
    execute(open_run(tmp_path / "cut"))
    for file in ("metrics.csv", "champion/weights.safetensors", "champion/examples.safetensors", "subwords.model"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "cut" / file).read_bytes()
    figures = {path.name for path in save_run_figures(tmp_path / "whole")}
    assert {"attention_1.png", "learning_curves.png"} <= figures
    sentence = sampled(tmp_path / "whole", None, 0, {"prompt": "a cat sees two dogs"})
    (tmp_path / "in.txt").write_text("a big man sees red dogs\n\na cat sees two dogs\n")
    out = sampled(tmp_path / "whole", None, 0, {"input": tmp_path / "in.txt", "out": tmp_path / "out.txt"})
    lines = out.read_text().split("\n")
    assert len(lines) == 4 and lines[1] == "" and lines[2] == sentence


@pytest.mark.parametrize(("source", "target", "said"), [
    ("one\ntwo\n", "un\n", "target.txt: has 1 lines, and .*source.txt has 2"),
    ("one\n\nthree\n", "un\ndeux\ntrois\n", "source.txt: line 2 is empty"),
    ("", "un\n", "source.txt: is empty"),
    (b"\xff\xfe1\n", "un\n", "source.txt: is not UTF-8: byte 1"),
    ("one\n", None, "target.txt: cannot be read"),
    ("one\ntwo\n", "un\ndeux\n", "too few"),
])
def test_files_that_are_no_pairs_are_one_line(tmp_path, source, target, said):
    for name, content in (("source.txt", source), ("target.txt", target)):
        if content is not None:
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=said) as error:
        read_pair_files(tmp_path / "source.txt", tmp_path / "target.txt")
    assert "\n" not in str(error.value)


def test_settings_that_cannot_be_are_one_line(tmp_path, small_files):
    with pytest.raises(UserError, match="source is given and target is not"):
        load_config("translation-multi30k-lstm", ["task={name='translation', source='a.txt'}"])
    with pytest.raises(UserError, match="multi30k is in en, fr, not 'xx'"):
        build(Settings(languages=("en", "xx")), torch.device("cpu"))
    with pytest.raises(UserError, match="both languages are 'en'"):
        build(Settings(languages=("en", "en")), torch.device("cpu"))
    with pytest.raises(UserError, match="task.pairs: 'wmt' is no data set"):
        build(Settings(pairs="wmt"), torch.device("cpu"))
    with pytest.raises(UserError, match="task.symbols: 60,000 sub-words cannot be learned"):
        build(Settings(source=str(small_files["source"]), target=str(small_files["translation"]), symbols=60_000),
              torch.device("cpu"))
