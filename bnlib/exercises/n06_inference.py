"""Notebook 06: normalising with the running statistics, and how they are collected."""

import numpy as np

from .engine import Exercise, Mistake, Probe, properties
from .engine.probes import batch, betas, dense_probes, gammas, other_middle

# ================================================================ bn_inference


def bn_inference(x, gamma, beta, running_mean, running_var, eps):
    """Batch normalization at test time: with the running statistics, not with those of x.

    x: array (N, D), also with N = 1.  gamma, beta, running_mean, running_var: arrays (D,).
    eps: a small number > 0.  Returns y, array (N, D).
    """
    xhat = (x - running_mean) / np.sqrt(running_var + eps)
    return gamma * xhat + beta


def _inference(x, gamma, beta, mean, var, eps):
    scale = gamma * (var + eps) ** -0.5
    return np.einsum("nd,d->nd", x - mean, scale) + beta


def _using(mean_of=None, var_of=None):
    """Other statistics: functions of (x, running value)."""

    def wrong(x, gamma, beta, mean, var, eps):
        m = mean_of(x, mean) if mean_of else mean
        v = var_of(x, var) if var_of else var
        return _inference(x, gamma, beta, m, v, eps)

    return wrong


def _inference_over(divisor):
    def wrong(x, gamma, beta, mean, var, eps):
        return gamma * (x - mean) / divisor(var, eps) + beta

    return wrong


def _inference_affine(formula):
    def wrong(x, gamma, beta, mean, var, eps):
        return formula((x - mean) / np.sqrt(var + eps), gamma, beta)

    return wrong


INFERENCE_MISTAKES = (
    Mistake(
        "batch-statistics",
        "The batch is normalised with its own mean and variance, as in training. What is then the "
        "output for a batch of one image, and whom does an image's prediction depend on?",
        _using(lambda x, m: x.mean(0), lambda x, v: x.var(0)),
    ),
    Mistake(
        "batch-mean",
        "The mean is that of the batch, the variance the running one. Which statistics are known "
        "for a single image?",
        _using(mean_of=lambda x, m: x.mean(0)),
    ),
    Mistake(
        "batch-variance",
        "The variance is that of the batch, the mean the running one. Which statistics are known "
        "for a single image?",
        _using(var_of=lambda x, v: x.var(0)),
    ),
    Mistake(
        "statistics-mixed",
        "The statistics are first updated with this batch (momentum 0.1), then used. May the "
        "test data change the model?",
        _using(lambda x, m: 0.9 * m + 0.1 * x.mean(0), lambda x, v: 0.9 * v + 0.1 * x.var(0)),
    ),
    Mistake(
        "mean-not-subtracted",
        "The running mean is not subtracted. What should y be for x = running_mean?",
        _using(mean_of=lambda x, m: 0.0),
    ),
    Mistake(
        "mean-added",
        "The running mean is added. What should y be for x = running_mean?",
        _using(mean_of=lambda x, m: -m),
    ),
    Mistake(
        "not-divided",
        "The spread is not normalised: running_var is not used. What is it kept for?",
        _inference_over(lambda var, eps: 1.0),
    ),
    Mistake(
        "mean-variance-swapped",
        "running_mean and running_var have changed places. Which one is subtracted?",
        lambda x, gamma, beta, mean, var, eps: _inference(x, gamma, beta, var, mean, eps),
    ),
    Mistake(
        "variance-not-root",
        "You divide by the running variance. If x is in metres, what is the unit of your xhat? "
        "Which function is missing?",
        _inference_over(lambda var, eps: var + eps),
    ),
    Mistake(
        "root-twice",
        "The square root is taken twice. Does running_var hold a variance or a standard deviation?",
        _inference_over(lambda var, eps: np.sqrt(np.sqrt(var) + eps)),
    ),
    Mistake(
        "multiplied",
        "You multiply by the standard deviation. Should features of large spread become larger or "
        "smaller?",
        lambda x, gamma, beta, mean, var, eps: gamma * (x - mean) * np.sqrt(var + eps) + beta,
    ),
    Mistake(
        "eps-missing",
        "eps is not used. The network was trained with it: what about a feature whose running "
        "variance is nearly zero?",
        _inference_over(lambda var, eps: np.sqrt(var)),
    ),
    Mistake(
        "eps-outside-root",
        "eps is added after the square root. To what does training add it?",
        _inference_over(lambda var, eps: np.sqrt(var) + eps),
    ),
    Mistake(
        "eps-as-floor",
        "The variance is replaced by eps only where it is smaller. In the formula eps is added "
        "always: what is the divisor for a variance of 0.5 and an eps of 0.1?",
        _inference_over(lambda var, eps: np.sqrt(np.maximum(var, eps))),
    ),
    Mistake(
        "eps-hard-coded",
        "Your code uses eps = 1e-5 whatever eps it is given. Where does the parameter eps go?",
        _inference_over(lambda var, eps: np.sqrt(var + 1e-5)),
    ),
    Mistake(
        "bessel-correction",
        "The running variance is multiplied by N / (N - 1). Was the correction not made when it "
        "was collected, and what has the size of the test batch to do with it?",
        _using(var_of=lambda x, v: v * len(x) / (len(x) - 1)),
    ),
    Mistake(
        "gamma-beta-missing",
        "The output is xhat itself: gamma and beta are not used. Did the network learn them for "
        "training only?",
        _inference_affine(lambda xhat, gamma, beta: xhat),
    ),
    Mistake(
        "gamma-missing",
        "gamma is not used. With what should xhat be multiplied?",
        _inference_affine(lambda xhat, gamma, beta: xhat + beta),
    ),
    Mistake(
        "beta-missing",
        "beta is not used. What should y be for x = running_mean?",
        _inference_affine(lambda xhat, gamma, beta: gamma * xhat),
    ),
    Mistake(
        "gamma-beta-swapped",
        "gamma and beta have changed places. Which of them scales, and which shifts?",
        _inference_affine(lambda xhat, gamma, beta: beta * xhat + gamma),
    ),
    Mistake(
        "beta-scaled",
        "beta is added before the multiplication by gamma, so it is scaled as well. What is the "
        "order of scale and shift?",
        _inference_affine(lambda xhat, gamma, beta: gamma * (xhat + beta)),
    ),
    Mistake(
        "gamma-absolute",
        "The sign of gamma is lost. gamma is learned: what if it has become negative?",
        _inference_affine(lambda xhat, gamma, beta: np.abs(gamma) * xhat + beta),
    ),
)


