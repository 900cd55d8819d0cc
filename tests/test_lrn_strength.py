"""LRN at `laptop` acts: what docs/figure2-rules.md says of its strength, on the images that it is for."""

import pytest
import torch

from bnrepro.training import build
from conftest import ROOT, config_of

CPU = torch.device("cpu")


@pytest.mark.skipif(not (ROOT / "data/tiny-imagenet-200/decoded").is_dir(), reason="Tiny-ImageNet is not prepared")
def test_the_mean_factor_is_about_four_fifths_at_the_start():
    config = config_of("experiment=figure2/inception", "scale=laptop", "data.split=tune")
    data = build.dataset(config, CPU)
    model = build.network(config, [0], CPU, data.classes)
    factors = []

    def keep(module, inputs, output):
        (x,) = inputs
        factors.append((output[x > 0] / x[x > 0]).mean().item())

    for module in (model.stem.lrn1, model.stem.lrn2):
        module.register_forward_hook(keep)
    with torch.no_grad():
        model(data.batch(0, 0)[0])
    assert len(factors) == 2 and 0.7 < sum(factors) / 2 < 0.9, factors
