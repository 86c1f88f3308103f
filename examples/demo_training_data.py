"""What the demo model learns from: degraded frames with joints, and captions of clips."""

import io
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from actcli.demo.clips import clip_seed
from actcli.demo.figures import draw_scene
from actcli.demo.look import INKS
from actcli.demo.skeleton import NUM_POSE_JOINTS

SIDE = 64
NUM_FRAMES = 8
# Seeds from here on belong to training alone: `clip_seed` stays below.
TRAINING_SEEDS = 2**63

_FILTERS = (
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)

# Verb, gerund, noun, synonyms: a word form that was never trained is not understood.
PHRASES = {
    "run": "run/running/runs/a run/jog/jogging/sprint/sprinting",
    "jump": "jump/jumping/jumps/a jump/jumping up/leap/leaping/hop/hopping",
    "jumping jack": "jumping jack/jumping jacks/doing jumping jacks/a jumping jack/star jump"
    "/star jumps",
    "wave": "wave/waving/waves/waving a hand/wave hello/waving hello/greeting/saying hello",
    "squat": "squat/squatting/squats/a squat/doing squats/crouch/crouching",
    "kick": "kick/kicking/kicks/a kick/kicking the air/high kick",
    "punch": "punch/punching/punches/a punch/boxing/box/throwing punches/hitting",
    "clap": "clap/clapping/claps/clapping hands/applause/applauding/applaud",
    "bow": "bow/bowing/bows/a bow/taking a bow/bowing down/bending forward",
    "crawl": "crawl/crawling/crawls/crawling on the floor/creep/creeping/on all fours",
    "cartwheel": "cartwheel/cartwheeling/cartwheels/a cartwheel/doing a cartwheel"
    "/turning cartwheels",
    "throw": "throw/throwing/throws/throwing a ball/throw a ball/pitch/pitching/toss/tossing",
    "dance": "dance/dancing/dances/a dance/disco/disco dancing/dancing to music",
    "spin": "spin/spinning/spins/a spin/spinning around/twirl/twirling/pirouette",
    "walk left": "walk left/walking left/walking to the left/going left",
    "walk right": "walk right/walking right/walking to the right/going right",
    "sit down": "sit down/sitting down/sits down/taking a seat/sitting down on a chair",
    "stand up": "stand up/standing up/stands up/getting up from a chair/rising from a chair",
    "lie down": "lie down/lying down/lies down/lying down on the floor",
    "get up": "get up/getting up/gets up/getting up from the floor/rising from the floor",
    "raise arms": "raise arms/raising arms/raising both arms/lifting the arms/arms up/hands up",
    "lower arms": "lower arms/lowering arms/lowering both arms/dropping the arms/arms down"
    "/hands down",
    "pick up": "pick up/picking up/picks up/picking up a box/lifting a box/lift a box",
    "put down": "put down/putting down/puts down/putting down a box/placing a box on the floor",
}
# True of both members of a pair.
SHARED_PHRASES = {
    ("walk left", "walk right"): "walk/walking/walks/a walk/stroll/strolling",
    ("sit down", "stand up"): "sit/sitting",
    ("lie down", "get up"): "lie/lying",
}
# The templates of ActionCLIP that are missing here are kept to test the model with.
TEMPLATES = (
    "{}", "a video of {}", "a photo of action {}", "a picture of action {}", "{}, an action",
    "{} this is an action", "Playing action of {}", "Doing a kind of action, {}",
    "Look, the human is {}", "The man is {}", "a photo of {}", "a video of a person {}",
    "a drawing of {}", "a person {}", "someone {}", "a clip of {}", "a stick figure {}",
    "a figure {}", "the action of {}", "an animation of {}",
)  # fmt: skip
_DETAILS = ("a {colour} figure, {phrase}", "{phrase} in {colour}", "{phrase}, {colour}")
_TONED = ("{phrase} on a {tone} background", "{phrase}, {tone} background")
_BARE_COLOURS = ("a {colour} figure", "{colour}", "a {colour} stick figure")


@dataclass(frozen=True, slots=True)
class Clip:
    """Frames and labels of one clip that was drawn for training.

    frames:  [T, 3, 64, 64]
    joints:  [T, 11, 2], fractions of the picture's width and height
    """

    label: str
    colour: str
    tone: str | None
    frames: npt.NDArray[np.uint8]
    joints: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Caption:
    """A text and what must hold of a clip for it to be true; None leaves it open."""

    text: str
    labels: tuple[str, ...] | None = None
    colour: str | None = None
    tone: str | None = None


