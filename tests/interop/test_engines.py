"""Searching by CTranslate2: what it finds is what our search finds, with our limits, scores and order."""

import json
import shutil
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from foreign import config_of, each_architecture, model_of
from test_architectures import SOURCES, ours_of
from test_export import subwords, write_run
from tiny import SENTENCES

from beamtrain.cli import main
from beamtrain.data.batch import pad
from beamtrain.data.tokenizer import EOS
from beamtrain.interop.engines import load_engine
from beamtrain.interop.export_ctranslate2 import write_ctranslate2
from beamtrain.interop.parity import log_probs
from beamtrain.runs.loading import load_run
from beamtrain.runs.weights import save_weights
from beamtrain.search.beam import beam_search
from beamtrain.search.options import SearchOptions


class Numbers:
    """Subwords that are the numbers of their ids."""

    def __init__(self, size: int) -> None:
        self.vocabulary = [f"{index}" for index in range(size)]

    def pieces(self, ids):
        return [self.vocabulary[each] for each in ids]


def engine_of(network, folder: Path):
    source, target = (
        Numbers(each.table.num_embeddings) for each in (network.source_embedding, network.target_embedding)
    )
    tokenizer = SimpleNamespace(source=source, target=target, save=lambda folder: None)
    folder.mkdir()
    write_ctranslate2(network, tokenizer, "float32", folder)
    return load_engine(network, tokenizer, folder)


@each_architecture
def test_each_architecture(name: str, tmp_path: Path):
    network, vocabularies = ours_of(model_of(config_of(name)), first_token=9 if name == "m2m_100" else None)
    sources = [[*vocabularies.source.to_ours(row), EOS] for row in SOURCES]
    engine, options = engine_of(network, tmp_path / "out"), SearchOptions(beam_size=1, max_length=30)
    ours = [found[0] for found in beam_search(network, pad(sources), options)]
    theirs = [found[0] for found in engine.search(sources, [[]] * 3, options)]
    for one, two in zip(ours, theirs, strict=True):
        assert one.tokens == two.tokens and two.log_prob == pytest.approx(one.log_prob, abs=1e-3)
    expected = log_probs(network, sources, [hypothesis.tokens for hypothesis in ours])
    for one, two in zip(expected, engine.log_probs(sources, [each.tokens for each in ours]), strict=True):
        assert two == pytest.approx(one, abs=1e-4)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return write_run(tmp_path_factory.mktemp("engines") / "run", subwords("bytes"))


@pytest.fixture(scope="module")
def both(run: Path, tmp_path_factory):
    """The network, the engine, and sources."""
    loaded = load_run(run)
    sources = [[*source, EOS] for source in loaded.tokenizer.source.encode(SENTENCES)]
    return loaded.network, engine_of(loaded.network, tmp_path_factory.mktemp("ct2") / "out"), sources


@pytest.mark.parametrize(
    "options",
    [
        SearchOptions(beam_size=1, max_length=1),
        SearchOptions(beam_size=1, max_length_ratio=0.5, max_length_offset=0),
        SearchOptions(beam_size=1, max_length_ratio=0.7, max_length_offset=2, min_length=12),
        SearchOptions(beam_size=1, max_length_ratio=1, no_repeat_ngram=2),
    ],
)
@pytest.mark.parametrize("prefix", [[], [70, 71]])
def test_greedy_search_has_our_limits_and_scores(both, options: SearchOptions, prefix: list[int]):
    if prefix and options.max_length == 1:
        options = replace(options, max_length=4)
    network, engine, sources = both
    forced = pad([prefix] * len(sources)) if prefix else None
    ours = [found[0] for found in beam_search(network, pad(sources), options, prefix=forced)]
    theirs = [found[0] for found in engine.search(sources, [prefix] * len(sources), options)]
    for one, two in zip(ours, theirs, strict=True):
        assert two.tokens == one.tokens
        assert (two.score, two.log_prob) == pytest.approx((one.score, one.log_prob), abs=1e-3)


@pytest.fixture(scope="module")
def brief(both, tmp_path_factory):
    """As `both`, but the network ends soon."""
    network, _, sources = both
    network = deepcopy(network)
    with torch.no_grad():
        end = network.output_weight[EOS]
        network.decoder_norm.bias += 4 * end / end.square().sum()  # to the logit of EOS 4 nats
    return network, engine_of(network, tmp_path_factory.mktemp("brief") / "out"), sources


