"""Algorithm 1, eq. (5) and §5 of the paper in float64 NumPy, written from the formulas."""

import numpy as np


def shrink_l1(z, t):
    return np.sign(z) * np.maximum(np.abs(z) - t, 0)


def shrink_l2(z, t):
    norm = np.sqrt(np.sum(z**2))
    return np.zeros_like(z) if norm <= t else (1 - t / norm) * z


def trajectory(name, x, gradients, eta, *, alpha, lam, b1=0.9, b2=0.999, eps=1e-8):
    """x_1 … x_T, float64[T, d], of one optimizer fed with ``gradients`` of the loss."""
    x = np.array(x, np.float64)
    m, v, path = np.zeros_like(x), np.zeros_like(x), []
    for t, g in enumerate(np.asarray(gradients, np.float64), start=1):
        if name == "adam_l2":
            g = g + lam * x
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        denominator = np.sqrt(v / (1 - b2**t)) + eps
        u = np.divide(m / (1 - b1**t), denominator, out=np.zeros_like(x), where=denominator > 0)
        z = x - eta[t - 1] * alpha * u
        x = {
            "adam_l2": lambda z=z: z,
            "adamw": lambda z=z, x=x, t=t: z - eta[t - 1] * lam * x,
            "adamprox": lambda z=z, t=t: z / (1 + eta[t - 1] * lam),
            "adamprox_l2": lambda z=z, t=t: shrink_l2(z, eta[t - 1] * lam),
            "adamprox_l1": lambda z=z, t=t: shrink_l1(z, eta[t - 1] * lam),
        }[name]()
        path.append(x)
    return np.array(path)
