"""WMD and WRD: cases with known answers, a linear programme as the witness, files and runs as the source of vectors."""

import gzip
import json
import math

import numpy
import pytest
from scipy.optimize import linprog
from tiny import SENTENCES

from beamtrain.base.errors import UserError
from beamtrain.cli import main
from beamtrain.runs.loading import load_run
from beamtrain.scoring import word_vectors
from beamtrain.scoring.metrics import bootstrap, score_corpus
from beamtrain.scoring.word_movers import WordMoversDistance, WordRotatorsDistance, word_movers
from beamtrain.scoring.word_vectors import Vectors, check_vectors

PLANE = "4 2\nright 3 0\nup 0 4\nleft -1 0\nboth 1 1\n"


@pytest.fixture
def plane(tmp_path):
    (tmp_path / "plane.vec").write_text(PLANE)
    return tmp_path / "plane.vec"


@pytest.mark.parametrize(
    "said, meant, wmd, wrd",
    [
        ("right", "up", 5, 1),
        ("right", "left", 4, 2),
        ("up right", "right up", 0, 0),
        ("Right", "right", 0, 0),  # in small letters
        ("right", "right nothing", 0, 0),  # a word without a vector is left out
        ("right right", "right up", 2.5, 4 / 7),  # half a word goes up; of the norms, 4 of 7
        ("right", "both", math.sqrt(5), 1 - 1 / math.sqrt(2)),
        ("nothing", "right up", (3 + 4) / 2, 1),  # as far as from 0
        ("nothing", "", 0, 0),
    ],
)
def test_known_answers(plane, said, meant, wmd, wrd):
    scores = score_corpus([said], [meant], vectors=plane).distances
    assert [score.name for score in scores] == ["WMD", "WRD"]
    assert [score.value for score in scores] == pytest.approx([100 * wmd, 100 * wrd], abs=1e-4)
    closer = score_corpus([said], [meant], [said], vectors=plane).distances
    assert [score.value for score in closer] == pytest.approx([0, 0], abs=1e-4)  # of two references the nearer one


def test_the_same_words_in_another_order_are_no_difference(tmp_path):
    rng, words = numpy.random.default_rng(0), [f"w{number}" for number in range(60)]
    lines = (" ".join([word, *(f"{value:.5f}" for value in rng.normal(size=20))]) for word in words)
    (tmp_path / "random.vec").write_text("\n".join(lines) + "\n")
    meant, other = ([list(rng.choice(words, rng.integers(3, 25))) for _ in range(40)] for _ in range(2))
    for said in (meant, other):
        systems = {"as it is": said, "reversed": [line[::-1] for line in said]}
        systems |= {"rotated": [line[2:] + line[:2] for line in said], "thrice": [line * 3 for line in said]}
        outputs = {name: [" ".join(line) for line in lines] for name, lines in systems.items()}
        reference = [" ".join(line) for line in meant]
        estimates = bootstrap(outputs, reference, samples=100, vectors=tmp_path / "random.vec")
        for name in list(systems)[1:]:
            for found in estimates[name][2:]:
                difference = found.difference
                assert (difference.value, difference.low, difference.high, difference.p_value) == (0, 0, 0, 1)
        if said is meant:
            assert [found.score.value for found in estimates["as it is"][2:]] == [0, 0]


class RandomVectors(Vectors):
    name, unit = "random", "letter"
    table = numpy.random.default_rng(0).normal(size=(128, 5))

    def words(self, line):
        return [ord(letter) % 128 for letter in line if letter != " "]

    def find(self, word):
        return self.table[word]


def by_linear_programme(one, other, cost):
    n, m = cost.shape
    rows = numpy.concatenate([numpy.kron(numpy.eye(n), numpy.ones(m)), numpy.kron(numpy.ones(n), numpy.eye(m))])
    return linprog(cost.flatten(), A_eq=rows, b_eq=numpy.concatenate([one, other])).fun


def expected(said, meant, rotated):
    vectors, sides = RandomVectors(), []
    for line in (said, meant):  # a word that is there twice stands twice
        words = numpy.array([vectors.find(word) for word in vectors.words(line)])
        norms = numpy.linalg.norm(words, axis=1)
        sides.append((norms / norms.sum() if rotated else numpy.full(len(words), 1 / len(words)), words, norms))
    (a, x, p), (b, y, q) = sides
    cost = 1 - (x @ y.T) / numpy.outer(p, q) if rotated else numpy.linalg.norm(x[:, None] - y[None], axis=2)
    return by_linear_programme(a, b, cost)


@pytest.mark.parametrize("metric, rotated", [(WordMoversDistance, False), (WordRotatorsDistance, True)])
def test_the_distance_is_that_of_a_linear_programme(metric, rotated):
    lines = [(SENTENCES[i][:17], SENTENCES[j][:23]) for i in range(3) for j in range(3)]
    found = metric(RandomVectors(), []).corpus_score([said for said, _ in lines], [[meant for _, meant in lines]])
    assert found.score == pytest.approx(100 * numpy.mean([expected(*pair, rotated) for pair in lines]), rel=1e-6)


