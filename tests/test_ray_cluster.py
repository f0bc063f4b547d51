"""A Ray cluster that is started here is for its owner alone: what Ray is given, without Ray."""

import os
import pathlib
import re
import stat
import sys
import tomllib
import types

import pytest

from adamprox.sweep import Results, run_sweep
from adamprox.sweep.ray_cluster import OLDEST_RAY, check_cluster, connected, load
from experiments.__main__ import main
from tests.squares import QUIET, Square

VARIABLES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_USAGE_STATS_ENABLED")


class FakeRay(types.ModuleType):
    """The part of Ray that starts a cluster; it keeps the arguments."""

    def __init__(self, version="99.0", host="127.0.0.1", error=None):
        super().__init__("ray")
        self.__version__, self.error = version, error
        self.up, self.read, self.environment, self.given = False, [], {}, {}
        self.util = types.SimpleNamespace(get_node_ip_address=lambda: host)
        self.exceptions = types.SimpleNamespace(RayError=type("RayError", (Exception,), {}))
        loader = types.SimpleNamespace(reset_cache=lambda: None)
        self._raylet = types.SimpleNamespace(
            Config=types.SimpleNamespace(initialize=lambda _: self.read.append(mode())),
            AuthenticationTokenLoader=types.SimpleNamespace(instance=lambda: loader),
        )
        self.constants = types.SimpleNamespace(ENABLE_RAY_CLUSTER=True)

    def is_initialized(self):
        return self.up

    def init(self, **given):
        self.up, self.given, self.environment = True, given, dict(os.environ)
        self.network = self.constants.ENABLE_RAY_CLUSTER
        self.directory = pathlib.Path(given["_temp_dir"])
        self.directory.mkdir(exist_ok=True)
        self.directory.chmod(0o777)
        os.environ["SET_BY_RAY"] = "1"
        if self.error:
            raise self.error

    def shutdown(self):
        self.up = False


def mode():
    return os.environ.get("RAY_AUTH_MODE")


def fake(monkeypatch, **options):
    ray = FakeRay(**options)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray._private", types.ModuleType("ray._private"))
    monkeypatch.setitem(sys.modules, "ray._private.ray_constants", ray.constants)
    return ray


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("user", [{}, {"RAY_AUTH_MODE": "disabled", "RAY_OTHER": "kept"}])
@pytest.mark.parametrize("address", [None, "local"])
def test_a_cluster_here_has_a_token_the_loopback_and_a_directory_of_its_own(
    monkeypatch, user, address
):
    for name, value in user.items():
        monkeypatch.setenv(name, value)
    ray, before, tokens = fake(monkeypatch), dict(os.environ), set()
    for _ in range(2):
        with connected(ray, 2, address):
            assert ray.up and dict(os.environ) == before
            assert stat.S_IMODE(ray.directory.parent.stat().st_mode) == 0o700
            assert not ray.network and ray.constants.ENABLE_RAY_CLUSTER
            assert ray.environment["RAY_AUTH_MODE"] == "token"
            assert ray.environment["RAY_USAGE_STATS_ENABLED"] == "0"
            tokens.add(ray.environment["RAY_AUTH_TOKEN"])
            assert not [v for v in ray.given.values() if str(v) in tokens]
        assert not ray.up and not ray.directory.parent.exists() and dict(os.environ) == before
        assert ray.read[-2:] == ["token", mode()]  # once it is set, and once it is undone
    assert len(tokens) == 2 and all(len(token) >= 32 for token in tokens)


@pytest.mark.parametrize("how", ["variable", "file"])
def test_the_token_of_the_user_is_used(monkeypatch, tmp_path, how):
    (tmp_path / "token").write_text(" of-the-user\n")
    if how == "variable":
        monkeypatch.setenv("RAY_AUTH_TOKEN", "of-the-user")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    ray, before = fake(monkeypatch), dict(os.environ)
    with connected(ray, 1, None):
        assert ray.environment["RAY_AUTH_TOKEN"] == "of-the-user"
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    "content", [None, b"", b" \n", b"two\nlines", b"t\xc3\xb6ken", b"\xff", b"\0"]
)
def test_a_token_that_cannot_be_is_refused_before_anything_is_begun(monkeypatch, tmp_path, content):
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    ray = fake(monkeypatch)
    reason = "cannot be read: No such file" if content is None else "printable ASCII"
    with pytest.raises(
        ValueError, match=rf"RAY_AUTH_TOKEN_PATH \({re.escape(str(path))}\).*{reason}"
    ):
        check_cluster(None)
    with pytest.raises(ValueError, match="RAY_AUTH_TOKEN_PATH"), connected(ray, 1, None):
        pass
    assert not ray.given


@pytest.mark.parametrize("host", ["192.0.2.2", "::", "0.0.0.0", "2001:db8::1"])
def test_a_cluster_that_others_can_reach_is_shut_down(monkeypatch, host):
    ray, before = fake(monkeypatch, host=host), dict(os.environ)
    with (
        pytest.raises(ValueError, match=rf"loopback interface only, it listens on {host}"),
        connected(ray, 1, None),
    ):
        raise AssertionError("it is used")
    assert not ray.up and not ray.directory.parent.exists() and dict(os.environ) == before


def test_nothing_is_left_of_a_cluster_that_does_not_start(monkeypatch):
    ray, before = fake(monkeypatch, error=RuntimeError("no start")), dict(os.environ)
    with pytest.raises(RuntimeError, match="no start"), connected(ray, 1, None):
        pass
    assert not ray.up and not ray.directory.parent.exists() and dict(os.environ) == before
    assert ray.constants.ENABLE_RAY_CLUSTER and ray.read[-1] is None


def test_a_connection_of_the_users_is_kept(monkeypatch):
    ray = fake(monkeypatch)
    ray.up = True
    with connected(ray, 1, None):
        pass
    assert ray.up and not ray.given and not ray.read


@pytest.mark.parametrize("version", ["2.40.0", "2.51.2", "2.9.3", "1.13.0", "3.0.0.dev0"])
def test_an_old_ray_is_refused_in_a_line_before_anything_is_begun(
    monkeypatch, tmp_path, capsys, version
):
    ray = fake(monkeypatch, version=version)
    if version.startswith("3"):
        assert load() is ray
        return
    expected = rf"needs Ray {OLDEST_RAY} or newer, .* {version} is installed; run: pip install"
    with pytest.raises(ValueError, match=expected):
        run_sweep([Square(1.0)], Results(tmp_path / "records"), engine="ray", console=QUIET)
    out = tmp_path / "out"
    assert main(["fig01", "--preset", "smoke", "--engine", "ray", "--out", str(out)]) == 2
    assert re.fullmatch(rf"[^\n]*{expected}[^\n]*\n", capsys.readouterr().err)
    assert not list(tmp_path.iterdir()) and not ray.given


def test_a_folder_of_that_name_is_not_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", types.ModuleType("ray"))
    with pytest.raises(ValueError, match="Ray, which is not installed"):
        load()


def test_the_oldest_version_is_that_of_the_extra():
    project = tomllib.loads((pathlib.Path(__file__).parents[1] / "pyproject.toml").read_text())
    assert project["project"]["optional-dependencies"]["ray"] == [f"ray>={OLDEST_RAY}"]
