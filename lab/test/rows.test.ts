import assert from "node:assert/strict";
import { test } from "node:test";
import type { Snapshot } from "../src/contract.ts";
import { answer, files } from "../src/parse.ts";
import { fetched, timeline } from "../src/rows.ts";
import { scale } from "../src/scale.ts";
import { setLines, sorted } from "../src/sets.ts";
import { body, BOOT, service, stage, state } from "./states.ts";

const snapshot = (more: Record<string, unknown>): Snapshot => {
  const told = answer(body(state(more))).state;
  assert.ok(told);
  return told;
};

test("each state says what matters then", () => {
  const { rows } = timeline(
    snapshot({
      stages: [
        stage("env", "done", { started: BOOT + 1, ended: BOOT + 5.1, message: "105 packages" }),
        stage("kernel", "running", { started: BOOT + 5, message: "compiling `x`" }),
        stage("weights", "running", { started: BOOT + 5, bytes_done: 3e9, bytes_total: 12e9, rate_bps: 41e6, message: "3.0 GB of 12.0 GB, 41.0 MB/s" }),
        stage("probe", "waiting", { title: "The probe", waits_for: ["kernel", "weights"], took_before: 42 }),
        stage("nodes", "failed", { started: BOOT, ended: BOOT + 2, message: "exit 1", consequence: "No nodes" }),
        stage("mural", "skipped", { message: "not selected; `firstlight models add mural` fetches it" }),
      ],
      services: [service("app", "waiting", { needs: ["env", "kernel"] }), service("view", "ready", { started: BOOT + 2, ready_at: BOOT + 4 })],
      critical: ["weights", "service:app"],
    }),
    BOOT + 65,
  );
  assert.deepEqual(
    rows.map((row) => [row.key, row.look, row.note, row.value, row.critical]),
    [
      ["env", "done", "105 packages", "4.1 s", false],
      ["kernel", "active", "compiling x", "1:00", false],
      ["weights", "active", "3.0 of 12.0 GB · 41.0 MB/s", "25 %", true],
      ["probe", "waiting", "after kernel and weights", "~40 s", false],
      ["nodes", "error", "No nodes", "failed", false],
      ["mural", "skipped", "not selected", "skipped", false],
      ["service:app", "waiting", "after kernel", "", true],
      ["service:view", "done", "ready", "2.0 s", false],
    ],
  );
  assert.deepEqual(rows[3]?.waits, ["kernel", "weights"]);
});

test("what is waited for has the name that its own line has", () => {
  const stages = [stage("cppn", "running", { title: "Kernel cppn" }), stage("index", "waiting", { waits_for: ["cppn", "gone"] })];
  const { rows } = timeline(snapshot({ stages }), BOOT + 1);
  assert.deepEqual(rows[1]?.waits, ["Kernel cppn", "gone"]);
});

test("what is fetched is not called queued until its figures have followed", () => {
  const set = { name: "a", stage: "models:a", files: 3, bytes_total: 72e6, bytes_have: 69e6, verified: 2, selected: true };
  const [late, unsized] = setLines(
    snapshot({ stages: [stage("models:a", "done")], sets: [set, { ...set, bytes_total: null, verified: 3 }] }),
  );
  assert.equal(late?.note, "3 files · fetched");
  assert.deepEqual([unsized?.note, unsized?.look, unsized?.share], ["3 files · verified", "done", 1]);
});

test("while it goes on the axis reaches to what is expected, and stands still after", () => {
  const stages = [stage("a", "running", { started: BOOT + 10, predicted: [10, 100] })];
  const guessed = timeline(snapshot({ stages, eta_range: [10, 1000] }), BOOT + 50);
  assert.ok(guessed.scale.at(150) > 0.9, "a most that is a mere guess does not squeeze the rest");
  const going = timeline(snapshot({ stages, eta_s: 200 }), BOOT + 50);
  assert.ok(going.going);
  assert.ok(going.scale.at(250) > 0.9 && going.scale.at(250) <= 1);
  assert.deepEqual(going.rows[0]?.ran, [10, 50]);
  const over = { phase: "ready", eta_s: 0, stages: [stage("a", "done", { started: BOOT + 10, ended: BOOT + 100 })] };
  const [soon, late] = [timeline(snapshot(over), BOOT + 101), timeline(snapshot(over), BOOT + 900_000)];
  assert.equal(late.going, false);
  assert.equal(soon.scale.at(100), late.scale.at(100));
});

