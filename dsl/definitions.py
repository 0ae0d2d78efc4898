"""Source text of functions that exported files define, because no call of their library has the same meaning.

Each pair holds the function for optax files and the one for PyTorch files, as a person would write them. Tests compare
them with the rows of the function table.
"""

from __future__ import annotations

DOT = (
    '''def dot(x, y):
    """Inner product over all arrays of two trees."""
    pairs = zip(jax.tree.leaves(x), jax.tree.leaves(y))
    return sum((jnp.sum(a * b) for a, b in pairs), start=jnp.float32(0.0))
''',
    '''def dot(x, y):
    """Inner product over all arrays of two lists."""
    return sum(torch.sum(a * b).to(home(x)) for a, b in zip(x, y))
''',
)
NORM = (
    '''def global_norm(x):
    """Euclidean norm over all arrays of a tree."""
    return jnp.sqrt(dot(x, x))
''',
    '''def global_norm(x):
    """Euclidean norm over all arrays of a list."""
    return torch.sqrt(dot(x, x))
''',
)
COSINE = (
    '''def cosine_sim(x, y):
    """Cosine of the angle between two trees."""
    return dot(x, y) / (global_norm(x) * global_norm(y) + 1e-8)
''',
    '''def cosine_sim(x, y):
    """Cosine of the angle between two lists."""
    return dot(x, y) / (global_norm(x) * global_norm(y) + 1e-8)
''',
)
CLIP = (
    '''def clip_by_global_norm(x, limit):
    """Scales a tree down to at most the given norm."""
    factor = jnp.minimum(1.0, jnp.abs(limit) / (global_norm(x) + 1e-8))
    return jax.tree.map(lambda a: a * factor, x)
''',
    '''def clip_by_global_norm(x, limit):
    """Scales a list of arrays down to at most the given norm."""
    limit = torch.abs(torch.as_tensor(limit, dtype=x[0].dtype, device=home(x)))
    factor = torch.clamp(limit / (global_norm(x) + 1e-8), max=1.0)
    return [a * factor for a in x]
''',
)
ROW_NORM = (
    '''def row_norm(x):
    """Euclidean norm of each row of an array, whose last axis holds the columns."""
    return jnp.linalg.norm(x, axis=-1, keepdims=True) if x.ndim else jnp.abs(x)
''',
    '''def row_norm(x):
    """Euclidean norm of each row of an array, whose last axis holds the columns."""
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True) if x.ndim else x.abs()
''',
)
ROW_MEAN = (
    '''def row_mean(x):
    """Mean of each row of an array, whose last axis holds the columns."""
    return jnp.mean(x, axis=-1, keepdims=True) if x.ndim else x
''',
    '''def row_mean(x):
    """Mean of each row of an array, whose last axis holds the columns."""
    return x.mean(dim=-1, keepdim=True) if x.ndim else x
''',
)
COLUMN_NORM = (
    '''def column_norm(x):
    """Euclidean norm of each column of an array, whose last axis holds the columns."""
    return jnp.sqrt(jnp.sum(x * x, axis=tuple(range(x.ndim - 1)), keepdims=True))
''',
    '''def column_norm(x):
    """Euclidean norm of each column of an array, whose last axis holds the columns."""
    return torch.linalg.vector_norm(x, dim=tuple(range(x.ndim - 1)), keepdim=True) if x.ndim > 1 else x.abs()
''',
)
COLUMN_MEAN = (
    '''def column_mean(x):
    """Mean of each column of an array, whose last axis holds the columns."""
    return jnp.mean(x, axis=tuple(range(x.ndim - 1)), keepdims=True)
''',
    '''def column_mean(x):
    """Mean of each column of an array, whose last axis holds the columns."""
    return x.mean(dim=tuple(range(x.ndim - 1)), keepdim=True) if x.ndim > 1 else x
''',
)
ORTHOGONALIZE = (
    '''def orthogonalize(x):
    """The nearest matrix with equal singular values, by Newton-Schulz iteration; entries have root mean square 1.

    Arrays with more than two axes are matrices of the leading axes against the last one; vectors have one row.
    """
    if x.size == 0:
        return x
    matrix = x.reshape(-1, x.shape[-1]) if x.ndim > 1 else x.reshape(1, -1)
    wide = matrix.shape[0] <= matrix.shape[1]
    y = matrix if wide else matrix.T
    largest = jnp.max(jnp.abs(y))
    y = y / jnp.where(largest == 0.0, 1.0, largest)
    norm = jnp.linalg.norm(y)
    y = y / jnp.where(norm == 0.0, 1.0, norm)
    if min(y.shape) > 1:
        for _ in range(5):
            gram = y @ y.T
            y = 3.4445 * y + (2.0315 * gram @ gram - 4.775 * gram) @ y
    return (max(y.shape) ** 0.5 * (y if wide else y.T)).reshape(x.shape)
''',
    '''def orthogonalize(arrays):
    """The nearest matrices with equal singular values, by Newton-Schulz iteration; entries have root mean square 1.

    Arrays with more than two axes are matrices of the leading axes against the last one; vectors have one row. Matrices
    of one shape, up to transposition, are computed together.
    """
    results, alike = list(arrays), {}
    for place, x in enumerate(arrays):
        if x.numel():
            y = x.reshape(-1, x.shape[-1]) if x.ndim > 1 else x.reshape(1, -1)
            y = y if y.shape[0] <= y.shape[1] else y.mT
            alike.setdefault((y.shape, y.dtype, y.device), []).append((place, y))
    for group in alike.values():
        y = torch.stack([matrix for _, matrix in group])
        largest = y.abs().amax(dim=(-2, -1), keepdim=True)
        y = y / torch.where(largest == 0.0, 1.0, largest)
        norm = torch.linalg.matrix_norm(y, keepdim=True)
        y = y / torch.where(norm == 0.0, 1.0, norm)
        if y.shape[-2] > 1:
            for _ in range(5):
                gram = y @ y.mT
                y = 3.4445 * y + (2.0315 * gram @ gram - 4.775 * gram) @ y
        for (place, _), z in zip(group, y.shape[-1] ** 0.5 * y):
            x = arrays[place]
            results[place] = (z if x.ndim < 2 or x.shape[-1] == z.shape[-1] else z.mT).reshape(x.shape)
    return results
''',
)
SIGN = '''def sign(x):
    """Sign of every number; NaN stays NaN, of which torch.sign makes 0."""
    return torch.where(torch.isnan(x), x, torch.sign(x))
'''
