/** The end of a text that grows, in blocks of whole lines: a page lays out anew only the last of them. */

export interface Block {
  /** The same for as long as the block is there. */
  key: number;
  text: string;
}

/** Characters that are kept. */
export const KEPT = 200_000;
const SIZE = 8_000;

/** The last `KEPT` characters, from the beginning of a line where there is one. */
export function cut(text: string): string {
  return text.length > KEPT ? text.slice(text.indexOf("\n", text.length - KEPT) + 1).slice(-KEPT) : text;
}

export function append(blocks: readonly Block[], added: string): Block[] {
  if (!added) return [...blocks];
  const last = blocks[blocks.length - 1];
  const found = blocks.slice(0, -1);
  let [rest, key] = [cut((last?.text ?? "") + added), last?.key ?? 0];
  while (rest.length > SIZE) {
    // A line that is longer than a block is broken.
    const end = rest.lastIndexOf("\n", SIZE - 1) + 1 || SIZE;
    found.push({ key, text: rest.slice(0, end) });
    rest = rest.slice(end);
    key += 1;
  }
  found.push({ key, text: rest });
  let size = found.reduce((sum, block) => sum + block.text.length, 0);
  while (size > KEPT && found.length > 1) size -= found.shift()?.text.length ?? 0;
  return found;
}
