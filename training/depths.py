"""What is trained below a head: the backbone's last blocks on maps, or all of it on pictures."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import paddle
from paddle import nn

from serving.job.inputs import InputFeatures
from serving.job.search import Depth, Recipe
from training import checkpoint
from training.backbones.catalogue import find_backbone, load_pretrained
from training.backbones.extractors import load_extractor
from training.backbones.put_back import Body
from training.backbones.tail import Tail, cut_tail
from training.export import read_backbone
from training.fit import Fit, Rows, Trained
from training.head_weights import copy_weights
from training.loop import IsOver, train_head
from training.maps import open_maps
from training.norms import keep_statistics, quiet_norms, synchronize
from training.pictures import open_pictures
from training.ranks import Ranks
from training.search.search import Material
from training.search.space import LAST_BLOCKS_SPACE, NETWORK_SPACE, Space
from training.sources import Maps, Pictures, Source
from training.spec import TrainSpec
from training.tasks.protocol import ReadContents, Scaling, TaskModel


class Deep(nn.Layer):
    """Maps [n, c, h, w] → outputs [n, classes]."""

    def __init__(self, tail: Tail, head: nn.Layer) -> None:
        super().__init__()
        self.tail, self.head = tail, head

    def forward(self, maps: paddle.Tensor) -> paddle.Tensor:
        """See the class."""
        outputs: paddle.Tensor = self.head(self.tail(maps))
        return outputs


class Whole(nn.Layer):
    """Pictures [n, 3, side, side] → outputs [n, classes]."""

    def __init__(self, extractor: nn.Layer, head: nn.Layer) -> None:
        super().__init__()
        self.extractor, self.head = extractor, head

    def forward(self, pictures: paddle.Tensor) -> paddle.Tensor:
        """See the class."""
        with quiet_norms():
            outputs: paddle.Tensor = self.head(self.extractor(pictures))
        return outputs


@dataclass(frozen=True)
class Setting:
    """What all deeper trainings of a run share. given: the backbone of the head they begin with."""

    spec: TrainSpec
    ranks: Ranks
    material: Material
    task: TaskModel
    given: InputFeatures

    @property
    def key(self) -> str:
        """All that decides a deeper training beside its recipe; another attempt shares it."""
        return f"{self.spec.fingerprint_work()}/{self.ranks.size}/{self.ranks.device}"

    def agrees(self, ask: Callable[[], bool]) -> bool:
        """The leading rank's answer, on all."""
        return self.ranks.broadcast(b"1" if self.ranks.leads and ask() else b"0") == b"1"

    def say(self, text: str) -> None:
        """Print it once."""
        if self.ranks.leads:
            print(text, flush=True)


@dataclass(frozen=True)
class Way:
    """How one depth is trained.

    first: what a head's recipe is changed to for the first trial; scratch: where the backbone has
    learned nothing yet; space: what others are drawn from. timed_steps: how many tell what an
    epoch takes.
    """

    depth: Depth
    words: str
    first: dict[str, float]
    scratch: dict[str, float]
    space: Space
    most_trials: int
    timed_steps: int
    open_inputs: Callable[[Setting], Source]
    build: Callable[[Setting, nn.Layer], nn.Layer]

    def change(self, recipe: Recipe, values: dict[str, float]) -> Recipe:
        """A recipe at this depth."""
        return recipe.model_copy(update={"depth": self.depth, **values})

    def choose_first(self, recipe: Recipe, given: InputFeatures) -> Recipe:
        """The hand-set one for a head's recipe."""
        return self.change(recipe, self.scratch if is_untrained(given) else self.first)


def is_untrained(given: InputFeatures) -> bool:
    """Whether the backbone has learned nothing yet."""
    weights = given.backbone.weights
    return weights is not None and weights.untrained


def _open_maps(setting: Setting) -> Source:
    with setting.ranks.share_errors():
        tail = Tail(load_pretrained(find_backbone(setting.given.backbone.name)).extractor)
        trunk = cut_tail(read_backbone(setting.given.backbone), tail)
    maps = open_maps(
        trunk,
        setting.given,
        sha256=setting.material.samples.sha256,
        contents=_find_contents(setting),
        ranks=setting.ranks,
        folder=checkpoint.find_scratch(setting.spec.scratch_uri),
    )
    return Maps(maps)