def _inference_arguments(rng, x, eps) -> dict:
    d = x.shape[1]
    spread = x.std(0) + 0.001
    return {
        "x": x,
        "gamma": gammas(rng, d),
        "beta": betas(rng, d),
        "running_mean": x.mean(0) + spread * rng.uniform(0.3, 1.5, d),
        "running_var": spread**2 * rng.uniform(0.4, 3.0, d),
        "eps": eps,
    }


def rows_are_independent(case):
    """At test time the output for one example does not depend on the others."""
    if len(case.given.x) < 2:
        return None
    x = case.given.x.copy()
    x[-1] += 1.0 + np.abs(x[-1])
    return case.differ(
        case.call(x=x).y[0],
        case.got.y[0],
        "Changing the last row of x changes row 0 of y: y[0, {i}] goes from {want} to {got}. At "
        "test time, should an example's output depend on the rest of its batch?",
    )


def at_the_running_mean(case):
    """For x = running_mean the output is beta."""
    x = np.broadcast_to(case.given.running_mean, case.given.x.shape)
    return case.differ(
        case.call(x=x).y[0],
        case.given.beta,
        "For x = running_mean, y in column {i} is {got}, expected beta[{i}] = {want}.",
    )


def slope(case):
    """One unit of x changes y by gamma / sqrt(running_var + eps)."""
    gamma, var, eps = case.given.gamma, case.given.running_var, case.given.eps
    return case.differ(
        case.call(x=case.given.x + 1.0).y[0] - case.got.y[0],
        gamma / np.sqrt(var + eps),
        "When x grows by 1, y in column {i} changes by {got}, expected gamma / sqrt(running_var + "
        "eps) = {want} (gamma is {gamma}, running_var {var}).",
        gamma=gamma,
        var=var,
    )


bn_inference = Exercise(
    bn_inference,
    reference=_inference,
    returns=["y"],
    mistakes=INFERENCE_MISTAKES,
    probes=lambda: dense_probes(_inference_arguments, one_may_raise=False),
    properties=(rows_are_independent, at_the_running_mean, slope),
    hints=(
        "The formula is that of bn_forward. Which two numbers a feature are now given, and need "
        "not be computed?",
        "1. xhat: x minus running_mean, over the root of running_var + eps.  2. y as before.",
        "No mean(), var() or std() is called at all: every statistic is an argument.",
    ),
)


