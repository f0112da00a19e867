"""All that there is to see of a fit in the plane, as files."""

from pathlib import Path

from callbacks.drawing.output import save_png, write_whole
from callbacks.drawing.plane_page import judged, page_of
from callbacks.drawing.plane_pictures import overview_figure, save_animation
from callbacks.fitted import Fitted


def draw(view: dict, history: dict, fitted: Fitted, layers: list[str], folder: Path) -> list[Path]:
    """Draws what a fit kept into a folder: ``page.html``, ``view.png``, ``view.gif``; returns the files.

    Args:
        view: the state of its :class:`callbacks.observers.plane_view.PlaneView`.
        history: that of its :class:`callbacks.observers.loss_history.LossHistory`, plain.
        fitted: the fit.
        layers: those of :data:`callbacks.drawing.plane_pictures.LAYERS` that are shown.
        folder: of the files, made if it is absent.
    """
    folder.mkdir(exist_ok=True)
    page, picture, film = (folder / name for name in ("page.html", "view.png", "view.gif"))
    found = judged(view, history, fitted)
    text = page_of(view, history, fitted.name, found, fitted.settings)
    write_whole(page, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    save_png(overview_figure(view, layers, found.summary), picture)
    write_whole(film, lambda temporary: save_animation(view, layers, temporary))
    return [page, picture, film]
