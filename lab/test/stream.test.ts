import assert from "node:assert/strict";
import { test } from "node:test";
import { EventReader } from "../src/stream.ts";

test("events come out whole however they are cut", () => {
  const whole = 'event: state\ndata: {"a": 1}\n\n: ping\n\nevent: text\r\ndata: "x"\r\ndata: y\r\n\r\ndata: bare\n\n';
  const expected = [
    { event: "state", data: '{"a": 1}' },
    { event: "text", data: '"x"\ny' },
    { event: "message", data: "bare" },
  ];
  for (let width = 1; width <= whole.length; width += 1) {
    const reader = new EventReader();
    const found = [];
    for (let at = 0; at < whole.length; at += width) found.push(...reader.push(whole.slice(at, at + width)));
    assert.deepEqual(found, expected, `pieces of ${width}`);
  }
});

test("a comment is no event, and an event without data is none", () => {
  assert.deepEqual(new EventReader().push(": ping\n\nevent: state\n\n"), []);
});

test("an event without end is refused", () => {
  const reader = new EventReader();
  const much = "x".repeat(8_000_000);
  assert.throws(() => {
    for (let turn = 0; turn < 6; turn += 1) reader.push(much);
  }, RangeError);
});
