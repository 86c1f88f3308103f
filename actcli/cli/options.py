"""Options that commands share, in the panels that `--help` shows, and their completion."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actcli.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

MODEL_PANEL = "Model and machine"
INPUT_PANEL = "Input"
SAMPLING_PANEL = "Frames"
OUTPUT_PANEL = "Output"


def complete(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """A completion function that offers the names starting with what was typed."""

    def matching(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return matching


def formats() -> Iterable[str]:
    """The names that `--format` takes."""
    from actcli.render.files import FORMATS

    return FORMATS


def option(*flags: str, panel: str, help: str, **more: Any) -> Any:
    """A Typer option in a panel, settable through ACTCLI_<NAME> as well."""
    long = next(flag for flag in flags if flag.startswith("--")).split("/")[0]
    name = long.removeprefix("--").replace("-", "_").upper()
    # Help is rich markup, in which brackets would vanish.
    settings = {
        "rich_help_panel": panel,
        "help": help.replace("[", "\\["),
        "envvar": f"ACTCLI_{name}",
    } | more
    return typer.Option(*flags, show_envvar=False, **settings)


def start_messages(*, quiet: bool, verbose: bool = False) -> Console:
    """Send messages to stderr, and return its console for a progress bar to share."""
    from actcli.render.console import install_logging, make_console

    console = make_console(stderr=True)
    install_logging(console, quiet=quiet, verbosity=int(verbose))
    return console


def licences(text: str | None) -> tuple[str, ...]:
    """The licences that --require-license names, in lower case."""
    names = tuple(name.strip().lower() for name in (text or "").split(",") if name.strip())
    if text is not None and not names:
        raise UsageError("--require-license: names no licence", hint="--require-license permissive")
    return names


def is_typed(ctx: typer.Context, name: str) -> bool:
    """Whether a parameter stands on the command line itself."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def is_given(ctx: typer.Context, name: str) -> bool:
    """Whether a parameter was set at all, on the command line or by the environment."""
    source = ctx.get_parameter_source(name)
    return source is not None and not source.name.startswith("DEFAULT")


_SAME_NAME = (
    "model", "backbone", "offline", "max_pixels", "device", "precision", "batch_size", "workers",
    "seed", "cache_dir", "on_error", "decode", "segments", "threshold", "hysteresis", "shots",
    "explain", "sandbox",
)  # fmt: skip
_OTHER_NAME = {
    "frames": "num_frames",
    "views": "num_views",
    "stride": "stride_s",
    "max_duration": "max_duration_s",
    "timeout": "timeout_s",
    "max_memory": "max_memory_mib",
    "window": "window_s",
    "min_length": "min_length_s",
}


def task_options(ctx: typer.Context, flags: dict[str, Any]) -> dict[str, Any]:
    """The options of a task's config that shared flags set; what was not set is left out."""
    from actcli.data.prompts import resolve_templates

    names = {name: name for name in _SAME_NAME} | _OTHER_NAME
    options = {
        option: flags[flag]
        for flag, option in names.items()
        if flag in flags and is_given(ctx, flag) and flags[flag] is not None
    }
    if "window_s" in options and "stride_s" in options:
        options["window_stride_s"] = options.pop("stride_s")
    options["model"] = flags["model"]
    if flags.get("devices"):
        devices = names_of(flags["devices"], "--devices")
        if len(devices) == 1 and "all" not in devices:
            options["device"] = devices[0]
        else:
            options["devices"] = devices
    for name in ("backend", "ray_address"):
        if flags.get(name):
            options[name] = flags[name]
    if flags.get("set_"):
        options["options"] = set_options(flags["set_"])
    if templates := flags.get("template") or templates_of_environment():
        options["templates"] = resolve_templates(templates)
    if flags.get("no_cache"):
        options["use_cache"] = False
    if flags.get("require_license"):
        options["require_license"] = licences(flags["require_license"])
    return options


