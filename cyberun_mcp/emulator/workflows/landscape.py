"""Procedural landscapes. A finished picture is the average of several slightly different drawings of one scene."""

import math
import random

from PIL import Image, ImageDraw, ImageOps

from cyberun_mcp.emulator.workflows.drawing import (
    draw_birds,
    draw_buildings,
    draw_trees,
    fractal_line,
    noise,
    radial_glow,
    smooth_noise,
    stretch_levels,
    vertical_gradient,
)
from cyberun_mcp.emulator.workflows.job import Job
from cyberun_mcp.emulator.workflows.prompts import Scene, mix_colors

_BICUBIC = Image.Resampling.BICUBIC
_RIDGES = 4


class Landscape:
    """A scene that can be drawn repeatedly, each time with slightly different clouds, water, grain and edges.

    `job.checkpoint` is called between the operations, so that even a large picture can be stopped at any moment.
    """

    def __init__(self, scene: Scene, size: tuple[int, int], job: Job) -> None:
        self._scene = scene
        self._size = size
        self._job = job
        self._palette = scene.palette
        width, height = size
        rng = scene.rng("composition")
        self._horizon = round(height * rng.uniform(0.52, 0.62))
        self._light = (width * rng.uniform(0.25, 0.75), self._horizon - height * rng.uniform(0.04, 0.3))
        self._light_radius = min(size) * rng.uniform(0.045, 0.08)
        self._sky_colors = ImageOps.colorize(vertical_gradient(size), self._palette.zenith, self._palette.horizon)
        self._cloud_field = smooth_noise(scene.rng("clouds"), (width * 2, height * 2), stretch=2)
        self._ridges = [self._ridge_mask(depth) for depth in range(_RIDGES)]
        self._stars = self._star_mask() if "stars" in scene.elements else None

    def draw(self, number: int) -> Image.Image:
        """Draw the scene. The same number gives the same variation."""
        rng = self._scene.rng(f"exposure {number}")
        picture = self._draw_sky(rng)
        self._job.checkpoint()
        for depth, mask in enumerate(self._ridges):
            self._paint_ridge(picture, mask, depth / (_RIDGES - 1), rng)
            self._job.checkpoint()
        if "water" in self._scene.elements:
            self._paint_water(picture, rng)
            self._job.checkpoint()
        self._draw_weather_and_birds(picture, rng)
        return picture

    def _draw_sky(self, rng: random.Random) -> Image.Image:
        width, height = self._size
        sky = self._sky_colors.copy()
        if self._stars:
            sky.paste(self._palette.light, (0, 0), self._stars)
        self._job.checkpoint()
        glow = radial_glow(self._size, self._light, max(self._size) * 0.6, 0.75)
        sky.paste(self._palette.light, (0, 0), glow)
        self._draw_sun_or_moon(sky)
        self._job.checkpoint()
        # A random section of a cloud field that is larger than the picture: the clouds move between drawings.
        left, top = rng.uniform(0, width * 0.06), rng.uniform(0, height * 0.02)
        clouds = self._cloud_field.resize(self._size, _BICUBIC, box=(left, top, left + width * 1.6, top + height * 1.9))
        cloud_color = mix_colors(self._palette.light, self._palette.horizon, 0.4)
        sky.paste(cloud_color, (0, 0), stretch_levels(clouds, 128, 200, 0.7))
        return sky

    def _draw_sun_or_moon(self, sky: Image.Image) -> None:
        x, y = self._light
        radius = self._light_radius
        # Drawn at four times the size and scaled down, for a smooth edge.
        side = math.ceil(radius * 2)
        mask = Image.new("L", (side * 4, side * 4), 0)
        ImageDraw.Draw(mask).ellipse((0, 0, side * 4 - 1, side * 4 - 1), fill=255)
        if "moon" in self._scene.elements:
            ImageDraw.Draw(mask).ellipse((side * 1.3, -side * 0.4, side * 5, side * 3.4), fill=0)
        sky.paste(self._palette.light, (round(x - radius), round(y - radius)), mask.resize((side, side), _BICUBIC))

    def _star_mask(self) -> Image.Image:
        rng = self._scene.rng("stars")
        width, height = self._size
        mask = Image.new("L", self._size, 0)
        draw = ImageDraw.Draw(mask)
        for _ in range(width * height // 700):
            x, y = rng.uniform(0, width), rng.uniform(0, self._horizon) * rng.uniform(0.2, 1)
            size = rng.choice((0, 0, 0, 0.6, 1))
            draw.ellipse((x - size, y - size, x + size, y + size), fill=rng.randint(60, 255))
        return mask

    def _ridge_mask(self, depth: int) -> Image.Image:
        """Everything below the outline of one range of hills, with its trees or buildings; 0 is the farthest.

        Drawn at twice the size and scaled down, for a smooth edge.
        """
        width, height = self._size
        rng = self._scene.rng(f"ridge {depth}")
        hill_height, roughness = self._hill_shape()
        base = self._horizon + (depth - 1.2) * height * 0.09
        outline = fractal_line(rng, width * 2, height * hill_height, roughness)
        points = [(x, (base + offset) * 2) for x, offset in outline]
        mask = Image.new("L", (width * 2, height * 2), 0)
        draw = ImageDraw.Draw(mask)
        draw.polygon([*points, (width * 2, height * 2), (0, height * 2)], fill=255)
        if "trees" in self._scene.elements and depth >= 2:
            draw_trees(draw, rng, points, height * 0.03 * depth)
        if "city" in self._scene.elements and depth in (1, 2):
            draw_buildings(draw, rng, width * 2, base * 2, height * 0.5 / depth)
        return mask.resize(self._size, _BICUBIC)

    def _hill_shape(self) -> tuple[float, float]:
        """The height of the hills as a fraction of the picture, and their roughness."""
        if "mountains" in self._scene.elements:
            return 0.18, 0.54
        if "dunes" in self._scene.elements:
            return 0.05, 0.3
        return (0.045, 0.5) if "water" in self._scene.elements else (0.13, 0.52)

    def _paint_ridge(self, picture: Image.Image, mask: Image.Image, nearness: float, rng: random.Random) -> None:
        """Paint a range of hills, the nearer the darker, with a random texture and a slightly moved outline."""
        color = mix_colors(self._palette.far, self._palette.near, nearness)
        haze = mix_colors(color, self._palette.horizon, 0.45 * (1 - nearness) + 0.08)
        texture = smooth_noise(rng, self._size, octaves=6)
        painted = ImageOps.colorize(texture, mix_colors(color, (0, 0, 0), 0.25), haze)
        offset = (rng.uniform(-0.7, 0.7), rng.uniform(-0.7, 0.7))
        moved_mask = mask.transform(
            self._size, Image.Transform.AFFINE, (1, 0, offset[0], 0, 1, offset[1]), Image.Resampling.BILINEAR
        )
        picture.paste(painted, (0, 0), moved_mask)

    def _paint_water(self, picture: Image.Image, rng: random.Random) -> None:
        """Cover the lower part with a mirror image of the upper part, in stripes that are shifted at random."""
        width, height = self._size
        shore = min(height - 8, round(self._horizon + height * 0.1))
        depth = height - shore
        mirrored = picture.crop((0, max(0, shore - depth), width, shore)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        mirrored = mirrored.resize((width, depth), _BICUBIC)
        water = mirrored.copy()
        y = 0
        while y < depth:
            stripe = 1 + y // 24
            shift = round(rng.gauss(0, 1 + y / depth * width * 0.012))
            water.paste(mirrored.crop((0, y, width, min(depth, y + stripe))), (shift, y))
            y += stripe
        tint = Image.new("RGB", (width, depth), mix_colors(self._palette.near, self._palette.zenith, 0.5))
        water = Image.blend(water, tint, 0.28)
        sparkle = stretch_levels(noise(rng, max(2, width // 18), max(2, depth // 3)), 190, 255, 0.8)
        sparkle = sparkle.resize((width, depth), _BICUBIC)
        reflection = radial_glow((width, depth), (self._light[0], 0), width * 0.4, 1.0)
        sparkle = Image.composite(sparkle, Image.new("L", (width, depth), 0), reflection)
        water.paste(self._palette.light, (0, 0), sparkle)
        picture.paste(water, (0, shore))

    def _draw_weather_and_birds(self, picture: Image.Image, rng: random.Random) -> None:
        width, height = self._size
        draw = ImageDraw.Draw(picture)
        if "snowfall" in self._scene.elements:
            for _ in range(width // 5):
                x, y, size = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.5, 2.2)
                draw.ellipse((x - size, y - size, x + size, y + size), fill=(250, 252, 255))
        if "rain" in self._scene.elements:
            for _ in range(width // 4):
                x, y, length = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(8, 26)
                draw.line((x, y, x - length * 0.2, y + length), fill=(196, 206, 214))
        if "birds" in self._scene.elements:
            draw_birds(draw, self._scene.rng("birds"), self._size, self._horizon, self._palette.near)
