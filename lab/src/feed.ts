/**
 * When to stream, when to poll, when to wait: decided here, carried out in `connection.ts`.
 *
 * Streams are cut by proxies after a time, held back whole by others, and die with a server's restart or a laptop's
 * sleep. None of it needs a reload: a cut stream is opened again at once, one that stays silent is replaced by polling
 * for a while, and a server that is away is asked again with growing pauses. A page that nobody can see asks now and
 * then: a browser has six connections to a host that speaks HTTP/1.1, and six streams would leave none for JupyterLab.
 * Times are milliseconds.
 */

export type Trouble = "unreachable" | "absent" | "refused";

export interface Feed {
  doing: "poll" | "stream" | null;
  /** When `doing` began. */
  since: number;
  /** The stream that runs has told something. */
  told: boolean;
  /** What to do next, once nothing is done. */
  next: "poll" | "stream";
  at: number;
  /** The server's last sign of life. */
  heard: number | null;
  trouble: Trouble | null;
  /** Failures in a row. */
  failures: number;
  /** Streams in a row that were of no use. */
  useless: number;
  /** No stream is tried before. */
  streamAt: number;
  /** Nobody can see the page. */
  hidden: boolean;
  /** When the page came into sight. */
  shownAt: number;
}

export type Event =
  | { kind: "polled" }
  | { kind: "heard"; data: boolean }
  | { kind: "ended" }
  | { kind: "failed"; status: number | null }
  | { kind: "tick" }
  | { kind: "hidden" }
  | { kind: "shown" }
  | { kind: "woke" };

export type Act = "poll" | "stream" | "abort" | null;

export const POLL = 2_000;
/** Of a page that nobody can see. */
export const HIDDEN = 10_000;
/** The server pings every five seconds. */
export const SILENT = 15_000;
/** A stream begins with the state: without it, somebody holds it back. */
export const FIRST = 6_000;
/** A stream shorter than this was cut off by somebody who does not want streams. */
export const SHORT = 3_000;
const SLOWEST = 15_000;

export const begin = (now: number): Feed => ({
  doing: null,
  since: now,
  told: false,
  next: "poll",
  at: now,
  heard: null,
  trouble: null,
  failures: 0,
  useless: 0,
  streamAt: now,
  hidden: false,
  shownAt: now,
});

/** Pure; `spread` (0 to 1) keeps many pages from asking in step. */
export function step(feed: Feed, event: Event, now: number, spread = 0.5): [Feed, Act] {
  switch (event.kind) {
    case "polled": {
      const well = { ...feed, doing: null, heard: now, trouble: null, failures: 0 };
      if (feed.hidden) return [{ ...well, next: "poll", at: now + HIDDEN }, null];
      return [now >= feed.streamAt ? { ...well, next: "stream", at: now } : { ...well, next: "poll", at: now + POLL }, null];
    }
    case "heard":
      if (!event.data) return [{ ...feed, heard: now }, null];
      return [{ ...feed, heard: now, told: true, trouble: null, failures: 0 }, null];
    case "ended":
      return [now - feed.since < SHORT || !feed.told ? cut(feed, now) : again(feed, now), null];
    case "failed":
      return [failed(feed, event.status, now, spread), null];
    case "hidden":
      if (feed.doing === "poll") return [{ ...feed, hidden: true }, null];
      return [{ ...feed, hidden: true, doing: null, next: "poll", at: now + HIDDEN }, feed.doing && "abort"];
    case "shown":
      return step({ ...feed, hidden: false, shownAt: now }, { kind: "woke" }, now, spread);
    case "woke":
    case "tick":
      return tick(event.kind === "woke" && feed.doing === null ? { ...feed, at: Math.min(feed.at, now) } : feed, now);
  }
}

function tick(feed: Feed, now: number): [Feed, Act] {
  if (feed.doing === null) {
    return now < feed.at ? [feed, null] : [{ ...feed, doing: feed.next, since: now, told: false }, feed.next];
  }
  const quiet = now - Math.max(feed.since, feed.heard ?? 0);
  if (feed.doing === "stream" && !feed.told && now - feed.since > FIRST) return [cut(feed, now), "abort"];
  // Also after a sleep: the clock went on, and nothing came.
  if (quiet > SILENT) return [{ ...feed, doing: null, next: "poll", at: now }, "abort"];
  return [feed, null];
}

/** The stream did its work until somebody cut it. */
const again = (feed: Feed, now: number): Feed => ({ ...feed, doing: null, useless: 0, next: "stream", at: now + 250 });

/** The stream was of no use: poll, and try again later, the third time much later. */
function cut(feed: Feed, now: number): Feed {
  const useless = feed.useless + 1;
  const pause = useless < 3 ? 500 : Math.min(600_000, 30_000 * 2 ** Math.min(useless - 3, 5));
  return { ...feed, doing: null, useless, next: "poll", at: now, streamAt: now + pause };
}

function failed(feed: Feed, status: number | null, now: number, spread: number): Feed {
  const away = status === null || status === 502 || status === 503 || status === 504;
  // The server is there, and has just answered a poll: only the stream is not for us.
  if (feed.doing === "stream" && !away && feed.trouble === null && feed.heard !== null) {
    return cut({ ...feed, useless: Math.max(2, feed.useless) }, now);
  }
  const failures = feed.failures + 1;
  const pause = Math.min(SLOWEST, 500 * 2 ** Math.min(failures, 6)) * (0.75 + spread / 2);
  const trouble = status === 404 ? "absent" : status === 401 || status === 403 ? "refused" : "unreachable";
  return { ...feed, doing: null, failures, trouble, next: "poll", at: now + pause };
}

/** How long the server has been away in seconds; null while it is there, and for the first moments without it. */
export function away(feed: Feed, now: number): number | null {
  if (feed.heard === null) return feed.trouble === null ? null : 0;
  const quiet = now - feed.heard;
  // A page out of sight is given few turns by its browser: its silence is its own.
  const waited = now - Math.max(feed.heard, feed.shownAt);
  return (feed.trouble !== null && quiet > 4_000) || waited > SILENT + 5_000 ? Math.round(quiet / 1000) : null;
}
