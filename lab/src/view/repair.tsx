/** The button, or the command, that repairs something. */

import React from "react";
import { repair } from "../repair.ts";
import { line } from "../text.ts";
import { useDoing, useReach } from "./context.ts";
import { Button, Command, Said } from "./parts.tsx";

const WORDS = { add: "Fetch", drop: "Take off the queue", pause: "Pause", resume: "Resume" } as const;

interface Props {
  verb: string | null;
  what: string;
  main?: boolean;
  /** What stands before and after it in the same line. */
  first?: React.ReactNode;
  extra?: React.ReactNode;
}

export function Repair({ verb, what, main, first, extra }: Props): React.JSX.Element | null {
  const { connection } = useReach().watch;
  const doing = useDoing();
  const wanted = repair(verb);
  if (!wanted && !first && !extra) return null;
  const action =
    wanted?.kind === "retry" || wanted?.kind === "start"
      ? () => connection.retry(wanted.stage)
      : wanted?.kind === "models"
        ? () => connection.models(wanted.verb, wanted.set)
        : null;
  const label = wanted?.kind === "models" ? WORDS[wanted.verb] : wanted?.kind === "start" ? "Start" : "Retry";
  return (
    <>
      {(action ?? first ?? extra) && (
        <div className="fl-actions">
          {first}
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
