"""What a run wrote into its metrics.jsonl."""

import json


def logged(folder, event):
    """Return the lines of one kind of event, oldest first."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == event]
