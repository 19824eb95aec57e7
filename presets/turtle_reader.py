"""Read Turtle as hosts write it for LV2: statements with blank nodes, strings and numbers; no collections.

RDF 1.1 Turtle (W3C, 2014), the part that lilv and sord write.
"""

import re
from collections.abc import Iterator

RDF_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
_STRING = r'"""(?:[^"\\]|\\.|"(?!""))*"""|"(?:[^"\\\n]|\\.)*"'
_TOKEN = re.compile(
    rf"(?P<space>\s+|#[^\n]*)|(?P<uri><[^<>\s]*>)|(?P<string>{_STRING})|(?P<prefix>@?prefix\b|@?base\b)"
    r"|(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?=[\s;,\].^]|$))|(?P<mark>\^\^|[\[\];,.])"
    r"|@[a-zA-Z-]+|(?P<name>[\w-]*:(?:[\w%-]|\.(?=[\w%-]))*|_:\w+|true\b|false\b|a(?=\s))",
    re.IGNORECASE | re.DOTALL,
)
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f"}
MOST_DEPTH = 50

Node = dict[str, list["Value"]]
Value = str | float | Node


class TurtleError(ValueError):
    """What is no Turtle, or none that hosts write."""


def read_turtle(text: str) -> dict[str, Node]:
    """Give every subject's values by predicate, URIs written out; a blank node stands where it is named.

    Raises TurtleError.
    """
    return _Reader(text).subjects()


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise TurtleError(f"line {text.count(chr(10), 0, at) + 1}: {text[at : at + 20]!r} is no Turtle")
        at = found.end()
        if found.lastgroup and found.lastgroup != "space":
            yield found.lastgroup, found.group()


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens = [*_tokens(text), ("end", "")]
        self._at, self._prefixes = 0, {}

    def _next(self) -> tuple[str, str]:
        found = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)  # after the end comes the end
        return found

    def _peek(self) -> str:
        return self._tokens[self._at][1]

    def _want(self, mark: str) -> None:
        if (found := self._next()[1]) != mark:
            raise TurtleError(f"{found!r} stands where {mark!r} should")

    def subjects(self) -> dict[str, Node]:
        found: dict[str, Node] = {}
        while self._tokens[self._at][0] != "end":
            kind, text = self._tokens[self._at]
            if kind == "prefix":
                self._prefix(text)
                continue
            subject = self._value(0)
            node = subject if isinstance(subject, dict) else found.setdefault(str(subject), {})
            if self._peek() != ".":
                self._predicates(node, 0)
            self._want(".")
        return found

    def _prefix(self, word: str) -> None:
        self._next()
        if word.lower().endswith("base"):
            self._next()
        else:
            name = self._next()[1]
            self._prefixes[name] = self._next()[1][1:-1]
        if word.startswith("@"):
            self._want(".")

    def _predicates(self, node: Node, depth: int) -> None:
        while True:
            predicate = self._value(depth)
            if not isinstance(predicate, str):
                raise TurtleError(f"{predicate!r} is no predicate")
            values = node.setdefault(predicate, [])
            values.append(self._value(depth))
            while self._peek() == ",":
                self._next()
                values.append(self._value(depth))
            while self._peek() == ";":
                self._next()
            if self._peek() in (".", "]", ""):
                return

    def _value(self, depth: int) -> Value:
        kind, text = self._next()
        if kind == "uri":
            return text[1:-1]
        if kind == "number":
            return float(text)
        if kind == "string":
            return self._literal(text)
        if text == "[":
            if depth > MOST_DEPTH:
                raise TurtleError("blank nodes are nested too deep")
            node: Node = {}
            if self._peek() != "]":
                self._predicates(node, depth + 1)
            self._want("]")
            return node
        if kind == "name":
            return self._name(text)
        raise TurtleError(f"{text!r} stands where a value should" if text else "it breaks off")

    def _name(self, text: str) -> str | float:
        if text == "a":
            return RDF_TYPE
        if text in ("true", "false"):
            return float(text == "true")
        prefix, _, rest = text.partition(":")
        if prefix == "_":
            return text
        if f"{prefix}:" not in self._prefixes:
            raise TurtleError(f"{text!r} has a prefix that is not declared")
        return self._prefixes[f"{prefix}:"] + rest

    def _literal(self, text: str) -> Value:
        size = 3 if text.startswith('"""') else 1
        words = re.sub(r"\\(u[0-9a-fA-F]{4}|.)", _unescaped, text[size:-size], flags=re.DOTALL)
        if self._peek() != "^^":
            return words
        self._next()
        kind = str(self._value(0)).rpartition("#")[2]
        if kind in ("float", "double", "decimal", "integer", "int"):
            try:
                return float(words)
            except ValueError:
                raise TurtleError(f"{words!r} is no number") from None
        return words


def _unescaped(found: "re.Match[str]") -> str:
    word = found.group(1)
    return chr(int(word[1:], 16)) if len(word) > 1 else _ESCAPES.get(word, word)
