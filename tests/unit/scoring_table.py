"""Answers judged by hand: what each metric must make of them, and by which rule.

Each row was judged by reading it as a teacher would, before any code saw it. Its columns: the gold answer, the answer,
the outcome and the rule.
"""

from core.records.gold import Gold

Row = tuple[Gold | str, str, str, str]

COLOURS = ("red", "blue", "light blue", "green")
LENGTHS = ("10", "12", "14", "16")
BEINGS = ("A cat", "A dog", "A man", "A woman")
SURDS = ("$2\\sqrt{3}$", "$3\\sqrt{2}$", "$\\frac{1}{2}$", "$6$")


def of(answer: str, *choices: str) -> Gold:
    return Gold(answer, choices)


def said(*answers: str) -> Gold:
    """Ten annotators, the last answer repeated."""
    return Gold(answers[0], accepted=answers + answers[-1:] * (10 - len(answers)))


def to(precision: int, answer: str) -> Gold:
    return Gold(answer, precision=precision)


ALONE, BOX, STATED = "the letter alone", "the letter in \\boxed{}", "stated as the answer"
START, BRACKET, STANDING = "the letter at the start", "the last letter in brackets", "the last letter standing alone"
TEXT, TEXT_BOX = "the text of the option", "the text of the option in \\boxed{}"
WITHIN = "the only option whose text occurs"
NO_LETTER = "no option, or more than one, could be read"
EMPTY, REASONING = "nothing was answered", "reasoning without an answer"


def other(how: str) -> str:
    return f"another option ({how})"


