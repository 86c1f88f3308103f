"""The bundled model: small, loadable by open_clip as it is, and right about drawn figures."""

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torch.nn import functional

from actcli.demo import MODEL_DIRECTORY, known_words
from actcli.demo.clips import clip_seed
from actcli.demo.figures import PAIRS, SINGLES, demo_labels, draw_scene

NAME = f"local-dir:{MODEL_DIRECTORY}"
WHEN = (np.arange(8) + 0.5) / 8
EXAMPLES = Path(__file__).parents[2] / "examples" / "clips"


@pytest.fixture(scope="module")
def loaded():
    model, _, preprocess = open_clip.create_model_and_transforms(NAME)
    return model.eval(), preprocess


@pytest.fixture(scope="module")
def model(loaded):
    return loaded[0]


@pytest.fixture(scope="module")
def embed_texts(model):
    tokenizer = open_clip.get_tokenizer(NAME)

    def embed(texts):
        with torch.no_grad():
            return functional.normalize(model.encode_text(tokenizer(list(texts))), dim=-1)

    return embed


@pytest.fixture(scope="module")
def embed_frames(loaded):
    model, preprocess = loaded

    def embed(frames):
        pixels = torch.stack([preprocess(Image.fromarray(frame)) for frame in frames])
        with torch.no_grad():
            return functional.normalize(model.encode_image(pixels), dim=-1)

    return embed


@pytest.fixture(scope="module")
def singles(embed_frames):
    """Averaged embeddings [84, 128] of clips that were drawn for this test, and their classes."""
    targets = np.repeat(np.arange(len(SINGLES)), 6)
    means = []
    for number, target in enumerate(targets):
        scene = draw_scene(SINGLES[target], clip_seed(number, SINGLES[target], "test", 0))
        means.append(embed_frames(scene.frames(WHEN, (320, 240))).mean(dim=0))
    return torch.stack(means), torch.from_numpy(targets)


def test_the_weights_fit_into_eight_megabytes():
    assert (MODEL_DIRECTORY / "open_clip_model.safetensors").stat().st_size <= 8_000_000


def test_the_model_has_the_documented_shape(model):
    assert model.visual.image_size == 64
    assert model.context_length == 24
    assert tuple(model.token_embedding.weight.shape) == (49408, 48)
    assert model.text_projection.shape[-1] == 128


@pytest.mark.parametrize("template", ["{}", "a video of {}"])
def test_single_actions_are_told_apart(singles, embed_texts, template):
    embeddings, targets = singles
    texts = embed_texts(template.format(label) for label in SINGLES)
    found = (embeddings @ texts.T).argmax(dim=1)
    assert (found == targets).float().mean() >= 0.9


def test_the_members_of_a_pair_look_alike_to_the_model(embed_texts):
    texts = embed_texts(label for pair in PAIRS for label in (pair.first, pair.second))
    similarity = texts @ texts.T
    inside = similarity[torch.arange(0, 10, 2), torch.arange(1, 10, 2)]
    assert inside.min() > 0.9


def test_words_that_were_not_trained_have_empty_rows(model):
    table = model.token_embedding.weight
    tokenizer = open_clip.SimpleTokenizer()
    for word in ("xylophone", "kneel", "lunge"):
        assert word not in known_words()
        assert not table[tokenizer.encode(word)].any()


def test_known_words_have_rows_and_cover_the_labels(model):
    table = model.token_embedding.weight
    tokenizer = open_clip.SimpleTokenizer()
    known = known_words()
    for label in demo_labels("single") + demo_labels("pairs"):
        assert set(label.split()) <= known
    for word in known:
        assert table[tokenizer.encode(word)].abs().sum(dim=1).min() > 0


def test_known_words_need_no_torch():
    code = "import sys; from actcli.demo import known_words; known_words(); "
    code += "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'av')))"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=root).returncode == 0


@pytest.mark.parametrize("labels", [("run", "jump", "wave", "squat"), SINGLES])
def test_bundled_clips_show_what_their_names_say(embed_frames, embed_texts, labels):
    texts = embed_texts(labels)
    paths = sorted(EXAMPLES.glob("*.mp4"))
    assert len(paths) >= 3
    for path in paths:
        frames = _eight_frames(path)
        video = embed_frames(frames).mean(dim=0)
        assert labels[int((texts @ video).argmax())] == path.stem


def _eight_frames(path):
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    return [frames[int(len(frames) * moment)] for moment in WHEN]
