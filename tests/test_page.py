"""The report page, its heatmaps and the files of claims."""

import html
import html.parser
import json
import math
import re

import pytest
from matplotlib.colors import to_hex

from adamprox.report import Claim, Verdict
from adamprox.report.claims import Gap, contrast, gap, percent, points
from adamprox.report.heatmaps import WIDEST, Heatmap
from adamprox.report.page import Section, write_page
from adamprox.report.plots import HIGHEST_LOSS, Figure, canvas, curves, heatmap_figure


def record(alpha, decay, error, seed=0, losses=(2.0, 1.0)):
    return {
        "key": f"{alpha} {decay} {seed}",
        "optimizer": "adamw",
        "learning_rate": alpha,
        "weight_decay": decay,
        "final_test_error": error,
        "epoch": [1, 2],
        "train_loss": list(losses),
        "test_error": [None, error],
        "update_histogram": [[0] * 24 + [1, 98, 1, 0]] * 2,
    }


GRID = [record(1e-3, 0.0, 0.5), record(1e-3, 1e-2, 0.25), record(1e-2, 0.0, None)]
REPEATED = [GRID[1], record(1e-3, 1e-2, 0.27, seed=1)]
CLAIMS = [
    Claim("§1", f"It <is> {verdict.value}.", "1 %", "2 %", verdict, "A limit.")
    for verdict in Verdict
]


def figure(*rows):
    return heatmap_figure("maps", "Maps.", "A caption.", rows)


def page(tmp_path, *figures, **section):
    path = tmp_path / "page.html"
    about = Section("One & only", "A claim.", figures, CLAIMS, **section)
    write_page(path, "A title", "A lead.", [about], [("cores", "1")])
    return path.read_text()


def test_the_page_gives_each_verdict_a_color_a_sign_and_a_word(tmp_path):
    text = page(tmp_path, headline=[("2.9 ± 1.0 points", "lead of one over the other")])
    cards = re.findall(
        r'<article class="claim (\w+)">.*?<span class="chip (\w+)">(.*?)</span>', text
    )
    assert cards == [
        ("yes", "yes", "✓ reproduced"),
        ("no", "no", "✗ not reproduced"),
        ("open", "open", "? inconclusive"),
        ("none", "none", "– not tested"),
        ("none", "none", "… not run"),
    ]
    assert "Claims without a verdict: 1 not tested, 1 not run" in text
    assert "<b>2.9 ± 1.0 points</b>lead of one over the other" in text
    assert '<a href="#s0"><span class="name">One &amp; only</span>' in text and 'id="s0"' in text
    assert text.index("2.9 ± 1.0") < text.index("It &lt;is&gt; reproduced")


def test_tiles_carry_error_seeds_spread_and_curve(tmp_path):
    text = page(tmp_path, *figure([Heatmap("AdamW", GRID, REPEATED)]))
    tiles = [json.loads(html.unescape(tile)) for tile in re.findall(r'data-t="([^"]*)"', text)]
    lost, first, best = tiles
    assert "e" not in lost and lost["n"] == "1 seed"
    assert first["e"] == "50.0 %" and first["c"] == "2:500" and 0 < float(first["s"]) < 4
    assert best["e"] == "25.0 %" and best["n"].startswith("mean of its seeds: 26.0 ± 12.7 % (2 se")
    assert text.count('tabindex="0"') == 1 and text.count("<td></td>") == 1
    assert re.search(r'class="dark best" style="[^"]*" tabindex="0"', text)
    assert to_hex("#440154") in text  # the dark end of the scale is the lowest error


def test_long_curves_are_thinned_to_their_ends(tmp_path):
    long = record(1e-3, 0.0, 0.1) | {"epoch": [*range(1, 301)], "test_error": 299 * [0.5] + [0.1]}
    curve = json.loads(html.unescape(re.findall(r'data-t="([^"]*)"', page(tmp_path, *figure([Heatmap("A", [long])])))[0]))["c"].split()  # fmt: skip
    assert len(curve) == 40 and (curve[0], curve[-1]) == ("1:500", "300:100")