LETTERS: list[Row] = [
    # one letter, however it is written
    ("B", "B", "correct", ALONE),
    ("B", "b", "correct", ALONE),
    ("B", "(B)", "correct", ALONE),
    ("B", "B)", "correct", ALONE),
    ("B", "B.", "correct", ALONE),
    ("B", "B:", "correct", ALONE),
    ("B", "[B]", "correct", ALONE),
    ("B", "(b)", "correct", ALONE),
    ("B", "**B**", "correct", ALONE),
    ("B", "*B*", "correct", ALONE),
    ("B", '"B"', "correct", ALONE),
    ("B", " \n B \n", "correct", ALONE),
    ("B", "$B$", "correct", ALONE),
    ("B", "\\(\\text{B}\\)", "correct", ALONE),
    ("B", "C", "wrong", other(ALONE)),
    ("A", "a", "correct", ALONE),
    # boxes
    ("B", "\\boxed{B}", "correct", BOX),
    ("B", "Step by step, A fails. Thus \\boxed{\\text{B}}.", "correct", BOX),
    ("B", "So (A) is out and \\boxed{(C)}", "wrong", other(BOX)),
    (of("B", *LENGTHS), "Hence the length is \\boxed{12}", "correct", TEXT_BOX),
    (of("B", *LENGTHS), "Hence (A) is the length \\boxed{13}", "unparsable", NO_LETTER),
    (of("B", *LENGTHS), "\\boxed{13}. The answer is B", "correct", STATED),
    # statements
    ("B", "The answer is B.", "correct", STATED),
    ("B", "Answer: B", "correct", STATED),
    ("B", "answer = (B)", "correct", STATED),
    ("B", "The correct option is B because A is false", "correct", STATED),
    ("B", "A cat is on the mat so the answer is B", "correct", STATED),
    ("B", "The answer is A. Wait, no: the answer is B.", "correct", STATED),
    ("B", "The final answer is **B**.", "correct", STATED),
    ("B", "The answer to this question is option B", "correct", STATED),
    ("B", "The answer is (b), since the sky is blue", "correct", STATED),
    ("B", "I think the answer is b.", "correct", STATED),
    ("A", "The answer is A because the rest is false", "correct", STATED),
    ("A", "The answer is B, not A", "wrong", other(STATED)),
    ("B", "Correct choice: B, as shown", "correct", STATED),
    ("B", "A. 3\nB. 4\nAnswer: B", "correct", STATED),
    ("B", "The answer is not B", "unparsable", NO_LETTER),
    ("A", "The answer is a cat", "unparsable", NO_LETTER),
    (of("B", *BEINGS), "Answer: A dog", "correct", WITHIN),
    ("A", "The answer is A or B", "unparsable", NO_LETTER),
    ("A", "The answer is A, B and C.", "unparsable", NO_LETTER),
    ("A", "The answer is A/B", "unparsable", NO_LETTER),
    ("C", "It is either A or B. No, the answer is C.", "correct", STATED),
    ("B", "the answer is $\\boxed{B}$ and that is it", "correct", BOX),
    ("B", "The answer is \\(B\\).", "correct", STATED),
    # a letter at the start
    ("B", "B. 12", "correct", START),
    ("B", "B) the dog", "correct", START),
    ("B", "(B) the dog", "correct", START),
    ("B", "B: the dog", "correct", START),
    ("B", "b) the dog", "correct", START),
    ("B", "A. 12", "wrong", other(START)),
    (of("B", *LENGTHS), "B. 10", "correct", START),  # the letter was asked for
    # options said again, without an answer
    ("B", "A. 3\nB. 4\nC. 5", "unparsable", NO_LETTER),
    (of("B", *COLOURS), "(A) red (B) blue (C) light blue (D) green", "unparsable", NO_LETTER),
    ("B", "(A) 3 (B) 4 so I take B", "correct", STANDING),
    ("C", "A. 3\nB. 4\nC. 5\nIt must be (C)", "correct", BRACKET),
    # brackets and capitals
    ("B", "I would pick (B) here", "correct", BRACKET),
    ("C", "First (B) seemed fine, but (C) fits", "correct", BRACKET),
    ("B", "Option B", "correct", STANDING),
    ("B", "Option B is correct.", "correct", STANDING),
    ("B", "B is right", "correct", STANDING),
    ("A", "A is correct.", "correct", STANDING),
    ("A", "A because it is red", "correct", STANDING),
    ("B", "It should be B, not A", "correct", STANDING),
    ("B", "B rather than A", "correct", STANDING),
    ("B", "B, I think", "correct", STANDING),
    ("C", "A and B are both false, so C", "correct", STANDING),
    ("A", "A or B", "unparsable", NO_LETTER),
    ("B", "A and B", "unparsable", NO_LETTER),
    ("A", "A cat", "unparsable", NO_LETTER),
    ("A", "A man is on the left", "unparsable", NO_LETTER),
    ("I", "I do not know", "unparsable", NO_LETTER),
    ("I", "I", "correct", ALONE),
    ("I", "The answer is I.", "correct", STATED),
    ("B", "It isn't B", "unparsable", NO_LETTER),
    # texts of options
    (of("B", *COLOURS), "blue", "correct", TEXT),
    (of("B", *COLOURS), "Blue.", "correct", TEXT),
    (of("C", *COLOURS), "The car is light blue.", "correct", WITHIN),
    (of("B", *COLOURS), "The car is light blue.", "wrong", other(WITHIN)),
    (of("B", *COLOURS), "Some red and some blue", "unparsable", NO_LETTER),
    (of("A", *COLOURS), "It was covered", "unparsable", NO_LETTER),
    (of("B", *BEINGS), "A dog", "correct", TEXT),
    (of("A", *BEINGS), "A dog", "wrong", other(TEXT)),
    (of("C", *BEINGS), "There is a man on the left", "correct", WITHIN),
    (of("B", *LENGTHS), "The length is 12 cm", "correct", WITHIN),
    (of("B", *LENGTHS), "The length is 12.5", "unparsable", NO_LETTER),
    (of("B", *LENGTHS), "The length is -12", "unparsable", NO_LETTER),
    (of("A", "same", "same", "other"), "same", "unparsable", NO_LETTER),
    (of("blue", *COLOURS), "B", "correct", ALONE),  # the gold option by its text
    # a letter that is no option
    (of("B", *LENGTHS), "E", "unparsable", NO_LETTER),
    ("B", "E", "wrong", other(ALONE)),
    ("B", "Z", "unparsable", NO_LETTER),
    # nothing
    ("B", "I cannot see an image, so I cannot answer.", "unparsable", NO_LETTER),
    ("B", "Sorry, as an AI model I can't help with that.", "unparsable", NO_LETTER),
    ("B", "None of the above", "unparsable", NO_LETTER),
    ("B", "?", "unparsable", NO_LETTER),
    ("B", "", "empty", EMPTY),
    ("B", " \n\t ", "empty", EMPTY),
    # reasoning
    ("B", "<think>A? No, C.</think>B", "correct", ALONE),
    ("B", "Is it A? Hm.</think>\n\nThe answer is B", "correct", STATED),
    ("B", "<think>The answer is B, or", "unparsable", REASONING),
    ("B", "<think>A</think> <think>C</think> (B)", "correct", ALONE),
    ("B", "<think>B</think>", "unparsable", REASONING),
    ("C", "<think>x</think><answer>C</answer>", "correct", STATED),
]

