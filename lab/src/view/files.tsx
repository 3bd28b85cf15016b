/** Files of one set: asked for only while they are shown, and only those that are in sight are drawn. */

import React, { useEffect, useState } from "react";
import { reason } from "../connection.ts";
import type { ModelFile } from "../contract.ts";
import { have, percent, rate, size } from "../figures.ts";
import type { Look } from "../rows.ts";
import { sorted } from "../sets.ts";
import { line } from "../text.ts";
import { useReach } from "./context.ts";
import { Bar } from "./parts.tsx";

const HEIGHT = 40;
const SHOWN = 6;
/** Characters at a name's end that are never cut: parts of one model differ there. */
const TAIL = 24;
const PACE = 2000;

const LOOKS: Record<ModelFile["state"], Look> = {
  queued: "waiting",
  waiting: "waiting",
  fetching: "active",
  verifying: "active",
  done: "done",
  failed: "error",
  skipped: "skipped",
};

export function Files({ set, moving }: { set: string; moving: boolean }): React.JSX.Element {
  const { connection } = useReach().watch;
  const [files, setFiles] = useState<ModelFile[] | null>(null);
  const [trouble, setTrouble] = useState("");
  const [top, setTop] = useState(0);

  useEffect(() => {
    const control = new AbortController();
    let [etag, timer] = ["", 0];
    const ask = async () => {
      try {
        const found = await connection.files(set, etag, control.signal);
        if (found) {
          etag = found.etag;
          setFiles(sorted(found.files));
        }
        setTrouble("");
      } catch (error) {
        if (!control.signal.aborted) setTrouble(reason(error));
      }
      if (!control.signal.aborted && moving) timer = window.setTimeout(() => void ask(), PACE);
    };
    void ask();
    return () => {
      control.abort();
      window.clearTimeout(timer);
    };
  }, [connection, set, moving]);

  if (!files) return <p className="fl-soft fl-files-note">{trouble || "Looking…"}</p>;
  if (!files.length) return <p className="fl-soft fl-files-note">{trouble || "They are listed once the set is fetched."}</p>;
  const first = Math.max(0, Math.floor(top / HEIGHT) - 4);
  const seen = files.slice(first, first + SHOWN + 8);
  const counted = files.filter((file) => file.state === "done").length;
  return (
    <>
      <div
        className="fl-files"
        role="list"
        aria-label={`${counted} of ${files.length} files are here`}
        tabIndex={0}
        style={{ height: Math.min(SHOWN, files.length) * HEIGHT }}
        onScroll={(event) => {
          setTop(event.currentTarget.scrollTop);
        }}
      >
        <div style={{ height: files.length * HEIGHT, position: "relative" }}>
          {seen.map((file, at) => (
            <File key={file.path} file={file} at={first + at} of={files.length} />
          ))}
        </div>
      </div>
      <p className="fl-soft fl-files-note">
        {trouble || `${counted} of ${files.length} here`}
      </p>
    </>
  );
}

function File({ file, at, of }: { file: ModelFile; at: number; of: number }): React.JSX.Element {
  const look = LOOKS[file.state];
  const share = file.bytesTotal ? file.bytesDone / file.bytesTotal : file.state === "done" ? 1 : 0;
  const name = file.path.split("/").pop() ?? file.path;
  const speed = file.state === "fetching" ? (file.rate ? rate(file.rate) : "") : ["failed", "verifying"].includes(file.state) ? file.state : "";
  const partly = file.state === "fetching" || (file.bytesDone > 0 && file.state !== "done");
  return (
    <div
      role="listitem"
      aria-posinset={at + 1}
      aria-setsize={of}
      className="fl-file"
      data-look={look}
      title={line([file.path, file.message].filter(Boolean).join(": "))}
      style={{ top: at * HEIGHT, height: HEIGHT }}
    >
      <span className="fl-ends">
        <span>{line(name, 120).slice(0, -TAIL)}</span>
        <span>{line(name, 120).slice(-TAIL)}</span>
      </span>
      <span className="fl-soft">{speed}</span>
      <span className="fl-value">{partly ? have(file.bytesDone, file.bytesTotal) : file.bytesTotal === null ? "" : size(file.bytesTotal)}</span>
      <Bar share={share} look={look} label={line(file.path, 120)} text={`${percent(share)} %, ${file.state}`} />
    </div>
  );
}
