"""Search for translations with a trained network, without gradients.

`step` is one step of a beam search (which K candidates come next), `constraints` the tokens that are not allowed,
`length` the length penalties and limits, `stop` the rule that says when a result is final. `hard` puts them together
into the beam search that users run; `sampling` draws translations instead; both return `hypothesis.Hypothesis`.
"""
