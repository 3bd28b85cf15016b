/** What to tell in a notification: each event of a boot once, also over reloads and in two windows. */

import type { Snapshot } from "./contract.ts";
import { keyOf } from "./rows.ts";
import { line, list, sentence } from "./text.ts";

/** What this browser remembers of a boot. */
export interface Memory {
  boot: string;
  /** It was seen before it was ready. */
  busy: boolean;
  told: string[];
  /** The panel has opened by itself. */
  opened: boolean;
}

export interface Notice {
  kind: "ready" | "warning" | "error";
  text: string;
  /** The service to open. */
  service: string | null;
  repair: string | null;
  /** What it is about, by key: once none of it is failed, the notice is out of date. */
  about: string[];
}

const MOST = 200;

export const forget = (boot: string): Memory => ({ boot, busy: false, told: [], opened: false });

/** Whether a notice still says what is. */
export function holds(notice: Notice, state: Snapshot): boolean {
  if (notice.kind !== "error") return true;
  return [...state.stages, ...state.services].some((each) => each.state === "failed" && notice.about.includes(keyOf(each)));
}

/** Memory as it was kept, if it is of this boot. */
export function remember(kept: string | null, boot: string): Memory {
  try {
    const data = JSON.parse(kept ?? "") as Partial<Memory> | null;
    if (data?.boot !== boot || !Array.isArray(data.told)) return forget(boot);
    const told = data.told.filter((each) => typeof each === "string");
    return { boot, busy: data.busy === true, told, opened: data.opened === true };
  } catch {
    return forget(boot);
  }
}

export function notices(memory: Memory, state: Snapshot): [Notice[], Memory] {
  const news: string[] = [];
  const found: Notice[] = [];
  const fresh = (key: string): boolean => !memory.told.includes(key) && news.push(key) > 0;

  const failures = [...state.stages, ...state.services].filter(
    (each) => each.state === "failed" && fresh(`failed:${keyOf(each)}:${each.started ?? 0}`),
  );
  // What only follows from another failure is repaired, and told, with that one.
  const roots = failures.filter((each) => each.repair === null || each.repair.endsWith(` ${keyOf(each)}`));
  const failed = roots.length ? roots : failures;
  if (failed.length === 1 && failed[0]) {
    const [only] = failed;
    const told = line(only.consequence ?? only.message, 200);
    found.push({
      kind: "error",
      text: `${line(only.title, 60)} failed${told ? `: ${sentence(told)}` : ""}`,
      service: null,
      repair: only.repair,
      about: [keyOf(only)],
    });
  } else if (failed.length > 1) {
    const names = list(failed.map((each) => line(each.title, 40)), 3);
    found.push({ kind: "error", text: `${names} failed`, service: null, repair: null, about: failed.map(keyOf) });
  }

  const over = state.phase === "ready" || state.phase === "degraded";
  // Who comes later finds the panel: that it was ready long ago is no news.
  if (over && fresh("ready") && memory.busy) {
    const { text, tone, service } = state.headline;
    found.push({ kind: tone === "ready" ? "ready" : "warning", text: line(text, 200), service, repair: null, about: [] });
  }
  const told = [...memory.told, ...news].slice(-MOST);
  return [found, { ...memory, told, busy: memory.busy || state.phase === "starting" }];
}
