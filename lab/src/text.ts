/** Words that others wrote (programs, file names, authors), made fit to be shown. */

/** Longest text that is kept; what is longer stands in a log. */
export const LONGEST = 20_000;

const ESC = "\u001b";
const SEQUENCES = new RegExp(`${ESC}(?:\\[[0-?]*[ -/]*[@-~]|\\][^\\u0007${ESC}]*(?:\\u0007|${ESC}\\\\)?|[@-Z\\\\-_])`, "g");
// Controls, and the marks that turn the direction of what follows: a name could show another name.
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g; // eslint-disable-line no-control-regex

/** Text without terminal colours and control characters. */
export function clean(text: string): string {
  const cut = text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
  return cut.replace(SEQUENCES, "").replace(CONTROLS, " ");
}

/** One clean line of at most `longest` characters. */
export function line(text: string, longest = 300): string {
  const flat = clean(text).replace(/\s+/g, " ").trim();
  return flat.length > longest ? `${flat.slice(0, longest - 1)}…` : flat;
}

/** The beginning of a text, as far as a page has room for it before somebody asks for all; and whether it is all. */
export function beginning(text: string, characters = 280, lines = 8): [string, boolean] {
  const tidy = text.replace(/\n\s*\n/g, "\n\n");
  const some = tidy.split("\n", lines).join("\n").slice(0, characters);
  // A few words more are shown rather than a button.
  return tidy.length <= some.length || (tidy.length <= characters + 60 && tidy.split("\n").length <= lines) ? [tidy, true] : [`${some.trimEnd()}…`, false];
}

/** With a full stop, and a capital where it begins with a word and not with a name such as `a.weights`. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  if (!trimmed) return "";
  const begun = trimmed.replace(/^[a-z](?=[a-z-]*(?:[\s,;]|:\s|$))/, (first) => first.toUpperCase());
  return begun + (/[.!?…:`]$/.test(begun) ? "" : ".");
}

export interface Piece {
  text: string;
  kind: "text" | "code" | "link";
}

const MARKED = /`([^`]+)`|(https?:\/\/[^\s<>"'`]+[^\s<>"'`.,;:!?)\]])/g;

/** Text in pieces: `commands` in back quotes and addresses apart from the rest. */
export function pieces(text: string): Piece[] {
  const found: Piece[] = [];
  let end = 0;
  for (const match of text.matchAll(MARKED)) {
    if (match.index > end) found.push({ text: text.slice(end, match.index), kind: "text" });
    found.push(match[1] === undefined ? { text: match[0], kind: "link" } : { text: match[1], kind: "code" });
    end = match.index + match[0].length;
  }
  if (end < text.length) found.push({ text: text.slice(end), kind: "text" });
  return found;
}

/** "a", "a and b", "a, b and 3 more". */
export function list(names: readonly string[], most = 2): string {
  const [first, second] = names;
  if (first === undefined) return "";
  if (second === undefined) return first;
  if (names.length <= most) return `${names.slice(0, -1).join(", ")} and ${names[names.length - 1] ?? ""}`;
  return `${names.slice(0, most).join(", ")} and ${names.length - most} more`;
}
