"""The cluster of a sweep: closed to other machines, and to everybody without its token."""

import os
import pathlib
import re
import subprocess
import sys
import types

import pytest

from adamprox.sweep import Results
from adamprox.sweep.ray_engine import run_ray
from tests.squares import Square

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.skipif(not pathlib.Path("/proc/net/tcp").exists(), reason="needs /proc"),
]

# Without the first, Ray looks for 127.0.0.1 at an address of the network's; the second is haste.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_NUM_REDIS_GET_RETRIES": "1",
    "PYTHONPATH": str(pathlib.Path(__file__).parents[1]),
}
TASK = """
import ray, subprocess, sys
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
task = ray.remote(num_cpus=0)(lambda: subprocess.check_output("id", text=True))
print("ran:", ray.get(task.remote()))
"""
CHECK = (
    "import sys; from adamprox.sweep.ray_cluster import check_cluster; check_cluster(sys.argv[1])"
)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A sweep on a cluster of its own, halfway."""
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
            patch.delenv(name, raising=False)
        before = environment()
        cells = [Square(float(n), 0.05) for n in range(8)]
        records = run_ray(cells, Results(tmp_path_factory.mktemp("sweep")), 2)
        finished = [next(records) for _ in range(4)]
        address = ray.get_runtime_context().gcs_address
        processes = descendants(os.getpid())
        (server,) = [p for p in processes if b"gcs_server" in command_line(p).split(b"\0")[0]]
        found = re.search(rb"RAY_AUTH_TOKEN=([^\0]+)", read(server, "environ"))
        folder = re.search(rb"--log_dir=([^\0]+)", command_line(server))
        directory = pathlib.Path(os.fsdecode(folder[1])).parents[1]
        yield types.SimpleNamespace(
            address=address, processes=processes, token=found[1].decode(), directory=directory
        )
        finished += records
        assert len(finished) == len(cells) and environment() == before
        assert not directory.parent.exists()


def environment():
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


def read(process, name):
    try:
        return pathlib.Path(f"/proc/{process}/{name}").read_bytes()
    except OSError:  # it has ended
        return b""


def command_line(process):
    return read(process, "cmdline")


def descendants(process):
    """Processes that ``process`` started, and those that they started."""
    children = {}
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        parent = re.search(rb"\nPPid:\s*(\d+)", read(path.name, "status"))
        children.setdefault(int(parent[1]) if parent else 0, []).append(int(path.name))
    found = children.get(process, [])
    return [*found, *(d for child in found for d in descendants(child))]


def listening(processes):
    """(process, address as in /proc/net) of every socket of TCP that is listened on."""
    owners = {}
    for process in processes:
        for link in pathlib.Path(f"/proc/{process}/fd").glob("*"):
            try:
                owners[os.readlink(link)] = process
            except OSError:
                continue
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            owner = owners.get(f"socket:[{columns[9]}]")
            if owner and columns[3] == "0A":
                yield owner, columns[1].split(":")[0]


LOOPBACK = {
    "0100007F",  # 127.0.0.1
    "0000000000000000FFFF00000100007F",  # the same, seen by a socket of IPv6
    "00000000000000000000000001000000",  # ::1
}


def test_no_socket_is_open_to_other_machines(sweep):
    sockets = list(listening([os.getpid(), *sweep.processes]))
    assert len(sockets) >= 6 and len({process for process, _ in sockets}) >= 5
    assert {address for _, address in sockets} <= LOOPBACK


def test_files_and_sockets_are_the_owners(sweep):
    assert sweep.directory.parent.stat().st_mode & 0o077 == 0
    assert list(sweep.directory.glob("session_*/sockets/plasma_store"))


def test_the_token_is_written_nowhere(sweep):
    token = sweep.token.encode()
    assert len(token) >= 32
    assert not [p for p in sweep.processes if token in command_line(p)]
    files = [path for path in sweep.directory.rglob("*") if path.is_file()]
    assert files and not [path for path in files if token in path.read_bytes()]


def run(code, sweep, **environment):
    command = [sys.executable, "-c", code, sweep.address]
    return subprocess.run(
        command, env=CLEAN | environment, capture_output=True, text=True, timeout=120
    )


def settings(sweep):
    """Name to environment: all that a stranger may try; ``right`` is the owner."""
    return {
        "nothing": {},
        "disabled": {"RAY_AUTH_MODE": "disabled"},
        "no token": {"RAY_AUTH_MODE": "token", "HOME": "/nonexistent"},
        "wrong token": {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64},
        "no file": {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/nonexistent"},
        "no header": {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "tök\nen"},
        "right": {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": sweep.token},
    }


STRANGERS = ["nothing", "disabled", "no token", "wrong token", "no file", "no header"]


@pytest.mark.parametrize("name", [*STRANGERS, "right"])
def test_only_with_the_token_does_another_process_run_a_task(sweep, name):
    found = run(TASK, sweep, **settings(sweep)[name])
    assert (found.returncode == 0) == ("ran: uid=" in found.stdout) == (name == "right")


@pytest.mark.parametrize("name", [*STRANGERS, "right"])
def test_without_the_token_an_address_is_refused_in_a_line(sweep, name):
    found = run(CHECK, sweep, **settings(sweep)[name])
    if name == "right":
        assert found.returncode == 0, found.stderr
        return
    assert found.returncode == 1
    last = found.stderr.splitlines()[-1]
    assert "takes our token" in last and f"{sweep.address} does not; set RAY_AUTH_MODE" in last


def test_the_command_says_so_with_exit_code_2_and_writes_nothing(sweep, tmp_path):
    out = tmp_path / "out"
    arguments = ["fig01", "--preset", "smoke", "--out", str(out), "--engine", "ray"]
    command = [sys.executable, "-m", "experiments", *arguments, "--address", sweep.address]
    found = subprocess.run(command, env=CLEAN, capture_output=True, text=True, timeout=120)
    assert found.returncode == 2 and not out.exists()
    assert re.fullmatch(r"[^\n]*takes our token[^\n]*\n", found.stderr)
