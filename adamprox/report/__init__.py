"""From records to figures, claims and the page."""

from adamprox.report.claims import Claim as Claim
from adamprox.report.claims import Verdict as Verdict
from adamprox.report.plots import Figure as Figure
