import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { about, ago, clock, have, percent, rate, size, span } from "../src/figures.ts";

function table<T extends unknown[]>(name: string, made: (...given: T) => string | number, rows: [...T, string | number][]): void {
  test(name, () => {
    for (const row of rows) {
      const given = row.slice(0, -1) as unknown as T;
      assert.equal(made(...given), row[row.length - 1], JSON.stringify(given));
    }
  });
}

type Row = [number, string];
const shared = JSON.parse(readFileSync(new URL("words.json", import.meta.url), "utf8")) as Record<string, Row[]>;

table("sizes change their unit before they would be rounded up to it", size, [[-4, "0 B"], ...(shared.size ?? [])]);
table("spans", span, [[-1, "0.0 s"], ...(shared.span ?? [])]);
table("what lies ahead is rough", about, shared.about ?? []);

table("what is there names a unit once when it is the same", have, [
  [45.5e6, 72e6, "45.5 of 72.0 MB"],
  [900e6, 1.2e9, "900 MB of 1.2 GB"],
  [5e9, null, "5.0 GB"],
  [9e9, 4e9, "4.0 of 4.0 GB"],
]);

table("running clocks", clock, [
  [-3, "0:00"],
  [48.9, "0:48"],
  [365, "6:05"],
  [3729, "1:02:09"],
]);

table("ago", ago, [
  [1, "just now"],
  [12, "12 s ago"],
  [200, "3 min ago"],
]);

test("per cent is 100 only at the end, and never below 0", () => {
  assert.deepEqual([percent(0.999), percent(1), percent(-1), percent(0.334)], [99, 100, 0, 33]);
  assert.equal(rate(41.3e6), "41.3 MB/s");
});
