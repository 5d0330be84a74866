"""The loss of the classification networks."""

from __future__ import annotations

import numpy as np

from bnlib.views import as_array, check_array, ones


def softmax_cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean cross-entropy of softmax(logits), and its gradient with respect to the logits.

        loss = -mean_n log softmax(logits)[n, labels[n]]

    ``logits`` (N, K), ``labels`` (N,) integers in [0, K). Returns ``loss``, a float in nats, and
    ``dlogits`` (N, K) = (softmax - one_hot) / N. Subtracting each row's maximum first changes
    nothing in exact arithmetic and keeps exp from overflowing.
    Raises ValueError for shapes or labels out of range, TypeError for labels that are not integers.
    A network that has diverged gives a NaN or infinite loss, which `bnlib.Trainer` records.
    """
    check_array(logits, "logits")
    labels = as_array("labels", labels)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"expected integer labels, got {labels.dtype}: one class index an example")
    if logits.ndim != 2 or 0 in logits.shape or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"expected logits (N, K) and labels (N,), got {logits.shape} and {labels.shape}"
        )
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ValueError(
            f"expected labels in [0, {logits.shape[1]}), got {labels.min()} to {labels.max()}: "
            "does the last layer have one output a class?"
        )
    rows, count = np.arange(len(labels)), len(labels)
    dlogits = logits - logits.max(axis=1, keepdims=True)
    picked = dlogits[rows, labels]
    np.exp(dlogits, out=dlogits)
    total = dlogits @ ones(logits.shape[1], dlogits.dtype)  # the row sums
    loss = float((np.log(total) - picked).sum()) / count
    dlogits /= (total * count)[:, None]
    dlogits[rows, labels] -= 1 / count
    return loss, dlogits