test("what is foreseen is drawn until it is over", () => {
  const span = { started: BOOT, ended: BOOT + 5, predicted: [0, 9] };
  const { rows } = timeline(snapshot({ stages: [stage("a", "done", span), stage("b", "waiting", { predicted: [5, 9] })] }), BOOT + 6);
  assert.deepEqual(rows.map((row) => row.planned), [null, [5, 9]]);
});

test("what is fetched is told of what will be there", () => {
  const part = (id: string, state: string, done: number, speed: number | null) => stage(id, state, { bytes_done: done, bytes_total: 100e6, rate_bps: speed });
  const told = (...stages: ReturnType<typeof part>[]) => fetched(snapshot({ stages }));
  assert.equal(told(part("a", "running", 20e6, 3e6), part("b", "running", 5e6, 1e6), part("c", "failed", 50e6, null)), "25.0 of 200 MB · 4.0 MB/s");
  assert.equal(told(part("a", "done", 100e6, null), part("b", "skipped", 0, null)), "100 of 100 MB");
  assert.equal(fetched(snapshot({ stages: [stage("a", "running")] })), "");
});

test("times before the boot, or an end before its beginning, draw nothing impossible", () => {
  const { rows } = timeline(
    snapshot({ stages: [stage("a", "done", { started: BOOT - 500, ended: BOOT + 5 }), stage("b", "failed", { started: BOOT + 9, ended: BOOT + 2 })] }),
    BOOT + 10,
  );
  assert.deepEqual(rows.map((row) => row.ran), [[0, 5], [9, 9]]);
});

test("the scale grows evenly, and folds long idle time", () => {
  const even = scale([[0, 100]], 100);
  assert.equal(even.at(50), 0.5);
  assert.equal(even.folds.length, 0);
  const labels = (end: number) => scale([[0, end]], end).ticks.map((tick) => tick.label);
  assert.deepEqual(labels(40), ["0", "10 s", "20 s", "30 s"]);
  assert.deepEqual(labels(150), ["0", "0:30", "1:00", "1:30", "2:00"], "no two say the same");
  assert.deepEqual(labels(400), ["0", "2 min", "4 min", "6 min"]);
  assert.ok(even.ticks.every((tick, at) => at === 0 || tick.at > (even.ticks[at - 1]?.at ?? 1)));
  // A retry on the next day.
  const folded = scale([[0, 100], [86_400, 86_500]], 86_500);
  assert.equal(folded.folds.length, 1);
  assert.ok(folded.at(100) > 0.4 && folded.at(86_400) < 0.6);
  for (let s = 0, before = -1; s <= 86_500; s += 50) {
    assert.ok(folded.at(s) >= before, String(s));
    before = folded.at(s);
  }
  assert.equal(folded.at(1e9), folded.at(86_500));
  assert.ok(folded.ticks.length < 8);
});

test("sets say what is there and what happens", () => {
  const set = (name: string, more: Record<string, unknown>) => ({
    name, stage: `models:${name}`, files: 2, bytes_total: 10e9, bytes_have: 0, verified: 0, required: false, selected: true, paused: false, ...more,
  });
  const lines = setLines(
    snapshot({
      stages: [stage("models:a", "running", { title: "A set", rate_bps: 2e6 }), stage("models:b", "done"), stage("models:d", "running"), stage("models:f", "failed")],
      sets: [
        set("a", { bytes_have: 4e9, required: true }),
        set("b", { bytes_have: 10e9, verified: 1, files: 1 }),
        set("c", { selected: false }),
        set("d", { paused: true, bytes_have: 1e9 }),
        set("f", { bytes_have: 1e9 }),
        set("e", { bytes_total: null, selected: false, bytes_have: 0 }),
      ],
    }),
  );
  assert.deepEqual(
    lines.map((each) => [each.title, each.figures, each.note, each.open, each.look]),
    [
      ["A set", "4.0 of 10.0 GB", "2 files · 2.0 MB/s · needed", true, "active"],
      ["models:b", "10.0 GB", "1 file · verified", false, "done"],
      ["c", "10.0 GB", "2 files · not fetched", false, "skipped"],
      ["models:d", "1.0 of 10.0 GB", "2 files · paused", true, "active"],
      ["models:f", "1.0 of 10.0 GB", "2 files · failed", false, "error"],
      ["e", "size unknown", "2 files · not fetched", false, "skipped"],
    ],
  );
});

test("of many files those that move come first", () => {
  const found = sorted(files({ files: ["done", "queued", "failed", "fetching"].map((each) => ({ path: each, state: each })) }));
  assert.deepEqual(found.map((file) => file.path), ["fetching", "failed", "queued", "done"]);
});
