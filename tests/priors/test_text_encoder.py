"""Text encoders are on the card only while they encode, and texts are encoded once."""

import pytest
import torch

from backend.priors import text_encoder
from backend.priors.stable_diffusion import load_stable_diffusion
from backend.priors.text_encoder import TextEncoder

CARD = torch.device("cpu", 0)  # for torch another name of the CPU: what is moved there computes


@pytest.fixture
def moved(folders, monkeypatch):
    """The encoder of a pipeline for a "card", and the devices to which its networks were moved, in their order."""
    pipeline, moves = load_stable_diffusion(folders["xl"], "cpu").pipeline, []
    encoder = TextEncoder(pipeline, CARD, torch.float32, 16)
    for number, network in enumerate(encoder.networks):

        def move(device, to=network.to, number=number):
            moves.append((number, device))
            to(device)

        monkeypatch.setattr(network, "to", move)
    return encoder, moves


def test_only_the_text_encoders_move(moved):
    encoder, moves = moved
    assert [type(network).__name__ for network in encoder.networks] == ["CLIPTextModel", "CLIPTextModelWithProjection"]
    encoder.conditions(["red", "blue", "red"])
    assert moves == [(0, CARD), (1, CARD), (0, torch.device("cpu")), (1, torch.device("cpu"))]
    encoder.conditions(["blue", "red"])
    assert len(moves) == 4
    encoder.conditions(["green"])
    assert len(moves) == 8


def test_they_come_back_where_a_text_cannot_be_encoded(moved, monkeypatch):
    encoder, moves = moved
    monkeypatch.setattr(encoder.pipeline, "encode_prompt", lambda **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        encoder.conditions(["red"])
    assert [str(device) for _, device in moves] == ["cpu:0", "cpu:0", "cpu", "cpu"]


@pytest.mark.parametrize("kind", ["epsilon", "xl", "if"])
def test_on_a_full_card_they_encode_on_the_cpu(folders, monkeypatch, kind):
    """In half precision, as they were loaded for the card; what comes out is on the card."""
    prior = load_stable_diffusion(folders[kind], "cpu")
    wanted = prior.condition(["red", ""])
    for network in prior.texts.networks:
        network.half()
    monkeypatch.setattr(text_encoder, "free_bytes", lambda _device: 0.0)
    encoder = TextEncoder(prior.pipeline, torch.device("meta"), torch.float16, prior.image_size)
    assert {condition.tokens.device.type for condition in encoder.conditions(["red", ""])} == {"meta"}
    encoder.device = torch.device("cpu")
    encoder._kept.clear()
    for row, condition in enumerate(encoder.conditions(["red", ""])):
        torch.testing.assert_close(condition.tokens[0].float(), wanted.tokens[row], atol=0.02, rtol=0.02)


def test_the_oldest_texts_are_given_up(folders, monkeypatch):
    monkeypatch.setattr(text_encoder, "TEXTS_KEPT", 3)
    encoder, encoded = load_stable_diffusion(folders["epsilon"], "cpu").texts, []
    encode = encoder._encode
    monkeypatch.setattr(encoder, "_encode", lambda text, device: (encoded.append(text), encode(text, device))[1])
    for texts in (["a", "b", "c"], ["d"], ["b", "c", "d"], ["a"]):
        assert len(encoder.conditions(texts)) == len(texts)
    assert encoded == ["a", "b", "c", "d", "a"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_card_is_free_of_them(folders):
    prior = load_stable_diffusion(folders["xl"], "cuda")
    assert prior.condition(["red"]).tokens.device.type == "cuda"
    assert {weight.device.type for network in prior.texts.networks for weight in network.parameters()} == {"cpu"}
