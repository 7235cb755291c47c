"""Recording from modules of PyTorch."""

import numpy as np
import torch


def tensor(x):
    return torch.as_tensor(np.asarray(x), dtype=torch.float32)


class Recorder:
    """Keeps what named modules put out, and a state of theirs, tick by tick."""

    def __init__(self, modules, state):
        self.kept = {name: ([], []) for name in modules}
        for name, module in modules.items():
            module.register_forward_hook(self.hook(name, state))

    def hook(self, name, state):
        def keep(module, _, output):
            output = output[0] if isinstance(output, tuple) else output
            spikes, voltages = self.kept[name]
            spikes.append(output.detach().numpy().copy())
            voltages.append(state(module).detach().numpy().copy())

        return keep

    def recorded(self):
        return {name: (np.array(spikes), np.array(v)) for name, (spikes, v) in self.kept.items()}
