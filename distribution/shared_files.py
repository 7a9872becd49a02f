"""The files that several artifacts contain: icon, skill and license."""

import io
import math

from PIL import Image, ImageDraw

from distribution.metadata import ROOT

ICON_SIZE = 512
_NIGHT, _GLOW, _SPARK = (13, 17, 38), (94, 92, 230), (255, 196, 87)


def skill() -> str:
    """The skill in `configs/`."""
    return (ROOT / "configs" / "skills" / "cyberun" / "SKILL.md").read_text(encoding="utf-8")


def license_text() -> str:
    """The license."""
    return (ROOT / "LICENSE").read_text(encoding="utf-8")


def icon() -> bytes:
    """A PNG file with a ring of agents around a task. It is drawn, so that the repository has no binary file."""
    picture = Image.new("RGB", (ICON_SIZE, ICON_SIZE), _NIGHT)
    draw = ImageDraw.Draw(picture)
    center, radius = ICON_SIZE / 2, ICON_SIZE * 0.32
    draw.arc([center - radius, center - radius, center + radius, center + radius], 0, 360, fill=_GLOW, width=18)
    for number in range(6):
        angle = math.tau * number / 6 - math.pi / 2
        _draw_disc(draw, center + radius * math.cos(angle), center + radius * math.sin(angle), 36, _GLOW)
    _draw_disc(draw, center, center, 72, _SPARK)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def _draw_disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, color: tuple[int, int, int]) -> None:
    draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=color)
