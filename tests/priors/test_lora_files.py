"""LoRA files fused into a model: W + weight * alpha/rank * B A, in kohya's and diffusers' formats."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import tiny_checkpoints as tiny_files
import tiny_pipelines as tiny
import torch
from full_size import FullSize
from original_layout import unet_name
from safetensors.torch import save_file

from backend.guidance.learned import Learned
from backend.priors.base import PriorError
from backend.priors.checkpoint_header import Header, read_header
from backend.priors.lora_files import by_network
from backend.priors.lora_kind import made_for, tokens_of
from backend.priors.lora_scale import scaled
from backend.priors.settings import LoRAFile
from backend.priors.stable_diffusion import load_stable_diffusion

FAMILIES = list(tiny_files.FAMILIES)
BLOCK = "down_blocks.1.attentions.0.transformer_blocks.0"
UNET_LAYERS = (
    "down_blocks.0.resnets.0.conv1",
    f"{BLOCK}.attn2.to_k",
    f"{BLOCK}.attn1.to_out.0",
    f"{BLOCK}.ff.net.0.proj",
    "mid_block.attentions.0.proj_in",
    "up_blocks.0.attentions.1.transformer_blocks.0.attn1.to_q",
)
TEXT_LAYERS = ("encoder.layers.1.self_attn.q_proj", "encoder.layers.0.mlp.fc1", "encoder.layers.0.mlp.fc2")
TEXTS = ("text_encoder", "text_encoder_2")


@dataclass(frozen=True)
class Layer:
    """One layer of a LoRA: its matrices, and its alpha, both different from layer to layer."""

    network: str
    name: str  # of the module in diffusers, without "text_model."
    first: torch.Tensor  # A (rank, ...)
    second: torch.Tensor  # B (out, rank, 1, 1)
    alpha: float

    @property
    def rank(self):
        return len(self.first)

    @property
    def delta(self):
        """B A in the shape of the weight."""
        whole = self.second.flatten(1) @ self.first.flatten(1)
        return whole.reshape(len(self.second), *self.first.shape[1:])

    @property
    def path(self):
        return f"{self.network}.{self.name}" if self.network == "unet" else f"{self.network}.text_model.{self.name}"


def weight_of(network, name):
    """The weight of a layer; the second text encoder's modules are inside a `text_model`."""
    modules = dict(network.named_modules())
    return modules.get(name, modules.get(f"text_model.{name}")).weight


def layers(pipeline, texts=TEXTS):
    """A LoRA for this pipeline."""
    places = [("unet", name) for name in UNET_LAYERS]
    places += [(text, name) for text in texts if hasattr(pipeline, text) for name in TEXT_LAYERS]
    generator, found = torch.Generator().manual_seed(5), []
    for number, (network, name) in enumerate(places):
        weight, rank = weight_of(getattr(pipeline, network), name), 2 + number % 3
        first = torch.randn(rank, *weight.shape[1:], generator=generator)
        second = torch.randn(weight.shape[0], rank, *[1] * (weight.ndim - 2), generator=generator)
        found.append(Layer(network, name, first, second, 1.0 + number % 4))
    return found


def kohya(found, pipeline):
    """kohya's format: for SDXL with the names of the U-Net's original code.  Every layer has an alpha."""
    tensors = {}
    for layer in found:
        if layer.network == "unet":
            name = unet_name(layer.name, pipeline.unet.config) if hasattr(pipeline, "text_encoder_2") else layer.name
            start = "lora_unet_"
        else:
            one = "lora_te1_" if hasattr(pipeline, "text_encoder_2") else "lora_te_"
            name, start = f"text_model.{layer.name}", one if layer.network == "text_encoder" else "lora_te2_"
        key = start + name.replace(".", "_")
        tensors |= {f"{key}.lora_down.weight": layer.first, f"{key}.lora_up.weight": layer.second}
        tensors[f"{key}.alpha"] = torch.tensor(layer.alpha)
    return tensors, {}


def peft(found, _pipeline):
    """diffusers' format without settings: the scale is 1."""
    tensors = {f"{layer.path}.lora_A.weight": layer.first for layer in found}
    return tensors | {f"{layer.path}.lora_B.weight": layer.second for layer in found}, {}


def peft_with_settings(found, pipeline):
    """diffusers' format since 0.34: alphas in the metadata, one for most layers and others by patterns."""
    settings = {}
    for network in ("unet", *TEXTS):
        own = {layer.name.split(".", 2)[-1]: layer.alpha for layer in found if layer.network == network}
        settings |= {f"{network}.lora_alpha": 3.0, f"{network}.alpha_pattern": own}
    return peft(found, pipeline)[0], {"lora_adapter_metadata": json.dumps(settings)}


