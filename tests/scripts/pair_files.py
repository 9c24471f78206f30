"""Small files of scored pairs for the tests of the commands."""

import json

WORDS = ["red", "blue", "green", "cat", "dog", "tree", "river", "stone"]
TINY = ["--set", "model.embedding_size=6", "--set", "model.hidden_size=5", "--set", "training.tensorboard=false",
        "--device", "cpu"]  # fmt: skip


def write_experiment(folder):
    """Write train.csv, dev.csv and experiment.toml, which names them; return the three paths, the TOML first."""
    paths = []
    for name, shift in (("train.csv", 1), ("dev.csv", 2)):
        rows = [f"{a} {b},{a} {WORDS[(i + j * shift) % 8]},{(i * j) % 6}.0"
                for i, a in enumerate(WORDS) for j, b in enumerate(WORDS)]  # fmt: skip
        (folder / name).write_text("\n".join(["sentence1,sentence2,score", *rows]))
        paths.append(folder / name)
    toml = folder / "experiment.toml"
    toml.write_text(
        f"[data]\ntrain = [{{path = {json.dumps(str(paths[0]))}, score_range = [0, 5]}}]\n"
        f"dev = {{path = {json.dumps(str(paths[1]))}, score_range = [0, 5]}}\n[training]\nepochs = 2\nbatch_size = 8\n"
    )
    return toml, *paths
