/** What the server tells: `firstlight.state/1` and the answers around it. Times are Unix seconds, sizes bytes. */

export const SCHEMA = "firstlight.state/1";

export const TONES = ["busy", "ready", "warning", "error"] as const;
export type Tone = (typeof TONES)[number];

export const STAGE_STATES = [
  "waiting",
  "running",
  "verifying",
  "done",
  "skipped",
  "degraded",
  "failed",
  "blocked",
] as const;
export type StageStatus = (typeof STAGE_STATES)[number];

export const SERVICE_STATES = ["waiting", "starting", "ready", "failed", "stopped"] as const;
export type ServiceStatus = (typeof SERVICE_STATES)[number];

export const FILE_STATES = ["queued", "fetching", "verifying", "done", "failed", "skipped", "waiting"] as const;
export type FileStatus = (typeof FILE_STATES)[number];

export const PHASES = ["starting", "ready", "degraded", "failed"] as const;
export type Phase = (typeof PHASES)[number];

/** Start and end. */
export type Range = readonly [number, number];

export interface Headline {
  text: string;
  tone: Tone;
  repair: string | null;
  service: string | null;
}

export interface Stage {
  id: string;
  kind: string;
  title: string;
  needs: string[];
  state: StageStatus;
  started: number | null;
  ended: number | null;
  bytesDone: number | null;
  bytesTotal: number | null;
  rate: number | null;
  message: string;
  consequence: string | null;
  repair: string | null;
  attempt: number;
  waitsFor: string[];
  /** Seconds after the boot's start. */
  predicted: Range | null;
  tookBefore: number | null;
}

export interface Service {
  id: string;
  title: string;
  needs: string[];
  state: ServiceStatus;
  /** `:PORT/path`. */
  url: string | null;
  port: number | null;
  started: number | null;
  readyAt: number | null;
  restarts: number;
  message: string;
  consequence: string | null;
  repair: string | null;
  predicted: Range | null;
}

export interface ModelSet {
  name: string;
  stage: string;
  files: number;
  bytesTotal: number | null;
  bytesHave: number;
  verified: boolean;
  required: boolean;
  selected: boolean;
  paused: boolean;
  license: string | null;
  problem: string | null;
}

export interface ModelFile {
  path: string;
  state: FileStatus;
  bytesDone: number;
  bytesTotal: number | null;
  rate: number | null;
  message: string;
}

export interface Disk {
  free: number;
  needed: number;
}

export interface Snapshot {
  title: string;
  boot: { id: string; started: number };
  /** When the runner wrote it. */
  updated: number | null;
  phase: Phase;
  headline: Headline;
  etaS: number | null;
  etaRange: Range | null;
  /** 0 to 1. */
  progress: number | null;
  critical: ReadonlySet<string>;
  stages: Stage[];
  services: Service[];
  sets: ModelSet[];
  disk: Disk | null;
}

export interface Problem {
  kind: string;
  message: string;
  remedy: string;
}

/** `GET state`. */
export interface Answer {
  state: Snapshot | null;
  alive: boolean;
  problem: Problem | null;
  /** Addresses of services where they differ from `Service.url`; see `links.ts`. */
  links: ReadonlyMap<string, string>;
}

/** Key of a service among stages. */
export const SERVICE = "service:";
