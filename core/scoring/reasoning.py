"""Reasoning in front of an answer, in the tags of the models that write it; what follows it is the answer."""

import re

_NAMES = (
    r"think(?:ing)?|thoughts?|reason(?:ing)?(?:_process)?|analysis|rationale|reflect(?:ion)?|scratch_?pad"
    r"|(?:inner_)?monologue|cot|chain_of_thought"
)
_TAG = re.compile(
    # <think>, </thinking>, <seed:think>, [THINK], ◁/think▷, <|begin_of_thought|>, <|END_THINKING|>, <|thinking_end|>
    rf"[<\[◁]\|?(?P<end>/|end_(?:of_)?)?(?:(?:begin|start)_(?:of_)?)?(?:[a-z0-9]{{1,12}}[:_]|ant)?(?P<name>{_NAMES})"
    r"(?:(?P<ended>_end)|_(?:start|begin))?(?: [^<>\n]{0,80})?\|?[>\]▷]"
    # channels: <|channel>thought ... <channel|>, <|channel|>analysis<|message|> ... <|channel|>final<|message|>
    r"|(?P<open><\|?channel\|?>\s?(?:thought|analysis|commentary)|<unused94>|<\|im_start\|>think"
    r"|\bHere is my thought process:)"
    r"|(?P<close><channel\|>|<\|channel\|>\s?final|<unused95>|<\|im_start\|>answer|\bHere is my response:)",
    re.I,
)
_ANSWER = re.compile(r"<answer>((?:(?!<answer>).){1,2000})</answer>\s*$", re.I | re.S)
_HINT = re.compile("[<\\[◁]|Here is my")
_BARE = re.compile(r"analysis(?=[A-Z\"'])")  # channels whose special tokens were left out


def without_reasoning(text: str) -> str:
    """What an answer says outside its reasoning; nothing where the reasoning never ends.

    The opening tag is often part of the prompt: what follows a closing one alone is the answer, too. Reasoning that
    was not closed and yet ends in <answer>...</answer> has an answer.
    """
    if _BARE.match(text):
        return text.partition("assistantfinal")[2]
    if not _HINT.search(text):
        return text
    kept: list[str] = []
    within: list[str] = []  # names of the tags that are open
    at = 0
    for tag in _TAG.finditer(text):
        name = (tag["name"] or "channel").lower()[:6]
        if name.startswith(("think", "though")):
            name = "think"
        if tag[0][0] == "[" and not tag[0].isupper():
            continue  # a heading in brackets
        if tag["end"] or tag["ended"] or tag["close"]:
            if not within:
                kept.clear()
            del within[within.index(name) if name in within else 0 if len(within) == 1 else len(within) :]
            at = tag.end() if not within else at
        elif name not in within:
            if not within:
                kept.append(text[at : tag.start()])
                at = tag.start()
            within.append(name)
    if within:
        answer = _ANSWER.search(text, at) if text.rstrip().lower().endswith("</answer>") else None
        kept.append(answer[0] if answer else "")
    else:
        kept.append(text[at:])
    return " ".join(kept)
