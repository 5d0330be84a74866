"""Correct solutions in many styles. Every one of them must be accepted.

`written` are by hand: other mathematics than the solution's, or another idiom of NumPy. They are
also what the random wrong programs of `variants.py` are made from, so each function stands on its
own: NumPy as `np`, and nothing else. (Not so the layers and searches at the end.) `derived` are
built on those of an earlier exercise, as students build them, and `converted` are what a student
does to the arguments or the result of a right calculation.
"""

from functools import partial

import numpy as np
from exercises.programs import FUNCTIONS

import bnlib
from bnlib import exercises
from bnlib.exercises import n08_training
from bnlib.layers import Layer


class standardize:
    def loops(x, eps):
        xhat = np.empty(x.shape)
        for j in range(x.shape[1]):
            mean = 0.0
            for n in range(x.shape[0]):
                mean += x[n, j] / x.shape[0]
            var = 0.0
            for n in range(x.shape[0]):
                var += (x[n, j] - mean) ** 2 / x.shape[0]
            for n in range(x.shape[0]):
                xhat[n, j] = (x[n, j] - mean) / (var + eps) ** 0.5
        return xhat

    def einsum(x, eps):
        centred = x - np.einsum("nd->d", x) / len(x)
        var = np.einsum("nd,nd->d", centred, centred) / len(x)
        return np.einsum("nd,d->nd", centred, 1 / np.sqrt(var + eps))

    def in_place_on_a_copy(x, eps):
        x = x.copy()
        x -= x.mean(axis=0)
        x /= np.sqrt((x * x).mean(axis=0) + eps)
        return x

    def std_squared(x, eps):
        return (x - x.mean(0)) / np.sqrt(x.std(0) ** 2 + eps)

    def matrix_of_ones(x, eps):
        n = x.shape[0]
        centred = x - np.ones((n, n)) @ x / n
        return centred * (np.ones((n, n)) @ centred**2 / n + eps) ** -0.5

    def transposed(x, eps):
        rows = x.T
        return ((rows - rows.mean(1)[:, None]) / np.sqrt(rows.var(1) + eps)[:, None]).T

    def lists_of_floats(x, eps):
        columns = []
        for column in x.T.tolist():
            mean = sum(column) / len(column)
            var = sum((v - mean) ** 2 for v in column) / len(column)
            columns.append([(v - mean) / (var + eps) ** 0.5 for v in column])
        return [list(row) for row in zip(*columns, strict=True)]

    def refuses_a_batch_of_one(x, eps):
        if len(x) < 2:
            raise ValueError("a batch of one has no variance")
        return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps)


class bn_forward:
    def scale_and_offset(x, gamma, beta, eps):
        scale = gamma / np.sqrt(x.var(0) + eps)
        return (x - x.mean(0)) * scale + beta

    def only_x_in_float32(x, gamma, beta, eps):
        x = x.astype(np.float32)
        return gamma * (x - x.mean(0)) / np.sqrt(x.var(0) + eps) + beta

    def diagonal_matrix(x, gamma, beta, eps):
        return (x - x.mean(0)) @ np.diag(gamma / np.sqrt(x.var(0) + eps)) + beta


