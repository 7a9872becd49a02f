"""Opening uploaded images, and finishing drawn ones: style, vignette, caption, metadata."""

import json
from pathlib import Path

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from cyberun_mcp.emulator.errors import WorkflowFailed
from cyberun_mcp.emulator.workflows.drawing import noise, smooth_noise, stretch_levels
from cyberun_mcp.emulator.workflows.job import Job
from cyberun_mcp.emulator.workflows.prompts import Scene

STYLES = ("natural", "watercolour", "ink", "poster")
_COMMENT = "procedural drawing by the cyberun-mcp emulator, no AI model involved"
_MAX_PIXELS = 40_000_000


def open_image(file: Path, parameter: str, *, longest_side: int) -> Image.Image:
    """The image in RGB, upright, scaled down so that no side is longer than `longest_side`.

    Raises `WorkflowFailed`, naming the parameter, for a file that is not an image or has too many pixels.
    """
    try:
        with Image.open(file, formats=("PNG", "JPEG", "WEBP", "GIF", "BMP")) as picture:
            if picture.width * picture.height > _MAX_PIXELS:
                raise WorkflowFailed(f"{parameter}: the image has more than {_MAX_PIXELS} pixels")
            # Lets the JPEG decoder skip detail that would be scaled away.
            picture.draft("RGB", (longest_side, longest_side))
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise WorkflowFailed(f"{parameter}: cannot read the image: {error}") from error
    return ImageOps.contain(upright, (longest_side, longest_side)) if max(upright.size) > longest_side else upright


def apply_style(picture: Image.Image, style: str, scene: Scene, job: Job) -> Image.Image:
    """The picture in one of `STYLES`."""
    job.checkpoint()
    if style == "watercolour":
        return _watercolour(picture, scene, job)
    if style == "ink":
        return _ink(picture)
    if style == "poster":
        return ImageOps.posterize(ImageEnhance.Color(picture.filter(ImageFilter.GaussianBlur(2))).enhance(1.5), 3)
    return ImageEnhance.Contrast(ImageEnhance.Color(picture).enhance(1.12)).enhance(1.06)


def _watercolour(picture: Image.Image, scene: Scene, job: Job) -> Image.Image:
    """Blurred in cloud-shaped areas like wet paint, and faded to paper white in others."""
    blurred = picture.filter(ImageFilter.GaussianBlur(max(picture.size) / 90))
    job.checkpoint()
    wet = stretch_levels(smooth_noise(scene.rng("wet"), picture.size), 100, 160)
    painted = Image.composite(blurred, picture.filter(ImageFilter.GaussianBlur(1.2)), wet)
    job.checkpoint()
    paper = stretch_levels(smooth_noise(scene.rng("paper"), picture.size, octaves=7), 60, 220, 0.45)
    painted.paste((255, 253, 244), (0, 0), paper)
    return painted


def _ink(picture: Image.Image) -> Image.Image:
    """Areas in a few shades of gray, with a dark line at their edges."""
    gray = picture.convert("L").filter(ImageFilter.GaussianBlur(1.5))
    wash = ImageOps.autocontrast(gray).point([255 - (255 - level) // 52 * 56 for level in range(256)])
    line = stretch_levels(gray.filter(ImageFilter.FIND_EDGES), 6, 22)
    wash.paste(20, (0, 0), line)
    return ImageOps.colorize(wash, (24, 22, 34), (250, 244, 230))


def add_vignette(picture: Image.Image, scene: Scene) -> Image.Image:
    """Darken the corners and add film grain."""
    corners = Image.radial_gradient("L").resize(picture.size, Image.Resampling.BICUBIC)
    picture.paste((0, 0, 0), (0, 0), stretch_levels(corners, 110, 330, 0.9))
    film = noise(scene.rng("film"), *picture.size).filter(ImageFilter.GaussianBlur(0.6)).convert("RGB")
    return Image.blend(picture, film, 0.025)


def add_caption(picture: Image.Image, prompt: str) -> Image.Image:
    """A copy with the prompt in small letters on a dark strip along the bottom."""
    width, height = picture.size
    font = ImageFont.load_default(max(9, min(width, height) // 42))
    text = _shorten(" ".join(prompt.split()), font, width - 16)
    top, bottom = font.getbbox("Ag")[1], font.getbbox("Ag")[3]
    strip = round(bottom - top) + 10
    picture = picture.copy()
    picture.paste((0, 0, 0), (0, height - strip, width, height), Image.new("L", (width, strip), 110))
    ImageDraw.Draw(picture).text((8, height - strip + 5 - top), text, font=font, fill=(255, 255, 255))
    return picture


def _shorten(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(text[:400]) <= width and len(text) <= 400:
        return text
    shown = text[:400]
    while shown and font.getlength(shown + "…") > width:
        shown = shown[:-1]
    return shown + "…"


def save_png(picture: Image.Image, file: Path, job: Job) -> None:
    """Write a PNG whose metadata has the parameters and states that no AI model was involved."""
    job.checkpoint()
    info = PngInfo()
    info.add_text("Software", "cyberun-mcp emulator")
    info.add_text("Comment", _COMMENT)
    info.add_itxt("Parameters", json.dumps(dict(job.parameters), ensure_ascii=False, sort_keys=True))
    picture.save(file, "PNG", pnginfo=info)
