"""Answers as people report them, by the kind of fault that they once met; judged by reading, before any code saw them.

A row: the metric, the answer, the gold answer, the options, and what is right. "not correct" leaves open whether the
answer is wrong or cannot be read; "or unparsable" whether it can be.
"""

Case = tuple[str, str, str, tuple[str, ...], str]

LENGTHS = ("10", "12", "14", "16")
DIGITS = ("1", "2", "3", "4")
TYPES = ("type O", "type A", "type B")
COLOURS = ("red", "blue", "light blue", "green")
MC, COM, NUM, REL, MATH = "multiple_choice", "choice_or_math", "number", "relaxed_accuracy", "math"

YES, NO, UNREAD, NOT, MAYBE = "correct", "wrong", "unparsable", "not correct", "correct or unparsable"

EXPLICIT: list[Case] = [
    # reported
    (COM, "Since the tangent at A meets line BC at D, the value is 12.", "B", LENGTHS, YES),
    (MC, "The length of AB is 12, so point C lies on the circle.", "B", LENGTHS, YES),
    (MC, "The blood type is A.", "B", TYPES, MAYBE),
    # further
    (MC, "B\n\nA is the tallest tree in the picture, and C is dead.", "B", (), YES),
    (MC, "(B)\nExplanation: the line through A and D is vertical.", "B", (), YES),
    (MC, "B) 12. Option (A) is too short, and (D) is too long.", "B", (), YES),
    (MC, "Option B is correct. Option A shows a cat and option C a dog.", "B", (), YES),
    (MC, "B is the correct answer, because angle A is larger than angle C.", "B", (), YES),
    (MC, "I would go with B, since the ray from A to D is longer.", "B", (), YES),
    (MC, "The correct answer would be B. Region D is empty.", "B", (), YES),
    (MC, "Triangle ABC is similar to triangle DEF at vertex A.", "A", (), UNREAD),
    (MC, "The car is heading from A to D.", "D", (), UNREAD),
    (MC, "He got an A in maths and vitamin C at home.", "C", (), UNREAD),
    (COM, "Point D is the midpoint, hence the area is 14.", "C", LENGTHS, YES),
    (COM, "In circle C the chord AB has length 16, so the radius at B is not needed.", "D", LENGTHS, YES),
    (MC, "The circle with centre A has a radius of 12.0 cm.", "B", LENGTHS, YES),
    (MC, "Answer the question: C is the centre of the circle.", "C", (), UNREAD),
    (MC, "Option A is wrong.", "A", (), UNREAD),
    (MC, "It cannot be A. So it is B.", "B", (), YES),
    (MC, "Person B is wearing a light blue shirt.", "C", COLOURS, YES),
    (MC, "Antwort: B", "B", (), YES),
    (MC, "The answer is either A or B.", "B", (), UNREAD),
    (MC, "The correct figure is C: in it, square A turns into square B.", "C", (), YES),
]

BOXES: list[Case] = [
    (MC, "\\boxed{(B) 12}", "B", (), YES),
    (COM, "\\boxed{(B) 12}", "B", LENGTHS, YES),
    (MC, "\\boxed{B. 12}", "B", (), YES),
    (COM, "\\boxed{B. 12}", "B", LENGTHS, YES),
    (MC, "\\boxed{\\textbf{(B) } 12}", "B", (), YES),
    (COM, "\\boxed{\\textbf{(B) } 12}", "B", LENGTHS, YES),
    (MC, "\\boxed{\\text{Option B}}", "B", (), YES),
    (COM, "\\boxed{\\text{Option B}}", "B", LENGTHS, YES),
    # further
    (MC, "\\boxed{\\textbf{B}}", "B", (), YES),
    (MC, "\\boxed{\\mathrm{(B)}\\ 12}", "B", (), YES),
    (COM, "So \\boxed{\\text{(B) }\\frac{24}{2}}.", "B", LENGTHS, YES),
    (MC, "\\boxed{\\text{B) the light blue car}}", "B", (), YES),
    (MC, "\\boxed{\\boxed{B}}", "B", (), YES),
    (MC, "$$\\boxed{\\text{The answer is (B)}}$$", "B", (), YES),
    (MC, "\\boxed{12 \\text{ (B)}}", "B", (), YES),
    (MC, "\\boxed{A \\text{ or } B}", "B", (), UNREAD),
    (MC, "\\boxed{A} or \\boxed{B}", "B", (), UNREAD),
    (MC, "\\boxed{\\triangle ABC}", "A", (), UNREAD),
    (MC, "\\boxed{\\text{选项B}}", "B", (), YES),
    (MC, "<|begin_of_box|>(B) 12<|end_of_box|>", "B", (), YES),
    (NUM, "The sum is <|begin_of_box|>12<|end_of_box|>, from 7 and 5.", "12", (), YES),
    (COM, "\\boxed{12\\text{ cm}}", "B", LENGTHS, YES),
]