def names_of(text: str, flag: str) -> tuple[str, ...]:
    """Names between commas, at least one."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise UsageError(f"{flag}: names nothing")
    return names


def set_options(given: list[str] | None) -> dict[str, Any]:
    """What `--set KEY=VALUE` names, values as numbers, true, false and null where they are."""
    options: dict[str, Any] = {}
    for item in given or ():
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set: not KEY=VALUE (got {item!r})", hint="--set frozen_weight=0.5")
        try:
            value: Any = json.loads(text)
        except ValueError:
            value = text
        options[key.strip().replace("-", "_")] = value
    return options


def templates_of_environment() -> list[str]:
    """ACTCLI_TEMPLATE holds one template a line: they have spaces, at which Typer would split."""
    return [line for line in os.environ.get("ACTCLI_TEMPLATE", "").splitlines() if line.strip()]


def model_names() -> Iterable[str]:
    """What `--model` takes, for completion."""
    from actcli.models.backbone import DEMO_HEAD, LOCAL_PREFIX
    from actcli.models.catalog import ALIASES, HUB_PREFIX, entries

    return ("demo", DEMO_HEAD, LOCAL_PREFIX, HUB_PREFIX, *ALIASES, *entries())


Model = Annotated[
    str,
    option(
        "--model", "-m", panel=MODEL_PANEL, autocompletion=complete(model_names),
        help="default, fast, best, paper, demo, ViT-B-16/openai, hf-hub:org/name, local-dir:PATH, "
        "or a checkpoint FILE.",
    ),
]  # fmt: skip
Backbone = Annotated[
    str | None,
    option(
        "--backbone", panel=MODEL_PANEL, autocompletion=complete(model_names),
        help="Where a checkpoint's backbone is now. [default: the name that it gives]",
    ),
]  # fmt: skip
SetOption = Annotated[
    list[str] | None,
    option(
        "--set", envvar=None, panel=MODEL_PANEL,
        help="KEY=VALUE of the method, as in motion=0.5; repeatable.",
    ),
]  # fmt: skip
Device = Annotated[
    str,
    option(
        "--device", panel=MODEL_PANEL,
        autocompletion=complete(lambda: ("auto", "cpu", "cuda", "mps")),
        help="auto, cpu, cuda, cuda:1 or mps.",
    ),
]  # fmt: skip
Precision = Annotated[
    str,
    option(
        "--precision", panel=MODEL_PANEL,
        autocompletion=complete(lambda: ("auto", "fp32", "bf16", "fp16")),
        help="auto, fp32, bf16 or fp16; auto is bf16 where the machine has it.",
    ),
]  # fmt: skip
BatchSize = Annotated[
    int | None,
    option("--batch-size", panel=MODEL_PANEL, help="Clips per forward pass. [default: fits]"),
]
Workers = Annotated[
    int | None,
    option(
        "--workers", panel=MODEL_PANEL,
        help="Decode processes; 0 decodes in the main one. [default: one per core]",
    ),
]  # fmt: skip
CacheDir = Annotated[
    str | None,
    option(
        "--cache-dir",
        panel=MODEL_PANEL,
        envvar=["ACTCLI_CACHE", "ACTCLI_CACHE_DIR"],
        help="Where embeddings are kept between runs.",
    ),
]
NoCache = Annotated[
    bool, option("--no-cache", panel=MODEL_PANEL, help="Neither read nor write that cache.")
]
Offline = Annotated[bool, option("--offline", panel=MODEL_PANEL, help="Never use the network.")]
RequireLicense = Annotated[
    str | None,
    option(
        "--require-license", panel=MODEL_PANEL,
        help="Refuse a model of another licence: mit,apache-2.0 or permissive.",
    ),
]  # fmt: skip
Seed = Annotated[int, option("--seed", panel=MODEL_PANEL, help="Recorded with the results.")]
Frames = Annotated[int, option("--frames", panel=SAMPLING_PANEL, help="Frames per clip.")]
Views = Annotated[
    int, option("--views", panel=SAMPLING_PANEL, help="Clips per video; scores are averaged.")
]
Stride = Annotated[
    float | None,
    option(
        "--stride", panel=SAMPLING_PANEL,
        help="Seconds between frames [default: spread over the video]; with --window, between "
        "windows [default: their length].",
    ),
]  # fmt: skip
Decode = Annotated[
    str,
    option(
        "--decode", panel=SAMPLING_PANEL,
        autocompletion=complete(lambda: ("exact", "fast", "nvdec")),
        help="exact; fast: the key frame before each moment instead; nvdec: by the GPU.",
    ),
]  # fmt: skip
MaxPixels = Annotated[
    int, option("--max-pixels", panel=SAMPLING_PANEL, help="Refuse larger pictures (w x h).")
]
MaxDuration = Annotated[
    float, option("--max-duration", panel=SAMPLING_PANEL, help="Refuse longer videos (seconds).")
]
Timeout = Annotated[
    float, option("--timeout", panel=SAMPLING_PANEL, help="Seconds that one video may take.")
]
MaxMemory = Annotated[
    int,
    option("--max-memory", panel=SAMPLING_PANEL, help="MiB that a decode process may add."),
]
Sandbox = Annotated[
    str,
    option(
        "--sandbox", panel=SAMPLING_PANEL,
        autocompletion=complete(lambda: ("auto", "require", "off")),
        help="Lock decode processes in: auto (where it can be), require or off.",
    ),
]  # fmt: skip
Quiet = Annotated[
    bool, option("--quiet", "-q", panel=OUTPUT_PANEL, help="No progress and no warnings.")
]
Verbose = Annotated[
    bool, option("--verbose", "-v", panel=OUTPUT_PANEL, help="Say what was chosen and why.")
]
