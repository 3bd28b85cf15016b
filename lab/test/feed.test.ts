import assert from "node:assert/strict";
import { test } from "node:test";
import { away, begin, FIRST, HIDDEN, POLL, SILENT, step, type Act, type Event, type Feed } from "../src/feed.ts";

/** Plays events at their times (milliseconds); ticks come in between as they do on a page. */
class Play {
  feed: Feed = begin(0);
  now = 0;
  acts: [number, Act][] = [];

  tell(event: Event): this {
    const [feed, act] = step(this.feed, event, this.now);
    this.feed = feed;
    if (act) this.acts.push([this.now, act]);
    return this;
  }

  until(now: number): this {
    while (this.now < now) {
      this.now = Math.min(now, this.now + 500);
      this.tell({ kind: "tick" });
    }
    return this;
  }

  get last(): Act {
    return this.acts[this.acts.length - 1]?.[1] ?? null;
  }
}

const streaming = (): Play => {
  const play = new Play().tell({ kind: "tick" });
  play.tell({ kind: "polled" }).until(500);
  return play.tell({ kind: "heard", data: true });
};

test("it asks once, then listens", () => {
  const play = streaming();
  assert.deepEqual(play.acts.map(([, act]) => act), ["poll", "stream"]);
  assert.equal(play.feed.doing, "stream");
});

test("a stream that a proxy cuts after a while is opened again at once", () => {
  const play = streaming();
  for (let now = 5_000; now <= 100_000; now += 5_000) play.until(now).tell({ kind: "heard", data: false });
  play.tell({ kind: "ended" }).until(101_000);
  assert.equal(play.last, "stream");
  assert.equal(away(play.feed, play.now), null);
});

test("pings keep a stream that has nothing to tell", () => {
  const play = streaming();
  for (let now = 5_000; now <= 600_000; now += 5_000) play.until(now).tell({ kind: "heard", data: false });
  assert.deepEqual(play.acts.length, 2);
});

test("a stream that is held back is replaced by polling, and tried again later", () => {
  const play = new Play().tell({ kind: "tick" }).tell({ kind: "polled" }).until(500);
  for (let turn = 0; turn < 40; turn += 1) {
    play.until(play.now + 500);
    if (play.feed.doing === "poll") play.tell({ kind: "polled" });
  }
  const acts = play.acts.map(([, act]) => act);
  assert.ok(acts.includes("abort"), acts.join(" "));
  for (let turn = 0; turn < 200; turn += 1) {
    play.until(play.now + 500);
    if (play.feed.doing === "poll") play.tell({ kind: "polled" });
  }
  const streams = play.acts.filter(([, act]) => act === "stream").map(([at]) => at);
  const gaps = streams.slice(1).map((at, index) => at - (streams[index] ?? 0));
  assert.ok((gaps[0] ?? 0) >= FIRST, "the first wait");
  assert.ok((gaps[gaps.length - 1] ?? 0) > 25_000, `pauses grow: ${gaps.join(" ")}`);
  const polls = play.acts.filter(([at, act]) => act === "poll" && at > 40_000).map(([at]) => at);
  assert.ok(polls.length > 10, "polling goes on meanwhile");
  assert.ok((polls[1] ?? 0) - (polls[0] ?? 0) <= POLL + 1000);
});

test("streams that end at once are given up for polling", () => {
  const play = streaming();
  let streams = 0;
  for (let turn = 0; turn < 60; turn += 1) {
    if (play.feed.doing === "stream") {
      streams += 1;
      play.tell({ kind: "heard", data: true }).tell({ kind: "ended" });
    } else if (play.feed.doing === "poll") play.tell({ kind: "polled" });
    play.until(play.now + 500);
  }
  assert.ok(streams <= 5, String(streams));
});

