/** Small parts that the sections share. */

import { closeIcon, copyIcon, caretDownIcon, caretRightIcon, type LabIcon } from "@jupyterlab/ui-components";
import React, { useId, useState } from "react";
import { percent } from "../figures.ts";
import { activeIcon, blockedIcon, doneIcon, errorIcon, skippedIcon, waitingIcon, warningIcon } from "../icons.ts";
import type { Look } from "../rows.ts";
import { beginning, pieces, sentence } from "../text.ts";
import { useReach, type Doing } from "./context.ts";

const MARKS: Record<Look, LabIcon> = {
  waiting: waitingIcon,
  active: activeIcon,
  done: doneIcon,
  skipped: skippedIcon,
  warning: warningIcon,
  error: errorIcon,
  blocked: blockedIcon,
};

/** The state's sign. */
export function Mark({ look, state }: { look: Look; state?: string }): React.JSX.Element {
  const Icon = MARKS[look].react;
  return (
    <span className="fl-mark" data-look={look} {...(state ? { role: "img", "aria-label": state, title: state } : { "aria-hidden": true })}>
      <Icon tag="span" />
    </span>
  );
}

/** Others' words: text, `commands` and, where `links` says so, addresses. */
export function Prose({ text, links = false }: { text: string; links?: boolean }): React.JSX.Element {
  return (
    <>
      {pieces(text).map((piece, at) => {
        if (piece.kind === "code") return <code key={at}>{piece.text}</code>;
        if (piece.kind === "link" && links) {
          return (
            <a key={at} href={piece.text} target="_blank" rel="noopener noreferrer">
              {piece.text.replace(/^https?:\/\//, "")}
            </a>
          );
        }
        return piece.text;
      })}
    </>
  );
}

/** A paragraph that is clipped when it is long. */
export function Clip({ text, className, links }: { text: string; className?: string; links?: boolean }): React.JSX.Element | null {
  const [whole, setWhole] = useState(false);
  if (!text) return null;
  const [some, all] = beginning(text);
  const long = !all;
  return (
    <p className={`fl-prose ${className ?? ""}`}>
      <Prose text={whole ? text : some} links={links ?? false} />
      {long && (
        <button
          type="button"
          className="fl-more"
          aria-expanded={whole}
          onClick={() => {
            setWhole(!whole);
          }}
        >
          {whole ? "Less" : "More"}
        </button>
      )}
    </p>
  );
}

interface BarProps {
  share: number | null;
  label: string;
  text?: string;
  look?: Look;
  thick?: boolean;
}

/** A bar with its value for screen readers; without a share it says that the end is not known. */
export function Bar({ share, label, text, look = "active", thick }: BarProps): React.JSX.Element {
  return (
    <div
      className="fl-bar"
      data-look={look}
      data-thick={thick}
      data-unknown={share === null}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={share === null ? undefined : percent(share)}
      aria-valuetext={text}
    >
      <i style={share === null ? undefined : { transform: `scaleX(${share.toFixed(4)})` }} />
    </div>
  );
}

interface IconButtonProps {
  icon: LabIcon;
  label: string;
  busy?: boolean;
  disabled?: boolean;
  onClick: () => void;
}

export function IconButton({ icon: Icon, label, busy, disabled, onClick }: IconButtonProps): React.JSX.Element {
  return (
    <button
      type="button"
      className="fl-icon-button"
      aria-label={label}
      title={label}
      aria-busy={busy}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon.react tag="span" />
    </button>
  );
}

/** A button in words. `main`: what one most likely wants. */
export function Button(props: { children: React.ReactNode; doing?: Doing; main?: boolean; label?: string; onClick: () => void }): React.JSX.Element {
  const busy = props.doing?.busy === true;
  return (
    <button
      type="button"
      className={`fl-button ${props.main ? "fl-mod-main" : ""}`}
      aria-label={props.label}
      aria-busy={busy}
      aria-disabled={busy}
      onClick={props.onClick}
    >
      {props.children}
    </button>
  );
}

/** What came of an action, where it was asked for. */
export function Said({ doing }: { doing: Doing }): React.JSX.Element {
  const { outcome } = doing;
  return (
    <div className="fl-said" role="status" data-bad={outcome ? !outcome.ok : undefined}>
      {outcome && (outcome.message || !outcome.ok) && (
        <>
          <Clip text={sentence(outcome.message || "It did not work")} />
          <IconButton icon={closeIcon} label="Dismiss" onClick={doing.dismiss} />
        </>
      )}
    </div>
  );
}

/** A command for a terminal. */
export function Command({ text }: { text: string }): React.JSX.Element {
  return (
    <p className="fl-command">
      <code>{text}</code>
      <IconButton
        icon={copyIcon}
        label={`Copy the command ${text}`}
        onClick={() => {
          void navigator.clipboard.writeText(text).catch(() => undefined);
        }}
      />
    </p>
  );
}

interface SectionProps {
  id: string;
  title: string;
  /** At the end of the heading. */
  aside?: React.ReactNode;
  tools?: React.ReactNode;
  children: React.ReactNode;
}

/** A part of the panel under a heading that folds it. */
export function Section({ id, title, aside, tools, children }: SectionProps): React.JSX.Element {
  const { folded, fold } = useReach();
  const [closed, setClosed] = useState(folded(id));
  const body = useId();
  const Caret = closed ? caretRightIcon : caretDownIcon;
  return (
    <section className="fl-section" data-section={id}>
      <div className="fl-heading">
        <h3>
          <button
            type="button"
            aria-expanded={!closed}
            aria-controls={body}
            onClick={() => {
              setClosed(!closed);
              fold(id, !closed);
            }}
          >
            <Caret.react tag="span" className="fl-caret" />
            {title}
          </button>
        </h3>
        {aside !== undefined && <span className="fl-aside">{aside}</span>}
        {tools}
      </div>
      <div id={body} hidden={closed}>
        {!closed && children}
      </div>
    </section>
  );
}