SAME, WORDS = "the same text", "the same text but for case and punctuation"
ANOTHER = "another text"

CHOICE_OR_TEXT: list[Row] = [
    ("B", "The answer is B", "correct", STATED),
    ("B", "A", "wrong", other(ALONE)),
    ("B", "hm", "unparsable", NO_LETTER),
    ("Yes", "yes", "correct", WORDS),
    ("Yes", "Yes.", "correct", WORDS),
    ("3", "3", "correct", SAME),
    ("3", "3.", "correct", WORDS),
    ("3", "three", "wrong", ANOTHER),
    ("Stop sign", "stop sign", "correct", WORDS),
    ("Stop sign", "A stop sign", "wrong", ANOTHER),
    ("No", "The answer is no.", "correct", f"{WORDS} ({STATED})"),
    ("No", "", "empty", EMPTY),
    ("No", "<think>No", "unparsable", REASONING),
    (of("D", *COLOURS), "green", "correct", TEXT),
]

YES_NO: list[Row] = [
    ("yes", "yes", "correct", "the first word"),
    ("yes", "Yes.", "correct", "the first word"),
    ("yes", "Yes, there is a dog.", "correct", "the first word"),
    ("yes", "YES!", "correct", "the first word"),
    ("Yes", "**Yes**", "correct", "the first word"),
    ("no", "No, there is no dog.", "correct", "the first word"),
    ("no", "Yes, there is no dog.", "wrong", "the other one (the first word)"),
    ("no", "There is no dog in the picture.", "correct", "the only one of yes and no that occurs"),
    ("yes", "The dog is there, so yes.", "correct", "the only one of yes and no that occurs"),
    ("no", "I see no cat. The answer is no, not yes.", "correct", STATED),
    ("yes", "There is no doubt: the answer is yes.", "correct", STATED),
    ("yes", "The answer is: no", "wrong", f"the other one ({STATED})"),
    ("yes", "\\boxed{\\text{Yes}}", "correct", "in \\boxed{}"),
    ("yes", "Yes and no", "unparsable", "neither yes nor no could be read"),
    ("yes", "yes/no", "unparsable", "neither yes nor no could be read"),
    ("yes", "Yes or no? Hard to say.", "unparsable", "neither yes nor no could be read"),
    ("yes", "It says yes here and no there", "unparsable", "neither yes nor no could be read"),
    ("yes", "There is a dog.", "unparsable", "neither yes nor no could be read"),
    ("no", "I do not know.", "unparsable", "neither yes nor no could be read"),  # "not" and "know" are not "no"
    ("no", "Nothing", "unparsable", "neither yes nor no could be read"),
    ("yes", "yesterday", "unparsable", "neither yes nor no could be read"),
    ("yes", "", "empty", EMPTY),
    ("no", "<think>yes?</think>No", "correct", "the first word"),
    ("no", "<think>no", "unparsable", REASONING),
]

NUMBER, LAST = "the same number", "the last number"
IGNORED, AS_PERCENT = f"{NUMBER}, the percent sign left out", f"{NUMBER}, read as a percentage"
NEAR = "within 5 % of the gold number, not equal"
FAR = "more than 5 % off the gold number"
NO_NUMBER = "no number could be read"