class bn_backward:
    def graph_node_by_node(dy, x, gamma, eps):
        n, d = x.shape
        centred = x - x.mean(0)
        std = np.sqrt((centred**2).mean(0) + eps)
        inverse = 1 / std
        dbeta = np.sum(dy, axis=0)
        dgamma = np.sum(centred * inverse * dy, axis=0)
        dxhat = dy * gamma
        dinverse = np.sum(dxhat * centred, axis=0)
        dcentred = dxhat * inverse
        dstd = -dinverse / std**2
        dvar = 0.5 * dstd / std
        dsquares = np.ones((n, d)) / n * dvar
        dcentred = dcentred + 2 * centred * dsquares
        dmean = -np.sum(dcentred, axis=0)
        return dcentred + np.ones((n, d)) / n * dmean, dgamma, dbeta

    def closed_with_sums(dy, x, gamma, eps):
        n = len(x)
        inv = 1.0 / np.sqrt(x.var(0) + eps)
        xhat = (x - x.mean(0)) * inv
        dgamma, dbeta = (dy * xhat).sum(0), dy.sum(0)
        return (gamma * inv / n) * (n * dy - dbeta - xhat * dgamma), dgamma, dbeta

    def projection_matrices(dy, x, gamma, eps):
        n, d = x.shape
        dx = np.zeros((n, d))
        for j in range(d):
            std = np.sqrt(x[:, j].var() + eps)
            xhat = (x[:, j] - x[:, j].mean()) / std
            jacobian = np.eye(n) - np.ones((n, n)) / n - np.outer(xhat, xhat) / n
            dx[:, j] = gamma[j] / std * jacobian @ dy[:, j]
        xhat = (x - x.mean(0)) / np.sqrt(x.var(0) + eps)
        return dx, (dy * xhat).sum(0), dy.sum(0)

    def loops(dy, x, gamma, eps):
        n, d = x.shape
        dx, dgamma, dbeta = np.zeros((n, d)), np.zeros(d), np.zeros(d)
        for j in range(d):
            mean, var = x[:, j].mean(), x[:, j].var()
            for i in range(n):
                dbeta[j] += dy[i, j]
                dgamma[j] += dy[i, j] * (x[i, j] - mean) / np.sqrt(var + eps)
            for i in range(n):
                xhat = (x[i, j] - mean) / np.sqrt(var + eps)
                inner = dy[i, j] - dbeta[j] / n - xhat * dgamma[j] / n
                dx[i, j] = gamma[j] / np.sqrt(var + eps) * inner
        return dx, dgamma, dbeta

    def in_place_on_copies(dy, x, gamma, eps):
        xhat, dx = x.copy(), dy.copy()
        xhat -= xhat.mean(0)
        std = np.sqrt((xhat**2).mean(0) + eps)
        xhat /= std
        dbeta, dgamma = dx.sum(0), (dx * xhat).sum(0)
        dx -= dbeta / len(x)
        dx -= xhat * (dgamma / len(x))
        dx *= gamma / std
        return dx, dgamma, dbeta


class bn_backward_closed:
    def projection_matrices(dy, xhat, gamma, inv_std):
        n, d = dy.shape
        dx = np.zeros((n, d))
        for j in range(d):
            z = xhat[:, j]
            P = np.eye(n) - np.ones((n, n)) / n - np.outer(z, z) / n
            dx[:, j] = gamma[j] * inv_std[j] * P @ dy[:, j]
        return dx

    def loops(dy, xhat, gamma, inv_std):
        dx = np.empty_like(dy)
        n = dy.shape[0]
        for j in range(dy.shape[1]):
            a = sum(dy[i, j] for i in range(n)) / n
            b = sum(dy[i, j] * xhat[i, j] for i in range(n)) / n
            for i in range(n):
                dx[i, j] = (dy[i, j] - a - b * xhat[i, j]) * gamma[j] * inv_std[j]
        return dx


