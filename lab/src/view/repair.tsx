/** The button, or the command, that repairs something. */

import React from "react";
import { repair } from "../repair.ts";
import { line } from "../text.ts";
import { useDoing, useReach } from "./context.ts";
import { Button, Command, Said } from "./parts.tsx";

const WORDS = { add: "Fetch", drop: "Take off the queue", pause: "Pause", resume: "Resume" } as const;

export function Repair({ verb, what, main, extra }: { verb: string | null; what: string; main?: boolean; extra?: React.ReactNode }): React.JSX.Element | null {
  const { connection } = useReach().watch;
  const doing = useDoing();
  const wanted = repair(verb);
  if (!wanted && !extra) return null;
  const action =
    wanted?.kind === "retry"
      ? () => connection.retry(wanted.stage)
      : wanted?.kind === "models"
        ? () => connection.models(wanted.verb, wanted.set)
        : null;
  const label = wanted?.kind === "models" ? WORDS[wanted.verb] : "Retry";
  return (
    <>
      {(action ?? extra) && (
        <div className="fl-actions">
          {action && (
            <Button
              doing={doing}
              main={main ?? false}
              label={`${label}: ${line(what, 80)}`}
              onClick={() => {
                doing.run(action);
              }}
            >
              {label}
            </Button>
          )}
          {extra}
        </div>
      )}
      {wanted?.kind === "command" && <Command text={wanted.text} />}
      <Said doing={doing} />
    </>
  );
}