RELAXED: list[Row] = [
    ("14", "14", "correct", NUMBER),
    ("14", "14.", "correct", NUMBER),
    ("14", "14.0", "correct", NUMBER),
    ("1000", "1,000", "correct", NUMBER),
    ("1,000", "1000", "correct", NUMBER),
    ("5", "$5", "correct", NUMBER),
    ("5", "5 dollars", "correct", NUMBER),
    ("5", "€ 5", "correct", NUMBER),
    ("2", "2%", "correct", IGNORED),
    ("2%", "2", "correct", IGNORED),
    ("2%", "0.02", "correct", AS_PERCENT),
    ("0.02", "2%", "correct", AS_PERCENT),
    ("2%", "2 percent", "correct", NUMBER),
    ("2%", "2 %", "correct", NUMBER),
    ("2010", "2011", "correct", NEAR),  # years pass, and the rule says how
    ("2010", "2010", "correct", NUMBER),
    ("100", "105", "correct", NEAR),
    ("100", "95", "correct", NEAR),
    ("100", "105.1", "wrong", FAR),
    ("100", "94.9", "wrong", FAR),
    ("-100", "-104", "correct", NEAR),
    ("-100", "100", "wrong", FAR),
    ("-5", "−5", "correct", NUMBER),
    ("0", "0.0", "correct", NUMBER),
    ("0", "0.01", "wrong", "another number"),
    ("0.5", "52%", "correct", f"{NEAR}, read as a percentage"),
    ("50", "52%", "correct", f"{NEAR}, the percent sign left out"),
    ("0.25", "1/4", "correct", NUMBER),
    ("14", "The value is 14", "correct", f"{NUMBER} ({LAST})"),
    ("14", "The answer is 14.", "correct", f"{NUMBER} ({STATED})"),
    ("14", "In 2010 it was 45", "wrong", f"{FAR} ({LAST})"),
    ("14", "14 million", "correct", NUMBER),
    ("14", "fourteen", "correct", NUMBER),
    ("14", "many", "unparsable", NO_NUMBER),
    ("14", "3-5", "unparsable", NO_NUMBER),
    ("14", "13 or 14", "unparsable", NO_NUMBER),
    ("14", "", "empty", EMPTY),
    ("3.5e3", "3500", "correct", NUMBER),
    ("1.2 × 10^3", "1,200", "correct", NUMBER),
    ("Yes", "Yes.", "correct", WORDS),
    ("Yes", "yes", "correct", WORDS),
    ("Yes", "No", "wrong", ANOTHER),
    ("Light blue", "light blue", "correct", WORDS),
    ("2010, 2012", "2010, 2012", "correct", SAME),
    ("18-29", "18-29", "correct", SAME),
    ("18-29", "18–28", "wrong", ANOTHER),
    ("No", "<think>no", "unparsable", REASONING),
]

