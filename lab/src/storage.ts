/** What this browser keeps between reloads; without storage it lasts as long as the page. */

export class Storage {
  readonly #prefix: string;
  readonly #page = new Map<string, string>();

  /** `baseUrl`: several users' servers may share one host. */
  constructor(baseUrl: string) {
    this.#prefix = `firstlight-lab:${baseUrl}:`;
  }

  get(key: string): string | null {
    try {
      return window.localStorage.getItem(this.#prefix + key) ?? this.#page.get(key) ?? null;
    } catch {
      return this.#page.get(key) ?? null;
    }
  }

  set(key: string, value: string): void {
    this.#page.set(key, value);
    try {
      window.localStorage.setItem(this.#prefix + key, value);
    } catch {
      // Full or forbidden: the page's own memory has it.
    }
  }
}
