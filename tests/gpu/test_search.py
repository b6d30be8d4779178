"""A search with KerasTuner of two workers that share one device."""

import json
import sys
import textwrap

import pytest

from tfgen import tuning
from tfgen.tuning import parallel

pytestmark = pytest.mark.gpu

SEARCH = """
    import functools, json, os, pathlib, sys, time
    from tfgen import datasets, tuning

    folder, device = pathlib.Path(sys.argv[1]), sys.argv[2]
    worker = os.environ["KERASTUNER_TUNER_ID"]
    if worker != "chief":
        tuning.configure_devices()

    class Model(tuning.BetaLatentHyperModel):
        def fit(self, hp, model, **kwargs):
            # Both workers are here, and have begun to use the device, before one goes on.
            (folder / f"{worker}.begun").touch()
            end = time.time() + 300
            while len(list(folder.glob("*.begun"))) < 2 and time.time() < end:
                time.sleep(0.1)
            metrics = super().fit(hp, model, **kwargs)
            used = [v.value.device for v in model.trainable_variables]
            growth = os.environ.get("TF_FORCE_GPU_ALLOW_GROWTH")
            with open(folder / f"{worker}.json", "a") as file:
                print(json.dumps({"devices": used, "growth": growth}), file=file)
            return metrics

    data = functools.partial(datasets.load, "digits", binarize="threshold")
    hypermodel = Model(data, beta=(1.0, 4.0), latent_dim=(2, 3), width=8, splits=("test", "test"))
    tuning.search(hypermodel, folder / "search", epochs=1, verbose=0, tuner="grid")
"""


def test_two_workers_share_a_device(device, tmp_path, monkeypatch):
    if device.startswith("GPU"):  # One, where there are several.
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", parallel.visible_gpus()[0])
    script = textwrap.dedent(SEARCH)
    tuning.run_workers([sys.executable, "-c", script, str(tmp_path), device], 2, max_restarts=0)
    trials = tuning.load_trials(tmp_path / "search")
    assert [trial.status for trial in trials] == ["COMPLETED"] * 4
    values = {(t.hyperparameters["beta"], t.hyperparameters["latent_dim"]) for t in trials}
    assert len(values) == 4
    notes = {
        path.stem: path.read_text(encoding="utf-8").splitlines() for path in tmp_path.glob("*.json")
    }
    assert set(notes) == {"worker0", "worker1"}
    for line in sum(notes.values(), []):
        note = json.loads(line)
        assert note["growth"] == "true"  # Else the first worker takes all of a GPU's memory.
        kind = device.split(":")[0]
        assert note["devices"] and all(f"{kind}:" in used for used in note["devices"])
