import assert from "node:assert/strict";
import { test } from "node:test";
import type { Snapshot } from "../src/contract.ts";
import { forget, holds, notices, remember, type Memory } from "../src/notices.ts";
import { answer } from "../src/parse.ts";
import { body, service, stage, state } from "./states.ts";

const snapshot = (more: Record<string, unknown> = {}): Snapshot => {
  const told = answer(body(state(more))).state;
  assert.ok(told);
  return told;
};
const ready = { phase: "ready", headline: { text: "Lightbox is ready", tone: "ready", repair: null, service: "app" } };
const reloaded = (memory: Memory): Memory => remember(JSON.stringify(memory), memory.boot);

test("ready is told once, also over a reload", () => {
  let [news, memory] = notices(forget("b1"), snapshot());
  assert.deepEqual(news, []);
  [news, memory] = notices(reloaded(memory), snapshot(ready));
  assert.deepEqual(news, [{ kind: "ready", text: "Lightbox is ready", service: "app", repair: null, about: [] }]);
  [news, memory] = notices(reloaded(memory), snapshot(ready));
  assert.deepEqual(news, []);
});

test("who comes when all is ready is told nothing", () => {
  const [news, memory] = notices(forget("b1"), snapshot(ready));
  assert.deepEqual(news, []);
  assert.deepEqual(notices(memory, snapshot())[0], []);
});

test("a failure is told with its consequence and repair, and again when it fails again", () => {
  const failure = (started: number) => ({
    stages: [stage("nodes", "failed", { title: "Nodes", started, consequence: "no nodes load", repair: "firstlight retry nodes" })],
  });
  let [news, memory] = notices(forget("b1"), snapshot(failure(5)));
  assert.deepEqual(news, [{ kind: "error", text: "Nodes failed: No nodes load.", service: null, repair: "firstlight retry nodes", about: ["nodes"] }]);
  assert.ok(news[0] && holds(news[0], snapshot(failure(5))));
  assert.ok(news[0] && !holds(news[0], snapshot()));
  [news, memory] = notices(reloaded(memory), snapshot(failure(5)));
  assert.deepEqual(news, []);
  [news, memory] = notices(memory, snapshot(failure(50)));
  assert.equal(news.length, 1);
});

test("what only follows from a failure is not told beside it, and many are told in one", () => {
  const follows = snapshot({
    stages: [stage("weights", "failed", { repair: "firstlight retry weights" })],
    services: [service("app", "failed", { repair: "firstlight retry weights" })],
  });
  const [news, memory] = notices(forget("b1"), follows);
  assert.deepEqual(news.map((each) => each.text), ["weights failed"]);
  assert.deepEqual(notices(memory, follows)[0], []);
  const many = snapshot({ stages: ["a", "b", "c", "d"].map((id) => stage(id, "failed", { repair: `firstlight retry ${id}` })) });
  assert.deepEqual(notices(forget("b1"), many)[0].map((each) => each.text), ["a, b, c and 1 more failed"]);
});

test("another boot, or a damaged memory, begins anew", () => {
  const { told } = notices(forget("b1"), snapshot(ready))[1];
  assert.ok(told.length);
  assert.deepEqual(remember(JSON.stringify({ ...forget("b1"), told }), "b2"), forget("b2"));
  for (const kept of [null, "", "null", "3", "{}", '{"boot": "b1"}', "{"]) assert.deepEqual(remember(kept, "b1"), forget("b1"));
});
