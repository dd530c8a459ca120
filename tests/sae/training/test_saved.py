"""SAEs from folders and from SAELens' registry, and what does not fit or cannot be read."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sae_lens import SAE, StandardSAE, StandardSAEConfig, TopKSAE, TopKSAEConfig, Transcoder, TranscoderConfig
from sae_lens.saes.sae import SAEMetadata

from llm_probe.models.loading import LoadedModel, load
from sae.config import SaeConfig
from sae.training.saved import check_fits, hook_name, load_sae
from sae.training.train import train
from toy.run.errors import InputError


def written(folder: Path, hook: str | None, d_in: int = 16) -> str:
    """An untrained SAE that knows a hook."""
    metadata = SAEMetadata(hook_name=hook)
    TopKSAE(TopKSAEConfig(d_in=d_in, d_sae=24, k=3, metadata=metadata)).save_model(folder)
    return str(folder)


def test_a_trained_one_is_read_back(config: SaeConfig, loaded: LoadedModel) -> None:
    train(replace(config, layers=(2,), site=("mlp_out",)))
    saved = load_sae(str(config.folder / "2.mlp_out" / "seed0"))
    assert (saved.layer, saved.site, saved.latents, saved.d_in) == (2, "mlp_out", 32, 16)
    check_fits(saved, loaded)
    states = torch.randn(7, 16)
    latents = saved.encode(states)
    assert latents.shape == (7, 32) and (latents >= 0).all() and ((latents > 0).sum(dim=1) <= 4).all()
    torch.testing.assert_close(saved.decode(latents), latents @ saved.decoder + saved.sae.b_dec)
    plain = SAE.load_from_disk(saved.name)
    torch.testing.assert_close(plain.encode(states), latents)


def test_another_models_states_do_not_fit(config: SaeConfig, loaded: LoadedModel, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="reads states of 12 numbers"):
        check_fits(load_sae(written(tmp_path / "a", hook_name(0, "resid_post"), 12)), loaded)
    with pytest.raises(InputError, match="layer 5 does not exist"):
        check_fits(load_sae(written(tmp_path / "b", hook_name(5, "resid_post"))), loaded)
    check_fits(load_sae(written(tmp_path / "c", hook_name(1, "resid_post"))), loaded)
    train(replace(config, layers=(0,), weights="random"))
    of_the_twin = load_sae(str(config.folder / "0.resid_post" / "seed0"))
    with pytest.raises(InputError, match="other weights"):
        check_fits(of_the_twin, loaded)
    check_fits(of_the_twin, load(str(folder), random_weights=True))


def test_hooks(tmp_path: Path) -> None:
    before = load_sae(written(tmp_path / "a", "blocks.2.hook_resid_pre"))
    assert (before.layer, before.site) == (1, "resid_post")
    for hook in ("blocks.0.hook_resid_pre", "blocks.1.attn.hook_z", "hook_embed", None):
        with pytest.raises(InputError, match="reads"):
            load_sae(written(tmp_path / "b", hook))


@pytest.mark.parametrize("scaled", ["expected_average_only_in", "covariance_whitening"])
def test_a_scale_that_is_not_in_the_weights(scaled: str, tmp_path: Path) -> None:
    metadata = SAEMetadata(hook_name=hook_name(0, "resid_post"))
    sae = StandardSAE(StandardSAEConfig(d_in=16, d_sae=24, metadata=metadata, normalize_activations=scaled))  # type: ignore[arg-type]
    sae.save_model(tmp_path / "unfolded")
    with pytest.raises(InputError, match=f"reads scaled states .{scaled}., .* fold it in"):
        load_sae(str(tmp_path / "unfolded"))
    sae.fold_activation_norm_scaling_factor(0.5)
    sae.save_model(tmp_path / "folded")
    assert load_sae(str(tmp_path / "folded")).latents == 24


@pytest.mark.parametrize("scaled", ["layer_norm", "constant_norm_rescale"])
def test_a_scale_that_is_applied_to_every_state(scaled: str, tmp_path: Path) -> None:
    metadata = SAEMetadata(hook_name=hook_name(0, "resid_post"))
    config = StandardSAEConfig(d_in=16, d_sae=24, metadata=metadata, normalize_activations=scaled)  # type: ignore[arg-type]
    StandardSAE(config).save_model(tmp_path)
    saved, states = load_sae(str(tmp_path)), torch.randn(5, 16)
    torch.testing.assert_close(saved.encode(3 * states), saved.encode(states), rtol=1e-3, atol=1e-4)


def test_a_transcoder_is_none(tmp_path: Path) -> None:
    metadata = SAEMetadata(hook_name=hook_name(0, "resid_post"), hook_name_out=hook_name(0, "mlp_out"))
    Transcoder(TranscoderConfig(d_in=16, d_out=16, d_sae=24, apply_b_dec_to_input=False, metadata=metadata)).save_model(
        tmp_path
    )
    with pytest.raises(InputError, match=r"a transcoder from .* other states than it reads"):
        load_sae(str(tmp_path))


@pytest.mark.parametrize(
    ("made_for", "warned"), [(None, False), ("owner/Small", False), ("small", False), ("other/model", True)]
)
def test_another_models_name_is_said(
    made_for: str | None, warned: bool, loaded: LoadedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = SAEMetadata(hook_name=hook_name(1, "resid_post"), model_name=made_for)
    TopKSAE(TopKSAEConfig(d_in=16, d_sae=24, k=3, metadata=metadata)).save_model(tmp_path)
    check_fits(load_sae(str(tmp_path)), replace(loaded, name="./models/Small"))
    assert ("was made for other/model" in capsys.readouterr().err) == warned


def test_folders_that_cannot_be_read(config: SaeConfig, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no SAE in .*cfg\.json is missing"):
        load_sae(str(tmp_path / "empty"))
    place = Path(written(tmp_path / "cut", hook_name(0, "resid_post")))
    content = (place / "sae_weights.safetensors").read_bytes()
    (place / "sae_weights.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        load_sae(str(place))
    (place / "sae_weights.safetensors").unlink()
    with pytest.raises(InputError, match=r"sae_weights\.safetensors"):
        load_sae(str(place))
    other = Path(written(tmp_path / "other", hook_name(0, "resid_post")))
    for text in ("{", "{}", '{"architecture": "new"}'):
        (other / "cfg.json").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match="cannot be read"):
            load_sae(str(other))
    record = Path(written(tmp_path / "record", hook_name(0, "resid_post"))) / "training.json"
    record.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"not what train_sae\.py wrote"):
        load_sae(str(record.parent))


def test_the_registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    release = "qwen-scope-3-1.7b-base-w32k-l50"
    with pytest.raises(InputError, match="neither a folder nor"):
        load_sae("no-such-release/layer3")
    with pytest.raises(InputError, match="has no SAE 'layer99': it has layer0"):
        load_sae(f"{release}/layer99")
    with pytest.raises(InputError, match="could not be fetched"):
        load_sae(f"{release}/layer3")  # the tests run offline
    local = SAE.load_from_disk(written(tmp_path / "a", "blocks.3.hook_resid_post"))
    monkeypatch.setattr(SAE, "from_pretrained", lambda release, sae_id, device: local)
    saved = load_sae(f"{release}/layer3")
    assert (saved.layer, saved.site, saved.weights_fingerprint) == (3, "resid_post", None)
