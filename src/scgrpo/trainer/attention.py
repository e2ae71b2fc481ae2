"""Attention whose gradient can be trusted."""

import logging
import re

import torch

logger = logging.getLogger(__name__)

HOPPER = 9
FAULTY_FROM = (2, 11)


def avoid_faulty_attention() -> None:
    """Switch cuDNN's attention off where its backward can give NaN for a finite loss.

    On Hopper cards (H100, H200), from torch 2.11 on, the gradient of the queries is NaN where a
    mask is given, the padded length leaves 64 when divided by 128, and a row's log-sum-exp lies
    below ln(1 / FLT_MAX) (https://github.com/pytorch/pytorch/issues/196678): left padding
    gives the mask, real models the rows. torch's other kernels are right on the same numbers.
    Whoever has a cuDNN without the fault calls `torch.backends.cuda.enable_cudnn_sdp(True)` after
    making the trainer.
    """
    if not torch.cuda.is_available() or not torch.backends.cuda.cudnn_sdp_enabled():
        return
    version = tuple(map(int, re.findall(r"\d+", torch.__version__)[:2]))
    if version < FAULTY_FROM or torch.cuda.get_device_capability()[0] != HOPPER:
        return
    torch.backends.cuda.enable_cudnn_sdp(False)
    logger.warning(
        "cuDNN's attention is switched off: on this card and torch %s its gradient can be NaN "
        "under left padding (pytorch issue 196678); torch's other kernels take its place.",
        torch.__version__,
    )
