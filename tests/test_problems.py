"""The quadratics."""

import numpy as np
import pytest

from adamprox.problems import quadratic


def test_quadratic_has_its_condition_number_and_minimizer():
    problem = quadratic(1e5, (1.0, -2.0, 3.0))
    np.testing.assert_allclose(problem.curvatures[-1] / problem.curvatures[0], 1e5, rtol=1e-5)
    assert np.all(problem.gradient(problem.minimizer) == 0)
    assert problem.value(problem.minimizer + 0.1) > 0


@pytest.mark.parametrize("kappa", [0.5, float("inf"), float("nan"), -1])
def test_quadratic_refuses(kappa):
    with pytest.raises(ValueError, match="condition_number must be finite and >= 1"):
        quadratic(kappa)
