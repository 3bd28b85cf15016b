/** The one line that every view shows, the bar of the whole, and what can be done at once. */

import React, { useEffect, useLayoutEffect, useRef, useState } from "react";
import type { Headline, Problem, Snapshot } from "../contract.ts";
import { ago, percent } from "../figures.ts";
import { fetched, type Look } from "../rows.ts";
import { line, sentence } from "../text.ts";
import type { View } from "../watch.ts";
import { useReach } from "./context.ts";
import { Bar, Button, Clip, Mark } from "./parts.tsx";
import { Repair } from "./repair.tsx";

const LOOK: Record<Headline["tone"], Look> = { busy: "active", ready: "done", warning: "warning", error: "error" };

/** Seconds between two announcements of a headline that only counts down. */
const PACE = 60;

/** What a screen reader is told: a change of tone at once, a countdown now and then. */
function useAnnounced(headline: Headline | null): string {
  const [said, setSaid] = useState("");
  const last = useRef({ tone: "", at: 0 });
  const [text, tone] = [headline?.text ?? "", headline?.tone ?? ""];
  useEffect(() => {
    const now = Date.now() / 1000;
    if (tone === last.current.tone && now - last.current.at < PACE) return;
    last.current = { tone, at: now };
    setSaid(line(text));
  }, [text, tone]);
  return said;
}

/** Keeps the height that a text once had while `kind` is the same: a countdown that needs a line less moves nothing. */
function useSteady(kind: string): React.RefObject<HTMLHeadingElement> {
  const heading = useRef<HTMLHeadingElement>(null);
  const kept = useRef({ kind: "", width: 0, height: 0 });
  useLayoutEffect(() => {
    const node = heading.current;
    if (!node) return;
    const width = node.offsetWidth;
    if (kept.current.kind !== kind || kept.current.width !== width) {
      node.style.minHeight = "";
      kept.current = { kind, width, height: 0 };
    }
    kept.current.height = Math.max(kept.current.height, node.offsetHeight);
    node.style.minHeight = `${kept.current.height}px`;
  });
  useEffect(() => {
    const node = heading.current;
    if (!node) return;
    let frame = 0;
    // Another width wraps it anew, also when nothing else changes; in the next frame, as it may not resize in this one.
    const resized = new ResizeObserver(() => {
      window.cancelAnimationFrame(frame);
      frame = window.requestAnimationFrame(() => {
        if (node.offsetWidth === kept.current.width) return;
        node.style.minHeight = "";
        kept.current = { ...kept.current, width: node.offsetWidth, height: node.offsetHeight };
      });
    });
    resized.observe(node);
    return () => {
      window.cancelAnimationFrame(frame);
      resized.disconnect();
    };
  }, [kind]);
  return heading;
}

export function Head({ view }: { view: View }): React.JSX.Element {
  const { address } = useReach();
  const { answer } = view;
  const state = answer?.state ?? null;
  const announced = useAnnounced(state?.headline ?? null);
  const heading = useSteady(state ? `${state.phase} ${state.headline.tone}` : "");
  if (!state) {
    // What the server says now counts for more than that it once knew nothing.
    const known = view.trouble === null ? answer : null;
    return (
      <header className="fl-head">
        <div className="fl-headline">
          <Mark look={known ? "warning" : "active"} />
          <h2>{known ? "Nothing is known about this start yet" : headlineOf(view)}</h2>
        </div>
        {known?.problem ? <Trouble problem={known.problem} /> : <Away view={view} />}
      </header>
    );
  }
  const service = state.services.find((each) => each.id === state.headline.service);
  const href = service?.state === "ready" ? address(service.id) : null;
  // What a silent runner said last is no promise any more.
  const stale = answer?.alive === false;
  return (
    <header className="fl-head" data-tone={state.headline.tone} data-stale={stale} data-phase={state.phase}>
      <div className="fl-headline">
        <Mark look={stale ? "warning" : LOOK[state.headline.tone]} />
        <h2 ref={heading}>
          <Clipped text={state.headline.text} />
        </h2>
      </div>
      <span className="fl-hidden" role="status" aria-live="polite">
        {announced}
      </span>
      <Repair
        verb={state.headline.repair}
        what={state.title}
        main={!href}
        first={
          href &&
          service && (
            <a className="fl-button fl-mod-main" href={href} target="_blank" rel="noopener" aria-label={`Open ${line(service.title, 80)} in a new tab`}>
              Open {line(service.title, 80)}
            </a>
          )
        }
      />
      <Whole state={state} stale={stale} />
      {answer?.problem && <Trouble problem={answer.problem} />}
      <Away view={view} />
    </header>
  );
}

function Clipped({ text }: { text: string }): React.JSX.Element {
  return <span title={text.length > 160 ? line(text, 600) : undefined}>{line(text, 160)}</span>;
}

function Whole({ state, stale }: { state: Snapshot; stale: boolean }): React.JSX.Element | null {
  if (state.phase !== "starting") return null;
  const share = state.progress;
  const done = share === null ? "" : `${percent(share)} %`;
  const bytes = fetched(state);
  return (
    <>
      <Bar share={share} label="The whole start" text={[done, bytes].filter(Boolean).join(", ")} look={stale ? "skipped" : "active"} thick />
      <div className="fl-figures">
        <span>{done}</span>
        <span>{stale ? "last known" : bytes}</span>
      </div>
    </>
  );
}

function Trouble({ problem }: { problem: Problem }): React.JSX.Element {
  const { showLog } = useReach();
  const log = /`firstlight logs ([\w.:-]+)`/.exec(problem.remedy)?.[1];
  return (
    <div className="fl-trouble" data-look="warning">
      <Clip text={sentence(problem.message)} />
      {problem.remedy && <Clip className="fl-soft" text={sentence(problem.remedy)} />}
      {log && (
        <Button
          label={`Show the log of ${log}`}
          onClick={() => {
            showLog(log);
          }}
        >
          Log
        </Button>
      )}
    </div>
  );
}

function headlineOf(view: View): string {
  if (view.trouble === "absent") return "This server tells nothing about its start";
  if (view.trouble === "refused") return "This server wants a new login";
  if (view.trouble === "unreachable") return "JupyterLab's server does not answer";
  return "Looking at this machine…";
}

/** The server is away: said calmly, in a line of its own. */
function Away({ view }: { view: View }): React.JSX.Element | null {
  if (view.trouble === "absent") {
    return <Clip className="fl-soft" text="Its part of the panel does not run. Restart JupyterLab's server; this page goes on by itself then." />;
  }
  if (view.trouble === "refused") {
    return <Clip className="fl-soft" text="Log in again in another tab; this page goes on by itself then." />;
  }
  if (view.away === null) return null;
  return (
    <p className="fl-away">
      {view.answer ? `The server is away, last seen ${ago(view.away)}. ` : ""}Trying again; nothing needs a reload.
    </p>
  );
}