VALUES: list[Case] = [
    (MATH, "\\sqrt[3]{64}", "4", (), YES),
    (MATH, "\\sqrt[3]{64}", "3", (), NO),
    (MATH, "\\log_{10} 100", "100", (), NO),
    (MATH, "\\ln 1", "1", (), NO),
    (COM, "\\frac{6}{2}", "C", DIGITS, YES),
    # further
    (MATH, "\\log_{10} 100", "2", (), YES),
    (MATH, "\\ln 1", "0", (), YES),
    (MATH, "\\log_2 8", "8", (), NO),
    (MATH, "\\log_2 8", "3", (), YES),
    (MATH, "The side is $\\sqrt[3]{27}$.", "3", (), YES),
    (MATH, "The side is $\\sqrt[3]{8}$.", "3", (), NO),
    (MATH, "\\boxed{\\sqrt{16}}", "4", (), YES),
    (MATH, "\\sqrt{16}", "16", (), NO),
    (MATH, "2^3", "8", (), YES),
    (MATH, "\\cos 0", "0", (), NO),
    (MATH, "\\sin 90^\\circ", "90", (), NOT),
    (MATH, "\\log(100)", "100", (), NOT),
    (MATH, "sqrt(16)", "16", (), NOT),
    (MATH, "sqrt(16)", "4", (), MAYBE),
    (MATH, "|-5|", "-5", (), NOT),
    (MATH, "the square root of 9", "9", (), NOT),
    (COM, "\\sqrt{16}", "D", DIGITS, YES),
    (COM, "\\boxed{2^2}", "D", DIGITS, YES),
    (COM, "\\frac{4}{2}", "D", DIGITS, NO),
    (MC, "\\frac{6}{2}", "B", DIGITS, NOT),
    (MATH, "Since $a^2 = 9$, we get 3 as the answer", "3", (), YES),
    (MATH, "The value of $2^3$ is 8.", "8", (), YES),
]

