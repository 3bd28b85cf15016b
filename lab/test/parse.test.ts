import assert from "node:assert/strict";
import { test } from "node:test";
import { answer, files } from "../src/parse.ts";
import { body, service, stage, state } from "./states.ts";

test("a state as the server sends it", () => {
  const told = answer(
    body(
      state({
        stages: [stage("app", "running", { bytes_done: 5, bytes_total: 10, predicted: [1, 9], waits_for: ["x"] })],
        services: [service("app", "waiting")],
        sets: [{ name: "mural", stage: "models:mural", files: 2, bytes_total: 10, bytes_have: 4, verified: 0, selected: true }],
        disk: { free: 7, needed: 3 },
        critical: ["app"],
      }),
      { links: { app: ":41000/" } },
    ),
  );
  assert.equal(told.problem, null);
  assert.equal(told.state?.stages[0]?.bytesTotal, 10);
  assert.deepEqual(told.state?.stages[0]?.predicted, [1, 9]);
  assert.deepEqual(told.state?.disk, { free: 7, needed: 3 });
  assert.ok(told.state?.critical.has("app"));
  assert.equal(told.links.get("app"), ":41000/");
});

test("a state of an older runner has plain defaults", () => {
  const { state: told } = answer(body({ schema: "firstlight.state/1", title: "Lightbox", phase: "ready", message: "" }));
  assert.equal(told?.headline.text, "Lightbox");
  assert.equal(told?.headline.tone, "ready");
  assert.equal(told?.progress, null);
  assert.deepEqual(told?.sets, []);
});

test("nothing throws, whatever comes", () => {
  const odd: unknown[] = [
    null,
    3,
    [],
    {},
    { state: 5 },
    { state: [] },
    { state: { stages: {}, services: 3, sets: [null, 4], boot: [], headline: "x", progress: "x", critical: { a: 1 } } },
    { state: state({ stages: [null, 5, {}, { id: 4 }, stage("x", "nonsense", { started: "now", predicted: [2] })], eta_range: [9, "x"] }) },
  ];
  for (const each of odd) assert.doesNotThrow(() => answer(JSON.stringify(each)));
  for (const text of ["", "{", '{"state": NaN}', "<html>"]) {
    assert.equal(answer(text).problem?.kind, "damaged", text);
  }
  const last = answer(JSON.stringify(odd[odd.length - 1])).state;
  assert.deepEqual(last?.stages.map((each) => [each.id, each.state, each.started, each.predicted]), [["x", "waiting", null, null]]);
  assert.equal(last?.etaRange, null);
});

test("another version's state is not read as ours", () => {
  const told = answer(body({ ...state(), schema: "firstlight.state/2" }));
  assert.equal(told.state, null);
  assert.equal(told.problem?.kind, "version");
});

test("the server's own problem is what is told", () => {
  const told = answer(JSON.stringify({ state: null, alive: false, problem: { kind: "missing", message: "m", remedy: "r" } }));
  assert.deepEqual(told.problem, { kind: "missing", message: "m", remedy: "r" });
});

test("hostile words come out without their controls, ids as they were", () => {
  const told = answer(body(state({ stages: [stage("\u001b[1mx", "failed", { message: "\u001b[31m<b>hi</b>\u202e" })] })));
  assert.equal(told.state?.stages[0]?.message, "<b>hi</b> ");
  assert.equal(told.state?.stages[0]?.id, "\u001b[1mx");
});

test("files", () => {
  assert.deepEqual(files(null), []);
  assert.deepEqual(files({ files: [{ path: "a/b", state: "fetching", bytes_done: 3, bytes_total: null, rate_bps: 2 }] }), [
    { path: "a/b", state: "fetching", bytesDone: 3, bytesTotal: null, rate: 2, message: "" },
  ]);
});
