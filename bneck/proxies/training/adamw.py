"""AdamW without torch.compile, which torch's own imports when it is made: 4 seconds of a core."""

from inspect import unwrap

import torch


class AdamW(torch.optim.AdamW):
    """Computes what torch's does, by the same code, past the decorators for torch.compile."""

    add_param_group = unwrap(torch.optim.AdamW.add_param_group)
    zero_grad = unwrap(torch.optim.AdamW.zero_grad)
    state_dict = unwrap(torch.optim.AdamW.state_dict)
    load_state_dict = unwrap(torch.optim.AdamW.load_state_dict)
    step = torch.no_grad()(unwrap(torch.optim.AdamW.step))