WHOLE: list[Case] = [
    (NUM, "12\u202f345", "345", (), NOT),
    (NUM, "The population is 1\u202f234\u202f567.", "1234567", (), YES),
    (NUM, "7 / 8", "\\frac{7}{8}", (), YES),
    (NUM, "- 5", "5", (), NOT),
    (NUM, "The temperature is minus 5 degrees", "5", (), NOT),
    (NUM, "2½", "2", (), NOT),
    (NUM, "2²", "2", (), NOT),
    (NUM, "√9", "9", (), NOT),
    # further: spaces, signs, fractions, powers
    (NUM, "12 345", "345", (), NOT),
    (NUM, "The population is 1 234 567.", "1234567", (), YES),
    (NUM, "12\u202f345", "12345", (), YES),
    (NUM, "12\u2009345 people", "12345", (), YES),
    (NUM, "1\u00a0234\u00a0567", "1234567", (), YES),
    (NUM, "12\\,345", "12345", (), YES),
    (NUM, "12'345", "12345", (), YES),
    (NUM, "- 5", "-5", (), YES),
    (NUM, "The temperature is minus 5 degrees", "-5", (), YES),
    (NUM, "It is negative 12.", "-12", (), YES),
    (NUM, "\u22125", "-5", (), YES),
    (NUM, "$x = - 5$", "-5", (), YES),
    (NUM, "7 minus 5", "5", (), NOT),
    (NUM, "2½", "2.5", (), YES),
    (NUM, "¾", "0.75", (), YES),
    (NUM, "It takes 1½ hours", "1.5", (), YES),
    (NUM, "It takes 1½ hours", "1", (), NOT),
    (NUM, "3 / 4 of the cake", "4", (), NOT),
    (NUM, "5³", "5", (), NOT),
    (NUM, "10⁶", "10", (), NOT),
    (NUM, "1.5 × 10⁶", "1500000", (), YES),
    (NUM, "∛27", "27", (), NOT),
    (NUM, "±3", "3", (), NOT),
    (NUM, "12 34", "34", (), NOT),
    (NUM, "3 out of 5", "5", (), NOT),
    (NUM, "5 squared", "5", (), NOT),
    (NUM, "< 5", "5", (), NOT),
    (NUM, "1.234.567", "1234567", (), YES),
    (NUM, "1.234,56", "1234.56", (), YES),
    (NUM, "1,234.56", "1234.56", (), YES),
    (NUM, "1,5", "1.5", (), YES),
    (NUM, "1,5", "5", (), NOT),
    (NUM, "Die Länge beträgt 1,5 m.", "1.5", (), YES),
    (NUM, "0,123", "0.123", (), YES),
    (NUM, "(1,5)", "1.5", (), NOT),
    (NUM, "1, 5", "1.5", (), NOT),
    (NUM, "1,234", "1.234", (), NOT),
    (MATH, "1,5", "1.5", (), YES),
    (NUM, "-$5", "-5", (), YES),
]

MAGNITUDES: list[Case] = [
    (NUM, "2 million", "2 billion", (), NO),
    (NUM, "1.5 million", "1500000", (), YES),
    # further
    (NUM, "1.5 million", "1.5 billion", (), NO),
    (NUM, "1500000", "1.5 million", (), YES),
    (NUM, "$2.5B", "2.5 billion", (), YES),
    (NUM, "About 14 million people live there.", "14000000", (), YES),
    (REL, "14 thousand", "14 million", (), NO),
    (REL, "10K", "10000", (), YES),
    (REL, "5M", "5", (), NO),
    (NUM, "3.2亿", "320000000", (), YES),
    (NUM, "5万", "50000", (), YES),
    (NUM, "5万人", "5", (), NO),
    (NUM, "2억", "200000000", (), YES),
    (NUM, "2 hundred thousand", "200000", (), YES),
    (NUM, "2 million", "2", (), NO),
    (NUM, "5 m", "5", (), YES),
]

RANGES: list[Case] = [
    (REL, "18–29", "18-29", (), YES),
    # further
    (REL, "18-29", "18–29", (), YES),
    (REL, "18 – 29", "18-29", (), YES),
    (REL, "18 to 29", "18-29", (), YES),
    (REL, "18—29", "18-29", (), YES),
    (REL, "The answer is 18–29.", "18-29", (), YES),
    (REL, "18–30", "18-29", (), NO),
    ("short_answer", "2010–2012", "2010-2012", (), YES),
    ("short_answer", "T‑shirt", "T-shirt", (), YES),
    (REL, "18–29", "29", (), NOT),
]