def older_diffusers(found, _pipeline):
    """diffusers before peft: attention processors in the U-Net, linear layers in text encoders."""
    tensors = {}
    for layer in found:
        middle = ".lora" if layer.network == "unet" else ".lora_linear_layer"
        tensors |= {f"{layer.path}{middle}.down.weight": layer.first, f"{layer.path}{middle}.up.weight": layer.second}
    return tensors, {}


def processors(found, _pipeline):
    """The oldest of diffusers' formats, which has the U-Net's attention alone."""
    tensors = {}
    for layer in found:
        if "attn" in layer.name and layer.network == "unet":
            block, _, matrix = layer.path.replace("to_out.0", "to_out").rpartition(".")
            start = f"{block}.processor.{matrix}_lora"
            tensors |= {f"{start}.down.weight": layer.first, f"{start}.up.weight": layer.second}
    return tensors, {}


FORMATS = (kohya, peft, peft_with_settings, older_diffusers, processors)
WITH_ALPHA = (kohya, peft_with_settings)


def written(tensors, metadata=None, *, file):
    save_file({name: value.contiguous() for name, value in tensors.items()}, file, metadata)
    return file


def load(checkpoints, family, *loras):
    files = [LoRAFile(file=str(file), weight=weight) for file, weight in loras]
    return load_stable_diffusion(checkpoints.files[family], "cpu", files, checkpoints.configs)


def refused(checkpoints, family, file, *parts):
    with pytest.raises(PriorError) as caught:
        load(checkpoints, family, (file, 1.0))
    message = str(caught.value)
    assert "\n" not in message
    assert ": " in message
    for part in (file, *parts):
        assert str(part) in message, message