# ================================================================ update_running


def update_running(running_mean, running_var, x, momentum):
    """One step of the running statistics, with PyTorch's conventions.

    running_mean, running_var: arrays (D,), the values so far.  x: array (N, D), the new batch.
    momentum: between 0 and 1, the weight of the new batch.
    Returns new_mean, new_var, arrays (D,). The batch's variance is the unbiased one (N - 1).
    """
    new_mean = (1 - momentum) * running_mean + momentum * x.mean(axis=0)
    new_var = (1 - momentum) * running_var + momentum * x.var(axis=0, ddof=1)
    return new_mean, new_var


def _update(mean, var, x, m):
    batch_mean = np.einsum("nd->d", x) / len(x)
    batch_var = np.einsum("nd,nd->d", x - batch_mean, x - batch_mean) / (len(x) - 1)
    return mean + m * (batch_mean - mean), var + m * (batch_var - var)


def _average(of_mean, of_var=None, flip=False):
    """A step of the averages with other batch statistics; flip weighs the old value by momentum."""

    def wrong(mean, var, x, m):
        new = 1 - m if flip else m
        v = of_var(x) if of_var else x.var(0, ddof=1)
        return (1 - new) * mean + new * of_mean(x), (1 - new) * var + new * v

    return wrong


def _mean(x):
    return x.mean(0)


def _update_with(of_mean=None, of_var=None):
    """Right, but for one or both outputs: functions of (old, batch statistic, momentum)."""

    def wrong(mean, var, x, m):
        new_mean, new_var = _update(mean, var, x, m)
        if of_mean:
            new_mean = of_mean(mean, x.mean(0), m)
        if of_var:
            new_var = of_var(var, x.var(0, ddof=1), m)
        return new_mean, new_var

    return wrong


