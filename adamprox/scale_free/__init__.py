"""The scale-freeness test: is an optimizer scale-free exactly, to a tolerance, or not?

``python -m adamprox.scale_free`` prints a scorecard of every optimizer in the installed Optax, and
with ``--torch`` one of PyTorch optimizers.
"""

from adamprox.scale_free.certify import scale_freeness as scale_freeness
from adamprox.scale_free.result import ScaleFreeness as ScaleFreeness
from adamprox.scale_free.result import TimeVarying as TimeVarying
from adamprox.scale_free.result import Verdict as Verdict
