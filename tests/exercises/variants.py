"""Random wrong programs, made from the correct ones in `styles.py`.

`variants(name)` changes the source of a correct solution at random: an operator, a sign, an axis,
a constant, a name, a function; a term or a whole statement is dropped; a noise, a wrong column or a
wrong special case is added to the result. Some of these programs happen to be correct all the same
(`x.mean(0)` to `x.mean(-2)`). `is_equivalent` finds them by comparison with an explicit formula on
inputs of its own, drawn here and not by the exercise's probes.
"""

import ast
import copy
import inspect
import random
import textwrap
import warnings

import numpy as np
from exercises import styles

OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)
FUNCTIONS = {
    "mean": ("sum", "max", "std", "var"),
    "sum": ("mean", "max", "prod"),
    "var": ("std", "mean", "ptp"),
    "std": ("var", "mean"),
    "sqrt": ("square", "abs", "cbrt", "log1p"),
    "square": ("abs", "sqrt"),
}
SPECIAL_CASES = (
    "first.shape[0] == first.shape[-1]",
    "first.shape[0] == 2",
    "first.shape[0] > 50",
    "first.shape[-1] == 1",
    "first.dtype == np.float32",
    "float(args[-1]) < 1e-4",
    "float(args[-1]) > 0.3",
    "not first.flags.c_contiguous",
    "abs(first).max() > 100",
)
ERRORS = (
    "y + 0.01",
    "y * 1.01",
    "-y",
    "y + 0.001 * np.cos(np.arange(y.size)).reshape(y.shape)",
    "np.where(np.arange(y.shape[-1]) == 0, 1.001 * y + 0.001, y)",
    "np.clip(y, -2, 2)",
    "np.round(y, 2)",
    "np.abs(y)",
    "y[::-1]",
    "np.roll(y, 1, axis=-1)",
)


def variants(name: str, count: int, seed: int):
    """Yield (source, function) of count different programs; all are named like the exercise."""
    rng = random.Random(f"{name} {seed}")
    seen = set()
    trees = [_tree(name, style) for style in styles.of(name).values()]
    while len(seen) < count:
        tree = copy.deepcopy(rng.choice(trees))
        for _ in range(rng.choice((1, 1, 1, 2))):
            _change(tree, rng)
        if rng.random() < 0.15:
            source = _with_error(ast.unparse(tree), name, rng)
        else:
            source = ast.unparse(tree)
        if source not in seen:
            seen.add(source)
            yield source, compiled(source, name)


def compiled(source: str, name: str):
    space = {"np": np}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        exec(compile(source, "<variant>", "exec"), space)
    return space[name]


def _tree(name, style):
    tree = ast.parse(textwrap.dedent(inspect.getsource(style)))
    tree.body[0].name = name
    return tree


def _with_error(source, name, rng):
    """The result of source, with an error in one output, always or in a special case."""
    case = rng.choice((*SPECIAL_CASES, "True", "True", "True"))
    return (
        source.replace(f"def {name}", "def right")
        + f"\ndef {name}(*args):\n"
        + "    arrays = [a for a in args if np.ndim(a) > 1] or [np.float64([args])]\n"
        + "    first, result = arrays[0], right(*args)\n"
        + f"    if not ({case}):\n        return result\n"
        + "    parts = list(result) if isinstance(result, tuple) else [result]\n"
        + f"    k = {rng.randrange(3)} % len(parts)\n"
        + "    y = np.array(parts[k])\n"
        + f"    parts[k] = {rng.choice(ERRORS)}\n"
        + "    return tuple(parts) if isinstance(result, tuple) else parts[0]\n"
    )


def _change(tree, rng):
    """Make one random change in place."""
    places = [
        (node, change)
        for node in ast.walk(tree)
        for kind, change in CHANGES
        if isinstance(node, kind) and (kind is not ast.expr or isinstance(node, USEFUL))
    ]
    while True:
        node, change = rng.choice(places)
        if change(node, tree, rng):
            ast.fix_missing_locations(tree)
            return


