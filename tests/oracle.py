"""Algorithm 1, eq. (5) and §5 of the paper in float64 NumPy, written from the formulas."""

import numpy as np


def shrink_l1(z, t):
    return np.sign(z) * np.maximum(np.abs(z) - t, 0)


def shrink_l2(z, t):
    norm = np.sqrt(np.sum(z**2))
    return np.zeros_like(z) if norm <= t else (1 - t / norm) * z


def trajectory(
    name, x, gradients, eta, *, alpha, lam, b1=0.9, b2=0.999, eps=1e-8, nesterov=False, where=True
):
    """x_1 … x_T, float64[T, d], of one optimizer fed with ``gradients`` of the loss.

    ``where`` is bool[d], the coordinates that are regularized.
    """
    x = np.array(x, np.float64)
    where = np.broadcast_to(where, x.shape)
    m, v, path = np.zeros_like(x), np.zeros_like(x), []
    for t, g in enumerate(np.asarray(gradients, np.float64), start=1):
        if name == "adam_l2":
            g = g + lam * x * where
        if name == "scale_free_adam_l2" and t > 1:
            g = g + lam / alpha * np.sqrt(v / (1 - b2 ** (t - 1))) * x * where
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        denominator = np.sqrt(v / (1 - b2**t)) + eps
        m_hat = m / (1 - b1**t)
        if nesterov:
            m_hat = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        u = np.divide(m_hat, denominator, out=np.zeros_like(x), where=denominator > 0)
        z = x - eta[t - 1] * alpha * u
        t_eta = eta[t - 1] * lam
        regularized = {
            "adam_l2": lambda z, x, t_eta=t_eta: z,
            "scale_free_adam_l2": lambda z, x, t_eta=t_eta: z,
            "adamw": lambda z, x, t_eta=t_eta: z - t_eta * x,
            "adamprox": lambda z, x, t_eta=t_eta: z / (1 + t_eta),
            "adamprox_l2": lambda z, x, t_eta=t_eta: shrink_l2(z, t_eta),
            "adamprox_l1": lambda z, x, t_eta=t_eta: shrink_l1(z, t_eta),
        }[name]
        new = z.copy()
        new[where] = regularized(z[where], x[where])
        x = new
        path.append(x)
    return np.array(path)
