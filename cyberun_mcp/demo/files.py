"""The files of the demo: drawing the sketch that it uploads, and describing the ones that it saves."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

_SKY, _HILL, _SNOW, _ROCKET, _TRIM, _FLAME = "#233a5e", "#4c7a5a", "#e8eef2", "#f2efe6", "#d4503a", "#f2b33d"


@dataclass(frozen=True)
class SavedFile:
    """A file on disk. `kind` describes its content, for example `PNG 512 x 512`; `size` is in bytes."""

    path: Path
    kind: str
    size: int


def describe_file(path: Path) -> SavedFile:
    """Describe a file by its content rather than its name."""
    return SavedFile(path, _kind_of(path), path.stat().st_size)


def draw_sketch(path: Path) -> None:
    """Draw a rocket over hills: an image of the user's own to work with."""
    picture = Image.linear_gradient("L").resize((512, 512))
    picture = Image.blend(Image.new("RGB", picture.size, _SKY), picture.convert("RGB"), 0.35)
    pen = ImageDraw.Draw(picture)
    pen.ellipse((380, 50, 460, 130), fill=_SNOW)
    pen.polygon([(0, 512), (0, 430), (120, 360), (260, 440), (400, 340), (512, 420), (512, 512)], fill=_HILL)
    pen.polygon([(228, 330), (256, 420), (284, 330)], fill=_FLAME)
    pen.polygon([(212, 260), (180, 345), (212, 330), (300, 330), (332, 345), (300, 260)], fill=_TRIM)
    pen.rounded_rectangle((212, 160, 300, 335), radius=12, fill=_ROCKET)
    pen.polygon([(212, 172), (256, 80), (300, 172)], fill=_TRIM)
    pen.ellipse((234, 195, 278, 239), fill=_SKY, outline=_TRIM, width=6)
    picture.save(path, "PNG")


def _kind_of(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(400)
    if start.startswith(b"\x89PNG"):
        with Image.open(path) as picture:
            return f"PNG {picture.width} x {picture.height}"
    if start.startswith(b"ply\n"):
        count = start.partition(b"element vertex ")[2].split(b"\n")[0].decode("ascii", "replace")
        return f"PLY {int(count):,} points" if count.isdigit() else "PLY"
    return path.suffix.removeprefix(".") or "file"
