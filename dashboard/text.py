"""Text that somebody else wrote, made to stand in Markdown as the characters that it consists of."""

import re

_MARKUP = re.compile(r"([\\`*\[\]<>$~#|!&]|(?<=\])\(|(?<!\w)_|_(?!\w)|^[-+=](?!\w)|(?<=^\d)[.)]|(?<=^\d\d)[.)])")
# Streamlit looks for icons, emoji, colours and addresses in the finished text, where an escape no longer shows: only a
# character in between (an invisible one) keeps them apart.
_FOUND_LATER = re.compile(r"(:(?=[\w/+-])|@|www(?=\.))")
_JOINER = "\u2060"


def plain(text: object, limit: int = 400) -> str:
    """One line without markup: no links, pictures, formulas or colours, and no longer than `limit` characters.

    Underscores inside a word stay as they are: Markdown gives them no meaning there.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    if len(line) > limit:
        line = line[: limit - 1] + "…"
    return _MARKUP.sub(r"\\\1", _FOUND_LATER.sub(rf"\1{_JOINER}", line))
