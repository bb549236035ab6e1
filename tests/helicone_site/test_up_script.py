"""./up: what it does before anything of ours is installed."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader

import pytest

from helicone_site import places


@pytest.fixture
def up(tmp_path, monkeypatch):
    """./up as a module, at home in an empty folder with two locks, on a machine without uv."""
    loader = SourceFileLoader("up_script", str(places.BASE_DIR / "up"))
    spec = spec_from_loader("up_script", loader)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    module = module_from_spec(spec)
    loader.exec_module(module)
    for name in (module.PRODUCT, module.DEVELOPMENT):
        (tmp_path / name).write_text("# nothing yet\n")
    venv = tmp_path / ".venv"
    for name, value in {"HERE": tmp_path, "VENV": venv, "PYTHON": venv / "bin" / "python",
                        "STAMP": venv / "installed-locks"}.items():  # fmt: skip
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(module, "working_uv", lambda: None)
    return module


@pytest.fixture
def installed(up, monkeypatch):
    """The locks that were installed, in a .venv that needs no pip."""
    up.VENV.mkdir()
    up.PYTHON.parent.mkdir()
    up.PYTHON.symlink_to(sys.executable)
    names = []
    monkeypatch.setattr(up, "make_importable", lambda: None)
    monkeypatch.setattr(up.subprocess, "call", lambda command, **_: names.append(command[-1].rpartition("/")[2]) or 0)
    monkeypatch.setattr(up, "quietly", lambda _command: True)
    return names


def test_a_lock_is_installed_once_and_again_when_it_has_changed(up, installed):
    up.install(up.PRODUCT)
    up.install(up.PRODUCT)
    assert installed == [up.PRODUCT]
    (up.HERE / up.PRODUCT).write_text("# something new\n")
    up.install(up.PRODUCT)
    assert installed == [up.PRODUCT] * 2


def test_after_the_development_lock_the_product_s_is_there_already(up, installed):
    up.install(up.DEVELOPMENT)
    up.install(up.PRODUCT)
    assert installed == [up.DEVELOPMENT]


def test_an_installation_that_failed_is_tried_again(up, installed, monkeypatch, capsys):
    with monkeypatch.context() as broken:
        broken.setattr(up.subprocess, "call", lambda *_, **__: 1)
        with pytest.raises(SystemExit):
            up.install(up.PRODUCT)
    assert "goes on from there" in capsys.readouterr().err
    up.install(up.PRODUCT)
    assert installed == [up.PRODUCT]


def test_a_debian_without_ensurepip_is_told_the_package(up, monkeypatch, capsys):
    monkeypatch.setattr(up, "can_import", lambda _module: False)
    monkeypatch.setattr(up.shutil, "which", lambda _name: None)
    with pytest.raises(SystemExit) as stopped:
        up.install(up.PRODUCT)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.endswith(f"apt install python3.{sys.version_info[1]}-venv\n")


def test_a_venv_that_does_not_run_is_made_anew(up, monkeypatch):
    up.PYTHON.parent.mkdir(parents=True)
    up.PYTHON.symlink_to("/nowhere/python3")
    made = []
    monkeypatch.setattr(up, "make_venv", made.append)
    monkeypatch.setattr(up.subprocess, "call", lambda *_, **__: 1)
    with pytest.raises(SystemExit):
        up.install(up.PRODUCT)
    assert made == [None]


def test_an_old_python_goes_on_in_a_newer_one_or_says_what_it_lacks(up, monkeypatch, capsys):
    monkeypatch.setattr(up, "OLDEST", (3, 12))
    monkeypatch.setattr(up.sys, "version_info", (3, 9, 2))
    monkeypatch.setattr(up.shutil, "which", lambda name: "/opt/python3.13" if name == "python3.13" else None)
    became = []
    monkeypatch.setattr(up, "become", lambda program, arguments: became.append((program, arguments[1:])) or 0)
    up.main(["--demo"])
    assert became == [("/opt/python3.13", ["--demo"])]
    monkeypatch.setattr(up.shutil, "which", lambda _name: None)
    assert up.main([]) == 2
    assert capsys.readouterr().err == "Python 3.12 or later is needed; this is 3.9.\n"


def test_every_check_runs_although_one_fails_and_all_are_summed_up(up, monkeypatch, capsys):
    codes = {"ruff": 1, "pytest": 0}
    commands = []

    def call(command, **_):
        commands.append([command[0].rpartition("/")[2], *command[1:]])
        return codes.get(commands[-1][0], 0)

    monkeypatch.setattr(up.subprocess, "call", call)
    assert up.check(["-k", "one"]) == 1
    assert [command[0] for command in commands] == ["ruff", "mypy", "lint-imports", "pytest"]
    assert commands[-1] == ["pytest", "-k", "one"]
    summary = capsys.readouterr().out.partition("--- summary\n")[2]
    assert summary.splitlines() == ["ruff     FAILED (exit 1)", "mypy     ok", "imports  ok", "tests    ok"]


def test_it_is_read_by_a_python_as_old_as_3_6():
    ast.parse((places.BASE_DIR / "up").read_text(), feature_version=(3, 6))


def test_a_bad_setting_is_one_sentence():
    environment = os.environ | {"PORT": "many"}
    said = subprocess.run(
        [sys.executable, "manage.py", "up"], cwd=places.BASE_DIR, env=environment, capture_output=True, text=True
    )
    assert said.returncode == 1
    assert said.stderr == "PORT must be a whole number, not 'many'\n"


@pytest.fixture
def client_lock(up, tmp_path):
    lock = tmp_path / "tests" / "clients" / "someone" / "requirements.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("# nothing yet\n")
    return lock


def test_a_client_is_installed_once_and_anew_when_its_lock_has_changed(up, client_lock, tmp_path):
    home, made = tmp_path / "clients" / "someone", []
    for _ in range(2):
        up.install_client(client_lock, home, lambda *_: made.append("first") or True)
    (home / "of the first").touch()
    client_lock.write_text("# something new\n")
    up.install_client(client_lock, home, lambda *_: made.append("second") or True)
    assert made == ["first", "second"]
    assert not (home / "of the first").exists()


def test_a_client_that_cannot_be_installed_leaves_nothing_and_keeps_no_other_from_it(up, client_lock, tmp_path, capsys):
    home = tmp_path / "clients" / "someone"
    up.install_client(client_lock, home, lambda *_: False)
    assert not home.exists()
    assert "someone could not be installed" in capsys.readouterr().out


def test_the_journeys_of_clients_are_told_where_these_are(up, client_lock, installed, tmp_path, monkeypatch):
    called = []
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(up, "CLIENTS", client_lock.parent.parent)
    monkeypatch.setattr(up, "python_client", lambda *_: True)
    monkeypatch.setattr(up.subprocess, "call", lambda command, **_: called.append(command) or 0)
    assert up.main(["test", "--clients", "-k", "words"]) == 0
    assert called[-1][1:] == ["tests/clients", f"--clients={tmp_path / 'data' / 'clients'}", "-k", "words"]
    assert (tmp_path / "data" / "clients" / "someone" / "installed-lock").exists()
