"""Preparing and reading CIFAR: whole or not at all, verified, without TensorFlow."""

import dataclasses
import functools
import hashlib
import http.server
import json
import pathlib
import subprocess
import sys
import threading

import numpy as np
import pytest
from tensorflow_datasets.core.download import checksums

from adamprox.data import DamagedDataError, MissingDataError, cifar, load
from adamprox.data import __main__ as command
from adamprox.data import loading as loading_module
from adamprox.data import prepare as prepare_module
from adamprox.data.prepared import stored_provenance
from tests.cifar_archives import CIFAR10, CIFAR100, contents, good, member, records, write


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """No test sees or touches the data sets of whoever runs it."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "default"))


@pytest.fixture
def run(capsys):
    """The command in this process: exit code, standard output, standard error."""

    def run(*arguments):
        code = command.main([str(argument) for argument in arguments])
        return (code, *capsys.readouterr())

    return run


@pytest.fixture
def prepared(tmp_path, run):
    """A data dir with a tiny cifar10 in it."""
    archive = good(tmp_path / "cifar.tar.gz")
    assert run("prepare", "cifar10", "--archive", archive, "--data-dir", tmp_path / "data")[0] == 0
    return tmp_path / "data"


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("layout", [CIFAR10, CIFAR100], ids=["cifar10", "cifar100"])
def test_what_is_prepared_is_what_is_loaded(tmp_path, run, layout):
    archive = good(tmp_path / "cifar.tar.gz", layout, count=2)
    code, out, _ = run("prepare", layout.name, "--archive", archive)
    assert code == 0 and out.count("\n") == 1 and f"{layout.name} is prepared in" in out
    data = load(layout.name)  # $TFDS_DATA_DIR
    assert data is load(layout.name, tmp_path / "default")
    rows = np.concatenate([records(layout, 2, seed) for seed in range(len(layout.train))])
    skip = len(layout.labels)
    images = rows[:, skip:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(data.train.images, images)
    np.testing.assert_array_equal(data.train.labels, rows[:, skip - 1])  # fine
    np.testing.assert_array_equal(
        data.test.labels, records(layout, 2, len(layout.train))[:, skip - 1]
    )
    assert data.train.images.dtype == np.uint8 and data.train.labels.dtype == np.int32
    assert (
        data.num_classes == {"cifar10": 10, "cifar100": 100}[layout.name]
        and data.name == layout.name
    )
    np.testing.assert_allclose(data.mean, (images / 255).mean((0, 1, 2)), rtol=1e-6)
    assert not data.train.images.flags.writeable and not data.test.labels.flags.writeable


def test_tfds_alone_reads_it_without_tensorflow(prepared):
    code = f"""
