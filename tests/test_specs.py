"""Configurations: flat options reach one spec each, every one has a use, and none needs data."""

import dataclasses

import flax.linen as nn
import jax
import numpy as np
import pytest

from adamprox.data import Dataset, MissingDataError, Split, loading
from adamprox.data.fingerprints import COMMITTED, VARIABLE, check_fingerprint, expected
from adamprox.sweep import Record, Results, run_key, run_sweep
from adamprox.training import TrainingRun, copies
from adamprox.training.copies import copies_of
from adamprox.training.options import flag, option, whole
from adamprox.training.specs import (
    FAMILIES,
    DenseNetSpec,
    ImageSpec,
    Method,
    MLPSpec,
    NetworkSpec,
    Program,
    ResNetSpec,
    Schedule,
)
from tests.squares import QUIET

OTHER = {
    "dataset": "cifar10", "image_size": 4, "train_size": 100, "validation_size": 50, "validation_seed": 1,
    "augment": True, "batch_size": 64, "batch_norm": True, "skip_init": True, "compute_dtype": "bfloat16",
    "growth_rate": 24, "width": 64, "optimizer": "adamprox", "learning_rate": 2e-3, "weight_decay": 0.0,
    "loss_multiplier": 2.0, "init_scale": 0.5, "epochs": 2, "evaluate_every": 2, "evaluate_train": True,
}  # fmt: skip
DEPTHS = {"resnet": 8, "densenet": 10, "mlp": 3}


def built(cell):
    """The module of a run, and the scale of its initial parameters."""
    return cell.network.build(10), cell.network.init_scale


def used(cell):
    """All that training is given of a run."""
    return built(cell), cell.program, cell.hyperparameters, cell.schedule, cell.seed, cell.init_seed


@pytest.mark.parametrize("family", FAMILIES)
def test_every_option_changes_the_key_and_reaches_training(family):
    has_norm = any(field.name == "batch_norm" for field in dataclasses.fields(FAMILIES[family]))
    cell = TrainingRun.of(network=family, **({"batch_norm": True} if has_norm else {}))
    specs = (ImageSpec, FAMILIES[family], Method, Schedule)
    others = OTHER | {"depth": DEPTHS[family], "statistics_groups": 2, "batch_norm": False}
    for spec in specs:
        for field in dataclasses.fields(spec):
            other = cell.with_options(**{field.name: others[field.name]})
            assert used(other) != used(cell), field.name
            assert run_key(other) != run_key(cell), field.name
            if spec is FAMILIES[family]:
                assert built(other) != built(cell), field.name
    for name in ("seed", "init_seed"):
        other = dataclasses.replace(cell, **{name: 1})
        assert used(other) != used(cell) and run_key(other) != run_key(cell)


class Linear(nn.Module):
    """Logits that are linear in the pixels."""

    depth: int
    bias: bool
    num_classes: int

    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dense(self.num_classes, use_bias=self.bias)(x.reshape(len(x), -1))


@dataclasses.dataclass(frozen=True)
class LinearSpec(NetworkSpec):
    """Options of `Linear`."""

    family = "linear"
    module = Linear
    bias: bool = option(True, flag)


