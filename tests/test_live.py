"""The view that fills while a run goes on."""

import io

from rich.console import Console

from adamprox.report.live import live_grids
from adamprox.sweep import run_key
from adamprox.training import TrainingRun


def shown(cells, errors):
    records = [{"key": run_key(c), "final_test_error": e} for c, e in errors.items()]
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(live_grids(cells, records))
    return console.export_text()


def test_tiles_fill_as_cells_finish_and_divergence_is_hatched():
    cells = [
        TrainingRun.of(learning_rate=alpha, weight_decay=decay)
        for alpha in (1e-3, 1e-2)
        for decay in (0.0, 1e-3)
    ]
    assert shown(cells, {}).count("·") == 4
    text = shown(cells, {cells[0]: 0.123, cells[3]: None})
    assert text.count("·") == 2 and "12.3" in text and "////" in text
    low, high = text.index("1e-3  "), text.index("0.01")
    assert high < low  # the larger learning rate above


def test_finished_grids_make_room():
    done = [TrainingRun.of(optimizer=name) for name in ("adamw", "adamprox")]
    waiting = TrainingRun.of(optimizer="adam_l2", loss_multiplier=10.0)
    text = shown([*done, waiting], dict.fromkeys(done, 0.5))
    assert text.index("adam_l2") < text.index("adamw") and "loss_multiplier" in text


def test_grids_that_differ_in_any_option_have_tables_of_their_own():
    long, short = (TrainingRun.of(epochs=epochs) for epochs in (30, 10))
    text = shown([long, short], {long: 0.111, short: 0.222})
    assert "epochs 30" in text and "11.1" in text and "epochs 10" in text and "22.2" in text


def test_a_table_has_the_smallest_seed_of_its_grid():
    first, second = (TrainingRun.of(seed=seed, init_seed=1) for seed in (1, 2))
    assert "11.1" in shown([first, second], {first: 0.111, second: 0.222})
