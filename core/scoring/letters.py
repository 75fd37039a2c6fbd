"""The option that an answer names, by layers: what is more explicit wins, and a capital in prose is no option.

`explicit_letter` reads a letter alone, a box, a statement ("the answer is B") and a letter at the start;
`likely_letter` a letter in the place of an answer ("so B", "B is correct"), the only option whose text or number
occurs, then a letter in brackets. Names of points, shapes and blood groups, and the word "A", are in no such place.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_uppercase

from core.scoring.numbers import number_of, numbers_in, whole_number
from core.scoring.readings import BOXED, STATED, WHOLE, Reading, bare, boxed, pieces, spaced, unwrapped

# ------------------------------------------------------------------------------------------------ the words around

_NOUNS = "one|statement|option|choice|letter|description|caption|figure|image|picture|piece|pattern|response|answer"
_KEYWORD = re.compile(
    r"(?i:\b(?:answer|option|choice|respuesta|réponse|antwort|risposta|resposta"
    r"|(?:correct|right|best|missing|matching|appropriate) (?!angle|triangle|side|hand|arm|edge|end|eye)[a-z]{2,14})"
    r"\b(?: [a-z']{1,12}){0,6}? ?(?P<verb>\bis\b|\b(?:would|should|must|will) be\b|\b(?:es|est|ist)\b|:|=|→"
    r"|\n(?=[(\[]?[A-Z][)\].:]{0,2}(?:\n|$))))"
    r"|(?:答案|正解|答え|解答|回答|正答|정답|답안|답|(?:正确|正確)的?(?:选项|選項)|(?:正确|正確)的?是|选项是|選択肢は)"
    r"\s?(?:应该|應該|应|應)?】?(?:是|为|為|选择?|選擇?|:|は|が|은|는)?:?"
    r"|(?<![不没非])(?:故选|应选|应该选|所以选|因此选|选择|選擇|选|選)(?![项項择擇]):?"
)
_FILLER = re.compile(
    r"(?:[ :\"'\n“‘「『]|\\boxed\{|选项|選項|選択肢|보기"
    r"|(?i:the|option|choice|letter|answer|most|likely|probably|clearly|definitely|therefore|thus|simply)\b){0,8}"
)
# "A cat" has an article, "A because it is red" an option; inside a sentence ("is A") it is never an article
_ARTICLE = re.compile(
    r"A(?= [a-z])(?! (?:because|since|as|or|and|but|is (?:the )?(?:correct|right|true|answer|best))\b)"
)
_DENIED = re.compile(
    r"(?:(?:\bnot|n't|\bnor|\bthan|\binstead of|\bexcept|\beliminated?|\bexcluded?|\bconsider)(?: the)?"
    r"(?: option| choice| answer)?|[不非没]是?(?:选项?|選項?)?)[ (\[]*$"
)
_RIGHT = (
    r" (?:is|was|seems|looks|appears|must be|should be|would be|has to be)"
    r"(?: (?:to be|clearly|definitely|most|likely|probably|therefore|thus|indeed|also|the|only|best|my)){0,4}"
    r" (?:(?:correct|right|true|best|accurate|appropriate|suitable|plausible)"
    r"(?! (?:of|next|above|below|beside|there|in front|angle|triangle|side)\b|-)|answer\b|option\b|choice\b)"
    r"| (?:fits|matches|works)\b"
)
_REASON = (
    r",? (?:because|since|as (?:the (?:correct|right|best|final)|it|they|shown)|which|rather|instead|over|not|here"
    r"|for|based|due|given|I)\b"
)
_END = r"\s*(?:$|\n|[.,;:!。，；、)\]<—–]|[^\x00-\x7f])"
_AS_ANSWER = (
    r"\b(?:pick|choos(?:e|ing)|chose|select(?:ed|ing)?|tak(?:e|ing)|go(?:ing)?|guess|say|prefer|vote|opt|settle|mark|tick"
    r"|conclude|corresponds?|match(?:es)?|leaves|leaving|think|believe)"
    r"(?: (?:that|with|for|on|the|it is|option|choice|answer|letter|is|only|us|me|to|be)){0,4}:? "
    rf"|\b(?:it|this|that|which|correct|right|best|{_NOUNS}|mine)"
    r"(?:'s| is| was| must be| should be| would be| will be| can only be| could only be| has to be| seems to be)"
    r"(?: (?:the|option|choice|answer|clearly|likely|most|probably|definitely|therefore|thus|letter|simply)){0,4}:? "
    r"|(?:\b(?:so|thus|hence|therefore|then|but|ergo|finally)\b|=>|⇒|→|->|∴|ではなく、?|而是|[이가] 아니라)[,:]? ?"
    r"(?:(?:option|choice|the answer is|it is|it's) ){0,2}"
)
_NAMED = re.compile(  # what is in brackets after these names a thing
    r"\b(?:points?|vertex|vertices|lines?|segments?|rays?|angles?|sides?|edges?|arcs?|circles?|triangles?|squares?|regions?"
    r"|areas?|figures?|fig\.?|panels?|diagrams?|graphs?|charts?|images?|pictures?|parts?|shapes?|curves?|blocks?|box(?:es)?"
    r"|objects?|types?|groups?|class|grades?|teams?|players?|persons?|rooms?|steps?|equations?|eq\.?|tables?|labell?ed"
    r"|named|called|marked|at|through|from|to|between|of|with|statement) [(\[]?$",
    re.I,
)


@dataclass(frozen=True)
class _Patterns:
    """What depends on the letters of the options."""

    whole: re.Pattern[str]
    in_box: re.Pattern[str]
    at_end: re.Pattern[str]
    spoken: re.Pattern[str]
    mark: re.Pattern[str]
    first_line: re.Pattern[str]
    placed: tuple[re.Pattern[str], ...]
    bracketed: re.Pattern[str]
    pair: re.Pattern[str]
    single: re.Pattern[str]


@lru_cache(maxsize=64)
def _patterns(letters: str) -> _Patterns:
    both = letters + letters.lower()
    letter = rf"(?:[(\[]([{both}])[)\]]|(?!I)([{letters}])(?![A-Za-z0-9]|['’-]\w))"
    one = rf"\(?[{letters}]\)?(?![A-Za-z0-9])"
    join = (
        r"(?:,? \(?(?:or|and|&)(?: possibly| maybe| perhaps)? (?:option )?| ?[/、或和与與과와か] ?|(?:또는| 또는) "
        rf"|, ?(?=(?:or |and )?{one}(?:,| and| or|\.?$|\.?\n)))"
    )
    return _Patterns(
        whole=re.compile(rf"[(\[{{<【]? ?([{both}]) ?[)\]}}>】]?[.:,)!。、]*(?:です|입니다|이다|번)?"),
        in_box=re.compile(
            r"(?:(?i:the |correct |final |option |choice |answer |is |letter |answer: ?){1,5}|选项|選項|选|選)?"
            rf"(?:[(\[] ?([{both}]) ?[)\]]|([{letters}])(?: ?[.):、]| (?=[\d$\\])|(?={_RIGHT})|项|項|$))[.:]?(.*)"
        ),
        at_end=re.compile(rf"[^\\()]{{1,80}} [(\[]([{letters}])[)\]]"),
        # lower case only in brackets, or at the end of a line: elsewhere it is a word
        spoken=re.compile(
            rf"(?:[(\[{{【] ?([{both}]) ?[)\]}}】]|([{letters}])(?![A-Za-z0-9?]|['’]\w| ?=|"
            r" (?:is|are|lies|has|meets|denotes)(?! (?:the )?(?:correct|right|true|answer|best)))"
            rf"|(?!a)([{letters.lower()}])(?=[.!]?(?:\n|$)))(?!\s?(?:不|错|錯|では|じゃ|[가이] ?아니|は間違))"
        ),
        mark=re.compile(rf"(?:^|(?<=\s))\(?([{both}])(?:(?<=[A-Z])[.:、]\)?|\))(?= \S|[^\x00-\x7f]|\d)", re.M),
        first_line=re.compile(rf"(?:[(\[]?([{letters}])[)\]]?[.:]?\n|([{letters}])(?: \(| [–—] |。))"),
        placed=(
            re.compile(rf"(?i:{_AS_ANSWER}){letter}(?={_END}|{_REASON}|{_RIGHT})"),
            re.compile(
                r"(?:^|(?<=[\n.!?;:。])|(?<=[.!?;:,] )|\b(?:and|only|that|but|so) )(?i:(?:option|choice|answer) )?"
                rf"{letter}(?={_REASON}|{_RIGHT})",
            ),
            re.compile(
                rf"(?:^|(?<=\n)|(?i:\b(?:is|be|to|match|matches|with|select|choose|pick)) |(?<=[,:(→]) ?)"
                rf"(?i:option|choice|answer) {letter}(?=\s*(?:$|\n|[.,;!。)\]<]))"
            ),
            re.compile(
                rf"{letter}(?:选项|選項|项|項)?\s?(?:是|为|為)?(?:正确|正確|对的|對的|正解|答案)"
                rf"|{letter}[がは](?:正解|正しい|正答|答え)|{letter}(?:번|이|가|은|는)? ?(?:정답|맞|옳)"
            ),
        ),
        bracketed=re.compile(
            rf"(?<![A-Za-z0-9])[(\[]([{both}])[)\]](?! (?:is|was|seems) (?:not|wrong|incorrect|false|out|too)\b)"
        ),
        pair=re.compile(rf"(?<![A-Za-z0-9]){one}(?:{join}{one})+"),
        single=re.compile(rf"(?<![A-Za-z])[{letters}](?![A-Za-z])"),
    )


# ------------------------------------------------------------------------------------------------ reading


def letters_of(n_choices: int, last: str = "J") -> str:
    """The letters of so many options; of options that stand inside the question, A to `last`.

    Ten, because the widest public sets have ten (MMLU-Pro); a letter beyond is no option.
    """
    return ascii_uppercase[: n_choices or ascii_uppercase.index(last) + 1]


def read_letter(text: str, choices: Sequence[str] = (), last: str = "J") -> Reading | None:
    """The option that an answer names, or None: nothing, or more than one option as the answer.

    Args:
        text: a `plain` text.
        choices: the texts of the options, where they are known.
        last: the last letter, where they are not.
    """
    found = explicit_letter(text, choices, last) or likely_letter(text, choices, last)
    return found if found and found.value else None


def explicit_letter(text: str, choices: Sequence[str] = (), last: str = "J") -> Reading | None:
    """What an answer says outright; a value of "" if that is no option, or more than one. None: it says nothing."""
    letters = letters_of(len(choices), last)
    patterns = _patterns(letters)
    box = boxed(text)
    for whole in [*([box] if box else []), Reading(text, WHOLE)]:
        if found := patterns.whole.fullmatch(bare(whole.value)):
            rule = {WHOLE: "the letter alone", BOXED: f"the letter {BOXED}"}.get(whole.rule, STATED)
            return Reading(found[1].upper(), rule)
        if letter := _option_with_text(bare(whole.value), choices):
            return Reading(letter, f"the text of the option {whole.rule}".strip())
    if box and (letter := _letter_and_text(spaced(box.value), patterns)):
        return Reading(letter, f"the letter {BOXED}" if box.rule == BOXED else STATED)
    text = unwrapped(text)
    said = _stated_letter(text, patterns)
    if said is not None or box:  # a box is the answer, even where it holds no option
        return Reading(said or "", STATED)
    marks = [m for m in patterns.mark.finditer(text) if not _DENIED.search(text[max(0, m.start() - 30) : m.start()])]
    listed = "".join(dict.fromkeys(m[1].upper() for m in marks))
    at_start = marks[0].start() == 0 if marks else False
    if at_start and (len(listed) == 1 or (listed[0] != letters[0] and listed not in letters)):
        return Reading(listed[0], "the letter at the start")
    if not marks or len(listed) == 1:
        found = patterns.first_line.match(text)
        if found and not _in_pair(text, found.start(found.lastindex or 0), patterns):
            return Reading(found[found.lastindex or 0], "the letter at the start")
    return None


def likely_letter(text: str, choices: Sequence[str] = (), last: str = "J") -> Reading | None:
    """What an answer that says nothing outright points to; a value of "" if that is more than one option."""
    letters = letters_of(len(choices), last)
    patterns = _patterns(letters)
    text = unwrapped(text)
    marks = list(patterns.mark.finditer(text))
    if len({m[1].upper() for m in marks}) > 1 and marks[0][1].upper() == letters[0]:  # the options, said again
        for m in marks:
            text = text[: m.start()] + "·" * len(m[0]) + text[m.end() :]
    places = patterns.placed[: 3 if text.isascii() else 4] if patterns.single.search(text) else ()
    placed = [m for pattern in places for m in pattern.finditer(text)]
    for found in sorted(placed, key=lambda m: -m.start(m.lastindex or 0)):
        at = found.start(found.lastindex or 0)
        if _DENIED.search(text[max(0, at - 30) : at]) or _ARTICLE.match(text, at):
            continue
        return _standing(text, at, patterns)
    if letter := _option_by_number(text, choices) if _are_numbers(tuple(choices)) else _option_within(text, choices):
        return Reading(letter, "the only option whose text occurs")
    for found in reversed(list(patterns.bracketed.finditer(text))):
        before = text[max(0, found.start() - 30) : found.start()]
        if not _DENIED.search(before) and not _NAMED.search(before):
            return _standing(text, found.start(1), patterns)
    return None


def _standing(text: str, at: int, patterns: _Patterns) -> Reading:
    rule = "the last letter in brackets" if text[at - 1 : at] in ("(", "[") else "the last letter standing alone"
    return Reading("" if _in_pair(text, at, patterns) else text[at].upper(), rule)


def _letter_and_text(value: str, patterns: _Patterns) -> str:
    """The letter of a box such as "(B) 12", "Option B", "12 (B)" or "the answer is B"; "" if none or several."""
    if len({m[1].upper() for m in patterns.mark.finditer(value)}) > 1:
        return ""
    found = patterns.in_box.match(value)
    if found and not re.match(rf"\W*(?:or|and|,|/|或|和) ?{patterns.single.pattern}", found[3]):
        return (found[1] or found[2]).upper()
    if found := patterns.at_end.fullmatch(value):
        return found[1]
    return _stated_letter(value, patterns) or ""


def _stated_letter(text: str, patterns: _Patterns) -> str | None:
    """What is stated last; "" if more than one option is, None if none is."""
    for keyword in reversed(list(_KEYWORD.finditer(text))):
        filler = _FILLER.match(text, keyword.end())
        at = filler.end() if filler else keyword.end()
        found = patterns.spoken.match(text, at)
        if not found or ((keyword["verb"] or "").lower() in (":", "=") and _ARTICLE.match(text, at)):
            continue
        return "" if _in_pair(text, found.start(), patterns) else found[found.lastindex or 0].upper()
    return None


def _in_pair(text: str, at: int, patterns: _Patterns) -> bool:
    """Is the letter at a place one of several that are offered together: "A or B", "A/B", "A, B and C"?"""
    around = text[max(0, at - 40) : at + 40]
    place = at - max(0, at - 40)
    spans = (m for m in patterns.pair.finditer(around) if m.start() <= place < m.end())
    return any(len(set(patterns.single.findall(m[0]))) > 1 for m in spans)


# ------------------------------------------------------------------------------------------------ texts of options


def _option_with_text(text: str, choices: Sequence[str]) -> str:
    """The letter of the only option with exactly this text."""
    same = [i for i, c in enumerate(choices) if text and bare(c).casefold() == text.casefold()]
    return ascii_uppercase[same[0]] if len(same) == 1 and same[0] < 26 else ""


def _option_within(text: str, choices: Sequence[str]) -> str:
    """The letter of the only option whose text occurs as words; longest first, so "light blue" is not also "blue"."""
    if any(re.fullmatch("[A-Za-z]", bare(choice)) for choice in choices):
        return ""  # a letter is found in any text
    text, found = text.casefold(), []
    for i in sorted(range(len(choices)), key=lambda i: -len(choices[i])):
        option = bare(choices[i]).casefold()
        if not option:
            continue
        # no part of a word, nor of a number: 5 does not occur in -5, 0.5 or 5.2
        start = r"(?<![\w.,-])" if option[0].isdigit() else r"(?<!\w)"
        pattern = re.compile(start + re.escape(option) + r"(?!\w|[.,:/]\d)")
        if pattern.search(text):
            found.append(i)
            twins = [k for k, c in enumerate(choices) if k != i and bare(c).casefold() == option]
            found += twins
            text = pattern.sub("\x00", text)
    return ascii_uppercase[found[0]] if len(found) == 1 and found[0] < 26 else ""


@lru_cache(maxsize=256)
def _are_numbers(choices: tuple[str, ...]) -> bool:
    return bool(choices) and all(re.fullmatch(r"\$?[-+−]?[\d.,]+ ?%?\$?", c.strip()) for c in choices)


def _option_by_number(text: str, choices: Sequence[str]) -> str:
    """The letter of the option whose number is stated, else of the only one whose number occurs for itself."""
    golds = [gold.value if (gold := whole_number(choice)) else None for choice in choices]
    said = [n for p in pieces(text) if p.rule in (BOXED, STATED) and (n := number_of(p))]
    numbers = said[0][:1] if said else [number for line in text.split("\n") for number in numbers_in(line)]
    values = {n.value for n in numbers}
    same = [i for i, value in enumerate(golds) if value in values]
    return ascii_uppercase[same[0]] if len(same) == 1 and same[0] < 26 else ""
