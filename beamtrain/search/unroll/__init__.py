"""Beam search as a differentiable function of the network: the unroll that training looks through.

Each step takes the hard search's M best candidates and lets a differentiable top-k operator choose K of them. Its
matrix A (K, M), one row for each rank, replaces the choice: it mixes token embeddings into the next inputs, parents
into the next decoder state, and log-probabilities into the next scores (Xie et al. 2020, section 4; Goyal et al. 2018
do the same with a peaked softmax).

    candidate m of slot p, token w:  c_m = s_p + log(1 - f_p) + log p(w)      or, PAD at a finished slot: s_p + log f_p
    next embedding  e_r = sum_m A_rm E[w_m]           next score     s_r = sum_m A_rm c_m
    parents         P_rj = sum_{m: p_m = j} A_rm      finished mass  f_r = sum_m A_rm 1[w_m is EOS or PAD]

f is absorbing: what has finished offers only itself. Candidates, masks, limits and ties are those of the hard search,
so with one-hot A the unroll is that search, token for token.

The selection: `soft`, A itself; `straight_through`, one-hot forward with the gradient of A backward;
`hard`, one-hot with no gradient through the choice (a loss can still learn through the scores).

Gradients through the whole recursion explode with its length. Each way back from a step to the steps before it can
be opened by name, and all are closed by default: see `GradientPath`.

options.py               what can be set
length_limits.py         how far it goes
log_probs.py             log-probabilities of candidates, given decoder outputs
chain.py                 the recursion above
followed.py              a given sentence among the candidates
noise.py                 choices at random
snapping.py              mixed embeddings that are moved to a token's
soft_beams.py            what comes of it; token_vectors.py, the same as vectors
step_by_step.py          the search with any path open
two_pass.py              the same for one-hot choices: search first, then differentiate all positions together
prefixes.py              what two_pass.py keeps of the search, by the kind of network:
  transformer_prefixes.py, prefix_tree.py, deferred_gradient.py, linear_outputs.py     a tree, scored in one pass
  recurrent_prefixes.py                                                                the graph of the recurrence
softmax_gradient.py      the gradient through the V-way softmax, all positions together
"""
