"""Our Transformer with the weights of each architecture is that model: logits, gradients, searches; and back."""

from itertools import chain

import pytest
import torch
from foreign import V, config_of, each_architecture, model_of

from beamtrain.base.errors import UserError
from beamtrain.data.batch import pad
from beamtrain.data.renumbering import Renumbering
from beamtrain.data.tokenizer import BOS, PAD
from beamtrain.interop.architectures import architecture_of, shares_vocabulary
from beamtrain.interop.weights import Vocabularies, from_ours, to_ours
from beamtrain.model.transformer import Transformer
from beamtrain.search.beam import beam_search
from beamtrain.search.options import SearchOptions

SOURCES = [[5, 9, 11, 30, 8, 21], [17, 6], [12, 13, 14, 15]]
TARGETS = [[6, 20, 31], [8, 9, 10, 11, 12], [22]]


def vocabularies_of(config):
    def numbered(size):
        return Renumbering(size, config.pad_token_id, config.eos_token_id, unk=3)

    target = V if shares_vocabulary(config.to_dict()) else config.decoder_vocab_size
    return Vocabularies(numbered(V), numbered(target))


def ours_of(model, **options):
    """Our network with its weights."""
    config, vocabularies = model.config.to_dict(), vocabularies_of(model.config)
    architecture = architecture_of(config, "config.json")
    network = Transformer(
        vocab_size=vocabularies.target.size + 1,
        source_vocab_size=None if shares_vocabulary(config) else vocabularies.source.size + 1,
        start_token=vocabularies.target.ours[config["decoder_start_token_id"]],
        **architecture.options(config) | options,
    )
    network.load_state_dict(to_ours(architecture, config, model.state_dict(), vocabularies))
    return network.eval(), vocabularies


def asked(model, vocabularies):
    """The same sources and decoder inputs for both, as batches."""
    config = model.config
    sources = [[*row, config.eos_token_id] for row in SOURCES]
    inputs = [[config.decoder_start_token_id, *row] for row in TARGETS]
    ours = pad([vocabularies.source.to_ours(row) for row in sources])
    ours_in = pad([[BOS, *vocabularies.target.to_ours(row[1:])] for row in inputs])
    theirs = torch.full(ours.shape, config.pad_token_id)
    theirs[ours != PAD] = torch.tensor([*chain(*sources)])
    theirs_in = torch.full(ours_in.shape, 4)
    theirs_in[ours_in != PAD] = torch.tensor([*chain(*inputs)])
    return ours, ours_in, {"input_ids": theirs, "attention_mask": (ours != PAD).long(), "decoder_input_ids": theirs_in}


@each_architecture
def test_logits_and_the_gradients_of_teacher_forcing_are_theirs(name):
    model = model_of(config_of(name))
    network, vocabularies = ours_of(model)
    source, target_in, batch = asked(model, vocabularies)
    real = target_in != PAD
    logits = network.logits(network.decode(network.encode(source), target_in))
    expected = model(**batch).logits
    assert (logits[..., BOS] == -torch.inf).all()
    found = vocabularies.target.rows_to_theirs(logits[real].t()).t()
    torch.testing.assert_close(found, expected[real], atol=1e-5, rtol=1e-5)
    assert expected.std() > 0.5

    gold = torch.tensor([each for row in TARGETS for each in [*row, model.config.eos_token_id]])
    torch.nn.functional.cross_entropy(expected[real], gold).backward()
    torch.nn.functional.cross_entropy(logits[real], torch.tensor(vocabularies.target.to_ours(gold.tolist()))).backward()
    architecture, config = architecture_of(model.config.to_dict(), ""), model.config.to_dict()
    blank = {name: torch.zeros_like(tensor) for name, tensor in network.state_dict().items()}
    of_ours = blank | {key: each.grad for key, each in network.named_parameters(remove_duplicate=False)}
    back = from_ours(architecture, config, of_ours, vocabularies)
    compared = 0
    for key, parameter in model.named_parameters():
        if parameter.requires_grad and key in back:
            torch.testing.assert_close(back[key], parameter.grad, atol=1e-5, rtol=1e-4)
            compared += 1
    assert compared == len([p for p in model.parameters() if p.requires_grad])


@each_architecture
def test_weights_come_back_to_the_last_bit(name, tmp_path):
    from safetensors.torch import load_file

    model = model_of(config_of(name))
    network, vocabularies = ours_of(model)
    config = model.config.to_dict()
    model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    back = from_ours(architecture_of(config, ""), config, network.state_dict(), vocabularies)
    assert back.keys() == saved.keys()
    assert all(torch.equal(back[key], saved[key]) for key in saved)


@pytest.mark.parametrize("beam_size, early_stopping", [(1, True), (4, True), (4, False)])
@each_architecture
def test_searches_find_what_generate_finds(name, beam_size, early_stopping):
    """All hypotheses, with the mean log-probability of a token as score, at a given length.

    Elsewhere the searches differ: there, what has ended stands beside the beams, and an end that is forced is free.
    """
    model = model_of(config_of(name))
    network, vocabularies = ours_of(model)
    source, _, batch = asked(model, vocabularies)
    del batch["decoder_input_ids"]
    lengths = {"min_length": 9, "max_length": 9, "max_length_ratio": 99}
    found = beam_search(network, source, SearchOptions(beam_size, beam_size, "average", 1.0, **lengths))
    expected = model.generate(
        **batch,
        num_beams=beam_size,
        num_return_sequences=beam_size,
        do_sample=False,
        early_stopping=early_stopping,
        length_penalty=1.0,
        min_new_tokens=9,
        max_new_tokens=9,
        suppress_tokens=[model.config.pad_token_id],
        forced_eos_token_id=model.config.eos_token_id,
    )
    ranked = [sorted(each, key=lambda h: h.token_log_probs[-1] - h.log_prob) for each in found]
    ours = [vocabularies.target.to_theirs(h.tokens) for each in ranked for h in each]
    assert ours == expected[:, 1:-1].tolist()
    assert (expected[:, -1] == model.config.eos_token_id).all()


def test_what_the_transformer_cannot_be_is_refused():
    with pytest.raises(UserError, match="a model of the type t5; those that can be used here: Marian, Peg"):
        architecture_of({"model_type": "t5"}, "config.json")
    config = config_of("bart", decoder_attention_heads=4).to_dict()
    with pytest.raises(UserError, match="encoder_attention_heads is 2 and decoder_attention_heads 4"):
        architecture_of(config, "").options(config)
    config = config_of("bart", activation_function="tanh").to_dict()
    with pytest.raises(UserError, match="activation_function is tanh; here it can be relu, gelu"):
        architecture_of(config, "").options(config)
