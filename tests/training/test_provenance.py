"""The recorded command can be run again."""

import shlex

import pytest

from simlstm.training.provenance import shell_command


@pytest.mark.parametrize(
    ("words", "python"),
    [
        (["scripts/train.py", "--out", "my run"], True),
        (["-m", "scripts", "train"], True),
        (["/bin/simlstm", "train", "--set", 'data.train=["a b.csv"]'], False),
        ([], False),
    ],
)
def test_a_command_is_quoted_and_names_its_interpreter(words, python):
    assert shlex.split(shell_command(words)) == (["python", *words] if python else words)
