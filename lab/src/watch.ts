/** Keeps the state of the machine up to date: what all views of this page read. */

import { Signal, type ISignal } from "@lumino/signaling";
import { Failure, type Connection } from "./connection.ts";
import type { Answer } from "./contract.ts";
import { away, begin, step, type Event, type Feed, type Trouble } from "./feed.ts";
import { answer } from "./parse.ts";

export interface View {
  /** The last answer; null before the first. */
  answer: Answer | null;
  /** Seconds since the server was heard, when it is away. */
  away: number | null;
  trouble: Trouble | null;
  streaming: boolean;
}

/** A browser's clock may be wrong by so many seconds without being corrected: the header has whole seconds. */
const SKEW = 2;

export class Watch {
  readonly connection: Connection;
  readonly #changed = new Signal<this, View>(this);
  #feed: Feed = begin(Date.now());
  #view: View = { answer: null, away: null, trouble: null, streaming: false };
  #body = "";
  #skew = 0;
  #abort: AbortController | null = null;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  get changed(): ISignal<this, View> {
    return this.#changed;
  }

  get view(): View {
    return this.#view;
  }

  /** Unix seconds on the machine's clock. */
  now = (): number => Date.now() / 1000 + this.#skew;

  start(): void {
    const look = () => {
      this.#tell({ kind: document.visibilityState === "visible" ? "shown" : "hidden" });
    };
    document.addEventListener("visibilitychange", look);
    window.addEventListener("online", () => {
      if (document.visibilityState === "visible") this.#tell({ kind: "woke" });
    });
    window.setInterval(() => {
      this.#tell({ kind: "tick" });
    }, 500);
    this.#tell({ kind: "tick" });
    look();
  }

  /** Ask now: an action has just changed something. */
  refresh(): void {
    this.#tell({ kind: "woke" });
  }

  #tell(event: Event): void {
    const [feed, act] = step(this.#feed, event, Date.now(), Math.random());
    this.#feed = feed;
    if (act === "abort") {
      this.#abort?.abort();
      this.#abort = null;
    } else if (act) {
      void this.#do(act);
    }
    this.#show();
  }

  async #do(act: "poll" | "stream"): Promise<void> {
    const control = new AbortController();
    this.#abort = control;
    // What an aborted request still tells is not about the one that runs now.
    const tell = (event: Event) => {
      if (this.#abort === control) this.#tell(event);
    };
    try {
      if (act === "poll") {
        const { body, date } = await this.connection.state(control.signal);
        this.#take(body, date);
        tell({ kind: "polled" });
        return;
      }
      await this.connection.events("events", control.signal, (messages, date) => {
        if (this.#abort !== control) return;
        const last = messages.filter((message) => message.event === "state").pop();
        if (last) this.#take(last.data, this.#feed.told ? null : date);
        tell({ kind: "heard", data: last !== undefined });
      });
      tell({ kind: "ended" });
    } catch (error) {
      // A stream that was heard and then breaks was cut: the next request shows whether the server is there.
      const status = error instanceof Failure ? error.status : null;
      tell(act === "stream" && this.#feed.told ? { kind: "ended" } : { kind: "failed", status });
    }
  }

  #take(body: string | null, date: number | null): void {
    if (date !== null) {
      const skew = date - Date.now() / 1000;
      if (Math.abs(skew - this.#skew) > SKEW) this.#skew = Math.abs(skew) > SKEW ? skew : 0;
    }
    if (body === null || body === this.#body) return;
    this.#body = body;
    this.#view = { ...this.#view, answer: answer(body) };
    this.#changed.emit(this.#view);
  }

  #show(): void {
    const feed = this.#feed;
    const next = {
      away: away(feed, Date.now()),
      trouble: feed.trouble,
      streaming: feed.doing === "stream" && feed.told,
    };
    const { away: was, trouble, streaming } = this.#view;
    if (next.away === was && next.trouble === trouble && next.streaming === streaming) return;
    this.#view = { ...this.#view, ...next };
    this.#changed.emit(this.#view);
  }
}