def test_heatmaps_without_records_are_not_drawn():
    empty, full = Heatmap("empty", []), Heatmap("full", GRID)
    assert figure([empty], [empty, empty]) == []
    (found,) = figure([empty, full], [empty, empty], [full, full])
    assert found.heatmaps and [len(row) for row in found.heatmaps.rows] == [1, 2]
    assert [ax.get_title() for ax in found.canvas.axes] == ["full"] * 3


@pytest.mark.parametrize("decays", [1, 3, 10])
@pytest.mark.parametrize("columns", [1, 3])
def test_digits_have_nine_pixels_where_a_figure_is_736_wide(columns, decays):
    grid = [record(1e-3, 10.0**-n, 0.5) for n in range(decays)]
    (found,) = figure([Heatmap("A", grid)] * columns)
    width = found.canvas.get_figwidth()
    digits = float(found.canvas.axes[0].texts[0].get_fontsize())
    assert width <= WIDEST and digits * 736 / (72 * width) >= 9


@pytest.mark.parametrize(("losses", "cut"), [((2.0, 1.0), False), ((2e4, 1.0), True)])
def test_huge_losses_are_cut_off_and_the_panel_says_so(losses, cut):
    _, axes = canvas(1, 2, 10, 3.4)
    for own in (losses, (2.0, 0.01)):
        curves(axes[0, 0], axes[0, 1], record(1e-3, 0.0, 0.5, losses=own))
    low, high = axes[0, 0].get_ylim()
    assert low < 0.01 and (math.isclose(high, HIGHEST_LOSS) if cut else 2 < high < HIGHEST_LOSS)
    assert ("cut off above 10" in axes[0, 0].get_title()) == cut


def test_pictures_are_images_of_the_whole_drawing(tmp_path):
    drawing, axes = canvas(1, 1, 4, 3)
    axes[0, 0].plot([0, 1], [1, 0])
    text = page(tmp_path, Figure("line", "A 'line' of 100 %.", "A caption.", drawing))
    (source,) = re.findall(r'<img [^>]*src="data:image/svg\+xml,([^"]*)"', text)
    assert source.rstrip().endswith("</svg>") and "#" not in source and "--wide:400px" in text
    assert re.findall(r" d='[^']*\.\d{3}", source) == []


def test_differences_of_percentages_are_points():
    assert (percent(0.029), points(0.029), points(-0.029)) == ("2.9 %", "2.9 points", "−2.9 points")
    assert str(Gap(-0.007, 0.019)) == "−0.7 ± 1.9 points"


def test_an_interval_is_open_where_runs_diverged():
    """The error of a run that diverged is high, and unknown."""
    good, bad, lost = ([{"final_test_error": e}] for e in (0.1, 0.3, None))
    group = [*good, *bad]
    whole, first, second = gap(group, group), gap(group + lost, group), gap(group, group + lost)
    assert whole.low == first.low > second.low == -math.inf
    assert whole.high == second.high < first.high == math.inf
    assert str(first) == f"{whole} (without runs that diverged)"
    fall = contrast([group, group, group + lost, group], (1.0, -1.0, -1.0, 1.0))
    # Three degrees of freedom for each group of two seeds: less than the root of both squared margins.
    assert fall.low == -math.inf and 0 < fall.high < math.sqrt(2) * whole.margin
    # A group that does not count loses nothing.
    assert contrast([group, group, lost], (1.0, -1.0, 0.0)) == whole


def test_a_group_of_one_seed_leaves_the_spread_of_the_others():
    run = lambda error: {"final_test_error": error, "test_examples": 10_000}  # noqa: E731
    spread, one = [run(0.2), run(0.6)], [run(0.5)]
    own = contrast([spread, one], (1.0, -1.0))
    assert own.one_seed and own.margin > contrast([spread, one], (1.0, 0.0)).margin > 1
