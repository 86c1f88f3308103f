"""Published checkpoints of methods as checkpoints of ours: key for key, nothing run.

A published file holds what was trained. The rest is the backbone's, and that need not be here yet.
"""

from __future__ import annotations

from pathlib import Path

from actcli.checkpoint import write_checkpoint
from actcli.errors import UsageError
from actcli.tasks.models import import_model
from actcli.tasks.published import find_layout


def import_file(file: str, output: str, *, architecture: str = "") -> Path:
    """Somebody's file as a model of ours; returns what `--model` takes, as a path.

    A published checkpoint of a method becomes one of ours, any other weights a folder for
    `local-dir:`.

    Raises UsageError for an output of the wrong kind, ModelError for a file that can't be read or
    doesn't fit, ResourceError if nothing can be written.
    """
    from actcli.models.pickled import read_content

    source, target = Path(file).expanduser(), Path(output).expanduser()
    content = read_content(source)
    layout = find_layout(source, content)
    if layout is None:
        if target.suffix == ".safetensors":
            raise UsageError(
                f"--output {output}: weights become a folder, not a file",
                hint=f"--output {target.with_suffix('')}",
            )
        return import_model(file, output, architecture=architecture).folder
    if target.suffix != ".safetensors":
        raise UsageError(
            f"--output {output}: {layout.article} {layout.title} checkpoint becomes one file",
            hint=f"--output {target}.safetensors",
        )
    if target.exists():
        raise UsageError(f"{target}: exists already", hint="name a new file with --output")
    info, tensors = layout.convert(architecture)
    write_checkpoint(target, info, tensors)
    return target
