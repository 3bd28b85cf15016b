/** The item of the status bar: the headline, and a click to the panel. */

import React from "react";
import { line } from "../text.ts";
import type { Watch } from "../watch.ts";
import { Boundary } from "./boundary.tsx";
import { useView } from "./context.ts";
import { Mark } from "./parts.tsx";

const LOOK = { busy: "active", ready: "done", warning: "warning", error: "error" } as const;

export function Status({ watch, open }: { watch: Watch; open: () => void }): React.JSX.Element {
  return (
    <Boundary quiet>
      <Item watch={watch} open={open} />
    </Boundary>
  );
}

function Item({ watch, open }: { watch: Watch; open: () => void }): React.JSX.Element | null {
  const view = useView(watch);
  const state = view.answer?.state;
  if (!state) return null;
  const { text, tone } = state.headline;
  const stale = view.away !== null || view.answer?.alive === false;
  return (
    <button
      type="button"
      className="fl-status"
      data-stale={stale}
      title={stale ? `Last known: ${line(text, 200)}` : line(text, 200)}
      aria-label={`${line(text, 200)}. Show how the start goes.`}
      onClick={open}
    >
      <Mark look={stale && tone === "busy" ? "waiting" : LOOK[tone]} />
      <span>{line(text, 48)}</span>
    </button>
  );
}
