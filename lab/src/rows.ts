/** Stages and services as lines of one timeline: what each says, and where its bar lies. */

import { SERVICE, type Range, type Service, type Snapshot, type Stage } from "./contract.ts";
import { about, clock, have, percent, rate, span } from "./figures.ts";
import { scale, type Scale } from "./scale.ts";
import { line, list } from "./text.ts";

export type Look = "waiting" | "active" | "done" | "skipped" | "warning" | "error" | "blocked";

export interface Row {
  key: string;
  title: string;
  look: Look;
  /** The state's own word, for screen readers and titles. */
  state: string;
  critical: boolean;
  /** One line: what happens, or for whom it waits. */
  note: string;
  /** Titles of what it still waits for. */
  waits: string[];
  /** At the end of the line: per cent, or a time. */
  value: string;
  /** Drawn stretch, seconds after the boot. */
  ran: Range | null;
  planned: Range | null;
  subject: Stage | Service;
}

export interface Timeline {
  rows: Row[];
  scale: Scale;
  /** Seconds after the boot. */
  now: number;
  /** Something runs or will: the axis goes on. */
  going: boolean;
  ended: number;
}

const LOOKS: Record<Stage["state"] | Service["state"], Look> = {
  waiting: "waiting",
  running: "active",
  verifying: "active",
  starting: "active",
  done: "done",
  ready: "done",
  skipped: "skipped",
  stopped: "skipped",
  degraded: "warning",
  failed: "error",
  blocked: "blocked",
};

export const isStage = (subject: Stage | Service): subject is Stage => "waitsFor" in subject;
export const keyOf = (subject: Stage | Service): string => (isStage(subject) ? "" : SERVICE) + subject.id;
export const lookOf = (state: Stage["state"] | Service["state"]): Look => LOOKS[state];

/** `now`: Unix seconds on the machine's clock. */
export function timeline(state: Snapshot, now: number): Timeline {
  const since = Math.max(0, now - state.boot.started);
  const titles = new Map<string, string>();
  for (const each of [...state.stages, ...state.services]) titles.set(keyOf(each), each.title);
  const ended = new Set(
    [...state.stages, ...state.services]
      .filter((each) => !["waiting", "active"].includes(lookOf(each.state)))
      .map(keyOf),
  );
  const rows = [...state.stages, ...state.services].map((subject): Row => {
    const [look, key] = [lookOf(subject.state), keyOf(subject)];
    const open = look === "active" || look === "waiting";
    const waits = look === "waiting" ? waiting(subject, ended).map((need) => line(titles.get(need) ?? need, 40)) : [];
    return {
      key,
      title: line(subject.title, 120),
      look,
      state: subject.state,
      critical: state.critical.has(key),
      note: note(subject, look, waits),
      waits,
      value: value(subject, look, now),
      ran: stretch(subject, look, state.boot.started, since),
      planned: open ? subject.predicted : null,
      subject,
    };
  });
  const going = rows.some((row) => row.look === "active") || state.phase === "starting";
  const busy: Range[] = rows.flatMap((row) => (row.ran ? [row.ran] : []));
  const expected: Range[] = rows.flatMap((row) => (row.planned ? [row.planned] : []));
  if (going) expected.push([since, since + likely(state)]);
  const end = Math.max(...busy.map((each) => each[1]), ...(going ? expected.map((each) => each[1]) : []), going ? since : 0, 1);
  return {
    rows,
    scale: scale(going ? [...busy, ...expected] : busy, end * 1.01),
    now: since,
    going,
    ended: rows.filter((row) => row.look !== "waiting" && row.look !== "active").length,
  };
}

/** Seconds: the geometric middle, as a most that is a mere guess would leave no room for what is known. */
const likely = ({ etaRange, etaS }: Snapshot): number => (etaRange ? Math.sqrt(Math.max(1, etaRange[0]) * etaRange[1]) : etaS ?? 0);

/** "48.0 of 264 MB · 4.0 MB/s": of all that is or will be fetched; empty without such. */
export function fetched(state: Snapshot): string {
  const wanted = state.stages.filter((stage) => stage.bytesTotal && !["skipped", "degraded", "failed", "blocked"].includes(stage.state));
  const sum = (part: (stage: Stage) => number | null) => wanted.reduce((all, stage) => all + (part(stage) ?? 0), 0);
  if (!wanted.length) return "";
  const speed = sum((stage) => (stage.state === "running" ? stage.rate : null));
  return [have(sum((stage) => stage.bytesDone), sum((stage) => stage.bytesTotal)), speed ? rate(speed) : ""].filter(Boolean).join(" · ");
}

function stretch(subject: Stage | Service, look: Look, boot: number, now: number): Range | null {
  if (subject.started === null || look === "waiting") return null;
  const end = isStage(subject) ? subject.ended : subject.readyAt;
  const from = Math.max(0, subject.started - boot);
  const known = end !== null && end >= subject.started ? end - boot : look === "active" ? now : from;
  return [from, Math.max(from, known)];
}

/** One line without the marks around commands. */
export const plain = (text: string): string => line(text).replaceAll("`", "");

/** "45.5 of 72.0 MB, 6.1 MB/s" without its bytes: those stand elsewhere. */
const withoutBytes = (message: string): string => message.replace(/^[\d.]+ ?[kMGTP]?B of [\d.]+ ?[kMGTP]?B(?:, )?/, "");

const waiting = (subject: Stage | Service, ended: Set<string>): string[] =>
  isStage(subject) ? subject.waitsFor : subject.needs.filter((need) => !ended.has(need));

/** "not selected; `firstlight models add mural` fetches it" without its command: the panel has a tick for that. */
const withoutCommand = (message: string): string => message.replace(/; `[^`]*`[^;]*$/, "");

function note(subject: Stage | Service, look: Look, waits: string[]): string {
  const [message, consequence] = [plain(subject.message), plain(subject.consequence ?? "")];
  if (look === "waiting") return waits.length ? `after ${list(waits)}` : message || "waits for its turn";
  if (look === "skipped") return plain(withoutCommand(subject.message)) || subject.state;
  if (look === "active" && isStage(subject) && subject.bytesTotal) {
    const speed = subject.rate ? rate(subject.rate) : "";
    const rest = withoutBytes(message) === speed ? "" : withoutBytes(message);
    const words = subject.state === "verifying" ? "verifying" : rest && rest !== message ? rest : "";
    return [have(subject.bytesDone ?? 0, subject.bytesTotal), words.includes("/s") ? words : speed || words]
      .filter(Boolean)
      .join(" · ");
  }
  if (look === "warning" || look === "error" || look === "blocked") return consequence || message || subject.state;
  return message || subject.state;
}

function value(subject: Stage | Service, look: Look, now: number): string {
  if (look === "active") {
    if (isStage(subject) && subject.bytesTotal) return `${percent((subject.bytesDone ?? 0) / subject.bytesTotal)} %`;
    return subject.started === null ? "" : clock(now - subject.started);
  }
  if (look === "waiting") {
    const before = isStage(subject) ? subject.tookBefore : null;
    const expected = before ?? (subject.predicted ? subject.predicted[1] - subject.predicted[0] : null);
    return expected === null ? "" : `~${about(expected)}`;
  }
  if (look === "blocked" || look === "error" || subject.state === "stopped") return subject.state;
  const end = isStage(subject) ? subject.ended : subject.readyAt;
  if (subject.started === null || end === null || look === "skipped") return look === "skipped" ? "skipped" : "";
  return span(end - subject.started);
}
