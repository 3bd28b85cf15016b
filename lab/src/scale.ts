/** The time axis of a start: from the boot to what is expected last, with long idle stretches folded. */

import type { Range } from "./contract.ts";
import { about, clock } from "./figures.ts";

export interface Tick {
  /** 0 to 1. */
  at: number;
  label: string;
}

export interface Scale {
  /** Share of the axis, 0 to 1, of a moment in seconds after the boot. */
  at: (seconds: number) => number;
  ticks: Tick[];
  /** Where idle time is folded, 0 to 1. */
  folds: number[];
}

/** Width of a folded stretch, as a share of what is drawn. */
const FOLD = 0.04;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

/** An axis from 0 to `end` seconds; `busy` are the stretches in which something ran or is expected to. */
export function scale(busy: readonly Range[], end: number, most = 5): Scale {
  const last = Math.max(end, 1);
  const gaps = idle(busy, last);
  const folded = gaps.reduce((sum, [from, to]) => sum + to - from, 0);
  const shown = last - folded;
  const fold = shown * FOLD;
  const whole = shown + gaps.length * fold;
  const at = (seconds: number): number => {
    let place = Math.min(Math.max(seconds, 0), last);
    const moment = place;
    for (const [from, to] of gaps) {
      if (moment >= to) place -= to - from - fold;
      else if (moment > from) place -= (moment - from) * (1 - fold / (to - from));
    }
    return place / whole;
  };
  return { at, ticks: ticks(at, gaps, last, whole, most), folds: gaps.map(([from, to]) => (at(from) + at(to)) / 2) };
}

/** Idle stretches that would squeeze everything else: longer than half of what ran, and than a minute. */
function idle(busy: readonly Range[], last: number): Range[] {
  const sorted = busy.filter(([from, to]) => to > from).sort((one, other) => one[0] - other[0]);
  const found: [number, number][] = [];
  let [reached, ran] = [0, 0];
  for (const [from, to] of sorted) {
    if (from > reached) found.push([reached, from]);
    ran += Math.max(0, Math.min(to, last) - Math.max(from, reached));
    reached = Math.max(reached, to);
  }
  return found.filter(([from, to]) => to - from > Math.max(60, ran / 2));
}

function ticks(at: (s: number) => number, gaps: readonly Range[], last: number, whole: number, most: number): Tick[] {
  const step = STEPS.find((each) => whole / each <= most) ?? 86400 * Math.ceil(whole / most / 86400);
  const found: Tick[] = [{ at: 0, label: "0" }];
  const hidden = (seconds: number) => gaps.some(([from, to]) => seconds > from && seconds < to);
  for (let seconds = step; seconds < last && found.length < 40; seconds += step) {
    if (hidden(seconds)) {
      // Over a fold in one step.
      const to = gaps.find(([from, end]) => seconds > from && seconds < end)?.[1] ?? seconds;
      seconds = Math.ceil(to / step) * step - step;
      continue;
    }
    const place = at(seconds);
    const before = found[found.length - 1]?.at ?? 0;
    if (place - before > 0.8 / most && place < 1 - 0.3 / most) {
      // Half minutes would be rounded to whole ones.
      found.push({ at: place, label: step < 60 && last > 60 ? clock(seconds) : about(seconds) });
    }
  }
  return found;
}
