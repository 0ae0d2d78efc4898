"""Models of the shipped tasks.

- `model`: definition of a model, and perceptrons
- `transformer`, `convolution`, `coordinates`, `quadratic`: the other models; `tabular`: Transformer over columns
"""