UPDATE_MISTAKES = (
    Mistake(
        "momentum-flipped",
        "momentum weighs the old value; that is the convention of Keras and Flax. In PyTorch's, "
        "which this exercise uses, momentum is the weight of the new batch: with momentum = 0.1, "
        "how much of the old value is kept?",
        _average(_mean, flip=True),
    ),
    Mistake(
        "biased-variance",
        "The batch's variance is divided by N. That is what Keras and Flax keep; PyTorch and the "
        "paper keep the unbiased one. By what is the sum of the squared deviations divided then?",
        _average(_mean, lambda x: x.var(0)),
    ),
    Mistake(
        "momentum-flipped-biased-variance",
        "Both conventions are those of Keras and Flax: momentum weighs the old value, and the "
        "variance is divided by N. Which two things does PyTorch do otherwise?",
        _average(_mean, lambda x: x.var(0), flip=True),
    ),
    Mistake(
        "flipped-mean-only",
        "In new_mean, momentum weighs the old value. In this exercise it is the weight of the new "
        "batch: with momentum = 0.1, how much of the old mean is kept?",
        lambda mean, var, x, m: (m * mean + (1 - m) * x.mean(0), _update(mean, var, x, m)[1]),
    ),
    Mistake(
        "flipped-variance-only",
        "In new_var, momentum weighs the old value. In this exercise it is the weight of the new "
        "batch: with momentum = 0.1, how much of the old variance is kept?",
        _update_with(of_var=lambda old, new, m: m * old + (1 - m) * new),
    ),
    Mistake(
        "standard-deviation-kept",
        "The standard deviation of the batch is averaged, but running_var holds variances. Later "
        "code takes the root of it: what would it get?",
        _average(_mean, lambda x: x.std(0, ddof=1)),
    ),
    Mistake(
        "biased-standard-deviation-kept",
        "The standard deviation of the batch (with N) is averaged, but running_var holds "
        "variances. What does std() return, and what is to be kept?",
        _average(_mean, lambda x: x.std(0)),
    ),
    Mistake(
        "correction-twice",
        "The variance is made unbiased twice: N / (N - 1) times a variance that is divided by N - "
        "1 already. What does ddof=1 do?",
        _average(_mean, lambda x: x.var(0, ddof=1) * len(x) / (len(x) - 1)),
    ),
    Mistake(
        "correction-inverted",
        "The unbiased variance is larger than the other, yours is smaller: (N - 1) / N times it. "
        "Which way round is the factor?",
        _average(_mean, lambda x: x.var(0) * (len(x) - 1) / len(x)),
    ),
    Mistake(
        "divided-by-n-plus-one",
        "The squared deviations are divided by N + 1. One degree of freedom is used up by the "
        "mean: does the number grow or shrink?",
        _average(_mean, lambda x: ((x - x.mean(0)) ** 2).sum(0) / (len(x) + 1)),
    ),
    Mistake(
        "sum-of-squares",
        "The squared deviations are summed, not averaged. What happens to running_var when the "
        "batch is twice as large?",
        _average(_mean, lambda x: ((x - x.mean(0)) ** 2).sum(0)),
    ),
    Mistake(
        "second-moment",
        "The batch's variance is the mean of x squared. From what should the distance be measured "
        "before it is squared?",
        _average(_mean, lambda x: (x**2).mean(0)),
    ),
    Mistake(
        "around-the-running-mean",
        "The deviations are taken from the running mean. Whose variance is to be averaged, and "
        "around which mean does that batch lie?",
        lambda mean, var, x, m: (
            _update(mean, var, x, m)[0],
            (1 - m) * var + m * ((x - mean) ** 2).sum(0) / (len(x) - 1),
        ),
    ),
    Mistake(
        "around-the-new-mean",
        "The deviations are taken from the updated running mean. Whose variance is to be averaged, "
        "and around which mean does that batch lie?",
        lambda mean, var, x, m: (
            _update(mean, var, x, m)[0],
            (1 - m) * var + m * ((x - _update(mean, var, x, m)[0]) ** 2).sum(0) / (len(x) - 1),
        ),
    ),
    Mistake(
        "features-axis",
        "The batch's statistics are taken over the features of each example (axis 1). How many "
        "means do D features have?",
        _average(lambda x: x.mean(1), lambda x: x.var(1, ddof=1)),
    ),
    Mistake(
        "global-statistics",
        "There is one mean and one variance for the whole batch array. How many means do D "
        "features have?",
        _average(lambda x: x.mean(), lambda x: x.var(ddof=1)),
    ),
    Mistake(
        "batch-only",
        "The old value is forgotten: you return the statistic of this batch. What is an average "
        "over many batches good for?",
        _update_with(lambda old, new, m: new, lambda old, new, m: new),
    ),
    Mistake(
        "not-updated",
        "The old value is returned unchanged. Where do the statistics of x come in?",
        _update_with(lambda old, new, m: old, lambda old, new, m: old),
    ),
    Mistake(
        "mean-not-updated",
        "The running mean is returned unchanged. Where does the mean of x come in?",
        _update_with(of_mean=lambda old, new, m: old),
    ),
    Mistake(
        "variance-not-updated",
        "The running variance is returned unchanged. Is only the mean of the inputs needed at test "
        "time?",
        _update_with(of_var=lambda old, new, m: old),
    ),
    Mistake(
        "old-not-weighted",
        "The old value keeps its full weight and the batch is added: the sum grows from step to "
        "step. What should the two weights add up to?",
        _update_with(lambda old, new, m: old + m * new, lambda old, new, m: old + m * new),
    ),
    Mistake(
        "batch-not-weighted",
        "The batch has weight 1, next to an old value of weight 1 - momentum. What should the two "
        "weights add up to?",
        _update_with(
            lambda old, new, m: (1 - m) * old + new, lambda old, new, m: (1 - m) * old + new
        ),
    ),
    Mistake(
        "step-away",
        "The averages step away from the batch: the sign of the difference is wrong. If the "
        "batch's mean is larger than the running mean, should that grow or shrink?",
        _update_with(
            lambda old, new, m: old - m * (new - old), lambda old, new, m: old - m * (new - old)
        ),
    ),
    Mistake(
        "plain-average",
        "The old value and the batch weigh the same. Where does momentum come in?",
        _update_with(lambda old, new, m: (old + new) / 2, lambda old, new, m: (old + new) / 2),
    ),
    Mistake(
        "momentum-hard-coded",
        "Your code uses momentum = 0.1 whatever momentum it is given. Where does the parameter go?",
        _update_with(
            lambda old, new, m: 0.9 * old + 0.1 * new, lambda old, new, m: 0.9 * old + 0.1 * new
        ),
    ),
    Mistake(
        "outputs-swapped",
        "The new variance is returned first. What is the order in `return new_mean, new_var`?",
        lambda mean, var, x, m: _update(mean, var, x, m)[::-1],
    ),
    Mistake(
        "one-pass-variance",
        "The variance loses its digits when the mean is large, because large numbers cancel in it "
        "(as in the mean of x squared minus the squared mean). What could be subtracted before "
        "squaring?",
        _average(_mean, lambda x: ((x**2).mean(0) - x.mean(0) ** 2) * len(x) / (len(x) - 1)),
        only_on="large mean",
        confirm=properties.variance_loses_digits,
    ),
)


