"""Command lines that cannot be meant: written by hand, and valid ones with one thing changed."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from adamprox.data.__main__ import main as data
from adamprox.scale_free.__main__ import main as scale_free
from experiments.__main__ import main as experiments
from tests.faults.case import Case, Finding, Setting
from tests.faults.refusals import Main, inside, refusal, refusal_of_a_process

_LONG = "x" * 300
_DRY = ["fig06", "--preset", "smoke", "--dry-run"]
_OUTS = ("a_file", "a_file/below", "nowhere/../a_file", "/proc/x", _LONG, "a\0b", "")
_NOT_WHOLE = ("x", "1.5", "nan", "1e3", "0x3", "", "one two", "[red]")


class Bad(NamedTuple):
    """A command line, and what its refusal has to mention."""

    main: Main
    argv: Sequence[str]
    mentions: Sequence[str]


def _bad(
    main: Main, start: Sequence[str], option: str, values: Sequence[str], *texts: str
) -> list[Bad]:
    return [Bad(main, [*start, option, value], [option[2:], value, *texts]) for value in values]


BY_HAND = [
    *_bad(experiments, _DRY, "--epochs", ("0", "-1"), "must be >= 1"),
    *_bad(experiments, _DRY, "--epochs", ("4294967296", *_NOT_WHOLE)),
    *_bad(experiments, _DRY, "--seed", ("-1", "2147483648"), "must be in 0 … 2^31 − 1"),
    *_bad(experiments, _DRY, "--seed", ("x", "0.5")),
    *_bad(experiments, _DRY, "--depth", ("21",), "must be 6n"),
    *_bad(experiments, _DRY, "--depth", ("0", "-8", "9999999999", "deep", "20.0")),
    *_bad(experiments, _DRY, "--validation-size", ("-5",), "must be >= 0"),
    *_bad(experiments, _DRY, "--validation-size", ("512", "100000", "half")),
    *_bad(experiments, _DRY, "--workers", ("-2",), "must be >= 0"),
    *_bad(experiments, _DRY, "--workers", ("many", "1.5")),
    *_bad(experiments, _DRY, "--learning-rates", ("x", "1,2", "")),
    *_bad(experiments, _DRY, "--preset", ("huge", "", "Demo", "a b"), "one of smoke, demo"),
    *_bad(experiments, _DRY, "--engine", ("spark", "", "LOCAL"), "one of local, ray"),
    *_bad(experiments, _DRY, "--address", ("here:1", ""), "must come with --engine ray"),
    # A dry run only reads.
    *_bad(experiments, _DRY, "--out", [o for o in _OUTS[:-2] if o != "/proc/x"], "a directory"),
    *_bad(experiments, ["fig06", "--preset", "smoke"], "--out", _OUTS[:-2], "a directory"),
    *_bad(experiments, ["overview"], "--out", ("a_file", _LONG), "must be a directory"),
    *_bad(experiments, ["overview"], "--out", ("nowhere", "")),
    *_bad(experiments, ["fig06", "--draw"], "--out", ("a_file", _LONG), "must be a directory"),
    *_bad(experiments, ["fig06", "--draw"], "--out", ("nowhere", "")),
    *_bad(scale_free, [], "--out", ("a_file/below", "nowhere/x", ".", "/proc/x", _LONG, "")),
    Bad(experiments, [*_DRY, "--out", "a\0b"], ["out", "a\\x00b"]),
    Bad(experiments, [*_DRY, "--out", "a_file/a\nb"], ["out", "a_file/a\\nb"]),
    Bad(experiments, [*_DRY, "--out=", ""], ["out"]),
    Bad(experiments, [*_DRY, "--learning-rates", "0"], ["learning_rate", "> 0", "0.0"]),
    Bad(experiments, [*_DRY, "--learning-rates", "1e400"], ["learning_rate", "inf"]),
    Bad(experiments, [*_DRY, "--learning-rates", "nan"], ["learning_rate", "> 0", "nan"]),
    Bad(experiments, [*_DRY, "--learning-rates", "2e-3", "1e-3"], ["learning_rates", "0.002"]),
    Bad(experiments, [*_DRY, "--learning-rates"], ["learning_rates", "[]"]),
    Bad(experiments, [*_DRY, "--weight-decays", "-1"], ["weight_decay", ">= 0 and < 1e6", "-1.0"]),
    Bad(experiments, [*_DRY, "--weight-decays", "-inf"], ["-inf"]),  # for argparse an option
    Bad(
        experiments,
        [*_DRY, "--weight-decays", "0.1", "0.1"],
        ["weight_decays", "must be increasing", "0.1"],
    ),
    Bad(experiments, ["FIG06"], ["experiment", "'FIG06'", "fig06"]),
    Bad(experiments, ["fig06\n"], ["experiment", "fig06\\n"]),
    Bad(experiments, ["../fig06"], ["experiment", "'../fig06'"]),
    Bad(experiments, [], ["NAME is missing: list, all"]),
    Bad(experiments, [""], ["experiment", "''"]),
    Bad(experiments, ["fig06", "fig05"], ["fig05"]),
    Bad(experiments, [*_DRY, "--no-dry-run"], ["--no-dry-run"]),
    Bad(experiments, [*_DRY, "--epochs"], ["--epochs must have a value"]),
    Bad(experiments, ["fig06", "--preset", "reduced"], ["cifar10", "no data", "prepare"]),
    Bad(data, [], ["prepare", "list"]),
    Bad(data, ["remove"], ["remove", "prepare", "list"]),
    Bad(data, ["prepare"], ["cifar10"]),
    Bad(data, ["prepare", "mnist"], ["'mnist'", "'cifar10' or 'cifar100'"]),
    Bad(data, ["prepare", "cifar10", "extra"], ["extra"]),
    Bad(data, ["list", "--archive", "a_file"], ["--archive"]),
    Bad(data, ["list", "--data-dir", "a_file"], ["data dir", "a_file"]),
    Bad(data, ["list", "--data-dir", ""], ["--data-dir", "''"]),
    *(
        Bad(data, ["prepare", "cifar10", "--archive", value], [value or "archive"])
        for value in ("", "a_file", "nowhere", ".", "/dev/zero", "~nobody-of-this-name/a", _LONG)
    ),
    Bad(data, ["prepare", "cifar10", "--archive", "a\0b"], ["a\\x00b"]),
    Bad(data, ["prepare", "cifar10", "--data-dir", "a_file"], ["data dir", "a_file"]),
    Bad(data, ["prepare", "cifar10", "--data-dir", "/proc/x"], ["/proc/x", "/proc: no such file"]),
    Bad(scale_free, ["--out"], ["--out"]),
    Bad(scale_free, ["extra"], ["extra"]),
    Bad(scale_free, ["--out", "a\0b"], ["--out", "a\\x00b"]),
]

_PROCESSES = {experiments: "experiments", data: "adamprox.data", scale_free: "adamprox.scale_free"}


def by_hand(setting: Setting) -> Iterator[Finding]:
    """All of them; they take a hundredth of a second each."""
    with inside(setting.folder):
        for main, argv, mentions in BY_HAND:
            yield refusal(main, argv, mentions)


def in_processes(setting: Setting) -> Iterator[Finding]:
    """Some, as a shell starts them."""
    fit = [bad for bad in BY_HAND if not any("\0" in argument for argument in bad.argv)]
    with inside(setting.folder):
        for main, argv, mentions in setting.moments.sample(fit, 8 if setting.thorough else 1):
            yield refusal_of_a_process(_PROCESSES[main], argv, mentions)


def garbage(moments: random.Random) -> str:
    """Text that is no number and no name, of any characters but a zero byte."""
    letters = "abcXYZ019 _.,:;/\\'\"[]{}()%$#@!*&|<>=+~`\t\n\x1b\x7f éλ\u2028\u202e\U0001f600"
    text = "".join(moments.choices(letters, k=moments.randrange(1, 12)))
    return f"q{text}"


def _number_below(high: float, whole: bool = True) -> Callable[[random.Random], str]:
    def draw(moments: random.Random) -> str:
        size = 10 ** moments.uniform(0, 12)
        return str(int(high - size) if whole else high - size)

    return draw


def _number_from(low: int) -> Callable[[random.Random], str]:
    return lambda moments: str(low + int(10 ** moments.uniform(0, 12)))


def _not_a_depth(moments: random.Random) -> str:
    depth = moments.randrange(-1000, 1000)
    return str(depth + (depth % 6 == 2))


def _one_of(*values: str) -> Callable[[random.Random], str]:
    return lambda moments: moments.choice(values)


MUTATIONS: dict[str, list[Callable[[random.Random], str]]] = {
    "--epochs": [garbage, _number_below(1), _number_from(2**31)],
    "--seed": [garbage, _number_below(0), _number_from(2**31)],
    "--depth": [garbage, _not_a_depth],
    "--validation-size": [garbage, _number_below(0), _number_from(512)],
    "--workers": [garbage, _number_below(0)],
    "--learning-rates": [garbage, _number_below(0, whole=False), _one_of("nan", "inf")],
    "--weight-decays": [garbage, _number_below(0, whole=False), _one_of("nan", "inf")],
    "--preset": [garbage],
    "--engine": [garbage],
    "--address": [garbage],
    "--out": [
        _one_of("a_file", "a_file/below", _LONG),
        lambda moments: f"a_file/{garbage(moments)}",
    ],
}
"""Options, and what draws a value that each must refuse."""

_FINE = {"--epochs": "2", "--seed": "7", "--depth": "8", "--workers": "1", "--weight-decays": "0.1"}


def mutated(moments: random.Random) -> Bad:
    """A valid command line with one thing changed."""
    kind = moments.choice(["value"] * 8 + ["option", "positional", "no value", "experiment"])
    fine = [option for option in _FINE if moments.random() < 0.4]
    argv = [*_DRY, *(part for option in fine for part in (option, _FINE[option]))]
    if kind == "option":
        option = f"--{moments.choice(['epoch-', 'x', 'out-', 'pre'])}{moments.randrange(1000)}"
        return Bad(experiments, [*argv, option, "1"], [option])
    if kind == "positional":
        extra = f"fig{moments.randrange(1000)}"
        return Bad(experiments, [_DRY[0], extra, *argv[1:]], [extra])
    if kind == "no value":
        option = moments.choice(["--epochs", "--seed", "--preset", "--out", "--engine"])
        return Bad(experiments, [*argv, option], [option])
    if kind == "experiment":
        name = garbage(moments)
        return Bad(experiments, [name, *argv[1:]], ["experiment", repr(name)[1:-1]])
    option = moments.choice(list(MUTATIONS))
    value = moments.choice(MUTATIONS[option])(moments)
    number = option in ("--learning-rates", "--weight-decays") and not value.startswith("q")
    shown = str(float(value)) if number else repr(value)[1:-1]
    return Bad(experiments, [*argv, option, value], [option[2:].rstrip("s"), shown])


def generated(setting: Setting) -> Iterator[Finding]:
    """Two hundred, and fewer for the suite."""
    with inside(setting.folder):
        for _ in range(200 if setting.thorough else 50):
            yield refusal(*mutated(setting.moments))


CASES = [
    Case("command lines: written by hand", by_hand),
    Case("command lines: generated", generated),
    Case("command lines: in a process of their own", in_processes, slow=True),
]
