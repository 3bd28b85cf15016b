/** The end of a log, and what is added to it. */

import React, { useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { append, KEPT, type Block } from "../blocks.ts";
import { Failure, reason } from "../connection.ts";
import { SERVICE } from "../contract.ts";
import { openIcon } from "../icons.ts";
import { line } from "../text.ts";
import type { Connection } from "../connection.ts";
import { useReach } from "./context.ts";
import { IconButton } from "./parts.tsx";

const LINES = 200;
const PACE = 1000;
const SLOWEST = 15_000;

/** A service's log has the service's own name, unless a stage is called the same. */
async function named(connection: Connection, key: string): Promise<string> {
  if (!key.startsWith(SERVICE)) return key;
  const names = await connection.logs();
  return names.includes(key) ? key : key.slice(SERVICE.length);
}

interface Text {
  blocks: Block[];
  told: string;
}

/**
 * A log's text as it grows, while `seen` says that somebody may be looking; `told` says what is wrong, or that there is
 * none yet. It asks once a second: an open stream for each log would use up the few connections of a browser.
 */
function useLog(connection: Connection, key: string, seen: () => boolean): Text {
  const [log, setLog] = useState<Text>({ blocks: [], told: "Looking…" });
  useEffect(() => {
    const control = new AbortController();
    let [timer, pause, name, offset] = [0, PACE, "", -1];
    const ask = async () => {
      try {
        if (offset < 0) {
          name = await named(connection, key);
          const tail = await connection.tail(name, LINES, control.signal);
          offset = tail.offset;
          setLog({ blocks: append([], tail.text), told: tail.text ? "" : "Nothing is written yet." });
        } else if (seen()) {
          const added = await connection.since(name, offset, control.signal);
          // Who talks so much that a page cannot keep it is not followed, but looked up anew.
          offset = added.size - added.offset > KEPT ? -1 : added.offset;
          if (added.text) setLog((before) => ({ blocks: append(before.blocks, added.text), told: "" }));
          else setLog((before) => (before.told && before.blocks.length ? { ...before, told: "" } : before));
        }
        pause = PACE;
      } catch (error) {
        if (control.signal.aborted) return;
        const none = error instanceof Failure && error.status === 404;
        setLog((before) => ({ ...before, told: none ? "There is no log of it yet." : reason(error) }));
        pause = Math.min(SLOWEST, pause * 2);
        if (none) offset = -1;
      }
      if (!control.signal.aborted) timer = window.setTimeout(() => void ask(), pause);
    };
    void ask();
    return () => {
      control.abort();
      window.clearTimeout(timer);
    };
  }, [connection, key, seen]);
  return log;
}

/** `name`: a stage's id, `service:ID`, or a log's own name. `whole`: fills its place. */
export function LogBox({ name, whole }: { name: string; whole?: boolean }): React.JSX.Element {
  const { watch, showLog } = useReach();
  const box = useRef<HTMLPreElement>(null);
  const seen = useCallback(() => document.visibilityState === "visible" && box.current?.offsetParent !== null, []);
  const { blocks, told } = useLog(watch.connection, name, seen);
  const [end, setEnd] = useState(true);
  useLayoutEffect(() => {
    const pre = box.current;
    if (pre && end) pre.scrollTop = pre.scrollHeight;
  }, [blocks, end]);
  useEffect(() => {
    const pre = box.current;
    if (!pre || !end) return;
    // Another width or height wraps the lines anew: who is at the end stays there.
    const resized = new ResizeObserver(() => {
      pre.scrollTop = pre.scrollHeight;
    });
    for (const node of [pre, ...pre.children]) resized.observe(node);
    return () => {
      resized.disconnect();
    };
  }, [blocks, end]);
  const label = `Log of ${line(name, 80)}`;
  return (
    <div className="fl-log" data-whole={whole}>
      <pre
        ref={box}
        role="log"
        aria-live="off"
        aria-label={label}
        tabIndex={0}
        onScroll={(event) => {
          const pre = event.currentTarget;
          setEnd(pre.scrollHeight - pre.scrollTop - pre.clientHeight < 24);
        }}
      >
        {blocks.map((block) => (
          <div key={block.key}>{block.text}</div>
        ))}
      </pre>
      <div className="fl-log-foot">
        <span className="fl-soft">{told || (end ? "Following" : "Scrolled up")}</span>
        {!end && (
          <button
            type="button"
            className="fl-more"
            onClick={() => {
              setEnd(true);
            }}
          >
            To the end
          </button>
        )}
        {!whole && (
          <IconButton
            icon={openIcon}
            label={`${label} in a tab of its own`}
            onClick={() => {
              showLog(name);
            }}
          />
        )}
      </div>
    </div>
  );
}
