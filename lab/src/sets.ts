/** Model sets as lines: how much is there, and what can be done about the rest. */

import type { ModelFile, ModelSet, Snapshot, Stage } from "./contract.ts";
import { have, rate, size } from "./figures.ts";
import { lookOf, type Look } from "./rows.ts";
import { line } from "./text.ts";

export interface SetLine {
  set: ModelSet;
  title: string;
  look: Look;
  /** 0 to 1, null when the size is not known. */
  share: number | null;
  /** "12.3 of 40.0 GB". */
  figures: string;
  note: string;
  /** Bytes come in, or would if it were not paused. */
  open: boolean;
  stage: Stage | null;
}

export function setLines(state: Snapshot): SetLine[] {
  const stages = new Map(state.stages.map((stage) => [stage.id, stage]));
  return state.sets.map((set) => {
    const stage = stages.get(set.stage) ?? null;
    const there = set.verified || (set.bytesTotal !== null && set.bytesHave >= set.bytesTotal);
    const open = set.selected && !there && (stage === null || !["done", "skipped", "degraded", "failed", "blocked"].includes(stage.state));
    return {
      set,
      title: line(stage?.title ?? set.name, 120),
      look: there && set.verified ? "done" : set.selected && stage ? lookOf(stage.state) : "skipped",
      share: there ? 1 : set.bytesTotal ? set.bytesHave / set.bytesTotal : null,
      figures: figures(set, there),
      note: note(set, stage, there),
      open,
      stage,
    };
  });
}

function figures(set: ModelSet, there: boolean): string {
  if (set.bytesTotal === null) return set.bytesHave ? size(set.bytesHave) : "size unknown";
  return there || !set.bytesHave ? size(set.bytesTotal) : have(set.bytesHave, set.bytesTotal);
}

function note(set: ModelSet, stage: Stage | null, there: boolean): string {
  const files = `${set.files} ${set.files === 1 ? "file" : "files"}`;
  const words = [files];
  if (there) words.push(set.verified ? "verified" : "not verified yet");
  else if (!set.selected) words.push(set.bytesHave ? "off the queue" : "not fetched");
  else if (set.paused) words.push("paused");
  else if (stage?.state === "verifying") words.push("verifying");
  else if (stage?.state === "running") words.push(stage.rate ? rate(stage.rate) : "fetching");
  else if (stage?.state === "failed" || stage?.state === "degraded") words.push(stage.state);
  else if (stage?.state === "done") words.push("fetched");
  else words.push("queued");
  if (set.required) words.push("needed");
  return words.join(" · ");
}

const ORDER: Record<ModelFile["state"], number> = {
  fetching: 0,
  verifying: 1,
  failed: 2,
  waiting: 3,
  queued: 4,
  skipped: 5,
  done: 6,
};

/** What moves first, then what is wrong, then what is to come; by name within. */
export function sorted(files: readonly ModelFile[]): ModelFile[] {
  return [...files].sort((one, other) => ORDER[one.state] - ORDER[other.state] || (one.path < other.path ? -1 : 1));
}
