"""The diffusers prior on tiny random pipelines of each family, loaded from folders like any other model."""

import shutil

import pytest
import tiny_pipelines as tiny
import torch
from diffusers import DDIMScheduler, DiffusionPipeline

from backend.priors.base import Condition
from backend.priors.stable_diffusion import load_stable_diffusion

KINDS = list(tiny.BUILDERS)


@pytest.mark.parametrize("kind", KINDS)
def test_shapes(priors, kind):
    prior = priors[kind]
    assert prior.image_size == 16
    x = prior.encode(torch.rand(2, 40, 40, 3))
    assert x.shape == tiny.noisy(prior).shape
    images = prior.decode(x)
    assert images.shape == (2, 16, 16, 3)
    assert 0 <= images.min() < images.max() <= 1
    condition = prior.condition(["a red chair", ""])
    assert condition.tokens.shape == (2, 77, 32)
    eps = prior.predict(x, tiny.T, condition)
    assert (eps.shape, eps.dtype, eps.requires_grad) == (x.shape, torch.float32, False)


@pytest.mark.parametrize("kind", KINDS)
def test_eps_by_hand(priors, folders, kind):
    """The raw output of a U-Net loaded by diffusers alone, with the folder's own scheduler, converted here."""
    prior, pipeline = priors[kind], DiffusionPipeline.from_pretrained(folders[kind])
    x_t = tiny.noisy(prior)
    prompts = ["a red chair", "a red car"]
    embeds = pipeline.encode_prompt(
        prompt=prompts, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=True
    )
    added = None
    if kind == "xl":
        ids = pipeline._get_add_time_ids((16, 16), (0, 0), (16, 16), torch.float32, 24)
        added = {"text_embeds": embeds[2], "time_ids": ids.repeat(2, 1)}
    with torch.no_grad():
        raw = pipeline.unet(x_t, tiny.T, encoder_hidden_states=embeds[0], added_cond_kwargs=added).sample[
            :, : x_t.shape[1]
        ]
    alpha_bar = pipeline.scheduler.alphas_cumprod[tiny.T].view(-1, 1, 1, 1)
    expected = {
        "epsilon": raw,
        "v_prediction": alpha_bar.sqrt() * raw + (1 - alpha_bar).sqrt() * x_t,
        "sample": (x_t - alpha_bar.sqrt() * raw) / (1 - alpha_bar).sqrt(),
        "xl": raw,
        "if": raw,
    }[kind]
    torch.testing.assert_close(prior.predict(x_t, tiny.T, prior.condition(prompts)), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(prior.alphas_cumprod, pipeline.scheduler.alphas_cumprod)


@pytest.mark.parametrize("kind", ["epsilon", "xl", "if"])
def test_latents_are_those_of_the_vae(priors, folders, kind):
    prior, images = priors[kind], torch.rand(1, 16, 16, 3)
    expected = 2 * images.movedim(-1, 1) - 1
    if kind != "if":
        vae = DiffusionPipeline.from_pretrained(folders[kind]).vae
        expected = vae.encode(expected).latent_dist.mean * {"epsilon": 0.18215, "xl": 0.13025}[kind]
        decoded = vae.decode(expected / vae.config.scaling_factor).sample.clamp(-1, 1)
        torch.testing.assert_close(prior.decode(expected), (decoded / 2 + 0.5).movedim(1, -1), rtol=1e-4, atol=1e-5)
    else:
        torch.testing.assert_close(prior.decode(expected), images)
    torch.testing.assert_close(prior.encode(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["epsilon", "xl", "if"])
def test_gradient_of_encode(priors, kind):
    """Against central differences, along random directions, through the resizing too."""
    prior, generator = priors[kind], torch.Generator().manual_seed(0)
    images = torch.rand(1, 40, 40, 3, generator=generator, requires_grad=True)
    weights = torch.randn(prior.encode(images).shape, generator=generator)
    (gradient,) = torch.autograd.grad((prior.encode(images) * weights).sum(), images)
    assert all(not p.requires_grad for p in prior.denoiser.unet.parameters())
    for _ in range(3):
        direction = torch.randn(images.shape, generator=generator)
        with torch.no_grad():
            high, low = ((prior.encode(images + h * direction) * weights).double().sum() for h in (1e-2, -1e-2))
        expected = float(high - low) / 2e-2
        assert float((gradient * direction).sum()) == pytest.approx(expected, rel=2e-2, abs=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_one_forward_for_the_guidance_pair(priors, kind):
    prior, x_t = priors[kind], tiny.noisy(priors[kind])
    y, null = prior.condition(["a red chair", "a car"]), prior.condition(["", ""])
    together = prior.predict(x_t.repeat(2, 1, 1, 1), tiny.T.repeat(2), Condition.cat([y, null]))
    alone = torch.cat([prior.predict(x_t, tiny.T, y), prior.predict(x_t, tiny.T, null)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
    assert (together[:2] - together[2:]).abs().max() > 1e-4  # the text tells


@pytest.mark.parametrize("kind", KINDS)
def test_loading_twice_is_the_same(priors, folders, kind):
    again, x_t = load_stable_diffusion(str(folders[kind]), "cpu"), tiny.noisy(priors[kind])
    images = torch.rand(1, 16, 16, 3)
    predictions = [prior.predict(x_t, tiny.T, prior.condition(["red", ""])) for prior in (priors[kind], again)]
    assert torch.equal(*predictions)
    assert torch.equal(priors[kind].encode(images), again.encode(images))


def test_a_text_is_encoded_once(folders):
    prior, calls = load_stable_diffusion(folders["epsilon"], "cpu"), []
    prior.pipeline.text_encoder.register_forward_hook(lambda *_: calls.append(1))
    first = prior.condition(["a red chair", "a red chair", ""])
    once = len(calls)
    again = prior.condition(["a red chair", "a red chair", ""])
    assert once == len(calls) > 0
    assert torch.equal(first.tokens, again.tokens)


def test_no_text(priors):
    """SDXL's unconditional embedding is zeros; the others encode the empty text."""
    null = priors["xl"].condition([""])
    assert null.tokens.abs().max() == null.extra["text_embeds"].abs().max() == 0
    assert null.extra["time_ids"].tolist() == [[16, 16, 0, 0, 16, 16]]
    pipeline = priors["epsilon"].pipeline
    ids = pipeline.tokenizer([""], padding="max_length", return_tensors="pt").input_ids
    torch.testing.assert_close(priors["epsilon"].condition([""]).tokens, pipeline.text_encoder(ids)[0])


def test_long_texts_have_the_same_length(priors):
    for prior in priors.values():
        assert prior.condition(["a red chair " * 100]).tokens.shape == (1, 77, 32)


def test_zero_terminal_snr(tmp_path):
    """ᾱ of the last level is 0 there: v-prediction still gives numbers."""
    scheduler = DDIMScheduler(**tiny.DDIM, prediction_type="v_prediction", rescale_betas_zero_snr=True)
    prior = load_stable_diffusion(tiny.save_stable_diffusion(tmp_path, scheduler), "cpu")
    assert prior.alphas_cumprod[-1] == 0
    x_t = tiny.noisy(prior)
    torch.testing.assert_close(prior.predict(x_t, torch.tensor([999, 999]), prior.condition(["", ""])), x_t)


def test_half_precision_files_alone(tmp_path, priors):
    prior = load_stable_diffusion(tiny.save_stable_diffusion(tmp_path, variant="fp16"), "cpu")
    assert (tmp_path / "unet" / "diffusion_pytorch_model.fp16.safetensors").exists()
    x_t = tiny.noisy(prior)
    eps = [p.predict(x_t, tiny.T, p.condition(["red", ""])) for p in (prior, priors["epsilon"])]
    torch.testing.assert_close(*eps)


def test_published_tokenizer_of_if(folders, tmp_path):
    """DeepFloyd's folder holds a sentencepiece model, where ours has a tokenizer.json."""
    sentencepiece = pytest.importorskip("sentencepiece")
    pytest.importorskip("google.protobuf")
    copied = shutil.copytree(folders["if"], tmp_path / "model")
    (copied / "tokenizer" / "tokenizer.json").unlink()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a red chair", "a blue car", "a chair in the garden"]),
        model_writer=(copied / "tokenizer" / "spiece.model").open("wb"),
        vocab_size=30,
        hard_vocab_limit=False,
        minloglevel=2,
        **{"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
    )
    assert load_stable_diffusion(copied, "cpu").condition(["a red chair"]).tokens.shape == (1, 77, 32)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_on_the_card(priors, folders, kind):
    prior, x_t = load_stable_diffusion(folders[kind], "cuda"), tiny.noisy(priors[kind])
    assert prior.denoiser.dtype == torch.float16
    eps = prior.predict(x_t.cuda(), tiny.T.cuda(), prior.condition(["red", ""])).cpu()
    expected = priors[kind].predict(x_t, tiny.T, priors[kind].condition(["red", ""]))
    assert (eps - expected).norm() < 0.02 * expected.norm()
    images = torch.rand(1, 16, 16, 3)
    torch.testing.assert_close(prior.encode(images.cuda()).cpu(), priors[kind].encode(images), rtol=0.05, atol=0.01)


# --- refusals ---
