import assert from "node:assert/strict";
import { test } from "node:test";
import { append, cut, KEPT, type Block } from "../src/blocks.ts";

const whole = (blocks: readonly Block[]): string => blocks.map((block) => block.text).join("");

test("what is added only changes the last block", () => {
  const lines = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => `line ${from + at}\n`).join("");
  const before = append([], lines(0, 2000));
  const after = append(before, lines(2000, 2100));
  assert.equal(whole(after), lines(0, 2100));
  assert.ok(before.length > 2);
  assert.deepEqual(after.slice(0, before.length - 1), before.slice(0, -1));
  assert.ok(after.slice(0, -1).every((block) => block.text.endsWith("\n")));
  assert.equal(new Set(after.map((block) => block.key)).size, after.length);
});

test("the end is kept, and keys go on", () => {
  let blocks = append([], "");
  for (let at = 0; at < 100; at += 1) blocks = append(blocks, `${at} ${"x".repeat(9_990)}\n`);
  assert.ok(whole(blocks).length <= KEPT);
  assert.ok(whole(blocks).endsWith(`99 ${"x".repeat(9_990)}\n`));
  assert.equal(new Set(blocks.map((block) => block.key)).size, blocks.length);
  const flood = append(blocks, "y".repeat(5 * KEPT));
  assert.ok(whole(flood).length <= KEPT && whole(flood).endsWith("yyy"));
});

test("a text is cut at a line's beginning", () => {
  assert.equal(cut("a\nb"), "a\nb");
  assert.equal(cut(`first\n${"x".repeat(10)}\n${"z".repeat(KEPT - 5)}`), "z".repeat(KEPT - 5));
});