def _update_probes() -> list[Probe]:
    rng = np.random.default_rng(1)

    def probe(name, shape, momentum, *, mean=0.0, scale=1.0, dtype=np.float64, **more):
        x = batch(rng, shape, mean, scale).astype(dtype)
        old_mean = mean + scale * betas(rng, shape[1]).astype(dtype)
        old_var = (scale**2 * rng.uniform(0.5, 6.0, shape[1])).astype(dtype)
        args = {
            "running_mean": old_mean.astype(dtype),
            "running_var": old_var,
            "x": x,
            "momentum": momentum,
        }
        return Probe(f"{name} (x of shape {shape}, momentum = {momentum:g})", args, **more)

    found = [
        probe("the designed batch", (6, 4), 0.3),
        probe("a batch with N = D", (4, 4), 0.3),
        probe("PyTorch's usual momentum", (5, 3), 0.1),
        probe("a batch of two", (2, 3), 0.3),
        probe("a batch of three", (3, 2), 0.01),
        probe("a momentum of 1", (7, 3), 1.0),
        probe("a momentum of 0", (7, 3), 0.0),
        probe("a momentum of 1/2", (8, 5), 0.5),
        probe("a large momentum", (4, 6), 0.9),
        probe("a single feature", (5, 1), 0.3),
        probe("a large batch", (100, 3), 0.1),
        probe("many features", (5, 40), 0.2),
        probe("features of tiny variance", (6, 4), 0.3, scale=0.01, tol=1e-10),
        probe("features of large variance", (6, 4), 0.3, scale=300.0),
        probe("only negative inputs", (6, 4), 0.7, mean=-50.0),
        probe("float32", (6, 4), 0.3, dtype=np.float32, tol=1e-5),
        probe("float32, a large batch", (100, 3), 0.1, dtype=np.float32, tol=1e-4),
        _variance_probe("means near 10,000", rng, 1e4, np.float64, 1e-6, "rather large mean"),
        _variance_probe("float32 with means near 10,000", rng, 1e4, np.float32, 5e-3),
        _variance_probe("means near 100,000,000", rng, 1e8, np.float64, 1e-7),
        *(
            probe(f"random batch {i + 1}", shape, momentum)
            for i, (shape, momentum) in enumerate(
                [((9, 5), 0.05), ((12, 8), 0.25), ((33, 2), 0.6), ((3, 11), 0.4), ((64, 10), 0.99)]
            )
        ),
    ]
    for i, shape in enumerate(MORE_SHAPES.split()):
        n, d = map(int, shape.split("x"))
        momentum = (0.1, 0.001, 0.45, 0.999, 0.02, 0.75)[i % 6]
        found.append(probe(f"random batch {i + 6}", (n, d), momentum))
    args = found[0].args
    for name, changes in VARIANTS:
        new = {k: c(args[k]) if callable(c) else c for k, c in changes.items()}
        found.append(Probe(f"the designed batch with {name}", args | new))
    return found


