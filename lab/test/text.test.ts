import assert from "node:assert/strict";
import { test } from "node:test";
import { beginning, clean, line, list, LONGEST, pieces, sentence } from "../src/text.ts";

test("terminal sequences, controls and marks that turn the writing go", () => {
  assert.equal(clean("\u001b[31mred\u001b[0m"), "red");
  assert.equal(clean("\u001b]0;title\u0007kept"), "kept");
  assert.equal(clean("a\u0000b\rc"), "a b c");
  assert.equal(clean("photo\u202egnp.exe"), "photo gnp.exe");
  assert.equal(clean("two\nlines\tand a tab"), "two\nlines\tand a tab");
  assert.equal(clean("Übergröße 模型 🎨"), "Übergröße 模型 🎨");
});

test("a text without end is cut", () => {
  assert.equal(clean("x".repeat(LONGEST + 10)).length, LONGEST + 1);
  assert.equal(line("a  b\n c", 300), "a b c");
  assert.equal(line("abcdef", 4), "abc…");
});

test("a line shows no signs that turn or hide others", () => {
  assert.equal(line("a\u001b[31mb\u0007\u202ec"), "ab c");
});

test("a long text is begun, whether its length is of words or of lines", () => {
  assert.deepEqual(beginning("short"), ["short", true]);
  assert.deepEqual(beginning("x".repeat(330)), ["x".repeat(330), true], "a few more are shown");
  assert.deepEqual(beginning("x".repeat(400)), [`${"x".repeat(280)}…`, false]);
  assert.deepEqual(beginning(`a${"\n".repeat(200)}b`), ["a\n\nb", true]);
  assert.deepEqual(beginning(Array.from({ length: 20 }, (_, at) => String(at)).join("\n")), ["0\n1\n2\n3\n4\n5\n6\n7…", false]);
});

test("sentences begin with a capital and end", () => {
  assert.equal(sentence("needs 12 GB"), "Needs 12 GB.");
  assert.equal(sentence("dawn.weights: 403"), "dawn.weights: 403.");
  assert.equal(sentence("licence-gated: accept"), "Licence-gated: accept.");
  assert.equal(sentence("models:mural failed"), "models:mural failed.");
  assert.equal(sentence("Done!"), "Done!");
  assert.equal(sentence("see `firstlight logs`"), "See `firstlight logs`");
  assert.equal(sentence("  "), "");
});

test("commands and addresses are told apart from text", () => {
  assert.deepEqual(pieces("run `firstlight retry x`, or see https://a.example/b?c=1."), [
    { text: "run ", kind: "text" },
    { text: "firstlight retry x", kind: "code" },
    { text: ", or see ", kind: "text" },
    { text: "https://a.example/b?c=1", kind: "link" },
    { text: ".", kind: "text" },
  ]);
  assert.deepEqual(pieces("javascript:alert(1)"), [{ text: "javascript:alert(1)", kind: "text" }]);
  assert.deepEqual(pieces('https://a.example/"onclick="x'), [
    { text: "https://a.example/", kind: "link" },
    { text: '"onclick="x', kind: "text" },
  ]);
  assert.deepEqual(pieces(""), []);
});

test("lists name some and count the rest", () => {
  assert.equal(list([]), "");
  assert.equal(list(["a"]), "a");
  assert.equal(list(["a", "b"]), "a and b");
  assert.equal(list(["a", "b", "c"]), "a, b and 1 more");
  assert.equal(list(["a", "b", "c"], 3), "a, b and c");
});