class gradient_check:
    def random_directions(forward, backward, x):
        rng = np.random.default_rng(11)
        dy = rng.standard_normal(np.shape(forward(x)))
        dx, worst = backward(dy, x), 0.0
        for _ in range(8):
            v = rng.standard_normal(x.shape)
            above, below = forward(x + 1e-5 * v), forward(x - 1e-5 * v)
            measured, claimed = np.sum(dy * (above - below)) / 2e-5, np.sum(dx * v)
            worst = max(worst, abs(measured - claimed) / max(abs(measured), abs(claimed)))
        return worst

    def sum_of_both_sizes(forward, backward, x):
        dy = np.random.default_rng(1).uniform(-1, 1, forward(x).shape)
        a, n = backward(dy, x), np.zeros(x.shape)
        it = np.nditer(x, flags=["multi_index"])
        for _ in it:
            i, there = it.multi_index, x.copy()
            there[i] += 1e-4
            plus = forward(there).copy()
            there[i] -= 2e-4
            n[i] = ((plus - forward(there)) * dy).sum() / 2e-4
        return np.max(np.abs(a - n)) / (np.max(np.abs(a)) + np.max(np.abs(n)))

    def full_jacobian(forward, backward, x):
        y = forward(x)
        worst, h = 0.0, 1e-5
        measured = np.zeros(y.shape + x.shape)
        for i in np.ndindex(x.shape):
            e = np.zeros(x.shape)
            e[i] = h
            measured[(..., *i)] = (forward(x + e) - forward(x - e)) / (2 * h)
        for k in np.ndindex(y.shape):
            dy = np.zeros(y.shape)
            dy[k] = 1.0
            worst = max(worst, np.abs(backward(dy, x) - measured[k]).max())
        return worst / np.abs(measured).max()


class update_running:
    def corrected_by_hand(running_mean, running_var, x, momentum):
        n = x.shape[0]
        mean = np.mean(x, axis=0)
        var = np.mean((x - mean) ** 2, axis=0) * n / (n - 1)
        keep = 1 - momentum
        return keep * running_mean + momentum * mean, keep * running_var + momentum * var

    def loops(running_mean, running_var, x, momentum):
        new_mean, new_var = np.zeros_like(running_mean), np.zeros_like(running_var)
        for j in range(x.shape[1]):
            mean = sum(x[n, j] for n in range(len(x))) / len(x)
            var = sum((x[n, j] - mean) ** 2 for n in range(len(x))) / (len(x) - 1)
            new_mean[j] = (1 - momentum) * running_mean[j] + momentum * mean
            new_var[j] = (1 - momentum) * running_var[j] + momentum * var
        return new_mean, new_var

    def covariance(running_mean, running_var, x, momentum):
        var = np.atleast_1d(np.diag(np.atleast_2d(np.cov(x.T))))
        return (
            np.average([running_mean, x.mean(0)], axis=0, weights=[1 - momentum, momentum]),
            np.average([running_var, var], axis=0, weights=[1 - momentum, momentum]),
        )


class bn_inference:
    def the_formula_at_zero(gamma, beta, running_mean, running_var, eps):
        def y(x):
            return gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta

        return gamma / (running_var + eps) ** 0.5, y(0)

    def loops(gamma, beta, running_mean, running_var, eps):
        slope, offset = [], []
        for j in range(len(gamma)):
            slope.append(gamma[j] / (running_var[j] + eps) ** 0.5)
            offset.append(beta[j] - running_mean[j] * slope[j])
        return slope, offset

    def xhat_of_zero(gamma, beta, running_mean, running_var, eps):
        s = np.sqrt(running_var + eps)
        xhat = (np.zeros_like(running_mean) - running_mean) / s
        return np.divide(gamma, s), np.add(np.multiply(gamma, xhat), beta)


class fold_bn:
    def diagonal_matrix(W, b, gamma, beta, mean, var, eps):
        scale = np.diag(gamma / np.sqrt(var + eps))
        return W @ scale, (b - mean) @ scale + beta

    def loops(W, b, gamma, beta, mean, var, eps):
        W2, b2 = np.empty_like(W), np.empty_like(b)
        for j in range(W.shape[1]):
            scale = gamma[j] / (var[j] + eps) ** 0.5
            for i in range(W.shape[0]):
                W2[i, j] = W[i, j] * scale
            b2[j] = (b[j] - mean[j]) * scale + beta[j]
        return W2, b2


