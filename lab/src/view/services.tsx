/** Services: their state, their page, and what makes them start again. */

import { refreshIcon } from "@jupyterlab/ui-components";
import React, { useState } from "react";
import type { Service, Snapshot } from "../contract.ts";
import { logIcon } from "../icons.ts";
import { lookOf } from "../rows.ts";
import { line, sentence } from "../text.ts";
import { useDoing, useReach } from "./context.ts";
import { LogBox } from "./log.tsx";
import { Clip, IconButton, Mark, Said, Section } from "./parts.tsx";
import { Repair } from "./repair.tsx";
import { SERVICE } from "../contract.ts";

export function Services({ state }: { state: Snapshot }): React.JSX.Element | null {
  if (!state.services.length) return null;
  const ready = state.services.filter((service) => service.state === "ready").length;
  return (
    <Section id="services" title="Services" aside={`${ready} of ${state.services.length} ready`}>
      <ul className="fl-services">
        {state.services.map((service) => (
          <ServiceRow key={service.id} service={service} />
        ))}
      </ul>
    </Section>
  );
}

function ServiceRow({ service }: { service: Service }): React.JSX.Element {
  const { watch, address } = useReach();
  const doing = useDoing();
  const [log, setLog] = useState(false);
  const title = line(service.title, 120);
  const look = lookOf(service.state);
  const href = address(service.id);
  const trouble = look === "error";
  return (
    <li className="fl-service" data-look={look} data-service={service.id}>
      <div className="fl-service-line">
        <Mark look={look} state={service.state} />
        <span className="fl-name" title={title}>
          {href ? (
            <a href={href} target="_blank" rel="noopener" aria-label={`Open ${title} in a new tab`}>
              {title}
            </a>
          ) : (
            title
          )}
        </span>
        <span className="fl-value">{service.state}</span>
        <IconButton
          icon={logIcon}
          label={`${log ? "Hide" : "Show"} the log of ${title}`}
          onClick={() => {
            setLog(!log);
          }}
        />
        <IconButton
          icon={refreshIcon}
          label={`Restart ${title}`}
          busy={doing.busy}
          disabled={service.state === "waiting"}
          onClick={() => {
            doing.run(() => watch.connection.restart(service.id));
          }}
        />
      </div>
      <div className="fl-service-more">
        {trouble && (
          <div className="fl-trouble" data-look="error">
            <Clip text={sentence(service.consequence ?? "")} />
            <Clip className="fl-soft" text={sentence(service.message)} />
            <Repair verb={service.repair} what={title} />
          </div>
        )}
        {!trouble && service.message && <Clip className="fl-soft" text={sentence(service.message)} />}
        <Said doing={doing} />
        {log && <LogBox name={SERVICE + service.id} />}
      </div>
    </li>
  );
}
