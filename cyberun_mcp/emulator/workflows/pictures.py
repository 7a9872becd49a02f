"""Opening the pictures that users upload."""

from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from cyberun_mcp.emulator.errors import WorkflowFailed

_MOST_PIXELS = 40_000_000


def opened(file: Path, parameter: str, *, longest_side: int) -> Image.Image:
    """The picture in RGB, upright, no side longer than asked; a task with anything else fails and says so."""
    try:
        with Image.open(file, formats=("PNG", "JPEG", "WEBP", "GIF", "BMP")) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                raise WorkflowFailed(f"{parameter}: the image has more than {_MOST_PIXELS} pixels")
            # Lets the JPEG decoder skip the detail that would be thrown away.
            picture.draft("RGB", (longest_side, longest_side))
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise WorkflowFailed(f"{parameter}: cannot read the image: {error}") from error
    return ImageOps.contain(upright, (longest_side, longest_side)) if max(upright.size) > longest_side else upright
