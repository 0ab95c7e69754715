"""Reads pages of `tetherd report` as a browser does, and says what is in them that the template does not write.

Usage: page.py HOSTILE.html PLAIN.html
The second page is of the same records with harmless texts: both must have the same elements and attributes in the same
order. Prints the text of the first page.
"""

import sys

import html5lib

EVERYWHERE = {"id", "class", "aria-labelledby", "aria-label", "role", "tabindex"}
ALLOWED = {
    "html": {"lang"}, "head": set(), "body": set(), "title": {"id"}, "style": set(),
    "meta": {"charset", "http-equiv", "content", "name"},
    "a": {"href"}, "header": set(), "main": set(), "section": set(), "article": set(), "footer": set(), "div": set(),
    "h1": set(), "h2": set(), "h3": set(), "h4": set(), "p": set(), "span": set(), "strong": set(), "pre": set(),
    "ul": set(), "ol": set(), "li": set(), "dl": set(), "dt": set(), "dd": set(),
    "figure": set(), "figcaption": set(), "details": set(), "summary": set(),
    "table": set(), "caption": set(), "thead": set(), "tbody": set(), "tr": set(), "td": set(), "th": {"scope"},
    "svg": {"viewBox", "width", "height"}, "desc": set(), "text": {"x", "y"}, "path": {"d"},
    "rect": {"x", "y", "width", "height", "rx"},
}
LANDMARKS = {"header": 1, "main": 1, "footer": 1, "h1": 1, "style": 1}


def wrong(why):
    sys.exit(f"{sys.argv[1]}: {why}")


def read(path):
    with open(path, "rb") as file:
        text = file.read().decode("utf-8")
    # A page with an error would be read differently by different browsers.
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    return parser.parse(text)


def walk(tree):
    for element in tree.iter():
        if not isinstance(element.tag, str):
            wrong("there is a comment")
        yield element


def name(element):
    return element.tag.split("}")[-1]


def skeleton(tree):
    """Elements and attributes in order. The placeholders that are explained depend on the texts."""
    parts = [(name(element), sorted(element.attrib)) for element in walk(tree)]
    return [part for part in parts if part[0] not in ("dt", "dd")]


def check(tree):
    ids, counts = set(), {}
    for element in walk(tree):
        tag = name(element)
        counts[tag] = counts.get(tag, 0) + 1
        if tag not in ALLOWED:
            wrong(f"an element <{tag}>")
        for attribute, value in element.attrib.items():
            if attribute not in ALLOWED[tag] | EVERYWHERE:
                wrong(f"an attribute {attribute} of <{tag}>")
            if attribute == "href" and not value.startswith("#"):
                wrong(f"a link to {value}")
            if attribute == "id":
                if value in ids:
                    wrong(f"the id {value} twice")
                ids.add(value)
    for element in walk(tree):
        for attribute in ("aria-labelledby", "href"):
            for target in element.attrib.get(attribute, "").replace("#", "").split():
                if target not in ids:
                    wrong(f"nothing has the id {target}")
        if name(element) == "th" and element.attrib.get("scope") not in ("row", "col"):
            wrong("a <th> without its scope")
        if name(element) == "svg" and [name(child) for child in element][:2] != ["title", "desc"]:
            wrong("an <svg> without title and desc")
        if name(element) == "table" and name(element[0]) != "caption":
            wrong("a <table> without a caption")
    for tag, count in LANDMARKS.items():
        if counts.get(tag) != count:
            wrong(f"{counts.get(tag)} of <{tag}>")
    if tree.attrib.get("lang") != "en":
        wrong("no language")
    headings = [int(name(element)[1]) for element in walk(tree) if name(element) in ("h1", "h2", "h3", "h4")]
    if any(after > before + 1 for before, after in zip(headings, headings[1:])):
        wrong("a heading is left out between two levels")
    policies = [e.attrib["content"] for e in walk(tree) if e.attrib.get("http-equiv") == "Content-Security-Policy"]
    if len(policies) != 1 or not policies[0].startswith("default-src 'none'; style-src 'sha256-"):
        wrong(f"policies: {policies}")


hostile, plain = read(sys.argv[1]), read(sys.argv[2])
check(hostile)
check(plain)
if skeleton(hostile) != skeleton(plain):
    pairs = zip(skeleton(hostile), skeleton(plain))
    wrong(f"other elements than with harmless texts: {next((pair for pair in pairs if pair[0] != pair[1]), 'more')}")
sys.stdout.buffer.write("".join(hostile.itertext()).encode("utf-8"))
