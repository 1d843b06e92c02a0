"""Draw the plan of the house from the imports of its modules, as SVG.

    python docs/images/house.py

A room stands above those that it imports. A line leads down to each of them, except where another line leads there
already by way of a room between.
"""

import ast
import importlib.util
from collections import defaultdict
from html import escape
from pathlib import Path

import mailwire

HERE = Path(__file__).parent
PACKAGE = Path(mailwire.__file__).parent
LINE, MARGIN, GAP, WIDTH, COLUMNS = 14, 24, 52, 300, 48
STYLE = (
    "text { font: 11px sans-serif; fill: #444 } .name { font: bold 13px sans-serif; fill: #222 } "
    "rect { fill: #eef3fb; stroke: #47699c; rx: 6 } .core { fill: #eaf6ea; stroke: #4c8c4c } "
    "path { fill: none; stroke: #555; stroke-opacity: 0.5 }"
)
CORE = ("errors", "_wire", "sasl", "smtp", "pop3")  # no I/O, no clock, no asyncio
FRONT = "mailwire"

Rooms = dict[str, set[str]]


def room_of(module: str) -> str:
    """Return the room that `module`, such as mailwire.smtp.reply, is in; the front for mailwire itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else FRONT


def modules() -> dict[str, Path]:
    """Return the modules of mailwire by their names."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported_rooms() -> Rooms:
    """Return the rooms, each with those that its modules import, when they run; the front does it when it is asked."""
    known: Rooms = defaultdict(set)
    found = modules()
    for module, path in found.items():
        room = room_of(module)
        tree = ast.parse(path.read_text("utf-8"))
        if module != FRONT:
            tree.body = [node for node in tree.body if not isinstance(node, ast.If)]
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                source = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
                targets = [source] if node.module else [f"{source}.{alias.name}" for alias in node.names]
                known[room] |= {room_of(target if target in found else source) for target in targets}
        known[room].discard(room)
    return dict(known)


def reach(room: str, rooms: Rooms) -> set[str]:
    """Return all that stands below `room`."""
    return rooms[room].union(*(reach(other, rooms) for other in rooms[room]))


def direct(rooms: Rooms) -> Rooms:
    """Return the rooms, each with those that it reaches by way of no other."""
    return {
        room: {other for other in below if not any(other in reach(third, rooms) for third in below)}
        for room, below in rooms.items()
    }


def floors(rooms: Rooms) -> list[list[str]]:
    """Return the rooms from top to bottom, each as low as what it imports allows."""

    def height(room: str) -> int:
        return 1 + max((height(other) for other in rooms[room]), default=-1)

    top = max(map(height, rooms))
    return [sorted(room for room in rooms if height(room) == level) for level in range(top, -1, -1)]


def wrapped(words: list[str]) -> list[str]:
    """Return the words in lines."""
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) + 3 > COLUMNS:
            lines.append("")
        lines[-1] += f" · {word}" if lines[-1] else word
    return lines


def picture() -> str:
    """Return the plan."""
    rooms = imported_rooms()
    plan = floors(rooms)
    inside: dict[str, list[str]] = defaultdict(list)
    for module in modules():
        if module.count(".") > 1:
            inside[room_of(module)].append(module.rpartition(".")[2])
    width = MARGIN + (WIDTH + MARGIN) * max(map(len, plan))
    boxes: dict[str, tuple[float, float, float]] = {}  # left, top and bottom
    pieces: list[str] = []
    top = MARGIN * 2.0 + LINE
    for floor in plan:
        heights = {room: 26 + LINE * len(wrapped(inside[room])) if inside[room] else 28 for room in floor}
        left = (width - len(floor) * WIDTH - (len(floor) - 1) * MARGIN) / 2
        for room in floor:
            boxes[room] = left, top, top + heights[room]
            kind = ' class="core"' if room in CORE else ""
            pieces.append(f'<rect{kind} x="{left:g}" y="{top:g}" width="{WIDTH}" height="{heights[room]}"/>')
            pieces.append(f'<text class="name" x="{left + 10:g}" y="{top + 18:g}">{room}</text>')
            pieces += [
                f'<text x="{left + 10:g}" y="{top + 20 + LINE * number:g}">{escape(line)}</text>'
                for number, line in enumerate(wrapped(inside[room]), 1)
                if line
            ]
            left += WIDTH + MARGIN
        top += max(heights.values()) + GAP
    lines = []
    for room, below in sorted(direct(rooms).items()):
        left, _, bottom = boxes[room]
        for place, other in enumerate(sorted(below, key=lambda name: (boxes[name][0], name)), 1):
            x = left + WIDTH * place / (len(below) + 1)
            at, above, _ = boxes[other]
            lines.append(f'<path d="M{x:g} {bottom:g} L{at + WIDTH / 2:g} {above:g}"/>')
    title = "The rooms of mailwire: each stands above those that it imports. Green: no I/O, no clock."
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {top - GAP + MARGIN:g}" width="{width:g}">\n'
        f"<title>The plan of the house</title>\n<style>{STYLE}</style>\n"
        '<rect width="100%" height="100%" style="fill: #fff; stroke: none"/>\n'
        + "\n".join([f'<text class="name" x="{MARGIN}" y="{MARGIN + 4}">{title}</text>', *pieces, *lines])
        + "\n</svg>\n"
    )


if __name__ == "__main__":
    (HERE / "house.svg").write_text(picture(), "utf-8")