class fold_bn_before:
    def diagonal_matrix(W, b, gamma, beta, mean, var, eps):
        slope = np.diag(gamma / np.sqrt(var + eps))
        return slope @ W, (beta - slope @ mean) @ W + b

    def loops(W, b, gamma, beta, mean, var, eps):
        W2, b2 = np.empty_like(W), b.copy()
        for i in range(W.shape[0]):
            slope = gamma[i] / (var[i] + eps) ** 0.5
            for j in range(W.shape[1]):
                W2[i, j] = slope * W[i, j]
                b2[j] += (beta[i] - slope * mean[i]) * W[i, j]
        return W2, b2

    def new_weights_first(W, b, gamma, beta, mean, var, eps):
        W2 = W * (gamma / np.sqrt(var + eps)).reshape(-1, 1)
        return W2, beta @ W - mean @ W2 + b

    def probed_with_unit_vectors(W, b, gamma, beta, mean, var, eps):
        def both(x):
            return (gamma * (x - mean) / np.sqrt(var + eps) + beta) @ W + b

        slope = gamma[:, None] / np.sqrt(var + eps)[:, None]
        return slope * W, both(np.zeros_like(mean))


class layer_norm:
    def new_axes(x, gamma, beta, eps):
        mean, std = x.mean(1), np.sqrt(x.var(1) + eps)
        return (x - mean[:, None]) / std[:, None] * gamma[None, :] + beta[None, :]


