"""The trained network that is in the repository: small, loadable, and what predict.py takes where no run is named."""

import numpy as np
import torch
from PIL import Image

import bnrepro
from bnrepro.cli import predict
from bnrepro.use.trained import trained


def test_it_is_small_and_is_the_network_of_its_record():
    assert (predict.SHIPPED / "checkpoint.pt").stat().st_size < 2e6
    network = trained(predict.SHIPPED, torch.device("cpu"))
    assert len(network.classes) == 50 and network.status["final"]["val/top1"] > 0.4
    model = bnrepro.load_run(predict.SHIPPED).model()
    images = torch.zeros(2, 3, 32, 32)
    assert torch.equal(model(images), network.network(images)) and model(images).std() > 0.1


def test_it_answers_where_no_run_is_named(tmp_path, capsys):
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    assert predict.main([str(tmp_path / "noise.png")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "noise.png" in lines[0] and len([line for line in lines[1:] if line.strip()]) == predict.ANSWERS
