/** Bytes, rates and times as people read them: the same words as `firstlight status` (test/words.json holds both to it). */

const UNITS = ["B", "kB", "MB", "GB"] as const;

export function size(bytes: number): string {
  let value = Math.max(0, bytes);
  for (const unit of UNITS) {
    if (value < 999.5) return `${unit === "B" || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(2)} TB`;
}

export function rate(bytesPerSecond: number): string {
  return `${size(bytesPerSecond)}/s`;
}

/** "45.5 of 72.0 MB", "900 MB of 1.2 GB", "1.2 GB". */
export function have(done: number, total: number | null): string {
  if (total === null) return size(done);
  const [all, part] = [size(total), size(Math.min(done, total))];
  const [partFigure = part, partUnit] = part.split(" ");
  return partUnit === all.split(" ")[1] ? `${partFigure} of ${all}` : `${part} of ${all}`;
}

const two = (value: number) => String(value).padStart(2, "0");

/** "4.1 s", "48 s", "2 min 05 s", "1 h 12 min", "3 d 02 h". */
export function span(seconds: number): string {
  const s = Math.max(0, seconds);
  if (s < 9.95) return `${s.toFixed(1)} s`;
  const whole = Math.round(s);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 86_400)} d ${two(Math.floor((whole % 86_400) / 3600))} h`;
}

/** Whole seconds that run on: "0:48", "6:05", "1:02:09". Of one width as long as the digits are. */
export function clock(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(s / 3600), Math.floor((s % 3600) / 60), s % 60];
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** Rough, for what lies ahead: "8 s", "40 s", "6 min", "1 h 10 min". */
export function about(seconds: number): string {
  if (seconds < 10) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 55) return `${5 * Math.round(seconds / 5)} s`;
  const minutes = Math.max(1, Math.round(seconds / 60));
  if (minutes < 60) return `${minutes} min`;
  const rounded = 5 * Math.round(minutes / 5);
  const [hours, rest] = [Math.floor(rounded / 60), rounded % 60];
  return rest ? `${hours} h ${rest} min` : `${hours} h`;
}

/** "just now", "12 s ago", "3 min ago". */
export function ago(seconds: number): string {
  return seconds < 2 ? "just now" : `${seconds < 60 ? `${Math.round(seconds)} s` : about(seconds)} ago`;
}

/** Whole per cent; 100 only when all is there. */
export function percent(share: number): number {
  if (share >= 1) return 100;
  return Math.min(99, Math.max(0, Math.round(share * 100)));
}
