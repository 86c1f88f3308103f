"""`actcli models`: what models there are, which are here, and how they come and go."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from actcli.cli import options as opt
from actcli.errors import UsageError, did_you_mean

MODEL_FORMATS = ("auto", "table", "jsonl")

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        autocompletion=opt.complete(opt.model_names),
        help="default, ViT-B-16/openai, hf-hub:org/name, …",
    ),
]
Format = Annotated[
    str,
    opt.option(
        "--format", "-f", panel=opt.OUTPUT_PANEL,
        autocompletion=opt.complete(lambda: MODEL_FORMATS),
        help="auto, table or jsonl; auto is a table on a terminal.",
    ),
]  # fmt: skip


def group() -> None:
    """List, download, import and remove models.

        actcli models list
        actcli models pull default
        actcli models rm ViT-B-16/openai
    """  # fmt: skip


def list_(
    text: Annotated[str, typer.Argument(metavar="[TEXT]", help="Only names that contain it.")] = "",
    downloaded: Annotated[
        bool, opt.option("--downloaded", panel=opt.INPUT_PANEL, help="Only those that are here.")
    ] = False,
    format: Format = "auto",
) -> None:
    """List all models by name, with size, licence and what they read.

        actcli models list
        actcli models list ViT-B-16
        actcli models list --format jsonl | jq -r 'select(.permissive)|.name'

    `!` marks licences that don't allow every use, `~` sizes that are estimated.
    """  # fmt: skip
    shape = record_format(format)
    opt.start_messages(quiet=False)
    from actcli.render.console import make_console
    from actcli.render.models import model_lines, print_models
    from actcli.tasks.models import hub_settings, list_models

    infos = list_models(hub_settings(), text)
    if downloaded:
        infos = (info for info in infos if info.folder is not None)
    if shape == "table":
        print_models(make_console(), infos)
        return
    for line in model_lines(infos):
        typer.echo(line)


def show(name: Name, format: Format = "auto") -> None:
    """Show what is known of one model or checkpoint file; nothing is downloaded.

        actcli models show default
        actcli models show moves.safetensors
        actcli models show ViT-B-16/openai --format jsonl
    """  # fmt: skip
    shape = record_format(format)
    opt.start_messages(quiet=False)
    from actcli.checkpoint import find_checkpoint, read_info
    from actcli.render.models import checkpoint_lines, model_lines, show_lines
    from actcli.render.records import to_json
    from actcli.tasks.models import describe_model, hub_settings

    path = find_checkpoint(name)
    if path is not None:
        stated = read_info(path)
        record = to_json({"path": str(path), **stated.stated()})
        lines = checkpoint_lines(stated, path) if shape == "table" else [record]
    else:
        info = describe_model(name, hub_settings())
        lines = show_lines(info) if shape == "table" else model_lines([info])
    for line in lines:
        typer.echo(line)


def pull(
    name: Name,
    require_license: opt.RequireLicense = None,
    offline: opt.Offline = False,
    quiet: opt.Quiet = False,
) -> None:
    """Download a model, if it isn't here, and print its folder.

        actcli models pull default
        actcli models pull ViT-B-16/openai --require-license permissive
        actcli models pull hf-hub:timm/PE-Core-B-16

    Every byte is checked against the digest that the hub gives. HF_HOME, HF_HUB_CACHE, HF_TOKEN,
    HF_HUB_OFFLINE and HF_ENDPOINT are honoured. Pickled weights are never downloaded.
    """  # fmt: skip
    console = opt.start_messages(quiet=quiet)
    from actcli.render.console import print_name
    from actcli.render.download import DownloadView
    from actcli.tasks.models import hub_settings, pull_model

    spec = pull_model(
        name,
        hub_settings(offline=offline),
        report=DownloadView(console, enabled=not quiet),
        licences=opt.licences(require_license),
    )
    print_name(str(spec.folder))


def path(name: Name) -> None:
    """Print the folder of a model that is here; exit 4 if it isn't.

        actcli models path default
        cp -rL "$(actcli models path default)" /mnt/stick/pe-core
    """  # fmt: skip
    opt.start_messages(quiet=False)
    from actcli.render.console import print_name
    from actcli.tasks.models import hub_settings, model_folder

    print_name(str(model_folder(name, hub_settings())))


def rm(
    name: Name,
    yes: Annotated[
        bool, opt.option("--yes", "-y", panel=opt.INPUT_PANEL, help="Don't ask.")
    ] = False,
    quiet: opt.Quiet = False,
) -> None:
    """Remove a downloaded model, all its versions.

        actcli models rm ViT-B-16/openai
        actcli models rm --yes hf-hub:timm/PE-Core-B-16

    The folder is that of huggingface_hub, which other programs share: they would download the
    model again. Models of `local-dir:` and `demo` are never removed.
    """  # fmt: skip
    opt.start_messages(quiet=quiet)
    from actcli.render.console import say
    from actcli.render.models import bytes_text
    from actcli.tasks.models import hub_settings, plan_removal

    removal = plan_removal(name, hub_settings())
    size = bytes_text(removal.num_bytes)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(
                f"{name}: would remove {size}, and there is nobody to ask",
                hint=f"actcli models rm --yes {shlex.quote(name)}",
            )
        if not _confirm(f"remove {size} in {removal.folder}?"):
            return
    removal.execute()
    if not quiet:
        say(f"removed {size}: {removal.folder}")


def import_(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A .pt, .pth, .bin or .safetensors file.")
    ],
    output: Annotated[
        str, opt.option("--output", "-o", panel=opt.OUTPUT_PANEL, help="Folder or file to make.")
    ],
    arch: Annotated[
        str,
        opt.option(
            "--arch",
            panel=opt.MODEL_PANEL,
            autocompletion=opt.complete(opt.model_names),
            help="What it was trained from, as ViT-B-16/openai. [default: the config beside FILE]",
        ),
    ] = "",
    quiet: opt.Quiet = False,
) -> None:
    """Make a `local-dir:` model, or a checkpoint, of somebody's pickled or safetensors weights.

        actcli models import open_clip_pytorch_model.bin -o mine
        actcli models import epoch_30.pt --arch ViT-B-16/openai -o mine
        actcli models import checkpoint_epoch_00010.pyth -o fsar.safetensors
        actcli classify clip.mp4 -l "run,jump" --model local-dir:mine

    Tensors are all that is read: a file that asks for anything else is refused, and no code of it
    runs. Names and shapes must be those of the architecture; its tag decides the activation and
    the preprocessing. Checkpoints in CLIP-FSAR's published layout (RN50, ViT-B/16) become one file
    for `fewshot --model FILE`, with the switches, frames and transform of their config.
    """  # fmt: skip
    opt.start_messages(quiet=quiet)
    from actcli.render.console import print_name
    from actcli.tasks.importing import import_file

    print_name(str(import_file(file, output, architecture=arch)))


def _confirm(question: str) -> bool:
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:  # Ctrl-C, or the end of a terminal's input
        raise KeyboardInterrupt from None


def record_format(format: str) -> str:
    """The format of records that are no predictions: table or jsonl.

    Raises UsageError for a name that is neither.
    """
    if format not in MODEL_FORMATS:
        raise UsageError(
            f"--format: unknown format (got {format!r}, expected {', '.join(MODEL_FORMATS)})",
            hint=did_you_mean(format, MODEL_FORMATS),
        )
    if format != "auto":
        return format
    return "table" if sys.stdout.isatty() else "jsonl"


SUBCOMMANDS: dict[str, Callable[..., Any]] = {
    "list": list_, "show": show, "pull": pull, "path": path, "rm": rm,
    "import": import_,
}  # fmt: skip