CJK_LETTERS: list[Case] = [
    (MC, "答案是B。选项A描述的是左边的物体，与题意不符。", "B", (), YES),
    (MC, "答案：B\n解析：A选项错误。", "B", (), YES),
    (MC, "正解はBです。Aは間違いです。", "B", (), YES),
    (MC, "정답은 B입니다. A는 틀렸습니다.", "B", (), YES),
    # further
    (MC, "答えはBです。", "B", (), YES),
    (MC, "正确答案为：B，因为A太短。", "B", (), YES),
    (MC, "故选B。A、C均不符合。", "B", (), YES),
    (MC, "因此，选择Ｂ。", "B", (), YES),
    (MC, "Ｂ", "B", (), YES),
    (MC, "（B）", "B", (), YES),
    (MC, "B。因为A和C都不对。", "B", (), YES),
    (MC, "B、狗", "B", (), YES),
    (MC, "选项B正确，选项A错误。", "B", (), YES),
    (MC, "Bが正解です。Aは違います。", "B", (), YES),
    (MC, "정답: B\n해설: A는 오답이다.", "B", (), YES),
    (MC, "답은 (B)입니다. C는 아닙니다.", "B", (), YES),
    (MC, "答案是【B】", "B", (), YES),
    (MC, "正確答案是B", "B", (), YES),
    (MC, "答案不是A。", "A", (), NOT),
    (MC, "图中点A在点B的左边。", "B", (), UNREAD),
    (MC, "答案是A或B。", "B", (), UNREAD),
    ("yes_no", "是的，图中有一只狗。", "yes", (), YES),
]

CJK_NUMBERS: list[Case] = [
    (NUM, "答案是5", "5", (), YES),
    (NUM, "图中共有5个苹果。", "5", (), YES),
    (REL, "2019年为45%", "45", (), YES),
    (MATH, "所以，角度为45度。", "45", (), YES),
    # further
    (NUM, "５", "5", (), YES),
    (NUM, "共有１２個です。", "12", (), YES),
    (NUM, "답은 12개입니다.", "12", (), YES),
    (NUM, "正解は7です。", "7", (), YES),
    (NUM, "答案：-3。", "-3", (), YES),
    (NUM, "价格是3.5元", "3.5", (), YES),
    (REL, "４５％", "45%", (), YES),
    (NUM, "答案是5，因为左边有3个，右边有2个。", "5", (), YES),
    (NUM, "百分之45", "45%", (), YES),
    (NUM, "3分之2", "2", (), NOT),
    (NUM, "温度是负5度", "5", (), NOT),
    (NUM, "一共１，２３４人", "1234", (), YES),
    (MATH, "面积为12平方厘米", "12", (), YES),
    (NUM, "五", "5", (), YES),
]

REASONING: list[Case] = [
    (MC, "<thinking>The answer is A.</thinking>\nIt is B.", "B", (), YES),
    (MC, "◁think▷Could be A. Yes the answer is A.◁/think▷B", "B", (), YES),
    (MC, "<|channel>thought\nThe answer is A maybe<channel|>C", "C", (), YES),
    (MC, "<think>maybe A</think><answer><|begin_of_box|>C<|end_of_box|></answer>", "C", (), YES),
    # further
    (MC, "<reasoning>The answer is A.</reasoning><answer>B</answer>", "B", (), YES),
    (MC, "<reasoning>The answer is A, because", "A", (), UNREAD),
    (MC, "◁think▷The answer is A", "A", (), UNREAD),
    (MC, "<|begin_of_thought|>The answer is A.<|end_of_thought|>\n<|begin_of_solution|>B", "B", (), YES),
    (MC, "<|begin_of_thought|>The answer is A", "A", (), UNREAD),
    (MC, "<seed:think>The answer is A</seed:think>B", "B", (), YES),
    (MC, "[THINK]The answer is A[/THINK]B", "B", (), YES),
    (MC, "The answer is A, hmm</thinking>B", "B", (), YES),
    (MC, "<|channel|>analysis<|message|>The answer is A<|end|><|start|>assistant<|channel|>final<|message|>B<|return|>",
     "B", (), YES),
    (MC, "<|channel|>analysis<|message|>The answer is A", "A", (), UNREAD),
    (MC, "<thought>The answer is A.</thought>\n\nB", "B", (), YES),
    (MC, "<THINK>The answer is A.</THINK> The answer is B.", "B", (), YES),
    (MC, "<think>x <reasoning>A</reasoning> the answer is A", "A", (), UNREAD),
    (NUM, "<reason>3 + 4 = 8</reason> 7", "7", (), YES),
    (MC, "<|START_THINKING|>The answer is A<|END_THINKING|><|START_RESPONSE|>B<|END_RESPONSE|>", "B", (), YES),
    (MC, "<SUMMARY>s</SUMMARY><REASONING>The answer is A.</REASONING><CONCLUSION>B</CONCLUSION>", "B", (), YES),
    ("yes_no", "<thinking>yes? the answer is yes</thinking>No", "no", (), YES),
    ("vqa_accuracy", "◁think▷a dog?◁/think▷cat", "cat", (), YES),
]  # fmt: skip

