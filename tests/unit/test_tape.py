"""Taped arguments on other devices."""

import torch

from core.vlm.tape import Copies, _placed

ELSEWHERE = torch.device("cpu", 0)  # not equal to plain "cpu", so tensors are copied to it


def test_a_tensor_is_copied_once_and_never_taken_for_another_one() -> None:
    """Copies were known by the id of a tensor that was let go, and the next one to get its id got its copy."""
    copies: Copies = {}
    assert [int(_placed(torch.full((1,), n), ELSEWHERE, copies)) for n in range(50)] == list(range(50))
    mask = torch.ones(2)
    (first, [second]) = _placed((mask, [mask]), ELSEWHERE, copies)
    assert first is second and first is not mask
