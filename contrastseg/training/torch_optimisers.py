"""torch's optimisers, without waiting for torch's compiler.

torch marks the methods of its optimisers so that its compiler leaves them alone, and the first call of a marked method
imports the compiler (`torch._dynamo`), which takes as long as importing torch. These classes have the same methods
unmarked, and so take the same steps bit for bit. Should a later torch mark them in another way, the import is back and
nothing else changes.
"""

from __future__ import annotations

import inspect

import torch
from torch.optim import Optimizer


class _Unmarked:
    """What a step needs of every optimiser."""

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)


class SGD(_Unmarked, torch.optim.SGD):
    """`torch.optim.SGD`."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.SGD.step))


class Adam(_Unmarked, torch.optim.Adam):
    """`torch.optim.Adam`, whose weight decay is an L2 term of the loss."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))


class AdamW(_Unmarked, torch.optim.AdamW):
    """`torch.optim.AdamW`."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))
