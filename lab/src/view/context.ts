/** What every part of the panel can reach. */

import { createContext, useContext, useEffect, useReducer, useState, useSyncExternalStore } from "react";
import type { Outcome } from "../connection.ts";
import type { View, Watch } from "../watch.ts";

export interface Reach {
  watch: Watch;
  /** Address of a service's page, or null. */
  address: (service: string) => string | null;
  showLog: (name: string) => void;
  showPicture: () => void;
  /** Brings a stage's line into sight. */
  showStage: (id: string) => void;
  /** Open the panels of other extensions: memory and processors of a notebook, and the GPU; null where there is none. */
  showMemory: (() => void) | null;
  showGpu: (() => void) | null;
  /** What the user folded, by section. */
  folded: (section: string) => boolean;
  fold: (section: string, folded: boolean) => void;
}

export const ReachContext = createContext<Reach | null>(null);

export function useReach(): Reach {
  const reach = useContext(ReachContext);
  if (!reach) throw new Error("used outside of the panel");
  return reach;
}

export function useView(watch: Watch): View {
  return useSyncExternalStore(
    (notify) => {
      watch.changed.connect(notify);
      return () => {
        watch.changed.disconnect(notify);
      };
    },
    () => watch.view,
  );
}

/** The machine's time, anew each second while `running`. */
export function useNow(watch: Watch, running: boolean): number {
  const [, tick] = useReducer((turns: number) => turns + 1, 0);
  useEffect(() => {
    if (!running) return;
    const timer = window.setInterval(tick, 1000);
    return () => {
      window.clearInterval(timer);
    };
  }, [watch, running]);
  return watch.now();
}

export interface Doing {
  busy: boolean;
  outcome: Outcome | null;
  run: (action: () => Promise<Outcome>) => void;
  dismiss: () => void;
}

/** Milliseconds that a good answer is shown; a refusal stays until it is dismissed. */
const SHOWN = 8000;

/** An action, and its end shown where it was asked for. */
export function useDoing(): Doing {
  const { watch } = useReach();
  const [busy, setBusy] = useState(false);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  useEffect(() => {
    if (!outcome?.ok) return;
    const timer = window.setTimeout(() => {
      setOutcome(null);
    }, SHOWN);
    return () => {
      window.clearTimeout(timer);
    };
  }, [outcome]);
  return {
    busy,
    outcome,
    run: (action) => {
      if (busy) return;
      setBusy(true);
      setOutcome(null);
      void action().then((end) => {
        setBusy(false);
        setOutcome(end);
        watch.refresh();
      });
    },
    dismiss: () => {
      setOutcome(null);
    },
  };
}
