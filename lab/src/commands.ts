/** Commands: for the palette, the launcher and notifications. */

import type { JupyterFrontEnd } from "@jupyterlab/application";
import { InputDialog, Notification, type ICommandPalette } from "@jupyterlab/apputils";
import type { Connection } from "./connection.ts";
import { appIcon, openIcon, sunriseIcon } from "./icons.ts";
import { failed } from "./repair.ts";
import { line, list } from "./text.ts";
import { reason } from "./connection.ts";
import type { Watch } from "./watch.ts";

export const ID = {
  show: "firstlight:show-panel",
  open: "firstlight:open",
  retry: "firstlight:retry-failed",
  log: "firstlight:show-log",
  picture: "firstlight:show-timeline",
} as const;

const CATEGORY = "Firstlight";

export interface Reached {
  watch: Watch;
  address: (service: string) => string | null;
  showPanel: () => void;
  showLog: (name: string) => void;
  showPicture: () => void;
}

export function addCommands(app: JupyterFrontEnd, palette: ICommandPalette | null, reached: Reached): void {
  const { watch } = reached;
  const state = () => watch.view.answer?.state ?? null;
  // The service that is meant, else the first that has a page.
  const meant = (id: unknown) => {
    const services = state()?.services ?? [];
    if (typeof id === "string") return services.find((service) => service.id === id);
    return services.find((service) => service.port !== null) ?? services[0];
  };
  const broken = (): string[] =>
    failed([
      ...(state()?.stages ?? []).filter((stage) => stage.state !== "blocked").map((stage) => stage.repair),
      ...(state()?.services ?? []).filter((service) => service.state === "failed").map((service) => service.repair),
    ]);

  app.commands.addCommand(ID.show, {
    label: "Show How the Start Goes",
    icon: sunriseIcon,
    execute: reached.showPanel,
  });
  app.commands.addCommand(ID.open, {
    label: ({ service }) => {
      const title = line(meant(service)?.title ?? "the App", 60);
      return typeof service === "string" ? title : `Open ${title}`;
    },
    caption: ({ service }) => {
      const one = meant(service);
      return one ? `Open ${line(one.title, 60)} in a new tab (${one.state})` : "";
    },
    icon: ({ service }) => (typeof service === "string" ? appIcon : openIcon),
    isEnabled: ({ service }) => {
      const one = meant(service);
      return one !== undefined && reached.address(one.id) !== null;
    },
    execute: ({ service }) => {
      const one = meant(service);
      const href = one ? reached.address(one.id) : null;
      if (href) window.open(href, "_blank", "noopener");
    },
  });
  app.commands.addCommand(ID.retry, {
    label: "Retry What Failed",
    isEnabled: () => broken().length > 0,
    execute: async () => {
      const stages = broken();
      const ends = await Promise.all(stages.map((stage) => watch.connection.retry(stage)));
      watch.refresh();
      const refused = ends.filter((end) => !end.ok);
      for (const end of refused) Notification.error(line(end.message || "It did not work.", 200));
      if (stages.length > refused.length) {
        Notification.info(`Trying again: ${list(stages.filter((_, at) => ends[at]?.ok), 4)}`, { autoClose: 4000 });
      }
    },
  });
  app.commands.addCommand(ID.log, {
    label: "Show a Log…",
    execute: async ({ name }) => {
      const chosen = typeof name === "string" ? name : await choose(watch.connection);
      if (chosen) reached.showLog(chosen);
    },
  });
  app.commands.addCommand(ID.picture, { label: "How This Start Went", execute: reached.showPicture });
  watch.changed.connect(() => {
    app.commands.notifyCommandChanged(ID.open);
    app.commands.notifyCommandChanged(ID.retry);
  });
  for (const command of Object.values(ID)) palette?.addItem({ command, category: CATEGORY });
}

async function choose(connection: Connection): Promise<string | null> {
  try {
    const names = await connection.logs();
    if (!names.length) {
      Notification.info("There are no logs yet.");
      return null;
    }
    return (await InputDialog.getItem({ title: "Show a log", items: names, okLabel: "Show" })).value;
  } catch (error) {
    Notification.error(reason(error));
    return null;
  }
}
