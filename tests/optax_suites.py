"""Run Optax's own tests with one of our optimizers standing where ``optax.adamw`` stands.

    python tests/optax_suites.py adamprox

Runs, unmodified, the cases of the installed ``optax/_src/alias_test.py`` and
``optax/contrib/_common_test.py`` that name adamw. Exit code 0 when all pass.
"""

import functools
import sys
import unittest

from optax._src import alias

import adamprox


def stand_in(name):
    """Put our optimizer in the place of Optax's, keeping what the tests read of the name."""
    ours = getattr(adamprox, name)

    @functools.wraps(ours)
    def adamw(*args, **kwargs):
        return ours(*args, **kwargs)

    alias.adamw = adamw


def cases(suite):
    """Every test case below a suite."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from cases(test)
        else:
            yield test


def of_adamw(test) -> bool:
    """Return True if a parameterized case has the optimizer named adamw as its base."""
    return "opt_name='adamw'" in described(test)


def described(test) -> str:
    """The arguments of a parameterized case, as absl prints them."""
    return f"{test} {getattr(test, '_testMethodDoc', '')} {test.shortDescription() or ''}"


def main(name, modules) -> int:
    stand_in(name)
    chosen = unittest.TestSuite()
    for module in modules:
        chosen.addTests(
            filter(of_adamw, cases(unittest.defaultTestLoader.loadTestsFromName(module)))
        )
    print(f"{chosen.countTestCases()} cases")
    result = unittest.TextTestRunner(verbosity=0).run(chosen)
    return 0 if result.wasSuccessful() and result.testsRun >= 20 else 1


if __name__ == "__main__":
    MODULES = ("optax._src.alias_test", "optax.contrib._common_test")
    sys.exit(main(sys.argv[1], MODULES))