def _build_deep(setting: Setting, head: nn.Layer) -> Deep:
    tail = Tail(load_pretrained(find_backbone(setting.given.backbone.name)).extractor)
    keep_statistics(tail)
    return Deep(tail, head)


def _open_pictures(setting: Setting) -> Source:
    pixels = open_pictures(
        setting.given,
        sha256=setting.material.samples.sha256,
        contents=_find_contents(setting),
        ranks=setting.ranks,
        folder=checkpoint.find_scratch(setting.spec.scratch_uri),
    )
    return Pictures(pixels, setting.given.preprocessing)


def _find_contents(setting: Setting) -> ReadContents:
    if setting.material.contents is None:
        raise RuntimeError("there are no pictures to train on")
    return setting.material.contents


def _build_whole(setting: Setting, head: nn.Layer) -> nn.Layer:
    """Norms learn statistics where they know none, and on cards, whose batches are large."""
    network: nn.Layer = Whole(load_extractor(setting.given.backbone), head)
    if setting.ranks.device == "gpu":
        return synchronize(network) if setting.ranks.size > 1 else network
    if not is_untrained(setting.given):
        keep_statistics(network)
    return network


# The learning rates are those at the height of the schedule, of head and backbone. Of last blocks,
# smaller ones ended with a larger loss on digits.
LAST_BLOCKS = Way(
    depth="last_blocks",
    words="the backbone's last blocks",
    first={"learning_rate": 1e-3},
    scratch={},
    space=LAST_BLOCKS_SPACE,
    most_trials=1,
    timed_steps=3,
    open_inputs=_open_maps,
    build=_build_deep,
)
NETWORK = Way(
    depth="network",
    words="the whole network",
    first={"learning_rate": 5e-4, "augmentation": 0.3, "mixup": 0.0},
    scratch={"learning_rate": 2e-3, "augmentation": 0.3, "mixup": 0.0},
    space=NETWORK_SPACE,
    most_trials=12,
    timed_steps=1,
    open_inputs=_open_pictures,
    build=_build_whole,
)
WAYS: dict[Depth, Way] = {way.depth: way for way in (LAST_BLOCKS, NETWORK)}


def fit_deep(spec: TrainSpec, recipe: Recipe, epochs: int) -> Fit:
    """How it is trained by a recipe; only the clock stops it earlier."""
    return Fit(recipe, spec.seed, epochs, epochs, spec.min_delta, spec.classes, horizon=epochs)


def build(setting: Setting, way: Way, fit: Fit, head: Trained) -> tuple[nn.Layer, Scaling]:
    """The network to begin with, with a copy of a head; and what that divides features by.

    What a head has learned of features that mean nothing is no help: a new one then, which does not
    scale, for they will be others soon.
    """
    if is_untrained(setting.given):
        scaling = Scaling.leave(setting.given.backbone.features)
        start = setting.task.make_head(fit.recipe, scaling, len(fit.classes), 0, fit.seed)
    else:
        scaling, start = head.scaling, copy.deepcopy(head.head)
    # Weights come from the store, to some ranks later than to others.
    with setting.ranks.share_errors():
        network = way.build(setting, start)
    return network, scaling


def train_deep(
    setting: Setting,
    way: Way,
    fit: Fit,
    rows: Rows,
    *,
    head: Trained,
    is_over: IsOver | None = None,
    on_saved: Callable[[], None] = lambda: None,
) -> Trained:
    """Train it from a head. rows: of the way's inputs."""
    network, scaling = build(setting, way, fit, head)
    return train_head(
        fit,
        setting.ranks,
        replace(rows, scaling=scaling),
        setting.task,
        setting.spec.scratch_uri,
        network=network,
        is_over=is_over,
        on_saved=on_saved,
    )


def split_network(network: nn.Layer) -> tuple[nn.Layer, Body | None]:
    """The head alone, and what was trained of the backbone."""
    if isinstance(network, Deep):
        return network.head, Body("last_blocks", copy_weights(network.tail))
    if isinstance(network, Whole):
        return network.head, Body("network", copy_weights(network.extractor))
    return network, None
