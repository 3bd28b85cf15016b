/** Bytes, rates and times as people read them: the same words as `firstlight status`. */

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

export function size(bytes: number): string {
  let value = Math.max(0, bytes);
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit] ?? ""}`;
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

/** "4.1 s", "48 s", "6 min", "1 h 5 min", "3 d 2 h". */
export function span(seconds: number): string {
  const s = Math.max(0, seconds);
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 59.5) return `${Math.round(s)} s`;
  const minutes = Math.round(s / 60);
  if (s < 600 && minutes < 10) {
    const rest = Math.round(s) % 60;
    return rest ? `${Math.floor(Math.round(s) / 60)} min ${rest} s` : `${minutes} min`;
  }
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${hours / 24} d`;
}

/** Whole seconds that run on: "0:48", "6:05", "1:02:09". Of one width as long as the digits are. */
export function clock(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(s / 3600), Math.floor((s % 3600) / 60), s % 60];
  const two = (value: number) => String(value).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** Rough, for what lies ahead: "8 s", "40 s", "6 min", "1 h 10 min". */
export function about(seconds: number): string {
  const s = Math.max(1, seconds);
  if (s < 10) return `${Math.round(s)} s`;
  if (s < 55) return `${Math.round(s / 5) * 5} s`;
  if (s < 3570) return `${Math.max(1, Math.round(s / 60))} min`;
  const minutes = Math.round(s / 600) * 10;
  return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
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
