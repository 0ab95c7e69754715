"""A Markdown table."""


def table(head, rows):
    lines = [head, ["---"] * len(head)] + [list(row) for row in rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"
