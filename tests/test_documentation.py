"""The site builds without a warning, every public name is in the API reference, and scale.md is true."""

import html.parser
import importlib.util
import pathlib
import pkgutil
import re
import subprocess
import sys
import urllib.parse
import zlib

import pytest

import adamprox
from tests import browser

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"


def load(path):
    """A module that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


api_pages = load(DOCS / "extensions" / "api_pages.py")
PACKAGES = ["adamprox"] + [
    info.name
    for info in pkgutil.iter_modules(adamprox.__path__, "adamprox.")
    if info.ispkg and not info.name.rpartition(".")[2].startswith("_")
]


def described():
    """Return the objects that API pages describe by hand, and the packages that they list."""
    names, packages = set(), set()
    for page in (DOCS / "api").glob("*.md"):
        module = ""
        for line in page.read_text(encoding="utf-8").splitlines():
            if match := re.match(r"\.\. currentmodule:: (\S+)", line):
                module = match.group(1)
            elif match := re.match(r"\.\. auto(?:function|class):: (\S+)", line):
                names.add(f"{module}.{match.group(1)}")
            elif match := re.match(r"\{modules\} (\S+)", line):
                packages.add(match.group(1))
    return names, packages


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_in_the_api_reference(package):
    """An exported one by hand, under the shortest name; the others with their module."""
    names, packages = described()
    assert package in packages, f"add the line {{modules}} {package} to a page of docs/api"
    top = {id(value) for value in api_pages.exported("adamprox").values()}
    for name, value in api_pages.exported(package).items():
        shortest = f"adamprox.{name}" if id(value) in top else f"{package}.{name}"
        assert shortest in names, f"describe {shortest} on a page of docs/api"
    listed = api_pages.blocks(package)
    shown = api_pages.exported(package).values()
    for module in api_pages.public_modules(package):
        for name, value in api_pages.defined(module).items():
            assert value in shown or re.search(rf"\b{name}\b", listed), f"{module.__name__}.{name}"


def test_nothing_is_described_that_is_not_there():
    for name in described()[0]:
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site as ``make docs`` builds it, without a network."""
    out = tmp_path_factory.mktemp("site") / "html"
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "-q"]
    done = subprocess.run([*command, DOCS, out], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return out


def test_site_builds_without_warnings(site):
    for page in DOCS.rglob("*.md"):
        assert (site / page.relative_to(DOCS).with_suffix(".html")).is_file()
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        html = (site / "notebooks" / f"{notebook.stem}.html").read_text(encoding="utf-8")
        assert "<img" in html


class Addresses(html.parser.HTMLParser):
    """Addresses that a page loads, addresses that it links to, and the number of its formulas."""

    def __init__(self, text):
        super().__init__()
        self.loaded, self.linked, self.formulas = [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.formulas += tag == "math"
        if "src" in found or tag == "link":
            self.loaded.append(found.get("src") or found["href"])
        elif tag == "a" and "href" in found:
            self.linked.append(found["href"])


def test_site_works_without_a_network(site):
    """No page loads anything from another address, and every local file is there."""
    formulas = 0
    for page in site.rglob("*.html"):
        found = Addresses(page.read_text(encoding="utf-8"))
        formulas += found.formulas
        local = [a for a in found.linked if not re.match("https?:|mailto:", a)]
        for address in found.loaded + local:
            assert not re.match("[a-z]+:|//", address) or address.startswith("data:"), address
            path = urllib.parse.unquote(urllib.parse.urlsplit(address).path)
            assert address.startswith(("#", "data:")) or (page.parent / path).exists(), (
                f"{page.relative_to(site)}: {address}"
            )
    sources = [*DOCS.rglob("*.md"), *(ROOT / "notebooks").glob("*.py")]
    pages = "".join(path.read_text(encoding="utf-8") for path in sources if path.is_file())
    assert formulas >= pages.count("$$") // 2 > 0
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()[^;]{0,9}https?:", sheet.read_text(encoding="utf-8"))


needs_chromium = pytest.mark.skipif(browser.CHROMIUM is None, reason="needs Chromium")
BAD = """<!doctype html><article><p style="width: 500px">wide</p><img src="missing.png">
<p style="overflow: hidden; width: 50px; white-space: nowrap">This text is cut.</p></article>
<script>throw new Error("boom")</script>"""


@pytest.mark.slow
@needs_chromium
def test_a_bad_page_is_seen(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "bad.html").write_text(BAD, encoding="utf-8")
    found = browser.faults(tmp_path / "site", [390], tmp_path / "profile")
    for text, fault in zip(("too wide", "missing.png", "cut", "boom"), found, strict=True):
        assert text in fault


@pytest.mark.slow
@needs_chromium
def test_pages_fit_a_telephone_and_a_laptop(site, tmp_path):
    assert browser.faults(site, [390, 1280], tmp_path) == []


def test_no_formula_is_written_in_a_way_that_mathml_reads_otherwise():
    r"""In \tfrac12 the converter takes 12 for the numerator; a label of \underbrace goes beside it."""
    for path in [*DOCS.rglob("*.md"), *(ROOT / "notebooks").glob("*.py")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"frac\d|\\underbrace\{[^$]*\}_", text), path.name


def test_site_knows_the_optimizers_by_their_public_names(site):
    inventory = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    entries = zlib.decompress(inventory).decode().splitlines()
    found = {entry.split()[0] for entry in entries}
    assert described()[0] <= found


def test_docstrings_arrive_as_they_were_written(site):
    """Bars, underscores and equations are not markup."""
    html = (site / "api" / "prox.html").read_text(encoding="utf-8")
    text = re.sub(r"<[^>]+>", "", html)
    assert "sign(xᵢ) · max(|xᵢ| − t, 0)" in text
    assert "prox_{tR}(x) = (prox_{tR₀}(x_S), x_rest)" in text
    assert "system-message" not in html


def test_what_the_page_on_scale_says_of_collectives():
    """The rows of its table are those of the programs that XLA compiles now."""
    names = ["adam_l2", "adamw, eps=0.0", "adamprox", "adamprox_l1", "adamprox_l2"]
    command = [sys.executable, "-m", "benchmarks.sharded_step", "--only", *names]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    page = (DOCS / "scale.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in done.stdout.splitlines() if line.startswith("| `")]
    assert len(rows) == len(names) and set(rows) <= set(page)
    assert [row.endswith("| none |") for row in rows] == [True] * 4 + [False]
    assert "all-reduce" in rows[-1] and "all-gather" not in rows[-1]


def test_the_cost_of_a_paper_is_its_cells_times_their_steps():
    from adamprox.training import TrainingRun
    from benchmarks import paper_cost

    run = TrainingRun.of(epochs=4, train_size=100, batch_size=50, evaluate_every=2)
    # 4 epochs of 2 steps; the 1,285 test images twice, each 50 a third of a step.
    assert paper_cost.steps(run) == pytest.approx(8 + 2 * 1285 / 50 / 3)
    runs = [run, TrainingRun.of(epochs=4, train_size=100, batch_size=50, learning_rate=1.0)]
    (row,) = paper_cost.predict(runs, timing=lambda program: 86_400.0)
    assert row.runs == 2 and row.days == sum(map(paper_cost.steps, runs))
    *_, whole = paper_cost.lines([row], (1, 8))
    assert float(whole[-2]) == pytest.approx(8 * float(whole[-1]), rel=0.01)
    assert paper_cost.network_name(row.program) == "ResNet-20 without BatchNorm, digits"


def test_the_published_cost_follows_from_its_step_times():
    """The times of the table in scale.md, with the runs of the paper as they are now."""
    from benchmarks import paper_cost

    page = (DOCS / "scale.md").read_text(encoding="utf-8")
    table = page.split("<!-- paper_cost:")[1].split("<!-- end -->")[0].strip().splitlines()[2:]
    rows = [[field.strip() for field in line.strip("|").split("|")] for line in table]
    seconds = {row[0]: float(row[3]) / 1e3 for row in rows[1:-1] if row[3][:1].isdigit()}
    everything = paper_cost.training_runs("paper")
    names = {run: paper_cost.network_name(run.program) for run in everything}
    measured = [run for run in everything if names[run] in seconds]
    found = paper_cost.predict(measured, lambda p: seconds[paper_cost.network_name(p)])
    assert [rows[0], *rows[2:]] == paper_cost.lines(found, (1, 8))
    text = " ".join(page.split())
    assert f"{len(seconds)} of the {len(set(names.values()))} networks" in text
    assert f"{len(measured):,} of the {len(everything):,} runs" in text


def test_a_cost_without_devices_or_data_ends_with_one_line(monkeypatch, tmp_path, capsys):
    from benchmarks import paper_cost

    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    wanted = {("--devices", "0"): "--devices must be >= 1, got 0", (): "cifar10 is not prepared"}
    for argv, message in wanted.items():
        with pytest.raises(SystemExit):
            paper_cost.main(paper_cost.arguments_parser().parse_args(argv))
        assert message in capsys.readouterr().err


def test_the_smoke_preset_has_cells_to_cost():
    from benchmarks import paper_cost

    runs = paper_cost.training_runs("smoke")
    assert runs and len(runs) == len(set(runs))
