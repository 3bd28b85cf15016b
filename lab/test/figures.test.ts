import assert from "node:assert/strict";
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

table("sizes change their unit before they would be rounded up to it", size, [
  [0, "0 B"],
  [-4, "0 B"],
  [999, "999 B"],
  [1000, "1.0 kB"],
  [999_499, "999 kB"],
  [999_500, "1.0 MB"],
  [12_345_678, "12.3 MB"],
  [99_960_000, "100 MB"],
  [41e9, "41.0 GB"],
  [2e18, "2000 PB"],
]);

table("what is there names a unit once when it is the same", have, [
  [45.5e6, 72e6, "45.5 of 72.0 MB"],
  [900e6, 1.2e9, "900 MB of 1.2 GB"],
  [5e9, null, "5.0 GB"],
  [9e9, 4e9, "4.0 of 4.0 GB"],
]);

table("spans", span, [
  [-1, "0.0 s"],
  [4.13, "4.1 s"],
  [9.96, "10 s"],
  [59.4, "59 s"],
  [61, "1 min 1 s"],
  [119.7, "2 min"],
  [360, "6 min"],
  [598, "10 min"],
  [3900, "1 h 5 min"],
  [7200, "2 h"],
  [266_400, "3 d 2 h"],
]);

table("running clocks", clock, [
  [-3, "0:00"],
  [48.9, "0:48"],
  [365, "6:05"],
  [3729, "1:02:09"],
]);

table("what lies ahead is rough", about, [
  [0, "1 s"],
  [8.4, "8 s"],
  [43, "45 s"],
  [58, "1 min"],
  [340, "6 min"],
  [4100, "1 h 10 min"],
  [7300, "2 h"],
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
