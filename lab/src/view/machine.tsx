/** The disk at a glance; memory, processors and GPU are panels of other extensions. */

import React from "react";
import type { Disk } from "../contract.ts";
import { size } from "../figures.ts";
import { useReach } from "./context.ts";
import { Bar, Section } from "./parts.tsx";

export function Machine({ disk }: { disk: Disk | null }): React.JSX.Element | null {
  const { showMemory, showGpu } = useReach();
  if (!disk && !showMemory && !showGpu) return null;
  return (
    <Section id="machine" title="Machine" aside={disk ? `${size(disk.free)} free` : undefined}>
      <div className="fl-machine">
        {disk && <Space disk={disk} />}
        {showMemory && (
          <button type="button" className="fl-more" onClick={showMemory}>
            Memory and processors of a notebook…
          </button>
        )}
        {showGpu && (
          <button type="button" className="fl-more" onClick={showGpu}>
            GPU memory and use…
          </button>
        )}
      </div>
    </Section>
  );
}

function Space({ disk }: { disk: Disk }): React.JSX.Element {
  const short = disk.needed > disk.free;
  const told = short
    ? `${size(disk.needed - disk.free)} too little for what is on the queue`
    : disk.needed
      ? `${size(disk.needed)} still to come, ${size(disk.free - disk.needed)} stay free`
      : "nothing is left to fetch";
  return (
    <>
      {disk.needed > 0 && (
        <Bar
          share={disk.free ? Math.min(1, disk.needed / disk.free) : 1}
          look={short ? "error" : "active"}
          label="Free space that is still needed"
          text={told}
        />
      )}
      <p className={short ? "fl-bad" : "fl-soft"}>Disk: {told}.</p>
    </>
  );
}
