"""beamtrain: sequence-to-sequence training with the beam search inside the training loop.

The package in the order that data flows; a file imports only from its own block and from those above it.

    errors, files, assets, limits, text_io, allocator leaves that anything may use
    topk/                                             differentiable top-k operators; torch only, usable on their own
    ranking/                                          kNN, rank losses, quantiles by any of them; torch only
    metrics                                           scores with their signatures, by sacrebleu
    data/                                             from files or the hub to batches
    model/                                            the network: all positions at once, or one step of K beams
    search/                                           beam search and sampling
    objectives/                                       what training minimises
    schedule, module                                  one training run's moving parts
    checkpoints, run, device, parallel_text, progress run folders and what they are used on
    translator, translator_pool, evaluation, report   lines to translations, translations to scores, scores to tables
    bad_steps, callbacks, memory, saving              what happens around a training step
    metrics_table                                     its figures, kept
    resuming, settings, bounds, warm_start            where a run stands, and what it is given
    processes, training                               `beamtrain train`, on one process or several
    commands/, cli                                    `beamtrain`

Axes, everywhere: B sentences, K beams, V vocabulary, S source length, T target length, D model width, H attention
heads, M candidates, N scores. A shape in a comment, such as (B, K, D), reads in that order.
"""
