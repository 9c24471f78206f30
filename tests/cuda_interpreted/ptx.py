"""Which instructions of a PTX program can be reached from which."""

import re
from collections.abc import Callable, Collection

_LABEL = re.compile(r"^(\$\w+):")
_BRANCH = re.compile(r"^(@!?%\w+ )?bra(?:\.uni)?\s+(\$\w+);")


class Program:
    """The instructions of one kernel, one a line, and where each may go on.

    Args:
        text: PTX with a single function.
    """

    def __init__(self, text: str) -> None:
        body = text[text.index("{", text.index(".entry")) + 1 : text.rindex("}")]
        self.lines: list[str] = []
        labels: dict[str, int] = {}
        for line in (line.split("//")[0].strip() for line in body.splitlines()):
            if found := _LABEL.match(line):
                labels[found.group(1)] = len(self.lines)
            elif line and not line.startswith("."):
                self.lines.append(line)
        self.next: list[list[int]] = []
        for place, line in enumerate(self.lines):
            branch = _BRANCH.match(line)
            following = [place + 1] if place + 1 < len(self.lines) else []
            if branch is None:
                self.next.append([] if line.startswith("ret") else following)
            else:
                self.next.append([labels[branch.group(2)], *(following if branch.group(1) else [])])

    def of(self, pattern: str) -> set[int]:
        """Return the places of the instructions that a regular expression finds."""
        return {place for place, line in enumerate(self.lines) if re.search(pattern, line)}

    def reached(self, starts: Collection[int], blocked: Callable[[int], bool] | Collection[int] = ()) -> set[int]:
        """Return where control may get from behind some places; it gets to what is blocked, and not beyond."""
        stops = blocked if callable(blocked) else blocked.__contains__
        found: set[int] = set()
        waiting = [following for start in starts for following in self.next[start]]
        while waiting:
            place = waiting.pop()
            if place not in found:
                found.add(place)
                if not stops(place):
                    waiting += self.next[place]
        return found

    def decisions_on(self, targets: Collection[int]) -> set[int]:
        """Return the branches one way of which leads to a target without a further branch."""
        decisions = set()
        for place, ways in enumerate(self.next):
            for way in ways if len(ways) == 2 else []:
                straight = way
                while straight not in targets and len(self.next[straight]) == 1:
                    straight = self.next[straight][0]
                if straight in targets:
                    decisions.add(place)
        return decisions
