/** The server's JSON into our types. Never throws: what is missing or of another kind gets its plain default. */

import {
  FILE_STATES,
  PHASES,
  SCHEMA,
  SERVICE_STATES,
  STAGE_STATES,
  TONES,
  type Answer,
  type Headline,
  type ModelFile,
  type ModelSet,
  type Phase,
  type Problem,
  type Range,
  type Service,
  type Snapshot,
  type Stage,
  type Tone,
} from "./contract.ts";
import { clean } from "./text.ts";

type Raw = Record<string, unknown>;

const isRaw = (value: unknown): value is Raw => typeof value === "object" && value !== null && !Array.isArray(value);
const raw = (value: unknown): Raw => (isRaw(value) ? value : {});
const items = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const text = (value: unknown): string => (typeof value === "string" ? clean(value) : "");
const textOrNull = (value: unknown): string | null => (typeof value === "string" && value ? clean(value) : null);
const texts = (value: unknown): string[] => items(value).filter((item) => typeof item === "string");
const number = (value: unknown): number | null =>
  typeof value === "number" && Number.isFinite(value) ? value : null;

function one<T extends string>(known: readonly T[], value: unknown, otherwise: T): T {
  return known.find((each) => each === value) ?? otherwise;
}

function range(value: unknown): Range | null {
  const [low, high] = items(value).map(number);
  if (low === null || low === undefined || high === null || high === undefined) return null;
  return low <= high ? [low, high] : [high, low];
}

/** `id` stays as it came: it goes back to the server. */
const id = (value: unknown): string => (typeof value === "string" ? value : "");

function stage(value: unknown): Stage {
  const item = raw(value);
  return {
    id: id(item.id),
    kind: text(item.kind),
    title: text(item.title) || text(item.id),
    needs: texts(item.needs),
    state: one(STAGE_STATES, item.state, "waiting"),
    started: number(item.started),
    ended: number(item.ended),
    bytesDone: number(item.bytes_done),
    bytesTotal: number(item.bytes_total),
    rate: number(item.rate_bps),
    message: text(item.message),
    consequence: textOrNull(item.consequence),
    repair: textOrNull(item.repair),
    attempt: number(item.attempt) ?? 0,
    waitsFor: texts(item.waits_for),
    predicted: range(item.predicted),
    tookBefore: number(item.took_before),
  };
}

function service(value: unknown): Service {
  const item = raw(value);
  return {
    id: id(item.id),
    title: text(item.title) || text(item.id),
    needs: texts(item.needs),
    state: one(SERVICE_STATES, item.state, "waiting"),
    url: textOrNull(item.url),
    port: number(item.port),
    started: number(item.started),
    readyAt: number(item.ready_at),
    restarts: number(item.restarts) ?? 0,
    message: text(item.message),
    consequence: textOrNull(item.consequence),
    repair: textOrNull(item.repair),
    predicted: range(item.predicted),
  };
}

function modelSet(value: unknown): ModelSet {
  const item = raw(value);
  return {
    name: id(item.name),
    stage: id(item.stage),
    files: number(item.files) ?? 0,
    bytesTotal: number(item.bytes_total),
    bytesHave: number(item.bytes_have) ?? 0,
    verified: (number(item.verified) ?? 0) >= (number(item.files) ?? 1),
    required: item.required === true,
    selected: item.selected === true,
    paused: item.paused === true,
    license: textOrNull(item.license),
    problem: textOrNull(item.problem),
  };
}

const TONE_OF: Record<Phase, Tone> = { starting: "busy", ready: "ready", degraded: "warning", failed: "error" };

function headline(value: unknown, title: string, message: string, phase: Phase): Headline {
  const item = raw(value);
  return {
    text: text(item.text) || message || title,
    tone: one(TONES, item.tone, TONE_OF[phase]),
    repair: textOrNull(item.repair),
    service: textOrNull(item.service),
  };
}

function snapshot(value: Raw): Snapshot {
  const boot = raw(value.boot);
  const disk = raw(value.disk);
  const [title, phase] = [text(value.title) || text(value.image) || "This machine", one(PHASES, value.phase, "starting")];
  const [free, progress] = [number(disk.free), number(value.progress)];
  return {
    title,
    boot: { id: id(boot.id), started: number(boot.started) ?? 0 },
    updated: number(value.updated) || null,
    phase,
    headline: headline(value.headline, title, text(value.message), phase),
    etaS: number(value.eta_s),
    etaRange: range(value.eta_range),
    progress: progress === null ? null : Math.min(1, Math.max(0, progress)),
    critical: new Set(texts(value.critical)),
    stages: items(value.stages).map(stage).filter((each) => each.id),
    services: items(value.services).map(service).filter((each) => each.id),
    sets: items(value.sets).map(modelSet).filter((each) => each.name),
    disk: free === null ? null : { free, needed: number(disk.needed) ?? 0 },
  };
}

function problem(value: unknown): Problem | null {
  if (!isRaw(value)) return null;
  return { kind: text(value.kind), message: text(value.message), remedy: text(value.remedy) };
}

/** `GET state`, from the body's text. */
export function answer(body: string): Answer {
  const broken = (message: string): Answer => ({
    state: null,
    alive: false,
    problem: { kind: "damaged", message, remedy: "it is read again at the next change" },
    links: new Map(),
  });
  let data: unknown;
  try {
    data = JSON.parse(body);
  } catch {
    return broken("the server's answer is not JSON");
  }
  if (!isRaw(data)) return broken("the server's answer is not an account of a start");
  const links = new Map<string, string>();
  for (const [key, link] of Object.entries(raw(data.links))) if (typeof link === "string") links.set(key, link);
  const told = problem(data.problem);
  const state = isRaw(data.state) && (data.state.schema === undefined || data.state.schema === SCHEMA);
  return {
    state: state ? snapshot(raw(data.state)) : null,
    alive: data.alive === true,
    problem:
      told ??
      (isRaw(data.state) && !state
        ? { kind: "version", message: "the state was written by another version of Firstlight", remedy: "" }
        : null),
    links,
  };
}

/** `GET files/<set>`. */
export function files(data: unknown): ModelFile[] {
  return items(raw(data).files).map((value) => {
    const item = raw(value);
    return {
      path: text(item.path),
      state: one(FILE_STATES, item.state, "queued"),
      bytesDone: number(item.bytes_done) ?? 0,
      bytesTotal: number(item.bytes_total),
      rate: number(item.rate_bps),
      message: text(item.message),
    };
  });
}