import sys, tensorflow_datasets as tfds
builder = tfds.builder_from_directory({str(prepared / "cifar10_binary" / "1.0.0")!r})
example = builder.as_data_source("train")[4]
print(example["image"].shape, example["image"].dtype, example["image"].sum(), example["label"])
print([name for name in ("tensorflow", "adamprox") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    row = records(CIFAR10, 3, seed=1)[1]
    assert done.stdout == f"(32, 32, 3) uint8 {row[1:].sum()} {row[0]}\n[]\n"


def test_a_given_archive_that_is_not_the_published_is_recorded(prepared, run, tmp_path):
    about = json.loads((prepared / "cifar10_binary/1.0.0/metadata.json").read_text())
    archive = tmp_path / "cifar.tar.gz"
    assert about["archive"]["name"] == archive.name and about["archive"]["published"] is False
    assert about["archive"]["size"] == archive.stat().st_size
    assert about["counts"] == {"train": 15, "test": 3}
    sha, train, test = about["warnings"]
    assert sha.startswith(f"SHA-256 is {about['archive']['sha256']}") and "c4a38c50a1bc" in sha
    assert train == "15 train images, published are 50,000" and "3 test images" in test
    assert about["fingerprint"] == load("cifar10", prepared).fingerprint
    _, _, err = run("prepare", "cifar10", "--archive", archive, "--force", "--data-dir", prepared)
    *warnings, remedy = err.splitlines()
    assert warnings == [f"warning: {warning}" for warning in about["warnings"]]
    assert remedy.startswith("the data set can be used, and records contain its fingerprint; to ")
    assert remedy.endswith(f"prepare cifar10 --data-dir {prepared} --force")


def test_the_published_archive_is_known(tmp_path, monkeypatch):
    expected = cifar.published(CIFAR10)
    assert (int(expected.size), expected.checksum[:8]) == (170_052_171, "c4a38c50")
    expected = cifar.published(CIFAR100)
    assert (int(expected.size), expected.checksum[:8]) == (168_513_733, "58a81ae1")
    archive = prepare_module.read_archive(good(tmp_path / "a"), CIFAR10)
    monkeypatch.setattr(
        cifar,
        "published",
        lambda layout: type("Info", (), {"size": archive.size, "checksum": archive.sha256}),
    )
    about = cifar.provenance(archive, CIFAR10)
    assert about["archive"]["published"] and len(about["warnings"]) == 2  # of the counts


def test_preparing_twice_does_nothing_and_says_so(prepared, run):
    before = {path: path.stat().st_mtime_ns for path in files(prepared)}
    code, out, err = run("prepare", "cifar10", "--data-dir", prepared)
    assert (
        code == 0 and not err and "is already prepared in" in out and "--force replaces it" in out
    )
    assert before == {path: path.stat().st_mtime_ns for path in files(prepared)}


def test_force_replaces(prepared, run, tmp_path):
    old = load("cifar10", prepared)
    archive = good(tmp_path / "other.tar.gz", count=4)
    assert (
        run("prepare", "cifar10", "--archive", archive, "--data-dir", prepared, "--force")[0] == 0
    )
    new = load("cifar10", prepared)
    assert (len(old.train), len(new.train)) == (15, 20)


def one_line(result, *texts):
    code, out, err = result
    assert code == 2 and not out and err.count("\n") == 1
    assert err.startswith("python -m adamprox.data")
    for text in texts:
        assert text in err


def test_bad_archives_are_refused_before_anything_is_written(tmp_path, run):
    where = ("--data-dir", tmp_path / "data")
    whole = good(tmp_path / "whole").read_bytes()
    (tmp_path / "truncated").write_bytes(whole[: len(whole) // 2])
    good(tmp_path / "cifar100", CIFAR100)
    archives = {"truncated": "ends early", "cifar100": "holds 'cifar-100-binary", "none": "no such"}
    for archive, why in archives.items():
        one_line(run("prepare", "cifar10", "--archive", tmp_path / archive, *where), why)
    assert not (tmp_path / "data").exists() and not (tmp_path / "default").exists()


def test_an_archive_that_is_not_there_is_refused_even_if_nothing_reads_it(prepared, run, tmp_path):
    where = ("--archive", tmp_path / "none", "--data-dir", prepared)
    one_line(run("prepare", "cifar10", *where), "none: there is no such file")


def test_a_refused_archive_leaves_the_prepared_data_set_alone(prepared, run, tmp_path):
    before = load("cifar10", prepared).fingerprint
    (tmp_path / "bad").write_bytes(b"")
    command_line = ("prepare", "cifar10", "--archive", tmp_path / "bad", "--data-dir", prepared)
    one_line(run(*command_line, "--force"), "empty")
    loading_module.clear_cache()
    assert load("cifar10", prepared).fingerprint == before


def test_unreadable_archives(tmp_path, run, monkeypatch):
    archive = good(tmp_path / "a.tar.gz")
    opened = pathlib.Path.open

    def deny(self, *args, **kwargs):
        if self.name == archive.name:
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *args, **kwargs)

    monkeypatch.setattr(pathlib.Path, "open", deny)
    one_line(run("prepare", "cifar10", "--archive", archive), "Permission denied")


def test_folders_that_cannot_be_written(tmp_path, run, monkeypatch):
    archive = good(tmp_path / "a.tar.gz")
    command_line = ("prepare", "cifar10", "--archive", archive, "--data-dir")
    one_line(run(*command_line, archive / "data"), f"{archive}: not a directory")
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(prepare_module.shutil, "disk_usage", lambda path: usage)
    one_line(run(*command_line, tmp_path / "data"), "MB are needed, 0 MB are free")
    one_line(run(*command_line, archive), f"data dir must be a directory, got the file {archive}")
    one_line(run(*command_line, "/proc/x"), "cannot write /proc/x: /proc: ")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("error", "code"), [(OSError(28, "No space left on device"), 2), (KeyboardInterrupt(), 130)]
)
def test_what_is_interrupted_leaves_nothing_that_looks_prepared(
    tmp_path, run, monkeypatch, error, code
):
    archive = good(tmp_path / "a.tar.gz")
    command_line = ("prepare", "cifar10", "--archive", archive, "--data-dir", tmp_path / "data")
    generate = cifar.Cifar10Binary._generate_examples

    def fail_on_the_way(self, part):
        for number, example in enumerate(generate(self, part)):
            if number == 2:
                raise error
            yield example

    with monkeypatch.context() as patch:
        patch.setattr(cifar.Cifar10Binary, "_generate_examples", fail_on_the_way)
        result = run(*command_line)
    assert result[0] == code and not files(tmp_path / "data")
    with pytest.raises(MissingDataError):
        load("cifar10", tmp_path / "data")
    assert run(*command_line)[0] == 0


def test_what_a_killed_process_leaves_is_not_prepared(tmp_path, run):
    good(tmp_path / "a.tar.gz")
    left = tmp_path / "data/cifar10_binary/incomplete.ABCDEF_1.0.0"
    left.mkdir(parents=True)
    (left / "dataset_info.json").write_text("{}")
    with pytest.raises(MissingDataError):
        load("cifar10", tmp_path / "data")


def test_missing_data_says_what_where_and_the_command(tmp_path):
    with pytest.raises(MissingDataError) as caught:
        load("cifar100", tmp_path / "my data")
    missing = tmp_path / "my data/cifar100_binary/1.0.0/dataset_info.json"
    mend = f"python -m adamprox.data prepare cifar100 --data-dir '{tmp_path / 'my data'}'"
    assert str(caught.value) == f"cifar100 is not prepared: there is no {missing}; run: {mend}"
    assert isinstance(caught.value, FileNotFoundError) and isinstance(caught.value, ValueError)
    with pytest.raises(MissingDataError, match=r"prepare cifar10$"):
        load("cifar10")


def test_missing_data_is_noticed_before_anything_heavy_is_imported():
    # That is why it takes no time: 1.4 s in a new process, of which jax and optax are 1.3.
    code = """
import sys, adamprox
try: adamprox.data.load("cifar10", "nowhere")
except adamprox.data.MissingDataError: print(sorted({"tensorflow_datasets", "sklearn"} & set(sys.modules)))
adamprox.data.load("digits")
print("tensorflow_datasets" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nFalse\n"


def flip(path, position):
    raw = bytearray(path.read_bytes())
    raw[position] ^= 1
    path.write_bytes(raw)


def damaged_shards(folder):
    shard = next(folder.glob("*train*record*"))
    yield "flipped", lambda: flip(shard, 2000)
    yield "truncated", lambda: shard.write_bytes(shard.read_bytes()[:70_000])
    yield "missing", shard.unlink


def test_damage_is_noticed_and_named_with_the_command_that_mends_it(prepared, run, tmp_path):
    folder = prepared / "cifar10_binary/1.0.0"
    archive = tmp_path / "cifar.tar.gz"
    for what, damage in damaged_shards(folder):
        loading_module.clear_cache()
        damage()
        with pytest.raises(DamagedDataError) as caught:
            load("cifar10", prepared)
        text = str(caught.value)
        assert f"cifar10 in {folder} is damaged" in text and "\n" not in text, what
        assert text.endswith(f"prepare cifar10 --data-dir {prepared} --force")
        loading_module.clear_cache()
        assert run("list", "--data-dir", prepared)[0] == 1
    run("prepare", "cifar10", "--archive", archive, "--data-dir", prepared, "--force")
    assert len(load("cifar10", prepared).train) == 15


def test_exchanged_shards_are_noticed(prepared, tmp_path, run):
    # Intact files, only not those that were prepared.
    other = tmp_path / "other"
    good(tmp_path / "b.tar.gz", count=3)
    members = {
        **contents(CIFAR10),
        "cifar-10-batches-bin/test_batch.bin": records(CIFAR10, 3, 77).tobytes(),
    }
    archive = write(tmp_path / "b.tar.gz", [member(name, data) for name, data in members.items()])
    run("prepare", "cifar10", "--archive", archive, "--data-dir", other)
    theirs, ours = (next(data.glob("cifar10_binary/*/*test*record*")) for data in (other, prepared))
    ours.write_bytes(theirs.read_bytes())
    loading_module.clear_cache()
    with pytest.raises(DamagedDataError, match=r"its fingerprint is .*, expected"):
        load("cifar10", prepared)


def test_a_data_set_whose_description_is_gone_can_be_prepared_again(prepared, run, tmp_path):
    (prepared / "cifar10_binary/1.0.0/dataset_info.json").unlink()
    loading_module.clear_cache()
    with pytest.raises(MissingDataError):
        load("cifar10", prepared)
    assert (
        run("prepare", "cifar10", "--archive", tmp_path / "cifar.tar.gz", "--data-dir", prepared)[0]
        == 0
    )
    assert len(load("cifar10", prepared).train) == 15


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Publish a file in place of CIFAR-10's archive, under a checksum."""
    handler = functools.partial(QuietHandler, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def publish(path, sha256):
        url = f"http://127.0.0.1:{server.server_port}/{path.name}"
        layout = dataclasses.replace(CIFAR10, url=url)
        info = checksums.UrlInfo(size=path.stat().st_size, checksum=sha256, filename=path.name)
        monkeypatch.setitem(prepare_module.LAYOUTS, "cifar10", layout)
        monkeypatch.setattr(cifar.Cifar10Binary, "LAYOUT", layout)
        for module in (cifar, prepare_module):
            monkeypatch.setattr(module, "published", lambda layout: info)
        return url

    yield publish
    server.shutdown()
    thread.join()
    server.server_close()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def test_a_download_is_verified_and_kept_where_tfds_keeps_downloads(tmp_path, run, publish):
    archive = good(tmp_path / "a.tar.gz")
    url = publish(archive, hashlib.sha256(archive.read_bytes()).hexdigest())
    code, out, err = run("prepare", "cifar10", "--data-dir", tmp_path / "data")
    assert code == 0 and "15 train and 3 test images" in out and "SHA-256" not in err
    about = stored_provenance(tmp_path / "data/cifar10_binary/1.0.0")
    assert about["archive"]["published"]
    kept = [json.loads(path.read_text()) for path in (tmp_path / "data").rglob("*.INFO")]
    assert [one["urls"] for one in kept] == [[url]]


def test_a_download_with_another_checksum_is_refused(tmp_path, run, publish):
    publish(good(tmp_path / "a.tar.gz"), "0" * 64)
    result = run("prepare", "cifar10", "--data-dir", tmp_path / "data")
    one_line(result, "cannot download http://127.0.0.1", "has wrong checksum")
    with pytest.raises(MissingDataError):
        load("cifar10", tmp_path / "data")


def test_no_network_is_one_line(tmp_path, run, monkeypatch):
    def offline(*args, **kwargs):
        raise prepare_module.requests.ConnectionError("a very\nlong story")

    monkeypatch.setattr(prepare_module.requests, "get", offline)
    result = run("prepare", "cifar10", "--data-dir", tmp_path / "data")
    one_line(result, "cannot download https://www.cs.toronto", "no connection", "--archive FILE")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["prepare", "mnist"], "data set must be 'cifar10' or 'cifar100', got 'mnist'"),
        (["prepare", "digits"], "data set must be 'cifar10' or 'cifar100', got 'digits'"),
        (["prepare"], "required: {cifar10,cifar100}"),
        (["prepare", "cifar10", "--bogus"], "--bogus"),
        ([], "required: {prepare,list}"),
    ],
)
def test_bad_arguments_are_one_line(run, arguments, text):
    one_line(run(*arguments), text)


def test_list_of_a_directory_that_is_not_there_is_one_line(run, tmp_path):
    one_line(
        run("list", "--data-dir", tmp_path / "x"), f"must be a directory, got {tmp_path / 'x'}"
    )


def test_list_says_what_is_there(prepared, run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    code, out, _ = run("list", "--data-dir", prepared)
    assert code == 0 and load("cifar10", prepared).fingerprint in out
    assert "SHA-256 is" in out and "cifar100 is not prepared" in out and f"in {prepared}" in out


def test_a_data_set_is_replaced_only_by_a_whole_one(prepared, run, tmp_path, monkeypatch):
    before = load("cifar10", prepared).fingerprint

    def fail(self, part):
        raise OSError(28, "No space left on device")

    archive = good(tmp_path / "other.tar.gz", count=4)
    command_line = ("prepare", "cifar10", "--archive", archive, "--data-dir", prepared, "--force")
    with monkeypatch.context() as patch:
        patch.setattr(cifar.Cifar10Binary, "_generate_examples", fail)
        assert run(*command_line)[0] == 2
    loading_module.clear_cache()
    assert load("cifar10", prepared).fingerprint == before
    assert [path.name for path in (prepared / "cifar10_binary").iterdir()] == ["1.0.0"]