def draw_training_clip(label: str, seed: int) -> Clip:
    """Draw eight spread frames of a clip and spoil them as codecs and cameras would."""
    scene = draw_scene(label, seed)
    rng = np.random.default_rng((seed, 2))
    when = (np.arange(NUM_FRAMES) + rng.uniform(size=NUM_FRAMES)) / NUM_FRAMES
    side = int(rng.integers(96, 225))
    frames = _degrade(scene.frames(when, (side, side)), rng).transpose(0, 3, 1, 2)
    joints = scene.image_joints(when)[:, :NUM_POSE_JOINTS].astype(np.float32)
    colour, tone = scene.look.ink_name, scene.look.tone
    return Clip(label, colour, tone, np.ascontiguousarray(frames), joints)


def draw_training_clips(clips_per_class: int, seed: int, workers: int) -> list[Clip]:
    """Draw a balanced set in a pool of processes."""
    jobs = [
        (label, TRAINING_SEEDS + clip_seed(seed, label, "train", index))
        for index in range(clips_per_class)
        for label in PHRASES
    ]
    labels, seeds = zip(*jobs, strict=True)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return list(pool.map(draw_training_clip, labels, seeds, chunksize=64))


def caption_words() -> list[str]:
    """Every lower-case word that a caption can contain."""
    phrases = [*PHRASES.values(), *SHARED_PHRASES.values()]
    texts = [phrase for group in phrases for phrase in group.split("/")]
    texts += [*TEMPLATES, *_DETAILS, *_TONED, *_BARE_COLOURS, *INKS, "dark light"]
    words = " ".join(texts).lower().replace(",", " ").split()
    return sorted({word for word in words if "{" not in word})


def write_caption(clip: Clip, rng: np.random.Generator) -> Caption:
    """Say something true of a clip; 45 % of the captions name its colour or background."""
    labels: tuple[str, ...] = (clip.label,)
    choices = PHRASES[clip.label].split("/")
    for group, phrases in SHARED_PHRASES.items():
        if clip.label in group and rng.uniform() < 0.4:
            labels, choices = group, phrases.split("/")
    phrase = _pick(choices, rng)
    kind = rng.uniform()
    if kind < 0.05:
        text = _pick(_BARE_COLOURS, rng).format(colour=clip.colour)
        return Caption(text, None, clip.colour)
    if kind < 0.35:
        text = _pick(_DETAILS, rng).format(colour=clip.colour, phrase=phrase)
        return Caption(text, labels, clip.colour)
    if kind < 0.45 and clip.tone is not None:
        text = _pick(_TONED, rng).format(tone=clip.tone, phrase=phrase)
        return Caption(text, labels, None, clip.tone)
    return Caption(_pick(TEMPLATES, rng).format(phrase), labels)


def is_true(caption: Caption, clip: Clip) -> bool:
    """Tell whether a caption holds of a clip, whichever clip it was written for."""
    return (
        (caption.labels is None or clip.label in caption.labels)
        and (caption.colour is None or clip.colour == caption.colour)
        and (caption.tone is None or clip.tone == caption.tone)
    )


def _pick(choices: list[str] | tuple[str, ...], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def _degrade(frames: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Blur, add noise, compress and shrink all frames of a clip alike: [T, 64, 64, 3]."""
    quality = int(rng.integers(25, 96)) if rng.uniform() < 0.6 else None
    blur = rng.uniform(0.3, 1.2) if rng.uniform() < 0.25 else None
    noise = rng.uniform(2.0, 10.0) if rng.uniform() < 0.25 else None
    resampling = _FILTERS[int(rng.integers(len(_FILTERS)))]
    small = np.empty((len(frames), SIDE, SIDE, 3), dtype=np.uint8)
    for number, frame in enumerate(frames):
        picture = Image.fromarray(frame)
        if blur is not None:
            picture = picture.filter(ImageFilter.GaussianBlur(blur))
        if quality is not None:
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=quality)
            picture = Image.open(buffer)
        small[number] = np.asarray(picture.resize((SIDE, SIDE), resampling))
    if noise is not None:
        spoiled = small + noise * rng.standard_normal(small.shape)
        small = np.clip(spoiled, 0, 255).astype(np.uint8)
    return small
