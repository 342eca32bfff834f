"""Shell scripts as trees: their commands, what each does, and whether its status can be lost."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from kickoff.lint import vocabulary

_PARSER = Parser(Language(tree_sitter_bash.language()))
_EXPRESSION = re.compile(r"\$\{\{.*?\}\}", re.DOTALL)
_HIDDEN = re.compile(r"_{6,}")
_PIPEFAIL = re.compile(r"^\s*set\s+-[^\n;&|#]*\bpipefail\b", re.MULTILINE)
_CONDITIONS = ("if_statement", "elif_clause", "while_statement")
_NO = [[word] for word in ("exit", "return", "false", "fail", "die", "error", "err", "abort", "fatal")]
_BLOCKS = {
    "program",
    "compound_statement",
    "subshell",
    "do_group",
    "if_statement",
    "else_clause",
    "elif_clause",
}
LOOPS = ("for_statement", "c_style_for_statement", "while_statement")


@dataclass(frozen=True, eq=False)
class Script:
    """A script.

    Attributes:
        text: It, as written.
        file: Where it stands.
        line: The line of the file that its first line is.
        pipefail: Whether a pipe fails with its first part.
        root: Its tree; an expression of GitHub is a word in it.
        folded: Whether its lines are not those of the file, so that all it has is its first.
    """

    text: str
    file: str
    line: int
    pipefail: bool = False
    folded: bool = False
    root: Node = field(init=False)

    def __post_init__(self) -> None:
        hidden = _EXPRESSION.sub(lambda found: re.sub(r"[^\n]", "_", found[0]), self.text)
        object.__setattr__(self, "root", _PARSER.parse(hidden.encode()).root_node)
        if _PIPEFAIL.search(self.text):
            object.__setattr__(self, "pipefail", True)

    def line_of(self, node: Node) -> int:
        """Return the line of the file at which a node begins."""
        return self.line + (0 if self.folded else node.start_point[0])

    @cached_property
    def commands(self) -> list["Command"]:
        """All commands, in order, also those inside of others."""
        return [Command(node) for node in walk(self.root) if node.type in ("command", "test_command")]

    def does(self, *kinds: str) -> bool:
        """Return whether a command is of one of the kinds."""
        return any(one.is_a(*kinds) for one in self.commands)

    def nested(self) -> Iterator["Script"]:
        """Yield the scripts that it gives to a shell, here or on another machine."""
        for one in self.commands:
            if one.words[:1] not in (["ssh"], ["bash"], ["sh"]):
                continue
            around = one.node.parent
            bodies = [node for node in walk(around) if node.type == "heredoc_body"] if around else []
            quoted = [node for node in one.node.named_children if node.type in ("string", "raw_string")]
            for node in bodies + quoted[-1:]:
                text = text_of(node)
                inner = text[1:-1] if node.type.endswith("string") else text
                if " " in inner.strip():
                    yield Script(inner, self.file, self.line_of(node), folded=self.folded)


class Command:
    """A command in a script.

    Attributes:
        node: Its node.
        words: Its words without quotes, and without what only stands in front, as ``sudo``.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        if node.type == "test_command":
            self.words = ["[", *text_of(node).strip("[] ").split()]
            return
        named = [one for one in node.named_children if one.type == "command_name" or _is_argument(node, one)]
        self.words = vocabulary.unwrapped([_unquoted(text_of(one)) for one in named])

    @property
    def text(self) -> str:
        """It in one line, cut to what a message can hold."""
        line = _HIDDEN.sub("${{ … }}", " ".join(text_of(self.node).split()))
        return line if len(line) <= 60 else f"{line[:57]}..."

    def is_a(self, *kinds: str) -> bool:
        """Return whether it is of one of the kinds of the vocabulary."""
        return any(kind in vocabulary.kinds(tuple(self.words)) for kind in kinds)


def _is_argument(command: Node, node: Node) -> bool:
    return node in command.children_by_field_name("argument")


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all below it, in order."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += reversed(one.children)


def text_of(node: Node) -> str:
    """Return the text of a node."""
    return (node.text or b"").decode(errors="replace")


