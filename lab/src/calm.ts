/** When JupyterLab has come to rest: nothing of ours may make its user wait for it. */

import type { ILabShell } from "@jupyterlab/application";

/** Milliseconds that are waited for each of the two moments. */
const PATIENCE = 5000;

/** The launcher, or what was open before, stands there, and JupyterLab has a moment. To be asked once it is restored. */
export function calm(shell: ILabShell | null): Promise<void> {
  return new Promise((resolve) => {
    const rest = () => {
      window.clearTimeout(timer);
      shell?.layoutModified.disconnect(look);
      // Safari has none.
      const { requestIdleCallback } = window as Partial<Window>;
      if (!requestIdleCallback) window.setTimeout(resolve);
      else requestIdleCallback(() => { resolve(); }, { timeout: PATIENCE });
    };
    const look = () => {
      if (!shell?.isEmpty("main")) rest();
    };
    const timer = window.setTimeout(rest, PATIENCE);
    shell?.layoutModified.connect(look);
    look();
  });
}
