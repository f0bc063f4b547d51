"""One sentence for every row of the scorecard that surprises.

Keys are (name, arguments); empty arguments stand for all rows of that name without their own.
"""

_NORMS = "Norms over a tensor mix its coordinates, but one constant cancels."
_NEEDS_VALUE = "It needs the value of the loss, and no loss goes with freely rescaled gradients."

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
    ): "The decay is added before the root mean squares: λx is weighed against the gradient.",
    (
        "adafactor",
        "",
    ): "Factored moments share one scale per row and column, and the clipping by RMS is over a tensor.",
    ("adagrad", ""): "The accumulator starts at 0.1, a gradient of about 0.3 that was never there.",
    (
        "adagrad",
        "learning_rate=0.01, eps=0.0, initial_accumulator_value=0.0",
    ): "Without its two constants AdaGrad is scale-free.",
    (
        "adam",
        "learning_rate=0.01, eps=0.0",
    ): "ε is all that keeps Adam from being scale-free; without it a coordinate that never saw a gradient is 0/0.",
    (
        "adamw",
        "learning_rate=0.01, eps=0.0, weight_decay=0.01",
    ): "Decoupled weight decay never meets the gradient.",
    ("adan", ""): "eps_root = 1e-8 inside the root acts as an ε of 1e-4.",
    ("fromage", ""): _NORMS,
    ("lamb", ""): "Adam's ε is 1e-6 here: a hundred times Adam's.",
    (
        "lars",
        "",
    ): "Where all parameters of a tensor are zero, as in a new bias, LARS takes the gradient as it is. Elsewhere it divides by its norm.",
    (
        "lbfgs",
        "",
    ): "The line search needs the loss itself, and no loss goes with freely rescaled gradients.",
    (
        "lbfgs",
        "learning_rate=0.01, linesearch=None",
    ): "The first step is −g capped at norm one, so it has a scale; later steps mix coordinates, but one constant would cancel.",
    (
        "lion",
        "",
    ): "The sign of an average does not feel the scale of its coordinate; the decay is decoupled.",
    (
        "lookahead",
        "",
    ): "Its parameters are a pair, LookaheadParams, not a tree that updates are added to.",
    ("noisy_sgd", ""): "The noise is the same in every run, as its key is; what deviates is SGD.",
    ("novograd", ""): "The second moment is one number a tensor.",
    ("polyak_sgd", ""): _NEEDS_VALUE,
    (
        "radam",
        "",
    ): "While the variance is not tractable, the first steps are plain momentum: as far from scale-free as SGD.",
    ("rmsprop", ""): "eps = 1e-8 is inside the root, so it acts as an ε of 1e-4.",
    (
        "rmsprop",
        "learning_rate=0.01, eps=0.0",
    ): "ε is the only constant when the second moment starts at zero.",
    (
        "rmsprop",
        "learning_rate=0.01, eps=0.0, initial_scale=1.0",
    ): "A second moment that starts at one is a gradient that was never there.",
    ("rprop", ""): "It reads signs alone.",
    ("signum", ""): "The sign of the momentum does not feel the scale of its coordinate.",
    (
        "sm3",
        "",
    ): "Tested without a scalar, on which it raises IndexError; accumulators are shared by rows and columns, and eps = 1e-8 inside the root acts as an ε of 1e-4.",
    ("yogi", ""): "ε is 1e-3 and the second moment moves by additive steps from 1e-6.",
    (
        "contrib.acprop",
        "",
    ): "The first step, before there is a second moment to divide by, is the plain average of gradients.",
    ("contrib.adopt", ""): "It divides by max(√v, ε), not √v + ε: above ε the ε leaves no trace.",
    (
        "contrib.cocob",
        "weight_decay=0.0",
    ): "Coin betting divides by the largest gradient that a coordinate has seen: no learning rate, and nearly no ε.",
    ("contrib.cocob", "weight_decay=0.01"): "The decay is added to the gradient before the bets.",
    ("contrib.dadapt_adamw", ""): "The step size is estimated from norms over all coordinates.",
    (
        "contrib.dog",
        "",
    ): "The step size is a distance over a norm of all gradients, which one constant leaves alone.",
    (
        "contrib.dowg",
        "",
    ): "The step size is estimated from norms over all coordinates, from a start that has a scale.",
    ("contrib.dpsgd", ""): "It needs one gradient an example, with a leading axis.",
    ("contrib.galore", ""): "Adam runs in a projection of each matrix that mixes its coordinates.",
    (
        "contrib.madgrad",
        "",
    ): "The root is cubic: an update grows with the third root of the gradients' scale.",
    (
        "contrib.mechanize",
        "",
    ): "Tested around SGD: the learned step size is one number for all coordinates.",
    ("contrib.momo", ""): _NEEDS_VALUE,
    ("contrib.momo_adam", ""): _NEEDS_VALUE,
    (
        "contrib.muon",
        "",
    ): "Orthogonalizing a matrix mixes its coordinates, but one constant cancels.",
    ("contrib.prodigy", ""): "The step size is estimated from inner products over all coordinates.",
    ("contrib.sam", ""): "Tested around SGD, whose steps it keeps.",
    ("contrib.schedule_free", ""): "Averaging keeps what the base has, here SGD: nothing.",
    ("contrib.schedule_free_adamw", ""): "Averaging keeps what the base has, here Adam's.",
    (
        "contrib.sophia",
        "",
    ): "Its Hessian estimate needs the objective, and none goes with freely rescaled gradients.",
    (
        "adamprox.adam_l2",
        "learning_rate=0.01, eps=1e-08, weight_decay=0.01",
    ): "λx is added to the gradient: a coordinate with small gradients feels the regularizer alone.",
    (
        "adamprox.adam_l2",
        "learning_rate=0.01, eps=0.0, weight_decay=0.01",
    ): "Not ε but λx in the moments breaks it: compare the row without decay.",
    (
        "adamprox.adamprox_l1",
        "learning_rate=0.01, eps=1e-08, weight_decay=0.01",
    ): "A λ as large as the learning rate takes nearly all of each step from zero, and ε shows in the little that is left.",
    (
        "contrib.dog",
        "init_step=('heuristic', 0.01), weight_decay=0.01",
    ): "The decay is added to the gradient before its norm is taken, so not even one constant cancels.",
    ("contrib.schedule_free_sgd", ""): "Averaging keeps what the base has, here SGD: nothing.",
}
