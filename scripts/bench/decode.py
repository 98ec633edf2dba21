"""Decoding speed against Hugging Face `generate` with the same weights, on the same batches, in one process.

    python scripts/bench/decode.py --model runs/multi30k_ende --source test.en
    python scripts/bench/decode.py                       # random weights, every sentence forced to --length tokens

A pre-norm Transformer is exactly Hugging Face's Pegasus, so the weights are copied, and before anything is timed the
greedy output of both must agree: token by token, with scores within 1e-4. Needs the `bench` extra.

Both decoders get the same batches of similar length and the same beam; the length penalty is `average` with alpha 1,
which is Hugging Face's. Hugging Face stops a sentence by a heuristic (early_stopping=False, its default) or as soon as
it has K hypotheses (True): both are timed. Passes over all batches alternate. The table gives the median pass in CPU
time, which is the time on the clock for one thread on an idle machine, but is less disturbed by other processes.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from transformers import PegasusConfig, PegasusForConditionalGeneration

from beamtrain.data.batch import pad
from beamtrain.data.tokenizer import BOS, EOS, PAD
from beamtrain.model.transformer import Transformer
from beamtrain.runs.loading import load_run
from beamtrain.search.beam import beam_search
from beamtrain.search.options import SearchOptions


def to_pegasus(network: Transformer, positions: int) -> PegasusForConditionalGeneration:
    """The same function in Hugging Face's code, for up to `positions` tokens."""
    first, width = network.encoder[0], network.target_embedding.table.embedding_dim
    assert first.residuals[0].pre, "only pre-norm is Pegasus"
    assert network.source_embedding is network.target_embedding, "only a joint vocabulary is Pegasus"
    config = PegasusConfig(
        vocab_size=network.vocab_size,
        d_model=width,
        encoder_layers=len(network.encoder),
        decoder_layers=len(network.decoder),
        encoder_attention_heads=first.attention.heads,
        decoder_attention_heads=first.attention.heads,
        encoder_ffn_dim=first.feed_forward.inner.out_features,
        decoder_ffn_dim=first.feed_forward.inner.out_features,
        activation_function="relu",
        scale_embedding=True,
        max_position_embeddings=positions,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        decoder_start_token_id=BOS,
        forced_eos_token_id=None,
    )
    model = PegasusForConditionalGeneration(config)
    missing, unexpected = model.load_state_dict(pegasus_weights(network), strict=False)
    assert not unexpected, unexpected
    assert all("embed_tokens" in name or "embed_positions" in name or name == "final_logits_bias" for name in missing)
    model.tie_weights()
    with torch.no_grad():
        for side in (model.model.encoder, model.model.decoder):
            side.embed_positions.weight.copy_(network.target_embedding._positions(positions)[:positions])
    return model.eval()


def pegasus_weights(network: Transformer) -> dict[str, Tensor]:
    """Our weights under Hugging Face's names."""
    table = network.target_embedding.table.weight
    weights = {"model.shared.weight": table, "lm_head.weight": table}

    def put(name: str, module: torch.nn.Module) -> None:
        weights.update({f"{name}.{part}": tensor for part, tensor in module.named_parameters()})

    def put_split(names: list[str], module: torch.nn.Linear) -> None:
        for name, weight, bias in zip(
            names, module.weight.chunk(len(names)), module.bias.chunk(len(names)), strict=True
        ):
            weights.update({f"{name}.weight": weight, f"{name}.bias": bias})

    for side, layers, norm in (
        ("encoder", network.encoder, network.encoder_norm),
        ("decoder", network.decoder, network.decoder_norm),
    ):
        put(f"model.{side}.layer_norm", norm)
        for number, layer in enumerate(layers):
            at = f"model.{side}.layers.{number}"
            put_split([f"{at}.self_attn.{part}_proj" for part in "qkv"], layer.attention.project)
            put(f"{at}.self_attn.out_proj", layer.attention.output)
            put(f"{at}.self_attn_layer_norm", layer.residuals[0].norm)
            if side == "decoder":
                put(f"{at}.encoder_attn.q_proj", layer.cross.query)
                put_split([f"{at}.encoder_attn.{part}_proj" for part in "kv"], layer.cross.project)
                put(f"{at}.encoder_attn.out_proj", layer.cross.output)
                put(f"{at}.encoder_attn_layer_norm", layer.residuals[1].norm)
            put(f"{at}.fc1", layer.feed_forward.inner)
            put(f"{at}.fc2", layer.feed_forward.outer)
            put(f"{at}.final_layer_norm", layer.residuals[-1].norm)
    return weights