def test_a_new_network_with_a_new_option_trains_and_leaves_other_keys_alone(monkeypatch):
    before = TrainingRun(), run_key(TrainingRun())
    with pytest.raises(
        ValueError, match=r"network must be one of resnet, densenet, mlp.*got linear"
    ):
        TrainingRun(network=LinearSpec())
    monkeypatch.setitem(FAMILIES, "linear", LinearSpec)
    assert run_key(before[0]) == before[1] and before[0].config()["bias"] is True
    with_bias = TrainingRun.of(network="linear", train_size=64)
    without = with_bias.with_options(bias=False)
    assert run_key(with_bias) != run_key(without)
    assert with_bias.run()["parameters_digest"] != without.run()["parameters_digest"]
    params = without.network.build(3).init(jax.random.key(0), np.zeros((1, 2, 2, 1)))["params"]
    assert params["Dense_0"].keys() == {"kernel"}
    message = (
        "batch_norm must be left out for network linear, got True; it is an option of resnet, d"
    )
    with pytest.raises(ValueError, match=message):
        TrainingRun.of(network="linear", batch_norm=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"growth_rate": 24}, "growth_rate must be left out for network resnet, got 24; it is an "
         "option of densenet"),
        ({"width": 128}, "width must be left out for network resnet, got 128; .* option of mlp$"),
        ({"network": "mlp", "skip_init": True}, "skip_init must be left out for network mlp"),
        ({"learning_rat": 1}, r"option must be one of .*, got learning_rat=1; did you mean "
         r"learning_rate\?"),
        ({"xyz": 1}, "option must be one of .*, seed, init_seed, got xyz=1$"),
        ({"network": "densenet", "depth": 20}, "depth must be 6n"),
        ({"network": "mlp", "width": "x"}, "width must be a whole number >= 1, got x"),
        ({"network": "densenet", "growth_rate": -1}, "growth_rate must be >= 1, got -1"),
        ({"learning_rate": 10**400}, "learning_rate must be > 0 and < 1e6, got inf"),
        ({"optimizer": np.array("adamw")}, "optimizer must be one of sgd, "),
        ({"dataset": np.array(["digits", "cifar10"])}, "dataset must be one of digits, "),
    ],
)  # fmt: skip
def test_options_that_nothing_uses_are_refused_in_one_line(options, message):
    with pytest.raises(ValueError, match=message) as caught:
        TrainingRun.of(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "title"),
    [
        ({"depth": 110, "batch_norm": True}, "ResNet-110 with BatchNorm"),
        ({"batch_norm": True, "skip_init": True}, "ResNet-20 with BatchNorm, SkipInit"),
        ({"network": "densenet", "depth": 40}, "DenseNet-40 without BatchNorm"),
        ({"network": "mlp", "depth": 3}, "MLP-3 without BatchNorm"),
        (
            {"skip_init": True, "init_scale": 0.3},
            "ResNet-20 without BatchNorm, SkipInit, initial weights × 0.3",
        ),
    ],
)
def test_a_network_has_one_title(options, title):
    assert TrainingRun.of(**options).network.title == title


def test_flat_options_and_specs_make_equal_runs():
    flat = TrainingRun.of(network="mlp", depth=3, width=16, train_size=8, epochs=4, seed=2)
    nested = TrainingRun(
        network=MLPSpec(depth=3, width=16),
        images=ImageSpec(train_size=8),
        schedule=Schedule(epochs=4),
        seed=2,
    )
    assert flat == nested == TrainingRun.from_columns(flat.config()) == flat.with_options(seed=2)
    other = flat.with_options(network="resnet", depth=8)
    assert (other.network, other.schedule) == (ResNetSpec(depth=8), flat.schedule)
    with pytest.raises(ValueError, match="network must be of type NetworkSpec, got mlp"):
        TrainingRun(network="mlp")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"network must be one of resnet, .*, got NetworkSpec"):
        TrainingRun(network=NetworkSpec())
    assert type(TrainingRun.of(optimizer=np.str_("adamw")).optimizer) is str
    assert DenseNetSpec().depth == 100 and whole(1)("n", np.int64(3)) == 3


@pytest.fixture
def no_data(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path / "none"))


def test_a_run_and_its_key_need_no_data_and_training_says_what_is_missing(no_data, tmp_path):
    cell = TrainingRun.of(dataset="cifar10", image_size=8, validation_size=5000, depth=20)
    assert cell.config()["data_fingerprint"] == "9b57214e7dd48f86" and len(run_key(cell)) == 20
    assert cell.images.expected.train == 45_000
    assert cell.images.expected.image_shape == (8, 8, 3)
    with pytest.raises(MissingDataError, match="cifar10 is not prepared"):
        run_sweep([cell], Results(tmp_path / "records"), workers=0, console=QUIET)
    with pytest.raises(ValueError, match="validation_size must be < 50000, got 1000000"):
        cell.with_options(validation_size=1_000_000).check()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_size": 513}, r"train_size must be in 1 … 512, got 513"),
        ({"validation_size": 512}, "validation_size must be < 512, got 512"),
        ({"image_size": 3}, "image_size must be a divisor of 8, got 3"),
    ],
)
def test_sizes_are_compared_with_the_data_before_anything_is_written(tmp_path, options, message):
    cells = [TrainingRun.of(depth=8), TrainingRun.of(depth=8, **options)]
    with pytest.raises(ValueError, match=message):
        run_sweep(cells, Results(tmp_path), workers=0, console=QUIET)
    assert not list(tmp_path.iterdir())


def copy_of_cifar10():
    images, labels = np.zeros((4, 32, 32, 3), np.uint8), np.zeros(4, np.int32)
    channel = np.ones(3, np.float32)
    return Dataset("cifar10", Split(images, labels), Split(images, labels), 10, channel, channel)


