"""Figures, claims and the report page, from records."""

from adamprox.report.claims import Claim as Claim
from adamprox.report.claims import Verdict as Verdict
from adamprox.report.plots import Figure as Figure
