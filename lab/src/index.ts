/** The extension: everything it needs from JupyterLab is optional, and no failure of its own reaches JupyterLab. */

import { ILabShell, ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from "@jupyterlab/application";
import { ICommandPalette } from "@jupyterlab/apputils";
import { ILauncher } from "@jupyterlab/launcher";
import { ISettingRegistry } from "@jupyterlab/settingregistry";
import { IStatusBar } from "@jupyterlab/statusbar";
import { ReactWidget } from "@jupyterlab/ui-components";
import { createElement } from "react";
import { calm } from "./calm.ts";
import { addCommands } from "./commands.ts";
import { Connection } from "./connection.ts";
import { address } from "./links.ts";
import { Storage } from "./storage.ts";
import { Cards, notify, openOnce, type Wishes } from "./telling.ts";
import type { Reach } from "./view/context.ts";
import { Status } from "./view/status.tsx";
import { Watch } from "./watch.ts";
import { logWidget, PANEL, PanelWidget, pictureWidget } from "./widgets.tsx";

const PLUGIN = "firstlight-lab:plugin";
/** Panels of others: jupyter-resource-usage's, and jupyterlab-nvdashboard's in GPU images. */
const OTHERS = { memory: "kernelusage-panel-id", gpu: "gpu-dashboard" } as const;

type Place = "left" | "right";

interface Settings extends Wishes {
  place: Place;
}

const plugin: JupyterFrontEndPlugin<void> = {
  id: PLUGIN,
  description: "What a Firstlight machine does while it starts.",
  autoStart: true,
  optional: [ILabShell, ILayoutRestorer, IStatusBar, ILauncher, ICommandPalette, ISettingRegistry],
  activate: (
    app: JupyterFrontEnd,
    shell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    bar: IStatusBar | null,
    launcher: ILauncher | null,
    palette: ICommandPalette | null,
    registry: ISettingRegistry | null,
  ): void => {
    try {
      activate(app, shell, restorer, bar, launcher, palette, registry);
    } catch (error) {
      console.warn("firstlight-lab does not run", error);
    }
  },
};

function activate(
  app: JupyterFrontEnd,
  shell: ILabShell | null,
  restorer: ILayoutRestorer | null,
  bar: IStatusBar | null,
  launcher: ILauncher | null,
  palette: ICommandPalette | null,
  registry: ISettingRegistry | null,
): void {
  const settings: Settings = { openAutomatically: true, notifications: true, place: "right" };
  const connection = new Connection(app.serviceManager.serverSettings);
  const watch = new Watch(connection);
  const storage = new Storage(connection.baseUrl);
  const page = {
    protocol: window.location.protocol,
    hostname: window.location.hostname,
    baseUrl: new URL(connection.baseUrl, window.location.href).href,
  };
  const reach: Reach = {
    watch,
    address: (id) => {
      const answer = watch.view.answer;
      const service = answer?.state?.services.find((each) => each.id === id);
      return address(answer?.links.get(id) ?? service?.url, page);
    },
    showLog: (name) => {
      const widget = logWidget(reach, name);
      app.shell.add(widget, "main");
      app.shell.activateById(widget.id);
    },
    showPicture: () => {
      const there = [...app.shell.widgets("main")].find((widget) => widget.id === "firstlight-timeline");
      if (!there) app.shell.add(pictureWidget(connection), "main");
      app.shell.activateById("firstlight-timeline");
    },
    showStage: (id) => {
      panel.node.querySelector<HTMLElement>(`[data-key="${CSS.escape(id)}"] > button`)?.focus();
    },
    showMemory: null,
    showGpu: null,
    folded: (section) => storage.get(`folded:${section}`) === "yes",
    fold: (section, folded) => {
      storage.set(`folded:${section}`, folded ? "yes" : "no");
    },
  };
  const panel = new PanelWidget(reach);
  let place: Place | null = null;
  const put = () => {
    if (place === settings.place) return;
    const shown = panel.isVisible;
    place = settings.place;
    app.shell.add(panel, place, { rank: 50, type: "Firstlight" });
    if (shown) app.shell.activateById(PANEL);
  };
  const showPanel = () => {
    app.shell.activateById(PANEL);
    panel.node.focus();
  };
  addCommands(app, palette, { ...reach, showPanel });
  const cards = launcher ? new Cards(launcher) : null;
  if (bar) {
    const item = ReactWidget.create(createElement(Status, { watch, open: showPanel }));
    item.addClass("fl-status-item");
    bar.registerStatusItem(`${PLUGIN}:status`, { item, align: "left", rank: 5 });
  }

  const tell = () => {
    const state = watch.view.answer?.state;
    // Without a boot there is nothing to remember by.
    if (!state?.boot.id) return;
    try {
      openOnce(storage, state, settings, () => {
        app.shell.activateById(PANEL);
      });
      cards?.update(state);
      notify(app, storage, watch, state, settings, panel.isVisible);
    } catch (error) {
      console.warn("firstlight-lab cannot tell what happened", error);
    }
  };

  const loaded = registry ? follow(registry, settings, () => { if (place) put(); }) : Promise.resolve();
  // The restorer wants its widgets before the layout is restored; the place may still change with the settings.
  put();
  restorer?.add(panel, PANEL);
  watch.start();
  void Promise.all([app.restored, loaded]).then(() => calm(shell)).then(() => {
    const there = new Set(shell ? [...shell.widgets("left"), ...shell.widgets("right")].map((widget) => widget.id) : []);
    const opens = (id: string) =>
      there.has(id)
        ? () => {
            app.shell.activateById(id);
          }
        : null;
    reach.showMemory = opens(OTHERS.memory);
    reach.showGpu = opens(OTHERS.gpu);
    panel.update();
    watch.changed.connect(tell);
    tell();
  });
}

/** Keeps `settings` as the user wants them. */
async function follow(registry: ISettingRegistry, settings: Settings, changed: () => void): Promise<void> {
  try {
    const loaded = await registry.load(PLUGIN);
    const read = () => {
      const { openAutomatically, notifications, place } = loaded.composite;
      settings.openAutomatically = openAutomatically !== false;
      settings.notifications = notifications !== false;
      settings.place = place === "left" ? "left" : "right";
      changed();
    };
    loaded.changed.connect(read);
    read();
  } catch (error) {
    console.warn("firstlight-lab: settings cannot be read; the defaults hold", error);
  }
}

export default plugin;