def _replace(tree, old, new):
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, field, new)
                return True
            if isinstance(value, list):
                for i, item in enumerate(value):
                    if item is old:
                        value[i] = new
                        return True
    return False


def _other_operator(node, tree, rng):
    node.op = rng.choice([op for op in OPERATORS if not isinstance(node.op, op)])()
    return True


def _drop_operand(node, tree, rng):
    return _replace(tree, node, rng.choice((node.left, node.right)))


def _swap_operands(node, tree, rng):
    node.left, node.right = node.right, node.left
    return not isinstance(node.op, ast.Add | ast.Mult)


def _other_constant(node, tree, rng):
    if isinstance(node.value, bool) or not isinstance(node.value, int | float):
        return False
    node.value = rng.choice([v for v in (0, 1, 2, -1, 0.5, 3) if v != node.value])
    return True


def _other_name(node, tree, rng):
    if not isinstance(node.ctx, ast.Load) or node.id == "np":
        return False
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} - {node.id, "np"}
    if not names:
        return False
    node.id = rng.choice(sorted(names))
    return True


def _other_function(node, tree, rng):
    if node.attr not in FUNCTIONS:
        return False
    node.attr = rng.choice(FUNCTIONS[node.attr])
    return True


def _without_keywords(node, tree, rng):
    had = bool(node.keywords)
    node.keywords = []
    return had


def _wrap(node, tree, rng):
    """-node, abs(node), node ** 2, ..."""
    if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
        return False
    form = rng.choice(("-({})", "np.abs({})", "({}) ** 2", "2 * ({})", "({}) * 0.9", "1 / ({})"))
    new = ast.parse(form.format(ast.unparse(node)), mode="eval").body
    return _replace(tree, node, new)


def _drop_statement(node, tree, rng):
    body = node.body
    if len(body) < 2:
        return False
    del body[rng.randrange(len(body) - 1)]
    return True


def _other_assignment(node, tree, rng):
    node.op = rng.choice([op for op in OPERATORS if not isinstance(node.op, op)])()
    return True


CHANGES = (
    (ast.BinOp, _other_operator),
    (ast.BinOp, _drop_operand),
    (ast.BinOp, _swap_operands),
    (ast.Constant, _other_constant),
    (ast.Constant, _other_constant),
    (ast.Name, _other_name),
    (ast.Attribute, _other_function),
    (ast.Call, _without_keywords),
    (ast.expr, _wrap),
    (ast.FunctionDef, _drop_statement),
    (ast.AugAssign, _other_assignment),
)
USEFUL = (ast.BinOp, ast.Name, ast.Call, ast.Subscript)


# ---------------------------------------------------------------- which variants are correct?


def is_equivalent(function, name: str, count: int = 40) -> bool:
    """Does function give what the formula gives, on count random inputs?

    To within 1e-4, since a calculation in float32 is correct. Inputs that a correct program may
    refuse or that have no answer are not drawn: N is at least 2.
    """
    rng = np.random.default_rng(12)
    for _ in range(count):
        args = INPUTS[name](rng)
        want = FORMULAS[name](*args)
        want = want if isinstance(want, tuple) else (want,)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                got = function(*[np.array(a) if np.ndim(a) else a for a in args])
                got = got if len(want) > 1 else (got,)
                got = [np.asarray(g, np.float64) for g in got]
            except Exception:
                return False
        if len(got) != len(want) or any(g.shape != w.shape for g, w in zip(got, want, strict=True)):
            return False
        for g, w in zip(got, want, strict=True):
            if not np.all(np.abs(g - w) <= 1e-4 * (1 + np.abs(w).max())):
                return False
    return True


def _batch(rng, *shape):
    shape = tuple(shape) or tuple(rng.integers(2, 9, 2))
    if len(shape) == 2 and rng.random() < 0.2:
        shape = (shape[0], shape[0])
    scale = np.exp(rng.uniform(-2, 2, (1, shape[1]) + (1,) * (len(shape) - 2)))
    return scale * (rng.standard_normal(shape) + rng.uniform(-3, 3, scale.shape))


def _eps(rng):
    return float(10 ** rng.uniform(-5, 0.5))