MORE_SHAPES = (
    "7x3 8x2 10x4 13x5 15x2 20x6 24x24 25x3 32x7 50x4 6x6 7x7 3x41 4x64 101x2 128x3 257x2 2x100 "
    "300x1 11x50 19x15"
)
# The same batch with other arguments: what to replace, and by what.
VARIANTS = (
    ("another momentum", {"momentum": 0.85}),
    ("a momentum of 1e-6", {"momentum": 1e-6}),
    (
        "running_mean = 0 and running_var = 1, where training starts",
        {"running_mean": np.zeros_like, "running_var": np.ones_like},
    ),
    ("a running variance of zero", {"running_var": lambda v: v * np.array([1, 0, 1, 1])}),
    (
        "large running statistics",
        {
            "running_mean": lambda m: m * np.array([10, 300, 1e4, 1e5]),
            "running_var": lambda v: v * np.array([10, 1e3, 1e4, 1e6]),
        },
    ),
    (
        "small running statistics",
        {
            "running_mean": lambda m: m * np.array([0.1, 1e-3, 1e-5, 1e-6]),
            "running_var": lambda v: v * np.array([0.1, 1e-3, 1e-5, 1e-7]),
        },
    ),
    ("an x that is zero in places, as behind a ReLU", {"x": lambda x: np.maximum(x, 0)}),
    ("an x that is constant", {"x": lambda x: 0 * x + np.array([1.5, -2.0, 0.0, 30.0])}),
    ("other numbers in the middle of x", {"x": other_middle}),
)


def _variance_probe(name, rng, mean, dtype, tol, tag="large mean") -> Probe:
    """A large mean. Centred on zero, so that an error of the variance counts, not of the mean."""
    spread = rng.permuted(
        np.array([[-2.0], [-1.0], [0.0], [0.0], [1.0], [2.0]]) * [[1, 0.5, 3, 2]], axis=0
    )
    args = {"running_mean": np.zeros(4), "running_var": np.full(4, 2.0), "x": mean + spread}
    args = {k: v.astype(dtype) for k, v in args.items()} | {"momentum": 0.5}
    return Probe(f"{name} (x of shape (6, 4), momentum = 0.5)", args, tol, tag)


def old_weight(case):
    """The old value has the weight 1 - momentum."""
    m = case.given.momentum
    for out, old in (("new_mean", "running_mean"), ("new_var", "running_var")):
        moved = getattr(case.call(**{old: getattr(case.given, old) + 1.0}), out)
        gain = moved - getattr(case.got, out)
        said = case.differ(
            gain,
            np.full_like(gain, 1 - m),
            f"When {old} grows by 1, {out}[{{i}}] grows by {{got}}, expected 1 - momentum = "
            "{want}.",
        )
        if said:
            return said
    return None


def batch_weight(case):
    """The batch's mean and variance have the weight momentum."""
    if case.probe.tag:  # x + 1 would be rounded
        return None
    x, m = case.given.x, case.given.momentum
    deviations = x - x.mean(0)
    var = (deviations**2).sum(0) / (len(x) - 1)
    return case.differ(
        case.call(x=x + 1.0).new_mean - case.got.new_mean,
        np.full(x.shape[1], m),
        "When all of x grows by 1, new_mean[{i}] grows by {got}, expected momentum = {want}.",
    ) or case.differ(
        case.call(x=x + (2**0.5 - 1) * deviations).new_var - case.got.new_var,
        m * var,
        "When the variance of the batch is doubled, new_var[{i}] grows by {got}, expected momentum "
        "* unbiased variance = {want} (momentum is {m}, the variance {var}).",
        m=f"{m:g}",
        var=var,
    )


def batch_statistics(case):
    """With momentum = 1 the old value does not count: the result is the batch's statistic."""
    alone = case.call(momentum=1.0)
    n = len(case.given.x)
    mean, deviations = case.given.x.mean(0), case.given.x - case.given.x.mean(0)
    return case.differ(
        alone.new_mean,
        mean,
        "With momentum = 1, new_mean[{i}] is {got}, expected the mean of that column of x, {want}.",
    ) or case.differ(
        alone.new_var,
        (deviations**2).sum(0) / (n - 1),
        "With momentum = 1, new_var[{i}] is {got}, expected the unbiased variance of that column "
        f"of x, {{want}} (N = {n}: a sum of squared deviations over {n - 1}).",
    )


update_running = Exercise(
    update_running,
    reference=_update,
    returns=["new_mean", "new_var"],
    mistakes=UPDATE_MISTAKES,
    probes=_update_probes,
    properties=(old_weight, batch_statistics, batch_weight),
    hints=(
        "Each running value moves a little from where it is towards the batch's value. momentum "
        "says how far.",
        "1. The mean and the unbiased variance of the batch, D numbers each.  2. New value = old "
        "value with weight 1 - momentum plus batch value with weight momentum.",
        "x.var(axis=0) divides by N; with ddof=1 it divides by N - 1. Do not change the arrays "
        "that you are given: `running_mean *= ...` would.",
    ),
)