test("a server that is away is asked with growing pauses, and found again", () => {
  const play = streaming().until(20_000).tell({ kind: "heard", data: false });
  play.tell({ kind: "ended" });
  const asked: number[] = [];
  while (play.now < 120_000) {
    play.until(play.now + 500);
    if (play.feed.doing) {
      asked.push(play.now);
      play.tell({ kind: "failed", status: null });
    }
  }
  const gaps = asked.slice(1).map((at, index) => at - (asked[index] ?? 0));
  assert.ok(Math.max(...gaps) <= 16_000, "it never gives up");
  assert.ok((gaps[gaps.length - 1] ?? 0) > (gaps[0] ?? 0));
  assert.ok((away(play.feed, play.now) ?? 0) > 90);
  play.tell({ kind: "woke" });
  assert.equal(play.last, "poll", "a page that is looked at asks at once");
  play.tell({ kind: "polled" });
  assert.equal(away(play.feed, play.now), null);
});

test("after a sleep it does not trust the old stream", () => {
  const play = streaming();
  play.now += 3_600_000;
  play.tell({ kind: "tick" });
  assert.equal(play.last, "abort");
  play.until(play.now + 500);
  assert.equal(play.last, "poll");
});

test("moments without the server are not mentioned", () => {
  const play = streaming().tell({ kind: "failed", status: 503 });
  assert.equal(away(play.feed, play.now + 1_000), null);
  assert.equal(away(play.feed, play.now + 12_000), 12);
});

test("a server without our extension, or with a lost login, is said to be so", () => {
  const absent = new Play().tell({ kind: "tick" }).tell({ kind: "failed", status: 404 });
  assert.equal(absent.feed.trouble, "absent");
  const refused = new Play().tell({ kind: "tick" }).tell({ kind: "failed", status: 403 });
  assert.equal(refused.feed.trouble, "refused");
  assert.equal(away(refused.feed, 0), 0);
});

test("a refused stream beside a good poll means polling, not trouble", () => {
  const play = new Play().tell({ kind: "tick" }).tell({ kind: "polled" }).until(500);
  play.tell({ kind: "failed", status: 404 });
  assert.equal(play.feed.trouble, null);
  play.until(play.now + 1000);
  assert.equal(play.last, "poll");
});

test("silence is noticed without an error", () => {
  const play = streaming().until(500 + SILENT + 1_000);
  assert.equal(play.acts.some(([, act]) => act === "abort"), true);
});

test("a page that nobody can see holds no stream, and asks now and then", () => {
  const play = streaming().tell({ kind: "hidden" });
  assert.equal(play.last, "abort");
  const begun = play.now;
  while (play.now < begun + 5 * HIDDEN) {
    play.until(play.now + 500);
    if (play.feed.doing) play.tell({ kind: "polled" });
  }
  const acts = play.acts.filter(([at]) => at > begun).map(([, act]) => act);
  assert.deepEqual([...new Set(acts)], ["poll"]);
  assert.ok(acts.length >= 4 && acts.length <= 5, String(acts.length));
  play.tell({ kind: "shown" });
  assert.equal(play.last, "poll", "it asks at once when it is seen again");
  play.tell({ kind: "polled" }).until(play.now + 500);
  assert.equal(play.last, "stream");
});

test("a page that opens out of sight, or is hidden while it asks, opens no stream", () => {
  const play = new Play().tell({ kind: "tick" }).tell({ kind: "hidden" }).tell({ kind: "polled" }).until(HIDDEN - 500);
  assert.deepEqual(play.acts.map(([, act]) => act), ["poll"]);
  const waiting = new Play().tell({ kind: "tick" }).tell({ kind: "polled" }).tell({ kind: "hidden" }).until(HIDDEN - 500);
  assert.deepEqual(waiting.acts.map(([, act]) => act), ["poll"]);
});

test("who comes back to a page does not read that the server is away before it was asked", () => {
  const play = streaming().tell({ kind: "hidden" });
  play.now += 3_600_000;
  play.tell({ kind: "shown" });
  assert.equal(play.last, "poll");
  assert.equal(away(play.feed, play.now), null);
  play.tell({ kind: "failed", status: null });
  assert.equal(away(play.feed, play.now), 3_600);
});