@pytest.mark.parametrize("rules", [{}, {"min_length": 5}, {"no_repeat_ngram": 1}])
@pytest.mark.parametrize("penalty", ["none", "average", "gnmt"])
def test_candidates_come_by_our_score(brief, penalty, rules):
    network, engine, sources = brief
    options = SearchOptions(beam_size=4, n_best=3, length_penalty=penalty, alpha=0.7, max_length_offset=5, **rules)
    for source, found in zip(sources, engine.search(sources, [[]] * len(sources), options), strict=True):
        scores = [hypothesis.score for hypothesis in found]
        assert len(found) == 3 and scores == sorted(scores, reverse=True)
        for hypothesis in found:
            (each,) = log_probs(network, [source], [hypothesis.tokens])
            assert hypothesis.log_prob == pytest.approx(sum(each), abs=1e-2)
            length = len(hypothesis.tokens) + 1
            lp = {"none": 1, "average": length**0.7, "gnmt": ((5 + length) / 6) ** 0.7}[penalty]
            assert hypothesis.score == pytest.approx(sum(each) / lp, abs=1e-2)


def test_a_prefix_that_fills_the_limit_has_one_candidate(both):
    network, engine, sources = both
    options, prefixes = SearchOptions(beam_size=4, n_best=3, max_length=4), [[70, 71, 72], [70], [], [70, 71, 72]]
    expected = beam_search(network, pad(sources[:4]), options, prefix=pad(prefixes))
    found = engine.search(sources[:4], prefixes, options)
    assert [len(each) for each in found] == [len(each) for each in expected] == [1, 3, 3, 1]


@pytest.mark.parametrize(
    ("options", "asked", "best"),
    [
        (SearchOptions(beam_size=2, length_penalty="average", alpha=1), 3, 4),  # of 3 that ended, K = 2 are ranked
        (SearchOptions(beam_size=4, length_penalty="average", alpha=1), 5, 20),
        (SearchOptions(beam_size=4, length_penalty="none"), 1, 1),  # the first to end as the best of its position wins
        (SearchOptions(beam_size=1, length_penalty="average", alpha=1), 1, 1),
    ],
)
def test_a_search_with_a_length_penalty_waits_for_longer_ones(both, options, asked: int, best: int, monkeypatch):
    _, engine, sources = both
    ended = [(["70"], -1.0), (["70"] * 4, -1.2), (["70"] * 20, -1.3)]

    def translate_batch(sources, prefixes, *, beam_size, num_hypotheses, patience, **rest):
        assert num_hypotheses == asked <= round(beam_size * patience)
        found = ended[:num_hypotheses]
        return [SimpleNamespace(hypotheses=[h for h, _ in found], scores=[s for _, s in found]) for _ in sources]

    monkeypatch.setattr(engine, "_model", SimpleNamespace(translate_batch=translate_batch))
    long = replace(options, max_length_offset=30)
    assert len(engine.search(sources[:1], [[]], long)[0][0].tokens) == best


@pytest.mark.parametrize("limits", [{"max_length": 3}, {"max_length_ratio": 0.1, "max_length_offset": 1}])
@pytest.mark.parametrize("penalty", ["none", "gnmt"])
def test_what_a_limit_cuts_is_chosen_with_its_end(brief, limits: dict[str, float], penalty: str):
    network, engine, sources = brief
    options = SearchOptions(beam_size=4, n_best=2, length_penalty=penalty, **limits)
    expected = beam_search(network, pad(sources), options)
    found = engine.search(sources, [[]] * len(sources), options)
    assert [[each.tokens for each in row] for row in found] == [[each.tokens for each in row] for row in expected]
    alone = engine.search(sources, [[]] * len(sources), replace(options, n_best=1))
    assert [row[0].tokens for row in alone] == [row[0].tokens for row in expected]


@pytest.mark.parametrize(
    "options", [SearchOptions(beam_size=1, max_length=2), SearchOptions(max_length=3, min_length=3)]
)
def test_ends_without_a_choice_are_scored_only_if_anyone_reads_them(both, options: SearchOptions, monkeypatch):
    _, engine, sources = both
    scored, asked = engine.log_probs, []

    def counted(sources, targets):
        asked.extend(targets)
        return scored(sources, targets)

    monkeypatch.setattr(engine, "log_probs", counted)
    expected = engine.search(sources, [[]] * len(sources), options)
    assert len(asked) == len(sources)
    asked.clear()
    monkeypatch.setattr(engine, "_scores_are_read", False)
    found = engine.search(sources, [[]] * len(sources), options)
    assert [each[0].tokens for each in found] == [each[0].tokens for each in expected] and not asked


def test_translate_exports_once_for_the_same_weights(run: Path, tmp_path: Path, capfdbinary):
    (tmp_path / "in").write_text("\n".join(["", *SENTENCES, " ", *reversed(SENTENCES)]) + "\n")
    arguments = ["translate", "--model", str(run), "--input", str(tmp_path / "in"), "--beam", "1"]

    def translated(*options: str) -> list[str]:
        assert main([*arguments, *options]) == 0
        return capfdbinary.readouterr().out.decode().splitlines()

    assert translated("--engine", "ctranslate2") == translated() and len(translated()) == 14
    (engine,) = (run / "engines").iterdir()
    before = (engine / "model.bin").stat().st_mtime_ns
    rows = translated("--engine", "ctranslate2", "--format", "jsonl")
    assert [json.loads(row)["line"] for row in rows] == [*range(1, 15)]
    assert (engine / "model.bin").stat().st_mtime_ns == before
    translated("--engine", "ctranslate2", "--quantization", "int8")
    assert len([*(run / "engines").iterdir()]) == 2

    weights = {name: tensor * 1.1 for name, tensor in load_run(run).network.state_dict().items()}
    save_weights(run, weights)
    assert translated("--engine", "ctranslate2") == translated()
    assert not engine.exists() and len([*(run / "engines").iterdir()]) == 2


