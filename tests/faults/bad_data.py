"""Archives, data directories and prepared data sets that are not what they have to be."""

import contextlib
import gzip
import io
import os
import pathlib
import shutil
import tarfile
from collections.abc import Iterator

from adamprox.data import DamagedDataError, MissingDataError, archive, load, loading
from adamprox.data.__main__ import main as data
from experiments.__main__ import main as experiments
from tests.cifar_archives import BAD_TARS, CIFAR10, changed, good, member, write
from tests.faults.case import Case, Finding, Outcome, Setting
from tests.faults.damage import DAMAGES, damages
from tests.faults.refusals import inside, refusal
from tests.hostile_archives import hostile
from tests.hostile_data import copied, edits

_FOLDER = CIFAR10.folder
_SPECIAL = {
    "a fifo": tarfile.FIFOTYPE,
    "a block device": tarfile.BLKTYPE,
    "a sparse file": tarfile.GNUTYPE_SPARSE,
    "a symlink out of the folder": tarfile.SYMTYPE,
    "a hard link out of the folder": tarfile.LNKTYPE,
}


def tars() -> dict[str, list]:
    """Members of archives that are refused, by what is wrong with them."""
    more = {name: members for name, (members, _) in BAD_TARS.items()}
    for name, kind in _SPECIAL.items():
        # Beside all that belongs there: its name is that of a harmless document.
        special = member(f"{_FOLDER}/notes.txt", type=kind, linkname="../../../etc/passwd")
        more[name] = [*changed(), special]
    for path in ("..", "../..", "/", "~/evil.txt", "C:\\evil.txt", f"{_FOLDER}/../..", "a\nb.txt"):
        more[f"the path {path!r}"] = [*changed(), member(path, b"x")]
    more["a folder in the place of a file"] = [
        *changed(**{next(iter(CIFAR10.files)): None}),
        member(next(iter(CIFAR10.files)), type=tarfile.DIRTYPE),
    ]
    return more


def raw_archives(folder: pathlib.Path) -> dict[str, bytes]:
    """Files that are no archive at all, or not the whole of one."""
    whole = good(folder / "good").read_bytes()
    tar = gzip.decompress(whole)
    return {
        "an empty file": b"",
        "a web page": b"<html>not found</html>",
        "a tar file that is not compressed": tar,
        "an empty gzip file": gzip.compress(b""),
        "compressed twice": gzip.compress(whole),
        "something after gzip's end": whole + b"more",
        "something after tar's end": gzip.compress(tar + b"more"),
        "half of it": whole[: len(whole) // 2],
        "all but the checksum": whole[:-8],
        "a size that is wrong": whole[:-4] + b"\1\2\3\4",
        "a checksum that is wrong": whole[:-8] + b"\1\2\3\4" + whole[-4:],
        "a pickle": b"\x80\x04cos\nsystem\n(S'touch ran'\ntR.",
    }


def bad_archives(setting: Setting) -> Iterator[Finding]:
    """Each given to ``prepare``; nothing is written, inside of the data dir or out of it."""
    with inside(setting.folder):
        path = setting.folder / "cifar.tar.gz"
        for name, content in raw_archives(setting.folder).items():
            path.write_bytes(content)
            yield _prepare(path, name)
        for name, members in setting.some(list(tars().items()), 8):
            write(path, members)
            yield _prepare(path, name)
        for name, content in setting.some(list(hostile().items()), 8):
            path.write_bytes(gzip.compress(content, 1))
            yield _prepare(path, name)


def _prepare(path: pathlib.Path, what: str) -> Finding:
    command = ["prepare", "cifar10", "--archive", str(path), "--data-dir", "made"]
    finding = refusal(data, command, [str(path)])
    return finding._replace(what=f"{what}: {finding.what}")


def bombs(setting: Setting) -> Iterator[Finding]:
    """Small files of which much comes out; the limit is lowered, so that nothing big is made."""
    limit, archive._LIMIT = archive._LIMIT, 2**16
    try:
        with inside(setting.folder):
            path = setting.folder / "bomb.tar.gz"
            path.write_bytes(gzip.compress(bytes(2**22)))
            yield _prepare(path, "zeros")
            path.write_bytes(b"".join(gzip.compress(bytes(2**10)) for _ in range(1000)))
            yield _prepare(path, "many members of gzip")
            write(path, [*changed(), member(f"{_FOLDER}/notes.txt", bytes(2**20))])
            yield _prepare(path, "a large document")
            write(path, [*changed(), *(member(f"{_FOLDER}/{n}.txt") for n in range(2000))])
            yield _prepare(path, "many empty documents")
            path.write_bytes(gzip.compress(b"") * 20_000)
            yield _prepare(path, "many empty streams of gzip")
            path.write_bytes(b"\x1f\x8b\x08\x18" + bytes(6) + b"n" * 2**20)
            yield _prepare(path, "a name in the header of gzip without an end")
    finally:
        archive._LIMIT = limit


def flipped_archives(setting: Setting) -> Iterator[Finding]:
    """One bit of a good archive, past gzip's header, whose time and file name mean nothing."""
    with inside(setting.folder):
        whole = good(setting.folder / "good", count=1).read_bytes()
        path = setting.folder / "cifar.tar.gz"
        for _ in range(100 if setting.thorough else 5):
            flipped = bytearray(whole)
            flipped[setting.moments.randrange(30, len(whole))] ^= 1 << setting.moments.randrange(8)
            path.write_bytes(flipped)
            yield _prepare(path, "a bit flipped")


def prepared_damaged(setting: Setting) -> Iterator[Finding]:
    """Every file of a prepared data set, damaged in every way or made by a stranger."""
    with inside(setting.folder):
        whole, hurt = setting.folder / "whole", setting.folder / "hurt"
        _quietly_prepared(setting.folder, whole)
        good_print = load("cifar10", whole).fingerprint
        files = [p.relative_to(whole) for p in sorted(whole.rglob("*")) if p.is_file()]
        for name in setting.some(files, 2):
            for kind in setting.some(list(DAMAGES), 2):
                for damage in damages(kind, setting)[:4]:
                    shutil.rmtree(hurt, ignore_errors=True)
                    shutil.copytree(whole, hurt)
                    damage(hurt / name, setting.moments)
                    yield _asked_for(hurt, good_print, f"{name} {kind}")
        for what, edit in setting.some(list(edits().items()), 4):
            edit(copied(whole, hurt))
            yield _asked_for(hurt, good_print, what)


def _quietly_prepared(folder: pathlib.Path, where: pathlib.Path) -> None:
    path = good(folder / "good.tar.gz")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert data(["prepare", "cifar10", "--archive", str(path), "--data-dir", str(where)]) == 0


def _asked_for(where: pathlib.Path, expected: str, what: str) -> Finding:
    """Unharmed, or refused by the library and by the command, which name it and how to mend it."""
    loading.clear_cache()
    try:
        same = load("cifar10", where).fingerprint == expected
        return Finding(Outcome.HARMLESS if same else Outcome.LOST, what)
    except (DamagedDataError, MissingDataError):
        os.environ["TFDS_DATA_DIR"] = str(where)
        command = ["fig06", "--preset", "reduced", "--dry-run"]
        finding = refusal(experiments, command, ["cifar10", str(where), "prepare cifar10"])
        return finding._replace(what=f"{what}: {finding.what}")


CASES = [
    Case("archives: other members, no archive, part of one", bad_archives),
    Case("archives: a bit flipped", flipped_archives),
    Case("archives: bombs", bombs),
    Case("prepared data sets: every file damaged in every way", prepared_damaged),
]
