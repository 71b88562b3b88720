"""What a case leaves to print."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Outcome:
    """Filled in as the case goes on, so that one that fails half-way shows what there was."""

    problems: list[str] = field(default_factory=list)
    figures: str = ""
    counters: str = ""
    logs: dict[str, str] = field(default_factory=dict)  # of the guests