def test_a_run_s_vectors_are_its_embeddings_of_subwords(transformer_run):
    metric, _ = word_movers(transformer_run, SENTENCES)
    run = load_run(transformer_run)
    (first,), (second,) = ([metric._vectors.words(line)[-1]] for line in (SENTENCES[0], SENTENCES[2][:-2]))
    assert first == run.tokenizer.target.encode([SENTENCES[0]])[0][-1] and first != second
    table = run.network.output_weight.detach().double().numpy()
    assert metric.distance(*((numpy.ones(1), metric._vectors.find(t)[None]) for t in (first, second))) == pytest.approx(
        numpy.linalg.norm(table[first] - table[second])
    )
    assert metric.corpus_score(SENTENCES, [SENTENCES]).score == pytest.approx(0, abs=1e-6)


def test_signatures_say_what_is_needed_to_compute_it_again(plane):
    estimates = bootstrap({"a": ["right", "up what"], "b": ["up", "up"]}, ["right", "up"], samples=100, vectors=plane)
    wmd, wrd = (row.score for row in estimates["b"][2:])
    assert (wmd.value, wrd.value) == (250.0, 50.0)
    for part in ("nrefs:1", "bs:100", "seed:12345", "vectors:plane.vec", "unit:word", "cost:euclidean", "mass:count"):
        assert part in wmd.signature.split("|")
    assert "scale:100" in wrd.signature
    assert "cost:1-cosine" in wrd.signature and "mass:norm" in wrd.signature


def test_the_share_without_a_vector_is_that_of_all_systems_whatever_their_order(plane):
    systems = {"a": ["right", "up"], "b": ["up", "up what now"]}
    for order in (["a", "b"], ["b", "a"]):
        found = bootstrap({name: systems[name] for name in order}, ["right", "up"], samples=100, vectors=plane)
        assert all("unk:25.0%" in row.score.signature for rows in found.values() for row in rows[2:])


def test_words_with_spaces_and_packed_files(tmp_path):
    path = tmp_path / "glove.txt.gz"
    with gzip.open(path, "wt") as file:
        file.write("a 1 0\n. . . 5 5\nb 0 1\n")
    check_vectors(path)
    (score, _) = score_corpus(["a"], ["b"], vectors=path).distances
    assert score.value == pytest.approx(100 * math.sqrt(2))


@pytest.mark.parametrize(
    "content, message",
    [("", "no word vectors; each line must be a word and its numbers"), (None, "word vectors cannot be read")],
)
def test_what_is_no_file_of_vectors_is_refused_before_the_work(tmp_path, content, message):
    if content is not None:
        (tmp_path / "v").write_text(content)
    with pytest.raises(UserError, match=message):
        check_vectors(tmp_path / "v")


@pytest.mark.parametrize(
    "line, message",
    [
        ("up 1", "1 numbers, but the first one has 2"),
        ("up 1 b", "'b'"),
        ("up 1 nan", r"vector 2: the numbers of 'up' must be finite, below 1e\+100"),
        ("up 1e200 0", "must be finite"),
    ],
)
def test_a_line_that_is_no_vector_is_refused(tmp_path, line, message):
    (tmp_path / "v").write_text(f"right 1 2\n{line}\n")
    with pytest.raises(UserError, match=message):
        score_corpus(["up"], ["right"], vectors=tmp_path / "v")


def test_without_the_package_one_line_says_what_to_install(plane, monkeypatch):
    monkeypatch.setattr(word_vectors, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'beamtrain\[transport\]'"):
        check_vectors(plane)


@pytest.mark.parametrize(
    "vectors, message",
    [
        ("plane.vec", "no word of the references has a vector there"),
        ("empty", "empty: not a run's folder, it has no model.json, and no file of word vectors"),
    ],
)
def test_vectors_of_no_use_are_refused_before_the_work(transformer_run, plane, tmp_path, capsys, vectors, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "lines").write_text("nothing here\n")
    lines, vectors = str(tmp_path / "lines"), str(tmp_path / vectors)
    output = ["--output", str(tmp_path / "kept")]
    for command in (
        ["compare", lines, str(plane), "--reference", lines],
        ["evaluate", "--model", str(transformer_run), "--source", lines, "--reference", lines, *output],
    ):
        assert main([*command, "--vectors", vectors]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "kept").exists()


def test_both_commands_show_them(transformer_run, plane, tmp_path, capsys):
    for name, text in (("in", SENTENCES[:2]), ("a", ["right", "up"]), ("b", ["left", "up"]), ("ref", ["right", "up"])):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in text))
    files = [str(tmp_path / name) for name in ("a", "b")]
    options = ["--reference", str(tmp_path / "ref"), "--vectors", str(plane), "--format", "json"]
    assert main(["compare", *files, *options]) == 0
    scores = json.loads(capsys.readouterr().out)["systems"][1]["scores"]
    assert [each["score"]["name"] for each in scores][2:] == ["WMD", "WRD"] and scores[2]["score"]["value"] == 200
    evaluated = ["--source", str(tmp_path / "in"), *options[:2], "--vectors", str(transformer_run), "--format", "json"]
    assert main(["evaluate", "--model", str(transformer_run), *evaluated]) == 0
    (found,) = json.loads(capsys.readouterr().out)["evaluations"]
    assert [each["name"] for each in found["scores"]] == ["BLEU", "chrF2", "TER", "WMD", "WRD"]
    assert "unit:subword" in found["scores"][4]["signature"]
