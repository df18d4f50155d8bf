"""
How Sphinx makes the manual: C{python -m sphinx -nW docs docs/html}.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.parsers.rst.states import Inliner
from pygments.lexer import RegexLexer, bygroups
from pygments.token import Generic
from sphinx.application import Sphinx

_ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(_ROOT), str(_ROOT / "docs")]

# These are the ones of this source, whatever else is installed.
from drawings import DRAWINGS  # noqa: E402

import txcarp  # noqa: E402

project = "txcarp"
author = "the authors of txcarp"
version = release = txcarp.__version__
extensions = ["sphinx.ext.autosectionlabel"]
autosectionlabel_prefix_document = True
exclude_patterns = ["html"]
smartquotes = False
highlight_language = "none"

html_theme = "furo"
html_title = f"txcarp {version}"
html_static_path = ["static"]
html_css_files = ["manual.css"]
html_show_sphinx = html_show_copyright = False
html_copy_source = False


class Transcript(RegexLexer):
    """
    Commands behind a prompt, which may begin with the name of a host, and what they print.
    """

    name = "transcript"
    tokens = {  # noqa: RUF012 (as pygments wants it)
        "root": [
            (r"^([a-z]*[#$] )((?:.*\\\n)*.*\n)", bygroups(Generic.Prompt, Generic.Strong)),
            (r".*\n", Generic.Output),
        ]
    }


#: How the languages of blocks are told apart.
_LANGUAGES = (
    ("toml", r"(?m)^\[+(group|defaults|daemon|sync)\b"),
    ("python", r"(?m)^(@\w+|(from|import|class|def|async def) .*|for .*:)$"),
    ("console", r"\A[$#] "),
)


def _coloured(app: Sphinx, document: nodes.document) -> None:
    """
    Find out the languages of blocks, so that chapters need not say them.
    """
    for block in document.findall(nodes.literal_block):
        for language, pattern in _LANGUAGES:
            if "language" not in block and re.search(pattern, block.astext()):
                block["language"], block["force"] = language, True


def _anchored(app: Sphinx, document: nodes.document) -> None:
    """
    Give the terms of references, such as options and keys, anchors for links from elsewhere.
    """
    taken = set(document.ids)
    for term in document.findall(nodes.term):
        text = term.astext()
        option = re.search(r"--([a-z-]+)", text)
        name = option[1] if option else nodes.make_id(text.partition(",")[0])
        if isinstance(term.children[0], nodes.literal) and name and name not in taken:
            taken.add(name)
            term["ids"].append(name)


class Drawing(Directive):
    """
    C{.. drawing:: NAME}: a drawing of C{drawings.py}, with a caption.
    """

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """
        The figure.
        """
        name = self.arguments[0]
        if name not in DRAWINGS:
            raise self.error(f"there is no drawing {name!r}, but {', '.join(DRAWINGS)}")
        figure = nodes.container(classes=["drawing"])
        figure += nodes.raw("", DRAWINGS[name], format="html")
        self.state.nested_parse(self.content, self.content_offset, figure)
        return [figure]


def _documented(
    name: str, rawtext: str, text: str, lineno: int, inliner: Inliner, *rest: object
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """
    The role C{api}: a public name, as a link to its page among those that pydoctor writes into
    C{docs/html/api}; with the tag C{noapi} there are no such pages.
    """
    thing = getattr(txcarp, text.partition(".")[0], None)
    if thing is None:
        problem = inliner.reporter.error(f"txcarp.{text} is not public", line=lineno)
        return [inliner.problematic(rawtext, rawtext, problem)], [problem]
    if "noapi" in tags:  # noqa: F821  (Sphinx's)
        return [nodes.literal("", text)], []
    kind, dot, attribute = text.partition(".")
    page = f"api/{thing.__module__}.{kind}.html" + f"#{attribute}" * bool(dot)
    return [nodes.reference(rawtext, "", nodes.literal("", text), refuri=page)], []


def setup(app: Sphinx) -> None:
    """
    What is ours.
    """
    app.add_lexer("console", Transcript)
    app.connect("doctree-read", _coloured)
    app.connect("doctree-read", _anchored)
    app.add_directive("drawing", Drawing)
    app.add_role("api", _documented)
