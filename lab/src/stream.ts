/** Server-sent events out of a streamed body. */

export interface Message {
  event: string;
  data: string;
}

/** Longest event that is kept: more is a broken stream. */
const LONGEST = 32_000_000;

/** Gives whole events as their pieces come in; comments count as signs of life and give nothing. */
export class EventReader {
  #rest = "";
  #event = "message";
  #data: string[] = [];

  /** Throws RangeError when an event never ends. */
  push(chunk: string): Message[] {
    const found: Message[] = [];
    const lines = (this.#rest + chunk).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > LONGEST) throw new RangeError("an event of the stream has no end");
    for (const line of lines) {
      if (line === "") {
        if (this.#data.length) found.push({ event: this.#event, data: this.#data.join("\n") });
        this.#event = "message";
        this.#data = [];
        continue;
      }
      const colon = line.indexOf(":");
      if (colon === 0) continue;
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
      if (field === "event") this.#event = value;
      else if (field === "data") this.#data.push(value);
    }
    return found;
  }
}
