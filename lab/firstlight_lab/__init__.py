"""What a start is doing, seen from within JupyterLab: a panel, a server extension, and `progress()` for notebooks.

Importing it loads nothing but the standard library: in a kernel there need not be a Jupyter server.
"""

from __future__ import annotations

from typing import Any

from .notebook import progress

__all__ = ["progress"]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "firstlight-lab"}]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from .app import FirstlightLab

    return [{"module": "firstlight_lab", "app": FirstlightLab}]
