"""Claims on exact zeros, along a line over λ."""

from collections.abc import Sequence

from adamprox.report import Claim, Verdict
from adamprox.report.claims import compact, noise, percent, untested
from adamprox.report.plots import LABELS
from adamprox.sweep import Record
from experiments import verdicts

SECTION = "§5"
LITTLE = {"adamprox_l1": ("zero_share", 0.5), "adamprox_group": ("zero_channel_share", 0.25)}
"""The column that must reach the bar, at an error that is not above that of λ = 0 beyond noise."""


def sparse(
    preset: str, network: str, name: str, runs: Sequence[Record], missing: str | None
) -> Claim:
    """Whether some λ makes the network sparse at an error within noise of that at λ = 0.

    Args:
      preset: Whose runs these are.
      network: What it is called.
      name: Of the optimizer, a key of `LITTLE`.
      runs: Those that ended well, one a λ.
      missing: Why the claim waits for others, if it does.

    Returns:
      A claim.
    """
    column, share = LITTLE[name]
    what = "parameters" if column == "zero_share" else "output channels"
    statement = f"{LABELS[name]} makes the {network} network sparse at little loss of accuracy."
    bar = (
        f"at least {percent(share)} of the {what} exactly zero, error not above λ = 0 beyond noise"
    )
    if missing:
        return verdicts.not_run(SECTION, statement, missing)
    dense = next((r for r in runs if r["weight_decay"] == 0), None)
    if (reason := untested(preset, dense, len(runs) > 1)) or not dense:
        return Claim(SECTION, statement, "—", bar, Verdict.NOT_TESTED, reason or "")
    error = dense["final_test_error"]
    good = [r for r in runs if r["final_test_error"] - error <= noise(r, dense)]
    top = max(good, key=lambda r: r[column])
    measured = (
        f"{percent(top[column])} at λ = {compact(top['weight_decay'])}, test error "
        f"{percent(top['final_test_error'])} for {percent(error)}"
    )
    verdict = Verdict.HOLDS if top[column] >= share else Verdict.FAILS
    note = f"{len(runs)} values of λ, one seed."
    if preset == "demo":
        note += " The demo's runs are short: a channel has a few hundred steps to become empty."
    return Claim(SECTION, statement, measured, bar, verdict, note)


def no_zeros(preset: str, runs: Sequence[Record], missing: str | None) -> Claim:
    """Whether AdamW's runs, at every λ on all networks, have no parameter that is exactly zero."""
    statement, bar = "At the same λ AdamW makes no parameter exactly zero.", "none in any run"
    if missing:
        return verdicts.not_run(SECTION, statement, missing)
    if reason := untested(preset, runs):
        return Claim(SECTION, statement, "—", bar, Verdict.NOT_TESTED, reason)
    worst = max(r["zero_share"] for r in runs)
    measured = f"at most {100 * worst:.3g} % in {len(runs)} runs"
    return Claim(SECTION, statement, measured, bar, Verdict.FAILS if worst else Verdict.HOLDS)
