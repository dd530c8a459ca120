"""Training is SAELens' own, survives interruption exactly, costs one pass for all layers, refuses what cannot be."""

import errno
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sae_lens import SAE
from sae_lens.config import SAETrainerConfig
from sae_lens.training.sae_trainer import SAETrainer

from llm_probe.models.loading import LoadedModel, weights_fingerprint
from sae.config import SaeConfig, check
from sae.training import train as training
from sae.training.train import fit, new_run, stream_of, train
from toy.run.errors import InputError

PLACE = (0, "resid_post")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in SAE.load_from_disk(folder).state_dict().items()}


def test_the_steps_are_those_of_saelens(config: SaeConfig, loaded: LoadedModel) -> None:
    stream = stream_of(config, loaded, [PLACE])
    ours = new_run(config, PLACE, 0, loaded.d_model, loaded.device)
    theirs = new_run(config, PLACE, 0, loaded.d_model, loaded.device).trainer.sae
    fit(config, [ours], stream, every=60.0)
    states = torch.cat([stream(step)[PLACE] for step in range(2)])
    scale = float(loaded.d_model**0.5 / states.norm(dim=1).mean())
    theirs.b_dec.data.copy_(scale * states.mean(dim=0))
    given: SAETrainerConfig = new_run(config, PLACE, 0, loaded.d_model, loaded.device).trainer.cfg
    trainer = SAETrainer(given, theirs, (stream(step)[PLACE] for step in range(config.steps)))
    trainer.activation_scaler.scaling_factor = scale
    trainer.fit()
    for name, weight in theirs.state_dict().items():
        assert torch.equal(ours.trainer.sae.state_dict()[name], weight), name
    assert ours.step == config.steps == 12


def test_an_interrupted_run_ends_as_one_that_was_not(config: SaeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(config, seeds=(0, 1))
    train(config)
    whole = {str(path.relative_to(config.folder)): weights(path) for path in config.folder.glob("*/seed*")}
    assert sorted(whole) == [f"{layer}.resid_post/seed{seed}" for layer in (0, 2) for seed in (0, 1)]
    broken = replace(config, out=config.folder.with_name("broken"))
    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)

    def stop(done: int, steps: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(broken, on_step=stop)
    kept = list(broken.folder.glob("*/.seed*.checkpoints/*"))
    assert len(kept) == 4 and all(path.name == "6" for path in kept)
    # One of them never got as far: it starts from nothing and the others wait for it.
    shutil.rmtree(next(path for path in kept if "0.resid_post/.seed1" in str(path)))
    seen: list[int] = []
    records = train(broken, on_step=lambda done, steps: seen.append(done))
    assert seen == list(range(1, 13))
    for path, expected in whole.items():
        resumed = weights(broken.folder / path)
        assert all(torch.equal(resumed[name], weight) for name, weight in expected.items()), path
    assert not list(broken.folder.glob("*/.*"))
    alone = json.loads((config.folder / "2.resid_post/seed0/training.json").read_text())
    again = next(record for record in records if record["layer"] == 2 and record["seed"] == 0)
    assert again["states_read"] == alone["states_read"] > 0
    assert again["measures"] == alone["measures"]


def test_checkpoints_of_other_settings_are_not_read(config: SaeConfig, loaded: LoadedModel) -> None:
    run = new_run(config, PLACE, 0, loaded.d_model, loaded.device, "one")
    run.trainer.n_training_steps = 5
    training.checkpoint(run)
    for key, step in (("one", 5), ("another", 0)):
        fresh = new_run(config, PLACE, 0, loaded.d_model, loaded.device, key)
        training.resume(fresh)
        assert fresh.step == step


def test_a_damaged_checkpoint_ends_in_one_sentence(config: SaeConfig, loaded: LoadedModel) -> None:
    """Whichever of its files it is, and however many of them SAELens writes."""
    run = new_run(config, PLACE, 0, loaded.d_model, loaded.device, "one")
    run.trainer.n_training_steps = 5
    training.checkpoint(run)
    files = [path for path in run.checkpoints.rglob("*") if path.is_file()]
    assert len(files) >= 3
    for path in files:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 3])
        try:
            training.resume(new_run(config, PLACE, 0, loaded.d_model, loaded.device, "one"))
        except InputError as error:
            assert "5 is damaged (" in str(error) and "remove it and give the same command again" in str(error)
        else:
            assert path.name in ("cfg.json", "sparsity.safetensors")  # which nobody reads
        path.write_bytes(whole)
    training.resume(run)