TEXT_GOLDS: list[Case] = [
    (MATH, "No solution", "\\text{no solution}", (), YES),
    (MATH, "yes", "\\text{Yes}", (), YES),
    (MATH, "x<2", "(-\\infty, 2)", (), YES),
    # further
    (MATH, "The equation has no solution.", "\\text{no solution}", (), YES),
    (MATH, "\\boxed{\\text{No solution}}", "\\text{no solution}", (), YES),
    (MATH, "There are no solutions.", "No solution", (), YES),
    (MATH, "x = 2", "\\text{no solution}", (), NOT),
    (MATH, "\\emptyset", "\\text{no solution}", (), YES),
    (MATH, "No", "\\text{Yes}", (), NO),
    (MATH, "(B)", "\\text{B}", (), YES),
    (MATH, "odd", "\\text{even}", (), NOT),
    (MATH, "\\boxed{\\text{Tuesday}}", "\\textbf{Tuesday}", (), YES),
    (MATH, "(-\\infty, 2)", "x < 2", (), YES),
    (MATH, "$x \\leq 2$", "(-\\infty, 2)", (), NO),
    (MATH, "x ≥ 3", "[3, \\infty)", (), YES),
    (MATH, "1 < x \\le 4", "(1, 4]", (), YES),
    (MATH, "1 < x < 4", "(1, 4]", (), NO),
    (MATH, "x < 1 or x > 2", "(-\\infty, 1) \\cup (2, \\infty)", (), YES),
    (MATH, "x \\in (-\\infty, 2)", "x < 2", (), YES),
    (MATH, "x > 2", "(-\\infty, 2)", (), NO),
    (MATH, "2 > x", "(-\\infty, 2)", (), YES),
    (MATH, "\\{2, 1\\}", "\\{1, 2\\}", (), YES),
    (MATH, "x = 1 or x = 2", "\\{1, 2\\}", (), MAYBE),
]

TINY: list[Case] = [
    (MATH, "\\frac{3}{10^{15}}", "\\frac{1}{10^{15}}", (), NO),
    (MATH, "e^{-30}", "e^{-31}", (), NO),
    (MATH, "10^{-13}", "10^{-14}", (), NO),
    # further
    (MATH, "2^{-99}", "2^{-98}", (), NO),
    (MATH, "2^{-99}", "\\frac{1}{2^{99}}", (), YES),
    (MATH, "e^{-30}", "\\frac{1}{e^{30}}", (), YES),
    (MATH, "2 \\cdot 10^{-8}", "10^{-8}", (), NO),
    (MATH, "0.00000001", "0.00000002", (), NO),
    (MATH, "10^{-13}", "0", (), NO),
    (MATH, "e^{-800}", "e^{-801}", (), NOT),
    (MATH, "x = e^{-30}", "x = e^{-31}", (), NO),
    (MATH, "\\sin \\pi", "0", (), YES),
    (MATH, "0.333333", "\\frac{1}{3} \\cdot 1", (), MAYBE),
    (MATH, "\\sqrt{2} - \\sqrt{2}", "0", (), YES),
]

KINDS: dict[str, list[Case]] = {
    "what is more explicit": EXPLICIT,
    "boxes": BOXES,
    "values before the last number": VALUES,
    "whole numbers": WHOLE,
    "magnitudes": MAGNITUDES,
    "ranges": RANGES,
    "letters in Chinese, Japanese, Korean": CJK_LETTERS,
    "numbers in Chinese, Japanese, Korean": CJK_NUMBERS,
    "tags of reasoning": REASONING,
    "texts and intervals as golds": TEXT_GOLDS,
    "tiny values": TINY,
}