def _vector(rng, d):
    return rng.uniform(0.3, 2, d) * rng.choice([-1, 1], d)


def _paired_input(rng):
    seeds = 10 * rng.standard_normal(int(rng.integers(2, 40)))
    return seeds + rng.standard_normal(seeds.size), seeds + rng.standard_normal(seeds.size) + 1


def _sync_input(rng):
    k, c = rng.integers(2, 7, 2)
    counts = rng.integers(1, 30, k).astype(float)
    return counts, 2 * rng.standard_normal((k, c)), rng.uniform(0.1, 3, (k, c))


def _sync(counts, means, variances):
    n = counts.sum()
    mean = counts @ means / n
    return np.array(n), mean, counts @ (variances + (means - mean) ** 2) / n


def _forward_input(rng):
    x = _batch(rng)
    return x, _vector(rng, x.shape[1]), _vector(rng, x.shape[1]), _eps(rng)


def _backward_input(rng):
    x = _batch(rng)
    return rng.standard_normal(x.shape) + 0.3, x, _vector(rng, x.shape[1]), _eps(rng)


def _closed_input(rng):
    dy, x, gamma, eps = _backward_input(rng)
    inv_std = 1 / np.sqrt(x.var(0) + eps)
    return dy, (x - x.mean(0)) * inv_std, gamma, inv_std


def _update_input(rng):
    x = _batch(rng)
    d = x.shape[1]
    return _vector(rng, d), np.abs(_vector(rng, d)), x, float(rng.uniform(0, 1))


def _inference_input(rng):
    d = int(rng.integers(2, 9))
    mean, var = _vector(rng, d), np.abs(_vector(rng, d))
    return _vector(rng, d), _vector(rng, d), mean, var, _eps(rng)


def _fold_input(rng):
    W = _batch(rng)
    d = W.shape[1]
    b, gamma, beta, mean = (_vector(rng, d) for _ in range(4))
    return W, b, gamma, beta, mean, np.abs(_vector(rng, d)), _eps(rng)


def _fold_before_input(rng):
    W = _batch(rng)
    gamma, beta, mean, var = (_vector(rng, len(W)) for _ in range(4))
    return W, _vector(rng, W.shape[1]), gamma, beta, mean, np.abs(var), _eps(rng)


def _maps(rng):
    shape = rng.integers(1, 5, 4)
    shape[0] += 1
    for i, j in ((1, 3), (1, 2), (0, 1), (2, 3)):  # now and then two axes of the same length
        if rng.random() < 0.2:
            shape[i] = shape[j]
    return _batch(rng, *np.maximum(shape, [2, 1, 1, 1]))


def _conv_forward_input(rng):
    x = _maps(rng)
    return x, _vector(rng, x.shape[1]), _vector(rng, x.shape[1]), _eps(rng)


def _conv_backward_input(rng):
    x = _maps(rng)
    return rng.standard_normal(x.shape) + 0.3, x, _vector(rng, x.shape[1]), _eps(rng)


def _group_input(rng):
    x = _maps(rng)
    divisors = [g for g in range(1, x.shape[1] + 1) if x.shape[1] % g == 0]
    groups = int(rng.choice(divisors))
    return x, groups, _vector(rng, x.shape[1]), _vector(rng, x.shape[1]), _eps(rng)


def _saturated_input(rng):
    z = rng.normal(rng.uniform(-5, 5), rng.uniform(0.5, 5), rng.integers(1, 20, 2))
    return (np.where(np.abs(np.abs(z) - 4.35671) < 1e-3, 0.0, z),)


def _shift_input(rng):
    shape = rng.integers(1, 12, 2)
    std = rng.uniform(0.01, 2.0, shape) * (rng.random(shape) < 0.8)
    return rng.normal(rng.uniform(-3, 3), 1.0, shape), std, float(rng.choice((0.05, 0.3, 1.0)))


