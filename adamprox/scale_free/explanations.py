"""Explanations of rows of the scorecard, one sentence each.

Keys are (name, arguments). Empty arguments apply to all rows of that name without their own key.
"""

_NORMS = "Norms over a tensor mix its coordinates, but one factor cancels."
_NEEDS_VALUE = "It needs the value of the loss, and no loss has these freely rescaled gradients."

EXPLANATIONS: dict[tuple[str, str], str] = {
    (
        "adabelief",
        "",
    ): "Its eps of 1e-16 is small, but eps_root = 1e-16 inside the root acts as an ε of 1e-8.",
    (
        "adadelta",
        "",
    ): "eps = 1e-6 is inside the roots, so it acts as an ε of 1e-3, and it also sets the size of the first steps.",
    (
        "adadelta",
        "weight_decay=0.01",
    ): "The decay is added before the root mean squares: the result depends on the size of λx relative to the gradient.",
    (
        "adafactor",
        "",
    ): "Factored moments share one scale per row and column, and the clipping by RMS is over a tensor.",
    ("adagrad", ""): "The accumulator starts at 0.1, as after a gradient of about 0.3.",
    (
        "adagrad",
        "learning_rate=0.01, eps=0.0, initial_accumulator_value=0.0",
    ): "Without its two constants AdaGrad is scale-free.",
    (
        "adam",
        "learning_rate=0.01, eps=0.0",
    ): "Only ε keeps Adam from being scale-free; without ε a coordinate that never saw a gradient is 0/0.",
    (
        "adamw",
        "learning_rate=0.01, eps=0.0, weight_decay=0.01",
    ): "Decoupled weight decay does not depend on the gradient.",
    (
        "adamw",
        "learning_rate=0.01, eps=0.0, b1=0.95, b2=0.95, weight_decay=0.01",
    ): "Equal β₁ and β₂ weigh numerator and denominator by gradients of the same age.",
    ("adan", ""): "eps_root = 1e-8 inside the root acts as an ε of 1e-4.",
    ("fromage", ""): _NORMS,
    ("lamb", ""): "The default ε is 1e-6, a hundred times that of Adam.",
    (
        "lars",
        "",
    ): "LARS divides a gradient by its norm, except where all parameters of a tensor are zero, as in a new bias.",
    (
        "lbfgs",
        "",
    ): "The line search needs the loss, and no loss has these freely rescaled gradients.",
    (
        "lbfgs",
        "learning_rate=0.01, linesearch=None",
    ): "The first step is −g with its norm capped at 1 and depends on the scale; later steps mix coordinates, but one factor would cancel.",
    (
        "lion",
        "",
    ): "The sign of an average does not depend on the scale of its coordinate, and the decay is decoupled.",
    (
        "lookahead",
        "",
    ): "Its parameters are a pair (LookaheadParams), to which updates cannot be added.",
    (
        "noisy_sgd",
        "",
    ): "The noise is the same in every run because the key is; the deviation is that of SGD.",
    ("novograd", ""): "The second moment is one number per tensor.",
    ("polyak_sgd", ""): _NEEDS_VALUE,
    (
        "radam",
        "",
    ): "The first steps, before the variance is tractable, are plain momentum, which is not scale-free.",
    ("rmsprop", ""): "eps = 1e-8 is inside the root, so it acts as an ε of 1e-4.",
    (
        "rmsprop",
        "learning_rate=0.01, eps=0.0",
    ): "ε is the only constant when the second moment starts at zero.",
    (
        "rmsprop",
        "learning_rate=0.01, eps=0.0, initial_scale=1.0",
    ): "The second moment starts at 1, as after a large gradient.",
    ("rprop", ""): "It uses only the signs of gradients.",
    ("signum", ""): "The sign of the momentum does not depend on the scale of its coordinate.",
    (
        "sm3",
        "",
    ): "Tested without a scalar, on which it raises IndexError; accumulators are shared by rows and columns, and eps = 1e-8 inside the root acts as an ε of 1e-4.",
    ("yogi", ""): "ε is 1e-3 and the second moment moves by additive steps from 1e-6.",
    (
        "contrib.acprop",
        "",
    ): "The first step, before there is a second moment to divide by, is the plain average of gradients.",
    (
        "contrib.adopt",
        "",
    ): "It divides by max(√v, ε), not √v + ε: above ε the result does not depend on ε.",
    (
        "contrib.cocob",
        "weight_decay=0.0",
    ): "Coin betting divides by the largest gradient of a coordinate so far; it has no learning rate and nearly no ε.",
    ("contrib.cocob", "weight_decay=0.01"): "The decay is added to the gradient before the bets.",
    ("contrib.dadapt_adamw", ""): "The step size is estimated from norms over all coordinates.",
    (
        "contrib.dog",
        "",
    ): "The step size is a distance divided by a norm of all gradients; one factor cancels.",
    (
        "contrib.dowg",
        "",
    ): "The step size is estimated from norms over all coordinates, with an initial value that has a scale.",
    ("contrib.dpsgd", ""): "It needs one gradient per example, with a leading axis.",
    ("contrib.galore", ""): "Adam runs in a projection of each matrix that mixes its coordinates.",
    (
        "contrib.madgrad",
        "",
    ): "The root is cubic: an update grows with the cube root of the gradient scale.",
    (
        "contrib.mechanize",
        "",
    ): "Tested around SGD: the learned step size is one number for all coordinates.",
    ("contrib.momo", ""): _NEEDS_VALUE,
    ("contrib.momo_adam", ""): _NEEDS_VALUE,
    (
        "contrib.muon",
        "",
    ): "Orthogonalizing a matrix mixes its coordinates, but one factor cancels.",
    ("contrib.prodigy", ""): "The step size is estimated from inner products over all coordinates.",
    ("contrib.sam", ""): "Tested around SGD; it keeps the steps of SGD, which are not scale-free.",
    ("contrib.schedule_free", ""): "It averages the iterates of SGD, which is not scale-free.",
    ("contrib.schedule_free_adamw", ""): "It averages the iterates of Adam and inherits Adam's ε.",
    (
        "contrib.sophia",
        "",
    ): "Its Hessian estimate needs the objective, and no objective has these freely rescaled gradients.",
    (
        "adamprox.adam_l2",
        "learning_rate=0.01, eps=1e-08, weight_decay=0.01",
    ): "λx is added to the gradient: λx dominates in coordinates with small gradients.",
    (
        "adamprox.adam_l2",
        "learning_rate=0.01, eps=0.0, weight_decay=0.01",
    ): "λx is added to the gradient without the scale √v̂. ε is not the cause: compare the row without decay.",
    (
        "adamprox.adamprox_l1",
        "learning_rate=0.01, eps=1e-08, weight_decay=0.01",
    ): "With λ as large as the learning rate, the prox cancels nearly all of each step from zero, and ε dominates the remainder.",
    (
        "contrib.dog",
        "init_step=('heuristic', 0.01), weight_decay=0.01",
    ): "The decay is added to the gradient before the norm, therefore not even one factor cancels.",
    ("contrib.schedule_free_sgd", ""): "It averages the iterates of SGD, which is not scale-free.",
}