NUMBERS: list[Row] = [
    ("7", "7", "correct", NUMBER),
    ("7", "8", "wrong", "another number"),
    ("7", "7.0", "correct", NUMBER),
    ("7", "7.4", "wrong", "another number"),
    ("7", "There are 7 apples", "correct", f"{NUMBER} ({LAST})"),
    ("7", "3 + 4 = 7", "correct", NUMBER),
    ("7", "There are 3 red and 4 blue ones, 7 in all", "correct", f"{NUMBER} ({LAST})"),
    ("7", "3 + 4", "unparsable", NO_NUMBER),
    ("7", "seven", "correct", NUMBER),
    ("7", "Seven.", "correct", NUMBER),
    ("7", "The answer is seven", "correct", f"{NUMBER} ({STATED})"),
    ("7", "There are seven ants", "unparsable", NO_NUMBER),  # "one" and the like are too often no numbers
    ("72", "#### 72", "correct", f"{NUMBER} ({STATED})"),
    ("72", "She sold 48.\nThen 24 more.\n#### 72", "correct", f"{NUMBER} ({STATED})"),
    ("72", "FINAL ANSWER: 72", "correct", f"{NUMBER} ({STATED})"),
    ("72", "FINAL ANSWER: $72", "correct", f"{NUMBER} ({STATED})"),
    ("72", "Final answer: 48 + 24 = 72 clips", "correct", f"{NUMBER} ({STATED})"),
    ("72", "It is \\boxed{72}, and 5 is not.", "correct", f"{NUMBER} (in \\boxed{{}})"),
    ("72", "\\boxed{71} no, \\boxed{72}", "correct", f"{NUMBER} (in \\boxed{{}})"),
    ("72", "\\boxed{72 \\text{ cm}}", "correct", f"{NUMBER} (in \\boxed{{}})"),
    ("72", "\\boxed{x = 72}", "correct", f"{NUMBER} (in \\boxed{{}})"),
    ("3", "\\boxed{2\\sqrt{3}}", "unparsable", NO_NUMBER),
    ("72", "48 and then 24.\nIn total 72 clips.", "correct", f"{NUMBER} ({LAST})"),
    ("72", "In total 72 clips.\nI hope this helps!", "correct", f"{NUMBER} ({LAST})"),
    ("24", "In total 72 clips, of them 48 in May", "wrong", f"another number ({LAST})"),
    ("1000", "1,000", "correct", NUMBER),
    ("1000", "1{,}000", "correct", NUMBER),
    ("1000", "1,00", "unparsable", NO_NUMBER),
    ("1234567", "1,234,567", "correct", NUMBER),
    ("-3", "-3", "correct", NUMBER),
    ("-3", "−3", "correct", NUMBER),
    ("-3", "3", "wrong", "another number"),
    ("0.5", "1/2", "correct", NUMBER),
    ("0.5", "\\frac{1}{2}", "correct", NUMBER),
    ("0.5", "$\\dfrac{1}{2}$", "correct", NUMBER),
    ("0.5", ".5", "correct", NUMBER),
    ("2.5", "2 1/2", "correct", NUMBER),
    ("2.5", "2\\frac{1}{2}", "correct", NUMBER),
    ("0.5", "1/0", "unparsable", NO_NUMBER),
    ("12", "12 cm", "correct", NUMBER),
    ("12", "12cm", "correct", NUMBER),
    ("12", "12 cm^2", "correct", NUMBER),
    ("12", "12 square units", "correct", NUMBER),
    ("12", "12°", "correct", NUMBER),
    ("12", "12^\\circ", "correct", NUMBER),
    ("12", "12 degrees", "correct", NUMBER),
    ("12", "12x", "unparsable", NO_NUMBER),
    ("12", "12 x", "unparsable", NO_NUMBER),
    ("12", "3 x 4 = 12", "correct", NUMBER),
    ("2", "x_2", "unparsable", NO_NUMBER),
    ("4", "(3, 4)", "unparsable", NO_NUMBER),
    ("35", "10:35", "unparsable", NO_NUMBER),
    ("20", "20%", "correct", IGNORED),
    ("0.2", "20%", "correct", AS_PERCENT),
    ("20%", "20%", "correct", NUMBER),
    ("1500", "1.5e3", "correct", NUMBER),
    ("1500", "1.5 \\times 10^{3}", "correct", NUMBER),
    ("2010", "2011", "wrong", "another number"),
    (to(1, "1.4"), "1.42", "correct", f"{NUMBER} to 1 decimal"),
    (to(1, "1.4"), "1.46", "wrong", "another number"),
    (to(2, "3.46"), "3.4641", "correct", f"{NUMBER} to 2 decimals"),
    (to(2, "0.33"), "1/3", "correct", f"{NUMBER} to 2 decimals"),
    (to(1, "1.5"), "1.5", "correct", NUMBER),
    (to(0, "7"), "7.4", "correct", f"{NUMBER} to 0 decimals"),
    ("7", "I cannot tell.", "unparsable", NO_NUMBER),
    ("7", "", "empty", EMPTY),
    ("7", "<think>3+4=7</think>It is 7.", "correct", f"{NUMBER} ({LAST})"),
    (Gold("7", accepted=("8",)), "8", "correct", NUMBER),
]

VALUE, OTHER_VALUE = "the same value", "another value"
BOXED = "in \\boxed{}"
NO_FORMULA = "no formula could be read"

