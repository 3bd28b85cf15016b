/** Answers for tests, as the server sends them. */

type Raw = Record<string, unknown>;

export const BOOT = 1_000_000;

export const stage = (id: string, state: string, more: Raw = {}): Raw => ({
  id,
  kind: "code",
  title: id,
  needs: [],
  state,
  started: null,
  ended: null,
  bytes_done: null,
  bytes_total: null,
  rate_bps: null,
  message: "",
  consequence: null,
  repair: null,
  attempt: 1,
  waits_for: [],
  predicted: null,
  took_before: null,
  ...more,
});

export const service = (id: string, state: string, more: Raw = {}): Raw => ({
  id,
  title: id,
  needs: [],
  state,
  url: ":8188/",
  port: 8188,
  started: null,
  ready_at: null,
  restarts: 0,
  message: "",
  consequence: null,
  repair: null,
  predicted: null,
  ...more,
});

export const state = (more: Raw = {}): Raw => ({
  schema: "firstlight.state/1",
  image: "demo",
  title: "Lightbox",
  boot: { id: "b1", started: BOOT, runner_started: null },
  phase: "starting",
  headline: { text: "Lightbox in about 6 min", tone: "busy", repair: null, service: "app" },
  eta_s: 360,
  eta_range: null,
  progress: 0.2,
  critical: [],
  stages: [],
  services: [],
  sets: [],
  disk: {},
  ...more,
});

export const body = (given: unknown, more: Raw = {}): string =>
  JSON.stringify({ state: given, alive: true, problem: null, ...more });
