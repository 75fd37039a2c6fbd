"""What to say when memory runs out: what was needed, what is free, and which size would fit."""

import gc
import math

import torch
from transformers import PreTrainedModel

from core.errors import MemoryLimitError
from core.pruning.cost import HEADROOM
from core.vlm.memory import out_of_memory
from core.vlm.placement import memory_bytes

MIB = 2**20


def ran_out(error: BaseException | None) -> bool:
    """Whether an error, or one of its causes, says that memory ran out."""
    while error is not None:
        if out_of_memory(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def release() -> int:
    """Free what is no longer referenced; returns the bytes that are free afterwards."""
    gc.unfreeze()  # the dashboard freezes what lives long, which may include the model that is unloaded
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return memory_bytes()


def cannot_load(model_id: str, free: int) -> MemoryLimitError:
    """The line for a model that does not fit: the largest number of parameters that would."""
    width = 2 if torch.cuda.is_available() else 4  # bytes of a parameter, as `loaded_dtype` chooses them
    most = free / HEADROOM / width / 1e9
    return MemoryLimitError(
        f"memory ran out while loading {model_id}; {free / MIB:,.0f} MiB are free now, which hold about "
        f"{most:.2g} billion parameters of {width} bytes: choose a smaller model, or free some memory"
    )


def cannot_answer(model: PreTrainedModel, tokens: int, free: int, stage: str) -> MemoryLimitError:
    """The line for an answer that does not fit: the longest prompt that would, by the bytes that one token needs."""
    text = model.config.get_text_config(decoder=True)
    # what one token keeps (keys and values of every layer) and what one layer needs for it while it runs
    kept = 2 * text.num_hidden_layers * text.hidden_size
    made = 4 * text.hidden_size + 3 * int(getattr(text, "intermediate_size", None) or 4 * text.hidden_size)
    fits = int(free / HEADROOM / ((kept + made) * model.dtype.itemsize))
    # By the estimate it may fit, since other work may have held memory for a moment: then half is the honest advice.
    most = fits if fits < tokens else tokens // 2
    side = math.sqrt(most / tokens)
    return MemoryLimitError(
        f"memory ran out at {stage}: this question takes {tokens} tokens, picture included, and {free / MIB:,.0f} MiB "
        f"are free now; about {most} tokens would fit: give a picture of {side:.0%} of the side, or compare fewer plans"
    )
