/** The panel: one line on top, then the start, the models, the services and the machine. */

import React from "react";
import { Boundary } from "./boundary.tsx";
import { ReachContext, useReach, useView, type Reach } from "./context.ts";
import { Head } from "./head.tsx";
import { Machine } from "./machine.tsx";
import { Models } from "./models.tsx";
import { Services } from "./services.tsx";
import { Stages } from "./timeline.tsx";

export function Panel({ reach }: { reach: Reach }): React.JSX.Element {
  return (
    <Boundary>
      <ReachContext.Provider value={reach}>
        <Body />
      </ReachContext.Provider>
    </Boundary>
  );
}

function Body(): React.JSX.Element {
  const view = useView(useReach().watch);
  const state = view.answer?.state ?? null;
  const stale = view.away !== null || view.answer?.alive === false;
  return (
    <div className="fl-body" data-stale={stale}>
      <Head view={view} />
      {state && (
        <div className="fl-sections">
          <Boundary>
            <Stages state={state} alive={view.answer?.alive !== false} />
          </Boundary>
          <Boundary>
            <Models state={state} />
          </Boundary>
          <Boundary>
            <Services state={state} />
          </Boundary>
          <Boundary>
            <Machine disk={state.disk} />
          </Boundary>
        </div>
      )}
    </div>
  );
}