MATH: list[Row] = [
    ("7", "7", "correct", SAME),
    ("7", "7.0", "correct", NUMBER),
    ("7", "8", "wrong", "another number"),
    ("7", "The answer is 7.", "correct", f"{SAME} ({STATED})"),
    ("7", "$x = 7$", "correct", NUMBER),
    ("7", "So there are 7 of them.", "correct", f"{NUMBER} ({LAST})"),
    ("7", "\\boxed{7}", "correct", f"{SAME} ({BOXED})"),
    ("7", "\\boxed{\\frac{14}{2}}", "correct", f"{NUMBER} ({BOXED})"),
    ("7", "none at all", "unparsable", NO_NUMBER),
    ("7", "", "empty", EMPTY),
    ("1000", "1,000", "correct", NUMBER),
    ("50", "50^\\circ", "correct", NUMBER),
    ("50^\\circ", "50", "correct", NUMBER),
    ("50^\\circ", "50 degrees", "correct", NUMBER),
    ("12", "\\boxed{12 \\text{ cm}^2}", "correct", f"{NUMBER} ({BOXED})"),
    ("12", "12x", "wrong", OTHER_VALUE),
    ("4", "\\boxed{x = 3, y = 4}", "wrong", f"{OTHER_VALUE} ({BOXED})"),
    ("13", "Since $AB = 5$, $BC = 12$, $AC = 13$.", "correct", NUMBER),
    ("e^{2x}", "e^{x+x}", "correct", VALUE),
    ("2", "2d", "wrong", OTHER_VALUE),
    ("3", "2\\sqrt{3}", "wrong", OTHER_VALUE),
    (to(2, "3.46"), "2\\sqrt{3}", "correct", VALUE),
    (to(2, "3.46"), "3.464", "correct", f"{NUMBER} to 2 decimals"),
    ("3.46", "2\\sqrt{3}", "wrong", OTHER_VALUE),
    ("20\\%", "20%", "correct", NUMBER),
    ("20", "20%", "correct", IGNORED),
    ("0.2", "20\\%", "correct", AS_PERCENT),
    ("\\frac{1}{2}", "0.5", "correct", NUMBER),
    ("\\frac{1}{2}", "1/2", "correct", NUMBER),
    ("\\frac{1}{3}", "0.33", "wrong", "another number"),
    ("-\\frac{1}{2}", "-0.5", "correct", NUMBER),
    ("2\\sqrt{3}", "2\\sqrt{3}", "correct", SAME),
    ("2\\sqrt{3}", "$2\\sqrt{3}$", "correct", SAME),
    ("2\\sqrt{3}", "\\sqrt{12}", "correct", VALUE),
    ("2\\sqrt{3}", "2√3", "correct", VALUE),
    ("2\\sqrt{3}", "So the side is $2\\sqrt{3}$.", "correct", VALUE),
    ("2\\sqrt{3}", "The answer is $2\\sqrt{3}$ cm.", "correct", f"{VALUE} ({STATED})"),
    ("2\\sqrt{3}", "\\boxed{2\\sqrt{3} cm^2}", "correct", f"{VALUE} ({BOXED})"),
    ("3:4", "The ratio is 3:4.", "correct", VALUE),
    ("3:4", "The ratio is 4:3.", "wrong", OTHER_VALUE),
    ("x=1", "$x = 1$ or $x = 2$", "wrong", OTHER_VALUE),
    ("2\\sqrt{3}", "We get\n\\[\nx = 2\\sqrt{3}\n\\]", "correct", f"{VALUE} (in the last line)"),
    ("2\\sqrt{3}", "\\boxed{2\\sqrt{3}\\text{ cm}}", "correct", f"{VALUE} ({BOXED})"),
    ("2\\sqrt{3}", "$x = 2\\sqrt{3} \\approx 3.46$", "correct", VALUE),
    ("2\\sqrt{3}", "3\\sqrt{2}", "wrong", OTHER_VALUE),
    ("2\\sqrt{3}", "I do not know", "unparsable", NO_FORMULA),
    ("2\\sqrt{3}", "\\boxed{\\sqrt{12}}\nHope it helps", "correct", f"{VALUE} ({BOXED})"),
    ("\\frac{\\pi}{2}", "π/2", "correct", VALUE),
    ("\\frac{\\pi}{2}", "\\boxed{\\dfrac{\\pi}{2}}", "correct", f"{VALUE} ({BOXED})"),
    ("2\\pi", "6.283185", "correct", VALUE),
    ("2\\pi", "6.28", "wrong", OTHER_VALUE),
    ("x^2+2x+1", "(x+1)^2", "correct", VALUE),
    ("x^2+2x+1", "(x-1)^2", "wrong", OTHER_VALUE),
    ("x^2+2x+1", "(y+1)^2", "wrong", OTHER_VALUE),
    ("y=2x+3", "y = 3 + 2x", "correct", VALUE),
    ("y=2x+3", "2x - y + 3 = 0", "correct", VALUE),
    ("y=2x+3", "y = 2x - 3", "wrong", OTHER_VALUE),
    ("x=3", "3", "correct", VALUE),
    ("x=3", "y=3", "wrong", OTHER_VALUE),
    ("[1,2)", "[1, 2)", "correct", SAME),
    ("[1,2)", "(1, 2)", "wrong", OTHER_VALUE),
    ("[1,2)", "(1,2)", "wrong", OTHER_VALUE),
    ("(-\\infty, 3]", "(-∞, 3]", "correct", VALUE),
    ("(1,2)", "\\left(1, 2\\right)", "correct", VALUE),
    ("(1,2)", "(2,1)", "wrong", OTHER_VALUE),
    ("\\{1,2\\}", "\\{2, 1\\}", "correct", VALUE),
    ("\\{1,2\\}", "\\{1, 2, 3\\}", "wrong", OTHER_VALUE),
    ("\\pm 3", "3 or -3", "correct", VALUE),
    ("x < 3", "3 > x", "correct", VALUE),
    ("x < 3", "x > 3", "wrong", OTHER_VALUE),
    ("-3 \\le x < 5", "5 > x \\ge -3", "correct", VALUE),
    ("5!", "120", "correct", VALUE),
    ("2^{10}", "1024", "correct", VALUE),
    ("2^{10}", "2^{11}", "wrong", OTHER_VALUE),
    ("9^{9^{9^9}}", "9^{9^{9^9}}", "correct", SAME),
    ("81", "9^{9^{9^9}}", "unparsable", NO_NUMBER),
    ("10:35", "10:35", "correct", SAME),
    ("Tuesday", "tuesday", "correct", WORDS),
    ("Tuesday", "\\boxed{\\text{Tuesday}}", "correct", f"{WORDS} ({BOXED})"),
    ("Tuesday", "Monday", "wrong", ANOTHER),
    ("Tuesday", "The answer is Tuesday.", "correct", f"{WORDS} ({STATED})"),
    ("red", "der", "wrong", ANOTHER),  # a word is no product of its letters
    ("7", "<think>7", "unparsable", REASONING),
    (Gold("7", accepted=("\\sqrt{2}",)), "\\frac{2}{\\sqrt{2}}", "correct", VALUE),
]