INPUTS = {
    "standardize": lambda rng: (_batch(rng), _eps(rng)),
    "bn_forward": _forward_input,
    "stable_variance": lambda rng: (_batch(rng),),
    "bn_backward": _backward_input,
    "bn_backward_closed": _closed_input,
    "update_running": _update_input,
    "bn_inference": _inference_input,
    "fold_bn": _fold_input,
    "fold_bn_before": _fold_before_input,
    "bn_conv_forward": _conv_forward_input,
    "bn_conv_backward": _conv_backward_input,
    "layer_norm": _forward_input,
    "group_norm": _group_input,
    "rms_norm_backward": _backward_input,
    "init_std": lambda rng: (int(rng.integers(1, 2000)),),
    "saturated_fraction": _saturated_input,
    "shift": _shift_input,
    "paired": _paired_input,
    "sync_statistics": _sync_input,
}


def _standardize(x, eps, axes=(0,)):
    mean = x.mean(axes, keepdims=True)
    return (x - mean) / np.sqrt(((x - mean) ** 2).mean(axes, keepdims=True) + eps)


def _backward(dy, x, gamma, eps, axes=(0,)):
    xhat = _standardize(x, eps, axes)
    keep = {"axis": axes, "keepdims": True}
    scale = gamma.reshape((-1,) + (1,) * (x.ndim - 2)) / np.sqrt(x.var(**keep) + eps)
    dx = scale * (dy - dy.mean(**keep) - xhat * (dy * xhat).mean(**keep))
    return dx, (dy * xhat).sum(axes), dy.sum(axes)


def _shift(mean, std, floor):
    distance = np.abs(mean - mean[0])
    return distance.mean(1), (distance / np.maximum(std[0], floor)).mean(1)


def _group_norm(x, num_groups, gamma, beta, eps):
    xhat = _standardize(x.reshape(len(x), num_groups, -1), eps, (2,)).reshape(x.shape)
    return xhat * gamma[:, None, None] + beta[:, None, None]


def _rms_backward(dy, x, gamma, eps):
    inv = 1 / np.sqrt((x * x).mean(1, keepdims=True) + eps)
    g = dy * gamma
    return inv * g - inv**3 * x * (g * x).mean(1, keepdims=True), (dy * x * inv).sum(0)


FORMULAS = {
    "standardize": _standardize,
    "bn_forward": lambda x, g, b, eps: g * _standardize(x, eps) + b,
    "stable_variance": lambda x: ((x - x.mean(0)) ** 2).mean(0),
    "bn_backward": _backward,
    "bn_backward_closed": lambda dy, z, g, inv: (
        (g * inv) * (dy - dy.mean(0) - z * (dy * z).mean(0))
    ),
    "update_running": lambda m, v, x, p: (
        (1 - p) * m + p * x.mean(0),
        (1 - p) * v + p * x.var(0, ddof=1),
    ),
    "bn_inference": lambda g, b, m, v, eps: (g / np.sqrt(v + eps), b - m * g / np.sqrt(v + eps)),
    "fold_bn": lambda W, b, g, beta, m, v, eps: (
        W * g / np.sqrt(v + eps),
        (b - m) * g / np.sqrt(v + eps) + beta,
    ),
    "fold_bn_before": lambda W, b, g, beta, m, v, eps: (
        W * (g / np.sqrt(v + eps))[:, None],
        b + (beta - m * g / np.sqrt(v + eps)) @ W,
    ),
    "bn_conv_forward": lambda x, g, b, eps: (
        _standardize(x, eps, (0, 2, 3)) * g[:, None, None] + b[:, None, None]
    ),
    "bn_conv_backward": lambda dy, x, g, eps: _backward(dy, x, g, eps, (0, 2, 3)),
    "layer_norm": lambda x, g, b, eps: g * _standardize(x, eps, (1,)) + b,
    "group_norm": _group_norm,
    "rms_norm_backward": _rms_backward,
    "init_std": lambda fan_in: np.array(np.sqrt(2 / fan_in)),
    "saturated_fraction": lambda z: np.array(np.mean(np.abs(z) > 4.35671)),
    "shift": _shift,
    "sync_statistics": _sync,
    "paired": lambda a, b: (
        np.array(np.mean(a - b)),
        np.array(np.sqrt(((a - b - np.mean(a - b)) ** 2).sum() / len(a) / (len(a) - 1))),
    ),
}
