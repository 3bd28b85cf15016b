/** Our React views as JupyterLab's widgets. */

import { MainAreaWidget } from "@jupyterlab/apputils";
import { ReactWidget, refreshIcon, ToolbarButton } from "@jupyterlab/ui-components";
import type { Message } from "@lumino/messaging";
import { Widget } from "@lumino/widgets";
import React from "react";
import { reason, type Connection } from "./connection.ts";
import { logIcon, sunriseIcon, timelineIcon } from "./icons.ts";
import { line } from "./text.ts";
import { Boundary } from "./view/boundary.tsx";
import { ReachContext, type Reach } from "./view/context.ts";
import { LogBox } from "./view/log.tsx";
import { Panel } from "./view/panel.tsx";

export const PANEL = "firstlight-panel";

export class PanelWidget extends ReactWidget {
  readonly #reach: Reach;
  #shown = false;

  constructor(reach: Reach) {
    super();
    this.#reach = reach;
    this.id = PANEL;
    this.addClass("fl-panel");
    this.node.tabIndex = -1;
    this.node.setAttribute("role", "region");
    this.node.setAttribute("aria-label", "Start of this machine");
    this.title.icon = sunriseIcon;
    this.title.caption = "Start of this machine";
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    if (!this.#shown) this.update();
  }

  /** Nothing until it is shown for the first time: JupyterLab is still loading then. */
  protected override render(): React.JSX.Element | null {
    this.#shown ||= this.isVisible;
    return this.#shown ? <Panel reach={this.#reach} /> : null;
  }
}

class LogContent extends ReactWidget {
  readonly #reach: Reach;
  readonly #name: string;

  constructor(reach: Reach, name: string) {
    super();
    this.#reach = reach;
    this.#name = name;
    this.addClass("fl-main");
  }

  protected override render(): React.JSX.Element {
    return (
      <Boundary>
        <ReachContext.Provider value={this.#reach}>
          <LogBox name={this.#name} whole />
        </ReachContext.Provider>
      </Boundary>
    );
  }
}

export function logWidget(reach: Reach, name: string): MainAreaWidget {
  const widget = new MainAreaWidget({ content: new LogContent(reach, name) });
  widget.title.label = line(`Log: ${name}`, 60);
  widget.title.icon = logIcon;
  return widget;
}

/** The picture of this start: an image, so that nothing in it runs. */
class Picture extends Widget {
  readonly #connection: Connection;
  readonly #image = document.createElement("img");
  readonly #told = document.createElement("p");
  #control = new AbortController();
  #url = "";

  constructor(connection: Connection) {
    super();
    this.#connection = connection;
    this.addClass("fl-main");
    this.addClass("fl-picture");
    this.#image.alt = "How this start went: every stage on a time axis";
    this.#image.hidden = true;
    this.#told.className = "fl-soft";
    this.#told.setAttribute("role", "status");
    this.node.append(this.#told, this.#image);
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this.load();
  }

  load(): void {
    this.#control.abort();
    const control = (this.#control = new AbortController());
    if (!this.#url) this.#told.textContent = "Drawing…";
    this.#connection.picture(control.signal).then(
      (blob) => {
        if (control.signal.aborted) return;
        const before = this.#url;
        this.#url = URL.createObjectURL(blob);
        this.#image.src = this.#url;
        this.#image.hidden = false;
        this.#told.textContent = "";
        if (before) URL.revokeObjectURL(before);
      },
      (error: unknown) => {
        if (!control.signal.aborted) this.#told.textContent = reason(error);
      },
    );
  }

  override dispose(): void {
    this.#control.abort();
    if (this.#url) URL.revokeObjectURL(this.#url);
    super.dispose();
  }
}

export function pictureWidget(connection: Connection): MainAreaWidget {
  const content = new Picture(connection);
  const widget = new MainAreaWidget({ content });
  widget.id = "firstlight-timeline";
  widget.title.label = "How this start went";
  widget.title.icon = timelineIcon;
  widget.toolbar.addItem(
    "refresh",
    new ToolbarButton({
      icon: refreshIcon,
      tooltip: "Draw it again",
      onClick: () => {
        content.load();
      },
    }),
  );
  return widget;
}
