"""wrk: a closed loop in C, so that the generator leaves the cores to the server."""

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from scripts.benchmarking.serving.wire import address_of

# wrk gives each thread its own interpreter: init runs there, done at the end, once.
_SCRIPT = """
local requests, position = {}, 0
function init(arguments)
  for line in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("POST", arguments[2], {["Content-Type"] = "application/json"}, line)
  end
  position = arguments[3] - 1 -- wrk asks once for itself, to see how many requests one text holds
end
function request()
  position = position % #requests + 1
  return requests[position]
end
function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    'FIGURES {"requests":%d,"seconds":%.6f,"p50_ms":%.3f,"p95_ms":%.3f,"p99_ms":%.3f,' ..
    '"refused":%d,"broken":%d,"late":%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3,
    latency:percentile(99) / 1e3, errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
"""
_FIGURES = re.compile(r"^FIGURES (\{.*\})$", re.MULTILINE)
_TIMEOUT = 60
_LONGER = (1, 2, 4, 8)


class ClosedLoop(BaseModel):
    """What wrk says of one run; latencies with its own correction for clients that one slow answer held up.

    Attributes:
        requests: Answered, whatever the status.
        seconds: Of the run.
        p50_ms: Median latency; ``p95_ms`` and ``p99_ms`` likewise.
        refused: Answered with a status of 400 or more.
        broken: Connections that failed.
        late: Answers that took longer than a minute.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: int
    seconds: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    refused: int
    broken: int
    late: int

    @property
    def requests_per_second(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


def find_wrk() -> str:
    """Return the path of wrk.

    Raises:
        RuntimeError: when it is not installed; says which package has it.
    """
    path = shutil.which("wrk")
    if path is None:
        raise RuntimeError(
            "wrk is not on the PATH; it makes the closed-loop load. Install the package wrk of Debian or Ubuntu "
            "(`apt-get install wrk`), of Homebrew, or from https://github.com/wg/wrk"
        )
    return path


def wrk_version() -> str:
    """Return the version as wrk tells it."""
    said = subprocess.run([find_wrk(), "-v"], capture_output=True, text=True, check=False)  # it ends with status 1
    return (said.stdout + said.stderr).split(" [")[0].strip()


def read_figures(output: str) -> ClosedLoop:
    """Read what the script wrote at the end of wrk's output.

    Raises:
        RuntimeError: when it wrote nothing; shows what wrk said instead.
    """
    found = _FIGURES.search(output)
    if found is None:
        raise RuntimeError(f"wrk ended without figures; it said: {output.strip()[-400:] or 'nothing'}")
    return ClosedLoop.model_validate(json.loads(found[1]))


def run_wrk(
    url: str, path: str, bodies: Path, *, clients: int, seconds: float, start: int = 0, answers: int = 1
) -> ClosedLoop:
    """Ask one route over a number of kept connections, each of which asks again as soon as it is answered.

    Args:
        url: ``http://host:port``.
        path: The route.
        bodies: One JSON body a line, sent in their order, over and over.
        clients: Connections, at least 1; one thread drives them all.
        seconds: Rounded up to whole ones, which is all that wrk knows.
        start: Where in the bodies to begin.
        answers: Fewest of a run that says something; a server that is slower gets a longer run, up to eightfold.

    Raises:
        RuntimeError: when wrk is missing or fails, when a request was not answered with success, or when none was: no
            figure comes from such a run.
    """
    duration = max(1, -int(-seconds // 1))
    for factor in _LONGER:
        figures = _run(url, path, bodies, clients=clients, seconds=factor * duration, start=start)
        if figures.refused or figures.broken or figures.late:
            raise RuntimeError(
                f"{url}{path} at {clients} clients: of {figures.requests} answers {figures.refused} were errors, "
                f"{figures.broken} connections broke, {figures.late} answers were late; no speed reported"
            )
        if figures.requests >= answers:
            return figures
    if not figures.requests:
        raise RuntimeError(f"{url}{path} at {clients} clients: no answer in {figures.seconds:.0f} s; no speed reported")
    return figures


def _run(url: str, path: str, bodies: Path, *, clients: int, seconds: int, start: int) -> ClosedLoop:
    host, port = address_of(url)
    with tempfile.NamedTemporaryFile("w", suffix=".lua", encoding="utf-8") as script:
        script.write(_SCRIPT)
        script.flush()
        command = [find_wrk(), "-t1", f"-c{clients}", f"-d{seconds}s", f"--timeout={_TIMEOUT}s", "-s", script.name]
        ended = subprocess.run(
            [*command, f"http://{host}:{port}", "--", str(bodies), path, str(start)],
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + 2 * _TIMEOUT,
        )
    return read_figures(ended.stdout + ended.stderr)
