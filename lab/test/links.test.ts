import assert from "node:assert/strict";
import { test } from "node:test";
import { address, type Page } from "../src/links.ts";
import { failed, repair } from "../src/repair.ts";

const page = (href: string): Page => {
  const { protocol, hostname } = new URL(href);
  return { protocol, hostname, baseUrl: href };
};
const plain = page("http://10.1.2.3:8888/");

test("another port of the host that serves the page", () => {
  assert.equal(address(":8188/", plain), "http://10.1.2.3:8188/");
  assert.equal(address(":8188", plain), "http://10.1.2.3:8188/");
  assert.equal(address(":8188//viewer?a=1", page("https://lab.example/")), "https://lab.example:8188/viewer?a=1");
  assert.equal(address(":8188/", page("http://[::1]:8888/")), "http://[::1]:8188/");
});

test("behind RunPod's proxy the port is in the name", () => {
  assert.equal(address(":8188/", page("https://abc-8888.proxy.runpod.net/")), "https://abc-8188.proxy.runpod.net/");
  assert.equal(address(":8188/a", page("https://a-b-c-19123.proxy.runpod.net/")), "https://a-b-c-8188.proxy.runpod.net/a");
});

test("what the server says instead: a mapped port, a path below JupyterLab, a full address", () => {
  assert.equal(address(":41234/", plain), "http://10.1.2.3:41234/");
  assert.equal(address("proxy/8188/", page("https://hub.example/user/me/")), "https://hub.example/user/me/proxy/8188/");
  assert.equal(address("https://app.example/x", plain), "https://app.example/x");
});

test("nothing leads to another host or scheme by surprise", () => {
  const evil = ["javascript:alert(1)", "//evil.example/", "/\\evil.example", "data:text/html,x", ":80@evil.example/", ":99999/", "", null];
  for (const place of evil) assert.equal(address(place, plain), null, String(place));
});

test("verbs that the panel can carry out, and others as commands", () => {
  assert.deepEqual(repair("firstlight retry nodes"), { kind: "retry", stage: "nodes" });
  assert.deepEqual(repair("firstlight retry service:app"), { kind: "retry", stage: "service:app" });
  assert.deepEqual(repair("firstlight start app"), { kind: "start", stage: "app" });
  assert.deepEqual(repair("firstlight start"), { kind: "command", text: "firstlight start" });
  assert.deepEqual(repair("firstlight models add mural"), { kind: "models", verb: "add", set: "mural" });
  assert.deepEqual(repair("firstlight retry a b; rm x"), { kind: "command", text: "firstlight retry a b; rm x" });
  assert.equal(repair(null), null);
  assert.deepEqual(failed(["firstlight retry a", null, "firstlight retry a", "firstlight status", "firstlight retry b"]), ["a", "b"]);
});
