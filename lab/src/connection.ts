/** Requests to the server extension: with JupyterLab's own credentials, on every deployment. */

import { URLExt } from "@jupyterlab/coreutils";
import { ServerConnection } from "@jupyterlab/services";
import type { ModelFile } from "./contract.ts";
import { files } from "./parse.ts";
import { EventReader, type Message } from "./stream.ts";
import { clean } from "./text.ts";

/** An action's end: what the runner said, or why it refused. */
export interface Outcome {
  ok: boolean;
  message: string;
}

/** An answer other than 200; `status` null when there was none. */
export class Failure extends Error {
  readonly status: number | null;

  constructor(status: number | null, message: string) {
    super(message);
    this.status = status;
  }
}

export interface Tail {
  text: string;
  /** Where to go on from, and what there is of the log, in bytes. */
  offset: number;
  size: number;
}

export class Connection {
  readonly #settings: ServerConnection.ISettings;
  #etag = "";

  constructor(settings: ServerConnection.ISettings) {
    this.#settings = settings;
  }

  get baseUrl(): string {
    return this.#settings.baseUrl;
  }

  /** The state as JSON text, null when it is what it was; and the server's clock in Unix seconds. Throws Failure. */
  async state(signal: AbortSignal): Promise<{ body: string | null; date: number | null }> {
    const headers: Record<string, string> = this.#etag ? { "If-None-Match": this.#etag } : {};
    const response = await this.#request("state", { signal, headers }, [304]);
    if (response.status === 304) return { body: null, date: dated(response) };
    const body = await response.text();
    this.#etag = response.headers.get("ETag") ?? "";
    return { body, date: dated(response) };
  }

  /** Server-sent events until the stream ends. `heard` is called with every piece, also with an empty one. */
  async events(path: string, signal: AbortSignal, heard: (messages: Message[], date: number | null) => void): Promise<void> {
    const response = await this.#request(path, { signal, headers: { Accept: "text/event-stream" } });
    if (!response.body) throw new Failure(null, "the answer has no body");
    const date = dated(response);
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const parser = new EventReader();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        heard(parser.push(decoder.decode(value, { stream: true })), date);
      }
    } finally {
      void reader.cancel().catch(() => undefined);
    }
  }

  /** Files of a set; null when they are what they were under `etag`. Throws Failure. */
  async files(set: string, etag: string, signal: AbortSignal): Promise<{ files: ModelFile[]; etag: string } | null> {
    const headers: Record<string, string> = etag ? { "If-None-Match": etag } : {};
    const response = await this.#request(`files/${encodeURIComponent(set)}`, { signal, headers }, [304]);
    if (response.status === 304) return null;
    return { files: files(await response.json()), etag: response.headers.get("ETag") ?? "" };
  }

  /** Names of the logs that there are. Throws Failure. */
  async logs(): Promise<string[]> {
    const data = (await (await this.#request("logs", {})).json()) as { logs?: unknown } | null;
    return Array.isArray(data?.logs) ? data.logs.filter((name): name is string => typeof name === "string") : [];
  }

  /** The end of a log. Throws Failure. */
  async tail(name: string, lines: number, signal: AbortSignal): Promise<Tail> {
    return tail(await this.#request(`logs/${encodeURIComponent(name)}?lines=${lines}`, { signal }), 0);
  }

  /** What came into a log after `offset`. Throws Failure. */
  async since(name: string, offset: number, signal: AbortSignal): Promise<Tail> {
    return tail(await this.#request(`logs/${encodeURIComponent(name)}?offset=${offset}`, { signal }), offset);
  }

  /** The picture of this start, for an <img>. Throws Failure. */
  async picture(signal: AbortSignal): Promise<Blob> {
    const response = await this.#request("timeline.svg", { signal });
    return new Blob([await response.arrayBuffer()], { type: "image/svg+xml" });
  }

  retry = (stage: string): Promise<Outcome> => this.#post("retry", { stage });
  models = (verb: "add" | "drop" | "pause" | "resume", set: string): Promise<Outcome> =>
    this.#post("models", { do: verb, set });
  restart = (service: string): Promise<Outcome> => this.#post(`services/${encodeURIComponent(service)}/restart`, {});

  async #post(path: string, body: object): Promise<Outcome> {
    try {
      const init = { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
      return { ok: true, message: said(await (await this.#request(path, init)).text()) };
    } catch (error) {
      return { ok: false, message: reason(error) };
    }
  }

  async #request(path: string, init: RequestInit, also: number[] = []): Promise<Response> {
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(URLExt.join(this.baseUrl, "firstlight", path), init, this.#settings);
    } catch (error) {
      throw new Failure(null, error instanceof Error ? error.message : "no answer");
    }
    if (response.ok || also.includes(response.status)) return response;
    throw new Failure(response.status, said(await response.text().catch(() => "")));
  }
}

async function tail(response: Response, offset: number): Promise<Tail> {
  const data = (await response.json()) as { text?: unknown; offset?: unknown; size?: unknown } | null;
  return {
    text: typeof data?.text === "string" ? data.text : "",
    offset: typeof data?.offset === "number" ? data.offset : offset,
    size: typeof data?.size === "number" ? data.size : 0,
  };
}

function dated(response: Response): number | null {
  const date = Date.parse(response.headers.get("Date") ?? "");
  return Number.isNaN(date) ? null : date / 1000;
}

function said(body: string): string {
  try {
    const data = JSON.parse(body) as { message?: unknown } | null;
    return typeof data?.message === "string" ? clean(data.message) : "";
  } catch {
    return "";
  }
}

/** A sentence about what went wrong. */
export function reason(error: unknown): string {
  if (!(error instanceof Failure)) return "It did not work.";
  if (error.message && error.status !== null) return error.message;
  if (error.status === null) return "JupyterLab's server does not answer; try again when it is back.";
  if (error.status === 403) return "JupyterLab's server refused this: log in again in another tab, then try again.";
  if (error.status === 404) return "The server does not know this.";
  return `The server answered with ${error.status}.`;
}
