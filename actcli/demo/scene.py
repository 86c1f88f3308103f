"""One performance as a camera sees it: a figure at its place, moving on a background.

World coordinates are frame heights: x is 0 in the middle of the picture, y is 0 at its top. All
times are fractions of the clip, so that a scene does not know its frame rate.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from actcli.demo.look import MARGIN, Colour, Look, paint_background
from actcli.demo.play import Action, Play
from actcli.demo.props import PROPS, Shape
from actcli.demo.skeleton import FEET, INDEX, Body, Curve, Points, solve

_BONES = tuple(
    (INDEX[start], INDEX[end])
    for start, end in (
        ("pelvis", "neck"),
        ("right shoulder", "left shoulder"), ("right hip", "left hip"),
        ("left shoulder", "left elbow"), ("left elbow", "left hand"),
        ("left hip", "left knee"), ("left knee", "left foot"),
        ("right hip", "right knee"), ("right knee", "right foot"),
        ("right shoulder", "right elbow"), ("right elbow", "right hand"),
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera that drifts evenly, shakes a little and zooms slowly; it follows nobody."""

    start: tuple[float, float]
    stop: tuple[float, float]
    zoom: tuple[float, float]
    shake: float
    # Frequency and phase, in cycles, of the shake in x and in y.
    shake_waves: tuple[tuple[float, float], tuple[float, float]]

    def view(self, when: Curve) -> tuple[Points, Curve]:
        """Where the picture's middle is, [T, 2], and how much it enlarges, [T]."""
        drift = np.linspace(0.0, 1.0, 2)
        centre = np.empty((len(when), 2))
        for axis in (0, 1):
            frequency, phase = self.shake_waves[axis]
            centre[:, axis] = np.interp(when, drift, (self.start[axis], self.stop[axis]))
            centre[:, axis] += self.shake * np.sin(2.0 * np.pi * (frequency * when + phase))
        return centre, np.interp(when, drift, self.zoom)


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that was drawn at random for one clip.

    `facing` is +1 or -1 and mirrors the figure with its props, but not the way it goes.
    """

    name: str
    action: Action
    is_reversed: bool
    body: Body
    play: Play
    look: Look
    camera: Camera
    facing: float
    size: float
    place: float
    ground: float

    def joints(self, when: Curve) -> Points:
        """Joints [T, 15, 2] in world coordinates."""
        times = self._times(when)
        return self._to_world(self._pose(times), times)

    def image_joints(self, when: Curve, aspect: float = 1.0) -> Points:
        """Joints [T, 15, 2] as fractions of the picture's width and height."""
        joints = self._to_image(self.joints(when), when)
        fractions: Points = joints / np.array([aspect, 1.0]) + 0.5
        return fractions

    def frames(self, when: Curve, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """Draw the scene.

        size:     (W, H) in pixels
        returns:  [T, H, W, 3]
        """
        times = self._times(when)
        height = size[1]
        origin = np.array(size) / 2.0
        joints = self._to_image(self.joints(when), when) * height + origin
        shapes = [
            Shape(
                self._to_image(self._to_world(shape.points, times), when) * height + origin,
                shape.width * self.size * height,
                shape.is_in_front,
            )
            for shape in self._shapes(times)
        ]
        shadows = self._to_image(self._shadow(when), when) * height + origin
        backdrop = paint_background(self.look, size, self.ground)
        pictures = np.empty((len(when), size[1], size[0], 3), dtype=np.uint8)
        centres, zooms = self.camera.view(when)
        for number in range(len(when)):
            canvas = _crop(backdrop, size, centres[number], float(zooms[number]))
            self._draw_figure(canvas, joints[number], shadows[number], shapes, number)
            pictures[number] = np.asarray(canvas)
        return pictures

    def _times(self, when: Curve) -> Curve:
        """Times of the described action; the second member of a pair runs backwards."""
        return 1.0 - when if self.is_reversed else when

    def _pose(self, times: Curve) -> Points:
        """Joints in body units, with the action's anchor at x = 0."""
        points = solve(self.body, self.action.curves(times, self.play), len(times))
        anchor = self.action.anchor
        if anchor is not None:
            feet = FEET if anchor == "feet" else (INDEX[anchor],)
            points[:, :, 0] -= points[:, feet, 0].mean(axis=1)[:, None]
        return points

    def _shapes(self, times: Curve) -> list[Shape]:
        prop = PROPS.get(self.name)
        return [] if prop is None else prop(self._pose, times, self.play)

    def _to_world(self, points: Points, times: Curve) -> Points:
        """Body units to world coordinates, [T, n, 2] both."""
        world: Points = self.size * points * np.array([self.facing, -1.0])
        world += np.array([self.place, self.ground])
        if self.action.path is not None:
            world[:, :, 0] += self.action.path(times, self.play)[:, None]
        return world

    def _to_image(self, world: Points, when: Curve) -> Points:
        """World coordinates to frame heights from the picture's middle, [T, n, 2] both."""
        centre, zoom = self.camera.view(when)
        middle = centre[:, None] + np.array([0.0, 0.5])
        image: Points = (world - middle) * zoom[:, None, None]
        return image

    def _shadow(self, when: Curve) -> Points:
        """Opposite corners [T, 2, 2] of the shadow under the figure."""
        x = self.joints(when)[:, :, 0]
        left, right = x.min(axis=1), x.max(axis=1)
        flat = np.full_like(left, 0.018)
        low, high = self.ground - flat, self.ground + flat
        return np.stack((np.stack((left, low), -1), np.stack((right, high), -1)), axis=1)

    def _draw_figure(
        self, canvas: Image.Image, joints: Points, shadow: Points, shapes: list[Shape], number: int
    ) -> None:
        draw = ImageDraw.Draw(canvas)
        look = self.look
        unit = self.size * canvas.height
        if look.shadow is not None:
            draw.ellipse((*shadow[0], *shadow[1]), fill=look.shadow)
        for shape in shapes:
            if not shape.is_in_front:
                _draw_stroke(draw, shape.points[number], shape.width, look.prop_ink)
        width = max(look.thickness * unit, 1.0)
        for bone in _BONES:
            _draw_stroke(draw, joints[list(bone)], width, look.ink)
        self._draw_head(draw, joints, unit, width)
        if look.has_hands:
            for hand in ("right hand", "left hand"):
                _draw_stroke(draw, joints[[INDEX[hand]]], 2.0 * width, look.ink)
        for shape in shapes:
            if shape.is_in_front:
                _draw_stroke(draw, shape.points[number], shape.width, look.prop_ink)

    def _draw_head(
        self, draw: ImageDraw.ImageDraw, joints: Points, unit: float, width: float
    ) -> None:
        neck, head = joints[INDEX["neck"]], joints[INDEX["head"]]
        # The neck ends where the head begins, for a ring is hollow.
        share = self.body.neck / (self.body.neck + self.body.head)
        _draw_stroke(draw, np.stack((neck, neck + share * (head - neck))), width, self.look.ink)
        circle = _disc(head, 2.0 * self.body.head * unit)
        if self.look.has_full_head:
            draw.ellipse(circle, fill=self.look.ink)
        else:
            draw.ellipse(circle, outline=self.look.ink, width=max(1, round(0.8 * width)))


def _crop(
    backdrop: Image.Image, size: tuple[int, int], centre: npt.NDArray[np.float64], zoom: float
) -> Image.Image:
    """The part of the background that the camera sees."""
    width, height = size
    x = (MARGIN * width) / 2.0 + centre[0] * height
    y = (MARGIN * height) / 2.0 + centre[1] * height
    half_width, half_height = width / 2.0 / zoom, height / 2.0 / zoom
    box = (x - half_width, y - half_height, x + half_width, y + half_height)
    return backdrop.resize(size, Image.Resampling.BILINEAR, box=box)


def _disc(centre: npt.NDArray[np.float64], diameter: float) -> tuple[float, float, float, float]:
    """Bounding box of a disc."""
    radius = diameter / 2.0
    x, y = float(centre[0]), float(centre[1])
    return x - radius, y - radius, x + radius, y + radius


def _draw_stroke(
    draw: ImageDraw.ImageDraw, points: npt.NDArray[np.float64], width: float, colour: Colour
) -> None:
    """A disc, a filled outline or a line with round ends; see `Shape`."""
    path = [(float(x), float(y)) for x, y in points]
    if width == 0.0:
        draw.polygon(path, fill=colour)
        return
    if len(path) > 1:
        draw.line(path, fill=colour, width=max(1, round(width)))
    if width >= 2.0:
        for point in points:
            draw.ellipse(_disc(point, width), fill=colour)
