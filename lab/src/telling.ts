/** What happens by itself when the state changes: notifications, launcher cards, the panel's first opening. */

import type { JupyterFrontEnd } from "@jupyterlab/application";
import { Notification } from "@jupyterlab/apputils";
import type { ILauncher } from "@jupyterlab/launcher";
import type { IDisposable } from "@lumino/disposable";
import { ID } from "./commands.ts";
import type { Snapshot } from "./contract.ts";
import { holds, notices, remember, type Notice } from "./notices.ts";
import { repair } from "./repair.ts";
import type { Storage } from "./storage.ts";
import { line } from "./text.ts";
import type { Watch } from "./watch.ts";

const KEY = "boot";

export interface Wishes {
  openAutomatically: boolean;
  notifications: boolean;
}

/** Opens the panel on the first visit of a boot: who closes it is left alone until the next. */
export function openOnce(storage: Storage, state: Snapshot, wishes: Wishes, open: () => void): void {
  const memory = remember(storage.get(KEY), state.boot.id);
  if (memory.opened) return;
  storage.set(KEY, JSON.stringify({ ...memory, opened: true }));
  if (wishes.openAutomatically) open();
}

/** Notices that are shown, by the id of their notification. */
const shown = new Map<string, Notice>();

/**
 * What has just happened, as notifications. What is told is noted before it is shown: two windows tell it once.
 * `seen`: the panel is open and says the same, so that nothing needs to stay.
 */
export function notify(app: JupyterFrontEnd, storage: Storage, watch: Watch, state: Snapshot, wishes: Wishes, seen: boolean): void {
  for (const [id, notice] of shown) {
    if (holds(notice, state)) continue;
    shown.delete(id);
    Notification.dismiss(id);
  }
  const memory = remember(storage.get(KEY), state.boot.id);
  const [news, next] = notices(memory, state);
  const noted = JSON.stringify(next);
  if (noted !== JSON.stringify(memory)) storage.set(KEY, noted);
  if (wishes.notifications) for (const notice of news) show(app, watch, notice, seen);
}

function show(app: JupyterFrontEnd, watch: Watch, notice: Notice, seen: boolean): void {
  const actions: Notification.IAction[] = [];
  if (notice.service !== null && app.commands.isEnabled(ID.open, { service: notice.service })) {
    const { service } = notice;
    actions.push({ label: "Open", displayType: "accent", callback: () => void app.commands.execute(ID.open, { service }) });
  }
  const wanted = repair(notice.repair);
  if (wanted?.kind === "retry") {
    actions.push({
      label: "Retry",
      displayType: "accent",
      callback: () =>
        void watch.connection.retry(wanted.stage).then((end) => {
          if (!end.ok) Notification.error(line(end.message || "It did not work.", 200));
          watch.refresh();
        }),
    });
  }
  actions.push({ label: "Show", callback: () => void app.commands.execute(ID.show) });
  const options = { actions, autoClose: seen || notice.kind === "ready" ? 15_000 : (false as const) };
  if (notice.kind === "ready") Notification.success(notice.text, options);
  else if (notice.kind === "warning") Notification.warning(notice.text, options);
  else shown.set(Notification.error(notice.text, options), notice);
}

/** A card for every service that has a page. */
export class Cards {
  readonly #launcher: ILauncher;
  #shown = "";
  #items: IDisposable[] = [];

  constructor(launcher: ILauncher) {
    this.#launcher = launcher;
  }

  update(state: Snapshot): void {
    const services = state.services.filter((service) => service.port !== null && service.url !== null);
    const shown = JSON.stringify(services.map((service) => [service.id, service.title]));
    if (shown === this.#shown) return;
    this.#shown = shown;
    for (const item of this.#items) item.dispose();
    this.#items = services.map((service, rank) =>
      this.#launcher.add({ command: ID.open, args: { service: service.id }, category: "Apps", rank }),
    );
  }
}
