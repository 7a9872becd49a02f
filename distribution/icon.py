"""A square icon: a ring of agents around a task, drawn, so that no binary file has to be kept."""

import io
import math

from PIL import Image, ImageDraw

SIZE = 512
_NIGHT, _GLOW, _SPARK = (13, 17, 38), (94, 92, 230), (255, 196, 87)


def icon() -> bytes:
    """The icon as PNG."""
    picture = Image.new("RGB", (SIZE, SIZE), _NIGHT)
    draw = ImageDraw.Draw(picture)
    middle, radius = SIZE / 2, SIZE * 0.32
    draw.arc([middle - radius, middle - radius, middle + radius, middle + radius], 0, 360, fill=_GLOW, width=18)
    for number in range(6):
        angle = math.tau * number / 6 - math.pi / 2
        _disc(draw, middle + radius * math.cos(angle), middle + radius * math.sin(angle), 36, _GLOW)
    _disc(draw, middle, middle, 72, _SPARK)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: tuple[int, int, int]) -> None:
    draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)
