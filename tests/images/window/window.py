"""An app of VisoMaster's shape: a Qt window with docks and a picture, drawn without OpenGL.

It notes what it sees, for tests: `python window.py NOTES`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

COLORS = {"left": (0x4F, 0xAC, 0xC9), "right": (0xC9, 0x4F, 0x6D)}


class Window(QtWidgets.QMainWindow):  # type: ignore[misc]
    def __init__(self, notes: Path) -> None:
        super().__init__()
        self._notes = notes
        self.setWindowTitle("VisoMaster's stand-in")
        self.menuBar().addMenu("File")
        self.parts: dict[str, QtWidgets.QWidget] = {}
        for side, color in COLORS.items():
            area = {"left": QtCore.Qt.DockWidgetArea.LeftDockWidgetArea}
            dock = QtWidgets.QDockWidget(side.title())
            panel = QtWidgets.QFrame()
            panel.setStyleSheet(f"background: rgb{color}")
            panel.setMinimumSize(180, 240)
            dock.setWidget(panel)
            self.addDockWidget(area.get(side, QtCore.Qt.DockWidgetArea.RightDockWidgetArea), dock)
            self.parts[side] = panel
        center = QtWidgets.QWidget()
        column = QtWidgets.QVBoxLayout(center)
        title = QtWidgets.QLabel("A window on the desktop")
        title.setFont(QtGui.QFont("DejaVu Sans", 20))
        self.line = QtWidgets.QLineEdit()
        button = QtWidgets.QPushButton("Copy")
        button.clicked.connect(lambda: QtWidgets.QApplication.clipboard().setText("copied inside: grün"))
        for name, part in (("title", title), ("line", self.line), ("copy", button)):
            column.addWidget(part)
            self.parts[name] = part
        column.addStretch()
        self.setCentralWidget(center)
        self.statusBar().showMessage("Ready")
        self.resize(780, 420)
        self._opengl = QtGui.QOpenGLContext().create()
        self._timer = QtCore.QTimer(interval=100)
        self._timer.timeout.connect(self._note)
        self._timer.start()

    def _note(self) -> None:
        screen = QtWidgets.QApplication.primaryScreen().size()
        middles = {name: part.mapToGlobal(part.rect().center()) for name, part in self.parts.items()}
        seen: dict[str, Any] = {
            "pid": os.getpid(),
            "platform": QtGui.QGuiApplication.platformName(),
            "opengl": self._opengl,
            "shown": self.isVisible() and bool(self.windowHandle() and self.windowHandle().isExposed()),
            "colors": COLORS,
            "screen": [screen.width(), screen.height()],
            "focus": self.line.hasFocus(),
            "text": self.line.text(),
            "clipboard": QtWidgets.QApplication.clipboard().text(),
            "places": {name: [point.x(), point.y()] for name, point in middles.items()},
        }
        draft = self._notes.with_suffix(".new")
        draft.write_text(json.dumps(seen), encoding="utf-8")
        draft.replace(self._notes)


def main() -> int:
    app = QtWidgets.QApplication(sys.argv)
    app.setStyle("Fusion")
    window = Window(Path(sys.argv[1]))
    window.show()
    return int(app.exec())


if __name__ == "__main__":
    sys.exit(main())
