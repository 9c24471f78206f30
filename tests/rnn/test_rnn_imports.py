"""`import simlstm.rnn` needs torch and nothing else."""

import subprocess
import sys

LIST_TOP_LEVEL = """
import sys
{statement}
print("\\n".join(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


def loaded_by(statement: str) -> set[str]:
    completed = subprocess.run(
        [sys.executable, "-c", LIST_TOP_LEVEL.format(statement=statement)], capture_output=True, text=True, check=True
    )
    return set(completed.stdout.split())


def test_loads_no_third_party_package_but_torch():
    beyond_torch = loaded_by("import simlstm.rnn") - loaded_by("import torch")
    third_party = beyond_torch - set(sys.stdlib_module_names)
    assert third_party == {"simlstm"}