@pytest.mark.parametrize("make", FORMATS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_fused_weights_by_hand(checkpoints, family, make, tmp_path):
    pipeline = checkpoints.pipelines[family]
    found, before = layers(pipeline), checkpoints.files[family].read_bytes()
    tensors, metadata = make(found, pipeline)
    fused = load(checkpoints, family, (written(tensors, metadata, file=tmp_path / "style.safetensors"), 0.5))
    assert fused.notes == []
    assert checkpoints.files[family].read_bytes() == before  # the weights lie in the file itself while it is open
    used = [one for one in found if make is not processors or ("attn" in one.name and one.network == "unet")]
    scales = {one.path: one.alpha / one.rank if make in WITH_ALPHA else 1.0 for one in used}
    for part in ("unet", *TEXTS):
        if not hasattr(pipeline, part):
            continue
        before, after = (dict(getattr(owner, part).named_parameters()) for owner in (pipeline, fused.pipeline))
        assert before.keys() == after.keys()
        deltas = {f"{one.name}.weight": scales[one.path] * one.delta for one in used if one.network == part}
        assert len(deltas) == sum(one.network == part for one in used)
        for name, value in before.items():
            delta = deltas.get(name.removeprefix("text_model."), torch.zeros(1))
            torch.testing.assert_close(after[name], value + 0.5 * delta, rtol=1e-5, atol=1e-5)
            assert not after[name].requires_grad


@pytest.mark.parametrize("family", FAMILIES)
def test_the_prior_answers_differently(checkpoints, family, tmp_path):
    pipeline = checkpoints.pipelines[family]
    file = written(*kohya(layers(pipeline), pipeline), file=tmp_path / "style.safetensors")
    plain, fused = load(checkpoints, family), load(checkpoints, family, (file, 1.0))
    x_t, conditions = tiny.noisy(fused), [prior.condition(["a photo of a cat"] * 2) for prior in (plain, fused)]
    assert (conditions[0].tokens - conditions[1].tokens).abs().max() > 1e-3
    eps, other = plain.predict(x_t, tiny.T, conditions[1]), fused.predict(x_t, tiny.T, conditions[1])
    assert (eps - other).abs().max() > 1e-3
    none = load(checkpoints, family, (file, 0.0))
    torch.testing.assert_close(none.predict(x_t, tiny.T, conditions[1]), eps)


def test_two_loras_add_up(checkpoints, tmp_path):
    pipeline = checkpoints.pipelines["sd1"]
    found = layers(pipeline)
    files = [written(*kohya(found[start::2], pipeline), file=tmp_path / f"{start}.safetensors") for start in (0, 1)]
    files.append(written(*peft(found[:1], pipeline), file=tmp_path / "again.safetensors"))
    fused = load(checkpoints, "sd1", (files[0], 1.0), (files[1], -2.0), (files[2], 3.0))
    for number, one in enumerate(found):
        weight = (1.0, -2.0)[number % 2] * one.alpha / one.rank + (3.0 if number == 0 else 0.0)
        before, after = (weight_of(getattr(owner, one.network), one.name) for owner in (pipeline, fused.pipeline))
        torch.testing.assert_close(after, before + weight * one.delta, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_twin_of_a_fused_prior(checkpoints, family, tmp_path):
    """VSD's and ASD's own LoRA begins at the fused weights and leaves them as they are."""
    pipeline = checkpoints.pipelines[family]
    prior = load(
        checkpoints, family, (written(*peft(layers(pipeline), pipeline), file=tmp_path / "a.safetensors"), 1.0)
    )
    x_t, y = tiny.noisy(prior), prior.condition(["a photo of a cat"] * 2)
    before, modules = prior.predict(x_t, tiny.T, y), [type(module) for module in prior.denoiser.unet.modules()]
    twin = prior.twin(4, 1)
    assert torch.equal(twin.predict(x_t, tiny.T, y), before)
    learned = Learned(twin.parameters, 1e-2)
    losses = [learned.step(twin, (twin.predict(x_t, tiny.T, y) - before - 1).square().mean()) for _ in range(20)]
    assert losses[-1] < 0.995 * losses[0]
    assert torch.equal(prior.predict(x_t, tiny.T, y), before)
    assert [type(module) for module in prior.denoiser.unet.modules()] == modules
    assert not any(value.requires_grad for value in prior.denoiser.unet.parameters())


@pytest.mark.parametrize("make", [kohya, peft, older_diffusers])
@pytest.mark.parametrize(("made", "given"), [("sdxl", "sd1"), ("sd1", "sd2"), ("sd2", "sdxl")])
def test_of_another_family(checkpoints, make, made, given, tmp_path):
    pipeline = checkpoints.pipelines[made]
    file = written(*make(layers(pipeline), pipeline), file=tmp_path / "style.safetensors")
    widths = {family: one.unet.config.cross_attention_dim for family, one in checkpoints.pipelines.items()}
    families = (f"made for a model with tokens of {widths[made]}", f"tokens of {widths[given]}")
    refused(checkpoints, given, file, *families)
    with pytest.raises(PriorError, match="was made for a model with tokens"):
        load_stable_diffusion(checkpoints.folders[given], "cpu", [LoRAFile(file=str(file))])


REAL = {"Stable Diffusion 1.x": 768, "Stable Diffusion 2.x": 1024, "Stable Diffusion XL": 2048}


@pytest.mark.parametrize(("family", "width"), REAL.items())
def test_the_family_by_the_real_widths(family, width, tmp_path):
    tensors = {
        "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": torch.zeros(4, width)
    }
    assert made_for(read_header(written(tensors, file=tmp_path / "a.safetensors"), "LoRA")) == family
    assert tokens_of(width) == family


def test_of_other_models(checkpoints, tmp_path):
    flux = {"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": torch.zeros(4, 8)}
    refused(checkpoints, "sd1", written(flux, file=tmp_path / "flux.safetensors"), "made for Flux")
    three = {"lora_unet_joint_blocks_0_x_block_attn_qkv.lora_down.weight": torch.zeros(4, 8)}
    refused(checkpoints, "sd1", written(three, file=tmp_path / "sd3.safetensors"), "made for Stable Diffusion 3")


KINDS = {
    "lora_unet_x.hada_w1_a": "a LoHa",
    "lora_unet_x.lokr_w1": "a LoKr",
    "lora_unet_x.dora_scale": "a DoRA",
}


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_adapters_of_other_kinds(checkpoints, name, kind, tmp_path):
    tensors = {name: torch.zeros(2, 2), "lora_unet_x.lora_down.weight": torch.zeros(2, 2)}
    refused(checkpoints, "sd1", written(tensors, file=tmp_path / "a.safetensors"), kind, "only plain LoRAs")


def test_no_lora_at_all(checkpoints, tmp_path):
    refused(
        checkpoints,
        "sd1",
        written({"a": torch.zeros(2)}, file=tmp_path / "a.safetensors"),
        "none of the layers of a LoRA",
    )
    refused(checkpoints, "sd1", checkpoints.files["sd1"], "none of the layers of a LoRA")
    refused(checkpoints, "sd1", tmp_path / "none.safetensors", "does not exist")
    (tmp_path / "a.ckpt").write_bytes(b"PK\x03\x04")
    refused(checkpoints, "sd1", tmp_path / "a.ckpt", "pickle", "any code")


def test_a_damaged_lora(checkpoints, tmp_path):
    pipeline = checkpoints.pipelines["sd1"]
    tensors, _ = kohya(layers(pipeline), pipeline)
    file = written(tensors, file=tmp_path / "style.safetensors")
    file.write_bytes(file.read_bytes()[:-10])
    refused(checkpoints, "sd1", file, "half copied")
    name = next(name for name in tensors if "lora_up" in name)
    refused(checkpoints, "sd1", written({**tensors, name: tensors[name] * torch.nan}, file=file), "NaN")
    unfit = {**tensors, name: torch.zeros(3, tensors[name].shape[1], *tensors[name].shape[2:])}
    refused(checkpoints, "sd1", written(unfit, file=file), "does not fit prior")
    without = {key: value for key, value in tensors.items() if key != name}
    refused(checkpoints, "sd1", written(without, file=file), "does not fit prior")


def test_layers_that_the_prior_lacks_are_told(checkpoints, tmp_path):
    pipeline = checkpoints.pipelines["sd1"]
    tensors, _ = peft(layers(pipeline), pipeline)
    more = {f"unet.down_blocks.7.to_q.lora_{part}.weight": torch.zeros(2, 2) for part in "AB"}
    fused = load(checkpoints, "sd1", (written(tensors | more, file=tmp_path / "style.safetensors"), 1.0))
    assert fused.notes == ["Not used: 1 of the 10 layers of style.safetensors; this prior does not have them."]
    refused(checkpoints, "sd1", written(more, file=tmp_path / "b.safetensors"), "does not fit prior")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_other_precisions(checkpoints, dtype, tmp_path):
    pipeline = checkpoints.pipelines["sd1"]
    tensors = {name: value.to(dtype) for name, value in kohya(layers(pipeline), pipeline)[0].items()}
    fused = load(checkpoints, "sd1", (written(tensors, file=tmp_path / "style.safetensors"), 1.0))
    rounded = {name: value.float() for name, value in tensors.items()}
    key = f"lora_unet_{BLOCK.replace('.', '_')}_attn2_to_k"
    delta = rounded[f"{key}.lora_up.weight"] @ rounded[f"{key}.lora_down.weight"]
    before, after = (weight_of(owner.unet, f"{BLOCK}.attn2.to_k") for owner in (pipeline, fused.pipeline))
    scale = rounded[f"{key}.alpha"] / len(rounded[f"{key}.lora_down.weight"])
    torch.testing.assert_close(after, before + scale * delta, rtol=1e-5, atol=1e-5)
    assert fused.denoiser.dtype == torch.float32


IN_TRANSFORMERS = (
    r"(down_blocks\.\d+|mid_block|up_blocks\.\d+)\.attentions\.\d+\.(proj_in|proj_out|transformer_blocks\..*)"
)
# What kohya's trainer adapts in the published models: every linear layer and 1x1 convolution of these modules.
MODULES = {"sd1": 192 + 72, "sdxl": 722 + 72 + 192}


@pytest.mark.parametrize(("family", "count"), MODULES.items())
def test_every_layer_of_a_whole_kohya_file_has_its_place(family, count):
    """At full size, without numbers: names of both, of which the U-Net's are renumbered for SDXL."""
    model = FullSize(family)
    places = [
        (network, name.removeprefix("text_model."))
        for network in ("unet", *TEXTS)
        for name, module in getattr(model, network, torch.nn.Module()).named_modules()
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d))
        and (re.fullmatch(IN_TRANSFORMERS, name) if network == "unet" else ".layers." in name)
    ]
    assert len(places) == count
    names = [Layer(network, name, torch.zeros(1, 1), torch.zeros(1, 1), 1.0) for network, name in places]
    tensors = scaled(kohya(names, model)[0], Header(Path("style.safetensors"), {}, {}))
    model.lora_state_dict = tiny_files.FAMILIES[family]().lora_state_dict
    ends = re.compile(r"(\.lora|_lora|\.lora_linear_layer)\.(down|up)\.weight$")
    found = {ends.sub("", name.replace(".processor.", ".")) for name in by_network(model, tensors)}
    assert {re.sub(r"to_out$", "to_out.0", name) for name in found} == {layer.path for layer in names}
