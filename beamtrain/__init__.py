"""beamtrain: sequence-to-sequence training with the beam search inside the training loop.

The rooms of the package in the order that data flows; a file imports only from its own room and from those above it.

    base/         leaves that anything may use: errors, files, what lies in the package, text in and out
    topk/         differentiable top-k operators; torch and base/waits.py only, usable on their own
    ranking/      kNN, rank losses, quantiles and their like by any of these operators; torch only
    data/         from files or the hub to batches
    model/        the network: all positions at once, or one step of K beams
    search/       beam search and sampling; unroll/ is the same search, differentiable
    objectives/   what training minimises; losses/ on what a search finds, rewards/ of a hypothesis
    runs/         what a run's folder holds
    translating/  lines to translations, in one process or several
    scoring/      translations to scores with their signatures, scores to tables
    interop/      models of Hugging Face's library as runs, and runs as models of that library and of CTranslate2
    reporting/    what is known of systems to pages that people look at
    inspecting/   one sentence to all that the search does with it, step by step
    training/     `beamtrain train`; callbacks/ is what happens around a step
    commands/     one file a command; cli is `beamtrain`, which __main__ begins

Axes, everywhere: B sentences, K beams, V vocabulary, S source length, T target length, D model width, H attention
heads, M candidates, N scores. A shape in a comment, such as (B, K, D), reads in that order.
"""
