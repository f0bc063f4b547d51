"""The networks once more, in float64 NumPy on NCHW images and state dicts of OIHW weights.

Written from the papers and independent of the package: plain loops over kernel positions, no
autodiff, no batching tricks.
"""

import numpy as np


class Oracle:
    """One forward pass; ``statistics`` collects the running statistics that it leaves behind."""

    def __init__(self, weights, batch_norm, train):
        self.weights = {name: np.asarray(w, np.float64) for name, w in weights.items()}
        self.batch_norm, self.train, self.statistics = batch_norm, train, {}

    def resnet(self, images, depth):
        x = np.maximum(self.norm(self.conv(images, "conv1"), "bn1"), 0)
        for stage in (1, 2, 3):
            for block in range((depth - 2) // 6):
                stride = 2 if stage > 1 and block == 0 else 1
                x = self.basic_block(x, f"layer{stage}.{block}", stride)
        return self.dense(x.mean((2, 3)), "linear")

    def basic_block(self, x, name, stride):
        y = self.norm(self.conv(x, f"{name}.conv1", stride), f"{name}.bn1")
        y = self.norm(self.conv(np.maximum(y, 0), f"{name}.conv2"), f"{name}.bn2")
        y = y * self.weights.get(f"{name}.skip.alpha", 1.0)
        if stride == 2:
            quarter = np.zeros((x.shape[0], y.shape[1] // 4, *y.shape[2:]))
            x = np.concatenate([quarter, x[:, :, ::2, ::2], quarter], 1)
        return np.maximum(x + y, 0)

    def densenet(self, images, depth):
        x = self.conv(images, "conv1")
        for stage in (1, 2, 3):
            for block in range((depth - 4) // 6):
                name = f"dense{stage}.{block}"
                y = self.conv(np.maximum(self.norm(x, f"{name}.bn1"), 0), f"{name}.conv1")
                y = self.conv(np.maximum(self.norm(y, f"{name}.bn2"), 0), f"{name}.conv2")
                x = np.concatenate([x, y], 1)
            if stage < 3:
                name = f"trans{stage}"
                x = self.conv(np.maximum(self.norm(x, f"{name}.bn1"), 0), f"{name}.conv1")
                x = pool(x)
        return self.dense(np.maximum(self.norm(x, "bn"), 0).mean((2, 3)), "fc")

    def conv(self, x, name, stride=1):
        kernel = self.weights[f"{name}.weight"]
        pad, (h, w) = kernel.shape[2] // 2, x.shape[2:]
        padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        out = 0.0
        for i in range(kernel.shape[2]):
            for j in range(kernel.shape[3]):
                view = padded[:, :, i : i + h : stride, j : j + w : stride]
                out = out + np.einsum("nchw,oc->nohw", view, kernel[:, :, i, j], optimize=True)
        return out

    def norm(self, x, name):
        if not self.batch_norm:
            return x
        mean, var = (self.weights[f"{name}.running_{what}"] for what in ("mean", "var"))
        if self.train:
            batch_mean, batch_var = x.mean((0, 2, 3)), x.var((0, 2, 3))
            self.statistics[f"{name}.running_mean"] = 0.9 * mean + 0.1 * batch_mean
            self.statistics[f"{name}.running_var"] = 0.9 * var + 0.1 * batch_var
            mean, var = batch_mean, batch_var
        scale = self.weights[f"{name}.weight"] / np.sqrt(var + 1e-5)
        shift = self.weights[f"{name}.bias"] - mean * scale
        return x * scale[:, None, None] + shift[:, None, None]

    def dense(self, x, name):
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]


def pool(x):
    out = np.zeros((*x.shape[:2], x.shape[2] // 2, x.shape[3] // 2))
    for row in range(out.shape[2]):
        for column in range(out.shape[3]):
            corner = x[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            out[:, :, row, column] = corner.mean((2, 3))
    return out