def _unquoted(word: str) -> str:
    return word[1:-1] if word[:1] in ("'", '"') and word[-1:] == word[:1] and len(word) > 1 else word


def parents(node: Node) -> Iterator[Node]:
    """Yield what a node stands in, from the inside out."""
    while node.parent is not None:
        node = node.parent
        yield node


def condition(node: Node) -> list[Node]:
    """Return the parts of the condition of an ``if``, ``elif``, ``while`` or ``until``."""
    if node.type != "elif_clause":
        return node.children_by_field_name("condition")
    found = []
    for child in node.children[1:]:
        if child.type == "then":
            break
        found.append(child)
    return found


def is_condition(node: Node) -> bool:
    """Return whether the status of a node decides where a script goes on."""
    inner = node
    for outer in parents(node):
        if outer.type in _CONDITIONS and inner in condition(outer):
            return True
        if outer.type in ("function_definition", "command_substitution"):
            return False
        inner = outer
    return False


def substitution(node: Node) -> Node | None:
    """Return the ``$(…)`` that a node stands in."""
    return next((one for one in parents(node) if one.type == "command_substitution"), None)


def assigned(node: Node) -> str:
    """Return the variable that takes what a ``$(…)`` prints; empty when none does."""
    for outer in parents(node):
        if outer.type == "variable_assignment":
            name = outer.child_by_field_name("name")
            return text_of(name) if name else ""
        if outer.type not in ("string", "concatenation", "array"):
            return ""
    return ""


def last_commands(node: Node) -> list[Command]:
    """Return the commands whose status is that of a node: of a list, its two ends."""
    if node.type in ("command", "test_command"):
        return [Command(node)]
    if node.type in ("list", "pipeline", "redirected_statement", "negated_command"):
        named = [one for one in node.named_children if one.type not in ("comment", "file_redirect")]
        named = [one for one in named if not one.type.startswith("here")]
        if node.type == "pipeline":
            return [command for one in named for command in last_commands(one)]
        if node.type == "list":
            return [command for one in (named[0], named[-1]) for command in last_commands(one)]
        return last_commands(named[0]) if named else []
    if node.type in ("compound_statement", "subshell"):
        named = statements(node)
        return last_commands(named[-1]) if named else []
    return []


def statements(node: Node) -> list[Node]:
    """Return the statements of a script, a group or a branch."""
    return [one for one in node.named_children if one.type != "comment"]


def following(node: Node) -> list[Node]:
    """Return the statements after a node, in what it stands in and in all around that, up to its function."""
    found: list[Node] = []
    inner = node
    for outer in parents(node):
        if outer.type in _BLOCKS:
            after = [one for one in outer.named_children if one.start_byte >= inner.end_byte]
            found += [one for one in after if one.type not in ("comment", "else_clause", "elif_clause")]
        if outer.type == "function_definition":
            break
        inner = outer
    return found


def operator(node: Node) -> str:
    """Return what joins the two sides of a list: ``&&`` or ``||``."""
    return next((one.type for one in node.children if one.type in ("&&", "||")), "")


def branch(node: Node) -> list[Node]:
    """Return the statements of the first branch of an ``if`` or an ``elif``, or of an ``else``."""
    found, begun = [], node.type == "else_clause"
    for child in node.children:
        if child.type == "then":
            begun = True
        elif begun and child.type in ("elif_clause", "else_clause", "fi"):
            break
        elif begun and child.is_named and child.type != "comment":
            found.append(child)
    return found


def says_no(words: list[str]) -> bool:
    """Return whether the words of a command end a script with a failure."""
    return words[:1] in _NO and words[1:2] != ["0"]


def leaves(node: Node) -> bool:
    """Return whether something in a node ends the script, says no, or remembers a status for later."""
    for one in walk(node):
        if one.type == "command" and says_no(Command(one).words):
            return True
        if one.type in ("variable_assignment", "postfix_expression"):
            return True
        if one.type == "binary_expression" and one.parent and one.parent.type == "compound_statement":
            return True
        if one.type == "file_redirect" and re.search("GITHUB_(OUTPUT|ENV)", text_of(one)):
            return True
    return False