def test_evaluate_compares_engines(run: Path, tmp_path: Path, capsys):
    (tmp_path / "text").write_text("\n".join(SENTENCES) + "\n")
    text = ["--source", str(tmp_path / "text"), "--reference", str(tmp_path / "text")]
    engines = [
        "--engine",
        "beamtrain,ctranslate2,ctranslate2:int8",
        "--format",
        "json",
        "--output",
        str(tmp_path / "r"),
        "--html",
        str(tmp_path / "page.html"),
    ]
    assert main(["evaluate", "--model", str(run), *text, *engines, "--beam", "1"]) == 0
    report = json.loads(capsys.readouterr().out)["evaluations"]
    assert [each["engine"] for each in report] == ["beamtrain", "ctranslate2", "ctranslate2:int8"]
    assert report[0]["scores"] == report[1]["scores"] and report[0]["output_tokens"] == report[1]["output_tokens"]
    assert {each.name for each in (tmp_path / "r").glob("*.txt")} == {
        "beam1.beamtrain.txt", "beam1.ctranslate2.txt", "beam1.ctranslate2-int8.txt"
    }  # fmt: skip
    page = json.loads((tmp_path / "page.data.json").read_text())["systems"]
    assert [(each["name"], each["scores"]) for each in page] == [
        (f"beam 1, {each['engine']}", each["scores"]) for each in report
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--engine", "marian"], "--engine marian: must be beamtrain or ctranslate2"),
        (["--quantization", "int8"], "only works together with --engine ctranslate2"),
        (["--engine", "ctranslate2", "--quantization", "int4"], "--quantization int4: must be float32"),
        (["--engine", "ctranslate2", "--sample"], "--sample: the engine ctranslate2"),
        (["--engine", "ctranslate2", "--attention", "--format", "jsonl"], "--attention: the engine ctranslate2"),
        (["--engine", "ctranslate2", "--token-scores", "--format", "tsv"], "--token-scores: the engine ctranslate2"),
        (["--engine", "ctranslate2", "--precision", "bf16"], "--precision: the engine ctranslate2"),
        (["--engine", "ctranslate2", "--device", "cuda"], "--device: the engine ctranslate2"),
    ],
)
def test_what_an_engine_lacks_is_refused_by_name(run: Path, capsys, options: list[str], message: str):
    assert main(["translate", "--model", str(run), *options]) == 2
    assert message in capsys.readouterr().err


def test_without_the_package_it_is_named_and_all_else_works(run: Path, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    monkeypatch.setitem(sys.modules, "transformers", None)
    (tmp_path / "in").write_text("a\n")
    assert main(["translate", "--model", str(run), "--input", str(tmp_path / "in"), "--engine", "ctranslate2"]) == 2
    assert "pip install 'beamtrain[ctranslate2]'" in capsys.readouterr().err
    assert main(["translate", "--model", str(run), "--input", str(tmp_path / "in"), "--beam", "1"]) == 0


def test_a_text_beyond_the_positions_is_refused(both, monkeypatch):
    _, engine, _ = both
    monkeypatch.setattr(engine, "max_positions", 8)
    with pytest.raises(Exception, match="9 tokens, but the engine has positions for 8 only"):
        engine.search([[5] * 8 + [EOS]], [[]], SearchOptions())


def test_a_line_without_positions_is_left_empty_and_reported(imported, tmp_path: Path, capsys):
    run = shutil.copytree(imported("m2m_100").run, tmp_path / "run")
    (tmp_path / "in").write_text(f"{'Hello. ' * 200}\nHello.\n")
    said = []
    for engine in ("beamtrain", "ctranslate2"):
        assert main(["translate", "--model", str(run), "--input", str(tmp_path / "in"), "--engine", engine]) == 0
        said.append(capsys.readouterr())
    assert said[0] == said[1] and "above the limit of 99; left empty" in said[0].err
    assert said[0].out.splitlines()[0] == ""


def test_several_processes_translate_with_the_engine(run: Path, tmp_path: Path, capfdbinary):
    (tmp_path / "in").write_text("\n".join(SENTENCES) + "\n")
    arguments = ["translate", "--model", str(run), "--input", str(tmp_path / "in"), "--beam", "1"]
    assert main([*arguments, "--engine", "ctranslate2", "--processes", "2"]) == 0
    many = capfdbinary.readouterr().out
    assert main(arguments) == 0 and capfdbinary.readouterr().out == many