BY_VALUE = "the only option of the same value"

CHOICE_OR_MATH: list[Row] = [
    ("C", "The answer is C", "correct", STATED),
    ("C", "\\boxed{B}", "wrong", other(BOX)),
    (of("A", *SURDS), "\\boxed{\\sqrt{12}}", "correct", BY_VALUE),
    (of("B", *SURDS), "\\boxed{\\sqrt{12}}", "wrong", other(BY_VALUE)),
    (of("C", *SURDS), "0.5", "correct", BY_VALUE),
    (of("D", *SURDS), "\\boxed{6 \\text{ cm}}", "correct", BY_VALUE),
    (of("D", *SURDS), "\\boxed{7}", "unparsable", NO_LETTER),
    (of("D", *SURDS), "D. $6$", "correct", START),
    (of("B", *LENGTHS), "\\boxed{12}", "correct", TEXT_BOX),
    (of("B", *LENGTHS), "\\boxed{12.0}", "correct", BY_VALUE),
    ("C", "no idea", "unparsable", NO_LETTER),
    ("C", "", "empty", EMPTY),
    ("24", "\\boxed{24}", "correct", f"{SAME} ({BOXED})"),
    ("24", "\\boxed{25}", "wrong", f"another number ({BOXED})"),
    ("2\\sqrt{3}", "\\boxed{\\sqrt{12}}", "correct", f"{VALUE} ({BOXED})"),
    ("Tuesday", "Tuesday.", "correct", WORDS),
]

