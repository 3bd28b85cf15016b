/** Stages and services as lines on a common time axis. */

import { caretRightIcon } from "@jupyterlab/ui-components";
import React, { useId, useState } from "react";
import { isStage, plain, timeline, type Row, type Timeline } from "../rows.ts";
import { about, have, rate, span } from "../figures.ts";
import { timelineIcon } from "../icons.ts";
import type { Snapshot } from "../contract.ts";
import { line, list, sentence } from "../text.ts";
import { useNow, useReach } from "./context.ts";
import { LogBox } from "./log.tsx";
import { Bar, Button, Clip, IconButton, Mark, Section } from "./parts.tsx";
import { Repair } from "./repair.tsx";

/** `alive`: the runner is; what it said last stands still otherwise. */
export function Stages({ state, alive }: { state: Snapshot; alive: boolean }): React.JSX.Element {
  const { watch, showPicture } = useReach();
  // Turned by hand, against what is shown by itself: what failed and can be repaired.
  const [turned, setTurned] = useState<ReadonlySet<string>>(new Set());
  const running = state.phase === "starting" || state.stages.some((stage) => stage.state === "running" || stage.state === "verifying");
  const now = useNow(watch, running && alive);
  const whole = timeline(state, alive ? now : (state.updated ?? now));
  const toggle = (key: string) => {
    setTurned((before) => {
      const next = new Set(before);
      if (!next.delete(key)) next.add(key);
      return next;
    });
  };
  return (
    <Section
      id="stages"
      title="This start"
      aside={`${whole.ended} of ${whole.rows.length}`}
      tools={<IconButton icon={timelineIcon} label="How this start went" onClick={showPicture} />}
    >
      <div className="fl-timeline">
        <Axis whole={whole} />
        <ul>
          {whole.rows.map((row) => (
            <Line
              key={row.key}
              row={row}
              whole={whole}
              open={turned.has(row.key) !== ownFault(row)}
              toggle={() => {
                toggle(row.key);
              }}
            />
          ))}
        </ul>
      </div>
    </Section>
  );
}

const ownFault = (row: Row): boolean =>
  row.look === "error" && row.subject.repair?.endsWith(` ${row.key}`) === true;

const place = (share: number): string => `${(100 * share).toFixed(2)}%`;

function Axis({ whole }: { whole: Timeline }): React.JSX.Element {
  return (
    <div className="fl-line fl-axis" aria-hidden="true">
      <span className="fl-strip">
        {whole.scale.ticks.map((tick) => (
          <span key={tick.at} style={{ left: place(tick.at) }}>
            {tick.label}
          </span>
        ))}
      </span>
    </div>
  );
}

function Line({ row, whole, open, toggle }: { row: Row; whole: Timeline; open: boolean; toggle: () => void }): React.JSX.Element {
  const detail = useId();
  // What the detail says in full is not said twice.
  const note = open && row.note === plain(row.subject.message) ? "" : row.note;
  return (
    <li className="fl-row" data-look={row.look} data-critical={row.critical && whole.going} data-key={row.key}>
      <button type="button" className="fl-line" aria-expanded={open} aria-controls={detail} onClick={toggle}>
        <caretRightIcon.react tag="span" className="fl-caret" />
        <Mark look={row.look} state={row.state} />
        <span className="fl-name" title={row.title}>
          {row.title}
        </span>
        <span className="fl-note" title={note}>
          {note}
        </span>
        <Strip row={row} whole={whole} />
        <span className="fl-value">{row.value}</span>
        {row.critical && whole.going && <span className="fl-hidden">The app waits for this.</span>}
      </button>
      <div id={detail} hidden={!open}>
        {open && <Detail row={row} />}
      </div>
    </li>
  );
}

function Strip({ row, whole }: { row: Row; whole: Timeline }): React.JSX.Element {
  const { at, ticks, folds } = whole.scale;
  const piece = (kind: string, [from, to]: readonly [number, number]) => (
    <i className={kind} style={{ left: place(at(from)), width: place(at(to) - at(from)) }} />
  );
  return (
    <span className="fl-strip" aria-hidden="true">
      {ticks.map((tick) => (
        <i key={tick.at} className="fl-tick" style={{ left: place(tick.at) }} />
      ))}
      {folds.map((fold) => (
        <i key={fold} className="fl-fold" style={{ left: place(fold) }} />
      ))}
      {row.planned && piece("fl-planned", row.planned)}
      {row.ran && piece("fl-ran", row.ran)}
      {whole.going && <i className="fl-now" style={{ left: place(at(whole.now)) }} />}
    </span>
  );
}

function Detail({ row }: { row: Row }): React.JSX.Element {
  const [log, setLog] = useState(false);
  const { subject } = row;
  const trouble = ["warning", "error", "blocked"].includes(row.look);
  // Its line and its facts say what the message says.
  const bytes = isStage(subject) && row.look === "active" && subject.bytesTotal ? ([subject.bytesDone ?? 0, subject.bytesTotal] as const) : null;
  return (
    <div className="fl-detail" data-look={row.look}>
      {trouble && subject.consequence && plain(subject.consequence) !== row.note && <Clip text={sentence(subject.consequence)} />}
      {subject.message && !bytes && <Clip className={trouble ? "fl-soft" : ""} text={sentence(subject.message)} links />}
      {bytes && <Bar share={bytes[0] / bytes[1]} label={row.title} text={have(...bytes)} />}
      <Repair
        verb={subject.repair}
        what={row.title}
        extra={
          <Button
            label={`${log ? "Hide" : "Show"} the log of ${row.title}`}
            onClick={() => {
              setLog(!log);
            }}
          >
            {log ? "Hide log" : "Log"}
          </Button>
        }
      />
      <Facts row={row} />
      {log && <LogBox name={row.key} />}
    </div>
  );
}

function Facts({ row }: { row: Row }): React.JSX.Element | null {
  const { subject, ran } = row;
  const facts: [string, string][] = [];
  if (ran) facts.push(["Began", `after ${span(ran[0])}`]);
  if (ran && ran[1] > ran[0]) facts.push([row.look === "active" ? "So far" : "Took", span(ran[1] - ran[0])]);
  if (subject.predicted) facts.push(["Foreseen", `${about(subject.predicted[0])} to ${about(subject.predicted[1])}`]);
  if (isStage(subject)) {
    if (subject.tookBefore !== null) facts.push(["Last time", span(subject.tookBefore)]);
    if (subject.rate && row.look === "active") facts.push(["Rate", rate(subject.rate)]);
    if (subject.bytesTotal) facts.push(["Size", have(subject.bytesDone ?? 0, subject.bytesTotal)]);
    if (subject.attempt > 1) facts.push(["Attempt", String(subject.attempt)]);
    if (row.waits.length) facts.push(["Waits for", line(list(row.waits, 6))]);
  } else if (subject.restarts) {
    facts.push(["Restarts", String(subject.restarts)]);
  }
  if (!facts.length) return null;
  return (
    <dl className="fl-facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
