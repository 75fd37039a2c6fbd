"""What the decoder says without a picture, and how far training has moved it: the pretrained decoder is the measure."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

Text = tuple[int, list[int]]  # tokens of the prompt, tokens of prompt and answer

WORDINGS = (
    "Explain how {x} works.",
    "What is {x}?",
    "Why do people like {x}?",
    "Write a short story about {x}.",
    "Give me three facts about {x}.",
    "Tell me something surprising about {x}.",
    "How would you describe {x} to a child?",
    "Write one sentence about {x}.",
    "What are the advantages and disadvantages of {x}?",
    "Who needs {x}, and what for?",
)
# Topics of training and of the check are apart.
TRAIN_TOPICS = (
    "a steam engine, photosynthesis, the moon, a library, chess, bread, a microscope, rain, a passport, jazz, the "
    "heart, a lighthouse, glass, a marathon, money, a volcano, football, tea, a bridge, the internet, gravity, a "
    "garden, a telescope, snow, democracy, a violin, soap, an elevator, whales, a calendar, paper, a submarine, "
    "honey, maps, a battery, dreams, a museum, rice, wolves, the alphabet"
)
CHECK_TOPICS = (
    "a bicycle, a refrigerator, the sun, poetry, an earthquake, a hospital, cheese, an airplane, friendship, bees, a "
    "clock, the ocean, a computer, winter, a piano, salt, recycling, a train, trees, a dictionary"
)


def prompts(topics: str) -> list[str]:
    return [w.format(x=x) for x in topics.split(", ") for w in WORDINGS]


def chat_ids(tokenizer: PreTrainedTokenizerBase, question: str) -> list[int]:
    """The pretrained decoder's own prompt for a question without a picture."""
    text = (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    )
    return list(tokenizer.encode(text, add_special_tokens=False))


@torch.no_grad()
def write_answers(
    decoder: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, questions: Sequence[str], length: int, seed: int
) -> list[Text]:
    """What the pretrained decoder itself answers, drawn at temperature 1, at most `length` tokens each."""
    torch.manual_seed(seed)
    found: list[Text] = []
    for start in range(0, len(questions), 40):
        rows = [chat_ids(tokenizer, q) for q in questions[start : start + 40]]
        longest = max(map(len, rows))
        end = int(tokenizer.eos_token_id)
        ids = torch.tensor([[end] * (longest - len(r)) + r for r in rows])
        mask = torch.tensor([[0] * (longest - len(r)) + [1] * len(r) for r in rows])
        out = decoder.generate(
            ids, attention_mask=mask, max_new_tokens=length, do_sample=True, top_k=0, temperature=1.0, pad_token_id=end
        )
        for row, written in zip(rows, out[:, longest:].tolist(), strict=True):
            stop = written.index(end) + 1 if end in written else len(written)
            found.append((len(row), row + written[:stop]))
    return found


def answer_kl(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean KL(teacher || student) in nats per token of (N, V) logits."""
    return F.kl_div(student.log_softmax(-1), teacher.log_softmax(-1), log_target=True, reduction="batchmean")


@dataclass(frozen=True)
class Drift:
    """How far a model's language is from the pretrained decoder's, on the decoder's own answers.

    Attributes:
        kl: KL(pretrained || model), mean over tokens, nats.
        same_token: share of tokens at which both have the same likeliest token.
        same_answer: share of answers at all of whose tokens they do.
    """

    kl: float
    same_token: float
    same_answer: float
    n: int


@torch.no_grad()
def language_drift(teacher: LlamaForCausalLM, model: PreTrainedModel, texts: Sequence[Text]) -> Drift:
    """Compare on texts that `write_answers` made, each alone, after its prompt.

    Args:
        model: a decoder, or a model with eyes: texts have no picture.
    """
    kls, same, whole = [], [], []
    for start, ids in texts:
        tokens = torch.tensor([ids[:-1]])
        a, b = (m(input_ids=tokens).logits[0, start - 1 :].float() for m in (teacher, model))
        kls.append(F.kl_div(b.log_softmax(-1), a.log_softmax(-1), log_target=True, reduction="none").sum(-1))
        same.append(a.argmax(-1) == b.argmax(-1))
        whole.append(bool(same[-1].all()))
    return Drift(
        float(torch.cat(kls).mean()), float(torch.cat(same).float().mean()), sum(whole) / len(whole), len(texts)
    )