class group_norm:
    def five_axes(x, num_groups, gamma, beta, eps):
        n, c, h, w = x.shape
        g = x.reshape(n, num_groups, c // num_groups, h, w)
        mean, var = g.mean((2, 3, 4), keepdims=True), g.var((2, 3, 4), keepdims=True)
        xhat = ((g - mean) / np.sqrt(var + eps)).reshape(n, c, h, w)
        return xhat * gamma[:, None, None] + beta[:, None, None]


class rms_norm_backward:
    def through_r(dy, x, gamma, eps):
        d = x.shape[1]
        r = np.sqrt(np.mean(x * x, axis=1) + eps)[:, None]
        dxhat = dy * gamma
        dr = -(dxhat * x).sum(1, keepdims=True) / r**2
        return dxhat / r + dr * x / (d * r), (dy * x / r).sum(0)

    def loop_over_examples(dy, x, gamma, eps):
        dx, dgamma = np.zeros_like(x), np.zeros(x.shape[1])
        for n in range(len(x)):
            r = (x[n] @ x[n] / x.shape[1] + eps) ** 0.5
            xhat, g = x[n] / r, dy[n] * gamma
            dgamma += dy[n] * xhat
            dx[n] = (g - xhat * (g @ xhat) / x.shape[1]) / r
        return dx, dgamma

    def jacobians(dy, x, gamma, eps):
        d = x.shape[1]
        r = np.sqrt((x**2).mean(1) + eps)
        xhat = x / r[:, None]
        jacobian = np.eye(d) - xhat[:, :, None] * xhat[:, None, :] / d
        dx = np.einsum("nij,nj->ni", jacobian, dy * gamma) / r[:, None]
        return dx, np.einsum("nd,nd->d", dy, xhat)


class bn_conv_forward:
    def loop_over_channels(x, gamma, beta, eps):
        y = np.empty(x.shape)
        for c in range(x.shape[1]):
            channel = x[:, c]
            xhat = (channel - channel.mean()) / np.sqrt(channel.var() + eps)
            y[:, c] = gamma[c] * xhat + beta[c]
        return y

    def einsum(x, gamma, beta, eps):
        count = x.shape[0] * x.shape[2] * x.shape[3]
        mean = np.einsum("nchw->c", x) / count
        centred = x - mean[:, None, None]
        var = np.einsum("nchw,nchw->c", centred, centred) / count
        scale = gamma * (var + eps) ** -0.5
        return np.einsum("nchw,c->nchw", centred, scale) + beta[:, None, None]


class bn_conv_backward:
    def loop_over_channels(dy, x, gamma, eps):
        dx = np.zeros_like(x)
        dgamma, dbeta = np.zeros(x.shape[1]), np.zeros(x.shape[1])
        for c in range(x.shape[1]):
            std = np.sqrt(x[:, c].var() + eps)
            xhat = (x[:, c] - x[:, c].mean()) / std
            g = dy[:, c]
            dgamma[c], dbeta[c] = (g * xhat).sum(), g.sum()
            dx[:, c] = gamma[c] / std * (g - g.mean() - xhat * (g * xhat).mean())
        return dx, dgamma, dbeta


class init_std:
    def one_line(fan_in):
        return (2 / fan_in) ** 0.5

    def numpy(fan_in):
        return np.sqrt(2.0) / np.sqrt(fan_in)

    def by_logarithms(fan_in):
        variance = 2 / fan_in
        return np.exp(0.5 * np.log(variance))


class saturated_fraction:
    def one_line(z):
        return np.mean(np.exp(-abs(z)) / (1 + np.exp(-abs(z))) ** 2 < 0.0125)

    def loops(z):
        count = 0
        for row in z:
            for value in row:
                s = 0.5 * (1 + np.tanh(value / 2))
                if s * (1 - s) < 0.05 / 4:
                    count += 1
        return count / z.size

    def with_overflow_to_infinity(z):
        s = 1 / (1 + np.exp(-z))
        return (s * (1 - s) < 0.05 * 0.25).mean()


class shift:
    def where(mean, std, floor):
        spread = np.where(std[0] < floor, floor, std[0])
        return (
            np.abs(mean - mean[0]).sum(axis=1) / mean.shape[1],
            np.abs((mean - mean[0]) / spread).sum(axis=1) / mean.shape[1],
        )

    def matrix_products(mean, std, floor):
        distance = np.abs(mean - mean[0, :])
        spread = std[0].copy()
        spread[spread < floor] = floor
        units = mean.shape[1]
        return distance @ np.full(units, 1 / units), distance @ (1 / spread) / units

    def transposed(mean, std, floor):
        units = abs(mean.T - mean.T[:, [0]])
        return np.mean(units, axis=0), np.mean(units / np.maximum(std.T[:, [0]], floor), axis=0)


class BatchNormLayer:
    class own_formulas(Layer):
        def __init__(self, num_features, eps=1e-5, momentum=0.1):
            super().__init__()
            self.eps, self.momentum = eps, momentum
            self.add_param("beta", np.zeros(num_features))
            self.add_param("gamma", np.ones(num_features))
            self.buffers = {
                "running_var": np.ones(num_features),
                "running_mean": np.zeros(num_features),
            }

        def forward(self, x):
            if self.training:
                mean, var = x.mean(0), x.var(0)
                for name, new in (("mean", mean), ("var", x.var(0, ddof=1))):
                    self.buffers[f"running_{name}"] *= 1 - self.momentum
                    self.buffers[f"running_{name}"] += self.momentum * new
            else:
                mean, var = self.buffers["running_mean"], self.buffers["running_var"]
            self.inv_std = (var + self.eps) ** -0.5
            self.xhat = (x - mean) * self.inv_std
            return self.params["gamma"] * self.xhat + self.params["beta"]

        def backward(self, dy):
            dgamma, dbeta = (dy * self.xhat).sum(0), dy.sum(0)
            self.grads["gamma"][:] = dgamma
            self.grads["beta"][:] = dbeta
            inner = dy - dbeta / len(dy) - self.xhat * dgamma / len(dy)
            return self.params["gamma"] * self.inv_std * inner

    class around_the_library(bnlib.BatchNorm):
        def __init__(self, num_features, eps=1e-5, momentum=0.1):
            super().__init__(num_features, eps=eps, momentum=momentum)

    class replaces_its_buffers(n08_training.BatchNormLayer.answer):
        def forward(self, x):
            gamma, beta = self.params["gamma"], self.params["beta"]
            names = ("running_mean", "running_var")
            running = [self.buffers[name] for name in names]
            if self.training:
                self.x = x.copy()
                new = exercises.update_running.answer(*running, x, self.momentum)
                self.buffers.update(zip(names, new))
                return exercises.bn_forward.answer(x, gamma, beta, self.eps)
            slope, offset = exercises.bn_inference.answer(gamma, beta, *running, self.eps)
            return offset + x * slope

    class no_defaults(n08_training.BatchNormLayer.answer):
        def __init__(self, D, epsilon, weight):
            super().__init__(D, epsilon, weight)

        def backward(self, dy):
            found = exercises.bn_backward.answer(dy, self.x, self.params["gamma"], self.eps)
            np.copyto(self.grads["gamma"], found[1])
            np.copyto(self.grads["beta"], found[2])
            return found[0]


class NoisyBatchNorm:
    class inside_the_output(bnlib.BatchNorm):
        def __init__(self, num_features, rng):
            super().__init__(num_features)
            self.rng = rng

        def forward(self, x):
            y = super().forward(x)
            if self.training:
                self.scale = self.rng.uniform(0.5, 1.5, (1, y.shape[1]))
                y *= self.scale
                y += 0.5 + 0.5 * self.rng.standard_normal(y.shape[1])
            return y

        def backward(self, dy):
            return super().backward(dy * self.scale if self.training else dy)

    class by_the_parameters(bnlib.BatchNorm):
        def __init__(self, num_features, rng):
            super().__init__(num_features)
            self.rng = rng

        def forward(self, x):
            if not self.training:
                return super().forward(x)
            D = len(self.gamma)
            self.scale, shift = self.rng.uniform(0.5, 1.5, D), self.rng.normal(0.5, 0.5, D)
            own = self.gamma.copy(), self.beta.copy()
            self.gamma, self.beta = self.scale * own[0], self.scale * own[1] + shift
            y = super().forward(x)
            self.gamma, self.beta = own
            return y

        def backward(self, dy):
            dx = super().backward(dy)
            if not self.training:
                return dx
            for gradient in self.grads.values():
                gradient *= self.scale
            return dx * self.scale


class paired:
    def covariance(a, b):
        spread = np.cov(np.stack([a - b, a - b]))[0, 1]
        return (a - b).mean(), np.sqrt(spread / a.size)

    def variances_and_covariance(a, b):
        (var_a, both), (_, var_b) = np.cov(a, b)
        return np.array([np.mean(a - b), np.sqrt(abs(var_a + var_b - 2 * both) / len(a))])

    def difference_of_means(a, b):
        d = np.subtract(a, b)
        mean = a.mean() - b.mean()
        return mean, np.sqrt(np.square(d - d.mean()).sum() / (len(d) - 1) / len(d))


class tune_baseline:
    def chess_board(run, rates, scales):
        tried = {
            (lr, s): run(lr, s)
            for i, lr in enumerate(rates)
            for j, s in enumerate(scales)
            if (i + j) % 2
        }
        return min(tried, key=tried.get)

    def three_rates(run, rates, scales):
        best = (np.inf, None, None)
        for lr in rates[1:4]:
            for s in scales:
                best = min(best, (run(lr, s), lr, s))
        return best[1:]

    def three_scales(run, rates, scales):
        steps = np.array([[run(lr, s) for s in scales[1::2]] for lr in rates])
        i, j = np.unravel_index(steps.argmin(), steps.shape)
        return [rates[i], scales[1::2][j]]

    def one_then_the_other_and_again(run, rates, scales):
        seen = {}

        def steps(i, j):
            if (i, j) not in seen and len(seen) < 20:
                seen[i, j] = run(rates[i], scales[j])
            return seen.get((i, j), np.inf)

        i, j = 2, 3
        for _ in range(4):
            i = min(range(6), key=lambda k: steps(k, j))
            j = min(range(6), key=lambda k: steps(i, k))
        i, j = min(seen, key=seen.get)
        return np.array([rates[i], scales[j]])


class stable_variance:
    def welford(x):
        mean, total = np.zeros(x.shape[1]), np.zeros(x.shape[1])
        for n, row in enumerate(x.astype(np.float64), start=1):
            step = row - mean
            mean = mean + step / n
            total = total + step * (row - mean)
        return total / len(x)

    def pairs(x):
        d = x[:, None] - x[None]
        return (d * d).mean(axis=(0, 1)) / 2


class sync_statistics:
    def sums_of_squares(counts, means, variances):
        c = counts.reshape(-1, 1)
        mean = np.average(means, axis=0, weights=counts)
        within, between = (c * variances).sum(0), (c * (means - mean) ** 2).sum(0)
        return np.array(counts.sum()), mean, (within + between) / counts.sum()

    def two_at_a_time(counts, means, variances):
        n, mean, var = counts[0], means[0], variances[0]
        for m, mu, v in zip(counts[1:], means[1:], variances[1:]):
            a, b = n / (n + m), m / (n + m)
            var = a * var + b * v + a * b * (mu - mean) ** 2
            mean, n = a * mean + b * mu, n + m
        return n, mean, var

    def pairs(counts, means, variances):
        p = counts / counts.sum()
        apart = (means[:, None] - means[None]) ** 2
        between = np.einsum("i,j,ijc->c", p, p, apart) / 2
        return counts.sum(), p @ means, p @ variances + between


# ---------------------------------------------------------------- the same, of another function


def rows(a):
    """(N, C, H, W) -> (N * H * W, C)"""
    return a.transpose(0, 2, 3, 1).reshape(-1, a.shape[1])


def maps(a, shape):
    """What rows undoes, for maps of this shape."""
    n, c, h, w = shape
    return a.reshape(n, h, w, c).transpose(0, 3, 1, 2)


def _conv_backward(backward, dy, x, gamma, eps):
    dx, dgamma, dbeta = backward(rows(dy), rows(x), gamma, eps)
    return maps(dx, x.shape), dgamma, dbeta


def _group_norm(standardize, x, num_groups, gamma, beta, eps):
    groups = x.reshape(len(x) * num_groups, -1)
    xhat = np.transpose(standardize(groups.T, eps)).reshape(x.shape)
    return xhat * gamma[:, None, None] + beta[:, None, None]


# exercise -> the one whose styles it is built on, and how
DERIVED = {
    "bn_forward": ("standardize", lambda f, x, gamma, beta, eps: gamma * f(x, eps) + beta),
    "layer_norm": ("standardize", lambda f, x, g, b, eps: g * np.transpose(f(x.T, eps)) + b),
    "group_norm": ("standardize", _group_norm),
    "bn_conv_forward": (
        "standardize",
        lambda f, x, gamma, beta, eps: maps(gamma * f(rows(x), eps) + beta, x.shape),
    ),
    "bn_conv_backward": ("bn_backward", _conv_backward),
}


def _lists(found):
    return [np.asarray(a).tolist() for a in found]


CONVERTED = {
    "calculates_in_float64": lambda f, *args: f(
        *(a.astype(np.float64) if isinstance(a, np.ndarray) else a for a in args)
    ),
    "returns_lists": lambda f, *args: (
        _lists(f(*args)) if isinstance(f(*args), tuple) else np.asarray(f(*args)).tolist()
    ),
}


def written(name):
    """The correct solutions of an exercise by hand: a dictionary of functions by style."""
    return {k: f for k, f in vars(globals()[name]).items() if not k.startswith("__")}


def of(name):
    """All correct solutions of an exercise: a dictionary of functions by style."""
    found = written(name)
    if name in DERIVED:
        base, built = DERIVED[name]
        found |= {f"{base}_{k}": partial(built, f) for k, f in written(base).items()}
    if name in FUNCTIONS:
        answer = exercises.available[name].answer
        found |= {k: partial(converted, answer) for k, converted in CONVERTED.items()}
    return found