class Bench:
    """The same batches for both decoders. Each sentence has at most `most` tokens with EOS, and at least `least`."""

    def __init__(self, network: Transformer, batches: list[Tensor], beam: int, least: int, most: int) -> None:
        self.network, self.batches, self.beam, self.least, self.most = network, batches, beam, least, most
        self.pegasus = to_pegasus(network, positions=max(most, *(batch.size(1) for batch in batches)) + 1)

    def ours(self, beam: int) -> list[tuple[list[int], float]]:
        """Every sentence's best tokens, and their log-probability."""
        options = SearchOptions(
            beam_size=beam,
            length_penalty="average",
            min_length=self.least,
            max_length=self.most,
            max_length_ratio=0,
            max_length_offset=self.most,
        )
        found = [row for batch in self.batches for row in beam_search(self.network, batch, options)]
        return [(hypotheses[0].tokens, hypotheses[0].log_prob) for hypotheses in found]

    @torch.no_grad()
    def theirs(self, beam: int, early_stopping: bool = False, scores: bool = False) -> list[tuple[list[int], float]]:
        """The same from `generate`; log-probabilities only with `scores`, and PAD and BOS forbidden as ours are."""
        found = []
        for batch in self.batches:
            out = self.pegasus.generate(
                batch,
                attention_mask=(batch != PAD).long(),
                num_beams=beam,
                do_sample=False,
                early_stopping=early_stopping if beam > 1 else None,
                length_penalty=1.0 if beam > 1 else None,
                min_new_tokens=self.least or None,
                max_new_tokens=self.most,
                suppress_tokens=[PAD, BOS] if scores else None,
                output_logits=scores,
                return_dict_in_generate=True,
            )
            for row, tokens in enumerate(out.sequences[:, 1:].tolist()):
                end = tokens.index(EOS) + 1 if EOS in tokens else len(tokens)
                total = 0.0
                if scores:
                    steps = zip(out.logits[:end], tokens, strict=False)
                    total = sum(float(logits[row].log_softmax(-1)[token]) for logits, token in steps)
                found.append((tokens[:end], total))
        return found


def check_agreement(bench: Bench) -> tuple[int, float]:
    """Greedy output of both decoders; raises AssertionError unless they agree.

    Sentences that Hugging Face cuts at the limit have no EOS there and are compared up to the cut.
    """
    whole, worst = 0, 0.0
    for (tokens, log_prob), (expected, expected_log_prob) in zip(
        bench.ours(1), bench.theirs(1, scores=True), strict=True
    ):
        if expected[-1] == EOS:
            whole += 1
            worst = max(worst, abs(log_prob - expected_log_prob))
            assert [*tokens, EOS] == expected, f"greedy tokens differ: {tokens} and {expected}"
        else:
            assert tokens == expected[: len(tokens)], f"greedy tokens differ: {tokens} and {expected}"
    assert worst < 1e-4, f"scores differ by {worst}"
    return whole, worst


def read_batches(run_path: Path, source: Path, sentences: int, batch_size: int) -> tuple[Transformer, list[Tensor]]:
    """The run's network and the first lines of a text, in batches of similar length."""
    run = load_run(run_path)
    assert isinstance(run.network, Transformer)
    lines = source.read_text(encoding="utf-8").splitlines()[:sentences]
    rows = sorted(([*ids, EOS] for ids in run.tokenizer.source.encode(lines)), key=len)
    return run.network, [pad(rows[start : start + batch_size]) for start in range(0, len(rows), batch_size)]


def random_batches(args: argparse.Namespace) -> tuple[Transformer, list[Tensor]]:
    """A network with random weights, and random sources of --length tokens."""
    torch.manual_seed(1)
    network = Transformer(
        args.vocab_size,
        width=args.width,
        inner_width=4 * args.width,
        heads=args.width // 64,
        encoder_layers=args.layers,
        decoder_layers=args.layers,
    )
    source = torch.randint(4, args.vocab_size, (args.sentences, args.length))
    source[:, -1] = EOS
    return network.eval(), list(source.split(args.batch_size))


def seconds(decode: Callable[[], object]) -> float:
    start = time.process_time()
    decode()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a run's folder; without it, random weights")
    parser.add_argument("--source", type=Path, help="with --model: text to translate, one sentence per line")
    parser.add_argument("--sentences", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=32, help="sentences in a batch")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--max-length", type=int, default=60, help="limit of tokens with EOS (with --model)")
    parser.add_argument("--length", type=int, default=20, help="tokens of every sentence (random weights)")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--vocab-size", type=int, default=8000)
    parser.add_argument("--repeats", type=int, default=3, help="passes of each decoder")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(args.threads)

    if args.model is not None:
        network, batches = read_batches(args.model, args.source, args.sentences, args.batch_size)
        bench = Bench(network, batches, args.beam, 0, args.max_length)
    else:
        network, batches = random_batches(args)
        bench = Bench(network, batches, args.beam, args.length, args.length)
    whole, worst = check_agreement(bench)
    total = sum(batch.size(0) for batch in batches)
    print(f"greedy tokens agree on {total} sentences, log-probabilities of {whole} within {worst:.1e}")

    decoders: dict[str, Callable[[], object]] = {
        "beamtrain": lambda: bench.ours(args.beam),
        "generate, early_stopping=False": lambda: bench.theirs(args.beam),
        "generate, early_stopping=True": lambda: bench.theirs(args.beam, early_stopping=True),
    }
    times: dict[str, list[float]] = {name: [] for name in decoders}
    for _ in range(args.repeats):
        for name, decode in decoders.items():
            times[name].append(seconds(decode))
    ours = statistics.median(times["beamtrain"])
    print(f"beam {args.beam}, batches of {args.batch_size}, {args.threads} thread(s), {torch.__version__}")
    for name, measured in times.items():
        median = statistics.median(measured)
        print(f"{name:32} {total / median:8.1f} sentences/s   beamtrain is {median / ours:.2f} times as fast")


if __name__ == "__main__":
    main()