SHORT: list[Row] = [
    ("stop", "stop", "correct", SAME),
    ("stop", "Stop", "correct", WORDS),
    ("stop", "STOP.", "correct", WORDS),
    ("stop", "“Stop!”", "correct", WORDS),
    ("x-ray", "X ray", "correct", WORDS),
    ("New York", "new   york", "correct", WORDS),
    ("New York", "**New York**", "correct", SAME),
    ("New York", "York", "wrong", ANOTHER),
    ("-5", "5", "wrong", ANOTHER),
    ("3.5", "35", "wrong", ANOTHER),
    ("1,000", "1000", "correct", WORDS),
    ("10:35", "10:35", "correct", SAME),
    ("10:35", "10 35", "wrong", ANOTHER),
    ("cat", "The answer is: cat", "correct", f"{SAME} ({STATED})"),
    ("cat", "\\boxed{\\text{cat}}", "correct", f"{WORDS} ({BOXED})"),
    ("cat", "a cat", "wrong", ANOTHER),
    ("cat", "dog", "wrong", ANOTHER),
    (Gold("cat", accepted=("kitten",)), "Kitten", "correct", WORDS),
    ("cat", "", "empty", EMPTY),
    ("cat", "<think>a cat", "unparsable", REASONING),
]


def by(n: int) -> str:
    return f"given by {n} of 10 annotators" if n else "given by no annotator"


VQA: list[Row] = [
    (said("cat"), "cat", "correct", by(10)),
    (said("cat"), "Cat.", "correct", by(10)),
    (said("cat"), "a cat", "correct", by(10)),
    (said("cat"), "The cat!", "correct", by(10)),
    (said("cat"), "cats", "wrong", by(0)),
    (said("cat", "dog"), "cat", "wrong", by(1)),
    (said("cat", "cat", "dog"), "cat", "correct", by(2)),
    (said("cat", "cat", "cat", "dog"), "cat", "correct", by(3)),
    (said("cat", "cat", "cat", "cat", "dog"), "cat", "correct", by(4)),
    (said("2", "two"), "two", "correct", by(10)),
    (said("2"), "two", "correct", by(10)),
    (said("0"), "none", "correct", by(10)),
    (said("1,000"), "1000", "correct", by(10)),
    (said("don't walk"), "dont walk", "correct", by(10)),
    (said("couldn't've"), "couldnt've", "correct", by(10)),
    (said("3.5"), "3.5", "correct", by(10)),
    (said("3.5"), "35", "wrong", by(0)),
    (said("dr. pepper"), "Dr Pepper", "correct", by(10)),
    (said("coca-cola"), "coca cola", "correct", by(10)),
    (said("a"), "?", "wrong", by(0)),
    (said("a"), "A", "correct", by(10)),  # a letter is an article, on both sides
    (said("cat"), "The answer is cat", "wrong", by(0)),  # the public rule reads nothing out
    (said("well"), "we'll", "wrong", by(0)),
    (Gold("cat"), "cat", "correct", "given by 1 of 1 annotators"),
    (said("cat"), "", "empty", EMPTY),
    (said("cat"), "<think>a cat", "unparsable", REASONING),
]

EXACT: list[Row] = [
    ("7", "7", "correct", "the same text"),
    ("7", " 7", "correct", "the same text after trimming spaces"),
    ("Red", "red", "wrong", "the same text but for capital letters"),
    ("3 + 4 = 7", "4 + 3 = 7", "wrong", "the same last number, but another text"),
    ("red", "blue", "wrong", "another text"),
    ("7", "7.", "wrong", "the same last number, but another text"),
    ("7", "seven", "unparsable", "no number in the answer, where the gold answer has one"),
    ("7", "", "empty", EMPTY),
]

TABLE: dict[str, list[Row]] = {
    "exact_match": EXACT,
    "multiple_choice": LETTERS,
    "choice_or_text": CHOICE_OR_TEXT,
    "choice_or_math": CHOICE_OR_MATH,
    "yes_no": YES_NO,
    "relaxed_accuracy": RELAXED,
    "number": NUMBERS,
    "math": MATH,
    "short_answer": SHORT,
    "vqa_accuracy": VQA,
}
