"""Draw the state diagrams of both machines from their tables of transitions, as SVG.

    python docs/images/states.py

Each state is a box; what leads from one to another, is written on an arrow: a command, with the answer that leads
there if that is not a success. What leads from a state to itself, is listed in its box.
"""

from collections import defaultdict
from html import escape
from pathlib import Path

from mailwire import pop3, smtp

HERE = Path(__file__).parent
WIDTH, LINE, MARGIN, LANE = 270, 17, 24, 15
STYLE = (
    "text { font: 13px sans-serif; fill: #222 } .name { font-weight: bold } .small { font-size: 11px; fill: #555 } "
    "rect { fill: #eef3fb; stroke: #47699c; rx: 6 } path { fill: none; stroke: #555 } "
    ".label { font-size: 11px }"
)

Moves = dict[tuple[str, str], list[str]]  # what leads from a state to a state


def wrapped(words: list[str], width: int = 36) -> list[str]:
    """Return the words in lines, with commas between them."""
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) + 2 > width:
            lines[-1] += ","
            lines.append("")
        lines[-1] += f", {word}" if lines[-1] else word
    return lines


def spoken(command: type, verbs: dict[str, str]) -> str:
    """Return what a command is called on the wire."""
    return verbs.get(command.__name__, command.__name__.upper())


def smtp_moves() -> Moves:
    """Return what the table of SMTP says."""
    verbs = {
        "BdatLast": "BDAT LAST",
        "EndOfData": "end of data",
        "Greeting": "greeting",
        "Command": "commands of your own",
    }
    moves: Moves = defaultdict(list)
    for (state, command), row in smtp.TRANSITIONS.items():
        answers: dict[str, list[str]] = defaultdict(list)
        for answer, target in (("2yz", row.done), ("3yz", row.more), ("4yz, 5yz", row.refused)):
            if target is not None:
                answers[target.name].append(answer)
        for target, codes in answers.items():
            word = spoken(command, verbs)
            # In CLOSED nothing is answered any more; where all answers lead to one place, they need no telling.
            moves[state.name, target].append(word if codes[0] == "2yz" else f"{word} {'/'.join(codes)}")
    return moves


def pop3_moves() -> Moves:
    """Return what the table of POP3 says."""
    verbs = {"Greeting": "greeting", "Command": "commands of your own"}
    moves: Moves = defaultdict(list)
    for (state, command), row in pop3.TRANSITIONS.items():
        word = spoken(command, verbs)
        moves[state.name, row.done.name].append(word)
        if row.refused is not row.done:
            moves[state.name, row.refused.name].append(f"{word} -ERR")
    return moves


def drawn(title: str, states: list[str], moves: Moves, by_machine: list[tuple[str, str, str]]) -> str:
    """Return the diagram: the states in a column, arrows down at the right of it and up at the left."""
    for source, target, word in by_machine:
        moves[source, target].append(word)
    boxes: dict[str, tuple[float, float]] = {}
    pieces: list[str] = []
    arrows = [(source, target) for source, target in moves if source != target]
    forward = [move for move in arrows if states.index(move[0]) < states.index(move[1])]
    back = [move for move in arrows if move not in forward]
    labels = {move: wrapped(moves[move], 44) for move in arrows}
    left = MARGIN + 210 + LANE * len(back)
    # Between two boxes there is room for the words on the arrows that leave the upper one downwards, or come to it.
    top = float(MARGIN + LINE * 2)
    anchors: dict[tuple[tuple[str, str], str], float] = {}
    for state in states:
        inside = wrapped(moves.get((state, state), []), 38) if (state, state) in moves else []
        out = [move for move in forward if move[0] == state]
        out_back = [move for move in back if move[0] == state]
        into = [move for move in forward if move[1] == state]
        into_back = [move for move in back if move[1] == state]
        right_side = sum(len(labels[move]) * 13 + 8 for move in out) + len(into) * 14
        left_side = sum(len(labels[move]) * 13 + 8 for move in out_back) + len(into_back) * 14
        height = max(LINE * (1 + len(inside)) + 14, right_side + 16, left_side + 16)
        boxes[state] = top, height
        pieces.append(f'<rect x="{left}" y="{top:g}" width="{WIDTH}" height="{height:g}"/>')
        pieces.append(f'<text class="name" x="{left + 12}" y="{top + LINE + 2:g}">{state}</text>')
        pieces += [
            f'<text class="small" x="{left + 12}" y="{top + LINE * (number + 2) + 2:g}">{escape(line)}</text>'
            for number, line in enumerate(inside)
        ]
        for side_into, side_out in ((into, out), (into_back, out_back)):
            y = top + 10
            for move in side_into:
                anchors[move, "end"] = y
                y += 14
            for move in side_out:
                anchors[move, "start"] = y + len(labels[move]) * 13
                y += len(labels[move]) * 13 + 8
        top += height + 22
    words_right = left + WIDTH + 12
    lanes_right = words_right + 270
    for side, lane_at, step in ((forward, lanes_right, LANE), (back, left - 220, -LANE)):
        # The shorter an arrow, the nearer its lane: then arrows of one side cross as little as they can.
        lengths = sorted(side, key=lambda move: abs(states.index(move[0]) - states.index(move[1])))
        for number, move in enumerate(lengths):
            x = lane_at + step * number
            edge, tip = (left + WIDTH, left + WIDTH + 3) if step > 0 else (left, left - 3)
            start, end = anchors[move, "start"], anchors[move, "end"]
            pieces.append(f'<path d="M{edge} {start:g} H{x:g} V{end:g} H{tip}" marker-end="url(#tip)"/>')
            for line_number, line in enumerate(labels[move]):
                y = start - 3 - 13 * (len(labels[move]) - 1 - line_number)
                anchor, at = ("start", words_right) if step > 0 else ("end", left - 12)
                pieces.append(f'<text class="label" x="{at}" y="{y:g}" text-anchor="{anchor}">{escape(line)}</text>')
    width = lanes_right + LANE * len(forward) + MARGIN
    head = f'<text class="name" x="{MARGIN}" y="{MARGIN + 6}">{escape(title)}</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {top:g}" width="{width:g}">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" style="fill: #555; stroke: none"/></marker></defs>\n'
        '<rect width="100%" height="100%" style="fill: #fff; stroke: none"/>\n'
        + "\n".join([head, *pieces])
        + "\n</svg>\n"
    )


def pictures() -> dict[str, str]:
    """Return both diagrams by the names of their files."""
    handshake = ("TLS", "INITIATION", "(the handshake)")
    return {
        "smtp-states.svg": drawn(
            "The states of an SMTP session: a command leads on by a success, or by the answer behind it",
            [state.name for state in smtp.State],
            smtp_moves(),
            [handshake],
        ),
        "pop3-states.svg": drawn(
            "The states of a POP3 session: a command leads on by +OK, or by the answer behind it",
            [state.name for state in pop3.State],
            pop3_moves(),
            [("TLS", "AUTHORIZATION", "(the handshake)")],
        ),
    }


if __name__ == "__main__":
    for name, text in pictures().items():
        (HERE / name).write_text(text)