def test_another_copy_of_a_data_set_is_refused_until_it_is_named(monkeypatch):
    """Then its runs have keys of their own: they do not mix with those of the committed records."""
    data = copy_of_cifar10()
    monkeypatch.setattr(loading, "is_prepared", lambda _: True)
    monkeypatch.setattr(loading, "_prepared", lambda *_: data)
    cell, digits = TrainingRun.of(dataset="cifar10", train_size=2), TrainingRun()
    keys = run_key(cell), run_key(digits)
    name = f"{VARIABLE}=cifar10={data.fingerprint}"
    message = (
        f"cifar10 must have the fingerprint 9b57214e7dd48f86, got .*{data.fingerprint}.*{name}$"
    )
    with pytest.raises(ValueError, match=message):
        cell.check()
    monkeypatch.setenv(*name.split("=", 1))
    cell.check()
    assert cell.config()["data_fingerprint"] == data.fingerprint
    assert run_key(cell) != keys[0] and run_key(digits) == keys[1]
    assert expected("cifar10").train == 50_000 and expected("cifar100") == COMMITTED["cifar100"]
    monkeypatch.setenv(VARIABLE, "cifar100=0123456789abcdef")
    with pytest.raises(ValueError, match=rf"{name},cifar100=0123456789abcdef$"):
        check_fingerprint(data)
    assert expected("cifar100").train == 50_000
    monkeypatch.setenv(VARIABLE, "cifar10")
    with pytest.raises(ValueError, match=f"{VARIABLE} must be a list such as"):
        cell.config()


def test_a_directory_of_records_stays_with_its_copy_of_the_data(monkeypatch, tmp_path):
    """The copy of its records counts, else the prepared one, else that of the committed records."""
    committed, prepared, recorded = COMMITTED["cifar10"].fingerprint, "a" * 16, "b" * 16
    run, results = TrainingRun.of(dataset="cifar10"), Results(tmp_path)

    def named():
        with copies_of([run], results):
            return run.config()["data_fingerprint"]

    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nothing"))
    assert named() == committed
    monkeypatch.setattr(copies, "stored_provenance", lambda _: {"fingerprint": prepared})
    assert named() == prepared and run.config()["data_fingerprint"] == committed
    tiny = TrainingRun.of(network="mlp", depth=2, train_size=64, batch_size=32, epochs=1)
    row = tiny.config() | tiny.run() | {"dataset": "cifar10", "data_fingerprint": recorded}
    others: list[dict] = [
        {},
        {"dataset": ["cifar10"], "data_fingerprint": "c" * 16},
        {"dataset": "cifar10", "data_fingerprint": "c" * 16},
        row | {"data_fingerprint": "c"},
        row | {"dataset": "digits", "data_fingerprint": "c" * 16},
    ]
    rows = [Record(each) for each in (*others, row)]
    monkeypatch.setattr(Results, "each", lambda *_: iter(rows))
    assert named() == recorded
    with copies_of([run, tiny], results):  # the digits have one copy
        assert tiny.config()["data_fingerprint"] == COMMITTED["digits"].fingerprint
    monkeypatch.setenv(VARIABLE, f"cifar10={prepared}")
    assert named() == prepared


def test_a_record_is_a_mapping_that_nothing_changes_with_names_for_what_is_read_often():
    columns = TrainingRun.of(depth=8, seed=3).config() | {
        "key": "0f", "kind": "training", "epoch": [1, 2], "diverged_step": 7, "seconds": 1.5,
        "final_test_error": None, "final_validation_error": None, "provenance": '{"commit": "abc"}',
    }  # fmt: skip
    record = Record(columns)
    assert record == columns and {**record} == columns and list(record) == list(columns)
    assert (record.key, record.kind, record.seed, record.epochs) == ("0f", "training", 3, [1, 2])
    assert (record.optimizer, record.learning_rate, record.weight_decay) == ("adamw", 1e-3, 1e-4)
    assert (record.error, record.validation_error, record.diverged) == (None, None, True)
    assert (record.seconds, record.origin["commit"]) == (1.5, "abc")
    assert record.origin["cpu"] == "unknown"
    with pytest.raises(TypeError):
        record["seed"] = 4  # pyright: ignore[reportIndexIssue]
    columns["seed"] = 4
    assert record.seed == 3


def test_runs_share_a_program_that_differ_in_what_is_not_compiled():
    cell = TrainingRun.of(depth=8)
    other = cell.with_options(learning_rate=0.1, weight_decay=1.0, epochs=9, seed=3)
    assert cell.program == other.program == Program(network=ResNetSpec(depth=8))