def test_a_full_disk_loses_nothing(config: SaeConfig, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run(config, PLACE, 0, loaded.d_model, loaded.device)
    run.trainer.n_training_steps = 2
    training.checkpoint(run)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run.trainer.n_training_steps = 4
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(InputError, match="No space left on device"):
        training.checkpoint(run)
    assert [path.name for path in run.checkpoints.iterdir()] == ["2"]


def test_what_is_there_is_not_trained_again(config: SaeConfig) -> None:
    config = replace(config, layers=(0,))
    first = train(config)
    assert train(config, on_step=lambda done, steps: pytest.fail("trained again")) == first
    with pytest.raises(InputError, match="other settings"):
        train(replace(config, k=3))
    steps: list[int] = []
    more = train(replace(config, seeds=(0, 1)), on_step=lambda done, steps_: steps.append(done))
    assert more[0] == first[0] and more[1]["seed"] == 1 and steps[-1] == 12


@pytest.mark.parametrize("architecture", ["topk", "batchtopk", "matryoshka", "jumprelu", "standard"])
def test_every_architecture_is_saved_in_saelens_format(config: SaeConfig, architecture: str, loaded) -> None:
    """Opened with SAELens alone, and of an untrained twin as well."""
    config = replace(config, layers=(1,), architecture=architecture, weights="random", weights_seed=3)
    record = train(config)[0]
    sae = SAE.load_from_disk(config.folder / "1.resid_post" / "seed0")
    assert (sae.cfg.d_in, sae.cfg.d_sae) == (loaded.d_model, 32)
    assert sae.cfg.metadata.hook_name == "blocks.1.hook_resid_post"
    assert sae.cfg.normalize_activations == "none"
    assert record["weights"] == "random" and record["weights_fingerprint"] != weights_fingerprint(loaded.model)
    if architecture == "topk":
        assert record["measures"]["l0"] == 4 and record["measures"]["reload_difference"] < 1e-5


def test_all_layers_and_seeds_cost_one_pass(config: SaeConfig, loaded: LoadedModel) -> None:
    counts = []
    for places, seeds in (([PLACE], [0]), ([(layer, "resid_post") for layer in range(3)], [0, 1])):
        passes = []
        handle = loaded.layers[0].register_forward_hook(lambda *_, passes=passes: passes.append(1))
        runs = [new_run(config, place, seed, loaded.d_model, loaded.device) for place in places for seed in seeds]
        fit(config, runs, stream_of(config, loaded, places), every=60.0)
        handle.remove()
        counts.append(len(passes))
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"width": 1}, "width of 1|width 1"),
        ({"k": 32}, "--k from 1 to 31"),
        ({"k": 0}, "k = 0"),
        ({"tokens": 6_000, "undertrained": False}, "--tokens 6400"),
        ({"tokens": 63}, "less than one batch"),
        ({"batch": 256}, "does not come from a buffer"),
        ({"task_share": 1.5}, "no share"),
        ({"largest_norm": 0.5}, "the median"),
        ({"dataset": "x"}, "exclude each other"),
        ({"context": 0}, "--context 0"),
    ],
)
def test_numbers_that_cannot_be(config: SaeConfig, wrong: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(replace(config, **wrong))


def test_k_must_be_below_the_width_of_the_states(config: SaeConfig) -> None:
    with pytest.raises(InputError, match="without being sparse"):
        train(replace(config, k=16))
    with pytest.raises(InputError, match="layer 7 does not exist"):
        train(replace(config, layers=(7,)))


def test_the_command(config: SaeConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import train_sae

    words = [
        "train_sae.py", "--model", config.model, "--layers", "1", "--width", "32", "--k", "4", "--tokens", "256",
        "--batch", "64", "--buffer-tokens", "128", "--context", "16", "--text", str(config.text), "--domains", "days",
        "--held-out-tokens", "200", "--out", str(config.out),
    ]  # fmt: skip
    monkeypatch.setattr("sys.argv", words)
    assert train_sae.main() == 2
    assert capsys.readouterr().err == (
        "error: 256 tokens are too few for 32 latents: give --tokens 6400 or more, a smaller --width, or "
        "--undertrained to train all the same and find many latents dead and the fit poor\n"
    )
    monkeypatch.setattr("sys.argv", [*words, "--undertrained"])
    assert train_sae.main() == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split()[:4] == ["layer", "site", "seed", "l0"]
    assert shown[1].split()[:4] == ["1", "resid_post", "0", "4.000"]


def test_the_bench() -> None:
    import bench_sae

    lines = bench_sae.measure(bench_sae.Bench(layers=2, width=32, k=4, batch=64, steps=2, repeats=1))
    table = {quantity: (value, met) for _, quantity, value, _, _, met in lines}
    assert table["forwards of a block, 2 layers"] == (1, "met")
    assert table["ours"][0] > 0 and "ours against SAELens" in table
