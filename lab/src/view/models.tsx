/** Model sets: what is there, what comes, and which are wanted. */

import { caretDownIcon, caretRightIcon } from "@jupyterlab/ui-components";
import React, { useId, useState } from "react";
import type { Snapshot } from "../contract.ts";
import { percent, size } from "../figures.ts";
import { pauseIcon, resumeIcon } from "../icons.ts";
import { setLines, type SetLine } from "../sets.ts";
import { sentence } from "../text.ts";
import { useDoing, useReach } from "./context.ts";
import { Files } from "./files.tsx";
import { Bar, Clip, IconButton, Said, Section } from "./parts.tsx";

export function Models({ state }: { state: Snapshot }): React.JSX.Element | null {
  const sets = setLines(state);
  if (!sets.length) return null;
  const there = sets.reduce((sum, each) => sum + each.set.bytesHave, 0);
  return (
    <Section id="models" title="Models" aside={there ? `${size(there)} here` : undefined}>
      <ul className="fl-sets">
        {sets.map((each) => (
          <SetRow key={each.set.name} row={each} />
        ))}
      </ul>
    </Section>
  );
}

function SetRow({ row }: { row: SetLine }): React.JSX.Element {
  const { set, title } = row;
  const { showStage, watch } = useReach();
  const { connection } = watch;
  const doing = useDoing();
  const [wanted, setWanted] = useState<boolean | null>(null);
  const [open, setOpen] = useState(false);
  const [box, body] = [useId(), useId()];
  const Caret = open ? caretDownIcon : caretRightIcon;
  const select = (add: boolean) => {
    setWanted(add);
    doing.run(async () => {
      const end = await connection.models(add ? "add" : "drop", set.name);
      // A refusal shows what is true again; else the state says the same in a moment.
      window.setTimeout(
        () => {
          setWanted(null);
        },
        end.ok ? 1500 : 0,
      );
      return end;
    });
  };
  return (
    <li className="fl-set" data-look={row.look} data-selected={set.selected} data-set={set.name}>
      <div className="fl-set-line">
        <input
          id={box}
          type="checkbox"
          checked={wanted ?? set.selected}
          aria-busy={doing.busy}
          aria-describedby={`${box}-note`}
          title={set.selected ? "Take off the queue" : "Fetch now"}
          onChange={(event) => {
            if (!doing.busy) select(event.target.checked);
          }}
        />
        <label className="fl-name" htmlFor={box} title={title}>
          {title}
        </label>
        <span className="fl-value">{row.figures}</span>
      </div>
      <div className="fl-set-more">
        <Bar
          share={row.share ?? 0}
          look={set.paused ? "skipped" : row.look}
          label={title}
          text={`${row.figures}${row.share === null ? "" : `, ${percent(row.share)} %`}`}
        />
        <div className="fl-set-foot">
        <button
          type="button"
          className="fl-fold-files"
          id={`${box}-note`}
          aria-expanded={open}
          aria-controls={body}
          aria-label={`Files of ${title}: ${row.note}`}
          onClick={() => {
            setOpen(!open);
          }}
        >
          <Caret.react tag="span" className="fl-caret" />
          <span>{row.note}</span>
        </button>
        {row.look === "error" && (
          <button
            type="button"
            className="fl-more"
            aria-label={`Show why ${title} failed`}
            onClick={() => {
              showStage(set.stage);
            }}
          >
            Why?
          </button>
        )}
        {row.open && (
          <IconButton
            icon={set.paused ? resumeIcon : pauseIcon}
            label={`${set.paused ? "Resume" : "Pause"} ${title}`}
            busy={doing.busy}
            onClick={() => {
              doing.run(() => connection.models(set.paused ? "resume" : "pause", set.name));
            }}
          />
        )}
        </div>
        {set.problem && (
          <div className="fl-trouble" data-look={row.look === "error" ? "error" : "warning"}>
            <Clip text={sentence(set.problem)} links />
          </div>
        )}
        {set.license && row.look !== "done" && <Clip className="fl-soft" text={`Licence: ${set.license}`} links />}
        <Said doing={doing} />
        <div id={body} hidden={!open}>
          {open && <Files set={set.name} moving={row.open} />}
        </div>
      </div>
    </li>
  );
}
