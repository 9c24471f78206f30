"""The console command: one name for every script."""

import subprocess
import sys

import pytest

from scripts import __main__ as console


@pytest.mark.parametrize("command", console.COMMANDS)
def test_every_command_loads_and_is_the_script_itself(command):
    module = __import__(f"scripts.{command.replace('-', '_')}", fromlist=["main"])
    assert console.load(command) is module.main


def test_unknown_command_lists_the_allowed_ones():
    with pytest.raises(ValueError, match=f"unknown command 'fly'; allowed: {', '.join(console.COMMANDS)}"):
        console.load("fly")


def test_help_and_mistakes(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["simlstm"])
    console.app()
    printed = capsys.readouterr().out
    assert all(command in printed for command in console.COMMANDS)
    monkeypatch.setattr(sys, "argv", ["simlstm", "fly"])
    with pytest.raises(SystemExit, match="unknown command 'fly'"):
        console.app()


def test_arguments_reach_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["simlstm", "train", "--help"])
    with pytest.raises(SystemExit) as stop:
        console.app()
    assert stop.value.code == 0
    assert "--resume" in capsys.readouterr().out


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["simlstm", "score"])
    monkeypatch.setitem(sys.modules, "scripts.score", None)
    with pytest.raises(SystemExit, match=r'pip install "simlstm\[train\]"'):
        console.app()


def test_module_form_runs():
    result = subprocess.run(
        [sys.executable, "-m", "scripts.train", "--help"], capture_output=True, text=True, check=True
    )
    assert "--config" in result.stdout
