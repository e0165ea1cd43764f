"""A backbone's Paddle network, whether it ships or a user brought its weights."""

from paddle import nn

from serving.job.inputs import BackboneFile
from training.backbones.catalogue import find_backbone, load_pretrained
from training.backbones.vision import load_given


def load_extractor(file: BackboneFile) -> nn.Layer:
    """Pictures → vectors, in evaluation mode; UserError where there is no such network."""
    if file.weights is not None:
        return load_given(file.weights)
    return load_pretrained(find_backbone(file.name)).extractor
