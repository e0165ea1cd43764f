"""Ranks meet after what may take one of them long, before they ask the others for anything."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import paddle
import pytest

from serving.job import store
from serving.job.inputs import InputFeatures
from tests.training.conftest import MakeSpec
from tests.training.fitting import fit_alone, fit_of, rows_of, set_up
from training import checkpoint, depths, loop
from training.backbones.extractors import load_extractor
from training.depths import NETWORK, fit_deep, train_deep
from training.ranks import Ranks


@dataclass(frozen=True)
class Noted(Ranks):
    """The first of two ranks, alone: notes what it would ask of the other one."""

    notes: list[str] = field(default_factory=list)

    def wrap(self, network: paddle.nn.Layer) -> paddle.nn.Layer:
        self.notes.append("wrap")
        return network

    def sum(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        self.notes.append("sum outputs" if values.ndim == 2 else "sum")
        return values

    def broadcast(self, content: bytes) -> bytes:
        self.notes.append("broadcast")
        return content

    def meet(self, word: str) -> str:
        self.notes.append("meet")
        return word

    def note(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*given: Any) -> Any:
            self.notes.append(name)
            return work(*given)

        return noted


def test_a_network_is_built_judged_and_kept_with_all_ranks_waiting(
    make_spec: MakeSpec, tiny: InputFeatures
) -> None:
    spec, ranks = make_spec(inputs=(tiny,), deepest="network"), Noted(0, 2, "cpu")
    head, setting = fit_alone(spec), set_up(spec, ranks)
    rows = replace(rows_of(spec), inputs=NETWORK.open_inputs(setting))
    rows = replace(rows, learned=rows.learned[:40])
    fit = fit_deep(spec, NETWORK.choose_first(fit_of(spec).recipe, setting.given), 1)
    ranks.notes.clear()
    with (
        mock.patch.object(depths, "load_extractor", ranks.note("load", load_extractor)),
        mock.patch.object(checkpoint, "write", ranks.note("write", checkpoint.write)),
        mock.patch.multiple(loop, CHECKPOINT_INTERVAL_S=0.0, STEP_INTERVAL_S=0.0),
    ):
        train_deep(setting, NETWORK, fit, rows, head=head)
    notes = ranks.notes
    after = {(one, notes[place + 1]) for place, one in enumerate(notes[:-1])}
    assert {two for one, two in after if one in ("load", "write")} == {"meet"}
    assert {one for one, two in after if two == "sum outputs"} == {"meet"}
    # The others are told of all but the last, which all know of.
    assert [one for one, two in after if two == "write"].count("broadcast") == 1
    assert (notes.count("write"), notes.count("sum outputs")) == (4, 2)


def test_weights_are_read_once_for_all_trials(
    tiny: InputFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_extractor(tiny.backbone)
    monkeypatch.setattr(store, "read_bytes", mock.Mock(side_effect=AssertionError))
    assert load_extractor(tiny.backbone) is not load_extractor(tiny.backbone)
